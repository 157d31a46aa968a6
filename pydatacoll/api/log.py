"""``GET /api/v2/log``: what happened."""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import Any, Final

from aiohttp import web
from yarl import URL

from pydatacoll.api import query, responses
from pydatacoll.api.access import Identity
from pydatacoll.api.live import feed_of
from pydatacoll.api.operation import Answer, Call, Operation, array, ref
from pydatacoll.model.event import KINDS, Seen
from pydatacoll.store.event_log import EventId, Found, LogFilter, row

_ID: Final = re.compile(r"[0-9]{1,18}-[0-9]{1,18}-[0-9]{1,6}\Z")
_NAMES: Final = ", ".join(KINDS)


def _before() -> query.Query:
    def convert(text: str) -> EventId:
        if not _ID.match(text):
            raise ValueError("must be the id of an event")
        return EventId.parse(text)

    schema = {"type": "string", "pattern": "^[0-9]{1,18}-[0-9]{1,18}-[0-9]{1,6}$"}
    return query.Query("before", "only events before the one with this id", schema, convert)


def visible(identity: Identity) -> Callable[[Seen], bool]:
    """Whether a token may see an event: one that is for some devices only sees nothing of the model or the system
    as a whole."""

    def sees(seen: Seen) -> bool:
        return not identity.devices or (not seen.whole and all(map(identity.sees, seen.devices)))

    return sees


async def list_log(call: Call) -> web.StreamResponse:
    """Newest first."""
    given, sees = call.query, visible(call.identity)
    wanted_devices = given["device_id"]

    def wants(seen: Seen) -> bool:
        return sees(seen) and (wanted_devices is None or not wanted_devices.isdisjoint(seen.devices))

    wanted = LogFilter(
        since=given["since"],
        until=given["until"],
        kinds=given["kind"] or frozenset(KINDS),
        wants=wants,
    )
    found = await feed_of(call.services).log.read(wanted, given["limit"], given["before"])
    headers = {}
    if len(found) == given["limit"]:
        following = URL(call.request.rel_url.raw_path, encoded=True).with_query(call.request.query)
        headers["Link"] = f'<{following.update_query({"before": str(found[-1][0])})}>; rel="next"'
    return await responses.rows(found, _row, headers)


def _row(found: Found) -> dict[str, Any]:
    return row(*found)


OPERATIONS = [
    Operation(
        id="list_log",
        method="GET",
        path="/api/v2/log",
        handler=list_log,
        summary="What happened, newest first",
        description=(
            f"Events of all kinds ({_NAMES}): links of devices that were lost and came back, steps of alarms, "
            "changes of the model, controls, and what became of managers, plugins and the store. They are also "
            "pushed live, as the topic events. About the last 10,000 of the first and the last kind are kept."
        ),
        tag="live",
        query=(
            query.moment("since", "only events of this time or later"),
            query.moment("until", "only events of this time or earlier"),
            query.Query(
                "device_id",
                "only what concerns one of these devices, separated by commas",
                {"type": "string", "examples": ["feeder1,feeder2"]},
                lambda text: frozenset(query.ids("", "").convert(text)),
            ),
            query.words("kind", f"only of these kinds ({_NAMES}), separated by commas", KINDS),
            query.integer("limit", "answer at most so many, the newest", ge=1, le=10_000, default=100),
            _before(),
        ),
        answers={
            200: Answer(
                "events",
                array(ref("EventView")),
                headers={"Link": 'when there may be more: the next page, rel="next" (RFC 8288)'},
            )
        },
        errors=(503,),
    ),
]
