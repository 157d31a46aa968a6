"""The model in a real Redis: faults, junk, missing drivers, and recent data that follows."""

from __future__ import annotations

import asyncio
import logging
import subprocess
from collections.abc import AsyncIterator, Iterator
from pathlib import Path
from typing import Any

import pytest
import redis
from redis.backoff import ConstantBackoff
from redis.retry import Retry

from pydatacoll.errors import Invalid, StoreUnavailable
from pydatacoll.model import PointId
from pydatacoll.model.transaction import Transaction
from pydatacoll.model.validation import Schemas
from pydatacoll.store import keys
from pydatacoll.store.client import Store
from pydatacoll.store.engine import bundled
from pydatacoll.store.repository import Repository
from pydatacoll.testing.model import Plain, device, item, term, term_item
from test.integration.model_rig import (
    assert_stored,
    create,
    data_keys,
    get_data,
    plant,
    put_data,
    running,
    until,
)


@pytest.fixture
async def repository(store: Store) -> AsyncIterator[Repository]:
    async with running(store) as made:
        yield made


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
