"""Live push follows the model, survives lost connections, and a store and managers that come and go."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest

from pydatacoll.model.event import Event
from pydatacoll.settings import RedisSettings
from pydatacoll.store import keys
from pydatacoll.store.client import Store
from pydatacoll.store.embedded import EmbeddedServer
from pydatacoll.store.events import note
from pydatacoll.store.ingest import Writer
from pydatacoll.store.packets import Account, Packet
from test.integration.live_rig import LiveRig, Socket, live_rig


@pytest.fixture
async def rig(store: Store) -> AsyncIterator[LiveRig]:
    async with live_rig(store) as made:
        yield made


async def _until(socket: Socket, member: str) -> Any:
    """The first message with a member."""
    while True:
        message = await socket.get()
        if member in message:
            return message[member]


async def test_patterns_follow_what_is_made_and_deleted(rig: LiveRig) -> None:
    await rig.plant("d1")
    async with rig.socket() as socket:
        assert (await socket.sub(globs=["d*:*:i"], rate=0))["points"] == 1
        await rig.plant("d2")
        await rig.put("d2", i=7)
        assert await socket.values(until={"d2:d2-t:i": 7}) == {"d2:d2-t:i": 7}
        await rig.api.post("/api/v2/items", [{"id": "j", "name": "j"}], 200)
        await rig.api.post("/api/v1/terms/d2-t/items", {"item_id": "j", "protocol_code": "hr:9"})
        await rig.put("d2", j=1)
        await rig.put("d2", i=8)
        assert await socket.values(until={"d2:d2-t:i": 8}) == {"d2:d2-t:i": 8}
        await rig.api("DELETE", "/api/v1/devices/d2", status=200)
        assert await _until(socket, "gone") == ["d2:d2-t:i"]


async def test_a_renamed_device_goes_and_comes_with_its_values(rig: LiveRig) -> None:
    await rig.plant("d1")
    await rig.put("d1", i=7)
    async with rig.socket() as socket:
        assert len((await socket.sub(rate=0))["c"]) == 1
        body = {"id": "e1", "name": "e1", "protocol": "modbus_tcp"}
        await rig.api("PUT", "/api/v1/devices/d1", body, status=200)
        gone: list[str] = []
        values: dict[str, Any] = {}
        while not (gone and values):
            message = await socket.get()
            gone += message.get("gone", [])
            values |= {row[0]: row[2] for row in message.get("c", [])}
        assert gone == ["d1:d1-t:i"]
        assert values == {"e1:d1-t:i": 7}


async def test_named_points_are_shown_once_they_exist(rig: LiveRig) -> None:
    async with rig.socket() as socket:
        assert (await socket.sub(ids=["d:d-t:i"], rate=0))["points"] == 0
        await rig.plant()
        await rig.put(i=1)
        assert await socket.values() == {"d:d-t:i": 1}


async def test_who_comes_back_gets_only_what_he_missed(rig: LiveRig) -> None:
    await rig.plant(items=["a", "b", "c"])
    await rig.put(a=1, b=1, c=1)
    async with rig.socket() as socket:
        first = await socket.sub(rate=0)
        await rig.put(a=2)
        seq = (await socket.get())["seq"]
    await rig.put(b=3)
    await rig.api("DELETE", "/api/v1/terms/d-t/items/c", status=200)
    async with rig.socket() as socket:
        assert socket.hello["epoch"] == first["epoch"]
        again = await socket.sub(rate=0, epoch=first["epoch"], since=seq)
        assert again["resumed"] is True
        values = {row[0]: row[2] for row in again["c"]}
        gone = again.get("gone", [])
        while not (gone and values):  # what the server did not know yet when he came
            message = await socket.get()
            gone += message.get("gone", [])
            values |= {row[0]: row[2] for row in message.get("c", [])}
        assert (values, gone) == ({"d:d-t:b": 3}, ["d:d-t:c"])


@pytest.mark.parametrize("resume", [{"epoch": "other", "since": 0}, {"since": 0}, {"epoch": "x"}])
async def test_who_comes_from_another_life_of_the_server_gets_everything(
    rig: LiveRig, resume: dict[str, Any]
) -> None:
    await rig.plant()
    await rig.put(i=1)
    async with rig.socket() as socket:
        again = await socket.sub(**resume)
        assert (again["resumed"], len(again["c"])) == (False, 1)
        ahead = await socket.sub(epoch=again["epoch"], since=2**50)
        assert (ahead["resumed"], len(ahead["c"])) == (False, 1)


async def test_when_everybody_has_gone_for_long_nothing_runs_and_all_is_forgotten(store: Store) -> None:
    async with live_rig(store, linger=0.0) as rig:
        await rig.plant()
        async with rig.socket() as socket:
            first = await socket.sub()
        while any(task.get_name().startswith("live") for task in asyncio.all_tasks()):
            await asyncio.sleep(0)
        async with rig.socket() as socket:
            again = await socket.sub(epoch=first["epoch"], since=first["seq"])
            assert again["resumed"] is False
            assert again["epoch"] != first["epoch"]


async def test_subscriptions_of_one_socket_do_not_disturb_each_other(rig: LiveRig) -> None:
    await rig.plant(items=["a", "b"])
    async with rig.socket() as socket:
        await socket.sub("a", ids=["d:d-t:a"], rate=0)
        await socket.sub(2, ids=["d:d-t:b"], rate=0)
        await rig.put(a=1)
        assert (await socket.row("a"))[2] == 1
        await rig.put(b=2)
        assert (await socket.row(2))[2] == 2
        await socket.send(op="unsub", id="a")
        assert await socket.get() == {"op": "unsubscribed", "id": "a"}
        await rig.put(a=3, b=4)
        assert (await socket.row(2))[2] == 4
        await socket.sub(2, ids=["d:d-t:a"], rate=0)
        await rig.put(b=5)
        await rig.put(a=6)
        assert (await socket.row(2))[::2] == ["d:d-t:a", 6]


async def test_of_many_changes_between_two_batches_the_newest_is_sent(rig: LiveRig) -> None:
    await rig.plant()
    async with rig.socket() as socket:
        await socket.sub(rate=5000)
        await socket.sub("fast", rate=0)
        for number in range(20):
            await rig.put(i=number)
        await socket.values("fast", until={"d:d-t:i": 19})
        message = await socket.get()
        assert (message["id"], [row[2] for row in message["c"]]) == ("s", [19])


async def test_values_that_nobody_renews_say_so(rig: LiveRig) -> None:
    await rig.plant()
    await rig.put(i=1)
    async with rig.socket() as socket:
        assert (await socket.sub(rate=0))["c"][0][3] == "good"
        await rig.store.redis.delete(*map(keys.lease, range(rig.store.partitions)))
        assert (await socket.row())[2:] == [1, ["comm_lost"]]
        await rig.own()
        assert (await socket.row())[2:] == [1, "good"]
        await rig.api("PATCH", "/api/v1/devices/d", {"enabled": False}, status=200)
        assert (await socket.row())[2:] == [1, ["comm_lost"]]


async def test_values_of_a_virtual_device_that_is_disabled_say_so(rig: LiveRig) -> None:
    await rig.api.post("/api/v1/devices", {"id": "v", "name": "v", "protocol": "formula"})
    await rig.api.post("/api/v1/terms", {"id": "v-t", "name": "t", "device_id": "v"})
    await rig.api.post("/api/v2/items", [{"id": "i", "name": "i"}], 200)
    await rig.api.post("/api/v2/term_items", [{"term_id": "v-t", "item_id": "i"}], 200)
    await rig.put("v", i=1)
    async with rig.socket() as socket:
        assert (await socket.sub(rate=0))["c"][0][2:] == [1, "good"]
        await rig.api("PATCH", "/api/v1/devices/v", {"enabled": False}, status=200)
        assert (await socket.row())[2:] == [1, ["comm_lost"]]


async def test_what_another_process_collects_is_shown(rig: LiveRig) -> None:
    await rig.plant()
    other = await Store.open(rig.store.url)
    writer = Writer(other, "elsewhere")
    running = asyncio.create_task(writer.run())
    async with rig.socket() as socket:
        await socket.sub(rate=0)
        partition = keys.partition_of("d", other.partitions)
        writer.put(Packet(partition, "d", Account(), ["d-t:i"], [5], 1_800_000_000.0, 0, 100))
        assert await socket.values() == {"d:d-t:i": 5}
    running.cancel()
    await asyncio.gather(running, return_exceptions=True)
    await other.close()


async def test_a_store_that_is_restarted_is_followed_again_on_the_same_socket(tmp_path: Path) -> None:
    embedded = EmbeddedServer(tmp_path, RedisSettings())
    url = await embedded.start()
    store = await Store.open(url)
    async with live_rig(store) as rig:
        await rig.plant(items=["a", "b"])
        await rig.put(a=1, b=1)
        async with rig.socket() as socket:
            first = await socket.sub(rate=0, topics=["values", "events"])
            await embedded.stop()
            (event,) = await _until(socket, "events")
            assert (event["kind"], event["object"], event["severity"]) == ("system", "store", "error")
            embedded = EmbeddedServer(tmp_path, RedisSettings())
            assert await embedded.start() == url
            await note(store, [Event(kind="system", text="meanwhile")])
            await rig.put(b=2)
            rows: list[list[Any]] = []
            texts: list[str] = []
            while not (rows and "meanwhile" in texts):
                message = await socket.get()
                rows += message.get("c", [])
                texts += [event["text"] for event in message.get("events", [])]
            assert [row[::2] for row in rows] == [["d:d-t:b", 2]]
        async with rig.socket() as socket:
            again = await socket.sub(epoch=first["epoch"], since=first["seq"])
            assert (again["resumed"], [row[::2] for row in again["c"]]) == (True, [["d:d-t:b", 2]])
        log = await rig.api.get("/api/v2/log?kind=system")
        assert any(event["text"].startswith("the store could not be reached for") for event in log)
    await store.close()
    await embedded.stop()
