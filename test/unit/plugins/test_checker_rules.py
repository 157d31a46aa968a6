"""When alarms of a point begin and end."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pydatacoll_plugins.checker_rules import Checked, Found, Watch

from pydatacoll.model import PointId, Quality, Sample, TermItem, Value

POINT = PointId("d", "t", "i")
LIMITS = {"low_low": 0.0, "down_limit": 10.0, "up_limit": 20.0, "high_high": 30.0}
Row = tuple[str, str, float]


def watch(**options: Any) -> Watch:
    return Watch(POINT, TermItem(term_id="t", item_id="i", **options))


def rows(found: Sequence[Found]) -> list[Row]:
    return [(kind, change, sample.time) for kind, change, sample in found]


def run(samples: Sequence[tuple[Any, ...]], **options: Any) -> list[Row]:
    """What is found in ``(time, value[, quality])``, which arrive at their times."""
    checked = Checked(watch(**options))
    found: list[Row] = []
    for one in samples:
        sample = Sample(*one)
        found += rows(checked.take(sample, sample.time))
    return found


def values(*of: Value) -> list[tuple[float, Value]]:
    return [(float(n), value) for n, value in enumerate(of)]


@pytest.mark.parametrize(
    ("given", "expected"),
    [
        ([15, 20, 10], []),  # a limit itself is within
        ([20.1], [("high", "raise", 0)]),
        ([9.9], [("low", "raise", 0)]),
        ([20.1, 20.2, 20], [("high", "raise", 0), ("high", "clear", 2)]),
        ([30.1], [("high_high", "raise", 0), ("high", "raise", 0)]),
        ([25, 31, 25, 15], [
            ("high", "raise", 0), ("high_high", "raise", 1), ("high_high", "clear", 2), ("high", "clear", 3),
        ]),
        ([-1, 35], [
            ("low", "raise", 0), ("low_low", "raise", 0), ("high_high", "raise", 1), ("high", "raise", 1),
            ("low", "clear", 1), ("low_low", "clear", 1),
        ]),
        ([True], [("low", "raise", 0)]),
    ],
)  # fmt: skip
def test_limits(given: list[Value], expected: list[Row]) -> None:
    assert run(values(*given), **LIMITS) == expected


def test_an_alarm_ends_inside_the_limit_by_the_hysteresis() -> None:
    options = {"up_limit": 20.0, "down_limit": 10.0, "hysteresis": 2.0}
    assert run(values(21, 19, 18.1, 18), **options) == [("high", "raise", 0), ("high", "clear", 3)]
    assert run(values(9, 11, 11.9, 12), **options) == [("low", "raise", 0), ("low", "clear", 3)]


DELAYED = {"up_limit": 20.0, "alarm_delay": 10.0}


@pytest.mark.parametrize(
    ("samples", "expected"),
    [
        ([(0, 21), (9.9, 22)], []),
        ([(0, 21), (10, 22)], [("high", "raise", 10)]),
        ([(0, 21), (3, 25), (7, 20.5), (12, 30)], [("high", "raise", 10)]),  # noisy, but always above
        ([(0, 21), (5, 20), (6, 21), (12, 21)], []),  # was below in between
        ([(0, 21), (5, 20), (6, 21), (16, 21)], [("high", "raise", 16)]),
        ([(0, 21), (15, 15)], [("high", "raise", 10), ("high", "clear", 15)]),  # was above for 15 s
        ([(0, 21), (10, 15)], []),  # for 10 s, but not longer
        ([(0, 21), (5, 21, 1), (11, 21)], []),  # not known for a while
        ([(100, 21), (0, 21), (9, 21)], []),  # the clock was set back
        ([(100, 21), (0, 21), (10, 21)], [("high", "raise", 10)]),
    ],
)
def test_delay(samples: list[tuple[Any, ...]], expected: list[Row]) -> None:
    assert run(samples, **DELAYED) == expected


def test_the_value_of_a_delayed_alarm_is_that_of_the_moment() -> None:
    checked = Checked(watch(**DELAYED))
    checked.take(Sample(0, 21.0), 0)
    checked.take(Sample(8, 23.0), 8)
    (found,) = checked.take(Sample(12, 25.0), 12)
    assert found.sample == Sample(10, 23.0)


def test_a_delay_ends_also_when_no_value_comes() -> None:
    checked = Checked(watch(**DELAYED))
    checked.take(Sample(50, 21.0), 1000)  # the device's clock is another one
    assert not checked.due(1010.5)
    assert checked.elapse(1010.5) == []
    assert checked.due(1011)  # one second for what is on its way
    assert checked.elapse(1011) == [Found("high", "raise", Sample(60, 21.0))]
    assert not checked.due(2000)
    assert checked.elapse(2000) == []


BAD, STALE = int(Quality.INVALID), int(Quality.STALE)


@pytest.mark.parametrize(
    ("samples", "expected"),
    [
        ([(0, 15, BAD), (1, 15)], [("quality", "raise", 0), ("quality", "clear", 1)]),
        ([(0, 99, BAD)], [("quality", "raise", 0)]),  # nothing is known about the limit
        ([(0, 25), (1, 15, BAD), (2, 15)], [
            ("high", "raise", 0), ("quality", "raise", 1), ("quality", "clear", 2), ("high", "clear", 2),
        ]),
        ([(0, 25, int(Quality.TIME_INVALID))], [("high", "raise", 0)]),  # usable
        ([(0, None, BAD), (1, None, int(Quality.COMM_LOST))], [("quality", "raise", 0)]),
        ([(0, float("nan"))], [("quality", "raise", 0)]),
        ([(0, float("inf"))], [("quality", "raise", 0)]),
        ([(0, "text")], [("quality", "raise", 0)]),
    ],
)  # fmt: skip
def test_quality(samples: list[tuple[Any, ...]], expected: list[Row]) -> None:
    assert run(samples, **LIMITS) == expected


def test_quality_is_no_alarm_of_points_without_limits_unless_asked_for() -> None:
    bad = [(0, 1, BAD)]
    assert watch().kinds == frozenset()
    assert run(bad, quality_alarm=True) == [("quality", "raise", 0)]
    assert run(bad, up_limit=20.0, quality_alarm=False) == []
    assert run([(0, "text")], quality_alarm=True) == []  # without limits a text is as good as a number


def test_stale_is_an_alarm_of_its_own_and_waits_for_no_delay() -> None:
    samples = [(0, 15), (1, 15, STALE), (2, 15)]
    expected = [("stale", "raise", 1), ("stale", "clear", 2)]
    assert run(samples, stale_after=60, alarm_delay=10, **LIMITS) == expected
    assert run(samples, stale_after=60) == expected
    assert run(samples, stale_after=60, quality_alarm=False, **LIMITS) == []


@pytest.mark.parametrize(
    ("rule", "samples", "expected"),
    [
        ("value != 3", values(1, 3, 3, 1), [("rule", "raise", 1), ("rule", "clear", 3)]),
        ("abs(value - previous) < 5", values(1, 2, 9, 9), [("rule", "raise", 2), ("rule", "clear", 3)]),
        ("value", values(1, 0, 2), [("rule", "raise", 1), ("rule", "clear", 2)]),
        ("1 / value > 0", values(1, 0, 2, -1), [("rule", "raise", 3)]),  # a division by zero tells nothing
        ("value > 1", [(0, 2), (1, 0, BAD), (2, 0)], [("rule", "raise", 2)]),
        ("value > 1", values(2, "text", 0), [("rule", "raise", 2)]),
        ("max(value, '10s') < 5", [(0, 1), (5, 7), (10, 1), (20, 1)], [
            ("rule", "raise", 5), ("rule", "clear", 20),
        ]),
    ],
)  # fmt: skip
def test_rules(rule: str, samples: list[tuple[Any, ...]], expected: list[Row]) -> None:
    assert run(samples, do_verify=rule, quality_alarm=False) == expected


def test_a_rule_that_gives_nothing_says_why() -> None:
    checked = Checked(watch(do_verify="1 / value > 0"))
    checked.take(Sample(0, 0), 0)
    assert "zero" in checked.failure
    checked.take(Sample(1, 1), 1)
    assert checked.failure == ""


def test_a_rule_that_was_stored_unchecked_is_a_problem_and_no_alarm() -> None:
    bad = watch(do_verify="value >", up_limit=20.0)
    assert "line 1" in bad.problem
    assert rows(Checked(bad).take(Sample(0, 21.0), 0)) == [("high", "raise", 0)]


def test_a_rule_can_be_about_time() -> None:
    checked = Checked(watch(do_verify="age < 60"))
    checked.take(Sample(0, 1), 0)
    assert not checked.due(59)
    assert checked.due(60)
    assert rows(checked.elapse(60)) == [("rule", "raise", 60)]
    assert rows(checked.take(Sample(70, 1), 70)) == [("rule", "clear", 70)]


def test_a_late_sample_is_only_for_windows() -> None:
    checked = Checked(watch(do_verify="max(value, '1m') < 5", up_limit=20.0))
    checked.take(Sample(10, 1), 10)
    checked.late(Sample(5, 25))
    assert rows(checked.take(Sample(20, 1), 20)) == [("rule", "raise", 20)]


def test_what_counted_under_other_rules_is_taken_over() -> None:
    checked = Checked(watch(**LIMITS))
    checked.take(Sample(0, 35), 0)
    stored = checked.stored()
    assert stored is not None
    changed = Checked(watch(up_limit=40.0))
    assert rows(changed.adopt(stored, 7.0)) == [("high_high", "remove", 7)]
    assert rows(changed.take(Sample(8, 35), 8)) == [("high", "clear", 8)]


def test_nothing_is_kept_of_a_point_at_rest() -> None:
    checked = Checked(watch(**LIMITS, alarm_delay=5.0))
    checked.take(Sample(0, 35), 0)
    assert checked.stored() is not None
    checked.take(Sample(1, 15), 1)
    assert checked.stored() is None


OPTIONS = st.fixed_dictionaries(
    {
        "hysteresis": st.sampled_from([None, 1.0, 4.0]),
        "alarm_delay": st.sampled_from([None, 2.0, 5.0]),
        "do_verify": st.sampled_from([None, "value != 15", "abs(value - previous) < 12", "age < 4"]),
        "stale_after": st.sampled_from([None, 60.0]),
    }
)
SAMPLES = st.lists(
    st.tuples(
        st.integers(1, 6),  # seconds since the one before
        st.sampled_from([-5, 5, 9, 10, 15, 18, 19.5, 20, 21, 29, 31, None, "x"]),
        st.sampled_from([0, 0, 0, 0, BAD, STALE, int(Quality.TIME_INVALID)]),
    ),
    max_size=30,
)


@settings(max_examples=400, deadline=None)
@given(OPTIONS, SAMPLES, st.sets(st.integers(0, 30)))
def test_a_restart_changes_nothing(options: Any, steps: Any, restarts: set[int]) -> None:
    """Whatever is found is found at the same time, when the state goes through the store anywhere in between."""
    one = watch(**LIMITS, **options)
    times = [sum(step[0] for step in steps[: n + 1]) for n in range(len(steps))]
    samples = [Sample(float(time), value, quality) for time, (_, value, quality) in zip(times, steps, strict=True)]
    undisturbed, disturbed = Checked(one), Checked(one)
    for n, sample in enumerate(samples):
        if n in restarts:
            disturbed = Checked(one, disturbed.stored())
            if one.memory:
                disturbed.remember(samples[: n + 3])  # the store is ahead
        assert disturbed.take(sample, sample.time) == undisturbed.take(sample, sample.time)
        assert disturbed.stored() == undisturbed.stored()
        if n % 4 == 3:
            now = sample.time + 20
            assert disturbed.due(now) == undisturbed.due(now)
            assert disturbed.elapse(now) == undisturbed.elapse(now)


@settings(max_examples=300, deadline=None)
@given(OPTIONS, SAMPLES)
def test_an_alarm_is_raised_before_it_ends_and_quiet_values_change_nothing(options: Any, steps: Any) -> None:
    checked = Checked(watch(**LIMITS, **options))
    active: set[str] = set()
    time = 0.0
    for seconds, value, quality in steps:
        time += seconds
        low, high = checked.quiet
        quiet = not quality & ~Quality.TIME_INVALID and isinstance(value, (int, float)) and low <= value <= high
        found = checked.take(Sample(time, value, quality), time)
        assert not (quiet and found)
        for kind, change, _ in found:
            assert (kind in active) is (change == "clear")
            active ^= {kind}
        assert active == set(checked.state.counts)
