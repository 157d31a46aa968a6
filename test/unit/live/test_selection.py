"""Which points a subscription shows: the same as patterns choose elsewhere."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pydatacoll.live.selection import Selection

FIELDS = frozenset({"main:ua", "main:ub", "spare:ua"})


@pytest.mark.parametrize(
    ("globs", "expected"),
    [
        (("*",), FIELDS),
        (("feeder?",), FIELDS),
        (("*:main",), {"main:ua", "main:ub"}),
        (("*:*:u[a]", "x*"), {"main:ua", "spare:ua"}),
        (("feeder2",), set()),
    ],
)
def test_patterns_choose_points(globs: tuple[str, ...], expected: set[str]) -> None:
    selection = Selection(globs, None, None)
    selection.resolve("feeder1", FIELDS)
    assert selection.members.get("feeder1", set()) == expected


def test_names_choose_points_and_their_devices() -> None:
    selection = Selection(None, ("feeder1:main:ua", "feeder2:main:ua"), None)
    selection.resolve("feeder1", FIELDS)
    assert selection.members == {"feeder1": {"main:ua"}}
    assert selection.has_device("feeder2")
    assert not selection.has_device("feeder3")


def test_a_token_sees_no_device_of_others_whatever_is_asked_for() -> None:
    for globs, ids in ((("*",), None), (None, ("south:main:ua",)), (("south",), None)):
        selection = Selection(globs, ids, lambda device_id: device_id == "north")
        selection.resolve("south", FIELDS)
        assert selection.members == {}
        assert not selection.has_device("south")
        assert not selection.has_point("south", "main", "ua")


def test_a_device_that_is_gone_has_no_points() -> None:
    selection = Selection(("*",), None, None)
    selection.resolve("feeder1", FIELDS)
    selection.resolve("feeder1", frozenset())
    assert selection.members == {}


_IDS = st.sampled_from(["a", "b", "ab"])
_PARTS = st.sampled_from(["*", "a", "?", "a*", "[ab]", "[!a]*"])
_GLOB = st.lists(_PARTS, min_size=1, max_size=3).map(":".join)


@given(st.lists(_GLOB, min_size=1, max_size=3), st.frozensets(st.tuples(_IDS, _IDS)), _IDS)
def test_the_points_of_a_device_are_those_that_match_alone(
    globs: list[str], points: frozenset[tuple[str, str]], device_id: str
) -> None:
    selection = Selection(tuple(globs), None, None)
    selection.resolve(device_id, frozenset(map(":".join, points)))
    alone = {f"{t}:{i}" for t, i in points if selection.has_point(device_id, t, i)}
    assert selection.members.get(device_id, set()) == alone


def test_many_patterns_for_many_points_are_tried_in_small_steps() -> None:
    fields = frozenset(f"main:p{number}" for number in range(500))
    selection = Selection(tuple(f"*:*:*{number}x" for number in range(100)), None, None)
    steps = selection.points("feeder1", fields)
    assert sum(1 for _ in steps) == len(fields)
