"""What a monitor remembers of a station: its points, and what their next values are compared with.

The rules are those of :mod:`~pydatacoll.protocols.iec104.monitor`.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from itertools import repeat
from math import inf
from typing import Any

from pydatacoll.protocols.iec104 import elements as e
from pydatacoll.protocols.iec104.columns import COLUMN_TYPES, Columns
from pydatacoll.protocols.iec104.config import Target
from pydatacoll.protocols.iec104.recent_events import RecentEvents
from pydatacoll.protocols.iec104.station_clock import StationClock
from pydatacoll.protocols.iec104.types import TYPES, TypeInfo
from pydatacoll.sdk import Point, Quality

NOTED = 256
"""Points of a station whose tags are found again without looking at all: more than one ASDU has."""

_NOT_TOPICAL = int(Quality.NOT_TOPICAL)

Family = type[e.Element]


def family_of(info: TypeInfo) -> Family | None:
    """The element of a type; with and without quality are the same."""
    return e.Normalized if info.element is e.NormalizedOnly else info.element


FAMILIES: dict[int, Family | None] = {number: family_of(TYPES[number]) for number in COLUMN_TYPES}


class Record:
    """A point and what its next value is compared with.

    :ivar family: the element it is configured for; ``None``: any.
    :ivar tag: the last one, epoch seconds by the station's clock.
    :ivar read: when its last value that is no event was read, by our clock.
    :ivar link: the number of the link on which its last value came.
    """

    __slots__ = ("family", "info", "link", "monitored", "point", "read", "tag")

    def __init__(self) -> None:
        self.tag = -inf
        self.read = -inf
        self.link = -1

    def configure(self, point: Point, target: Target) -> None:
        self.point = point
        self.info = target.info
        self.monitored = target.monitored
        self.family = None if target.info is None else family_of(target.info)


class Station:
    """One common address.

    :ivar asked: when it was interrogated on this link, by our clock.
    :ivar compared: the newest tag before the clock changed, until something newer comes: up to then each event may
        be a repetition.
    """

    def __init__(self, offset: float) -> None:
        self.records: dict[int, Record] = {}
        self.clock = StationClock(offset)
        self.recent = RecentEvents()
        self.asked = -inf
        self.compared = -inf
        self._tagged: list[Record] | None = []
        self._by_family: dict[Family | None, dict[int, Record]] = {}

    def configure(self, targets: Iterable[tuple[Point, Target]]) -> None:
        before, self.records = self.records, {}
        for point, target in targets:
            address = target.address.object
            record = self.records[address] = before.get(address) or Record()
            record.configure(point, target)
        self._by_family.clear()

    def accepting(self, family: Family | None) -> dict[int, Record]:
        """The points that take values of a family."""
        found = self._by_family.get(family)
        if found is None:
            found = self._by_family[family] = {
                address: record
                for address, record in self.records.items()
                if record.monitored and (record.family is None or record.family is family)
            }
        return found

    def move_tags(self, by: float, latest: float) -> None:
        """The clock changed: those before are moved, or forgotten when ``by`` is minus infinity. That costs next
        to nothing when it was done a moment ago: a station may start again a thousand times a second.

        :param latest: a tag beyond any that can come now.
        """
        newest = -inf
        for record in self.records.values() if self._tagged is None else self._tagged:
            newest = max(newest, record.tag)
            record.tag += by
        self.compared = min(max(self.compared, newest), latest)
        if by == -inf:
            self._tagged = []

    def note_tagged(self, records: Sequence[Record]) -> None:
        """These points get tags."""
        if self._tagged is not None:
            self._tagged += records
            if len(self._tagged) > NOTED:
                self._tagged = None


def only(columns: Columns, indices: Sequence[int]) -> Columns:
    """Some objects of an ASDU."""

    def some(column: Sequence[Any]) -> list[Any]:
        return [column[i] for i in indices]

    return columns._replace(
        addresses=some(columns.addresses),
        values=some(columns.values),
        qualities=columns.qualities if isinstance(columns.qualities, int) else some(columns.qualities),
        times=None if columns.times is None else some(columns.times),
        extras=None if columns.extras is None else some(columns.extras),
    )


def marked(columns: Columns) -> Columns:
    """The same step positions, with the transient ones marked (rule 4)."""
    each = repeat(columns.qualities) if isinstance(columns.qualities, int) else columns.qualities
    marked = [
        quality | _NOT_TOPICAL if transient else quality
        for quality, transient in zip(each, columns.extras or (), strict=False)
    ]
    return columns._replace(qualities=marked)
