from __future__ import annotations

import math
from dataclasses import dataclass

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pydatacoll.protocols.iec104 import control as c
from pydatacoll.protocols.iec104 import elements as e
from pydatacoll.protocols.iec104.asdu import (
    LAYOUTS,
    Asdu,
    InformationObject,
    UnknownType,
    capacity,
    decode,
    deviations,
    encode,
    header,
)
from pydatacoll.protocols.iec104.errors import LocalProtocolError, ProtocolError, RemoteProtocolError
from pydatacoll.protocols.iec104.times import Cp24, Cp56
from pydatacoll.protocols.iec104.types import TYPES, Direction, Tag
from test.iec104_asdus import ELEMENTS, all_examples, example

BITS = st.booleans()
OCTET = st.integers(0, 255)
WORD = st.integers(0, 0xFFFF)
SHORT = st.integers(-32768, 32767)
FLOATS = st.floats(width=32, allow_nan=False)
NORMALIZED = SHORT.map(lambda raw: raw / 32768)
TWO_BITS = st.integers(0, 3)
QUALIFIER = st.integers(0, 31)
SET_POINT_QUALIFIER = st.integers(0, 127)
KIND = st.integers(0, 63)
UPPER = OCTET.map(lambda octet: octet & 0xFC)

FIELDS: dict[type[e.Element], tuple[st.SearchStrategy, ...]] = {
    e.SinglePoint: (BITS, OCTET.map(lambda octet: octet & 0xFE)),
    e.DoublePoint: (TWO_BITS, UPPER),
    e.StepPosition: (st.integers(-64, 63), BITS, OCTET),
    e.BitString: (st.integers(0, 0xFFFFFFFF), OCTET),
    e.Normalized: (NORMALIZED, OCTET),
    e.NormalizedOnly: (NORMALIZED,),
    e.Scaled: (SHORT, OCTET),
    e.ShortFloat: (FLOATS, OCTET),
    e.Counter: (st.integers(-(2**31), 2**31 - 1), QUALIFIER, BITS, BITS, BITS),
    e.ProtectionEvent: (TWO_BITS, UPPER, WORD),
    e.ProtectionStart: (OCTET, OCTET, WORD),
    e.ProtectionOutput: (OCTET, OCTET, WORD),
    e.PackedSingles: (WORD, WORD, OCTET),
    c.EndOfInitialization: (SET_POINT_QUALIFIER, BITS),
    c.SingleCommand: (BITS, QUALIFIER, BITS, BITS),
    c.DoubleCommand: (TWO_BITS, QUALIFIER, BITS),
    c.StepCommand: (TWO_BITS, QUALIFIER, BITS),
    c.NormalizedSetPoint: (NORMALIZED, SET_POINT_QUALIFIER, BITS),
    c.ScaledSetPoint: (SHORT, SET_POINT_QUALIFIER, BITS),
    c.ShortFloatSetPoint: (FLOATS, SET_POINT_QUALIFIER, BITS),
    c.BitStringCommand: (st.integers(0, 0xFFFFFFFF),),
    c.Interrogation: (OCTET,),
    c.CounterInterrogation: (KIND, TWO_BITS),
    c.TestPattern: (WORD,),
    c.TestCounter: (WORD,),
    c.ResetProcess: (OCTET,),
    c.Delay: (WORD,),
    c.NormalizedParameter: (NORMALIZED, KIND, BITS, BITS),
    c.ScaledParameter: (SHORT, KIND, BITS, BITS),
    c.ShortFloatParameter: (FLOATS, KIND, BITS, BITS),
    c.ParameterActivation: (OCTET,),
}
TAGS = {
    Tag.NONE: st.none(),
    Tag.CP24: st.binary(min_size=3, max_size=3).map(Cp24),
    Tag.CP56: st.binary(min_size=7, max_size=7).map(Cp56),
}
HEADS = {
    "cause": st.integers(1, 63),
    "common_address": st.integers(1, 0xFFFF),
    "negative": BITS,
    "test": BITS,
    "originator": OCTET,
}


@st.composite
def asdus(draw: st.DrawFn, type_id: int) -> Asdu:
    info = TYPES[type_id]
    head = draw(st.fixed_dictionaries(HEADS))
    if info.direction is Direction.FILE:
        raw, number = draw(st.binary(max_size=243)), draw(st.integers(0, 127))
        return Asdu(type_id, **head, sequence=draw(BITS), raw=raw, number=number)
    sequence = info.sequence and draw(BITS)
    number = draw(st.integers(1, capacity(type_id, sequence=sequence)))
    first = draw(st.integers(0, 0xFFFFFF - number + 1))
    element = st.builds(info.element, *FIELDS[info.element]) if info.element else st.none()
    objects = [
        InformationObject(
            first + at if sequence else draw(st.integers(0, 0xFFFFFF)), draw(element), draw(TAGS[info.tag])
        )
        for at in range(number)
    ]
    return Asdu(type_id, **head, sequence=sequence, objects=tuple(objects))


ANY_ASDU = st.sampled_from(sorted(TYPES)).flatmap(asdus)


def names(number: int) -> str:
    return TYPES[number].name


@pytest.mark.parametrize("type_id", sorted(TYPES), ids=names)
def test_nothing_is_lost_there_and_back(type_id: int) -> None:
    @settings(max_examples=30)
    @given(asdus(type_id))
    def check(asdu: Asdu) -> None:
        data = encode(asdu)
        assert len(data) <= 249
        assert decode(data) == asdu
        assert encode(decode(memoryview(data))) == data

    check()


@pytest.mark.parametrize("type_id", sorted(LAYOUTS), ids=names)
def test_every_pattern_of_octets_comes_back(type_id: int) -> None:
    """Whatever a peer puts into an element, reserved bits included, is kept."""
    layout = LAYOUTS[type_id]

    @settings(max_examples=30)
    @given(st.binary(min_size=layout.following.size, max_size=layout.following.size))
    def check(octets: bytes) -> None:
        data = bytes([type_id, 1, 3, 0, 1, 0, 9, 0, 0]) + octets
        asdu = decode(data)
        values = [getattr(asdu.objects[0].element, "value", 0.0)]
        if not any(math.isnan(value) for value in values):  # a signalling NaN becomes a quiet one
            assert encode(asdu) == data

    check()


@given(st.binary(max_size=260))
def test_random_octets_raise_nothing_but_the_error(data: bytes) -> None:
    taken(data)


@given(ANY_ASDU, st.data())
def test_mutated_asdus_raise_nothing_but_the_error(asdu: Asdu, data: st.DataObject) -> None:
    octets = bytearray(encode(asdu))
    for _ in range(data.draw(st.integers(1, 4))):
        at = data.draw(st.integers(0, len(octets) - 1))
        if data.draw(BITS):
            octets[at] = data.draw(OCTET)
        else:
            del octets[at:]
            octets += data.draw(st.binary(max_size=9))
        if not octets:
            break
    taken(bytes(octets))


def taken(data: bytes) -> None:
    try:
        asdu = decode(data)
    except RemoteProtocolError as error:
        assert error.data == data  # noqa: PT017 - what must hold of every error
        return
    deviations(asdu)
    try:
        encode(asdu)
    except LocalProtocolError:
        assert deviations(asdu)


def test_every_type_has_an_example() -> None:
    assert {asdu.type_id for asdu in all_examples()} == set(LAYOUTS)
    assert set(ELEMENTS) == set(FIELDS)


@dataclass
class Known:
    """Octets as the standard lays them out, worked out by hand."""

    octets: str
    asdu: Asdu


def cp56(text: str) -> Cp56:
    return Cp56(bytes.fromhex(text))


KNOWN = {
    "single points": Known(
        "01 02 03 00 0a 00  0b 00 00 01  0c 00 01 90",
        Asdu(
            1,
            3,
            10,
            (InformationObject(11, e.SinglePoint(True)), InformationObject(0x1000C, e.SinglePoint(False, 0x90))),
        ),
    ),
    "a sequence of floats": Known(
        "0d 82 14 00 01 00  10 27 00  00 00 c0 3f 00  00 00 80 bf 40",
        Asdu(
            13,
            20,
            1,
            (
                InformationObject(10000, e.ShortFloat(1.5)),
                InformationObject(10001, e.ShortFloat(-1.0, e.NT)),
            ),
            sequence=True,
        ),
    ),
    "a step position with time": Known(
        "20 01 0b 00 01 00  07 00 00  ff 01  15 cd 22 8c 9d 02 18",
        Asdu(32, 11, 1, (InformationObject(7, e.StepPosition(-1, True, e.OV), cp56("15cd228c9d0218")),)),
    ),
    "a counter": Known(
        "0f 01 25 00 02 00  01 00 00  ff ff ff ff  a3",
        Asdu(15, 37, 2, (InformationObject(1, e.Counter(-1, 3, True, False, True)),)),
    ),
    "a negative confirmation of a select": Known(
        "2e 01 47 05 01 00  64 00 00  86",
        Asdu(46, 7, 1, (InformationObject(100, c.DoubleCommand(2, 1, True)),), negative=True, originator=5),
    ),
    "a set-point, in test": Known(
        "31 01 86 00 ff ff  01 00 00  18 fc 00",
        Asdu(49, 6, 65535, (InformationObject(1, c.ScaledSetPoint(-1000)),), test=True),
    ),
    "a general interrogation": Known(
        "64 01 06 00 01 00  00 00 00  14", Asdu(100, 6, 1, (InformationObject(0, c.Interrogation(20)),))
    ),
    "a read command": Known("66 01 05 00 01 00  2a 00 00", Asdu(102, 5, 1, (InformationObject(42),))),
    "a clock": Known(
        "67 01 06 00 01 00  00 00 00  15 dd 22 0c 9d 02 18",
        Asdu(103, 6, 1, (InformationObject(0, None, cp56("15dd220c9d0218")),)),
    ),
    "a test command": Known(
        "68 01 06 00 01 00  00 00 00  aa 55", Asdu(104, 6, 1, (InformationObject(0, c.TestPattern()),))
    ),
    "a file": Known("78 01 0d 00 01 00  01 02 03 04", Asdu(120, 13, 1, raw=b"\1\2\3\4", number=1)),
}


@pytest.mark.parametrize("name", KNOWN)
def test_octets_mean_what_the_standard_says(name: str) -> None:
    known = KNOWN[name]
    octets = bytes.fromhex(known.octets)
    assert decode(octets) == known.asdu
    assert encode(known.asdu) == octets
    assert deviations(known.asdu) == []


REFUSED = {
    "nothing": ("", "0 octets are less"),
    "half an identifier": ("01 01 03 00 01", "5 octets are less"),
    "no object": ("01 00 03 00 01 00", "without objects"),
    "no object in sequence": ("01 80 03 00 01 00 01 00 00", "without objects"),
    "an octet missing": ("24 01 03 00 01 00 01 00 00 00 00 00 00 00 00 00 00 00 00 00", "15 octets"),
    "an octet too many": ("01 01 03 00 01 00 01 00 00 01 00", "must have 4 octets after its identifier, not 5"),
    "number too large": ("01 02 03 00 01 00 01 00 00 01", "number of objects 2, SQ = 0, must have 8"),
    "sequence beyond the last address": ("01 82 03 00 01 00 ff ff ff 01 01", "beyond 16777215"),
    "two commands": ("2d 02 06 00 01 00 01 00 00 01 02 00 00 01", "exactly one"),
    "a command in sequence": ("2d 81 06 00 01 00 01 00 00 01", "exactly one"),
    "type 0": ("00 01 03 00 01 00 01 00 00 01", "unknown type 0 (not used)"),
    "a reserved type": ("16 01 03 00 01 00 01 00 00 01", "unknown type 22 (reserved)"),
    "a private type": ("c8 01 03 00 01 00 01 00 00 01", "unknown type 200 (private)"),
}


@pytest.mark.parametrize("name", REFUSED)
def test_what_cannot_be_trusted_is_refused_as_a_whole(name: str) -> None:
    octets, message = REFUSED[name]
    data = bytes.fromhex(octets)
    with pytest.raises(RemoteProtocolError) as caught:
        decode(data)
    assert message in str(caught.value)
    assert caught.value.data == data


def test_an_unknown_type_can_be_answered() -> None:
    with pytest.raises(UnknownType) as caught:
        decode(bytes.fromhex("c8 01 86 07 34 12 01 00 00 01"))
    assert caught.value.header == header(caught.value.data)
    assert caught.value.header == (200, False, 1, 6, False, True, 7, 0x1234)


TOLERATED = {
    "reserved bits of SIQ": ("01 01 03 00 01 00 01 00 00 0f", "reserved bits of quality set"),
    "cause 0": ("01 01 00 00 01 00 01 00 00 01", "cause 0 is not used"),
    "cause 43": ("01 01 2b 00 01 00 01 00 00 01", "cause 43 is reserved"),
    "common address 0": ("01 01 03 00 00 00 01 00 00 01", "common address 0 is not used"),
    "address 0": ("01 01 03 00 01 00 00 00 00 01", "address 0 belongs to no point"),
    "an interrogation of an address": ("64 01 06 00 01 00 05 00 00 14", "C_IC_NA_1 has address 0"),
    "SQ with time tag": ("02 81 03 00 01 00 05 00 00 01 00 00 00", "M_SP_TA_1 has no SQ = 1"),
    "a wrong test pattern": ("68 01 06 00 01 00 00 00 00 55 aa", "test pattern aa55H instead of 55aaH"),
    "a double command that says nothing": ("2e 01 06 00 01 00 01 00 00 00", "0 and 3 are not permitted"),
    "reserved bits of a time tag": (
        "1e 01 03 00 01 00 01 00 00 01 00 00 00 60 01 01 18",
        "reserved bits of the time tag set",
    ),
    "two packed events": ("12 02 03 00 01 00" + 2 * "01 00 00 01 00 00 00 00 00 00", "M_EP_TB_1 has one object"),
}


@pytest.mark.parametrize("name", TOLERATED)
def test_what_leaves_no_doubt_is_taken_and_named(name: str) -> None:
    octets, message = TOLERATED[name]
    found = deviations(decode(bytes.fromhex(octets)))
    assert len(found) == 1
    assert message in found[0]


def one(type_id: int, element: e.Element | None, **changes: object) -> Asdu:
    return msgspec.structs.replace(Asdu(type_id, 6, 1, (InformationObject(1, element),)), **changes)


UNSENDABLE = {
    "normalized 1.5": (one(48, c.NormalizedSetPoint(1.5)), "from -1 to 0.999969"),
    "normalized 1": (one(48, c.NormalizedSetPoint(1.0)), "from -1 to 0.999969"),
    "normalized NaN": (one(48, c.NormalizedSetPoint(math.nan)), "from -1 to 0.999969"),
    "scaled 40000": (one(49, c.ScaledSetPoint(40000)), "from -32768 to 32767"),
    "scaled 1.5": (one(49, c.ScaledSetPoint(1.5)), "not a whole number"),
    "double command 5": (one(46, c.DoubleCommand(5)), "from 0 to 3"),
    "a float beyond 32 bits": (one(50, c.ShortFloatSetPoint(1e39)), "32-bit floating point"),
    "a text": (one(50, c.ShortFloatSetPoint("1")), "32-bit floating point"),
    "step 64": (one(5, e.StepPosition(64)), "from -64 to 63"),
    "a quality that is none": (one(1, e.SinglePoint(True, 0x81)), "not its own"),
    "qualifier 32": (one(45, c.SingleCommand(True, 32)), "from 0 to 31"),
    "address 16777216": (one(45, c.SingleCommand(True), objects=(InformationObject(1 << 24),)), "16777215"),
    "address -1": (one(45, c.SingleCommand(True), objects=(InformationObject(-1),)), "information object"),
    "common address 0": (one(45, c.SingleCommand(True), common_address=0), "common address"),
    "common address 65536": (one(45, c.SingleCommand(True), common_address=65536), "common address"),
    "cause 0": (one(45, c.SingleCommand(True), cause=0), "cause"),
    "cause 64": (one(45, c.SingleCommand(True), cause=64), "cause"),
    "originator 256": (one(45, c.SingleCommand(True), originator=256), "originator"),
    "an unknown type": (one(200, c.SingleCommand(True)), "no objects of type 200 (private)"),
    "another type's element": (one(45, c.DoubleCommand(1)), "has an element SingleCommand"),
    "no element": (one(45, None), "has an element SingleCommand"),
    "an element too many": (one(102, c.SingleCommand(True)), "has no element"),
    "no time tag": (one(58, c.SingleCommand(True)), "CP56Time2a"),
    "a time tag too many": (
        one(45, None, objects=(InformationObject(1, c.SingleCommand(True), Cp24(b"\0\0\0")),)),
        "has no time tag",
    ),
    "half a time tag": (
        one(58, None, objects=(InformationObject(1, c.SingleCommand(True), Cp56(b"\0\0\0")),)),
        "CP56Time2a",
    ),
    "no object": (one(1, None, objects=()), "0 objects"),
    "two commands": (one(45, None, objects=(InformationObject(1, c.SingleCommand(True)),) * 2), "2 objects"),
    "octets with objects": (one(45, c.SingleCommand(True), raw=b"1"), "no file transfer"),
    "a sequence with time tags": (msgspec.structs.replace(example(30), sequence=True), "has no SQ = 1"),
    "a sequence with a gap": (msgspec.structs.replace(example(1), sequence=True), "consecutive"),
    "more than a frame holds": (
        one(1, None, objects=tuple(InformationObject(at, e.SinglePoint(True)) for at in range(61))),
        "at most 249",
    ),
}


@pytest.mark.parametrize("name", UNSENDABLE)
def test_what_cannot_be_sent_is_refused_by_name(name: str) -> None:
    asdu, message = UNSENDABLE[name]
    with pytest.raises(LocalProtocolError) as caught:
        encode(asdu)
    assert message in str(caught.value)


def test_a_full_frame_is_known_beforehand() -> None:
    assert capacity(36) == 16
    assert capacity(1) == 60
    assert capacity(1, sequence=True) == 127  # the number has 7 bits
    assert capacity(13, sequence=True) == 48
    assert capacity(45) == 1
    for impossible in ((36, True), (200, False), (120, False)):
        with pytest.raises(ProtocolError):
            capacity(impossible[0], sequence=impossible[1])
