"""``/api/v2/devices/{device_id}/clone``: copies of a device."""

from __future__ import annotations

from aiohttp import web

from pydatacoll.api import responses
from pydatacoll.api.access import check_named
from pydatacoll.api.operation import Answer, Body, Call, Operation, array, ref
from pydatacoll.api.query import DRY_RUN
from pydatacoll.api.resource import ID
from pydatacoll.model.change import find
from pydatacoll.model.steps import Steps
from pydatacoll.model.transaction import Transaction


async def clone(call: Call) -> web.StreamResponse:
    """Copy a device as often as the body has elements, all or none."""
    device_id = call.path["device_id"]
    find(call.model, "device", device_id)
    dry_run: bool = call.query["dry_run"]
    if call.identity.devices:
        for payload in call.body:
            check_named(call.identity, "device", payload, call.model, call.everything)

    def work(tx: Transaction) -> Steps[dict[str, int]]:
        counts = yield from tx.clone_steps(device_id, call.body)
        if not dry_run:
            yield from call.audited(tx, "device.clone", device_id)
        return counts

    return responses.of({"created": await call.transact(work, dry_run=dry_run)})


_COPY = {"type": "object", "properties": {"id": ID}, "required": ["id"]}

OPERATIONS = [
    Operation(
        id="clone_device",
        method="POST",
        path="/api/v2/devices/{device_id}/clone",
        handler=clone,
        summary="Copy a device with its terms and term items, once for each element, all or none",
        description=(
            "An element has the id of a copy, and any fields of the device that are to differ. The id of a term "
            "becomes DEVICE.TERM with the id of the copy, and without that of the original where it had that in "
            "front. Formulas are not copied."
        ),
        tag="transfer",
        query=(DRY_RUN,),
        body=Body({"oneOf": [_COPY, array(_COPY)]}, shape="batch", large=True),
        answers={200: Answer("what was created", ref("Cloned"))},
        errors=(404, 409, 503),
    ),
]
