"""Archives in real databases, and the plugin that fills them."""

from __future__ import annotations

import logging
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from pathlib import Path

import pytest
from pydatacoll_plugins.db_saver import DbSaver

from pydatacoll.archive.archive import Archive
from pydatacoll.archive.config import ArchiveConfig
from pydatacoll.archive.database import Database
from pydatacoll.archive.shapes import Span
from pydatacoll.archive.values import from_columns
from pydatacoll.model import DataBatch, DeviceBatch, PointId
from pydatacoll.model.registry import Registry
from pydatacoll.sdk import PluginContext
from test.database_server import MissingServer
from test.mariadb import MariaDb
from test.postgresql import Postgresql

NOW = 1795224600.0
"""2026-11-21T01:30:00Z"""
EVERYTHING = (-(2**62), 2**62)


class NoAlarms:
    """A store without alarms; samples are not asked for."""

    def __init__(self) -> None:
        self.alarms: dict[int, list] = {}

    async def transitions(self, partition, after, count):
        return [one for one in self.alarms.get(partition, []) if _place(one[0]) > _place(after)][:count]

    async def managed(self, partition):
        return True


def _place(entry):
    return tuple(map(int, entry.split("-")))


def maria_server() -> Iterator[MariaDb]:
    """A server for a test run; tests are never skipped."""
    try:
        server = MariaDb()
        with server:
            yield server
    except MissingServer as error:
        pytest.fail(str(error))


def postgresql_server() -> Iterator[Postgresql]:
    """The same."""
    try:
        server = Postgresql()
        with server:
            yield server
    except MissingServer as error:
        pytest.fail(str(error))


def saver(url: str, folder: Path, model=None, store=None, **config) -> DbSaver:
    """The plugin, as the host makes it."""
    context = PluginContext(
        model or Registry(), folder, logging.getLogger("test.db_saver"), store or NoAlarms(), wall=lambda: NOW
    )
    return DbSaver(ArchiveConfig(url=url, **config), context)


@asynccontextmanager
async def running(url: str, folder: Path, **more) -> AsyncIterator[DbSaver]:
    plugin = saver(url, folder, **more)
    await plugin.start()
    try:
        yield plugin
    finally:
        await plugin.stop()


def batch(*devices: DeviceBatch, entry="1-0", partition=0) -> DataBatch:
    return DataBatch(partition, entry, list(devices))


def samples(values, *, device="d", field="t:i", start=NOW, quality=0) -> DeviceBatch:
    """One sample a second of one point."""
    values = list(values)
    return DeviceBatch(device, [field] * len(values), [start + n for n in range(len(values))], values, quality)


async def archived(url: str, folder: Path) -> dict[str, list[tuple]]:
    """All that is in an archive: point -> ``(seconds since NOW, value, quality)``."""
    archive = Archive(ArchiveConfig(url=url), folder)
    try:
        found = {}
        for point, series in (await archive.series(None)).items():
            found[str(point)] = [
                (round((time - NOW * 1e6) / 1e6, 6), from_columns(value, text, kind), quality)
                async for page in archive.pages(Span(series, *EVERYTHING))
                for time, value, text, kind, quality in page
            ]
        return found
    finally:
        await archive.close()


async def run_sql(url: str, folder: Path, *statements: str) -> list[tuple]:
    """Execute statements; gives the rows of the last one."""
    database = Database(ArchiveConfig(url=url), folder)
    rows = []
    try:
        async with database.transaction() as connection:
            for statement in statements:
                done = await connection.exec_driver_sql(statement)
                rows = [tuple(row) for row in done.all()] if done.returns_rows else []
    finally:
        await database.close()
    return rows


def point(text: str) -> PointId:
    return PointId(*text.split(":"))
