"""Reading the archive: raw samples in pages, and buckets that the database works out.

A page is a transaction of its own and begins where the last one ended, so a client that reads slowly holds neither
memory nor locks.
"""

from __future__ import annotations

from collections.abc import AsyncGenerator, Iterable, Mapping, Sequence
from typing import Final, cast

from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncConnection

from pydatacoll.archive.database import Database
from pydatacoll.archive.schema import SAMPLE
from pydatacoll.archive.shapes import Bucket, Span, Stored
from pydatacoll.archive.values import from_columns
from pydatacoll.model.quality import Quality

PAGE: Final = 10_000
"""Samples in one query."""
_GOOD: Final = f"quality IN (0, {int(Quality.TIME_INVALID)})"
"""Samples whose value can be used, see :func:`pydatacoll.model.quality.is_usable`."""


class Reader:
    """Reads samples. All methods raise :class:`~pydatacoll.archive.errors.ArchiveUnavailable`."""

    def __init__(self, database: Database) -> None:
        self._database = database
        within = f"{SAMPLE} WHERE series = :series AND time BETWEEN :since AND :until"
        division = "DIV" if database.kind == "mysql" else "/"
        self._page = text(f"SELECT time, value, text, kind, quality FROM {within} ORDER BY time LIMIT :page")
        # Without the texts themselves: with them, MariaDB would put the page on disk. It may come in any order.
        # Without CAST, MariaDB cuts numbers as 0.00000001234567890123 to some twenty characters.
        self._joined = text(
            "SELECT SUM(worded), GROUP_CONCAT(time, ' ', COALESCE(CAST(value AS CHAR(40)), ''), ' ', kind, ' ', "
            "quality SEPARATOR '\n') "
            f"FROM (SELECT time, value, kind, quality, text IS NOT NULL AS worded FROM {within} "
            "ORDER BY time LIMIT :page) p"
        )
        self._newest = text(f"SELECT time FROM {within} ORDER BY time DESC LIMIT 1 OFFSET :offset")
        self._ends = text(
            f"SELECT (SELECT MIN(time) FROM {within}), (SELECT MAX(time) FROM {within})"  # each by the key
        )
        # the whole rows of the last samples are looked up by key, one for each bucket
        self._buckets = text(
            f"SELECT b.bucket, b.low, b.high, b.mean, b.good, b.total - b.good, "
            f"s.value, s.text, s.kind, s.time, s.quality "
            f"FROM (SELECT (time - :since) {division} :width AS bucket, "
            f"MIN(CASE WHEN {_GOOD} THEN value END) AS low, MAX(CASE WHEN {_GOOD} THEN value END) AS high, "
            f"AVG(CASE WHEN {_GOOD} THEN value END) AS mean, COUNT(CASE WHEN {_GOOD} THEN 1 END) AS good, "
            f"COUNT(*) AS total, MAX(time) AS newest FROM {within} GROUP BY bucket) b "
            f"JOIN {SAMPLE} s ON s.series = :series AND s.time = b.newest ORDER BY b.bucket"
        )

    async def pages(self, span: Span, limit: int | None = None) -> AsyncGenerator[Sequence[Stored], None]:
        """Samples, oldest first, page by page; the newest ``limit`` of them."""
        series, since, until = span
        if limit is not None:
            if limit == 0:
                return
            given = {"series": series, "since": since, "until": until, "offset": limit - 1}
            async with self._database.tables() as connection:
                first = (await connection.execute(self._newest, given)).scalar()
            since = since if first is None else first
        while True:
            given = {"series": series, "since": since, "until": until, "page": PAGE}
            async with self._database.tables() as connection:
                rows = await self._rows(connection, given)
            if rows:
                yield rows
            if len(rows) < PAGE:
                return
            since = rows[-1][0] + 1

    async def _rows(self, connection: AsyncConnection, given: Mapping[str, int]) -> Sequence[Stored]:
        """One page. MySQL's drivers take 9 us for a row, in Python, so rows without texts come as one value."""
        if self._database.kind == "mysql":
            texts, joined = (await connection.execute(self._joined, given)).one()
            if not texts:
                return sorted(_split(line) for line in _text(joined).split("\n")) if joined else []
        return cast(Sequence[Stored], (await connection.execute(self._page, given)).all())

    async def ends(self, series: Iterable[int], since: int, until: int) -> tuple[int, int] | None:
        """Times of the first and the last sample of several series; ``None`` when there is no sample."""
        ends: list[int] = []
        async with self._database.tables() as connection:
            for one in series:
                given = {"series": one, "since": since, "until": until}
                first, last = (await connection.execute(self._ends, given)).one()
                ends += [first, last] if first is not None else []
        return (min(ends), max(ends)) if ends else None

    async def buckets(self, span: Span, width: int) -> list[Bucket]:
        """The span in buckets of ``width`` microseconds, in order; those without samples are left out."""
        given = {"series": span.series, "since": span.since, "until": span.until, "width": width}
        async with self._database.tables() as connection:
            rows = (await connection.execute(self._buckets, given)).all()
        return [
            Bucket(
                span.since + int(bucket) * width,
                low,
                high,
                None if mean is None else float(mean),
                good,
                bad,
                from_columns(value, words, kind),
                time,
                quality,
            )
            for bucket, low, high, mean, good, bad, value, words, kind, time, quality in rows
        ]


def _split(line: str) -> Stored:
    time, value, kind, quality = line.split(" ")
    return int(time), float(value) if value else None, None, int(kind), int(quality)


def _text(joined: str | bytes) -> str:
    """MySQL joins numbers as octets."""
    return joined if isinstance(joined, str) else joined.decode("ascii")
