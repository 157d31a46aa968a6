"""Frames in plain words, for a person who looks at the frame log. Pure.

Whatever octets come, a text comes out: what is no right frame, or no right data unit, is said to be none, and why.
"""

from __future__ import annotations

from collections.abc import Sequence

from pydatacoll.protocols.iec104 import apci, words
from pydatacoll.protocols.iec104.asdu import (
    BROADCAST,
    CAUSES,
    Asdu,
    Header,
    InformationObject,
    UnknownType,
    decode,
    deviations,
    header,
)
from pydatacoll.protocols.iec104.errors import RemoteProtocolError
from pydatacoll.protocols.iec104.types import TYPES, type_name
from pydatacoll.sdk import Frame

_SHOWN = 8
"""Objects shown of a data unit; the octets stand beside it anyhow."""
_OCTETS = 32
"""Octets shown of what cannot be understood."""


def describe(frames: Sequence[Frame]) -> list[str]:
    """See :meth:`pydatacoll.sdk.DeviceDriver.describe`."""
    return [frame.text if frame.direction == "note" else in_words(frame.data) for frame in frames]


def in_words(data: bytes) -> str:
    """One frame, such as ``I 12/7: M_ME_TF_1 (36), spontaneous, CA 1: 4001 = 230.1 good 2026-11-21 12:00:00.123``.

    The numbers of an I frame are N(S) and N(R), that of an S frame is N(R).
    """
    return "; then ".join(map(_frame, apci.split(data))) or "no octets"


def _frame(data: bytes) -> str:
    if apci.begins_wrongly(data):
        return f"no frame: {_hex(data)}"
    if len(data) < apci.HEADER_SIZE or len(data) != data[1] + 2:
        return f"incomplete: {_hex(data)}"
    _, length, first, second = apci.HEADER.unpack_from(data)
    if not first & 1 and not second & 1 and length > apci.CONTROL:
        return f"I {first >> 1}/{second >> 1}: {asdu_in_words(data[apci.HEADER_SIZE :])}"
    if first == 1 and not second & 1 and length == apci.CONTROL:
        number = second >> 1
        return f"S {number}: acknowledges frames up to {(number - 1) % apci.MODULUS}"
    if first in apci.FUNCTIONS and not second and length == apci.CONTROL:
        return f"U {apci.FUNCTIONS[first]}"
    return f"bad control octets: {_hex(data)}"


def asdu_in_words(data: bytes) -> str:
    """A data unit, without its frame."""
    try:
        asdu = decode(data)
    except UnknownType as error:
        return f"{_identifier(error.header)}, unknown type: {_hex(data)}"
    except RemoteProtocolError as error:
        return f"wrong data unit, {error}: {_hex(data)}"
    text = f"{_identifier(header(data))}: {_objects(asdu)}"
    found = deviations(asdu)
    return f"{text} (not as of the standard: {', '.join(found)})" if found else text


def _identifier(head: Header) -> str:
    cause = CAUSES.get(head.cause, f"cause {head.cause}")
    parts = [type_name(head.type_id), f"negative {cause}" if head.negative else cause]
    if head.test:
        parts.append("test")
    if head.originator:
        parts.append(f"originator {head.originator}")
    parts.append("all common addresses" if head.common_address == BROADCAST else f"CA {head.common_address}")
    return ", ".join(parts)


def _objects(asdu: Asdu) -> str:
    if not asdu.objects:
        return f"{len(asdu.raw)} octets of file transfer"
    system = TYPES[asdu.type_id].system
    texts = [_object(one, system=system) for one in asdu.objects[:_SHOWN]]
    more = len(asdu.objects) - _SHOWN
    return "; ".join(texts) + (f"; ... ({more} more)" if more > 0 else "")


def _object(one: InformationObject, *, system: bool) -> str:
    value = words.element(one.element) if one.element is not None else ""
    time = words.tag(one.time) if one.time is not None else ""
    text = " ".join(filter(None, (value, time)))
    if system and not one.address:
        return text
    return f"{one.address} = {text}" if text else str(one.address)


def _hex(data: bytes) -> str:
    more = len(data) - _OCTETS
    return data[:_OCTETS].hex(" ") + (f" ... ({more} more)" if more > 0 else "")
