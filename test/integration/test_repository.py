"""The model in a real Redis: concurrent writers and several processes."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator, Sequence

import pytest

from pydatacoll.errors import Conflict, Invalid, NotFound, RequestError
from pydatacoll.model import PointId
from pydatacoll.model.change import Change
from pydatacoll.model.transaction import Transaction
from pydatacoll.store import keys
from pydatacoll.store.client import Store
from pydatacoll.store.repository import Repository
from pydatacoll.testing.model import device, item, term, term_item
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


async def test_errors_are_those_of_the_present_model(store: Store) -> None:
    """What another process did a moment ago counts, even when nothing is committed."""
    async with running(store) as one, running(store) as two:
        for n in range(20):
            await one.transact(create("device", device(f"d{n}")))
            await two.transact(create("term", term(f"t{n}", f"d{n}")))
            with pytest.raises(RequestError):
                await one.transact(create("term", term(f"t{n}", f"d{n}")))
