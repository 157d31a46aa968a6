"""What tests of the model's repository share."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from typing import Any

import pytest

from pydatacoll.model import PointId
from pydatacoll.model.registry import Registry
from pydatacoll.model.steps import Steps
from pydatacoll.model.transaction import Transaction
from pydatacoll.model.validation import Kind, Schemas
from pydatacoll.store import keys, model_ops, model_reader
from pydatacoll.store.client import Store
from pydatacoll.store.model_codec import encode, hash_key
from pydatacoll.store.repository import Repository
from pydatacoll.testing.model import device, formula, item, schemas, term, term_item

SCHEMAS = schemas()


@asynccontextmanager
async def running(store: Store, known: Schemas = SCHEMAS) -> AsyncIterator[Repository]:
    repository = Repository(store, known)
    await repository.start()
    try:
        yield repository
    finally:
        await repository.stop()


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


TERMS, ITEMS = 6, 5


def many(transaction: Transaction, start: int = 0) -> Steps[dict[str, int]]:
    """A device with terms and points; replaces what is there."""
    yield from transaction.batch_upsert_steps("device", [device("many", description=f"from {start}")])
    yield from transaction.batch_upsert_steps("item", [item(f"i{n}") for n in range(ITEMS)])
    yield from transaction.batch_upsert_steps("term", [term(f"t{n}", "many", address=n + 1) for n in range(TERMS)])
    points = [
        term_item(f"t{n}", f"i{m}", protocol_code=f"{start + m}") for n in range(TERMS) for m in range(ITEMS)
    ]
    return (yield from transaction.batch_upsert_steps("term_item", points))


def write_in_parts(monkeypatch: pytest.MonkeyPatch) -> None:
    """Every commit is staged, in many small parts, and taken over in steps."""
    monkeypatch.setattr(model_ops, "LARGE", 0)
    monkeypatch.setattr(model_ops, "PART", 30)
    monkeypatch.setattr(model_ops, "NAMES", 7)
    monkeypatch.setattr(model_reader, "AT_ONCE", 2)


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
