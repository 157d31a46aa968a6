"""``GET /api/v2/audit``, and what requests leave in the trail."""

from __future__ import annotations

import asyncio
import hashlib
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from typing import Any

import pytest

from pydatacoll.api.app import create_app
from pydatacoll.settings import AuthSettings, Settings, TokenSettings
from pydatacoll.store.audit import AuditPage
from test.api_client import Api, serve
from test.fakes_api import FakeBackend
from test.unit.api.conftest import DEVICE, ITEM, POINT, TERM


def token(name: str, scope: Any, devices: list[str] | None = None) -> TokenSettings:
    """Of which the secret is the name."""
    return TokenSettings(
        name=name, hash=hashlib.sha256(name.encode()).hexdigest(), scope=scope, devices=devices or []
    )


def bearer(name: str) -> dict[str, str]:
    return {"Authorization": f"Bearer {name}"}


@asynccontextmanager
async def secured(backend: FakeBackend, *tokens: TokenSettings) -> AsyncIterator[Api]:
    backend.settings = Settings(auth=AuthSettings(tokens=list(tokens), control_rate=1.0, control_burst=2))
    async with serve(create_app(backend.services)) as api:
        for path, body in (
            ("devices", DEVICE),
            ("terms", TERM),
            ("items", ITEM),
            ("terms/main/items", POINT),
        ):
            await api("POST", f"/api/v1/{path}", body, headers=bearer("root"), status=201)
        yield api


async def until(true: Callable[[], bool]) -> None:
    while not true():
        await asyncio.sleep(0)


ENTRY = {
    "id": "1795255708123-0",
    "time": "2026-11-21T09:00:00.000000Z",
    "action": "device.merge",
    "user": "root",
    "source": "127.0.0.1",
    "object": "feeder1",
    "before": {"name": "x"},
    "after": {"name": "y"},
    "result": "ok",
    "devices": ["feeder1"],
}


async def test_the_trail_is_shown_with_a_link_to_the_next_page(api: Api, backend: FakeBackend) -> None:
    backend.audit.page = AuditPage([ENTRY], "1795255708123-0")
    answer = await api("GET", "/api/v2/audit?limit=1&object=feeder*&result=ok", status=200)
    assert answer.json == [ENTRY]
    assert answer.headers["Link"] == (
        '</api/v2/audit?limit=1&object=feeder*&result=ok&before=1795255708123-0>; rel="next"'
    )


async def test_the_last_page_has_no_link(api: Api) -> None:
    answer = await api("GET", "/api/v2/audit", status=200)
    assert answer.json == []
    assert "Link" not in answer.headers


async def test_filters_are_handed_on(api: Api, backend: FakeBackend) -> None:
    query = (
        "since=2026-11-21T09:00:00Z&until=1795300000&user=eve&action=ctrl*&object=d:*&device_id=d&result=failed"
        "&limit=7&before=1-2"
    )
    await api("GET", f"/api/v2/audit?{query}", status=200)
    assert backend.audit.asked is not None
    wanted, limit, before = backend.audit.asked
    assert (limit, before) == (7, "1-2")
    assert (wanted.since, wanted.until) == (1795251600.0, 1795300000.0)
    assert (wanted.user, wanted.action, wanted.object) == ("eve", "ctrl*", "d:*")
    assert (wanted.device_id, wanted.failed, wanted.sees) == ("d", True, None)


@pytest.mark.parametrize(
    "bad", ["limit=0", "limit=10001", "before=x", "before=1", "result=maybe", "user=", "since=then", "what=1"]
)
async def test_bad_parameters_are_named(api: Api, bad: str) -> None:
    answer = await api("GET", f"/api/v2/audit?{bad}", status=422)
    assert answer.fields == [(0, bad.partition("=")[0])]


async def test_a_token_for_some_devices_reads_about_these_only(backend: FakeBackend) -> None:
    async with secured(backend, token("root", "admin"), token("north", "read", ["n*"])) as api:
        await api("GET", "/api/v2/audit", headers=bearer("north"), status=200)
        assert backend.audit.asked is not None
        sees = backend.audit.asked[0].sees
        assert sees is not None
        assert (sees("n1"), sees("s1")) == (True, False)


async def test_changes_name_the_token_and_the_address(backend: FakeBackend) -> None:
    async with secured(backend, token("root", "admin")):
        assert {(entry["user"], entry["source"]) for entry in backend.entries} == {("root", "127.0.0.1")}


async def test_what_changes_nothing_leaves_nothing(plant: Api, backend: FakeBackend) -> None:
    backend.entries.clear()
    await plant("PATCH", "/api/v1/items/ua", {"unit": "V"}, status=200)
    await plant("DELETE", "/api/v1/items/ua?dry_run=true", status=200)
    await plant.post("/api/v2/items", [ITEM], 200)
    assert backend.entries == []


async def test_a_rename_is_told_under_the_old_id(plant: Api, backend: FakeBackend) -> None:
    backend.entries.clear()
    await plant("PATCH", "/api/v1/devices/feeder1", {"id": "f"}, status=200)
    (entry,) = backend.entries
    assert (entry["object"], entry["before"]["id"], entry["after"]["id"]) == ("feeder1", "feeder1", "f")
    assert entry["counts"] == {"devices": {"renamed": 1}, "terms": {"changed": 1}}
    assert entry["devices"] == ["f", "feeder1"]


async def test_a_batch_of_deletions_tells_what_went(plant: Api, backend: FakeBackend) -> None:
    backend.entries.clear()
    await plant.post("/api/v2/term_items/del", [{"term_id": "main", "item_id": "ua"}], 200)
    (entry,) = backend.entries
    assert entry["action"] == "term_item.batch_delete"
    assert entry["changes"][0]["before"]["protocol_code"] == "hr:100"
    assert entry["devices"] == ["feeder1"]


async def test_controls_that_are_not_sent_are_told(plant: Api, backend: FakeBackend) -> None:
    backend.entries.clear()
    point = {"device_id": "feeder1", "term_id": "main", "item_id": "ua", "value": 5}
    await plant.post("/api/v1/device_ctrl", {**point, "item_id": "gone"}, 404)
    await plant.post("/api/v1/device_ctrl", {**point, "value": "much"}, 422)
    await plant.post("/api/v2/device_ctrl", [{**point, "device_id": "gone"}, point, 5], 200)
    await plant.post("/api/v1/device_call", {**point, "item_id": "gone"}, 422)
    await plant("POST", "/api/v1/device_ctrl", point, headers={"Idempotency-Key": "x" * 201}, status=422)
    await until(lambda: len(backend.entries) == 5)
    assert [(entry["object"], entry["after"], entry["result"][:3]) for entry in backend.entries] == [
        ("feeder1:main:gone", 5, "404"),
        ("feeder1:main:ua", "much", "422"),
        ("gone:main:ua", 5, "404"),
        ("::", None, "422"),
        ("feeder1:main:ua", 5, "422"),
    ]
    assert {entry["action"] for entry in backend.entries} == {"ctrl.refused"}
    assert backend.entries[0]["devices"] == ["feeder1"]


async def test_requests_that_are_not_allowed_are_told(backend: FakeBackend) -> None:
    tokens = token("root", "admin"), token("reader", "read"), token("north", "admin", ["n*"])
    async with secured(backend, *tokens, token("op", "operate")) as api:
        backend.entries.clear()
        point = {"device_id": "feeder1", "term_id": "main", "item_id": "ua", "value": 5}
        await api("GET", "/api/v1/devices", status=401)
        await api("GET", "/api/v1/devices", headers=bearer("nobody"), status=401)
        await api("POST", "/api/v1/device_ctrl", point, headers=bearer("reader"), status=403)
        await api("PATCH", "/api/v1/items/ua", {"unit": "kV"}, headers=bearer("north"), status=403)
        await api("POST", "/api/v2/device_ctrl", [point, point, point], headers=bearer("op"), status=200)
        await api("POST", "/api/v1/device_ctrl", point, headers=bearer("op"), status=429)
        await until(lambda: len(backend.entries) == 5)
        assert [(entry["user"], entry["object"], entry["result"][:3]) for entry in backend.entries] == [
            ("", "GET /api/v1/devices", "401"),
            ("", "GET /api/v1/devices", "401"),
            ("reader", "POST /api/v1/device_ctrl", "403"),
            ("north", "PATCH /api/v1/items/ua", "403"),
            ("op", "POST /api/v1/device_ctrl", "429"),
        ]
        assert "nobody" not in str(backend.entries)  # a mistyped token is still a secret
