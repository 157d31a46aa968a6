"""The OpenAPI document: valid, complete, stable, and what the explorer shows."""

from __future__ import annotations

import re
from typing import Any

import pytest
from aiohttp import web
from openapi_spec_validator import OpenAPIV31SpecValidator

from pydatacoll.api.app import create_app
from pydatacoll.codec import json
from pydatacoll.model import Device
from pydatacoll.protocols.modbus_tcp import ModbusTcpDriver
from test.api_client import Api, serve
from test.fakes_api import FakeBackend

FORMULA = {"id": "f", "formula": "p1", "device_id": "d", "term_id": "t", "item_id": "i"}
OPERATION_IDS = """
index list_devices create_device get_device replace_device update_device delete_device get_device_status
get_device_frames list_discovered probe_device
list_terms create_term get_term replace_term update_term delete_term list_device_terms
list_items create_item get_item replace_item update_item delete_item
list_term_items create_term_item get_term_item replace_term_item update_term_item delete_term_item
list_formulas create_formula get_formula replace_formula update_formula delete_formula formula_check sql_check
get_datas get_data_at list_datas list_points list_values get_history device_call device_ctrl
interrogate_device device_calls device_ctrls device_select cancel_selection
batch_devices batch_delete_devices batch_terms batch_delete_terms batch_items batch_delete_items
batch_term_items batch_delete_term_items batch_formulas batch_delete_formulas
export_model import_model list_imports clone_device
list_device_protocols list_term_protocols list_redis_keys whoami healthz readyz metrics get_diagnosis
list_alarms list_alarm_history ack_alarm shelve_alarm unshelve_alarm
live events overview list_log
list_audit list_plugins forget_plugin
openapi docs explorer_js explorer_css
"""
"""Clients are generated from these: adding is fine, changing is not."""


def _operations(document: dict[str, Any]) -> list[tuple[str, str, dict[str, Any]]]:
    return [
        (method.upper(), path, operation)
        for path, item in document["paths"].items()
        for method, operation in item.items()
    ]


async def test_the_document_is_valid(api: Api) -> None:
    OpenAPIV31SpecValidator(api.conformance.document).validate()


async def test_every_route_is_in_the_document(api: Api, backend: FakeBackend) -> None:
    served = set()
    for route in create_app(backend.services).router.routes():
        info = route.resource.get_info() if route.resource is not None else {}
        if route.method != "HEAD":
            served.add((route.method, info.get("formatter") or info["path"]))
    documented = {(method, path) for method, path, _ in _operations(dict(api.conformance.document))}
    assert served == documented


async def test_operation_ids_are_stable(api: Api) -> None:
    ids = [operation["operationId"] for _, _, operation in _operations(dict(api.conformance.document))]
    assert len(ids) == len(set(ids))
    assert set(ids) == set(OPERATION_IDS.split())


async def test_every_operation_is_described(api: Api) -> None:
    document = dict(api.conformance.document)
    tags = {tag["name"] for tag in document["tags"]}
    for method, path, operation in _operations(document):
        assert operation["summary"], path
        assert set(operation["tags"]) <= tags
        assert "default" in operation["responses"]
        names = [p["name"] for p in operation.get("parameters", []) if p["in"] == "path"]
        assert names == re.findall(r"{(\w+)}", path)
        if method in ("POST", "PUT", "PATCH"):
            assert {"400", "408", "413", "415", "422"} <= set(operation["responses"])
        for parameter in operation.get("parameters", []):
            assert parameter["description"], f"{path} {parameter['name']}"


async def test_patterns_are_ecma_script(api: Api) -> None:
    text = json.encode(api.conformance.document).decode()
    assert r"\\Z" not in text
    assert api.conformance.document["components"]["schemas"]["Item"]["properties"]["id"]["pattern"].endswith("$")


async def test_references_lead_somewhere(api: Api) -> None:
    document = api.conformance.document
    pending: list[Any] = [document]
    while pending:
        part = pending.pop()
        if isinstance(part, dict):
            if "$ref" in part:
                at: Any = document
                for key in part["$ref"].removeprefix("#/").split("/"):
                    at = at[key]
            pending.extend(part.values())
        elif isinstance(part, list):
            pending.extend(part)


@pytest.mark.parametrize(
    ("name", "value", "fits"),
    [
        ("DeviceInput", {"id": "d", "name": "d", "protocol": "modbus_tcp", "max_gap": 5}, True),
        ("DeviceInput", {"id": "d", "name": "d", "protocol": "formula"}, True),
        ("DeviceInput", {"id": "d", "name": "d", "protocol": "formula", "max_gap": 5}, False),
        ("DeviceInput", {"id": "d", "name": "d", "protocol": "other"}, False),
        ("DeviceInput", {"id": "d d", "name": "d", "protocol": "formula"}, False),
        ("TermInput", {"id": "t", "name": "t", "device_id": "d", "address": 65534}, True),
        ("TermInput", {"id": "t", "name": "t"}, False),
        ("TermItemInput", {"term_id": "t", "item_id": "i", "code_type": "float32", "bit": 3}, True),
        ("TermItemInput", {"term_id": "t", "item_id": "i", "colour": 3}, False),
        ("FormulaInput", {**FORMULA, "p1": "d:t:i"}, True),
        ("FormulaInput", {**FORMULA, "params": {}}, False),
    ],
)
async def test_schemas_say_what_is_accepted(api: Api, name: str, value: Any, fits: bool) -> None:
    errors = api.conformance.schema_errors({"$ref": f"#/components/schemas/{name}"}, value)
    assert (errors == []) is fits, errors


async def test_a_device_whose_driver_is_gone_is_shown_but_takes_no_commands(
    plant: Api, backend: FakeBackend
) -> None:
    backend.repository.registry.put_device(Device(id="feeder1", name="x", protocol="gone"))
    assert (await plant.get("/api/v1/devices/feeder1"))["protocol"] == "gone"
    body = {"device_id": "feeder1", "term_id": "main", "item_id": "ua"}
    assert "driver is not installed" in (await plant.post("/api/v1/device_call", body, 409))["detail"]


async def test_two_drivers_may_have_types_of_one_name(backend: FakeBackend) -> None:
    class Other(ModbusTcpDriver):
        name = "other_tcp"

    backend.schemas.protocols["other_tcp"] = Other
    async with serve(create_app(backend.services)) as api:
        OpenAPIV31SpecValidator(api.conformance.document).validate()
        await api.post("/api/v1/devices", {"id": "x", "name": "x", "protocol": "other_tcp"})


async def test_the_document_is_sent_once(api: Api) -> None:
    first = await api("GET", "/openapi.json", status=200)
    again = await api("GET", "/openapi.json", headers={"If-None-Match": first.headers["ETag"]}, status=304)
    assert again.raw == b""


async def test_the_explorer_asks_no_other_host(api: Api) -> None:
    page = await api("GET", "/docs", status=200)
    policy = page.headers["Content-Security-Policy"]
    assert "default-src 'none'" in policy
    assert "unsafe" not in policy
    texts = [page.raw.decode()]
    for path in re.findall(r'(?:src|href)="(/docs/[^"]+)"', texts[0]):
        asset = await api("GET", path, status=200)
        assert asset.headers["Content-Type"].startswith(("text/javascript", "text/css"))
        texts.append(asset.raw.decode())
    assert len(texts) == 3
    for text in texts:
        assert not re.search(r"https?://|//cdn|@import|innerHTML|eval\(", text)
    assert not re.search(r"<script>|style=|onclick=", texts[0])
    kinds = set(re.findall(r'id="problem-([a-z-]+)"', texts[0]))
    assert {"not-found", "malformed-json", "device-offline", "no-manager"} <= kinds


async def test_the_list_of_routes(api: Api) -> None:
    answer = await api("GET", "/", status=200)
    lines = answer.raw.decode().splitlines()
    assert lines[0] == "PyDataColl is running, available API:"
    assert f"method: GET      URL: {api.url}/api/v1/devices" in lines
    assert f"method: DELETE   URL: {api.url}/api/v1/terms/{{term_id}}/items/{{item_id}}" in lines
    page = await api("GET", "/", headers={"Accept": "text/html,*/*"}, status=200)
    assert page.headers["Content-Type"] == "text/html; charset=utf-8"
    assert '<a href="/api/v1/devices">' in page.raw.decode()


async def test_the_list_of_routes_names_the_host_that_was_asked(api: Api) -> None:
    await api("GET", "/", headers={"Host": "<script>alert(1)</script>"}, status=421)
    answer = await api("GET", "/", headers={"Host": "plant.localhost:8080"}, status=200)
    assert b"http://plant.localhost:8080/api/v1/items" in answer.raw


async def test_protocols_and_keys(api: Api) -> None:
    assert list(await api.get("/api/v1/device_protocols")) == ["formula", "iec104", "modbus_tcp"]
    assert "dlt645" in await api.get("/api/v1/term_protocols")
    keys = await api.get("/api/v1/redis_key")
    assert {"SET:DEVICE", "HS:DEVICE:{id}", "CHANNEL:DEVICE_CTRL"} <= set(keys)


async def test_health_and_metrics(api: Api, backend: FakeBackend) -> None:
    assert await api.get("/healthz") == {"status": "ok"}
    assert await api.get("/readyz") == {"status": "ready"}
    backend.reasons += ["the store cannot be reached", "the model is not loaded"]
    problem = await api.get("/readyz", 503)
    assert problem["reasons"] == backend.reasons
    assert await api.get("/healthz") == {"status": "ok"}
    metrics = await api("GET", "/metrics", status=200)
    assert metrics.headers["Content-Type"] == "text/plain; version=0.0.4; charset=utf-8"
    assert b"pydatacoll_up 1" in metrics.raw


async def test_the_check_of_statements_needs_its_plugin(api: Api) -> None:
    problem = await api.post("/api/v1/sql_check", {"db_save_sql": "SELECT 1"}, 503)
    assert problem["type"] == "/docs#problem-plugin-not-enabled"
    assert "plugin not enabled" in problem["detail"]


def test_an_application_can_be_made_without_a_loop(backend: FakeBackend) -> None:
    assert isinstance(create_app(backend.services), web.Application)
