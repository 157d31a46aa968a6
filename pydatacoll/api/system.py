"""What is about the service itself: the list of routes, protocols, keys, health and metrics."""

from __future__ import annotations

import inspect
import re
import time
from collections.abc import Sequence
from html import escape
from typing import Final

from aiohttp import web

from pydatacoll.api import pages, responses
from pydatacoll.api.operation import Answer, Call, Operation, ref
from pydatacoll.api.problems import ApiProblem
from pydatacoll.api.query import flag
from pydatacoll.model import time_to_wire
from pydatacoll.store.keys import DOCUMENTATION
from pydatacoll.web.site import INDEX, NOT_BUILT, Site

_HOST: Final = re.compile(r"[A-Za-z0-9._\-]+(:[0-9]+)?\Z|\[[0-9A-Fa-f:.]+\](:[0-9]+)?\Z")
_OF_DEVICE: Final = re.compile(r'^pydatacoll_\w+\{device="([^"]*)"')
_NAMES: Final = {"type": "object", "additionalProperties": {"type": "string"}}
_METRICS: Final = responses.with_type("text/plain; version=0.0.4; charset=utf-8")

_VARY: Final = {"Vary": "Accept"}
_PAGE: Final = {"text/html": {"type": "string"}}

TERM_PROTOCOLS: Final = {
    "dlt645": "DL/T 645: electricity meters",
    "gdw130": "Q/GDW 130: electricity load management terminals",
    "gdw376": "Q/GDW 376: electricity data acquisition terminals",
    "modbus_rtu": "Modbus RTU behind a gateway",
    "iec101": "IEC 60870-5-101 behind a gateway",
    "iec103": "IEC 60870-5-103: protection equipment",
    "mbus": "M-Bus (EN 13757): heat, water and gas meters",
    "cjt188": "CJ/T 188: water, gas and heat meters",
}
"""Protocols between a device and the terminal units behind it. Informative: no driver depends on them."""


def index(routes: Sequence[Operation], site: Site = NOT_BUILT) -> Operation:
    """``GET /``: the web pages for a browser, the list of routes as text for anything else. Where the pages are
    not built, and on request, a browser gets the list, too."""
    start = site.get(INDEX)

    async def show(call: Call) -> web.StreamResponse:
        page = pages.wants_page(call.request)
        if page and start is not None and not call.query["list"]:
            return pages.answer(call.request, start, vary="Accept")
        if page:
            return responses.raw(_page(routes).encode(), 200, responses.HTML, _VARY)
        host = call.request.host
        base = f"{call.request.scheme}://{host if _HOST.match(host) else 'localhost'}"
        lines = ["PyDataColl is running, available API:"]
        lines += [f"method: {route.method:<8} URL: {base}{route.path}" for route in routes]
        return responses.raw("\n".join([*lines, ""]).encode(), 200, responses.TEXT, _VARY)

    return Operation(
        id="index",
        method="GET",
        path="/",
        handler=show,
        summary="The list of routes; for a browser the web pages",
        tag="system",
        scope="open",
        query=(flag("list", "answer the list as a page where a browser would get the web pages"),),
        answers={
            200: Answer("the list", {"type": "string"}, "text/plain", also=_PAGE),
            304: Answer("the page has not changed"),
        },
    )


def _page(routes: Sequence[Operation]) -> str:
    rows = []
    for route in routes:
        path = escape(route.path)
        shown = f'<a href="{path}">{path}</a>' if route.method == "GET" and "{" not in path else path
        rows.append(f"<tr><td>{route.method}</td><td>{shown}</td><td>{escape(route.summary)}</td></tr>")
    return (
        '<!doctype html><html lang="en"><head><meta charset="utf-8"><title>PyDataColl</title>'
        '<meta name="viewport" content="width=device-width"><link rel="stylesheet" href="/docs/explorer.css">'
        "</head><body><main><h1>PyDataColl is running, available API:</h1>"
        '<p>Try it out in the <a href="/docs">explorer</a>.</p>'
        f"<table>{''.join(rows)}</table></main></body></html>"
    )


async def device_protocols(call: Call) -> web.StreamResponse:
    """The installed drivers."""
    protocols = call.services.schemas.protocols
    return responses.of({name: protocols[name].description for name in sorted(protocols)})


async def term_protocols(call: Call) -> web.StreamResponse:
    """Informative names."""
    return responses.of(TERM_PROTOCOLS)


async def redis_key(call: Call) -> web.StreamResponse:
    """Keys and channels."""
    return responses.of(DOCUMENTATION)


async def whoami(call: Call) -> web.StreamResponse:
    """What the access token of the request allows."""
    identity = call.identity
    return responses.of(
        {
            "name": identity.name,
            "scope": identity.scope,
            "devices": list(identity.devices),
            "expires": None if identity.expires is None else time_to_wire(identity.expires),
            "time": time_to_wire(time.time()),
            "archive": call.services.archive is not None,
        }
    )


async def healthz(call: Call) -> web.StreamResponse:
    """Alive: this answer is the proof."""
    return responses.of({"status": "ok"})


async def readyz(call: Call) -> web.StreamResponse:
    """Ready, or why not."""
    reasons = list(await call.services.readiness())
    if reasons:
        raise ApiProblem("not-ready", "; ".join(reasons), reasons=reasons)
    return responses.of({"status": "ready"})


async def metrics(call: Call) -> web.StreamResponse:
    """Prometheus text, with the figures of the devices that the token is for."""
    made = call.services.metrics()
    text: bytes = await made if inspect.isawaitable(made) else made
    sees = call.identity.sees
    if call.identity.devices:
        lines = text.decode().splitlines(keepends=True)
        text = "".join(
            line for line in lines if (found := _OF_DEVICE.search(line)) is None or sees(found[1])
        ).encode()
    return responses.raw(text, 200, _METRICS)


OPERATIONS = [
    Operation(
        id="list_device_protocols",
        method="GET",
        path="/api/v1/device_protocols",
        handler=device_protocols,
        summary="Protocols of devices: name -> description",
        tag="system",
        answers={200: Answer("the installed drivers", _NAMES)},
    ),
    Operation(
        id="list_term_protocols",
        method="GET",
        path="/api/v1/term_protocols",
        handler=term_protocols,
        summary="Protocols of terms (informative): name -> description",
        tag="system",
        answers={200: Answer("known names; any other is accepted", _NAMES)},
    ),
    Operation(
        id="list_redis_keys",
        method="GET",
        path="/api/v1/redis_key",
        handler=redis_key,
        summary="Every Redis key and channel with its meaning",
        tag="system",
        answers={200: Answer("key -> meaning", _NAMES)},
    ),
    Operation(
        id="whoami",
        method="GET",
        path="/api/v2/whoami",
        handler=whoami,
        summary="What the access token allows, the time of the server, and whether it has an archive",
        tag="system",
        answers={200: Answer("the token", ref("IdentityView"))},
    ),
    Operation(
        id="healthz",
        method="GET",
        path="/healthz",
        handler=healthz,
        summary="Whether the process is alive",
        tag="system",
        scope="open",
        answers={200: Answer("alive", ref("Health"))},
    ),
    Operation(
        id="readyz",
        method="GET",
        path="/readyz",
        handler=readyz,
        summary="Whether the service can do its work",
        tag="system",
        scope="open",
        answers={200: Answer("ready", ref("Health"))},
        errors=(503,),
    ),
    Operation(
        id="metrics",
        method="GET",
        path="/metrics",
        handler=metrics,
        summary="Metrics in the Prometheus text format",
        tag="system",
        answers={200: Answer("metrics", {"type": "string"}, "text/plain")},
        errors=(503,),
    ),
]
