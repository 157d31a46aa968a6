"""Reading a request body: media type, size, time and JSON, each refused with its own status."""

from __future__ import annotations

import asyncio
from typing import Any, Final

from aiohttp import web
from aiohttp.http_exceptions import HttpProcessingError

from pydatacoll.api.problems import ApiProblem
from pydatacoll.codec import json

JSON_TYPE: Final = "application/json"
MERGE_PATCH_TYPE: Final = "application/merge-patch+json"
TIMEOUT: Final = 30.0
"""Longest time a body may take to arrive, seconds."""
MOST_VALUES: Final = 500_000
"""Values in a JSON body: 50 in each object of a large batch. Decoding more would hold up others for seconds."""
MOST_CONTAINERS: Final = 50_000
"""Objects and lists in a JSON body."""


MOST_ARRIVING: Final = 268_435_456
"""Bytes of bodies that may be in memory while their rest is on its way."""
_FREE: Final = 131_072
"""Bytes of each body that do not count: small ones always get through."""


class Arriving:
    """How much of all bodies that are not complete yet is in memory.

    :ivar size: bytes.
    """

    def __init__(self) -> None:
        self.size = 0


def check_media_type(request: web.Request, accepted: tuple[str, ...]) -> None:
    """Parameters such as ``charset`` are ignored: JSON is UTF-8. Packed bodies are not taken: what they grow to
    is known too late.

    :raises ApiProblem: 415.
    """
    coding = request.headers.get("Content-Encoding", "identity")
    if coding.strip().lower() != "identity":
        raise ApiProblem("media-type", f"The body must not be packed (header Content-Encoding), it is {coding}.")
    given = request.headers.get("Content-Type", "")
    if given in accepted or given.partition(";")[0].strip().lower() in accepted:
        return
    raise ApiProblem(
        "media-type",
        f"The body must be {' or '.join(accepted)} (header Content-Type), not {given or 'without a type'}.",
        headers={"Accept-Patch" if request.method == "PATCH" else "Accept-Post": ", ".join(accepted)},
    )


def _too_large(limit: int) -> ApiProblem:
    return ApiProblem("too-large", f"The body is larger than {limit} bytes.")


async def read(request: web.Request, limit: int, arriving: Arriving, seconds: float = TIMEOUT) -> bytes:
    """The whole body, of known length or chunked, of at most ``limit`` bytes.

    :raises ApiProblem: 413 too large; 408 too slow; 429 too many large ones at a time; 400 broken transfer.
    """
    length = request.content_length
    if length is not None and length > limit:
        raise _too_large(limit)
    content = request.content
    if content.is_eof() and length is not None:
        return content.read_nowait(-1)
    parts: list[bytes] = []
    size = counted = 0
    try:
        async with asyncio.timeout(seconds):
            while part := await content.readany():
                size += len(part)
                if size > limit:
                    raise _too_large(limit)
                parts.append(part)
                more = max(size - _FREE, 0) - counted
                if arriving.size + more > MOST_ARRIVING:
                    raise ApiProblem(
                        "too-many",
                        "too many large bodies arrive at the same time; try again later",
                        headers={"Retry-After": "5"},
                    )
                arriving.size += more
                counted += more
    except TimeoutError:
        raise ApiProblem("slow", f"The body did not arrive within {seconds:g} seconds.") from None
    except (web.RequestPayloadError, HttpProcessingError, ConnectionError) as error:
        raise ApiProblem("bad-request", f"The body could not be read: {type(error).__name__}.") from None
    finally:
        arriving.size -= counted
    return b"".join(parts)


async def read_json(
    request: web.Request, limit: int, arriving: Arriving, accepted: tuple[str, ...] = (JSON_TYPE,)
) -> Any:
    """The body as JSON types.

    :raises ApiProblem: 400 malformed, 408, 413, 415, 429.
    """
    check_media_type(request, accepted)
    raw = await read(request, limit, arriving)
    if len(raw) > MOST_CONTAINERS:
        _check_amount(raw)
    try:
        return json.decode(raw)
    except json.MalformedJson as error:
        reason = "it is empty" if not raw.strip() else str(error)
        raise ApiProblem("malformed-json", f"The body is not valid JSON: {reason}.") from None


def _check_amount(raw: bytes) -> None:
    """Look how much there is to decode, without decoding it; what stands in strings counts, too.

    :raises ApiProblem: 413.
    """
    if raw.count(b",") > MOST_VALUES:
        raise ApiProblem("too-large", f"The body has more than {MOST_VALUES} values.")
    if raw.count(b"[") + raw.count(b"{") > MOST_CONTAINERS:
        raise ApiProblem("too-large", f"The body has more than {MOST_CONTAINERS} objects and lists.")


def check_count(objects: list[Any], limit: int) -> None:
    """
    :raises ApiProblem: 413 for a batch of more than ``limit`` objects.
    """
    if len(objects) > limit:
        raise ApiProblem(
            "too-large", f"The batch has {len(objects)} objects; server.max_batch allows {limit} in one request."
        )
