"""From a register to a REST answer and back, through HTTP and Modbus TCP."""

from __future__ import annotations

import pytest

from pydatacoll.testing.modbus_server import Fault, ModbusServer
from test.system.rig import eventually

DATAS = "/devices/d/terms/dt/items/i/datas"


async def test_a_register_appears_everywhere_values_are_shown(rig, plc):
    plc.holding()[0] = 41
    api = await rig.api()
    await api.client.add(port=plc.port, poll_interval=0.1)
    await api.client.shows(41)
    plc.holding()[0] = 42
    await api.client.shows(42)
    plc.holding()[0] = 43
    await api.client.shows(43)
    recent = await api.client.get(f"/api/v1{DATAS}")
    assert list(recent) == sorted(recent)
    values = list(recent.values())
    assert values == sorted(values)  # oldest first
    assert set(values) == {41, 42, 43}
    assert next(iter((await api.client.get(f"/api/v1{DATAS}/0")).values())) == 41
    assert next(iter((await api.client.get(f"/api/v1{DATAS}/-1")).values())) == 43
    listed = await api.client.get(f"/api/v2{DATAS}")
    assert {sample["quality"] for sample in listed} == {"good"}

    async def on():
        device = await api.client.get("/api/v1/devices/d")
        return (device["status"], device["link"]["state"]) == ("on", "connected")

    await eventually(on, "the device is on")
    latest = await api.client.latest()
    assert latest == {
        "device_id": "d",
        "term_id": "dt",
        "item_id": "i",
        "time": latest["time"],
        "value": 43,
        "quality": "good",
    }


async def test_call_reads_now_and_ctrl_writes_now(rig, plc):
    api = await rig.api()
    # polled once, at the start; later values come by call only
    await api.client.add(port=plc.port, poll_interval=3600)
    await api.client.shows(0)
    plc.holding()[0] = 7
    answer = await api.client.call()
    assert (answer.status, answer.body["value"], answer.body["quality"]) == (200, 7, "good")
    await api.client.shows(7)
    answer = await api.client.ctrl(9, verify=True)
    assert (answer.status, answer.body["value"]) == (200, 9)
    assert answer.body["command_id"]
    assert plc.holding()[0] == 9
    await api.client.shows(9)


async def test_a_repeated_control_with_one_key_is_executed_once(rig, plc):
    api = await rig.api()
    await api.client.add(port=plc.port)
    await api.client.shows(0)
    body = {"device_id": "d", "term_id": "dt", "item_id": "i", "value": 5}
    key = {"Idempotency-Key": "order 7"}
    first = await api.client.request("POST", "/api/v1/device_ctrl", body, **key)
    again = await api.client.request("POST", "/api/v1/device_ctrl", body, **key)
    assert first.status == again.status == 200
    assert first.body == again.body
    assert [request.function for request in plc.received].count(6) == 1


async def test_requests_that_cannot_be_done_are_refused_before_the_device_is_asked(rig, plc):
    api = await rig.api()
    await api.client.add(port=plc.port, points={"i": "hr:0", "ro": "ir:0"})
    await api.client.shows(0)
    assert (await api.client.ctrl(1, "ro")).status == 409
    for value in (65536, -1, 1.5, 1e400, "NaN", "Infinity", "nan", "12a", "", "²", [1], {"a": 1}):
        answer = await api.client.ctrl(value)
        # 1e400 leaves this client as Infinity, which is not JSON
        assert answer.status in ({400, 422} if value == 1e400 else {422}), (value, answer)
        assert answer.body["status"] == answer.status
    for body, detail in (
        ({"device_id": "x", "term_id": "dt", "item_id": "i"}, "device_id not found! x"),
        ({"device_id": "d", "term_id": "x", "item_id": "i"}, "term_id not found! x"),
        ({"device_id": "d", "term_id": "dt", "item_id": "x"}, "item_id not found! x"),
    ):
        for route, more in (("device_call", {}), ("device_ctrl", {"value": 1})):
            answer = await api.client.request("POST", f"/api/v1/{route}", body | more)
            assert (answer.status, answer.body["detail"]) == (404, detail)
    assert not [request for request in plc.received if request.function > 4]


async def test_what_the_device_says_is_passed_on(rig, plc):
    api = await rig.api()
    await api.client.add(port=plc.port, points={"i": "hr:0", "other": "hr:500"})
    await api.client.shows(0)
    plc.faults.add(Fault("exception", address=500, code=2))
    for answer in (await api.client.ctrl(1, "other"), await api.client.call("other")):
        assert answer.status == 502
        assert "exception 2" in answer.body["detail"]
    assert (await api.client.ctrl(1)).status == 200
    status = await api.client.get("/api/v2/devices/d/status")
    assert status["link"]["state"] == "connected"


async def test_a_device_that_is_off_is_503(rig, plc):
    port = plc.port
    await plc.stop()
    api = await rig.api()
    await api.client.ready()
    await api.client.add(port=port)

    async def refused() -> str:
        link = (await api.client.get("/api/v1/devices/d"))["link"]
        return link["last_error"]

    assert await eventually(refused, "the link's error")
    for answer in (await api.client.ctrl(1), await api.client.call()):
        assert (answer.status, answer.body["title"]) == (503, "Device offline")
    device = await api.client.get("/api/v1/devices/d")
    assert device["status"] == "off"
    # it is switched on: nothing of what was refused is executed late
    async with ModbusServer(port=port) as later:
        await api.client.shows(0)
        assert (await api.client.ctrl(2)).status == 200
        assert [request.pdu[-1] for request in later.received if request.function == 6] == [2]


async def test_without_a_manager_it_is_503_at_once(rig, plc):
    api = await rig.api("--no-manager")
    await api.client.add(port=plc.port)
    for answer in (await api.client.ctrl(1), await api.client.call()):
        assert (answer.status, answer.body["title"]) == (503, "No device manager")
    assert not plc.requests
    device = await api.client.get("/api/v1/devices/d")
    assert device["link"]["state"] == "no_manager"
    # a manager that comes later does not execute it
    rig.manager(rig.store_url())
    await api.client.shows(0)
    assert not [request for request in plc.received if request.function == 6]


async def test_a_silent_device_is_504(rig, plc):
    api = await rig.api()
    await api.client.add(port=plc.port, timeout=3)
    await api.client.shows(0)
    plc.faults.add(Fault("silence", function=6))
    answer = await api.client.ctrl(1, expires_in=30)
    assert (answer.status, answer.body["title"]) == (504, "No answer from the device")
    answer = await api.client.ctrl(2, expires_in=2.5)
    assert answer.status == 504
    requests = plc.requests
    await eventually(lambda: plc.requests > requests + 10, "polling goes on")
    written = [r.pdu[-1] for r in plc.received if r.function == 6]
    assert written == [1, 2]  # both arrived, neither again


async def test_a_batch_answers_each_element(rig, plc):
    api = await rig.api()
    await api.client.add(port=plc.port, points={f"i{n}": f"hr:{n}" for n in range(10)} | {"ro": "ir:0"})
    await api.client.shows(0, "i9")
    point = {"device_id": "d", "term_id": "dt"}
    wanted = [{**point, "item_id": f"i{n}", "value": n + 1} for n in range(10)]
    bad = [{**point, "item_id": "ro", "value": 1}, {**point, "item_id": "x", "value": 1}]
    answers = await api.client.send("POST", "/api/v2/device_ctrl", [*wanted, *bad])
    assert [answer["status"] for answer in answers] == [200] * 10 + [409, 404]
    assert list(plc.holding()[0:10]) == list(range(1, 11))
    assert [request.function for request in plc.received].count(16) == 1
    answers = await api.client.send("POST", "/api/v2/device_call", [{**point, "item_id": "i4"}])
    assert answers[0]["value"] == 5


@pytest.mark.parametrize("kind", ["device_call", "device_ctrl"])
async def test_a_disabled_device_is_409(rig, plc, kind):
    api = await rig.api()
    await api.client.add(port=plc.port)
    await api.client.shows(0)
    await api.client.send("PATCH", "/api/v1/devices/d", {"enabled": False})
    await eventually(lambda: not plc.connections, "its connection is closed")
    body = {"device_id": "d", "term_id": "dt", "item_id": "i"} | ({"value": 1} if kind == "device_ctrl" else {})
    answer = await api.client.request("POST", f"/api/v1/{kind}", body)
    assert answer.status == 409
    assert "disabled" in answer.body["detail"]
