"""The same changes written in parts and by one call: the store holds the same afterwards."""

from __future__ import annotations

import random
from collections.abc import AsyncIterator
from typing import Any

import pytest

from pydatacoll.errors import RequestError
from pydatacoll.model.transaction import Transaction
from pydatacoll.model.validation import Schemas
from pydatacoll.store import model_ops
from pydatacoll.store.client import Store
from pydatacoll.store.repository import Repository
from pydatacoll.testing.model import Plain, formula
from test.integration import test_repository_faults as faults
from test.integration.model_rig import ITEMS, SCHEMAS, TERMS, assert_stored, many, plant, running, write_in_parts


@pytest.fixture(autouse=True)
def everything_is_large(monkeypatch: pytest.MonkeyPatch) -> None:
    write_in_parts(monkeypatch)


@pytest.fixture
async def repository(store: Store) -> AsyncIterator[Repository]:
    async with running(store) as made:
        yield made


test_junk_is_replaced = faults.test_junk_under_a_name_of_the_model_is_replaced
test_recent_data_follows_a_rename = faults.test_recent_data_follows_a_rename
test_recent_data_goes = faults.test_recent_data_goes_with_what_was_deleted
test_what_a_missing_driver_stored_is_kept = faults.test_what_a_missing_driver_stored_is_kept


def a_history(seed: int) -> list[tuple[str, Any]]:
    """Names of operations with their arguments; some of them fail, always in the same way."""
    rng = random.Random(seed)
    history: list[tuple[str, Any]] = [("plant", None)]
    for n in range(12):
        key = rng.choice("abc")
        history.append(
            rng.choice(
                [
                    ("many", rng.randrange(1, 9) * 100),
                    ("rename_device", (rng.choice(["d", "many"]), f"dev{key}")),
                    ("rename_term", (rng.choice(["t", "t1", "t2"]), f"term{key}")),
                    ("rename_item", (rng.choice(["i", "i0", "i1"]), f"item{key}")),
                    ("delete_term", rng.choice(["t", "t1", f"term{key}"])),
                    ("delete_device", rng.choice(["d", f"dev{key}"])),
                    ("move_term", (f"t{rng.randrange(TERMS)}", rng.choice(["d", f"dev{key}"]))),
                    ("formula", (f"f{n}", f"many:t1:i{rng.randrange(ITEMS)}")),
                    ("unset", f"t{rng.randrange(TERMS)}"),
                ]
            )
        )
    return history


def perform(transaction: Transaction, name: str, given: Any) -> None:
    if name == "plant":
        plant(transaction)
    elif name == "many":
        for _ in many(transaction, given):
            pass
    elif name == "formula":
        transaction.upsert("formula", formula(given[0], given[1], p1=given[1]))
    elif name == "move_term":
        transaction.merge("term", given[0], {"device_id": given[1]})
    elif name == "unset":
        transaction.merge("term_item", (given, "i0"), {"description": None, "protocol_code": None, "bit": 1})
    else:
        what, kind = name.split("_")
        if what == "rename":
            transaction.merge(kind, given[0], {"id": given[1]})  # type: ignore[arg-type]
        else:
            transaction.delete(kind, given)  # type: ignore[arg-type]


async def everything(store: Store) -> dict[str, Any]:
    found: dict[str, Any] = {}
    async for name in store.redis.scan_iter():
        if name.startswith("HS:"):
            found[name] = await store.redis.hgetall(name)
        elif name.startswith("SET:"):
            found[name] = await store.redis.smembers(name)
    return found


@pytest.mark.parametrize("seed", range(8))
@pytest.mark.parametrize("installed", [True, False])
async def test_in_parts_or_not_the_outcome_is_the_same(
    store: Store, monkeypatch: pytest.MonkeyPatch, seed: int, installed: bool
) -> None:
    """Also when the driver of the devices is not installed, so that fields are kept that nobody knows."""
    outcomes = []
    for large in (0, 10**6):
        monkeypatch.setattr(model_ops, "LARGE", large)
        await store.redis.flushall()
        async with running(store) as first:
            await first.transact(plant)
            await first.transact_steps(lambda tx: many(tx, 100))
        async with running(store, SCHEMAS if installed else Schemas({"plain": Plain})) as repository:
            failures = []
            for name, given in a_history(seed):
                try:
                    await repository.transact(lambda tx, n=name, g=given: perform(tx, n, g))  # type: ignore[misc]
                except RequestError as error:
                    failures.append(str(error))
            await assert_stored(store, repository.registry) if installed else None
        outcomes.append((await everything(store), failures))
    assert outcomes[0] == outcomes[1]
