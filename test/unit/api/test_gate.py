"""What web pages of others could do through a browser: names for this server, origins, CORS."""

from __future__ import annotations

import hashlib
from typing import Any

import msgspec
import pytest

from pydatacoll.api.app import create_app
from pydatacoll.api.gate import Hosts
from pydatacoll.errors import ConfigError
from pydatacoll.settings import AuthSettings, ServerSettings, Settings, TokenSettings
from test.api_client import Api, serve
from test.fakes_api import FakeBackend
from test.unit.api.conftest import DEVICE

TOKEN = TokenSettings(name="a", hash=hashlib.sha256(b"secret").hexdigest(), scope="admin")


def _with(backend: FakeBackend, *, auth: AuthSettings | None = None, **server: Any) -> FakeBackend:
    backend.settings = Settings(server=ServerSettings(**server), auth=auth or AuthSettings())
    return backend


@pytest.mark.parametrize("host", ["evil.example", "evil.example:8080", "127.0.0.1.evil.example", "", "[evil]"])
async def test_a_foreign_name_is_refused(api: Api, host: str) -> None:
    """DNS rebinding: a page under a name of its own that points to this machine."""
    answer = await api("GET", "/api/v1/devices", headers={"Host": host}, status=421)
    assert "server.allowed_hosts" in answer.json["detail"]


@pytest.mark.parametrize(
    "host", ["localhost", "LOCALHOST:1", "plc.localhost.", "127.0.0.1", "[::1]:80", "10.1.2.3"]
)
async def test_names_that_nobody_else_can_have(api: Api, host: str) -> None:
    await api("GET", "/api/v1/devices", headers={"Host": host}, status=200)


async def test_a_configured_name(backend: FakeBackend) -> None:
    _with(backend, allowed_hosts=["Gateway.example"])
    async with serve(create_app(backend.services)) as api:
        await api("GET", "/api/v1/devices", headers={"Host": "gateway.example:8080"}, status=200)
        await api("GET", "/api/v1/devices", headers={"Host": "other.example"}, status=421)


def test_with_tokens_any_name_is_taken_unless_some_are_configured() -> None:
    auth = AuthSettings(tokens=[TOKEN])
    assert Hosts(Settings(auth=auth)).allowed("gateway.example")
    named = msgspec.structs.replace(Settings(auth=auth), server=ServerSettings(allowed_hosts=["gateway.example"]))
    assert Hosts(named).allowed("gateway.example:443")
    assert not Hosts(named).allowed("other.example")


async def test_a_page_of_another_origin_may_not_change_anything(api: Api, backend: FakeBackend) -> None:
    for origin in ("https://evil.example", "null", f"http://127.0.0.1:{api.port + 1}", "http://localhost"):
        answer = await api("POST", "/api/v1/devices", DEVICE, headers={"Origin": origin}, status=403)
        assert "server.cors_origins" in answer.json["detail"]
        await api("DELETE", "/api/v1/devices/feeder1", headers={"Origin": origin}, status=403)
    assert not backend.repository.registry.devices
    await api("POST", "/api/v1/devices", DEVICE, headers={"Origin": api.url}, status=201)


async def test_cors_is_off_unless_configured(api: Api) -> None:
    answer = await api("GET", "/api/v1/devices", headers={"Origin": "https://hmi.example"}, status=200)
    assert not [name for name in answer.headers if name.lower().startswith("access-control")]
    asked = {"Origin": "https://hmi.example", "Access-Control-Request-Method": "PUT"}
    answer = await api("OPTIONS", "/api/v1/devices/x", headers=asked, status=204)
    assert not [name for name in answer.headers if name.lower().startswith("access-control")]


async def test_cors_for_a_configured_origin(backend: FakeBackend) -> None:
    origin = "https://hmi.example"
    _with(backend, cors_origins=[origin], auth=AuthSettings(tokens=[TOKEN]))
    async with serve(create_app(backend.services)) as api:
        asked = {"Origin": origin, "Access-Control-Request-Method": "PUT"}
        answer = await api("OPTIONS", "/api/v1/devices/x", headers=asked, status=204)
        assert answer.headers["Access-Control-Allow-Origin"] == origin
        assert "PUT" in answer.headers["Access-Control-Allow-Methods"]
        assert "Authorization" in answer.headers["Access-Control-Allow-Headers"]
        assert "Access-Control-Allow-Credentials" not in answer.headers
        given = {"Origin": origin, "Authorization": "Bearer secret"}
        answer = await api("POST", "/api/v1/devices", DEVICE, headers=given, status=201)
        assert answer.headers["Access-Control-Allow-Origin"] == origin
        assert answer.headers["Vary"] == "Origin"
        refused = await api("GET", "/api/v1/devices", headers={"Origin": origin}, status=401)
        assert refused.headers["Access-Control-Allow-Origin"] == origin, "the page is to see why"
        other = await api("GET", "/api/v1/devices", headers={**given, "Origin": "https://x.example"}, status=200)
        assert "Access-Control-Allow-Origin" not in other.headers


@pytest.mark.parametrize(
    "origin", ["*", "hmi.example", "https://hmi.example/", "https://hmi.example/x", "ftp://a"]
)
def test_what_is_no_origin_is_refused_at_the_start(backend: FakeBackend, origin: str) -> None:
    _with(backend, cors_origins=[origin])
    with pytest.raises(ConfigError, match=r"server\.cors_origins"):
        create_app(backend.services)
