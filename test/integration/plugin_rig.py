"""Plugins on a real store: samples to put in, hosts that live in this process, and their sudden death."""

from __future__ import annotations

import asyncio
import logging
from contextlib import suppress
from pathlib import Path

from pydatacoll.errors import StoreUnavailable
from pydatacoll.manager.plugin_host import HostSettings, PluginHost
from pydatacoll.model import PointId
from pydatacoll.model.registry import Registry
from pydatacoll.sdk import Plugin, PluginContext
from pydatacoll.store import keys
from pydatacoll.store.client import Store
from pydatacoll.store.ingest import Writer
from pydatacoll.store.leases import Leases, plugin_leases
from pydatacoll.store.packets import Account, Packet
from pydatacoll.store.plugin_reads import PluginReads
from pydatacoll.store.stream import decode_payload

DEVICE = "feeder"
PARTITION = keys.partition_of(DEVICE)
LEASE = 0.6
SETTINGS = HostSettings(lease=LEASE, pause=0.001, longest=0.01)


async def until(condition):
    """Wait for a condition that may be a coroutine function; the test's own time-out is the limit."""
    while True:
        found = condition()
        if asyncio.iscoroutine(found):
            found = await found
        if found:
            return found
        await asyncio.sleep(0.002)


def context(store: Store) -> PluginContext:
    return PluginContext(Registry(), Path("."), logging.getLogger("test.plugin"), PluginReads(store))


class Died(BaseException):
    """The process is gone in this very moment."""


class FaultyStore(Store):
    """Lets one call of a function go wrong.

    :ivar fault: ``(number, how)``: the number counts the calls of plugin functions from 0; ``before`` and
        ``after`` lose the connection before or after the store has done it, ``die before`` and ``die after`` end
        the process.
    """

    WATCHED = frozenset({"plugin_open", "plugin_commit", "ingest"})

    def __init__(self, url, fault=(-1, "")):
        super().__init__(url)
        self.fault = fault
        self.calls = 0
        self.died = asyncio.Event()

    async def fcall(self, name, names, args):
        if name not in self.WATCHED:
            return await super().fcall(name, names, args)
        if self.died.is_set():
            await asyncio.Event().wait()
        number, how = self.fault
        here, self.calls = self.calls == number, self.calls + 1
        if here and how.endswith("before"):
            await self._fail(how)
        reply = await super().fcall(name, names, args)
        if here and how.endswith("after"):
            await self._fail(how)
        return reply

    async def _fail(self, how):
        if how.startswith("die"):
            self.died.set()
            await asyncio.Event().wait()
        raise StoreUnavailable("the connection was lost")


class Rig:
    """Samples and hosts on one store."""

    def __init__(self, store: Store) -> None:
        self.store = store
        self.hosts: dict[PluginHost, asyncio.Task[None]] = {}
        self._writer = Writer(store, "w", stream_bytes=1_000_000)
        self._writing = asyncio.get_running_loop().create_task(self._writer.run())

    async def put(self, *values, device=DEVICE):
        """One entry of the stream; the fields are ``t:i0``, ``t:i1``, ..."""
        fields = [f"t:i{n}" for n in range(len(values))]
        account = Account(read=len(values))
        self._writer.put(Packet(keys.partition_of(device), device, account, fields, list(values), 1.0, 0, 0))
        await self._writer.flush()

    async def host(self, plugin: type[Plugin] | Plugin, name="one", fault=(-1, ""), settings=SETTINGS):
        """A runner of a plugin; the plugin is made with connections of its own, or given."""
        store = FaultyStore(self.store.url, fault)
        if isinstance(plugin, type):
            plugin = plugin(None, context(store))
        made = PluginHost(plugin, store, settings, runner=name)
        self.hosts[made] = asyncio.get_running_loop().create_task(made.run(), name=f"host {name}")
        return made

    async def ready(self, *hosts):
        """All partitions are handled by these."""
        await until(
            lambda: (
                sum(len(one.partitions) for one in hosts) == self.store.partitions
                and all(runner.reading for one in hosts for runner in one._runners.values())
            )
        )

    async def kill(self, host, *, found=False):
        """As kill -9: nothing is finished, and nothing given back.

        :param found: whether the death is found out at once, as on the same machine.
        """

        async def nothing(*_):
            pass

        tasks = list(host._tasks.values())
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        host._tasks.clear()
        host._runners.clear()
        if host._ownership is not None:
            host._ownership.release = nothing
        host._stop_plugin = nothing
        await self.stop(host)
        if found:
            await Leases(self.store, "finder", LEASE, plugin_leases(host.plugin.name)).bury(host.runner)

    async def stop(self, host):
        task = self.hosts.pop(host)
        task.cancel()
        with suppress(asyncio.CancelledError):
            await task

    async def close(self):
        for host in list(self.hosts):
            await self.stop(host)
        self._writing.cancel()
        with suppress(asyncio.CancelledError):
            await self._writing

    # What the store shows.

    async def stream(self, device):
        """All samples of a device in the stream, in order: (point, value)."""
        rows = []
        for _, fields in await self.store.binary.xrange(keys.stream(keys.partition_of(device))):
            for batch in decode_payload(fields[b"b"]):
                if batch.device_id == device:
                    rows += [(point, sample.value) for point, sample in batch.samples()]
        return rows

    async def state(self, plugin, partition=PARTITION):
        return await self.store.binary.hgetall(keys.plugin_state(partition, plugin))

    async def dead(self, plugin, partition=PARTITION):
        """Values and error of what was put aside."""
        rows = []
        for _, fields in await self.store.binary.xrange(keys.dead_letter(partition, plugin)):
            values = [s.value for batch in decode_payload(fields[b"b"]) for _, s in batch.samples()]
            rows.append((values, fields[b"error"].decode()))
        return rows


def values(batch):
    return [sample.value for _, sample in batch.samples()]


def point(name):
    return PointId("derived", "t", name)
