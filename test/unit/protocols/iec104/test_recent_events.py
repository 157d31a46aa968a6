"""Events that come again are known again, within bounds."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from pydatacoll.protocols.iec104.recent_events import REMEMBERED, RecentEvents

ADDRESSES, TAGS, VALUES, QUALITIES = (
    st.integers(1, 3),
    st.sampled_from([1.0, 2.0]),
    st.booleans(),
    st.integers(0, 1),
)
EVENTS = st.tuples(ADDRESSES, TAGS, VALUES, QUALITIES)


@given(st.lists(st.lists(EVENTS, min_size=1, max_size=5), max_size=30))
def test_over_one_connection_only_what_says_nothing_new_is_a_repetition(asdus):
    recent, last = RecentEvents(), {}
    for asdu in asdus:
        *noted, asked = asdu
        if noted:
            recent.note(*zip(*noted, strict=True))
            last.update((event[:2], event[2:]) for event in noted)
        assert recent.repeats(*asked) == (last.get(asked[:2]) == asked[2:])
        last[asked[:2]] = asked[2:]


@given(st.lists(st.tuples(st.integers(0, 30), st.integers(0, 30)), max_size=6), st.booleans())
def test_each_event_is_taken_once_however_often_the_link_is_lost(links, chatter):
    """A station sends again what was not acknowledged, and then what is new."""
    recent, taken, sent = RecentEvents(), [], 0
    events = [(1, 5.0 if chatter else float(number), number % 2, 0) for number in range(200)]
    for unacknowledged, new in links:
        recent.connected()
        begin = 0 if chatter else max(0, sent - unacknowledged)
        sent += new
        taken += [event for event in events[begin:sent] if not recent.repeats(*event)]
    assert taken == events[:sent]


def test_a_contact_that_chatters_within_the_resolution_of_the_clock():
    recent = RecentEvents()
    closes, opens = (1, 5.0, True, 0), (1, 5.0, False, 0)
    assert [recent.repeats(*event) for event in (closes, opens, closes)] == [False] * 3
    recent.connected()
    assert [recent.repeats(*event) for event in (closes, opens, closes)] == [True] * 3
    assert not recent.repeats(*opens), "this one is new"
    recent.connected()
    assert [recent.repeats(*event) for event in (closes, opens, closes, opens)] == [True] * 4


def test_the_oldest_are_forgotten():
    for ask_at in (0, 10, REMEMBERED + 5, 2 * REMEMBERED):
        recent = RecentEvents()
        for number in range(3 * REMEMBERED):
            recent.note((number,), (1.0,), (True,), (0,))
            if number == ask_at:
                assert recent.repeats(number, 1.0, True, 0)
        known = [
            number for number in range(2 * REMEMBERED, 3 * REMEMBERED) if recent.repeats(number, 1.0, True, 0)
        ]
        assert len(known) == REMEMBERED
        assert not recent.repeats(2 * REMEMBERED - 1, 1.0, True, 0)


def test_what_is_not_a_number_is_remembered_and_forgotten_like_any_other():
    recent = RecentEvents()
    recent.note((1,), (1.0,), (float("nan"),), (0,))
    assert not recent.repeats(1, 1.0, 2.0, 0)
    for number in range(2 * REMEMBERED):
        recent.note((number,), (2.0,), (float("nan"),), (0,))
        assert not recent.repeats(number, 3.0, 1.0, 0)


def test_after_clearing_nothing_is_known():
    recent = RecentEvents()
    recent.note((1, 2), (1.0, 1.0), (True, True), (0, 0))
    assert recent.repeats(1, 1.0, True, 0)
    recent.connected()
    recent.note((3,), (1.0,), (True,), (0,))
    recent.clear()
    assert not any(recent.repeats(address, 1.0, True, 0) for address in (1, 2, 3))
