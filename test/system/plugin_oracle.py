"""Real processes with all plugins at work, what can be done to them, and the wait until all is well again."""

from __future__ import annotations

import asyncio
import os
import random
import signal
import time
from collections import Counter
from collections.abc import Awaitable, Callable, Iterable
from contextlib import AsyncExitStack
from typing import Any, Protocol, Self

import aiohttp
import redis

from test.mariadb import MariaDb
from test.system.archives import DATABASE, Archive, MariaArchive
from test.system.oracle import Reader
from test.system.plugin_plant import FORMULAS, PLUGINS, PluginPlant, plugin_status
from test.system.plugin_verdict import Outcome, judge
from test.system.rig import Api, Client, Process, Rig, eventually
from test.system.wire import Wire

KINDS = ("api", "manager", *PLUGINS, "store", "database")
"""What can be killed."""


class StoreServer(Protocol):
    """Where the data are."""

    @property
    def url(self) -> str: ...

    def client(self) -> redis.Redis: ...


class Embedded:
    """The store of an API server."""

    def __init__(self, rig: Rig) -> None:
        self._rig = rig

    @property
    def url(self) -> str:
        return self._rig.store_url()

    def client(self) -> redis.Redis:
        return self._rig.store()


class Watched:
    """A system that collects, calculates, checks and archives; and the wait for it after each fault.

    :ivar injected: fault -> how often.
    :ivar recoveries: fault -> longest time until all was well again, seconds.
    """

    archive: Archive
    store: StoreServer
    api: Api

    def __init__(self, rig: Rig, plant: PluginPlant) -> None:
        self.rig = rig
        self.plant = plant
        self.injected: Counter[str] = Counter()
        self.recoveries: dict[str, float] = {}
        self._stack = AsyncExitStack()
        self._last: dict[str, Any] = {}

    async def __aenter__(self) -> Self:
        """Start everything, configure the plant, and collect."""
        try:
            ports = await self._start()
            await self.client.ready(within=60)
            await self.plant.configure(self.client, ports)
            await self.plant.enable(self.client)
        except BaseException:
            await self._stack.aclose()
            raise
        return self

    async def __aexit__(self, *_: object) -> None:
        await self._stack.aclose()

    async def _start(self) -> dict[str, int] | None:
        """Start the processes; gives ports of the devices, where these are not their own."""
        raise NotImplementedError

    @property
    def client(self) -> Client:
        return self.api.client

    async def recover(self, name: str, reader: Reader, since: float, *, within: float = 60.0) -> float:
        """After a fault: wait until samples, results and alarms of after it reach the archive.

        :param since: when it began, or when it was over (monotonic seconds); gives the seconds from then.
        """
        before, now = reader.newest(), time.time()
        await reader.recovered(since, before, within=within)
        await eventually(lambda: self._archived_since(now), "all reaches the archive again", within=within)
        took = time.monotonic() - since
        self.recoveries[name] = max(self.recoveries.get(name, 0.0), took)
        return took

    async def _archived_since(self, moment: float) -> bool:
        """Whether the archive has something newer of every point, and of the alarms of every device."""
        newer = f"WHERE time > {moment * 1e6:.0f}"
        found = await asyncio.to_thread(
            self.archive.rows,
            f"SELECT COUNT(DISTINCT series) FROM pdc_sample {newer} UNION ALL "
            f"SELECT COUNT(*) FROM (SELECT DISTINCT device_id, kind FROM pdc_alarm {newer}) AS alarms",
        )
        if found is None:
            return False
        series, alarms = (int(row[0]) for row in found)
        devices = len(self.plant.servers)
        # the register to write to does not change
        return series >= devices * (self.plant.points + len(FORMULAS)) and alarms >= devices * 2

    async def finish(self, reader: Reader) -> Outcome:
        """Stop collecting, wait until all plugins have handled everything, and compare."""
        await self.client.ready(within=60)
        unbalanced = [await self._unbalanced(device) for device in self.plant.servers]
        await self._quiet()
        with self.store.client() as client:
            await reader.caught_up(client)
        await eventually(self._handled, self._lag, within=60)
        outcome = await eventually(self._judged(reader), self._lag, within=20)
        with self.store.client() as client:
            outcome.verdict.lost = reader.forgotten(client)
        status = await plugin_status(self.client)
        for name in PLUGINS:
            row = status[name]
            if row["dropped"] or row["dead_lettered"]:
                outcome.wrong.append(f"{name} dropped {row['dropped']}, gave up {row['dead_lettered']}")
        outcome.wrong += filter(None, unbalanced)
        return outcome

    async def _quiet(self) -> None:
        await self.plant.stop_polling(self.client)

    async def _unbalanced(self, device: str) -> str:
        """What is wrong with the loss identity of a device, which holds at any moment; empty when it does."""

        async def reported() -> Any:
            return (await self.client.get(f"/api/v2/devices/{device}/status")).get("accounting")

        account = await eventually(reported, f"device {device} is reported", within=30)
        accounted = sum(account[name] for name in ("stored", "unchanged", "rejected", "dropped", "pending"))
        return f"device {device}: {account}" if account["read"] != accounted else ""

    async def _handled(self) -> bool:
        try:
            status = await plugin_status(self.client)
        except (aiohttp.ClientError, AssertionError):
            return False
        self._last = {name: (row["state"], row["lag"], row["lag_entries"]) for name, row in status.items()}
        return all(self._last[name] == ("running", 0, 0) for name in PLUGINS)

    def _lag(self) -> str:
        return f"everything is handled: {self._last}"

    def _judged(self, reader: Reader) -> Callable[[], Awaitable[Outcome | None]]:
        """The outcome, once the last alarms, which come about a second later, are archived; else at the end."""
        patience = time.monotonic() + 15

        async def judged() -> Outcome | None:
            outcome = await asyncio.to_thread(judge, self.archive, self.plant, reader)
            return outcome if not outcome.wrong or time.monotonic() > patience else None

        return judged


class System(Watched):
    """An API server, two managers, two runners of each plugin, a store and MariaDB, each a process that can be
    killed; the ways to the devices and to MariaDB can be cut."""

    def __init__(self, rig: Rig, plant: PluginPlant, maria: MariaDb, rng: random.Random, **settings: Any) -> None:
        super().__init__(rig, plant)
        self.maria = maria
        self.rng = rng
        self.archive = MariaArchive(maria)
        self.store = self.server = rig.redis(appendfsync="everysec")
        self._settings = {"log__level": "warning", **settings}
        self._running: dict[str, list[Process]] = {}
        self._database = Wire(str(maria.socket))
        self._devices = {name: Wire((plant.host, server.port)) for name, server in plant.servers.items()}

    async def _start(self) -> dict[str, int]:
        for wire in (self._database, *self._devices.values()):
            await self._stack.enter_async_context(wire)
        self._settings["plugin__db_saver__url"] = f"mysql://root@127.0.0.1:{self._database.port}/{DATABASE}"
        self.rig.data_dir.mkdir(mode=0o700, exist_ok=True)
        await self.server.start()
        await self._start_api()
        self._running = {kind: [self._launch(kind), self._launch(kind)] for kind in ("manager", *PLUGINS)}
        return {name: wire.port for name, wire in self._devices.items()}

    async def _start_api(self) -> None:
        self.api = await self.rig.api("--no-manager", "--redis", self.store.url, **self._settings)

    def _launch(self, kind: str) -> Process:
        if kind == "manager":
            return self.rig.manager(self.store.url, **self._settings)
        arguments = (kind, "--redis", self.store.url, "--data-dir", str(self.rig.data_dir))
        return self.rig.launch("plugin_runner", *arguments, **self._settings)

    async def kill(self, kind: str) -> None:
        """``kill -9`` one of :data:`KINDS`, and start another like it."""
        if kind == "api":
            await self.api.kill()
            await self._start_api()
        elif kind == "store":
            self.server.kill()
            await self.server.start()
        elif kind == "database":
            await asyncio.to_thread(self.maria.kill)
            await asyncio.to_thread(self.maria.start)
        else:
            running = self._running[kind]
            await running.pop(self.rng.randrange(2)).kill()
            running.append(self._launch(kind))

    async def stop_database(self, seconds: float) -> None:
        """It is not there for a while."""
        await asyncio.to_thread(self.maria.kill)
        await asyncio.sleep(seconds)
        await asyncio.to_thread(self.maria.start)

    async def freeze_database(self, seconds: float) -> None:
        """It takes connections and answers nothing."""
        await self.freeze(self.maria.pid, seconds)

    async def cut_database(self, seconds: float) -> None:
        """The way to it is cut in the midst of whatever it does."""
        await self._cut([self._database], seconds)

    async def cut_devices(self, seconds: float) -> None:
        """The way to half of the devices is cut."""
        await self._cut(self.rng.sample(list(self._devices.values()), len(self._devices) // 2), seconds)

    @staticmethod
    async def _cut(wires: Iterable[Wire], seconds: float) -> None:
        """Silence, then half of the time nobody who takes connections; what was connected stays dead."""
        for wire in wires:
            wire.cut()
        await asyncio.sleep(seconds / 2)
        for wire in wires:
            wire.refuse()
        await asyncio.sleep(seconds / 2)
        for wire in wires:
            await wire.mend()

    async def freeze(self, pid: int, seconds: float) -> None:
        """A process stands still for a while."""
        os.kill(pid, signal.SIGSTOP)
        try:
            await asyncio.sleep(seconds)
        finally:
            os.kill(pid, signal.SIGCONT)

    async def devices_away(self, seconds: float) -> None:
        """Half of the devices are switched off for a while."""
        away = self.rng.sample(list(self.plant.servers.values()), len(self.plant.servers) // 2)
        for server in away:
            await server.stop()
        await asyncio.sleep(seconds)
        for server in away:
            await server.start()

    def pids(self) -> list[int]:
        """Of managers and runners."""
        return [process.pid for running in self._running.values() for process in running]

    async def _quiet(self) -> None:
        for wire in self._devices.values():
            wire.bury()
        await super()._quiet()


class Whole(Watched):
    """One API server with everything in it, as on a gateway: manager, plugins, embedded store.

    :param url: of the archive; empty: in the data directory.
    """

    def __init__(self, rig: Rig, plant: PluginPlant, archive: Archive, url: str = "", **settings: Any) -> None:
        super().__init__(rig, plant)
        self.archive = archive
        self.store = Embedded(rig)
        self._settings = {"log__level": "warning", "plugin__db_saver__url": url, **settings}

    async def _start(self) -> None:
        self.api = await self.rig.api("--plugins", ",".join(PLUGINS), **self._settings)
