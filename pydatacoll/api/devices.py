"""``/api/v1/devices``: devices, with the state of their links; ``/api/v2/devices/{device_id}/status``."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from aiohttp import web

from pydatacoll.api import responses
from pydatacoll.api.operation import Answer, Call, Operation, ref
from pydatacoll.api.resource import Convert, Resource
from pydatacoll.api.services import LinkState
from pydatacoll.model import Device, time_to_wire
from pydatacoll.model.change import find
from pydatacoll.model.validation import to_wire


def _state(link: LinkState) -> dict[str, Any]:
    since = link.since
    return {
        "status": "on" if link.state == "connected" else "off",
        "link": {
            "state": link.state,
            "since": None if since is None else time_to_wire(since),
            "last_error": link.last_error,
        },
    }


def _view(pair: tuple[Device, LinkState]) -> dict[str, Any]:
    return {**to_wire(pair[0]), **_state(pair[1])}


async def _views(call: Call, devices: Sequence[Device]) -> tuple[Sequence[Any], Convert]:
    links = await call.services.status.links([device.id for device in devices]) if devices else []
    return list(zip(devices, links, strict=True)), _view


async def device_status(call: Call) -> web.StreamResponse:
    """Link state with everything the manager reports of a device."""
    device_id = call.path["device_id"]
    find(call.model, "device", device_id)
    (link,) = await call.services.status.links((device_id,))
    detail = await call.services.status.device(device_id)
    return responses.of({**detail, "device_id": device_id, **_state(link)})


DEVICES = Resource(
    kind="device",
    component="Device",
    collection="/api/v1/devices",
    names=("device_id",),
    views=_views,
    live=True,
)

OPERATIONS = [
    *DEVICES.operations(),
    Operation(
        id="get_device_status",
        method="GET",
        path="/api/v2/devices/{device_id}/status",
        handler=device_status,
        summary="Link, owner, accounting, counters and protocol details of a device",
        tag="devices",
        answers={200: Answer("the status", ref("DeviceStatus"))},
        errors=(404, 503),
    ),
]
