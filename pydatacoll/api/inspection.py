"""Commissioning: ``/api/v2/devices/{device_id}/frames`` and ``/api/v2/devices/probe``."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final, cast

from aiohttp import web

from pydatacoll.api import problems, responses
from pydatacoll.api.operation import Answer, Body, Call, Operation, ref
from pydatacoll.api.problems import ApiProblem
from pydatacoll.api.query import integer
from pydatacoll.api.resource import ID
from pydatacoll.errors import Conflict, FieldError, Invalid
from pydatacoll.model import Device, ModelObject, Term, TermItem
from pydatacoll.model.change import find
from pydatacoll.model.fields import id_from_json
from pydatacoll.model.validation import Kind, to_wire
from pydatacoll.store.queries import QueryReply

FRAMES_TIME: Final = 5.0
PROBE_TIME: Final = 13.0
"""Seconds to wait for a probe: the manager's own limit is 10, and 2 to close."""
AGAIN: Final = {"Retry-After": "5"}

_LIMIT = integer("limit", "answer at most so many, the newest", ge=1, default=100)


def failed(reply: QueryReply) -> web.StreamResponse:
    """The answer to a question that the manager could not answer, as a problem."""
    kind = problems.kind_of_reply(reply.status, reply.title)
    detail = kind.meaning if reply.status == 500 else reply.detail
    return problems.respond(problems.document(kind, detail), AGAIN if reply.status == 429 else None)


def check_driver(call: Call, device: Device) -> None:
    """
    :raises Conflict: there is no link to the device, or no driver that knows how to make one.
    """
    driver = call.services.schemas.protocols.get(device.protocol)
    if driver is None:
        raise Conflict(f"device {device.id} has the protocol {device.protocol!r}, whose driver is not installed")
    if driver.virtual:
        raise Conflict(f"device {device.id} is virtual ({device.protocol}): there is nothing to talk to")


async def device_frames(call: Call) -> web.StreamResponse:
    """The last protocol frames, from the manager that talks to the device."""
    device_id = call.path["device_id"]
    device = cast("Device", find(call.model, "device", device_id))
    check_driver(call, device)
    if not device.enabled:
        raise Conflict(f"device {device_id} is disabled")
    limit: int = call.query["limit"]
    reply = await call.services.commands.query("frames", device_id, {"limit": limit}, FRAMES_TIME)
    return responses.of({"device_id": device_id, **reply.body}) if reply.status == 200 else failed(reply)


class _Tried:
    """The parts of a probe's body, as objects; what is wrong is named as ``device.port``."""

    def __init__(self, call: Call) -> None:
        self._schemas = call.services.schemas
        self._model = call.model
        body: Mapping[str, Any] = {name: part for name, part in call.body.items() if part is not None}
        self._errors = [FieldError(0, ascii(n).strip("'")[:80], "unknown field") for n in body if n not in _PARTS]
        self.saved = "device_id" in body
        if self.saved == ("device" in body):
            self._errors.append(FieldError(0, "device", "exactly one of device and device_id is required"))
        for name in ("device", "term", "point"):
            if not isinstance(body.get(name, {}), dict):
                self._errors.append(FieldError(0, name, "must be an object"))
        if self._errors:
            raise Invalid.of(self._errors)
        self.device = self._device(body)
        self.point: TermItem | None = None
        self.term = self._term(body)
        if "point" in body:
            self._point(body["point"])

    def _device(self, body: Mapping[str, Any]) -> Device:
        if self.saved:
            device_id = id_from_json(body["device_id"])
            if device_id is None:
                raise Invalid.of([FieldError(0, "device_id", "must be a string or a whole number")])
            return cast("Device", find(self._model, "device", device_id))
        return cast("Device", self._parse("device", "device", body["device"], {"id": "probe", "name": "probe"}))

    def _term(self, body: Mapping[str, Any]) -> Term:
        if self.saved and "term" not in body:
            term_id = id_from_json(body.get("point", {}).get("term_id"))
            term = self._model.terms.get(term_id) if term_id is not None else None
            if term is not None and term.device_id == self.device.id:
                return term
        given = {**body.get("term", {}), "device_id": self.device.id}
        return cast("Term", self._parse("term", "term", given, {"id": "probe", "name": "probe"}))

    def _point(self, given: Mapping[str, Any]) -> None:
        given = {**given, "term_id": self.term.id}
        point = cast("TermItem", self._parse("term_item", "point", given, {"item_id": "probe"}))
        if point.protocol_code is None:
            raise Invalid.of([FieldError(0, "point.protocol_code", "is required")])
        errors = self._schemas.check(self.device, self.term, point)
        if errors:
            raise Invalid.of(_below("point", errors))
        self.point = point

    def _parse(self, kind: Kind, part: str, given: Mapping[str, Any], defaults: Mapping[str, str]) -> ModelObject:
        filled = {**defaults, **{name: value for name, value in given.items() if value is not None}}
        try:
            protocol = None if kind == "device" else self.device.protocol
            return self._schemas.parse(kind, filled, protocol)
        except Invalid as error:
            raise Invalid.of(_below(part, error.errors)) from None


_PARTS: Final = ("device", "device_id", "term", "point")


def _below(part: str, errors: list[FieldError]) -> list[FieldError]:
    return [FieldError(0, part if e.field == part else f"{part}.{e.field}", e.message) for e in errors]


async def probe_device(call: Call) -> web.StreamResponse:
    """Try a device, or one of its points, over a connection of its own."""
    tried = _Tried(call)
    device, point = tried.device, tried.point
    if not call.identity.sees(device.id):
        raise ApiProblem(
            "forbidden",
            f"the access token {call.identity.name!r} is not for a device {device.id}; name one that it is for",
        )
    check_driver(call, device)
    body = {
        "device": to_wire(device),
        "term": to_wire(tried.term),
        "point": None if point is None else to_wire(point),
    }
    reply = await call.services.commands.query("probe", device.id, body, PROBE_TIME)
    return responses.of(reply.body) if reply.status == 200 else failed(reply)


_PROBE_SCHEMA: Final[dict[str, Any]] = {
    "type": "object",
    "properties": {
        "device": {"type": "object", "description": "a device as it would be created; without id and name"},
        "device_id": {**ID, "description": "instead: a device that is saved"},
        "term": {"type": "object", "description": "a term without its ids: above all its address"},
        "point": {"type": "object", "description": "a term item without its ids: protocol_code, code_type, ..."},
    },
    "additionalProperties": False,
}

OPERATIONS = [
    Operation(
        id="get_device_frames",
        method="GET",
        path="/api/v2/devices/{device_id}/frames",
        handler=device_frames,
        summary="The last protocol frames of a device, in hexadecimal and in plain words, oldest first",
        description="They are kept when frame_log of the device, or the setting manager.frame_log, is not 0.",
        tag="devices",
        query=(_LIMIT,),
        answers={200: Answer("the frames, and how many are kept (size)", ref("FrameList"))},
        errors=(404, 409, 503),
    ),
    Operation(
        id="probe_device",
        method="POST",
        path="/api/v2/devices/probe",
        handler=probe_device,
        summary="Try a device, or one point of it, before it is saved",
        description=(
            "The manager that would run the device connects, reads the point once and closes again; nothing is "
            "stored. Field errors are named by part, as device.port or point.protocol_code. Of what the registers "
            "could mean, NaN, infinity, denormal numbers, floats beyond 1e30 or below 1e-30 and 64-bit integers "
            "beyond 2**53 are left out, unless the point is configured so."
        ),
        tag="devices",
        body=Body(_PROBE_SCHEMA),
        answers={200: Answer("what was found; that it is not reachable is an answer, too", ref("ProbeAnswer"))},
        errors=(404, 409, 429, 503),
    ),
]
