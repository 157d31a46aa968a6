"""Information elements in control direction, of parameters and of the system (IEC 60870-5-101, 7.2.6).

The rules are those of :mod:`pydatacoll.protocols.iec104.elements`.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, ClassVar, Self

from pydatacoll.protocols.iec104.elements import Element, float_raw, normalized_raw, scaled_raw, within

TEST_PATTERN = 0x55AA
"""FBP, 7.2.6.14."""


_RAW: dict[str, Callable[[float], float]] = {
    "normalized": normalized_raw,
    "scaled": scaled_raw,
    "float": float_raw,
}
"""Value -> what ``struct`` writes, checked."""


def _se(select: bool) -> int:
    """S/E: select (1) or execute (0)."""
    return 0x80 if select else 0


class SingleCommand(Element, frozen=True):
    """SCO, 7.2.6.15, with the qualifier of command QOC, 7.2.6.26. ``qualifier``: 0 as the station has it, 1 short
    pulse, 2 long pulse, 3 persistent, 4-31 reserved or private; ``select``: select instead of execute."""

    FORMAT = "B"
    RESERVED: ClassVar[dict[str, int]] = {"spare": 1}
    on: bool
    qualifier: int = 0
    select: bool = False
    spare: bool = False

    @classmethod
    def unpack(cls, raw: tuple[Any, ...]) -> Self:
        octet = raw[0]
        return cls(bool(octet & 1), octet >> 2 & 0x1F, octet >= 0x80, bool(octet & 2))

    def pack(self) -> tuple[Any, ...]:
        qualifier = within(self.qualifier, 0, 31, "a qualifier of command") << 2
        return (
            within(self.on, 0, 1, "a single command") | (2 if self.spare else 0) | qualifier | _se(self.select),
        )


class _TwoBitCommand(Element, frozen=True):
    FORMAT = "B"
    state: int
    qualifier: int = 0
    select: bool = False

    @classmethod
    def unpack(cls, raw: tuple[Any, ...]) -> Self:
        return cls(raw[0] & 3, raw[0] >> 2 & 0x1F, raw[0] >= 0x80)

    def pack(self) -> tuple[Any, ...]:
        state = within(self.state, 0, 3, "a command")
        return (state | within(self.qualifier, 0, 31, "a qualifier of command") << 2 | _se(self.select),)

    def deviations(self) -> list[str]:
        return ["0 and 3 are not permitted in a command"] if self.state in (0, 3) else []


class DoubleCommand(_TwoBitCommand, frozen=True):
    """DCO, 7.2.6.16. ``state``: 1 off, 2 on; 0 and 3 are not permitted, but can be sent to see the refusal."""


class StepCommand(_TwoBitCommand, frozen=True):
    """RCO, 7.2.6.17. ``state``: 1 lower, 2 higher; 0 and 3 are not permitted."""


class _Valued(Element, frozen=True):
    """A value of 16 or 32 bits and an octet."""

    FORMAT = "hB"
    KIND: ClassVar[str] = "scaled"
    value: float

    @classmethod
    def value_of(cls, raw: float) -> float:
        return raw / 32768 if cls.KIND == "normalized" else raw

    def raw(self) -> float:
        return _RAW[self.KIND](self.value)


class _SetPoint(_Valued, frozen=True):
    qualifier: int = 0
    select: bool = False

    @classmethod
    def unpack(cls, raw: tuple[Any, ...]) -> Self:
        return cls(cls.value_of(raw[0]), raw[1] & 0x7F, raw[1] >= 0x80)

    def pack(self) -> tuple[Any, ...]:
        return self.raw(), within(self.qualifier, 0, 127, "a qualifier of set-point") | _se(self.select)


class NormalizedSetPoint(_SetPoint, frozen=True):
    """NVA, 7.2.6.6, and the qualifier of set-point QOS. ``qualifier``: 0 default, 1-63 reserved, then private."""

    KIND = "normalized"


class ScaledSetPoint(_SetPoint, frozen=True):
    """SVA and QOS."""


class ShortFloatSetPoint(_SetPoint, frozen=True):
    """R32 and QOS."""

    FORMAT = "fB"
    KIND = "float"


class _Parameter(_Valued, frozen=True):
    kind: int = 0
    changed: bool = False
    inactive: bool = False

    @classmethod
    def unpack(cls, raw: tuple[Any, ...]) -> Self:
        return cls(cls.value_of(raw[0]), raw[1] & 0x3F, bool(raw[1] & 0x40), raw[1] >= 0x80)

    def pack(self) -> tuple[Any, ...]:
        flags = (0x40 if self.changed else 0) | (0x80 if self.inactive else 0)
        return self.raw(), within(self.kind, 0, 63, "a kind of parameter") | flags


class NormalizedParameter(_Parameter, frozen=True):
    """NVA, 7.2.6.6, and QPM, 7.2.6.24. ``kind``: 1 threshold, 2 smoothing factor, 3 low and 4 high limit for
    sending; ``changed``: at the station itself; ``inactive``: not in operation."""

    KIND = "normalized"


class ScaledParameter(_Parameter, frozen=True):
    """SVA and QPM."""


class ShortFloatParameter(_Parameter, frozen=True):
    """R32 and QPM."""

    FORMAT = "fB"
    KIND = "float"


class ParameterActivation(Element, frozen=True):
    """QPA, 7.2.6.25. 1: the parameters loaded before (address 0), 2: those of the object, 3: its cyclic
    sending."""

    FORMAT = "B"
    qualifier: int

    def pack(self) -> tuple[Any, ...]:
        return (within(self.qualifier, 0, 255, "a qualifier of parameter activation"),)


class BitStringCommand(Element, frozen=True):
    """BSI, 32 bits; a command without qualifier, so it cannot be selected."""

    FORMAT = "I"
    bits: int

    def pack(self) -> tuple[Any, ...]:
        return (within(self.bits, 0, 0xFFFFFFFF, "a bit string"),)


class EndOfInitialization(Element, frozen=True):
    """COI, 7.2.6.21. ``cause``: 0 power on, 1 reset at the station, 2 reset from afar; ``changed``: local
    parameters were changed."""

    FORMAT = "B"
    cause: int = 0
    changed: bool = False

    @classmethod
    def unpack(cls, raw: tuple[Any, ...]) -> Self:
        return cls(raw[0] & 0x7F, raw[0] >= 0x80)

    def pack(self) -> tuple[Any, ...]:
        return (within(self.cause, 0, 127, "a cause of initialization") | (0x80 if self.changed else 0),)


class Interrogation(Element, frozen=True):
    """QOI, 7.2.6.22. 20: the whole station, 21 to 36: groups 1 to 16."""

    FORMAT = "B"
    qualifier: int = 20

    def pack(self) -> tuple[Any, ...]:
        return (within(self.qualifier, 0, 255, "a qualifier of interrogation"),)


class CounterInterrogation(Element, frozen=True):
    """QCC, 7.2.6.23. ``request``: 1 to 4 groups, 5 all; ``freeze``: 0 read, 1 freeze, 2 freeze and reset,
    3 reset."""

    FORMAT = "B"
    request: int = 5
    freeze: int = 0

    @classmethod
    def unpack(cls, raw: tuple[Any, ...]) -> Self:
        return cls(raw[0] & 0x3F, raw[0] >> 6)

    def pack(self) -> tuple[Any, ...]:
        return (within(self.request, 0, 63, "a request") | within(self.freeze, 0, 3, "freeze") << 6,)


class TestPattern(Element, frozen=True):
    """FBP, 7.2.6.14."""

    FORMAT = "H"
    pattern: int = TEST_PATTERN

    def pack(self) -> tuple[Any, ...]:
        return (within(self.pattern, 0, 0xFFFF, "a test pattern"),)

    def deviations(self) -> list[str]:
        return [] if self.pattern == TEST_PATTERN else [f"test pattern {self.pattern:04x}H instead of 55aaH"]


class TestCounter(Element, frozen=True):
    """TSC, the counter of a test command with time tag (IEC 60870-5-104)."""

    FORMAT = "H"
    counter: int = 0

    def pack(self) -> tuple[Any, ...]:
        return (within(self.counter, 0, 0xFFFF, "a test counter"),)


class ResetProcess(Element, frozen=True):
    """QRP, 7.2.6.27. 1: the whole process, 2: pending information with time tag in the event buffer."""

    FORMAT = "B"
    qualifier: int = 1

    def pack(self) -> tuple[Any, ...]:
        return (within(self.qualifier, 0, 255, "a qualifier of reset process"),)


class Delay(Element, frozen=True):
    """CP16Time2a of the delay acquisition, ms."""

    FORMAT = "H"
    milliseconds: int = 0

    def pack(self) -> tuple[Any, ...]:
        return (within(self.milliseconds, 0, 0xFFFF, "a delay"),)
