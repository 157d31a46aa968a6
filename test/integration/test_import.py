"""Documents brought into a real store: all or nothing, audited, and nobody sees half of one."""

from __future__ import annotations

import asyncio
import io
from collections.abc import AsyncIterator
from contextlib import suppress
from typing import Any

import pytest

from pydatacoll.api.app import create_app
from pydatacoll.api.services import Services
from pydatacoll.model.validation import Schemas
from pydatacoll.protocols.formula import FormulaDriver
from pydatacoll.protocols.modbus_tcp import ModbusTcpDriver
from pydatacoll.settings import Settings
from pydatacoll.store.alarms import Alarms
from pydatacoll.store.audit import Audit
from pydatacoll.store.client import Store
from pydatacoll.store.commands import CommandClient
from pydatacoll.store.history import History
from pydatacoll.store.repository import Repository
from pydatacoll.store.status import StatusReader
from test.api_client import Answer, Api, serve

SCHEMAS = Schemas({"modbus_tcp": ModbusTcpDriver, "formula": FormulaDriver})
DEVICES, POINTS = 20, 100
OBJECTS = DEVICES * (POINTS + 2) + POINTS


async def _ready() -> list[str]:
    return []


@pytest.fixture
async def repository(store: Store) -> AsyncIterator[Repository]:
    made = Repository(store, SCHEMAS)
    await made.start()
    try:
        yield made
    finally:
        await made.stop()


@pytest.fixture
async def api(store: Store, repository: Repository) -> AsyncIterator[Api]:
    """A client of the application over the store."""
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


def table(unit: str = "V") -> bytes:
    rows = ["device_id,device_name,protocol,term_id,term_name,item_id,item_name,unit,protocol_code,code_type"]
    rows += [
        f"d{device},Device,modbus_tcp,d{device}.main,Main,i{point},Item,{unit},hr:{point * 2},float32"
        for device in range(DEVICES)
        for point in range(POINTS)
    ]
    return "\r\n".join(rows).encode()


async def bring(api: Api, raw: bytes, query: str = "", status: int = 200, **headers: str) -> Answer:
    sent = {"Content-Type": "text/csv", **headers}
    return await api("POST", f"/api/v2/import{query}", data=io.BytesIO(raw), headers=sent, status=status)


async def test_a_table_is_in_the_store_wholly_and_audited(api: Api, store: Store) -> None:
    assert (await bring(api, table(), "?dry_run=true")).json["add"] == OBJECTS
    assert await api.get("/api/v1/devices") == []
    assert await api.get("/api/v2/audit") == []
    assert (await bring(api, table())).json["add"] == OBJECTS
    assert (await bring(api, table())).json["unchanged"] == OBJECTS
    other = Repository(store, SCHEMAS)
    await other.start()
    try:
        assert len(other.registry.term_items) == DEVICES * POINTS
    finally:
        await other.stop()
    entries = await api.get("/api/v2/audit?action=import")
    assert len(entries) == -(-OBJECTS // 500)
    exported = (await api("GET", "/api/v2/export?format=csv", status=200)).raw
    await bring(api, b"device_id\r\n", "?mode=replace")
    assert await api.get("/api/v1/devices") == []
    await bring(api, exported, "?mode=replace")
    assert (await api("GET", "/api/v2/export?format=csv", status=200)).raw == exported


async def test_one_bad_row_keeps_all_others_out(api: Api, store: Store) -> None:
    answer = await bring(api, table() + b"\r\nd0,Device,modbus_tcp,d0.main,Main,bad,Item,V,100,", status=422)
    assert [(error["row"], error["column"]) for error in answer.json["errors"]] == [
        (DEVICES * POINTS + 2, "protocol_code")
    ]
    assert await api.get("/api/v1/devices") == []
    assert await api.get("/api/v2/audit") == []


async def test_readers_see_the_model_before_or_after_and_a_second_import_waits_outside(
    api: Api, repository: Repository
) -> None:
    await bring(api, table())
    seen: set[tuple[str, ...]] = set()
    refused: list[int] = []
    done = asyncio.Event()

    async def watch() -> None:
        while not done.is_set():
            units = tuple(sorted({item.unit for item in repository.registry.items.values()}))
            seen.add(units)
            listed: list[dict[str, Any]] = await api.get("/api/v2/imports")
            if listed[0]["id"] == "second" and listed[0]["state"] in ("parsing", "checking") and not refused:
                refused.append((await api("POST", "/api/v2/import", {}, status=409)).status)

    watching = asyncio.create_task(watch())
    await bring(api, table("kV"), **{"X-Import-Id": "second"})
    done.set()
    await watching
    assert seen <= {("V",), ("kV",)}
    assert refused == [409]
    assert {item.unit for item in repository.registry.items.values()} == {"kV"}


async def test_three_hundred_copies_in_one_call(api: Api) -> None:
    await bring(api, b"\r\n".join(table().splitlines()[: POINTS + 1]))
    copies = [{"id": f"copy{n}", "ip": f"10.0.{n // 250}.{n % 250 + 1}"} for n in range(300)]
    created = await api.post("/api/v2/devices/d0/clone", copies, 200)
    assert created == {"created": {"devices": 300, "terms": 300, "term_items": 300 * POINTS}}
    assert len(await api.get("/api/v1/terms/copy299.main/items")) == POINTS
    await api("POST", "/api/v2/devices/d0/clone", [{"id": "new"}, copies[7]], status=409)
    await api("GET", "/api/v1/devices/new", status=404)
