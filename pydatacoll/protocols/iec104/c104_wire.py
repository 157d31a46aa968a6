"""A wire over lib60870, by way of the package c104 in a worker process.

The rules:

1. ASDUs arrive as they were on the line, numbers checked, and are decoded like those of the native backend.
2. An ASDU is handed to the worker when the window k has room for it, and when few enough calls of the library are
   under way; until then it waits here and can be withdrawn. What was handed over may have been sent.
3. What the library cannot send is answered here with cause 44, unknown type identification, and counted
   (``unsupported``).
4. When the worker dies, the wires of its stations close; nothing else is lost.
"""

from __future__ import annotations

import asyncio
import math
from collections.abc import Iterable
from typing import Any

from pydatacoll.errors import DeviceOffline
from pydatacoll.protocols.iec104.asdu import decode
from pydatacoll.protocols.iec104.c104_messages import (
    Close,
    Closed,
    Frames,
    Logged,
    Open,
    Opened,
    Pause,
    Progress,
    Recall,
    Received,
    Send,
    ToManager,
    Unsupported,
)
from pydatacoll.protocols.iec104.c104_pool import Pool, Worker, pool
from pydatacoll.protocols.iec104.config import Iec104Device
from pydatacoll.protocols.iec104.errors import ProtocolError
from pydatacoll.protocols.iec104.send_queue import SendQueue
from pydatacoll.protocols.iec104.wire import Receiver, Wire
from pydatacoll.sdk import DriverContext

WAITING = 1024
"""ASDUs that may wait, as with the native backend."""
BUSY = 16
"""Calls of the library for one station at a time; each takes a thread until the station answers."""
PATIENCE = 0.1
"""Seconds before the end of ``command_timeout`` at which the library stops waiting, so that it is free for the
deactivation that may follow."""
START = 30.0
"""Seconds that connecting may take besides t0 and t1, for a worker has to be started perhaps."""
FAREWELL = 1.0
"""Longest wait for the worker to close, seconds."""
REMEMBERED = 8192
"""ASDUs that were never sent, of which that is still known; more than can wait."""


async def open_c104(device: Iec104Device, context: DriverContext, receive: Receiver) -> Wire:
    """Connect within t0 and start data transfer, confirmed within t1.

    :param receive: may be called before the wire is here.
    :raises DeviceOffline: when that fails; says in plain words why, and what to do when c104 is not installed.
    """
    host, port = device.places[0]

    async def open_to(address: str) -> C104Wire:
        wire = C104Wire(device, context, receive)
        try:
            await wire.open(address, port)
        except BaseException:
            await wire.close()
            raise
        return wire

    wire = await context.connect(host, port, open_to, timeout=START + device.t0 + device.t1)
    if wire.closed.done():
        raise DeviceOffline(str(wire.closed.result()))
    return wire


class C104Wire(Wire):
    """Open after :meth:`open`."""

    def __init__(self, device: Iec104Device, context: DriverContext, receive: Receiver) -> None:
        super().__init__(receive)
        self._device = device
        self._context = context
        self._pool: Pool = pool()
        self._worker: Worker | None = None
        self._number = 0
        self._started: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._gone = asyncio.Event()
        self._frames = context.frames is not None
        self._queue = SendQueue(WAITING)
        self._last_token = 0
        self._handed = 0
        self._never: dict[int, None] = {}
        self._progress = Progress(0, 0, 0, 0, 0)
        self._refused = 0
        self._peer = ""
        self._asdus_in = self._asdus_out = self._octets_in = 0
        self._paused = False
        self._kept: list[bytes] = []

    async def open(self, address: str, port: int) -> None:
        """Connect to an IP address.

        :raises ConnectionError: the station cannot be connected to.
        :raises DeviceOffline: there is no worker, or the station does not start data transfer.
        """
        self._worker, self._number = await self._pool.enter(lambda number: self._take)
        device = self._device
        timers = tuple(max(1, math.ceil(value)) for value in (device.t0, device.t1, device.t2, device.t3))
        if timers[2] >= timers[1]:
            timers = (timers[0], timers[1], max(1, timers[1] - 1), timers[3])
        self._worker.send(
            Open(
                station=self._number,
                address=address,
                port=port,
                k=device.k,
                w=device.w,
                timers=(timers[0], timers[1], timers[2], timers[3]),
                originator=device.originator,
                patience=max(100, round((device.command_timeout - PATIENCE) * 1000)),
                frames=self._frames,
            )
        )
        await self._started

    # Wire

    def send(self, asdu: bytes, *, first: bool = False) -> int:
        if self.closed.done():
            raise DeviceOffline(str(self.closed.result()))
        try:
            decode(asdu)
        except ProtocolError as error:
            raise ValueError(f"no ASDU: {error}") from error
        self._last_token = token = self._last_token + 1
        if not self._queue.put(token, asdu, first=first):
            self._note_unsent([token])
            raise DeviceOffline("too many frames are waiting already")
        self._hand_over()
        return token

    def withdraw(self, token: int) -> bool:
        if self._queue.withdraw(token):
            self._note_unsent([token])
        return token in self._never

    def went_out(self, token: int) -> bool:
        return 0 < token <= self._last_token and token not in self._queue.tokens() and token not in self._never

    def recall(self, token: int) -> bool:
        if self.withdraw(token):
            return True
        if self._worker is not None and not self.closed.done():
            self._worker.send(Recall(self._number, token))
        return False

    def pause(self) -> None:
        self._hold(on=True)

    def resume(self) -> None:
        self._hold(on=False)
        kept, self._kept = self._kept, []
        if kept and not self.closed.done():
            self.receive(kept)

    async def close(self) -> None:
        worker, self._worker = self._worker, None
        if worker is None:
            self._finish("closed by us")
            return
        try:
            if not self._gone.is_set():
                worker.send(Close(self._number))
                async with asyncio.timeout(FAREWELL):
                    await self._gone.wait()
        except TimeoutError:
            self._context.log.warning("lib60870 does not close the connection")
        finally:
            self._finish("closed by us")
            await self._pool.leave(worker, self._number)

    def status(self) -> dict[str, Any]:
        worker = self._worker
        progress = self._progress
        return {
            "backend": "c104",
            "state": "closed" if self.closed.done() else "started" if self._started.done() else "starting",
            "peer": self._peer,
            "k": self._device.k,
            "unacknowledged": self._unacknowledged,
            "w": self._device.w,
            "waiting": len(self._queue),
            "counters": {
                "i_sent": self._asdus_out,
                "i_received": self._asdus_in,
                "unsupported": self._refused,
                "bytes_in": self._octets_in,
                "bytes_out": progress.octets,
            },
            "paused": self._paused,
            "stalls": progress.stalls,
            "worker": {
                "pid": 0 if worker is None else worker.pid,
                "stations": 0 if worker is None else len(worker.stations),
                "c104": "" if worker is None else worker.version,
                "lost": self._pool.restarts,
            },
        }

    # What the worker says

    def _take(self, message: ToManager) -> None:
        match message:
            case Received():
                self._octets_in += message.octets
                self._context.counters["bytes_in"] += message.octets
                self._deliver(message.asdus)
            case Progress():
                self._context.counters["bytes_out"] += message.octets - self._progress.octets
                self._context.counters["stalls"] += message.stalls - self._progress.stalls
                self._progress = message
                self._hand_over()
            case Unsupported():
                self._refused += 1
                self._context.counters["unsupported"] += 1
                self._deliver([message.answer])
                self._hand_over()
            case Logged():
                if (frames := self._context.frames) is not None:
                    (frames.sent if message.sent else frames.received)(message.frame)
            case Opened():
                self._peer = message.peer
                if not self._started.done():
                    self._started.set_result(None)
            case Closed():
                self._over(message)
        self._watch_frames()

    def _deliver(self, asdus: list[bytes]) -> None:
        self._asdus_in += len(asdus)
        if not asdus or self.closed.done():
            return
        if self._paused:
            self._kept += asdus
        else:
            self.receive(asdus)

    def _over(self, message: Closed) -> None:
        if message.counter:
            self._context.counters[message.counter] += 1
        self._gone.set()
        if not self._started.done():
            if message.refused:
                self._started.set_exception(ConnectionError(message.reason))
            else:
                self._started.set_exception(DeviceOffline(f"no data transfer: {message.reason}"))
            self._started.exception()  # seen, also when nobody waits for it any more
        self._finish(message.reason)

    def _finish(self, reason: str) -> None:
        if self.closed.done():
            return
        self._note_unsent(self._queue.take_all())
        self._kept.clear()
        self.closed.set_result(DeviceOffline(reason))

    def _note_unsent(self, tokens: Iterable[int]) -> None:
        self._never.update(dict.fromkeys(tokens))
        while len(self._never) > REMEMBERED:
            del self._never[next(iter(self._never))]

    # Sending

    @property
    def _unacknowledged(self) -> int:
        return self._handed - self._refused - self._progress.acknowledged

    def _hand_over(self) -> None:
        """Give the worker what there is room for."""
        worker = self._worker
        while worker is not None and self._queue and not self.closed.done():
            busy = self._handed - self._refused - self._progress.returned
            if self._unacknowledged >= self._device.k or (busy >= BUSY and not self._queue.urgent):
                return
            token, asdu = self._queue.pop()
            self._handed += 1
            self._asdus_out += 1
            self._watch_frames()
            worker.send(Send(self._number, token, asdu))

    def _hold(self, *, on: bool) -> None:
        self._paused = on
        if self._worker is not None and not self.closed.done():
            self._worker.send(Pause(self._number, on))

    def _watch_frames(self) -> None:
        """Somebody begins or ends to look at frames."""
        wanted = self._context.frames is not None
        if wanted != self._frames and self._worker is not None:
            self._frames = wanted
            self._worker.send(Frames(self._number, wanted))
