"""One connection to a simulated RTU: our own link as controlled station, and what can go wrong with its frames."""

from __future__ import annotations

import asyncio
import contextlib
import socket
import struct
import time
from collections import deque
from collections.abc import Callable, Iterator
from functools import partial
from typing import Protocol, cast

from pydatacoll.protocols.iec104 import apci
from pydatacoll.protocols.iec104.events import AsduReceived, Closed, Started, State, Stopped
from pydatacoll.protocols.iec104.link import Link
from pydatacoll.protocols.iec104.parameters import Parameters
from pydatacoll.testing.iec104_faults import CONNECTION, FRAME, Iec104Fault, Iec104Faults

Run = Iterator[bytes | float]
"""A long answer: ASDUs, made when there is room for them, and pauses in seconds."""

_QUEUE = 1
"""Frames in the link's own queue: none, since a session sends only while the window is open."""
_AT_ONCE = 64
"""Frames between two looks at whether the socket takes any more."""
_DROPPED = {apci.STARTDT_ACT: "no_startdt_con", apci.TESTFR_ACT: "no_testfr_con"}
_GARBAGE = 40


class Station(Protocol):
    """What a session needs of its RTU."""

    faults: Iec104Faults
    parameters: Parameters

    def opened(self, session: Session) -> bool:
        """A connection; false: it is refused."""

    def started(self, session: Session) -> None:
        """STARTDT: it is the one that gets events now."""

    def received(self, session: Session, octets: bytes) -> None:
        """An ASDU."""

    def next_event(self) -> bytes | None:
        """The next event to be sent, taken out of the buffer."""

    def ended(self, session: Session, unsent: list[bytes]) -> None:
        """No longer started; ``unsent``: events that may not have arrived, oldest first."""

    def closed(self, session: Session) -> None:
        """The connection is no more."""

    def changed(self) -> None:
        """Something happened that somebody may wait for."""


class Session(asyncio.Protocol):
    """One connection.

    :ivar path: the number of the address it came in on.
    :ivar active: started, and no other connection of the redundancy group was started after it.
    :ivar link: numbering, window and timers.
    :ivar reason: why the link is over; empty while it is not.
    """

    def __init__(self, station: Station, path: int) -> None:
        self.path = path
        self.active = False
        self.reason = ""
        self.link: Link = Link("controlled", time.monotonic(), station.parameters, queue_limit=_QUEUE)
        self._station = station
        self._transport: asyncio.Transport | None = None
        self._paused = False
        self._muted = False
        self._busy = False
        self._answers: deque[tuple[bytes, bool]] = deque()
        self._runs: deque[Run] = deque()
        self._sent: deque[bytes | None] = deque()
        """What is not acknowledged; ``None`` for what is not sent again."""
        self._timer: asyncio.TimerHandle | None = None
        self._timer_at = 0.0
        self._timers: set[asyncio.TimerHandle] = set()
        self._held: list[bytes] | None = None
        """What waits until a frame that is sent slowly has ended."""
        self._trickling: asyncio.TimerHandle | None = None
        self._frozen: int | None = None
        """N(R) for ever, when nothing is acknowledged any more."""
        self._piece = b""
        self._turn = False

    # ---- asyncio ----------------------------------------------------------------------------------------------

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast("asyncio.Transport", transport)
        if not self._station.opened(self):
            self.reset()
            return
        self._after()

    def connection_lost(self, exc: Exception | None) -> None:
        self.link.close("the connection is closed")
        self._over("the connection is closed")
        for timer in (self._timer, self._trickling):
            if timer is not None:
                timer.cancel()
        self._station.closed(self)

    def data_received(self, data: bytes) -> None:
        if self._muted:
            return
        if self._station.faults.rules or self._piece:
            data = self._filtered(data)
        self._busy = True  # all answers go out together
        for event in self.link.receive(data, time.monotonic()):
            self._act(event)
        self._busy = False
        self._trim()
        self.pump()
        self._station.changed()

    def pause_writing(self) -> None:
        self._paused = True

    def resume_writing(self) -> None:
        self._paused = False
        self.pump()

    # ---- what the RTU says ------------------------------------------------------------------------------------

    def answer(self, octets: bytes, *, event: bool = False) -> None:
        """Send an ASDU before everything else; ``event``: send it again later if it does not arrive. When data
        transfer has ended meanwhile, nobody waits for the answer any more."""
        if self.link.state is State.STARTED:
            self._answers.append((octets, event))
            self.pump()

    def run(self, run: Run) -> None:
        """Send a long answer, in turn with others and with events."""
        self._runs.append(run)
        self.pump()

    def pump(self) -> None:
        """Send what there is, as far as the window allows."""
        if self._busy:
            return
        link, now = self.link, time.monotonic()
        if link.state is State.STARTED and not self._muted:
            while not self._paused and link.room > _QUEUE and link.state is State.STARTED:
                found = self._next()
                if found is None:
                    break
                octets, event = found
                self._sent.append(octets if event else None)
                self._send(octets, now)
                if not len(self._sent) % _AT_ONCE:
                    self._write(link.data_to_send())
        self._after()

    def later(self, seconds: float, action: Callable[[], None]) -> None:
        """Do something later, unless data transfer ends before."""

        def act() -> None:
            self._timers.discard(timer)
            action()

        timer = asyncio.get_running_loop().call_later(seconds, act)
        self._timers.add(timer)

    def mute(self) -> None:
        """Neither send nor hear anything from now on; the connection stays."""
        self._muted = True

    def abort(self) -> None:
        """Close the connection at once."""
        if self._transport is not None:
            self._transport.abort()

    def reset(self) -> None:
        """Close the connection with RST."""
        if self._transport is not None:
            sock = self._transport.get_extra_info("socket")
            with contextlib.suppress(OSError):  # the peer was faster
                sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
            self._transport.abort()

    def give_up(self) -> list[bytes]:
        """Another connection has been started: events that may not have arrived, oldest first."""
        self.active = False
        return self._unsent()

    # ---- within -----------------------------------------------------------------------------------------------

    def _next(self) -> tuple[bytes, bool] | None:
        if self._answers:
            return self._answers.popleft()
        if not self.active:
            return None
        self._turn = not self._turn  # events and long answers, one of each
        if self._turn or not self._runs:
            event = self._station.next_event()
            if event is not None:
                return event, True
        for _ in range(len(self._runs)):
            run = self._runs[0]
            found = next(run, None)
            if isinstance(found, bytes):
                self._runs.rotate(-1)
                return found, False
            self._runs.popleft()
            if found is not None:
                self.later(found, partial(self.run, run))
        event = self._station.next_event()
        return None if event is None else (event, True)

    def _act(self, event: object) -> None:
        match event:
            case AsduReceived(octets):
                self._station.received(self, octets)
            case Started():
                self.active = True
                self._station.started(self)
            case Stopped():
                self._trim()
                self._end()
            case Closed(_, reason):
                self._over(reason)
                if self._transport is not None:
                    self._transport.close()

    def _over(self, reason: str) -> None:
        self.reason = self.reason or reason
        self._end()

    def _end(self) -> None:
        """Data transfer has ended."""
        self._runs.clear()
        for timer in self._timers:
            timer.cancel()
        self._timers.clear()
        was, self.active = self.active, False
        unsent = self._unsent()
        if was:
            self._station.ended(self, unsent)

    def _unsent(self) -> list[bytes]:
        unsent = [octets for octets in self._sent if octets is not None]
        unsent += [octets for octets, event in self._answers if event]
        self._sent.clear()
        self._answers.clear()
        return unsent

    def _trim(self) -> None:
        """Forget what has been acknowledged."""
        if self.link.state is State.CLOSED:
            return
        if self.link.state is State.STARTED:
            outstanding = self.link.parameters.k + _QUEUE - self.link.room
        else:
            outstanding = self.link.status(time.monotonic()).unacknowledged
        while len(self._sent) > outstanding:
            self._sent.popleft()

    def _after(self) -> None:
        """Write what the link has to send; set the timer."""
        if self._muted:
            return
        self._write(self.link.data_to_send())
        deadline = self.link.next_deadline
        if deadline is not None and (self._timer is None or self._timer_at > deadline):
            self._set_timer(deadline)

    def _set_timer(self, deadline: float) -> None:
        if self._timer is not None:
            self._timer.cancel()
        self._timer_at = deadline
        delay = max(0.0, deadline - time.monotonic())
        self._timer = asyncio.get_running_loop().call_later(delay, self._tick)

    def _tick(self) -> None:
        self._timer = None
        if self._muted:
            return
        for event in self.link.tick(time.monotonic()):
            self._act(event)
        self._after()
        self._station.changed()

    # ---- faults -----------------------------------------------------------------------------------------------

    def _filtered(self, data: bytes) -> bytes:
        """What of it the link shall see; an incomplete frame waits."""
        data, self._piece = self._piece + data, b""
        seen: list[bytes] = []
        for frame in apci.split(data):
            whole = len(frame) >= apci.HEADER_SIZE and len(frame) == 2 + frame[1]
            if not whole and not apci.begins_wrongly(frame):
                self._piece = frame
            elif not whole or not self._swallows(frame):
                seen.append(frame)
        return b"".join(seen)

    def _swallows(self, frame: bytes) -> bool:
        faults = self._station.faults
        if frame[2] in _DROPPED and len(frame) == apci.HEADER_SIZE:
            return faults.match(frozenset({_DROPPED[frame[2]]})) is not None
        if not frame[2] & 1 and self._frozen is None:
            octets = frame[apci.HEADER_SIZE :]
            if len(octets) >= apci.HEADER_SIZE and faults.match(CONNECTION & {"no_acknowledgement"}, octets):
                status = self.link.status(time.monotonic())
                self._frozen = (status.next_received - status.unconfirmed) % apci.MODULUS
        return False

    def _send(self, octets: bytes, now: float) -> None:
        faults = self._station.faults
        fault = faults.match(FRAME, octets) if faults.rules else None
        if fault is None:
            self.link.send(octets, now)
            return
        self._write(self.link.data_to_send())
        self.link.send(octets, now)
        self._mangle(fault, self.link.data_to_send())

    def _mangle(self, fault: Iec104Fault, frame: bytes) -> None:
        transport = self._transport
        if transport is None:
            return
        start, length, sent, received = apci.HEADER.unpack_from(frame)
        octets = frame[apci.HEADER_SIZE :]
        match fault.kind:
            case "sequence_gap":
                self._write(apci.HEADER.pack(start, length, (sent + 2) & 0xFFFF, received) + octets)
            case "bad_nr":
                self._write(apci.HEADER.pack(start, length, sent, (received + 2 * 100) & 0xFFFF) + octets)
            case "bad_length":
                self._write(apci.HEADER.pack(start, length - 1, sent, received) + octets[:-1])
            case "garbage":
                self._write(bytes(self._station.faults.rng.randrange(128, 256) for _ in range(_GARBAGE)))
            case "trickle" if self._held is None:
                self._trickle(frame, fault.seconds)
            case "half":
                self._write(frame[: len(frame) // 2])
                self.mute()
            case "cut":
                self._write(frame[: len(frame) // 2])
                transport.close()
            case "silence":
                self.mute()
            case "close":
                transport.close()
            case "reset":
                self.reset()
            case _:
                self._write(frame)

    def _trickle(self, frame: bytes, pause: float) -> None:
        held, self._held = self._held, None
        self._write(frame[:1])
        self._held = held or []
        if len(frame) > 1:
            loop = asyncio.get_running_loop()
            self._trickling = loop.call_later(pause, self._trickle, frame[1:], pause)
            return
        self._held = self._trickling = None
        for data in held or ():
            self._write(data)

    def _write(self, data: bytes) -> None:
        if self._held is not None:
            self._held.append(data)
        elif data and self._transport is not None and not self._transport.is_closing() and not self._muted:
            self._transport.write(data if self._frozen is None else self._unacknowledging(data, self._frozen))

    @staticmethod
    def _unacknowledging(data: bytes, number: int) -> bytes:
        """The same frames without a newer N(R)."""
        frames: list[bytes] = []
        for frame in apci.split(data):
            if len(frame) > apci.HEADER_SIZE:
                frames.append(frame[:4] + (number << 1).to_bytes(2, "little") + frame[apci.HEADER_SIZE :])
            elif frame[2] & 3 != 1:
                frames.append(frame)
        return b"".join(frames)
