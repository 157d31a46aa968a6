"""The archive: rows from the data stream into the databases, and history out of them."""

from __future__ import annotations

import asyncio
import os
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import uvloop
from pydatacoll_plugins.db_saver import DbSaver

from bench.machine import Window
from bench.plugins import DEVICES, throughput
from bench.report import Row, percentile, shares
from pydatacoll.api.history_rows import bucket_writer, sample_writer
from pydatacoll.archive.archive import Archive
from pydatacoll.archive.config import ArchiveConfig
from pydatacoll.archive.database import Database
from pydatacoll.archive.schema import migrate
from pydatacoll.archive.series import ensure_series
from pydatacoll.archive.shapes import Span
from pydatacoll.archive.write import Writer
from pydatacoll.model import PointId
from pydatacoll.settings import RedisSettings
from pydatacoll.store.embedded import EmbeddedServer
from test.mariadb import MariaDb

SAMPLES = 2_000_000
PER_ENTRY = 1000
POINTS = DEVICES * PER_ENTRY
DAY = 86_400
POINT = PointId("d", "t", "i")
START = 1_795_219_200_000_000
REPEATS = 21
WRITE = {"SQLite": 150_000, "MariaDB": 120_000}


async def _stream(url: str, folder: Path, name: str, pids: dict[str, int]) -> Row:
    server = EmbeddedServer(folder / name, RedisSettings(appendfsync="no"))
    store = await server.start()
    try:
        config = ArchiveConfig(url=url)
        await throughput(store, DbSaver, per_entry=PER_ENTRY, total=POINTS, config=config)  # the points are known
        window = Window({"bench": os.getpid(), **pids})
        rate = await throughput(store, DbSaver, per_entry=PER_ENTRY, total=SAMPLES, config=config)
        used = shares(window.shares())
    finally:
        await server.stop()
    must = WRITE[name]
    return Row(
        f"stream -> {name}, one db_saver, unique key, rows/s",
        f"{rate:,.0f}",
        f">= {must:,}",
        rate >= must,
        compare="row by row 4,600; bulk ceiling 290,000" if name == "MariaDB" else "bulk ceiling 335,000",
        notes=used,
    )


async def _history(url: str, folder: Path, name: str) -> list[Row]:
    """One day of samples, one a second; as text, as the REST API writes it."""
    config = ArchiveConfig(url=url)
    database = Database(config, folder)
    await migrate(database, START / 1e6)
    series = (await ensure_series(database, POINT.device_id, [POINT]))[POINT]
    rows_of_day = [(series, START + n * 1_000_000, (n * 7919 % 10_007) * 0.1, None, 0, 0) for n in range(DAY)]
    await Writer(database).write(rows_of_day)
    await database.close()
    archive = Archive(config, folder)
    span = Span(series, START, START + DAY * 1_000_000 - 1)
    write_bucket, write_sample = bucket_writer("json", POINT), sample_writer("json", POINT)

    async def buckets() -> int:
        return len([write_bucket(one) for one in await archive.buckets(span, DAY * 1000)])

    async def raw() -> int:
        return sum([len([write_sample(one) for one in page]) async for page in archive.pages(span)])

    rows = []
    for text, read, count, must in (
        ("one day of 1 s samples in 1,000 buckets, p50", buckets, 1000, 100),
        ("raw history read, 86,400 rows, p50", raw, DAY, 400),
    ):
        seconds = []
        for _ in range(REPEATS):
            begun = time.perf_counter()
            if await read() != count:
                raise RuntimeError(f"{text}: not {count} rows")
            seconds.append(time.perf_counter() - begun)
        seconds.sort()
        p50 = percentile(seconds, 0.5) * 1e3
        notes: dict[str, float | str] = {
            "fastest": f"{seconds[0] * 1e3:.0f} ms",
            "slowest": f"{seconds[-1] * 1e3:.0f} ms",
        }
        rows.append(Row(f"history {name}: {text}", f"{p50:.0f} ms", f"<= {must} ms", p50 <= must, notes=notes))
    await archive.close()
    return rows


@contextmanager
def _databases(folder: Path) -> Iterator[list[tuple[str, Callable[[str], str], dict[str, int]]]]:
    """Name, URL of a new database, and the server's process."""
    with MariaDb() as maria:
        yield [
            ("SQLite", lambda name: f"sqlite:///{folder / name}.db", {}),
            ("MariaDB", maria.create, {"server": maria.pid}),
        ]


async def _archive() -> list[Row]:
    rows: list[Row] = []
    with tempfile.TemporaryDirectory(prefix="pdc-bench-") as path, _databases(Path(path)) as databases:
        for name, create, pids in databases:
            rows.append(await _stream(create("stream"), Path(path), name, pids))
            rows += await _history(create("history"), Path(path), name)
    return rows


def archive() -> list[Row]:
    """Rows per second into SQLite and MariaDB, and how long history takes."""
    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        return runner.run(_archive())
