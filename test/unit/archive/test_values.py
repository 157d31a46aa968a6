"""Values survive the archive."""

from __future__ import annotations

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pydatacoll.archive.months import first_partitions, missing, month_of, partitions, start_of
from pydatacoll.archive.values import LONGEST_TEXT, from_columns, from_micros, storable, to_columns, to_micros
from pydatacoll.model.quality import Quality

FINITE = st.floats(allow_nan=False, allow_infinity=False)
INVALID = int(Quality.INVALID)


@given(st.one_of(st.none(), st.booleans(), FINITE, st.integers(-(2**1000), 2**1000), st.integers()))
def test_values_come_back_as_they_were(value: bool | float | None) -> None:
    number, text, kind, quality = to_columns(value, 4)
    assert quality == 4
    assert number is None or math.isfinite(number)
    back = from_columns(None if number is None else float(number), text, kind)
    assert back == value
    assert type(back) is type(value)


@given(st.text(st.characters(exclude_characters="\0", exclude_categories=["Cs"]), max_size=50))
def test_texts_come_back_as_they_were(value: str) -> None:
    assert from_columns(*to_columns(value, 0)[:3]) == value


@pytest.mark.parametrize("value", [math.nan, math.inf, -math.inf, 10**400])
def test_what_no_column_holds_is_nothing_and_invalid(value: float) -> None:
    assert to_columns(value, 32) == (None, None, 0, 32 | INVALID)


def test_texts_are_made_fit_for_every_database() -> None:
    assert storable("a\0b\ud800") == "a\ufffdb?"
    assert storable("ä" * (LONGEST_TEXT + 1)) == "ä" * LONGEST_TEXT


@given(st.integers(-(10**15), 4 * 10**15))
def test_times_are_exact_to_the_microsecond(micros: int) -> None:
    assert to_micros(from_micros(micros)) == micros


def test_partitions_are_calendar_months() -> None:
    november = 1795224600.0  # 2026-11-21
    assert first_partitions(november).split(", ") == [
        "PARTITION p202610 VALUES LESS THAN (1793491200000000)",
        "PARTITION p202611 VALUES LESS THAN (1796083200000000)",
        "PARTITION p202612 VALUES LESS THAN (1798761600000000)",
        "PARTITION p202701 VALUES LESS THAN (1801440000000000)",
        "PARTITION p202702 VALUES LESS THAN (1803859200000000)",
        "PARTITION future VALUES LESS THAN MAXVALUE",
    ]


def test_partitions_are_made_ahead_without_gaps() -> None:
    november = 1795224600.0
    bounds = [start_of(month_of(november) + ahead + 1) for ahead in range(-1, 4)]
    assert list(missing(bounds, november)) == []
    december = november + 31 * 86_400
    assert [text.split()[1] for text in partitions(missing(bounds, december))] == ["p202703", "future"]
    later = november + 200 * 86_400  # nobody was here for half a year
    assert [text.split()[1] for text in partitions(missing(bounds, later))][:2] == ["p202703", "p202704"]
