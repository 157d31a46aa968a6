"""What a user writes -> the raw value that a type holds exactly. Pure, and the same for every protocol.

Nothing is wrapped, cut off or rounded to another step: what does not fit is :class:`~pydatacoll.errors.Invalid`.
"""

from __future__ import annotations

import re
import struct
from math import isfinite, ulp

from pydatacoll.errors import Invalid

Value = bool | int | float | str | None


def shown(value: Value) -> str:
    """A value as the user wrote it in JSON, apart from the quotes."""
    return str(value).lower() if isinstance(value, bool) else repr(value)


def to_bool(value: Value) -> bool:
    """``true``, ``1``, ``"true"``, ``"1"`` and their opposites.

    :raises Invalid: it is none of these.
    """
    if isinstance(value, str) and value in ("true", "false", "0", "1"):
        return value in ("true", "1")
    if isinstance(value, (bool, int, float)) and value in (0, 1):
        return bool(value)
    raise Invalid(f"{shown(value)}: true or false (1 or 0) is expected")


def to_number(value: Value) -> int | float:
    """A number, or a text that is one in decimal notation.

    :raises Invalid: it is none, or not finite.
    """
    number: int | float | None = None
    if isinstance(value, str):
        if re.fullmatch(r"[+-]?[0-9]{1,40}", value, re.ASCII):
            number = int(value)
        elif re.fullmatch(r"[+-]?([0-9]+\.?[0-9]*|\.[0-9]+)([eE][+-]?[0-9]{1,4})?", value[:400], re.ASCII):
            number = float(value)
    elif isinstance(value, (int, float)) and not isinstance(value, bool):
        number = value
    if number is None:
        raise Invalid(f"{shown(value)}: a number is expected")
    if isinstance(number, float) and not isfinite(number):
        raise Invalid(f"{value!r}: a finite number is expected")
    return number


def unscaled(value: Value, coefficient: float, base: float, kind: str) -> int | float:
    """Engineering value -> raw value: ``(value - base) / coefficient``.

    :param kind: the type of the point, for the message.
    :raises Invalid: it is no number, or beyond every type.
    """
    number = to_number(value)
    if (coefficient, base) == (1.0, 0.0):
        return number
    try:
        raw = (number - base) / coefficient
    except OverflowError as exc:
        raise Invalid(f"{value!r} does not fit {kind}") from exc
    except ZeroDivisionError as exc:
        raise Invalid("the coefficient of the point is 0") from exc
    if not isfinite(raw):
        raise Invalid(f"{value!r} does not fit {kind}")
    return raw


def to_integer(value: Value, bounds: tuple[int, int], coefficient: float, base: float, kind: str) -> int:
    """Engineering value -> whole raw number within bounds.

    :raises Invalid: it lies between two steps, or outside.
    """
    raw = unscaled(value, coefficient, base, kind)
    nearest = raw
    if isinstance(raw, float):
        nearest = round(raw)
        # What scaling loses is far below a step; what the user asks for between two steps is not.
        if abs(raw - nearest) > max(1e-6, 4 * ulp(raw)):
            step = f"steps of {abs(coefficient):g}" + (f" from {base:g}" if base else "")
            raise Invalid(f"{value!r} is not a value of the point, which has {step}")
    low, high = bounds
    if not low <= nearest <= high:
        raise Invalid(f"{value!r} is outside the range of the point, {range_text(low, high, coefficient, base)}")
    return int(nearest)


def range_text(low: float, high: float, coefficient: float, base: float) -> str:
    """``0 to 65535``: a raw range in engineering values."""
    if (coefficient, base) == (1.0, 0.0):
        return f"{low} to {high}"
    ends = sorted((low * coefficient + base, high * coefficient + base))
    return f"{ends[0]:g} to {ends[1]:g}"


def to_float(value: Value, layout: str, coefficient: float, base: float, kind: str) -> float:
    """Engineering value -> finite raw number.

    :param layout: a format of :mod:`struct` that must hold it, with its byte order (``"<f"``).
    :raises Invalid: it is too large.
    """
    raw = unscaled(value, coefficient, base, kind)
    try:
        number = float(raw)
        struct.pack(layout, number)
    except OverflowError as exc:
        raise Invalid(f"{value!r} does not fit {kind}") from exc
    return number
