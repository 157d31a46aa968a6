"""The functions of windows.

The values of a window are those of the samples that came in it, and the one in force when it begins. Only usable
ones count. ``sum``, ``count`` and ``average`` take only the samples that came: they are about messages and pulses.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from itertools import compress
from operator import lt
from typing import Any

from pydatacoll.expression.errors import NoValue
from pydatacoll.expression.recent import Number, Window


@dataclass(frozen=True, slots=True)
class WindowFunction:
    """A function of a window.

    :ivar arguments: how many numbers it takes besides parameter and duration.
    :ivar looks: it says something about the samples rather than calculating with them: their quality is not that
        of the result, and without any sample the result is 0.
    """

    call: Callable[..., Number]
    arguments: int = 0
    looks: bool = False


def _values(window: Window) -> list[Number]:
    values = window.numbers(window.first)
    if not values:
        raise NoValue("no usable value in the window")
    return values


def _integral(window: Window) -> float:
    _values(window)
    return math.fsum(window.pieces()[1])


def _mean(window: Window) -> float:
    values = _values(window)
    seconds, areas = window.pieces()
    covered = math.fsum(seconds)
    return math.fsum(areas) / covered if covered else float(values[-1])


def _coverage(window: Window) -> float:
    span = window.end - window.recent.times[0] if window.seconds == math.inf else window.seconds
    return min(1.0, math.fsum(window.pieces()[0]) / span) if span else 0.0


def _sum(window: Window) -> float:
    return math.fsum(window.numbers(window.came))


def _count(window: Window) -> int:
    return len(window.numbers(window.came))


def _average(window: Window) -> float:
    values = window.numbers(window.came)
    if not values:
        raise NoValue("no usable sample came in the window")
    return math.fsum(values) / len(values)


def _delta(window: Window) -> Number:
    values = _values(window)
    return values[-1] - values[0]


def _increase(window: Window) -> Number:
    values = _values(window)
    # after a reset the counter has begun at 0 again: what it had before is added
    later = values[1:]
    return values[-1] - values[0] + sum(compress(values, map(lt, later, values)))


def _rate(window: Window) -> float:
    change = _delta(window)
    seconds = window.end - window.first_usable()
    if not seconds:
        raise NoValue("a rate needs some time between two values")
    return change / seconds


def _stddev(window: Window) -> float:
    values = _values(window)
    if len(values) < 2:
        raise NoValue("a standard deviation needs two values")
    mean = math.fsum(values) / len(values)
    deviations = [value - mean for value in values]
    return math.sqrt(math.fsum([one * one for one in deviations]) / (len(values) - 1))


def _percentile(window: Window, percent: Number) -> Number:
    values = sorted(_values(window))
    place = (len(values) - 1) * percent / 100
    below = int(place)
    if below == place:
        return values[below]
    part = place - below
    return values[below] * (1 - part) + values[below + 1] * part


def _of_values(function: Callable[[list[Number]], Any]) -> Callable[[Window], Number]:
    def call(window: Window) -> Number:
        return function(_values(window))  # type: ignore[no-any-return]

    return call


WINDOWS: dict[str, WindowFunction] = {
    "mean": WindowFunction(_mean),
    "average": WindowFunction(_average),
    "min": WindowFunction(_of_values(min)),
    "max": WindowFunction(_of_values(max)),
    "first": WindowFunction(_of_values(lambda values: values[0])),
    "last": WindowFunction(_of_values(lambda values: values[-1])),
    "sum": WindowFunction(_sum),
    "count": WindowFunction(_count, looks=True),
    "delta": WindowFunction(_delta),
    "increase": WindowFunction(_increase),
    "rate": WindowFunction(_rate),
    "integral": WindowFunction(_integral),
    "stddev": WindowFunction(_stddev),
    "percentile": WindowFunction(_percentile, arguments=1),
    "coverage": WindowFunction(_coverage, looks=True),
}
