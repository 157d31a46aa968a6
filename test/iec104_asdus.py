"""One ASDU of every type of IEC 60870-5-104 that has objects, with values that are not easily mixed up."""

from __future__ import annotations

from pydatacoll.protocols.iec104 import control as c
from pydatacoll.protocols.iec104 import elements as e
from pydatacoll.protocols.iec104.asdu import LAYOUTS, Asdu, InformationObject
from pydatacoll.protocols.iec104.times import Cp24, Cp56, Zone
from pydatacoll.protocols.iec104.types import Direction, Tag

WHEN = 1_709_210_096.789  # 2024-02-29 12:34:56.789 UTC, a Thursday

ELEMENTS: dict[type[e.Element], tuple[e.Element, e.Element]] = {
    e.SinglePoint: (e.SinglePoint(True), e.SinglePoint(False, e.IV | e.BL)),
    e.DoublePoint: (e.DoublePoint(2), e.DoublePoint(3, e.NT)),
    e.StepPosition: (e.StepPosition(-64), e.StepPosition(63, True, e.SB)),
    e.BitString: (e.BitString(0x12345678), e.BitString(0xFFFFFFFE, e.IV)),
    e.Normalized: (e.Normalized(-1.0), e.Normalized(0.25, e.OV)),
    e.NormalizedOnly: (e.NormalizedOnly(-0.5), e.NormalizedOnly(32767 / 32768)),
    e.Scaled: (e.Scaled(-32768), e.Scaled(1234, e.NT | e.OV)),
    e.ShortFloat: (e.ShortFloat(-1.5), e.ShortFloat(230.25, e.SB | e.BL)),
    e.Counter: (e.Counter(-2, 5), e.Counter(123456789, 31, True, True, True)),
    e.ProtectionEvent: (e.ProtectionEvent(2, 0, 1500), e.ProtectionEvent(1, e.EI | e.IV, 59999)),
    e.ProtectionStart: (e.ProtectionStart(0x05, 0, 20), e.ProtectionStart(0x3F, e.EI, 300)),
    e.ProtectionOutput: (e.ProtectionOutput(0x09, 0, 20), e.ProtectionOutput(0x0F, e.BL, 300)),
    e.PackedSingles: (e.PackedSingles(0x8001, 0x0180), e.PackedSingles(0x00FF, 0xFF00, e.OV | e.IV)),
    c.EndOfInitialization: (c.EndOfInitialization(2), c.EndOfInitialization(1, True)),
    c.SingleCommand: (c.SingleCommand(True, 1), c.SingleCommand(False, 3, True)),
    c.DoubleCommand: (c.DoubleCommand(2, 0, True), c.DoubleCommand(1, 2)),
    c.StepCommand: (c.StepCommand(1, 0, True), c.StepCommand(2, 31)),
    c.NormalizedSetPoint: (c.NormalizedSetPoint(-0.75, 0, True), c.NormalizedSetPoint(0.5, 127)),
    c.ScaledSetPoint: (c.ScaledSetPoint(-2, 0, True), c.ScaledSetPoint(32767, 1)),
    c.ShortFloatSetPoint: (c.ShortFloatSetPoint(1.25, 0, True), c.ShortFloatSetPoint(-3.5, 64)),
    c.BitStringCommand: (c.BitStringCommand(0xDEADBEEF), c.BitStringCommand(1)),
    c.Interrogation: (c.Interrogation(), c.Interrogation(36)),
    c.CounterInterrogation: (c.CounterInterrogation(), c.CounterInterrogation(1, 2)),
    c.TestPattern: (c.TestPattern(), c.TestPattern()),
    c.TestCounter: (c.TestCounter(0x1234), c.TestCounter(0xFFFF)),
    c.ResetProcess: (c.ResetProcess(), c.ResetProcess(2)),
    c.Delay: (c.Delay(12345), c.Delay(59999)),
    c.NormalizedParameter: (c.NormalizedParameter(0.125, 1), c.NormalizedParameter(-0.5, 4, True, True)),
    c.ScaledParameter: (c.ScaledParameter(100, 2), c.ScaledParameter(-100, 3, False, True)),
    c.ShortFloatParameter: (c.ShortFloatParameter(0.5, 3), c.ShortFloatParameter(8.0, 4, True)),
    c.ParameterActivation: (c.ParameterActivation(1), c.ParameterActivation(3)),
}


def time_tag(tag: Tag, seconds: float, *, invalid: bool = False) -> Cp24 | Cp56 | None:
    if tag is Tag.NONE:
        return None
    zone = Zone()
    return zone.tag(seconds, invalid=invalid) if tag is Tag.CP56 else zone.short_tag(seconds, invalid=invalid)


def example(type_id: int, *, sequence: bool = False, swapped: bool = False) -> Asdu:
    """Two objects where the type has several, else one; ``swapped``: the other element first."""
    info = LAYOUTS[type_id].info
    elements = ELEMENTS[info.element] if info.element else (None, None)
    if swapped:
        elements = elements[::-1]
    address = 0 if info.system else 0x010203
    objects = [InformationObject(address, elements[0], time_tag(info.tag, WHEN))]
    if info.many:
        following = address + 1 if sequence else 0xFFFFFE
        objects.append(InformationObject(following, elements[1], time_tag(info.tag, WHEN + 0.004, invalid=True)))
    if info.direction is Direction.MONITOR:
        cause = 4 if info.system else 3
    else:
        cause = 5 if info.element is None and info.tag is Tag.NONE else 6
    return Asdu(type_id, cause, 0x1234, tuple(objects), originator=7, sequence=sequence)


def all_examples(*, swapped: bool = False) -> list[Asdu]:
    made = [example(number, swapped=swapped) for number in LAYOUTS]
    return made + [example(number, sequence=True) for number, layout in LAYOUTS.items() if layout.info.sequence]
