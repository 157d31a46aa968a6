"""Frames and probes over REST: what is asked of the manager, what is refused before, what its answer becomes."""

from __future__ import annotations

import hashlib
from typing import Any

import msgspec
import pytest

from pydatacoll.api.app import create_app
from pydatacoll.errors import NoManager, TooMany
from pydatacoll.model.network import Networks
from pydatacoll.settings import AuthSettings, Settings, TokenSettings
from test.api_client import Api, serve
from test.fakes_api import FakeBackend

PROBE = "/api/v2/devices/probe"
DEVICE = {"protocol": "modbus_tcp", "ip": "192.0.2.10"}
FRAMES = {
    "size": 100,
    "frames": [
        {"time": "2026-11-21T09:00:00.000000Z", "direction": "note", "hex": "", "text": "connected"},
        {"time": "2026-11-21T09:00:00.000000Z", "direction": "sent", "hex": "0001", "text": "read 1 coil"},
    ],
}
FOUND = {
    "reachable": True,
    "seconds": 0.01,
    "error": None,
    "raw": "00e6",
    "sample": {"time": "2026-11-21T09:00:00.000000Z", "value": 23.0, "quality": "good"},
    "interpretations": [
        {"code_type": "uint16", "byte_order": "big", "word_order": None, "value": 23.0, "configured": True}
    ],
}
UNREACHABLE = {
    "reachable": False,
    "seconds": 3.0,
    "error": "no connection to 192.0.2.10:502: no answer within 3 s",
    "raw": None,
    "sample": None,
    "interpretations": [],
}


async def fields(api: Api, body: Any, status: int = 422) -> list[str]:
    return [field for _, field in (await api("POST", PROBE, body, status=status)).fields]


@pytest.fixture
async def saved(api: Api) -> None:
    await api.post("/api/v1/devices", {"id": "plc", "name": "plc", **DEVICE})
    await api.post("/api/v1/devices", {"id": "off", "name": "off", **DEVICE, "enabled": False})
    await api.post("/api/v1/devices", {"id": "calc", "name": "calc", "protocol": "formula"})
    await api.post("/api/v1/terms", {"id": "unit7", "name": "u", "device_id": "plc", "address": 7})


@pytest.mark.usefixtures("saved")
async def test_frames_come_from_the_manager(api: Api, backend: FakeBackend) -> None:
    backend.commands.body = FRAMES
    assert await api.get("/api/v2/devices/plc/frames?limit=7") == {"device_id": "plc", **FRAMES}
    await api.get("/api/v2/devices/plc/frames")
    assert backend.commands.asked == [("frames", "plc", {"limit": 7}), ("frames", "plc", {"limit": 100})]


@pytest.mark.usefixtures("saved")
async def test_frames_of_what_has_no_link_are_refused(api: Api, backend: FakeBackend) -> None:
    assert "device_id not found!" in (await api.get("/api/v2/devices/nobody/frames", 404))["detail"]
    assert "disabled" in (await api.get("/api/v2/devices/off/frames", 409))["detail"]
    assert "virtual" in (await api.get("/api/v2/devices/calc/frames", 409))["detail"]
    await api.get("/api/v2/devices/plc/frames?limit=0", 422)
    assert backend.commands.asked == []


@pytest.mark.usefixtures("saved")
async def test_without_a_manager_the_answer_is_503(api: Api, backend: FakeBackend) -> None:
    backend.commands.outcome = NoManager("no device manager is running for device plc")
    assert (await api.get("/api/v2/devices/plc/frames", 503))["title"] == "No device manager"
    assert (await api.post(PROBE, {"device": DEVICE}, 503))["title"] == "No device manager"


async def test_a_probe_needs_no_names(api: Api, backend: FakeBackend) -> None:
    backend.commands.body = FOUND
    body = {"device": {**DEVICE, "port": "1502"}, "term": {"address": 3}, "point": {"protocol_code": "hr:100"}}
    assert await api.post(PROBE, body, 200) == FOUND
    ((what, device_id, sent),) = backend.commands.asked
    assert (what, device_id) == ("probe", "probe")
    assert (sent["device"]["ip"], sent["device"]["port"]) == ("192.0.2.10", 1502)
    assert sent["term"]["address"] == 3
    assert sent["point"]["protocol_code"] == "hr:100"
    assert backend.repository.registry.devices == {}
    assert backend.commands.taken == []


async def test_an_unreachable_device_is_an_answer(api: Api, backend: FakeBackend) -> None:
    backend.commands.body = UNREACHABLE
    assert await api.post(PROBE, {"device": DEVICE}, 200) == UNREACHABLE
    assert backend.commands.asked[0][2]["point"] is None


@pytest.mark.usefixtures("saved")
async def test_a_saved_device_is_named(api: Api, backend: FakeBackend) -> None:
    backend.commands.body = FOUND
    await api.post(PROBE, {"device_id": "plc", "point": {"term_id": "unit7", "protocol_code": "hr:1"}}, 200)
    _, device_id, sent = backend.commands.asked[0]
    assert (device_id, sent["term"]["id"], sent["term"]["address"]) == ("plc", "unit7", 7)
    await api.post(PROBE, {"device_id": "off"}, 200)  # commissioning comes before enabling
    await api.post(PROBE, {"device_id": "nobody"}, 404)
    await api.post(PROBE, {"device_id": "calc"}, 409)


@pytest.mark.parametrize(
    ("body", "field"),
    [
        ({}, "device"),
        ({"device": DEVICE, "device_id": "plc"}, "device"),
        ({"device": None}, "device"),
        ({"device": []}, "device"),
        ({"device_id": True}, "device_id"),
        ({"device": DEVICE, "term": 5}, "term"),
        ({"device": DEVICE, "point": "hr:1"}, "point"),
        ({"device": DEVICE, "speed": 1}, "speed"),
        ({"device": {"protocol": "modbus"}}, "device.protocol"),
        ({"device": {**DEVICE, "port": 70000}}, "device.port"),
        ({"device": {**DEVICE, "ip": "2130706433"}}, "device.ip"),
        ({"device": {**DEVICE, "colour": 1}}, "device.colour"),
        ({"device": DEVICE, "term": {"address": 256}}, "term.address"),
        ({"device": DEVICE, "point": {}}, "point.protocol_code"),
        ({"device": DEVICE, "point": {"protocol_code": "100"}}, "point.protocol_code"),
        ({"device": DEVICE, "point": {"protocol_code": "hr:1", "code_type": "int17"}}, "point.code_type"),
    ],
)
async def test_what_is_wrong_is_named_by_part(api: Api, backend: FakeBackend, body: Any, field: str) -> None:
    assert await fields(api, body) == [field]
    assert backend.commands.asked == []


async def test_devices_outside_the_networks_are_neither_saved_nor_tried(api: Api, backend: FakeBackend) -> None:
    backend.schemas.networks = Networks(["10.1.0.0/16"])
    device = {"id": "d", "name": "d", **DEVICE}
    assert await fields(api, {"device": DEVICE}) == ["device.ip"]
    answer = await api("POST", "/api/v1/devices", device, status=422)
    assert answer.fields == [(0, "ip")]
    assert "manager.networks: 10.1.0.0/16" in answer.json["detail"]
    batch = [{**device, "id": "a", "ip": "10.1.0.1"}, device]
    assert (await api("POST", "/api/v2/devices", batch, status=422)).fields == [(1, "ip")]
    await api("POST", "/api/v1/devices", {**device, "ip": "10.1.0.1"}, status=201)
    assert (await api("PATCH", "/api/v1/devices/d", {"ip": "::ffff:10.2.0.1"}, status=422)).fields == [(0, "ip")]


async def test_too_many_probes_are_told_to_come_back(api: Api, backend: FakeBackend) -> None:
    backend.commands.outcome = TooMany("4 probes are under way; try again when one has ended")
    answer = await api("POST", PROBE, {"device": DEVICE}, status=429)
    assert answer.headers["Retry-After"] == "5"


async def test_a_limited_token_tries_only_its_own_devices(backend: FakeBackend) -> None:
    token = TokenSettings(
        name="north", hash=hashlib.sha256(b"secret").hexdigest(), scope="admin", devices=["north*"]
    )
    backend.settings = msgspec.structs.replace(Settings(), auth=AuthSettings(tokens=[token]))
    backend.commands.body = FOUND
    headers = {"Authorization": "Bearer secret"}
    async with serve(create_app(backend.services)) as api:
        await api("POST", PROBE, {"device": {**DEVICE, "id": "north7"}}, headers=headers, status=200)
        await api("POST", PROBE, {"device": {**DEVICE, "id": "south7"}}, headers=headers, status=403)
        await api("POST", PROBE, {"device": DEVICE}, headers=headers, status=403)
    assert [device_id for _, device_id, _ in backend.commands.asked] == ["north7"]
