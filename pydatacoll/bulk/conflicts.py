"""Rows of a table that say different things of one object: one fault for each field, for however many rows."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Final

_MOST_VALUES: Final = 3
"""Values of one field that are named; of the others only the number of rows is."""
_MOST_SPANS: Final = 5
"""Groups of rows with one value that are named."""


class Rows:
    """Some rows, in ascending order; only the first groups of neighbours are remembered."""

    def __init__(self) -> None:
        self._spans: list[list[int]] = []
        self._more = 0

    def add(self, row: int) -> None:
        """One row more."""
        if self._spans and not self._more and self._spans[-1][1] + 1 == row:
            self._spans[-1][1] = row
        elif len(self._spans) < _MOST_SPANS:
            self._spans.append([row, row])
        else:
            self._more += 1

    def __str__(self) -> str:
        named = [str(first) if first == last else f"{first}-{last}" for first, last in self._spans]
        if self._more:
            return f"rows {', '.join(named)} and {self._more} more"
        start = ", ".join(named[:-1])
        return f"row{'s' if start or '-' in named[-1] else ''} {f'{start} and ' if start else ''}{named[-1]}"


class Conflict:
    """What rows say of a field that the first one has told otherwise.

    :ivar row: the first of these rows.
    """

    def __init__(self, row: int, told: str, told_in: int) -> None:
        self.row = row
        self._told, self._told_in = told, told_in
        self._values: dict[str, Rows] = {}
        self._others = 0

    def add(self, row: int, value: str) -> None:
        """One row more, with its value."""
        rows = self._values.get(value)
        if rows is None and len(self._values) < _MOST_VALUES:
            rows = self._values[value] = Rows()
        if rows is None:
            self._others += 1
        else:
            rows.add(row)

    def __str__(self) -> str:
        said = [f"{_shown(value)} in {rows}" for value, rows in self._values.items()]
        if self._others:
            said.append(f"something else in {self._others} more")
        return f"is {', '.join(said)}, but {_shown(self._told)} in row {self._told_in}"


class Conflicts:
    """The conflicts about objects of one kind."""

    def __init__(self) -> None:
        self._found: dict[str, dict[str, Conflict]] = {}
        self._count = 0

    def __contains__(self, own_id: str) -> bool:
        return own_id in self._found

    def __len__(self) -> int:
        return self._count

    def add(self, own_id: str, field: str, row: int, value: str, *, told: str, told_in: int) -> None:
        """Row ``row`` has this value, row ``told_in`` another one."""
        fields = self._found.setdefault(own_id, {})
        if field not in fields:
            fields[field] = Conflict(row, told, told_in)
            self._count += 1
        fields[field].add(row, value)

    def __iter__(self) -> Iterator[tuple[str, str, Conflict]]:
        """Id, field and conflict."""
        for own_id, fields in self._found.items():
            for field, conflict in fields.items():
                yield own_id, field, conflict


def _shown(value: str) -> str:
    return repr(value[:80]) if value else "empty"
