"""Several manager processes: shared devices, take-over, supervision, model changes that reach them."""

from __future__ import annotations

import asyncio
import os
import signal
import time

from pydatacoll.testing.modbus_server import Fault
from test.system.rig import eventually

DEVICES = [f"d{n}" for n in range(12)]
LEASE = {"manager__lease": 3.0}
"""Shorter than usual, so that nobody is waited for long, and longer than a process ever stands still."""


def writes(plc):
    return [request.pdu[-1] for request in plc.received if request.function == 6]


async def plant(client, plc):
    """Devices in many partitions, all on one simulator."""
    for device in DEVICES:
        await client.add(device, port=plc.port)


async def owners(client):
    return {device: (await client.get(f"/api/v2/devices/{device}/status"))["manager"] for device in DEVICES}


async def shared(client):
    """Each manager has some; gives device -> manager."""
    found = await owners(client)
    return found if None not in found.values() and len(set(found.values())) == 2 else None


def manager_of(process, found):
    """Devices of a manager process."""
    return [device for device, manager in found.items() if f"-{process.pid}-" in manager]


async def test_two_managers_share_the_devices_and_the_survivor_takes_all(rig, plc):
    api = await rig.api("--no-manager")
    one, two = rig.manager(rig.store_url(), **LEASE), rig.manager(rig.store_url(), **LEASE)
    await api.client.ready()
    await plant(api.client, plc)
    found = await eventually(lambda: shared(api.client), "both managers have devices")
    for device in DEVICES:
        await api.client.shows(0, device=device)
    await eventually(lambda: plc.connections == len(DEVICES), "each device is polled by one manager only")
    await two.kill()
    plc.holding()[0] = 5
    for device in DEVICES:
        await api.client.shows(5, device=device)
    assert manager_of(one, await owners(api.client)) == DEVICES
    assert manager_of(two, found)
    await eventually(lambda: plc.connections == len(DEVICES), "each device is polled by one manager only")
    # one that is stopped gives its share back at once
    three = rig.manager(rig.store_url(), **LEASE)
    await eventually(lambda: shared(api.client), "the new one gets a share")
    await three.stop()
    plc.holding()[0] = 6
    for device in DEVICES:
        await api.client.shows(6, device=device)


async def test_controls_during_a_takeover_run_once_or_not_at_all(rig, plc):
    api = await rig.api("--no-manager")
    rig.manager(rig.store_url(), **LEASE)
    victim = rig.manager(rig.store_url(), **LEASE)
    await api.client.ready()
    await plant(api.client, plc)
    found = await eventually(lambda: shared(api.client), "both managers have devices")
    device = manager_of(victim, found)[0]
    await api.client.shows(0, device=device)
    plc.faults.add(Fault("delay", function=6, seconds=0.02))
    answers = {}
    number = 0

    async def control():
        nonlocal number
        number += 1
        value = number
        answers[value] = await api.client.ctrl(value, device=device, expires_in=1.5)

    async def keep_on():
        while not (victim.killed and answers[number].status == 200):
            await control()

    tasks = [asyncio.create_task(keep_on())]
    await eventually(lambda: len(answers) > 5, "controls are answered")
    await victim.kill()
    await asyncio.gather(*tasks)
    done = writes(plc)
    assert answers[number].status == 200  # taken over
    assert len(set(done)) == len(done)  # never twice
    assert {answer.status for answer in answers.values()} <= {200, 503, 504}
    executed = {value for value, answer in answers.items() if answer.status == 200}
    unknown = {value for value, answer in answers.items() if answer.status == 504}
    assert executed <= set(done) <= executed | unknown


async def test_managers_of_the_api_server_are_started_again_and_stop_with_it(rig, plc):
    api = await rig.api("--managers", "2", **LEASE)
    await api.client.ready()
    await plant(api.client, plc)
    found = await eventually(lambda: shared(api.client), "both managers have devices")
    pids = {pid for pid, command in rig.children().items() if "device_manager" in command}
    assert {int(manager.split("-")[-2]) for manager in found.values()} == pids
    victim = min(pids)
    os.kill(victim, signal.SIGKILL)

    async def replaced():
        now = await shared(api.client)
        return now is not None and all(f"-{victim}-" not in manager for manager in now.values())

    await eventually(replaced, "the killed one is replaced")
    plc.holding()[0] = 5
    for device in DEVICES:
        await api.client.shows(5, device=device)
    assert "started again" in api.log
    await api.stop()
    assert not rig.children()


async def test_managers_stop_with_a_killed_api_server(rig, plc):
    redis = rig.redis()
    await redis.start()
    api = await rig.api("--redis", redis.url, "--managers", "2", **LEASE)
    await api.client.ready()
    await api.client.add(port=plc.port)
    await api.client.shows(0)
    managers = [pid for pid, command in rig.children().items() if "device_manager" in command]
    assert len(managers) == 2
    await api.kill()
    await eventually(lambda: not rig.children().keys() & set(managers), "the managers end")
    await eventually(lambda: not plc.connections, "nobody polls")
    # they gave their partitions back
    with redis.client() as client:
        assert not client.keys("LEASE:*")


async def test_a_model_change_reaches_a_manager_in_another_process(rig, plc):
    plc.holding()[0:10] = list(range(10))
    api = await rig.api("--no-manager")
    rig.manager(rig.store_url())
    await api.client.ready()
    await api.client.add(port=plc.port)
    await api.client.shows(0)
    accepted = plc.accepted
    took = []
    for address in range(1, 10):
        started = time.monotonic()
        await api.client.send("PATCH", "/api/v1/terms/dt/items/i", {"protocol_code": f"hr:{address}"})
        await eventually(lambda a=address: any(r.address == a for r in plc.received), "the new address is read")
        took.append(time.monotonic() - started)
        await api.client.shows(address)
    print(
        f"a change is polled after {sorted(took)[len(took) // 2] * 1000:.0f} ms, at most {max(took) * 1000:.0f} ms"
    )
    assert plc.accepted == accepted  # on the same connection
    await api.client.send("PATCH", "/api/v1/devices/d", {"poll_interval": 0.01, "timeout": 0.5})
    await eventually(lambda: plc.accepted > accepted, "changed options of the link make a new one")
    await api.client.send("DELETE", "/api/v1/devices/d")
    await eventually(lambda: not plc.connections, "a deleted device is not polled")


async def test_a_manager_follows_the_model_after_it_was_stopped_for_a_while(rig, plc):
    api = await rig.api("--no-manager")
    manager = rig.manager(rig.store_url(), **LEASE)
    await api.client.ready()
    await api.client.add(port=plc.port)
    await api.client.shows(0)
    os.kill(manager.pid, signal.SIGSTOP)
    try:
        await api.client.not_ready("no device manager")
        plc.holding()[1] = 5
        await api.client.send("PATCH", "/api/v1/terms/dt/items/i", {"protocol_code": "hr:1"})
        assert (await api.client.ctrl(99)).status == 503
    finally:
        os.kill(manager.pid, signal.SIGCONT)
    await api.client.shows(5)
    assert writes(plc) == []
    assert (await api.client.ctrl(6)).status == 200
