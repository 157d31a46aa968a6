"""Writing samples: in batches, in the order of the table, in a way that a repetition does not change.

Why MySQL gets its own texts: its drivers make a text of each row anyway. Ours holds nothing but numbers, and takes
a third of the time; what has a text goes as parameters. Rows must be in the order of the key: unordered ones made
inserting ten times slower at four million rows.
"""

from __future__ import annotations

from collections.abc import Sequence
from itertools import islice
from operator import itemgetter
from typing import Any, Final

from sqlalchemy.ext.asyncio import AsyncConnection

from pydatacoll.archive.database import Database
from pydatacoll.archive.schema import SAMPLE
from pydatacoll.archive.values import from_columns, from_micros
from pydatacoll.model.sample import Sample

Row = tuple[int, int, float | int | None, str | None, int, int]
"""``(series, time, value, text, kind, quality)``, time in microseconds; see :mod:`.values`."""

STATEMENT_ROWS: Final = 1000
"""Rows in one statement of MySQL."""
LOOKUPS: Final = 100
"""Series in one query for their last samples."""
_key = itemgetter(0, 1)
_COLUMNS: Final = ("series", "time", "value", "text", "kind", "quality")
_UPDATED: Final = _COLUMNS[2:]


class Writer:
    """Writes samples into the archive."""

    def __init__(self, database: Database) -> None:
        self._database = database

    async def write(self, rows: Sequence[Row]) -> int:
        """Write samples, all or none; gives how many. Of two with the same series and time the later one counts.

        :raises ArchiveUnavailable: when the database cannot be used now.
        :raises StatementError: when it refuses them.
        """
        ordered = sorted(
            dict(zip(map(_key, rows), rows, strict=True)).values()
        )  # by unique keys: nothing else counts
        if not ordered:
            return 0
        async with self._database.tables() as connection:
            if self._database.kind == "mysql":
                await self._write_texts(connection, ordered)
            else:
                await connection.exec_driver_sql(self._statement(), ordered)
        return len(ordered)

    def _statement(self) -> str:
        """For one row at a time."""
        if self._database.kind == "postgresql":
            marks = ", ".join(f"${number}" for number in range(1, len(_COLUMNS) + 1))
        else:
            mark = "%s" if self._database.kind == "mysql" else "?"
            marks = ", ".join([mark] * len(_COLUMNS))
        return f"INSERT INTO {SAMPLE} ({', '.join(_COLUMNS)}) VALUES ({marks}){self._on_conflict()}"

    def _on_conflict(self) -> str:
        if self._database.kind != "mysql":
            updated = ", ".join(f"{name} = excluded.{name}" for name in _UPDATED)
            return f" ON CONFLICT (series, time) DO UPDATE SET {updated}"
        if self._database.names_new_row:
            updated = ", ".join(f"{name} = new.{name}" for name in _UPDATED)
            return f" AS new ON DUPLICATE KEY UPDATE {updated}"
        updated = ", ".join(f"{name} = VALUES({name})" for name in _UPDATED)
        return f" ON DUPLICATE KEY UPDATE {updated}"

    async def _write_texts(self, connection: AsyncConnection, ordered: Sequence[Row]) -> None:
        head = f"INSERT INTO {SAMPLE} (series, time, value, kind, quality) VALUES "
        tail = self._on_conflict()
        numbers = (
            f"({series},{time},{value!r},{kind},{quality:d})"
            for series, time, value, words, kind, quality in ordered
            if words is None and value is not None
        )
        while some := ",".join(islice(numbers, STATEMENT_ROWS)):
            await connection.exec_driver_sql(head + some + tail)
        others = [row for row in ordered if row[3] is not None or row[2] is None]
        if others:
            await connection.exec_driver_sql(self._statement(), others)

    async def last_before(self, wanted: Sequence[tuple[int, int]]) -> dict[int, Sample]:
        """Of each series, the last sample before a time.

        :param wanted: series and time in microseconds.
        :raises ArchiveUnavailable: when the database cannot be used now.
        """
        found: dict[int, Sample] = {}
        async with self._database.tables() as connection:
            for start in range(0, len(wanted), LOOKUPS):
                some = wanted[start : start + LOOKUPS]
                named = [f"SELECT {series:d} AS series, {time:d} AS bound" for series, time in some]
                within = f"{SAMPLE} WHERE series = w.series AND time < w.bound"
                newest = f"SELECT time FROM {within} ORDER BY time DESC LIMIT 1"
                query = (
                    f"SELECT {', '.join(f'p.{name}' for name in _COLUMNS)} "
                    f"FROM (SELECT w.series, ({newest}) AS time FROM ({' UNION ALL '.join(named)}) w) q "
                    f"JOIN {SAMPLE} p ON p.series = q.series AND p.time = q.time"
                )
                rows: Sequence[Any] = (await connection.exec_driver_sql(query)).all()
                for series, time, value, words, kind, quality in rows:
                    found[series] = Sample(from_micros(time), from_columns(value, words, kind), quality)
        return found
