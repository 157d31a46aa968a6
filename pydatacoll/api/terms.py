"""``/api/v1/terms`` and ``/api/v1/devices/{device_id}/terms``."""

from __future__ import annotations

from aiohttp import web

from pydatacoll.api.operation import Answer, Call, Operation, array, ref
from pydatacoll.api.query import EXPAND, PAGING
from pydatacoll.api.resource import ID, PAGE_HEADERS, Resource
from pydatacoll.model.change import find

TERMS = Resource(kind="term", component="Term", collection="/api/v1/terms", names=("term_id",), refers=True)


async def list_device_terms(call: Call) -> web.StreamResponse:
    """The terms of one device."""
    registry = call.model
    device_id = call.path["device_id"]
    find(registry, "device", device_id)
    return await TERMS.respond_list(call, registry.terms_of(device_id), registry.terms.__getitem__)


OPERATIONS = [
    *TERMS.operations(),
    Operation(
        id="list_device_terms",
        method="GET",
        path="/api/v1/devices/{device_id}/terms",
        handler=list_device_terms,
        summary="Ids of the terms of a device, sorted, or the terms themselves",
        tag="terms",
        query=(EXPAND, *PAGING),
        answers={
            200: Answer(
                "ids, or objects with expand=true",
                {"oneOf": [array(ID), array(ref("Term"), minItems=1)]},
                headers=PAGE_HEADERS,
            )
        },
        errors=(404,),
    ),
]
