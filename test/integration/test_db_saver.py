"""The plugin db_saver: what it saves, what it does not, and what happens while the database is away."""

from __future__ import annotations

import logging
import math
import os
import signal
import sqlite3
from collections import Counter
from contextlib import suppress

import pytest
from pydatacoll_plugins.db_saver import DbSaver
from pydatacoll_plugins.db_saver_statements import FAILURES
from sqlalchemy import event

from pydatacoll.archive.config import ArchiveConfig
from pydatacoll.archive.errors import ArchiveUnavailable
from pydatacoll.errors import ConfigError
from pydatacoll.manager.plugin_host import HostSettings
from pydatacoll.model import DeviceBatch, Item, Term, TermItem
from pydatacoll.model.alarm import Transition
from pydatacoll.model.quality import Quality
from pydatacoll.model.registry import Registry
from pydatacoll.sdk import Device, PluginContext
from pydatacoll.store.plugin_reads import PluginReads
from test.integration.archive_rig import NOW, NoAlarms, archived, batch, run_sql, running, samples, saver
from test.integration.plugin_rig import Rig, until

COMM_LOST = int(Quality.COMM_LOST)


def model(**fields) -> Registry:
    """One point, ``d:t:i``."""
    registry = Registry()
    registry.put_device(Device(id="d", name="Feeder 'one'", protocol="modbus_tcp"))
    registry.put_term(Term(id="t", name="main", device_id="d"))
    registry.put_item(Item(id="i", name="voltage", unit="V"))
    registry.put_term_item(TermItem(term_id="t", item_id="i", **fields))
    return registry


async def test_changes_are_saved_and_the_same_again_is_not(archive_url, tmp_path):
    async with running(archive_url, tmp_path) as plugin:
        await plugin.handle(batch(samples([1.0, 1.0, 2.0, 2.0, 2.0, 1.0])))
        await plugin.handle(
            batch(samples([1.0, 1.0], start=NOW + 6), samples([1.0], start=NOW + 8, quality=COMM_LOST))
        )
        assert plugin.context.counters == Counter(rows_written=4, samples_unchanged=5, samples_excluded=0)
    assert await archived(archive_url, tmp_path) == {
        "d:t:i": [(0.0, 1.0, 0), (2.0, 2.0, 0), (5.0, 1.0, 0), (8.0, 1.0, COMM_LOST)]
    }


async def test_all_are_saved_when_that_is_wanted(archive_url, tmp_path):
    async with running(archive_url, tmp_path, save_unchanged=True) as plugin:
        await plugin.handle(batch(samples([1.0, 1.0, 1.0])))
    assert len((await archived(archive_url, tmp_path))["d:t:i"]) == 3


async def test_a_batch_that_comes_again_changes_nothing(archive_url, tmp_path):
    """Not even when another runner takes it up that knows nothing but the database."""
    first = batch(samples([1.0]))
    again = batch(samples([1.0, 1.0, 2.0, 1.0, 1.0, "x", "x", None, True], start=NOW + 1))
    async with running(archive_url, tmp_path) as plugin:
        await plugin.handle(first)
        await plugin.handle(again)
    before = await archived(archive_url, tmp_path)
    assert [value for _, value, _ in before["d:t:i"]] == [1.0, 2.0, 1.0, "x", None, True]
    for _ in range(2):
        async with running(archive_url, tmp_path) as plugin:
            await plugin.handle(again)
            await plugin.partition_stopped(0)
            await plugin.handle(again)
    assert await archived(archive_url, tmp_path) == before


async def test_late_samples_are_saved(archive_url, tmp_path):
    async with running(archive_url, tmp_path) as plugin:
        await plugin.handle(batch(samples([1.0], start=NOW + 10)))
        await plugin.handle(batch(samples([1.0], start=NOW)))
    assert [time for time, _, _ in (await archived(archive_url, tmp_path))["d:t:i"]] == [0.0, 10.0]


async def test_columns_and_single_numbers_mean_the_same(archive_url, tmp_path):
    async with running(archive_url, tmp_path) as plugin:
        await plugin.handle(batch(DeviceBatch("d", ["t:a", "t:b"], NOW, [1, 2.5], 0)))
        await plugin.handle(batch(DeviceBatch("d", ["t:a", "t:b"], [NOW + 1, NOW + 2], [3, 4], [0, 4])))
    assert await archived(archive_url, tmp_path) == {
        "d:t:a": [(0.0, 1, 0), (1.0, 3, 0)],
        "d:t:b": [(0.0, 2.5, 0), (2.0, 4, 4)],
    }


async def test_what_is_no_number_is_nothing_and_a_long_text_is_cut_and_counted(archive_url, tmp_path):
    async with running(archive_url, tmp_path) as plugin:
        await plugin.handle(batch(samples([math.nan, math.inf, "y" * 5000])))
        assert plugin.context.counters["texts_cut"] == 1
    invalid = int(Quality.INVALID)
    assert (await archived(archive_url, tmp_path))["d:t:i"] == [
        (0.0, None, invalid),
        (1.0, None, invalid),
        (2.0, "y" * 4096, 0),
    ]


async def test_points_that_are_not_to_be_archived_are_not_until_they_are(archive_url, tmp_path):
    registry = model(db_save=False)
    plugin = saver(archive_url, tmp_path, registry)
    changed = []
    plugin.context = PluginContext(
        registry,
        tmp_path,
        logging.getLogger("t"),
        NoAlarms(),
        on_change=lambda call: changed.append(call) or (lambda: None),
    )
    await plugin.start()
    await plugin.handle(batch(samples([1.0])))
    registry.put_term_item(TermItem(term_id="t", item_id="i"))
    changed[0](None)
    await plugin.handle(batch(samples([2.0], start=NOW + 1)))
    await plugin.stop()
    assert await archived(archive_url, tmp_path) == {"d:t:i": [(1.0, 2.0, 0)]}


# Users' own statements

EVIL = "'); DROP TABLE mine; -- \\"


async def test_own_statements_are_executed_with_what_is_saved(archive_url, tmp_path):
    await run_sql(archive_url, tmp_path, "CREATE TABLE mine (a VARCHAR(64), b VARCHAR(64), c VARCHAR(200))")
    text = (
        "INSERT INTO mine VALUES ({PARAM.value}, '{PARAM.time}', ':value 100% {PARAM.device_name} {PARAM.unit}');"
    )
    async with running(archive_url, tmp_path, model=model(db_save_sql=text)) as plugin:
        await plugin.handle(batch(samples([EVIL, EVIL, 2.5])))
        assert plugin.context.counters["statements_executed"] == 2
        assert plugin.status()["statement_errors"] == {}
    assert await run_sql(archive_url, tmp_path, "SELECT * FROM mine ORDER BY b") == [
        (EVIL, "2026-11-21 01:30:00.000000", ":value 100% Feeder 'one' V"),
        ("2.5", "2026-11-21 01:30:02.000000", ":value 100% Feeder 'one' V"),
    ]
    assert len((await archived(archive_url, tmp_path))["d:t:i"]) == 2


async def test_a_statement_that_the_database_refuses_disturbs_nothing(archive_url, tmp_path):
    text = "INSERT INTO nowhere VALUES (:value)"
    async with running(archive_url, tmp_path, model=model(db_save_sql=text)) as plugin:
        for n in range(FAILURES + 5):
            await plugin.handle(batch(samples([float(n)], start=NOW + n)))
        assert plugin.context.counters["statements_failed"] == FAILURES
        assert plugin.context.counters["statements_skipped"] == 5
        assert "nowhere" in plugin.status()["statement_errors"]["d:t:i"]
    assert len((await archived(archive_url, tmp_path))["d:t:i"]) == FAILURES + 5


async def test_of_many_statements_only_what_is_refused_is_not_done(archive_url, tmp_path):
    await run_sql(archive_url, tmp_path, "CREATE TABLE mine (a INTEGER PRIMARY KEY)")
    text = "INSERT INTO mine VALUES (:value)"
    async with running(archive_url, tmp_path, model=model(db_save_sql=text)) as plugin:
        await plugin.handle(batch(samples([1, 2, 1, 3])))
        assert plugin.context.counters["statements_executed"] == 3
        assert plugin.context.counters["statements_failed"] == 1
        assert plugin.status()["statement_errors"].keys() == {"d:t:i"}
        await plugin.handle(batch(samples([4], start=NOW + 9)))
        assert plugin.status()["statement_errors"] == {}
    assert await run_sql(archive_url, tmp_path, "SELECT a FROM mine ORDER BY a") == [(1,), (2,), (3,), (4,)]


async def test_a_statement_that_is_no_statement_is_shown(archive_url, tmp_path):
    async with running(archive_url, tmp_path, model=model(db_save_sql="DROP TABLE pdc_sample")) as plugin:
        await plugin.handle(batch(samples([1.0])))
        assert "not with DROP" in plugin.status()["statement_errors"]["d:t:i"]
    assert len((await archived(archive_url, tmp_path))["d:t:i"]) == 1


# Alarms


async def test_transitions_of_alarms_are_archived_once(archive_url, tmp_path):
    await run_sql(archive_url, tmp_path, "CREATE TABLE warned (a VARCHAR(200), b FLOAT(53), c FLOAT(53))")
    text = "INSERT INTO warned VALUES ('{PARAM.condition}: {PARAM.warn_msg}', :value, :limit)"
    store = NoAlarms()
    one = Transition(
        alarm="d:t:i:high", event="raise", state="active_unacknowledged", time="2026-11-21T01:30:00.000000Z",
        value="231.5", limit="230.0", message="it's high",
    )  # fmt: skip
    two = Transition(
        alarm="d:t:i:high", event="ack", state="active_acknowledged", time="2026-11-21T01:31:00.000000Z",
        value="231.5", user="anna", note="seen ☃",
    )  # fmt: skip
    store.alarms[3] = [("7-0", one), ("7-1", two)]
    async with running(archive_url, tmp_path, model=model(db_warn_sql=text), store=store) as plugin:
        await plugin.partition_started(3, {})
        effects = await plugin.tick(3, NOW)
        assert effects.state == {"alarms": b"0-0"}  # from now on the store counts what is lost
        effects = await plugin.tick(3, NOW)
        assert effects.state == {"alarms": b"7-1"}
        assert await plugin.tick(3, NOW) is None
        # a runner that died before that was committed
        await plugin.partition_started(3, {"alarms": b"0-0"})
        assert (await plugin.tick(3, NOW)).state == {"alarms": b"7-1"}
        await plugin.partition_started(3, effects.state)
        assert await plugin.tick(3, NOW) is None
    rows = await run_sql(
        archive_url,
        tmp_path,
        "SELECT entry, kind, event, state, value, bound, message, user_name, note FROM pdc_alarm ORDER BY time",
    )
    assert rows == [
        ("7-0", "high", "raise", "active_unacknowledged", "231.5", "230.0", "it's high", "", ""),
        ("7-1", "high", "ack", "active_acknowledged", "231.5", None, "", "anna", "seen ☃"),
    ]
    assert set(await run_sql(archive_url, tmp_path, "SELECT * FROM warned")) == {("high: it's high", 231.5, 230.0)}


# Trouble with the database


async def test_a_url_that_cannot_be_used_stops_the_start(tmp_path):
    with pytest.raises(ConfigError, match=r"plugin\.db_saver\.url: "):
        saver("oracle://host/db", tmp_path)


async def test_a_database_that_is_read_only_says_so_and_keeps_nothing_back(tmp_path):
    url = f"sqlite:///{tmp_path / 'archive.db'}"
    async with running(url, tmp_path) as plugin:
        await plugin.handle(batch(samples([1.0])))
    plugin = saver(url, tmp_path)

    @event.listens_for(plugin._database.engine.sync_engine, "connect")
    def read_only(connection, _):  # root may write to whatever file
        connection.cursor().execute("PRAGMA query_only = ON")

    with pytest.raises(ArchiveUnavailable, match="readonly"):
        await plugin.handle(batch(samples([2.0], start=NOW + 5)))
    status = plugin.status()
    assert status["available"] is False
    assert "readonly" in status["error"]
    assert status["held"]["since"] == "2026-11-21T01:30:05.000000Z"
    await plugin.stop()


async def test_a_file_that_is_no_database_says_so(tmp_path):
    (tmp_path / "archive.db").write_text("this is a text, and it is long enough to be looked at" * 20)
    plugin = saver("", tmp_path)
    await plugin.start()
    assert plugin.status()["available"] is False
    with pytest.raises(ArchiveUnavailable, match="not a database"):
        await plugin.handle(batch(samples([1.0])))
    await plugin.stop()


async def test_a_wrong_password_is_told_without_the_password(maria, tmp_path):
    maria.create("archive")
    maria.execute(
        "CREATE OR REPLACE USER saver@localhost IDENTIFIED BY 'right'; GRANT ALL ON archive.* TO saver@localhost"
    )
    plugin = saver(maria.url("archive", "saver", "sesame"), tmp_path)
    await plugin.start()
    assert plugin.status()["available"] is False
    with pytest.raises(ArchiveUnavailable, match="Access denied for user 'saver'") as caught:
        await plugin.handle(batch(samples([1.0])))
    assert "sesame" not in str(caught.value)
    await plugin.stop()
    async with running(maria.url("archive", "saver", "right"), tmp_path) as plugin:
        await plugin.handle(batch(samples([1.0])))


async def test_a_user_who_may_not_make_tables_is_told(maria, tmp_path):
    maria.create("archive")
    maria.execute("CREATE OR REPLACE USER reader@localhost; GRANT SELECT ON archive.* TO reader@localhost")
    plugin = saver(maria.url("archive", "reader"), tmp_path)
    await plugin.start()
    assert plugin.status()["available"] is False
    with pytest.raises(ArchiveUnavailable, match="the tables cannot be made: 1142: CREATE command denied"):
        await plugin.handle(batch(samples([1.0])))
    await plugin.stop()


async def test_tables_are_made_when_the_database_is_there_at_last(maria, tmp_path):
    url = maria.create("archive")
    maria.execute("DROP DATABASE archive")
    async with running(url, tmp_path) as plugin:
        assert "Unknown database 'archive'" in plugin.status()["error"]
        with pytest.raises(ArchiveUnavailable):
            await plugin.handle(batch(samples([1.0])))
        assert await plugin.tick(0, NOW) is None
        assert plugin.status()["held"]["since"] == "2026-11-21T01:30:00.000000Z"
        maria.create("archive")
        assert await plugin.tick(0, NOW) is None
        await plugin.handle(batch(samples([1.0])))
        assert (plugin.status()["available"], plugin.status()["held"]) == (True, None)
    assert await archived(url, tmp_path) == {"d:t:i": [(0.0, 1.0, 0)]}


async def test_a_table_that_is_gone_is_told_and_made_again_by_nobody(archive_url, tmp_path):
    async with running(archive_url, tmp_path) as plugin:
        await run_sql(archive_url, tmp_path, "DROP TABLE pdc_sample")
        with pytest.raises(Exception, match="pdc_sample"):
            await plugin.handle(batch(samples([1.0])))
        assert plugin.status()["available"] is False


async def test_a_database_that_hangs_is_given_up_and_taken_up_again(maria, tmp_path):
    url = maria.create("archive")
    async with running(url, tmp_path, timeout=0.5) as plugin:
        await plugin.handle(batch(samples([1.0])))
        os.kill(maria.pid, signal.SIGSTOP)
        try:
            with pytest.raises(ArchiveUnavailable, match=r"no answer within 0\.5 s"):
                await plugin.handle(batch(samples([2.0], start=NOW + 1)))
        finally:
            os.kill(maria.pid, signal.SIGCONT)

        async def saved():
            with suppress(ArchiveUnavailable):
                await plugin.handle(batch(samples([2.0], start=NOW + 1)))
                return True

        await until(saved)
        assert plugin.status()["held"] is None
    assert await archived(url, tmp_path) == {"d:t:i": [(0.0, 1.0, 0), (1.0, 2.0, 0)]}


# On the data stream


@pytest.fixture
async def rig(store):
    made = Rig(store)
    yield made
    await made.close()


async def hosted(rig, url, tmp_path, name="one"):
    context = PluginContext(Registry(), tmp_path, logging.getLogger("test.db_saver"), PluginReads(rig.store))
    plugin = DbSaver(ArchiveConfig(url=url, timeout=5.0), context)
    return await rig.host(plugin, name, settings=HostSettings(lease=0.6, pause=0.01, longest=0.05))


async def test_the_backlog_drains_when_the_database_comes_back_from_a_crash(rig, maria, tmp_path):
    url = maria.create("archive")
    host = await hosted(rig, url, tmp_path)
    await rig.ready(host)
    for n in range(100):
        await rig.put(float(n), device=f"d{n}")
        if n == 40:
            await until(lambda: host.plugin.context.counters["rows_written"] > 0)
            maria.kill()
        if n == 80:
            await until(lambda: host.plugin.status()["held"] is not None)
            assert host.plugin.status()["available"] is False
            maria.start()
    await until(lambda: host.stats.handled == 100)
    assert host.plugin.status()["held"] is None
    assert host.stats.dead_lettered == 0
    found = {device: [value for _, value, _ in some] for device, some in (await archived(url, tmp_path)).items()}
    assert found == {f"d{n}:t:i0": [float(n)] for n in range(100)}


async def test_a_runner_that_dies_leaves_no_gap_and_nothing_twice(rig, archive_url, tmp_path):
    first = await hosted(rig, archive_url, tmp_path)
    await rig.ready(first)
    devices = [f"d{n}" for n in range(20)]
    second = None
    for n, device in enumerate(devices):
        await rig.put(*[float(n * 100 + k) for k in range(30)], device=device)
        if n == 10:
            await until(lambda: first.plugin.context.counters["rows_written"] > 0)
            await rig.kill(first)
            await first.plugin.stop()  # what the end of a process closes
            second = await hosted(rig, archive_url, tmp_path, "two")
    await until(lambda: len_of(second) == 16)

    async def complete():
        found = await archived(archive_url, tmp_path)
        return len(found) == len(devices) * 30 and found

    found = await until(complete)
    for n, device in enumerate(devices):
        for k in range(30):
            assert [value for _, value, _ in found[f"{device}:t:i{k}"]] == [float(n * 100 + k)]


def len_of(host):
    return len(host.partitions)


def test_sqlite_is_new_enough():
    """``ON CONFLICT`` came with 3.24."""
    assert sqlite3.sqlite_version_info >= (3, 24)
