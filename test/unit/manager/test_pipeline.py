"""From readings to packets: scaling, validity, deadband, accounting."""

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pydatacoll.manager.pipeline import DeviceSink
from pydatacoll.model import Quality, Sample
from pydatacoll.sdk import PointGroup, Readings
from test.sink_rig import Recorder, SinkRig, point


@pytest.fixture
def writer():
    return Recorder()


@pytest.fixture
def sink(writer):
    return DeviceSink("d", 3, writer, 100, wall=lambda: 1000.0)


def balanced(sink) -> bool:
    return sink.account.balanced()


def test_values_without_scaling_pass_unchanged(sink, writer):
    group = PointGroup([point("a"), point("b")])
    sink.values(Readings(group, [1, 2.5], 5.0))
    assert writer.rows() == [("t:a", 1, 0), ("t:b", 2.5, 0)]
    assert (writer.packets[0].times, writer.packets[0].partition, writer.packets[0].lengths) == (5.0, 3, 100)
    assert sink.account.read == 2
    assert balanced(sink)


def test_engineering_value_is_raw_times_coefficient_plus_base(sink, writer):
    group = PointGroup([point("a", coefficient=0.1), point("b", coefficient=2.0, base_val=-10.0), point("c")])
    sink.values(Readings(group, [2301, 7, True], 5.0))
    assert writer.rows() == [("t:a", 230.1, 0), ("t:b", 4.0, 0), ("t:c", True, 0)]


@pytest.mark.parametrize("bad", [math.nan, math.inf, -math.inf])
def test_what_is_not_a_number_is_invalid_and_keeps_the_last_value(sink, writer, bad):
    group = PointGroup([point("a"), point("b", coefficient=2.0)])
    sink.values(Readings(group, [1.0, 2.0], 5.0))
    sink.values(Readings(group, [bad, 3.0], 6.0))
    assert writer.rows()[2:] == [("t:a", 1.0, Quality.INVALID), ("t:b", 6.0, 0)]


def test_a_missing_value_is_never_zero(sink, writer):
    group = PointGroup([point("a")])
    sink.values(Readings(group, [None], 5.0))
    assert writer.rows() == [("t:a", None, Quality.INVALID)]


def test_overflow_of_scaling_is_invalid(sink, writer):
    group = PointGroup([point("a", coefficient=1e300)])
    sink.values(Readings(group, [1e300], 5.0))
    assert writer.rows() == [("t:a", None, Quality.INVALID)]


def test_texts_pass(sink, writer):
    group = PointGroup([point("a"), point("b", coefficient=0.5)])
    sink.values(Readings(group, ["pump, 1", 4], 5.0))
    assert writer.rows() == [("t:a", "pump, 1", 0), ("t:b", 2.0, 0)]


def test_deadband_passes_on_only_what_moved(sink, writer):
    group = PointGroup([point("a", deadband=1.0), point("b"), point("c", deadband=0.0)])
    sink.values(Readings(group, [10.0, 1, 5], 5.0))
    sink.values(Readings(group, [10.9, 1, 5], 6.0))
    sink.values(Readings(group, [11.1, 1, 6], 7.0))
    assert [row[:2] for row in writer.rows()[3:]] == [("t:b", 1), ("t:a", 11.1), ("t:b", 1), ("t:c", 6)]
    assert sink.account.unchanged == 2
    assert balanced(sink)


def test_small_steps_add_up_against_the_deadband(sink, writer):
    group = PointGroup([point("a", deadband=1.0)])
    for step in range(6):
        sink.values(Readings(group, [step * 0.4], 5.0 + step))
    assert [row[1] for row in writer.rows()] == pytest.approx([0.0, 1.2])


def test_a_changed_quality_passes_the_deadband(sink, writer):
    group = PointGroup([point("a", deadband=100.0)])
    sink.values(Readings(group, [1.0], 5.0))
    sink.values(Readings(group, [1.0], 6.0, int(Quality.BLOCKED)))
    sink.values(Readings(group, [1.0], 7.0))
    assert [row[2] for row in writer.rows()] == [0, Quality.BLOCKED, 0]


def test_a_failure_marks_points_once_and_keeps_their_values(sink, writer):
    group = PointGroup([point("a"), point("b")])
    sink.values(Readings(group, [1, 2], 5.0))
    for _ in range(3):
        sink.failed(group, int(Quality.COMM_LOST), 6.0)
    assert writer.rows()[2:] == [("t:a", 1, Quality.COMM_LOST), ("t:b", 2, Quality.COMM_LOST)]
    sink.values(Readings(group, [1, 2], 7.0))
    assert writer.rows()[4:] == [("t:a", 1, 0), ("t:b", 2, 0)]
    assert balanced(sink)


def test_a_lost_link_marks_every_point_also_those_never_read(sink, writer):
    polled, never = point("a"), point("b")
    sink.values(Readings(PointGroup([polled]), [1], 5.0))
    sink.all_failed([polled, never], int(Quality.COMM_LOST))
    assert writer.rows()[1:] == [("t:a", 1, Quality.COMM_LOST), ("t:b", None, Quality.COMM_LOST)]
    assert writer.packets[-1].times == 1000.0


def test_a_lost_link_keeps_the_value_that_an_earlier_process_stored(sink, writer):
    sink.remember({"t:a": Sample(1.0, 42, 0)})
    sink.all_failed([point("a")], int(Quality.COMM_LOST))
    assert writer.rows() == [("t:a", 42, Quality.COMM_LOST)]


def test_repeated_loss_is_said_once(sink, writer):
    points = [point("a"), point("b")]
    for _ in range(3):
        sink.all_failed(points, int(Quality.COMM_LOST))
    assert len(writer.rows()) == 2


def test_a_new_plan_keeps_what_is_known_of_points_that_stay(sink, writer):
    sink.values(Readings(PointGroup([point("a"), point("b")]), [1, 2], 5.0))
    sink.configure([point("a")])
    sink.failed(PointGroup([point("a"), point("b")]), int(Quality.COMM_LOST), 6.0)
    assert writer.rows()[2:] == [("t:a", 1, Quality.COMM_LOST), ("t:b", None, Quality.COMM_LOST)]


def test_own_history_lengths_travel_with_the_samples(sink, writer):
    group = PointGroup([point("a", history_length=5), point("b")])
    sink.values(Readings(group, [1, 2], 5.0))
    assert writer.packets[0].lengths == [5, 100]


def test_two_samples_of_one_point_in_one_reading_both_pass(sink, writer):
    same = point("a")
    sink.values(Readings(PointGroup([same, same]), [1, 2], [5.0, 5.1]))
    assert [row[1] for row in writer.rows()] == [1, 2]


# Columns of values that come by themselves


VALUES = st.one_of(
    st.floats(allow_nan=True, allow_infinity=True, width=32),
    st.integers(-(2**40), 2**40),
    st.booleans(),
    st.sampled_from([None, "on", 1e308]),
)
RULES = st.sampled_from(
    [
        {},
        {},
        {"coefficient": 0.1},
        {"coefficient": 1e10, "base_val": -3.0},
        {"history_length": 5},
        {"deadband": 1.0},
        {"min_period": 5.0},
    ]
)


@given(st.data(), st.lists(RULES, min_size=1, max_size=6), st.booleans(), st.booleans())
def test_columns_are_stored_as_the_same_samples_one_by_one_are(data, rules, one_time, grouped):
    points = [point(f"i{n}", **options) for n, options in enumerate(rules)]
    rigs = SinkRig(*points), SinkRig(*points)
    if grouped:
        for rig in rigs:
            rig.read(*range(len(points)))
    quality = st.sampled_from([0, 0, int(Quality.BLOCKED), int(Quality.INVALID)])
    for _ in range(data.draw(st.integers(1, 3))):
        rows = data.draw(
            st.lists(
                st.tuples(st.sampled_from(points), VALUES, st.floats(0, 1e9), quality), min_size=1, max_size=8
            )
        )
        chosen, values, times, qualities = (list(column) for column in zip(*rows, strict=True))
        if one_time:
            times, qualities = [times[0]] * len(rows), [qualities[0]] * len(rows)
            rigs[0].sink.arrived(chosen, values, times[0], qualities[0])
        else:
            rigs[0].sink.arrived(chosen, values, times, qualities)
        samples = map(Sample, times, values, qualities)
        rigs[1].sink.spontaneous(list(zip(chosen, samples, strict=True)))
    assert rigs[0].writer.samples() == rigs[1].writer.samples()
    assert _lengths(rigs[0]) == _lengths(rigs[1])
    for one in points:
        assert rigs[0].sink.known(one) == rigs[1].sink.known(one)
    assert rigs[0].sink.bad_points() == rigs[1].sink.bad_points()
    assert rigs[0].sink.account == rigs[1].sink.account
    for rig in rigs:
        rig.sink.all_failed(points, int(Quality.COMM_LOST))
    assert rigs[0].writer.samples() == rigs[1].writer.samples()


def _lengths(rig):
    return [
        packet.lengths[i] if isinstance(packet.lengths, list) else packet.lengths
        for packet in rig.writer.packets
        for i in range(len(packet.fields))
    ]


def test_columns_with_one_time_and_quality_stay_so(sink, writer):
    points = [point("a"), point("b")]
    sink.arrived(points, (1, 2.5), [7.0, 7.0], [0, 0])
    (packet,) = writer.packets
    assert (packet.times, packet.qualities, packet.lengths, packet.mergeable) == (7.0, 0, 100, False)
    assert sink.last_seen == 1000.0
    sink.arrived([], [], [], [])
    assert len(writer.packets) == 1


def test_late_samples_change_nothing_that_is_known(sink, writer):
    one = point("a", coefficient=0.5, deadband=100.0)
    sink.arrived([one], [10], 7.0, 0)
    sink.late([(one, Sample(3.0, 4, 0)), (one, Sample(4.0, 6, 0))])
    assert [packet.late for packet in writer.packets] == [False, True]
    assert writer.samples()[1:] == [("t:a", Sample(3.0, 2.0, 0)), ("t:a", Sample(4.0, 3.0, 0))]
    assert sink.known(one) == Sample(7.0, 5.0, 0)
    assert balanced(sink)
