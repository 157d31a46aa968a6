"""A snapshot as a document, in pieces of text that are small enough to be written one by one.

JSON and YAML list the objects by kind, one object after the other; CSV is one table. All leave out what has its
default, and the same model gives the same bytes.
"""

from __future__ import annotations

import csv
from collections.abc import Callable, Generator, Iterator, Mapping, Sequence
from typing import Final, Literal

from pydatacoll.bulk.columns import USUAL, Column, Columns, param_column
from pydatacoll.bulk.snapshot import Snapshot, defaults_of, differing
from pydatacoll.codec import json, yaml
from pydatacoll.model.objects import Formula, ModelObject
from pydatacoll.model.validation import Kind

Format = Literal["json", "yaml", "csv"]
Dialect = Literal["plain", "excel"]
"""How a table is written down. ``excel``: so that Excel opens it as a table, with all of its characters."""
FORMAT_VERSION: Final = 1
"""The value of ``pydatacoll`` in a document."""
SECTIONS: Final[Mapping[str, Kind]] = {
    "devices": "device",
    "terms": "term",
    "items": "item",
    "term_items": "term_item",
    "formulas": "formula",
}
_CHUNK = 100
"""Objects in one piece: well below a millisecond."""

Pieces = Iterator[str]


def _sections(snapshot: Snapshot) -> Iterator[tuple[str, Sequence[ModelObject]]]:
    for name in SECTIONS:
        yield name, getattr(snapshot, name)


def write_json(snapshot: Snapshot, _: Columns) -> Pieces:
    """One object a line, so that two documents can be compared line by line."""
    yield f'{{"pydatacoll": {FORMAT_VERSION}'
    for name, objects in _sections(snapshot):
        yield f',\n"{name}": ['
        for start in range(0, len(objects), _CHUNK):
            lines = [json.encode(differing(made)).decode() for made in objects[start : start + _CHUNK]]
            yield (",\n" if start else "\n") + ",\n".join(lines)
        yield "\n]" if objects else "]"
    yield "\n}\n"


def write_yaml(snapshot: Snapshot, _: Columns) -> Pieces:
    """Block style; whatever some reader could take for something else is quoted."""
    yield f"pydatacoll: {FORMAT_VERSION}\n"
    for name, objects in _sections(snapshot):
        yield f"{name}:\n" if objects else f"{name}: []\n"
        for start in range(0, len(objects), _CHUNK):
            yield "".join(map(_yaml_object, objects[start : start + _CHUNK]))


def _yaml_object(made: ModelObject) -> str:
    lines = [f"{name}: {yaml.encode_scalar(value)}\n" for name, value in differing(made).items()]
    return "- " + "  ".join(lines)


def write_csv(snapshot: Snapshot, columns: Columns, dialect: Dialect = "plain") -> Pieces:
    """One row per point with its device, term and item; rows of their own for what has no point, and formulas."""
    # Excel knows UTF-8 by the mark only. Where numbers have a decimal comma it splits cells at semicolons.
    delimiter, mark = (";", "\ufeff") if dialect == "excel" else (",", "")
    table = yield from _Table.of(snapshot, columns, delimiter)
    yield mark
    yield from table.rows(snapshot)


WRITERS: Final[Mapping[Format, Callable[[Snapshot, Columns], Pieces]]] = {
    "json": write_json,
    "yaml": write_yaml,
    "csv": write_csv,
}


class _Table:
    """The columns that a snapshot needs, and the cells of its objects."""

    def __init__(self, used: Mapping[Kind, Sequence[Column]], delimiter: str) -> None:
        self._used = used
        self._out: list[str] = []
        self._writer = csv.writer(self, delimiter=delimiter, lineterminator="\r\n")

    @staticmethod
    def of(snapshot: Snapshot, columns: Columns, delimiter: str) -> Generator[str, None, _Table]:
        """Look which columns are used; yields empty pieces meanwhile and returns the table."""
        names = set(USUAL)
        params: set[str] = set()
        for section, kind in SECTIONS.items():
            for count, made in enumerate(getattr(snapshot, section)):
                defaults = defaults_of(type(made))
                for field in made.__struct_fields__:
                    if field == "params":
                        params.update(made.params)
                    elif field not in defaults or getattr(made, field) != defaults[field]:
                        names.add(columns.name(kind, field))
                if count % _CHUNK == 0:
                    yield ""
        used: dict[Kind, list[Column]] = {kind: [] for kind in SECTIONS.values()}
        for column in columns.by_name.values():
            if column.name in names:
                used[column.kind].append(column)
        used["formula"] += [param_column(name) for name in sorted(params, key=lambda name: (len(name), name))]
        return _Table(used, delimiter)

    def write(self, text: str) -> None:
        """Called by the CSV writer."""
        self._out.append(text)

    def _flush(self) -> str:
        text = "".join(self._out)
        self._out.clear()
        return text

    def rows(self, snapshot: Snapshot) -> Pieces:
        used, row = self._used, self._writer.writerow
        row([column.name for kind in _ORDER for column in used[kind]])
        yield self._flush()
        blank = {kind: [""] * len(used[kind]) for kind in _ORDER}
        no_point, no_formula = blank["term_item"], blank["formula"]
        no_term, no_item = (
            blank["term"] + blank["item"] + no_point + no_formula,
            blank["item"] + no_point + no_formula,
        )
        items: dict[str, list[str]] = {}
        for item in snapshot.items:
            items[item.id] = self._cells("item", item)
            if len(items) % _CHUNK == 0:
                yield ""
        unused = dict.fromkeys(items)
        terms, points = snapshot.terms, snapshot.term_items
        next_term = next_point = 0
        for device in snapshot.devices:
            device_cells = self._cells("device", device)
            first_term = next_term
            while next_term < len(terms) and terms[next_term].device_id == device.id:
                term = terms[next_term]
                next_term += 1
                cells = device_cells + self._cells("term", term)
                first_point = next_point
                while next_point < len(points) and points[next_point].term_id == term.id:
                    point = points[next_point]
                    next_point += 1
                    unused.pop(point.item_id, None)
                    row(cells + items[point.item_id] + self._cells("term_item", point) + no_formula)
                    if next_point % _CHUNK == 0:
                        yield self._flush()
                if next_point == first_point:
                    row(cells + no_item)
            if next_term == first_term:
                row(device_cells + no_term)
            yield self._flush()
        nothing = blank["device"] + blank["term"]
        for item_id in unused:
            row(nothing + items[item_id] + no_point + no_formula)
            yield self._flush()
        for formula in snapshot.formulas:
            row(self._formula_row(formula))
            yield self._flush()

    def _cells(self, kind: Kind, made: ModelObject) -> list[str]:
        cells = []
        defaults = defaults_of(type(made))
        for column in self._used[kind]:
            value = getattr(made, column.field, None)
            if value is None or (column.field in defaults and value == defaults[column.field]):
                cells.append("")
            else:
                cells.append(column.write(value))
        return cells

    def _formula_row(self, formula: Formula) -> list[str]:
        target = {"device_id": formula.device_id, "term_id": formula.term_id, "item_id": formula.item_id}
        cells = [
            column.write(target[column.name]) if column.name in target else ""
            for kind in _ORDER[:-1]
            for column in self._used[kind]
        ]
        for column in self._used["formula"]:
            if column.field in ("id", "formula"):
                cells.append(column.write(getattr(formula, column.field)))
            else:
                ref = formula.params.get(column.field)
                cells.append("" if ref is None else column.write(ref))
        return cells


_ORDER: Final[tuple[Kind, ...]] = ("device", "term", "item", "term_item", "formula")
