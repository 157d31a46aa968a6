"""When to poll and when to connect again."""

from hypothesis import given
from hypothesis import strategies as st

from pydatacoll.manager.schedule import backoff, first_due, missed_beats, phase_of

clocks = st.floats(0, 1e7)
intervals = st.floats(0.01, 3600)


@given(clocks, intervals, st.floats(0, 1, exclude_max=True))
def test_the_second_poll_is_after_now_and_within_one_interval(now, interval, shift):
    due = first_due(now, interval, shift * interval)
    assert now < due <= now + interval * (1 + 1e-6) + 1e-6


def test_devices_are_spread_over_the_interval():
    tenths = [int(phase_of(f"device{n}", 0, 1.0) * 10) for n in range(1000)]
    assert all(60 < tenths.count(tenth) < 140 for tenth in range(10))


def test_the_phase_is_the_same_at_every_start():
    assert phase_of("feeder", 1, 5.0) == phase_of("feeder", 1, 5.0)


def test_beats_that_a_slow_poll_missed_are_counted():
    assert missed_beats(due=10.0, now=10.5, interval=1.0) == 0
    assert missed_beats(due=10.0, now=12.5, interval=1.0) == 2
    assert missed_beats(due=10.0, now=9.0, interval=1.0) == 0


@given(st.integers(1, 10_000), st.floats(0, 1, exclude_max=True))
def test_back_off_grows_to_its_limit_and_is_never_longer(attempt, random):
    pause = backoff(attempt, 0.5, 30.0, random)
    assert 0.25 <= pause <= 30.0
    assert backoff(attempt + 1, 0.5, 30.0, random) >= pause
