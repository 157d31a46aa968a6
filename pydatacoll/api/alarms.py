"""``/api/v2/alarms``: alarms that are not normal, and what persons do with them."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Callable, Collection, Mapping
from functools import partial
from typing import Any, Final, TypeVar

import msgspec
from aiohttp import web

from pydatacoll.api import alarm_history, query, responses
from pydatacoll.api.alarm_views import BY_DEVICE, BY_KIND, BY_PRIORITY, AckRequest, ShelveRequest
from pydatacoll.api.operation import Answer, Body, Call, Operation, array, ref
from pydatacoll.api.points import find_point
from pydatacoll.api.resource import PAGE_HEADERS
from pydatacoll.api.services import Services
from pydatacoll.codec import json
from pydatacoll.errors import Conflict, FieldError, Invalid, NotFound, StoreError
from pydatacoll.live.alarm_rows import alarm_row
from pydatacoll.model import TermItem
from pydatacoll.model.alarm import LIMITS, PRIORITIES, STATES, Alarm, AlarmId, kinds_of
from pydatacoll.model.fields import convert_each, fields_of
from pydatacoll.store.alarms import Outcome

log = logging.getLogger(__name__)

PERIOD: Final = 1.0
"""Seconds between two looks for shelving that has come to its end."""

_GROUPS: Final[Mapping[str, Callable[[Alarm], bool]]] = {
    "active": lambda alarm: alarm.active and alarm.state != "shelved",
    "unacknowledged": lambda alarm: alarm.state.endswith("_unacknowledged"),
    **{state: lambda alarm, state=state: alarm.state == state for state in STATES[1:]},  # type: ignore[misc]
}
"""What ``state`` of a query may be -> whether an alarm is meant."""
_POSSIBLE: Final[Mapping[str, Collection[str]]] = {
    "ack": ("active_unacknowledged", "returned_unacknowledged"),
    "shelve": STATES,
    "unshelve": ("shelved",),
}
"""What a person does -> the states in which that can be done."""

R = TypeVar("R", bound=msgspec.Struct)


async def bring_back(services: Services) -> None:
    """Bring back shelved alarms when their time has come, for ever."""
    while True:
        try:
            await services.alarms.bring_back()
        except StoreError as error:
            log.debug("shelved alarms wait: %s", error)
        await asyncio.sleep(PERIOD)


async def list_alarms(call: Call) -> web.StreamResponse:
    """Those that are not normal, of points that the token is for."""
    model, given = call.model, call.query
    wanted = [_GROUPS[given["state"]]] if given["state"] else []
    found = []
    for alarm, one in (await call.services.alarms.live()).items():
        if (
            (given["device_id"] is None or alarm.device_id in given["device_id"])
            and (given["priority"] is None or one.priority in given["priority"])
            and (given["kind"] is None or alarm.kind in given["kind"])
            and all(matches(one) for matches in wanted)
            and alarm.device_id in model.devices
            and (alarm.term_id, alarm.item_id) in model.term_items
        ):
            found.append((alarm, one))
    found.sort(key=lambda pair: pair[0])
    found.sort(key=lambda pair: (PRIORITIES.index(pair[1].priority), pair[1].raised), reverse=True)
    some, headers = responses.page(call.request, found, given["limit"], given["offset"])
    return await responses.rows(some, lambda pair: alarm_row(*pair), headers)


def _parse(object_type: type[R], payload: Mapping[str, Any]) -> R:
    """
    :raises Invalid: naming every bad field.
    """
    fields = fields_of(object_type)
    errors = [
        FieldError(0, ascii(name).strip("'")[:80], "unknown field") for name in payload if name not in fields
    ]
    given = {name: value for name, value in payload.items() if name in fields and value is not None}
    errors += convert_each(object_type, given, 0)
    if errors:
        raise Invalid.of(errors)
    return msgspec.convert(given, object_type, strict=False)


def _find(call: Call) -> tuple[AlarmId, TermItem]:
    """The alarm that is named, with the term item.

    :raises NotFound: there can be no such alarm, or the token is not for it.
    """
    text = call.path["alarm_id"]
    try:
        alarm = AlarmId.parse(text)
    except ValueError:
        raise NotFound(f"alarm_id not found! {text}: an alarm is device:term:item:kind") from None
    return alarm, find_point(call.model, *alarm.point).item


def _conflict(alarm: AlarmId, state: str) -> Conflict:
    return Conflict(f"alarm {alarm} is {state.replace('_', ' and ')}")


async def _act(
    call: Call, what: str, note: str, act: Callable[[AlarmId], Awaitable[Outcome]], **more: Any
) -> web.StreamResponse:
    """Do something with an alarm. The entry in the audit trail comes first, or nothing happens.

    :raises Conflict: when it is not in a state for that.
    """
    alarm, item = _find(call)
    before = await call.services.alarms.one(alarm)
    if before is None and alarm.kind not in kinds_of(item):
        raise NotFound(f"alarm_id not found! {alarm}: the point has no such alarm")
    state = "normal" if before is None else before.state
    if state not in _POSSIBLE[what]:
        raise _conflict(alarm, state)
    entry = call.entry(
        f"alarm.{what}",
        str(alarm),
        before=state,
        devices=[alarm.device_id],
        **({"reason": note} if note else {}),
        **more,
    )
    await call.services.audit.write([entry])
    outcome = await act(alarm)
    if not outcome.done:  # somebody else was quicker
        problem = _conflict(alarm, outcome.state)
        await call.services.audit.write([{**entry, "result": f"409 {problem}"}])
        raise problem
    after = await call.services.alarms.one(alarm)
    if after is None:
        known = before or Alarm(state="normal", active=False)
        after = msgspec.structs.replace(known, state="normal", active=False, until="")
    return responses.of(alarm_row(alarm, after))


async def ack(call: Call) -> web.StreamResponse:
    """Acknowledge."""
    asked = _parse(AckRequest, call.body)
    user = call.identity.name
    return await _act(call, "ack", asked.note, lambda alarm: call.services.alarms.ack(alarm, user, asked.note))


async def shelve(call: Call) -> web.StreamResponse:
    """Shelve for some time."""
    asked = _parse(ShelveRequest, call.body)
    alarm, item = _find(call)
    limit = getattr(item, LIMITS[alarm.kind]) if alarm.kind in LIMITS else None
    act = partial(
        call.services.alarms.shelve,
        user=call.identity.name,
        note=asked.note,
        seconds=asked.seconds,
        limit=json.encode(limit).decode(),
        priority=item.alarm_priority or "medium",
        message=item.warn_msg or "",
    )
    return await _act(call, "shelve", asked.note, act, after={"seconds": asked.seconds})


async def unshelve(call: Call) -> web.StreamResponse:
    """End shelving."""
    asked = _parse(AckRequest, call.body)
    user = call.identity.name
    return await _act(
        call, "unshelve", asked.note, lambda alarm: call.services.alarms.unshelve(alarm, user, asked.note)
    )


def _action(name: str, handler: Any, body: str, summary: str, description: str) -> Operation:
    return Operation(
        id=f"{name}_alarm",
        method="POST",
        path=f"/api/v2/alarms/{{alarm_id}}/{name}",
        handler=handler,
        summary=summary,
        description=description,
        tag="alarms",
        body=Body(ref(body)),
        answers={200: Answer("the alarm as it is now", ref("AlarmView"))},
        errors=(404, 409, 503),
        scope="operate",
    )


OPERATIONS = [
    Operation(
        id="list_alarms",
        method="GET",
        path="/api/v2/alarms",
        handler=list_alarms,
        summary="Alarms that are not normal, the most urgent ones first",
        description="Sorted by priority, then by the time when they were raised, the newest first.",
        tag="alarms",
        query=(
            query.choice(
                "state", "only in this state; active and unacknowledged stand for two states", list(_GROUPS)
            ),
            BY_PRIORITY,
            BY_KIND,
            BY_DEVICE,
            *query.PAGING,
        ),
        answers={200: Answer("alarms", array(ref("AlarmView")), headers=PAGE_HEADERS)},
        errors=(503,),
    ),
    *alarm_history.OPERATIONS,
    _action(
        "ack",
        ack,
        "AckRequest",
        "Acknowledge an alarm",
        "An active alarm stays until its condition ends; one whose condition has ended is normal then. 409 when "
        "there is nothing to acknowledge.",
    ),
    _action(
        "shelve",
        shelve,
        "ShelveRequest",
        "Silence an alarm for some time",
        "Its condition is watched meanwhile, and its history kept, but nobody is told. When the time is over it "
        "comes back by itself: unacknowledged when the condition holds, else normal. An alarm that is normal can "
        "be shelved before work begins; one that is shelved already is shelved anew.",
    ),
    _action(
        "unshelve",
        unshelve,
        "AckRequest",
        "Let a shelved alarm come back now",
        "409 when it is not shelved.",
    ),
]
