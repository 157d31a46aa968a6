"""The model when answers are lost, the store stays away, or others change it meanwhile; and large changes."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from pathlib import Path
from typing import Any

import pytest

from pydatacoll.errors import Conflict, Invalid, StoreUnavailable
from pydatacoll.model.transaction import Transaction
from pydatacoll.store import client, keys, pace
from pydatacoll.store import repository as repository_module
from pydatacoll.store.client import Arg, Store
from pydatacoll.store.repository import Repository
from pydatacoll.testing.model import device, item, term, term_item
from test.integration.model_rig import assert_stored, create, plant, running, until
from test.integration.proxy import Proxy


@pytest.fixture
async def proxy(redis_url: str, store: Store) -> AsyncIterator[Proxy]:
    """Between a process and the store; what ``store`` does goes past it."""
    async with Proxy(redis_url.removeprefix("unix://")) as made:
        yield made


@pytest.fixture
def impatient(monkeypatch: pytest.MonkeyPatch) -> None:
    """Nothing is waited for longer than a moment."""
    monkeypatch.setattr(client, "TIMEOUT", 0.3)
    monkeypatch.setattr(repository_module, "TIMEOUT", 0.3)
    monkeypatch.setattr(repository_module, "BLOCK", 100)


async def persist(repository: Repository, work: Callable[[Transaction], object]) -> None:
    """Try until the store answers: connections that were broken are found out one by one."""
    async with asyncio.timeout(30):
        while True:
            await repository.loaded()
            try:
                await repository.transact(work)
            except StoreUnavailable:
                continue
            return


async def test_a_commit_whose_reply_is_lost_is_found_again(proxy: Proxy, store: Store) -> None:
    behind = Store(proxy.url)
    async with running(store) as other, running(behind) as repository:
        await repository.transact(plant)
        proxy.swallow = True
        asked = asyncio.create_task(repository.transact(create("device", device("x"))))
        await until(other, lambda registry: "x" in registry.devices)
        assert not asked.done()
        proxy.swallow = False
        proxy.cut()
        with pytest.raises(StoreUnavailable):
            await asked
        with pytest.raises(Conflict):  # whoever tries again learns that it has happened
            await persist(repository, create("device", device("x")))
        assert repository.registry.devices == other.registry.devices
        await assert_stored(store, repository.registry)
    await behind.close()


async def test_a_silent_store_is_not_waited_for_for_ever(proxy: Proxy, store: Store, impatient: None) -> None:
    behind = Store(proxy.url)
    async with asyncio.timeout(30), running(behind) as repository:
        await repository.transact(plant)
        proxy.swallow = True
        outcomes = await asyncio.gather(
            *(repository.transact(create("item", item(f"x{n}"))) for n in range(3)), return_exceptions=True
        )
        assert [type(outcome) for outcome in outcomes] == [StoreUnavailable] * 3
        assert not repository.ready
        assert set(repository.registry.items) >= {"i", "j"}  # reading goes on
        proxy.swallow = False
        await persist(repository, create("device", device("y")))
        assert repository.ready
        await assert_stored(store, repository.registry)
    await behind.close()


async def test_a_store_that_never_comes(tmp_path: Path, impatient: None) -> None:
    store = Store(f"unix://{tmp_path}/nothing")
    async with asyncio.timeout(30), running(store) as repository:
        loaded = asyncio.create_task(repository.loaded())
        outcomes = await asyncio.gather(
            repository.transact(plant), repository.transact(plant, dry_run=True), return_exceptions=True
        )
        assert [type(outcome) for outcome in outcomes] == [StoreUnavailable] * 2
        assert not repository.ready
        assert not loaded.done()
        loaded.cancel()
        await asyncio.wait([loaded])
    await store.close()


async def test_loaded_waits_until_the_store_answers(proxy: Proxy, impatient: None) -> None:
    proxy.refuse = True
    behind = Store(proxy.url)
    async with asyncio.timeout(30), running(behind) as repository:
        loaded = asyncio.create_task(repository.loaded())
        await asyncio.sleep(0)
        assert not loaded.done()
        proxy.refuse = False
        await loaded
        assert repository.ready
    await behind.close()


class Interrupted(Store):
    """Something happens while the hashes are read, each time that there is something left to happen."""

    def __init__(self, url: str, happenings: list[Callable[[], Awaitable[object]]]) -> None:
        super().__init__(url)
        self._happenings = happenings

    async def fcall(self, name: str, names: Sequence[str], args: Sequence[Arg]) -> Any:
        reply = await super().fcall(name, names, args)
        if name == "model_hashes" and self._happenings:
            await self._happenings.pop(0)()
        return reply


@pytest.mark.parametrize("gap", [False, True])
async def test_a_change_during_the_initial_load(
    redis_url: str, store: Store, gap: bool, caplog: pytest.LogCaptureFixture
) -> None:
    async with running(store) as other:
        await other.transact(plant)

        async def change() -> None:
            await other.transact(lambda tx: tx.merge("device", "d", {"id": "e"}))
            await other.transact(lambda tx: tx.delete("item", "i"))
            if gap:
                await store.redis.xtrim(keys.MODEL_LOG, maxlen=1, approximate=False)

        late = Interrupted(redis_url, [change])
        async with running(late) as repository:
            assert repository.ready
            assert repository.registry.devices == other.registry.devices
            assert repository.registry.term_items == other.registry.term_items
            assert repository.registry.formulas == other.registry.formulas
            await assert_stored(store, repository.registry)
        await late.close()
    assert ("loading it again" in caplog.text) == gap


async def test_others_see_all_or_nothing_of_a_large_change(store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(pace, "SLICE", 0.0)
    count = 300
    async with running(store) as repository, running(store) as other:
        await repository.transact(plant)
        rows = [item(f"x{n}") for n in range(count)]
        points = [term_item("t", f"x{n}", protocol_code=f"{n + 100}") for n in range(count)]
        for work, before, after in (
            (lambda tx: tx.batch_upsert_steps("item", rows), (2, 2), (count + 2, 2)),
            (lambda tx: tx.batch_upsert_steps("term_item", points), (count + 2, 2), (count + 2, count + 2)),
            (lambda tx: tx.merge_steps("term", "t", {"id": "u"}), (count + 2, count + 2), (count + 2, count + 2)),
            (lambda tx: tx.delete_steps("device", "d"), (count + 2, count + 2), (count + 2, 0)),
            (lambda tx: tx.batch_delete_steps("item", [row["id"] for row in rows]), (count + 2, 0), (2, 0)),
        ):
            changing = asyncio.create_task(repository.transact_steps(work))
            seen = []
            while not changing.done():
                seen.append((len(repository.registry.items), len(repository.registry.term_items)))
                await asyncio.sleep(0)
            await changing
            assert set(seen) <= {before, after}
            assert seen.count(before) > count  # others had the loop at every step
            await assert_stored(store, repository.registry)
            version = repository.registry.version
            await until(other, lambda registry, version=version: registry.version == version)  # type: ignore[misc]
            assert other.registry.term_items == repository.registry.term_items


async def test_a_large_change_that_fails_changes_nothing(store: Store) -> None:
    async with running(store) as repository:
        await repository.transact(plant)
        before = repository.registry.version
        rows: list[Any] = [item(f"x{n}") for n in range(300)] + [{"id": "bad"}]
        with pytest.raises(Invalid) as caught:
            await repository.transact_steps(lambda tx: tx.batch_upsert_steps("item", rows))
        assert [(error.index, error.field) for error in caught.value.errors] == [(300, "name")]
        counts = await repository.transact_steps(lambda tx: tx.batch_upsert_steps("item", rows[:-1]), dry_run=True)
        assert counts["created"] == 300
        assert repository.registry.version == before
        await assert_stored(store, repository.registry)


async def test_a_large_change_loses_against_another_process_and_is_done_again(
    store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(pace, "SLICE", 0.0)
    async with running(store) as repository, running(store) as other:
        await repository.transact(plant)
        rows = [item(f"x{n}") for n in range(200)]
        runs = 0

        def work(tx: Any) -> Any:
            nonlocal runs
            runs += 1
            return tx.batch_upsert_steps("item", rows)

        changing = asyncio.create_task(repository.transact_steps(work))
        while not runs:
            await asyncio.sleep(0)
        await other.transact(create("item", item("x7", unit="V")))  # in between
        assert await changing == {"created": 199, "updated": 1, "unchanged": 0}
        assert runs == 2
        assert repository.registry.items["x7"].unit == ""
        await assert_stored(store, repository.registry)


async def test_the_log_of_large_changes_stays_small(store: Store) -> None:
    async with running(store) as repository:
        for n in range(25):
            rows = [item(f"{k:064}", unit=str(n)) for k in range(950)]
            await repository.transact_steps(lambda tx, rows=rows: tx.batch_upsert_steps("item", rows))  # type: ignore[misc]
        assert await store.redis.xlen(keys.MODEL_LOG) <= 21
        for n in range(30):
            await repository.transact(create("device", device(f"d{n}")))
        assert await store.redis.xlen(keys.MODEL_LOG) > 30
        await assert_stored(store, repository.registry)


async def test_moving_a_term_back_and_forth_leaves_no_field_behind(store: Store) -> None:
    async with running(store) as repository:
        await repository.transact(plant)
        await repository.transact(lambda tx: tx.merge("term_item", ("t", "i"), {"bit": 3, "warn_msg": "high"}))
        await assert_stored(store, repository.registry)
        await repository.transact(lambda tx: tx.merge("term_item", ("t", "i"), {"bit": None, "warn_msg": None}))
        await repository.transact(lambda tx: tx.merge("term", "t", {"address": 4, "id": "u"}))
        await repository.transact(lambda tx: tx.merge("term", "u", {"address": None, "id": "t"}))
        await assert_stored(store, repository.registry)
        await repository.transact(create("term", term("other")))
        await assert_stored(store, repository.registry)
