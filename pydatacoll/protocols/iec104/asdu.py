"""Application service data units of IEC 60870-5-101 with the field sizes of IEC 60870-5-104: cause 2 octets,
common address 2, information object address 3, at most 249 octets.

The rules, in the order in which a received octet meets them:

1. The data unit identifier is six octets: type, variable structure qualifier (SQ and number), cause with P/N and
   T, originator, common address (low octet first).
2. A type that is not in :data:`~pydatacoll.protocols.iec104.types.TYPES` is :class:`UnknownType`: the stream can
   go on, a controlled station answers it with cause 44.
3. Types of file transfer are recognised; their objects stay octets (``raw``).
4. There is at least one object. A type in control direction or for parameters, and M_EI_NA_1, has exactly one
   and SQ = 0: with more, nobody could say which of them an answer confirms.
5. The octets are as many as type, SQ and number say: none missing, none left over.
6. With SQ = 1 the addresses count up from the first; they end at 16777215.

What breaks one of these is refused as a whole (:class:`RemoteProtocolError`), for no value in it can be trusted.
Everything else the standard forbids leaves no doubt about the values. It is taken, kept as it is and named by
:func:`deviations`: reserved bits; cause 0 or one that is reserved; common address 0; address 0 of a point (7.2.5:
irrelevant) or another than 0 where the station is meant; SQ = 1 or several objects with types that have them not.
:func:`encode` sends none of the last two, nor cause 0 or common address 0.
"""

from __future__ import annotations

import struct
from typing import Any, NamedTuple

import msgspec

from pydatacoll.protocols.iec104.elements import Element, within
from pydatacoll.protocols.iec104.errors import LocalProtocolError, RemoteProtocolError
from pydatacoll.protocols.iec104.times import Cp24, Cp56
from pydatacoll.protocols.iec104.types import TYPES, Direction, Tag, TypeInfo, type_name

MAX_ASDU = 249
HEADER_SIZE = 6
ADDRESS_SIZE = 3
MAX_ADDRESS = 0xFFFFFF
BROADCAST = 0xFFFF
"""Common address of all stations of a link."""

CAUSES = {
    1: "periodic",
    2: "background scan",
    3: "spontaneous",
    4: "initialized",
    5: "request",
    6: "activation",
    7: "activation confirmation",
    8: "deactivation",
    9: "deactivation confirmation",
    10: "activation termination",
    11: "return information, remote command",
    12: "return information, local command",
    13: "file transfer",
    14: "authentication",
    15: "maintenance of authentication session key",
    16: "maintenance of user role and update key",
    20: "interrogated by station interrogation",
    **{20 + group: f"interrogated by group {group} interrogation" for group in range(1, 17)},
    37: "requested by general counter request",
    **{37 + group: f"requested by group {group} counter request" for group in range(1, 5)},
    44: "unknown type identification",
    45: "unknown cause of transmission",
    46: "unknown common address",
    47: "unknown information object address",
}

HEADER = struct.Struct("<BBBBH")
"""Type, SQ and number, cause with T and P/N, originator, common address."""


class UnknownType(RemoteProtocolError):
    """The type identification is not one of the standard, or private.

    :ivar header: what can be said of the ASDU all the same.
    """

    def __init__(self, header: Header, data: bytes) -> None:
        super().__init__(f"unknown {type_name(header.type_id)}", data)
        self.header = header


class Header(NamedTuple):
    """The data unit identifier."""

    type_id: int
    sequence: bool
    number: int
    cause: int
    negative: bool
    test: bool
    originator: int
    common_address: int


class InformationObject(msgspec.Struct, frozen=True):
    """One object. ``time`` also holds the time of C_CS_NA_1, whose only element it is."""

    address: int
    element: Element | None = None
    time: Cp24 | Cp56 | None = None


class Asdu(msgspec.Struct, frozen=True):
    """One ASDU.

    :ivar cause: 1 to 63, see :data:`CAUSES`.
    :ivar negative: P/N; of a confirmation: it is a refusal.
    :ivar originator: 0 when not used.
    :ivar sequence: SQ; the addresses of the objects are consecutive.
    :ivar raw: of file transfer: what follows the data unit identifier, instead of ``objects``.
    :ivar number: of file transfer: the number in the variable structure qualifier.
    """

    type_id: int
    cause: int
    common_address: int
    objects: tuple[InformationObject, ...] = ()
    negative: bool = False
    test: bool = False
    originator: int = 0
    sequence: bool = False
    raw: bytes = b""
    number: int = 0


class Layout(NamedTuple):
    """How objects of a type stand in the octets."""

    info: TypeInfo
    single: struct.Struct
    """With address: its lower 16 bits, its upper 8, element, time tag."""
    following: struct.Struct
    """Without address."""


_TAGS = {Tag.NONE: "", Tag.CP24: "3s", Tag.CP56: "7s"}


def _layout(info: TypeInfo) -> Layout:
    body = (info.element.FORMAT if info.element else "") + _TAGS[info.tag]
    return Layout(info, struct.Struct(f"<HB{body}"), struct.Struct(f"<{body}"))


LAYOUTS = {number: _layout(info) for number, info in TYPES.items() if info.direction is not Direction.FILE}


def capacity(type_id: int, *, sequence: bool = False) -> int:
    """How many objects of a type fit into one ASDU.

    :raises LocalProtocolError: for a type that :func:`encode` does not know or that does not have SQ = 1.
    """
    layout = _layout_to_send(type_id)
    if not layout.info.many:
        return 1
    if not sequence:
        return min(127, (MAX_ASDU - HEADER_SIZE) // layout.single.size)
    if not layout.info.sequence:
        raise LocalProtocolError(f"{type_name(type_id)} has no SQ = 1")
    return min(127, (MAX_ASDU - HEADER_SIZE - ADDRESS_SIZE) // layout.following.size)


def header(data: bytes | memoryview) -> Header:
    """The data unit identifier, whatever follows.

    :raises RemoteProtocolError: when it is not complete.
    """
    if len(data) < HEADER_SIZE:
        raise RemoteProtocolError(f"{len(data)} octets are less than a data unit identifier", bytes(data))
    type_id, vsq, cause, originator, common = HEADER.unpack_from(data)
    flags = bool(cause & 0x40), bool(cause & 0x80)
    return Header(type_id, vsq >= 0x80, vsq & 0x7F, cause & 0x3F, *flags, originator, common)


def checked(data: bytes | memoryview) -> tuple[Header, Layout | None]:
    """The data unit identifier and the layout of the objects (``None`` for files), when the length is right.

    :raises UnknownType: for an unknown or private type.
    :raises RemoteProtocolError: as the rules above say.
    """
    head = header(data)
    layout = LAYOUTS.get(head.type_id)
    if layout is None:
        if head.type_id not in TYPES:
            raise UnknownType(head, bytes(data))
        return head, None
    if head.number == 0:
        raise RemoteProtocolError(f"{type_name(head.type_id)} without objects", bytes(data))
    if not _may_repeat(layout.info) and (head.number != 1 or head.sequence):
        what = f"{head.number} objects, SQ = {int(head.sequence)}"
        raise RemoteProtocolError(
            f"{type_name(head.type_id)} with {what}: it has exactly one, SQ = 0", bytes(data)
        )
    if head.sequence:
        size = ADDRESS_SIZE + head.number * layout.following.size
    else:
        size = head.number * layout.single.size
    if size != len(data) - HEADER_SIZE:
        raise RemoteProtocolError(
            f"{type_name(head.type_id)}, number of objects {head.number}, SQ = {int(head.sequence)}, must have"
            f" {size} octets after its identifier, not {len(data) - HEADER_SIZE}",
            bytes(data),
        )
    return head, layout


def _may_repeat(info: TypeInfo) -> bool:
    return info.direction is Direction.MONITOR and not info.system


def first_address(head: Header, data: bytes | memoryview) -> int:
    """Of an ASDU with SQ = 1.

    :raises RemoteProtocolError: when the addresses would go beyond 16777215.
    """
    first = int.from_bytes(data[HEADER_SIZE : HEADER_SIZE + ADDRESS_SIZE], "little")
    if first + head.number - 1 > MAX_ADDRESS:
        raise RemoteProtocolError(f"{head.number} addresses from {first} go beyond {MAX_ADDRESS}", bytes(data))
    return first


def decode(data: bytes | memoryview) -> Asdu:
    """Take an ASDU apart (what an I frame carries after its control field).

    :raises UnknownType: for an unknown or private type; ``data`` of the error are all octets.
    :raises RemoteProtocolError: as the rules above say.
    """
    head, layout = checked(data)
    body = bytes(data[HEADER_SIZE:])
    common = (head.negative, head.test, head.originator, head.sequence)
    if layout is None:
        return Asdu(head.type_id, head.cause, head.common_address, (), *common, raw=body, number=head.number)
    if head.sequence:
        first = first_address(head, data)
        objects = tuple(
            InformationObject(address, *_elements(layout.info, raw))
            for address, raw in enumerate(layout.following.iter_unpack(body[ADDRESS_SIZE:]), first)
        )
    else:
        objects = tuple(
            InformationObject(raw[0] | raw[1] << 16, *_elements(layout.info, raw[2:]))
            for raw in layout.single.iter_unpack(body)
        )
    return Asdu(head.type_id, head.cause, head.common_address, objects, *common)


def _elements(info: TypeInfo, raw: tuple[Any, ...]) -> tuple[Element | None, Cp24 | Cp56 | None]:
    time: Cp24 | Cp56 | None = None
    if info.tag is not Tag.NONE:
        time = Cp56(raw[-1]) if info.tag is Tag.CP56 else Cp24(raw[-1])
        raw = raw[:-1]
    return info.element.unpack(raw) if info.element else None, time


def encode(asdu: Asdu) -> bytes:
    """The octets of an ASDU.

    :raises LocalProtocolError: when it cannot be sent; the message names the field.
    """
    head = (
        (0x40 if asdu.negative else 0) | (0x80 if asdu.test else 0) | within(asdu.cause, 1, 63, "cause"),
        within(asdu.originator, 0, 255, "originator"),
        within(asdu.common_address, 1, BROADCAST, "common address"),
    )
    info = TYPES.get(asdu.type_id)
    if info is not None and info.direction is Direction.FILE:
        number, body = within(asdu.number, 0, 127, "number"), asdu.raw
    else:
        number, body = len(asdu.objects), _objects(asdu, _layout_to_send(asdu.type_id))
    data = HEADER.pack(asdu.type_id, number | (0x80 if asdu.sequence else 0), *head) + body
    if len(data) > MAX_ASDU:
        raise LocalProtocolError(f"an ASDU of {len(data)} octets; at most {MAX_ASDU} fit into a frame")
    return data


def _layout_to_send(type_id: int) -> Layout:
    layout = LAYOUTS.get(type_id)
    if layout is None:
        raise LocalProtocolError(f"no objects of {type_name(type_id)} can be made")
    return layout


def _objects(asdu: Asdu, layout: Layout) -> bytes:
    info, objects = layout.info, asdu.objects
    if asdu.raw or asdu.number:
        raise LocalProtocolError(f"{info.name} is no file transfer: it has objects")
    if not 1 <= len(objects) <= (127 if info.many else 1):
        raise LocalProtocolError(f"{len(objects)} objects; {info.name} has {'1 to 127' if info.many else 'one'}")
    for each in objects:
        within(each.address, 0, MAX_ADDRESS, "information object address")
    if not asdu.sequence:
        return b"".join(
            layout.single.pack(each.address & 0xFFFF, each.address >> 16, *_fields(info, each)) for each in objects
        )
    first = objects[0].address
    if not info.sequence:
        raise LocalProtocolError(f"{info.name} has no SQ = 1")
    if any(each.address != address for address, each in enumerate(objects, first)):
        raise LocalProtocolError("SQ = 1 needs consecutive addresses")
    octets = [layout.following.pack(*_fields(info, each)) for each in objects]
    return first.to_bytes(ADDRESS_SIZE, "little") + b"".join(octets)


def _fields(info: TypeInfo, each: InformationObject) -> tuple[Any, ...]:
    if info.element is None:
        if each.element is not None:
            raise LocalProtocolError(f"{info.name} has no element, not {each.element!r}")
        fields: tuple[Any, ...] = ()
    elif type(each.element) is info.element:
        fields = each.element.pack()
    else:
        raise LocalProtocolError(f"{info.name} has an element {info.element.__name__}, not {each.element!r}")
    if info.tag is Tag.NONE:
        if each.time is not None:
            raise LocalProtocolError(f"{info.name} has no time tag")
        return fields
    if (
        not isinstance(each.time, Cp56 if info.tag is Tag.CP56 else Cp24)
        or len(each.time.octets) != info.tag.value
    ):
        raise LocalProtocolError(f"{info.name} has a time tag {info.tag.name}Time2a, not {each.time!r}")
    return *fields, each.time.octets


def deviations(asdu: Asdu) -> list[str]:
    """What the standard does not allow in it and was taken all the same; each kind once, in plain words."""
    found: dict[str, None] = {}
    if asdu.cause not in CAUSES and asdu.cause < 48:
        found[f"cause {asdu.cause} is {'reserved' if asdu.cause else 'not used'}"] = None
    if asdu.common_address == 0:
        found["common address 0 is not used"] = None
    info = TYPES.get(asdu.type_id)
    if info is None or info.direction is Direction.FILE:
        return list(found)
    if asdu.sequence and not info.sequence:
        found[f"{info.name} has no SQ = 1"] = None
    if len(asdu.objects) > 1 and not info.many:
        found[f"{info.name} has one object"] = None
    for each in asdu.objects:
        if each.address == 0 and not info.system and asdu.type_id != _PARAMETER_ACTIVATION:
            found["address 0 belongs to no point"] = None
        if each.address and info.system:
            found[f"{info.name} has address 0"] = None
        if isinstance(each.time, Cp56) and each.time.reserved:
            found["reserved bits of the time tag set"] = None
        found.update(dict.fromkeys(each.element.deviations() if each.element else ()))
    return list(found)


_PARAMETER_ACTIVATION = 113
