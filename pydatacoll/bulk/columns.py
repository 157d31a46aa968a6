"""The columns of the table: which field of which object stands in which.

A row is a point, so a point's fields have their plain names. Fields of terms begin with ``term_``, fields of
devices with ``device_`` and of items with ``item_``, except those in ``PLAIN``. What would meet one of those names
gets the prefix ``point_``. So the name of a column never depends on which other drivers are installed.
"""

from __future__ import annotations

from collections.abc import Mapping
from difflib import get_close_matches
from typing import Any, Final, NamedTuple, cast

import msgspec

from pydatacoll.codec import json
from pydatacoll.model.fields import PARAM, Field, Shape, fields_of
from pydatacoll.model.objects import Device, Formula, Item, ModelObject, Term, TermItem
from pydatacoll.model.validation import Kind, Schemas

PLAIN: Final[Mapping[Kind, frozenset[str]]] = {
    "device": frozenset({"protocol", "ip", "port", "enabled"}),
    "item": frozenset({"unit", "view_code", "func_type"}),
}
_PREFIX: Final[Mapping[Kind, str]] = {"device": "device_", "term": "term_", "item": "item_", "term_item": "point_"}
_PREFIXES: Final = (*_PREFIX.values(), "formula_")
_TAKEN: Final = frozenset().union(*PLAIN.values()) | {"formula"}
_REFERENCES: Final[Mapping[Kind, frozenset[str]]] = {
    "term": frozenset({"device_id"}),
    "term_item": frozenset({"term_id", "item_id"}),
}
"""Fields that other columns of the row tell."""

USUAL: Final = (
    "device_id",
    "device_name",
    "protocol",
    "ip",
    "port",
    "term_id",
    "term_name",
    "term_address",
    "item_id",
    "item_name",
    "unit",
    "protocol_code",
    "code_type",
    "coefficient",
    "base_val",
    "writable",
)
"""Written even when no object needs them, so that there is a place to fill in."""

_MARK: Final = "'"
_EXECUTED: Final = "=+-@\t\r"
"""What makes a spreadsheet take a cell for a formula, when it stands first."""
_MARKED: Final = frozenset(f"{_EXECUTED}'") | {""}
"""What stands after an apostrophe that is a mark; "" is the end."""


class Column(NamedTuple):
    """One column.

    :ivar json: its cells hold JSON where they can.
    :ivar number: its cells hold numbers, or true and false.
    """

    name: str
    kind: Kind
    field: str
    json: bool = False
    number: bool = False

    def write(self, value: Any) -> str:
        """A value as a cell, such that a spreadsheet does not execute it. Never empty: that means the default."""
        if self.number or type(value) in (bool, int, float):
            return json.encode(value).decode() if type(value) is bool else repr(value)
        if self.json and not _plain_text(value):
            return mark(json.encode(msgspec.to_builtins(value)).decode())
        return mark(value)

    def read(self, cell: str) -> Any:
        """The inverse; what does not fit the field is left to its type to refuse."""
        cell = unmark(cell)
        if self.json:
            try:
                return json.decode(cell.encode("utf-8", "surrogatepass"))
            except json.MalformedJson:
                return cell
        return cell


def _plain_text(value: Any) -> bool:
    """Whether a value is a text that nobody takes for JSON."""
    if not isinstance(value, str):
        return False
    try:
        json.decode(value.encode())
    except json.MalformedJson:
        return True
    return False


def mark(text: str) -> str:
    """A text as a cell: an apostrophe before what would be executed or trimmed, or looks marked already."""
    if not text or text[0] in _EXECUTED or text != text.strip() or _is_marked(text):
        return _MARK + text
    return text


def unmark(cell: str) -> str:
    """The inverse of :func:`mark`. Blanks around what is not marked do not count; other apostrophes stay."""
    return cell[1:] if _is_marked(cell) else cell.strip()


def _is_marked(cell: str) -> bool:
    return cell[:1] == _MARK and (cell[1:2] in _MARKED or cell[1:] != cell[1:].strip())


class Columns:
    """All columns there can be, with the installed drivers.

    :ivar by_name: name -> column, in the order in which they are written; ``p0`` and so on are not among them.
    """

    def __init__(self, schemas: Schemas) -> None:
        self.by_name: dict[str, Column] = {}
        self._names: dict[tuple[Kind, str], str] = {}
        drivers = [schemas.protocols[name] for name in sorted(schemas.protocols)]
        self._add("device", [Device, *(driver.device_type for driver in drivers)])
        self._add("term", [Term, *(driver.term_type for driver in drivers)])
        self._add("item", [Item])
        self._add("term_item", [TermItem, *(driver.term_item_type for driver in drivers)])
        self._add("formula", [Formula])
        self._aliases = self._find_aliases()

    def _add(self, kind: Kind, types: list[type[ModelObject]]) -> None:
        known: dict[str, list[Field]] = {}
        for object_type in types:
            for name, field in fields_of(object_type).items():
                known.setdefault(name, []).append(field)
        for name, fields in known.items():
            if name in _REFERENCES.get(kind, ()) or (kind == "formula" and name not in ("id", "formula")):
                continue
            shapes = {field.shape for field in fields}
            column = Column(
                self._name_of(kind, name),
                kind,
                name,
                json=Shape.JSON in shapes,
                number=shapes == {Shape.NUMBER},
            )
            self.by_name[column.name] = column
            self._names[kind, name] = column.name

    def _name_of(self, kind: Kind, field: str) -> str:
        if kind == "formula":
            return "formula_id" if field == "id" else field
        if kind == "term_item":
            clash = field in _TAKEN or field.startswith(_PREFIXES) or PARAM.match(field)
            return f"point_{field}" if clash else field
        return field if field in PLAIN.get(kind, ()) else f"{_PREFIX[kind]}{field}"

    def _find_aliases(self) -> dict[str, Column]:
        """A field's own name, where only one column can be meant."""
        found: dict[str, list[Column]] = {}
        for column in self.by_name.values():
            found.setdefault(column.field, []).append(column)
        return {
            name: columns[0]
            for name, columns in found.items()
            if len(columns) == 1 and name not in self.by_name and name != "id"
        }

    def find(self, header: str) -> Column | None:
        """The column with this header, however it is capitalised."""
        name = header.strip().lower().replace(" ", "_")
        if PARAM.match(name):
            return param_column(name)
        return self.by_name.get(name) or self._aliases.get(name)

    def suggestion(self, header: str) -> str:
        """A name that may have been meant, for an error message; or nothing."""
        near = get_close_matches(header.strip().lower().replace(" ", "_"), self.by_name, n=1)
        return f"; did you mean {near[0]!r}?" if near else ""

    def name(self, kind: str, field: str) -> str:
        """The column of a field, for an error message; the field itself when it has none."""
        if field in ("device_id", "term_id", "item_id"):
            return field
        return self._names.get((cast("Kind", kind), field), field)


def param_column(name: str) -> Column:
    """The column of a formula's parameter."""
    return Column(name, "formula", name)
