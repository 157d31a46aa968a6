"""The web pages over HTTP: types, compression, caching, and the headers that keep everything foreign out."""

from __future__ import annotations

from typing import Final

from aiohttp import web

from pydatacoll.api import responses
from pydatacoll.api.operation import Answer, Call, Endpoint, Operation
from pydatacoll.web.site import INDEX, File, Site

_ASSETS: Final = "assets/"
_FOREVER: Final = "public, max-age=31536000, immutable"
_REVALIDATE: Final = "no-cache"


def wants_page(request: web.Request) -> bool:
    """Whether it is a browser that asks, not a program."""
    return "text/html" in request.headers.get("Accept", "")


def takes_gzip(accepted: str) -> bool:
    """Whether a header ``Accept-Encoding`` allows gzip (RFC 9110, 12.5.3)."""
    qualities: dict[str, bool] = {}
    for part in accepted.lower().split(","):
        name, *parameters = (piece.strip() for piece in part.split(";"))
        refused = any(text.replace(" ", "").rstrip("0") in {"q=", "q=0."} for text in parameters)
        qualities[name] = not refused
    return qualities.get("gzip", qualities.get("*", False))


def unchanged(request: web.Request, tag: str) -> bool:
    """Whether the client has what bears this entity tag (``If-None-Match``, RFC 9110, 13.1.2)."""
    known = request.headers.get("If-None-Match", "")
    return known.strip() == "*" or tag in {text.strip().removeprefix("W/") for text in known.split(",")}


def answer(request: web.Request, file: File, *, vary: str = "") -> web.Response:
    """A built file, compressed where the client takes that; 304 when it has it.

    :param vary: header of the request, besides ``Accept-Encoding``, on which the choice of the file depends.
    """
    body, tag = file.body, file.tag
    headers = {"Cache-Control": _FOREVER if file.immutable else _REVALIDATE}
    depends = [vary] if vary else []
    if file.packed is not None:
        depends.append("Accept-Encoding")
        if takes_gzip(request.headers.get("Accept-Encoding", "")):
            body, tag = file.packed, f'{file.tag[:-1]}-gzip"'
            headers["Content-Encoding"] = "gzip"
    if depends:
        headers["Vary"] = ", ".join(depends)
    headers["ETag"] = tag
    if unchanged(request, tag):
        headers.pop("Content-Encoding", None)
        return responses.empty(304, headers)
    kind = responses.HTML if file.content_type.startswith("text/html") else responses.with_type(file.content_type)
    return responses.raw(body, 200, kind, headers)


def operations(site: Site) -> list[Operation]:
    """The routes of all built files but the page at ``/``. They are no part of the API and not in its document."""
    assets = {name.removeprefix(_ASSETS): file for name, file in site.items() if name.startswith(_ASSETS)}
    others = {name: file for name, file in site.items() if name != INDEX and not name.startswith(_ASSETS)}

    async def asset(call: Call) -> web.StreamResponse:
        file = assets.get(call.path["name"])
        if file is None:
            raise web.HTTPNotFound
        return answer(call.request, file)

    def whole(file: File) -> Endpoint:
        async def show(call: Call) -> web.StreamResponse:
            return answer(call.request, file)

        return show

    made = [_route("page_asset", f"/{_ASSETS}{{name}}", asset)] if assets else []
    return made + [
        _route(f"page_file_{number}", f"/{name}", whole(others[name]))
        for number, name in enumerate(sorted(others), 1)
    ]


def _route(name: str, path: str, handler: Endpoint) -> Operation:
    return Operation(
        id=name,
        method="GET",
        path=path,
        handler=handler,
        summary="A file of the web pages",
        tag="system",
        scope="open",
        answers={200: Answer("the file"), 304: Answer("not changed")},
        errors=(404,),
    )
