"""The type identifications of the companion standard (IEC 60870-5-101, 7.2.1 and 7.3; IEC 60870-5-104 for 58-64,
107 and 127): name, layout and use of each, in one table."""

from __future__ import annotations

from enum import Enum

import msgspec

from pydatacoll.protocols.iec104 import control as c
from pydatacoll.protocols.iec104 import elements as e


class Direction(Enum):
    """Who sends it with new information. Commands come back mirrored."""

    MONITOR = "monitor"
    CONTROL = "control"
    PARAMETER = "parameter"
    FILE = "file"


class Tag(Enum):
    """Time tag of each object; the value is its size in octets."""

    NONE = 0
    CP24 = 3
    CP56 = 7


class TypeInfo(msgspec.Struct, frozen=True):
    """One type identification.

    :ivar element: what stands between address and time tag; ``None`` for nothing, and for files.
    :ivar many: several objects in one ASDU are allowed; otherwise exactly one.
    :ivar sequence: SQ = 1 is allowed: consecutive addresses, of which only the first is sent.
    :ivar system: it concerns the station, not a point: its address is 0.
    :ivar command: of a type in monitor direction: the command (without time tag) that moves such a point.
    :ivar tagged_command: the same command with CP56Time2a.
    """

    number: int
    name: str
    text: str
    direction: Direction
    element: type[e.Element] | None = None
    tag: Tag = Tag.NONE
    many: bool = False
    sequence: bool = False
    system: bool = False
    command: int | None = None
    tagged_command: int | None = None


def _monitor() -> list[TypeInfo]:
    # number without tag, with CP24, with CP56, element, names and text, command, command with CP56
    rows: list[tuple[tuple[int, int, int], type[e.Element], tuple[str, str, str], str, tuple[int, int] | None]] = [
        ((1, 2, 30), e.SinglePoint, ("SP_NA", "SP_TA", "SP_TB"), "single-point information", (45, 58)),
        ((3, 4, 31), e.DoublePoint, ("DP_NA", "DP_TA", "DP_TB"), "double-point information", (46, 59)),
        ((5, 6, 32), e.StepPosition, ("ST_NA", "ST_TA", "ST_TB"), "step position", (47, 60)),
        ((7, 8, 33), e.BitString, ("BO_NA", "BO_TA", "BO_TB"), "bitstring of 32 bits", (51, 64)),
        ((9, 10, 34), e.Normalized, ("ME_NA", "ME_TA", "ME_TD"), "measured value, normalized", (48, 61)),
        ((11, 12, 35), e.Scaled, ("ME_NB", "ME_TB", "ME_TE"), "measured value, scaled", (49, 62)),
        (
            (13, 14, 36),
            e.ShortFloat,
            ("ME_NC", "ME_TC", "ME_TF"),
            "measured value, short floating point",
            (50, 63),
        ),
        ((15, 16, 37), e.Counter, ("IT_NA", "IT_TA", "IT_TB"), "integrated totals", None),
        ((0, 17, 38), e.ProtectionEvent, ("", "EP_TA", "EP_TD"), "event of protection equipment", None),
        (
            (0, 18, 39),
            e.ProtectionStart,
            ("", "EP_TB", "EP_TE"),
            "packed start events of protection equipment",
            None,
        ),
        ((0, 19, 40), e.ProtectionOutput, ("", "EP_TC", "EP_TF"), "packed output circuits of protection", None),
        ((20, 0, 0), e.PackedSingles, ("PS_NA", "", ""), "packed single points with change detection", None),
        ((21, 0, 0), e.NormalizedOnly, ("ME_ND", "", ""), "measured value, normalized, without quality", (48, 61)),
    ]
    made = []
    for numbers, element, names, text, commands in rows:
        direct, tagged = commands or (None, None)
        for number, name, tag in zip(numbers, names, Tag, strict=True):
            if number:
                # 18, 19, 39 and 40 carry one object: the packed events of one protection device
                many = element not in (e.ProtectionStart, e.ProtectionOutput)
                whole = text if tag is Tag.NONE else f"{text} with {tag.name}Time2a"
                made.append(
                    TypeInfo(
                        number, f"M_{name}_1", whole, Direction.MONITOR, element, tag,
                        many=many, sequence=tag is Tag.NONE, command=direct, tagged_command=tagged,
                    )
                )  # fmt: skip
    end = TypeInfo(70, "M_EI_NA_1", "end of initialization", Direction.MONITOR, c.EndOfInitialization, system=True)
    return [*made, end]


def _control() -> list[TypeInfo]:
    points: list[tuple[int, int, type[e.Element], str, str, str]] = [
        (45, 58, c.SingleCommand, "SC_NA", "SC_TA", "single command"),
        (46, 59, c.DoubleCommand, "DC_NA", "DC_TA", "double command"),
        (47, 60, c.StepCommand, "RC_NA", "RC_TA", "regulating step command"),
        (48, 61, c.NormalizedSetPoint, "SE_NA", "SE_TA", "set-point command, normalized"),
        (49, 62, c.ScaledSetPoint, "SE_NB", "SE_TB", "set-point command, scaled"),
        (50, 63, c.ShortFloatSetPoint, "SE_NC", "SE_TC", "set-point command, short floating point"),
        (51, 64, c.BitStringCommand, "BO_NA", "BO_TA", "bitstring of 32 bits, command"),
    ]
    made = []
    for number, with_tag, element, name, tagged_name, text in points:
        made.append(TypeInfo(number, f"C_{name}_1", text, Direction.CONTROL, element, tagged_command=with_tag))
        whole = f"{text} with CP56Time2a"
        made.append(TypeInfo(with_tag, f"C_{tagged_name}_1", whole, Direction.CONTROL, element, Tag.CP56))
    system: list[tuple[int, type[e.Element] | None, Tag, str, str]] = [
        (100, c.Interrogation, Tag.NONE, "IC_NA", "interrogation command"),
        (101, c.CounterInterrogation, Tag.NONE, "CI_NA", "counter interrogation command"),
        (103, None, Tag.CP56, "CS_NA", "clock synchronization command"),
        (104, c.TestPattern, Tag.NONE, "TS_NA", "test command"),
        (105, c.ResetProcess, Tag.NONE, "RP_NA", "reset process command"),
        (106, c.Delay, Tag.NONE, "CD_NA", "delay acquisition command"),
        (107, c.TestCounter, Tag.CP56, "TS_TA", "test command with CP56Time2a"),
    ]
    made += [
        TypeInfo(number, f"C_{name}_1", text, Direction.CONTROL, element, tag, system=True)
        for number, element, tag, name, text in system
    ]
    made.append(TypeInfo(102, "C_RD_NA_1", "read command", Direction.CONTROL))
    parameters: list[tuple[int, type[e.Element], str, str]] = [
        (110, c.NormalizedParameter, "ME_NA", "parameter of measured values, normalized"),
        (111, c.ScaledParameter, "ME_NB", "parameter of measured values, scaled"),
        (112, c.ShortFloatParameter, "ME_NC", "parameter of measured values, short floating point"),
        (113, c.ParameterActivation, "AC_NA", "parameter activation"),
    ]
    made += [TypeInfo(n, f"P_{name}_1", text, Direction.PARAMETER, el) for n, el, name, text in parameters]
    return made


_FILES = (
    (120, "FR_NA", "file ready"),
    (121, "SR_NA", "section ready"),
    (122, "SC_NA", "call directory, select, call file or section"),
    (123, "LS_NA", "last section or segment"),
    (124, "AF_NA", "acknowledge file or section"),
    (125, "SG_NA", "segment"),
    (126, "DR_TA", "directory"),
    (127, "SC_NB", "query log, request archive file"),
)

TYPES: dict[int, TypeInfo] = {
    info.number: info
    for info in [
        *_monitor(),
        *_control(),
        *(TypeInfo(n, f"F_{name}_1", text, Direction.FILE, many=True, sequence=True) for n, name, text in _FILES),
    ]
}
BY_NAME: dict[str, TypeInfo] = {info.name: info for info in TYPES.values()}


def find(text: str) -> TypeInfo:
    """The type with this number (``"36"``) or name (``"M_ME_TF_1"``, any case).

    :raises ValueError: when there is none.
    """
    found = TYPES.get(int(text)) if text.isascii() and text.isdigit() else BY_NAME.get(text.upper())
    if found is None:
        raise ValueError(f"{text!r} is no type identification of IEC 60870-5-101/104, such as 36 or M_ME_TF_1")
    return found


def type_name(number: int) -> str:
    """``M_ME_TF_1 (36)``, or what an unknown number is."""
    info = TYPES.get(number)
    if info is not None:
        return f"{info.name} ({number})"
    return f"type {number} ({'private' if number >= 136 else 'reserved' if number else 'not used'})"
