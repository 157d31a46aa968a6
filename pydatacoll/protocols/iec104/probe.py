"""One try of a point of a station that is not in service yet: its value, its octets, and what type it really has.

The clock of the station is not set and it is not interrogated as a whole, unless it does not answer to the read
command.
"""

from __future__ import annotations

import asyncio

from pydatacoll.errors import DeviceError, DeviceOffline, DeviceTimeout
from pydatacoll.protocols.iec104.asdu import ADDRESS_SIZE, HEADER_SIZE, LAYOUTS, checked
from pydatacoll.protocols.iec104.columns import decode_columns
from pydatacoll.protocols.iec104.config import Address, Target
from pydatacoll.protocols.iec104.procedures import Procedures
from pydatacoll.protocols.iec104.targets import is_counter
from pydatacoll.protocols.iec104.types import TYPES
from pydatacoll.sdk import Interpretation, Point, Probe, Result

_SHARE = 0.5
"""Of the time there is: how long the answer to the read command is waited for."""


class Catch:
    """The octets of what last came for one address.

    :ivar raw: element and time tag; ``None``: nothing came.
    """

    def __init__(self, address: Address) -> None:
        self._address = address
        self.raw: bytes | None = None
        self._type_id = 0
        self._value: bool | int | float = 0

    def look(self, data: bytes) -> None:
        """Take note of an ASDU with process information, which is right."""
        columns = decode_columns(data)
        if columns.common_address != self._address.common or self._address.object not in columns.addresses:
            return
        index = list(columns.addresses).index(self._address.object)
        layout = LAYOUTS[columns.type_id]
        head, _ = checked(data)
        size = layout.following.size
        start = HEADER_SIZE + ADDRESS_SIZE + index * (size if head.sequence else layout.single.size)
        self.raw = bytes(data[start : start + size])
        self._type_id, self._value = columns.type_id, columns.values[index]

    def interpretations(self, point: Point, target: Target) -> list[Interpretation]:
        """As what the station sent it: there is no other way to understand it."""
        if self.raw is None:
            return []
        info = TYPES[self._type_id]
        configured = target.info is None or target.info.element is info.element
        return [Interpretation(info.name, point.engineering(self._value), configured=configured)]


async def probe(procedures: Procedures, catch: Catch, point: Point, target: Target, left: float) -> Probe:
    """Read a point once; ``left``: seconds there are for it.

    :raises DeviceOffline: the link was lost.
    """
    counter = is_counter(target)
    result: Result
    try:
        try:
            async with asyncio.timeout(left * _SHARE):
                result = await procedures.read(target.address, counter=counter)
        except (TimeoutError, DeviceTimeout):
            result = await procedures.gather(target.address, counter=counter)
    except DeviceOffline:
        raise
    except DeviceError as error:
        result = error
    return Probe(result, catch.raw, catch.interpretations(point, target))
