"""Fixtures of the system tests."""

from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from pydatacoll.testing.modbus_server import ModbusServer
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
