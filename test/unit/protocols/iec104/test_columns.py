"""The fast path must say what the careful one says, of whatever arrives."""

from __future__ import annotations

import math

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pydatacoll.model.quality import Quality
from pydatacoll.protocols.iec104 import elements as e
from pydatacoll.protocols.iec104.asdu import LAYOUTS, Asdu, InformationObject, decode, encode
from pydatacoll.protocols.iec104.columns import COLUMN_TYPES, Columns, decode_columns
from pydatacoll.protocols.iec104.errors import LocalProtocolError, RemoteProtocolError
from pydatacoll.protocols.iec104.times import Zone
from pydatacoll.protocols.iec104.types import TYPES
from test.iec104_asdus import WHEN, all_examples, example

ZONE = Zone.parse("Europe/Vienna")
RECEIVED = WHEN + 5


def names(number: int) -> str:
    return TYPES[number].name


def value_and_extra(element: e.Element) -> tuple[bool | int | float, int | None]:
    match element:
        case e.SinglePoint(on=value):
            return value, None
        case e.DoublePoint(state=value):
            return value, None
        case e.StepPosition(position=value, transient=transient):
            return value, int(transient)
        case e.BitString(bits=value):
            return value, None
        case e.Counter(reading=value, sequence=sequence, carry=carry, adjusted=adjusted, invalid=invalid):
            return value, sequence | carry << 5 | adjusted << 6 | invalid << 7
        case e.PackedSingles(status=value, changed=changed):
            return value, changed
        case e.ProtectionEvent(state=value) | e.ProtectionStart(start=value) | e.ProtectionOutput(output=value):
            return value, element.elapsed | (0x10000 if element.quality & e.EI else 0)
        case e.Normalized(value=value) | e.NormalizedOnly(value=value) | e.Scaled(value=value):
            return value, None
        case e.ShortFloat(value=value):
            return value, None
    raise AssertionError(element)


def same(one: float, other: float) -> bool:
    return (one == other and type(one) is type(other)) or (math.isnan(one) and math.isnan(other))


def agree(asdu: Asdu, columns: Columns) -> None:
    for field in ("type_id", "cause", "negative", "test", "originator", "common_address"):
        assert getattr(columns, field) == getattr(asdu, field)
    assert list(columns.addresses) == [each.address for each in asdu.objects]
    tagged = asdu.objects[0].time is not None
    assert (columns.times is not None) == tagged
    for at, each in enumerate(asdu.objects):
        assert each.element is not None
        value, extra = value_and_extra(each.element)
        assert same(columns.values[at], value)
        assert (None if columns.extras is None else columns.extras[at]) == extra
        quality = e.quality_of(each.element)
        if tagged and each.time is not None:
            assert columns.times is not None
            time = ZONE.seconds(each.time, RECEIVED)
            assert columns.times[at] == time
            if time is None:
                quality |= Quality.TIME_INVALID
        found = columns.qualities if isinstance(columns.qualities, int) else columns.qualities[at]
        assert found == quality


@pytest.mark.parametrize("type_id", sorted(COLUMN_TYPES), ids=names)
def test_columns_agree_with_objects(type_id: int) -> None:
    layout = LAYOUTS[type_id]

    @settings(max_examples=40)
    @given(st.data(), st.booleans(), st.booleans())
    def check(data: st.DataObject, sequence: bool, alike: bool) -> None:
        size, head = (layout.following.size, 9) if sequence else (layout.single.size, 6)
        number = data.draw(st.integers(1, min(127, (249 - head) // size)))
        first = b"\xf0\xff\x00" if sequence else b""
        element = st.binary(min_size=size, max_size=size)
        body = data.draw(element) * number if alike else b"".join(data.draw(element) for _ in range(number))
        octets = bytes([type_id, number | sequence << 7, 3, 9, 1, 0]) + first + body
        agree(decode(octets), decode_columns(memoryview(octets), ZONE, RECEIVED))

    check()


def test_columns_of_the_examples_agree() -> None:
    for asdu in all_examples():
        if asdu.type_id in COLUMN_TYPES:
            agree(asdu, decode_columns(encode(asdu), ZONE, RECEIVED))


def test_quality_reaches_the_sample() -> None:
    octets = bytes([13, 6, 3, 0, 1, 0])
    for at, quality in enumerate((0, 0x80, 0x40, 0x20, 0x10, 0x01)):
        octets += bytes([at + 1, 0, 0, 0, 0, 0, 0, quality])
    columns = decode_columns(octets)
    assert columns.qualities == [
        Quality.GOOD,
        Quality.INVALID,
        Quality.NOT_TOPICAL,
        Quality.SUBSTITUTED,
        Quality.BLOCKED,
        Quality.OVERFLOW,
    ]
    assert [e.quality_octet(quality) for quality in columns.qualities] == [0, 0x80, 0x40, 0x20, 0x10, 0x01]


def test_one_quality_stands_for_all_that_are_alike() -> None:
    objects = tuple(InformationObject(at + 1, e.ShortFloat(at, e.IV)) for at in range(3))
    assert decode_columns(encode(Asdu(13, 3, 1, objects))).qualities == Quality.INVALID


def test_an_invalid_time_is_none_and_leaves_the_value() -> None:
    columns = decode_columns(encode(example(36)))
    assert columns.times == [WHEN, None]
    assert columns.values == (-1.5, 230.25)
    assert columns.qualities == [0, Quality.SUBSTITUTED | Quality.BLOCKED | Quality.TIME_INVALID]


def test_a_short_tag_needs_the_time_of_receipt() -> None:
    octets = encode(example(2))
    assert decode_columns(octets).times == [None, None]
    assert decode_columns(octets, reference=RECEIVED).times == [pytest.approx(WHEN), None]


def test_what_has_no_columns_is_refused() -> None:
    for number in sorted(set(LAYOUTS) - COLUMN_TYPES):
        with pytest.raises(LocalProtocolError, match="has no columns"):
            decode_columns(encode(example(number)))
    with pytest.raises(LocalProtocolError, match="has no columns"):
        decode_columns(encode(Asdu(120, 13, 1, raw=b"1")))


@given(st.sampled_from(sorted(COLUMN_TYPES)), st.integers(0, 255), st.binary(max_size=243))
def test_both_ways_refuse_the_same(type_id: int, vsq: int, body: bytes) -> None:
    octets = bytes([type_id, vsq, 3, 0, 1, 0]) + body
    try:
        asdu = decode(octets)
    except RemoteProtocolError as refused:
        message = str(refused)
    else:
        agree(asdu, decode_columns(octets, ZONE, RECEIVED))
        return
    with pytest.raises(RemoteProtocolError) as caught:
        decode_columns(octets)
    assert str(caught.value) == message
