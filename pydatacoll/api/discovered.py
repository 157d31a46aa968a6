"""``GET /api/v2/devices/{device_id}/discovered``: addresses that send and are not configured."""

from __future__ import annotations

import asyncio
from typing import Any, Final, cast

from aiohttp import web

from pydatacoll.api import responses
from pydatacoll.api.inspection import check_driver, failed
from pydatacoll.api.operation import Answer, Call, Operation, array, ref
from pydatacoll.api.problems import ApiProblem
from pydatacoll.api.query import choice, integer
from pydatacoll.api.transfer import accepted
from pydatacoll.bulk.point_list import point_list, terms_by_address
from pydatacoll.errors import Conflict
from pydatacoll.model import Device
from pydatacoll.model.change import find

_WAIT: Final = 10.0
_FORMATS: Final = ("json", "csv")
_CSV: Final = responses.with_type("text/csv; charset=utf-8")


def _form(call: Call) -> str:
    """
    :raises ApiProblem: 406 when the client takes neither of the formats.
    """
    given: str | None = call.query["format"]
    how = given or accepted(",".join(call.request.headers.getall("Accept", ())), _FORMATS)
    if how is None:
        raise ApiProblem(
            "not-acceptable", "The list can be application/json, text/csv; or say format= in the URL."
        )
    return how


async def discovered(call: Call) -> web.StreamResponse:
    """Ask the manager that talks to the device."""
    device = cast("Device", find(call.model, "device", call.path["device_id"]))
    how = _form(call)
    check_driver(call, device)
    if not device.enabled:
        raise Conflict(f"device {device.id} is disabled")
    reply = await call.services.commands.query("discovered", device.id, {}, _WAIT)
    if reply.status != 200:
        return failed(reply)
    rows: list[dict[str, Any]] = reply.body["discovered"][: call.query["limit"]]
    vary = {"Vary": "Accept"}
    if how == "csv":
        parts = []
        for part in point_list(device, rows, call.everything, call.services.schemas):
            parts.append(part)
            await asyncio.sleep(0)
        name = f'attachment; filename="{device.id}.csv"'
        return responses.raw("".join(parts).encode(), 200, _CSV, {**vary, "Content-Disposition": name})

    terms = terms_by_address(device, call.model)

    def with_term(row: dict[str, Any]) -> dict[str, Any]:
        term = terms.get(row["address"])
        return {"term_id": None if term is None else term.id, **row}

    return await responses.rows(rows, with_term, vary)


OPERATIONS = [
    Operation(
        id="list_discovered",
        method="GET",
        path="/api/v2/devices/{device_id}/discovered",
        handler=discovered,
        summary="Addresses of a device that send and are not configured, sorted",
        description=(
            "Counted since the device was started. As CSV it is a table that POST /api/v2/import takes as it is: "
            "a point for each address, and terms for addresses that have none yet. What cannot be a point, or is "
            "one already, is not in the table."
        ),
        tag="devices",
        query=(
            integer("limit", "answer at most so many; without it, all"),
            choice("format", "instead of the header Accept", _FORMATS),
        ),
        answers={
            200: Answer(
                "the addresses",
                array(ref("DiscoveredView")),
                also={"text/csv": {"type": "string"}},
            )
        },
        errors=(404, 406, 409, 503),
    )
]
