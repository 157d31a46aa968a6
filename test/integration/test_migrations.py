"""Data of an older release is brought up to date before it is used; that of a newer one is left alone."""

from __future__ import annotations

import asyncio
import signal
import sys
from asyncio.subprocess import PIPE
from dataclasses import replace

import pytest

from pydatacoll.errors import ConfigError, StoreError, StoreTooNew, StoreUnavailable
from pydatacoll.model import PointId
from pydatacoll.runtime import runtime
from pydatacoll.settings import RedisSettings, Settings
from pydatacoll.store import keys, migrations
from pydatacoll.store.client import Store
from pydatacoll.store.history import History
from pydatacoll.store.migrations import MIGRATIONS, Migration, migrate, newest
from pydatacoll.testing.model import device
from test.conftest import flush
from test.integration.model_rig import create, put_data, running

FIRST_RELEASE: dict[str, dict[str, str] | set[str]] = {
    "SET:DEVICE": {"d"},
    "HS:DEVICE:d": {
        "id": "d",
        "name": "Line 1",
        "protocol": "wire",
        "ip": "127.0.0.1",
        "port": "502",
        "timeout": "2.5",
    },
    "SET:DEVICE_TERM:d": {"t"},
    "SET:TERM": {"t"},
    "HS:TERM:t": {"id": "t", "name": "unit 1", "device_id": "d", "address": "1"},
    "SET:ITEM": {"i", "j"},
    "HS:ITEM:i": {"id": "i", "name": "power", "unit": "kW"},
    "HS:ITEM:j": {"id": "j", "name": "sum"},
    "SET:TERM_ITEM:t": {"i", "j"},
    "HS:TERM_ITEM:t:i": {
        "term_id": "t",
        "item_id": "i",
        "protocol_code": "100",
        "coefficient": "0.1",
        "codes": "[1,2]",
    },
    "HS:TERM_ITEM:t:j": {"term_id": "t", "item_id": "j", "writable": "true"},
    "SET:FORMULA": {"f"},
    "HS:FORMULA:f": {
        "id": "f",
        "formula": "p1*2",
        "device_id": "d",
        "term_id": "t",
        "item_id": "j",
        "p1": "d:t:i",
    },
    "SET:FORMULA_PARAM:d:t:i": {"f"},
}
"""A model as the release before ``META:LAYOUT`` stored it."""


@pytest.fixture
async def first_release(store: Store) -> Store:
    """A store that a release before ``META:LAYOUT`` has written, and this one has not seen."""
    await store.redis.flushall()
    for name, content in FIRST_RELEASE.items():
        if isinstance(content, set):
            await store.redis.sadd(name, *content)
        else:
            await store.redis.hset(name, mapping=content)
    await store.redis.set("META:PARTITIONS", 4)
    await store.redis.set("META:VERSION", "1795255708123")
    await store.redis.xadd("STREAM:MODEL", {"prev": "0", "hashes": '["HS:DEVICE:d"]'}, id="1795255708123-0")
    store.partitions = 4
    await put_data(store, PointId("d", "t", "i"), "1795255708.123456,0,132.5")
    return store


async def test_data_of_the_first_release(first_release: Store) -> None:
    store = await Store.open(first_release.url)
    assert await store.redis.get(keys.LAYOUT) == str(newest(MIGRATIONS))
    assert store.partitions == 4
    async with running(store) as repository:
        registry = repository.registry
        assert registry.devices["d"].name == "Line 1"
        assert registry.term_items["t", "i"].coefficient == 0.1
        assert registry.term_items["t", "j"].writable
        assert registry.formulas["f"].params == {"p1": "d:t:i"}
        samples = await History(store).latest_of_device("d")
        assert [sample.value for sample in samples.values()] == [132.5]
        await repository.transact(create("device", device("e")))
        await repository.transact(lambda tx: tx.merge("term", "t", {"id": "u"}))
        assert registry.formulas["f"].params == {"p1": "d:u:i"}
        async with running(store) as again:
            assert again.registry.devices == registry.devices
            assert again.registry.term_items == registry.term_items
            assert again.registry.formulas == registry.formulas
    await store.close()


async def test_an_empty_store_needs_no_migration(store: Store, caplog: pytest.LogCaptureFixture) -> None:
    flush(store.url)
    await store.settle()
    assert await store.redis.get(keys.LAYOUT) == str(newest(MIGRATIONS))
    assert "migrating" not in caplog.text


async def test_data_of_a_newer_release_is_left_alone(first_release: Store) -> None:
    await first_release.redis.set(keys.LAYOUT, newest(MIGRATIONS) + 1)
    await first_release.redis.function_flush()
    before = await first_release.redis.keys()
    with pytest.raises(StoreTooNew, match=f"layout {newest(MIGRATIONS) + 1}.* up to {newest(MIGRATIONS)}: start"):
        await Store.open(first_release.url)
    settings = Settings(redis=RedisSettings(url=first_release.url))
    with pytest.raises(ConfigError, match=r"layout .* knows layouts up to"):
        async with runtime(settings, first_release.url):
            pass
    assert await first_release.redis.function_list() == []
    assert sorted(await first_release.redis.keys()) == sorted(before)


async def test_a_newer_backup_restored_under_a_running_process(
    store: Store, caplog: pytest.LogCaptureFixture
) -> None:
    async with running(store) as repository:
        await repository.transact(create("device", device("d")))
        async with asyncio.timeout(30):
            await store.redis.set(keys.LAYOUT, newest(MIGRATIONS) + 1)
            await store.redis.set(keys.VERSION, 1)
            while "knows layouts up to" not in caplog.text:
                await asyncio.sleep(0)
        assert not repository.ready
        await store.redis.set(keys.LAYOUT, newest(MIGRATIONS))
        async with asyncio.timeout(30):
            await repository.loaded()


async def test_a_layout_that_is_none(first_release: Store) -> None:
    await first_release.redis.set(keys.LAYOUT, "blue")
    with pytest.raises(StoreError, match="'blue'"):
        await Store.open(first_release.url)


def adding(number: int, runs: list[int]) -> Migration:
    """A migration that appends to a key, and would do harm when it ran twice."""

    async def run(store: Store) -> None:
        runs.append(number)
        await asyncio.sleep(0)
        name = await store.redis.hget("HS:DEVICE:d", "name")
        if not name.endswith(f"+{number}"):
            await store.redis.hset("HS:DEVICE:d", "name", f"{name}+{number}")

    return Migration(f"add {number}", run)


async def test_a_chain_runs_in_order_and_once(first_release: Store, caplog: pytest.LogCaptureFixture) -> None:
    runs: list[int] = []
    chain = [adding(number, runs) for number in (1, 2, 3)]
    other = Store(first_release.url)
    await asyncio.gather(*(migrate(one, chain) for one in (first_release, other, first_release)))
    await migrate(other, chain)
    assert runs == [1, 2, 3]
    assert await first_release.redis.hget("HS:DEVICE:d", "name") == "Line 1+1+2+3"
    assert await first_release.redis.get(keys.LAYOUT) == "4"
    assert "from layout 3 to 4: add 3" in caplog.text
    assert not await first_release.redis.exists(keys.MIGRATING)
    longer = [*chain, adding(4, runs)]
    await migrate(other, longer)
    assert runs == [1, 2, 3, 4]
    with pytest.raises(StoreTooNew):
        await migrations.check_layout(first_release, chain)
    await other.close()


@pytest.mark.parametrize("error", [StoreUnavailable("away"), asyncio.CancelledError()])
async def test_what_was_interrupted_goes_on_where_it_was(first_release: Store, error: BaseException) -> None:
    runs: list[int] = []
    chain = [adding(number, runs) for number in (1, 2, 3)]

    async def fail(store: Store) -> None:
        await chain[1].run(store)
        raise error

    with pytest.raises(type(error)):
        await migrate(first_release, [chain[0], replace(chain[1], run=fail), chain[2]])
    assert await first_release.redis.get(keys.LAYOUT) == "2"
    assert not await first_release.redis.exists(keys.MIGRATING)
    await migrate(first_release, chain)
    assert runs == [1, 2, 2, 3]
    assert await first_release.redis.hget("HS:DEVICE:d", "name") == "Line 1+1+2+3"


SCRIPT = """
import asyncio, sys
from pydatacoll.store import migrations
from pydatacoll.store.client import Store
from test.integration.test_migrations import adding
migrations.LOCK_LIFE = 1000
chain = [adding(number, []) for number in (1, 2, 3)]

async def halt(store):
    await chain[1].run(store)
    print("here", flush=True)
    await asyncio.Event().wait()

async def main():
    await migrations.migrate(Store(sys.argv[1]), [chain[0], migrations.Migration("halt", halt), chain[2]])

asyncio.run(main())
"""


async def test_a_killed_process(first_release: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    """The next one waits for its lock to pass, and for no longer."""
    monkeypatch.setattr(migrations, "WAIT", 0.01)
    killed = await asyncio.create_subprocess_exec(sys.executable, "-c", SCRIPT, first_release.url, stdout=PIPE)
    assert killed.stdout is not None
    assert await killed.stdout.readline() == b"here\n"
    runs: list[int] = []
    chain = [adding(number, runs) for number in (1, 2, 3)]
    waiting = asyncio.create_task(migrate(first_release, chain))
    killed.send_signal(signal.SIGKILL)
    await killed.wait()
    async with asyncio.timeout(30):
        await waiting
    assert runs == [2, 3]
    assert await first_release.redis.hget("HS:DEVICE:d", "name") == "Line 1+1+2+3"


async def test_a_process_that_slept_too_long_stamps_nothing(first_release: Store) -> None:
    """Its lock passed to another one, which is at work."""
    runs: list[int] = []

    async def sleep(store: Store) -> None:
        runs.append(0)
        if len(runs) == 1:
            await store.redis.set(keys.MIGRATING, "another", px=100)

    await migrate(first_release, [Migration("sleep", sleep)])
    assert runs == [0, 0]
    assert await first_release.redis.get(keys.LAYOUT) == "2"
