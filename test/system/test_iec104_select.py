"""``kill -9`` of the manager in the middle of select before operate: an execute never goes without its select over
the same connection, and nothing is executed twice."""

from __future__ import annotations

import asyncio
import os
import random
import signal

from pydatacoll.testing.iec104_rtu import Iec104Fault, Iec104Point, Iec104Rtu
from test.system.rig import eventually
from test.system.test_kills import ROUNDS, SEED

SETTINGS = {"manager__lease": 2.0, "server__call_timeout": 3.0}
LIMIT = Iec104Point(address=1, type="M_ME_NB_1", command=True, select=True)
POINT = {"device_id": "rtu", "term_id": "bay", "item_id": "limit"}


async def configure(client, rtu, **options):
    device = {
        "id": "rtu",
        "name": "RTU",
        "protocol": "iec104",
        "port": rtu.port,
        "command_mode": "select",
    } | options
    await client.send("POST", "/api/v1/devices", device)
    await client.send("POST", "/api/v1/terms", {"id": "bay", "name": "Bay", "device_id": "rtu"})
    await client.send("POST", "/api/v1/items", {"id": "limit", "name": "Limit"})
    point = {"item_id": "limit", "protocol_code": "1", "code_type": "M_ME_TE_1", "writable": True}
    await client.send("POST", "/api/v1/terms/bay/items", point)


async def connected(client):
    """Wait until the station is connected, by the manager that is alive."""

    async def on():
        answer = await client.request("GET", "/api/v2/devices/rtu/status")
        return answer.status == 200 and answer.body["link"]["state"] == "connected"

    await eventually(on, "the station is connected", within=30)


def kill_manager(rig):
    (pid,) = [pid for pid, command in rig.children().items() if "device_manager" in command]
    os.kill(pid, signal.SIGKILL)


async def control(client, value, *, more=None, **headers):
    return await client.request(
        "POST", "/api/v1/device_ctrl", {**POINT, "value": value, **(more or {})}, **headers
    )


def executed(rtu):
    """Values that were executed, in order; each after its own select, which is what the station has confirmed."""
    values = []
    for before, record in zip([None, *rtu.commands], rtu.commands, strict=False):
        if record.act == "execute":
            assert record.accepted
            assert before is not None
            assert (before.act, before.value, before.accepted) == ("select", record.value, True)
            values.append(record.value)
    return values


async def test_a_manager_is_killed_while_a_select_is_not_confirmed_yet(rig):
    api = await rig.api("--managers", "1", **SETTINGS)
    client = api.client
    async with Iec104Rtu([LIMIT]) as rtu:
        await configure(client, rtu)
        await connected(client)
        rtu.faults.add(Iec104Fault("delay", type=49, seconds=30.0, times=1))
        giving = asyncio.create_task(control(client, 7, **{"Idempotency-Key": "once"}))
        await rtu.until(lambda: len(rtu.commands) == 1)
        accepted = rtu.accepted
        kill_manager(rig)
        await rtu.until(lambda: rtu.accepted > accepted)
        answer = await giving
        assert answer.status in {503, 504}, answer
        again = await control(client, 7, **{"Idempotency-Key": "once"})
        assert (again.status, executed(rtu)) != (200, [])
        assert executed(rtu) in ([], [7])
        await connected(client)

        async def works():
            return (await control(client, 8)).status == 200

        await eventually(works, "commands go again", within=30)
        assert executed(rtu)[-1] == 8
        assert executed(rtu).count(7) <= 1


async def test_a_manager_is_killed_at_any_moment_under_commands(rig):
    rig.noisy = 5000
    rng = random.Random(SEED)
    print(f"FAULT_SEED={SEED}")
    api = await rig.api("--managers", "1", **SETTINGS)
    client = api.client
    answers = {}
    async with Iec104Rtu([LIMIT], history=100_000) as rtu:
        rtu.faults.add(Iec104Fault("delay", type=49, seconds=0.01))
        await configure(client, rtu)
        await connected(client)
        stop = asyncio.Event()

        async def load():
            value = 0
            while not stop.is_set():
                value += 1
                answers[value] = (await control(client, value)).status

        loading = asyncio.create_task(load())
        try:
            for _ in range(ROUNDS):
                before = len(executed(rtu))
                await rtu.until(lambda n=before: len(executed(rtu)) > n + 3)
                await asyncio.sleep(rng.uniform(0.0, 0.05))  # the random moment
                accepted = rtu.accepted
                kill_manager(rig)
                await rtu.until(lambda n=accepted: rtu.accepted > n)
        finally:
            stop.set()
            await loading
        values = executed(rtu)
        assert len(values) == len(set(values)), "nothing is executed twice"
        assert {value for value, status in answers.items() if status == 200} <= set(values)
        assert set(answers.values()) <= {200, 503, 504}
        assert list(answers.values()).count(200) > ROUNDS


async def test_what_is_known_is_told_before_the_command_expires(rig):
    api = await rig.api()
    client = api.client
    async with Iec104Rtu([LIMIT]) as rtu:
        # after giving up, the station's answer is awaited for 6 s
        await configure(client, rtu, command_timeout=12.0, termination_timeout=0.2)
        await connected(client)
        fault = rtu.faults.add(Iec104Fault("ignore", type=49))
        answer = await control(client, 1, more={"expires_in": 3.0})
        assert (answer.status, answer.body["outcome"]) == (504, "select_timeout")
        assert "nothing was executed" in answer.body["detail"]
        answer = await control(client, 1, more={"expires_in": 2.0})
        assert (answer.status, answer.body["outcome"]) == (504, "expired")
        assert "still owes an answer to the command before" in answer.body["detail"]
        rtu.faults.rules.remove(fault)
        rtu.faults.add(Iec104Fault("no_term", type=49))
        answer = await control(client, 2)  # which waits for its turn
        assert (answer.status, answer.body["outcome"]) == (200, "confirmed")
        (entry,) = await client.get("/api/v2/audit?action=ctrl&limit=1&result=ok")
        assert (entry["result"], entry["after"]) == ("ok (confirmed, not terminated)", 2)


async def commandable(*clients):
    """Wait until the point is known to these servers and to the manager of the station."""
    await connected(clients[0])
    nothing = {**POINT, "selection_id": "none"}

    async def known():
        answers = [await client.request("POST", "/api/v2/device_select/cancel", nothing) for client in clients]
        return {answer.status for answer in answers} == {409}

    await eventually(known, "the point is known", within=30)


async def select(client, value, **headers):
    return await client.request("POST", "/api/v2/device_select", {**POINT, "value": value}, **headers)


async def ended(client, count):
    """The audit entries of selections that ended by themselves, once there are so many; newest first."""
    found = []

    async def told():
        found[:] = await client.get("/api/v2/audit?action=select.given_up")
        return len(found) >= count

    await eventually(told, "the end of the selection is in the audit trail", within=30)
    assert len(found) == count
    return found


async def test_a_select_whose_answer_was_lost_is_repeated_with_its_key(rig):
    api = await rig.api("--managers", "1", **SETTINGS)
    client = api.client
    two = await rig.api("--no-manager", "--redis", rig.store_url(), data_dir=rig.folder / "other")
    async with Iec104Rtu([LIMIT]) as rtu:
        await configure(client, rtu)
        await commandable(client, two.client)
        key = {"Idempotency-Key": "select-1"}
        first = await select(client, 7, **key)
        assert first.status == 200, first
        for again in (await select(client, 7, **key), await select(two.client, 7, **key)):
            assert (again.status, again.body) == (200, first.body)
        assert (await select(client, 8, **key)).status == 422
        assert (await control(client, 7, **key)).status == 422
        assert [(one.act, one.value) for one in rtu.commands] == [("select", 7)]
        done = await control(client, 7, more={"selection_id": first.body["selection_id"]})
        assert done.status == 200, done
        assert executed(rtu) == [7]
        selects = await client.get("/api/v2/audit?action=select&limit=50")
        assert [entry["result"] for entry in selects] == ["ok", None], "a repeat does nothing"


async def test_a_selection_is_held_at_the_station_until_it_is_executed_over_another_server(rig):
    api = await rig.api("--managers", "1", **SETTINGS)
    client = api.client
    two = await rig.api("--no-manager", "--redis", rig.store_url(), data_dir=rig.folder / "other")
    other = two.client
    async with Iec104Rtu([LIMIT]) as rtu:
        await configure(client, rtu)
        await commandable(client, other)
        selected = await select(client, 7)
        assert selected.status == 200, selected
        assert [(one.act, one.value, one.accepted) for one in rtu.commands] == [("select", 7, True)]
        again = await select(other, 8)
        assert (again.status, "is selected" in again.body["detail"]) == (409, True)
        direct = await control(other, 8, more={"mode": "direct"})
        assert direct.status == 409
        held = {"selection_id": selected.body["selection_id"]}
        wrong = await control(other, 8, more=held)
        assert (wrong.status, len(rtu.commands)) == (422, 1)
        done = await control(other, 7, more=held, **{"Idempotency-Key": "once"})
        assert (done.status, done.body["outcome"]) == (200, "terminated")
        repeated = await control(client, 7, more=held, **{"Idempotency-Key": "once"})
        assert (repeated.status, repeated.body) == (200, done.body)
        assert (await control(client, 7, more=held)).status == 409
        assert executed(rtu) == [7]
        entries = await client.get("/api/v2/audit?object=rtu:bay:limit&limit=50")
        assert {(entry["action"], entry["result"]) for entry in entries} >= {
            ("select", None),
            ("select", "ok"),
            ("ctrl", "ok"),
        }


async def test_a_selection_is_given_up_when_it_is_cancelled_or_its_time_is_over(rig):
    api = await rig.api(**SETTINGS)
    client = api.client
    async with Iec104Rtu([LIMIT]) as rtu:
        rtu.operator.select_timeout = 60.0
        await configure(client, rtu, selection_timeout=5.0)
        await commandable(client)
        held = {"selection_id": (await select(client, 7)).body["selection_id"]}
        answer = await client.request("POST", "/api/v2/device_select/cancel", {**POINT, **held})
        assert answer.status == 200, answer
        await rtu.until(lambda: len(rtu.commands) == 2)
        assert (await control(client, 7, more=held)).status == 409
        held = {"selection_id": (await select(client, 8)).body["selection_id"]}
        await rtu.until(lambda: len(rtu.commands) == 4)
        late = await control(client, 8, more=held)
        assert (late.status, "expired" in late.body["detail"]) == (409, True)
        (entry,) = await ended(client, 1)
        assert entry["result"] == "ok (its time was over)"
        assert {name: entry[name] for name in ("object", "after", "selection_id", "source", "devices")} == {
            "object": "rtu:bay:limit",
            "after": 8,
            **held,
            "source": "127.0.0.1",
            "devices": ["rtu"],
        }
        assert "expires" not in entry
        acts = [(one.act, one.value) for one in rtu.commands]
        assert acts == [("select", 7), ("deactivate", 7), ("select", 8), ("deactivate", 8)]


async def test_a_selection_does_not_survive_its_link(rig):
    api = await rig.api(**SETTINGS)
    client = api.client
    async with Iec104Rtu([LIMIT]) as rtu:
        await configure(client, rtu)
        await commandable(client)
        held = {"selection_id": (await select(client, 7)).body["selection_id"]}
        accepted = rtu.accepted
        rtu.drop()
        await rtu.until(lambda: rtu.accepted > accepted)
        assert (await control(client, 7, more=held)).status == 409
        (entry,) = await ended(client, 1)
        assert (entry["after"], entry["selection_id"]) == (7, held["selection_id"])
        assert entry["result"] == "lost with the link; nothing was executed"
        await commandable(client)
        assert (await control(client, 7, more=held)).status == 409
        assert executed(rtu) == []


async def test_two_who_execute_the_same_selection_execute_it_once(rig):
    api = await rig.api("--managers", "1", **SETTINGS)
    client = api.client
    two = await rig.api("--no-manager", "--redis", rig.store_url(), data_dir=rig.folder / "other")
    async with Iec104Rtu([LIMIT]) as rtu:
        await configure(client, rtu)
        await commandable(client, two.client)
        for value in range(1, 6):
            held = {"selection_id": (await select(client, value)).body["selection_id"]}
            answers = await asyncio.gather(*(control(one, value, more=held) for one in (client, two.client)))
            assert sorted(answer.status for answer in answers) == [200, 409]
        assert executed(rtu) == [1, 2, 3, 4, 5]


async def test_a_selection_dies_with_its_manager(rig):
    api = await rig.api("--managers", "1", **SETTINGS)
    client = api.client
    async with Iec104Rtu([LIMIT]) as rtu:
        await configure(client, rtu)
        await commandable(client)
        held = {"selection_id": (await select(client, 7)).body["selection_id"]}
        accepted = rtu.accepted
        kill_manager(rig)
        await rtu.until(lambda: rtu.accepted > accepted)
        answer = await control(client, 7, more=held)
        assert answer.status in {404, 409, 503, 504}  # 409 as soon as the next manager has begun
        await commandable(client)
        assert (await control(client, 7, more=held)).status == 409
        assert executed(rtu) == []
        selected = await select(client, 8)
        assert (await control(client, 8, more={"selection_id": selected.body["selection_id"]})).status == 200
        assert executed(rtu) == [8]
