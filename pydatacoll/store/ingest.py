"""The write path: samples of all devices of a manager, in few big function calls, none lost unseen.

Samples wait in a bounded queue per partition. A sender takes from one partition after the other and makes one
call of ``ingest.lua`` each time. Several small calls or two full ones are under way at once, and the next one is
made ready meanwhile: so the store is hardly ever idle, and nobody else waits long for it. Samples gather in the
meantime: the batch size follows the load, and an idle system has no delay. A call carries a growing sequence
number: after a broken connection the calls without an answer are sent again, and what the store already has is
ignored there.

For every device ``read = stored + unchanged + rejected + dropped + pending`` holds at any moment.
"""

from __future__ import annotations

import asyncio
import logging
from collections import deque
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from math import inf

from redis.asyncio import Connection
from redis.exceptions import RedisError, ResponseError

from pydatacoll.errors import StoreRefused, StoreUnavailable
from pydatacoll.store.client import TIMEOUT, Store, store_errors
from pydatacoll.store.ingest_call import Call, command, encode
from pydatacoll.store.packets import MAX_CALL, Account, Packet, cost_of
from pydatacoll.store.publish import publish
from pydatacoll.supervise import Tasks

log = logging.getLogger(__name__)

HOLD = 0.02
"""Seconds for which a command may hold up writing."""
POLITE = 5.0
"""Seconds after a command in which writing leaves room for the next one."""
POLITE_BATCH = 250
"""Samples under way meanwhile."""
GAP = 0.001
ENOUGH = 50
"""Small calls, with fewer than so many samples for each partition that has any, begin at least so many seconds
apart: a call costs as much as ten samples, and events of many devices make ever so many small ones."""
READ_AHEAD = 150
"""Samples of one device that may be on their way when more are read without pause."""
LISTEN_AHEAD = 2000
"""Samples of one device that may be on their way when it speaks by itself."""


@dataclass(slots=True)
class IngestStats:
    """Of one writer. Sizes in bytes, counts in samples."""

    calls: int = 0
    samples: int = 0
    bytes: int = 0
    repeated: int = 0
    reconnects: int = 0
    published: int = 0
    entry_bytes: dict[int, float] = field(default_factory=dict)


class Writer:
    """Puts samples into the store. ``put`` never blocks; :meth:`run` does the work until cancelled."""

    def __init__(
        self,
        store: Store,
        writer_id: str,
        *,
        owner: str = "",
        lease: float = 6.0,
        buffer: int = 200_000,
        batch: int = MAX_CALL,
        stream_bytes: int = 33_554_432,
        on_lost: Callable[[int], None] | None = None,
    ) -> None:
        self._store = store
        self._id = writer_id
        self._owner = owner
        self._lease = int(lease * 1000)
        self._buffer = buffer
        self._batch = min(batch, MAX_CALL)
        self._stream_bytes = stream_bytes
        self._on_lost = on_lost or (lambda partition: None)
        self._queues: dict[int, deque[Packet]] = {}
        self._turns: deque[int] = deque()
        self._queued = 0
        self._number = 0
        self._sequence = 0
        self._flight: deque[Call] = deque()
        self._wake = asyncio.Event()
        self._holders = 0
        self._polite_until = 0.0
        self._free = asyncio.Event()
        self._idle = asyncio.Event()
        self._idle.set()
        self._settled_once = asyncio.Event()
        self._flying = 0
        self._landed = asyncio.Event()
        self._sent: asyncio.Queue[Call] = asyncio.Queue()
        self.stats = IngestStats()
        self.error: str | None = None
        self.eager = 0
        """Lanes that are polled without pause."""

    # The hot side: called by sinks.

    def put(self, packet: Packet) -> None:
        """Queue a packet whose samples are already counted as read."""
        count = len(packet.fields)
        if count > MAX_CALL:
            for part in packet.split():
                self.put(part)
            return
        packet.account.pending += count
        self._number += 1
        packet.number = self._number
        queue = self._queues.get(packet.partition)
        if queue is None:
            queue = self._queues[packet.partition] = deque()
        if not queue:
            self._turns.append(packet.partition)
        queue.append(packet)
        self._queued += count
        if self._queued > self._buffer:
            self._drop_oldest()
        self._idle.clear()
        self._wake.set()

    def _drop_oldest(self) -> None:
        while self._queued > self._buffer:
            partition = min(self._turns, key=lambda turn: self._queues[turn][0].number)
            self._drop(self._queues[partition].popleft())
            if not self._queues[partition]:
                self._turns.remove(partition)

    def _drop(self, packet: Packet) -> None:
        count = len(packet.fields)
        self._queued -= count
        packet.account.pending -= count
        packet.account.dropped += count
        self._settled_once.set()

    async def room(self, account: Account) -> None:
        """Wait until nearly all samples of a device are stored: back-pressure for polling without pause.

        What waits in a queue grows old there; so no more is read than the store takes. Many devices may read
        further ahead than one: then a call takes several readings of a point at once, for little more than one.
        """
        ahead = READ_AHEAD if self.eager <= 1 else min(2 * MAX_CALL, 200 * self.eager)
        while account.pending - account.held > ahead:
            self._settled_once.clear()
            await self._settled_once.wait()

    def behind(self, account: Account) -> bool:
        """Whether a device that speaks by itself should wait: so many of its samples are not stored yet, or those
        of all devices fill half the buffer, from which the oldest are dropped in the end."""
        waiting = account.pending - account.held
        return waiting > LISTEN_AHEAD or (waiting > 0 and self._queued > self._buffer // 2)

    @contextmanager
    def hold(self) -> Iterator[None]:
        """Let a command have the store to itself: no call begins meanwhile, for :data:`HOLD` seconds at most.

        A call may take the store 3 ms, and a command asks it several times.
        """
        self._holders += 1
        self._free.clear()
        self._polite_until = asyncio.get_running_loop().time() + POLITE
        held = True

        def release() -> None:
            nonlocal held
            if held:
                held = False
                self._holders -= 1
                if not self._holders:
                    self._free.set()

        limit = asyncio.get_running_loop().call_later(HOLD, release)  # a slow device must not slow the others
        try:
            yield
        finally:
            limit.cancel()
            release()

    async def flush(self) -> None:
        """Wait until everything put so far is stored, or has been dropped."""
        await self._idle.wait()

    async def barrier(self) -> None:
        """Wait until everything put before now is stored or dropped; later samples are not waited for."""
        last = self._number
        self._free.set()
        while self._oldest() <= last:
            self._settled_once.clear()
            await self._settled_once.wait()

    def _oldest(self) -> int:
        """Number of the oldest packet that is not settled."""
        numbers = [queue[0].number for queue in self._queues.values() if queue]
        numbers += [call.packets[0].number for call in self._flight]
        return min(numbers, default=self._number + 1)

    @property
    def pending(self) -> int:
        """Samples queued or under way."""
        return self._queued + sum(call.samples for call in self._flight)

    def discard(self, device_id: str) -> None:
        """Forget queued samples of a device that is no longer configured."""
        for partition, queue in self._queues.items():
            kept: deque[Packet] = deque()
            for packet in queue:
                if packet.device_id == device_id:
                    self._drop(packet)
                else:
                    kept.append(packet)
            if queue and not kept:
                self._turns.remove(partition)
            self._queues[partition] = kept
        self._settle()

    def _settle(self) -> None:
        if not self._queued and not self._flight:
            self._idle.set()

    # The store side.

    async def run(self) -> None:
        """Send until cancelled. While the store is away samples gather, the oldest are dropped and counted."""
        pause = 0.05
        while True:
            connection = self._store.connection()
            try:
                with store_errors():
                    await connection.connect()  # type: ignore[no-untyped-call]
                    await self._session(connection)
            except (StoreUnavailable, StoreRefused) as error:
                if self.error is None:
                    log.warning("writing is interrupted: %s", error)
                self.error = str(error)
                self.stats.reconnects += 1
            finally:
                with suppress(RedisError, OSError):
                    await connection.disconnect()
            await asyncio.sleep(pause)
            pause = 0.05 if self.error is None else min(pause * 2, 1.0)

    async def _session(self, connection: Connection) -> None:
        self._flying = 0
        self._sent = asyncio.Queue()
        if self._flight:
            # a refused call has got a new number: in the order of numbers nothing is taken for a repetition
            self._flight = deque(sorted(self._flight, key=lambda call: call.sequence))
            await self._send_again(connection, list(self._flight))
        async with Tasks() as tasks:
            tasks.start(self._sender(connection))
            tasks.start(self._receiver(connection))
            await tasks.failure()

    async def _sender(self, connection: Connection) -> None:
        loop = asyncio.get_running_loop()
        begun = -inf
        while True:
            while not self._turns:
                self._wake.clear()
                await self._wake.wait()
            if self._queued < ENOUGH * len(self._turns) and (early := begun + GAP - loop.time()) > 0:
                await asyncio.sleep(early)
                if not self._turns:
                    continue
            begun = loop.time()
            call = self._take()
            self._flight.append(call)
            while self._flying:
                window = POLITE_BATCH if self._polite() else 2 * self._batch
                if self._flying + call.cost <= window:
                    break
                self._landed.clear()
                await self._landed.wait()
            if self._holders:
                await self._free.wait()
            await connection.send_packed_command(self._command(call), check_health=False)
            self._flying += call.cost
            self._sent.put_nowait(call)

    def _polite(self) -> bool:
        """Whether commands come that would have to wait: calls are smaller then, and go one by one."""
        return asyncio.get_running_loop().time() < self._polite_until

    async def _receiver(self, connection: Connection) -> None:
        while True:
            call = await self._sent.get()
            async with asyncio.timeout(2 * TIMEOUT):
                await self._receive(connection, [call])
            self._flying -= call.cost
            self._landed.set()

    async def _send_again(self, connection: Connection, calls: list[Call]) -> None:
        """Repeat calls whose answer was lost, and take their answers, before anything new."""
        async with asyncio.timeout(2 * TIMEOUT):
            for call in calls:
                await connection.send_packed_command(self._command(call), check_health=False)
            await self._receive(connection, calls)

    def _command(self, call: Call) -> list[bytes]:
        size = self.stats.entry_bytes.get(call.partition, 0.0)
        size += (len(call.payload) + 64 - size) / 16 if size else len(call.payload) + 64
        self.stats.entry_bytes[call.partition] = size
        most = max(64, int(self._stream_bytes / size))
        return [command(call, self._id, self._owner, self._lease, most)]

    def _take(self) -> Call:
        """The next call: of the partition whose turn it is, in order, as much as fits."""
        partition = self._turns.popleft()
        queue = self._queues[partition]
        packets: list[Packet] = []
        samples = cost = 0
        seen: set[int] = set()
        most = min(self._batch, POLITE_BATCH) if self._polite() else self._batch
        while queue:
            packet = queue[0]
            more = cost_of(packet, seen)
            repeated = more < len(packet.fields)
            if packets and (samples + len(packet.fields) > 2 * most if repeated else cost + more > most):
                break
            queue.popleft()
            packets.append(packet)
            samples += len(packet.fields)
            cost += more
        self._queued -= samples
        if queue:
            self._turns.append(partition)
        self._sequence += 1
        payload, control = encode(packets)
        return Call(partition, self._sequence, packets, samples, cost, payload, control)

    async def _receive(self, connection: Connection, calls: list[Call]) -> None:
        refused: list[Call] = []
        error: Exception | None = None
        for call in calls:
            try:
                status, listeners = await connection.read_response()
            except ResponseError as failure:
                try:
                    with store_errors():
                        raise
                except (StoreRefused, StoreUnavailable) as known:
                    # checked before the function runs, so nothing of this call was stored
                    error = known
                    refused.append(call)
                    continue
                except ResponseError:
                    if "unction not found" in str(failure):
                        error = failure
                        refused.append(call)
                        continue
                    log.exception("the store rejects a batch of %d samples", call.samples)
                    self._settled(call, "rejected")
                    continue
            if status < 0:
                self._settled(call, "rejected")
                self._on_lost(call.partition)
                continue
            self.stats.repeated += status == 0
            self._settled(call, "stored")
            if listeners:
                self.stats.published += await publish(self._store, call.packets)
        if not refused:
            if self.error is not None:
                log.info("writing goes on")
                self.error = None
            return
        for call in refused:  # never ran: a new number keeps the order of numbers growing
            self._sequence += 1
            call.sequence = self._sequence
        if error is not None and isinstance(error, ResponseError):
            await self._store.load_functions()
            raise StoreUnavailable("the function library was missing and has been loaded")
        raise error if error is not None else StoreUnavailable("refused")

    def _settled(self, call: Call, outcome: str) -> None:
        self._flight.remove(call)
        for packet in call.packets:
            count = len(packet.fields)
            account = packet.account
            account.pending -= count
            if outcome == "stored":
                account.stored += count
            else:
                account.rejected += count
        self.stats.calls += 1
        self.stats.samples += call.samples
        self.stats.bytes += len(call.payload) + len(call.control)
        self._settled_once.set()
        self._settle()
