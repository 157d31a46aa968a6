"""Report by exception: deadbands, period, silence, stale and frozen points, as the user of a point sees them."""

from __future__ import annotations

import math

import pytest

from pydatacoll.model import Quality, Sample
from pydatacoll.sdk import PointGroup, Readings
from test.sink_rig import SinkRig, point

BLOCKED = int(Quality.BLOCKED)
LOST = int(Quality.COMM_LOST)
INVALID = int(Quality.INVALID)
STALE = int(Quality.STALE)
FROZEN = int(Quality.NOT_TOPICAL)


# Deadbands


def test_without_rules_every_reading_is_stored():
    rig = SinkRig(point("a"))
    assert [rig.read(5) for _ in range(3)] == [[(5, 0)]] * 3
    assert rig.sink.due == math.inf


def test_the_percent_deadband_follows_the_last_stored_value():
    rig = SinkRig(point("a", deadband_percent=10.0))
    stored = [value for reading in (100, 109, 110, 111, 120, 123) for value, _ in rig.read(reading)]
    assert stored == [100, 111, 123]  # 10 % of 111 is 11.1


def test_the_percent_deadband_of_a_negative_value_goes_by_its_magnitude():
    rig = SinkRig(point("a", deadband_percent=10.0))
    assert [rig.read(value) for value in (-100, -109, -91, -89)] == [[(-100, 0)], [], [], [(-89, 0)]]


def test_at_zero_the_percent_deadband_lets_every_change_pass():
    rig = SinkRig(point("a", deadband_percent=10.0))
    assert [rig.read(value) for value in (0, 0, 0.001)] == [[(0, 0)], [], [(0.001, 0)]]


@pytest.mark.parametrize(("value", "stored"), [(1004, False), (1006, True)])
def test_with_both_deadbands_one_exceeded_is_enough_the_absolute(value, stored):
    rig = SinkRig(point("a", deadband=5.0, deadband_percent=1.0))
    rig.read(1000)
    assert bool(rig.read(value)) is stored


@pytest.mark.parametrize(("value", "stored"), [(100.9, False), (101.1, True)])
def test_with_both_deadbands_one_exceeded_is_enough_the_relative(value, stored):
    rig = SinkRig(point("a", deadband=5.0, deadband_percent=1.0))
    rig.read(100.0)
    assert bool(rig.read(value)) is stored


@pytest.mark.parametrize(("old", "new"), [(False, True), ("on", "off"), (True, "on"), (1, "on")])
@pytest.mark.parametrize("rules", [{"deadband": 10.0}, {"deadband_percent": 50.0}])
def test_booleans_and_texts_have_no_distance_each_change_is_stored(old, new, rules):
    rig = SinkRig(point("a", **rules))
    assert [rig.read(value) for value in (old, old, new)] == [[(old, 0)], [], [(new, 0)]]


def test_large_integers_are_compared_exactly():
    rig = SinkRig(point("a", deadband=0.0))
    assert rig.read(2**63)
    assert rig.read(2**63 + 1) == [(2**63 + 1, 0)]


def test_deadbands_are_of_the_engineering_value():
    rig = SinkRig(point("a", deadband=1.0, coefficient=0.1))
    assert [rig.read(value) for value in (2300, 2309, 2311)] == [[(230.0, 0)], [], [(231.1, 0)]]


# Silence


def test_an_unchanged_reading_passes_after_the_longest_silence():
    rig = SinkRig(point("a", deadband=1.0, max_silence=60.0))
    assert rig.read(5.0, at=0) == [(5.0, 0)]
    assert rig.read(5.5, at=59.4) == []
    assert rig.read(5.5, at=60) == [(5.5, 0)]
    assert rig.read(5.5, at=119) == []


def test_a_poll_that_comes_a_little_early_does_not_lengthen_the_silence():
    rig = SinkRig(point("a", deadband=1.0, max_silence=4.0))
    stored = []
    for second in range(41):
        early = 0.004 if second % 2 else 0.0
        early = 0.19 if second % 8 == 4 else early
        if rig.read(5.0, at=max(0.0, second - early)):
            stored.append(second)
    assert stored == list(range(0, 41, 4))


@pytest.mark.parametrize(("silence", "least"), [(4.0, 3.8), (10.0, 9.5), (3600.0, 3599.5)])
def test_how_early_a_reading_may_come(silence, least):
    rig = SinkRig(point("a", deadband=1.0, max_silence=silence))
    rig.read(5.0, at=0)
    assert rig.read(5.0, at=least - 0.01) == []
    assert rig.read(5.0, at=least + 1e-6) == [(5.0, 0)]


def test_a_reading_that_comes_a_little_early_waits_for_the_end_of_the_period():
    rig = SinkRig(point("a", deadband=1.0, max_silence=10.0, min_period=10.0))
    rig.read(5.0, at=0)
    assert rig.read(5.0, at=9.9) == []
    assert rig.wait(10.0) == [(5.0, 0)]


def test_nothing_is_invented_while_no_reading_comes():
    rig = SinkRig(point("a", deadband=1.0, max_silence=60.0))
    rig.read(5.0)
    assert rig.wait(1e6) == []
    assert rig.fail(LOST) == [(5.0, LOST)]
    assert rig.fail(LOST, at=2e6) == []


# Period


def test_the_newest_of_the_changes_within_a_period_is_stored_at_its_end():
    rig = SinkRig(point("a", min_period=10.0))
    assert rig.read(1, at=0) == [(1, 0)]
    assert rig.read(2, at=2) == rig.read(3, at=4) == []
    assert rig.wait(9.9) == []
    assert rig.wait(10) == [(3, 0)]
    assert rig.sink.account.held == 0
    assert rig.read(4, at=11) == []  # the next period began with that
    assert rig.wait(100) == [(4, 0)]
    assert (rig.sink.account.read, rig.sink.account.unchanged) == (4, 1)


def test_a_held_sample_keeps_its_own_time():
    rig = SinkRig(point("a", min_period=10.0))
    rig.read(1, at=0)
    rig.read(2, at=3)
    rig.wait(20)
    assert rig.writer.samples()[-1] == ("t:a", Sample(1003.0, 2, 0))


def test_after_a_period_without_a_change_the_next_one_is_stored_at_once():
    rig = SinkRig(point("a", min_period=10.0, deadband=1.0))
    rig.read(1, at=0)
    assert rig.read(5, at=12) == [(5, 0)]


def test_a_value_that_comes_back_within_the_period_leaves_nothing_to_store():
    rig = SinkRig(point("a", min_period=10.0, deadband=1.0))
    rig.read(5, at=0)
    rig.read(9, at=1)
    rig.read(5.5, at=2)
    assert rig.wait(100) == []
    assert rig.sink.account.unchanged == 2


def test_a_reading_after_the_end_takes_the_place_of_what_was_held():
    """The look at the clock may come later than the next reading."""
    rig = SinkRig(point("a", min_period=10.0))
    rig.read(1, at=0)
    rig.read(2, at=9)
    assert rig.read(3, at=10.5) == [(3, 0)]
    assert rig.sink.account.unchanged == 1
    assert rig.wait(100) == []


def test_a_change_of_quality_is_never_held_and_comes_after_what_was():
    rig = SinkRig(point("a", min_period=10.0))
    rig.read(1, at=0)
    rig.read(2, at=1)
    assert rig.read(3, at=2, quality=BLOCKED) == [(2, 0), (3, BLOCKED)]
    assert rig.read(3, at=3) == [(3, 0)]
    assert rig.wait(100) == []


def test_a_lost_link_stores_what_is_held_and_then_the_loss_of_that_value():
    a = point("a", min_period=10.0)
    rig = SinkRig(a)
    rig.read(1, at=0)
    rig.read(2, at=1)
    rig.sink.all_failed([a], LOST)
    assert rig.news() == [(2, 0), (2, LOST)]
    rig.sink.all_failed([a], LOST)
    assert rig.news() == []


def test_what_is_held_counts_as_pending_but_not_as_on_its_way():
    rig = SinkRig(*(point(f"i{i}", min_period=10.0) for i in range(300)))
    rig.read(*range(300), at=0)
    on_its_way = rig.sink.account.pending
    rig.read(*range(1, 301), at=1)
    account = rig.sink.account
    assert (account.pending, account.held) == (on_its_way + 300, 300)
    rig.sink.flush()
    assert (account.pending, account.held) == (on_its_way + 300, 0)


def test_at_the_end_everything_held_is_stored():
    rig = SinkRig(point("a", min_period=1e6), point("b"), point("c", min_period=1e6))
    rig.read(1, 2, 3, at=0)
    rig.read(4, 5, 6, at=1)
    rig.news()
    rig.sink.flush()
    assert rig.news() == [(4, 0), (6, 0)]


def test_two_samples_of_a_point_in_one_reading_are_both_considered_in_order():
    same = point("a", min_period=10.0)
    rig = SinkRig(same)
    twice = PointGroup([same, same, same])
    rig.sink.values(Readings(twice, [1, 2, 3], [5.0, 5.1, 5.2], [0, 0, BLOCKED]))
    assert rig.news() == [(1, 0), (2, 0), (3, BLOCKED)]


def test_device_times_out_of_order_do_not_matter():
    a = point("a", min_period=10.0, deadband=1.0)
    rig = SinkRig(a)
    rig.sink.spontaneous([(a, Sample(5000.0, 1, 0)), (a, Sample(4000.0, 5, 0)), (a, Sample(4500.0, 9, 0))])
    assert rig.news() == [(1, 0)]
    rig.wait(10)
    assert rig.writer.samples()[-1][1] == Sample(4500.0, 9, 0)


def test_a_jump_of_the_wall_clock_does_not_matter():
    rig = SinkRig(point("a", min_period=10.0, stale_after=100.0))
    rig.read(1, at=0)
    rig.wall_ahead -= 3600
    assert rig.read(2, at=5) == []
    rig.wall_ahead += 7200
    assert rig.read(3, at=9) == []
    assert rig.wait(10) == [(3, 0)]
    assert rig.wait(108) == []


# Stale


def test_a_point_without_a_reading_keeps_its_value_and_becomes_stale_until_the_next_one():
    rig = SinkRig(point("a", stale_after=30.0))
    rig.read(7, at=0)
    assert rig.read(7, at=20) == [(7, 0)]
    assert rig.wait(49.9) == []
    assert rig.wait(50) == [(7, STALE)]
    assert rig.sink.flagged() == (1, 0)
    assert rig.wait(1000) == []
    assert rig.read(7) == [(7, 0)]
    assert rig.sink.flagged() == (0, 0)
    assert rig.wait(1030) == [(7, STALE)]


def test_a_failing_point_becomes_stale_too_and_says_each_thing_once():
    rig = SinkRig(point("a", stale_after=30.0, deadband=1.0))
    rig.read(7, at=0)
    assert rig.fail(LOST, at=10) == [(7, LOST)]
    assert rig.wait(30) == [(7, LOST | STALE)]
    assert rig.fail(LOST, at=40) == []
    assert rig.fail(INVALID, at=41) == [(7, INVALID | STALE)]
    assert rig.read(None, at=42, quality=INVALID) == []
    assert rig.read(7, at=50) == [(7, 0)]


def test_a_point_that_never_had_a_value_does_not_become_stale():
    rig = SinkRig(point("a", stale_after=30.0))
    assert rig.wait(100) == []
    assert rig.fail(LOST) == [(None, LOST)]
    assert rig.wait(1000) == []


def test_a_value_from_before_the_start_becomes_stale_when_no_reading_comes():
    rig = SinkRig(point("a", stale_after=30.0), latest={"t:a": Sample(1.0, 42, 0)})
    assert rig.wait(29) == []
    assert rig.wait(30) == [(42, STALE)]


def test_what_is_held_when_a_point_becomes_stale_is_stored_before():
    rig = SinkRig(point("a", stale_after=5.0, min_period=100.0))
    rig.read(1, at=0)
    rig.read(2, at=1)
    assert rig.wait(6) == [(2, 0), (2, STALE)]


def test_a_stale_point_is_still_so_after_a_restart_of_the_manager():
    rig = SinkRig(point("a", stale_after=30.0), latest={"t:a": Sample(900.0, 42, LOST | STALE)})
    assert rig.fail(LOST) == []
    assert rig.read(42) == [(42, 0)]


# Frozen


def test_a_raw_value_that_never_changes_is_marked_until_it_does():
    rig = SinkRig(point("a", frozen_after=60.0, deadband=5.0))
    assert rig.read(100, at=0) == [(100, 0)]
    assert rig.read(101, at=30) == []
    assert rig.read(101, at=89) == []
    assert rig.read(101, at=90) == [(101, FROZEN)]
    assert rig.sink.flagged() == (0, 1)
    assert rig.read(101, at=200) == []
    assert rig.read(102, at=201) == [(102, 0)]
    assert rig.sink.flagged() == (0, 0)


def test_the_raw_value_counts_not_the_scaled_one():
    rig = SinkRig(point("a", frozen_after=60.0, coefficient=1e-300, base_val=5.0))
    rig.read(1, at=0)
    assert rig.read(2, at=60) == [(5.0, 0)]


def test_nothing_is_frozen_while_no_reading_comes():
    rig = SinkRig(point("a", frozen_after=60.0))
    rig.read(1, at=0)
    assert rig.wait(1000) == []


def test_an_outage_begins_the_time_anew():
    rig = SinkRig(point("a", frozen_after=60.0))
    rig.read(1, at=0)
    rig.fail(LOST, at=30)
    assert rig.read(1, at=80) == [(1, 0)]
    assert rig.read(1, at=140) == [(1, FROZEN)]


def test_a_frozen_point_stays_so_through_an_outage():
    rig = SinkRig(point("a", frozen_after=60.0, deadband=1.0))
    rig.read(1, at=0)
    rig.read(1, at=60)
    assert rig.fail(LOST, at=70) == [(1, LOST | FROZEN)]
    assert rig.read(1, at=80) == [(1, FROZEN)]
    assert rig.read(2, at=90) == [(2, 0)]


# Calls and restarts


def test_a_call_is_always_stored_and_is_what_the_next_reading_is_compared_with():
    a = point("a", deadband=5.0, min_period=100.0)
    rig = SinkRig(a)
    rig.read(10, at=0)
    assert rig.sink.once([(a, Sample(1.0, 12, 0))]) == [Sample(1.0, 12, 0)]
    assert rig.news() == [(12, 0)]
    rig.now = 200
    assert rig.read(16) == []  # within 5 of 12
    assert rig.read(18) == [(18, 0)]


def test_a_call_ends_what_is_held():
    a = point("a", min_period=100.0)
    rig = SinkRig(a)
    rig.read(1, at=0)
    rig.read(2, at=1)
    rig.sink.once([(a, Sample(1.0, 3, 0))])
    assert rig.news() == [(3, 0)]
    assert rig.wait(1000) == []


def test_a_call_of_a_point_without_rules_is_known_too():
    a = point("a")
    rig = SinkRig(a, point("b"))
    rig.read(1, 2)
    rig.sink.once([(a, Sample(1.0, 9, 0))])
    rig.news()
    assert rig.fail(LOST) == [(9, LOST), (2, LOST)]


@pytest.mark.parametrize("rules", [{}, {"deadband": 1.0}])
@pytest.mark.parametrize("bad", [None, math.nan])
def test_a_call_that_brings_no_value_keeps_the_last_one(rules, bad):
    a = point("a", **rules)
    rig = SinkRig(a)
    rig.read(7)
    assert rig.sink.once([(a, Sample(1.0, bad, INVALID))]) == [Sample(1.0, 7, INVALID)]
    assert rig.news() == [(7, INVALID)]


def test_a_restart_does_not_report_everything_anew():
    rig = SinkRig(point("a", deadband=1.0), latest={"t:a": Sample(1.0, 42.0, 0)})
    assert rig.read(42.5) == []
    assert rig.read(43.5) == [(43.5, 0)]


def test_a_restart_reports_what_is_older_than_the_longest_silence():
    rules = {"deadband": 1.0, "max_silence": 60.0}
    latest = {"t:old": Sample(930.0, 42.0, 0), "t:new": Sample(950.0, 43.0, 0)}
    rig = SinkRig(point("old", **rules), point("new", **rules), latest=latest)
    assert rig.read(42.0, 43.0) == [(42.0, 0)]
    assert rig.read(42.0, 43.0, at=10) == [(43.0, 0)]


# Changes of the plan


def test_a_new_plan_with_the_same_points_keeps_what_is_held():
    a = point("a", min_period=10.0)
    rig = SinkRig(a)
    rig.read(1, at=0)
    rig.read(2, at=1)
    rig.sink.configure([point("a", min_period=10.0), point("b")])
    assert rig.news() == []
    assert rig.wait(10) == [(2, 0)]


@pytest.mark.parametrize("others", [[], ["a"], ["b"]])
def test_what_is_held_is_stored_when_its_point_goes_or_gets_other_rules(others):
    rig = SinkRig(point("a", min_period=10.0), point("b"))
    rig.read(1, 5, at=0)
    rig.read(2, 5, at=1)
    rig.news()
    rig.sink.configure([point(name) for name in others])
    assert rig.news() == [(2, 0)]
    assert rig.sink.account.held == 0


def test_rules_given_to_a_running_point_compare_with_what_is_known_of_it():
    rig = SinkRig(point("a"))
    rig.read(10)
    rig.news()
    changed = point("a", deadband=5.0)
    rig.sink.configure([changed])
    rig.group = PointGroup([changed])
    assert [rig.read(value) for value in (12, 16)] == [[], [(16, 0)]]


def test_rules_taken_from_a_running_point_leave_its_value():
    rig = SinkRig(point("a", deadband=5.0, stale_after=10.0))
    rig.read(10)
    rig.wait(10)
    rig.sink.configure([point("a")])
    rig.group = PointGroup([point("a")])
    assert rig.fail(LOST) == [(10, LOST)]
    assert rig.read(11) == [(11, 0)]
    assert rig.sink.due == math.inf


def test_a_group_with_and_without_rules_stores_each_as_its_rules_say():
    rig = SinkRig(point("a", deadband=1.0), point("b", coefficient=0.5), point("c", min_period=10.0))
    assert rig.read(1, 2, 3, at=0) == [(1, 0), (1.0, 0), (3, 0)]
    assert rig.read(1.5, 2, 4, at=1) == [(1.0, 0)]
    assert rig.read(None, None, math.nan, at=2) == [(4, 0), (1, INVALID), (1.0, INVALID), (4, INVALID)]
