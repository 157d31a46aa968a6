"""What runners of plugins say about themselves, for whatever process is asked."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any, Final

import msgspec

from pydatacoll.store import keys
from pydatacoll.store.client import Store, store_errors

VALID: Final = 6.0
"""Seconds for which a report is good."""

_encode = msgspec.json.encode


class PluginReport(msgspec.Struct, frozen=True, kw_only=True):
    """One runner of one plugin.

    :ivar reported: epoch seconds by the clock of its host.
    :ivar state: ``running``, or in a few words why not.
    :ivar partitions: those it handles now.
    :ivar handled: samples since it was started, as ``dead_lettered``; ``retries``: batches.
    :ivar last_error: the last thing that went wrong, and when (epoch seconds).
    :ivar longest_step: longest time in which the plugin let nothing else of its process run, seconds.
    :ivar counters: the plugin's own.
    :ivar status: the plugin's own details.
    """

    reported: float
    host: str
    pid: int
    state: str
    partitions: list[int]
    handled: int
    retries: int
    dead_lettered: int
    last_error: str | None = None
    last_error_time: float | None = None
    longest_step: float = 0.0
    description: str = ""
    counters: dict[str, int] = {}
    status: dict[str, Any] = {}


_decode = msgspec.json.Decoder(PluginReport).decode


async def report(store: Store, plugin: str, runner: str, said: PluginReport) -> None:
    """Say how a runner does.

    :raises StoreError: when the store is away.
    """
    text = _encode(said)
    await _alive(store, plugin, runner, VALID)
    with store_errors():
        pipeline = store.redis.pipeline(transaction=False)
        pipeline.sadd(keys.SET_PLUGIN, plugin)
        pipeline.hset(keys.plugin_reports(plugin), runner, text)
        await pipeline.execute()


async def _alive(store: Store, plugin: str, runner: str, seconds: float) -> set[str]:
    """Count a runner as alive for so long (0: not any more); returns all that are."""
    reply = await store.fcall("manager_heartbeat", [keys.plugin_reporters(plugin)], [runner, int(seconds * 1000)])
    return {name.decode() for name in reply}


async def withdraw(store: Store, plugin: str, runner: str) -> None:
    """Remove the report of a runner that ends, and those of runners that ended without a word.

    :raises StoreError: when the store is away.
    """
    alive = await _alive(store, plugin, runner, 0)
    with store_errors():
        known = await store.redis.hkeys(keys.plugin_reports(plugin))
        gone = {str(name) for name in known} - alive | {runner}
        await store.redis.hdel(keys.plugin_reports(plugin), *gone)


async def read_reports(store: Store, plugins: Iterable[str] = ()) -> dict[str, dict[str, PluginReport]]:
    """Plugin -> runner -> what it said, of the runners that are alive by the store's clock. Plugins that were ever
    run, and those named, are there also without a runner.

    :raises StoreError: when the store is away.
    """
    with store_errors():
        names = sorted({str(name) for name in await store.redis.smembers(keys.SET_PLUGIN)} | set(plugins))
        pipeline = store.redis.pipeline(transaction=False)
        pipeline.time()
        for name in names:
            pipeline.zrange(keys.plugin_reporters(name), 0, -1, withscores=True)
            pipeline.hgetall(keys.plugin_reports(name))
        (seconds, micros), *rest = await pipeline.execute()
    now = seconds * 1000 + micros / 1000
    return {
        name: {
            str(runner): _decode(said[runner])
            for runner, expires in alive
            if float(expires) > now and runner in said
        }
        for name, alive, said in zip(names, rest[::2], rest[1::2], strict=True)
    }
