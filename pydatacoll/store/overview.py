"""The state of the whole system as the store shows it, for ``/metrics``, ``/readyz`` and the diagnosis."""

from __future__ import annotations

import logging
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import msgspec
from redis.exceptions import ResponseError

from pydatacoll.errors import StoreRefused
from pydatacoll.store import keys
from pydatacoll.store.client import Store, store_errors

log = logging.getLogger(__name__)

FORGET = 86_400.0
"""Seconds after which the last report of a manager that was killed is removed."""


class ManagerReport(msgspec.Struct, frozen=True, kw_only=True):
    """What a device manager says about itself every few seconds.

    :ivar reported: epoch seconds by the clock of its host.
    :ivar devices: how many it runs.
    :ivar pending: samples on their way to the store.
    :ivar error: why it cannot write now.
    :ivar writer: counters of its write path since it was started.
    """

    reported: float
    host: str
    pid: int
    devices: int
    pending: int
    error: str | None = None
    writer: dict[str, float] = {}


@dataclass(frozen=True, slots=True)
class GroupState:
    """How far a plugin is, over all partitions.

    :ivar lag: entries to be handled; ``samples`` in them, as far as is known.
    :ivar pending: entries that readers of another kind, which acknowledge one by one, have not acknowledged.
    :ivar oldest: when the oldest of all these was stored, epoch seconds by the store's clock.
    :ivar dropped: samples trimmed before they were handled, since ever.
    :ivar handled: samples handled, since ever, as ``dead_lettered`` and ``retries`` (batches).
    """

    lag: int = 0
    pending: int = 0
    dropped: int = 0
    samples: int = 0
    oldest: float | None = None
    handled: int = 0
    dead_lettered: int = 0
    retries: int = 0

    def behind(self, now: float) -> float:
        """Seconds that the oldest sample to be handled has waited.

        :param now: epoch seconds by the store's clock.
        """
        return 0.0 if self.oldest is None else max(0.0, now - self.oldest)


@dataclass(frozen=True, slots=True)
class Overview:
    """What one look found.

    :ivar time: of the store's clock, epoch seconds.
    :ivar info: the server's ``INFO``.
    :ivar layout: version of the layout of our keys.
    :ivar owners: partition -> manager, ``None`` where nobody runs the devices.
    :ivar managers: those that are alive.
    :ivar audit: entries of the audit trail.
    :ivar alarms: state and priority -> alarms that are not normal.
    :ivar alarms_lost: plugin -> transitions of alarms that were forgotten before it had read them, since ever.
    """

    time: float
    info: Mapping[str, Any]
    keys: int
    layout: str | None
    owners: list[str | None]
    streams: list[int]
    groups: dict[str, GroupState] = field(default_factory=dict)
    managers: dict[str, ManagerReport] = field(default_factory=dict)
    audit: int = 0
    alarms: Counter[tuple[str, str]] = field(default_factory=Counter)
    alarms_lost: Counter[str] = field(default_factory=Counter)

    @property
    def unowned(self) -> int:
        """Partitions that no manager owns."""
        return sum(owner is None for owner in self.owners)


async def look(store: Store) -> Overview:
    """Everything with one round trip.

    :raises StoreError: when the store is away.
    """
    try:
        return await _look(store)
    except ResponseError as error:
        if "unction not found" not in str(error):
            raise
    with store_errors():
        await store.load_functions()  # a new server
    return await _look(store)


async def _look(store: Store) -> Overview:
    partitions = range(store.partitions)
    with store_errors():
        pipeline = store.redis.pipeline(transaction=False)
        pipeline.time()
        pipeline.info()
        pipeline.dbsize()
        pipeline.get(keys.LAYOUT)
        pipeline.zrange(keys.MANAGERS, 0, -1)
        pipeline.hgetall(keys.MANAGER_REPORTS)
        pipeline.xlen(keys.AUDIT)
        for partition in partitions:
            pipeline.get(keys.lease(partition))
            pipeline.xlen(keys.stream(partition))
            names = [of(partition) for of in (keys.stream, keys.stream_dropped, keys.stream_samples)]
            pipeline.fcall("plugin_lags", len(names), *names, keys.tag(partition))
            pipeline.fcall("alarm_overview", 1, keys.alarms(partition), keys.tag(partition))
        replies = await pipeline.execute()
    (seconds, microseconds), info, count, layout, alive, reports, audit, *rest = replies
    return Overview(
        time=seconds + microseconds / 1e6,
        info=info,
        keys=count,
        layout=layout,
        owners=rest[::4],
        streams=rest[1::4],
        groups=_groups(rest[2::4]),
        alarms=_alarms(rest[3::4]),
        alarms_lost=_alarms_lost(rest[3::4]),
        managers={
            name: msgspec.json.decode(reports[name], type=ManagerReport) for name in alive if name in reports
        },
        audit=audit,
    )


def _groups(partitions: Iterable[Iterable[Sequence[Any]]]) -> dict[str, GroupState]:
    """Sums over the partitions of what ``plugin_lags`` said of each."""
    groups: dict[str, GroupState] = {}
    for rows in partitions:
        for name, lag, samples, pending, oldest, dropped, handled, dead, retries in rows:
            one = groups.get(name, GroupState())
            times = [int(oldest.partition("-")[0]) / 1000] if oldest else []
            groups[name] = GroupState(
                lag=one.lag + max(0, lag),
                pending=one.pending + pending,
                dropped=one.dropped + dropped,
                samples=one.samples + max(0, samples),
                oldest=min([*times, *([] if one.oldest is None else [one.oldest])], default=None),
                handled=one.handled + handled,
                dead_lettered=one.dead_lettered + dead,
                retries=one.retries + retries,
            )
    return dict(sorted(groups.items()))


def _alarms(partitions: Iterable[Sequence[list[Any]]]) -> Counter[tuple[str, str]]:
    """Sums over the partitions of what ``alarm_overview`` said of each."""
    counts: Counter[tuple[str, str]] = Counter()
    for flat, _ in partitions:
        for state, priority, count in zip(*[iter(flat)] * 3, strict=True):
            counts[state, priority] += count
    return counts


def _alarms_lost(partitions: Iterable[Sequence[list[Any]]]) -> Counter[str]:
    counts: Counter[str] = Counter()
    for _, flat in partitions:
        for plugin, count in zip(*[iter(flat)] * 2, strict=True):
            counts[plugin] += int(count)
    return counts


async def report(store: Store, manager_id: str, text: ManagerReport) -> None:
    """Say how a manager does.

    :raises StoreError: when the store is away.
    """
    with store_errors():
        await store.redis.hset(keys.MANAGER_REPORTS, manager_id, msgspec.json.encode(text))


async def withdraw(store: Store, manager_id: str, now: float) -> None:
    """Remove the report of a manager, and those of managers that ended long ago without a word.

    :raises StoreError: when the store is away.
    """
    with store_errors():
        reports = await store.redis.hgetall(keys.MANAGER_REPORTS)
        gone = [
            name
            for name, text in reports.items()
            if name == manager_id or msgspec.json.decode(text, type=ManagerReport).reported < now - FORGET
        ]
        if gone:
            await store.redis.hdel(keys.MANAGER_REPORTS, *gone)


async def try_write(store: Store) -> None:
    """Write something, because a store that answers may still refuse that: out of memory, disk full, a replica.

    :raises StoreRefused: when it does.
    :raises StoreUnavailable: when it is away.
    """
    with store_errors():
        try:
            await store.redis.set(keys.PROBE, "1", ex=60)
        except ResponseError as error:
            if str(error).startswith("NOREPLICAS"):
                raise StoreRefused(f"the store refuses: {error}") from error
            raise
