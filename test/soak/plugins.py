"""``python -m test.soak.plugins``: all plugins at work for hours, while everything that can fail does.

The processes are those of the short test, ``test/system/test_plugins_oracle.py``: an API server, two managers, two
runners of each plugin, a store and MariaDB. ``SOAK_MINUTES`` (120) says how long, ``SOAK_SEED`` repeats the order
of faults. The table at the end says what was injected, lost, duplicated and wrong; the exit status is 1 when
anything was.
"""

from __future__ import annotations

import asyncio
import sys
import tempfile
import time
from collections.abc import Awaitable, Callable
from pathlib import Path
from random import Random

import uvloop

from test.mariadb import MariaDb
from test.soak.__main__ import MINUTES, PAUSE, SEED
from test.system.oracle import Reader
from test.system.plugin_oracle import KINDS, Outcome, PluginPlant, System, show
from test.system.rig import Rig

DEVICES, POINTS, INTERVAL = 10, 4, 0.5
SETTINGS = {"history__length": 100_000}
LONGEST_OUTAGE = 150.0
"""Seconds that MariaDB is stopped at most."""


class Faults:
    """What is done to a system, and undone."""

    def __init__(self, system: System, rng: Random) -> None:
        self.system = system
        self.rng = rng
        self.all: tuple[Callable[[], Awaitable[None]], ...] = (
            *(self._kill(kind) for kind in KINDS),
            self.kill_two,
            self.freeze_one,
            self.freeze_store,
            self.freeze_database,
            self.database_away,
            self.devices_away,
        )

    def _kill(self, kind: str) -> Callable[[], Awaitable[None]]:
        async def kill() -> None:
            await self.system.kill(kind)

        kill.__name__ = f"kill {kind}"
        return kill

    async def kill_two(self) -> None:
        for kind in self.rng.sample(KINDS, 2):
            await self.system.kill(kind)

    async def freeze_one(self) -> None:
        """A manager or a runner, often for longer than its lease."""
        await self.system.freeze(self.rng.choice(self.system.pids()), self.rng.uniform(0.5, 20))

    async def freeze_store(self) -> None:
        self.system.store.pause()
        try:
            await asyncio.sleep(self.rng.uniform(0.5, 8))
        finally:
            self.system.store.resume()

    async def freeze_database(self) -> None:
        await self.system.freeze_database(self.rng.uniform(0.5, 45))

    async def database_away(self) -> None:
        await asyncio.to_thread(self.system.maria.kill)
        await asyncio.sleep(self.rng.uniform(1, LONGEST_OUTAGE))
        await asyncio.to_thread(self.system.maria.start)

    async def devices_away(self) -> None:
        await self.system.devices_away(self.rng.uniform(0.5, 5))


async def run() -> tuple[System, Outcome]:
    """Start everything, inject faults, and compare in the end."""
    print(f"SOAK_SEED={SEED} SOAK_MINUTES={MINUTES:g}; all plugins", flush=True)
    rng = Random(SEED)
    with tempfile.TemporaryDirectory(prefix="pdc-soak-") as folder, MariaDb() as maria:
        async with PluginPlant(DEVICES, POINTS, interval=INTERVAL) as plant, Rig(Path(folder)) as rig:
            rig.noisy = sys.maxsize
            system = System(rig, plant, maria, rng, **SETTINGS)
            await system.start()
            async with Reader(lambda: system.store.url, plant.sequences) as reader:
                await reader.recovered(0, dict.fromkeys(plant.sequences, 0))
                faults, end = Faults(system, rng), time.monotonic() + MINUTES * 60
                while time.monotonic() < end:
                    await asyncio.sleep(rng.uniform(*PAUSE))
                    fault = rng.choice(faults.all)
                    system.injected[fault.__name__] += 1
                    began = time.monotonic()
                    await fault()
                    if not fault.__name__.startswith("kill"):
                        began = time.monotonic()  # it is over now
                    took = await system.recover(fault.__name__, reader, began, within=180)
                    left = (end - time.monotonic()) / 60
                    print(f"{left:6.1f} min left  {fault.__name__}: back in {took:.1f} s", flush=True)
                return system, await system.finish(reader)


if __name__ == "__main__":
    sys.exit(0 if show(*uvloop.run(run())) else 1)
