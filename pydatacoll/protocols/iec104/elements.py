"""Information elements of the companion standard (IEC 60870-5-101, 7.2.6), each a small struct.

``FORMAT`` are its octets as :mod:`struct` sees them, little endian, without address and time tag; ``unpack`` takes
what ``struct`` read, ``pack`` gives what it writes. Nothing is lost on the way: a field that holds flags keeps the
reserved bits of its octet too, so that what came in goes out again unchanged (the one exception: a signalling NaN
becomes a quiet one, as everywhere in Python). ``RESERVED`` names them; they are 0 by the standard, and a receiver
does not look at them.

``quality`` is the quality descriptor (7.2.6.3, for protection equipment 7.2.6.4) as it stands in its octet;
:func:`model_quality` turns it into the flags of a sample.
"""

from __future__ import annotations

import struct
from typing import Any, ClassVar, Self, cast

import msgspec

from pydatacoll.model.quality import Quality
from pydatacoll.protocols.iec104.errors import LocalProtocolError

OV = 0x01
"""Overflow: the value is beyond what the type can hold."""
EI = 0x08
"""Elapsed time invalid (protection equipment only)."""
BL = 0x10
SB = 0x20
NT = 0x40
IV = 0x80

_QUALITY = ((BL, Quality.BLOCKED), (SB, Quality.SUBSTITUTED), (NT, Quality.NOT_TOPICAL), (IV, Quality.INVALID))


def _table(flags: tuple[tuple[int, Quality], ...]) -> bytes:
    return bytes(sum(int(flag) for bit, flag in flags if octet & bit) for octet in range(256))


STATE_QUALITY = _table(_QUALITY)
"""Octet -> :class:`Quality` bits, where the lowest bits are not a quality (SIQ, DIQ, SEP, QDP)."""
MEASURED_QUALITY = _table(((OV, Quality.OVERFLOW), *_QUALITY))
"""The same for the quality descriptor QDS, which has an overflow bit."""
COUNTER_QUALITY = _table(((IV, Quality.INVALID),))
"""The same for the last octet of a counter reading, which has only IV."""


def model_quality(octet: int, *, overflow: bool = True) -> int:
    """:class:`Quality` bits of a quality descriptor; ``overflow``: whether its lowest bit is OV."""
    return (MEASURED_QUALITY if overflow else STATE_QUALITY)[octet]


def quality_octet(quality: int) -> int:
    """The quality descriptor that says what it can of :class:`Quality` bits (those of time and link it cannot)."""
    octet = sum(bit for bit, flag in _QUALITY if quality & flag)
    return octet | OV if quality & Quality.OVERFLOW else octet


def within(value: object, low: int, high: int, what: str) -> int:
    """``value``, if it is a whole number from ``low`` to ``high``.

    :raises LocalProtocolError: otherwise.
    """
    if not isinstance(value, int) or not low <= value <= high:
        raise LocalProtocolError(f"{what} is {value!r}, not a whole number from {low} to {high}")
    return value


def _flags(value: int, mask: int, what: str) -> int:
    if within(value, 0, 255, what) & ~mask:
        raise LocalProtocolError(f"{what} is {value:#04x}, which has bits that are not its own ({mask:#04x})")
    return value


def normalized_raw(value: float) -> int:
    """NVA, 7.2.6.6: multiples of 2^-15 from -1 to 1 - 2^-15; the nearest one is taken."""
    if not -1.0000153 < value < 0.9999848:  # half a step beyond the ends; NaN is not between them either
        raise LocalProtocolError(f"a normalized value is from -1 to 0.999969 (1 - 2^-15), not {value!r}")
    return max(-32768, min(32767, round(value * 32768)))


def scaled_raw(value: float) -> int:
    """SVA: whole numbers of 16 bits."""
    if isinstance(value, float) and value.is_integer():
        value = int(value)
    return within(value, -32768, 32767, "a scaled value")


def float_raw(value: float) -> float:
    """R32. Infinite and NaN are numbers of IEEE STD 754 and pass."""
    try:
        struct.pack("<f", value)
    except (OverflowError, struct.error) as error:
        raise LocalProtocolError(f"{value!r} is not a number of 32-bit floating point") from error
    return value


class Element(msgspec.Struct, frozen=True):
    """What stands between address and time tag."""

    FORMAT: ClassVar[str]
    RESERVED: ClassVar[dict[str, int]] = {}

    @classmethod
    def unpack(cls, raw: tuple[Any, ...]) -> Self:
        """From what ``struct`` read by ``FORMAT``."""
        return cls(*raw)

    def pack(self) -> tuple[Any, ...]:
        """What ``struct`` shall write by ``FORMAT``.

        :raises LocalProtocolError: when a field does not fit.
        """
        raise NotImplementedError

    def deviations(self) -> list[str]:
        """Which fields have reserved bits set."""
        return [
            f"reserved bits of {field} set" for field, mask in self.RESERVED.items() if getattr(self, field) & mask
        ]


class SinglePoint(Element, frozen=True):
    """SIQ, 7.2.6.1."""

    FORMAT = "B"
    RESERVED = {"quality": 0x0E}
    on: bool
    quality: int = 0

    @classmethod
    def unpack(cls, raw: tuple[Any, ...]) -> Self:
        return cls(bool(raw[0] & 1), raw[0] & 0xFE)

    def pack(self) -> tuple[Any, ...]:
        return (within(self.on, 0, 1, "a single point") | _flags(self.quality, 0xFE, "quality"),)


class DoublePoint(Element, frozen=True):
    """DIQ, 7.2.6.2. ``state``: 0 intermediate or indeterminate, 1 off, 2 on, 3 indeterminate."""

    FORMAT = "B"
    RESERVED = {"quality": 0x0C}
    state: int
    quality: int = 0

    @classmethod
    def unpack(cls, raw: tuple[Any, ...]) -> Self:
        return cls(raw[0] & 3, raw[0] & 0xFC)

    def pack(self) -> tuple[Any, ...]:
        return (within(self.state, 0, 3, "a double point") | _flags(self.quality, 0xFC, "quality"),)


class StepPosition(Element, frozen=True):
    """VTI and QDS, 7.2.6.5. ``position``: -64 to 63; ``transient``: the equipment is between two positions."""

    FORMAT = "BB"
    RESERVED = {"quality": 0x0E}
    position: int
    transient: bool = False
    quality: int = 0

    @classmethod
    def unpack(cls, raw: tuple[Any, ...]) -> Self:
        return cls(((raw[0] & 0x7F) ^ 0x40) - 0x40, raw[0] >= 0x80, raw[1])

    def pack(self) -> tuple[Any, ...]:
        position = within(self.position, -64, 63, "a step position") & 0x7F
        return position | (0x80 if self.transient else 0), _flags(self.quality, 0xFF, "quality")


class BitString(Element, frozen=True):
    """BSI (32 bits) and QDS."""

    FORMAT = "IB"
    RESERVED = {"quality": 0x0E}
    bits: int
    quality: int = 0

    def pack(self) -> tuple[Any, ...]:
        return within(self.bits, 0, 0xFFFFFFFF, "a bit string"), _flags(self.quality, 0xFF, "quality")


class NormalizedOnly(Element, frozen=True):
    """NVA without quality descriptor, 7.2.6.6."""

    FORMAT = "h"
    value: float

    @classmethod
    def unpack(cls, raw: tuple[Any, ...]) -> Self:
        return cls(raw[0] / 32768)

    def pack(self) -> tuple[Any, ...]:
        return (normalized_raw(self.value),)


class Normalized(Element, frozen=True):
    """NVA and QDS, 7.2.6.6: -1 to 1 - 2^-15."""

    FORMAT = "hB"
    RESERVED = {"quality": 0x0E}
    value: float
    quality: int = 0

    @classmethod
    def unpack(cls, raw: tuple[Any, ...]) -> Self:
        return cls(raw[0] / 32768, raw[1])

    def pack(self) -> tuple[Any, ...]:
        return normalized_raw(self.value), _flags(self.quality, 0xFF, "quality")


class Scaled(Element, frozen=True):
    """SVA and QDS: -32768 to 32767; the factor is agreed between the stations."""

    FORMAT = "hB"
    RESERVED = {"quality": 0x0E}
    value: int
    quality: int = 0

    def pack(self) -> tuple[Any, ...]:
        return scaled_raw(self.value), _flags(self.quality, 0xFF, "quality")


class ShortFloat(Element, frozen=True):
    """R32 and QDS."""

    FORMAT = "fB"
    RESERVED = {"quality": 0x0E}
    value: float
    quality: int = 0

    def pack(self) -> tuple[Any, ...]:
        return float_raw(self.value), _flags(self.quality, 0xFF, "quality")


class Counter(Element, frozen=True):
    """BCR, 7.2.6.9. ``sequence``: number of the reading, 0 to 31; ``carry``: the counter overflowed since the last
    reading; ``adjusted``: it was set since then."""

    FORMAT = "iB"
    reading: int
    sequence: int = 0
    carry: bool = False
    adjusted: bool = False
    invalid: bool = False

    @classmethod
    def unpack(cls, raw: tuple[Any, ...]) -> Self:
        octet = raw[1]
        return cls(raw[0], octet & 0x1F, bool(octet & 0x20), bool(octet & 0x40), octet >= 0x80)

    def pack(self) -> tuple[Any, ...]:
        flags = (0x20 if self.carry else 0) | (0x40 if self.adjusted else 0) | (0x80 if self.invalid else 0)
        return (
            within(self.reading, -0x80000000, 0x7FFFFFFF, "a counter reading"),
            within(self.sequence, 0, 31, "a sequence number") | flags,
        )


class ProtectionEvent(Element, frozen=True):
    """SEP and CP16Time2a, 7.2.6.10. ``state`` as of a double point; ``elapsed``: ms since the start."""

    FORMAT = "BH"
    RESERVED = {"quality": 0x04}
    state: int
    quality: int = 0
    elapsed: int = 0

    @classmethod
    def unpack(cls, raw: tuple[Any, ...]) -> Self:
        return cls(raw[0] & 3, raw[0] & 0xFC, raw[1])

    def pack(self) -> tuple[Any, ...]:
        octet = within(self.state, 0, 3, "an event") | _flags(self.quality, 0xFC, "quality")
        return octet, within(self.elapsed, 0, 0xFFFF, "elapsed time")


class ProtectionStart(Element, frozen=True):
    """SPE, QDP and CP16Time2a, 7.2.6.11. ``start``: bits 0-5 general, L1, L2, L3, earth current, reverse."""

    FORMAT = "BBH"
    RESERVED = {"start": 0xC0, "quality": 0x07}
    start: int
    quality: int = 0
    elapsed: int = 0

    def pack(self) -> tuple[Any, ...]:
        return (
            within(self.start, 0, 255, "start events"),
            _flags(self.quality, 0xFF, "quality"),
            within(self.elapsed, 0, 0xFFFF, "elapsed time"),
        )


class ProtectionOutput(Element, frozen=True):
    """OCI, QDP and CP16Time2a, 7.2.6.12. ``output``: bits 0-3 general command, L1, L2, L3."""

    FORMAT = "BBH"
    RESERVED = {"output": 0xF0, "quality": 0x07}
    output: int
    quality: int = 0
    elapsed: int = 0

    def pack(self) -> tuple[Any, ...]:
        return (
            within(self.output, 0, 255, "output circuits"),
            _flags(self.quality, 0xFF, "quality"),
            within(self.elapsed, 0, 0xFFFF, "elapsed time"),
        )


class PackedSingles(Element, frozen=True):
    """SCD and QDS: 16 single points and which of them changed."""

    FORMAT = "HHB"
    RESERVED = {"quality": 0x0E}
    status: int
    changed: int = 0
    quality: int = 0

    def pack(self) -> tuple[Any, ...]:
        return (
            within(self.status, 0, 0xFFFF, "status"),
            within(self.changed, 0, 0xFFFF, "changed"),
            _flags(self.quality, 0xFF, "quality"),
        )


def quality_of(element: Element) -> int:
    """:class:`Quality` bits of an element in monitor direction; 0 when it has no quality."""
    if isinstance(element, Counter):
        return int(Quality.INVALID) if element.invalid else 0
    states = (SinglePoint, DoublePoint, ProtectionEvent, ProtectionStart, ProtectionOutput)
    return model_quality(cast("int", getattr(element, "quality", 0)), overflow=not isinstance(element, states))
