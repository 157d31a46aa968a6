"""The careful way to evaluate: it watches which values are read, and of what quality they are.

The compiled code of an expression calls the methods of :class:`Reading` wherever it takes a value. Parts whose
quality is asked for, or that may fail without harm, come as functions without arguments.
"""

from __future__ import annotations

from collections.abc import Callable
from math import isfinite
from typing import Any, NamedTuple

from pydatacoll.expression.errors import NoValue
from pydatacoll.expression.functions import WIDEST
from pydatacoll.expression.inputs import TEXT, Input
from pydatacoll.expression.windows import WINDOWS
from pydatacoll.model import Quality, Value, is_usable

Part = Callable[[], Any]

FAILURES = (NoValue, ArithmeticError, ValueError)
"""All that can come out of a calculation."""

_INVALID = int(Quality.INVALID)


class Outcome(NamedTuple):
    """The result of an evaluation.

    :ivar value: a boolean, a finite number or a text; ``None`` when there is none.
    :ivar quality: bit set of :class:`~pydatacoll.model.Quality`.
    :ivar time: epoch seconds.
    :ivar error: why there is no value.
    """

    value: Value
    quality: int
    time: float
    error: str | None = None


class Reading:
    """One evaluation.

    :ivar flags: of all that was read so far.
    """

    __slots__ = ("flags", "now")

    def __init__(self, now: float) -> None:
        self.now = now
        self.flags = 0

    def number(self, of: Input, name: str) -> Any:
        """The latest value, which has to be a number or a boolean."""
        doubt = of.doubt
        self.flags |= doubt & ~TEXT
        if doubt & TEXT:
            raise NoValue(f"{name} is a text")
        return _there(of.value, name)

    def value(self, of: Input, name: str) -> Any:
        """The latest value; it may be a text."""
        self.flags |= of.doubt & ~TEXT
        return _there(of.value, name)

    def stored(self, of: Input, name: str, back: int) -> Any:
        """The newest value but ``back - 1``; it may be a text."""
        recent = _recent(of, name)
        if len(recent) < back:
            self.flags |= _INVALID
            raise NoValue(f"{name} has fewer than {back} samples")
        self.flags |= recent.flags[-back]
        return _there(recent.values[-back], f"{name}[-{back}]")

    def stored_number(self, of: Input, name: str, back: int) -> Any:
        """The same; it has to be a number or a boolean."""
        value = self.stored(of, name, back)
        if isinstance(value, str):
            raise NoValue(f"{name}[-{back}] is a text")
        return value

    def window(self, of: Input, name: str, function: str, seconds: float, *arguments: float) -> Any:
        """The result of a function over the last ``seconds``."""
        recent = _recent(of, name)
        row = WINDOWS[function]
        if not recent:
            if row.looks:
                return 0
            self.flags |= _INVALID
            raise NoValue(f"{name} has no samples")
        window = recent.over(seconds, self.now)
        if not row.looks:
            self.flags |= window.quality
        try:
            return finite(row.call(window, *arguments))
        except FAILURES as error:
            raise NoValue(f"{function} of {name}: {reason(error)}") from None

    def age(self, of: Input, name: str, back: int) -> float:
        """Seconds since the time of a sample; 0 when that is ahead."""
        time = of.time
        if back > 1:
            recent = _recent(of, name)
            time = recent.times[-back] if len(recent) >= back else -float("inf")
        if not isfinite(time):
            raise NoValue(f"age of {name}: there is no sample")
        return max(0.0, self.now - time)

    # Parts whose quality does not count, or not at once

    def _apart(self, part: Part) -> tuple[Any, int]:
        """Value (``None`` when there is none) and quality of a part; nothing of it is added to the result."""
        outer, self.flags = self.flags, 0
        try:
            value = finite(part())
        except FAILURES:
            value = None
            self.flags |= _INVALID
        inner, self.flags = self.flags, outer
        return value, inner

    def default(self, part: Part, other: Part) -> Any:
        value, quality = self._apart(part)
        if not is_usable(quality):
            return other()
        self.flags |= quality
        return value

    def accept(self, part: Part) -> Any:
        outer = self.flags
        value = part()
        self.flags = outer
        return value

    def quality(self, part: Part) -> int:
        return self._apart(part)[1]

    def good(self, part: Part) -> bool:
        return not self._apart(part)[1]

    def valid(self, part: Part) -> bool:
        return is_usable(self._apart(part)[1])

    def bad(self, part: Part) -> bool:
        return not self.valid(part)


def _there(value: Value, name: str) -> Value:
    if value is None:
        raise NoValue(f"{name} has no value")
    return value


def _recent(of: Input, name: str) -> Any:
    if of.recent is None:
        raise TypeError(f"the input of {name} keeps no samples; Expression.require tells it to")
    return of.recent


def finite(value: Any) -> Any:
    """The value, if it is a text or a finite number.

    :raises OverflowError: for infinity and NaN, and for whole numbers beyond the range of floating point.
    """
    if not isinstance(value, str) and not isfinite(value):
        raise OverflowError
    return value


def reason(error: Exception) -> str:
    """Why there is no value, for the user."""
    if isinstance(error, NoValue):
        return str(error)
    if isinstance(error, ZeroDivisionError):
        return "division by zero"
    if isinstance(error, OverflowError):
        return "the result is beyond the range of numbers"
    return "a function has no result for this argument"


def newest(inputs: list[Input], now: float, *, moving: bool) -> float:
    """The time of the result: that of the newest input, used or not, so that it does not go back when another one
    is used than before.

    :param moving: the result changes as time passes: it is not older than now.
    """
    time = max((one.time for one in inputs), default=now)
    return max(time, now) if moving or not isfinite(time) else time


def careful(body: Callable[..., Any], inputs: list[Input], now: float, *, moving: bool) -> Outcome:
    """Evaluate with attention to quality; ``body`` is the compiled expression."""
    reading = Reading(now)
    time = newest(inputs, now, moving=moving)
    try:
        value = finite(body(reading, *inputs))
        if type(value) is int and not -WIDEST < value < WIDEST:
            value = float(value)
    except FAILURES as error:
        return Outcome(None, reading.flags | _INVALID, time, reason(error))
    return Outcome(value, reading.flags, time)
