"""Which points a subscription shows: the same as patterns choose elsewhere."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pydatacoll.live.budget import Budget, TooMuch
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


MANY = frozenset(f"main:i{number}" for number in range(10))


def test_what_selections_hold_is_counted_until_nobody_wants_them() -> None:
    budget = Budget(most_points=100)
    named = Selection(None, ("d:main:i1", "d:main:i2", "d:main:none"), None, budget=budget)
    matched = Selection(("d*:*:*",), None, None, budget=budget)
    whole = Selection(("*",), None, None, budget=budget)
    assert budget.points == 3
    for one in (named, matched, whole):
        one.resolve("d", MANY)
        one.resolve("d2", MANY)
    assert budget.points == 3 + 2 + 20
    matched.resolve("d2", frozenset())
    assert budget.points == 15
    for one in (named, matched, whole):
        one.release()
        one.resolve("d3", MANY)  # which was under way
    assert budget.points == 0


def test_a_selection_that_is_too_much_is_refused_and_holds_nothing() -> None:
    budget = Budget(most_points=25)
    first, second = (Selection((f"{glob}*:*:*",), None, None, budget=budget) for glob in "d?")
    first.resolve("d1", MANY)
    first.settled = True
    second.resolve("d1", MANY)
    assert not second.refused
    second.resolve("d2", MANY)
    assert second.refused
    assert (second.count, budget.points) == (0, 10)
    second.resolve("d3", MANY)
    assert (second.count, budget.points) == (0, 10)


def test_a_selection_that_was_shown_grows_with_the_model() -> None:
    budget = Budget(most_points=10)
    shown = Selection(("d*:*:*",), None, None, budget=budget)
    shown.resolve("d1", MANY)
    shown.settled = True
    shown.resolve("d2", MANY)
    assert (shown.refused, shown.count, budget.points) == (False, 20, 20)
    with pytest.raises(TooMuch, match=r"server\.live_points"):
        budget.check(0)
    shown.resolve("d2", frozenset())
    budget.check(0)


def test_there_are_so_many_subscriptions() -> None:
    budget = Budget(most_subscriptions=2)
    budget.subscriptions = 1
    budget.check(1000)
    budget.subscriptions = 2
    with pytest.raises(TooMuch, match=r"server\.live_subscriptions"):
        budget.check(0)
