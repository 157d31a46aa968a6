"""``device_select``: select before operate in two steps. The device holds the selection until it is executed
(``device_ctrl`` with its id), cancelled, or given up after its time."""

from __future__ import annotations

import logging
from collections.abc import Mapping
from typing import Any, Final, Literal

import msgspec
from aiohttp import web

from pydatacoll.api import problems, responses
from pydatacoll.api.commands import KEY_HEADER, check, idempotency_key, note, parse
from pydatacoll.api.operation import Answer, Body, Call, Operation, ref
from pydatacoll.api.selection_views import CancelRequest, SelectRequest
from pydatacoll.api.views import CallRequest, CtrlRequest
from pydatacoll.errors import FieldError, Invalid, PyDataCollError, StoreError
from pydatacoll.model import time_to_wire
from pydatacoll.model.fields import convert_each, fields_of, text_problem
from pydatacoll.store.queries import QueryReply

log = logging.getLogger(__name__)

_ON_THE_WAY: Final = 0.25
"""Seconds that the answer of the manager may take beyond its own time."""


def _unknown(given: Mapping[str, Any], wanted: type[msgspec.Struct]) -> None:
    """
    :raises Invalid: naming the fields that a request of this kind does not have.
    """
    known = fields_of(wanted)
    names = [ascii(name).strip("'")[:80] for name in given if name not in known]
    if names:
        raise Invalid.of([FieldError(0, name, "unknown field") for name in names])


def _selection_id(given: Mapping[str, Any]) -> str:
    selection = given.get("selection_id")
    errors = convert_each(CancelRequest, {"selection_id": selection}, 0) if selection is not None else []
    wrong = [error for error in errors if error.field == "selection_id"]
    if selection is None:
        wrong = [FieldError(0, "selection_id", "is required")]
    elif isinstance(selection, str) and (problem := text_problem(selection)):
        wrong = [FieldError(0, "selection_id", problem)]
    if wrong:
        raise Invalid.of(wrong)
    return str(selection)


def _failed(reply: QueryReply) -> web.StreamResponse:
    kind = problems.kind_of_reply(reply.status, reply.title)
    body = problems.document(kind, kind.meaning if reply.status == 500 else reply.detail)
    if reply.outcome:
        body["outcome"] = reply.outcome
    return problems.respond(body)


async def _asked(
    call: Call, what: Literal["select", "cancel"], body: dict[str, Any], seconds: float, entry: Mapping[str, Any]
) -> QueryReply:
    """Ask the manager; in the audit trail before, as the intention, and after, with the result."""
    await call.services.audit.write([{**entry, "result": None}])
    reply = await call.services.commands.query(what, entry["devices"][0], body, seconds)
    result = "ok" if reply.status == 200 else f"{reply.status} {reply.detail}"
    try:
        await call.services.audit.write([{**entry, "result": result}])
    except StoreError as error:  # what the device did is answered all the same
        log.warning("the result of a selection is not in the audit trail: %s", error)
    return reply


def _checked(call: Call) -> CtrlRequest:
    _unknown(call.body, SelectRequest)
    asked = check(call, parse("ctrl", call.body, 0), 0, selecting=True)
    assert isinstance(asked, CtrlRequest)  # noqa: S101 - what the kind means
    return asked


async def device_select(call: Call) -> web.StreamResponse:
    """Select a point; answers when the device confirmed it."""
    try:
        key = idempotency_key(call)
        asked = _checked(call)
    except PyDataCollError as error:
        note(call, "select", call.body, str(error), error.status)
        raise
    call.services.access.spend(call.identity, 1)
    longest = call.services.settings.server.call_timeout
    left = longest if asked.expires_in is None else min(longest, asked.expires_in)
    point = {"device_id": asked.device_id, "term_id": asked.term_id, "item_id": asked.item_id}
    entry = call.entry("select", ":".join(point.values()), after=asked.value, devices=[asked.device_id])
    if asked.reason:
        entry = {**entry, "reason": asked.reason}
    field = f"{asked.term_id}:{asked.item_id}"
    # who selects, and from where: for the manager, which tells the audit trail how the selection ended
    body = {"field": field, "value": asked.value, "left": left, "user": entry["user"], "source": entry["source"]}

    async def ask() -> QueryReply:
        return await _asked(call, "select", body, left + _ON_THE_WAY, entry)

    if key is None:
        reply = await ask()
    else:
        what = msgspec.json.encode(("select", *point.values(), asked.value))
        reply = await call.services.commands.once(call.identity.name, key, what, ask)
        if reply.status in {409, 422} and not reply.id:
            note(call, "select", call.body, reply.detail, reply.status)
    if reply.status != 200:
        return _failed(reply)
    held = reply.body
    return responses.of(
        {
            **point,
            "value": asked.value,
            "selection_id": held["selection_id"],
            "expires": time_to_wire(held["expires"]),
            "seconds": held["seconds"],
        }
    )


async def cancel_selection(call: Call) -> web.StreamResponse:
    """Give a selection up."""
    _unknown(call.body, CancelRequest)
    named = {name: value for name, value in call.body.items() if name != "selection_id"}
    asked = check(call, parse("call", named, 0), 0)
    assert isinstance(asked, CallRequest)  # noqa: S101 - what the kind means
    selection = _selection_id(call.body)
    point = {"device_id": asked.device_id, "term_id": asked.term_id, "item_id": asked.item_id}
    entry = call.entry(
        "select.cancel", ":".join(point.values()), devices=[asked.device_id], selection_id=selection
    )
    body = {"field": f"{asked.term_id}:{asked.item_id}", "selection_id": selection}
    seconds = call.services.settings.server.call_timeout
    reply = await _asked(call, "cancel", body, seconds, entry)
    return responses.of({**point, "selection_id": selection}) if reply.status == 200 else _failed(reply)


_FAILURES: Final = (404, 409, 429, 502, 503, 504)

OPERATIONS = [
    Operation(
        id="device_select",
        method="POST",
        path="/api/v2/device_select",
        handler=device_select,
        summary="Select a point for a value (select before operate); answers when the device confirmed",
        description=(
            "Nothing is executed. device_ctrl with the selection_id and the same value executes it, once; "
            "device_select/cancel gives it up, and so does the manager after seconds: the device is told each "
            "time. It is lost with the link to the device. Meanwhile other commands for the point are refused "
            "with 409. "
            "Of a protocol that cannot do this (all but iec104 with its native backend) the answer is 422."
        ),
        tag="commands",
        headers=KEY_HEADER,
        body=Body(ref("SelectRequest")),
        answers={200: Answer("selected", ref("SelectAnswer"))},
        errors=_FAILURES,
        scope="operate",
    ),
    Operation(
        id="cancel_selection",
        method="POST",
        path="/api/v2/device_select/cancel",
        handler=cancel_selection,
        summary="Give a selection up; the device is told to forget it",
        tag="commands",
        body=Body(ref("CancelRequest")),
        answers={200: Answer("a deactivation was sent", ref("Cancelled"))},
        errors=_FAILURES,
        scope="operate",
    ),
]
