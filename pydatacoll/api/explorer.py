"""``/openapi.json`` and ``/docs``: the document, and an own explorer that asks no other host for anything."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from html import escape
from importlib import resources
from typing import Final

from aiohttp import web

from pydatacoll.api import openapi, responses
from pydatacoll.api.operation import Answer, Call, Operation
from pydatacoll.api.problems import KINDS
from pydatacoll.codec import json

_TYPES: Final = {"js": "text/javascript; charset=utf-8", "css": "text/css; charset=utf-8"}
_REVALIDATE: Final = {"Cache-Control": "no-cache"}


def _text(name: str) -> str:
    return resources.files("pydatacoll.api").joinpath("static", name).read_text(encoding="utf-8")


def _cached(call: Call, body: bytes, tag: str, content_type: str) -> web.Response:
    headers = responses.with_type(content_type, ETag=tag)
    headers.update(_REVALIDATE)
    if call.request.headers.get("If-None-Match") == tag:
        return responses.empty(304, {"ETag": tag, **_REVALIDATE})
    return responses.raw(body, 200, headers)


def _tag(body: bytes) -> str:
    return f'"{hashlib.sha256(body).hexdigest()[:24]}"'


def _asset(name: str, summary: str) -> Operation:
    body = _text(name).encode()
    tag, content_type = _tag(body), _TYPES[name.rpartition(".")[2]]

    async def show(call: Call) -> web.StreamResponse:
        return _cached(call, body, tag, content_type)

    return Operation(
        id=name.replace(".", "_"),
        method="GET",
        path=f"/docs/{name}",
        handler=show,
        summary=summary,
        tag="system",
        scope="open",
        answers={
            200: Answer("the file", {"type": "string"}, content_type.partition(";")[0]),
            304: Answer("not changed"),
        },
    )


def _problem_list() -> str:
    return "".join(
        f'<dt id="problem-{kind.name}">{kind.status} {escape(kind.title)}</dt><dd>{escape(kind.meaning)}</dd>'
        for kind in KINDS.values()
        if kind.status
    )


def operations(described: Sequence[Operation]) -> list[Operation]:
    """The routes of the explorer. ``described`` is every other route; the document holds these ones, too."""
    everything: list[Operation] = []
    cache: list[tuple[bytes, str]] = []
    page = _text("explorer.html").replace("<!-- problems -->", _problem_list()).encode()

    async def document(call: Call) -> web.StreamResponse:
        if not cache:
            body = json.encode(openapi.build(everything, call.services.schemas))
            cache.append((body, _tag(body)))
        return _cached(call, *cache[0], "application/json")

    async def docs(call: Call) -> web.StreamResponse:
        return responses.raw(page, 200, responses.HTML)

    own = [
        Operation(
            id="openapi",
            method="GET",
            path="/openapi.json",
            handler=document,
            summary="This document",
            tag="system",
            scope="open",
            answers={200: Answer("OpenAPI 3.1", {"type": "object"}), 304: Answer("not changed")},
        ),
        Operation(
            id="docs",
            method="GET",
            path="/docs",
            handler=docs,
            summary="An explorer of this API that works offline",
            tag="system",
            scope="open",
            answers={200: Answer("a page", {"type": "string"}, "text/html")},
        ),
        _asset("explorer.js", "The explorer's script"),
        _asset("explorer.css", "The explorer's style"),
    ]
    everything += [*described, *own]
    return own
