"""``device_call`` and ``device_ctrl``: everything that can be known is checked before the device is asked."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from contextlib import suppress
from typing import Any, Final

import msgspec
from aiohttp import web

from pydatacoll.api import problems, responses
from pydatacoll.api.operation import Answer, Body, Call, Operation, array, one_or_many, ref
from pydatacoll.api.points import find_point
from pydatacoll.api.refusals import clean
from pydatacoll.api.services import CommandKind
from pydatacoll.api.views import CallRequest, CtrlRequest
from pydatacoll.errors import Conflict, FieldError, Invalid, PyDataCollError
from pydatacoll.model import PointId, Value, sample_to_wire
from pydatacoll.model.fields import convert_each, fields_of, text_problem
from pydatacoll.model.validation import MOST_MEMBERS
from pydatacoll.store.commands import CommandReply, CommandRequest

_Request = CallRequest | CtrlRequest
_TYPES: Final[dict[CommandKind, type[_Request]]] = {"call": CallRequest, "ctrl": CtrlRequest}
_IDS: Final = ("device_id", "term_id", "item_id")
IDEMPOTENCY_KEY: Final = "Idempotency-Key"
_LONGEST_KEY: Final = 200


def parse(kind: CommandKind, payload: Any, index: int) -> _Request:
    """
    :raises Invalid: naming every bad field.
    """
    wanted = _TYPES[kind]
    if (plain := _plain(wanted, payload)) is not None:
        return plain
    if not isinstance(payload, dict):
        raise Invalid.of([FieldError(index, "body", "must be an object")])
    if len(payload) > MOST_MEMBERS:
        raise Invalid.of([FieldError(index, "body", f"has more than {MOST_MEMBERS} members")])
    fields = fields_of(wanted)
    unknown = [ascii(name).strip("'")[:80] for name in payload if name not in fields]
    errors = [FieldError(index, name, "unknown field") for name in unknown]
    given = {name: value for name, value in payload.items() if name in fields and value is not None}
    for name in _IDS:
        if type(given.get(name)) is int:
            given[name] = str(given[name])
    # The type of the value stays as it is given: what the point takes is for its driver to say.
    value = given.pop("value", None)
    errors += [error for error in convert_each(wanted, given, index) if error.field != "value"]
    if kind == "ctrl":
        errors += _value_errors(value, index)
    for name, text in given.items():
        problem = text_problem(text) if isinstance(text, str) else None
        if problem:
            errors.append(FieldError(index, name, problem))
    if errors:
        raise Invalid.of(errors)
    if kind == "call":
        return msgspec.convert(given, wanted, strict=False)
    return msgspec.structs.replace(msgspec.convert({**given, "value": 0}, wanted, strict=False), value=value)


def _plain(wanted: type[_Request], payload: Any) -> _Request | None:
    """A request that is right at first sight, without text to look into; anything else is looked at closely."""
    try:
        asked = msgspec.convert(payload, wanted)
    except msgspec.ValidationError:
        return None
    if isinstance(asked, CtrlRequest):
        value = asked.value
        if (
            value is None
            or isinstance(value, str)
            or any(text is not None for text in (asked.mode, asked.reason, asked.selection_id))
        ):
            return None
        if not -(2**63) <= value < 2**64:
            return None
    return asked


def _value_errors(value: object, index: int) -> list[FieldError]:
    if value is None:
        return [FieldError(index, "value", "is required")]
    if not isinstance(value, (bool, int, float, str)):
        return [FieldError(index, "value", "must be a number, a boolean or a string")]
    if isinstance(value, int) and not -(2**63) <= value < 2**64:
        return [FieldError(index, "value", f"is outside the range of every type, {-(2**63)} to {2**64 - 1}")]
    problem = text_problem(value) if isinstance(value, str) else None
    return [FieldError(index, "value", problem)] if problem else []


def _typed(value: Value, raw: Value) -> Value:
    """A value given as text, or as 0 or 1 for a bit, in the type of its point: the answer repeats it. What is the
    name of a state (``on`` of a double point) is told as the state, which is not scaled."""
    if isinstance(raw, (bool, str)):
        return raw
    if isinstance(value, str):
        with suppress(ValueError):
            return number if -(2**63) <= (number := int(value)) < 2**64 else float(value)
        with suppress(ValueError):
            return float(value)
    return raw if isinstance(value, (bool, str)) else value


def check(call: Call, asked: _Request, index: int, *, selecting: bool = False) -> _Request:
    """The command, its value in the type of the point.

    :param selecting: it is to be selected only.
    :raises NotFound: unknown device, term or item.
    :raises Conflict: nothing can be read from, or written to, the point now.
    :raises Invalid: the point cannot take the value.
    """
    found = find_point(call.model, asked.device_id, asked.term_id, asked.item_id)
    device, item = found.device, found.item
    driver = call.services.schemas.protocols.get(device.protocol)
    if driver is None:
        raise Conflict(f"device {device.id} has the protocol {device.protocol!r}, whose driver is not installed")
    if not device.enabled:
        raise Conflict(f"device {device.id} is disabled")
    if driver.virtual:
        raise Conflict(f"device {device.id} is virtual ({device.protocol}): there is nothing to talk to")
    if item.protocol_code is None:
        raise Conflict(f"term item {found.id} has no protocol_code")
    if isinstance(asked, CtrlRequest):
        if not item.writable:
            raise Conflict(f"term item {found.id} is not writable")
        if selecting or asked.selection_id is not None:
            driver.check_select(device, found.term, item)
            if asked.mode not in {None, "select"}:
                raise Invalid.of([FieldError(index, "mode", "is that of the selection: select")])
        if asked.mode is not None and asked.mode not in driver.command_modes:
            known = ", ".join(sorted(driver.command_modes))
            raise Invalid.of([FieldError(index, "mode", f"{device.protocol} does not know it; it takes {known}")])
        try:
            raw = driver.check_value(device, found.term, item, asked.value)
        except Invalid as error:
            fields = [FieldError(index, e.field, e.message) for e in error.errors]
            raise Invalid.of(fields or [FieldError(index, "value", str(error))]) from None
        value = _typed(asked.value, raw)
        if value is not asked.value:
            return msgspec.structs.replace(asked, value=value)
    return asked


def idempotency_key(call: Call) -> str | None:
    """
    :raises Invalid: it is none.
    """
    key = call.request.headers.get(IDEMPOTENCY_KEY)
    if key is not None and not (0 < len(key) <= _LONGEST_KEY and key.isascii() and key.isprintable()):
        raise Invalid.of([FieldError(0, IDEMPOTENCY_KEY, f"must be 1-{_LONGEST_KEY} printable ASCII characters")])
    return key


def _request(call: Call, asked: _Request, key: str | None) -> CommandRequest:
    point = PointId(asked.device_id, asked.term_id, asked.item_id)
    source = call.request.remote or ""
    user = call.identity.name
    if not isinstance(asked, CtrlRequest):
        return CommandRequest(point, user=user, source=source)
    return CommandRequest(
        point,
        value=asked.value,
        mode=asked.mode if asked.selection_id is None else "select",
        verify=asked.verify,
        expires_in=asked.expires_in,
        reason=asked.reason,
        selection=asked.selection_id or "",
        idempotency_key=key,
        user=user,
        source=source,
    )


def _problem(reply: CommandReply) -> dict[str, Any]:
    body = problems.document(problems.kind_of_reply(reply.status, reply.title), reply.detail)
    if reply.command_id:
        body["command_id"] = reply.command_id
    if reply.outcome:
        body["outcome"] = reply.outcome
    return body


def _answer(kind: CommandKind, request: CommandRequest, reply: CommandReply) -> dict[str, Any] | None:
    """What succeeded, as its body; ``None`` for what failed."""
    if reply.status != 200 or reply.sample is None:
        return None
    body: dict[str, Any] = sample_to_wire(request.point, reply.sample)
    if kind == "ctrl":
        body["command_id"] = reply.command_id
    if reply.outcome:
        body["outcome"] = reply.outcome
    return body


def _note(call: Call, kind: CommandKind, payload: Any, detail: str, status: int) -> None:
    """Put a control that is not sent into the audit trail."""
    if kind == "ctrl":
        note(call, "ctrl", payload, detail, status)


def note(call: Call, action: str, payload: Any, detail: str, status: int) -> None:
    """Put what is refused into the audit trail."""
    given = named(payload)
    value = payload.get("value") if isinstance(payload, dict) else None
    device_id = clean(str(given.get("device_id", "")))
    call.services.refusals.note(
        f"{action}.refused",
        ":".join(str(given.get(name, "")) for name in _IDS),
        f"{status} {detail}",
        user=call.identity.name,
        source=call.request.remote or "",
        devices=[device_id] if device_id else [],
        after=value if value is None or _is_number(value) else clean(str(value)),
    )


def _is_number(value: object) -> bool:
    return isinstance(value, (bool, float)) or (isinstance(value, int) and -(2**63) <= value < 2**64)


def _note_reply(call: Call, kind: CommandKind, payload: Any, reply: CommandReply) -> None:
    """An ``Idempotency-Key`` may keep a control from being sent, too."""
    if reply.status in {409, 422} and not reply.command_id:
        _note(call, kind, payload, reply.detail, reply.status)


async def _single(call: Call, kind: CommandKind) -> web.StreamResponse:
    try:
        key = idempotency_key(call) if kind == "ctrl" else None
        asked = check(call, parse(kind, call.body, 0), 0)
    except PyDataCollError as error:
        _note(call, kind, call.body, str(error), error.status)
        raise
    request = _request(call, asked, key)
    if kind == "ctrl":
        call.services.access.spend(call.identity, 1)
    (reply,) = await call.services.commands.execute(kind, (request,))
    _note_reply(call, kind, call.body, reply)
    body = _answer(kind, request, reply)
    return responses.of(body) if body is not None else problems.respond(_problem(reply))


async def device_call(call: Call) -> web.StreamResponse:
    """Read one point now."""
    return await _single(call, "call")


async def device_ctrl(call: Call) -> web.StreamResponse:
    """Write one point now."""
    return await _single(call, "ctrl")


def named(payload: Any) -> dict[str, Any]:
    """The point that an element names, as far as it does."""
    given: Mapping[str, Any] = payload if isinstance(payload, dict) else {}
    return {name: given[name] for name in _IDS if isinstance(given.get(name), (str, int))}


async def _many(call: Call, kind: CommandKind) -> web.StreamResponse:
    """Each element stands for itself: what is wrong with one does not keep the others."""
    key = idempotency_key(call) if kind == "ctrl" else None
    answers: list[dict[str, Any] | None] = []
    requests: list[tuple[int, CommandRequest]] = []
    for index, payload in enumerate(call.body):
        if index % responses.SLICE == responses.SLICE - 1:
            await asyncio.sleep(0)
        try:
            asked = check(call, parse(kind, payload, index), index)
        except PyDataCollError as error:
            answers.append({**problems.document_of(error), **named(payload)})
            _note(call, kind, payload, str(error), error.status)
        else:
            requests.append((index, _request(call, asked, None if key is None else f"{key}.{index}")))
            answers.append(None)
    if requests:
        if kind == "ctrl":
            call.services.access.spend(call.identity, len(requests))
        replies = await call.services.commands.execute(kind, [request for _, request in requests])
        for (index, request), reply in zip(requests, replies, strict=True):
            _note_reply(call, kind, call.body[index], reply)
            body = _answer(kind, request, reply)
            answers[index] = (
                {"status": 200, **body} if body is not None else {**_problem(reply), **request.point._asdict()}
            )
    return responses.of(answers)


async def device_calls(call: Call) -> web.StreamResponse:
    """Read many points now."""
    return await _many(call, "call")


async def device_ctrls(call: Call) -> web.StreamResponse:
    """Write many points now."""
    return await _many(call, "ctrl")


_FAILURES = (404, 409, 502, 503, 504)
KEY_HEADER: Final = {IDEMPOTENCY_KEY: "a repeat with the same key returns the first answer and does nothing"}

OPERATIONS = [
    Operation(
        id="device_call",
        method="POST",
        path="/api/v1/device_call",
        handler=device_call,
        summary="Read a point now, from the device",
        tag="commands",
        body=Body(ref("CallRequest")),
        answers={200: Answer("what the device said", ref("SampleView"))},
        errors=_FAILURES,
        scope="operate",
    ),
    Operation(
        id="device_ctrl",
        method="POST",
        path="/api/v1/device_ctrl",
        handler=device_ctrl,
        summary="Write a point now; answers when the device confirmed",
        tag="commands",
        headers=KEY_HEADER,
        body=Body(ref("CtrlRequest")),
        answers={200: Answer("confirmed", ref("CtrlAnswer"))},
        errors=(*_FAILURES, 429),
        scope="operate",
    ),
    Operation(
        id="device_calls",
        method="POST",
        path="/api/v2/device_call",
        handler=device_calls,
        summary="Read many points now; each answer has its own status",
        tag="commands",
        body=Body(one_or_many(ref("CallRequest")), shape="batch", large=True),
        answers={200: Answer("answers in order", array({"oneOf": [ref("CallDone"), ref("CommandProblem")]}))},
        errors=(503,),
        scope="operate",
    ),
    Operation(
        id="device_ctrls",
        method="POST",
        path="/api/v2/device_ctrl",
        handler=device_ctrls,
        summary="Write many points now; each answer has its own status",
        tag="commands",
        headers={IDEMPOTENCY_KEY: f"{KEY_HEADER[IDEMPOTENCY_KEY]}; holds for each place in the list"},
        body=Body(one_or_many(ref("CtrlRequest")), shape="batch", large=True),
        answers={200: Answer("answers in order", array({"oneOf": [ref("CtrlDone"), ref("CommandProblem")]}))},
        errors=(429, 503),
        scope="operate",
    ),
]
