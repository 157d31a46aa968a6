"""Starting, refusing to start, and stopping, as an operator sees it."""

from __future__ import annotations

import asyncio
import os
import signal
import socket
import tomllib

import aiohttp
import pytest

from pydatacoll.testing.modbus_server import Fault
from test.system.rig import eventually

PLANT = {
    "devices": [{"id": f"d{n}", "name": "d", "protocol": "modbus_tcp", "enabled": False} for n in range(20)],
    "terms": [{"id": f"t{n}", "name": "t", "device_id": f"d{n}"} for n in range(20)],
}


async def model(client):
    return [await client.get(f"/api/v1/{kind}?expand=true") for kind in ("devices", "terms", "items", "formulas")]


async def test_it_says_where_it_runs_and_that_it_is_ready(rig):
    api = await rig.api()
    assert (await api.client.get("/")).startswith("PyDataColl is running, available API:\n")
    assert await api.client.get("/healthz") == {"status": "ok"}
    await api.client.ready()
    assert api.output.read_text() == f"PyDataColl is running on {api.client.url}\n"


async def test_without_a_manager_it_is_alive_but_not_ready(rig):
    api = await rig.api("--no-manager")
    answer = await api.client.request("GET", "/readyz")
    assert answer.status == 503
    (reason,) = answer.body["reasons"]
    assert reason.startswith("no device manager runs 16 of 16 partitions: ")
    assert "python -m pydatacoll.device_manager" in reason
    assert await api.client.get("/healthz") == {"status": "ok"}
    rig.manager(rig.store_url())
    await api.client.ready()


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
async def test_a_signal_stops_everything_and_nothing_acknowledged_is_lost(rig, plc, number):
    plc.holding()[0] = 7
    api = await rig.api()
    await api.client.add(port=plc.port)
    for kind, objects in PLANT.items():
        await api.client.send("POST", f"/api/v2/{kind}", objects)
    await api.client.shows(7)
    before = await model(api.client)
    recent = await api.client.get("/api/v1/devices/d/terms/dt/items/i/datas")
    await api.stop(number)
    assert not rig.children()
    assert not (rig.data_dir / "store" / "url").exists()
    assert plc.connections == 0
    # Nobody polls now: what is there is what was stored.
    again = await rig.api("--no-manager")

    def without_link(objects):
        return [
            [{k: v for k, v in one.items() if k not in {"link", "status"}} for one in kind] for kind in objects
        ]

    assert without_link(await model(again.client)) == without_link(before)
    stored = await again.client.get("/api/v2/devices/d/terms/dt/items/i/datas")
    assert stored[-1]["time"] >= max(recent)
    assert {sample["value"] for sample in stored} == {7}


async def test_a_stop_in_the_middle_of_writes_loses_no_acknowledged_write(rig):
    api = await rig.api()
    acknowledged = []
    number = 0

    async def write():
        nonlocal number
        number += 1
        name = f"i{number}"
        answer = await api.client.request("POST", "/api/v1/items", {"id": name, "name": name})
        if answer.status == 201:
            acknowledged.append(name)

    for _ in range(50):
        await write()
    api._popen.send_signal(signal.SIGTERM)

    async def write_until_it_is_gone():
        while True:
            await write()

    with pytest.raises(aiohttp.ClientError):
        await write_until_it_is_gone()
    assert await api.ended() == 0
    again = await rig.api()
    assert set(await again.client.get("/api/v1/items")) >= set(acknowledged)


async def test_a_control_under_way_when_the_server_stops_is_answered(rig, plc):
    api = await rig.api()
    await api.client.add(port=plc.port, timeout=30, poll_interval=3600)
    await api.client.shows(0)
    plc.faults.add(Fault("silence"))
    control = asyncio.create_task(api.client.ctrl(1))
    await eventually(lambda: any(request.function == 6 for request in plc.received), "it has reached the device")
    await api.stop()
    answer = await control
    assert answer.status == 504
    assert "unknown" in answer.body["detail"]


async def test_nothing_acknowledged_is_lost_when_everything_is_killed(rig):
    api = await rig.api()
    acknowledged = []

    async def write_until_it_is_gone():
        while True:
            name = f"i{len(acknowledged)}"
            answer = await api.client.request("POST", "/api/v1/items", {"id": name, "name": name})
            if answer.status == 201:
                acknowledged.append(name)

    writing = asyncio.create_task(write_until_it_is_gone())
    await eventually(lambda: len(acknowledged) > 100, "some are written")
    for pid in [*(rig.children().keys() - {api.pid}), api.pid]:  # the store first
        os.kill(pid, signal.SIGKILL)
    api.killed = True
    with pytest.raises(aiohttp.ClientError):
        await writing
    again = await rig.api()
    assert set(await again.client.get("/api/v1/items")) >= set(acknowledged)


async def test_it_can_be_stopped_while_it_starts(rig):
    process = rig.launch("api_server", "--port", "0", "--data-dir", str(rig.data_dir))
    await eventually((rig.data_dir / "lock").exists, "it has begun to start the store")
    await process.stop()
    assert not rig.children()


async def test_ctrl_c_reaches_the_managers_at_the_same_time(rig, plc):
    api = await rig.api("--managers", "2")
    await api.client.ready()
    await api.client.add(port=plc.port)
    await api.client.shows(0)
    managers = [pid for pid, command in rig.children().items() if "device_manager" in command]
    assert len(managers) == 2
    for pid in [*managers, api.pid]:  # as a terminal does
        os.kill(pid, signal.SIGINT)
    assert await api.ended() == 0
    assert not rig.children()


async def test_a_client_that_stays_connected_does_not_delay_the_stop(rig):
    api = await rig.api()
    host, port = api.client.url.removeprefix("http://").split(":")
    with socket.create_connection((host, int(port))) as idle, socket.create_connection((host, int(port))) as half:
        half.sendall(b"POST /api/v1/items HTTP/1.1\r\nHost: localhost\r\nContent-Length: 100\r\n\r\n{")
        idle.sendall(b"GET /healthz HTTP/1.1\r\nHost: localhost\r\n\r\n")
        assert b"200 OK" in idle.recv(1000)
        await api.stop()


async def test_beyond_this_machine_it_is_refused_with_the_remedy(rig):
    process = rig.launch("api_server", "--host", "0.0.0.0", "--port", "0", "--data-dir", str(rig.data_dir))
    process.expected_code = 1
    assert await process.ended() == 1
    assert process.log.startswith("pydatacoll: server.host: 0.0.0.0 is not a loopback address")
    assert "127.0.0.1" in process.log
    assert process.log.count("\n") == 1
    assert process.output.read_text() == ""
    assert not rig.data_dir.exists()


async def test_a_port_in_use_is_one_clear_line(rig):
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = str(taken.getsockname()[1])
        process = rig.launch("api_server", "--port", port, "--data-dir", str(rig.data_dir), "--log-level", "error")
        process.expected_code = 1
        assert await process.ended() == 1
    assert process.log.startswith(f"pydatacoll: server.port: cannot listen on 127.0.0.1:{port}: ")
    assert "--port" in process.log
    assert process.log.count("\n") == 1


async def test_a_second_instance_on_the_same_data_is_refused(rig):
    first = await rig.api()
    second = rig.launch("api_server", "--port", "0", "--data-dir", str(rig.data_dir))
    second.expected_code = 1
    assert await second.ended() == 1
    assert str(rig.data_dir) in second.log
    assert second.log.count("\n") == 1
    await first.client.send("POST", "/api/v1/items", {"id": "still", "name": "works"})


async def test_a_bad_settings_file_is_reported_with_its_line(rig):
    file = rig.folder / "plant.toml"
    file.write_text("[server]\nport = 8080\nprot = 9000\n")
    process = rig.launch("api_server", "--config", str(file))
    process.expected_code = 1
    assert await process.ended() == 1
    assert "plant.toml" in process.log
    assert "prot" in process.log
    assert "line 3" in process.log or ":3" in process.log
    assert process.log.count("\n") == 1


async def test_an_unknown_setting_in_the_environment_is_reported(rig):
    process = rig.launch("device_manager", server__prot=9000)
    process.expected_code = 1
    assert await process.ended() == 1
    assert "PYDATACOLL_SERVER__PROT" in process.log
    assert process.log.count("\n") == 1


async def test_an_unknown_plugin_is_reported(rig):
    process = rig.launch("api_server", "--port", "0", "--data-dir", str(rig.data_dir), "--plugins", "nonesuch")
    process.expected_code = 1
    assert await process.ended() == 1
    assert process.log.splitlines()[-1].startswith("pydatacoll: plugins: there is no plugin 'nonesuch'")
    assert not rig.children()


async def test_the_effective_settings_can_be_printed(rig):
    file = rig.folder / "plant.toml"
    file.write_text('[server]\nport = 9000\n[redis]\nurl = "redis://user:secret@10.0.0.1/0"\n')
    process = rig.launch("api_server", "--config", str(file), "--print-config", history__length=7)
    assert await process.ended() == 0
    printed = process.output.read_text()
    assert "secret" not in printed
    settings = tomllib.loads(printed)
    assert settings["server"]["port"] == 9000
    assert settings["history"]["length"] == 7
    assert not rig.data_dir.exists()


async def test_a_manager_alone_says_when_there_is_no_store_to_find(rig):
    process = rig.launch("device_manager", "--data-dir", str(rig.data_dir))
    process.expected_code = 1
    assert await process.ended() == 1
    assert "no embedded server is running" in process.log
    assert process.log.count("\n") == 1


async def test_a_manager_alone_finds_the_store_of_the_api_server(rig):
    api = await rig.api("--no-manager")
    manager = rig.launch("device_manager", "--data-dir", str(rig.data_dir))
    await api.client.ready()
    await manager.stop()
    await api.client.not_ready("no device manager")


async def test_the_demo_plant_shows_moving_values(rig):
    api = await rig.api("--demo")

    async def values():
        return {
            (row["device_id"], row["term_id"], row["item_id"]): row["value"]
            for row in await api.client.get("/api/v2/values")
            if row["quality"] == "good"
        }

    first = await eventually(values, "values of the demo plant")

    async def moved():
        now = await values()
        return any(now[point] != value for point, value in first.items())

    await eventually(moved, "values of the demo plant move")
