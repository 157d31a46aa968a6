"""Data on standard output: a table for people, JSON, JSON lines or CSV for programs."""

from __future__ import annotations

import csv
import io
import sys
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import click

from pydatacoll.cli.text import cell, csv_cell, to_json, width

Row = Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class Column:
    """One column of a table.

    :ivar text: row -> what stands there, safe to be shown.
    :ivar style: text -> arguments of :func:`click.style`.
    :ivar room: columns kept for it in a table that grows, when its lines come one by one.
    """

    title: str
    text: Callable[[Row], str]
    style: Callable[[str], Mapping[str, Any]] | None = None
    room: int = 0

    @classmethod
    def of(cls, title: str, name: str, *, style: Callable[[str], Mapping[str, Any]] | None = None) -> Column:
        """A member of the row; a dotted name is one of a member."""
        return cls(title, lambda row: cell(member(row, name)), style)


def member(row: Row, name: str) -> Any:
    """``link.state`` of ``{"link": {"state": "connected"}}``."""
    found: Any = row
    for part in name.split("."):
        found = found.get(part) if isinstance(found, Mapping) else None
    return found


def flat(row: Row, prefix: str = "") -> dict[str, Any]:
    """A row with the members of its members beside its own: ``link.state``."""
    found: dict[str, Any] = {}
    for name, value in row.items():
        if isinstance(value, Mapping):
            found |= flat(value, f"{prefix}{name}.")
        else:
            found[prefix + name] = value
    return found


class Printer:
    """Writes rows in one form. In ``json`` a list is one document, and rows that come one by one are lines."""

    def __init__(self, form: str) -> None:
        self.form = form
        self._header: list[str] | None = None

    def rows(self, rows: Sequence[Row], columns: Sequence[Column]) -> None:
        """A whole list."""
        if self.form == "json":
            click.echo(to_json(list(rows), indent=2))
        elif self.form == "table":
            self._table(rows, columns)
        else:
            names = list(dict.fromkeys(name for row in rows for name in flat(row))) if self.form == "csv" else []
            for row in rows:
                self.row(row, columns, names)

    def row(self, row: Row, columns: Sequence[Column], names: Sequence[str] | None = None) -> None:
        """One row of a list whose end is not known."""
        if self.form == "table":
            self._line([(column, column.text(row)) for column in columns], [column.room for column in columns])
        elif self.form == "csv":
            values = flat(row)
            if self._header is None:
                self._header = list(names or values)
                _csv_line(self._header)
            _csv_line([csv_cell(values.get(name)) for name in self._header])
        else:
            click.echo(to_json(row))

    def one(self, row: Row) -> None:
        """A single object; as a table it is a list of its members."""
        if self.form == "json":
            click.echo(to_json(row, indent=2))
        elif self.form == "table":
            pairs = [{"field": name, "value": value} for name, value in flat(row).items()]
            self._table(pairs, [Column.of("FIELD", "field"), Column.of("VALUE", "value")])
        else:
            self.row(row, ())

    @staticmethod
    def flush() -> None:
        """Show at once what was written."""
        sys.stdout.flush()

    def _table(self, rows: Sequence[Row], columns: Sequence[Column]) -> None:
        texts = [[column.text(row) for column in columns] for row in rows]
        widths = [
            max(width(column.title), *(width(line[n]) for line in texts), 0) for n, column in enumerate(columns)
        ]
        widths[-1] = 0  # nothing follows that would have to be aligned
        titles = [click.style(_padded(c.title, w), bold=True) for c, w in zip(columns, widths, strict=True)]
        click.echo("  ".join(titles).rstrip())
        for line in texts:
            self._line(list(zip(columns, line, strict=True)), widths)

    @staticmethod
    def _line(cells: Iterable[tuple[Column, str]], widths: Sequence[int]) -> None:
        parts = []
        for (column, text), columns in zip(cells, widths, strict=True):
            padded = _padded(text, columns)
            style = column.style(text) if column.style is not None else None
            parts.append(click.style(padded, **style) if style else padded)
        click.echo("  ".join(parts).rstrip())


def _padded(text: str, columns: int) -> str:
    return text + " " * max(0, columns - width(text))


def _csv_line(values: Sequence[str]) -> None:
    line = io.StringIO()
    csv.writer(line, lineterminator="\n").writerow(values)
    click.echo(line.getvalue(), nl=False)
