"""Columns of samples: from raw values to engineering values, and from single samples to a packet's form."""

from __future__ import annotations

from collections.abc import Container, Sequence
from math import isfinite
from typing import Any

from pydatacoll.model import Quality, Sample, Value
from pydatacoll.sdk import Point, PointGroup

_INVALID = int(Quality.INVALID)


class Columns:
    """Samples one by one, in the form of a packet."""

    __slots__ = ("fields", "history", "qualities", "times", "values")

    def __init__(self) -> None:
        self.fields: list[str] = []
        self.values: list[Value] = []
        self.times: list[float] = []
        self.qualities: list[int] = []
        self.history: list[int | None] = []

    def add(self, field: str, sample: Sample, history: int | None) -> None:
        self.fields.append(field)
        self.times.append(sample.time)
        self.values.append(sample.value)
        self.qualities.append(sample.quality)
        self.history.append(history)


def common(column: list[Any]) -> Any:
    """One for all when all are the same: that is written faster."""
    return column[0] if column.count(column[0]) == len(column) else column


def engineered(point: Point, sample: Sample) -> tuple[Value, int]:
    """Engineering value and quality of a raw sample; ``None``, never with a good quality, when there is none."""
    try:
        value = point.engineering(sample.value)
        if isinstance(value, float) and not isfinite(value):
            value = None
    except OverflowError:
        value = None
    quality = int(sample.quality)
    if value is None and (sample.value is not None or not quality):
        quality |= _INVALID
    return value, quality


def finite(points: Sequence[Point], raw: Sequence[Value], *, plain: bool) -> list[Value] | None:
    """Engineering values of raw ones; ``None`` unless all are finite numbers or booleans.

    :param plain: all points are unscaled.
    """
    values: Any = list(raw)
    try:
        if not plain:
            values = [
                value
                if point.unscaled or isinstance(value, bool)
                else value * point.multiplier / point.divisor + point.base
                for point, value in zip(points, values, strict=True)
            ]
        return values if isfinite(sum(values)) else None
    except (TypeError, OverflowError):
        return None


def repair(group: PointGroup, raw: list[Value], quality: int | list[int]) -> tuple[list[Value], int | list[int]]:
    """The careful way, for a column with texts, missing values or numbers that are not finite.

    Not a number becomes invalid, and is ``None`` like a missing value.
    """
    rows = [
        engineered(point, Sample(0.0, value, quality[i] if isinstance(quality, list) else quality))
        for i, (point, value) in enumerate(zip(group.points, raw, strict=True))
    ]
    values = [value for value, _ in rows]
    qualities = [one for _, one in rows]
    first = qualities[0] if qualities else 0
    return values, first if all(one == first for one in qualities) else qualities


def keep_last(values: list[Value], group: PointGroup) -> None:
    """A missing value is the last known one; for points with rules their state sees to that."""
    ruled: Container[int] = set(group.ruled)
    for i, value in enumerate(values):
        if value is None and i not in ruled and group.last is not None:
            values[i] = group.last[i]
