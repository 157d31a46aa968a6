"""What a browser could be abused for: foreign names for this server, and requests of foreign web pages.

A page of any web site can make a browser send requests to an address inside the plant. Two things give it away:
the name it uses for this server (header ``Host``; a name under its control may point here: DNS rebinding), and
where it comes from (header ``Origin``).
"""

from __future__ import annotations

import ipaddress
import socket
from typing import Final
from urllib.parse import urlsplit

from aiohttp import web
from aiohttp.typedefs import Handler, Middleware

from pydatacoll.api import problems, responses
from pydatacoll.errors import ConfigError
from pydatacoll.settings import Settings

_SAFE: Final = frozenset({"GET", "HEAD", "OPTIONS"})
_ALLOWED_METHODS: Final = "GET, HEAD, POST, PUT, PATCH, DELETE"
_ALLOWED_HEADERS: Final = "Authorization, Content-Type, Idempotency-Key, If-None-Match, X-Import-Id"
_EXPOSED_HEADERS: Final = "Location, Link, X-Total-Count, X-Incomplete, Retry-After, ETag, Content-Disposition"
_PREFLIGHT_AGE: Final = "600"
_MOST_KNOWN: Final = 1000
"""Hosts whose check is remembered."""


def host_name(host: str) -> str:
    """``example.com:8080`` -> ``example.com``; ``[::1]:8080`` -> ``::1``."""
    if host.startswith("["):
        return host[1:].partition("]")[0]
    return host.partition(":")[0] if host.count(":") == 1 else host


def is_address(name: str) -> bool:
    """Whether it is an IP address: nobody can make a name of that."""
    try:
        ipaddress.ip_address(name)
    except ValueError:
        return False
    return True


class Hosts:
    """Names under which this server may be called."""

    def __init__(self, settings: Settings) -> None:
        server = settings.server
        self._everything = bool(settings.auth.tokens) and not server.allowed_hosts
        self._names = {name.lower().rstrip(".") for name in server.allowed_hosts}
        self._names |= {server.host.lower(), socket.gethostname().lower()}
        self._known: set[str] = set()

    def allowed(self, host: str | None) -> bool:
        """Whether a request with this ``Host`` header is meant for this server.

        No browser sends a request without one. With access tokens and without ``server.allowed_hosts`` every
        name is taken: a page cannot know the token.
        """
        if self._everything or host is None or host in self._known:
            return True
        name = host_name(host).lower().rstrip(".")
        if not (name in self._names or name == "localhost" or name.endswith(".localhost") or is_address(name)):
            return False
        if len(self._known) < _MOST_KNOWN:
            self._known.add(host)
        return True


def check_origins(origins: list[str]) -> None:
    """
    :raises ConfigError: for an entry of ``server.cors_origins`` that is not an origin.
    """
    for origin in origins:
        parts = urlsplit(origin)
        if (
            parts.scheme not in {"http", "https"}
            or not parts.netloc
            or f"{parts.scheme}://{parts.netloc}" != origin
        ):
            raise ConfigError(
                f"server.cors_origins: {origin!r} is not an origin; write it as https://hmi.example.com, with the "
                "port when it is not the usual one, and without a path (a * for all is not supported)"
            )


def middleware(settings: Settings) -> Middleware:
    """Refuses requests for other names and of other origins; adds the headers of CORS for configured ones."""
    check_origins(settings.server.cors_origins)
    hosts = Hosts(settings)
    cors = frozenset(settings.server.cors_origins)

    @web.middleware
    async def gate(request: web.Request, handler: Handler) -> web.StreamResponse:
        headers = request.headers
        host = headers.get("Host")
        if not hosts.allowed(host):
            kind = problems.KINDS["misdirected"]
            return problems.respond(
                problems.document(
                    kind,
                    f"This server is not known as {host!r}; use its address, or add the name to "
                    "server.allowed_hosts.",
                )
            )
        origin = headers.get("Origin")
        if origin is None:
            return await handler(request)
        if origin in cors:
            return _with_cors(await _preflight_or(request, handler), origin)
        if request.method not in _SAFE and origin.partition("://")[2] != host:
            kind = problems.KINDS["forbidden"]
            return problems.respond(
                problems.document(
                    kind, f"Web pages of {origin} may not change anything here; see server.cors_origins."
                )
            )
        return await handler(request)

    return gate


async def _preflight_or(request: web.Request, handler: Handler) -> web.StreamResponse:
    if request.method != "OPTIONS" or "Access-Control-Request-Method" not in request.headers:
        return await handler(request)
    return responses.empty(
        204,
        {
            "Access-Control-Allow-Methods": _ALLOWED_METHODS,
            "Access-Control-Allow-Headers": _ALLOWED_HEADERS,
            "Access-Control-Max-Age": _PREFLIGHT_AGE,
        },
    )


def _with_cors(response: web.StreamResponse, origin: str) -> web.StreamResponse:
    if not response.prepared:
        response.headers["Access-Control-Allow-Origin"] = origin
        response.headers["Access-Control-Expose-Headers"] = _EXPOSED_HEADERS
        response.headers.add("Vary", "Origin")
    return response
