"""``python -m test.soak``: 10,000 values a second for hours, while everything that can fail does.

The product runs as an operator would run it: API server, two manager processes, embedded store. This process is
the devices, the reader of the stream, the clients, and the one who kills. ``SOAK_MINUTES`` (120) says how long,
``SOAK_SEED`` repeats the order of faults. A line a minute tells how each process is; the table at the end says
what was injected, lost and duplicated. The exit status is 1 when anything was lost or duplicated, when polling was
not back in time, or when a process grew.
"""

from __future__ import annotations

import asyncio
import gc
import os
import random
import signal
import statistics
import sys
import tempfile
import time
from collections import Counter
from pathlib import Path

import redis
import uvloop

from bench.machine import rss_megabytes
from pydatacoll.testing.faults import KINDS, Fault
from test.system import invariants
from test.system.oracle import BACK, Load, Plant, Reader, Verdict, table
from test.system.rig import Api, Rig, eventually

MINUTES = float(os.environ.get("SOAK_MINUTES", "120"))
SEED = int(os.environ.get("SOAK_SEED", random.SystemRandom().randrange(1_000_000)))
DEVICES, POINTS, INTERVAL = 20, 500, 1.0
PAUSE = (8.0, 25.0)
"""Seconds between two faults."""
WARM_UP = 0.25
"""Part of the time after which memory must be flat."""
FLAT = 5.0
"""Percent."""
FAIL_OVER = 15.0
SETTINGS = {"log__level": "warning"}


class Soak:
    """One run."""

    def __init__(self, rig: Rig, plant: Plant) -> None:
        self.rig = rig
        self.plant = plant
        self.rng = random.Random(SEED)
        self.injected: Counter[str] = Counter()
        self.recoveries: dict[str, list[float]] = {}
        self.memory: dict[str, list[tuple[float, float]]] = {}
        self.wrong: list[str] = []
        self.forgotten = 0
        self.api: Api
        self.load: Load
        self.reader: Reader

    async def start(self) -> None:
        self.api = await self.rig.api("--managers", "2", **SETTINGS)

    def processes(self) -> dict[str, int]:
        """Name -> pid."""
        found = {"soak": os.getpid()}
        for pid, command in sorted(self.rig.children().items()):
            name = next((name for name in ("valkey", "device_manager", "api_server") if name in command), "other")
            number = sum(one.startswith(name) for one in found)
            found[f"{name}{number or ''}"] = pid
        return found

    def _store_pid(self) -> int:
        """Of the server itself, not of one that rewrites its file."""
        with self.rig.store() as client:
            return int(client.info("server")["process_id"])

    # Faults

    async def kill_store(self) -> None:
        os.kill(self._store_pid(), signal.SIGKILL)

    async def kill_manager(self) -> None:
        pids = [pid for pid, command in self.rig.children().items() if "device_manager" in command]
        os.kill(self.rng.choice(pids), signal.SIGKILL)

    async def kill_api(self) -> None:
        await self.api.kill()
        await self.start()
        self.load.client = self.api.client

    async def pause_manager(self) -> None:
        pids = [pid for pid, command in self.rig.children().items() if "device_manager" in command]
        pid = self.rng.choice(pids)
        os.kill(pid, signal.SIGSTOP)
        try:
            await asyncio.sleep(self.rng.uniform(0.5, 12))
        finally:
            os.kill(pid, signal.SIGCONT)

    async def pause_store(self) -> None:
        pid = self._store_pid()
        os.kill(pid, signal.SIGSTOP)
        try:
            await asyncio.sleep(self.rng.uniform(0.5, 8))
        finally:
            os.kill(pid, signal.SIGCONT)

    async def store_without_memory(self) -> None:
        with self.rig.store() as client:
            client.config_set("maxmemory", 1_000_000)
            await asyncio.sleep(self.rng.uniform(0.5, 5))
            client.config_set("maxmemory", 0)

    async def devices_misbehave(self) -> None:
        kind = self.rng.choice(KINDS)
        for server in self.plant.servers.values():
            fault = Fault(
                kind, probability=0.2, seconds=self.rng.uniform(0.01, 0.5), code=self.rng.choice((4, 6, 10))
            )
            server.faults.add(fault)
        await asyncio.sleep(self.rng.uniform(1, 5))
        for server in self.plant.servers.values():
            self.injected[f"  {kind}"] += sum(fault.hits for fault in server.faults.rules)
            server.faults.clear()

    async def devices_away(self) -> None:
        away = self.rng.sample(list(self.plant.servers.values()), 5)
        for server in away:
            await server.stop()
        await asyncio.sleep(self.rng.uniform(0.5, 5))
        for server in away:
            await server.start()

    async def inject(self) -> None:
        faults = (
            self.kill_store,
            self.kill_manager,
            self.kill_api,
            self.pause_manager,
            self.pause_store,
            self.store_without_memory,
            self.devices_misbehave,
            self.devices_away,
        )
        fault = self.rng.choice(faults)
        name = fault.__name__
        self.injected[name] += 1
        before, began = self.reader.newest(), time.monotonic()
        await fault()
        if not name.startswith("kill"):
            before, began = self.reader.newest(), time.monotonic()  # it is over now
        took = await self.reader.recovered(began, before, within=120)
        self.recoveries.setdefault(name, []).append(took)
        if name in {"kill_store", "kill_api"}:
            points = self.rng.sample(list(self.plant.sequences), 100)
            with self.rig.store() as client:
                self.forgotten += self.reader.forgotten(client, points, cut=True)

    # Reports

    def report(self, began: float) -> None:
        minute = (time.monotonic() - began) / 60
        parts = []
        for name, pid in self.processes().items():
            try:
                rss, fds = rss_megabytes(pid), len(list(Path(f"/proc/{pid}/fd").iterdir()))
                tasks = len(list(Path(f"/proc/{pid}/task").iterdir()))
            except (OSError, RuntimeError):
                continue  # it has just ended
            self.memory.setdefault(name.rstrip("0123456789"), []).append((minute, rss))
            parts.append(f"{name} {rss:.0f} MB {fds} fd {tasks} threads")
        try:
            with self.rig.store() as client:
                parts.append(f"store {client.info('memory')['used_memory'] / 1e6:.0f} MB")
        except (redis.RedisError, OSError):
            parts.append("store away")
        stored = self.reader.count
        print(f"{minute:5.1f} min  stored {stored:,}  {'  '.join(parts)}", flush=True)

    def growth(self) -> dict[str, float]:
        """Percent between the medians of the second and the last quarter of the time."""
        found = {}
        for name, samples in self.memory.items():
            end = samples[-1][0]
            early = [rss for minute, rss in samples if WARM_UP * end <= minute < 2 * WARM_UP * end]
            late = [rss for minute, rss in samples if minute >= (1 - WARM_UP) * end]
            if early and late:
                found[name] = (statistics.median(late) / statistics.median(early) - 1) * 100
        return found


async def run() -> Result:
    """Start everything, and stop it at the end."""
    print(f"SOAK_SEED={SEED} SOAK_MINUTES={MINUTES:g}; {DEVICES * POINTS / INTERVAL:,.0f} values/s", flush=True)
    with tempfile.TemporaryDirectory(prefix="pdc-soak-") as folder:
        async with (
            Plant(DEVICES, POINTS, interval=INTERVAL, history=20_000, timeout=1.0) as plant,
            Rig(Path(folder)) as rig,
        ):
            rig.noisy = sys.maxsize
            soak = Soak(rig, plant)
            await soak.start()
            await soak.api.client.ready(within=30)
            await plant.configure(soak.api.client)
            return await _soak(soak)


async def _soak(soak: Soak) -> Result:
    plant = soak.plant
    began = time.monotonic()
    async with Reader(soak.rig.store_url, plant.sequences) as reader:
        soak.reader = reader
        await reader.recovered(0, dict.fromkeys(plant.sequences, 0))
        async with Load(soak.api.client, plant, pause=1.0) as load:
            soak.load = load
            reported = 0.0
            while time.monotonic() - began < MINUTES * 60:
                await asyncio.sleep(soak.rng.uniform(*PAUSE))
                await soak.inject()
                if time.monotonic() - reported > 60:
                    reported = time.monotonic()
                    gc.collect()
                    soak.report(began)
        client = soak.api.client
        await client.ready(within=60)
        await plant.stop_polling(client)
        soak.wrong += await load.verify(client)
        with soak.rig.store() as store:
            await reader.caught_up(store)
            verdict = reader.judge(plant)
            verdict.lost = soak.forgotten + reader.forgotten(store, cut=True)
            await eventually(lambda: not invariants.problems(store), lambda: invariants.problems(store), within=60)
    return Result(soak, verdict, (time.monotonic() - began) / 60)


class Result:
    """What came out of it."""

    def __init__(self, soak: Soak, verdict: Verdict, minutes: float) -> None:
        self.soak, self.verdict, self.minutes = soak, verdict, minutes

    def show(self) -> bool:
        """Print the table; whether everything was as it must be."""
        soak, verdict, load = self.soak, self.verdict, self.soak.load
        growth = soak.growth()
        longest = {name: max(took) for name, took in soak.recoveries.items()}
        table(
            "soak",
            {
                "minutes": self.minutes,
                **{f"injected: {name.strip()}": count for name, count in sorted(soak.injected.items())},
                "sent": f"{verdict.sent:,}",
                "stored": f"{verdict.stored:,}",
                "under way at a fault": f"{verdict.unacknowledged:,}",
                "lost": verdict.lost,
                "duplicated": verdict.duplicated,
                "in disorder": verdict.disordered,
                "never sent": verdict.foreign,
                "writes confirmed": f"{len(load.confirmed):,} of {len(load.tried):,}",
                "writes, changes wrong": len(soak.wrong),
                **{f"recovery, s: {name}": took for name, took in sorted(longest.items())},
                **{f"RSS growth, %: {name}": percent for name, percent in sorted(growth.items())},
            },
        )
        slow = {name for name, took in longest.items() if took > (FAIL_OVER if "manager" in name else BACK)}
        grown = {name for name, percent in growth.items() if percent > FLAT and name != "soak"}
        print(*soak.wrong[:20], sep="\n")
        print(f"too slow: {', '.join(sorted(slow)) or 'none'}; grown: {', '.join(sorted(grown)) or 'none'}")
        return verdict.right and not soak.wrong and not slow and not grown


if __name__ == "__main__":
    sys.exit(0 if uvloop.run(run()).show() else 1)
