"""What was read from a document, and what can be wrong with one."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Final

from msgspec import Struct

from pydatacoll.model.load import Fault, Given
from pydatacoll.model.validation import KINDS, Kind


class Malformed(ValueError):
    """Bytes that cannot be read at all. The message says why and, where that can be told, line and column."""


class TooLarge(Malformed):
    """A document with more in it than is taken."""


MOST: Final = 1_000_000
"""Objects of a document, or rows of a table; each takes a kilobyte or more of memory while it is brought in."""
MOST_FAULTS: Final = 20_000
"""Faults of the form of a document that are remembered; it is given up at more."""


class Document(Struct, frozen=True):
    """The objects of a document by kind, and what is wrong with its form.

    :ivar column: kind and field -> where the user finds it: the name of the column, or the field.
    """

    given: dict[Kind, list[Given]]
    faults: list[Fault]
    column: Callable[[str, str], str] = lambda _, field: field


def wire_fault(fault: Fault, column: str) -> dict[str, Any]:
    """A fault as JSON types."""
    row, kind, key, field, message = fault
    return {
        "index": row,
        "row": row,
        "column": column,
        "kind": kind,
        "key": key,
        "field": field,
        "message": message,
    }


def nothing_given() -> dict[Kind, list[Given]]:
    """No objects of any kind."""
    return {kind: [] for kind in KINDS}
