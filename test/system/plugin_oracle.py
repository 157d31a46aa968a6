"""The plant of :mod:`test.system.oracle` with alarms, formulas and an archive; and what these must be in the end.

Nothing is asked of the plugins: the devices know which numbers they sent, a reader of the stream which were
stored; the archive must have each of those once. Formulas and alarms are worked out again, over the archive.
"""

from __future__ import annotations

import asyncio
import os
import random
import signal
import time
from collections import Counter
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from typing import Any

import aiohttp

from test.mariadb import MariaDb
from test.system.oracle import Plant, Reader, Verdict, table
from test.system.rig import Api, Client, Process, Redis, Rig, eventually

PLUGINS = ("checker", "db_saver", "formula")
DATABASE = "oracle"
PERIOD = 20
"""After so many numbers an alarm has come and gone."""
FORMULAS: dict[str, tuple[str, dict[str, str]]] = {
    "sum": ("p1 + p2", {"p1": "{d}:{d}t:s0", "p2": "{d}:{d}t:s1"}),
    "turn": (f"p1 % {PERIOD}", {"p1": "{d}:{d}t:s0"}),
    "twice": ("2 * p1", {"p1": "v{d}:v{d}t:sum"}),
}
"""Item of the virtual device ``v{d}`` -> its formula."""
KINDS = ("api", "manager", *PLUGINS, "store", "database")
"""What can be killed."""

Row = tuple[int, float, int]
"""Microseconds, value, quality."""


@dataclass
class Outcome:
    """What the archive says, beside the verdict over the stream.

    :ivar archived: samples of devices in the archive.
    :ivar wrong: what is not as it must be, in words.
    """

    verdict: Verdict
    archived: int = 0
    results: int = 0
    alarms: int = 0
    lost: int = 0
    duplicated: int = 0
    wrong: list[str] = field(default_factory=list)

    @property
    def right(self) -> bool:
        return self.verdict.right and not (self.lost or self.duplicated or self.wrong)


class PluginPlant(Plant):
    """Every device ``d`` has a virtual one ``v{d}`` with :data:`FORMULAS`; ``s0`` has a rule, ``turn`` a limit."""

    async def configure(self, client: Client, ports: dict[str, int] | None = None, **options: Any) -> None:
        """Make the model of it. The devices are disabled at first: see :meth:`enable`."""
        await super().configure(client, ports, enabled=False, **options)
        await client.send("POST", "/api/v2/items", [{"id": item, "name": item} for item in FORMULAS])
        virtual = [f"v{device}" for device in self.servers]
        await client.send(
            "POST", "/api/v2/devices", [{"id": v, "name": v, "protocol": "formula"} for v in virtual]
        )
        await client.send("POST", "/api/v2/terms", [{"id": f"{v}t", "name": v, "device_id": v} for v in virtual])
        limit = {"up_limit": PERIOD / 2 - 1, "quality_alarm": False}
        points = [
            {"term_id": f"{v}t", "item_id": item} | (limit if item == "turn" else {})
            for v in virtual
            for item in FORMULAS
        ]
        await client.send("POST", "/api/v2/term_items", points)
        formulas = [
            {"id": f"{item}-{d}", "formula": text, "device_id": f"v{d}", "term_id": f"v{d}t", "item_id": item}
            | {name: point.format(d=d) for name, point in parameters.items()}
            for d in self.servers
            for item, (text, parameters) in FORMULAS.items()
        ]
        await client.send("POST", "/api/v2/formulas", formulas)
        for device in self.servers:
            rule = {"do_verify": f"value % {PERIOD} < {PERIOD // 2}", "quality_alarm": False}
            await client.send("PATCH", f"/api/v1/terms/{device}t/items/s0", rule)

    async def enable(self, client: Client) -> None:
        """Begin to collect, once every plugin knows the model: no sample comes before its formula."""
        formulas, watched = len(self.servers) * len(FORMULAS), len(self.servers) * 2

        status: dict[str, Any] = {}

        async def known() -> bool:
            status.update(await plugin_status(client))
            return (
                all(name in status and status[name]["state"] == "running" for name in PLUGINS)
                and sum(one["status"].get("points", 0) for one in status["checker"]["runners"]) >= watched
                and any(one["status"].get("formulas") == formulas for one in status["formula"]["runners"])
            )

        await eventually(known, lambda: f"all plugins know the model: {status}", within=60)
        for device in self.servers:
            await client.send("PATCH", f"/api/v1/devices/{device}", {"enabled": True})


async def plugin_status(client: Client) -> dict[str, dict[str, Any]]:
    """Name -> what ``/api/v2/plugins`` says."""
    return {row["name"]: row for row in await client.get("/api/v2/plugins")}


class System:
    """The real processes: an API server, two managers, two runners of each plugin, a store and MariaDB."""

    def __init__(self, rig: Rig, plant: PluginPlant, maria: MariaDb, rng: random.Random, **settings: Any) -> None:
        self.rig = rig
        self.plant = plant
        self.maria = maria
        self.rng = rng
        self.injected: Counter[str] = Counter()
        self.recoveries: dict[str, float] = {}
        self.api: Api
        self.store: Redis = rig.redis(appendfsync="everysec")
        self._settings = {"log__level": "warning", "plugin__db_saver__url": maria.create(DATABASE), **settings}
        self._running: dict[str, list[Process]] = {}
        self._last: dict[str, Any] = {}

    async def start(self) -> None:
        """Start everything, configure the plant, and collect."""
        self.rig.data_dir.mkdir(mode=0o700, exist_ok=True)
        await self.store.start()
        await self._start_api()
        self._running = {kind: [self._launch(kind), self._launch(kind)] for kind in ("manager", *PLUGINS)}
        await self.client.ready(within=60)
        await self.plant.configure(self.client)
        await self.plant.enable(self.client)

    @property
    def client(self) -> Client:
        return self.api.client

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
            self.store.kill()
            await self.store.start()
        elif kind == "database":
            await asyncio.to_thread(self.maria.kill)
            await asyncio.to_thread(self.maria.start)
        else:
            running = self._running[kind]
            await running.pop(self.rng.randrange(2)).kill()
            running.append(self._launch(kind))

    async def freeze_database(self, seconds: float) -> None:
        """It takes connections and answers nothing, as behind a network that is cut."""
        await self.freeze(self.maria.pid, seconds)

    async def freeze(self, pid: int, seconds: float) -> None:
        """A process stands still for a while."""
        os.kill(pid, signal.SIGSTOP)
        try:
            await asyncio.sleep(seconds)
        finally:
            os.kill(pid, signal.SIGCONT)

    async def devices_away(self, seconds: float) -> None:
        """Half of the devices cannot be reached for a while."""
        away = self.rng.sample(list(self.plant.servers.values()), len(self.plant.servers) // 2)
        for server in away:
            await server.stop()
        await asyncio.sleep(seconds)
        for server in away:
            await server.start()

    def pids(self) -> list[int]:
        """Of managers and runners."""
        return [process.pid for running in self._running.values() for process in running]

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
        text = await asyncio.to_thread(
            self.maria.execute,
            f"USE {DATABASE}; "
            f"SELECT COUNT(DISTINCT series) FROM pdc_sample WHERE time > {moment * 1e6:.0f}; "
            f"SELECT COUNT(DISTINCT device_id, kind) FROM pdc_alarm WHERE time > {moment * 1e6:.0f}",
            check=False,
        )
        if text is None:
            return False
        series, alarms = map(int, text.split())
        devices = len(self.plant.servers)
        # the register to write to does not change
        return series >= devices * (self.plant.points + len(FORMULAS)) and alarms >= devices * 2

    async def finish(self, reader: Reader) -> Outcome:
        """Stop collecting, wait until all plugins have handled everything, and compare."""
        await self.client.ready(within=60)
        unbalanced = [await self._unbalanced(device) for device in self.plant.servers]
        await self.plant.stop_polling(self.client)
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
            outcome = await asyncio.to_thread(self._judge, reader)
            return outcome if not outcome.wrong or time.monotonic() > patience else None

        return judged

    def _judge(self, reader: Reader) -> Outcome:
        outcome = Outcome(reader.judge(self.plant))
        samples = self._samples()
        for (device, item), numbers in reader.stored.items():
            rows = [value for _, value, quality in samples.get((device, item), []) if not quality]
            outcome.archived += len(rows)
            outcome.lost += len(set(numbers) - set(rows))
            outcome.duplicated += len(rows) - len(set(rows))
            if foreign := set(rows) - set(numbers):
                outcome.wrong.append(f"{device}:{item}: archived and never stored: {sorted(foreign)[:5]}")
        alarms = self._alarms()
        for device in self.plant.servers:
            first, second = samples[device, "s0"], {t: (v, q) for t, v, q in samples[device, "s1"]}
            sums = {t: v + second[t][0] for t, v, q in first if not q and t in second and not second[t][1]}
            turns = {t: v % PERIOD for t, v, q in first if not q}
            for item, expected in (
                ("sum", sums),
                ("twice", {t: 2 * v for t, v in sums.items()}),
                ("turn", turns),
            ):
                rows = [(t, v) for t, v, q in samples[f"v{device}", item] if not q]
                outcome.results += len(rows)
                outcome.wrong += _differences(f"v{device}:{item}", list(expected.items()), rows)
            for name, key, values in (
                ("rule", (device, "s0", "rule"), turns),
                ("limit", (f"v{device}", "turn", "high"), turns),
            ):
                found = alarms.get(key, [])
                outcome.alarms += len(found)
                outcome.wrong += _differences(f"alarms of {key[0]} by {name}", _transitions(values), found)
        return outcome

    def _samples(self) -> dict[tuple[str, str], list[Row]]:
        text = self.maria.execute(
            f"USE {DATABASE}; SELECT device_id, item_id, time, value, quality FROM pdc_sample "
            "JOIN pdc_series ON id = series WHERE value IS NOT NULL ORDER BY series, time"
        )
        found: dict[tuple[str, str], list[Row]] = {}
        for line in (text or "").splitlines():
            device, item, micros, value, quality = line.split("\t")
            found.setdefault((device, item), []).append((int(micros), float(value), int(quality)))
        return found

    def _alarms(self) -> dict[tuple[str, str, str], list[tuple[int, str]]]:
        text = self.maria.execute(
            f"USE {DATABASE}; SELECT device_id, item_id, kind, time, event FROM pdc_alarm ORDER BY time, entry"
        )
        found: dict[tuple[str, str, str], list[tuple[int, str]]] = {}
        for line in (text or "").splitlines():
            device, item, kind, micros, event = line.split("\t")
            found.setdefault((device, item, kind), []).append((int(micros), event))
        return found


def _transitions(turns: dict[int, float]) -> list[tuple[int, str]]:
    """What follows from the values in order of time: an alarm is on in the second half of each turn."""
    rows, active = [], False
    for micros, value in turns.items():
        if (value >= PERIOD / 2) != active:
            active = not active
            rows.append((micros, "raise" if active else "clear"))
    return rows


def _differences(what: str, expected: list[Any], found: list[Any]) -> list[str]:
    if expected == found:
        return []
    missing, more = sorted(set(expected) - set(found)), sorted(set(found) - set(expected))
    return [
        f"{what}: {len(expected)} expected, {len(found)} found; {len(missing)} missing {missing[:4]}, "
        f"{len(more)} too many {more[:4]}"
    ]


def show(system: System, outcome: Outcome) -> bool:
    """Print the figures; whether everything was as it must be."""
    verdict = outcome.verdict
    table(
        "faults with all plugins at work",
        {
            "injected": sum(system.injected.values()),
            **{f"injected: {name}": count for name, count in sorted(system.injected.items())},
            "sent": f"{verdict.sent:,}",
            "stored": f"{verdict.stored:,}",
            "under way at a fault": verdict.unacknowledged,
            "archived": f"{outcome.archived:,}",
            "results of formulas": f"{outcome.results:,}",
            "transitions of alarms": f"{outcome.alarms:,}",
            "lost": verdict.lost + outcome.lost,
            "duplicated": verdict.duplicated + outcome.duplicated,
            "wrong": len(outcome.wrong),
            **{f"recovery, s: {name}": took for name, took in sorted(system.recoveries.items())},
            "longest recovery, s": max(system.recoveries.values(), default=0.0),
        },
    )
    print(*outcome.wrong[:20], sep="\n")
    return outcome.right
