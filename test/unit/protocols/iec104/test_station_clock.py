"""What tags tell about the clock of a station."""

from __future__ import annotations

import pytest

from pydatacoll.protocols.iec104.station_clock import StationClock


def hear(clock: StationClock, *events: tuple[float, float]) -> list[bool]:
    """``(moment, shown)``: what each says of the clock having gone back."""
    return [clock.heard(at + shown, at) for at, shown in events]


def test_what_is_a_little_ahead_is_believed_at_once():
    clock = StationClock(0.0)
    assert hear(clock, (1, 1.5), (2, 3.0), (3, -5.0)) == [False] * 3
    assert (clock.offset, clock.known) == (3.0, False)


def test_what_is_far_ahead_needs_two_windows():
    clock = StationClock(0.0)
    hear(clock, *((at, 500.0) for at in range(20)))
    assert clock.offset == 0.0
    hear(clock, (20, 500.0))
    assert (clock.offset, clock.known) == (500.0, True)


def test_a_clock_that_went_back_is_told_once():
    clock = StationClock(0.0)
    told = hear(clock, *((at, -500.0) for at in range(60)))
    assert told == [at == 20 for at in range(60)]
    assert clock.offset == -500.0


def test_one_wrong_tag_is_no_evidence():
    clock = StationClock(0.0)
    hear(clock, *((at, 1e8 if at == 25 else -0.1) for at in range(100)))
    assert clock.offset == pytest.approx(-0.1)


def test_delays_do_not_count_as_long_as_some_event_is_quick():
    clock = StationClock(0.0)
    told = hear(clock, *((at / 10, 0.0 if at % 37 == 0 else -3.0 + at % 3) for at in range(2000)))
    assert not any(told)
    assert clock.offset == 0.0


def test_events_that_had_been_kept_prove_nothing():
    """Ten minutes of events within 40 seconds, of an hour ago."""
    clock = StationClock(0.0)
    told = hear(clock, *((at / 10, -3600.0 + at / 10 * 15) for at in range(400)))
    assert not any(told)
    assert (clock.offset, clock.known) == (0.0, False)


def test_events_of_one_moment_that_had_been_kept_prove_nothing():
    clock = StationClock(0.0)
    told = hear(clock, *((at / 10, -3600.0 - at / 10) for at in range(400)))
    assert not any(told)
    assert clock.offset == 0.0


def test_windows_of_two_links_prove_nothing_together():
    clock = StationClock(0.0)
    for link in range(5):
        assert not any(hear(clock, *((link * 100 + at, -600.0) for at in range(12))))
        clock.connected()
    assert clock.offset == 0.0


def test_setting_it_begins_anew():
    clock = StationClock(0.0)
    hear(clock, *((at, -500.0) for at in range(15)))
    clock.set(7.0, known=True)
    assert not any(hear(clock, *((at, -500.0) for at in range(15, 34))))
    assert (clock.offset, clock.known) == (7.0, True)
