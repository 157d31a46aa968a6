"""The archive as the REST API uses it: history, and the check of statements."""

from __future__ import annotations

from collections.abc import AsyncGenerator, Collection, Iterable, Sequence
from pathlib import Path

from pydatacoll.archive.alarms import read_alarms
from pydatacoll.archive.config import ArchiveConfig
from pydatacoll.archive.database import Database
from pydatacoll.archive.read import Reader
from pydatacoll.archive.series import all_series, series_of
from pydatacoll.archive.shapes import AlarmQuery, AlarmStep, Bucket, Span, Stored
from pydatacoll.archive.sql_template import Template
from pydatacoll.archive.sql_tokens import Kind
from pydatacoll.archive.statements import check
from pydatacoll.model.sample import PointId


class Archive:
    """For reading. All methods raise :class:`~pydatacoll.archive.errors.ArchiveUnavailable`.

    :raises ConfigError: for a URL that cannot be used.
    """

    def __init__(self, config: ArchiveConfig, data_dir: Path) -> None:
        self._database = Database(config, data_dir)
        self._reader = Reader(self._database)

    @property
    def kind(self) -> Kind:
        """Family of the database."""
        return self._database.kind

    async def series(self, device_ids: Collection[str] | None) -> dict[PointId, int]:
        """Series of all points of these devices, or of all there are, in the archive."""
        if device_ids is None:
            return await all_series(self._database)
        return await series_of(self._database, device_ids)

    def pages(self, span: Span, limit: int | None = None) -> AsyncGenerator[Sequence[Stored], None]:
        """See :meth:`.Reader.pages`."""
        return self._reader.pages(span, limit)

    async def ends(self, series: Iterable[int], since: int, until: int) -> tuple[int, int] | None:
        """See :meth:`.Reader.ends`."""
        return await self._reader.ends(series, since, until)

    async def buckets(self, span: Span, width: int) -> list[Bucket]:
        """See :meth:`.Reader.buckets`."""
        return await self._reader.buckets(span, width)

    async def alarms(self, wanted: AlarmQuery, limit: int) -> list[AlarmStep]:
        """See :func:`.alarms.read_alarms`."""
        return await read_alarms(self._database, wanted, limit)

    async def check(self, template: Template) -> None:
        """Let the database prepare a statement without executing it.

        :raises StatementError: with the database's own message.
        """
        await check(self._database, template)

    async def close(self) -> None:
        """Close the connections."""
        await self._database.close()
