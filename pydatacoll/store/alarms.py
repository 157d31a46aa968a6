"""Alarms as they live in the store: those that are not normal, what persons do with them, what happened to them.

``alarms.lua`` alone decides what becomes of an alarm; the checker's findings go there with its acknowledgements.
"""

from __future__ import annotations

import logging
import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from heapq import merge
from typing import Any, Final, NamedTuple

import msgspec

from pydatacoll.model import PointId, time_to_wire
from pydatacoll.model.alarm import Alarm, AlarmId, Condition, State, Transition
from pydatacoll.store import keys
from pydatacoll.store.client import Arg, Store, store_errors

log = logging.getLogger(__name__)

CHUNK: Final = 500
"""Points, or transitions, in one call."""

FIRST: Final = 100
"""Transitions of a partition that are looked at, at least, for those that are wanted."""

_decode_alarm = msgspec.msgpack.Decoder(Alarm).decode
_decode_transition = msgspec.msgpack.Decoder(Transition).decode


class Outcome(NamedTuple):
    """What a person's action led to: whether it was possible, and the state after it."""

    done: bool
    state: State


class TransitionId(NamedTuple):
    """Place of a transition among those of all partitions, as text ``milliseconds-number-partition``."""

    milliseconds: int
    number: int
    partition: int

    def __str__(self) -> str:
        return f"{self.milliseconds}-{self.number}-{self.partition}"

    @classmethod
    def parse(cls, text: str) -> TransitionId:
        """
        :raises ValueError: when it is none.
        """
        milliseconds, number, partition = text.split("-")
        return cls(int(milliseconds), int(number), int(partition))


class Wanted(msgspec.Struct, frozen=True, kw_only=True):
    """Which transitions are wanted. ``since`` and ``until``: epoch seconds by the store's clock."""

    since: float | None = None
    until: float | None = None
    matches: Callable[[Transition], bool] = lambda _: True


class Alarms:
    """All methods raise :class:`~pydatacoll.errors.StoreError` when the store is away."""

    def __init__(self, store: Store, wall: Callable[[], float] = time.time) -> None:
        self._store = store
        self._wall = wall

    async def live(self) -> dict[AlarmId, Alarm]:
        """All alarms that are not normal."""
        found: dict[AlarmId, Alarm] = {}
        for partition in range(self._store.partitions):
            with store_errors():
                rows: Any = await self._store.binary.hgetall(keys.alarms(partition))
            for name, stored in rows.items():
                try:
                    found[AlarmId.parse(name.decode())] = _decode_alarm(stored)
                except (ValueError, msgspec.DecodeError):
                    log.warning("the alarm %.200r is not readable", name)
        return found

    async def one(self, alarm: AlarmId) -> Alarm | None:
        """An alarm; ``None`` when it is normal."""
        with store_errors():
            stored: Any = await self._store.binary.hget(keys.alarms(self._partition(alarm)), str(alarm))
        return None if stored is None else _decode_alarm(stored)

    async def some(self, alarms: Sequence[AlarmId]) -> list[Alarm | None]:
        """Several alarms; ``None`` for each that is normal."""
        with store_errors():
            pipeline = self._store.binary.pipeline(transaction=False)
            for alarm in alarms:
                pipeline.hget(keys.alarms(self._partition(alarm)), str(alarm))
            stored: Any = await pipeline.execute()
        return [None if one is None else _decode_alarm(one) for one in stored]

    async def apply(self, conditions: Sequence[Condition]) -> None:
        """Take changes of conditions that belong to no batch."""
        by_partition: dict[int, list[Condition]] = {}
        for condition in conditions:
            by_partition.setdefault(self._partition(AlarmId.parse(condition.alarm)), []).append(condition)
        for partition, some in by_partition.items():
            await self._call("alarm_apply", partition, msgspec.msgpack.encode(some))

    async def ack(self, alarm: AlarmId, user: str, note: str) -> Outcome:
        """Acknowledge it; possible when it is active or returned, and not acknowledged."""
        return _outcome(await self._do("alarm_ack", alarm, user, note))

    async def shelve(
        self, alarm: AlarmId, user: str, note: str, *, seconds: float, limit: str, priority: str, message: str
    ) -> Outcome:
        """Shelve it for so long, also when it is normal; shelve it anew when it is shelved.

        ``limit`` (JSON text), ``priority`` and ``message`` are of an alarm that is normal.
        """
        until = time_to_wire(self._wall() + seconds)
        more = (until, int(seconds * 1000), limit, priority, message)
        return _outcome(await self._do("alarm_shelve", alarm, user, note, *more))

    async def unshelve(self, alarm: AlarmId, user: str, note: str) -> Outcome:
        """End shelving; possible when it is shelved."""
        return _outcome(await self._do("alarm_unshelve", alarm, user, note))

    async def bring_back(self) -> int:
        """Bring back alarms whose shelving has come to its end; returns how many there were."""
        with store_errors():
            pipeline = self._store.redis.pipeline(transaction=False)
            for partition in range(self._store.partitions):
                pipeline.exists(keys.shelved(partition))
            there = await pipeline.execute()
        count = 0
        for partition in (partition for partition, found in enumerate(there) if found):
            count += await self._store.fcall("alarm_due", [keys.shelved(partition)], [keys.tag(partition)])
        return count

    async def drop(self, points: Iterable[PointId]) -> None:
        """End the alarms of points that are gone."""
        by_partition: dict[int, list[str]] = {}
        for point in points:
            partition = keys.partition_of(point.device_id, self._store.partitions)
            by_partition.setdefault(partition, []).append(str(point))
        now = time_to_wire(self._wall())
        for partition, names in by_partition.items():
            for start in range(0, len(names), CHUNK):
                some = msgspec.msgpack.encode(names[start : start + CHUNK])
                await self._call("alarm_drop", partition, now, some)

    async def history(
        self, wanted: Wanted, limit: int, before: TransitionId | None = None
    ) -> list[tuple[TransitionId, Transition]]:
        """The newest transitions that match, newest first, at most ``limit``, all before the one given.

        Of all partitions the newest are read at one moment: what is noted meanwhile is in no partition, so that
        who goes on with the last of them misses nothing.
        """
        if before is not None and before[:2] == (0, 0):
            return []  # the store refuses to look before its very first id
        count = min(max(limit, FIRST), CHUNK)
        oldest = "-" if wanted.since is None else str(max(0, int(wanted.since * 1000)))
        with store_errors():
            pipeline = self._store.binary.pipeline(transaction=True)
            for partition in range(self._store.partitions):
                start = _start(wanted, before, partition)
                pipeline.xrevrange(keys.alarm_stream(partition), start, oldest, count=count)
            newest: Any = await pipeline.execute()
        found: list[list[tuple[TransitionId, Transition]]] = []
        for partition, first in enumerate(newest):
            rows: Any = first
            some = _matching(rows, wanted, partition)
            more = len(rows) == count
            while more and len(some) < limit:
                with store_errors():
                    rows = await self._store.binary.xrevrange(
                        keys.alarm_stream(partition), f"({rows[-1][0].decode()}", oldest, count=CHUNK
                    )
                some += _matching(rows, wanted, partition)
                more = len(rows) == CHUNK
            found.append(some)
        return list(merge(*found, reverse=True))[:limit]

    def place(self, milliseconds: int, number: int, device_id: str) -> TransitionId:
        """The id of a transition, by the id of its entry in the stream of its device's partition."""
        return TransitionId(milliseconds, number, keys.partition_of(device_id, self._store.partitions))

    async def after(self, partition: int, entry_id: str, count: int = CHUNK) -> list[tuple[str, Transition]]:
        """Transitions of a partition, oldest first, that came after the one with this id (``0-0``: all)."""
        with store_errors():
            rows: Any = await self._store.binary.xrange(
                keys.alarm_stream(partition), f"({entry_id}", "+", count=count
            )
        return list(_transitions(rows))

    def _partition(self, alarm: AlarmId) -> int:
        return keys.partition_of(alarm.device_id, self._store.partitions)

    async def _do(self, function: str, alarm: AlarmId, *arguments: Arg) -> Any:
        now = time_to_wire(self._wall())
        return await self._call(function, self._partition(alarm), str(alarm), now, *arguments)

    async def _call(self, function: str, partition: int, *arguments: Arg) -> Any:
        return await self._store.fcall(function, [keys.alarms(partition)], [keys.tag(partition), *arguments])


def _start(wanted: Wanted, before: TransitionId | None, partition: int) -> str:
    """Where reading of a partition begins, backwards."""
    start = "+" if wanted.until is None else str(max(0, int(wanted.until * 1000)))
    if before is not None and (start == "+" or before.milliseconds <= int(start)):
        start = f"{'' if partition < before.partition else '('}{before.milliseconds}-{before.number}"
    return start


def _matching(
    rows: Sequence[tuple[bytes, dict[bytes, bytes]]], wanted: Wanted, partition: int
) -> list[tuple[TransitionId, Transition]]:
    found = []
    for entry_id, transition in _transitions(rows):
        if wanted.matches(transition):
            milliseconds, _, number = entry_id.partition("-")
            found.append((TransitionId(int(milliseconds), int(number), partition), transition))
    return found


def _outcome(reply: Any) -> Outcome:
    return Outcome(bool(reply[0]), reply[1].decode())


def decode_transition(entry_id: str, fields: Mapping[bytes, bytes]) -> Transition | None:
    """An entry of the alarm stream; ``None`` when it is not readable."""
    try:
        transition = _decode_transition(fields.get(b"t", b""))
        AlarmId.parse(transition.alarm)
    except (ValueError, msgspec.DecodeError):
        log.warning("the transition %s of an alarm is not readable", entry_id)
        return None
    return transition


def _transitions(rows: Iterable[tuple[bytes, dict[bytes, bytes]]]) -> Iterable[tuple[str, Transition]]:
    for entry_id, fields in rows:
        transition = decode_transition(entry_id.decode(), fields)
        if transition is not None:
            yield entry_id.decode(), transition
