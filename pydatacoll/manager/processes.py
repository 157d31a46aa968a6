"""Manager processes of an API server: started, watched, started again, stopped."""

from __future__ import annotations

import asyncio
import logging
import os
import sys
from collections.abc import Mapping, Sequence

log = logging.getLogger(__name__)

STOP = 5.0
"""Seconds a process may take to stop before it is killed."""
PAUSES = (0.25, 2.0)
"""First and longest pause before a process that ended is started again, seconds."""
STEADY = 10.0
"""A process that ran this many seconds starts over with the first pause."""


class ManagerProcesses:
    """``count`` processes of ``python -m pydatacoll.device_manager``. ``async with`` starts and stops them."""

    def __init__(self, count: int, arguments: Sequence[str], environment: Mapping[str, str]) -> None:
        self._count = count
        self._environment = environment
        self._arguments = arguments
        self._tasks: list[asyncio.Task[None]] = []
        self.restarts = 0

    async def __aenter__(self) -> ManagerProcesses:
        create = asyncio.get_running_loop().create_task
        self._tasks = [create(self._keep(n), name=f"manager process {n}") for n in range(self._count)]
        return self

    async def __aexit__(self, *_: object) -> None:
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)

    async def _keep(self, number: int) -> None:
        pause = PAUSES[0] / 2
        while True:
            process = await asyncio.create_subprocess_exec(
                sys.executable,
                "-m",
                "pydatacoll.device_manager",
                "--stop-with-parent",
                *self._arguments,
                stdin=asyncio.subprocess.PIPE,  # its end tells the child that we are gone
                env={**os.environ, **self._environment},
            )
            log.info("manager process %d is pid %d", number, process.pid)
            started = asyncio.get_running_loop().time()
            try:
                code = await process.wait()
            except asyncio.CancelledError:
                await _stop(process)
                raise
            self.restarts += 1
            steady = asyncio.get_running_loop().time() - started > STEADY
            pause = PAUSES[0] if steady else min(pause * 2, PAUSES[1])
            log.error("manager process %d ended with %d; started again in %.1f s", number, code, pause)
            await asyncio.sleep(pause)


async def _stop(process: asyncio.subprocess.Process) -> None:
    if process.returncode is not None:
        return
    process.terminate()
    try:
        async with asyncio.timeout(STOP):
            await process.wait()
    except TimeoutError:
        log.warning("manager process %d does not stop and is killed", process.pid)
        process.kill()
        await process.wait()
