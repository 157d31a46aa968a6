"""Bringing a registry up to date in steps: readers see all of it or nothing."""

from __future__ import annotations

from typing import Any

from pydatacoll.model.change import apply, apply_steps
from pydatacoll.model.registry import Registry
from pydatacoll.model.transaction import Transaction
from pydatacoll.testing.model import device, formula, item, schemas, term, term_item

SCHEMAS = schemas()


def seen(registry: Registry) -> dict[str, Any]:
    """All that readers can see."""
    return {
        "objects": [
            dict(table)
            for table in (registry.devices, registry.terms, registry.items, registry.term_items, registry.formulas)
        ],
        "terms": {device_id: set(registry.terms_of(device_id)) for device_id in "abc"},
        "items": {term_id: set(registry.items_of(term_id)) for term_id in "tuv"},
        "with": {item_id: set(registry.terms_with(item_id)) for item_id in "ij"},
        "addresses": {d: dict(registry.addresses(d, SCHEMAS.address)) for d in ("a", "b")},
        "version": registry.version,
    }


def registry_of(version: int) -> Registry:
    registry = Registry()
    transaction = Transaction(registry, SCHEMAS)
    transaction.batch_upsert("device", [device("a"), device("b")])
    transaction.batch_upsert("item", [item("i"), item("j")])
    transaction.batch_upsert("term", [term("t", "a"), term("u", "b")])
    transaction.batch_upsert("term_item", [term_item(t, i, protocol_code=i) for t in "tu" for i in "ij"])
    transaction.create("formula", formula("f", "a:t:i", p1="a:t:j"))
    apply(registry, transaction.changes)
    registry.version = version
    return registry


def changes_of(registry: Registry) -> Transaction:
    transaction = Transaction(registry, SCHEMAS)
    transaction.merge("device", "a", {"id": "c"})
    transaction.merge("term", "u", {"id": "v", "device_id": "c", "address": 9})
    transaction.delete("term_item", ("t", "i"))
    return transaction


def test_readers_see_the_change_at_once() -> None:
    registry, other = registry_of(1), registry_of(1)
    before = seen(registry)
    changes = changes_of(registry).changes
    steps = apply_steps(registry, changes, 2)
    count = 0
    for _ in steps:
        count += 1
        assert seen(registry) == before
    assert count > len(changes)
    apply(other, changes)
    other.version = 2
    assert seen(registry) == seen(other)


def test_what_is_left_alone_in_the_middle_has_changed_nothing() -> None:
    registry = registry_of(1)
    before = seen(registry)
    steps = apply_steps(registry, changes_of(registry).changes, 2)
    for _ in range(20):
        next(steps)
    steps.close()
    assert seen(registry) == before
    apply(registry, changes_of(registry).changes)
    assert "c" in registry.devices


def test_a_rollback_in_steps() -> None:
    registry = registry_of(1)
    transaction = changes_of(registry)
    count = sum(1 for _ in transaction.rollback_steps())
    assert count > 5
    assert transaction.changes == []
    assert transaction.counts == {}
