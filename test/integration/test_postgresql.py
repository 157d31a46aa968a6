"""The plugin db_saver on PostgreSQL: what is different there, and trouble with the server."""

from __future__ import annotations

import logging
import signal
from contextlib import suppress
from datetime import UTC, date, datetime
from decimal import Decimal

import pytest
from pydatacoll_plugins.db_saver import DbSaver

from pydatacoll.archive.config import ArchiveConfig
from pydatacoll.archive.errors import ArchiveUnavailable
from pydatacoll.manager.plugin_host import HostSettings
from pydatacoll.model import Item, Term, TermItem
from pydatacoll.model.registry import Registry
from pydatacoll.sdk import Device, PluginContext
from pydatacoll.store.plugin_reads import PluginReads
from test.integration.archive_rig import NOW, archived, batch, run_sql, running, samples, saver
from test.integration.plugin_rig import Rig, until


@pytest.fixture
def url(postgresql) -> str:
    """An empty database that belongs to ``keeper``, whose password is ``right``."""
    postgresql.create("archive")
    postgresql.execute(
        "DROP ROLE IF EXISTS keeper; CREATE ROLE keeper LOGIN PASSWORD 'right'; "
        "ALTER DATABASE archive OWNER TO keeper; ALTER SCHEMA public OWNER TO keeper;",
        "archive",
    )
    return postgresql.url("archive", "keeper", "right")


def model(text) -> Registry:
    registry = Registry()
    registry.put_device(Device(id="d", name="d", protocol="modbus_tcp"))
    registry.put_term(Term(id="t", name="main", device_id="d"))
    registry.put_item(Item(id="i", name="voltage"))
    registry.put_term_item(TermItem(term_id="t", item_id="i", db_save_sql=text))
    return registry


# Users' own statements


async def test_values_become_the_types_of_the_columns(url, tmp_path):
    """As on the other databases: PostgreSQL itself would refuse a number for a text."""
    await run_sql(
        url,
        tmp_path,
        "CREATE TABLE mine (a integer, b real, c numeric(9, 2), d boolean, e varchar(9), f timestamptz, "
        "g timestamp, h date, i jsonb, j char(3), k bigint, l text)",
    )
    text = (
        "INSERT INTO mine VALUES (:value, :value, :value, :value, :value, :time, '{PARAM.time}', :time, :value, "
        ":value, :epoch::float8, :time)"
    )
    async with running(url, tmp_path, model=model(text)) as plugin:
        await plugin.handle(batch(samples([1, None, True, 0.0])))
        assert plugin.status()["statement_errors"] == {}
    moment = datetime(2026, 11, 21, 1, 30, tzinfo=UTC)
    found = await run_sql(url, tmp_path, "SELECT * FROM mine ORDER BY f")
    assert found[0] == (
        1, 1.0, Decimal("1.00"), True, "1", moment, moment.replace(tzinfo=None), date(2026, 11, 21), 1, "1  ",
        int(NOW), "2026-11-21 01:30:00.000000",
    )  # fmt: skip
    assert found[1][:5] == (None,) * 5
    assert found[2][:5] == (1, 1.0, Decimal("1.00"), True, "1")
    assert found[3][:5] == (0, 0.0, Decimal("0.00"), False, "0.0")


async def test_a_value_that_does_not_fit_is_told_with_the_remedy(url, tmp_path):
    await run_sql(url, tmp_path, "CREATE TABLE mine (a integer)")
    async with running(url, tmp_path, model=model("INSERT INTO mine VALUES (:value)")) as plugin:
        await plugin.handle(batch(samples([1, 2.5, "x", 3])))
        assert plugin.context.counters["statements_executed"] == 2
        assert plugin.context.counters["statements_failed"] == 2
    assert await run_sql(url, tmp_path, "SELECT a FROM mine ORDER BY a") == [(1,), (3,)]
    text = "INSERT INTO mine VALUES (:value::float8)"
    async with running(url, tmp_path, model=model(text)) as plugin:
        await plugin.handle(batch(samples([2.6], start=NOW + 60)))
    assert await run_sql(url, tmp_path, "SELECT a FROM mine ORDER BY a") == [(1,), (3,), (3,)]


async def test_a_column_that_changes_its_type_is_noticed(url, tmp_path):
    await run_sql(url, tmp_path, "CREATE TABLE mine (a integer)")
    async with running(url, tmp_path, model=model("INSERT INTO mine VALUES (:value)")) as plugin:
        await plugin.handle(batch(samples([1])))
        await run_sql(url, tmp_path, "ALTER TABLE mine ALTER a TYPE text")
        await plugin.handle(batch(samples(["x", "y"], start=NOW + 1)))
        assert plugin.status()["statement_errors"] == {}
    assert await run_sql(url, tmp_path, "SELECT a FROM mine ORDER BY a") == [("1",), ("x",), ("y",)]


# Trouble with the server


async def test_a_wrong_password_is_told_without_the_password(url, postgresql, tmp_path):
    plugin = saver(postgresql.url("archive", "keeper", "sesame"), tmp_path)
    await plugin.start()
    assert plugin.status()["available"] is False
    with pytest.raises(ArchiveUnavailable, match='password authentication failed for user "keeper"') as caught:
        await plugin.handle(batch(samples([1.0])))
    assert "sesame" not in str(caught.value)
    await plugin.stop()
    async with running(url, tmp_path) as plugin:
        await plugin.handle(batch(samples([1.0])))


async def test_a_user_who_may_not_make_tables_is_told(url, postgresql, tmp_path):
    postgresql.execute("DROP ROLE IF EXISTS reader; CREATE ROLE reader LOGIN PASSWORD 'r';")
    plugin = saver(postgresql.url("archive", "reader", "r"), tmp_path)
    await plugin.start()
    assert plugin.status()["available"] is False
    with pytest.raises(ArchiveUnavailable, match="the tables cannot be made: permission denied for schema public"):
        await plugin.handle(batch(samples([1.0])))
    await plugin.stop()


async def test_a_user_who_may_only_read_keeps_nothing_from_being_taken_up_again(url, postgresql, tmp_path):
    async with running(url, tmp_path) as plugin:
        await plugin.handle(batch(samples([1.0])))
        postgresql.execute("REVOKE INSERT, UPDATE ON pdc_sample FROM keeper;", "archive")
        with pytest.raises(ArchiveUnavailable, match="permission denied for table pdc_sample"):
            await plugin.handle(batch(samples([2.0], start=NOW + 1)))
        assert plugin.status()["available"] is False
        postgresql.execute("GRANT INSERT, UPDATE ON pdc_sample TO keeper;", "archive")
        await plugin.handle(batch(samples([2.0], start=NOW + 1)))
        assert plugin.status()["available"] is True
    assert await archived(url, tmp_path) == {"d:t:i": [(0.0, 1.0, 0), (1.0, 2.0, 0)]}


async def test_a_database_that_is_read_only_says_so(url, postgresql, tmp_path):
    async with running(url, tmp_path) as plugin:
        await plugin.handle(batch(samples([1.0])))
    postgresql.execute("ALTER DATABASE archive SET default_transaction_read_only = on;")
    plugin = saver(url, tmp_path)
    with pytest.raises(ArchiveUnavailable, match="read-only transaction"):
        await plugin.handle(batch(samples([2.0], start=NOW + 5)))
    assert plugin.status()["held"]["since"] == "2026-11-21T01:30:05.000000Z"
    await plugin.stop()


async def test_tables_are_made_when_the_database_is_there_at_last(url, postgresql, tmp_path):
    postgresql.execute("DROP DATABASE archive;")
    async with running(url, tmp_path) as plugin:
        assert 'database "archive" does not exist' in plugin.status()["error"]
        with pytest.raises(ArchiveUnavailable):
            await plugin.handle(batch(samples([1.0])))
        postgresql.execute("CREATE DATABASE archive OWNER keeper;")
        assert await plugin.tick(0, NOW) is None
        await plugin.handle(batch(samples([1.0])))
        assert (plugin.status()["available"], plugin.status()["held"]) == (True, None)
    assert await archived(url, tmp_path) == {"d:t:i": [(0.0, 1.0, 0)]}


async def test_a_server_that_hangs_is_given_up_and_taken_up_again(url, postgresql, tmp_path):
    async with running(url, tmp_path, timeout=0.5) as plugin:
        await plugin.handle(batch(samples([1.0])))
        postgresql.signal(signal.SIGSTOP)
        try:
            for _ in range(2):  # on the connection there is, and on a new one
                with pytest.raises(ArchiveUnavailable, match=r"no answer within 0\.5 s"):
                    await plugin.handle(batch(samples([2.0], start=NOW + 1)))
        finally:
            postgresql.signal(signal.SIGCONT)

        async def saved():
            with suppress(ArchiveUnavailable):
                await plugin.handle(batch(samples([2.0], start=NOW + 1)))
                return True

        await until(saved)
        assert plugin.status()["held"] is None
    assert await archived(url, tmp_path) == {"d:t:i": [(0.0, 1.0, 0), (1.0, 2.0, 0)]}


@pytest.fixture
async def rig(store):
    made = Rig(store)
    yield made
    await made.close()


async def test_the_backlog_drains_when_the_server_comes_back_from_a_crash(rig, url, postgresql, tmp_path):
    context = PluginContext(Registry(), tmp_path, logging.getLogger("test.db_saver"), PluginReads(rig.store))
    plugin = DbSaver(ArchiveConfig(url=url, timeout=5.0), context)
    host = await rig.host(plugin, "one", settings=HostSettings(lease=0.6, pause=0.01, longest=0.05))
    await rig.ready(host)
    for n in range(100):
        await rig.put(float(n), device=f"d{n}")
        if n == 40:
            await until(lambda: plugin.context.counters["rows_written"] > 0)
            postgresql.kill()
        if n == 80:
            await until(lambda: plugin.status()["held"] is not None)
            assert plugin.status()["available"] is False
            postgresql.start()
    await until(lambda: host.stats.handled == 100)
    assert plugin.status()["held"] is None
    assert host.stats.dead_lettered == 0
    found = {device: [value for _, value, _ in some] for device, some in (await archived(url, tmp_path)).items()}
    assert found == {f"d{n}:t:i0": [float(n)] for n in range(100)}
