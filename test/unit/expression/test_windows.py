"""Windows against plain computations on lists of samples."""

from __future__ import annotations

import math
import statistics
from collections.abc import Callable
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pydatacoll.expression import ExpressionError, Input, Outcome, compile_expression
from pydatacoll.model import Quality, Sample, Value
from test.expression_rig import COMM_LOST, INVALID, NAMES, NOW, TIME_INVALID, made, result

RAMP = [Sample(NOW - 10 * k, float(100 - k)) for k in range(60, -1, -1)]
"""10 minutes, every 10 s, by 1 upwards to 100 now."""


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("count(p1, '1m')", 6),
        ("sum(p1, '1m')", 100 + 99 + 98 + 97 + 96 + 95),
        ("average(p1, '1m')", 97.5),
        ("mean(p1, '1m')", 96.5),  # steps: 94 to 99 for 10 s each
        ("integral(p1, '1m')", 5790.0),
        ("min(p1, '1m')", 94),  # in force when the window begins
        ("max(p1, '1m')", 100),
        ("first(p1, '1m')", 94),
        ("last(p1, '1m')", 100),
        ("delta(p1, '1m')", 6),
        ("rate(p1, '1m')", 0.1),
        ("increase(p1, '1m')", 6),
        ("stddev(p1, '1m')", statistics.stdev(range(94, 101))),
        ("percentile(p1, 0, '1m')", 94),
        ("percentile(p1, 50, '1m')", 97),
        ("percentile(p1, 95, '1m')", 99.7),
        ("percentile(p1, 100, '1m')", 100),
        ("coverage(p1, '1m')", 1.0),
        ("coverage(p1, '20m')", 0.5),
        ("coverage(p1)", 1.0),
        # between two samples
        ("count(p1, '25s')", 3),
        ("mean(p1, '25s')", (97 * 5 + 98 * 10 + 99 * 10) / 25),
        ("first(p1, '25s')", 97),
        # longer than what there is
        ("mean(p1, '1d')", 69.5),
        ("rate(p1, '1d')", 0.1),
        ("count(p1, '1d')", 61),
        # all that is kept, in each of its spellings
        ("count(p1)", 61),
        ("p1.count()", 61),
        ("p1.max() - p1.min()", 60),
        ("max(p1) - min(p1)", 60),
        ("p1.delta('1m')", 6),
        ("p1.percentile(95, '1m')", 99.7),
        ("p1.percentile(50)", 70),
        ("min(p1, p2)", 7),
        ("min(p1, p2, 3)", 3),
    ],
)
def test_windows_of_a_ramp(text: str, value: float) -> None:
    outcome = result(text, {"p1": RAMP, "p2": 7})
    assert outcome.value == pytest.approx(value, rel=1e-12)
    assert (outcome.quality, outcome.error) == (0, None)


def test_a_window_ends_now_and_the_newest_value_lasts_until_then() -> None:
    given = {"p1": RAMP}
    assert result("mean(p1, '1m')", given, NOW + 30).value == pytest.approx(
        (97 * 10 + 98 * 10 + 99 * 10 + 3000) / 60
    )
    assert result("mean(p1, '1m')", given, NOW + 300).value == 100.0
    assert result("integral(p1, '1m')", given, NOW + 300).value == 6000.0
    assert result("min(p1, '1m')", given, NOW + 300).value == 100
    assert result("delta(p1, '1m')", given, NOW + 300).value == 0
    assert result("rate(p1, '1m')", given, NOW + 300).value == 0.0
    assert result("count(p1, '1m')", given, NOW + 300).value == 0
    assert result("sum(p1, '1m')", given, NOW + 300).value == 0.0
    assert (
        result("average(p1, '1m')", given, NOW + 300).error == "average of p1: no usable sample came in the window"
    )


def test_a_window_ends_at_the_newest_sample_when_that_is_ahead() -> None:
    assert result("first(p1, '1m')", {"p1": RAMP}, NOW - 300).value == 94


@pytest.mark.parametrize(
    ("written", "count"), [("500ms", 1), ("10s", 1), ("1m", 6), ("2.5m", 15), ("1h", 61), ("2d", 61), ("1 m", 6)]
)
def test_durations(written: str, count: int) -> None:
    assert result(f"count(p1, '{written}')", {"p1": RAMP}).value == count
    assert result(f'p1.count("{written}")', {"p1": RAMP}).value == count


def test_a_counter_may_begin_again() -> None:
    counts = [Sample(NOW - 50 + 10 * k, value) for k, value in enumerate([90, 95, 3, 8, 2])]
    assert result("increase(p1, '1m')", {"p1": counts}).value == 5 + 3 + 5 + 2
    assert result("delta(p1, '1m')", {"p1": counts}).value == -88


def test_counters_of_64_bits_keep_their_last_digit() -> None:
    counts = [Sample(NOW - 2, 2**63), Sample(NOW - 1, 2**63 + 5), Sample(NOW, 2**63 + 6)]
    assert result("delta(p1, '1m')", {"p1": counts}).value == 6
    assert result("increase(p1, '1m')", {"p1": counts}).value == 6
    assert result("max(p1, '1m') - min(p1, '1m')", {"p1": counts}).value == 6


def test_states_count_as_0_and_1() -> None:
    states = [Sample(NOW - 60, True), Sample(NOW - 45, False), Sample(NOW - 15, True)]
    assert result("mean(p1, '1m')", {"p1": states}).value == 0.5
    assert result("integral(p1, '1m')", {"p1": states}).value == 30.0
    assert result("max(p1, '1m')", {"p1": states}).value == 1


# Quality


def holed(quality: int, value: Value = 0.0) -> list[Sample]:
    return [Sample(NOW - 60, 10.0), Sample(NOW - 45, value, quality), Sample(NOW - 15, 30.0)]


@pytest.mark.parametrize(
    ("bad", "quality"),
    [
        (holed(COMM_LOST), COMM_LOST),
        (holed(0, None), INVALID),
        (holed(0, math.nan), INVALID),
        (holed(0, "a text"), 0),
    ],
)
def test_bad_samples_are_left_out_and_mark_the_result(bad: list[Sample], quality: int) -> None:
    for text, value in [
        ("mean(p1, '1m')", 20.0),
        ("integral(p1, '1m')", 600.0),
        ("min(p1, '1m')", 10.0),
        ("sum(p1, '2m')", 40.0),
        ("average(p1, '2m')", 20.0),
        ("delta(p1, '1m')", 20.0),
        ("stddev(p1, '1m')", statistics.stdev([10, 30])),
        ("accept(mean(p1, '1m'))", 20.0),
    ]:
        outcome = result(text, {"p1": bad})
        assert outcome.value == pytest.approx(value), text
        assert outcome.quality == (0 if "accept" in text else quality), text
    for text, value in [("coverage(p1, '1m')", 0.5), ("count(p1, '2m')", 2)]:
        assert result(text, {"p1": bad})[:2] == (value, 0)
    assert result("default(mean(p1, '1m'), -1)", {"p1": bad}).value == (-1 if quality else 20.0)
    assert result("mean(p1, '10s')", {"p1": bad})[:2] == (30.0, 0)  # it came before the window


def test_a_bad_sample_in_force_when_the_window_begins_counts() -> None:
    samples = [Sample(NOW - 90, 1.0, COMM_LOST), Sample(NOW - 30, 5.0)]
    assert result("mean(p1, '1m')", {"p1": samples})[:2] == (5.0, COMM_LOST)
    assert result("rate(p1, '1m')", {"p1": samples})[:2] == (0.0, COMM_LOST)
    assert result("coverage(p1, '1m')", {"p1": samples}).value == 0.5


def test_a_window_without_any_usable_value_has_no_result() -> None:
    lost = [Sample(NOW - 30, 5.0, COMM_LOST)]
    assert result("mean(p1, '1m')", {"p1": lost})[::3] == (None, "mean of p1: no usable value in the window")
    assert result("mean(p1, '1m')", {"p1": lost}).quality == INVALID | COMM_LOST
    assert result("sum(p1, '1m')", {"p1": lost})[:2] == (0.0, COMM_LOST)


def test_doubtful_times_leave_samples_usable() -> None:
    samples = [one._replace(quality=TIME_INVALID) for one in RAMP]
    assert result("mean(p1, '1m')", {"p1": samples})[:2] == (96.5, TIME_INVALID)


def test_sums_beyond_the_range_of_numbers_have_no_result() -> None:
    huge = [Sample(NOW - 20, 1e308), Sample(NOW - 10, -1e308), Sample(NOW, 1e308)]
    for text in ("integral(p1, '1m')", "delta(p1, '10s')", "stddev(p1, '1m')"):
        assert result(text, {"p1": huge}).value is None
    assert result("max(p1, '1m')", {"p1": huge}).value == 1e308


# The order of samples


def test_a_late_sample_goes_to_its_place() -> None:
    expression = compile_expression("mean(p1, '1m')", NAMES)
    late = made([Sample(NOW - 60, 10.0), Sample(NOW, 99.0)], expression)
    late.insert(Sample(NOW - 30, 20.0))
    assert late.value == 99.0
    inputs = {"p1": late}
    assert expression.evaluate(inputs, NOW).value == 15.0
    late.insert(Sample(NOW - 15, 40.0, COMM_LOST))
    assert expression.evaluate(inputs, NOW)[:2] == (pytest.approx((300 + 300) / 45), COMM_LOST)
    late.insert(Sample(NOW, 1.0))
    assert late.value == 1.0


def test_when_the_clock_is_set_back_the_future_is_forgotten() -> None:
    expression = compile_expression("mean(p1, '1m') + 0 * p1[-2]", NAMES)
    of = made([Sample(NOW - 60, 10.0), Sample(NOW - 10, 50.0, COMM_LOST), Sample(NOW, 70.0)], expression)
    of.push(Sample(NOW - 30, 20.0))
    assert (of.value, of.time) == (20.0, NOW - 30)
    assert expression.evaluate({"p1": of}, NOW) == (15.0, 0, NOW, None)
    of.push(Sample(NOW - 90, 5.0))
    assert expression.evaluate({"p1": of}, NOW)[::3] == (None, "p1 has fewer than 2 samples")


def test_of_two_samples_of_one_time_the_later_one_holds() -> None:
    samples = [Sample(NOW - 30, 10.0), Sample(NOW - 30, 20.0), Sample(NOW, 30.0), Sample(NOW, 40.0)]
    assert result("mean(p1, '1m')", {"p1": samples}).value == 20.0
    assert result("count(p1, '1m')", {"p1": samples}).value == 4
    assert result("p1[-2]", {"p1": samples}).value == 30.0


# What is kept


def kept(of: Input) -> list[float]:
    assert of.recent is not None
    return of.recent.times


def test_no_more_is_kept_than_required() -> None:
    only_latest, three, minute, all_kept = Input(), Input(), Input(), Input(limit=20)
    three.require(samples=3)
    minute.require(seconds=60.0)
    all_kept.require(seconds=math.inf)
    for sample in RAMP:
        for of in (only_latest, three, minute, all_kept):
            of.push(sample)
    assert only_latest.recent is None
    assert len(kept(three)) == 3
    assert kept(minute) == [NOW - 10 * k for k in range(6, -1, -1)]
    assert len(kept(all_kept)) == 20
    minute.require(samples=1, seconds=10.0)
    minute.push(Sample(NOW + 10, 1.0))
    assert len(kept(minute)) == 7  # the longer window stays required


def test_bad_samples_that_are_gone_are_not_looked_for_any_more() -> None:
    of = Input()
    of.require(samples=2)
    for sample in [Sample(NOW, 1.0, COMM_LOST), Sample(NOW, "text"), Sample(NOW, 2.0), Sample(NOW, 3.0)]:
        of.push(sample)
    assert of.recent is not None
    assert (of.recent.unusable, of.recent.flagged) == (0, 0)


def test_the_limit_holds_for_windows_but_not_for_indices() -> None:
    of = Input(limit=5)
    of.require(samples=8, seconds=3600.0)
    for sample in RAMP:
        of.push(sample)
    assert len(kept(of)) == 8
    of.insert(Sample(0.0, 1.0))
    assert 0.0 not in kept(of)


def test_samples_are_kept_from_when_they_are_required_with_the_latest() -> None:
    of = Input()
    of.push(Sample(NOW - 20, 1.0))
    of.push(Sample(NOW - 10, 2.0))
    expression = compile_expression("p1[-2] + count(p1, '1h')", NAMES)
    expression.require({"p1": of})
    of.push(Sample(NOW, 3.0))
    assert expression.evaluate({"p1": of}, NOW).value == 4.0


def test_an_input_shows_its_quality() -> None:
    of = Input()
    assert (of.value, of.quality) == (None, INVALID)
    of.push(Sample(NOW, "text", COMM_LOST))
    assert (of.value, of.quality) == ("text", COMM_LOST)


# Random samples

QUALITIES = st.sampled_from([0, 0, 0, 0, TIME_INVALID, COMM_LOST, int(Quality.STALE)])
VALUES = (
    st.integers(-50, 50) | st.floats(-1e3, 1e3).map(lambda number: round(number, 3)) | st.booleans() | st.none()
)
STEPS = st.lists(st.tuples(st.integers(0, 40), VALUES, QUALITIES), min_size=1, max_size=30)


class Plain:
    """What the functions of a window are, straight from their definitions. Times are whole seconds."""

    def __init__(self, samples: list[Sample], seconds: int | None, now: int) -> None:
        self.end = now
        self.start = min(one.time for one in samples) if seconds is None else now - seconds
        before = [one for one in samples if one.time <= self.start] if seconds is not None else []
        self.came = [one for one in samples if seconds is None or one.time > self.start]
        self.all = before[-1:] + self.came
        self.usable = [one for one in self.all if self.good(one)]
        self.values = [one.value for one in self.usable]
        self.came_values = [one.value for one in self.came if self.good(one)]
        self.quality = 0
        for one in self.all:
            self.quality |= one.quality | (INVALID if one.value is None else 0)
        # the value in each second of the window
        self.held = []
        for second in range(int(self.start), now):
            in_force = [one for one in samples if one.time <= second]
            if in_force and self.good(in_force[-1]):
                self.held.append(in_force[-1].value)

    @staticmethod
    def good(sample: Sample) -> bool:
        return sample.value is not None and sample.quality in (0, TIME_INVALID)

    def increase(self) -> Any:
        total = 0
        for before, after in zip(self.values, self.values[1:], strict=False):
            total += after - before if after >= before else after
        return total

    def percentile(self, percent: int) -> float:
        if len(self.values) == 1:
            return self.values[0]
        return statistics.quantiles(self.values, n=100, method="inclusive")[percent - 1]

    def rate(self) -> float:
        return (self.values[-1] - self.values[0]) / (self.end - max(self.start, self.usable[0].time))


DEFINITIONS: dict[str, Callable[[Plain], Any]] = {
    "mean": lambda plain: statistics.fmean(plain.held) if plain.held else plain.values[-1],
    "integral": lambda plain: plain.values and sum(plain.held),
    "min": lambda plain: min(plain.values),
    "max": lambda plain: max(plain.values),
    "first": lambda plain: plain.values[0],
    "last": lambda plain: plain.values[-1],
    "delta": lambda plain: plain.values[-1] - plain.values[0],
    "rate": Plain.rate,
    "increase": lambda plain: plain.values and plain.increase(),
    "stddev": lambda plain: statistics.stdev(map(float, plain.values)),
    "percentile 95": lambda plain: plain.percentile(95),
    "percentile 1": lambda plain: plain.percentile(1),
    "sum": lambda plain: sum(plain.came_values),
    "count": lambda plain: len(plain.came_values),
    "average": lambda plain: statistics.fmean(plain.came_values),
    "coverage": lambda plain: len(plain.held) / span if (span := plain.end - plain.start) else 0.0,
}


@given(STEPS, st.none() | st.integers(1, 200), st.integers(0, 60), st.randoms())
@settings(max_examples=400, deadline=None)
def test_windows_are_what_their_definitions_say(
    steps: list[tuple[int, Value, int]], seconds: int | None, later: int, random: Any
) -> None:
    """In order or late, it is the same."""
    time, samples = 1000, []
    for gap, value, quality in steps:
        time += gap
        samples.append(Sample(time, value, quality))
    now = time + later
    late = [one for one in samples[:-1] if one.time < time and random.random() < 0.3 and _alone(one, samples)]
    plain = Plain(samples, seconds, now)
    for name, definition in DEFINITIONS.items():
        function, _, percent = name.partition(" ")
        arguments = [percent] * bool(percent) + [f"'{seconds}s'"] * (seconds is not None)
        expression = compile_expression(f"p1.{function}({', '.join(arguments)})", NAMES)
        of = made([], expression)
        of.require(seconds=math.inf)
        for one in samples:
            if one not in late:
                of.push(one)
        for one in random.sample(late, len(late)):
            of.insert(one)
        outcome = expression.evaluate({"p1": of}, float(now))
        _compare(name, outcome, plain, definition)


def _alone(sample: Sample, samples: list[Sample]) -> bool:
    return [one.time for one in samples].count(sample.time) == 1


def _compare(name: str, outcome: Outcome, plain: Plain, definition: Callable[[Plain], Any]) -> None:
    try:
        expected = +definition(plain)
    except (TypeError, ValueError, IndexError, ZeroDivisionError, statistics.StatisticsError):
        assert outcome.value is None, name
        assert outcome.quality == plain.quality | INVALID
        return
    assert outcome.error is None, name
    assert outcome.value == pytest.approx(expected, rel=1e-9, abs=1e-9), name
    assert outcome.quality == (0 if name in ("count", "coverage") else plain.quality), name


def test_a_window_longer_than_the_longest_is_refused() -> None:
    assert compile_expression("mean(p1, '366d')", NAMES).windows == {"p1": 366 * 86_400.0}
    with pytest.raises(ExpressionError, match="at most 366 days"):
        compile_expression("mean(p1, '367d')", NAMES)
