"""The audit trail in a real store: nothing happens without its entry, and everything can be found again."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager, suppress
from typing import Any

import pytest

from pydatacoll.errors import StoreRefused
from pydatacoll.model import PointId, Sample
from pydatacoll.model.audit import batch_entries
from pydatacoll.model.steps import finish
from pydatacoll.model.transaction import Transaction
from pydatacoll.model.validation import Schemas
from pydatacoll.protocols.modbus_tcp import ModbusTcpDriver
from pydatacoll.settings import AuditSettings
from pydatacoll.store import audit, keys
from pydatacoll.store.audit import Audit, AuditFilter
from pydatacoll.store.client import Store
from pydatacoll.store.command_messages import CommandReply
from pydatacoll.store.command_server import CommandServer
from pydatacoll.store.commands import CommandClient, CommandRequest
from pydatacoll.store.repository import Repository

SCHEMAS = Schemas({"modbus_tcp": ModbusTcpDriver})
POINT = PointId("pump", "t", "speed")


async def entries(store: Store) -> list[dict[str, Any]]:
    return [json.loads(fields["entry"]) for _, fields in await store.redis.xrange(keys.AUDIT)]


@asynccontextmanager
async def out_of_memory(store: Store) -> AsyncIterator[None]:
    await store.redis.config_set("maxmemory", 1)
    try:
        yield
    finally:
        await store.redis.config_set("maxmemory", 0)


@asynccontextmanager
async def no_replica(store: Store) -> AsyncIterator[None]:
    """The server takes no writes because nobody has a copy of them."""
    await store.redis.config_set("min-replicas-to-write", 1)
    try:
        yield
    finally:
        await store.redis.config_set("min-replicas-to-write", 0)


@asynccontextmanager
async def junk(store: Store) -> AsyncIterator[None]:
    """Another program has put something else in the place of the trail."""
    if await store.redis.exists(keys.AUDIT):
        await store.redis.rename(keys.AUDIT, "aside")
    await store.redis.set(keys.AUDIT, "junk")
    yield
    await store.redis.delete(keys.AUDIT)
    if await store.redis.exists("aside"):
        await store.redis.rename("aside", keys.AUDIT)


REFUSING = pytest.mark.parametrize("refusing", [out_of_memory, no_replica, junk])


@pytest.fixture
async def repository(store: Store) -> AsyncIterator[Repository]:
    made = Repository(store, SCHEMAS)
    await made.start()
    yield made
    await made.stop()


def create(count: int, text: str = "x") -> Callable[[Transaction], None]:
    def work(tx: Transaction) -> None:
        tx.batch_upsert("item", [{"id": f"i{n}", "name": text} for n in range(count)])
        for entry in finish(batch_entries(tx.changes, tx.overlay, tx.registry)):
            tx.audit({"action": "item.batch", "object": "items", "result": "ok", **entry})

    return work


# Changes of the model


async def test_a_change_and_its_entry_are_one(repository: Repository, store: Store) -> None:
    await repository.transact(create(2))
    (entry,) = await entries(store)
    assert entry["counts"] == {"items": {"created": 2}}
    assert [change["key"] for change in entry["changes"]] == ["i0", "i1"]


async def test_what_is_not_changed_leaves_no_entry(repository: Repository, store: Store) -> None:
    await repository.transact(create(2), dry_run=True)
    assert await entries(store) == []

    def nothing(tx: Transaction) -> None:
        tx.audit({"action": "nothing"})

    await repository.transact(nothing)
    assert await entries(store) == []


async def test_entries_of_transactions_that_are_committed_together(repository: Repository, store: Store) -> None:
    def one(n: int) -> Callable[[Transaction], None]:
        def work(tx: Transaction) -> None:
            tx.create("item", {"id": f"j{n}", "name": "x"})
            tx.audit({"action": "item.create", "object": f"j{n}"})

        return work

    await asyncio.gather(*(repository.transact(one(n)) for n in range(50)))
    assert [entry["object"] for entry in await entries(store)] == [f"j{n}" for n in range(50)]


@REFUSING
async def test_no_entry_no_change(repository: Repository, store: Store, refusing: Any) -> None:
    await repository.transact(create(1))
    async with refusing(store):
        with pytest.raises(StoreRefused):
            await repository.transact(create(2, "y"))
    assert [item.name for item in repository.registry.items.values()] == ["x"]
    assert await store.redis.hget(keys.hs_item("i0"), "name") == "x"
    assert not await store.redis.exists(keys.hs_item("i1"))
    assert len(await entries(store)) == 1
    await repository.transact(create(2, "y"))
    assert len(repository.registry.items) == 2


async def test_a_large_change_has_all_its_entries(repository: Repository, store: Store) -> None:
    await repository.transact(create(6000))
    found = await entries(store)
    assert [(entry["part"], entry["parts"]) for entry in found] == [(n + 1, 12) for n in range(12)]
    assert len({change["key"] for entry in found for change in entry["changes"]}) == 6000


async def test_large_changes_drive_out_the_oldest_entries(repository: Repository, store: Store) -> None:
    store.audit = AuditSettings(max_bytes=1_048_576)
    for n in range(20):
        await repository.transact(create(900, f"{n}" * 300))
    assert await store.redis.memory_usage(keys.AUDIT, samples=0) < 2 * 1_048_576
    last = (await entries(store))[-1]
    assert last["changes"][-1]["after"]["name"].startswith("1919")
    assert (last["part"], last["parts"]) == (2, 2)


# Controls


class Plant:
    """A handler that remembers what was written."""

    def __init__(self) -> None:
        self.written: list[object] = []
        self.ran = asyncio.Event()

    async def handle(self, kind: Any, device_id: str, parts: Any, left: float) -> list[CommandReply]:
        self.written += [part.value for part in parts]
        self.ran.set()
        return [CommandReply(200, Sample(5.0, part.value, 0)) for part in parts]


@pytest.fixture
async def plant(store: Store) -> AsyncIterator[Plant]:
    """A manager's side that runs."""
    made = Plant()
    await store.redis.set(keys.lease(keys.partition_of(POINT.device_id)), "m")
    server = CommandServer(store, lambda device: True, made.handle)
    running = asyncio.create_task(server.run())
    await server.listening.wait()
    yield made
    running.cancel()
    with suppress(asyncio.CancelledError):
        await running


@pytest.fixture
async def client(store: Store) -> AsyncIterator[CommandClient]:
    made = CommandClient(store, timeout=5.0)
    running = asyncio.create_task(made.run())
    yield made
    running.cancel()
    with suppress(asyncio.CancelledError):
        await running


async def latest(store: Store, point: PointId, text: str) -> None:
    key = keys.latest(keys.partition_of(point.device_id), point.device_id)
    await store.redis.hset(key, f"{point.term_id}:{point.item_id}", text)


async def test_both_entries_of_a_control_tell_what_was_before(
    store: Store, plant: Plant, client: CommandClient
) -> None:
    other = PointId("pump", "t", "name")
    await latest(store, POINT, "1.500000,0,12.5")
    await latest(store, other, '1.500000,0,"a,\\"b\\"}"')
    unknown = PointId("pump", "t", "unknown")
    requests = [CommandRequest(point, 7, user="eve") for point in (POINT, other, unknown)]
    replies = await client.execute("ctrl", requests)
    found = await entries(store)
    assert [entry["before"] for entry in found] == [12.5, 'a,"b"}', None] * 2
    assert [entry.get("result") for entry in found] == [None] * 3 + ["ok"] * 3
    assert [entry["command_id"] for entry in found] == [reply.command_id for reply in replies] * 2
    shown = (await Audit(store).read(AuditFilter(device_id="pump"), 10)).entries
    assert {tuple(entry["devices"]) for entry in shown} == {("pump",)}
    assert len(shown) == 6


async def test_thousands_of_controls_at_once(store: Store, plant: Plant, client: CommandClient) -> None:
    key = keys.latest(keys.partition_of("pump"), "pump")
    await store.redis.hset(key, mapping={f"t:{n}": f"1.500000,0,{n}" for n in range(5000)})
    requests = [CommandRequest(PointId("pump", "t", str(n)), -n) for n in range(5000)]
    replies = await client.execute("ctrl", requests)
    assert {reply.status for reply in replies} == {200}
    found = await entries(store)
    assert [(entry["before"], entry["after"]) for entry in found] == [(n, -n) for n in range(5000)] * 2


async def test_a_latest_value_that_is_none_is_null(store: Store, plant: Plant, client: CommandClient) -> None:
    await latest(store, POINT, "junk")
    (reply,) = await client.execute("ctrl", [CommandRequest(POINT, 7)])
    assert reply.status == 200
    assert [entry["before"] for entry in await entries(store)] == [None, None]


async def test_how_and_why_is_told(store: Store, plant: Plant, client: CommandClient) -> None:
    await client.execute("ctrl", [CommandRequest(POINT, 7, mode="select", verify=True, reason="test")])
    for entry in await entries(store):
        assert (entry["mode"], entry["verify"], entry["reason"]) == ("select", True, "test")


async def test_a_control_that_nobody_takes_tells_what_is_there(store: Store, client: CommandClient) -> None:
    await latest(store, POINT, "1.500000,0,true")
    await client.execute("ctrl", [CommandRequest(POINT, 7)])
    (entry,) = await entries(store)
    assert entry["before"] is True
    assert entry["result"].startswith("503 no device manager")


async def test_reading_leaves_no_entry(store: Store, plant: Plant, client: CommandClient) -> None:
    (reply,) = await client.execute("call", [CommandRequest(POINT)])
    assert reply.status == 200
    assert await entries(store) == []


@REFUSING
async def test_no_entry_no_control(store: Store, plant: Plant, client: CommandClient, refusing: Any) -> None:
    async with refusing(store):
        (reply,) = await client.execute("ctrl", [CommandRequest(POINT, 1)])
    assert (reply.status, reply.title) == (503, "Store refused")
    (reply,) = await client.execute("ctrl", [CommandRequest(POINT, 2)])
    assert reply.status == 200
    assert plant.written == [2]


@REFUSING
async def test_no_entry_no_control_of_another_program(store: Store, plant: Plant, refusing: Any) -> None:
    def message(value: int) -> str:
        return json.dumps({"device_id": "pump", "term_id": "t", "item_id": "speed", "value": value})

    results = keys.ctrl_result_channel(str(POINT))
    async with store.redis.pubsub() as pubsub:
        await pubsub.subscribe(results)
        await pubsub.get_message(timeout=5)
        async with refusing(store):
            await store.redis.publish(keys.CTRL, message(1))
            refused = json.loads((await pubsub.get_message(timeout=5))["data"])
        await store.redis.publish(keys.CTRL, message(2))
        done = json.loads((await pubsub.get_message(timeout=5))["data"])
    assert (refused["status"], refused["title"]) == (503, "Store refused")
    assert (done["status"], done["value"]) == (200, 2)
    assert plant.written == [2]


async def test_a_control_of_another_program_is_told_before_and_after(store: Store, plant: Plant) -> None:
    await latest(store, POINT, "1.500000,0,3")
    async with store.redis.pubsub() as pubsub:
        await pubsub.subscribe(keys.ctrl_result_channel(str(POINT)))
        await pubsub.get_message(timeout=5)
        flat = {"device_id": "pump", "term_id": "t", "item_id": "speed", "value": 4}
        await store.redis.publish(keys.CTRL, json.dumps(flat))
        assert await pubsub.get_message(timeout=5)
    found = await entries(store)
    assert [(entry["user"], entry["before"], entry["after"]) for entry in found] == [("redis", 3, 4)] * 2
    assert [entry.get("result") for entry in found] == [None, "ok"]


async def test_a_key_belongs_to_who_sent_it(plant: Plant, client: CommandClient) -> None:
    def request(user: str, key: str) -> CommandRequest:
        return CommandRequest(POINT, user, user=user, idempotency_key=key)

    for user, key in [("a", "k"), ("b", "k"), ("a:b", "c"), ("a", "b:c"), ("", "a:k")]:
        for _ in range(2):
            (reply,) = await client.execute("ctrl", [request(user, key)])
            assert reply.status == 200
    assert plant.written == ["a", "b", "a:b", "a", ""]


# Reading


async def write(store: Store, *some: dict[str, Any]) -> list[str]:
    """Entries with ids a second apart, from 1 s after 1970."""
    ids = []
    for n, entry in enumerate(some):
        await store.redis.xadd(keys.AUDIT, {"entry": json.dumps(entry)}, id=f"{n + 1}000-0")
        ids.append(f"{n + 1}000-0")
    return ids


async def read(store: Store, **wanted: Any) -> list[str]:
    page = await Audit(store).read(AuditFilter(**wanted), 100)
    return [entry["id"] for entry in page.entries]


async def test_filters(store: Store) -> None:
    ids = await write(
        store,
        {"action": "ctrl", "user": "eve", "object": "d1:t:i", "devices": ["d1"]},
        {"action": "ctrl", "user": "eve", "object": "d1:t:i", "devices": ["d1"], "result": "ok"},
        {"action": "ctrl", "user": "bob", "object": "d2:t:i", "devices": ["d2"], "result": "504 late"},
        {"action": "device.merge", "user": "bob", "object": "d2", "devices": ["d2", "d3"], "result": "ok"},
        {"action": "item.batch", "user": "bob", "object": "items", "devices": [], "result": "ok"},
    )
    ids = ids[::-1]
    assert await read(store) == ids
    assert await read(store, user="eve") == ids[3:]
    assert await read(store, action="ctrl") == ids[2:]
    assert await read(store, action="*.*") == ids[:2]
    assert await read(store, object="d2*") == ids[1:3]
    assert await read(store, device_id="d3") == [ids[1]]
    assert await read(store, failed=True) == [ids[2]]
    assert await read(store, failed=False) == [ids[0], ids[1], ids[3]]
    assert await read(store, since=2.0, until=4.0) == ids[1:4]
    assert await read(store, since=4.0, until=2.0) == []
    assert await read(store, since=-1e300, until=1e300) == ids
    assert await read(store, sees=lambda device: device in {"d1", "d2"}) == ids[2:]
    assert await read(store, user="eve", failed=True) == []


async def test_an_object_is_found_among_the_changes_of_many(store: Store) -> None:
    changes = [
        {"kind": "device", "key": "d1", "renamed_from": "old"},
        {"kind": "term_item", "key": "t:i"},
    ]
    ids = await write(
        store,
        {"action": "import", "object": "model", "changes": changes, "result": "ok"},
        {"action": "device.clone", "object": "d1", "changes": [{"kind": "device", "key": "d2"}], "result": "ok"},
        {"action": "item.batch", "object": "items", "changes": [], "result": "ok"},
        {"action": "other", "object": "x", "changes": "d2"},
        {"action": "other", "object": "x", "changes": ["d2", {"key": 2}, {}]},
    )
    assert await read(store, object="d1") == [ids[1], ids[0]]
    assert await read(store, object="old") == [ids[0]]
    assert await read(store, object="d2") == [ids[1]]
    assert await read(store, object="t:*") == [ids[0]]
    assert await read(store, object="d") == []
    assert await read(store, object="d*", action="import") == [ids[0]]


async def test_a_batch_is_found_by_what_it_changed(repository: Repository, store: Store) -> None:
    await repository.transact(create(600))
    (entry,) = (await Audit(store).read(AuditFilter(object="i555"), 10)).entries
    assert (entry["part"], entry["parts"], entry["object"]) == (2, 2, "items")


async def test_pages_join_without_gap(store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(audit, "CHUNK", 7)
    ids = await write(store, *({"action": "ctrl" if n % 3 else "other", "object": "x"} for n in range(60)))
    wanted = [id_ for n, id_ in enumerate(ids) if n % 3][::-1]
    seen: list[str] = []
    before: str | None = None
    while True:
        page = await Audit(store).read(AuditFilter(action="ctrl", until=1000.0), 6, before)
        seen += [entry["id"] for entry in page.entries]
        before = page.more
        if before is None:
            break
    assert seen == wanted


@pytest.mark.parametrize("before", ["0-0", "00-000", "0-1", "999999999999999999-999999999999999999"])
async def test_the_trail_takes_any_place(store: Store, before: str) -> None:
    ids = await write(store, {"action": "ctrl", "object": "x"})
    page = await Audit(store).read(AuditFilter(), 10, before)
    assert [entry["id"] for entry in page.entries] == (ids if before.startswith("9") else [])
    assert page.more is None


async def test_a_page_of_large_entries_is_shorter(store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(audit, "PAGE_BYTES", 3000)
    ids = await write(store, *({"action": "import", "reason": "x" * 1000} for _ in range(5)))
    page = await Audit(store).read(AuditFilter(), 100)
    assert [entry["id"] for entry in page.entries] == [ids[4], ids[3], ids[2]]
    assert page.more == ids[2]


async def test_what_the_first_release_wrote_is_understood(store: Store) -> None:
    await write(
        store,
        {"action": "ctrl", "object": "d:t:i", "after": 1, "result": 200, "user": "", "source": ""},
        {"action": "device.delete", "object": "d", "before": {"id": "d"}, "result": {"devices": 1}},
    )
    deleted, written = (await Audit(store).read(AuditFilter(), 10)).entries
    assert (written["result"], written["devices"], written["before"]) == ("ok", ["d"], None)
    assert (deleted["result"], deleted["counts"], deleted["devices"]) == ("ok", {"devices": 1}, [])


async def test_junk_of_other_programs_is_passed_over(store: Store) -> None:
    await store.redis.xadd(keys.AUDIT, {"entry": "{"})
    await store.redis.xadd(keys.AUDIT, {"other": "1"})
    await store.redis.xadd(keys.AUDIT, {"entry": "[]"})
    assert await read(store) == []


@pytest.mark.parametrize("devices", [5, "north1", [1, None], {"north1": 1}])
async def test_devices_that_are_none_are_nobodys(store: Store, devices: Any) -> None:
    await store.redis.xadd(keys.AUDIT, {"entry": json.dumps({"action": "x", "devices": devices})})
    assert [entry["devices"] for entry in (await Audit(store).read(AuditFilter(), 100)).entries] == [[]]
    assert await read(store, device_id="north1") == []
    assert await read(store, sees=lambda _: True) == []


async def test_the_trail_is_bounded(store: Store) -> None:
    store.audit = AuditSettings(length=1000)
    await Audit(store).write([{"action": "x", "object": str(n)} for n in range(1500)])
    assert 1000 <= await Audit(store).length() <= 1100
    page = await Audit(store).read(AuditFilter(), 1)
    assert page.entries[0]["object"] == "1499"
