"""The functions of numbers. None of them can take long or give much, whatever it is given.

Arguments are finite numbers. A function that has no result raises ``ValueError``, ``ArithmeticError`` or
:class:`~pydatacoll.expression.errors.NoValue`.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from pydatacoll.expression.errors import NoValue

Number = int | float

WIDEST = 2**64
"""Whole numbers are exact up to here; results beyond are floating point."""

_EXACT_POWER_BITS = 256
_FINEST_ROUNDING = 15


@dataclass(frozen=True, slots=True)
class Function:
    """A function of the language.

    :ivar least: number of arguments, from ``least`` to ``most``.
    :ivar boolean: whether the result is True or False.
    :ivar finite: whether the result is finite whenever the arguments are.
    """

    call: Callable[..., Any]
    least: int = 1
    most: int = 1
    boolean: bool = False
    finite: bool = True


def power(base: Number, exponent: Number) -> Number:
    """``base ** exponent``: whole numbers stay exact up to 256 bits, and become floating point beyond."""
    if isinstance(base, int) and isinstance(exponent, int):
        if exponent >= 0 and base.bit_length() * exponent <= _EXACT_POWER_BITS:
            return int(base**exponent)
    elif base < 0 and exponent != math.floor(exponent):
        raise NoValue("a fractional power of a negative number")
    return float(float(base) ** exponent)


def _whole(function: Callable[[Number], int]) -> Callable[[Number], Number]:
    """Beyond :data:`WIDEST` a floating point number is whole already, and stays what it is."""

    def call(x: Number) -> Number:
        return function(x) if -WIDEST < x < WIDEST else x

    return call


def _round(x: Number, digits: Number = 0) -> Number:
    if digits != int(digits) or not -_FINEST_ROUNDING <= digits <= _FINEST_ROUNDING:
        raise NoValue(f"round takes a whole number of digits from -{_FINEST_ROUNDING} to {_FINEST_ROUNDING}")
    if not -WIDEST < x < WIDEST:
        return x
    return round(x, int(digits)) if digits else round(x)


def _sign(x: Number) -> int:
    return (x > 0) - (x < 0)


def _clamp(x: Number, low: Number, high: Number) -> Number:
    if low > high:
        raise NoValue("the lower limit of clamp is above the upper one")
    return low if x < low else high if x > high else x


def _scale(x: Number, low: Number, high: Number, to_low: Number, to_high: Number) -> Number:
    if low == high:
        raise NoValue("scale from a range that has no width")
    return to_low + (x - low) * (to_high - to_low) / (high - low)


def _bit(x: Number, number: Number) -> bool:
    if x != int(x) or not -WIDEST < x < WIDEST:
        raise NoValue("bit of a value that is no whole number")
    if number != int(number) or not 0 <= number <= 63:
        raise NoValue("bits have the numbers 0 to 63")
    return bool(int(x) >> int(number) & 1)


FUNCTIONS: dict[str, Function] = {
    "abs": Function(abs),
    "min": Function(min, 2, 1000),
    "max": Function(max, 2, 1000),
    "clamp": Function(_clamp, 3, 3),
    "sign": Function(_sign),
    "scale": Function(_scale, 5, 5, finite=False),
    "bit": Function(_bit, 2, 2, boolean=True),
    "round": Function(_round, 1, 2),
    "floor": Function(_whole(math.floor)),
    "ceil": Function(_whole(math.ceil)),
    "trunc": Function(_whole(math.trunc)),
    "sqrt": Function(math.sqrt),
    "exp": Function(math.exp),
    "log": Function(math.log, 1, 2),
    "log10": Function(math.log10),
    "log2": Function(math.log2),
    "hypot": Function(math.hypot, 2, 16, finite=False),
    "sin": Function(math.sin),
    "cos": Function(math.cos),
    "tan": Function(math.tan),
    "asin": Function(math.asin),
    "acos": Function(math.acos),
    "atan": Function(math.atan),
    "atan2": Function(math.atan2, 2, 2),
    "sinh": Function(math.sinh),
    "cosh": Function(math.cosh),
    "tanh": Function(math.tanh),
    "degrees": Function(math.degrees, finite=False),
    "radians": Function(math.radians),
}

CONSTANTS: dict[str, float] = {"pi": math.pi, "e": math.e}
