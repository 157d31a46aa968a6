"""The network between an archive and its database server is cut, with connections open and rows locked."""

from __future__ import annotations

import asyncio
from contextlib import suppress

import pytest
from sqlalchemy import event

from pydatacoll.archive.config import ArchiveConfig
from pydatacoll.archive.database import Database
from pydatacoll.archive.errors import ArchiveUnavailable
from test.integration.archive_rig import run_sql
from test.system.wire import Wire

TIMEOUT = 2.0
INSERT = {
    "mysql": "INSERT INTO t VALUES (1, 1) ON DUPLICATE KEY UPDATE b = 2",
    "postgresql": "INSERT INTO t VALUES (1, 1) ON CONFLICT (a) DO UPDATE SET b = 2",
}


@pytest.fixture(params=["mysql", "postgresql"])
async def kind(request, tmp_path):
    """Family of the database, with an empty table in the database ``cut``."""
    server = request.getfixturevalue("maria" if request.param == "mysql" else "postgresql")
    await run_sql(server.create("cut"), tmp_path, "CREATE TABLE t (a INTEGER PRIMARY KEY, b INTEGER)")
    return request.param


@pytest.fixture
async def wire(request, kind):
    if kind == "mysql":
        path = request.getfixturevalue("maria").socket
    else:
        path = request.getfixturevalue("postgresql").folder / ".s.PGSQL.5432"
    async with Wire(str(path)) as made:
        yield made


@pytest.fixture
async def database(wire, kind, tmp_path):
    user = "root" if kind == "mysql" else "postgres"
    url = f"{kind}://{user}@127.0.0.1:{wire.port}/cut"
    made = Database(ArchiveConfig(url=url, timeout=TIMEOUT), tmp_path)
    yield made
    await made.close()


async def insert(database, then=lambda: None):
    """``then`` is called before the transaction is committed."""
    async with database.transaction() as connection:
        await connection.exec_driver_sql(INSERT[database.kind])
        then()


async def until_it_works(work):
    """Tries; the test's own time-out is the limit."""
    tries = 0
    while True:
        tries += 1
        try:
            await work()
        except ArchiveUnavailable:
            await asyncio.sleep(0.05)
        else:
            return tries


async def test_rows_that_a_transaction_of_a_cut_connection_has_locked_can_be_written_again(wire, database):
    with pytest.raises(ArchiveUnavailable, match="no answer within 2 s"):
        await insert(database, wire.cut)
    await wire.mend()
    await until_it_works(lambda: insert(database))


async def test_a_cut_in_the_moment_when_a_transaction_has_ended_does_not_hang(wire, database):
    await insert(database)
    pool = database.engine.sync_engine.pool
    event.listen(pool, "reset", cut := lambda *_: wire.cut())
    with suppress(ArchiveUnavailable):  # whether it was told of the commit does not matter
        await insert(database)
    event.remove(pool, "reset", cut)
    await wire.mend()
    await until_it_works(lambda: insert(database))


async def test_idle_connections_that_were_cut_cost_one_time_limit_together(wire, database):
    async def together(number):
        async with database.transaction() as connection:
            await connection.exec_driver_sql("SELECT 1")
            barrier.append(number)
            while len(barrier) < 4:
                await asyncio.sleep(0.001)

    barrier = []
    await asyncio.gather(*map(together, range(4)))  # so many connections are in the pool now
    wire.cut()
    await wire.mend()
    assert await until_it_works(lambda: insert(database)) <= 2
