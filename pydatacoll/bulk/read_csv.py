"""A table -> objects as they are given: rows are taken apart into device, term, item, point and formula.

An object is described in the first row that tells more of it than its id; other rows only name it, or say the
same. What rows say otherwise is gathered, and told once for each field.
"""

from __future__ import annotations

import csv
import io
import re
from collections.abc import Callable, Iterable, Mapping, Sequence
from operator import itemgetter
from typing import Any, Final

from pydatacoll.bulk.columns import Column, Columns, unmark
from pydatacoll.bulk.conflicts import Conflicts
from pydatacoll.bulk.document import MOST, MOST_FAULTS, Document, Malformed, TooLarge, nothing_given
from pydatacoll.model.load import Fault, Given
from pydatacoll.model.steps import Progress, Steps
from pydatacoll.model.validation import Kind

DELIMITERS: Final = ",;\t"
_PACE: Final = 10
"""Rows read between two stops, a tenth of a millisecond."""
_LONGEST: Final = 1_048_576
"""Characters in a line."""
_MOST_COLUMNS: Final = 1_000
_DECIMAL_COMMA: Final = re.compile(r"[+-]?[0-9]+,[0-9]+\Z")
_PARTS: Final[tuple[Kind, ...]] = ("device", "term", "item")
_ID_COLUMN: Final[Mapping[Kind, str]] = {"device": "device_id", "term": "term_id", "item": "item_id"}
_MARKS: Final = {b"\xff\xfe": "UTF-16", b"\xfe\xff": "UTF-16"}

Cells = tuple[str, ...]


def read_csv(raw: bytes, columns: Columns, progress: Progress) -> Steps[Document]:
    """
    :raises Malformed: for what is no table in UTF-8.
    """
    progress.total = len(raw)
    coding = _MARKS.get(raw[:2])
    if coding is not None:
        raise Malformed(f"it is {coding}, not UTF-8; in a spreadsheet, save it as 'CSV UTF-8'")
    source = io.BytesIO(raw)
    text = io.TextIOWrapper(source, encoding="utf-8-sig", newline="")
    lines = _Lines(text)
    header, delimiter = _header(lines, columns)
    rows = csv.reader(lines, delimiter=delimiter, strict=True)
    taken = _Rows(header, columns)
    try:
        count = 0
        while True:
            start = lines.count + 1
            row = next(rows, None)
            if row is None:
                break
            taken.take(start, row)
            count += 1
            if count > MOST:
                raise TooLarge(f"it has more than {MOST} rows")
            if count % _PACE == 0:
                progress.done = source.tell()
                yield
    except UnicodeDecodeError as error:
        raise _not_utf8(lines, error) from None
    except csv.Error as error:
        raise Malformed(f"{error} (line {start})") from None
    return (yield from taken.done())


def _not_utf8(lines: _Lines, error: UnicodeDecodeError) -> Malformed:
    return Malformed(
        f"it is not UTF-8 ({error.reason}, after line {lines.count}); in a spreadsheet, save it as 'CSV UTF-8'"
    )


class _Lines:
    """The lines of a text, counted."""

    def __init__(self, text: io.TextIOWrapper) -> None:
        self._text = text
        self.count = 0

    def __iter__(self) -> _Lines:
        return self

    def __next__(self) -> str:
        line = self._text.readline(_LONGEST)
        if not line:
            raise StopIteration
        self.count += 1
        if len(line) == _LONGEST:
            raise Malformed(f"line {self.count} is longer than {_LONGEST} characters")
        return line


def _header(lines: _Lines, columns: Columns) -> tuple[list[str], str]:
    """The first row, and the delimiter that gives the most columns."""
    try:
        first = next(lines, "")
        if first[:4].lower() == "sep=":  # a line for spreadsheets only
            first = next(lines, "")
    except UnicodeDecodeError as error:
        raise _not_utf8(lines, error) from None
    if not first.strip():
        raise Malformed("it is empty; the first line must name the columns" if not first else "line 1 is empty")
    best: tuple[int, list[str], str] = (-1, [], ",")
    for delimiter in DELIMITERS:
        try:
            names = next(csv.reader([first], delimiter=delimiter, strict=True))
        except csv.Error as error:
            problem = str(error)
            continue
        known = sum(columns.find(name) is not None for name in names)
        if known > best[0]:
            best = known, names, delimiter
    if best[0] < 0:
        raise Malformed(f"{problem} (line {lines.count})")
    if len(best[1]) > _MOST_COLUMNS:
        raise Malformed(f"line {lines.count} names more than {_MOST_COLUMNS} columns")
    return best[1], best[2]


def _getter(places: Sequence[int]) -> Callable[[Sequence[str]], Cells]:
    """Cells of a row by their places, always as a tuple."""
    if not places:
        return lambda _: ()
    if len(places) == 1:
        place = places[0]
        return lambda row: (row[place],)
    return itemgetter(*places)


class _Part:
    """What the rows say of the objects of one kind: columns, descriptions, and what is only named.

    :ivar told: id -> row and cells of the description.
    :ivar conflicts: what other rows say otherwise.
    """

    def __init__(self, kind: Kind, id_place: int | None, columns: Sequence[tuple[int, Column]]) -> None:
        self.kind = kind
        self.id_place = id_place
        self.columns = [column for _, column in columns]
        self.cells_of = _getter([place for place, _ in columns])
        self.told: dict[str, tuple[int, Cells]] = {}
        self.named: dict[str, int] = {}
        self.conflicts = Conflicts()
        self.covers = frozenset(column.field for column in self.columns)
        self.last: tuple[str, Cells] | None = None


class _Rows:
    """Takes rows one by one."""

    def __init__(self, header: Sequence[str], columns: Columns) -> None:
        self._columns = columns
        self._document = Document(nothing_given(), [], columns.name)
        self._faults = self._document.faults
        self._width = len(header)
        self._unnamed: list[int] = []
        self._parts: list[_Part] = []
        self._moved = Conflicts()
        places = self._resolve(header)
        by_kind: dict[Kind, list[tuple[int, Column]]] = {kind: [] for kind in nothing_given()}
        for place, column in places:
            if column.field != "id":
                by_kind[column.kind].append((place, column))
        ids = {column.name: place for place, column in places if column.field == "id"}
        self._parts = [_Part(kind, ids.get(_ID_COLUMN[kind]), by_kind[kind]) for kind in _PARTS]
        self._point_columns = by_kind["term_item"]
        self._point_covers = frozenset(
            {"term_id", "item_id"} | {column.field for _, column in self._point_columns}
        )
        self._formula_place = ids.get("formula_id")
        self._formula_columns = by_kind["formula"]
        self._formula_covers = frozenset(
            {"id", "device_id", "term_id", "item_id"} | {column.field for _, column in self._formula_columns}
        )
        self._devices_of_terms: dict[str, tuple[str, int]] = {}
        self._points: dict[tuple[str, str], int] = {}

    def _resolve(self, header: Sequence[str]) -> list[tuple[int, Column]]:
        """Places and columns; unknown and repeated ones are faults of the first line."""
        places: list[tuple[int, Column]] = []
        seen: dict[str, str] = {}
        for place, name in enumerate(header):
            if not name.strip():
                self._unnamed.append(place)
                continue
            column = self._columns.find(name)
            if column is None:
                shown = ascii(name.strip()).strip("'")[:80]
                self._fault(1, "table", "", shown, f"unknown column{self._columns.suggestion(name)}")
            elif column.name in seen:
                self._fault(
                    1, "table", "", column.name, f"the column stands there twice, also as {seen[column.name]!r}"
                )
            else:
                seen[column.name] = name
                places.append((place, column))
        return places

    def _fault(self, row: int, kind: str, key: str, field: str, message: str) -> None:
        self._count_faults(row)
        self._faults.append(Fault(row, kind, key, field, message))

    def _count_faults(self, row: int) -> None:
        """
        :raises Malformed: when there are too many.
        """
        if len(self._faults) + self._pending() >= MOST_FAULTS:
            raise Malformed(f"it has more than {MOST_FAULTS} faults in its first {row} lines")

    def _pending(self) -> int:
        """Conflicts that are not among the faults yet."""
        return len(self._moved) + sum(len(part.conflicts) for part in self._parts)

    def take(self, line: int, row: list[str]) -> None:
        """One row, which begins in this line."""
        width = len(row)
        if width < self._width:
            row += [""] * (self._width - width)
        elif width > self._width and any(cell.strip() for cell in row[self._width :]):
            self._fault(line, "table", "", "", f"the row has {width} cells, the header {self._width}")
            return
        for place in self._unnamed:
            if row[place].strip():
                self._fault(
                    line, "table", "", "", f"column {place + 1} has no name, but the cell {row[place]!r:.40}"
                )
        if not any(row) or not any(cell.strip() for cell in row):
            return
        ids = [self._part(part, line, row) for part in self._parts]
        formula_id = row[self._formula_place].strip() if self._formula_place is not None else ""
        if formula_id or any(row[place].strip() for place, _ in self._formula_columns):
            self._formula(line, row, formula_id, ids)
        else:
            self._point(line, row, ids)

    def _part(self, part: _Part, line: int, row: Sequence[str]) -> str:
        """The device, term or item of a row; its id."""
        own_id = row[part.id_place] if part.id_place is not None else ""
        cells = part.cells_of(row)
        if part.last == (own_id, cells) and not (part.conflicts and unmark(own_id) in part.conflicts):
            own_id = unmark(own_id)
        else:
            part.last = own_id, cells
            own_id = unmark(own_id)
            self._describe(part, line, own_id, cells)
        if part.kind == "term" and own_id:
            self._device_of_term(line, own_id, row)
        return own_id

    def _describe(self, part: _Part, line: int, own_id: str, cells: Cells) -> None:
        described = any(cells) and any(cell.strip() for cell in cells)
        if not own_id:
            if described:
                column = next(c for c, cell in zip(part.columns, cells, strict=True) if cell.strip())
                message = f"is empty, but the row has a {column.name}"
                self._fault(line, part.kind, "", _ID_COLUMN[part.kind], message)
            return
        if not described:
            part.named.setdefault(own_id, line)
            return
        first, before = part.told.setdefault(own_id, (line, cells))
        if before == cells:
            return
        for column, now, was in zip(part.columns, cells, before, strict=True):
            if now.strip() != was.strip():
                self._count_faults(line)
                part.conflicts.add(own_id, column.field, line, now.strip(), told=was.strip(), told_in=first)

    def _device_of_term(self, line: int, term_id: str, row: Sequence[str]) -> None:
        place = self._parts[0].id_place
        device_id = unmark(row[place]) if place is not None else ""
        if not device_id:
            return
        known, first = self._devices_of_terms.setdefault(term_id, (device_id, line))
        if known != device_id:
            self._count_faults(line)
            self._moved.add(term_id, "device_id", line, device_id, told=known, told_in=first)

    def _point(self, line: int, row: Sequence[str], ids: Sequence[str]) -> None:
        _, term_id, item_id = ids
        if term_id and item_id:
            first = self._points.setdefault((term_id, item_id), line)
            if first != line:
                message = f"the point stands in row {first} already"
                self._fault(line, "term_item", f"{term_id}:{item_id}", "item_id", message)
                return
            payload = {"term_id": term_id, "item_id": item_id}
            payload |= self._payload(self._point_columns, row, line, f"{term_id}:{item_id}")
            self._add("term_item", line, payload, self._point_covers)
            return
        for place, column in self._point_columns:
            if row[place].strip():
                missing = "item_id" if term_id else "term_id"
                self._fault(line, "term_item", "", missing, f"is empty, but the row has a {column.name}")
                return
        if item_id and ids[0]:
            self._fault(line, "term_item", "", "term_id", "is empty, but the row names a device and an item")

    def _formula(self, line: int, row: Sequence[str], formula_id: str, ids: Sequence[str]) -> None:
        for place, column in self._point_columns:
            if row[place].strip():
                message = "this row is a formula's; its point stands in a row of its own"
                self._fault(line, "formula", formula_id, column.name, message)
        target = dict(zip(("device_id", "term_id", "item_id"), ids, strict=True))
        payload = {name: value for name, value in target.items() if value}
        payload |= self._payload(self._formula_columns, row, line, formula_id)
        if formula_id:
            payload["id"] = unmark(formula_id)
        self._add("formula", line, payload, self._formula_covers)

    def _payload(
        self, columns: Iterable[tuple[int, Column]], row: Sequence[str], line: int, key: str
    ) -> dict[str, Any]:
        """Field -> value of the cells that are not empty."""
        payload = {}
        for place, column in columns:
            cell = row[place]
            if not cell or not (cell := cell.strip()):
                continue
            if column.number and _DECIMAL_COMMA.match(cell):
                message = f"must be a number with a decimal point, not a comma: {cell.replace(',', '.')}"
                self._fault(line, column.kind, key, column.field, message)
            else:
                payload[column.field] = column.read(row[place])
        return payload

    def _add(self, kind: Kind, line: int, payload: dict[str, Any], covers: frozenset[str]) -> None:
        self._document.given[kind].append(Given(kind, line, payload, covers))

    def done(self) -> Steps[Document]:
        """All rows were taken: describe devices, terms and items."""
        for part in self._parts:
            covers = part.covers | {"id"} | ({"device_id"} if part.kind == "term" else set())
            places = list(enumerate(part.columns))
            for own_id, (line, cells) in part.told.items():
                payload = {"id": own_id, **self._payload(places, cells, line, own_id)}
                self._add(part.kind, line, self._with_device(part, payload), covers)
                yield
            for own_id, line in part.named.items():
                if own_id not in part.told:
                    payload = self._with_device(part, {"id": own_id})
                    self._document.given[part.kind].append(Given(part.kind, line, payload, named=True))
                yield
        yield from self._tell_conflicts()
        return self._document

    def _tell_conflicts(self) -> Steps[None]:
        for part in self._parts:
            kind, id_column = part.kind, _ID_COLUMN[part.kind]
            remedy = f"fill it down, or describe the {kind} in one row and give only its {id_column} in the others"
            for own_id, field, conflict in part.conflicts:
                yield
                self._faults.append(Fault(conflict.row, kind, own_id, field, f"{conflict}; {remedy}"))
        for term_id, field, conflict in self._moved:
            yield
            message = f"{conflict}; term {term_id} belongs to one device"
            self._faults.append(Fault(conflict.row, "term", term_id, field, message))

    def _with_device(self, part: _Part, payload: dict[str, Any]) -> dict[str, Any]:
        if part.kind == "term" and payload["id"] in self._devices_of_terms:
            payload["device_id"] = self._devices_of_terms[payload["id"]][0]
        return payload
