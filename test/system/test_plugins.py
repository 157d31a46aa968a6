"""A plugin of a user's own, dropped into a folder: in the API server and in runners that are killed."""

from __future__ import annotations

import itertools

import msgspec
import pytest
import redis as redis_client

from pydatacoll.model import DeviceBatch
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
        for line in file.read_text().splitlines():
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


async def everything_seen(rig, url, *, within=10):
    """After collection has ended: each stored sample reached a recorder."""
    await eventually(lambda: set(seen(rig)) >= set(stored(url)), "every sample is seen", within=within)


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
    text = await api.client.get("/metrics")
    assert 'pydatacoll_plugin_handled_total{plugin="recorder"}' in text


async def test_runners_share_the_work_and_a_killed_one_loses_nothing(rig, plc, folder):
    numbered(plc)
    api = await rig.api(**folder)
    await api.client.ready()

    def runner():
        return rig.launch("plugin_runner", "recorder", "--data-dir", str(rig.data_dir), **folder)

    one, two = runner(), runner()
    with rig.store() as client:

        def consumers():
            return len(client.xinfo_consumers("STREAM:DATA:{p0}", "recorder"))

        def group_exists():
            return all(client.exists(f"STREAM:DATA:{{p{n}}}") for n in range(16))

        await eventually(group_exists, "the group is made")
        await eventually(lambda: consumers() == 2, "both runners read")
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
    await everything_seen(rig, rig.store_url(), within=25)
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
    await everything_seen(rig, redis.url, within=25)


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
