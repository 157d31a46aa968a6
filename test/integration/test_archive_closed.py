"""Connections to the database server are reset while the archive has them: idle ones, and one in a transaction."""

from __future__ import annotations

import asyncio
from contextlib import asynccontextmanager

import pytest
import uvloop

from pydatacoll.archive.config import ArchiveConfig
from pydatacoll.archive.database import Database
from pydatacoll.archive.errors import ArchiveUnavailable
from test.integration.proxy import Proxy

LOOPS = pytest.mark.parametrize("run", [asyncio.run, uvloop.run])
"""They differ in what comes of writing to a connection that is closed."""


@asynccontextmanager
async def reached(maria, folder):
    """The archive, and the way to reset its connection. Afterwards its event loop knows of that."""
    url = maria.create("closed")
    async with Proxy(str(maria.socket)) as proxy:
        ours = Database(ArchiveConfig(url=f"mysql://root@127.0.0.1:{proxy.port}/closed"), folder)
        other = Database(ArchiveConfig(url=url), folder)

        async def reset():
            proxy.cut()
            for _ in range(3):
                await ask(other, "SELECT 1")

        try:
            yield ours, reset
        finally:
            await ours.close()
            await other.close()


async def ask(database, statement):
    async with database.transaction() as connection:
        return (await connection.exec_driver_sql(statement)).scalar_one()


@LOOPS
def test_an_idle_connection_that_was_reset_is_replaced_unnoticed(run, maria, tmp_path):
    async def scenario():
        async with reached(maria, tmp_path) as (archive, reset):
            first = await ask(archive, "SELECT connection_id()")
            await reset()
            assert await ask(archive, "SELECT connection_id()") != first

    run(scenario())


@LOOPS
def test_a_transaction_whose_connection_was_reset_says_that_the_database_is_away(run, maria, tmp_path):
    async def transaction(archive, reset):
        async with archive.transaction() as connection:
            await connection.exec_driver_sql("SELECT 1")
            await reset()
            await connection.exec_driver_sql("SELECT 2")

    async def scenario():
        async with reached(maria, tmp_path) as (archive, reset):
            with pytest.raises(ArchiveUnavailable, match="closed: 20"):
                await transaction(archive, reset)
            assert await ask(archive, "SELECT 3") == 3

    run(scenario())
