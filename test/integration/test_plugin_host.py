"""Plugins on the data stream: in order, shared by runners, and nothing lost or done twice when one dies."""

from __future__ import annotations

import asyncio
import itertools
import logging
import time
from functools import partial

import msgspec
import pytest

from pydatacoll.errors import TryLater
from pydatacoll.manager import plugin_host, plugin_partition, plugin_work
from pydatacoll.model import Sample
from pydatacoll.sdk import Effects, Plugin
from pydatacoll.store import keys
from pydatacoll.store.leases import MANAGERS, Leases
from pydatacoll.store.overview import look
from pydatacoll.store.plugin_progress import enrol
from pydatacoll.store.plugin_reports import read_reports
from test.integration.plugin_rig import DEVICE, LEASE, PARTITION, FaultyStore, Rig, context, point, until, values


@pytest.fixture
async def rig(engine_store):
    made = Rig(engine_store)
    yield made
    await made.close()


class Seeing(Plugin):
    """Remembers what it got; a value can be poison, or bad a few times."""

    name = "seeing"

    def __init__(self, config=None, given=None, *, poison=(), failures=0, error=OSError):
        super().__init__(config, given)
        self.batches = []
        self.poison = set(poison)
        self.failures = failures
        self.error = error

    @property
    def seen(self):
        return [value for batch in self.batches for value in values(batch)]

    async def handle(self, batch):
        if self.failures:
            self.failures -= 1
            raise self.error("database away")
        if self.poison & set(values(batch)):
            raise ValueError("poison")
        self.batches.append(batch)

    async def got(self, count):
        await until(lambda: len(self.seen) >= count)
        return self.seen


def seeing(rig, cls=Seeing, **options):
    return cls(None, context(rig.store), **options)


class Joining(Seeing):
    name = "joining"
    batch_samples = 6


async def test_every_sample_comes_once_and_in_order(rig):
    plugin = seeing(rig)
    host = await rig.host(plugin)
    await rig.ready(host)
    for n in range(50):
        await rig.put(n)
    assert await plugin.got(50) == list(range(50))
    await rig.stop(host)
    again = seeing(rig)
    await rig.put(50)
    await rig.host(again)
    assert await again.got(1) == [50]
    assert plugin.seen == list(range(50))


async def test_a_plugin_that_was_never_run_begins_now(rig):
    await rig.put(1)
    plugin = seeing(rig)
    await rig.ready(await rig.host(plugin))
    await rig.put(2)
    assert await plugin.got(1) == [2]


async def test_a_plugin_that_is_enrolled_misses_nothing_of_what_comes_before_it_has_begun(rig):
    await rig.put(1)
    await enrol(rig.store, Seeing.name)
    await rig.put(2)
    await enrol(rig.store, Seeing.name)
    await rig.put(3)

    async def counted(handled, waiting):
        state = (await look(rig.store)).groups[Seeing.name]
        return (state.handled, state.samples, state.dropped) == (handled, waiting, 0)

    assert await counted(0, 2)
    plugin = seeing(rig)
    await rig.host(plugin)
    assert await plugin.got(2) == [2, 3]
    await until(lambda: counted(2, 0))


async def test_waiting_entries_are_joined_up_to_the_size_that_the_plugin_wants(rig):
    plugin = seeing(rig, Joining)
    await rig.stop(await ready(rig, plugin))
    for n in range(7):
        await rig.put(2 * n, 2 * n + 1)
    await rig.put(*range(14, 24))
    await rig.put(24)
    again = seeing(rig, Joining)
    await rig.host(again)
    assert await again.got(25) == list(range(25))
    assert [len(batch) for batch in again.batches] == [6, 6, 2, 10, 1]
    first = again.batches[0]
    assert first.entries == sorted(first.entries)
    assert (len(first.entries), first.first_id, first.entry_id) == (3, first.entries[0], first.entries[-1])
    assert again.batches[3].entries == []


async def ready(rig, plugin, **options):
    host = await rig.host(plugin, **options)
    await rig.ready(host)
    return host


async def test_a_batch_that_fails_comes_again(rig):
    plugin = seeing(rig, failures=2)
    host = await ready(rig, plugin)
    await rig.put(1)
    assert await plugin.got(1) == [1]
    assert plugin.batches[0].deliveries == 3
    await until(lambda: host.state == "running")
    assert host.stats.retries == 2
    assert host.stats.last_error == "OSError: database away"


async def test_what_the_plugin_needs_may_be_away_for_long(rig):
    """Much longer than other errors are put up with: nothing is cut or put aside."""
    plugin = seeing(rig, failures=30, error=TryLater)
    host = await ready(rig, plugin)
    await rig.put(1, 2)
    await until(lambda: host.state == "waiting for what it needs")
    assert await plugin.got(2) == [1, 2]
    await until(lambda: host.state == "running")
    assert await rig.dead("seeing") == []


@pytest.mark.parametrize("cls", [Seeing, Joining])
async def test_the_poison_sample_alone_is_put_aside_and_the_rest_moves_on(rig, cls):
    plugin = seeing(rig, cls, poison={3, 8})
    host = await ready(rig, plugin)
    await rig.put(0, 1)
    await rig.put(2, 3, 4, 5, 6)
    await rig.put(7, 8)
    await rig.put(9)
    assert await plugin.got(8) == [0, 1, 2, 4, 5, 6, 7, 9]
    await until(lambda: host.stats.dead_lettered == 2)
    assert await rig.dead(plugin.name) == [([3], "ValueError: poison"), ([8], "ValueError: poison")]

    async def counted():
        group = (await look(rig.store)).groups[plugin.name]
        return (group.handled, group.dead_lettered, group.samples, group.lag) == (8, 2, 0, 0)

    await until(counted)


async def test_an_entry_that_is_none_is_put_aside(rig):
    plugin = seeing(rig)
    await ready(rig, plugin)
    await rig.put(1)
    await rig.store.redis.xadd(keys.stream(PARTITION), {"b": b"\xff", "n": 0})
    await rig.put(2)
    assert await plugin.got(2) == [1, 2]
    assert await rig.store.redis.xlen(keys.dead_letter(PARTITION, "seeing")) == 1


class Summing(Plugin):
    """Sums up in its state; derives the sum after each value, and says it."""

    name = "summing"

    def __init__(self, config, given):
        super().__init__(config, given)
        self.sums = {}

    async def partition_started(self, partition, state):
        self.sums[partition] = int(state.get("sum", b"0"))

    async def partition_stopped(self, partition):
        del self.sums[partition]

    async def handle(self, batch):
        given = [value for at, value in _rows(batch) if at.device_id != "derived"]
        if not given:
            return None
        samples = []
        for value in given:
            self.sums[batch.partition] += value
            samples.append((point("sum"), Sample(1.0, self.sums[batch.partition])))
        total = str(self.sums[batch.partition]).encode()
        return Effects(state={"sum": total}, samples=samples, publish=[("sums", total)])


def _rows(batch):
    return [(at, sample.value) for at, sample in batch.samples()]


FAULTS = ("before", "after", "die before", "die after")


@pytest.mark.parametrize("how", FAULTS)
async def test_state_derived_samples_and_acknowledgement_are_one(rig, how):
    """Whatever call to the store goes wrong, or is the last thing the process does: each batch counts once."""
    first = await ready(rig, Summing)
    opened = first._store.calls
    await rig.stop(first)
    expected = [(point("sum"), total) for total in itertools.accumulate(range(1, 6))]
    total = 0
    for number in itertools.count(opened):
        host = await ready(rig, Summing, name=f"r{number}", fault=(number, how))
        for n in range(1, 6):
            await rig.put(n)
        store = host._store
        total += 15
        await until(partial(settled_or_died, rig, total, len(expected), store))
        if store.died.is_set():
            await rig.kill(host, found=True)
            host = await rig.host(Summing, name=f"again{number}")
        await until(partial(settled, rig, total, len(expected)))
        await rig.stop(host)
        if store.calls <= number:
            break
        expected += [(at, total + value) for at, value in expected[:5]]
    assert number > opened + 10
    assert await rig.stream("derived") == expected
    assert not await rig.store.redis.exists(keys.plugin_outbox(PARTITION, "summing"))


async def settled_or_died(rig, total, count, store):
    return store.died.is_set() or await settled(rig, total, count)


async def settled(rig, total, count):
    return await rig_sum(rig, "summing", str(total).encode()) and len(await rig.stream("derived")) == count


async def test_effects_of_a_batch_that_fails_are_forgotten(rig):
    """The plugin has added before it fails: it begins again with the sum that was committed."""

    class Late(Summing):
        name = "late"
        failures = 4

        async def handle(self, batch):
            effects = await super().handle(batch)
            if effects is not None and self.failures:
                self.failures -= 1
                raise OSError("too late")
            return effects

    await ready(rig, Late)
    await rig.put(1, 2, 3)

    async def total():
        return (await rig.state("late")).get(b"sum") == b"6"

    await until(total)


async def test_effects_that_are_none_are_the_plugins_fault(rig):
    class Wrong(Seeing):
        name = "wrong"

        async def handle(self, batch):
            await super().handle(batch)
            return Effects(state={"x": object()})

    host = await ready(rig, seeing(rig, Wrong))
    await rig.put(1)
    await until(lambda: host.stats.dead_lettered == 1)
    ((found, error),) = await rig.dead("wrong")
    assert found == [1]
    assert "object" in error


async def test_what_is_returned_must_be_effects(rig):
    class Returning(Seeing):
        name = "returning"

        async def handle(self, batch):
            await super().handle(batch)
            return True

    host = await ready(rig, seeing(rig, Returning))
    await rig.put(1)
    await until(lambda: host.stats.dead_lettered == 1)
    ((_, error),) = await rig.dead("returning")
    assert error == "TypeError: handle returned True, which is neither Effects nor None"


async def test_messages_are_published_and_state_is_deleted(rig):
    class Telling(Seeing):
        name = "telling"

        async def handle(self, batch):
            await super().handle(batch)
            value = self.seen[-1]
            return Effects(state={"a": None if value else b"\xff\x00", "b": b""}, publish=[("told", b"\x00\xfe")])

    async with rig.store.binary.pubsub() as heard:
        await heard.subscribe("told")
        plugin = seeing(rig, Telling)
        await ready(rig, plugin)
        await rig.put(0)

        async def has():
            return await rig.state("telling") == {b"a": b"\xff\x00", b"b": b""}

        await until(has)
        await rig.put(1)

        async def lost():
            return await rig.state("telling") == {b"b": b""}

        await until(lost)
        messages = [await heard.get_message(timeout=None) for _ in range(3)]
    assert [one["data"] for one in messages[1:]] == [b"\x00\xfe"] * 2


async def test_two_runners_share_the_partitions_and_keep_the_order(rig):
    one, two = seeing(rig), seeing(rig)
    hosts = [await rig.host(one, "one"), await rig.host(two, "two")]
    await until(lambda: [len(host.partitions) for host in hosts] == [8, 8])
    await rig.ready(*hosts)
    for n in range(200):
        await rig.put(n, device=f"d{n % 20}")
    await until(lambda: len(one.seen) + len(two.seen) >= 200)
    assert sorted(one.seen + two.seen) == list(range(200))
    for plugin in (one, two):
        for device in range(20):
            mine = [value for value in plugin.seen if value % 20 == device]
            assert mine in ([], list(range(device, 200, 20)))


async def test_one_runner_has_everything_where_the_plugin_wants_that(rig):
    class Single(Seeing):
        name = "single"
        single = True

    first, second = seeing(rig, Single), seeing(rig, Single)
    one = await ready(rig, first, name="one")
    two = await rig.host(second, "two")
    await rig.put(1)
    await first.got(1)
    assert two.partitions == []
    await rig.kill(one)
    await rig.put(2)
    assert await second.got(1) == [2]
    assert len(two.partitions) == rig.store.partitions


async def test_what_a_dead_runner_held_comes_to_the_other_first(rig):
    class Hanging(Seeing):
        name = "hanging"
        hang = True

        async def handle(self, batch):
            if self.hang and 2 in values(batch):
                self.batches.append("hangs")
                await asyncio.Event().wait()
            await super().handle(batch)

        @property
        def seen(self):
            return [value for batch in self.batches if batch != "hangs" for value in values(batch)]

    first, second = seeing(rig, Hanging), seeing(rig, Hanging)
    second.hang = False
    one = await ready(rig, first, name="one")
    for n in range(1, 5):
        await rig.put(n)
    await until(lambda: "hangs" in first.batches)
    await rig.kill(one)
    await rig.host(second, "two")
    await second.got(3)
    # what was handled and not yet acknowledged comes once more, never less
    assert second.seen in ([1, 2, 3, 4], [2, 3, 4])


async def test_a_runner_without_its_lease_cannot_commit(rig):
    """It was stopped for so long that another one has the partition; then it goes on."""

    class Slow(Summing):
        name = "slow"

        def __init__(self, config, given):
            super().__init__(config, given)
            self.begun, self.go = asyncio.Event(), asyncio.Event()

        async def handle(self, batch):
            effects = await super().handle(batch)
            if effects is not None:
                self.begun.set()
                await self.go.wait()
            return effects

    slow, quick = Slow(None, context(rig.store)), Slow(None, context(rig.store))
    quick.go.set()
    one = await ready(rig, slow, name="one")
    await rig.put(5)
    await slow.begun.wait()
    names = [keys.plugin_lease(PARTITION, "slow"), keys.plugin_holder(PARTITION, "slow")]
    await rig.store.redis.mset(dict.fromkeys(names, "two"))
    slow.go.set()
    await until(lambda: PARTITION not in one.partitions)
    assert await rig.state("slow") == {}
    await rig.store.redis.delete(*names)
    await rig.stop(one)
    await rig.host(quick, "two")

    async def once():
        return (await rig.state("slow")).get(b"sum") == b"5"

    await until(once)
    await rig.put(1)

    async def both():
        return len(await rig.stream("derived")) == 2

    await until(both)
    assert await rig.stream("derived") == [(point("sum"), 5), (point("sum"), 6)]


async def rig_sum(rig, plugin, total):
    return (await rig.state(plugin)).get(b"sum") == total


async def test_what_is_trimmed_unread_is_counted_and_what_is_handled_late_is_not(rig, monkeypatch):
    """The stream overflows while a batch is in hand and others are read ahead."""
    monkeypatch.setattr(plugin_work, "BUFFER", 2000)

    class Held(Seeing):
        name = "held"

        def __init__(self, *args, **options):
            super().__init__(*args, **options)
            self.begun, self.go = asyncio.Event(), asyncio.Event()

        async def handle(self, batch):
            self.begun.set()
            await self.go.wait()
            await super().handle(batch)

    plugin = seeing(rig, Held)
    await ready(rig, plugin)
    total = 400
    rig._writer._stream_bytes = 1  # as few entries as possible
    for n in range(total):
        await rig.put(n, n)
    assert (await look(rig.store)).groups["held"].dropped > 0
    plugin.go.set()

    async def identity():
        group = (await look(rig.store)).groups["held"]
        return group.lag == 0 and group.handled + group.dropped == 2 * total

    await until(identity)
    group = (await look(rig.store)).groups["held"]
    assert group.handled == len(plugin.seen)
    assert (group.samples, group.oldest) == (0, None)
    assert 0 < group.dropped < 2 * total


async def test_an_emptied_store_is_begun_anew(rig):
    plugin = seeing(rig)
    await ready(rig, plugin)
    await rig.put(1)
    await plugin.got(1)
    await rig.store.redis.flushall()
    await rig.put(2)
    assert await plugin.got(2) == [1, 2]


async def test_a_group_of_the_usual_kind_is_taken_over_with_what_is_pending(rig):
    name = keys.stream(PARTITION)
    await rig.store.redis.xgroup_create(name, "seeing", "$", mkstream=True)
    for n in range(4):
        await rig.put(n)
    reply = await rig.store.binary.xreadgroup("seeing", "old", {name: ">"}, count=3)
    ids = [entry_id for entry_id, _ in next(iter(reply.values()))[0]]
    await rig.store.redis.xack(name, "seeing", ids[0])
    plugin = seeing(rig)
    await rig.host(plugin)
    assert await plugin.got(3) == [1, 2, 3]
    await until(lambda: nothing_pending(rig, name))


async def nothing_pending(rig, name):
    (group,) = await rig.store.redis.xinfo_groups(name)
    return group["consumers"] == group["pending"] == group["lag"] == 0


async def test_a_plugin_that_hangs_is_found_out(rig, monkeypatch):
    monkeypatch.setattr(plugin_host, "HANGS", 0.05)

    class Hanging(Seeing):
        name = "stuck"

        def __init__(self, *args, **options):
            super().__init__(*args, **options)
            self.go = asyncio.Event()

        async def handle(self, batch):
            await self.go.wait()
            await super().handle(batch)

    plugin = seeing(rig, Hanging)
    host = await ready(rig, plugin)
    await rig.put(1)
    await until(lambda: host.state == "hanging in a batch")
    plugin.go.set()
    await until(lambda: host.state == "running")
    assert plugin.seen == [1]


async def test_ticks_have_effects_too(rig, monkeypatch):
    monkeypatch.setattr(plugin_partition, "TICK", 0.01)

    class Ticking(Seeing):
        name = "ticking"
        failed = False

        async def tick(self, partition, now):
            if partition != PARTITION:
                return None
            if not self.failed:
                self.failed = True
                raise ValueError("not now")
            assert now > 1e9
            return Effects(state={"now": b"1"})

    await ready(rig, seeing(rig, Ticking))
    await until(lambda: rig_state(rig, "ticking", {b"now": b"1"}))


async def test_a_tick_that_fails_is_shown_until_one_succeeds_and_logged_once(rig, monkeypatch, caplog):
    monkeypatch.setattr(plugin_partition, "TICK", 0.005)

    class Ticking(Seeing):
        name = "ticking"
        error = ValueError("not now")
        ticks = 0

        async def tick(self, partition, now):
            if partition == PARTITION:
                self.ticks += 1
                if self.error is not None:
                    raise self.error

    plugin = seeing(rig, Ticking)
    host = await ready(rig, plugin)
    await until(lambda: plugin.ticks > 3 and host.state == "failing")
    plugin.error = TryLater("no database")
    await until(lambda: host.state == "waiting for what it needs")
    plugin.error = None
    await until(lambda: host.state == "running")
    assert len([record for record in caplog.records if "tick" in record.getMessage()]) == 1


async def rig_state(rig, plugin, expected):
    return await rig.state(plugin) == expected


async def test_a_plugin_that_does_not_start_is_tried_again(rig):
    class Reluctant(Seeing):
        name = "reluctant"
        tries = 0

        async def start(self):
            self.tries += 1
            if self.tries < 3:
                raise OSError("no database")

    plugin = seeing(rig, Reluctant)
    plugin.tries = -1000
    host = await rig.host(plugin)

    async def told():
        said = (await read_reports(rig.store, ["reluctant"]))["reluctant"].get("one")
        return said is not None and (said.state, said.last_error) == ("does not start", "OSError: no database")

    await until(told)
    plugin.tries = 0
    await rig.ready(host)
    assert plugin.tries == 3
    assert host.state == "running"
    assert host.stats.last_error == "OSError: no database"


async def test_a_plugin_that_holds_everything_up_is_named(rig, caplog):
    class Blocking(Seeing):
        name = "blocking"

        async def handle(self, batch):
            time.sleep(0.3)
            await super().handle(batch)

    caplog.set_level(logging.WARNING)
    plugin = seeing(rig, Blocking)
    host = await ready(rig, plugin)
    await rig.put(1)
    await plugin.got(1)
    assert "plugin blocking held up everything in its process" in caplog.text
    assert host.report().longest_step >= 0.3


async def test_batches_of_several_partitions_are_in_the_plugin_at_once_when_it_allows(rig):
    class Gate(Seeing):
        """Lets nobody out before it is full."""

        inside = most = 0

        def __init__(self, *args, **options):
            super().__init__(*args, **options)
            self.full = asyncio.Event()

        async def handle(self, batch):
            self.inside += 1
            self.most = max(self.most, self.inside)
            if self.inside == self.concurrency:
                self.full.set()
            await self.full.wait()
            for _ in range(5):
                await asyncio.sleep(0)
            self.inside -= 1
            await super().handle(batch)

    class Alone(Gate):
        name = "alone"

    class Together(Gate):
        name = "together"
        concurrency = 3

    plugins = [seeing(rig, Alone), seeing(rig, Together)]
    for plugin in plugins:
        await ready(rig, plugin)
    for n in range(200):
        await rig.put(n, device=f"d{n % 16}")
    for plugin in plugins:
        await plugin.got(200)
    assert [plugin.most for plugin in plugins] == [1, 3]


async def test_runners_tell_about_themselves_as_long_as_they_live(rig):
    class Status(Seeing):
        name = "status"
        description = "what it is"

        def status(self):
            return {"open": len(self.batches)}

    plugin = seeing(rig, Status)
    plugin.context.counters["rows"] += 2
    host = await ready(rig, plugin)
    await rig.put(1, 2)
    await plugin.got(2)

    async def told():
        said = (await read_reports(rig.store))["status"].get("one")
        return said if said is not None and said.handled == 2 else None

    said = await until(told)
    assert (said.state, len(said.partitions), said.description) == ("running", rig.store.partitions, "what it is")
    assert (said.counters, said.status) == ({"rows": 2}, {"open": 1})
    assert said.last_error is None
    await rig.stop(host)
    assert await read_reports(rig.store, ["other"]) == {"status": {}, "other": {}}
    assert not await rig.store.redis.exists(keys.plugin_reports("status"))


async def test_the_outside_sees_derived_samples_as_measured_ones(rig):
    async with rig.store.redis.pubsub() as heard:
        await heard.subscribe(keys.data_channel("derived:t:sum"))
        await ready(rig, Summing)
        await rig.put(4)
        await heard.get_message(timeout=None)
        message = await heard.get_message(timeout=None)
    assert msgspec.json.decode(message["data"])["value"] == 4
    partition = keys.partition_of("derived")
    assert await rig.store.redis.hget(keys.latest(partition, "derived"), "t:sum") == "1.0,0,4"
    assert await rig.store.redis.lrange(keys.history(partition, "derived", "t:sum"), 0, -1) == ["1.0,0,4"]


async def test_recent_samples_of_many_points(rig):
    store = FaultyStore(rig.store.url)
    reads = context(store).store
    for n in range(5):
        await rig.put(n, n * 10)
    assert DEVICE
    one, two = (point("x")._replace(device_id=DEVICE, item_id=f"i{n}") for n in range(2))
    assert [s.value for s in await reads.latest([one, two]) if s] == [4, 40]
    assert await reads.latest([point("none")]) == [None]
    assert await reads.recent([one, point("none")], 0) == [[], []]
    await store.close()


async def test_a_partition_has_a_manager_while_there_is_a_lease(rig):
    reads = context(rig.store).store
    assert not await reads.managed(PARTITION)
    leases = Leases(rig.store, "one", LEASE, MANAGERS)
    assert await leases.take(PARTITION)
    assert await reads.managed(PARTITION)
    await leases.give_back(PARTITION)
    assert not await reads.managed(PARTITION)
