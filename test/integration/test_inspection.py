"""Frames and probes through the store and the device manager, with a simulated device."""

from __future__ import annotations

import asyncio
import struct
from contextlib import AsyncExitStack

import msgspec
import pytest

from pydatacoll.manager import inspection
from pydatacoll.protocols.modbus_tcp import ModbusTcpDriver
from pydatacoll.store.commands import CommandClient
from pydatacoll.store.status import BACKOFF, CONNECTED
from pydatacoll.testing.modbus_server import Fault, ModbusServer
from test.integration.test_manager import SETTINGS, System, until

NOWHERE = {"id": "probe", "name": "probe", "protocol": "modbus_tcp", "timeout": 0.3}


@pytest.fixture
async def system(redis_url, store):
    async with AsyncExitStack() as stack:
        yield System(redis_url, stack)


@pytest.fixture
async def plc():
    async with ModbusServer() as server:
        yield server


def with_manager(**options):
    return msgspec.structs.replace(SETTINGS, manager=msgspec.structs.replace(SETTINGS.manager, **options))


async def change(system, **fields):
    await system.repository.transact(lambda tx: tx.merge("device", "dev", fields))


async def frames(system, limit=100, device="dev"):
    reply = await system.commands.query("frames", device, {"limit": limit}, 5.0)
    assert reply.status == 200, reply
    return reply.body


async def probe(system, port, *, point=None, term=None, **device):
    body = {
        "device": {**NOWHERE, "port": port, **device},
        "term": {"id": "t", "name": "t", "device_id": "probe", **(term or {})},
        "point": None if point is None else {"term_id": "t", "item_id": "i", **point},
    }
    return await system.commands.query("probe", "probe", body, 13.0)


def meanings(body):
    return {
        (one["code_type"], one["byte_order"], one["word_order"]): one["value"] for one in body["interpretations"]
    }


# Frames


async def test_frames_are_off_until_the_setting_or_the_device_wants_them(system, plc):
    await system.start()
    await system.add(port=plc.port)
    await system.wait_value(0)
    assert await frames(system) == {"size": 0, "frames": []}


@pytest.mark.parametrize("backend", ["native", "pymodbus"])
async def test_requests_and_answers_are_told_in_plain_words(system, plc, backend):
    await system.start(with_manager(frame_log=50))
    plc.holding()[0] = 0x1234
    await system.add(port=plc.port, points=("hr:0", "hr:1"), backend=backend)
    await system.wait_value(0x1234)
    body = await frames(system)
    assert body["size"] == 50
    first, second, third = body["frames"][:3]
    assert (first["direction"], first["text"], first["hex"]) == ("note", "connected", "")
    assert (second["direction"], second["text"]) == ("sent", "read 2 holding registers from 0, unit 1")
    assert (third["direction"], third["text"]) == ("received", "2 registers: 1234 0000")
    assert bytes.fromhex(second["hex"])[6:] == bytes.fromhex("01 03 0000 0002")
    assert third["time"] >= second["time"]


async def test_the_number_kept_changes_at_once_and_without_a_new_connection(system, plc):
    await system.start()
    await system.add(port=plc.port)
    await system.wait_value(0)
    await change(system, frame_log=4)
    full = await until(lambda: _when(system, lambda body: len(body["frames"]) == 4))
    assert full["size"] == 4
    await change(system, frame_log=2)
    assert len((await until(lambda: _when(system, lambda body: body["size"] == 2)))["frames"]) <= 2
    await change(system, frame_log=0)
    await until(lambda: _when(system, lambda body: body["size"] == 0))
    assert plc.accepted == 1


async def _when(system, condition):
    """The frames, once the device runs and they are as they shall be."""
    reply = await system.commands.query("frames", "dev", {"limit": 100}, 5.0)
    return reply.body if reply.status == 200 and condition(reply.body) else None


async def test_only_the_newest_are_given(system, plc):
    await system.start(with_manager(frame_log=100))
    await system.add(port=plc.port)
    await until(lambda: _when(system, lambda body: len(body["frames"]) > 6))
    assert len((await frames(system, limit=3))["frames"]) == 3


async def test_exceptions_and_what_is_no_frame_are_shown(system, plc):
    await system.start(with_manager(frame_log=100))
    plc.faults.add(Fault("exception", code=4, times=1))
    plc.faults.add(Fault("garbage", skip=1, times=1))
    await system.add(port=plc.port)

    def told(body):
        texts = [frame["text"] for frame in body["frames"]]
        return texts if any("not Modbus TCP" in text for text in texts) and texts.count("connected") == 2 else None

    texts = told(await until(lambda: _when(system, told)))
    assert "exception 4: server device failure" in texts
    assert any(text.startswith("bad reply (garbage)") for text in texts)


async def test_half_a_reply_and_silence_are_shown(system, plc):
    await system.start(with_manager(frame_log=100))
    plc.faults.add(Fault("half", times=1))
    await system.add(port=plc.port, timeout=0.3, retries=0)
    body = await until(
        lambda: _when(
            system, lambda b: any("are missing" in f["text"] or "incomplete" in f["text"] for f in b["frames"])
        )
    )
    assert any(frame["text"].startswith("no answer within 0.3 s") for frame in body["frames"])


async def test_a_refused_connection_is_shown(system, plc):
    await system.start(with_manager(frame_log=10))
    port = plc.port
    await plc.stop()
    await system.add(port=port)
    body = await until(lambda: _when(system, lambda b: b["frames"]))
    assert body["frames"][0]["text"] == f"no connection to 127.0.0.1:{port}: connection refused"


async def test_a_device_that_does_not_run_has_no_frames(system):
    await system.start()
    reply = await system.commands.query("frames", "nobody", {}, 5.0)
    assert (reply.status, reply.detail) == (503, "device nobody is not running")


async def test_a_driver_that_cannot_explain_shows_the_bytes(system, plc, monkeypatch):
    def describe(_):
        raise RuntimeError("no words")

    monkeypatch.setattr(ModbusTcpDriver, "describe", describe)
    await system.start(with_manager(frame_log=10))
    await system.add(port=plc.port)
    body = await until(lambda: _when(system, lambda b: len(b["frames"]) > 2))
    assert body["frames"][1]["hex"]


async def test_an_answer_stays_below_its_limit(system, plc, monkeypatch):
    monkeypatch.setattr(inspection, "MOST_TEXT", 500)
    await system.start(with_manager(frame_log=100))
    await system.add(port=plc.port)
    await system.wait_value(0)
    await asyncio.gather(*(system.commands.query("frames", "dev", {}, 5.0) for _ in range(5)))
    newest = (await frames(system))["frames"]
    assert 1 <= len(newest) <= 4


# Questions on the way


async def test_without_a_manager_the_answer_is_503_at_once(store):
    client = CommandClient(store)
    task = asyncio.get_running_loop().create_task(client.run())
    reply = await client.query("frames", "dev", {}, 5.0)
    assert (reply.status, reply.title) == (503, "No device manager")
    task.cancel()
    await asyncio.gather(task, return_exceptions=True)


async def test_a_manager_that_does_not_answer_in_time_gives_503(system, plc):
    await system.start()
    plc.faults.add(Fault("silence"))
    body = {
        "device": {**NOWHERE, "port": plc.port, "timeout": 5},
        "term": {"id": "t", "name": "t", "device_id": "p"},
    }
    body["point"] = {"term_id": "t", "item_id": "i", "protocol_code": "hr:0"}
    reply = await system.commands.query("probe", "probe", body, 0.1)
    assert reply.status == 200 or "did not answer in time" in reply.detail


async def test_garbage_on_the_channel_is_ignored(system, plc):
    await system.start()
    for garbage in ("", "x", "[]", '{"id": 1}', '{"id": "1", "device_id": "d", "what": "else"}'):
        await system.store.redis.publish("CHANNEL:DEVICE_QUERY", garbage)
    assert (await probe(system, plc.port)).body["reachable"]


# Probes


async def test_a_device_that_answers_is_reachable_and_left_alone(system, plc):
    await system.start()
    reply = await probe(system, plc.port)
    assert reply.body | {"seconds": 0} == {
        "reachable": True,
        "seconds": 0,
        "error": None,
        "raw": None,
        "sample": None,
        "interpretations": [],
    }
    assert 0 < reply.body["seconds"] < 10
    await until(lambda: plc.connections == 0)
    assert await system.store.redis.keys("HS:LATEST*") == []
    assert system.repository.registry.devices == {}


@pytest.mark.parametrize("backend", ["native", "pymodbus"])
async def test_a_float_is_shown_in_every_order(system, plc, backend):
    await system.start()
    high, low = struct.unpack(">HH", struct.pack(">f", 230.5))
    plc.holding()[100:102] = [low, high]  # CDAB
    point = {"protocol_code": "hr:100", "code_type": "float32", "coefficient": 2}
    body = (await probe(system, plc.port, point=point, backend=backend)).body
    assert body["error"] is None
    assert body["raw"] == struct.pack(">HHHH", low, high, 0, 0).hex()
    assert meanings(body)["float32", "big", "little"] == 461.0
    assert body["interpretations"][0]["configured"]
    assert body["sample"]["quality"] == "good"
    await until(lambda: plc.connections == 0)


async def test_a_point_at_the_end_of_a_table_still_answers(system, plc):
    await system.start()
    plc.holding().limit(10)
    plc.holding()[9] = 0x00E6
    body = (await probe(system, plc.port, point={"protocol_code": "hr:9"})).body
    assert (body["error"], body["raw"], body["sample"]["value"]) == (None, "00e6", 230)
    wide = (await probe(system, plc.port, point={"protocol_code": "hr:9", "code_type": "float32"})).body
    assert wide["error"].startswith("exception 2")
    assert (wide["reachable"], wide["sample"], wide["raw"]) == (True, None, "00e6")
    assert meanings(wide)["uint16", "big", None] == 230
    last = (await probe(system, plc.port, point={"protocol_code": "hr:8", "code_type": "int32"})).body
    assert (last["raw"], last["sample"]["value"]) == ("000000e6", 230)


async def test_bits_and_texts(system, plc):
    await system.start()
    plc.coils()[5] = True
    coil = (await probe(system, plc.port, point={"protocol_code": "co:5"})).body
    assert (coil["sample"]["value"], meanings(coil)) == (True, {("bool", None, None): True})
    plc.holding()[0:3] = [0x5055, 0x4D50, 0x2031]
    text = (
        await probe(system, plc.port, point={"protocol_code": "hr:0", "code_type": "string", "length": 6})
    ).body
    assert text["sample"]["value"] == "PUMP 1"


async def test_a_silent_device_is_told_within_its_time(system, plc):
    await system.start()
    plc.faults.add(Fault("silence"))
    body = (await probe(system, plc.port, point={"protocol_code": "hr:0"})).body
    assert body["reachable"]
    assert body["error"].startswith("no answer within 0.3 s")
    await until(lambda: plc.connections == 0)


async def test_a_device_that_is_silent_about_too_many_registers_still_answers(system, plc):
    await system.start()
    plc.faults.add(Fault("silence", address=3))
    plc.holding()[0] = 7
    body = (await probe(system, plc.port, point={"protocol_code": "hr:0"})).body
    assert (body["error"], body["sample"]["value"]) == (None, 7)


async def test_why_there_is_no_connection_is_said_in_plain_words(system, plc):
    await system.start()
    port = plc.port
    await plc.stop()
    for backend in ("native", "pymodbus"):
        refused = (await probe(system, port, backend=backend)).body
        assert (refused["reachable"], refused["error"]) == (
            False,
            f"no connection to 127.0.0.1:{port}: connection refused",
        )
    unknown = (await probe(system, port, ip="nowhere.invalid", timeout=5)).body
    assert not unknown["reachable"]
    assert "name" in unknown["error"]


async def test_a_limited_number_of_probes_run_at_a_time_and_all_are_closed(system, plc):
    await system.start()
    plc.faults.add(Fault("silence"))
    point = {"protocol_code": "hr:0"}
    replies = await asyncio.gather(*(probe(system, plc.port, point=point) for _ in range(7)))
    assert sorted(reply.status for reply in replies) == [200] * 4 + [429] * 3
    await until(lambda: plc.connections == 0)
    plc.faults.clear()
    assert (await probe(system, plc.port, point=point)).status == 200


async def test_a_probe_under_way_is_closed_when_the_manager_stops(redis_url, store, plc):
    plc.faults.add(Fault("silence"))
    async with AsyncExitStack() as stack:
        system = System(redis_url, stack)
        await system.start()
        asking = asyncio.get_running_loop().create_task(
            probe(system, plc.port, point={"protocol_code": "hr:0"}, timeout=60)
        )
        await until(lambda: plc.requests)
        asking.cancel()
        await asyncio.gather(asking, return_exceptions=True)
    await until(lambda: plc.connections == 0)


async def test_a_driver_that_hangs_is_given_up_and_closed(system, plc, monkeypatch):
    async def hang(*_):
        await asyncio.Event().wait()

    monkeypatch.setattr(ModbusTcpDriver, "probe", hang)
    monkeypatch.setattr(inspection, "PROBE_TIME", 0.1)
    await system.start()
    body = (await probe(system, plc.port, point={"protocol_code": "hr:0"})).body
    assert (body["reachable"], body["error"]) == (True, "no answer within 0.1 s, the time of a probe")
    await until(lambda: plc.connections == 0)


async def test_a_probe_leaves_the_running_connection_alone(system, plc):
    await system.start()
    await system.add(port=plc.port)
    await system.wait_value(0)
    reply = await system.commands.query(
        "probe",
        "dev",
        {
            "device": {**NOWHERE, "id": "dev", "port": plc.port},
            "term": {"id": "t", "name": "t", "device_id": "dev"},
            "point": {"term_id": "t", "item_id": "i", "protocol_code": "hr:1"},
        },
        13.0,
    )
    assert reply.body["error"] is None
    assert plc.accepted == 2
    assert (await system.link()).state == CONNECTED
    assert system.manager.runners["dev"].counters["connects"] == 1


# Networks


async def test_a_saved_device_outside_the_networks_is_not_connected_to(system, plc):
    await system.start(with_manager(networks=["10.0.0.0/8"]))
    await system.add(port=plc.port)

    async def stopped():
        link = await system.link()
        return link if link.state == BACKOFF else None

    link = await until(stopped)
    assert link.last_error == (
        "127.0.0.1 is outside the networks that devices may be in (manager.networks: 10.0.0.0/8)"
    )
    for ip in ("127.0.0.1", "localhost", "::ffff:127.0.0.1"):
        body = (await probe(system, plc.port, ip=ip)).body
        assert not body["reachable"]
        assert "is outside the networks" in body["error"]
    assert plc.accepted == 0


async def test_a_device_inside_the_networks_is_connected_to_by_name(system, plc):
    await system.start(with_manager(networks=["127.0.0.0/8"]))
    await system.add(port=plc.port, ip="localhost")
    await system.wait_value(0)
