"""Fixtures of the end-to-end tests: real processes, simulated devices, and a real browser that is watched."""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import pytest

from pydatacoll.testing.modbus_server import ModbusServer
from pydatacoll.testing.ports import kept_port
from test.e2e.browser import Browser
from test.system.rig import Rig


@pytest.fixture
async def rig(tmp_path: Path) -> AsyncIterator[Rig]:
    """Starts real processes; at its end all have stopped cleanly, without tracebacks and leftovers."""
    async with Rig(tmp_path) as made:
        yield made


@pytest.fixture
async def plc() -> AsyncIterator[ModbusServer]:
    """A simulated device in the test's own process."""
    async with ModbusServer(history=100_000) as server:
        yield server


@pytest.fixture
def port() -> Iterator[str]:
    """For a server that is started again in the test: nobody else is given it meanwhile."""
    with kept_port() as kept:
        yield str(kept)


@pytest.fixture
async def browser() -> AsyncIterator[Browser]:
    """Opens pages; at its end none of them had an error, or asked another host for anything."""
    async with Browser() as made:
        yield made
