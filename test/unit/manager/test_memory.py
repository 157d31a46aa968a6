"""What is known of points, in whatever combination their values come in."""

from __future__ import annotations

import gc
from weakref import ref

import pytest

from pydatacoll.model import Quality, Sample
from pydatacoll.sdk import PointGroup, Readings
from test.sink_rig import SinkRig, point

LOST = int(Quality.COMM_LOST)
INVALID = int(Quality.INVALID)


class WatchedGroup(PointGroup):
    """A group whose end can be seen."""

    __slots__ = ("__weakref__",)


@pytest.mark.parametrize("rules", [{}, {"deadband": 1.0}])
def test_groups_made_for_a_single_reading_do_not_pile_up(rules):
    points = [point(f"i{n}", **rules) for n in range(10)]
    rig = SinkRig(*points)
    groups = []
    for n in range(50):
        group = WatchedGroup([points[n % 10], points[(n * 7 + 1) % 10]])
        groups.append(ref(group))
        rig.sink.values(Readings(group, [n, n], 5.0))
    del group
    gc.collect()
    assert sum(one() is not None for one in groups) <= len(points)


@pytest.mark.parametrize("rules", [{}, {"deadband": 1.0}])
def test_a_failed_poll_of_points_read_in_other_groups_keeps_their_values(rules):
    a, b = point("a", **rules), point("b", **rules)
    rig = SinkRig(a, b)
    rig.sink.values(Readings(PointGroup([a]), [7], 5.0))
    rig.sink.values(Readings(PointGroup([b]), ["on"], 5.0))
    rig.news()
    rig.sink.failed(PointGroup([b, a]), INVALID, 6.0)
    assert rig.news() == [("on", INVALID), (7, INVALID)]
    rig.sink.failed(PointGroup([a, b]), INVALID, 7.0)
    assert rig.news() == []


@pytest.mark.parametrize("rules", [{}, {"deadband": 0.0}])
def test_a_part_read_alone_is_known_to_the_whole(rules):
    """As when a block of registers is halved to find what the device refuses."""
    a, b, c = points = [point(name, **rules) for name in "abc"]
    rig = SinkRig(*points)
    rig.read(1, 2, 3)
    rig.sink.values(Readings(PointGroup([a, b]), [4, 5], 5.0))
    rig.sink.failed(PointGroup([c]), INVALID, 5.0)
    rig.news()
    assert rig.read(None, None, None, quality=LOST) == [(4, LOST), (5, LOST), (3, LOST)]


@pytest.mark.parametrize("rules", [{}, {"deadband": 0.0}])
def test_spontaneous_values_and_polls_share_what_is_known(rules):
    a, b = point("a", coefficient=0.1, **rules), point("b", **rules)
    rig = SinkRig(a, b)
    assert rig.read(100, 2) == [(10.0, 0), (2, 0)]
    rig.sink.spontaneous([(a, Sample(900.0, 111, 0)), (a, Sample(901.0, 112, 0)), (b, Sample(901.0, None, 0))])
    assert rig.news() == [(11.1, 0), (11.2, 0), (2, INVALID)]
    assert rig.fail(LOST) == [(11.2, LOST), (2, LOST)]
    assert rig.sink.last_seen == 1000.0


def test_a_packet_on_its_way_is_not_changed_by_what_comes_later():
    a, b = point("a"), point("b")
    rig = SinkRig(a, b)
    rig.read(1, 2)
    rig.sink.spontaneous([(a, Sample(900.0, 3, LOST))])
    rig.sink.failed(PointGroup([b]), LOST, 5.0)
    rig.sink.once([(b, Sample(900.0, 4, 0))])
    assert rig.writer.samples()[:2] == [("t:a", Sample(1000.0, 1, 0)), ("t:b", Sample(1000.0, 2, 0))]


@pytest.mark.parametrize("rules", [{}, {"deadband": 100.0}])
def test_known_tells_the_time_of_the_last_reading(rules):
    """A driver compares it with the time of an event that arrives late."""
    a, b, c = (point(name, **rules) for name in "abc")
    rig = SinkRig(a, b, c, latest={"t:b": Sample(800.0, 5, 0)})
    assert [rig.sink.known(one) for one in (a, b)] == [None, Sample(800.0, 5, 0)]
    rig.sink.spontaneous([(a, Sample(900.0, 1, 0))])
    rig.sink.values(Readings(PointGroup([b, c]), [6, 7], [901.0, 902.0]))
    rig.sink.all_failed([a, b, c], LOST)
    known = [rig.sink.known(one) for one in (a, b, c)]
    assert [one and one.time for one in known] == [900.0, 901.0, 902.0]
    assert {one and one.quality for one in known} == {LOST}


def test_the_same_values_again_after_a_failure_are_good_again():
    a = point("a", deadband=1.0)
    rig = SinkRig(a)
    rig.read(1)
    rig.fail(LOST)
    assert rig.read(1) == [(1, 0)]


def test_a_missing_value_is_that_of_the_same_reading_when_the_point_stands_twice():
    a = point("a")
    rig = SinkRig(a)
    rig.sink.values(Readings(PointGroup([a, a]), [5, None], 5.0))
    assert rig.news() == [(5, 0), (5, INVALID)]


def test_points_that_are_no_longer_configured_are_forgotten():
    a, b = point("a"), point("b", deadband=1.0)
    rig = SinkRig(a, b)
    rig.read(1, 2)
    rig.sink.configure([])
    assert [rig.sink.known(one) for one in (a, b)] == [None, None]


@pytest.mark.parametrize("rules", [{}, {"deadband": 1.0}])
def test_points_of_bad_quality_are_counted_once_however_they_came(rules):
    points = [point(f"i{n}", **(rules if n % 2 else {})) for n in range(6)]
    rig = SinkRig(*points, latest={"t:i5": Sample(1.0, 5, LOST), "t:gone": Sample(1.0, 5, LOST)})
    assert rig.sink.bad_points() == 1  # as the store has it; of the others nothing is known yet
    rig.read(*range(6))
    assert rig.sink.bad_points() == 0
    rig.read(*range(6), quality=[0, INVALID, int(Quality.TIME_INVALID), 0, LOST, 0])
    assert rig.sink.bad_points() == 2
    rig.sink.spontaneous([(points[0], Sample(2.0, 1, INVALID)), (points[1], Sample(2.0, 1, 0))])
    assert rig.sink.bad_points() == 2
    twice = PointGroup([points[0], points[0], points[1]])
    rig.sink.values(Readings(twice, [1, 2, 3], 3.0, LOST))
    assert rig.sink.bad_points() == 3
    rig.sink.all_failed(points, LOST)
    assert rig.sink.bad_points() == 6
    rig.read(*range(6))
    assert rig.sink.bad_points() == 0
