"""Commissioning as a person does it: probe, save, look at the frames; with the manager in a process of its own."""

from __future__ import annotations

import struct

import pytest

from test.system.rig import eventually


async def test_from_a_probe_to_the_frames_of_a_running_device(rig, plc):
    """Everything happens in the manager: it is its network that counts."""
    api = await rig.api("--no-manager")
    client = api.client
    answer = await client.request("POST", "/api/v2/devices/probe", {"device": {"protocol": "modbus_tcp"}})
    assert (answer.status, answer.body["title"]) == (503, "No device manager")
    rig.manager(rig.store_url(), manager__networks="127.0.0.0/8")
    await client.ready()
    plc.holding()[0:2] = struct.unpack(">HH", struct.pack(">f", 50.02))[::-1]
    device = {"protocol": "modbus_tcp", "ip": "localhost", "port": plc.port}
    point = {"protocol_code": "hr:0", "code_type": "float32", "word_order": "little"}

    async def probed():
        answer = await client.request("POST", "/api/v2/devices/probe", {"device": device, "point": point})
        return answer.body if answer.status == 200 else None

    found = await eventually(probed, "the manager has the device's partition")
    assert found["error"] is None
    assert found["sample"]["value"] == pytest.approx(50.02)
    outside = await client.send("POST", "/api/v2/devices/probe", {"device": {**device, "ip": "192.0.2.1"}})
    assert "outside the networks" in outside["error"]

    await client.add(port=plc.port)
    await client.shows(plc.holding()[0])
    frames = await client.get("/api/v2/devices/d/frames")
    assert frames == {"device_id": "d", "size": 0, "frames": []}
    await client.send("PATCH", "/api/v1/devices/d", {"frame_log": 10})

    async def texts():
        return [frame["text"] for frame in (await client.get("/api/v2/devices/d/frames?limit=4"))["frames"]]

    shown = await eventually(lambda: _if_four(texts), "four frames")
    assert "read 1 holding register from 0, unit 1" in shown
    await client.send("PATCH", "/api/v1/devices/d", {"enabled": False})
    assert (await client.request("GET", "/api/v2/devices/d/frames")).status == 409


async def _if_four(texts):
    found = await texts()
    return found if len(found) == 4 else None


async def test_a_bad_network_stops_the_start(rig):
    process = rig.launch(
        "api_server", "--port", "0", "--data-dir", str(rig.data_dir), manager__networks="10.1.2.3/8"
    )
    process.expected_code = 1
    assert await process.ended() == 1
    assert "PYDATACOLL_MANAGER__NETWORKS" in process.log
    assert "write 10.0.0.0/8" in process.log
