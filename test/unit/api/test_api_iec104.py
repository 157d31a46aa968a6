"""What the API refuses of IEC 104 before the station is asked, and how it tells what was written."""

from __future__ import annotations

from collections.abc import AsyncIterator
from typing import Any

import pytest

from pydatacoll.api.app import create_app
from pydatacoll.model.validation import Schemas
from pydatacoll.protocols.iec104 import Iec104Driver
from test.api_client import Api, serve
from test.fakes_api import FakeBackend

DEVICE = {"id": "rtu", "name": "RTU", "protocol": "iec104"}
POINTS = {
    "alarm": {"protocol_code": "1", "code_type": "M_SP_TB_1"},
    "single": {"protocol_code": "2", "code_type": "M_SP_TB_1", "writable": True},
    "breaker": {"protocol_code": "3", "code_type": "M_DP_TB_1", "writable": True},
    "tap": {"protocol_code": "4", "code_type": "M_ST_TB_1", "writable": True},
    "normalized": {"protocol_code": "5", "code_type": "C_SE_NA_1", "writable": True},
    "scaled": {"protocol_code": "6", "code_type": "M_ME_TE_1", "writable": True},
    "float": {"protocol_code": "7", "code_type": "M_ME_TF_1", "writable": True, "coefficient": 0.1},
}


@pytest.fixture
def backend() -> FakeBackend:
    return FakeBackend(Schemas({"iec104": Iec104Driver}))


@pytest.fixture
async def plant(backend: FakeBackend) -> AsyncIterator[Api]:
    async with serve(create_app(backend.services)) as api:
        await api.post("/api/v1/devices", DEVICE)
        await api.post("/api/v1/terms", {"id": "bay", "name": "Bay", "device_id": "rtu", "address": 1})
        await api.post("/api/v2/items", [{"id": name, "name": name} for name in POINTS], 200)
        await api.post(
            "/api/v2/term_items", [{"term_id": "bay", "item_id": n, **p} for n, p in POINTS.items()], 200
        )
        yield api


def ctrl(item: str, value: Any, **more: Any) -> dict[str, Any]:
    return {"device_id": "rtu", "term_id": "bay", "item_id": item, "value": value, **more}


@pytest.mark.parametrize(
    ("item", "value"),
    [
        ("single", 2),
        ("breaker", 5),
        ("breaker", 0),
        ("tap", 3),
        ("normalized", 1.5),
        ("normalized", 1),
        ("scaled", 40000),
        ("scaled", 0.5),
        ("float", 1e38),
    ],
)
async def test_a_value_outside_the_type(plant: Api, backend: FakeBackend, item: str, value: float) -> None:
    answer = await plant("POST", "/api/v1/device_ctrl", ctrl(item, value), status=422)
    assert answer.fields == [(0, "value")]
    (element,) = await plant.post("/api/v2/device_ctrl", [ctrl(item, value)], 200)
    assert element["status"] == 422
    assert backend.commands.taken == []


async def test_a_control_on_a_point_that_is_only_monitored(plant: Api, backend: FakeBackend) -> None:
    problem = await plant.post("/api/v1/device_ctrl", ctrl("alarm", True), 409)
    assert "not writable" in problem["detail"]
    assert backend.commands.taken == []


@pytest.mark.parametrize(
    ("item", "value", "told"),
    [
        ("single", "on", True),
        ("single", 0, False),
        ("breaker", "on", 2),
        ("breaker", True, 2),
        ("breaker", "1", 1),
        ("tap", "lower", 1),
        ("normalized", "0.5", 0.5),
        ("scaled", "-7", -7),
        ("float", "23.5", 23.5),
    ],
)
async def test_the_answer_tells_the_value_in_the_type_of_the_point(
    plant: Api, backend: FakeBackend, item: str, value: Any, told: Any
) -> None:
    answer = await plant.post("/api/v1/device_ctrl", ctrl(item, value, mode="select"), 200)
    ((_, request),) = backend.commands.taken
    assert answer["value"] == told
    assert type(answer["value"]) is type(told)
    assert (request.value, request.mode) == (told, "select")


async def test_an_unknown_mode(plant: Api) -> None:
    answer = await plant("POST", "/api/v1/device_ctrl", ctrl("single", True, mode="twice"), status=422)
    assert answer.fields == [(0, "mode")]


@pytest.mark.parametrize(
    ("point", "field"),
    [
        ({"protocol_code": "0"}, "protocol_code"),
        ({"protocol_code": "16777216"}, "protocol_code"),
        ({"protocol_code": "9", "code_type": "99"}, "code_type"),
        ({"protocol_code": "9", "code_type": "C_SC_NA_1"}, "writable"),
        ({"protocol_code": "9", "code_type": "M_IT_NA_1", "writable": True}, "writable"),
    ],
)
async def test_bad_points(plant: Api, point: dict[str, Any], field: str) -> None:
    await plant.post("/api/v1/items", {"id": "new", "name": "new"})
    answer = await plant("POST", "/api/v1/terms/bay/items", {"item_id": "new", **point}, status=422)
    assert answer.fields == [(0, field)]


async def test_an_address_twice(plant: Api) -> None:
    await plant.post("/api/v1/items", {"id": "new", "name": "new"})
    problem = await plant.post("/api/v1/terms/bay/items", {"item_id": "new", "protocol_code": "0003"}, 409)
    assert "breaker" in problem["detail"]


@pytest.mark.parametrize("address", [0, 65535])
async def test_bad_common_addresses(plant: Api, address: int) -> None:
    term = {"id": "other", "name": "Other", "device_id": "rtu", "address": address}
    answer = await plant("POST", "/api/v1/terms", term, status=422)
    assert answer.fields == [(0, "address")]


async def test_bad_devices(plant: Api) -> None:
    wrong = {**DEVICE, "id": "two", "t2": 30, "time_zone": "Nowhere", "tls_key": "a"}
    answer = await plant("POST", "/api/v1/devices", wrong, status=422)
    assert {field for _, field in answer.fields} == {"t2", "time_zone", "tls_key", "tls_certificate"}


async def test_a_device_that_selects_does_not_take_a_bitstring_with_it(plant: Api) -> None:
    await plant.post("/api/v1/items", {"id": "bits", "name": "bits"})
    point = {"item_id": "bits", "protocol_code": "8", "code_type": "C_BO_NA_1", "writable": True}
    await plant.post("/api/v1/terms/bay/items", point)
    answer = await plant("PATCH", "/api/v1/devices/rtu", {"command_mode": "select"}, status=422)
    assert [field for _, field in answer.fields] == ["term_item bay:bits command_mode"]
