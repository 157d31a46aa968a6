"""Every plausible meaning of registers."""

from __future__ import annotations

import struct
from typing import Any

import msgspec
import pytest

from pydatacoll.protocols.modbus_tcp import ModbusDevice, ModbusTerm, ModbusTermItem, config
from pydatacoll.protocols.modbus_tcp.probe import interpretations, plausible
from pydatacoll.sdk import Interpretation, Point

DEVICE = ModbusDevice(id="d", name="", protocol="modbus_tcp")
TERM = ModbusTerm(id="t", name="", device_id="d")


def meanings(data: bytes, **options: Any) -> list[Interpretation]:
    item = msgspec.convert({"term_id": "t", "item_id": "i", "protocol_code": "hr:0", **options}, ModbusTermItem)
    return list(interpretations(data, config.resolve(DEVICE, TERM, item), Point(TERM, item)))


def find(found: list[Interpretation], *what: object) -> list[Interpretation]:
    return [one for one in found if (one.code_type, one.byte_order, one.word_order)[: len(what)] == what]


def test_a_float_is_found_in_whatever_order_it_is() -> None:
    abcd = struct.pack(">f", 230.5)
    for data, byte_order, word_order in [
        (abcd, "big", "big"),
        (abcd[2:] + abcd[:2], "big", "little"),
        (bytes([abcd[1], abcd[0], abcd[3], abcd[2]]), "little", "big"),
        (abcd[::-1], "little", "little"),
    ]:
        (one,) = find(meanings(data), "float32", byte_order, word_order)
        assert one.value == 230.5
        assert not one.configured


def test_the_configured_way_comes_first_once_and_scaled() -> None:
    found = meanings(struct.pack(">i", -1234) + bytes(4), code_type="int32", coefficient=0.1)
    assert found[0] == Interpretation("int32", -123.4, "big", "big", configured=True)
    assert len(find(found, "int32", "big", "big")) == 1
    assert [one.configured for one in found].count(True) == 1


def test_one_register_has_the_types_of_one_register() -> None:
    found = meanings(b"\xff\xfe")
    assert {(one.code_type, one.byte_order, one.word_order, one.value) for one in found} == {
        ("uint16", "big", None, 0xFFFE),
        ("uint16", "little", None, 0xFEFF),
        ("int16", "big", None, -2),
        ("int16", "little", None, -257),
    }


@pytest.mark.parametrize(
    "raw", [b"\x7f\xc0\x00\x00", b"\x00\x00\x00\x01", b"\x7f\x80\x00\x00", b"\x7e\xff\xff\xff"]
)
def test_what_nobody_measures_is_left_out(raw: bytes) -> None:
    """Not a number, denormal, infinite, 1.7e38."""
    assert find(meanings(raw), "float32", "big", "big") == []


def test_the_configured_way_is_shown_even_when_it_cannot_be() -> None:
    (one,) = find(meanings(b"\x7f\xc0\x00\x00", code_type="float32"), "float32", "big", "big")
    assert (one.value, one.configured) == (None, True)


def test_sixty_four_bits() -> None:
    found = meanings(struct.pack(">d", 50.02))
    assert [one.value for one in find(found, "float64", "big", "big")] == [50.02]
    assert find(found, "uint64", "big", "big") == []  # 4.6e18 is no count of anything
    assert [one.value for one in find(meanings(struct.pack(">q", -5)), "int64", "big", "big")] == [-5]


def test_texts_and_bits() -> None:
    assert meanings(b"PUMP", code_type="string", length=4)[0].value == "PUMP"
    bit = meanings(b"\x00\x08", bit=3)[0]
    assert (bit.code_type, bit.value, bit.configured) == ("bool", True, True)


def test_zero_is_plausible() -> None:
    assert plausible("float32", 0.0)
    assert not plausible("float64", 1e31)
    assert not plausible("float32", None)
