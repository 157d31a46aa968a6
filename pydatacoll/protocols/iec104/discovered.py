"""Addresses that send and are not configured: what a point list can be made of.

Bounded: the first :data:`LIMIT` addresses of a device are listed, values of all others only counted. A type with
time tag, once seen, stands for the address, for a station answers an interrogation without one.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from math import isfinite

from pydatacoll.protocols.iec104.asdu import CAUSES
from pydatacoll.protocols.iec104.columns import Columns
from pydatacoll.protocols.iec104.types import TYPES, Tag
from pydatacoll.sdk import Discovered, Quality, Value

LIMIT = 16_384
"""Addresses of one device."""

_INVALID = int(Quality.INVALID)

Reason = Callable[[int, int, int], str | None]
"""Common address, address, type -> why values of that type have no point, empty when there is nothing to say; or
``None`` when they have one."""


class _Entry:
    __slots__ = ("cause", "count", "note", "quality", "time", "type_id", "value")

    def __init__(self, type_id: int, note: str) -> None:
        self.type_id = type_id
        self.note = note
        self.count = 0
        self.cause = 0
        self.value: bool | int | float = 0
        self.quality = 0
        self.time = 0.0


class DiscoveredAddresses:
    """Of one device.

    :ivar unlisted: values of addresses that found no room in the list.
    """

    def __init__(self) -> None:
        self._entries: dict[tuple[int, int], _Entry] = {}
        self.unlisted = 0

    def __len__(self) -> int:
        return len(self._entries)

    def note(self, columns: Columns, indices: Iterable[int], now: float, reason: Reason) -> None:
        """Take values of an ASDU that have no point.

        :param now: the time of receipt, for values without a valid time tag.
        """
        entries = self._entries
        common, type_id, cause = columns.common_address, columns.type_id, columns.cause
        addresses, values, qualities, times = columns.addresses, columns.values, columns.qualities, columns.times
        for i in indices:
            key = common, addresses[i]
            entry = entries.get(key)
            if entry is None:
                if len(entries) >= LIMIT:
                    self.unlisted += 1
                    continue
                entry = entries[key] = _Entry(type_id, reason(*key, type_id) or "")
            elif entry.type_id != type_id and not _only_lacks_the_tag(type_id, entry.type_id):
                entry.type_id = type_id
                entry.note = reason(*key, type_id) or ""
            entry.count += 1
            entry.cause = cause
            entry.value = values[i]
            entry.quality = qualities if isinstance(qualities, int) else qualities[i]
            time = None if times is None else times[i]
            entry.time = now if time is None else time

    def configured(self, reason: Reason) -> None:
        """Other points are configured: forget what has one now."""
        for key, entry in list(self._entries.items()):
            note = reason(*key, entry.type_id)
            if note is None:
                del self._entries[key]
            else:
                entry.note = note

    def list(self) -> list[Discovered]:
        """All, by common address and address."""
        return [
            Discovered(
                common,
                str(address),
                TYPES[entry.type_id].name,
                *_sound(entry),
                entry.time,
                CAUSES.get(entry.cause, f"cause {entry.cause}"),
                entry.count,
                entry.note,
            )
            for (common, address), entry in sorted(self._entries.items())
        ]


def _sound(entry: _Entry) -> tuple[Value, int]:
    """Value and quality; what is no finite number is none, as in a sample."""
    if isfinite(entry.value):
        return entry.value, entry.quality
    return None, entry.quality | _INVALID


def _only_lacks_the_tag(type_id: int, other: int) -> bool:
    """Whether a type says the same as another one, but for the time."""
    one, with_tag = TYPES[type_id], TYPES[other]
    return one.element is with_tag.element and one.tag is Tag.NONE
