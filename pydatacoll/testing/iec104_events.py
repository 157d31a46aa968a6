"""Events of a simulated RTU that wait for a connection, and what goes wrong with them."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable
from functools import partial

from msgspec.structs import replace

from pydatacoll.protocols.iec104.asdu import Asdu, decode, encode
from pydatacoll.protocols.iec104.elements import IV
from pydatacoll.protocols.iec104.errors import RemoteProtocolError
from pydatacoll.protocols.iec104.times import Cp24, Cp56, Zone
from pydatacoll.testing.iec104_faults import EVENT, FLOOD, Iec104Fault, Iec104Faults

Tag = Cp24 | Cp56 | None
Later = Callable[[float, Callable[[], None]], None]
"""Does something so many seconds later."""


class Events:
    """ASDUs in the order in which they happened; when there is no room the oldest are lost.

    :ivar lost: ASDUs that there was no room for.
    """

    def __init__(self, limit: int, faults: Iec104Faults, zone: Zone, later: Later) -> None:
        self.lost = 0
        self._limit = limit
        self._faults = faults
        self._zone = zone
        self._later = later
        self._waiting: deque[bytes] = deque()
        self.added: Callable[[], None] = lambda: None

    def __len__(self) -> int:
        return len(self._waiting)

    def put(self, octets: bytes, now: float) -> None:
        """An event at ``now`` of the RTU's clock."""
        fault = self._faults.match(EVENT, octets) if self._faults.rules else None
        if fault is None:
            self._add([octets])
        elif fault.kind == "late":
            self._later(fault.seconds, partial(self._add, [octets]))
        else:
            self._add(self._spoiled(fault, octets, now))

    def put_back(self, several: list[bytes]) -> None:
        """What may not have arrived, oldest first, is sent again."""
        self._waiting.extendleft(reversed(several))
        self._limited()

    def take(self) -> bytes | None:
        """The oldest one; ``None``: there is none."""
        return self._waiting.popleft() if self._waiting else None

    def clear(self) -> None:
        """Forget all."""
        self._waiting.clear()

    def _add(self, several: list[bytes]) -> None:
        self._waiting.extend(several)
        self._limited()
        self.added()

    def _limited(self) -> None:
        while len(self._waiting) > self._limit:
            self._waiting.popleft()
            self.lost += 1

    def _spoiled(self, fault: Iec104Fault, octets: bytes, now: float) -> list[bytes]:
        if fault.kind == "duplicate":
            return [octets, octets]
        try:
            asdu = decode(octets)
        except RemoteProtocolError:  # wrong on purpose already
            return [octets]
        if fault.kind == "time_invalid":
            return [_retagged(asdu, _invalid)]
        if fault.kind == "wrong_clock":
            return [_retagged(asdu, partial(self._at, now + fault.seconds))]
        return [octets, *(_retagged(asdu, partial(self._at, now + n / 1000)) for n in range(FLOOD))]

    def _at(self, seconds: float, tag: Tag) -> Tag:
        if tag is None:
            return None
        return self._zone.tag(seconds) if isinstance(tag, Cp56) else self._zone.short_tag(seconds)


def _retagged(asdu: Asdu, change: Callable[[Tag], Tag]) -> bytes:
    return encode(replace(asdu, objects=tuple(replace(each, time=change(each.time)) for each in asdu.objects)))


def _invalid(tag: Tag) -> Tag:
    if tag is None:
        return None
    octets = bytearray(tag.octets)
    octets[2] |= IV
    return type(tag)(bytes(octets))
