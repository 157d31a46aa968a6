"""Registers <-> values. Expected bytes are the published layouts of 1.0 and 0x11223344, not our own output."""

from __future__ import annotations

import math
import struct

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pydatacoll.codec.registers import (
    CODE_TYPES,
    INTEGER_RANGES,
    BitDecoder,
    BlockDecoder,
    Field,
    Layout,
    decode,
    encode,
    pack_bits,
    unpack_bits,
)

ORDERS = [("big", "big"), ("big", "little"), ("little", "big"), ("little", "little")]


@pytest.mark.parametrize(
    ("byte_order", "word_order", "expected"),
    [
        ("big", "big", "11223344"),
        ("big", "little", "33441122"),
        ("little", "big", "22114433"),
        ("little", "little", "44332211"),
    ],
)
def test_32_bit_orders(byte_order: str, word_order: str, expected: str) -> None:
    layout = Layout("uint32", byte_order, word_order)
    assert encode(layout, 0x11223344).hex() == expected
    assert decode(layout, bytes.fromhex(expected)) == 0x11223344


@pytest.mark.parametrize(
    ("byte_order", "word_order", "expected"),
    [
        ("big", "big", "1122334455667788"),
        ("big", "little", "7788556633441122"),
        ("little", "big", "2211443366558877"),
        ("little", "little", "8877665544332211"),
    ],
)
def test_64_bit_orders(byte_order: str, word_order: str, expected: str) -> None:
    assert encode(Layout("uint64", byte_order, word_order), 0x1122334455667788).hex() == expected


def test_float_one_is_3f80() -> None:
    assert encode(Layout("float32"), 1.0).hex() == "3f800000"
    assert encode(Layout("float32", "big", "little"), 1.0).hex() == "00003f80"
    assert encode(Layout("float64"), 1.0).hex() == "3ff0000000000000"


def test_16_bit_values_know_only_the_byte_order() -> None:
    assert encode(Layout("uint16", "big", "little"), 0x1234).hex() == "1234"
    assert encode(Layout("uint16", "little", "big"), 0x1234).hex() == "3412"
    assert encode(Layout("int16"), -1).hex() == "ffff"


@st.composite
def layouts_and_values(draw: st.DrawFn) -> tuple[Layout, object]:
    kind = draw(st.sampled_from(CODE_TYPES))
    byte_order, word_order = draw(st.sampled_from(ORDERS))
    length = 0
    value: object
    if kind == "bool":
        value = draw(st.booleans())
    elif kind == "string":
        text = draw(st.text(st.characters(exclude_characters="\0", exclude_categories=["Cs"]), max_size=40))
        value = text.rstrip(" ")
        length = max(1, len(value.encode())) + draw(st.integers(0, 5))
    elif kind in INTEGER_RANGES:
        value = draw(st.integers(*INTEGER_RANGES[kind]))
    else:
        value = draw(st.floats(allow_nan=False, allow_infinity=False, width=32 if kind == "float32" else 64))
    return Layout(kind, byte_order, word_order, length), value


@given(layouts_and_values())
def test_decoding_undoes_encoding(case: tuple[Layout, object]) -> None:
    layout, value = case
    data = encode(layout, value)
    assert len(data) == layout.registers * 2
    assert decode(layout, data) == value


@given(st.lists(layouts_and_values(), min_size=1, max_size=30), st.data())
def test_a_block_decodes_like_its_values(cases: list[tuple[Layout, object]], data: st.DataObject) -> None:
    fields, parts, position = [], [], 0
    for layout, value in cases:
        gap = data.draw(st.integers(0, 3))
        position += gap
        parts.append(b"\xaa\x55" * gap + encode(layout, value))
        fields.append(Field(position, layout))
        position += layout.registers
    order = data.draw(st.permutations(range(len(cases))))
    decoder = BlockDecoder([fields[i] for i in order], position)
    values, bad = decoder.decode(b"".join(parts))
    assert bad is None
    assert list(values) == [cases[order[i]][1] for i in decoder.order]


def test_overlapping_values_are_all_decoded() -> None:
    fields = [Field(0, Layout("uint32")), Field(0, Layout()), Field(1, Layout()), Field(1, Layout("bool", bit=2))]
    decoder = BlockDecoder(fields, 2)
    values, _ = decoder.decode(bytes.fromhex("00010004"))
    assert dict(zip(decoder.order, values, strict=True)) == {0: 0x10004, 1: 1, 2: 4, 3: True}


@pytest.mark.parametrize("bits", ["7fc00000", "7f800000", "ff800000"])
def test_a_float_that_is_no_number_is_never_one(bits: str) -> None:
    decoder = BlockDecoder([Field(0, Layout("float32")), Field(2, Layout("float32"))])
    values, bad = decoder.decode(bytes.fromhex("3f800000" + bits))
    assert list(values) == [1.0, None]
    assert bad == [False, True]


def test_big_doubles_whose_sum_overflows_are_good() -> None:
    decoder = BlockDecoder([Field(0, Layout("float64")), Field(4, Layout("float64"))])
    values, bad = decoder.decode(struct.pack(">2d", 1.7e308, 1.7e308))
    assert list(values) == [1.7e308, 1.7e308]
    assert bad is None


def test_bits_of_a_register() -> None:
    for bit in range(16):
        assert decode(Layout("bool", bit=bit), (1 << bit).to_bytes(2, "big")) is True
        assert decode(Layout("bool", bit=bit), (0xFFFF ^ 1 << bit).to_bytes(2, "big")) is False
        assert decode(Layout("bool", "little", bit=bit), (1 << bit).to_bytes(2, "little")) is True


def test_strings() -> None:
    layout = Layout("string", length=5)
    assert encode(layout, "abc") == b"abc\0\0\0"
    assert decode(layout, b"ab\0xyz") == "ab"
    assert decode(layout, b"abc  z") == "abc"
    assert encode(Layout("string", "little", length=4), "abcd") == b"badc"
    assert decode(layout, b"\xff\xfeabcd") is None


@pytest.mark.parametrize(
    ("layout", "value"),
    [
        (Layout("uint16"), 65536),
        (Layout("uint16"), -1),
        (Layout("int16"), 32768),
        (Layout("uint16"), 1.5),
        (Layout("uint16"), "7"),
        (Layout("float32"), 1e39),
        (Layout("bool"), 2),
        (Layout("string", length=2), "abc"),
        (Layout("string", length=2), "é\0"),
        (Layout("string", length=9), "\ud800"),
        (Layout("string", length=9), 7),
    ],
)
def test_what_does_not_fit_is_refused(layout: Layout, value: object) -> None:
    with pytest.raises(ValueError):  # noqa: PT011 - the messages are Python's own in part
        encode(layout, value)


def test_coils_as_in_the_specification() -> None:
    # V1.1b3, 6.1: coils 20-38 read as CD 6B 05.
    bits = unpack_bits(bytes.fromhex("cd6b05"), 19)
    assert bits[:8] == [True, False, True, True, False, False, True, True]
    assert bits[16:] == [True, False, True]
    assert pack_bits(bits) == bytes.fromhex("cd6b05")


@given(st.lists(st.booleans(), min_size=1, max_size=2000))
def test_packing_bits_is_undone(bits: list[bool]) -> None:
    assert unpack_bits(pack_bits(bits), len(bits)) == bits


@given(st.lists(st.booleans(), min_size=1, max_size=100), st.data())
def test_bit_decoder_picks(bits: list[bool], data: st.DataObject) -> None:
    offsets = data.draw(st.lists(st.integers(0, len(bits) - 1), min_size=1, unique=True))
    values, bad = BitDecoder(offsets, len(bits)).decode(pack_bits(bits))
    assert list(values) == [bits[offset] for offset in offsets]
    assert bad is None
    assert not any(isinstance(value, float) and math.isnan(value) for value in values)
