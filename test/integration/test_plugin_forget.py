"""A plugin that is not used any more holds samples in the stream, until it is forgotten."""

from __future__ import annotations

import time

import pytest

from pydatacoll.errors import Conflict, NotFound
from pydatacoll.sdk import Effects, Plugin
from pydatacoll.store import keys
from pydatacoll.store.leases import Leases, plugin_leases
from pydatacoll.store.overview import look
from pydatacoll.store.plugin_forget import Held, forget
from pydatacoll.store.plugin_overview import look_at_plugins
from pydatacoll.store.stream import trim
from test.integration.plugin_rig import LEASE, PARTITION, Rig, context, until, values


@pytest.fixture
async def rig(engine_store):
    made = Rig(engine_store)
    yield made
    await made.close()


class Summing(Plugin):
    """Remembers the sum of what it got."""

    name = "summing"

    async def partition_started(self, partition, state):
        if partition == PARTITION:
            self.sum = int(state.get("sum", b"0"))

    async def handle(self, batch):
        self.sum += sum(values(batch))
        return Effects(state={"sum": str(self.sum).encode()})


class Other(Summing):
    name = "other"


async def started(rig, plugin_type=Summing, name="one"):
    plugin = plugin_type(None, context(rig.store))
    host = await rig.host(plugin, name)
    await rig.ready(host)
    return plugin, host


async def stopped_with_samples(rig):
    """The plugin has handled 1, and not 2 and 3, 4; another one has handled all."""
    plugin, host = await started(rig)
    other, _ = await started(rig, Other)
    await rig.put(1)
    await until(lambda: plugin.sum == other.sum == 1)
    await rig.stop(host)
    await rig.put(2)
    await rig.put(3, 4)
    await until(lambda: other.sum == 10)

    async def acknowledged():
        return (await look(rig.store)).groups["other"].samples == 0

    await until(acknowledged)


async def left_after_trimming(rig):
    """Entries of the stream that cannot be trimmed."""
    assert await trim(rig.store, PARTITION, 0, time.time() + 60) == {}
    return await rig.store.redis.xlen(keys.stream(PARTITION))


async def test_what_is_held_for_it_is_given_up_and_the_stream_is_trimmed_again(rig):
    await stopped_with_samples(rig)
    seen = {one.name: one for one in await look_at_plugins(rig.store, ["other"])}
    assert (seen["summing"].state, seen["summing"].progress.samples) == ("not enabled", 3)
    assert (seen["other"].state, seen["other"].progress.samples) == ("running", 0)
    assert await left_after_trimming(rig) >= 2
    assert await forget(rig.store, "summing") == Held(samples=3, entries=2)
    assert await left_after_trimming(rig) <= 1  # the last one that the other has handled
    assert [one.name for one in await look_at_plugins(rig.store)] == ["other"]
    assert "summing" not in (await look(rig.store)).groups


async def test_one_that_is_run_again_begins_with_what_comes_then_and_remembers_what_it_knew(rig):
    await stopped_with_samples(rig)
    await forget(rig.store, "summing")
    plugin, host = await started(rig)
    assert plugin.sum == 1
    await rig.put(100)
    await until(lambda: plugin.sum == 101)

    async def counted():
        state = (await look(rig.store)).groups["summing"]
        return (state.handled, state.samples, state.dropped) == (2, 0, 0)

    await until(counted)
    await rig.stop(host)
    await rig.put(1000)
    again, _ = await started(rig)
    await until(lambda: again.sum == 1101)


async def test_one_that_runs_is_not_forgotten(rig):
    plugin, host = await started(rig)
    with pytest.raises(Conflict, match="stop its runner"):
        await forget(rig.store, "summing")
    await rig.put(1)
    await until(lambda: plugin.sum == 1)
    await rig.stop(host)
    await forget(rig.store, "summing")


async def test_one_that_was_killed_is_forgotten_when_it_is_known_to_be_dead(rig):
    _, host = await started(rig)
    await rig.kill(host)
    with pytest.raises(Conflict):
        await forget(rig.store, "summing")
    names = plugin_leases("summing")
    await Leases(rig.store, "finder", LEASE, names).bury(host.runner)
    await rig.store.redis.delete(keys.plugin_reporters("summing"))  # as when its report has run out
    assert await forget(rig.store, "summing") == Held()


async def test_a_runner_that_starts_in_this_moment_keeps_what_is_its_own(rig):
    await stopped_with_samples(rig)
    leases = Leases(rig.store, "late", LEASE, plugin_leases("summing"))
    assert await leases.take(PARTITION)
    with pytest.raises(Conflict, match="started meanwhile; 0 samples"):
        await forget(rig.store, "summing")
    await leases.give_back(PARTITION)
    plugin, _ = await started(rig)
    await until(lambda: plugin.sum == 10)


async def test_a_name_that_was_never_run_is_not_found(rig):
    with pytest.raises(NotFound, match="nobody"):
        await forget(rig.store, "nobody")
