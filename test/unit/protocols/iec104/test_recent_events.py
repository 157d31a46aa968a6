"""Events that come again are known again, within bounds."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from pydatacoll.protocols.iec104.recent_events import REMEMBERED, RecentEvents

EVENTS = st.tuples(st.integers(1, 3), st.sampled_from([1.0, 2.0]), st.booleans(), st.sampled_from([0, 1]))


@given(st.lists(st.lists(EVENTS, min_size=1, max_size=5), max_size=30), st.data())
def test_exactly_what_was_noted_is_known_whenever_somebody_asks(asdus, data):
    recent = RecentEvents()
    noted = set()
    for asdu in asdus:
        recent.note(*zip(*asdu, strict=True))
        noted |= set(asdu)
        if data.draw(st.booleans()):
            wanted = data.draw(EVENTS)
            assert (wanted in recent) == (wanted in noted)


def test_the_oldest_are_forgotten():
    for ask_at in (0, 10, REMEMBERED + 5, 2 * REMEMBERED):
        recent = RecentEvents()
        for number in range(3 * REMEMBERED):
            recent.note((number,), (1.0,), (True,), (0,))
            if number == ask_at:
                assert (number, 1.0, True, 0) in recent
        known = [number for number in range(3 * REMEMBERED) if (number, 1.0, True, 0) in recent]
        assert known == list(range(2 * REMEMBERED, 3 * REMEMBERED))


def test_what_is_not_a_number_is_remembered_and_forgotten_like_any_other():
    recent = RecentEvents()
    recent.note((1,), (1.0,), (float("nan"),), (0,))
    assert (1, 1.0, 2.0, 0) not in recent
    for number in range(2 * REMEMBERED):
        recent.note((number,), (2.0,), (float("nan"),), (0,))
        assert (number, 2.0, 1.0, 0) not in recent


def test_after_clearing_nothing_is_known():
    recent = RecentEvents()
    recent.note((1, 2), (1.0, 1.0), (True, True), (0, 0))
    assert (1, 1.0, True, 0) in recent
    recent.note((3,), (1.0,), (True,), (0,))
    recent.clear()
    assert (1, 1.0, True, 0) not in recent
    assert (3, 1.0, True, 0) not in recent
