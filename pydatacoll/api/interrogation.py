"""``POST /api/v2/devices/{device_id}/interrogate``: makes a device send what it has, now."""

from __future__ import annotations

import logging
from collections.abc import Mapping, Sequence
from typing import Any, Final, cast

import msgspec
from aiohttp import web

from pydatacoll.api import problems, responses
from pydatacoll.api.inspection import check_driver, failed
from pydatacoll.api.operation import Answer, Body, Call, Operation, ref
from pydatacoll.api.views import InterrogateRequest
from pydatacoll.errors import Conflict, FieldError, Invalid, StoreError
from pydatacoll.model import Device
from pydatacoll.model.change import find, missing
from pydatacoll.model.fields import convert_each, fields_of, id_from_json

log = logging.getLogger(__name__)

COUNTERS: Final = range(37, 42)
"""Groups of counters, which can be frozen."""
FREEZE: Final = {None: 0, "read": 0, "freeze": 1, "freeze_reset": 2, "reset": 3}
"""What is done to counters -> its number in the qualifier of counter interrogation (IEC 60870-5-101, 7.2.6.23)."""
_ON_THE_WAY: Final = 2.0
"""Seconds that the answer of the manager may take beyond its own time."""
_COMPLETE: Final = frozenset({"terminated", "confirmed"})
"""Outcomes of a term that did what it was asked for."""
_LOST: Final = "link_lost"
_SILENT: Final = frozenset({"no_confirmation", "no_termination", "timeout", _LOST})
"""Outcomes that leave open what a term did."""


def _parse(payload: Mapping[str, Any]) -> InterrogateRequest:
    """
    :raises Invalid: naming every bad field.
    """
    fields = fields_of(InterrogateRequest)
    errors = [
        FieldError(0, ascii(name).strip("'")[:80], "unknown field") for name in payload if name not in fields
    ]
    given = {name: value for name, value in payload.items() if name in fields and value is not None}
    if type(given.get("term_id")) is int:
        given["term_id"] = id_from_json(given["term_id"])
    errors += convert_each(InterrogateRequest, given, 0)
    if errors:
        raise Invalid.of(errors)
    return msgspec.convert(given, InterrogateRequest, strict=False)


def _check(call: Call, asked: InterrogateRequest) -> Device:
    """The device that is asked.

    :raises NotFound: unknown device or term.
    :raises Conflict: it cannot be interrogated, or not now.
    :raises Invalid: it has no such group.
    """
    device = cast("Device", find(call.model, "device", call.path["device_id"]))
    if asked.term_id is not None:
        term = call.model.terms.get(asked.term_id)
        if term is None or term.device_id != device.id:
            raise missing("term", asked.term_id)
    check_driver(call, device)
    groups = call.services.schemas.protocols[device.protocol].groups
    if not groups:
        raise Conflict(f"a device of protocol {device.protocol} cannot be interrogated")
    if not device.enabled:
        raise Conflict(f"device {device.id} is disabled")
    if asked.group not in groups:
        known = ", ".join(f"{number} ({name})" for number, name in sorted(groups.items()))
        raise Invalid.of([FieldError(0, "group", f"{device.protocol} knows {known}")])
    if asked.freeze is not None and asked.group not in COUNTERS:
        raise Invalid.of([FieldError(0, "freeze", f"is for counters: groups {COUNTERS[0]} to {COUNTERS[-1]}")])
    return device


def _kind_of(results: Sequence[Mapping[str, Any]], freeze: int) -> problems.Kind | None:
    """What kind of failure it is that no term did what it was asked for; ``None`` when one did."""
    outcomes = {result["outcome"] for result in results}
    if not outcomes or outcomes & _COMPLETE:
        return None
    if outcomes == {_LOST} and not freeze:  # else it is open what became of the counters
        return problems.KINDS["device-offline"]
    return problems.KINDS["device-timeout" if outcomes <= _SILENT else "device-refused"]


def _in_words(results: Sequence[Mapping[str, Any]]) -> str:
    first = results[0]
    others = f" (and {len(results) - 1} more terms)" if len(results) > 1 else ""
    which = "all stations" if first["term_id"] is None else f"term {first['term_id']}"
    return f"{which}: {first['detail'] or first['outcome'].replace('_', ' ')}{others}"


async def _note(call: Call, entry: Mapping[str, Any]) -> None:
    """Put into the audit trail what became of it. What the device did is answered, whether that works or not."""
    try:
        await call.services.audit.write([entry])
    except StoreError as error:
        log.warning("the result of an interrogation is not in the audit trail: %s", error)


async def interrogate(call: Call) -> web.StreamResponse:
    """Ask, and wait for the end; the audit entry is there before the device is asked."""
    asked = _parse(call.body)
    device = _check(call, asked)
    call.services.access.spend(call.identity, 1)
    freeze = FREEZE[asked.freeze]
    what = {"group": asked.group, "term_id": asked.term_id, "freeze": asked.freeze}
    entry = call.entry("interrogate", device.id, after={k: v for k, v in what.items() if v is not None})
    entry["devices"] = [device.id]
    await call.services.audit.write([{**entry, "result": None}])
    body: dict[str, Any] = {"group": asked.group, "freeze": freeze, "wait": asked.wait}
    if asked.term_id is not None:
        body["terms"] = [asked.term_id]
    reply = await call.services.commands.query("interrogate", device.id, body, asked.wait + _ON_THE_WAY)
    if reply.status != 200:
        await _note(call, {**entry, "result": f"{reply.status} {reply.detail}"})
        return failed(reply)
    rows = sorted(reply.body["results"], key=lambda one: (one["address"], one["term_id"]))
    results: list[dict[str, Any]] = [{**row, "term_id": row["term_id"] or None} for row in rows]
    kind = _kind_of(results, freeze)
    if kind is None:
        await _note(call, entry)
        return responses.of({"device_id": device.id, "group": asked.group, "results": results})
    problem = problems.document(kind, _in_words(results), results=results)
    await _note(call, {**entry, "result": f"{kind.status} {problem['detail']}"})
    return problems.respond(problem)


OPERATIONS = [
    Operation(
        id="interrogate_device",
        method="POST",
        path="/api/v2/devices/{device_id}/interrogate",
        handler=interrogate,
        summary="Make a device send a group of its values now, and wait until it has",
        description=(
            "Of IEC 60870-5-104: general interrogation (groups 20 to 36) and counter interrogation (37 to 41) of "
            "one term, or of all. The values go the way of all others; the answer counts them. What kept a term "
            "from it is in outcome and detail; when no term did it, the answer is 502, 503 or 504 with the same "
            "results. When wait is over the answer is 504, too, and the interrogation goes on."
        ),
        tag="commands",
        body=Body(ref("InterrogateRequest")),
        answers={200: Answer("what each term did, sorted by address", ref("InterrogateAnswer"))},
        errors=(404, 409, 429, 502, 503, 504),
        scope="operate",
    )
]
