"""Responses with headers that are worked out once, lists in pages and in slices."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Mapping, Sequence
from typing import Any, Final, TypeVar

from aiohttp import web
from multidict import CIMultiDict
from yarl import URL

from pydatacoll.codec import json

T = TypeVar("T")

SLICE: Final = 200
"""Objects converted and encoded before other requests get their turn (about 1 ms)."""

TEXT_SLICE: Final = 1000
"""The same where they become text at once."""

_COMMON: Final = {"X-Content-Type-Options": "nosniff", "Server": "PyDataColl", "Cache-Control": "no-store"}


def with_type(content_type: str, **more: str) -> CIMultiDict[str]:
    """Headers of a response of this type."""
    return CIMultiDict({"Content-Type": content_type, **_COMMON, **more})


JSON: Final = with_type("application/json")
PROBLEM: Final = with_type("application/problem+json")
TEXT: Final = with_type("text/plain; charset=utf-8")
PAGE_POLICY: Final = (
    "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' data:; font-src 'self'; "
    "connect-src 'self'; manifest-src 'self'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
)
"""What a page may load, run and talk to: this server only, its WebSocket included (CSP 3: 'self' covers it)."""
HTML: Final = with_type(
    "text/html; charset=utf-8",
    **{
        "Content-Security-Policy": PAGE_POLICY,
        "Referrer-Policy": "no-referrer",
        "Cross-Origin-Opener-Policy": "same-origin",
        "Permissions-Policy": (
            "accelerometer=(), camera=(), geolocation=(), gyroscope=(), magnetometer=(), microphone=(), midi=(), "
            "payment=(), usb=()"
        ),
    },
)


def raw(
    body: bytes, status: int = 200, headers: CIMultiDict[str] = JSON, more: Mapping[str, str] | None = None
) -> web.Response:
    """Bytes that are encoded already."""
    if more:
        headers = headers.copy()
        headers.update(more)
    return web.Response(body=body, status=status, headers=headers)


def of(value: Any, status: int = 200, more: Mapping[str, str] | None = None) -> web.Response:
    """JSON types as ``application/json``."""
    return raw(json.encode(value), status, JSON, more)


def empty(status: int, more: Mapping[str, str]) -> web.Response:
    """A response without a body."""
    return web.Response(status=status, headers={**_COMMON, **more})


def page(
    request: web.Request, everything: Sequence[T], limit: int | None, offset: int
) -> tuple[Sequence[T], Mapping[str, str]]:
    """One page of a list, with ``X-Total-Count`` and, when there is more, ``Link: rel="next"`` (RFC 8288)."""
    total = len(everything)
    headers = {"X-Total-Count": str(total)}
    if limit is None:
        return (everything[offset:] if offset else everything), headers
    end = offset + limit
    if end < total:
        following = (
            URL(request.rel_url.raw_path, encoded=True)
            .with_query(request.query)
            .update_query({"limit": limit, "offset": end})
        )
        headers["Link"] = f'<{following}>; rel="next"'
    return everything[offset:end], headers


async def texts(
    objects: Sequence[T], convert: Callable[[T], str | None], more: Mapping[str, str] | None = None
) -> web.Response:
    """A list of objects that are converted to JSON texts, slice by slice; those that become ``None`` are left
    out."""
    parts: list[str] = []
    for start in range(0, len(objects), TEXT_SLICE):
        if start:
            await asyncio.sleep(0)
        parts += [text for text in map(convert, objects[start : start + TEXT_SLICE]) if text is not None]
    return raw(f"[{','.join(parts)}]".encode(), 200, JSON, more)


async def rows(
    objects: Sequence[T], convert: Callable[[T], Any], more: Mapping[str, str] | None = None
) -> web.Response:
    """A list of objects, converted and encoded slice by slice so that a long one holds nobody up."""
    if len(objects) <= SLICE:
        return of([convert(one) for one in objects], 200, more)
    parts: list[bytes] = []
    for start in range(0, len(objects), SLICE):
        parts.append(json.encode([convert(one) for one in objects[start : start + SLICE]])[1:-1])
        await asyncio.sleep(0)
    return raw(b"".join((b"[", b",".join(parts), b"]")), 200, JSON, more)
