"""Export and import: the whole model as a document, all or nothing."""

from __future__ import annotations

import asyncio
import hashlib
from typing import Any

import msgspec
import pytest

from pydatacoll.api.access import Access
from pydatacoll.api.app import create_app
from pydatacoll.api.imports import Imports
from pydatacoll.api.transfer import accepted
from pydatacoll.codec import json
from pydatacoll.errors import Conflict
from pydatacoll.settings import AuthSettings, ServerSettings, Settings, TokenSettings
from test.api_client import Answer, Api, serve
from test.fakes_api import FakeBackend
from test.unit.api.conftest import DEVICE, ITEM, POINT, TERM

CSV = {"Content-Type": "text/csv"}
YAML = {"Content-Type": "application/yaml"}
TABLE = (
    "device_id;device_name;protocol;ip;term_id;term_name;item_id;item_name;unit;protocol_code\r\n"
    "pump1;Pump 1;modbus_tcp;10.0.0.5;pump1.main;Main;ua;Voltage;V;hr:0\r\n"
    "pump1;Pump 1;modbus_tcp;10.0.0.5;pump1.main;Main;ub;Voltage B;V;hr:2\r\n"
)


async def bring(api: Api, raw: str | bytes, query: str = "", status: int = 200, **headers: str) -> Any:
    data = raw.encode() if isinstance(raw, str) else raw
    return (await api("POST", f"/api/v2/import{query}", data=data, headers={**CSV, **headers}, status=status)).json


@pytest.mark.parametrize("media", ["application/json", "application/yaml", "text/csv"])
async def test_an_export_can_be_imported(plant: Api, backend: FakeBackend, media: str) -> None:
    answer = await plant("GET", "/api/v2/export", headers={"Accept": media}, status=200)
    assert answer.headers["Content-Type"].partition(";")[0] == media
    assert "attachment; filename=" in answer.headers["Content-Disposition"]
    headers = {"Content-Type": f"{media}; charset=utf-8"}
    same = (await plant("POST", "/api/v2/import", data=answer.raw, headers=headers, status=200)).json
    assert (same["add"], same["change"], same["delete"], same["unchanged"], same["changes"]) == (0, 0, 0, 4, [])
    async with serve(create_app(FakeBackend(backend.schemas).services)) as empty:
        new = (await empty("POST", "/api/v2/import", data=answer.raw, headers=headers, status=200)).json
        assert (new["add"], new["unchanged"]) == (4, 0)
        again = await empty("GET", "/api/v2/export", headers={"Accept": media}, status=200)
        assert again.raw == answer.raw


@pytest.mark.parametrize(
    ("accept", "how"),
    [
        ("", "json"),
        ("*/*", "json"),
        ("text/csv", "csv"),
        ("text/*", "csv"),
        ("text/yaml, application/json;q=0.5", "yaml"),
        ("application/json;q=0.2, text/csv;q=0.9, */*;q=0.1", "csv"),
        ("text/html,application/xml;q=0.9,*/*;q=0.8", "json"),
        ("text/csv;q=x, application/x-yaml;q=0.1", "yaml"),
        ("application/*", "json"),
        ("TEXT/CSV; charset=utf-8; Q=0.5", "csv"),
        ("*/*, text/csv", "csv"),
        ("*/*, application/json;q=0", "csv"),
        ("text/*, text/csv;q=0", "yaml"),
        ("application/yaml, text/csv", "yaml"),
        ("text/csv, application/yaml", "csv"),
        ("image/png, application/yaml;q=0.001", "yaml"),
        ("text/html", None),
        ("application/xml, image/*", None),
        ("text/csv;q=0", None),
        ("*/*;q=0", None),
        ("*/*;q=nan", None),
        ("text", None),
        (",", None),
    ],
)
def test_the_client_chooses_the_format(accept: str, how: str | None) -> None:
    assert accepted(accept) == how


async def test_a_client_that_takes_none_of_the_formats_is_told_so(plant: Api) -> None:
    for method in ("GET", "HEAD"):
        await plant(method, "/api/v2/export", headers={"Accept": "application/xml"}, status=406)
    answer = await plant("GET", "/api/v2/export", headers={"Accept": "text/html"}, status=406)
    assert answer.json["type"] == "/docs#problem-not-acceptable"
    for media in ("application/json", "application/yaml", "text/csv", "format="):
        assert media in answer.json["detail"]
    await plant("GET", "/api/v2/export?format=yaml", headers={"Accept": "text/html"}, status=200)


async def test_a_table_for_excel_can_be_imported(plant: Api, backend: FakeBackend) -> None:
    answer = await plant("GET", "/api/v2/export?format=csv&dialect=excel", status=200)
    assert answer.headers["Content-Type"] == "text/csv; charset=utf-8"
    assert answer.raw.startswith(b"\xef\xbb\xbfdevice_id;device_name;")
    same = await bring(plant, answer.raw, "?mode=replace")
    assert (same["add"], same["change"], same["delete"], same["unchanged"]) == (0, 0, 0, 4)
    plain = await plant("GET", "/api/v2/export?format=csv&dialect=plain", status=200)
    assert plain.raw.startswith(b"device_id,device_name,")
    by_header = await plant("GET", "/api/v2/export?dialect=excel", headers={"Accept": "text/csv"}, status=200)
    assert by_header.raw == answer.raw
    for query in ("dialect=excel", "dialect=excel&format=yaml", "format=csv&dialect=word"):
        refused = await plant("GET", f"/api/v2/export?{query}", status=422)
        assert refused.fields == [(0, "dialect")]


async def test_the_format_and_the_devices_can_stand_in_the_url(plant: Api) -> None:
    answer = await plant("GET", "/api/v2/export?format=csv&device_id=feeder1", status=200)
    assert answer.raw.decode().splitlines()[0].startswith("device_id,device_name,protocol")
    await plant("GET", "/api/v2/export?device_id=nobody", status=404)
    await plant("GET", "/api/v2/export?format=xml", status=422)
    head = await plant("HEAD", "/api/v2/export?format=csv", status=200)
    assert head.raw == b""


async def test_a_table_is_brought_in(api: Api, backend: FakeBackend) -> None:
    answer = await bring(api, TABLE, "?limit=2", **{"X-Import-Id": "first"})
    assert (answer["add"], answer["errors"], answer["error_count"]) == (6, [], 0)
    assert answer["counts"]["term_items"] == {"add": 2, "change": 0, "delete": 0, "unchanged": 0}
    assert answer["truncated"]
    assert answer["changes"][0]["action"] == "add"
    assert answer["changes"][0]["fields"]["ip"] == [None, "10.0.0.5"]
    assert await api.get("/api/v1/terms/pump1.main/items") == ["ua", "ub"]
    (listed,) = await api.get("/api/v2/imports")
    assert (listed["id"], listed["state"], listed["done"], listed["total"]) == ("first", "done", 6, 6)


async def test_a_change_shows_before_and_after(api: Api) -> None:
    await bring(api, TABLE)
    answer = await bring(api, TABLE.replace("10.0.0.5", "10.0.0.6").replace(";V;", ";kV;"), "?dry_run=true")
    assert (answer["add"], answer["change"], answer["unchanged"]) == (0, 3, 3)
    fields = {change["key"]: change["fields"] for change in answer["changes"]}
    assert fields == {
        "pump1": {"ip": ["10.0.0.5", "10.0.0.6"]},
        "ua": {"unit": ["V", "kV"]},
        "ub": {"unit": ["V", "kV"]},
    }


async def test_replacing_deletes_what_is_not_in_the_document(plant: Api) -> None:
    answer = await bring(plant, TABLE, "?mode=replace&dry_run=true")
    assert (answer["add"], answer["change"], answer["delete"]) == (5, 1, 3)
    assert await plant.get("/api/v1/devices") == ["feeder1"]
    await bring(plant, TABLE, "?mode=replace")
    assert await plant.get("/api/v1/devices") == ["pump1"]
    assert await plant.get("/api/v1/terms") == ["pump1.main"]


async def test_a_dry_run_tells_every_error_and_the_rest_of_the_changes(api: Api, backend: FakeBackend) -> None:
    table = TABLE + "pump1;;;;pump1.main;;uc;C;V;100\r\npump2;Pump 2;nosuch;;;;;;;\r\n"
    answer = await bring(api, table, "?dry_run=true")
    assert [(error["row"], error["column"], error["kind"], error["key"]) for error in answer["errors"]] == [
        (4, "protocol_code", "term_item", "pump1.main:uc"),
        (5, "protocol", "device", "pump2"),
    ]
    assert answer["error_count"] == 2
    assert answer["add"] == 7
    assert await api.get("/api/v1/devices") == []
    problem = await bring(api, table, status=422)
    assert problem["errors"] == answer["errors"]
    assert "row 4, protocol_code" in problem["detail"]
    assert await api.get("/api/v1/devices") == []
    assert [one["state"] for one in await api.get("/api/v2/imports")] == ["failed", "done"]


async def test_errors_of_other_formats_have_the_place_in_the_list(api: Api) -> None:
    raw = json.encode({"items": [{"id": "a", "name": "x"}, {"id": "b", "nam": "x"}]})
    answer = await api("POST", "/api/v2/import?dry_run=1", data=raw, status=200)
    assert [(error["index"], error["row"], error["column"]) for error in answer.json["errors"]] == [
        (1, 1, "nam"),
        (1, 1, "name"),
    ]
    answer = await api("POST", "/api/v2/import", data=b"items:\n- {id: a, name: x}\n", headers=YAML, status=200)
    assert answer.json["add"] == 1


@pytest.mark.parametrize(
    ("raw", "media", "detail"),
    [
        (b"{", "application/json", "line 1"),
        (b"a: [", "text/yaml", "line"),
        (b'x,y\n"a', "text/csv", "line 2"),
        (b"", "text/csv", "it is empty"),
    ],
)
async def test_what_cannot_be_read_is_a_bad_request(api: Api, raw: bytes, media: str, detail: str) -> None:
    for query in ("", "?dry_run=true"):
        headers = {"Content-Type": media}
        answer = await api("POST", f"/api/v2/import{query}", data=raw, headers=headers, status=400)
        assert detail in answer.json["detail"]


async def test_what_is_refused_before_it_is_read(api: Api, backend: FakeBackend) -> None:
    await api("POST", "/api/v2/import", data=b"x", headers={"Content-Type": "text/plain"}, status=415)
    await api("POST", "/api/v2/import?mode=both", data=b"x", headers=CSV, status=422)
    await api("POST", "/api/v2/import", data=b"x", headers={**CSV, "X-Import-Id": "a b"}, status=422)
    assert await api.get("/api/v2/imports") == []
    backend.settings = msgspec.structs.replace(Settings(), server=ServerSettings(max_import_body=100))
    async with serve(create_app(backend.services)) as small:
        await small("POST", "/api/v2/import", data=b"x" * 101, headers=CSV, status=413)


def test_only_one_import_at_a_time() -> None:
    now = 1000.0
    imports = Imports(lambda: now)
    with imports.run("a", "me", dry_run=True) as own:
        assert own.state == "parsing"
        with pytest.raises(Conflict, match="import a is under way"), imports.run(None, "you", dry_run=False):
            pass
    with pytest.raises(ValueError, match="x"), imports.run("b", "me", dry_run=False):
        raise ValueError("x")
    assert [(one.id, one.state) for one in imports.listed()] == [("b", "failed"), ("a", "done")]
    now += 601
    assert imports.listed() == []


def _token(name: str, scope: Any, **more: Any) -> TokenSettings:
    return TokenSettings(name=name, hash=hashlib.sha256(name.encode()).hexdigest(), scope=scope, **more)


@pytest.fixture
def limited(backend: FakeBackend) -> FakeBackend:
    """Tokens: admin, read, and north, which is for devices north* only."""
    tokens = [_token("admin", "admin"), _token("read", "read"), _token("north", "admin", devices=["north*"])]
    backend.settings = msgspec.structs.replace(Settings(), auth=AuthSettings(tokens=tokens))
    return backend


def _bearer(name: str) -> dict[str, str]:
    return {"Authorization": f"Bearer {name}"}


async def test_a_token_for_some_devices_moves_only_these(limited: FakeBackend) -> None:
    assert Access(limited.settings.auth).required
    async with serve(create_app(limited.services)) as api:
        model = {
            "devices": [{**DEVICE, "id": name} for name in ("north1", "south1")],
            "terms": [{**TERM, "id": f"{name}.t", "device_id": name} for name in ("north1", "south1")],
            "items": [ITEM],
            "term_items": [{**POINT, "term_id": f"{name}.t"} for name in ("north1", "south1")],
        }
        whole = json.encode(model)

        async def send(token: str, raw: bytes, query: str, status: int) -> Answer:
            return await api("POST", f"/api/v2/import{query}", data=raw, headers=_bearer(token), status=status)

        await send("read", whole, "", 403)
        await send("north", whole, "", 403)
        await send("north", whole, "?dry_run=true", 403)
        await send("admin", whole, "", 200)
        own = await api("GET", "/api/v2/export", headers=_bearer("north"), status=200)
        assert [device["id"] for device in own.json["devices"]] == ["north1"]
        assert len(own.json["term_items"]) == 1
        await api("GET", "/api/v2/export?device_id=south1", headers=_bearer("north"), status=404)
        assert (await send("north", own.raw.replace(b"Feeder 1", b"Other"), "", 200)).json["change"] == 1
        await send("north", own.raw, "?mode=replace", 403)
        south = json.encode({"devices": [{**DEVICE, "id": "south1", "name": "mine"}]})
        await send("north", south, "", 403)
        clone = "/api/v2/devices/{}/clone"
        await api("POST", clone.format("north1"), {"id": "north2"}, headers=_bearer("north"), status=200)
        await api("POST", clone.format("north1"), {"id": "south2"}, headers=_bearer("north"), status=403)
        await api("POST", clone.format("south1"), {"id": "north3"}, headers=_bearer("north"), status=404)


async def test_a_device_is_copied_with_its_terms_and_points(plant: Api) -> None:
    await plant.post("/api/v1/terms", {"id": "feeder1.sub", "name": "x", "device_id": "feeder1"})
    await plant.post("/api/v1/terms", {"id": "feeder1", "name": "x", "device_id": "feeder1"})
    copies = [{"id": f"f{n}", "ip": f"10.0.0.{n}", "port": None} for n in range(1, 4)]
    counts = {"created": {"devices": 3, "terms": 9, "term_items": 3}}
    assert await plant.post("/api/v2/devices/feeder1/clone?dry_run=true", copies, 200) == counts
    assert await plant.get("/api/v1/devices") == ["feeder1"]
    assert await plant.post("/api/v2/devices/feeder1/clone", copies, 200) == counts
    device = await plant.get("/api/v1/devices/f2")
    assert (device["name"], device["ip"]) == ("Feeder 1", "10.0.0.2")
    assert await plant.get("/api/v1/devices/f2/terms") == ["f2", "f2.main", "f2.sub"]
    point = await plant.get("/api/v1/terms/f2.main/items/ua")
    assert (point["protocol_code"], point["writable"]) == ("hr:100", True)


async def test_names_of_terms_that_would_meet_keep_their_whole_id(api: Api) -> None:
    await api.post("/api/v1/devices", DEVICE)
    for term_id in ("feeder1.a", "a", "feeder1-b"):
        await api.post("/api/v1/terms", {**TERM, "id": term_id})
    await api.post("/api/v2/devices/feeder1/clone", {"id": "n"}, 200)
    assert await api.get("/api/v1/devices/n/terms") == ["n.a", "n.b", "n.feeder1.a"]


async def test_copies_are_made_all_or_none_and_every_bad_one_is_named(plant: Api) -> None:
    path = "/api/v2/devices/feeder1/clone"
    assert (
        "device already exists! feeder1"
        in (await plant("POST", path, [{"id": "new"}, {"id": "feeder1"}], status=409)).json["detail"]
    )
    bad: list[Any] = [
        {"id": "a b"},
        {"name": "x"},
        {"id": "x", "port": 0},
        {"id": "feeder1"},
        {"id": "ok"},
        {"id": "ok"},
    ]
    bad += [{"id": "p", "protocol": "formula"}, {"id": "q", "what": 1}, 5, {"id": "l" * 62}]
    answer = await plant("POST", path, bad, status=422)
    assert answer.fields == [
        (0, "id"),
        (1, "id"),
        (2, "port"),
        (3, "id"),
        (5, "id"),
        *[(6, field) for index, field in answer.fields if index == 6],
        (7, "what"),
        (8, "device"),
        (9, "id"),
    ]
    assert await plant.get("/api/v1/devices") == ["feeder1"]
    await plant("POST", "/api/v2/devices/nobody/clone", {"id": "x"}, status=404)


async def test_a_copy_whose_options_do_not_suit_its_points_is_refused(plant: Api) -> None:
    await plant("PATCH", "/api/v1/terms/main/items/ua", {"code_type": "float64"}, status=200)
    answer = await plant("POST", "/api/v2/devices/feeder1/clone", {"id": "x", "max_block": 2}, status=422)
    assert answer.fields == [(0, "term_item main:ua code_type")] or answer.fields[0][0] == 0


async def test_exports_while_the_model_changes_show_one_moment(plant: Api) -> None:
    answers = await asyncio.gather(
        plant("GET", "/api/v2/export", status=200),
        plant("POST", "/api/v1/items", {"id": "new", "name": "x"}, status=201),
        plant("GET", "/api/v2/export", status=200),
    )
    assert {len(answer.json["items"]) for answer in answers if "items" in answer.json} <= {1, 2}
