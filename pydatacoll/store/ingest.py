"""The write path: samples of all devices of a manager, in few big function calls, none lost unseen.

Samples wait in one bounded queue. A sender takes what is there, groups it by partition and sends one call of
``ingest.lua`` per partition; while calls are under way more samples gather, so the batch size follows the load
and an idle system has no delay. A call carries a growing sequence number: after a broken connection the calls
without an answer are sent again, and what the store already has is ignored there.

For every device ``read = stored + unchanged + rejected + dropped + pending`` holds at any moment.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

import msgspec
from redis.asyncio import Connection
from redis.exceptions import RedisError, ResponseError

from pydatacoll.codec.entry import encode_column
from pydatacoll.errors import StoreRefused, StoreUnavailable
from pydatacoll.model import DeviceBatch, PointId, Sample, Value, sample_to_wire
from pydatacoll.store import keys
from pydatacoll.store.client import TIMEOUT, Store, store_errors
from pydatacoll.supervise import Tasks

log = logging.getLogger(__name__)

_pack = msgspec.msgpack.encode
MAX_CALL = 1000
"""Samples in one call: about 3 ms of the server's time."""
WINDOW = 2
"""Rounds of calls under way at once, so that the store need not wait for us."""


@dataclass(slots=True)
class Account:
    """What became of the samples of one device."""

    read: int = 0
    stored: int = 0
    unchanged: int = 0
    rejected: int = 0
    dropped: int = 0
    pending: int = 0

    def balanced(self) -> bool:
        return self.read == self.stored + self.unchanged + self.rejected + self.dropped + self.pending


class Packet:
    """Samples of one device on their way; at most :data:`MAX_CALL`."""

    __slots__ = ("account", "device_id", "fields", "lengths", "partition", "qualities", "times", "values")

    def __init__(  # noqa: PLR0917 - made millions of times; positional is faster
        self,
        partition: int,
        device_id: str,
        account: Account,
        fields: list[str],
        values: list[Value],
        times: float | list[float],
        qualities: int | list[int],
        lengths: int | list[int],
    ) -> None:
        self.partition = partition
        self.device_id = device_id
        self.account = account
        self.fields = fields
        self.values = values
        self.times = times
        self.qualities = qualities
        self.lengths = lengths

    def split(self) -> list[Packet]:
        """Parts of at most :data:`MAX_CALL` samples."""

        def part(column: Any, start: int) -> Any:
            return column[start : start + MAX_CALL] if isinstance(column, list) else column

        return [
            Packet(
                self.partition,
                self.device_id,
                self.account,
                *(
                    part(column, start)
                    for column in (self.fields, self.values, self.times, self.qualities, self.lengths)
                ),
            )
            for start in range(0, len(self.fields), MAX_CALL)
        ]


@dataclass(slots=True)
class _Call:
    partition: int
    sequence: int
    packets: list[Packet]
    samples: int
    payload: bytes
    control: bytes


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
        buffer: int = 200_000,
        batch: int = MAX_CALL,
        stream_bytes: int = 33_554_432,
        on_lost: Callable[[int], None] | None = None,
    ) -> None:
        self._store = store
        self._id = writer_id
        self._owner = owner
        self._buffer = buffer
        self._batch = min(batch, MAX_CALL)
        self._stream_bytes = stream_bytes
        self._on_lost = on_lost or (lambda partition: None)
        self._queue: deque[Packet] = deque()
        self._queued = 0
        self._sequence = 0
        self._flight: deque[_Call] = deque()
        self._wake = asyncio.Event()
        self._room = asyncio.Event()
        self._room.set()
        self._idle = asyncio.Event()
        self._idle.set()
        self._settled_once = asyncio.Event()
        self._slots = asyncio.Semaphore(WINDOW)
        self._rounds: asyncio.Queue[list[_Call]] = asyncio.Queue()
        self.high_water = 8 * self._batch
        self.stats = IngestStats()
        self.error: str | None = None

    # The hot side: called by sinks.

    def put(self, packet: Packet) -> None:
        """Queue a packet whose samples are already counted as read."""
        count = len(packet.fields)
        if count > MAX_CALL:
            for part in packet.split():
                self.put(part)
            return
        packet.account.pending += count
        self._queue.append(packet)
        self._queued += count
        if self._queued > self._buffer:
            self._drop_oldest()
        if self._queued > self.high_water:
            self._room.clear()
        self._idle.clear()
        self._wake.set()

    def _drop_oldest(self) -> None:
        while self._queued > self._buffer:
            packet = self._queue.popleft()
            count = len(packet.fields)
            self._queued -= count
            packet.account.pending -= count
            packet.account.dropped += count

    async def room(self) -> None:
        """Wait until the queue is short: back-pressure for what can wait, such as polling without pause."""
        await self._room.wait()

    async def flush(self) -> None:
        """Wait until everything put so far is stored, or has been dropped."""
        await self._idle.wait()

    async def barrier(self) -> None:
        """Wait until the calls that are under way now have an answer."""
        last = self._sequence
        while self._flight and min(call.sequence for call in self._flight) <= last:
            self._settled_once.clear()
            await self._settled_once.wait()

    @property
    def pending(self) -> int:
        """Samples queued or under way."""
        return self._queued + sum(call.samples for call in self._flight)

    def discard(self, device_id: str, fields: set[str] | None = None) -> None:
        """Forget queued samples of a device (or only of some of its points) that is no longer configured."""
        kept: deque[Packet] = deque()
        for packet in self._queue:
            if packet.device_id != device_id or (fields is not None and fields.isdisjoint(packet.fields)):
                kept.append(packet)
                continue
            count = len(packet.fields)
            self._queued -= count
            packet.account.pending -= count
            packet.account.dropped += count
        self._queue = kept
        self._settle()

    def _settle(self) -> None:
        if self._queued <= self.high_water:
            self._room.set()
        if not self._queue and not self._flight:
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
                with contextlib.suppress(RedisError, OSError):
                    await connection.disconnect()
            await asyncio.sleep(pause)
            pause = 0.05 if self.error is None else min(pause * 2, 1.0)

    async def _session(self, connection: Connection) -> None:
        self._slots = asyncio.Semaphore(WINDOW)
        self._rounds = asyncio.Queue()
        if self._flight:
            # a refused call has got a new number: in the order of numbers nothing is taken for a repetition
            self._flight = deque(sorted(self._flight, key=lambda call: call.sequence))
            await self._send(connection, list(self._flight))
        async with Tasks() as tasks:
            tasks.start(self._sender(connection))
            tasks.start(self._receiver(connection))
            await tasks.failure()

    async def _sender(self, connection: Connection) -> None:
        while True:
            await self._slots.acquire()
            while not self._queue:
                self._wake.clear()
                await self._wake.wait()
            calls = self._take()
            self._flight.extend(calls)
            await self._write(connection, calls)
            self._rounds.put_nowait(calls)

    async def _send(self, connection: Connection, calls: list[_Call]) -> None:
        """Repeat calls whose answer was lost, and take their answers, before anything new."""
        async with asyncio.timeout(2 * TIMEOUT):
            await self._write(connection, calls)
            await self._receive(connection, calls)

    async def _receiver(self, connection: Connection) -> None:
        while True:
            calls = await self._rounds.get()
            async with asyncio.timeout(2 * TIMEOUT):
                await self._receive(connection, calls)
            self._slots.release()

    async def _write(self, connection: Connection, calls: list[_Call]) -> None:
        commands = b"".join(part for call in calls for part in self._command(connection, call))
        await connection.send_packed_command(commands, check_health=False)

    def _command(self, connection: Connection, call: _Call) -> list[bytes]:
        size = self.stats.entry_bytes.get(call.partition, 0.0)
        size += (len(call.payload) + 64 - size) / 16 if size else len(call.payload) + 64
        self.stats.entry_bytes[call.partition] = size
        packed: list[bytes] = connection.pack_command(
            "FCALL",
            "ingest",
            1,
            keys.stream(call.partition),
            keys.tag(call.partition),
            self._id,
            call.sequence,
            self._owner,
            max(64, int(self._stream_bytes / size)),
            call.samples,
            call.payload,
            call.control,
        )
        return packed

    def _take(self) -> list[_Call]:
        """Group what is queued by partition; order within a partition is kept."""
        taken: dict[int, list[Packet]] = {}
        sizes: dict[int, int] = {}
        budget = 4 * self._batch
        while self._queue and budget > 0:
            packet = self._queue[0]
            count = len(packet.fields)
            size = sizes.get(packet.partition, 0)
            if size and size + count > self._batch:
                break
            self._queue.popleft()
            self._queued -= count
            budget -= count
            sizes[packet.partition] = size + count
            taken.setdefault(packet.partition, []).append(packet)
        if self._queued <= self.high_water:
            self._room.set()
        return [self._encode(partition, packets, sizes[partition]) for partition, packets in taken.items()]

    def _encode(self, partition: int, packets: list[Packet], samples: int) -> _Call:
        payload = []
        control = []
        for packet in packets:
            flat: list[str] = [""] * (2 * len(packet.fields))
            flat[::2] = packet.fields
            flat[1::2] = encode_column(packet.values, packet.times, packet.qualities)
            control.append((packet.device_id, flat, packet.lengths))
            payload.append((packet.device_id, packet.fields, packet.times, packet.values, packet.qualities))
        self._sequence += 1
        return _Call(partition, self._sequence, packets, samples, _pack(payload), _pack(control))

    async def _receive(self, connection: Connection, calls: list[_Call]) -> None:
        refused: list[_Call] = []
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
                await self._publish(call)
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

    def _settled(self, call: _Call, outcome: str) -> None:
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

    async def _publish(self, call: _Call) -> None:
        """Tell outside listeners. Lost when the connection breaks, as pub/sub is."""
        pipeline = self._store.redis.pipeline(transaction=False)
        for packet in call.packets:
            batch = DeviceBatch(packet.device_id, packet.fields, packet.times, packet.values, packet.qualities)
            for point, sample in batch.samples():
                pipeline.publish(keys.data_channel(str(point)), wire_json(point, sample))
        try:
            with store_errors():
                await pipeline.execute()
        except (StoreUnavailable, StoreRefused) as error:
            log.debug("not published: %s", error)
            return
        self.stats.published += call.samples


def wire_json(point: PointId, sample: Sample) -> bytes:
    """The JSON of a sample as channels carry it."""
    return msgspec.json.encode(sample_to_wire(point, sample))
