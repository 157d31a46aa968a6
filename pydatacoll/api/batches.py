"""``/api/v2/{devices,...}`` and ``/api/v2/{devices,...}/del``: batches, all or nothing in one transaction."""

from __future__ import annotations

from aiohttp import web

from pydatacoll.api import responses
from pydatacoll.api.access import check_named
from pydatacoll.api.operation import Answer, Body, Call, Endpoint, Operation, one_or_many, ref
from pydatacoll.api.query import DRY_RUN
from pydatacoll.api.resource import ID
from pydatacoll.errors import FieldError, Invalid, NotFound
from pydatacoll.model.change import PLURAL, find
from pydatacoll.model.payload import key_from_json
from pydatacoll.model.steps import Steps
from pydatacoll.model.transaction import Transaction
from pydatacoll.model.validation import Kind

_COMPONENTS: dict[Kind, str] = {
    "device": "Device",
    "term": "Term",
    "item": "Item",
    "term_item": "TermItem",
    "formula": "Formula",
}


def _upsert(kind: Kind) -> Endpoint:
    async def batch_upsert(call: Call) -> web.StreamResponse:
        """Create or replace."""
        dry_run: bool = call.query["dry_run"]
        if call.identity.devices:
            for payload in call.body:
                check_named(call.identity, kind, payload, call.model, call.everything)

        def work(tx: Transaction) -> Steps[dict[str, int]]:
            counts = yield from tx.batch_upsert_steps(kind, call.body)
            if not dry_run:
                yield from call.audited(tx, f"{kind}.batch", PLURAL[kind])
            return counts

        return responses.of(await call.transact(work, dry_run=dry_run))

    return batch_upsert


def _check_seen(call: Call, kind: Kind) -> None:
    """What a token for some devices does not see is missing for it.

    :raises Invalid: naming each.
    """
    if not call.identity.devices:
        return
    errors = []
    for index, raw in enumerate(call.body):
        key = key_from_json(kind, raw, index)
        try:
            find(call.model, kind, key)
        except NotFound as error:
            errors.append(FieldError(index, "item_id" if kind == "term_item" else "id", str(error)))
    if errors:
        raise Invalid.of(errors)


def _delete(kind: Kind) -> Endpoint:
    async def batch_delete(call: Call) -> web.StreamResponse:
        """Delete with all that depends on it."""
        dry_run: bool = call.query["dry_run"]
        _check_seen(call, kind)

        def work(tx: Transaction) -> Steps[dict[str, int]]:
            counts = yield from tx.batch_delete_steps(kind, call.body)
            if not dry_run:
                yield from call.audited(tx, f"{kind}.batch_delete", PLURAL[kind])
            return counts

        return responses.of({"deleted": await call.transact(work, dry_run=dry_run)})

    return batch_delete


def _operations(kind: Kind) -> list[Operation]:
    plural = PLURAL[kind]
    words = plural.replace("_", " ")
    return [
        Operation(
            id=f"batch_{plural}",
            method="POST",
            path=f"/api/v2/{plural}",
            handler=_upsert(kind),
            summary=f"Create or replace {words}, all or none",
            tag="batches",
            query=(DRY_RUN,),
            body=Body(one_or_many(ref(f"{_COMPONENTS[kind]}Input")), shape="batch", large=True),
            answers={200: Answer("what was done", ref("BatchCounts"))},
            errors=(503,),
        ),
        Operation(
            id=f"batch_delete_{plural}",
            method="POST",
            path=f"/api/v2/{plural}/del",
            handler=_delete(kind),
            summary=f"Delete {words} and all that depends on them, all or none",
            tag="batches",
            query=(DRY_RUN,),
            body=Body(
                {"type": "array", "items": ref("TermItemKey") if kind == "term_item" else ID},
                shape="list",
                large=True,
            ),
            answers={200: Answer("what was deleted", ref("Deleted"))},
            errors=(503,),
        ),
    ]


OPERATIONS = [operation for kind in _COMPONENTS for operation in _operations(kind)]
