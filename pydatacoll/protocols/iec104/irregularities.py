"""What a station sends that it should not: counted, shown, and no reason to end the link.

What breaks the rules of an ASDU is refused as a whole; the last one is kept with its octets. What deviates from
the standard and leaves no doubt about the values is taken and named. Looking for deviations takes longer than
taking the values, so one ASDU of each type, cause and kind of addressing is looked at on each link.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Collection
from typing import Any

from pydatacoll.model import time_to_wire
from pydatacoll.protocols.iec104.asdu import BROADCAST, CAUSES, Asdu, UnknownType, decode, deviations
from pydatacoll.protocols.iec104.errors import RemoteProtocolError
from pydatacoll.protocols.iec104.types import type_name

_MOST = 64
"""Kinds of deviation that are told apart."""


class Irregularities:
    """Of one device.

    :param counters: of the device.
    """

    def __init__(self, counters: Counter[str], wall: Callable[[], float]) -> None:
        self._counters = counters
        self._wall = wall
        self._looked_at: set[tuple[int, int, int]] = set()
        self._deviations: Counter[str] = Counter()
        self._unknown_types: Counter[str] = Counter()
        self._unexpected: Counter[str] = Counter()
        self._last: dict[str, Any] | None = None

    def connected(self) -> None:
        """A new link; perhaps a new version of the station, too."""
        self._looked_at.clear()

    def refused(self, error: RemoteProtocolError) -> None:
        """An ASDU was refused as a whole."""
        if isinstance(error, UnknownType):
            self._counters["unknown_types"] += 1
            self._unknown_types[type_name(error.header.type_id)] += 1
        else:
            self._counters["protocol_errors"] += 1
        self._last = {"time": time_to_wire(self._wall()), "reason": str(error), "frame": error.data.hex(" ")}

    def unexpected(self, asdu: Asdu, stations: Collection[int]) -> None:
        """Nobody waits for it, or it has no meaning in this direction.

        :param stations: the common addresses of the device. Another one may be the reason.
        """
        self._counters["unexpected_asdus"] += 1
        what = f"{type_name(asdu.type_id)}, {CAUSES.get(asdu.cause, 'reserved')}"
        common = asdu.common_address
        if stations and common != BROADCAST and common not in stations:
            what += f" from common address {common}, which no term of the device has"
        self._add(self._unexpected, what)

    def look(self, data: bytes) -> None:
        """Name what is wrong with an ASDU that was taken, if none of its kind has been looked at."""
        kind = data[0], data[1] & 0x80, data[2] & 0x3F
        if kind not in self._looked_at:
            self._looked_at.add(kind)
            self.found(decode(data))

    def found(self, asdu: Asdu) -> None:
        """The same for one that is taken apart already."""
        for deviation in deviations(asdu):
            self._add(self._deviations, f"{type_name(asdu.type_id)}: {deviation}")

    @staticmethod
    def _add(counter: Counter[str], name: str) -> None:
        counter[name if name in counter or len(counter) < _MOST else "others"] += 1

    def status(self) -> dict[str, Any]:
        """Counts by kind, and the last ASDU that was refused."""
        return {
            "last_error": self._last,
            "unknown_types": dict(self._unknown_types),
            "unexpected": dict(self._unexpected),
            "deviations": dict(self._deviations),
        }
