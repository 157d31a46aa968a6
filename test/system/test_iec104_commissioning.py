"""An RTU is put into service as a person does it: probe, save, make the point list of what it sends, operate."""

from __future__ import annotations

import asyncio
import csv
import io

import pytest

from pydatacoll.testing.iec104_rtu import Iec104Fault, Iec104Point, Iec104Rtu
from test.system.rig import eventually

POINTS = [
    Iec104Point(address=100, type="M_DP_NA_1", value=1, command=True, select=True),
    Iec104Point(address=4001, type="M_ME_NC_1", value=230.5),
    Iec104Point(address=4002, type="M_ME_NB_1", value=-7),
    Iec104Point(address=9001, type="M_IT_NA_1", value=1234),
    Iec104Point(address=4001, common=2, type="M_SP_NA_1", value=True),
]


@pytest.fixture
async def rtu():
    async with Iec104Rtu(POINTS) as made:
        yield made


@pytest.fixture
async def service(rig):
    return await rig.api()


async def discovered(client, count):
    """The addresses, once there are so many."""

    async def listed():
        answer = await client.request("GET", "/api/v2/devices/rtu/discovered")
        return answer.body if answer.status == 200 and len(answer.body) >= count else None

    return await eventually(listed, f"{count} addresses are discovered")


async def save(client, rtu, **more):
    device = {"id": "rtu", "name": "RTU", "protocol": "iec104", "ip": "127.0.0.1", "port": rtu.port, **more}
    await client.send("POST", "/api/v1/devices", device)


async def test_from_a_probe_to_a_command(service, rtu, cli, rig):
    client, url = service.client, service.client.url
    place = f"127.0.0.1:{rtu.port}"

    # the probe
    (found,) = (await cli("probe", "iec104", place, "--term", "1", "--code", "4001", url=url)).rows
    assert (found["reachable"], found["error"], found["sample"]["value"]) == (True, None, 230.5)
    assert [one["code_type"] for one in found["interpretations"]] == ["M_ME_NC_1"]
    (found,) = (await cli("probe", "iec104", place, url=url)).rows
    assert (found["reachable"], found["error"]) == (True, None)

    # without points: it is asked for everything, and what it sends is listed
    await save(client, rtu, frame_log=100, command_mode="select")
    listed = await discovered(client, 5)
    assert [(one["term_id"], one["address"], one["protocol_code"], one["value"]) for one in listed] == [
        (None, 1, "100", 1),
        (None, 1, "4001", 230.5),
        (None, 1, "4002", -7),
        (None, 1, "9001", 1234),
        (None, 2, "4001", True),
    ]
    (whole,) = (await cli("interrogate", "rtu", "--group", "37", url=url)).rows
    assert (whole["term_id"], whole["outcome"], whole["points"]) == (None, "terminated", 1)

    # what it sends becomes its points
    table = await cli("-o", "csv", "discovered", "rtu", url=url)
    assert [row["code_type"] for row in csv.DictReader(io.StringIO(table.out))] == [
        "M_DP_NA_1",
        "M_ME_NC_1",
        "M_ME_NB_1",
        "M_IT_NA_1",
        "M_SP_NA_1",
    ]
    (rig.folder / "rtu.csv").write_text(table.out)
    assert (await cli("import", "rtu.csv", url=url)).code == 0

    async def values():
        rows = await client.get("/api/v2/values?device_id=rtu")
        return {(row["term_id"], row["item_id"]): row["value"] for row in rows if row["quality"] == "good"}

    shown = await eventually(lambda: _when(values, 5), "all points have values")
    assert shown == {
        ("rtu.1", "m_dp_100"): 1,
        ("rtu.1", "m_me_4001"): 230.5,
        ("rtu.1", "m_me_4002"): -7,
        ("rtu.1", "m_it_9001"): 1234,
        ("rtu.2", "m_sp_4001"): True,
    }
    assert (await cli("discovered", "rtu", url=url)).rows == []

    # on request, term by term
    rtu.put(1, 4001, 231.5)
    results = (await cli("interrogate", "rtu", "--term", "rtu.1", url=url)).rows
    assert [(row["term_id"], row["outcome"], row["points"]) for row in results] == [("rtu.1", "terminated", 3)]

    async def renewed():
        return (await values())["rtu.1", "m_me_4001"] == 231.5

    await eventually(renewed, "the new value is shown")
    entries = await client.get("/api/v2/audit?action=interrogate")
    assert [(one["object"], one["result"]) for one in entries[:2]] == [("rtu", "ok"), ("rtu", None)]

    # and operated
    point = {"term_id": "rtu.1", "item_id": "m_dp_100"}
    await client.send("PATCH", "/api/v1/terms/rtu.1/items/m_dp_100", {"writable": True})
    answer = await client.send("POST", "/api/v1/device_ctrl", {"device_id": "rtu", **point, "value": 2})
    assert answer["outcome"] == "terminated"
    assert rtu.value(1, 100) == 2
    frames = await client.get("/api/v2/devices/rtu/frames?limit=100")
    texts = [frame["text"] for frame in frames["frames"]]
    assert any("C_DC_NA_1 (46), activation, CA 1: 100 = on, select" in text for text in texts), texts
    assert any("C_DC_NA_1 (46), activation termination, CA 1: 100 = on, execute" in text for text in texts)


async def _when(values, count):
    found = await values()
    return found if len(found) == count else None


async def test_an_interrogation_under_way_when_the_server_stops_is_answered(service, rtu):
    client = service.client
    await save(client, rtu, interrogation_timeout=60)
    await discovered(client, 5)  # the counter too: the interrogations of the start were received
    before = rtu.counts["101"]
    rtu.faults.add(Iec104Fault("ignore", type=101))
    body = {"group": 37, "freeze": "freeze_reset", "wait": 300}
    asked = asyncio.create_task(client.request("POST", "/api/v2/devices/rtu/interrogate", body))
    await rtu.until(lambda: rtu.counts["101"] > before)
    await service.stop()
    answer = await asked
    assert answer.status == 504
    assert "unknown" in answer.body["detail"]


async def test_an_interrogation_that_fails_says_why(service, rtu, cli):
    client, url = service.client, service.client.url
    await save(client, rtu, interrogation_timeout=4)
    for common in (1, 7):
        await client.send(
            "POST", "/api/v1/terms", {"id": f"t{common}", "name": "t", "device_id": "rtu", "address": common}
        )
    await client.send("POST", "/api/v1/items", {"id": "u", "name": "u"})
    points = [{"term_id": f"t{common}", "item_id": "u", "protocol_code": "4001"} for common in (1, 7)]
    await client.send("POST", "/api/v2/term_items", points)
    await client.shows(230.5, "u", "rtu")

    async def ended(**body):
        return await client.request("POST", "/api/v2/devices/rtu/interrogate", body)

    partly = await ended()
    assert partly.status == 200
    outcomes = {row["term_id"]: row["outcome"] for row in partly.body["results"]}
    assert outcomes == {"t1": "terminated", "t7": "unknown_ca"}
    unknown = await ended(term_id="t7")
    assert (unknown.status, unknown.body["title"]) == (502, "The device refused")
    assert "46" in unknown.body["detail"]
    done = await cli("interrogate", "rtu", "--term", "t7", url=url)
    assert done.code == 4
    assert "term t7" in done.err

    rtu.faults.add(Iec104Fault("no_term", type=100))
    silent = await ended(term_id="t1")
    assert (silent.status, silent.body["results"][0]["outcome"]) == (504, "no_termination")
    await rtu.stop()

    async def offline():
        answer = await ended(term_id="t1")
        return answer if answer.status == 503 else None

    answer = await eventually(offline, "the device is offline")
    assert answer.body["title"] == "Device offline"
