"""Changes of the model: one transaction, then one audit entry."""

from __future__ import annotations

import logging
from collections.abc import Callable
from typing import Any

from pydatacoll.api.operation import Call
from pydatacoll.errors import PyDataCollError
from pydatacoll.model import ModelObject
from pydatacoll.model.change import Key, find, key_of
from pydatacoll.model.steps import Steps
from pydatacoll.model.transaction import Transaction
from pydatacoll.model.validation import Kind, to_wire

log = logging.getLogger(__name__)


def key_text(key: Key) -> str:
    """A key as text: the id, or ``term_id:item_id``."""
    return key if isinstance(key, str) else ":".join(key)


async def audit(
    call: Call, action: str, name: str, *, before: Any = None, after: Any = None, result: Any = "ok"
) -> None:
    """Leave an entry. The change is committed: a failure now is logged, and the client is told of its success."""
    entry = {
        "action": action,
        "user": call.identity.name,
        "source": call.request.remote or "",
        "object": name,
        "before": before,
        "after": after,
        "result": result,
    }
    try:
        await call.services.audit(entry)
    except PyDataCollError as error:
        log.error("no audit entry for %s %s from %s: %s", action, name, entry["source"], error)  # noqa: TRY400


async def create(call: Call, kind: Kind, payload: dict[str, Any], parent: str | None = None) -> ModelObject:
    """Create one object; ``parent`` is the id that the path names."""

    def work(tx: Transaction) -> Steps[ModelObject]:
        yield
        return tx.create(kind, payload, parent)

    made = await call.transact(work)
    await audit(call, f"{kind}.create", key_text(key_of(made)), after=to_wire(made))
    return made


async def change(
    call: Call, action: str, kind: Kind, key: Key, work: Callable[[Transaction], Steps[ModelObject]]
) -> ModelObject:
    """Replace or merge one object; the audit entry shows it as it was when the transaction began."""
    find(call.model, kind, key)
    before: list[ModelObject | None] = []

    def remember_and_work(tx: Transaction) -> Steps[ModelObject]:
        before[:] = [tx.overlay.get(kind, key)]
        return (yield from work(tx))

    made = await call.transact(remember_and_work)
    await audit(call, f"{kind}.{action}", key_text(key), before=_wire(before), after=to_wire(made))
    return made


async def delete(call: Call, kind: Kind, key: Key) -> dict[str, int]:
    """Delete one object with all that depends on it, or only count (``?dry_run=true``)."""
    find(call.model, kind, key)
    dry_run: bool = call.query["dry_run"]
    before: list[ModelObject | None] = []

    def work(tx: Transaction) -> Steps[dict[str, int]]:
        before[:] = [tx.overlay.get(kind, key)]
        yield from tx.delete_steps(kind, key)
        return tx.counts

    counts = await call.transact(work, dry_run=dry_run)
    if not dry_run:
        await audit(call, f"{kind}.delete", key_text(key), before=_wire(before), result=counts)
    return counts


def _wire(before: list[ModelObject | None]) -> dict[str, Any] | None:
    return to_wire(before[0]) if before and before[0] is not None else None
