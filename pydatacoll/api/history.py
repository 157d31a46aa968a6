"""``GET /api/v2/history``: what was archived; and ``sql_check``, which asks the archive's database."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import AsyncGenerator, Mapping
from contextlib import aclosing, suppress
from itertools import islice
from typing import Any, Final, cast

from aiohttp import web

from pydatacoll.api import query, responses
from pydatacoll.api.history_rows import Format, bucket_writer, header, sample_writer
from pydatacoll.api.operation import Answer, Body, Call, Operation, ref
from pydatacoll.api.points import find_point
from pydatacoll.api.problems import ApiProblem
from pydatacoll.api.services import Archive
from pydatacoll.api.transfer import accepted
from pydatacoll.archive.errors import StatementError
from pydatacoll.archive.shapes import Span
from pydatacoll.archive.sql_template import NAMES, compile_template
from pydatacoll.errors import FieldError, Invalid, PyDataCollError
from pydatacoll.model import PointId

log = logging.getLogger(__name__)

Texts = AsyncGenerator[list[str], None]
"""Rows that are text already, some at a time."""
_FIRST: Final = -(2**62)
_LAST: Final = 2**62
"""Microseconds before and after everything."""
_SLICE: Final = 1000
"""Rows made text before others get their turn, and sent at once."""
_DOWNLOAD: Final = 600.0
"""Longest time that a client may take, seconds."""
_MEDIA: Final[Mapping[Format, str]] = {"json": "application/json", "csv": "text/csv; charset=utf-8"}


def _archive(call: Call, for_what: str) -> Archive:
    archive = call.services.archive
    if archive is None:
        raise ApiProblem(
            "plugin-not-enabled",
            f"plugin not enabled: db_saver {for_what}; add its name to plugins in the settings file",
        )
    return archive


def _form(call: Call) -> Format:
    given: Format | None = call.query["format"]
    how = given or accepted(",".join(call.request.headers.getall("Accept", ())), ("json", "csv"))
    if how is None:
        raise ApiProblem(
            "not-acceptable", "History can be application/json or text/csv; or say format= in the URL."
        )
    return cast(Format, how)


async def _series(call: Call, archive: Archive) -> dict[PointId, int]:
    """Series that are asked for and visible, in the order of their points.

    :raises NotFound: for a point that is neither in the model nor in the archive.
    """
    given = call.query
    wanted = {name: given[name] for name in ("device_id", "term_id", "item_id")}
    visible = None
    if wanted["device_id"] is not None:
        visible = [device_id for device_id in wanted["device_id"] if call.identity.sees(device_id)]
    known = await archive.series(visible)
    chosen = [frozenset(ids) if ids is not None else None for ids in wanted.values()]
    found = {
        point: known[point]
        for point in sorted(known)
        if call.identity.sees(point.device_id)
        and all(ids is None or one in ids for one, ids in zip(point, chosen, strict=True))
    }
    if not found and all(ids is not None and len(ids) == 1 for ids in wanted.values()):
        find_point(call.model, *(ids[0] for ids in wanted.values()))
    return found


def _micros(time: float | None, otherwise: int) -> int:
    return otherwise if time is None else round(time * 1e6)


async def _sample_texts(
    archive: Archive, how: Format, series: Mapping[PointId, int], within: tuple[int, int], limit: int | None
) -> Texts:
    for point, number in series.items():
        write = sample_writer(how, point)
        async with aclosing(archive.pages(Span(number, *within), limit)) as pages:
            async for page in pages:
                rows = iter(page)
                while some := [write(row) for row in islice(rows, _SLICE)]:
                    yield some


async def _bucket_texts(
    archive: Archive, how: Format, series: Mapping[PointId, int], within: tuple[int, int], width: int
) -> Texts:
    for point, number in series.items():
        write = bucket_writer(how, point)
        rows = iter(await archive.buckets(Span(number, *within), width))
        while some := [write(row) for row in islice(rows, _SLICE)]:
            yield some


async def _texts(call: Call, archive: Archive, how: Format, series: Mapping[PointId, int]) -> Texts:
    """What is to be written."""
    given = call.query
    since, until = _micros(given["since"], _FIRST), _micros(given["until"], _LAST)
    if given["buckets"] is None:
        return _sample_texts(archive, how, series, (since, until), given["limit"])
    if given["limit"] is not None:
        raise Invalid.of([FieldError(0, "limit", "is for samples: leave it out, or buckets")])
    if since == _FIRST or until == _LAST:  # the ends of what there is
        ends = await archive.ends(series.values(), since, until)
        if ends is None:
            series = {}
        else:
            since, until = max(since, ends[0]), min(until, ends[1])
    width = max(1, -(-(until - since + 1) // given["buckets"]))  # rounded up
    return _bucket_texts(archive, how, series, (since, until), width)


async def history(call: Call) -> web.StreamResponse:
    """Written piece by piece, as the client takes it."""
    archive = _archive(call, "archives samples")
    how = _form(call)
    series = await _series(call, archive)
    texts = await _texts(call, archive, how, series)
    buckets = call.query["buckets"] is not None
    response = web.StreamResponse(headers=responses.with_type(_MEDIA[how], Vary="Accept"))
    async with aclosing(texts):
        first = await anext(texts, None)  # what the database refuses is still a problem document
        if call.request.method == "HEAD":
            await response.prepare(call.request)
            return response
        with suppress(ConnectionResetError):  # a client that is gone need not be told
            try:
                async with asyncio.timeout(_DOWNLOAD):
                    await response.prepare(call.request)
                    await (_send_csv if how == "csv" else _send_json)(response, first, texts, buckets)
                    await response.write_eof()
            except (PyDataCollError, TimeoutError) as error:
                _break_off(call.request, error)
    return response


async def _send_json(response: web.StreamResponse, first: list[str] | None, more: Texts, _: bool) -> None:
    if first is None:
        await response.write(b"[]")
        return
    await response.write(("[" + ",\n".join(first)).encode())
    async for some in more:
        await response.write((",\n" + ",\n".join(some)).encode())
        await asyncio.sleep(0)
    await response.write(b"]")


async def _send_csv(response: web.StreamResponse, first: list[str] | None, more: Texts, buckets: bool) -> None:
    await response.write((header(buckets=buckets) + "".join(first or ())).encode())
    async for some in more:
        await response.write("".join(some).encode())
        await asyncio.sleep(0)


def _break_off(request: web.Request, error: Exception) -> None:
    """Close the connection of an answer that has begun and cannot be ended: what the client has is not whole."""
    reason = str(error) or f"it took longer than {_DOWNLOAD:g} s"
    log.warning("history for %s was broken off: %s", request.remote, reason)
    if request.transport is not None:
        request.transport.abort()


async def sql_check(call: Call) -> web.StreamResponse:
    """The statements of a term item, compiled and prepared; one line for each that is wrong."""
    archive = _archive(call, "checks statements")
    lines = []
    for name, names in NAMES.items():
        text = call.body.get(name)
        if text is None:
            continue
        if not isinstance(text, str):
            raise Invalid.of([FieldError(0, name, "must be a text")])
        try:
            await archive.check(compile_template(text, archive.kind, names))
        except StatementError as error:
            lines.append(f"{name}: {error}")
    return responses.raw(("\n".join(lines) or "OK").encode(), 200, responses.TEXT)


_EITHER: Final[Mapping[str, Any]] = {
    "type": "array",
    "items": {"anyOf": [ref("SampleView"), ref("BucketView")]},
}

OPERATIONS = [
    Operation(
        id="get_history",
        method="GET",
        path="/api/v2/history",
        handler=history,
        summary="Archived samples, or what each of so many spans of time holds",
        description=(
            "Ordered by device, term, item and time. buckets=N divides the time from since to until (or between "
            "the first and the last sample) into N equal spans; those without samples are left out. A span is "
            "worked out from all its samples, so no peak is missed. The answer is streamed; when the database "
            "fails, the connection is closed before its end."
        ),
        tag="values",
        query=(
            query.ids("device_id", "only these devices"),
            query.ids("term_id", "only these terms"),
            query.ids("item_id", "only these items"),
            query.moment("since", "only samples of this time or later"),
            query.moment("until", "only samples of this time or earlier"),
            query.integer("limit", "at most so many samples of each point, the newest", ge=1),
            query.integer("buckets", "spans of time instead of samples", ge=1, le=100_000),
            query.choice("format", "instead of the header Accept", ("json", "csv")),
        ),
        answers={200: Answer("samples, or buckets", _EITHER, also={"text/csv": {"type": "string"}})},
        errors=(404, 406, 503),
    ),
    Operation(
        id="sql_check",
        method="POST",
        path="/api/v1/sql_check",
        handler=sql_check,
        summary="Prepare, but never execute, the statements of a term item",
        description=(
            "For who edits term items: it connects to the database of the archive, whose messages tell which "
            "tables and columns there are."
        ),
        tag="term_items",
        body=Body(ref("TermItemInput")),
        answers={
            200: Answer("OK, or what is wrong, one line for each statement", {"type": "string"}, "text/plain")
        },
        scope="admin",
        errors=(503,),
    ),
]
