"""Devices, terms, items, term items and formulas: create, read, replace, change, rename, delete."""

from __future__ import annotations

from typing import Any

import pytest

from pydatacoll.errors import StoreUnavailable
from pydatacoll.store.status import Link
from test.api_client import Api
from test.fakes_api import FakeBackend

FORMULA = {
    "id": "f1",
    "formula": "p1 * 2",
    "device_id": "sums",
    "term_id": "totals",
    "item_id": "ua",
    "p1": "feeder1:main:ua",
}


async def _virtual(api: Api) -> None:
    await api.post("/api/v1/devices", {"id": "sums", "name": "Sums", "protocol": "formula"})
    await api.post("/api/v1/terms", {"id": "totals", "name": "Totals", "device_id": "sums"})
    await api.post("/api/v1/terms/totals/items", {"item_id": "ua"})


async def test_a_created_device_is_answered_with_its_location_and_defaults(api: Api) -> None:
    answer = await api(
        "POST", "/api/v1/devices", {"id": 7, "name": "RTU", "protocol": "modbus_tcp", "port": "2404"}, status=201
    )
    assert answer.headers["Location"] == "/api/v1/devices/7"
    device = answer.json
    assert device["id"] == "7"
    assert device["port"] == 2404
    assert device["enabled"] is True
    assert device["status"] == "off"
    assert device["link"] == {"state": "no_manager", "since": None, "last_error": None}
    assert await api.get("/api/v1/devices/7") == device


async def test_the_link_of_a_device_is_part_of_its_representation(plant: Api, backend: FakeBackend) -> None:
    backend.status.known["feeder1"] = Link("connected", 1_700_000_000.25)
    device = await plant.get("/api/v1/devices/feeder1")
    assert device["status"] == "on"
    assert device["link"]["since"] == "2023-11-14T22:13:20.250000Z"
    backend.status.known["feeder1"] = Link("backoff", 1_700_000_001.0, "connection refused")
    device = await plant.get("/api/v1/devices/feeder1")
    assert device["status"] == "off"
    assert device["link"]["last_error"] == "connection refused"


async def test_what_was_read_can_be_put_back(plant: Api, backend: FakeBackend) -> None:
    device = await plant.get("/api/v1/devices/feeder1")
    answer = await plant("PUT", "/api/v1/devices/feeder1", device, status=200)
    assert answer.json == device


@pytest.mark.parametrize(
    ("path", "key"),
    [
        ("/api/v1/devices", "feeder1"),
        ("/api/v1/terms", "main"),
        ("/api/v1/items", "ua"),
        ("/api/v1/devices/feeder1/terms", "main"),
        ("/api/v1/terms/main/items", "ua"),
    ],
)
async def test_a_list_has_ids_or_objects(plant: Api, path: str, key: str) -> None:
    assert await plant.get(path) == [key]
    (found,) = await plant.get(f"{path}?expand=true")
    assert key in (found.get("id"), found.get("item_id"))


@pytest.mark.parametrize(
    ("path", "body", "words"),
    [
        (
            "/api/v1/devices",
            {"id": "feeder1", "name": "x", "protocol": "modbus_tcp"},
            "device already exists! feeder1",
        ),
        ("/api/v1/terms", {"id": "main", "name": "x", "device_id": "feeder1"}, "term already exists! main"),
        ("/api/v1/items", {"id": "ua", "name": "x"}, "item already exists! ua"),
        ("/api/v1/terms/main/items", {"item_id": "ua"}, "term_item already exists! main:ua"),
    ],
)
async def test_a_second_object_with_the_same_id_is_a_conflict(
    plant: Api, path: str, body: Any, words: str
) -> None:
    assert (await plant.post(path, body, 409))["detail"] == words


@pytest.mark.parametrize(
    ("path", "words"),
    [
        ("/api/v1/devices/nobody", "device_id not found! nobody"),
        ("/api/v1/devices/nobody/terms", "device_id not found! nobody"),
        ("/api/v2/devices/nobody/status", "device_id not found! nobody"),
        ("/api/v1/terms/nobody", "term_id not found! nobody"),
        ("/api/v1/terms/nobody/items", "term_id not found! nobody"),
        ("/api/v1/items/nobody", "item_id not found! nobody"),
        ("/api/v1/formulas/nobody", "formula_id not found! nobody"),
        ("/api/v1/terms/nobody/items/ua", "term_id not found! nobody"),
        ("/api/v1/terms/main/items/nobody", "item_id not found! nobody"),
        ("/api/v1/terms/main/items/ub", "term_item not found! main:ub"),
        ("/api/v1/devices/a%2Fb", "device_id not found! a/b"),
        ("/api/v1/devices/%2e%2e%2fetc", "device_id not found! ../etc"),
        ("/api/v1/devices/a%0d%0aX-Evil:%201", "device_id not found! a\r\nX-Evil: 1"),
    ],
)
async def test_a_missing_object_is_named(plant: Api, path: str, words: str) -> None:
    await plant.post("/api/v1/items", {"id": "ub", "name": "B-phase voltage"})
    answer = await plant("GET", path, status=404)
    assert answer.json["detail"] == words
    assert "X-Evil" not in answer.headers


async def test_a_parent_without_children_has_an_empty_list(api: Api) -> None:
    await api.post("/api/v1/devices", {"id": "d", "name": "d", "protocol": "modbus_tcp"})
    assert await api.get("/api/v1/devices/d/terms") == []
    assert await api.get("/api/v1/devices/d/terms?expand=true") == []


@pytest.mark.parametrize(
    ("path", "body", "words"),
    [
        ("/api/v1/terms", {"id": "t", "name": "t", "device_id": "nobody"}, "device_id not found! nobody"),
        ("/api/v1/terms/nobody/items", {"item_id": "ua"}, "term_id not found! nobody"),
        ("/api/v1/terms/main/items", {"item_id": "nobody"}, "item_id not found! nobody"),
    ],
)
async def test_an_object_needs_what_it_refers_to(plant: Api, path: str, body: Any, words: str) -> None:
    assert (await plant.post(path, body, 404))["detail"] == words


async def test_put_replaces_the_whole_object(plant: Api) -> None:
    await plant("PATCH", "/api/v1/devices/feeder1", {"description": "old", "port": 1502}, status=200)
    answer = await plant("PUT", "/api/v1/devices/feeder1", {"name": "New", "protocol": "modbus_tcp"}, status=200)
    assert answer.json["name"] == "New"
    assert answer.json["description"] == ""
    assert "port" not in answer.json


@pytest.mark.parametrize("media", ["application/json", "application/merge-patch+json; charset=utf-8"])
async def test_patch_changes_the_named_fields(plant: Api, media: str) -> None:
    path = "/api/v1/terms/main/items/ua"
    answer = await plant("PATCH", path, {"coefficient": "0.1"}, headers={"Content-Type": media}, status=200)
    assert answer.json["coefficient"] == 0.1
    assert answer.json["protocol_code"] == "hr:100"
    answer = await plant("PATCH", path, {"coefficient": None}, headers={"Content-Type": media}, status=200)
    assert answer.json["coefficient"] == 1.0


async def test_merge_patch_is_a_media_type_of_patch_only(plant: Api) -> None:
    answer = await plant(
        "PUT",
        "/api/v1/devices/feeder1",
        {"name": "x", "protocol": "modbus_tcp"},
        headers={"Content-Type": "application/merge-patch+json"},
        status=415,
    )
    assert "application/json" in answer.json["detail"]


async def test_another_id_in_the_body_renames_and_children_follow(plant: Api) -> None:
    device = {"id": "feeder2", "name": "Feeder 2", "protocol": "modbus_tcp"}
    answer = await plant("PUT", "/api/v1/devices/feeder1", device, status=200)
    assert answer.json["id"] == "feeder2"
    assert await plant.get("/api/v1/devices") == ["feeder2"]
    assert (await plant.get("/api/v1/terms/main"))["device_id"] == "feeder2"
    await plant.post("/api/v1/items", {"id": "ub", "name": "B"})
    await plant("PUT", "/api/v1/terms/main/items/ua", {"item_id": "ub", "protocol_code": "hr:1"}, status=200)
    assert await plant.get("/api/v1/terms/main/items") == ["ub"]


async def test_a_rename_to_an_id_that_exists_is_a_conflict(plant: Api) -> None:
    await plant.post("/api/v1/items", {"id": "ub", "name": "B"})
    await plant("PUT", "/api/v1/items/ua", {"id": "ub", "name": "A"}, status=409)


async def test_deleting_counts_everything_that_goes(plant: Api, backend: FakeBackend) -> None:
    dry = await plant("DELETE", "/api/v1/devices/feeder1?dry_run=true", status=200)
    assert dry.json == {"deleted": {"devices": 1, "terms": 1, "term_items": 1}}
    assert await plant.get("/api/v1/devices") == ["feeder1"]
    before = len(backend.entries)
    done = await plant("DELETE", "/api/v1/devices/feeder1", status=200)
    assert done.json == dry.json
    assert await plant.get("/api/v1/devices") == []
    assert await plant.get("/api/v1/terms") == []
    assert len(backend.entries) == before + 1


@pytest.mark.parametrize(
    "path",
    [
        "/api/v1/devices/x",
        "/api/v1/terms/x",
        "/api/v1/items/x",
        "/api/v1/formulas/x",
        "/api/v1/terms/main/items/x",
    ],
)
@pytest.mark.parametrize("method", ["PUT", "PATCH", "DELETE"])
async def test_what_does_not_exist_cannot_be_changed(plant: Api, method: str, path: str) -> None:
    body = {"name": "x", "protocol": "modbus_tcp"} if method != "DELETE" else None
    if body is None:
        await plant(method, path, status=404)
    else:
        await plant(method, path, body, status=404)


async def test_a_formula_is_flat_on_the_wire(plant: Api) -> None:
    await _virtual(plant)
    made = await plant.post("/api/v1/formulas", FORMULA)
    assert made["p1"] == "feeder1:main:ua"
    assert "params" not in made
    assert await plant.get("/api/v1/formulas") == ["f1"]
    answer = await plant(
        "PATCH", "/api/v1/formulas/f1", {"p2": "feeder1:main:ua", "p1": None, "formula": "p2"}, status=200
    )
    assert answer.json["p2"] == "feeder1:main:ua"
    assert "p1" not in answer.json
    bad = await plant("PATCH", "/api/v1/formulas/f1", {"p3": "feeder1:main"}, status=422)
    assert bad.fields == [(0, "p3")]
    await plant("DELETE", "/api/v1/formulas/f1", status=200)


async def test_a_body_that_contradicts_the_path_is_refused(plant: Api) -> None:
    answer = await plant("POST", "/api/v1/terms/main/items", {"term_id": "other", "item_id": "ua"}, status=422)
    assert answer.fields == [(0, "term_id")]


async def test_two_points_on_one_address_are_a_conflict_that_names_the_other(plant: Api) -> None:
    await plant.post("/api/v1/items", {"id": "ub", "name": "B"})
    problem = await plant.post("/api/v1/terms/main/items", {"item_id": "ub", "protocol_code": "4x101"}, 409)
    assert problem["detail"] == "address hr:100 of unit 1 is already used by term item main:ua"


async def test_every_change_leaves_an_audit_entry(plant: Api, backend: FakeBackend) -> None:
    backend.entries.clear()
    await plant("PATCH", "/api/v1/items/ua", {"unit": "kV"}, status=200)
    await plant("DELETE", "/api/v1/items/ua", status=200)
    await plant("PATCH", "/api/v1/items/ua", {"unit": "kV"}, status=404)
    changed, deleted = backend.entries
    assert changed["action"] == "item.merge"
    assert changed["object"] == "ua"
    assert changed["source"] == "127.0.0.1"
    assert (changed["before"]["unit"], changed["after"]["unit"]) == ("V", "kV")
    assert deleted["action"] == "item.delete"
    assert (deleted["before"]["unit"], deleted["after"]) == ("kV", None)
    assert deleted["counts"] == {"items": {"deleted": 1}, "term_items": {"deleted": 1}}


async def test_a_store_that_is_away_is_told(plant: Api, backend: FakeBackend) -> None:
    backend.repository.failure = StoreUnavailable("the store cannot be reached")
    problem = await plant.post("/api/v1/items", {"id": "x", "name": "x"}, 503)
    assert problem["type"] == "/docs#problem-store-unavailable"


async def test_pages_of_a_list(api: Api) -> None:
    await api.post("/api/v2/items", [{"id": f"i{n}", "name": "x"} for n in range(5)], 200)
    answer = await api("GET", "/api/v1/items?limit=2&expand=true", status=200)
    assert [item["id"] for item in answer.json] == ["i0", "i1"]
    assert answer.headers["X-Total-Count"] == "5"
    seen = [item["id"] for item in answer.json]
    while "Link" in answer.headers:
        following = answer.headers["Link"]
        assert following.endswith('>; rel="next"')
        answer = await api("GET", following[1 : following.index(">")], status=200)
        seen += [item["id"] for item in answer.json]
    assert seen == ["i0", "i1", "i2", "i3", "i4"]
    assert await api.get("/api/v1/items?offset=3") == ["i3", "i4"]
    assert await api.get("/api/v1/items?offset=9") == []
    assert await api.get("/api/v1/items?limit=0") == []


async def test_a_long_list_is_complete(api: Api) -> None:
    devices = [{"id": f"d{n:04}", "name": "x", "protocol": "modbus_tcp"} for n in range(450)]
    await api.post("/api/v2/devices", devices, 200)
    found = await api.get("/api/v1/devices?expand=true")
    assert [device["id"] for device in found] == [device["id"] for device in devices]


async def test_the_status_of_a_device(plant: Api, backend: FakeBackend) -> None:
    backend.status.details["feeder1"] = {"manager": "m1", "counters": {"read": 5}}
    status = await plant.get("/api/v2/devices/feeder1/status")
    assert status == {
        "device_id": "feeder1",
        "status": "off",
        "link": {"state": "no_manager", "since": None, "last_error": None},
        "manager": "m1",
        "counters": {"read": 5},
    }
