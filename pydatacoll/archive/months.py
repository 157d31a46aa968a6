"""Partitions of the table of samples on MySQL: one for each calendar month, UTC. Pure."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, datetime
from typing import Final

AHEAD: Final = 3
"""Months after the present one that have their partition already."""
FUTURE: Final = "future"
"""The last partition, for everything later. It is empty but for devices whose clock is far ahead."""


def month_of(time: float) -> int:
    """Months since the year 0, of epoch seconds."""
    moment = datetime.fromtimestamp(time, UTC)
    return moment.year * 12 + moment.month - 1


def start_of(month: int) -> int:
    """First microsecond of a month."""
    year, index = divmod(month, 12)
    return int(datetime(year, index + 1, 1, tzinfo=UTC).timestamp()) * 1_000_000


def partitions(months: range) -> Iterator[str]:
    """Definitions of the partitions of months, and of the last one."""
    for month in months:
        year, index = divmod(month, 12)
        yield f"PARTITION p{year:04}{index + 1:02} VALUES LESS THAN ({start_of(month + 1)})"
    yield f"PARTITION {FUTURE} VALUES LESS THAN MAXVALUE"


def first_partitions(now: float) -> str:
    """Those of a new table; the first takes everything older, too."""
    present = month_of(now)
    return ", ".join(partitions(range(present - 1, present + AHEAD + 1)))


def missing(bounds: list[int], now: float) -> range:
    """Months whose partition is to be made.

    :param bounds: upper bounds of the partitions there are, without the last, microseconds.
    """
    present = month_of(now)
    first = month_of(max(bounds) / 1e6) if bounds else present - 1
    return range(first, present + AHEAD + 1)
