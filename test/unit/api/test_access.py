"""Access tokens: every route asks for one, scopes, devices a token is limited to, expiry, rate of writes."""

from __future__ import annotations

import asyncio
import hashlib
import re
from collections.abc import AsyncIterator
from datetime import UTC, datetime
from typing import Any

import msgspec
import pytest

from pydatacoll.api.access import Access, Bucket
from pydatacoll.api.app import OPERATIONS, create_app
from pydatacoll.api.problems import ApiProblem
from pydatacoll.codec import json
from pydatacoll.model import PointId, Sample
from pydatacoll.settings import AuthSettings, Settings, TokenSettings
from test.api_client import Answer, Api, serve
from test.fakes_api import FakeBackend
from test.unit.api.conftest import DEVICE, ITEM, POINT, TERM

RANKS = {"read": 1, "operate": 2, "admin": 3}


def _token(name: str, scope: Any, **more: Any) -> TokenSettings:
    return TokenSettings(
        name=name, hash=hashlib.sha256(f"secret of {name}".encode()).hexdigest(), scope=scope, **more
    )


def _bearer(name: str) -> dict[str, str]:
    return {"Authorization": f"Bearer secret of {name}"}


@pytest.fixture
def backend(backend: FakeBackend) -> FakeBackend:
    tokens = [
        _token("read", "read"),
        _token("operate", "operate"),
        _token("admin", "admin"),
        _token("north", "admin", devices=["north*"]),
        _token("old", "admin", expires=datetime(2020, 1, 1)),  # noqa: DTZ001 - as in a file without a zone
    ]
    auth = AuthSettings(tokens=tokens, control_rate=1.0, control_burst=5)
    backend.settings = msgspec.structs.replace(Settings(), auth=auth)
    return backend


@pytest.fixture
async def two(api: Api) -> Api:
    """Two devices, north1 and south1, with a point each."""
    admin = _bearer("admin")
    await api("POST", "/api/v1/items", ITEM, headers=admin, status=201)
    for name in ("north1", "south1"):
        await api("POST", "/api/v1/devices", {**DEVICE, "id": name}, headers=admin, status=201)
        term = {**TERM, "id": f"{name}.main", "device_id": name}
        await api("POST", "/api/v1/terms", term, headers=admin, status=201)
        await api("POST", f"/api/v1/terms/{name}.main/items", POINT, headers=admin, status=201)
    return api


@pytest.fixture
async def api(backend: FakeBackend) -> AsyncIterator[Api]:
    async with serve(create_app(backend.services)) as running:
        yield running


def _routes(backend: FakeBackend) -> list[tuple[str, str]]:
    """What the router really serves; HEAD comes with GET."""
    app = create_app(backend.services)
    return [
        (route.method, route.resource.canonical)
        for route in app.router.routes()
        if route.resource is not None and route.method != "HEAD"
    ]


def _filled(path: str) -> str:
    return re.sub(r"{\w+}", "1", path)


async def test_every_route_needs_a_token_but_those_that_are_open(api: Api, backend: FakeBackend) -> None:
    app = create_app(backend.services)
    needed = {(operation.method, operation.path): operation.needs for operation in app[OPERATIONS]}
    routes = _routes(backend)
    assert set(routes) == set(needed)
    opened = {path for (_, path), scope in needed.items() if scope == "open"}
    assert opened == {
        "/",
        "/healthz",
        "/readyz",
        "/openapi.json",
        "/docs",
        "/docs/explorer.js",
        "/docs/explorer.css",
    }
    for method, path in routes:
        if needed[method, path] == "open":
            await api(method, _filled(path), status=200)
            continue
        answer = await api(method, _filled(path), status=401)
        assert answer.headers["WWW-Authenticate"] == 'Bearer realm="PyDataColl"'
        for wrong in ("Bearer nonsense", "Bearer", "Basic YTpi", "Bearer " + "x" * 4000, "Bearer \u00fc"):
            await api(method, _filled(path), headers={"Authorization": wrong}, status=401)


async def test_a_token_can_ask_what_it_allows(api: Api) -> None:
    answer = await api("GET", "/api/v2/whoami", headers=_bearer("north"), status=200)
    assert {**answer.json, "time": None} == {
        "name": "north",
        "scope": "admin",
        "devices": ["north*"],
        "expires": None,
        "time": None,
        "archive": False,
    }


async def test_every_route_refuses_a_scope_that_is_too_low(api: Api, backend: FakeBackend) -> None:
    app = create_app(backend.services)
    for operation in app[OPERATIONS]:
        if operation.needs == "open":
            continue
        for scope, rank in RANKS.items():
            path = _filled(operation.path)
            answer = await api(operation.method, path, headers=_bearer(scope))
            if rank < RANKS[operation.needs]:
                assert answer.status == 403, (operation.method, path, scope)
                assert "insufficient_scope" in answer.headers["WWW-Authenticate"]
            else:
                assert answer.status not in {401, 403}, (operation.method, path, scope)


def test_what_changes_the_plant_or_the_model_needs_more_than_read(backend: FakeBackend) -> None:
    """The default of a route that says nothing is the careful one."""
    harmless = {"formula_check"}
    for operation in create_app(backend.services)[OPERATIONS]:
        if operation.method != "GET" and operation.id not in harmless:
            assert RANKS[operation.needs] >= RANKS["operate"], operation.id
        if operation.needs == "operate":
            assert operation.tag in {"commands", "alarms"}, operation.id


def test_only_who_edits_points_may_ask_the_database_of_the_archive(backend: FakeBackend) -> None:
    """Its messages tell which tables and columns there are."""
    (check,) = [one for one in create_app(backend.services)[OPERATIONS] if one.id == "sql_check"]
    assert check.needs == "admin"


async def test_a_refused_body_is_not_read(api: Api) -> None:
    """No token: the refusal comes before any of the body is looked at."""
    answer = await api("POST", "/api/v1/devices", data=b"{", status=401)
    assert "token" in answer.json["detail"]


async def test_without_a_token_no_body_is_asked_for(api: Api) -> None:
    reader, writer = await asyncio.open_connection("127.0.0.1", api.port)
    writer.write(
        b"POST /api/v1/devices HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\n"
        b"Content-Length: 1000\r\nExpect: 100-continue\r\n\r\n"
    )
    assert b" 401 " in await reader.readline()
    writer.close()
    await writer.wait_closed()


async def test_an_expired_token(api: Api) -> None:
    answer = await api("GET", "/api/v1/devices", headers=_bearer("old"), status=401)
    assert "'old' has expired" in answer.json["detail"]


def test_expiry_with_and_without_a_zone() -> None:
    now = [0.0]
    late = datetime(2026, 1, 1, 12, tzinfo=UTC)
    tokens = [_token("a", "read", expires=late), _token("b", "read", expires=late.replace(tzinfo=None))]
    access = Access(AuthSettings(tokens=tokens), wall=lambda: now[0])
    for name in "ab":
        now[0] = late.timestamp() - 1
        assert access.identify(f"Bearer secret of {name}", "read").name == name
        now[0] = late.timestamp()
        with pytest.raises(ApiProblem, match="expired"):
            access.identify(f"Bearer secret of {name}", "read")


def test_the_scheme_is_case_insensitive_and_the_hash_may_be_in_capitals() -> None:
    token = msgspec.structs.replace(_token("a", "read"), hash=_token("a", "read").hash.upper())
    access = Access(AuthSettings(tokens=[token]))
    assert access.identify("bearer secret of a", "read").name == "a"
    assert access.identify("BEARER  secret of a ", "read").name == "a"


def test_without_tokens_everybody_may_do_everything() -> None:
    assert Access(AuthSettings()).identify(None, "admin").scope == "admin"


async def test_a_limited_token_sees_its_devices_only(two: Api, backend: FakeBackend) -> None:
    for name in ("north1", "south1"):
        backend.history.samples[PointId(name, f"{name}.main", "ua")] = [Sample(1.0, 5)]
    north = _bearer("north")

    async def get(path: str, status: int = 200) -> Any:
        return (await two("GET", path, headers=north, status=status)).json

    assert await get("/api/v1/devices") == ["north1"]
    assert [device["id"] for device in await get("/api/v1/devices?expand=true")] == ["north1"]
    assert await get("/api/v1/terms") == ["north1.main"]
    assert await get("/api/v1/items") == ["ua"]
    assert await get("/api/v1/devices/north1/terms") == ["north1.main"]
    assert [value["device_id"] for value in await get("/api/v2/values")] == ["north1"]
    assert await get("/api/v2/values?device_id=south1") == []
    for path in (
        "/api/v1/devices/south1",
        "/api/v1/devices/south1/terms",
        "/api/v1/terms/south1.main",
        "/api/v1/terms/south1.main/items",
        "/api/v1/terms/south1.main/items/ua",
        "/api/v1/devices/south1/terms/south1.main/items/ua/datas",
        "/api/v2/devices/south1/status",
    ):
        await get(path, 404)
    await get("/api/v1/devices/north1/terms/north1.main/items/ua/datas")


@pytest.mark.parametrize("version", ["v1", "v2"])
async def test_a_limited_token_commands_its_devices_only(two: Api, backend: FakeBackend, version: str) -> None:
    def body(name: str) -> dict[str, Any]:
        return {"device_id": name, "term_id": f"{name}.main", "item_id": "ua", "value": 1}

    async def status(name: str) -> int:
        answer = await two("POST", f"/api/{version}/device_ctrl", body(name), headers=_bearer("north"))
        return answer.status if version == "v1" else answer.json[0]["status"]

    assert await status("north1") == 200
    assert await status("south1") == 404
    assert [request.point.device_id for _, request in backend.commands.taken] == ["north1"]
    assert backend.commands.taken[0][1].user == "north"


async def test_a_limited_token_changes_its_devices_only(two: Api, backend: FakeBackend) -> None:
    async def refused(method: str, path: str, body: Any = None, status: int = 403) -> Answer:
        before = _snapshot(backend)
        answer = await two(method, path, body if body is not None else {}, headers=_bearer("north"))
        assert answer.status == status, (method, path, answer.raw)
        assert _snapshot(backend) == before
        return answer

    answer = await refused("POST", "/api/v1/devices", {**DEVICE, "id": "west1"})
    assert "'north' is not for device west1" in answer.json["detail"]
    await refused("PUT", "/api/v1/devices/north1", {**DEVICE, "id": "west1"})
    await refused("PATCH", "/api/v1/terms/north1.main", {"device_id": "south1"})
    await refused("POST", "/api/v1/terms", {**TERM, "id": "t", "device_id": "south1"})
    await refused("POST", "/api/v2/devices", [{**DEVICE, "id": "north2"}, {**DEVICE, "id": "west1"}])
    await refused("POST", "/api/v2/devices/del", ["north1", "south1"], status=422)
    await refused("POST", "/api/v2/devices/north1/clone", {"id": "west1"})
    answer = await refused("DELETE", "/api/v1/items/ua")
    assert "south1" not in answer.json["detail"]
    await refused("PATCH", "/api/v1/items/ua", {"name": "shared with others"})
    formula = {"id": "f", "formula": "p1", "device_id": "north1", "term_id": "north1.main", "item_id": "ua"}
    await refused("POST", "/api/v1/formulas", {**formula, "p1": "south1:south1.main:ua"})
    for method, path in (
        ("PUT", "/api/v1/devices/south1"),
        ("PATCH", "/api/v1/terms/south1.main"),
        ("DELETE", "/api/v1/terms/south1.main/items/ua"),
    ):
        await refused(method, path, status=404)


FORMULA = {"id": "f", "formula": "p1", "device_id": "north1", "term_id": "north1.main", "item_id": "ua"}


@pytest.mark.parametrize(
    ("method", "path", "body"),
    [
        ("POST", "/api/v1/devices", {**DEVICE, "id": "HIDDEN"}),
        ("PATCH", "/api/v1/devices/north1", {"id": "HIDDEN"}),
        ("POST", "/api/v2/devices", [{**DEVICE, "id": "HIDDEN"}]),
        ("POST", "/api/v2/devices/del", ["HIDDEN"]),
        ("POST", "/api/v2/devices/north1/clone", [{"id": "HIDDEN"}]),
        ("POST", "/api/v1/terms", {**TERM, "id": "t", "device_id": "HIDDEN"}),
        ("POST", "/api/v2/terms/del", ["HIDDEN"]),
        ("POST", "/api/v2/term_items/del", [{"term_id": "HIDDEN", "item_id": "ua"}]),
        ("POST", "/api/v1/terms/north1.main/items", {**POINT, "term_id": "HIDDEN"}),
        ("POST", "/api/v1/formulas", {**FORMULA, "p1": "HIDDEN:HIDDEN:ua"}),
        ("POST", "/api/v2/formulas", [{**FORMULA, "term_id": "HIDDEN"}]),
        ("POST", "/api/v2/import?dry_run=true", {"devices": [{**DEVICE, "id": "HIDDEN"}]}),
        ("POST", "/api/v2/import?dry_run=true", {"terms": [{**TERM, "id": "t", "device_id": "HIDDEN"}]}),
        ("POST", "/api/v2/import?dry_run=true", {"term_items": [{**POINT, "term_id": "HIDDEN"}]}),
        ("POST", "/api/v2/import?dry_run=true", {"formulas": [{**FORMULA, "p1": "HIDDEN:HIDDEN:ua"}]}),
    ],
)
async def test_a_limited_token_cannot_tell_what_others_have(
    two: Api, backend: FakeBackend, method: str, path: str, body: Any
) -> None:
    """Also ids that are whole numbers: what is hidden and what does not exist is answered alike."""
    admin = _bearer("admin")
    await two("POST", "/api/v1/devices", {**DEVICE, "id": "17"}, headers=admin, status=201)
    await two("POST", "/api/v1/terms", {**TERM, "id": "17", "device_id": "17"}, headers=admin, status=201)
    await two("POST", "/api/v1/terms/17/items", {**POINT, "term_id": "17"}, headers=admin, status=201)

    async def ask(name: str | int) -> tuple[int, Any]:
        text = json.encode(body).decode()
        data = text.replace('"HIDDEN"', str(json.encode(name).decode())).replace("HIDDEN", str(name))
        answer = await two(method, path, data=data.encode(), headers=_bearer("north"))
        return answer.status, answer.json["detail"].replace(str(name), "...")

    before = _snapshot(backend)
    for hidden, nobody in (("17", "18"), (17, 18)):
        assert await ask(hidden) == await ask(nobody)
    assert _snapshot(backend) == before


async def test_a_limited_token_cannot_take_a_term_of_others(two: Api) -> None:
    north = _bearer("north")
    taken = {**TERM, "id": "south1.main", "device_id": "north1"}
    for method, path, body in (
        ("POST", "/api/v1/terms", taken),
        ("POST", "/api/v2/terms", [taken]),
        ("PUT", "/api/v1/terms/north1.main", taken),
        ("POST", "/api/v2/import", {"terms": [taken]}),
    ):
        answer = await two(method, path, body, headers=north, status=403)
        assert "is not for term south1.main" in answer.json["detail"]


@pytest.fixture
async def virtual(two: Api) -> Api:
    """Besides, virtual devices northv and southv with the points a and b, and formulas over the border: ``secret``
    works out southv's a from northv's a, ``hidden`` northv's b from that."""
    admin = _bearer("admin")
    for item in "ab":
        await two("POST", "/api/v1/items", {**ITEM, "id": item}, headers=admin, status=201)
    for name in ("northv", "southv"):
        device = {"id": name, "name": name, "protocol": "formula"}
        await two("POST", "/api/v1/devices", device, headers=admin, status=201)
        await two(
            "POST", "/api/v1/terms", {"id": name, "name": name, "device_id": name}, headers=admin, status=201
        )
        for item in "ab":
            await two("POST", f"/api/v1/terms/{name}/items", {"item_id": item}, headers=admin, status=201)
    for key, device, item, param in (
        ("secret", "southv", "a", "northv:northv:a"),
        ("hidden", "northv", "b", "southv:southv:a"),
    ):
        body = {"id": key, "formula": "p1", "device_id": device, "term_id": device, "item_id": item, "p1": param}
        await two("POST", "/api/v1/formulas", body, headers=admin, status=201)
    return two


async def test_a_limited_token_is_told_of_a_circle_and_not_of_others(virtual: Api, backend: FakeBackend) -> None:
    """The circle leads through a device of others, whose name and formula stay theirs."""
    north = _bearer("north")
    body = {"formula": "p1", "device_id": "northv", "term_id": "northv", "item_id": "a", "p1": "northv:northv:b"}
    path = "northv:northv:a -> (other devices) -> northv:northv:b -> northv:northv:a"
    before = _snapshot(backend)
    answer = await virtual("POST", "/api/v1/formulas", {**body, "id": "f"}, headers=north, status=409)
    assert answer.json["detail"] == f"formula f would depend on its own result: {path}"
    admin = await virtual("POST", "/api/v1/formulas", {**body, "id": "f"}, headers=_bearer("admin"), status=409)
    assert admin.json["detail"].endswith(path.replace("(other devices)", "southv:southv:a"))
    answers = [
        await virtual("POST", "/api/v1/formula_check", {**body, "id": "f"}, headers=north, status=200),
        await virtual("POST", "/api/v2/formulas", [{**body, "id": "f"}], headers=north, status=422),
        await virtual("POST", "/api/v2/import", {"formulas": [{**body, "id": "f"}]}, headers=north),
    ]
    for answer in answers:
        assert path in answer.raw.decode()
        assert b"south" not in answer.raw
    taken = {**body, "id": "g", "item_id": "b", "p1": "northv:northv:a"}
    answer = await virtual("POST", "/api/v1/formulas", taken, headers=north, status=409)
    assert answer.json["detail"] == "northv:northv:b is already the result of a formula that uses other devices"
    for answer in (
        await virtual("PATCH", "/api/v1/devices/northv", {"protocol": "modbus_tcp"}, headers=north, status=422),
        await virtual(
            "POST",
            "/api/v2/import",
            {"devices": [{"id": "northv", "name": "n", "protocol": "modbus_tcp"}]},
            headers=north,
        ),
        await virtual("POST", "/api/v1/formula_check", {**taken, "id": "hidden"}, headers=north, status=200),
    ):
        assert b"south" not in answer.raw
        assert b"secret" not in answer.raw
    assert _snapshot(backend) == before


async def test_a_limited_token_imports_new_devices_with_their_terms(two: Api) -> None:
    document = {
        "devices": [{**DEVICE, "id": "north2"}],
        "terms": [{**TERM, "id": "north2.main", "device_id": "north2"}],
        "term_items": [{**POINT, "term_id": "north2.main"}],
    }
    answer = await two("POST", "/api/v2/import", document, headers=_bearer("north"), status=200)
    assert answer.json["add"] == 3


async def test_a_limited_token_sees_its_own_imports_only(two: Api) -> None:
    for name in ("admin", "north"):
        await two("POST", "/api/v2/import", {}, headers=_bearer(name), status=200)
    listed = (await two("GET", "/api/v2/imports", headers=_bearer("north"), status=200)).json
    assert [one["user"] for one in listed] == ["north"]
    assert len((await two("GET", "/api/v2/imports", headers=_bearer("read"), status=200)).json) == 2


async def test_a_limited_token_may_change_what_is_its_own(two: Api) -> None:
    north = _bearer("north")
    await two("POST", "/api/v1/devices", {**DEVICE, "id": "north2"}, headers=north, status=201)
    await two("PATCH", "/api/v1/devices/north1", {"name": "new"}, headers=north, status=200)
    await two("POST", "/api/v1/items", {**ITEM, "id": "ub"}, headers=north, status=201)
    await two("DELETE", "/api/v1/devices/north1", headers=north, status=200)


def _snapshot(backend: FakeBackend) -> Any:
    registry = backend.repository.registry
    return [dict(getattr(registry, kind)) for kind in ("devices", "terms", "items", "term_items", "formulas")]


async def test_writes_of_a_token_are_limited_in_rate(two: Api, backend: FakeBackend) -> None:
    body = {"device_id": "north1", "term_id": "north1.main", "item_id": "ua", "value": 1}
    operate = _bearer("operate")
    await two("POST", "/api/v2/device_ctrl", [body] * 5, headers=operate, status=200)
    answer = await two("POST", "/api/v1/device_ctrl", body, headers=operate, status=429)
    assert int(answer.headers["Retry-After"]) >= 1
    assert "auth.control_rate" in answer.json["detail"]
    assert len(backend.commands.taken) == 5
    await two("POST", "/api/v1/device_ctrl", body, headers=_bearer("admin"), status=200)  # each token has its own
    reading = {name: body[name] for name in ("device_id", "term_id", "item_id")}
    await two("POST", "/api/v1/device_call", reading, headers=operate, status=200)


def test_a_bucket() -> None:
    now = [100.0]
    bucket = Bucket(2.0, 10, clock=lambda: now[0])
    assert bucket.take(10) == 0
    assert bucket.take(1) == pytest.approx(0.5)
    now[0] += 0.5
    assert bucket.take(1) == 0
    now[0] += 1000
    assert bucket.take(30) == 0, "more than a burst goes out of a full bucket ..."
    assert bucket.take(1) == pytest.approx(10.5), "... and is paid for afterwards"
    assert Bucket(0.0, 1).take(1000) == 0


async def test_the_document_names_the_scopes(api: Api) -> None:
    document = (await api("GET", "/openapi.json", status=200)).json
    paths = document["paths"]
    assert paths["/api/v1/device_ctrl"]["post"]["security"] == [{"token": ["operate"]}]
    assert paths["/api/v1/devices"]["get"]["security"] == [{"token": ["read"]}]
    assert paths["/api/v1/devices"]["post"]["security"] == [{"token": ["admin"]}]
    assert paths["/healthz"]["get"]["security"] == []
    assert document["components"]["securitySchemes"]["token"]["scheme"] == "bearer"
