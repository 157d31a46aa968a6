"""What becomes of process information: samples, in an order that does not let the past hide the present."""

from __future__ import annotations

import tracemalloc

import pytest

from pydatacoll.protocols.iec104 import elements as e
from pydatacoll.protocols.iec104.asdu import encode
from pydatacoll.protocols.iec104.columns import COLUMN_TYPES
from pydatacoll.protocols.iec104.errors import RemoteProtocolError
from pydatacoll.protocols.iec104.stations import NOTED
from pydatacoll.protocols.iec104.types import TYPES, Tag
from pydatacoll.sdk import Quality, Sample
from test.iec104_asdus import example
from test.unit.protocols.iec104.monitor_rig import START, MonitorRig

FLOAT = "M_ME_TF_1"
INVALID, TIME_INVALID, NOT_TOPICAL = int(Quality.INVALID), int(Quality.TIME_INVALID), int(Quality.NOT_TOPICAL)


@pytest.fixture
def rig() -> MonitorRig:
    return MonitorRig({1: FLOAT, 2: FLOAT, 3: "M_SP_TB_1"})


# Samples


def test_a_sample_has_the_time_of_its_tag_and_all_of_its_quality(rig):
    rig.wait(100)
    rig.asdu(36, (1, e.ShortFloat(1.5, e.IV | e.SB), -0.25), (2, e.ShortFloat(2.5), -0.125))
    assert rig.sink.shown == [
        ("1", Sample(START + 99.75, 1.5, int(Quality.INVALID | Quality.SUBSTITUTED))),
        ("2", Sample(START + 99.875, 2.5, 0)),
    ]


def test_without_a_tag_the_time_is_that_of_receipt_and_as_good_as_any(rig):
    rig.wait(3)
    rig.asdu(13, (1, e.ShortFloat(1.5, e.BL)))
    assert rig.sink.shown == [("1", Sample(START + 3, 1.5, int(Quality.BLOCKED)))]


def test_a_tag_that_is_not_valid_is_replaced_by_the_time_of_receipt_and_marked(rig):
    rig.wait(3)
    rig.event(1.5, None)
    assert rig.sink.shown == [("1", Sample(START + 3, 1.5, TIME_INVALID))]


@pytest.mark.parametrize("type_id", sorted(COLUMN_TYPES))
def test_every_type_reaches_a_point_of_its_own_family_and_one_of_any(type_id):
    asdu = example(type_id)
    for code_type in (TYPES[type_id].name, None):
        rig = MonitorRig({(asdu.common_address, each.address): code_type for each in asdu.objects})
        columns = rig.monitor.take(encode(asdu), rig.wall)
        rig.monitor.flush()
        assert rig.shown == list(columns.values)


@pytest.mark.parametrize("type_id", sorted(COLUMN_TYPES))
def test_no_type_reaches_a_point_of_another_family(type_id):
    asdu = example(type_id)
    other = "M_IT_NA_1" if TYPES[type_id].element is not e.Counter else "M_ME_NC_1"
    rig = MonitorRig({(asdu.common_address, each.address): other for each in asdu.objects})
    rig.monitor.take(encode(asdu), rig.wall)
    rig.monitor.flush()
    assert rig.shown == []
    assert [found.note for found in rig.monitor.discovered.list()] == [f"configured as {other}"] * len(
        asdu.objects
    )


def test_an_answer_without_tag_and_an_event_with_one_are_of_one_family(rig):
    rig.current(1.0)
    rig.wait(1)
    rig.event(2.0)
    rig.asdu(14, (1, e.ShortFloat(3.0), 0.1))
    assert rig.shown == [1.0, 2.0, 3.0]


def test_a_normalized_value_without_quality_is_one_of_the_same_family():
    rig = MonitorRig({1: "M_ME_TD_1"})
    rig.asdu(21, (1, e.NormalizedOnly(0.5)), cause=1)
    assert rig.shown == [0.5]


def test_a_point_that_is_only_commanded_takes_no_values():
    rig = MonitorRig({1: "C_SC_NA_1"})
    rig.asdu(1, (1, e.SinglePoint(True)))
    assert rig.shown == []
    (found,) = rig.monitor.discovered.list()
    assert (found.protocol_code, found.note) == ("1", "configured as a command")


def test_a_transient_step_position_is_not_topical():
    rig = MonitorRig({1: "M_ST_TB_1", 2: "M_ST_TB_1"})
    rig.asdu(5, (1, e.StepPosition(4, True)), (2, e.StepPosition(5, False, e.BL)))
    rig.asdu(32, (1, e.StepPosition(5)), (2, e.StepPosition(6, True, e.SB)))
    assert [sample.quality for _, sample in rig.sink.shown] == [
        NOT_TOPICAL,
        Quality.BLOCKED,
        0,
        Quality.SUBSTITUTED | Quality.NOT_TOPICAL,
    ]


def test_carry_and_adjustment_leave_a_counter_reading_good():
    rig = MonitorRig({1: "M_IT_TB_1", 2: "M_IT_TB_1"})
    rig.asdu(15, (1, e.Counter(7, 3, carry=True, adjusted=True)), (2, e.Counter(8, invalid=True)), cause=37)
    assert [(sample.value, sample.quality) for _, sample in rig.sink.shown] == [(7, 0), (8, INVALID)]


@pytest.mark.parametrize(
    ("options", "counter"),
    [({"test": True}, "test_values"), ({"negative": True}, "refused_values"), ({"cause": 47}, "refused_values")],
)
def test_what_says_nothing_about_the_process_is_counted_and_not_taken(rig, options, counter):
    rig.asdu(13, (1, e.ShortFloat(1.0)), (9, e.ShortFloat(1.0)), **options)
    assert (rig.shown, rig.monitor.discovered.list()) == ([], [])
    assert rig.context.counters[counter] == 2


def test_a_wrong_asdu_is_refused_as_a_whole(rig):
    with pytest.raises(RemoteProtocolError):
        rig.monitor.take(bytes([13, 2, 3, 0, 1, 0]) + bytes(8), rig.wall)
    rig.monitor.flush()
    assert rig.shown == []


def test_what_was_taken_is_passed_on_once_for_a_whole_piece(rig):
    for value in (1.0, 2.0):
        rig.monitor.take(encode(example(13)), rig.wall)
        rig.current(value)
    assert rig.sink.calls == 2
    rig.monitor.flush()
    assert rig.sink.calls == 2


# Order


def test_a_value_without_tag_hides_older_events_but_not_newer_ones(rig):
    rig.wait(100)
    rig.current(20.0)
    rig.wait(1)
    rig.event(10.0, -60)
    assert (rig.shown, rig.late) == ([20.0], [10.0])
    rig.event(30.0, 0)
    assert (rig.shown, rig.late) == ([20.0, 30.0], [10.0])
    assert rig.sink.late_rows == [("1", Sample(START + 41, 10.0, 0))]


def test_values_without_tag_are_shown_whatever_came_before(rig):
    rig.event(1.0, 0)
    rig.current(2.0)
    rig.current(3.0, cause=1)
    assert rig.shown == [1.0, 2.0, 3.0]


def test_an_event_older_than_the_last_one_of_its_point_is_late(rig):
    rig.wait(100)
    rig.event(2.0, -1)
    rig.event(1.0, -2)
    rig.event(5.0, -2, address=2)
    rig.event(3.0, -0.5)
    assert (rig.shown, rig.late) == ([2.0, 5.0, 3.0], [1.0])


def test_events_of_the_same_millisecond_come_in_their_order(rig):
    rig.asdu(36, (1, e.ShortFloat(1.0), 0), (1, e.ShortFloat(2.0), 0), (1, e.ShortFloat(1.5), 0))
    assert rig.shown == [1.0, 2.0, 1.5]


def test_a_late_event_among_others_of_one_asdu(rig):
    rig.wait(100)
    rig.current(20.0, address=2)
    rig.asdu(36, (1, e.ShortFloat(1.0), -3), (2, e.ShortFloat(9.0), -50), (1, e.ShortFloat(2.0), -2))
    assert [(item, sample.value) for item, sample in rig.sink.shown] == [("2", 20.0), ("1", 1.0), ("1", 2.0)]
    assert rig.late == [9.0]


def test_events_that_were_kept_while_the_link_was_away_come_before_the_answer(rig):
    rig.current(1.0)
    rig.monitor.connected()
    rig.wait(600)
    for number in range(5):
        rig.event(10.0 + number, -300 + number)
    rig.current(20.0)
    rig.wait(1)
    rig.event(11.0, -200)
    assert (rig.shown, rig.late) == ([1.0, 10.0, 11.0, 12.0, 13.0, 14.0, 20.0], [11.0])


def test_an_event_during_a_slow_interrogation_is_newer_than_the_answer_that_was_read_before_it(rig):
    """On a slow line the answer to an interrogation arrives long after the station has read the value."""
    rig.wait(100)
    rig.monitor.interrogating(1)
    rig.wait(30)
    rig.current(20.0)
    rig.wait(30)
    rig.event(21.0, -45)
    rig.event(19.0, -65, address=1)
    assert (rig.shown, rig.late) == ([20.0, 21.0], [19.0])


def test_in_doubt_an_event_is_the_newer_one(rig):
    rig.monitor.clock_changed(known=True)
    rig.wait(100)
    rig.current(20.0)
    rig.event(21.0, -0.9)
    rig.current(20.0, address=2)
    rig.event(22.0, -1.1, address=2)
    assert (rig.shown, rig.late) == ([20.0, 21.0, 20.0], [22.0])


def test_the_doubt_is_larger_while_nothing_is_known_of_the_clock(rig):
    rig.wait(100)
    rig.current(20.0)
    rig.event(21.0, -4.9)
    rig.current(20.0, address=2)
    rig.event(22.0, -5.1, address=2)
    assert (rig.shown, rig.late) == ([20.0, 21.0, 20.0], [22.0])


def test_a_tagged_answer_is_late_only_after_a_newer_event(rig):
    rig.wait(100)
    rig.current(1.0)
    rig.asdu(36, (1, e.ShortFloat(2.0), -60), cause=20)
    assert rig.shown == [1.0, 2.0]
    rig.wait(30)
    rig.event(3.0, -10)
    rig.asdu(36, (1, e.ShortFloat(2.0), -60), cause=20)
    rig.asdu(36, (1, e.ShortFloat(4.0), -10), cause=5)
    assert (rig.shown, rig.late) == ([1.0, 2.0, 3.0, 4.0], [2.0])


def test_an_event_without_a_valid_time_is_shown_and_hides_older_ones(rig):
    rig.wait(100)
    rig.event(1.0, 0)
    rig.event(2.0, None)
    rig.event(3.0, -50)
    assert (rig.shown, rig.late) == ([1.0, 2.0], [3.0])


# Repetitions


def test_what_a_station_repeats_is_stored_once(rig):
    rig.wait(100)
    events = [(1, e.ShortFloat(float(n)), -5 + n / 10) for n in range(10)]
    rig.asdu(36, *events)
    rig.monitor.connected()
    rig.asdu(36, *events)
    rig.asdu(36, *events[3:], (1, e.ShortFloat(99.0), 0))
    assert (rig.shown, rig.late) == ([*map(float, range(10)), 99.0], [])
    assert rig.context.counters["repeated_values"] == 17


def test_events_that_come_back_to_a_state_within_one_millisecond_are_all_taken(rig):
    for value in (1.0, 0.0, 1.0):
        rig.event(value, 0)
    assert (rig.shown, rig.late) == ([1.0, 0.0, 1.0], [])


@pytest.mark.parametrize("link", ["connected", "switched"])
def test_events_of_one_millisecond_that_are_repeated_in_part(rig, link):
    rig.event(1.0, 0)
    rig.event(0.0, 0)
    getattr(rig.monitor, link)()
    for value in (1.0, 0.0, 1.0):
        rig.event(value, 0)
    assert (rig.shown, rig.late) == ([1.0, 0.0, 1.0], [])


def test_what_is_repeated_after_the_clock_was_set_is_stored_once(rig):
    rig.wait(100)
    events = [(1, e.ShortFloat(1.0), -2), (1, e.ShortFloat(2.0), -1)]
    rig.asdu(36, *events)
    rig.monitor.connected()
    rig.monitor.clock_changed(1, known=True)
    rig.asdu(36, *events)
    assert (rig.shown, rig.late) == ([1.0, 2.0], [])


def test_what_is_repeated_for_ever_takes_no_memory(rig):
    rig.event(1.0, 0)
    tracemalloc.start()
    try:
        for _ in range(100):
            rig.event(1.0, 0)
        before, _ = tracemalloc.get_traced_memory()
        for _ in range(2000):
            rig.event(1.0, 0)
        after, _ = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert after - before < 50_000  # an entry for each takes ten times as much


def test_a_repeated_late_event_is_stored_once(rig):
    rig.wait(100)
    rig.current(1.0)
    for _ in range(3):
        rig.event(2.0, -50)
    assert rig.late == [2.0]


def test_the_same_time_with_another_value_or_quality_is_no_repetition(rig):
    rig.event(1.0)
    rig.event(2.0)
    rig.asdu(36, (1, e.ShortFloat(2.0, e.IV), 0))
    assert [(sample.value, sample.quality) for _, sample in rig.sink.shown] == [(1.0, 0), (2.0, 0), (2.0, INVALID)]


def test_an_answer_that_repeats_a_tag_is_shown_for_it_says_that_it_still_is_so(rig):
    rig.wait(50)
    rig.event(1.0, 0)
    rig.asdu(36, (1, e.ShortFloat(1.0), 0), cause=20)
    assert rig.shown == [1.0, 1.0]


# Clocks


@pytest.mark.parametrize("ahead", [3600.0, -3600.0, 86_400.0 * 365, 30.0, -30.0])
def test_a_station_with_a_wrong_clock_shows_its_events_once_that_is_clear(rig, ahead):
    for second in range(60):
        rig.wait(1)
        rig.current(-1.0)
        rig.event(float(second), ahead - 0.05)
    assert [value for value in rig.shown if value >= 0][-30:] == [*map(float, range(30, 60))]
    assert rig.monitor.status()["clocks"]["1"] == {"ahead": pytest.approx(ahead - 0.05), "known": True}


def test_rare_events_of_a_wrong_clock_need_three(rig):
    for second in range(4):
        rig.wait(600)
        rig.current(-1.0)
        rig.event(float(second), -3600)
    assert (rig.late, rig.shown[-1]) == ([0.0, 1.0], 3.0)


def test_a_clock_that_goes_back_is_noticed_and_told(rig):
    told: list[int] = []
    rig.monitor.went_back = told.append
    for second in range(60):
        rig.wait(1)
        rig.event(float(second), 0)
    for second in range(60, 120):
        rig.wait(1)
        rig.event(float(second), -3600)
    assert told == [1]
    assert rig.shown[-35:] == [*map(float, range(85, 120))]
    assert sorted(rig.shown + rig.late) == [*map(float, range(120))]


def test_one_tag_from_the_future_does_not_make_later_events_late(rig):
    rig.event(1.0, 0)
    rig.event(2.0, 86_400 * 400)
    rig.wait(3)
    rig.event(3.0, 0)
    rig.current(4.0)
    rig.wait(1)
    rig.event(5.0, 0)
    assert (rig.shown, rig.late) == ([1.0, 2.0, 3.0, 4.0, 5.0], [])
    assert rig.sink.shown[1][1].time == pytest.approx(START + 86_400 * 400)
    assert rig.context.counters["tags_ahead"] == 1


def test_a_clock_that_drifts_is_followed(rig):
    rig.monitor.clock_changed(known=True)
    drift = 0.0
    for second in range(2000):
        rig.wait(1)
        drift -= 0.01
        rig.current(-1.0)
        rig.wait(1)
        rig.event(float(second), drift)
    assert rig.late == []


@pytest.mark.parametrize("step", [-7200.0, 7200.0])
def test_after_the_clock_is_set_older_tags_do_not_count(rig, step):
    for _ in range(30):
        rig.wait(1)
        rig.event(1.0, -step)
    rig.monitor.clock_changed(known=True)
    rig.wait(0.1)
    rig.event(2.0, 0)
    assert rig.shown[-1] == 2.0
    assert rig.late == []


def test_what_is_older_stays_older_when_a_clock_that_was_right_is_set_again(rig):
    rig.monitor.clock_changed(known=True)
    rig.wait(10)
    rig.event(1.0, 0)
    rig.monitor.connected()
    rig.monitor.clock_changed(known=True)
    rig.event(0.0, -5)
    assert (rig.shown, rig.late) == ([1.0], [0.0])


@pytest.mark.parametrize("ahead", [0.9, 3.0, 3600.0])
def test_when_a_clock_that_ran_ahead_is_set_back_what_comes_then_is_new(rig, ahead):
    rig.monitor.clock_changed(known=True)
    for _ in range(30):
        rig.wait(1)
        rig.event(1.0, ahead)
    rig.monitor.clock_changed(known=True)
    rig.wait(0.001)
    rig.event(2.0, 0)
    assert (rig.shown[-1], rig.late) == (2.0, [])


def test_a_station_that_starts_again_with_an_older_clock(rig):
    rig.event(1.0, 0)
    rig.wait(1)
    rig.monitor.clock_changed(1)
    rig.event(2.0, -0.5)
    assert rig.shown == [1.0, 2.0]


def test_older_tags_are_forgotten_however_many_there_are_and_however_often():
    count = 3 * NOTED
    rig = MonitorRig(dict.fromkeys(range(1, count + 1), FLOAT))
    for tagged in (range(1, count + 1), [1], range(2, NOTED), [count]):
        for address in tagged:
            rig.event(1.0, 10, address=address)
        rig.monitor.clock_changed(1)
        for address in tagged:
            rig.event(2.0, 0, address=address)
        rig.wait(100)
        rig.monitor.clock_changed(1)
    assert rig.late == []


def test_only_the_clock_of_the_station_concerned_changes():
    rig = MonitorRig({(1, 1): FLOAT, (2, 1): FLOAT})
    for common in (1, 2):
        rig.event(1.0, 0, common=common)
    rig.wait(1)
    rig.monitor.clock_changed(2)
    rig.event(2.0, -2, common=1)
    rig.event(2.0, -2, common=2)
    assert [item for item, _ in rig.sink.shown] == ["1", "2-1", "2-1"]
    assert [item for item, _ in rig.sink.late_rows] == ["1"]


@pytest.mark.parametrize("step", [3600.0, -3600.0])
def test_setting_our_own_clock_changes_nothing(rig, step):
    rig.monitor.clock_changed(known=True)
    for second in range(50):
        rig.wait(1)
        rig.current(-1.0)
        if second == 25:
            rig.wall_ahead += step
        rig.wait(1)
        rig.event(float(second), -step if second >= 25 else 0)
    assert rig.late == []


def test_the_zone_of_the_clock_is_that_of_the_device():
    rig = MonitorRig({1: FLOAT}, time_zone="+02:00")
    rig.event(1.0, 7200)
    assert rig.sink.shown == [("1", Sample(START, 1.0, 0))]


# What has been seen


def test_points_without_a_value_on_this_link_are_unseen():
    rig = MonitorRig({1: FLOAT, 2: FLOAT, 3: "M_IT_NA_1", 4: "C_SC_NA_1", (2, 1): FLOAT})
    assert rig.monitor.unseen(1, counters=False) == [rig.points["1"], rig.points["2"]]
    assert rig.monitor.unseen(1, counters=True) == [rig.points["3"]]
    rig.current(1.0)
    rig.event(1.0, 0, address=2)
    rig.asdu(15, (3, e.Counter(1)), cause=37)
    assert rig.monitor.unseen(1, counters=False) == rig.monitor.unseen(1, counters=True) == []
    assert rig.monitor.unseen(2, counters=False) == [rig.points["2-1"]]
    rig.monitor.connected()
    assert len(rig.monitor.unseen(1, counters=False)) == 2
    assert rig.monitor.unseen(7, counters=False) == []


def test_late_and_repeated_events_are_not_seen(rig):
    rig.wait(100)
    rig.event(1.0, 0)
    rig.current(5.0, address=2)
    rig.monitor.connected()
    rig.event(1.0, 0)
    rig.event(1.0, -50, address=2)
    assert rig.monitor.unseen(1, counters=False) == [rig.points[item] for item in "123"]


def test_a_new_point_list_keeps_what_is_known_of_those_that_stay(rig):
    rig.wait(100)
    rig.event(1.0, 0)
    rig.configure({1: FLOAT, 4: FLOAT})
    rig.event(0.5, -1)
    assert rig.late == [0.5]
    assert rig.monitor.unseen(1, counters=False) == [rig.points["4"]]
    rig.current(1.0, address=2)
    assert [found.protocol_code for found in rig.monitor.discovered.list()] == ["2"]


def test_traffic_is_counted_by_type_and_cause(rig):
    rig.asdu(13, (1, e.ShortFloat(1.0)), (2, e.ShortFloat(1.0)))
    rig.asdu(13, (1, e.ShortFloat(1.0)), cause=1)
    rig.asdu(36, (1, e.ShortFloat(1.0)), cause=50)
    status = rig.monitor.status()
    assert status["types"] == {"M_ME_NC_1": 3, "M_ME_TF_1": 1}
    assert status["causes"] == {"interrogated by station interrogation": 2, "periodic": 1, "cause 50": 1}


def test_tags_of_every_kind_are_those_of_types():
    assert {TYPES[number].tag for number in COLUMN_TYPES} == set(Tag)


@pytest.mark.parametrize("cause", [3, 11, 12])
def test_an_event_that_repeats_a_tagged_answer_to_an_interrogation_is_stored_once(rig, cause):
    rig.event(1.0, cause=20)
    rig.event(1.0, cause=cause)
    assert (rig.shown, rig.context.counters["repeated_values"]) == ([1.0], 1)
    rig.event(2.0, cause=cause)  # the same tag, and yet something else
    rig.event(1.0, cause=cause)
    assert rig.shown == [1.0, 2.0, 1.0]
