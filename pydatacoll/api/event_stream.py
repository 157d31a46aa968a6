"""``GET /api/v2/events``: what changes, pushed as server-sent events."""

from __future__ import annotations

import asyncio
import contextlib
import logging
from typing import Any, Final

from aiohttp import web

from pydatacoll.api import query, responses
from pydatacoll.api.live import CHECK, feed_of, full, give_up_early
from pydatacoll.api.operation import Answer, Call, Operation
from pydatacoll.api.problems import ApiProblem
from pydatacoll.live.budget import TooMuch
from pydatacoll.live.client import Client, Stalled
from pydatacoll.live.feed import Full
from pydatacoll.live.messages import RATES, TOPICS, Malformed, Subscribe, rate_of
from pydatacoll.live.sse import SseWire, parse_event_id
from pydatacoll.model.globs import point_globs

log = logging.getLogger(__name__)

QUIET: Final = 10.0
"""Seconds after which a comment is sent."""
STREAMS: Final[web.AppKey[set[Any]]] = web.AppKey("streams", set)
"""Tasks that write to clients."""
_HEADERS: Final = responses.with_type("text/event-stream", **{"X-Accel-Buffering": "no"})


def _globs(text: str) -> tuple[str, ...]:
    texts = sorted({part.strip() for part in text.split(",")})
    point_globs(texts)
    return tuple(texts)


def _rate(text: str) -> int:
    try:
        return rate_of(int(text) if text.isascii() and text.isdigit() and len(text) < 6 else text)
    except Malformed as error:
        raise ValueError(str(error).removeprefix("rate ")) from None


async def events(call: Call) -> web.StreamResponse:
    """Serve one stream until it ends."""
    request, services, given = call.request, call.services, call.query
    feed, identity = feed_of(services), call.identity
    response = web.StreamResponse(headers=_HEADERS)
    if request.method == "HEAD":
        return response
    resume = parse_event_id(given["last_event_id"] or request.headers.get("Last-Event-ID"))
    topics = given["topics"] or ("values",)
    wanted = Subscribe(
        '"events"',
        given["glob"],
        None,
        given["rate"],
        tuple(topic for topic in TOPICS if topic in topics),
        *(resume or (None, None)),
    )
    client = Client(
        feed,
        SseWire(),
        response.write,
        sees=identity.sees if identity.devices else None,
        rights=identity if identity.devices else None,
        quiet=QUIET,
        only=True,
    )
    try:
        async with feed.joined(client):
            client.subscribe(wanted)
            await response.prepare(request)
            give_up_early(request.transport)
            writing = asyncio.create_task(_write(client, request), name="live events")
            streams: set[asyncio.Task[None]] = request.app[STREAMS]
            streams.add(writing)
            services.http.live["sse"] += 1
            try:
                while not writing.done() and not services.access.expired(identity):
                    await asyncio.wait({writing}, timeout=None if identity.expires is None else CHECK)
            finally:
                streams.discard(writing)
                services.http.live["sse"] -= 1
                writing.cancel()
                with contextlib.suppress(asyncio.CancelledError):
                    await writing
    except Full:
        raise full(services.settings.server.live_clients) from None
    except TooMuch as error:
        raise ApiProblem("too-many", str(error), headers={"Retry-After": "5"}) from None
    except ConnectionError as error:
        log.debug("a live client at %s is gone: %s", request.remote, error)
    return response


async def _write(client: Client, request: web.Request) -> None:
    try:
        await client.write()
    except Stalled as error:
        log.info("a live client at %s is given up: %s", request.remote, error)
        if request.transport is not None:
            request.transport.abort()
    except TooMuch as error:  # the answer has begun: it ends, and the client asks again
        log.info("a live client at %s is refused: %s", request.remote, error)
    except ConnectionError:
        log.debug("a live client at %s is gone", request.remote)


async def end_all(app: web.Application) -> None:
    """End all streams; their clients connect again by themselves."""
    streams: set[asyncio.Task[None]] = app[STREAMS]
    for task in streams:
        task.cancel()


OPERATIONS = [
    Operation(
        id="events",
        method="GET",
        path="/api/v2/events",
        handler=events,
        summary="What changes, pushed as server-sent events",
        description=(
            "First an event snapshot with all that was chosen, then values, devices, alarms and events, as they "
            "change; the newest of each point only. A client that was cut off goes on with Last-Event-ID. "
            "Comments keep the connection alive."
        ),
        tag="live",
        query=(
            query.words("topics", f"some of {', '.join(TOPICS)}, separated by commas; without it, values", TOPICS),
            query.Query(
                "glob",
                "only what matches one of these device:term:item patterns, separated by commas",
                {"type": "string", "examples": ["feeder*:main:u?"], "default": "*"},
                _globs,
                ("*",),
            ),
            query.Query(
                "rate",
                f"milliseconds between two batches: {RATES[0]} to {RATES[1]}, or 0 for as soon as possible",
                {"type": "integer", "minimum": 0, "maximum": RATES[1], "default": 250},
                _rate,
                250,
            ),
            query.word(
                "last_event_id", "as the header Last-Event-ID, for clients that cannot set it", longest=100
            ),
        ),
        headers={"Last-Event-ID": "id of the last event that was received: what came after it is sent"},
        answers={200: Answer("events", {"type": "string"}, "text/event-stream")},
        errors=(429, 503),
    ),
]
