"""The diagnosis and the metrics over HTTP."""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from dataclasses import replace
from hashlib import sha256

from pydatacoll.api.access import Access
from pydatacoll.api.app import create_app
from pydatacoll.api.stats import HttpStats
from pydatacoll.health.checks import Check
from pydatacoll.model.registry import ModelView
from pydatacoll.settings import AuthSettings, Settings, TokenSettings
from test.api_client import serve
from test.fakes_api import FakeBackend


async def test_the_checks_are_answered(backend: FakeBackend) -> None:
    async def found(model: Callable[[], ModelView]) -> Sequence[Check]:
        return [Check("store", "ok", "Valkey 9"), Check("devices", "warning", str(len(model().devices)), "look")]

    async with serve(create_app(replace(backend.services, diagnosis=found))) as api:
        assert await api.get("/api/v2/diagnosis") == {
            "checks": [
                {"check": "store", "status": "ok", "detail": "Valkey 9", "remedy": ""},
                {"check": "devices", "status": "warning", "detail": "0", "remedy": "look"},
            ]
        }


async def test_a_limited_token_sees_its_own_devices_only(backend: FakeBackend) -> None:
    token = TokenSettings(name="north", hash=sha256(b"secret").hexdigest(), scope="read", devices=["n*"])
    settings = Settings(auth=AuthSettings(tokens=[token]))
    for name in ("n1", "s1"):
        await backend.repository.transact(
            lambda tx, name=name: tx.create(
                "device", {"id": name, "name": name, "protocol": "modbus_tcp", "ip": "::1"}
            )
        )
    text = 'pydatacoll_up 1\npydatacoll_x{device="n1"} 1\npydatacoll_x{device="s1"} 1\n'

    async def found(model: Callable[[], ModelView]) -> Sequence[Check]:
        return [
            Check("devices", "ok", ",".join(model().devices)),
            Check("settings", "warning", "the token of somebody else expires"),
            Check("rights", "warning", "/etc/pydatacoll.toml can be read by all"),
        ]

    services = replace(
        backend.services,
        settings=settings,
        access=Access(settings.auth),
        diagnosis=found,
        metrics=text.encode,
    )
    bearer = {"Authorization": "Bearer secret"}
    async with serve(create_app(services)) as api:
        await api("GET", "/api/v2/diagnosis", status=401)
        await api("GET", "/metrics", status=401)
        checks = (await api("GET", "/api/v2/diagnosis", headers=bearer)).json["checks"]
        assert [(check["check"], check["detail"]) for check in checks] == [("devices", "n1")]
        shown = (await api("GET", "/metrics", headers=bearer)).raw.decode()
        assert shown == 'pydatacoll_up 1\npydatacoll_x{device="n1"} 1\n'


def samples(stats: HttpStats) -> dict[tuple[str, ...], float]:
    return {
        (sample.name, *sample.labels.values()): sample.value
        for family in stats.families()
        for sample in family.samples
    }


async def test_requests_are_counted_by_route_method_and_status(backend: FakeBackend) -> None:
    stats = HttpStats()
    async with serve(create_app(replace(backend.services, http=stats))) as api:
        for _ in range(3):
            await api("GET", "/api/v1/devices/x", status=404)
        await api("HEAD", "/api/v1/devices", status=200)
        await api("GET", "/api/v1/devices", status=200)
        for number in range(50):
            await api("GET", f"/nothing/{number}", status=404)
        await api("POST", "/api/v1/devices", data=b"{", status=400)
        async with api.session.request("PROPFIND", f"{api.url}/api/v1/devices") as response:
            assert response.status == 405
    found = samples(stats)
    total, count = "pydatacoll_http_requests_total", "pydatacoll_http_request_duration_seconds_count"
    assert found[total, "/api/v1/devices/{device_id}", "GET", "4xx"] == 3
    assert found[count, "/api/v1/devices/{device_id}", "GET"] == 3
    assert found[total, "/api/v1/devices", "HEAD", "2xx"] == 1
    assert found[total, "/api/v1/devices", "GET", "2xx"] == 1
    assert found[total, "none", "GET", "4xx"] == 50
    assert found[total, "/api/v1/devices", "POST", "4xx"] == 1
    assert found[total, "none", "other", "4xx"] == 1
    assert not any("nothing" in label for key in found for label in key)


def test_a_histogram_is_cumulative_and_refusals_are_told_apart() -> None:
    stats = HttpStats()
    stats.name_routes({"a": "/a"})
    for seconds in (0.0001, 0.001, 0.003, 99.0):
        stats.count("a", "GET", 200, seconds)
    for status in (401, 401, 403, 429, 404):
        stats.count("a", "GET", status, 0.0)
    found = samples(stats)
    buckets = {key[-1]: value for key, value in found.items() if key[0].endswith("_bucket")}
    assert (buckets["0.001"], buckets["0.005"], buckets["10.0"], buckets["+Inf"]) == (7, 8, 8, 9)
    assert found["pydatacoll_http_request_duration_seconds_sum", "/a", "GET"] > 99
    refused = {key[1]: value for key, value in found.items() if key[0] == "pydatacoll_http_refused_total"}
    assert refused == {"401": 2, "403": 1, "429": 1}
    assert all(re.fullmatch(r"pydatacoll_(http|live)_\w+", key[0]) for key in found)
