"""The state of the whole system as the store shows it, for ``/metrics``, ``/readyz`` and the diagnosis."""

from __future__ import annotations

import logging
from collections.abc import Mapping
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
    """How far a plugin is behind, over all partitions.

    :ivar lag: entries not yet delivered; ``pending``: delivered but not acknowledged.
    :ivar dropped: samples trimmed before it read them, since ever.
    """

    lag: int = 0
    pending: int = 0
    dropped: int = 0


@dataclass(frozen=True, slots=True)
class Overview:
    """What one look found.

    :ivar time: of the store's clock, epoch seconds.
    :ivar info: the server's ``INFO``.
    :ivar layout: version of the layout of our keys.
    :ivar owners: partition -> manager, ``None`` where nobody runs the devices.
    :ivar managers: those that are alive.
    :ivar audit: entries of the audit trail.
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

    @property
    def unowned(self) -> int:
        """Partitions that no manager owns."""
        return sum(owner is None for owner in self.owners)


async def look(store: Store) -> Overview:
    """Everything with one round trip.

    :raises StoreError: when the store is away.
    """
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
            pipeline.hgetall(keys.stream_dropped(partition))
            pipeline.xinfo_groups(keys.stream(partition))
        replies = await pipeline.execute(raise_on_error=False)
        for reply in replies:
            if isinstance(reply, Exception) and not _missing(reply):
                raise reply
    (seconds, microseconds), info, count, layout, alive, reports, audit, *rest = replies
    counted: dict[str, list[int]] = {}
    for partition in partitions:
        _, _, dropped, groups = rest[4 * partition : 4 * partition + 4]
        for name, samples in dropped.items():
            counted.setdefault(name, [0, 0, 0])[2] += int(samples)
        for row in () if isinstance(groups, ResponseError) else groups:
            numbers = counted.setdefault(row["name"], [0, 0, 0])
            numbers[0] += int(row.get("lag") or 0)
            numbers[1] += int(row["pending"])
    return Overview(
        time=seconds + microseconds / 1e6,
        info=info,
        keys=count,
        layout=layout,
        owners=rest[::4],
        streams=rest[1::4],
        groups={name: GroupState(*numbers) for name, numbers in sorted(counted.items())},
        managers={
            name: msgspec.json.decode(reports[name], type=ManagerReport) for name in alive if name in reports
        },
        audit=audit,
    )


def _missing(error: Exception) -> bool:
    """A stream that does not exist has no groups."""
    return isinstance(error, ResponseError) and "no such key" in str(error)


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
