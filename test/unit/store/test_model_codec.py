"""Objects as text fields of a hash."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pydatacoll.model import Device, Formula, Item, TermItem
from pydatacoll.model.change import key_of
from pydatacoll.store.model_codec import CorruptHash, decode, encode, hash_key, parse_hash_key, unset_fields
from pydatacoll.testing.model import WireDevice, WireItem, schemas

SCHEMAS = schemas()

TEXT = st.text(st.characters(exclude_categories=["Cs"]), max_size=20)
NUMBER = st.floats(allow_nan=False, allow_infinity=False)
TERM_ITEMS = st.builds(
    WireItem,
    term_id=st.just("t"),
    item_id=st.just("i"),
    protocol_code=st.none() | TEXT,
    warn_msg=st.none() | TEXT,
    base_val=NUMBER,
    coefficient=NUMBER,
    up_limit=st.none() | NUMBER,
    writable=st.booleans(),
    history_length=st.none() | st.integers(0, 100_000),
    bit=st.none() | st.integers(0, 15),
    codes=st.lists(st.integers(-(2**53), 2**53), max_size=3).map(tuple),
)


@given(TERM_ITEMS)
def test_a_term_item_comes_back_the_same(made: WireItem) -> None:
    fields = encode(made)
    assert all(isinstance(text, str) for text in fields.values())
    assert decode(SCHEMAS, "term_item", ("t", "i"), fields, "wire") == made
    assert set(fields) | set(unset_fields(made, fields)) == set(made.__struct_fields__)


def test_fields_are_readable() -> None:
    made = WireDevice(id="7", name="null", protocol="wire", port=502, enabled=False)
    assert encode(made) == {
        "id": "7",
        "name": "null",
        "protocol": "wire",
        "ip": "127.0.0.1",
        "port": "502",
        "identify": "",
        "enabled": "false",
        "description": "",
        "timeout": "1.0",
        "byte_order": "big",
    }
    assert decode(SCHEMAS, "device", "7", encode(made)) == made


def test_a_formula_is_flat() -> None:
    made = Formula(id="f", formula="p1", device_id="d", term_id="t", item_id="i", params={"p1": "a:b:c"})
    assert encode(made)["p1"] == "a:b:c"
    assert "params" not in encode(made)
    assert decode(SCHEMAS, "formula", "f", encode(made)) == made


def test_what_a_missing_driver_stored_is_read_as_the_common_type() -> None:
    fields = {"id": "d", "name": "n", "protocol": "gone", "secret_option": "5"}
    assert decode(SCHEMAS, "device", "d", fields) == Device(id="d", name="n", protocol="gone")
    stored = {"term_id": "t", "item_id": "i", "slave": "5"}
    assert decode(SCHEMAS, "term_item", ("t", "i"), stored, "gone") == TermItem(term_id="t", item_id="i")


def test_the_name_of_the_key_counts() -> None:
    assert decode(SCHEMAS, "item", "i", {"id": "other", "name": "n"}) == Item(id="i", name="n")


@pytest.mark.parametrize(
    "fields",
    [
        {},
        {"id": "d"},
        {"name": "n", "protocol": "wire", "port": "x"},
        {"name": "n", "protocol": "wire", "port": ""},
    ],
)
def test_what_cannot_be_read_says_where(fields: dict[str, Any]) -> None:
    with pytest.raises(CorruptHash, match="HS:DEVICE:d: "):
        decode(SCHEMAS, "device", "d", fields)


def test_keys() -> None:
    made = WireItem(term_id="t", item_id="i")
    assert hash_key("term_item", key_of(made)) == "HS:TERM_ITEM:t:i"
    assert parse_hash_key("HS:TERM_ITEM:t:i") == ("term_item", ("t", "i"))
    assert parse_hash_key(hash_key("formula", "f")) == ("formula", "f")
