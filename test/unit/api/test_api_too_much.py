"""Bodies that are small enough to be taken, but made to keep the server busy or its memory full."""

from __future__ import annotations

import asyncio
from contextlib import suppress
from typing import Any

import pytest
from aiohttp import web

from pydatacoll.api import body, transfer
from pydatacoll.api.app import create_app
from pydatacoll.api.imports import MOST_EXPORTS, Exports, Imports
from pydatacoll.api.problems import ApiProblem
from pydatacoll.bulk import document, read, read_csv
from pydatacoll.errors import Conflict
from test.api_client import Api, serve
from test.fakes_api import FakeBackend
from test.unit.api.conftest import DEVICE

MANY_MEMBERS = b"{" + b",".join(b'"k%d":1' % number for number in range(3000)) + b"}"
BATCHES = [
    "/api/v2/devices",
    "/api/v2/term_items",
    "/api/v2/formulas",
    "/api/v2/devices/del",
    "/api/v2/device_ctrl",
    "/api/v2/devices/feeder1/clone",
]


@pytest.mark.parametrize("path", BATCHES)
@pytest.mark.parametrize(
    ("raw", "what"),
    [(b"[" + b"[[]]," * 30_000 + b"1]", "objects and lists"), (b"[" + b"1," * 500_001 + b"1]", "values")],
)
async def test_too_much_to_decode_is_refused_before(plant: Api, path: str, raw: bytes, what: str) -> None:
    answer = await plant("POST", path, data=raw, status=413)
    assert what in answer.json["detail"]


@pytest.mark.parametrize("path", ["/api/v1/devices", *(path for path in BATCHES if "/del" not in path)])
async def test_an_object_of_thousands_of_members_is_not_looked_into(plant: Api, path: str) -> None:
    answer = await plant("POST", path, data=MANY_MEMBERS)
    problem = answer.json if isinstance(answer.json, dict) else answer.json[0]
    assert problem["status"] == 422
    assert [error["message"] for error in problem["errors"]] == ["has more than 2000 members"]
    assert await plant.get("/api/v1/devices") == ["feeder1"]


async def test_a_formula_may_have_all_the_parameters_there_are(plant: Api) -> None:
    """They are no more than its members may be: what is wrong with each is told."""
    formula = {"id": "f", "formula": "p1", **{f"p{number}": "a" for number in range(1000)}}
    answer = await plant("POST", "/api/v1/formulas", formula, status=422)
    assert len(answer.json["errors"]) > 1000


async def _bring(api: Api, raw: bytes, media: str, query: str = "", status: int = 200) -> Any:
    headers = {"Content-Type": media}
    return (await api("POST", f"/api/v2/import{query}", data=raw, headers=headers, status=status)).json


@pytest.mark.parametrize(
    ("raw", "media"),
    [
        (b'{"devices":[' + b"{}," * 20 + b"{}]}", "application/json"),
        (b'{"devices":[' + b"1," * 20 + b"1]}", "application/json"),
        (b"devices: [" + b"1," * 20 + b"1]", "application/yaml"),
        (b"device_id\n" + b"a\n" * 20, "text/csv"),
    ],
)
async def test_a_document_of_too_many_objects(
    api: Api, raw: bytes, media: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    for module in (document, read, read_csv):
        monkeypatch.setattr(module, "MOST", 10)
    assert "more than 10" in (await _bring(api, raw, media, "?dry_run=true", 413))["detail"]


@pytest.mark.parametrize(
    ("raw", "media", "detail"),
    [
        (MANY_MEMBERS, "application/json", "more than 100 members"),
        (MANY_MEMBERS.replace(b":", b": "), "application/yaml", "more than 100 members"),
        (b",".join(b"c%d" % number for number in range(1001)), "text/csv", "more than 1000 columns"),
        (b"device_id" + b"," * 1000 + b"\na", "text/csv", "more than 1000 columns"),
        (b"device_id,term_id\n" + b"a,b,c\n" * 20_001, "text/csv", "more than 20000 faults"),
    ],
)
async def test_a_document_that_is_no_good_is_given_up(api: Api, raw: bytes, media: str, detail: str) -> None:
    assert detail in (await _bring(api, raw, media, "?dry_run=true", 400))["detail"]


async def test_of_very_many_errors_only_the_number_is_kept(api: Api) -> None:
    raw = b'{"devices":[' + b"{}," * 9_999 + b"{}]}"
    answer = await _bring(api, raw, "application/json", "?dry_run=true")
    assert answer["error_count"] == 30_000
    assert len(answer["errors"]) == 10_000
    refused = await _bring(api, raw, "application/json", status=422)
    assert "(and 29999 more)" in refused["detail"]


def test_few_documents_arrive_at_a_time_and_none_during_an_import() -> None:
    imports = Imports()
    with imports.upload(), imports.upload(), imports.upload():
        with pytest.raises(ApiProblem, match="3 documents") as refused, imports.upload():
            pass
        assert refused.value.kind.status == 429
        assert "Retry-After" in refused.value.headers
    with imports.run("a", "me", dry_run=True), pytest.raises(Conflict, match="import a"), imports.upload():
        pass
    with imports.upload():
        pass


async def test_large_bodies_that_do_not_come_to_an_end_share_a_limit(
    api: Api, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(body, "MOST_ARRIVING", 3_000_000)
    head = b"POST /api/v2/items HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\nContent-Length: "
    connections = [await asyncio.open_connection("127.0.0.1", api.port) for _ in range(4)]
    try:
        for _, writer in connections:
            writer.write(head + b"2000000\r\n\r\n[" + b" " * 1_500_000)
        answers = [asyncio.ensure_future(reader.readline()) for reader, _ in connections]
        done, waiting = await asyncio.wait(answers, return_when=asyncio.FIRST_COMPLETED)
        assert all(b" 429 " in one.result() for one in done)
        assert waiting
        await api.post("/api/v1/items", {"id": "x", "name": "small"})
        for one in waiting:
            one.cancel()
        await asyncio.gather(*waiting, return_exceptions=True)
    finally:
        for _, writer in connections:
            writer.close()


def test_few_exports_at_a_time() -> None:
    exports = Exports()
    running = [exports.run() for _ in range(MOST_EXPORTS)]
    for one in running:
        one.__enter__()
    with pytest.raises(ApiProblem, match="exports are under way"), exports.run():
        pass
    for one in running:
        one.__exit__(None, None, None)
    with exports.run():
        pass


async def test_a_client_that_does_not_take_its_export_loses_it(
    backend: FakeBackend, monkeypatch: pytest.MonkeyPatch
) -> None:
    broken_off = asyncio.Event()
    break_off = transfer._break_off

    def observed(request: web.Request) -> None:
        break_off(request)
        broken_off.set()

    monkeypatch.setattr(transfer, "_DOWNLOAD", 0.2)
    monkeypatch.setattr(transfer, "_break_off", observed)
    async with serve(create_app(backend.services)) as api:
        many = [{**DEVICE, "id": f"d{number}", "description": "x" * 1000} for number in range(10_000)]
        await api("POST", "/api/v2/devices", many, status=200)
        reader, writer = await asyncio.open_connection("127.0.0.1", api.port, limit=1024)
        writer.write(b"GET /api/v2/export HTTP/1.1\r\nHost: localhost\r\n\r\n")
        try:
            await broken_off.wait()
            with suppress(ConnectionResetError):
                assert len(await reader.read()) < 10_000_000
        finally:
            writer.close()
        await api.get("/healthz")
