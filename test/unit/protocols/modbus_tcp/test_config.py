"""Checks at configuration time and engineering value -> raw value."""

from __future__ import annotations

import contextlib

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from pydatacoll.errors import Invalid
from pydatacoll.protocols.modbus_tcp import ModbusDevice, ModbusTcpDriver, ModbusTerm, ModbusTermItem
from pydatacoll.protocols.modbus_tcp.config import parse_code

DEVICE = ModbusDevice(id="d", name="d", protocol="modbus_tcp")
TERM = ModbusTerm(id="t", name="t", device_id="d", address=7)


def item(code: str | None = "hr:0", **options: object) -> ModbusTermItem:
    return msgspec.convert(
        {"term_id": "t", "item_id": "i", "protocol_code": options.pop("code", code), **options}, ModbusTermItem
    )


def errors(point: ModbusTermItem, device: ModbusDevice = DEVICE) -> dict[str, str]:
    return dict(ModbusTcpDriver.check(device, TERM, point))


@pytest.mark.parametrize(
    ("code", "expected"),
    [
        ("hr:100", ("hr", 100)),
        ("ir:0", ("ir", 0)),
        ("co:5", ("co", 5)),
        ("di:65535", ("di", 65535)),
        ("4x101", ("hr", 100)),
        ("3x1", ("ir", 0)),
        ("0x6", ("co", 5)),
        ("1x65536", ("di", 65535)),
        ("4x00001", ("hr", 0)),
    ],
)
def test_spellings(code: str, expected: tuple[str, int]) -> None:
    assert parse_code(code) == expected


@pytest.mark.parametrize(
    "code",
    ["hr:65536", "4x0", "4x65537", "2x1", "hr", "hr:", "hr:-1", "hr:1.5", " hr:1", "hr:1\n", "hr:١", "HR:1", ""],
)
def test_no_other_spelling(code: str) -> None:
    assert "protocol_code" in errors(item(code))


def test_a_bare_number_is_refused_with_both_spellings() -> None:
    message = errors(item("100"))["protocol_code"]
    assert "hr:100" in message
    assert "4x101" in message


@pytest.mark.parametrize(
    ("point", "field"),
    [
        (item("hr:65535", code_type="float32"), "protocol_code"),
        (item("hr:65533", code_type="uint64"), "protocol_code"),
        (item(code_type="string"), "length"),
        (item(code_type="uint16", length=4), "length"),
        (item(code_type="string", length=248, writable=True), "length"),
        (item("co:1", bit=1), "bit"),
        (item("co:1", code_type="float32"), "code_type"),
        (item("di:1", code_type="uint16"), "code_type"),
        (item(bit=1, code_type="uint32"), "bit"),
        (item("di:1", writable=True), "writable"),
        (item("ir:1", writable=True), "writable"),
        (item(None, writable=True), "protocol_code"),
        (item("co:1", coefficient=2), "coefficient"),
        (item(bit=3, base_val=2), "coefficient"),
        (item(coefficient=0, writable=True), "coefficient"),
    ],
)
def test_what_is_refused(point: ModbusTermItem, field: str) -> None:
    assert field in errors(point)


@pytest.mark.parametrize(
    "point",
    [
        item("hr:65534", code_type="float32"),
        item("hr:65535"),
        item(None),
        item(code_type="string", length=250),
        item(code_type="string", length=246, writable=True),
        item(bit=15, writable=True),
        item("co:65535", writable=True),
        item(coefficient=0.1, base_val=-40),
    ],
)
def test_what_is_accepted(point: ModbusTermItem) -> None:
    assert errors(point) == {}


def test_a_value_must_fit_the_block() -> None:
    small = msgspec.structs.replace(DEVICE, max_block=2)
    assert "code_type" in errors(item(code_type="float64"), small)


@pytest.mark.parametrize(
    "wrong",
    [{"bit": 16}, {"length": 0}, {"length": 251}, {"code_type": "float16"}, {"poll_interval": -1}, {"bits": 1}],
)
def test_types_refuse(wrong: dict[str, object]) -> None:
    with pytest.raises(msgspec.ValidationError):
        item(**wrong)


@pytest.mark.parametrize(
    "wrong", [{"timeout": 0}, {"max_block": 126}, {"max_in_flight": 17}, {"retries": -1}, {"byte_order": "middle"}]
)
def test_device_types_refuse(wrong: dict[str, object]) -> None:
    with pytest.raises(msgspec.ValidationError):
        msgspec.convert({"id": "d", "name": "d", "protocol": "modbus_tcp", **wrong}, ModbusDevice)


def test_address_is_the_same_for_both_spellings_and_reads_well() -> None:
    one = ModbusTcpDriver.address(DEVICE, TERM, item("hr:100"))
    other = ModbusTcpDriver.address(DEVICE, TERM, item("4x101"))
    assert one == other
    assert hash(one) == hash(other)
    assert f"{one} {one!r}" == "hr:100 of unit 7 hr:100 of unit 7"
    assert str(ModbusTcpDriver.address(DEVICE, TERM, item(bit=3))) == "hr:0 bit 3 of unit 7"
    assert len({ModbusTcpDriver.address(DEVICE, TERM, p) for p in (item(), item(bit=0), item(bit=1))}) == 3
    assert ModbusTcpDriver.address(DEVICE, TERM, item(None)) is None


def raw(value: object, **options: object) -> object:
    return ModbusTcpDriver.check_value(DEVICE, TERM, item(**options), value)


@pytest.mark.parametrize(
    ("value", "options", "expected"),
    [
        (5, {}, 5),
        (5.0, {}, 5),
        ("5", {}, 5),
        (23.5, {"coefficient": 0.1}, 235),
        (0.3, {"coefficient": 0.1}, 3),
        (-40.0, {"base_val": -40.0, "coefficient": 0.5}, 0),
        (2**64 - 1, {"code_type": "uint64"}, 2**64 - 1),
        (-(2**63), {"code_type": "int64"}, -(2**63)),
        (1, {"code_type": "float32"}, 1.0),
        ("1e3", {"code_type": "float32"}, 1000.0),
        (True, {"bit": 1}, True),
        (0, {"code": "co:1"}, False),
        ("true", {"code": "co:1"}, True),
        ("pump", {"code_type": "string", "length": 4}, "pump"),
        (-2, {"coefficient": -1.0}, 2),
    ],
)
def test_raw_values(value: object, options: dict[str, object], expected: object) -> None:
    result = raw(value, **options)
    assert result == expected
    assert type(result) is type(expected)


@pytest.mark.parametrize(
    ("value", "options"),
    [
        (65536, {}),
        (-1, {}),
        (1.5, {}),
        (True, {}),
        (None, {}),
        ("1,5", {}),
        ("0x10", {}),
        (float("nan"), {}),
        (float("inf"), {"code_type": "float32"}),
        (float("nan"), {"code_type": "float64"}),
        ("nan", {"code_type": "float64"}),
        ("1e999", {"code_type": "float64"}),
        (10**400, {"code_type": "float64"}),
        (1e39, {"code_type": "float32"}),
        (-3.5e38, {"code_type": "float32"}),
        (23.55, {"coefficient": 0.1}),
        (6553.6, {"coefficient": 0.1}),
        (1e308, {"coefficient": 1e-10, "code_type": "float64"}),
        (2, {"bit": 1}),
        (0.5, {"code": "co:1"}),
        ("yes", {"code": "co:1"}),
        ("pumps", {"code_type": "string", "length": 4}),
        ("\ud800", {"code_type": "string", "length": 4}),
        (7, {"code_type": "string", "length": 4}),
        (1, {"coefficient": 0.0}),
    ],
)
def test_values_that_do_not_fit_are_refused(value: object, options: dict[str, object]) -> None:
    with pytest.raises(Invalid):
        raw(value, **options)


def test_the_message_names_the_step_and_the_range() -> None:
    with pytest.raises(Invalid, match=r"steps of 0\.1"):
        raw(23.55, coefficient=0.1)
    with pytest.raises(Invalid, match="0 to 65535"):
        raw(70000)


@given(
    st.integers(0, 65535),
    st.sampled_from([0.1, 0.01, 0.5, 2.0, -0.1, 1e-3]),
    st.sampled_from([0.0, -40.0, 273.15]),
)
def test_what_is_read_can_be_written_back(value: int, coefficient: float, base: float) -> None:
    engineering = value * coefficient + base
    assert raw(engineering, coefficient=coefficient, base_val=base) == value


@given(
    st.one_of(st.none(), st.booleans(), st.integers(), st.floats(), st.text()),
    st.sampled_from(["uint16", "float32", "bool"]),
)
def test_nothing_but_invalid_is_raised(value: object, kind: str) -> None:
    with contextlib.suppress(Invalid):
        raw(value, code_type=kind)
