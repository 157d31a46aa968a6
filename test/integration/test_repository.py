"""The model in a real Redis: concurrent writers, several processes, faults."""

from __future__ import annotations

import asyncio
import json
import logging
import subprocess
from collections.abc import AsyncIterator, Callable, Iterator, Sequence
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest
import redis
from redis.backoff import ConstantBackoff
from redis.retry import Retry

from pydatacoll.errors import Conflict, Invalid, NotFound, RequestError, StoreUnavailable
from pydatacoll.model import PointId
from pydatacoll.model.change import Change
from pydatacoll.model.registry import Registry
from pydatacoll.model.transaction import Transaction
from pydatacoll.model.validation import Kind, Schemas
from pydatacoll.store import keys
from pydatacoll.store.client import Store
from pydatacoll.store.engine import bundled
from pydatacoll.store.model_codec import encode, hash_key
from pydatacoll.store.repository import Repository
from pydatacoll.testing.model import Plain, device, formula, item, schemas, term, term_item

SCHEMAS = schemas()


@asynccontextmanager
async def running(store: Store, known: Schemas = SCHEMAS) -> AsyncIterator[Repository]:
    repository = Repository(store, known)
    await repository.start()
    try:
        yield repository
    finally:
        await repository.stop()


@pytest.fixture
async def repository(store: Store) -> AsyncIterator[Repository]:
    async with running(store) as made:
        yield made


def create(kind: Kind, payload: Any) -> Callable[[Transaction], Any]:
    return lambda transaction: transaction.create(kind, payload)


def plant(transaction: Transaction) -> None:
    """d - t - i (1), j (2), and f = d:t:i -> d:t:j."""
    transaction.create("device", device("d"))
    transaction.create("term", term("t"))
    transaction.batch_upsert("item", [item("i"), item("j")])
    transaction.create("term_item", term_item("t", "i", protocol_code="1"))
    transaction.create("term_item", term_item("t", "j", protocol_code="2"))
    transaction.create("formula", formula("f", "d:t:j", p1="d:t:i"))


async def until(repository: Repository, condition: Callable[[Registry], bool]) -> None:
    """Wait until the registry is as wanted, woken by its changes."""
    changed = asyncio.Event()
    stop = repository.subscribe(lambda _: changed.set())
    try:
        async with asyncio.timeout(30):
            while not condition(repository.registry):
                changed.clear()
                await changed.wait()
    finally:
        stop()


async def assert_stored(store: Store, registry: Registry) -> None:
    """Redis holds exactly the model of the registry: no orphan, no leftover."""
    hashes = {
        hash_key(kind, key): encode(made)
        for kind, table in (
            ("device", registry.devices),
            ("term", registry.terms),
            ("item", registry.items),
            ("term_item", registry.term_items),
            ("formula", registry.formulas),
        )
        for key, made in table.items()  # type: ignore[attr-defined]
    }
    sets: dict[str, set[str]] = {}
    for name, members in (
        (keys.SET_DEVICE, registry.devices),
        (keys.SET_TERM, registry.terms),
        (keys.SET_ITEM, registry.items),
        (keys.SET_FORMULA, registry.formulas),
    ):
        sets[name] = set(members)
    for one in registry.terms.values():
        sets.setdefault(keys.set_device_term(one.device_id), set()).add(one.id)
    for term_id, item_id in registry.term_items:
        sets.setdefault(keys.set_term_item(term_id), set()).add(item_id)
    for used in registry.formulas.values():
        for ref in used.params.values():
            sets.setdefault(keys.set_formula_param(ref), set()).add(used.id)
    names = [name async for name in store.redis.scan_iter()]
    assert {n: await store.redis.hgetall(n) for n in names if n.startswith("HS:") and "{p" not in n} == hashes
    found = {n: await store.redis.smembers(n) for n in names if n.startswith("SET:") and "{p" not in n}
    assert found == {name: members for name, members in sets.items() if members}
    assert int(await store.redis.get(keys.VERSION) or 0) == registry.version


async def test_what_was_committed_is_there_after_a_restart(store: Store) -> None:
    async with running(store) as first:
        await first.transact(plant)
        await assert_stored(store, first.registry)
    async with running(store) as second:
        assert second.ready
        assert second.registry.devices == first.registry.devices
        assert second.registry.terms == first.registry.terms
        assert second.registry.items == first.registry.items
        assert second.registry.term_items == first.registry.term_items
        assert second.registry.formulas == first.registry.formulas
        assert second.registry.version == first.registry.version


async def test_on_each_engine(engine_store: Store) -> None:
    async with running(engine_store) as one, running(engine_store) as two:
        await one.transact(plant)
        await put_data(engine_store, PointId("d", "t", "i"), "1")
        await two.transact(lambda tx: tx.merge("term", "t", {"id": "u"}))
        await two.transact(lambda tx: tx.merge("device", "d", {"id": "e"}))
        assert await get_data(engine_store, PointId("e", "u", "i")) == (["1"], "1")
        await until(one, lambda registry: "e" in registry.devices)
        assert one.registry.formulas == two.registry.formulas
        await assert_stored(engine_store, one.registry)
        await one.transact(lambda tx: tx.delete("device", "e"))
        await assert_stored(engine_store, one.registry)
        assert await data_keys(engine_store) == set()


async def test_a_group_deletes_and_creates_again(repository: Repository, store: Store) -> None:
    await repository.transact(plant)
    await asyncio.gather(
        repository.transact(create("item", item("k"))),
        repository.transact(create("term_item", term_item("t", "k"))),
        repository.transact(lambda tx: tx.delete("term", "t")),
        repository.transact(create("term", term("t"))),
        repository.transact(create("term_item", term_item("t", "i", protocol_code="1"))),
        repository.transact(lambda tx: tx.merge("term", "t", {"id": "u"})),
        repository.transact(create("term", term("t"))),
        repository.transact(create("term_item", term_item("t", "j", protocol_code="2"))),
    )
    assert set(repository.registry.term_items) == {("u", "i"), ("t", "j")}
    await assert_stored(store, repository.registry)


async def test_of_two_creators_one_wins(repository: Repository, store: Store) -> None:
    outcomes = await asyncio.gather(
        *(repository.transact(create("device", device("d", description=str(n)))) for n in range(8)),
        return_exceptions=True,
    )
    assert sum(isinstance(outcome, Conflict) for outcome in outcomes) == 7
    winner = next(outcome for outcome in outcomes if not isinstance(outcome, Exception))
    assert repository.registry.devices == {"d": winner}
    await assert_stored(store, repository.registry)


async def test_of_two_creators_in_two_processes_one_wins(store: Store) -> None:
    async with running(store) as one, running(store) as two:
        for n in range(20):
            outcomes = await asyncio.gather(
                one.transact(create("device", device(f"d{n}", description="one"))),
                two.transact(create("device", device(f"d{n}", description="two"))),
                return_exceptions=True,
            )
            assert sum(isinstance(outcome, Conflict) for outcome in outcomes) == 1
            assert not await store.redis.exists(keys.MODEL_TURN)  # given back by the loser
        await until(one, lambda registry: len(registry.devices) == 20)
        await until(two, lambda registry: registry.version == one.registry.version)
        assert one.registry.devices == two.registry.devices
        await assert_stored(store, two.registry)


async def test_the_turn_of_a_dead_process_passes(repository: Repository, store: Store) -> None:
    await store.redis.set(keys.MODEL_TURN, "another", px=50)
    await repository.transact(plant)
    assert not await store.redis.exists(keys.MODEL_TURN)
    await assert_stored(store, repository.registry)


async def test_junk_under_a_name_of_the_model_is_replaced(repository: Repository, store: Store) -> None:
    for name in (keys.SET_DEVICE, keys.hs_device("d"), keys.set_device_term("d"), keys.MODEL_LOG):
        await store.redis.set(name, "junk")
    await repository.transact(plant)
    await assert_stored(store, repository.registry)


async def test_junk_under_a_name_of_data_does_not_fail_the_change(
    repository: Repository, store: Store, caplog: pytest.LogCaptureFixture
) -> None:
    await repository.transact(plant)
    await store.redis.set(keys.latest(keys.partition_of("d", store.partitions), "d"), "junk")
    await repository.transact(lambda tx: tx.merge("term", "t", {"id": "u"}))
    assert "was left behind" in caplog.text
    await assert_stored(store, repository.registry)


async def test_rename_racing_delete_leaves_no_orphan(store: Store) -> None:
    async with running(store) as one, running(store) as two:
        for n in range(10):
            await one.transact(plant)
            outcomes = await asyncio.gather(
                one.transact(lambda tx: tx.merge("device", "d", {"id": "e"})),
                two.transact(lambda tx: tx.delete("device", "d")),
                one.transact(lambda tx: tx.merge("term", "t", {"id": "u"})),
                two.transact(lambda tx: tx.merge("term_item", ("t", "i"), {"protocol_code": "5"})),
                return_exceptions=True,
            )
            assert all(not isinstance(o, Exception) or isinstance(o, NotFound) for o in outcomes), (n, outcomes)
            await one.transact(lambda tx: tx.batch_delete("device", list(tx.registry.devices)))
            await assert_stored(store, one.registry)
            assert not one.registry.term_items
            assert not one.registry.formulas
            await one.transact(lambda tx: tx.batch_delete("item", ["i", "j"]))


async def test_two_processes_converge(store: Store) -> None:
    async with running(store) as one, running(store) as two:

        async def work(repository: Repository, name: str) -> None:
            for n in range(60):
                key = f"{name}{n % 7}"
                try:
                    if n % 5 == 4:
                        await repository.transact(lambda tx, key=key: tx.delete("device", key))  # type: ignore[misc]
                    else:
                        row = [device(key, description=str(n))]
                        await repository.transact(
                            lambda tx, row=row: tx.batch_upsert("device", row)  # type: ignore[misc]
                        )
                except NotFound:
                    continue

        await asyncio.gather(work(one, "a"), work(two, "b"), work(one, "c"), work(two, "c"))
        stored = int(await store.redis.get(keys.VERSION))
        await until(one, lambda registry: registry.version == stored)
        await until(two, lambda registry: registry.version == stored)
        assert one.registry.devices == two.registry.devices
        await assert_stored(store, one.registry)


async def test_a_change_is_seen_by_others_with_its_kind(store: Store) -> None:
    async with running(store) as one, running(store) as two:
        seen: list[Change] = []

        def note(changes: Sequence[Change] | None) -> None:
            seen.extend(changes or ())

        two.subscribe(note)
        await one.transact(plant)
        await until(two, lambda registry: "f" in registry.formulas)
        assert {(change.kind, change.key) for change in seen} == {
            ("device", "d"),
            ("term", "t"),
            ("item", "i"),
            ("item", "j"),
            ("term_item", ("t", "i")),
            ("term_item", ("t", "j")),
            ("formula", "f"),
        }
        assert all(change.old is None and change.new is not None for change in seen)


async def test_a_failed_function_fails_alone(repository: Repository, store: Store) -> None:
    def fail(transaction: Transaction) -> None:
        transaction.create("device", device("lost"))
        raise ZeroDivisionError

    outcomes = await asyncio.gather(
        repository.transact(create("device", device("a"))),
        repository.transact(fail),
        repository.transact(create("device", {"id": "b"})),
        repository.transact(create("term", term("t", "a"))),
        repository.transact(create("term", term("u", "lost"))),
        return_exceptions=True,
    )
    assert [type(outcome).__name__ for outcome in outcomes] == [
        "WireDevice",
        "ZeroDivisionError",
        "Invalid",
        "Term",
        "MissingReference",
    ]
    await assert_stored(store, repository.registry)
    assert set(repository.registry.devices) == {"a"}


async def test_a_dry_run_commits_nothing(repository: Repository) -> None:
    await repository.transact(plant)
    version = repository.registry.version

    def delete(transaction: Transaction) -> dict[str, int]:
        transaction.delete("device", "d")
        return transaction.counts

    counts = await repository.transact(delete, dry_run=True)
    assert counts == {"devices": 1, "terms": 1, "term_items": 2, "formulas": 1}
    assert repository.registry.version == version
    assert await repository.transact(delete) == counts


async def test_a_cancelled_caller_does_not_harm_the_others(repository: Repository, store: Store) -> None:
    callers = [asyncio.create_task(repository.transact(create("item", item(f"i{n}")))) for n in range(10)]
    await asyncio.sleep(0)
    callers[3].cancel()
    outcomes = await asyncio.gather(*callers, return_exceptions=True)
    assert sum(isinstance(outcome, asyncio.CancelledError) for outcome in outcomes) == 1
    await assert_stored(store, repository.registry)


async def test_flushing_the_store_is_noticed(repository: Repository, store: Store) -> None:
    await repository.transact(plant)
    reloads: list[object] = []
    repository.subscribe(reloads.append)
    await store.redis.flushall()
    await until(repository, lambda registry: not registry.devices)
    assert reloads == [None]
    await repository.transact(plant)
    await assert_stored(store, repository.registry)


async def test_writing_right_after_a_flush(repository: Repository, store: Store) -> None:
    await repository.transact(plant)
    before = repository.registry.version
    await store.redis.flushall()
    await repository.transact(create("device", device("d")))  # did exist a moment ago
    assert repository.registry.version > before
    await assert_stored(store, repository.registry)


async def test_a_log_that_was_cut_means_a_full_reload(store: Store) -> None:
    async with running(store) as one, running(store) as two:
        await one.transact(plant)
        await until(two, lambda registry: "f" in registry.formulas)
        await two.stop()
        await one.transact(create("device", device("x")))
        await one.transact(create("device", device("y")))
        await store.redis.xtrim(keys.MODEL_LOG, maxlen=1, approximate=False)
        reloads: list[object] = []
        two.subscribe(reloads.append)
        await two.start()
        assert reloads == [None]
        assert two.registry.devices == one.registry.devices


async def test_events_carry_ids_and_version(repository: Repository, store: Store) -> None:
    listener = store.dedicated()
    async with listener.pubsub() as pubsub:
        await pubsub.psubscribe("CHANNEL:*")
        await pubsub.get_message(timeout=5)
        await repository.transact(plant)
        await repository.transact(lambda tx: tx.merge("device", "d", {"name": "other"}))
        await repository.transact(lambda tx: tx.delete("device", "d"))
        events = []
        while not events or events[-1][0] != "DEVICE_DEL":
            message = await pubsub.get_message(ignore_subscribe_messages=True, timeout=5)
            assert message is not None
            events.append((message["channel"].removeprefix("CHANNEL:"), json.loads(message["data"])))
    await store.release(listener)
    assert all(isinstance(data.pop("version"), int) for _, data in events)
    assert ("TERM_ITEM_ADD", {"device_id": "d", "term_id": "t", "item_id": "i"}) in events
    assert ("TERM_ADD", {"device_id": "d", "term_id": "t"}) in events
    assert ("ITEM_FRESH", {"item_id": "i"}) in events
    assert ("FORMULA_ADD", {"formula_id": "f", "device_id": "d", "term_id": "t", "item_id": "j"}) in events
    assert ("DEVICE_FRESH", {"device_id": "d"}) in events
    names = [name for name, _ in events]
    assert not {"TERM_DEL", "TERM_ITEM_DEL"} & set(names)  # implied by the device's


async def put_data(store: Store, point: PointId, text: str) -> None:
    partition = keys.partition_of(point.device_id, store.partitions)
    field = f"{point.term_id}:{point.item_id}"
    await store.redis.rpush(keys.history(partition, point.device_id, field), text)
    await store.redis.hset(keys.latest(partition, point.device_id), field, text)
    await store.redis.sadd(keys.data_devices(partition), point.device_id)
    await store.redis.hset(keys.link(partition), point.device_id, "{}")
    await store.redis.hset(keys.status(partition), point.device_id, "{}")


async def get_data(store: Store, point: PointId) -> tuple[list[str], str | None]:
    partition = keys.partition_of(point.device_id, store.partitions)
    field = f"{point.term_id}:{point.item_id}"
    samples = await store.redis.lrange(keys.history(partition, point.device_id, field), 0, -1)
    return samples, await store.redis.hget(keys.latest(partition, point.device_id), field)


async def data_keys(store: Store) -> set[str]:
    return {name async for name in store.redis.scan_iter() if "{p" in name}


async def test_recent_data_follows_a_rename(repository: Repository, store: Store) -> None:
    await repository.transact(plant)
    await put_data(store, PointId("d", "t", "i"), "first")
    await put_data(store, PointId("d", "t", "j"), "second")
    await repository.transact(lambda tx: tx.merge("device", "d", {"id": "renamed"}))
    await repository.transact(lambda tx: tx.merge("term", "t", {"id": "u"}))
    await repository.transact(lambda tx: tx.merge("item", "i", {"id": "k"}))
    assert await get_data(store, PointId("renamed", "u", "k")) == (["first"], "first")
    assert await get_data(store, PointId("renamed", "u", "j")) == (["second"], "second")
    partition = keys.partition_of("renamed", store.partitions)
    assert await data_keys(store) == {
        keys.history(partition, "renamed", "u:k"),
        keys.history(partition, "renamed", "u:j"),
        keys.latest(partition, "renamed"),
        keys.data_devices(partition),
        keys.link(partition),
        keys.status(partition),
    }
    await assert_stored(store, repository.registry)


async def test_recent_data_goes_with_what_was_deleted(repository: Repository, store: Store) -> None:
    await repository.transact(plant)
    for name in "ij":
        await put_data(store, PointId("d", "t", name), "1")
    await repository.transact(lambda tx: tx.delete("term_item", ("t", "i")))
    assert await get_data(store, PointId("d", "t", "i")) == ([], None)
    assert await get_data(store, PointId("d", "t", "j")) == (["1"], "1")
    await repository.transact(lambda tx: tx.delete("device", "d"))
    assert await data_keys(store) == set()
    await put_data(store, PointId("d", "t", "j"), "late")
    await repository.drop_data([PointId("d", "t", "j")], ["d"])
    assert await data_keys(store) == set()


async def test_ten_thousand_objects_in_one_transaction(repository: Repository, store: Store) -> None:
    def build(transaction: Transaction) -> dict[str, int]:
        transaction.create("device", device("d"))
        transaction.create("term", term("t"))
        transaction.batch_upsert("item", [item(f"i{n}") for n in range(10_000)])
        rows = [term_item("t", f"i{n}", protocol_code=str(n + 100)) for n in range(10_000)]
        return transaction.batch_upsert("term_item", rows)

    assert await repository.transact(build) == {"created": 10_000, "updated": 0, "unchanged": 0}
    async with running(store) as other:
        assert other.registry.term_items == repository.registry.term_items
        bad = [term_item("t", f"i{n}", protocol_code="100") for n in range(10_000)]
        with pytest.raises(Invalid) as caught:
            await repository.transact(lambda tx: tx.batch_upsert("term_item", bad))
        assert len(caught.value.errors) == 9_999
        await repository.transact(lambda tx: tx.delete("device", "d"))
        await until(other, lambda registry: not registry.devices)
        assert not other.registry.term_items
    await assert_stored(store, repository.registry)


async def test_what_a_missing_driver_stored_is_kept(store: Store) -> None:
    """A driver is uninstalled, the model is worked on, the driver comes back."""
    async with running(store) as repository:
        await repository.transact(plant)
        await repository.transact(lambda tx: tx.merge("term_item", ("t", "j"), {"bit": 3}))
        await repository.transact(lambda tx: tx.merge("device", "d", {"timeout": 9}))
    async with running(store, Schemas({"plain": Plain})) as poorer:
        await poorer.transact(lambda tx: tx.merge("term", "t", {"id": "u"}))
        await poorer.transact(lambda tx: tx.merge("term_item", ("u", "j"), {"writable": True}))
        await poorer.transact(lambda tx: tx.merge("device", "d", {"id": "e", "enabled": False}))
        with pytest.raises(Invalid, match="unknown protocol"):
            await poorer.transact(create("device", device("new")))
    async with running(store) as repository:
        changed: Any = repository.registry.term_items["u", "j"]
        assert (changed.bit, changed.writable) == (3, True)
        kept: Any = repository.registry.devices["e"]
        assert (kept.timeout, kept.enabled) == (9.0, False)
        await assert_stored(store, repository.registry)


async def test_what_cannot_be_read_is_left_out(store: Store, caplog: pytest.LogCaptureFixture) -> None:
    async with running(store) as repository:
        await repository.transact(plant)
        await repository.transact(create("device", device("ok")))
        await repository.transact(create("item", item("bytes")))
    await store.redis.hset(keys.hs_device("d"), "port", "many")
    await store.binary.hset(keys.hs_item("bytes"), "name", b"\xff\xfe")
    await store.redis.delete(keys.hs_item("i"))
    await store.redis.set(keys.hs_item("i"), "not a hash")
    with caplog.at_level(logging.ERROR):
        async with running(store) as repository:
            assert set(repository.registry.devices) == {"ok"}
            assert not repository.registry.terms
            assert set(repository.registry.items) == {"j"}
            assert not repository.registry.formulas
            await repository.transact(create("device", device("d")))
            await repository.transact(create("item", item("i")))
    assert "HS:DEVICE:d" in caplog.text
    assert "HS:ITEM:bytes" in caplog.text
    assert (await store.redis.hgetall(keys.hs_item("i")))["name"] == "i"


async def test_a_subscriber_that_fails_is_survived(
    repository: Repository, caplog: pytest.LogCaptureFixture
) -> None:
    def fail(_: object) -> None:
        raise ZeroDivisionError

    stop = repository.subscribe(fail)
    await repository.transact(create("device", device("d")))
    assert "a subscriber of the model failed" in caplog.text
    stop()
    stop()


class Server:
    """A server of the test's own, that it may kill."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.url = f"unix://{folder}/s"
        self.process: subprocess.Popen[bytes] | None = None

    def start(self) -> None:
        executable = bundled()
        assert executable is not None
        options = ["--port", "0", "--unixsocket", f"{self.folder}/s", "--dir", str(self.folder), "--save", ""]
        self.process = subprocess.Popen(
            [executable, *options, "--appendonly", "yes", "--appendfsync", "always", "--logfile", "log"]
        )
        with redis.Redis(unix_socket_path=f"{self.folder}/s", retry=Retry(ConstantBackoff(0.02), 500)) as client:
            client.ping()

    def kill(self) -> None:
        if self.process is not None:
            self.process.kill()
            self.process.wait()
            self.process = None


@pytest.fixture
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    made = Server(tmp_path_factory.mktemp("s"))
    made.start()
    yield made
    made.kill()


async def test_a_killed_server_comes_back(server: Server) -> None:
    store = await Store.open(server.url)
    async with running(store) as repository:
        await repository.transact(plant)
        before = dict(repository.registry.term_items)
        server.kill()
        with pytest.raises(StoreUnavailable):
            await repository.transact(create("device", device("x")))
        assert not repository.ready
        assert repository.registry.term_items == before  # reading goes on
        server.start()
        async with asyncio.timeout(30):
            while True:
                try:
                    await repository.transact(create("device", device("x")))
                    break
                except StoreUnavailable:
                    continue
        assert repository.ready
        await assert_stored(store, repository.registry)
    await store.close()


async def test_starting_without_a_server(server: Server) -> None:
    server.kill()
    store = Store(server.url)
    async with running(store) as repository:
        assert not repository.ready
        waiting = asyncio.create_task(repository.transact(create("device", device("x"))))
        server.start()
        await waiting
        assert repository.ready
    await store.close()


async def test_a_stopped_repository_refuses(store: Store) -> None:
    async with running(store) as repository:
        await repository.transact(plant)
    with pytest.raises(StoreUnavailable):
        await repository.transact(create("device", device("x")))


async def test_requests_go_on_while_a_large_device_is_deleted(repository: Repository, store: Store) -> None:
    def build(transaction: Transaction) -> None:
        transaction.create("device", device("d"))
        transaction.create("term", term("t"))
        transaction.batch_upsert("item", [item(f"i{n}") for n in range(3_000)])
        transaction.batch_upsert("term_item", [term_item("t", f"i{n}") for n in range(3_000)])

    await repository.transact(build)
    partition = keys.partition_of("d", store.partitions)
    async with store.redis.pipeline(transaction=False) as pipe:
        for n in range(3_000):
            pipe.rpush(keys.history(partition, "d", f"t:i{n}"), "1")
        await pipe.execute()
    await store.redis.config_resetstat()
    deleting = asyncio.create_task(repository.transact(lambda tx: tx.delete("device", "d")))
    while not deleting.done():
        await repository.transact(create("item", item(f"x{len(repository.registry.items)}")))
    await deleting
    assert await data_keys(store) == set()
    stats = await store.redis.info("commandstats")
    assert "cmdstat_keys" not in stats
    assert stats["cmdstat_unlink"]["calls"] >= 6  # in chunks
    await assert_stored(store, repository.registry)


async def test_errors_are_those_of_the_present_model(store: Store) -> None:
    """What another process did a moment ago counts, even when nothing is committed."""
    async with running(store) as one, running(store) as two:
        for n in range(20):
            await one.transact(create("device", device(f"d{n}")))
            await two.transact(create("term", term(f"t{n}", f"d{n}")))
            with pytest.raises(RequestError):
                await one.transact(create("term", term(f"t{n}", f"d{n}")))
