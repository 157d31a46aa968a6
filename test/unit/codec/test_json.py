"""JSON in is strict, JSON out never holds a NaN."""

from __future__ import annotations

import contextlib
import json as reference
import math
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pydatacoll.codec import json

finite = (
    st.none() | st.booleans() | st.integers(-(2**63), 2**64 - 1) | st.floats(allow_nan=False, allow_infinity=False)
)
text = st.text(st.characters(exclude_categories=["Cs"]))
values = st.recursive(finite | text, lambda inner: st.lists(inner) | st.dictionaries(text, inner), max_leaves=20)


@given(values)
def test_what_is_written_can_be_read_by_others(value: Any) -> None:
    assert reference.loads(json.encode(value)) == value


@given(values)
def test_what_others_write_is_read(value: Any) -> None:
    assert json.decode(reference.dumps(value).encode()) == value


@given(st.binary())
def test_bytes_are_json_or_refused(raw: bytes) -> None:
    with contextlib.suppress(json.MalformedJson):  # nothing else is ever raised
        json.decode(raw)


@pytest.mark.parametrize(
    "raw",
    [b"NaN", b"-Infinity", b"1e400", b"01", b"'a'", b"", b'"\xff"', b'"\\ud800"', b"[1,]", b"{} {}", b'"\n"'],
)
def test_what_is_no_json_is_refused(raw: bytes) -> None:
    with pytest.raises(json.MalformedJson):
        json.decode(raw)


@pytest.mark.parametrize("opening", [b"[", b'{"a":'])
@pytest.mark.parametrize("levels", [33, 500, 1000, 100_000])
def test_deep_nesting_is_refused(opening: bytes, levels: int) -> None:
    closing = b"]" if opening == b"[" else b"}"
    with pytest.raises(json.MalformedJson, match="nested"):
        json.decode(opening * levels + b"1" + closing * levels)
    assert json.decode(opening * 32 + b"1" + closing * 32)


def test_many_containers_are_not_deep() -> None:
    rows = [{"a": [n]} for n in range(1000)]
    assert json.decode(json.encode(rows)) == rows


def test_of_a_repeated_key_the_last_one_counts() -> None:
    assert json.decode(b'{"a": 1, "a": 2}') == {"a": 2}


@pytest.mark.parametrize("value", [math.nan, math.inf, -math.inf])
def test_what_json_cannot_hold_is_written_as_null(value: float) -> None:
    assert json.decode(json.encode({"value": [value, 1.5]})) == {"value": [None, 1.5]}


@pytest.mark.parametrize("document", [b"1e400", b'{"a":[1e999]}'])
def test_a_number_that_no_double_holds_is_named_as_such(document: bytes) -> None:
    with pytest.raises(json.MalformedJson, match=r"^it holds a number that is out of range$"):
        json.decode(document)
