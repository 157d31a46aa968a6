"""Batches: all or nothing, every bad element named by its index."""

from __future__ import annotations

from typing import Any

import pytest

from test.api_client import Api
from test.fakes_api import FakeBackend

DEVICES = [{"id": f"d{n}", "name": f"D {n}", "protocol": "modbus_tcp"} for n in range(3)]


async def test_a_batch_creates_and_replaces(api: Api, backend: FakeBackend) -> None:
    assert await api.post("/api/v2/devices", DEVICES, 200) == {"created": 3, "updated": 0, "unchanged": 0}
    changed = [DEVICES[0], {**DEVICES[1], "port": 1502}, {"id": "d9", "name": "x", "protocol": "formula"}]
    assert await api.post("/api/v2/devices", changed, 200) == {"created": 1, "updated": 1, "unchanged": 1}
    assert await api.get("/api/v1/devices") == ["d0", "d1", "d2", "d9"]
    assert [entry["action"] for entry in backend.entries] == ["device.batch", "device.batch"]
    assert backend.entries[1]["counts"] == {"devices": {"created": 1, "changed": 1}}


async def test_one_object_is_a_batch_of_one(api: Api) -> None:
    assert (await api.post("/api/v2/items", {"id": "x", "name": "x"}, 200))["created"] == 1
    assert await api.post("/api/v2/items", [], 200) == {"created": 0, "updated": 0, "unchanged": 0}


async def test_a_dry_run_only_counts(api: Api, backend: FakeBackend) -> None:
    assert (await api.post("/api/v2/devices?dry_run=true", DEVICES, 200))["created"] == 3
    assert await api.get("/api/v1/devices") == []
    assert backend.entries == []


async def test_every_bad_element_is_named_and_nothing_changes(api: Api, backend: FakeBackend) -> None:
    batch: list[Any] = [DEVICES[0], {"id": "a b", "name": "x", "protocol": "modbus_tcp"}, 5, DEVICES[1]]
    batch += [{"id": "d7", "protocol": "modbus_tcp", "port": "x"}, DEVICES[0]]
    answer = await api("POST", "/api/v2/devices", batch, status=422)
    assert answer.fields == [(1, "id"), (2, "device"), (4, "name"), (4, "port"), (5, "id")]
    assert await api.get("/api/v1/devices") == []
    assert backend.entries == []


async def test_points_in_a_batch_on_one_address(plant: Api) -> None:
    await plant.post("/api/v2/items", [{"id": name, "name": name} for name in ("ub", "uc")], 200)
    batch = [
        {"term_id": "main", "item_id": "ub", "protocol_code": "hr:7"},
        {"term_id": "main", "item_id": "uc", "protocol_code": "4x8"},
    ]
    answer = await plant("POST", "/api/v2/term_items", batch, status=422)
    assert 1 in [index for index, _ in answer.fields]
    assert await plant.get("/api/v1/terms/main/items") == ["ua"]


@pytest.mark.parametrize(
    ("path", "keys", "deleted"),
    [
        ("devices", ["feeder1"], {"devices": 1, "terms": 1, "term_items": 1}),
        ("terms", ["main"], {"terms": 1, "term_items": 1}),
        ("items", ["ua"], {"items": 1, "term_items": 1}),
        ("term_items", [{"term_id": "main", "item_id": "ua"}], {"term_items": 1}),
    ],
)
async def test_deleting_a_list(plant: Api, path: str, keys: list[Any], deleted: dict[str, int]) -> None:
    assert await plant.post(f"/api/v2/{path}/del?dry_run=true", keys, 200) == {"deleted": deleted}
    assert await plant.post(f"/api/v2/{path}/del", keys, 200) == {"deleted": deleted}
    answer = await plant("POST", f"/api/v2/{path}/del", keys, status=422)
    assert answer.fields[0][0] == 0


async def test_deleting_a_list_is_all_or_nothing(plant: Api) -> None:
    answer = await plant("POST", "/api/v2/items/del", ["ua", "nobody", 5], status=422)
    assert [index for index, _ in answer.fields] == [1, 2]
    assert await plant.get("/api/v1/items") == ["ua"]
    await plant("POST", "/api/v2/items/del", {"id": "ua"}, status=422)


async def test_formulas_in_batches(plant: Api) -> None:
    await plant.post("/api/v1/devices", {"id": "sums", "name": "x", "protocol": "formula"})
    await plant.post("/api/v1/terms", {"id": "totals", "name": "x", "device_id": "sums"})
    await plant.post("/api/v1/terms/totals/items", {"item_id": "ua"})
    formula = {"id": "f", "formula": "p1", "device_id": "sums", "term_id": "totals", "item_id": "ua"}
    assert (await plant.post("/api/v2/formulas", [{**formula, "p1": "feeder1:main:ua"}], 200))["created"] == 1
    assert await plant.post("/api/v2/formulas/del", ["f"], 200) == {"deleted": {"formulas": 1}}
