"""The REST API on the real model, history, status and command client, in a real store; no manager runs."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import suppress
from typing import Any

import pytest

from pydatacoll.api.app import create_app
from pydatacoll.api.services import Services
from pydatacoll.model import PointId, Sample
from pydatacoll.model.validation import Schemas
from pydatacoll.protocols.formula import FormulaDriver
from pydatacoll.protocols.modbus_tcp import ModbusTcpDriver
from pydatacoll.settings import Settings
from pydatacoll.store import keys
from pydatacoll.store.alarms import Alarms
from pydatacoll.store.audit import Audit
from pydatacoll.store.client import Store
from pydatacoll.store.commands import CommandClient
from pydatacoll.store.history import History
from pydatacoll.store.ingest import Writer
from pydatacoll.store.packets import Account, Packet
from pydatacoll.store.repository import Repository
from pydatacoll.store.status import StatusReader
from test.api_client import Api, serve

SCHEMAS = Schemas({"modbus_tcp": ModbusTcpDriver, "formula": FormulaDriver})


async def _ready() -> list[str]:
    return []


@pytest.fixture
async def api(store: Store) -> AsyncIterator[Api]:
    """A client of the application over the store."""
    repository = Repository(store, SCHEMAS)
    await repository.start()
    commands = CommandClient(store)
    listening = asyncio.create_task(commands.run())
    services = Services(
        settings=Settings(),
        schemas=SCHEMAS,
        repository=repository,
        history=History(store),
        status=StatusReader(store),
        commands=commands,
        alarms=Alarms(store),
        readiness=_ready,
        metrics=lambda: b"",
        audit=Audit(store),
    )
    try:
        async with serve(create_app(services)) as running:
            yield running
    finally:
        listening.cancel()
        with suppress(asyncio.CancelledError):
            await listening
        await repository.stop()


async def _plant(api: Api) -> None:
    await api.post("/api/v1/devices", {"id": "d", "name": "D", "protocol": "modbus_tcp"})
    await api.post("/api/v1/terms", {"id": "t", "name": "T", "device_id": "d"})
    await api.post("/api/v1/items", {"id": "i", "name": "I"})
    await api.post("/api/v1/terms/t/items", {"item_id": "i", "protocol_code": "hr:1", "writable": True})


async def _put(store: Store, point: PointId, samples: list[Sample]) -> None:
    writer = Writer(store, "w")
    running = asyncio.create_task(writer.run())
    partition = keys.partition_of(point.device_id, store.partitions)
    fields = [f"{point.term_id}:{point.item_id}"] * len(samples)
    times, values, qualities = map(list, zip(*samples, strict=True))
    writer.put(Packet(partition, point.device_id, Account(), fields, values, times, qualities, 100))
    await writer.flush()
    running.cancel()
    with suppress(asyncio.CancelledError):
        await running


async def test_of_many_clients_that_create_one_device_one_succeeds(api: Api) -> None:
    device = {"id": "d", "name": "D", "protocol": "modbus_tcp"}
    answers = await asyncio.gather(*(api("POST", "/api/v1/devices", device) for _ in range(10)))
    assert sorted(answer.status for answer in answers) == [201] + [409] * 9


async def test_a_rename_racing_a_delete_leaves_no_orphan(api: Api) -> None:
    renamed = {"id": "e", "name": "E", "protocol": "modbus_tcp"}
    for _ in range(10):
        await _plant(api)
        put, gone = await asyncio.gather(
            api("PUT", "/api/v1/devices/d", renamed), api("DELETE", "/api/v1/devices/d")
        )
        assert {put.status, gone.status} == {200, 404}
        devices = await api.get("/api/v1/devices")
        terms = await api.get("/api/v1/terms?expand=true")
        assert devices == (["e"] if put.status == 200 else [])
        assert [term["device_id"] for term in terms] == devices
        for device_id in devices:
            await api("DELETE", f"/api/v1/devices/{device_id}", status=200)
        await api("DELETE", "/api/v1/items/i", status=200)


async def test_ten_thousand_objects_in_one_request_and_back(api: Api) -> None:
    devices = [{"id": f"d{n:05}", "name": "D", "protocol": "modbus_tcp"} for n in range(10_000)]
    assert (await api.post("/api/v2/devices", devices, 200))["created"] == 10_000
    order: list[Any] = []

    async def everything() -> None:
        async with api.session.get(f"{api.url}/api/v1/devices?expand=true") as response:
            found = await response.json()
        assert len(found) == 10_000
        order.append("everything")

    async def one() -> None:
        await asyncio.sleep(0)  # the long list is asked for first
        await api("GET", "/healthz", status=200)
        order.append("one")

    await asyncio.gather(everything(), one())
    assert order == ["one", "everything"]
    gone = await api.post("/api/v2/devices/del", [device["id"] for device in devices], 200)
    assert gone == {"deleted": {"devices": 10_000}}


async def test_commands_without_a_manager_fail_at_once(api: Api) -> None:
    await _plant(api)
    body = {"device_id": "d", "term_id": "t", "item_id": "i"}
    problem = await api.post("/api/v1/device_call", body, 503)
    assert problem["type"] == "/docs#problem-no-manager"
    batch = await api.post("/api/v2/device_ctrl", [{**body, "value": n} for n in range(3)], 200)
    assert [element["status"] for element in batch] == [503, 503, 503]


async def test_points_without_data(api: Api) -> None:
    await _plant(api)
    datas = "devices/d/terms/t/items/i/datas"
    assert await api.get(f"/api/v1/{datas}") == {}
    assert await api.get(f"/api/v2/{datas}?limit=5") == []
    assert await api.get("/api/v2/values") == []
    await api("GET", f"/api/v1/{datas}/0", status=404)
    status = await api.get("/api/v2/devices/d/status")
    assert status["link"]["state"] == "no_manager"


async def test_changes_and_controls_are_in_the_audit_trail(api: Api, store: Store) -> None:
    await _plant(api)
    await api("PATCH", "/api/v1/items/i", {"unit": "V"}, status=200)
    await api.post("/api/v2/items", [{"id": "i", "name": "J", "unit": "V"}, {"id": "k", "name": "K"}], 200)
    point = {"device_id": "d", "term_id": "t", "item_id": "i"}
    await api.post("/api/v1/device_ctrl", {**point, "value": 1}, 503)
    path = "/api/v2/audit?limit=3"
    pages = []
    while path:
        answer = await api("GET", path, status=200)
        pages.append(answer.json)
        path = answer.headers.get("Link", "").partition(">")[0].removeprefix("<")
    actions = [entry["action"] for page in pages for entry in page]
    assert actions == [
        "ctrl",
        "item.batch",
        "item.merge",
        "term_item.create",
        "item.create",
        "term.create",
        "device.create",
    ]
    control, batch, merged = pages[0]
    assert (control["object"], control["after"], control["result"][:3]) == ("d:t:i", 1, "503")
    assert batch["counts"] == {"items": {"changed": 1, "created": 1}}
    assert batch["changes"][0] == {"kind": "item", "key": "i", "before": {"name": "I"}, "after": {"name": "J"}}
    assert (merged["before"].get("unit", ""), merged["after"]["unit"]) == ("", "V")
    only = await api.get("/api/v2/audit?device_id=d&action=*.create")
    assert [entry["action"] for entry in only] == ["term_item.create", "term.create", "device.create"]


async def test_a_store_that_is_full_refuses_changes_and_controls(api: Api, store: Store) -> None:
    await _plant(api)
    point = {"device_id": "d", "term_id": "t", "item_id": "i", "value": 1}
    await store.redis.config_set("maxmemory", 1)
    try:
        for method, path, body in (
            ("POST", "/api/v1/items", {"id": "x", "name": "X"}),
            ("DELETE", "/api/v1/devices/d", None),
            ("POST", "/api/v1/device_ctrl", point),
        ):
            problem = await api(method, path, *([] if body is None else [body]), status=503)
            assert problem.json["type"] == "/docs#problem-store-refused"
    finally:
        await store.redis.config_set("maxmemory", 0)
    assert await api.get("/api/v1/items") == ["i"]
    assert await api.get("/api/v1/devices") == ["d"]


async def test_recent_data_follows_a_renamed_device(api: Api, store: Store) -> None:
    await _plant(api)
    await _put(store, PointId("d", "t", "i"), [Sample(1.0, 1), Sample(2.0, 2.5)])
    await api("PATCH", "/api/v1/devices/d", {"id": "e"}, status=200)
    values = await api.get("/api/v2/values")
    assert [(value["device_id"], value["value"]) for value in values] == [("e", 2.5)]
    datas = await api.get("/api/v1/devices/e/terms/t/items/i/datas")
    assert list(datas.values()) == [1, 2.5]
