"""The store goes away and comes back, under API server, manager and commands; and the API server is killed."""

from __future__ import annotations

import asyncio
import os
import signal

import pytest

from pydatacoll.testing.modbus_server import Fault
from test.system.rig import eventually


def writes(plc):
    return [request.pdu[-1] for request in plc.received if request.function == 6]


async def balanced(client):
    """``read = stored + unchanged + rejected + dropped + pending``, and something was stored."""
    samples = await client.samples()
    if not samples.get("stored"):
        return False
    assert samples["read"] == sum(
        samples[name] for name in ("stored", "unchanged", "rejected", "dropped", "pending")
    )
    return True


async def test_a_store_that_comes_later_is_waited_for(rig, plc):
    redis = rig.redis()
    api = await rig.api("--redis", redis.url)
    await api.client.not_ready("the store")
    assert await api.client.get("/healthz") == {"status": "ok"}
    assert (await api.client.get("/")).startswith("PyDataColl is running")
    for path in ("/api/v1/devices", "/api/v1/devices/d", "/api/v2/values"):
        answer = await api.client.request("GET", path)
        assert answer.status == 503, (path, answer)  # not an empty list, and not 404: nobody knows
    assert (await api.client.ctrl(1)).status == 503
    assert "pydatacoll_store_up 0" in await api.client.get("/metrics")

    async def create():
        """Each request waits for the store a while, which may come later than that."""
        while (answer := await api.client.request("POST", "/api/v1/items", item)).status == 503:
            pass
        return answer

    item = {"id": "early", "name": "bird"}
    early = asyncio.create_task(create())
    await redis.start()
    assert (await early).status == 201
    await api.client.ready()
    await api.client.add(port=plc.port)
    await api.client.shows(0)


async def test_it_stops_while_the_store_is_away(rig, plc):
    redis = rig.redis()
    waiting = rig.manager(redis.url)
    await waiting.logged("trying again")
    await waiting.stop()
    await redis.start()
    api = await rig.api("--redis", redis.url, "--no-manager")
    manager = rig.manager(redis.url)
    await api.client.add(port=plc.port)
    await api.client.shows(0)
    redis.kill()
    await api.client.not_ready("the store cannot be reached")
    await manager.stop()
    await api.stop()


async def test_a_killed_store_is_survived(rig, plc):
    redis = rig.redis()
    await redis.start()
    api = await rig.api("--redis", redis.url)
    await api.client.add(port=plc.port)
    await api.client.shows(0)
    redis.kill()
    await api.client.not_ready("the store cannot be reached")
    # While it is away: prompt refusals, polling goes on.
    answer = await api.client.ctrl(99)
    assert answer.status in {503, 504}
    assert answer.seconds < 9
    requests = plc.requests
    await eventually(lambda: plc.requests > requests + 20, "polling goes on")
    plc.holding()[0] = 5
    await redis.start()
    await api.client.ready()
    await api.client.shows(5)
    assert (await api.client.ctrl(6)).status == 200
    await api.client.shows(6)
    assert writes(plc) == [6]
    await eventually(lambda: balanced(api.client))
    # what was read meanwhile was kept: nothing is missing in the account
    samples = await api.client.samples()
    assert samples["dropped"] == samples["rejected"] == 0


async def test_commands_during_an_outage_are_never_executed_late(rig, plc):
    redis = rig.redis()
    await redis.start()
    api = await rig.api("--redis", redis.url)
    await api.client.add(port=plc.port)
    await api.client.shows(0)
    answers = []

    async def control(value):
        answers.append((value, await api.client.ctrl(value)))

    tasks = [asyncio.create_task(control(value)) for value in range(1, 40)]
    await eventually(lambda: answers, "the first answer")
    redis.kill()
    await asyncio.gather(*tasks)
    await asyncio.gather(*map(control, range(40, 50)))
    known = {value for value, answer in answers if answer.status == 200}
    assert {answer.status for _, answer in answers} <= {200, 503, 504}
    assert all(answer.seconds < 9 for _, answer in answers)
    unknown = {value for value, answer in answers if answer.status == 504}
    # what had reached the manager before may go on to the device for a moment
    done = None
    while done != (done := writes(plc)):
        requests = plc.requests
        await eventually(lambda n=requests: plc.requests > n + 10, "polling goes on")
    await redis.start()
    await api.client.ready()
    assert (await api.client.ctrl(200)).status == 200
    after = writes(plc)
    assert after == [*done, 200]
    assert len(set(after)) == len(after)  # each at most once
    assert known <= set(done) <= known | unknown


async def test_a_store_that_was_emptied_is_taken_as_it_is(rig, plc):
    redis = rig.redis()
    await redis.start()
    api = await rig.api("--redis", redis.url)
    await api.client.add(port=plc.port)
    await api.client.shows(0)
    with redis.client() as client:
        client.flushall()
        client.function_flush()

    async def empty():
        return (await api.client.request("GET", "/api/v1/devices")).body == []

    await eventually(empty, "the model is empty")
    await eventually(lambda: not plc.connections, "the device is not polled any more")
    await api.client.add(port=plc.port)
    await api.client.shows(0)


async def test_a_killed_embedded_store_is_started_again(rig, plc):
    api = await rig.api()
    await api.client.add(port=plc.port, timeout=5)
    await api.client.shows(0)
    plc.faults.add(Fault("delay", function=6, seconds=0.5, times=1))
    control = asyncio.create_task(api.client.ctrl(7))
    await eventually(lambda: writes(plc), "the control is on its way")
    (pid,) = rig.children().keys() - {api.pid}
    os.kill(pid, signal.SIGKILL)
    await api.logged("embedded server runs again")
    assert (await control).status == 200  # its answer outlives the store that waited for it
    plc.holding()[0] = 8
    await api.client.ready()
    assert await api.client.get("/api/v1/devices") == ["d"]
    await api.client.shows(8)
    assert (await api.client.ctrl(9)).status == 200
    assert writes(plc) == [7, 9]
    await eventually(lambda: balanced(api.client))


@pytest.mark.parametrize("managers", ["0", "2"])
async def test_a_killed_api_server_leaves_nothing_and_finds_everything_again(rig, plc, managers):
    api = await rig.api("--managers", managers)
    await api.client.add(port=plc.port)
    plc.holding()[0] = 3
    await api.client.shows(3)
    await api.kill()
    await eventually(lambda: not rig.children(), "no process is left behind")
    await eventually(lambda: not plc.connections, "nobody polls")
    plc.holding()[0] = 4
    again = await rig.api("--managers", managers)
    assert await again.client.get("/api/v1/devices") == ["d"]
    recent = await again.client.get("/api/v2/devices/d/terms/dt/items/i/datas")
    assert recent[-1]["value"] in {3, 4}
    await again.client.shows(4)
    await again.client.ready()


async def test_a_command_stuck_in_a_hung_store_is_not_executed_late(rig, plc):
    redis = rig.redis()
    await redis.start()
    api = await rig.api("--redis", redis.url, manager__lease=60)
    await api.client.add(port=plc.port)
    await api.client.shows(0)
    redis.pause()
    try:
        answer = await api.client.ctrl(1, expires_in=0.5)
    finally:
        redis.resume()
    assert answer.status == 504
    assert "unknown" in answer.body["detail"]
    await api.client.ready()
    assert (await api.client.ctrl(2)).status == 200
    assert writes(plc) == [2]
