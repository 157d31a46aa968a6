"""A plugin of a user's own, dropped into a folder: in the API server and in runners that are killed."""

from __future__ import annotations

import itertools
import os
import signal

import msgspec
import pytest
import redis as redis_client

from pydatacoll.model import DeviceBatch
from pydatacoll.store.keys import partition_of
from pydatacoll.store.stream import decode_payload
from pydatacoll.testing.signals import Signal
from test.system.rig import eventually

RECORDER = '''
"""Writes what it gets to a file; hangs when it is told to, so that it can be killed in the middle."""
import asyncio
import os
from pydatacoll.sdk import DataBatch, Plugin

class Recorder(Plugin):
    name = "recorder"

    async def handle(self, batch: DataBatch) -> None:
        folder = self.context.data_dir
        if (folder / "hang").exists():
            (folder / "hangs").touch()
            await asyncio.Event().wait()
        with (folder / f"seen-{os.getpid()}.txt").open("a") as file:
            for point, sample in batch.samples():
                file.write(f"{point} {sample.time!r} {sample.value}\\n")
'''


@pytest.fixture
def folder(rig):
    """With the plugin, and with a file that is broken."""
    made = rig.folder / "dropin"
    made.mkdir(mode=0o700)
    (made / "recorder.py").write_text(RECORDER)
    (made / "broken.py").write_text("import nothing_of_this_name\n")
    rig.data_dir.mkdir(mode=0o700)
    return {"plugin_dirs": str(made)}


class Numbers(Signal):
    """The next number at every reading."""

    def __init__(self):
        self._count = itertools.count(1)

    def at(self, time):
        return next(self._count) & 0xFFFF


def numbered(plc):
    plc.holding().signal(0, Numbers())


def seen(rig, pid="*"):
    """What recorders have written: ``(point, time, value)``, as often as it came."""
    rows = []
    for file in rig.data_dir.glob(f"seen-{pid}.txt"):
        for line in file.read_text().rpartition("\n")[0].splitlines():  # the last one may be half written
            point, time, value = line.split()
            rows.append((point, float(time), value))
    return rows


def stored(url):
    """Everything that is in the streams."""
    decode = msgspec.msgpack.Decoder(list[DeviceBatch]).decode
    rows = []
    with redis_client.Redis.from_url(url) as client:
        for name in client.scan_iter("STREAM:DATA:*"):
            for _, fields in client.xrange(name):
                for batch in decode(fields[b"b"]):
                    rows += [(str(point), sample.time, str(sample.value)) for point, sample in batch.samples()]
    return rows


async def everything_seen(rig, url):
    """After collection has ended: each stored sample reached a recorder."""
    await eventually(lambda: set(seen(rig)) >= set(stored(url)), "every sample is seen")


async def test_a_plugin_in_the_api_server_gets_every_sample(rig, plc, folder):
    numbered(plc)
    api = await rig.api("--plugins", "recorder", **folder)
    await api.client.ready()
    await api.client.add(port=plc.port)
    await eventually(lambda: len(seen(rig)) > 30, "samples arrive")
    await api.client.send("PATCH", "/api/v1/devices/d", {"enabled": False})
    await eventually(lambda: not plc.connections, "collection ends")
    await everything_seen(rig, rig.store_url())
    rows = seen(rig)
    values = [int(value) for _, _, value in rows if value != "None"]
    assert values == sorted(set(values))  # in order, each once
    assert "broken.py: ModuleNotFoundError" in api.log

    async def counted():
        return 'pydatacoll_plugin_handled_total{plugin="recorder"}' in await api.client.get("/metrics")

    await eventually(counted, "its work is counted")


async def test_a_plugin_that_is_not_enabled_any_more_is_shown_and_can_be_forgotten(rig, plc, folder, cli):
    numbered(plc)
    before = await rig.api("--plugins", "recorder", **folder)
    await before.client.ready()
    await before.client.add(port=plc.port)
    await eventually(lambda: seen(rig), "samples arrive")
    in_use = await cli("plugins", "forget", "recorder", "--yes", url=before.client.url)
    assert in_use.code != 0
    assert "is enabled here" in in_use.err
    await before.stop()

    api = await rig.api(**folder, stream__retention=1)

    async def held():
        rows = await api.client.get("/api/v2/plugins")
        return len(rows) == 1 and rows[0]["state"] == "not enabled" and rows[0]["lag"] > 100

    await eventually(held, "samples are held", within=30)
    listed = await cli("plugins", url=api.client.url)
    assert "pydatacoll plugins forget recorder" in listed.err
    forgotten = await cli("plugins", "forget", "recorder", "--yes", "-o", "jsonl", url=api.client.url)
    assert forgotten.code == 0, forgotten.err
    released = forgotten.rows[0]["samples"]
    assert released > 100
    assert await api.client.get("/api/v2/plugins") == []
    with redis_client.Redis.from_url(rig.store_url()) as store:
        name = f"STREAM:DATA:{{p{partition_of('d')}}}"
        first = store.xrange(name, count=1)[0][0]
        await eventually(lambda: first < store.xrange(name, count=1)[0][0], "the stream is trimmed again")
    audit = await api.client.get("/api/v2/audit?action=plugin.forget&result=ok")
    assert [(one["object"], one["after"]["released"]["samples"]) for one in audit] == [("recorder", released)]


async def test_runners_share_the_work_and_a_killed_one_loses_nothing(rig, plc, folder):
    numbered(plc)
    api = await rig.api(**folder)
    await api.client.ready()

    def runner():
        return rig.launch("plugin_runner", "recorder", "--data-dir", str(rig.data_dir), **folder)

    one, two = runner(), runner()
    await eventually(lambda: shares(api, "recorder", [8, 8]), "both runners have their share")
    for number in range(6):
        await api.client.add(f"d{number}", port=plc.port)
    await eventually(lambda: seen(rig, one.pid) and seen(rig, two.pid), "both get some")
    # killed in the middle of a batch: what it held goes to the other
    (rig.data_dir / "hang").touch()
    await eventually((rig.data_dir / "hangs").exists, "a runner hangs in a batch")
    await one.kill()
    await two.kill()
    (rig.data_dir / "hang").unlink()
    last = runner()
    await eventually(lambda: seen(rig, last.pid), "the next one goes on")
    for number in range(6):
        await api.client.send("PATCH", f"/api/v1/devices/d{number}", {"enabled": False})
    await eventually(lambda: not plc.connections, "collection ends")
    await everything_seen(rig, rig.store_url())
    with rig.store() as client:
        assert not [name for name in client.scan_iter("HS:DROPPED:*") if client.hgetall(name)]
        assert not list(client.scan_iter("STREAM:DEAD:*"))


async def test_a_runner_outlives_an_outage_of_the_store(rig, plc, folder):
    numbered(plc)
    redis = rig.redis()
    runner = rig.launch(
        "plugin_runner", "recorder", "--redis", redis.url, "--data-dir", str(rig.data_dir), **folder
    )
    await runner.logged("trying again")
    await redis.start()
    api = await rig.api("--redis", redis.url)
    await api.client.ready()
    with redis.client() as client:
        await eventually(lambda: client.exists("STREAM:DATA:{p15}"), "the group is made")
    await api.client.add(port=plc.port)
    await eventually(lambda: seen(rig), "samples arrive")
    redis.kill()
    await api.client.not_ready("the store cannot be reached")
    await redis.start()
    await api.client.ready()
    count = len(seen(rig))
    await eventually(lambda: len(seen(rig)) > count + 10, "samples go on arriving")
    await api.client.send("PATCH", "/api/v1/devices/d", {"enabled": False})
    await eventually(lambda: not plc.connections, "collection ends")
    await everything_seen(rig, redis.url)


async def shares(api, plugin, expected):
    """Whether so many runners have so many partitions each."""
    for row in await api.client.get("/api/v2/plugins"):
        if row["name"] == plugin and row["state"] == "running":
            return sorted(len(one["partitions"]) for one in row["runners"]) == sorted(expected)
    return False


ADDER = """
from pydatacoll.sdk import Effects, Plugin, PointId, Sample

class Adder(Plugin):
    name = "adder"
    batch_samples = 50

    def __init__(self, config, context):
        super().__init__(config, context)
        self.sums = {}

    async def partition_started(self, partition, state):
        self.sums[partition] = [int(state.get("count", 0)), int(state.get("sum", 0))]

    async def handle(self, batch):
        mine = self.sums[batch.partition]
        samples = []
        for point, sample in batch.samples():
            if point.device_id != "derived" and sample.value is not None:
                mine[0] += 1
                mine[1] += sample.value
                samples.append((PointId("derived", f"p{batch.partition}", "count"), Sample(sample.time, mine[0])))
        state = {"count": str(mine[0]).encode(), "sum": str(mine[1]).encode()}
        return Effects(state=state, samples=samples) if samples else None
"""


async def test_state_and_derived_samples_count_each_sample_once_across_kills(rig, plc, folder):
    """Two runners, killed again and again while samples come; the sums are those of the stream. One that stands
    still for longer than its lease goes on in the end, and writes over nothing."""
    numbered(plc)
    (rig.folder / "dropin" / "adder.py").write_text(ADDER)
    api = await rig.api(**folder, stream__retention="600")
    await api.client.ready()

    def runner():
        return rig.launch("plugin_runner", "adder", "--data-dir", str(rig.data_dir), **folder)

    runners = [runner(), runner()]
    await eventually(lambda: shares(api, "adder", [8, 8]), "both runners have their share")
    for number in range(6):
        await api.client.add(f"d{number}", port=plc.port)

    def derived(client):
        rows = {}
        for _, fields in client.xrange(f"STREAM:DATA:{{p{partition_of('derived')}}}"):
            for batch in decode_payload(fields[b"b"]):
                if batch.device_id == "derived":
                    for point, sample in batch.samples():
                        rows.setdefault(point.term_id, []).append(sample.value)
        return rows

    with redis_client.Redis.from_url(rig.store_url()) as client:
        for kill in range(6):
            before = sum(map(len, derived(client).values()))
            await eventually(lambda before=before: sum(map(len, derived(client).values())) > before, "it goes on")
            await runners.pop(0).kill()
            runners.append(runner())
            if kill == 3:
                await runners.pop(0).kill()
                runners.append(runner())
        await eventually(lambda: shares(api, "adder", [8, 8]), "both runners have their share")
        os.kill(runners[0].pid, signal.SIGSTOP)
        await eventually(lambda: shares(api, "adder", [16]), "the other one takes over")
        os.kill(runners[0].pid, signal.SIGCONT)
        await eventually(lambda: shares(api, "adder", [8, 8]), "both runners have their share")
        for number in range(6):
            await api.client.send("PATCH", f"/api/v1/devices/d{number}", {"enabled": False})
        await eventually(lambda: not plc.connections, "collection ends")

        expected, states = {}, {}

        async def caught_up():
            rows = await api.client.get("/api/v2/plugins")
            # the last samples may still be on their way to the stream
            expected.clear()
            for point, _, value in stored(rig.store_url()):
                device = point.partition(":")[0]
                if device != "derived" and value != "None":
                    mine = expected.setdefault(partition_of(device), [0, 0])
                    mine[0] += 1
                    mine[1] += int(value)
            for partition in expected:
                state = client.hgetall(f"HS:PLUGIN_STATE:{{p{partition}}}:adder")
                states[partition] = [int(state[b"count"]), int(state[b"sum"])]
            left = [(row["lag"], row["lag_entries"], row["dropped"]) for row in rows]
            return (left, states) == ([(0, 0, 0)], expected)

        await eventually(caught_up, lambda: f"each sample counts once: {states}, {expected}")
        assert derived(client) == {f"p{n}": list(range(1, count + 1)) for n, (count, _) in expected.items()}
        assert not list(client.scan_iter("STREAM:DEAD:*"))


STUBBORN = """
import asyncio
from pydatacoll.sdk import DataBatch, Plugin

class Stubborn(Plugin):
    name = "stubborn"

    async def handle(self, batch: DataBatch) -> None:
        self.context.log.info("hanging")
        await asyncio.Event().wait()

    async def stop(self) -> None:
        await asyncio.Event().wait()
"""


async def test_a_plugin_that_hangs_disturbs_nobody_and_does_not_keep_the_server_from_stopping(rig, plc, folder):
    (rig.folder / "dropin" / "stubborn.py").write_text(STUBBORN)
    api = await rig.api("--plugins", "stubborn,recorder", **folder)
    await api.client.ready()
    await api.client.add(port=plc.port)
    await api.logged("hanging")
    plc.holding()[0] = 5
    await api.client.shows(5)
    await eventually(lambda: any(value == "5" for _, _, value in seen(rig)), "the other plugin goes on")
    assert (await api.client.ctrl(6)).status == 200
    await api.stop()
    assert "plugin stubborn did not stop within 3 s" in api.log
