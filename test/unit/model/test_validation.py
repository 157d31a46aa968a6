"""What a client may send, and what it is told when it is wrong."""

from __future__ import annotations

from typing import Any

import pytest

from pydatacoll.errors import Invalid
from pydatacoll.model import Device, Formula
from pydatacoll.model.validation import Kind, to_wire
from pydatacoll.testing.model import WireDevice, WireItem, device, formula, item, schemas, term, term_item

SCHEMAS = schemas()


def errors_of(kind: Kind, payload: object, protocol: str | None = "wire") -> dict[str, str]:
    with pytest.raises(Invalid) as caught:
        SCHEMAS.parse(kind, payload, protocol, index=7)
    assert all(error.index == 7 for error in caught.value.errors)
    assert str(caught.value).startswith(caught.value.errors[0].field)
    return {error.field: error.message for error in caught.value.errors}


def test_numbers_and_booleans_may_come_as_text() -> None:
    made = SCHEMAS.parse("device", device(port="2404", enabled="false", timeout="2.5"))
    assert isinstance(made, WireDevice)
    assert (made.port, made.enabled, made.timeout) == (2404, False, 2.5)


def test_numbers_may_come_where_text_is_meant() -> None:
    made = SCHEMAS.parse("term_item", term_item(1, 2, protocol_code=100, code_type=36), "wire")
    assert isinstance(made, WireItem)
    assert (made.term_id, made.item_id, made.protocol_code, made.code_type) == ("1", "2", "100", "36")


@pytest.mark.parametrize("value", [0.5, 1.0, True, [1], {"a": 1}, 10**64])
@pytest.mark.parametrize("field", ["term_id", "item_id"])
def test_an_id_is_a_text_or_a_whole_number(field: str, value: object) -> None:
    assert errors_of("term_item", term_item() | {field: value}) == {field: "must be a string or a whole number"}


@pytest.mark.parametrize("protocol", [5, 5.0, True, []])
def test_a_protocol_that_is_no_text_is_unknown(protocol: object) -> None:
    assert list(errors_of("device", device(protocol=protocol))) == ["protocol"]


@pytest.mark.parametrize("value", [True, [], {}])
def test_other_types_are_no_text(value: object) -> None:
    assert list(errors_of("item", item(unit=value))) == ["unit"]


def test_every_bad_field_is_named() -> None:
    bad = {
        "id": "a b",
        "protocol": "wire",
        "port": "70000",
        "enabled": "perhaps",
        "time_out": 3,
        "byte_order": "mid",
    }
    found = errors_of("device", bad)
    assert set(found) == {"id", "name", "port", "enabled", "time_out", "byte_order"}
    assert found["name"] == "is required"
    assert found["id"] == "must be 1-64 characters of A-Z a-z 0-9 _ . -"
    assert found["time_out"] == "unknown field; did you mean 'timeout'?"


@pytest.mark.parametrize("key", ["", "a:b", "a b", "x" * 65, "é", "a\n", "a/b", None, True, 1e400])
def test_bad_ids_are_refused(key: object) -> None:
    assert "id" in errors_of("item", item() | {"id": key})


@pytest.mark.parametrize(
    "value",
    ["NaN", "inf", "-Infinity", "1e400", float("nan"), float("inf"), -float("inf"), 10**400, "x", "", True],
)
@pytest.mark.parametrize("field", ["base_val", "coefficient", "up_limit"])
def test_what_is_no_finite_number_is_refused(field: str, value: object) -> None:
    assert list(errors_of("term_item", term_item(**{field: value}))) == [field]


@pytest.mark.parametrize("value", ["\ud800", "a\x00", "\x1b[2J", "\x7f"])
def test_text_that_no_screen_should_get_is_refused(value: str) -> None:
    assert list(errors_of("item", item(description=value))) == ["description"]


@pytest.mark.parametrize(
    "value", ["line\nline\ttab", "Zähler Ωmega", "電圧", "\N{ELECTRIC LIGHT BULB}", "a\u00a0b"]
)
def test_any_other_text_is_kept(value: str) -> None:
    made = SCHEMAS.parse("item", item(description=value))
    assert to_wire(made)["description"] == value


def test_null_means_unset() -> None:
    made = SCHEMAS.parse("device", device(port=None, ip=None, timeout=None))
    assert made == SCHEMAS.parse("device", device())
    assert errors_of("device", device() | {"name": None}) == {"name": "is required"}


def test_what_was_read_can_be_put_back() -> None:
    made = SCHEMAS.parse("device", device(port=502))
    shown = to_wire(made) | {"status": "on", "link": {"state": "up"}}
    assert SCHEMAS.parse("device", shown) == made


@pytest.mark.parametrize("name", ["deadband", "deadband_percent", "min_period"])
def test_a_rule_may_be_zero_but_not_less(name: str) -> None:
    made = SCHEMAS.parse("term_item", term_item(**{name: "0"}), "wire")
    assert to_wire(made)[name] == 0
    assert list(errors_of("term_item", term_item(**{name: -0.1}))) == [name]


@pytest.mark.parametrize("name", ["max_silence", "stale_after", "frozen_after"])
def test_a_time_after_which_something_happens_is_longer_than_none(name: str) -> None:
    SCHEMAS.parse("term_item", term_item(**{name: 0.1}), "wire")
    for wrong in (0, -1, 1e9, "NaN"):
        assert list(errors_of("term_item", term_item(**{name: wrong}))) == [name]


def test_rules_between_fields() -> None:
    assert list(errors_of("term_item", term_item(coefficient="0"))) == ["coefficient"]
    assert list(errors_of("term_item", term_item(down_limit=2, up_limit="1"))) == ["down_limit"]
    SCHEMAS.parse("term_item", term_item(down_limit=1, up_limit=1), "wire")
    assert list(errors_of("term_item", term_item(min_period=10, max_silence="5"))) == ["max_silence"]
    SCHEMAS.parse("term_item", term_item(min_period=10, max_silence=10), "wire")


def test_an_unknown_protocol_lists_the_known_ones() -> None:
    found = errors_of("device", device(protocol="modbus", timeout=1, port="x"))
    assert found["protocol"] == "unknown protocol 'modbus'; known: plain, wire"
    assert set(found) == {"protocol", "port"}  # its own fields are not known, so they are not called unknown


@pytest.mark.parametrize("payload", [None, [], "x", 1, True])
def test_an_object_is_expected(payload: object) -> None:
    assert errors_of("device", payload)["device"].startswith("expected an object, got ")


def test_a_formula_is_flat_on_the_wire() -> None:
    flat = formula(p10="d:t:j", p2="d:t:i")
    made = SCHEMAS.parse("formula", flat)
    assert isinstance(made, Formula)
    assert made.params == {"p2": "d:t:i", "p10": "d:t:j"}
    assert to_wire(made) == flat


@pytest.mark.parametrize(
    ("field", "value"), [("p1", "d:t"), ("p1", 5), ("p1000", "d:t:i"), ("params", {}), ("q", "")]
)
def test_bad_parameters(field: str, value: object) -> None:
    assert list(errors_of("formula", formula(**{field: value}))) == [field]


@pytest.mark.parametrize("key", [1, None, "\ud800", "x" * 5000, "__class__"])
def test_any_key_of_an_object_is_survived(key: Any) -> None:
    payload: dict[Any, Any] = {**item(), key: 1}
    assert all(len(field) <= 80 and field.isascii() for field in errors_of("item", payload))


def test_nested_values_are_looked_into() -> None:
    assert list(errors_of("term_item", term_item(codes=[1, float("nan")]))) == ["codes"]


def test_types_of_a_driver_that_is_not_installed_are_the_common_ones() -> None:
    assert SCHEMAS.types_for("device", "gone") is Device
    assert SCHEMAS.types_for("device", "wire") is WireDevice
    kept = SCHEMAS.parse("device", device(protocol="gone"), keep="gone")
    assert type(kept) is Device
    assert "device_id" in errors_of("term", term(device_id=[]), None)
