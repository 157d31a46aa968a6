"""Lets go of the place of a plugin that is not used any more, so that the stream is not kept for it.

What it remembers, what it could not handle and what it counted stays: when it is run again, it begins with what
comes then, and goes on with what it knew.
"""

from __future__ import annotations

from dataclasses import dataclass

from pydatacoll.errors import Conflict, NotFound
from pydatacoll.store import keys
from pydatacoll.store.client import Store, store_errors


@dataclass(frozen=True, slots=True)
class Held:
    """What was kept for a plugin: samples, and the batches of the stream that they are in."""

    samples: int = 0
    entries: int = 0


async def check_unused(store: Store, plugin: str) -> None:
    """
    :raises NotFound: a plugin of this name was never run.
    :raises Conflict: a runner of it is alive, or was some seconds ago.
    :raises StoreError: when the store is away.
    """
    with store_errors():
        pipeline = store.redis.pipeline(transaction=False)
        pipeline.time()
        pipeline.sismember(keys.SET_PLUGIN, plugin)
        pipeline.zrange(keys.plugin_reporters(plugin), -1, -1, withscores=True)
        pipeline.zrange(keys.plugin_runners(plugin), -1, -1, withscores=True)
        (seconds, micros), known, *alive = await pipeline.execute()
    if not known:
        raise NotFound(f"plugin not found! {plugin} was never run")
    now = seconds * 1000 + micros / 1000
    for runner, expires in (one for newest in alive for one in newest):
        if float(expires) > now:
            raise Conflict(f"plugin {plugin} is in use: stop its runner {runner} first, and wait some seconds")


async def forget(store: Store, plugin: str) -> Held:
    """Let go of its place in all partitions; gives what was held for it.

    :raises NotFound: see :func:`check_unused`.
    :raises Conflict: the same; or a runner was started meanwhile, then some partitions may have been let go.
    :raises StoreError: when the store is away; then it can be repeated.
    """
    await check_unused(store, plugin)
    samples = entries = 0
    for partition in range(store.partitions):
        names = [
            keys.stream(partition),
            keys.plugin_lease(partition, plugin),
            keys.plugin_holder(partition, plugin),
            keys.plugin_place(partition, plugin),
            keys.stream_dropped(partition),
            keys.stream_samples(partition),
        ]
        status, of_samples, of_entries = await store.fcall("plugin_forget", names, [plugin])
        if status < 0:
            raise Conflict(f"plugin {plugin} was started meanwhile; {samples} samples were let go before that")
        samples += of_samples
        entries += of_entries
    with store_errors():
        for key in (keys.plugin_reports(plugin), keys.plugin_runners(plugin), keys.plugin_reporters(plugin)):
            await store.redis.delete(key)
        await store.redis.srem(keys.SET_PLUGIN, plugin)
    return Held(samples, entries)
