"""Fixtures of the system tests."""

from __future__ import annotations

import asyncio
import json
import subprocess
import sys
from collections.abc import AsyncIterator, Awaitable, Callable
from pathlib import Path
from typing import Any, NamedTuple

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


class Done(NamedTuple):
    """A command that has ended."""

    code: int
    out: str
    err: str

    @property
    def rows(self) -> list[Any]:
        return [json.loads(line) for line in self.out.splitlines()]


@pytest.fixture
def cli(rig: Rig) -> Callable[..., Awaitable[Done]]:
    """Runs ``pydatacoll ARGUMENTS`` and waits for its end."""

    async def run(*arguments: str, url: str = "", stdin: str = "", **environment: str) -> Done:
        given = {**rig.environment(), **environment}
        if url:
            given["PYDATACOLL_URL"] = url
        process = await asyncio.create_subprocess_exec(
            *(sys.executable, "-m", "pydatacoll.cli", *arguments),
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            env=given,
            cwd=rig.folder,
        )
        out, err = await process.communicate(stdin.encode())
        assert "Traceback" not in err.decode()
        assert process.returncode is not None
        return Done(process.returncode, out.decode(), err.decode())

    return run
