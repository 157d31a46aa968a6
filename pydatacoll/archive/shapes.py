"""What is read from the archive. Pure, and cheap to import."""

from __future__ import annotations

from typing import NamedTuple

from pydatacoll.model.sample import Value

Stored = tuple[int, float | int | None, str | None, int, int]
"""``(time, value, text, kind, quality)``, time in microseconds."""


class Bucket(NamedTuple):
    """What a span of time holds of one series.

    :ivar time: when it begins, microseconds.
    :ivar low: smallest usable number (a boolean is 0 or 1); ``None`` when there is none, so ``high`` and ``mean``.
    :ivar good: usable samples.
    :ivar bad: other samples: what they say is in no other figure but ``last``.
    :ivar last: value of the last sample, whatever its ``quality``, which is of ``last_time``.
    """

    time: int
    low: float | None
    high: float | None
    mean: float | None
    good: int
    bad: int
    last: Value
    last_time: int
    quality: int


class Span(NamedTuple):
    """A span of time of one series, microseconds, both ends included."""

    series: int
    since: int
    until: int
