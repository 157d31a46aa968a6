"""``python -m test.soak.plugins``: all plugins at work for hours, while everything that can fail does.

The processes are those of the short test, ``test/system/test_plugins_oracle.py``: an API server, two managers, two
runners of each plugin, a store and MariaDB. ``SOAK_MINUTES`` (120) says how long, ``SOAK_SEED`` repeats the order
of faults, ``SOAK_FAULTS=database_away,kill`` takes only those whose names begin so. Each fault is told when it
begins and when all was well again, and every half minute how far everything is. The table at the end says what
was injected, lost, duplicated and wrong; it comes also when the soak fails, or is ended by SIGINT or SIGTERM, with
what is known until then. The exit status is 1 when anything was lost, duplicated or wrong, or the end was not
reached.
"""

from __future__ import annotations

import asyncio
import os
import signal
import sys
import tempfile
import time
import traceback
from collections.abc import Awaitable, Callable
from pathlib import Path
from random import Random

import aiohttp
import uvloop

from test.mariadb import MariaDb
from test.soak.__main__ import MINUTES, PAUSE, SEED
from test.system.oracle import Reader
from test.system.plugin_oracle import KINDS, System
from test.system.plugin_plant import PluginPlant, plugin_status
from test.system.plugin_verdict import Outcome, show
from test.system.rig import Rig

DEVICES, POINTS, INTERVAL = 10, 4, 0.5
SETTINGS = {"history__length": 100_000, "plugin__db_saver__timeout": 10.0}
LONGEST_OUTAGE = 150.0
"""Seconds that MariaDB is stopped at most."""
BACK = 180.0
"""Seconds in which all must be well again."""
PROGRESS = 30.0
ONLY = tuple(filter(None, os.environ.get("SOAK_FAULTS", "").split(",")))


class Faults:
    """What is done to a system, and undone."""

    def __init__(self, system: System, rng: Random) -> None:
        self.system = system
        self.rng = rng
        every: tuple[Callable[[], Awaitable[None]], ...] = (
            *(self._kill(kind) for kind in KINDS),
            self.kill_two,
            self.freeze_one,
            self.freeze_store,
            self.freeze_database,
            self.database_away,
            self.cut_database,
            self.devices_away,
            self.cut_devices,
        )
        self.all = [fault for fault in every if not ONLY or fault.__name__.startswith(ONLY)]

    def _kill(self, kind: str) -> Callable[[], Awaitable[None]]:
        async def kill() -> None:
            await self.system.kill(kind)

        kill.__name__ = f"kill {kind}"
        return kill

    async def kill_two(self) -> None:
        for kind in self.rng.sample(KINDS, 2):
            self.system.injected[f"kill {kind} (of two)"] += 1
            await self.system.kill(kind)

    async def freeze_one(self) -> None:
        """A manager or a runner, often for longer than its lease."""
        await self.system.freeze(self.rng.choice(self.system.pids()), self.rng.uniform(0.5, 20))

    async def freeze_store(self) -> None:
        self.system.server.pause()
        try:
            await asyncio.sleep(self.rng.uniform(0.5, 8))
        finally:
            self.system.server.resume()

    async def freeze_database(self) -> None:
        await self.system.freeze_database(self.rng.uniform(0.5, 45))

    async def database_away(self) -> None:
        await self.system.stop_database(self.rng.uniform(1, LONGEST_OUTAGE))

    async def cut_database(self) -> None:
        await self.system.cut_database(self.rng.uniform(0.5, 60))

    async def devices_away(self) -> None:
        await self.system.devices_away(self.rng.uniform(0.5, 5))

    async def cut_devices(self) -> None:
        await self.system.cut_devices(self.rng.uniform(0.5, 10))


class Soak:
    """One run.

    :ivar outcome: what is known; of everything once :meth:`run` has come to its end.
    """

    def __init__(self) -> None:
        self.began = time.monotonic()
        self.system: System | None = None
        self.outcome: Outcome | None = None
        self.rng = Random(SEED)

    def say(self, text: str) -> None:
        """A line, with the minutes since the start."""
        print(f"{(time.monotonic() - self.began) / 60:6.1f} min  {text}", flush=True)

    async def run(self) -> None:
        """Start everything, inject faults, and compare in the end."""
        print(f"SOAK_SEED={SEED} SOAK_MINUTES={MINUTES:g}; all plugins", flush=True)
        with tempfile.TemporaryDirectory(prefix="pdc-soak-") as folder, MariaDb() as maria:
            async with (
                PluginPlant(DEVICES, POINTS, interval=INTERVAL, timeout=1.0) as plant,
                Rig(Path(folder)) as rig,
            ):
                rig.noisy, rig.patience = sys.maxsize, BACK
                system = self.system = System(rig, plant, maria, self.rng, **SETTINGS)
                async with system, Reader(lambda: system.store.url, plant.sequences) as reader:
                    telling = asyncio.create_task(self._tell(reader))
                    try:
                        await reader.recovered(0, dict.fromkeys(plant.sequences, 0))
                        await self._inject(reader)
                        self.say("comparing")
                        self.outcome = await system.finish(reader)
                    except BaseException:
                        self.outcome = Outcome(reader.judge(plant))
                        raise
                    finally:
                        telling.cancel()

    async def _inject(self, reader: Reader) -> None:
        assert self.system is not None
        faults = Faults(self.system, self.rng)
        while time.monotonic() - self.began < MINUTES * 60:
            await asyncio.sleep(self.rng.uniform(*PAUSE))
            fault = self.rng.choice(faults.all)
            name = fault.__name__
            self.system.injected[name] += 1
            self.say(f"{name} begins")
            began = time.monotonic()
            await fault()
            lasted = time.monotonic() - began
            if not name.startswith("kill"):
                began = time.monotonic()  # it is over now
            took = await self.system.recover(name, reader, began, within=BACK)
            self.say(f"{name} lasted {lasted:.1f} s; all well again after {took:.1f} s")

    async def _tell(self, reader: Reader) -> None:
        """Say how far everything is, now and then."""
        assert self.system is not None
        while True:
            await asyncio.sleep(PROGRESS)
            try:
                status = await plugin_status(self.system.client)
                plugins = ", ".join(f"{name} {row['state']} {row['lag']} behind" for name, row in status.items())
            except (aiohttp.ClientError, AssertionError, TimeoutError) as error:
                plugins = f"no answer about plugins ({type(error).__name__})"
            self.say(f"stored {reader.count:,}; {plugins}")


async def main() -> bool:
    """Run; whether everything was as it must be, and the end was reached."""
    soak = Soak()
    running = asyncio.ensure_future(soak.run())
    ended: list[str] = []

    def end(number: signal.Signals) -> None:
        ended.append(f"ended by {number.name}")
        running.cancel()

    for number in (signal.SIGINT, signal.SIGTERM):
        asyncio.get_running_loop().add_signal_handler(number, end, number)
    try:
        await running
    except asyncio.CancelledError:
        if not ended:
            raise
    except Exception as error:  # noqa: BLE001 - whatever it was, what is known until then is shown
        traceback.print_exc()
        ended.append(f"failed: {type(error).__name__}: {error}")
    right = False
    if soak.outcome is None:
        print("nothing was collected")
    if soak.system is not None and soak.outcome is not None:
        title = f"soak with all plugins, {(time.monotonic() - soak.began) / 60:.1f} minutes"
        right = show(soak.system.injected, soak.system.recoveries, soak.outcome, title)
    print(*ended or ["the end was reached"], f"SOAK_SEED={SEED}", sep="; ", flush=True)
    return right and not ended


if __name__ == "__main__":
    sys.exit(0 if uvloop.run(main()) else 1)
