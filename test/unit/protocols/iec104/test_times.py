from __future__ import annotations

from datetime import UTC, datetime

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pydatacoll.protocols.iec104.errors import LocalProtocolError
from pydatacoll.protocols.iec104.times import Cp24, Cp56, Zone


def cp56(text: str, *, milliseconds: int = 0, invalid: bool = False, summer: bool = False) -> Cp56:
    """What a clock shows that stands at ``text`` (``24-02-29 12:34``)."""
    year, month, day, hour, minute = (int(part) for part in text.replace(" ", "-").replace(":", "-").split("-"))
    octets = [minute | invalid << 7, hour | summer << 7, day, month, year]
    return Cp56(milliseconds.to_bytes(2, "little") + bytes(octets))


def utc(text: str) -> float:
    return datetime.fromisoformat(text).replace(tzinfo=UTC).timestamp()


def test_the_fields_of_a_tag_stand_where_the_standard_puts_them() -> None:
    tag = Cp56(bytes.fromhex("15 cd e2 8c 9d 02 18"))
    fields = (tag.milliseconds, tag.minute, tag.hour, tag.day, tag.weekday, tag.month, tag.year)
    assert fields == (52501, 34, 12, 29, 4, 2, 24)
    assert (tag.invalid, tag.substituted, tag.summer, tag.reserved) == (True, True, True, False)
    short = Cp24(bytes.fromhex("15 cd 22"))
    assert (short.milliseconds, short.minute, short.invalid, short.substituted) == (52501, 34, False, False)


TIMES = {
    "UTC": ("UTC", cp56("24-02-29 12:34", milliseconds=56_789), "2024-02-29 12:34:56.789"),
    "UTC ignores summer time": ("UTC", cp56("24-07-01 12:00", summer=True), "2024-07-01 12:00"),
    "an offset": ("+01:00", cp56("24-07-01 12:00"), "2024-07-01 11:00"),
    "an offset, summer time": ("+01:00", cp56("24-07-01 12:00", summer=True), "2024-07-01 10:00"),
    "a negative offset": ("-03:30", cp56("24-07-01 12:00"), "2024-07-01 15:30"),
    "a zone in winter": ("Europe/Vienna", cp56("24-01-01 12:00"), "2024-01-01 11:00"),
    "a zone in summer": ("Europe/Vienna", cp56("24-07-01 12:00", summer=True), "2024-07-01 10:00"),
    "a zone in summer, SU never set": ("Europe/Vienna", cp56("24-07-01 12:00"), "2024-07-01 10:00"),
    "the first 02:30 of two": ("Europe/Vienna", cp56("24-10-27 02:30", summer=True), "2024-10-27 00:30"),
    "the second 02:30 of two": ("Europe/Vienna", cp56("24-10-27 02:30"), "2024-10-27 01:30"),
    "a 02:30 that is none, standard time": ("Europe/Vienna", cp56("24-03-31 02:30"), "2024-03-31 01:30"),
    "a zone whose winter is the exception": (
        "Europe/Dublin",
        cp56("24-10-27 01:30", summer=True),
        "2024-10-27 00:30",
    ),
    "the other one": ("Europe/Dublin", cp56("24-10-27 01:30"), "2024-10-27 01:30"),
    "a clock that was never set": ("UTC", cp56("70-01-01 00:00"), "1970-01-01 00:00"),
    "year 69": ("UTC", cp56("69-12-31 23:59"), "2069-12-31 23:59"),
    "year 0": ("UTC", cp56("00-02-29 00:00"), "2000-02-29 00:00"),
}


@pytest.mark.parametrize("name", TIMES)
def test_a_tag_is_a_time_in_its_zone(name: str) -> None:
    zone, tag, expected = TIMES[name]
    assert Zone.parse(zone).seconds(tag) == utc(expected)


def test_summer_time_can_be_disbelieved() -> None:
    zone = Zone.parse("+01:00", summer_time=False)
    assert zone.seconds(cp56("24-07-01 12:00", summer=True)) == utc("2024-07-01 11:00")


NO_TIME = {
    "invalid": cp56("24-02-29 12:34", invalid=True),
    "February 29 of no leap year": cp56("23-02-29 12:34"),
    "February 30": cp56("24-02-30 12:34"),
    "day 0": cp56("24-02-00 12:34"),
    "month 0": cp56("24-00-01 12:34"),
    "month 13": cp56("24-13-01 12:34"),
    "hour 24": cp56("24-02-01 24:00"),
    "minute 60": cp56("24-02-01 23:60"),
    "second 60": cp56("24-02-01 23:59", milliseconds=60_000),
    "year 100": cp56("100-02-01 23:59"),
    "nothing but ones": Cp56(b"\xff" * 7),
}


@pytest.mark.parametrize("name", NO_TIME)
def test_what_is_no_time_is_none(name: str) -> None:
    assert Zone().seconds(NO_TIME[name]) is None


def test_reserved_bits_and_the_day_of_week_do_not_matter() -> None:
    plain, noisy = cp56("24-02-29 12:34"), Cp56(bytes.fromhex("00 00 62 6c fd f2 98"))
    assert Zone().seconds(noisy) == Zone().seconds(plain)
    assert noisy.reserved


ZONES = ["UTC", "+05:30", "-11:00", "Europe/Vienna", "Europe/Dublin", "America/St_Johns", "Australia/Lord_Howe"]


@given(st.sampled_from(ZONES), st.integers(86_400_000, 3_155_000_000_000))
def test_a_time_comes_back_from_its_tag(name: str, milliseconds: int) -> None:
    zone = Zone.parse(name)
    tag = zone.tag(milliseconds / 1000)
    assert zone.seconds(tag) == milliseconds / 1000
    shown = datetime.fromtimestamp(milliseconds // 1000, zone.tz)
    assert (tag.hour, tag.minute, tag.day, tag.month) == (shown.hour, shown.minute, shown.day, shown.month)
    assert tag.weekday == shown.isoweekday()


@given(st.sampled_from(ZONES), st.binary(min_size=7, max_size=7), st.floats(0, 4e9))
def test_no_tag_is_too_odd(name: str, octets: bytes, reference: float) -> None:
    zone = Zone.parse(name)
    zone.seconds(Cp56(octets))
    zone.seconds(Cp24(octets[:3]), reference)


@pytest.mark.parametrize(
    ("minute", "received", "expected"),
    [
        (34, "2024-02-29 12:34:57", "2024-02-29 12:34:56.789"),
        (59, "2024-02-29 12:00:01", "2024-02-29 11:59:56.789"),
        (36, "2024-02-29 12:34:57", "2024-02-29 12:36:56.789"),  # its clock is ahead
        (50, "2024-02-29 12:34:57", "2024-02-29 11:50:56.789"),
        (2, "2024-02-29 23:59:00", "2024-03-01 00:02:56.789"),
    ],
)
def test_the_hour_of_a_short_tag_is_that_of_its_receipt(minute: int, received: str, expected: str) -> None:
    seconds = Zone().seconds(Cp24.of(56_789, minute), utc(received))
    assert seconds == pytest.approx(utc(expected), abs=1e-5)


def test_a_short_tag_counts_the_minutes_of_its_own_zone() -> None:
    seconds = Zone.parse("+05:30").seconds(Cp24.of(0, 4), utc("2024-02-29 12:34:30"))
    assert seconds == utc("2024-02-29 12:34:00")


@given(st.floats(1e5, 3e9), st.floats(-290, 3000), st.sampled_from(ZONES))
def test_a_short_tag_not_older_than_an_hour_is_found_again(received: float, age: float, name: str) -> None:
    zone = Zone.parse(name)
    happened = received - age
    if zone.offset(happened) != zone.offset(received):
        return  # the clock was changed in between: the minute still fits where whole hours are
    found = zone.seconds(zone.short_tag(happened), received)
    assert found == pytest.approx(happened, abs=0.002)


def test_a_short_tag_alone_is_no_time() -> None:
    tag = Cp24.of(0, 0)
    assert Zone().seconds(tag) is None
    assert Zone().seconds(Cp24.of(0, 0, invalid=True), 1e9) is None
    assert Zone().seconds(Cp24(b"\xff\xff\x3b"), 1e9) is None


@pytest.mark.parametrize(
    "text", ["Nowhere/Land", "", "Europe", "+1", "+25:00", "01:00", "+aa:00", "../etc/passwd", "\0"]
)
def test_an_unknown_zone_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match=r"time zone|offset"):
        Zone.parse(text)


@pytest.mark.parametrize("seconds", [-1.0, 4e9, float("nan"), float("inf"), 1e300])
def test_a_time_that_two_digits_of_year_cannot_hold_is_refused(seconds: float) -> None:
    with pytest.raises(LocalProtocolError, match="CP56Time2a"):
        Zone().tag(seconds)


def test_a_short_tag_must_be_within_the_hour() -> None:
    with pytest.raises(LocalProtocolError, match="no time of an hour"):
        Cp24.of(60_000, 0)
