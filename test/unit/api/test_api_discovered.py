"""Addresses that send and are not configured: as they are, and as a table that can be imported."""

from __future__ import annotations

import csv
import io
from collections.abc import AsyncIterator
from typing import Any

import pytest

from pydatacoll.api.app import create_app
from pydatacoll.model.validation import Schemas
from pydatacoll.protocols.modbus_tcp import ModbusTcpDriver
from test.api_client import Api, serve
from test.fakes_api import FakeBackend
from test.rtu_driver import RtuDriver

PATH = "/api/v2/devices/rtu1/discovered"
CSV = {"Accept": "text/csv"}


def row(address: int, code: int, code_type: str = "M_ME_TF_1", **more: Any) -> dict[str, Any]:
    return {
        "address": address,
        "protocol_code": str(code),
        "code_type": code_type,
        "value": 230.5,
        "quality": "good",
        "time": "2026-11-21T09:00:00.000000Z",
        "cause": "spontaneous",
        "count": 3,
        "note": "",
        **more,
    }


@pytest.fixture
def backend() -> FakeBackend:
    return FakeBackend(Schemas({"rtu": RtuDriver, "modbus_tcp": ModbusTcpDriver}))


@pytest.fixture
async def api(backend: FakeBackend) -> AsyncIterator[Api]:
    async with serve(create_app(backend.services)) as running:
        await running.post("/api/v1/devices", {"id": "rtu1", "name": "RTU", "protocol": "rtu"})
        await running.post("/api/v1/devices", {"id": "off", "name": "d", "protocol": "rtu", "enabled": False})
        await running.post("/api/v1/terms", {"id": "bay", "name": "Bay 1", "device_id": "rtu1", "address": 1})
        await running.post("/api/v1/items", {"id": "ua", "name": "Voltage"})
        point = {"item_id": "ua", "protocol_code": "0100", "code_type": "M_ME_NC_1"}
        await running.post("/api/v1/terms/bay/items", point)
        yield running


def table(raw: bytes) -> list[dict[str, str]]:
    return list(csv.DictReader(io.StringIO(raw.decode(), newline="")))


async def test_they_are_listed_with_the_term_that_has_their_address(api: Api, backend: FakeBackend) -> None:
    backend.commands.body = {
        "discovered": [row(1, 4001), row(7, 4001, value=True), row(7, 5000, quality=["invalid"])]
    }
    listed = await api.get(PATH)
    assert [(one["term_id"], one["address"], one["protocol_code"]) for one in listed] == [
        ("bay", 1, "4001"),
        (None, 7, "4001"),
        (None, 7, "5000"),
    ]
    assert backend.commands.asked == [("discovered", "rtu1", {})]
    assert len(await api.get(f"{PATH}?limit=2")) == 2


async def test_nothing_is_asked_of_what_does_not_run(api: Api, backend: FakeBackend) -> None:
    await api.get("/api/v2/devices/nobody/discovered", 404)
    await api.get("/api/v2/devices/off/discovered", 409)
    await api("GET", PATH, headers={"Accept": "image/png"}, status=406)
    await api("GET", PATH, headers={"Accept": "application/yaml"}, status=406)
    await api.get(f"{PATH}?format=yaml", 422)
    assert backend.commands.asked == []


async def test_the_table_names_what_exists_and_describes_what_does_not(api: Api, backend: FakeBackend) -> None:
    backend.commands.body = {"discovered": [row(1, 4001), row(7, 4001), row(7, 4002, "M_SP_NA_1")]}
    answer = await api("GET", PATH, headers=CSV, status=200)
    assert answer.headers["Content-Disposition"] == 'attachment; filename="rtu1.csv"'
    keys = (
        "device_id",
        "term_id",
        "term_name",
        "term_address",
        "item_id",
        "item_name",
        "protocol_code",
        "code_type",
    )
    assert [tuple(one[key] for key in keys) for one in table(answer.raw)] == [
        ("rtu1", "bay", "", "", "m_me_4001", "M_ME 4001", "4001", "M_ME_TF_1"),
        ("rtu1", "rtu1.7", "7", "7", "m_me_4001", "M_ME 4001", "4001", "M_ME_TF_1"),
        ("rtu1", "rtu1.7", "7", "7", "m_sp_4002", "M_SP 4002", "4002", "M_SP_NA_1"),
    ]
    assert (await api("GET", f"{PATH}?format=csv", status=200)).raw == answer.raw


async def test_the_table_can_be_imported_and_then_is_empty(api: Api, backend: FakeBackend) -> None:
    rows = [row(ca, code) for ca in (1, 7) for code in range(4000, 4200)]
    backend.commands.body = {"discovered": rows}
    exported = (await api("GET", PATH, headers=CSV)).raw
    answer = await api("POST", "/api/v2/import", data=exported, headers={"Content-Type": "text/csv"}, status=200)
    assert answer.json["errors"] == []
    registry = backend.repository.registry
    assert len(registry.term_items) == 401
    assert registry.terms["bay"].name == "Bay 1"
    assert (registry.terms["rtu1.7"].device_id, getattr(registry.terms["rtu1.7"], "address", 0)) == ("rtu1", 7)
    assert registry.term_items["rtu1.7", "m_me_4199"].protocol_code == "4199"
    assert table((await api("GET", PATH, headers=CSV)).raw) == []


@pytest.mark.parametrize(
    "bad",
    [
        row(1, 100),  # the point is there, spelt 0100
        row(1, 0),
        row(1, 16_777_216),
        row(0, 5),
        row(65_535, 5),
    ],
)
async def test_what_the_import_would_refuse_is_left_out(api: Api, backend: FakeBackend, bad: Any) -> None:
    backend.commands.body = {"discovered": [bad, row(1, 9), row(1, 9, "M_ME_NC_1")]}
    exported = (await api("GET", PATH, headers=CSV)).raw
    assert [one["protocol_code"] for one in table(exported)] == ["9"]
    await api("POST", "/api/v2/import", data=exported, headers={"Content-Type": "text/csv"}, status=200)


async def test_names_do_not_depend_on_whether_an_event_came_before(api: Api, backend: FakeBackend) -> None:
    names = set()
    for code_type in ("M_SP_NA_1", "M_SP_TA_1", "M_SP_TB_1"):
        backend.commands.body = {"discovered": [row(1, 5, code_type)]}
        (one,) = table((await api("GET", PATH, headers=CSV)).raw)
        assert one["code_type"] == code_type
        names.add((one["item_id"], one["item_name"]))
    assert names == {("m_sp_5", "M_SP 5")}


async def test_ids_that_are_taken_are_not_taken_again(api: Api, backend: FakeBackend) -> None:
    await api.post("/api/v1/devices", {"id": "plc", "name": "P", "protocol": "modbus_tcp"})
    await api.post("/api/v1/terms", {"id": "rtu1.7", "name": "another's", "device_id": "plc"})
    await api.post("/api/v1/items", {"id": "m_me_4001", "name": "Mine"})
    point = {"item_id": "m_me_4001", "protocol_code": "77", "code_type": "M_ME_TF_1"}
    await api.post("/api/v1/terms/bay/items", point)
    backend.commands.body = {"discovered": [row(1, 4001), row(7, 4001)]}
    exported = (await api("GET", PATH, headers=CSV)).raw
    assert [(one["term_id"], one["item_id"], one["item_name"]) for one in table(exported)] == [
        ("bay", "m_me_4001_2", "M_ME 4001"),
        ("rtu1.7_2", "m_me_4001", ""),
    ]
    await api("POST", "/api/v2/import", data=exported, headers={"Content-Type": "text/csv"}, status=200)
    registry = backend.repository.registry
    assert registry.term_items["bay", "m_me_4001"].protocol_code == "77"
    assert registry.items["m_me_4001"].name == "Mine"
    assert registry.terms["rtu1.7"].name == "another's"


async def test_a_long_id_leaves_room_for_the_address(api: Api, backend: FakeBackend) -> None:
    await api.post("/api/v1/devices", {"id": "r" * 64, "name": "RTU", "protocol": "rtu"})
    backend.commands.body = {"discovered": [row(65_534, 1)]}
    exported = (await api("GET", f"/api/v2/devices/{'r' * 64}/discovered", headers=CSV)).raw
    assert table(exported)[0]["term_id"] == "r" * 58 + ".65534"
    await api("POST", "/api/v2/import", data=exported, headers={"Content-Type": "text/csv"}, status=200)
