"""Runs one plugin on the partitions of the data stream that this process has a lease of.

Every plugin has its own connections and tasks, and bounded memory: one that is slow, hangs or fails harms no
other.
"""

from __future__ import annotations

import asyncio
import logging
from collections import Counter
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import Final

from pydatacoll import supervise
from pydatacoll.errors import StoreError
from pydatacoll.manager.identity import manager_name
from pydatacoll.manager.ownership import Ownership, everything, share
from pydatacoll.manager.plugin_hosting import Hosting, PluginStats, describe
from pydatacoll.manager.plugin_partition import PartitionRunner
from pydatacoll.manager.plugin_report import PluginReporter
from pydatacoll.manager.step_watch import StepWatch
from pydatacoll.model import PointId
from pydatacoll.plugin import Plugin
from pydatacoll.store.client import Store
from pydatacoll.store.leases import Leases, plugin_leases
from pydatacoll.store.plugin_progress import Names, Progress
from pydatacoll.store.plugin_reports import PluginReport
from pydatacoll.store.stream import StreamReader

log = logging.getLogger(__name__)

BLOCK: Final = 0.5
"""Seconds that a read waits for entries."""
BUSY: Final = 0.02
"""Seconds until the next look, while partitions have more to do than they take."""
STOP: Final = 3.0
"""Seconds a plugin may take to flush and close at the end."""
HANGS: Final = 30.0
"""Seconds after which a plugin that has not finished a batch is taken to hang."""
_START: Final = -1  # stands for a partition where there is none yet
GRACE: Final = 1.0
"""Seconds that the batches in hand may take when a partition is given up."""


@dataclass(frozen=True, slots=True)
class HostSettings:
    """Of all plugins of a process.

    :ivar lease: seconds after which a dead runner's partitions move.
    :ivar stream_bytes: memory that the stream of a partition may take.
    :ivar history: samples kept of a point that a plugin derives.
    :ivar pause: seconds before a batch that failed comes again; ``longest``: when it has failed often.
    """

    lease: float = 6.0
    stream_bytes: int = 33_554_432
    history: Callable[[PointId], int] = lambda _: 100
    pause: float = 0.2
    longest: float = 10.0


class PluginHost:
    """Hosts one plugin; :meth:`run` is its task.

    :param store: for this plugin alone.
    :param ready: returns once the store's number of partitions is known and the model was read.
    """

    def __init__(
        self,
        plugin: Plugin,
        store: Store,
        settings: HostSettings,
        ready: Callable[[], Awaitable[None]] | None = None,
        runner: str | None = None,
    ) -> None:
        self.plugin = plugin
        self.runner = manager_name() if runner is None else runner
        self.stats = PluginStats()
        self._store = store
        self._settings = settings
        self._ready = ready
        self._watch = StepWatch(plugin.name)
        self._runners: dict[int, PartitionRunner] = {}
        self._tasks: dict[int, asyncio.Task[None]] = {}
        self._room = asyncio.Event()
        self._state = "starting"
        self._ownership: Ownership | None = None
        self._names = Names(plugin.name, self.runner, settings.lease, settings.stream_bytes, settings.history)
        self._hosting = Hosting(
            plugin,
            self.stats,
            self._watch,
            asyncio.Semaphore(plugin.concurrency),
            self._room,
            settings.pause,
            settings.longest,
            self._lost,
        )

    @property
    def state(self) -> str:
        """``running``, or in a few words why not."""
        troubles = Counter(self.stats.troubles.values())
        if self._state in {"starting", "running"} and troubles:
            return troubles.most_common(1)[0][0]
        if any(one.inside > HANGS for one in self._runners.values()):
            return "hanging in a batch"
        return self._state

    @property
    def partitions(self) -> list[int]:
        """Those that are handled here now."""
        return sorted(self._runners)

    def report(self) -> PluginReport:
        """What this runner says about itself."""
        return PluginReporter.of(self.plugin, self.state, self.partitions, self.stats, self._watch.longest)

    # Life

    async def run(self) -> None:
        """Until cancelled."""
        name = self.plugin.name
        reporter = PluginReporter(self._store, name, self.runner, self.report)
        reporting = supervise.start(f"plugin {name}: report", reporter.run)
        try:
            await self._start()
            await self._work()
        finally:
            self._state = "stopped"
            await _end([reporting])
            try:
                await reporter.end()
            except StoreError as error:
                log.debug("plugin %s: its report stays: %s", name, error)
            await self._store.close()

    async def _start(self) -> None:
        if self._ready is not None:
            self._state = "waiting for the store"
            await self._ready()
        self._state = "starting"
        pause = self._settings.pause
        while True:
            try:
                await self._watch.over(self.plugin.start(), "start")
            except Exception as error:  # noqa: BLE001 - a plugin may raise anything; it is kept and shown
                log.warning("plugin %s does not start: %s", self.plugin.name, describe(error))
                self.stats.failed(_START, error, "does not start")
            else:
                self.stats.troubles.pop(_START, None)
                return
            await asyncio.sleep(pause)
            pause = min(2 * pause, self._settings.longest)

    async def _work(self) -> None:
        name = self.plugin.name
        leases = Leases(self._store, self.runner, self._settings.lease, plugin_leases(name))
        self._ownership = Ownership(
            leases,
            self.runner,
            partitions=self._store.partitions,
            seconds=self._settings.lease,
            on_gain=self._gain,
            on_loss=self._loss,
            kind=f"runner of plugin {name}",
            sharing=everything if self.plugin.single else share,
        )
        services = [
            supervise.start(f"plugin {name}: ownership", self._ownership.run),
            supervise.start(f"plugin {name}: reading", self._read),
        ]
        self._state = "running"
        try:
            await asyncio.Event().wait()
        finally:
            self._state = "stopping"
            await _end(services)
            await self._loss(set(self._runners))
            await self._stop_plugin()
            try:
                await self._ownership.release()
            except StoreError as error:
                log.debug("plugin %s: leases not given back: %s", name, error)

    async def _stop_plugin(self) -> None:
        """What a plugin does here must not keep the process from ending."""
        try:
            async with asyncio.timeout(STOP):
                await self.plugin.stop()
        except TimeoutError:
            log.warning("plugin %s did not stop within %g s", self.plugin.name, STOP)
        except Exception:
            log.exception("plugin %s failed to stop", self.plugin.name)

    # Partitions

    def _lost(self, partition: int) -> None:
        if self._ownership is not None:
            self._ownership.lost(partition)

    async def _gain(self, partitions: set[int]) -> None:
        for partition in sorted(partitions):
            runner = PartitionRunner(self._hosting, Progress(self._store, self._names, partition))
            self._runners[partition] = runner
            name = f"plugin {self.plugin.name}: partition {partition}"
            self._tasks[partition] = asyncio.get_running_loop().create_task(runner.run(), name=name)
        self._room.set()

    async def _loss(self, partitions: set[int]) -> None:
        """Let the batches in hand come to their end, but not for long: a plugin may hang."""
        tasks = []
        for partition in partitions:
            runner = self._runners.pop(partition, None)
            if runner is not None:
                runner.stop()
                tasks.append(self._tasks.pop(partition))
        if tasks:
            await asyncio.wait(tasks, timeout=GRACE)
            await _end(tasks)
        for partition in partitions:
            self.stats.troubles.pop(partition, None)

    # Reading

    async def _read(self) -> None:
        reader = StreamReader(self._store)
        try:
            while True:
                try:
                    await self._read_once(reader)
                except StoreError as error:
                    log.debug("plugin %s does not read: %s", self.plugin.name, error)
                    await asyncio.sleep(self._settings.pause)
        finally:
            await reader.close()

    async def _read_once(self, reader: StreamReader) -> None:
        self._room.clear()
        reading = {partition: one for partition, one in self._runners.items() if one.reading}
        hungry = {partition: one for partition, one in reading.items() if one.hungry}
        found = 0
        if hungry:
            after = {partition: one.buffer.position for partition, one in hungry.items()}
            count = min(one.buffer.count for one in hungry.values())
            block = BLOCK if len(hungry) == len(reading) == len(self._runners) else 0.0
            for partition, entries in (await reader.read(after, count=count, block=block)).items():
                runner = hungry[partition]
                if runner.reading and runner.buffer.position == after[partition] and entries:
                    runner.buffer.put(entries)
                    runner.arrived()
                    found += len(entries)
            if found or block:
                return
        try:
            async with asyncio.timeout(BUSY if hungry else BLOCK):
                await self._room.wait()
        except TimeoutError:
            pass


async def _end(tasks: list[asyncio.Task[None]]) -> None:
    for task in tasks:
        task.cancel()
    await asyncio.gather(*tasks, return_exceptions=True)
