"""What the types of the settings cannot say: what does not fit together, and what deserves a warning. Pure."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from urllib.parse import urlsplit

from pydatacoll.model.network import parse_network
from pydatacoll.settings import AuthSettings, ManagerSettings, ServerSettings, Settings

Place = tuple[str | int, ...]
"""Names of tables and of the setting, and indexes of arrays of tables."""

SOON = timedelta(days=14)
"""A token that expires within this time is warned of."""


def mistakes(settings: Settings) -> Iterator[tuple[Place, str]]:
    """Every mistake: the place of the setting, and what is wrong with it and what to do."""
    yield from _tokens(settings.auth)
    yield from _server(settings.server)
    yield from _store(settings.redis.url)
    yield from _manager(settings.manager)
    for number, name in enumerate(settings.plugins):
        if name in settings.plugins[:number]:
            yield ("plugins",), f"{name!r} is named twice; name every plugin once"
    if not settings.data_dir.strip():
        yield ("data_dir",), "is empty; name a directory"


def _tokens(auth: AuthSettings) -> Iterator[tuple[Place, str]]:
    names: dict[str, int] = {}
    hashes: dict[str, int] = {}
    for number, token in enumerate(auth.tokens):
        at: Place = ("auth", "tokens", number)
        if token.name in names:
            yield (
                (*at, "name"),
                f"{token.name!r} is the name of auth.tokens[{names[token.name]}] already; choose another, so that "
                "the audit trail tells them apart",
            )
        if token.hash.lower() in hashes:
            yield (
                (*at, "hash"),
                f"auth.tokens[{hashes[token.hash.lower()]}] has the same hash; make a token of its own with: "
                "pydatacoll token new",
            )
        names.setdefault(token.name, number)
        hashes.setdefault(token.hash.lower(), number)


def _server(server: ServerSettings) -> Iterator[tuple[Place, str]]:
    if server.tls_key and not server.tls_cert:
        yield ("server", "tls_key"), "a key without server.tls_cert; set both, or none for plain HTTP"
    if not server.host.strip():
        yield ("server", "host"), "is empty; 127.0.0.1 is this machine only, 0.0.0.0 all its networks"


def _store(url: str) -> Iterator[tuple[Place, str]]:
    if url == "embedded":
        return
    at: Place = ("redis", "url")
    try:
        parts = urlsplit(url)
        port = parts.port
    except ValueError as error:
        text = "the port must be a number up to 65535" if "ort" in str(error) else str(error)
        yield at, f"{text}, as in redis://10.0.0.1:6379/0"
        return
    if parts.scheme not in {"redis", "rediss", "unix"}:
        yield at, "expected embedded, or redis://HOST:PORT/0, rediss://HOST:PORT/0 (TLS) or unix:///PATH"
    elif parts.scheme == "unix":
        if not parts.path:
            yield at, "names no socket; expected unix:///run/redis.sock"
    elif not parts.hostname or port == 0:
        yield at, "names no server; expected redis://HOST:PORT/0"
    elif parts.path.strip("/") and not parts.path.strip("/").isdigit():
        yield at, "after the last / stands the number of the database, as in redis://10.0.0.1:6379/0"


def _manager(manager: ManagerSettings) -> Iterator[tuple[Place, str]]:
    if manager.backoff_min > manager.backoff_max:
        yield (
            ("manager", "backoff_min"),
            f"{manager.backoff_min:g} s is more than manager.backoff_max, {manager.backoff_max:g} s; "
            "the first pause must not be longer than the longest",
        )
    for number, text in enumerate(manager.networks):
        try:
            parse_network(text)
        except ValueError as error:
            yield ("manager", "networks", number), str(error)


def cautions(settings: Settings, now: datetime) -> Iterator[tuple[str, str, str]]:
    """What is no mistake but will be a surprise: setting, what about it, and what to do.

    :param now: with its zone.
    """
    for token in settings.auth.tokens:
        if token.expires is None:
            continue
        expires = token.expires if token.expires.tzinfo is not None else token.expires.replace(tzinfo=UTC)
        remedy = "make a new one with: pydatacoll token new"
        if expires <= now:
            yield "auth.tokens", f"the token {token.name!r} expired {expires:%Y-%m-%d %H:%M}", remedy
        elif expires <= now + SOON:
            yield "auth.tokens", f"the token {token.name!r} expires {expires:%Y-%m-%d %H:%M}", remedy
    for name in settings.plugin:
        if name not in settings.plugins:
            yield (
                f"plugin.{name}",
                "these are settings of a plugin that is not enabled",
                "add its name to plugins, unless it has runners of its own",
            )
    if settings.auth.tokens and not settings.server.tls_cert and not _loopback(settings.server.host):
        yield (
            "server.tls_cert",
            f"tokens travel readable to {settings.server.host}",
            "set server.tls_cert and server.tls_key, or put a proxy with TLS in front",
        )


def _loopback(host: str) -> bool:
    return host in {"localhost", "::1"} or host.startswith("127.")
