"""Values and times as columns of the archive, and back. Pure.

A value has three columns, so that databases can calculate with it and nothing is lost: ``value``, a double;
``text``; and ``kind``, which says what it was.

====== ================= ============ ==============================================
kind   value is          text is      what it was
====== ================= ============ ==============================================
0      the number        NULL         a number with fraction
0      NULL              NULL         nothing (``null``)
1      the number        NULL         a whole number that a double holds exactly
1      the next double   its digits   any other whole number
2      0 or 1            NULL         false or true
3      NULL              the text     a text
====== ================= ============ ==============================================
"""

from __future__ import annotations

from math import isfinite
from typing import Final

from pydatacoll.model.quality import Quality
from pydatacoll.model.sample import Value

FLOAT: Final = 0
INTEGER: Final = 1
BOOLEAN: Final = 2
TEXT: Final = 3

LONGEST_TEXT: Final = 4096
"""Characters of a text that are kept."""
EXACT: Final = 2**53
"""Whole numbers up to this are doubles, too."""
_INVALID: Final = int(Quality.INVALID)

Columns = tuple[float | int | None, str | None, int, int]
"""``(value, text, kind, quality)``."""


def to_columns(value: Value, quality: int) -> Columns:  # noqa: PLR0911 - one return per type
    """A value with its quality as columns.

    What is no number of JSON (NaN, infinity) is nothing, and invalid. A text that is too long is cut.
    """
    if type(value) is float:
        if isfinite(value):
            return value, None, FLOAT, quality
        return None, None, FLOAT, quality | _INVALID
    if value is None:
        return None, None, FLOAT, quality
    if isinstance(value, bool):
        return int(value), None, BOOLEAN, quality
    if isinstance(value, int):
        if -EXACT <= value <= EXACT:
            return value, None, INTEGER, quality
        try:
            return float(value), str(value), INTEGER, quality
        except OverflowError:
            return None, None, FLOAT, quality | _INVALID
    if isinstance(value, float):  # a subclass
        return to_columns(float(value), quality)
    return None, storable(value), TEXT, quality


def storable(text: str, longest: int = LONGEST_TEXT) -> str:
    """A text that every database takes: without NUL and lone surrogates, and not too long."""
    text = text[:longest]
    if text.isascii() and "\0" not in text:
        return text
    return text.encode("utf-8", "replace").decode().replace("\0", "\ufffd")


def from_columns(value: float | None, text: str | None, kind: int) -> Value:
    """Inverse of :func:`to_columns`."""
    if kind == FLOAT:
        return None if value is None else float(value)
    if kind == INTEGER:
        return int(text) if text is not None else None if value is None else int(value)
    if kind == BOOLEAN:
        return bool(value)
    return text


def to_micros(time: float) -> int:
    """Epoch seconds -> whole microseconds."""
    return round(time * 1e6)


def from_micros(time: int) -> float:
    """Inverse of :func:`to_micros`."""
    return time / 1e6
