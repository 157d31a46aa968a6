"""A full disk, of the store or of the archive, while all plugins are at work: said, held, and over by itself."""

from __future__ import annotations

import time
from contextlib import ExitStack

import pytest

from test.mariadb import MariaDb
from test.system.archives import DATABASE, MariaArchive, SqliteArchive
from test.system.disk import full, small_disk
from test.system.oracle import Reader
from test.system.plugin_oracle import Whole
from test.system.plugin_plant import PluginPlant, plugin_status
from test.system.plugin_verdict import show
from test.system.rig import eventually

SETTINGS = {"history__length": 100_000, "plugin__db_saver__timeout": 5.0}
SMALL_SERVER = ("--innodb-log-file-size=4M", "--aria-log-file-size=8M")


@pytest.fixture
def disk(tmp_path):
    """Makes a folder a disk of so many megabytes."""
    with ExitStack() as stack:

        def make(megabytes):
            folder = tmp_path / "disk"
            folder.mkdir()
            return stack.enter_context(small_disk(folder, megabytes))

        yield make


async def survive(rig, folder, archive, url, trouble):
    """``trouble(system, reader)`` must see that the disk is full; then it has room again.

    Nothing stored is lost or there twice; archive, formulas and alarms are those of a quiet run.
    """
    rig.noisy = 1000
    async with (
        PluginPlant(devices=4, points=4, interval=0.1) as plant,
        Whole(rig, plant, archive, url, **SETTINGS) as system,
        Reader(lambda: system.store.url, plant.sequences) as reader,
    ):
        await system.recover("start", reader, time.monotonic())
        for _ in range(2):
            system.injected["full disk"] += 1
            with full(folder):
                await trouble(system, reader)
            await system.recover("full disk", reader, time.monotonic())
        outcome = await system.finish(reader)
    assert show(system.injected, system.recoveries, outcome, "a full disk"), outcome
    assert outcome.results > 100
    assert outcome.alarms >= 4 * len(plant.servers)


async def store_refuses(system, reader):
    """Nothing can be stored: said, and polling goes on."""
    await system.client.not_ready("the store", within=30)
    asked = [one.requests for one in system.plant.servers.values()]

    def polled():
        return all(one.requests > n + 10 for one, n in zip(system.plant.servers.values(), asked, strict=True))

    await eventually(polled, "polling goes on")


async def archive_refuses(system, reader):
    """Nothing can be archived: said, with how much waits; collecting, formulas and alarms go on."""

    async def waits():
        seen.update((await plugin_status(system.client))["db_saver"])
        said = seen["runners"][0]
        held = said["status"]["held"]
        return (
            seen["state"] == "waiting for what it needs"
            and "full" in (said["last_error"] or "")
            and seen["lag"] > 500
            and held is not None
            and held["since"] < held["until"]
        )

    seen = {}
    await eventually(waits, lambda: f"db_saver holds the samples back: {seen}", within=30)
    await reader.recovered(0, reader.newest())

    async def others():
        status = await plugin_status(system.client)
        return {status[name]["state"] for name in ("checker", "formula")} == {"running"}

    await eventually(others, "the other plugins go on")


async def test_the_disk_of_store_and_archive(rig, disk):
    folder = disk(12)
    rig.data_dir = folder / "data"
    await survive(rig, folder, SqliteArchive(rig.data_dir / "archive.db"), "", store_refuses)


async def test_the_disk_of_an_archive_in_sqlite(rig, disk):
    folder = disk(8)
    archive = SqliteArchive(folder / "archive.db")
    await survive(rig, folder, archive, archive.url, archive_refuses)


async def test_the_disk_of_an_archive_in_mariadb(rig, disk):
    folder = disk(56)
    with MariaDb(folder / "data", SMALL_SERVER) as maria:
        archive = MariaArchive(maria)
        await survive(rig, folder, archive, maria.url(DATABASE), archive_refuses)
