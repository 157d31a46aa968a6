"""Changes of one object of the model, with their audit entries; for many objects see ``Call.audited``."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from pydatacoll.api.operation import Call
from pydatacoll.model import ModelObject
from pydatacoll.model.audit import key_text, single_entry
from pydatacoll.model.change import Key, find, key_of
from pydatacoll.model.steps import Steps
from pydatacoll.model.transaction import Transaction
from pydatacoll.model.validation import Kind

_Pair = tuple[ModelObject | None, ModelObject | None]
"""The object before and after."""


def _audit(call: Call, tx: Transaction, action: str, key: Key, pair: _Pair) -> Steps[None]:
    changes = yield from tx.changes_steps()
    if changes:
        entry = yield from single_entry(changes, *pair, tx.overlay, tx.registry)
        tx.audit(call.entry(action, key_text(key), **entry))


async def create(call: Call, kind: Kind, payload: dict[str, Any], parent: str | None = None) -> ModelObject:
    """Create one object; ``parent`` is the id that the path names."""

    def work(tx: Transaction) -> Steps[ModelObject]:
        made = tx.create(kind, payload, parent)
        yield from _audit(call, tx, f"{kind}.create", key_of(made), (None, made))
        return made

    return await call.transact(work)


async def change(
    call: Call, action: str, kind: Kind, key: Key, work: Callable[[Transaction], Steps[ModelObject]]
) -> ModelObject:
    """Replace or merge one object."""
    find(call.model, kind, key)

    def audited(tx: Transaction) -> Steps[ModelObject]:
        before = tx.overlay.get(kind, key)
        made = yield from work(tx)
        yield from _audit(call, tx, f"{kind}.{action}", key, (before, made))
        return made

    return await call.transact(audited)


async def delete(call: Call, kind: Kind, key: Key) -> dict[str, int]:
    """Delete one object with all that depends on it, or only count (``?dry_run=true``)."""
    find(call.model, kind, key)
    dry_run: bool = call.query["dry_run"]

    def work(tx: Transaction) -> Steps[dict[str, int]]:
        before = tx.overlay.get(kind, key)
        yield from tx.delete_steps(kind, key)
        if not dry_run:
            yield from _audit(call, tx, f"{kind}.delete", key, (before, None))
        return tx.counts

    return await call.transact(work, dry_run=dry_run)
