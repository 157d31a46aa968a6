"""``GET /api/v2/live``: what changes, pushed over a WebSocket."""

from __future__ import annotations

import asyncio
import contextlib
import logging
import socket
import time
from collections.abc import Iterable
from typing import Any, Final

from aiohttp import WSCloseCode, WSMsgType, web

from pydatacoll.api.access import Identity
from pydatacoll.api.operation import Answer, Call, Operation
from pydatacoll.api.problems import ApiProblem
from pydatacoll.api.services import Services
from pydatacoll.live.client import Client, Stalled
from pydatacoll.live.feed import Feed, Full
from pydatacoll.live.messages import MAX_MESSAGE, Malformed, Message, NotJson, parse
from pydatacoll.live.wire import JsonWire

log = logging.getLogger(__name__)

PROTOCOL: Final = "pydatacoll"
_BEARER: Final = "bearer."
EXPIRED: Final = 4401
"""Close code: the access token has expired."""
CLOSING: Final = 0.5
"""Seconds a client has to say goodbye."""
MISTAKES: Final = 10
"""Messages that are not JSON after which a client is given up."""
UNHEARD: Final = 30_000
"""Milliseconds that something sent may stay unconfirmed."""
LONG: Final = 0.001
"""Seconds to understand a message; one that takes longer is followed by a pause :data:`REST` times as long."""
REST: Final = 4
CHECK: Final = 1.0
"""Seconds between two looks whether an access token has expired."""

SOCKETS: Final[web.AppKey[set[Any]]] = web.AppKey("sockets", set)
"""Those that are open."""


def offered(request: web.Request) -> list[str]:
    """The sub-protocols that a client offers."""
    return _names(request.headers.getall("Sec-WebSocket-Protocol", ()))


def _names(lines: Iterable[str]) -> list[str]:
    return [name.strip() for name in ",".join(lines).split(",") if name.strip()]


def credentials(request: web.Request) -> str | None:
    """What stands for the header ``Authorization``: browsers cannot set that one, and send the token as the
    sub-protocol ``bearer.TOKEN``."""
    given = request.headers.get("Authorization")
    if given is None:
        for name in offered(request):
            if name.startswith(_BEARER):
                return f"Bearer {name.removeprefix(_BEARER)}"
    return given


def check_origin(request: web.Request, allowed: list[str]) -> None:
    """Other sites' pages may not listen: a browser opens WebSockets to anywhere.

    :raises ApiProblem: 403.
    """
    origin = request.headers.get("Origin")
    if origin is None or origin in allowed or origin.partition("://")[2] == request.headers.get("Host"):
        return
    raise ApiProblem("forbidden", f"Web pages of {origin} may not listen here; see server.cors_origins.")


def feed_of(services: Services) -> Feed:
    """
    :raises ApiProblem: 503 when there is no live push here.
    """
    if services.live is None:
        raise ApiProblem("not-ready", "live push does not run here")
    return services.live


def full(most: int) -> ApiProblem:
    return ApiProblem(
        "not-ready", f"{most} clients listen already; see server.live_clients", headers={"Retry-After": "5"}
    )


async def live(call: Call) -> web.StreamResponse:
    """Serve one WebSocket until it ends."""
    request, services = call.request, call.services
    server = services.settings.server
    check_origin(request, server.cors_origins)
    lines = request.headers.getall("Sec-WebSocket-Protocol", ())
    if lines and PROTOCOL not in _names(lines[:1]):
        # the handshake looks at the first one only; with none of ours in it, it would log it, with the token
        raise ApiProblem("bad-request", f"only the sub-protocol {PROTOCOL} (and {_BEARER}TOKEN) is spoken here")
    if request.headers.get("Upgrade", "").lower() != "websocket":
        raise ApiProblem("upgrade", "this is a WebSocket; for plain HTTP there is /api/v2/events", headers=UPGRADE)
    feed = feed_of(services)
    ws = web.WebSocketResponse(
        timeout=CLOSING, compress=False, max_msg_size=MAX_MESSAGE, protocols=[PROTOCOL], writer_limit=0
    )

    async def send(data: bytes) -> None:
        await ws.send_frame(data, WSMsgType.TEXT)

    identity = call.identity
    client = Client(
        feed,
        JsonWire(),
        send,
        sees=identity.sees if identity.devices else None,
        rights=identity if identity.devices else None,
    )
    try:
        async with feed.joined(client):
            await ws.prepare(request)
            sockets = request.app[SOCKETS]
            sockets.add(ws)
            services.http.live["websocket"] += 1
            try:
                await _serve(ws, request, client, services, identity)
            finally:
                sockets.discard(ws)
                services.http.live["websocket"] -= 1
    except Full:
        raise full(server.live_clients) from None
    except ConnectionError as error:
        log.debug("a live client at %s is gone: %s", request.remote, error)
    return ws


UPGRADE: Final = {"Upgrade": "websocket", "Connection": "Upgrade"}


async def _serve(
    ws: web.WebSocketResponse, request: web.Request, client: Client, services: Services, identity: Identity
) -> None:
    give_up_early(request.transport)
    writing = asyncio.create_task(_write(ws, request, client), name="live writer")
    watching = None
    if identity.expires is not None:
        watching = asyncio.create_task(_watch(ws, services, identity), name="live token")
    try:
        await _read(ws, client)
    finally:
        for task in (writing, watching):
            if task is not None:
                task.cancel()
                with contextlib.suppress(asyncio.CancelledError):
                    await task


def give_up_early(transport: asyncio.Transport | None) -> None:
    """A peer that has vanished, or does not read, would hold its connection for a quarter of an hour."""
    connection: Any = None if transport is None else transport.get_extra_info("socket")
    if connection is not None and hasattr(socket, "TCP_USER_TIMEOUT"):
        with contextlib.suppress(OSError):
            connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_USER_TIMEOUT, UNHEARD)


async def _write(ws: web.WebSocketResponse, request: web.Request, client: Client) -> None:
    try:
        await client.write()
    except Stalled as error:
        log.info("a live client at %s is given up: %s", request.remote, error)
        if request.transport is not None:
            request.transport.abort()
    except ConnectionError as error:  # it is closed, or being closed: who reads sees that
        log.debug("a live client at %s is gone: %s", request.remote, error)
    except Exception:
        if request.transport is not None:
            request.transport.abort()  # rather than to leave it without a sign of life
        raise


async def _watch(ws: web.WebSocketResponse, services: Services, identity: Identity) -> None:
    while True:
        if services.access.expired(identity):
            break
        await asyncio.sleep(CHECK)
    await end(ws, EXPIRED, b"the access token has expired")


async def end(ws: web.WebSocketResponse, code: int, why: bytes) -> None:
    """Close a socket, also that of a client that does not read."""
    with contextlib.suppress(TimeoutError, ConnectionError, RuntimeError):
        async with asyncio.timeout(CLOSING):
            await ws.close(code=code, message=why)


async def _read(ws: web.WebSocketResponse, client: Client) -> None:
    mistakes = 0
    async for message in ws:
        if message.type is WSMsgType.BINARY:
            await ws.close(code=WSCloseCode.UNSUPPORTED_DATA, message=b"only text messages")
            return
        if message.type is not WSMsgType.TEXT:
            return
        began = time.perf_counter()
        asked: Message | Malformed
        try:
            asked = parse(message.data)
        except Malformed as problem:
            asked = problem
        took = time.perf_counter() - began
        if isinstance(asked, Malformed):
            mistakes += isinstance(asked, NotJson)
            if mistakes >= MISTAKES:
                await ws.close(code=WSCloseCode.POLICY_VIOLATION, message=b"too many messages that are not JSON")
                return
            await client.refuse(asked)
        else:
            await client.take(asked)
        # who asks for much is listened to for a part of the time only, and others are served meanwhile
        await asyncio.sleep(took * REST if took > LONG else 0)


async def close_all(app: web.Application) -> None:
    """Say goodbye to everybody; takes half a second at most."""
    sockets: set[web.WebSocketResponse] = app[SOCKETS]
    await asyncio.gather(*(end(ws, WSCloseCode.GOING_AWAY, b"the server is stopping") for ws in list(sockets)))


OPERATIONS = [
    Operation(
        id="live",
        method="GET",
        path="/api/v2/live",
        handler=live,
        credentials=credentials,
        summary="What changes, pushed over a WebSocket",
        description=(
            "Messages are JSON, described in the manual. Browsers send the access token as a sub-protocol: "
            "`Sec-WebSocket-Protocol: pydatacoll, bearer.TOKEN`. The origin of a page, when sent, must be this "
            "server or one of server.cors_origins."
        ),
        tag="live",
        answers={101: Answer("the connection is a WebSocket now")},
        errors=(400, 403, 426, 503),
    ),
]
