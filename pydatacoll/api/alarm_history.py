"""``/api/v2/alarms/history``: what happened to alarms, from the store and, before that, from the archive."""

from __future__ import annotations

import asyncio
import logging
import re
from collections.abc import Sequence
from typing import Any, Final

from aiohttp import web
from yarl import URL

from pydatacoll.api import query, responses
from pydatacoll.api.alarm_views import BY_DEVICE, BY_KIND, BY_PRIORITY, plain
from pydatacoll.api.operation import Answer, Call, Operation, array, ref
from pydatacoll.api.services import Archive
from pydatacoll.archive.errors import ArchiveUnavailable, StatementError
from pydatacoll.archive.shapes import AlarmQuery
from pydatacoll.model.alarm import EVENTS, AlarmId, Transition
from pydatacoll.store.alarms import TransitionId, Wanted

log = logging.getLogger(__name__)

WAIT: Final = 10.0
"""Longest time that the archive may take, seconds; then what the store has is answered."""
INCOMPLETE: Final = {"X-Incomplete": "archive unavailable"}
"""Header of an answer that may lack what only the archive has."""
_ID: Final = re.compile(r"[0-9]{1,18}-[0-9]{1,18}-[0-9]{1,6}\Z")

Step = tuple[TransitionId, Transition]


def _before() -> query.Query:
    def convert(text: str) -> TransitionId:
        if not _ID.match(text):
            raise ValueError("must be the id of a step")
        return TransitionId.parse(text)

    schema = {"type": "string", "pattern": "^[0-9]{1,18}-[0-9]{1,18}-[0-9]{1,6}$"}
    return query.Query("before", "only what came before the step with this id", schema, convert)


def _alarm() -> query.Query:
    def convert(text: str) -> AlarmId:
        try:
            return AlarmId.parse(text)
        except ValueError:
            raise ValueError("must be the id of an alarm: device:term:item:kind") from None

    schema = {"type": "string", "examples": ["feeder1:main:ua:high"]}
    return query.Query("alarm", "only of the alarm with this id", schema, convert)


def _view(found: Step) -> dict[str, Any]:
    step_id, one = found
    return {
        "id": str(step_id),
        "alarm": one.alarm,
        **AlarmId.parse(one.alarm)._asdict(),
        "event": one.event,
        "state": one.state,
        "time": one.time,
        "value": plain(one.value),
        "quality": plain(one.quality),
        "limit": plain(one.limit),
        "priority": one.priority,
        "warn_msg": one.message,
        "user": one.user,
        "note": one.note,
        "until": one.until or None,
    }


async def _archived(call: Call, archive: Archive) -> Sequence[Step]:
    """The newest steps of the archive that are wanted, the newest first; there may be more than the limit.

    :raises ArchiveUnavailable: when it cannot be asked now.
    """
    given, identity = call.query, call.identity
    before: TransitionId | None = given["before"]
    place = call.services.alarms.place
    wanted = AlarmQuery(
        since=_milliseconds(given["since"]),
        until=_milliseconds(given["until"]),
        before=None if before is None else before[:2],
        alarm=given["alarm"],
        device_ids=given["device_id"],
        kinds=given["kind"],
        priorities=given["priority"],
        events=given["event"],
        patterns=identity.devices or None,
        matches=lambda one: (
            identity.sees(device_id := AlarmId.parse(one.step.alarm).device_id)
            and (before is None or place(one.noted, one.number, device_id) < before)
        ),
    )
    try:
        async with asyncio.timeout(WAIT):
            found = await archive.alarms(wanted, given["limit"])
    except TimeoutError as error:
        raise ArchiveUnavailable(f"no answer within {WAIT:g} s") from error
    return [(place(noted, number, AlarmId.parse(step.alarm).device_id), step) for noted, number, step in found]


def _milliseconds(moment: float | None) -> int | None:
    """As the store takes it."""
    return None if moment is None else max(0, int(moment * 1000))


async def _recent(call: Call) -> Sequence[Step]:
    """The newest steps of the store that are wanted, the newest first."""
    given, identity = call.query, call.identity

    def matches(one: Transition) -> bool:
        alarm = AlarmId.parse(one.alarm)
        return (
            identity.sees(alarm.device_id)
            and (given["device_id"] is None or alarm.device_id in given["device_id"])
            and (given["priority"] is None or one.priority in given["priority"])
            and (given["kind"] is None or alarm.kind in given["kind"])
            and (given["event"] is None or one.event in given["event"])
            and (given["alarm"] is None or alarm == given["alarm"])
        )

    wanted = Wanted(since=given["since"], until=given["until"], matches=matches)
    return await call.services.alarms.history(wanted, given["limit"], given["before"])


async def history(call: Call) -> web.StreamResponse:
    """Newest first. Also of points that do not exist any more.

    The store is asked before the archive: what it forgets in between is archived by then.
    """
    limit, archive = call.query["limit"], call.services.archive
    headers: dict[str, str] = {}
    found = await _recent(call)
    if archive is not None:
        try:
            older = await _archived(call, archive)
        except (ArchiveUnavailable, StatementError) as error:
            log.debug("the history of alarms is answered without the archive: %s", error)
            headers |= INCOMPLETE
        else:
            together = dict(older) | dict(found)
            found = sorted(together.items(), key=lambda one: one[0], reverse=True)[:limit]
    if len(found) == limit:
        following = URL(call.request.rel_url.raw_path, encoded=True).with_query(call.request.query)
        headers["Link"] = f'<{following.update_query({"before": str(found[-1][0])})}>; rel="next"'
    return await responses.rows(found, _view, headers)


OPERATIONS = [
    Operation(
        id="list_alarm_history",
        method="GET",
        path="/api/v2/alarms/history",
        handler=history,
        summary="What happened to alarms, newest first",
        description=(
            "The store keeps about 20,000 steps for each partition; what is older comes from the archive, when "
            "there is one. While that cannot be asked, the answer is what the store has, with the header "
            "X-Incomplete. since and until are about the time at which a step was noted."
        ),
        tag="alarms",
        query=(
            query.moment("since", "only steps noted at this time or later"),
            query.moment("until", "only steps noted at this time or earlier"),
            _alarm(),
            BY_DEVICE,
            BY_PRIORITY,
            BY_KIND,
            query.words("event", "only these events, separated by commas", EVENTS),
            query.integer("limit", "answer at most so many, the newest", ge=1, le=10_000, default=100),
            _before(),
        ),
        answers={
            200: Answer(
                "steps",
                array(ref("TransitionView")),
                headers={
                    "Link": 'when there may be more: the next page, rel="next" (RFC 8288)',
                    "X-Incomplete": "archive unavailable: steps that the store has forgotten may be missing",
                },
            )
        },
        errors=(503,),
    ),
]
