"""What clients of live push may say."""

from __future__ import annotations

import contextlib

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from pydatacoll.live.messages import Malformed, NotJson, Ping, Subscribe, Unsubscribe, parse


def test_a_subscription_has_defaults() -> None:
    assert parse('{"op":"sub","id":"s"}') == Subscribe('"s"', ("*",), None, 250, ("values",), None, None)


def test_everything_may_be_said() -> None:
    text = (
        '{"op":"sub","id":7,"ids":["d:t:b","d:t:a","d:t:a"],"rate":0,"topics":["events","values"],'
        '"epoch":"E_-1","since":12}'
    )
    assert parse(text) == Subscribe("7", None, ("d:t:a", "d:t:b"), 0, ("values", "events"), "E_-1", 12)


def test_ids_keep_their_type_because_they_are_sent_back() -> None:
    assert [parse(f'{{"op":"unsub","id":{name}}}') for name in ("1", '"1"', '"\\u00e4\\""')] == [
        Unsubscribe("1"),
        Unsubscribe('"1"'),
        Unsubscribe('"\\u00e4\\""'),
    ]


@pytest.mark.parametrize("rate", ["99", "5001", "-1", "true", '"250"', "250.5", "1e3000", "null"])
def test_a_rate_is_between_fastest_and_slowest(rate: str) -> None:
    text = f'{{"op":"sub","id":"s","rate":{rate}}}'
    if rate == "null":
        assert parse(text) == parse('{"op":"sub","id":"s"}')
    else:
        with pytest.raises(Malformed):
            parse(text)


def test_there_are_limits_to_what_one_subscription_names() -> None:
    many = ",".join(f'"d{n}"' for n in range(101))
    with pytest.raises(Malformed, match="globs must have 1 to 100 elements"):
        parse(f'{{"op":"sub","id":"s","globs":[{many}]}}')


@pytest.mark.parametrize("text", ["", "{", "nul", "[" * 100_000, '{"op":"ping"}}', b"\xff", "\ud800"])
def test_what_is_no_json_is_told_apart(text: str | bytes) -> None:
    with pytest.raises(NotJson):
        parse(text)


_JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text(max_size=20),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=8), inner, max_size=4),
    max_leaves=10,
)
_MEMBERS = ("op", "id", "globs", "ids", "rate", "topics", "epoch", "since", "other")


@given(st.dictionaries(st.sampled_from(_MEMBERS), _JSON | st.sampled_from(["sub", "unsub", "ping"])))
def test_whatever_is_said_is_taken_or_refused(content: dict[str, object]) -> None:
    raw = msgspec.json.encode(content)
    try:
        found: object = parse(raw)
    except Malformed as problem:
        found = problem
    assert isinstance(found, Ping | Subscribe | Unsubscribe) or 0 < len(str(found)) < 300


@given(st.binary(max_size=200))
def test_any_bytes_are_taken_or_refused(raw: bytes) -> None:
    with contextlib.suppress(Malformed):
        parse(raw)
