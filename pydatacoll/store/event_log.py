"""What happened, from all the streams that know of it, newest first."""

from __future__ import annotations

from collections.abc import Callable
from heapq import merge
from typing import Any, Final, NamedTuple

import msgspec

from pydatacoll.codec.json import decode_text
from pydatacoll.model import time_to_wire
from pydatacoll.model.event import Event, Kind, Seen, of_alarm, of_audit, of_event
from pydatacoll.store import keys
from pydatacoll.store.alarms import Alarms, TransitionId, Wanted
from pydatacoll.store.audit import Audit, AuditFilter
from pydatacoll.store.client import Store, store_errors
from pydatacoll.store.events import read_event

CHUNK: Final = 200
OF_AUDIT: Final = 100_000
"""Ranks of streams, where entries of one moment stand behind each other; those of alarms are their partitions."""
OF_EVENTS: Final = 100_001
LIVE_ONLY: Final = 100_002
"""Of events that are in no stream, because the store was away."""


class EventId(NamedTuple):
    """Place of an event among all, as text ``milliseconds-number-rank``."""

    milliseconds: int
    number: int
    rank: int

    def __str__(self) -> str:
        return f"{self.milliseconds}-{self.number}-{self.rank}"

    @classmethod
    def of(cls, entry_id: str, rank: int) -> EventId:
        """Of an entry of a stream."""
        milliseconds, _, number = entry_id.partition("-")
        return cls(int(milliseconds), int(number or 0), rank)

    @classmethod
    def parse(cls, text: str) -> EventId:
        """
        :raises ValueError: when it is none.
        """
        milliseconds, number, rank = text.split("-")
        return cls(int(milliseconds), int(number), int(rank))


def row(event_id: EventId, event: Event) -> dict[str, Any]:
    """An event as it is shown, JSON types."""
    return {
        "id": str(event_id),
        "time": time_to_wire(event_id.milliseconds / 1000),
        "kind": event.kind,
        "device_id": event.device_id or None,
        "object": event.object,
        "severity": event.severity,
        "text": event.text,
        "details": event.details,
    }


class LogFilter(msgspec.Struct, frozen=True, kw_only=True):
    """Which events are wanted. ``since`` and ``until``: epoch seconds of the store's clock.

    :ivar wants: whether an event is to be seen.
    """

    since: float | None = None
    until: float | None = None
    kinds: frozenset[Kind] = frozenset({"link", "alarm", "model", "control", "system"})
    wants: Callable[[Seen], bool] = lambda _: True


Found = tuple[EventId, Event]


class EventLog:
    """All methods raise StoreError when the store is away."""

    def __init__(self, store: Store) -> None:
        self._store = store
        self._alarms = Alarms(store)
        self._audit = Audit(store)

    async def read(self, wanted: LogFilter, limit: int, before: EventId | None = None) -> list[Found]:
        """The newest events that match, newest first, at most ``limit``, all before the one given."""
        parts: list[list[Found]] = []
        if wanted.kinds & {"link", "system"}:
            parts.append(await self._events(wanted, limit, before))
        if "alarm" in wanted.kinds:
            parts.append(await self._of_alarms(wanted, limit, before))
        if wanted.kinds & {"model", "control"}:
            parts.append(await self._of_audit(wanted, limit, before))
        return list(merge(*parts, key=lambda found: found[0], reverse=True))[:limit]

    async def _events(self, wanted: LogFilter, limit: int, before: EventId | None) -> list[Found]:
        oldest = "-" if wanted.since is None else str(max(0, int(wanted.since * 1000)))
        start = _start(wanted, before, OF_EVENTS)
        found: list[Found] = []
        while start is not None and len(found) < limit:
            with store_errors():
                rows: Any = await self._store.binary.xrevrange(keys.EVENTS, start, oldest, count=CHUNK)
            for entry_id, fields in rows:
                event = read_event(fields)
                if event is not None and event.kind in wanted.kinds and wanted.wants(of_event(event)):
                    found.append((EventId.of(entry_id.decode(), OF_EVENTS), event))
            start = f"({rows[-1][0].decode()}" if len(rows) == CHUNK else None
        return found[:limit]

    async def _of_alarms(self, wanted: LogFilter, limit: int, before: EventId | None) -> list[Found]:
        found = await self._alarms.history(
            Wanted(
                since=wanted.since,
                until=wanted.until,
                matches=lambda step: wanted.wants(of_alarm(step, decode_text)),
            ),
            limit,
            None if before is None else TransitionId(*before),
        )
        return [(EventId(*place), of_alarm(step, decode_text).event) for place, step in found]

    async def _of_audit(self, wanted: LogFilter, limit: int, before: EventId | None) -> list[Found]:
        found: list[Found] = []
        place: str | None = None
        if before is not None:
            place = f"{before.milliseconds}-{before.number + (before.rank > OF_AUDIT)}"
        while len(found) < limit:
            page = await self._audit.read(AuditFilter(since=wanted.since, until=wanted.until), CHUNK, place)
            for entry in page.entries:
                seen = of_audit(entry)
                if seen is not None and seen.event.kind in wanted.kinds and wanted.wants(seen):
                    found.append((EventId.of(entry["id"], OF_AUDIT), seen.event))
            place = page.more
            if place is None:
                break
        return found[:limit]


def _start(wanted: LogFilter, before: EventId | None, rank: int) -> str | None:
    """Where to begin to read backwards; ``None``: there is nothing."""
    newest = None if wanted.until is None else max(0, int(wanted.until * 1000))
    if before is None or (newest is not None and before.milliseconds > newest):
        return "+" if newest is None else str(newest)
    if before.rank > rank:
        return f"{before.milliseconds}-{before.number}"
    return None if before[:2] == (0, 0) else f"({before.milliseconds}-{before.number}"
