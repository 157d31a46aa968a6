"""Alarms in the whole system: from a device to a person, while runners of the checker are killed."""

from __future__ import annotations

import asyncio
from itertools import islice

import redis as redis_client

from pydatacoll.model import time_to_wire
from pydatacoll.store.stream import decode_payload
from pydatacoll.testing.signals import Counter
from test.system.rig import eventually

HIGH = "/api/v2/alarms/d:dt:i:high"


def runner(rig):
    return rig.launch("plugin_runner", "checker", "--data-dir", str(rig.data_dir))


async def watching(api, points):
    """Whether the checker runs and has so many points, in all its processes together."""
    for row in await api.client.get("/api/v2/plugins"):
        if row["name"] == "checker" and row["state"] == "running":
            return sum(one["status"].get("points", 0) for one in row["runners"]) == points
    return False


def expected(url, device, limit):
    """What follows from the samples in the stream: ``(event, time)``."""
    rows, active = [], False
    with redis_client.Redis.from_url(url) as client:
        for name in client.scan_iter("STREAM:DATA:*"):
            for _, fields in client.xrange(name):
                for batch in decode_payload(fields[b"b"]):
                    for _, sample in batch.samples() if batch.device_id == device else ():
                        above = sample.value > limit if sample.quality == 0 else active
                        if above != active:
                            active = above
                            rows.append(("raise" if active else "clear", time_to_wire(sample.time)))
    return rows


async def history(api, alarm):
    rows, path = [], f"/api/v2/alarms/history?limit=1000&alarm={alarm}"
    page = await api.client.get(path)
    while page:
        rows += page
        page = await api.client.get(f"{path}&before={page[-1]['id']}")
    return [(row["event"], row["time"]) for row in rows][::-1]


async def test_runners_that_are_killed_lose_no_alarm_and_raise_none_twice(rig, plc):
    plc.holding().signal(0, Counter(modulo=7))
    api = await rig.api()
    await api.client.ready()
    devices = [f"d{n}" for n in range(4)]
    for device in devices:
        await api.client.add(device, port=plc.port, enabled=False)
        await api.client.send("PATCH", f"/api/v1/terms/{device}t/items/i", {"up_limit": 3, "quality_alarm": False})
    runners = [runner(rig), runner(rig)]
    await eventually(lambda: watching(api, len(devices)), "the checker knows all points")
    for device in devices:
        await api.client.send("PATCH", f"/api/v1/devices/{device}", {"enabled": True})
    for _ in range(4):
        before = len(await history(api, "d0:d0t:i:high"))
        await asyncio.sleep(0.15)  # any moment will do
        await runners.pop(0).kill()
        runners.append(runner(rig))
        await eventually(lambda count=before: longer(api, count), "alarms come and go again")
    for one in runners:
        await one.logged("plugin checker is running")
    for device in devices:
        await api.client.send("PATCH", f"/api/v1/devices/{device}", {"enabled": False})
    await eventually(lambda: not plc.connections, "collection ends")
    url = rig.store_url()
    for device in devices:
        seen = {}

        async def all_there(device=device, seen=seen):
            # the last samples may still be on their way to the stream
            seen.update(wanted=expected(url, device, 3), found=await history(api, f"{device}:{device}t:i:high"))
            return seen["found"] == seen["wanted"]

        await eventually(all_there, lambda seen=seen: f"exactly these alarms are there: {seen}")
        assert len(seen["wanted"]) > 10


async def longer(api, count):
    return len(await history(api, "d0:d0t:i:high")) > count + 2


async def test_the_life_of_an_alarm(rig, plc):
    plc.holding()[0] = 15
    api = await rig.api("--plugins", "checker")
    await api.client.ready()
    await api.client.add(port=plc.port)
    await api.client.shows(15)
    point = {"up_limit": 20, "alarm_delay": 0.1, "warn_msg": "too much", "alarm_priority": "critical"}
    await api.client.send("PATCH", "/api/v1/terms/dt/items/i", point)
    assert await api.client.get("/api/v2/alarms") == []

    async def state():
        rows = await api.client.get("/api/v2/alarms")
        return rows[0]["state"] if rows else "normal"

    async def becomes(wanted):
        async def is_it():
            return await state() == wanted

        await eventually(is_it, f"the alarm is {wanted}")

    async def happened(event, times):
        rows = await api.client.get("/api/v2/alarms/history")
        return [row["event"] for row in rows].count(event) == times

    with rig.store() as client, client.pubsub() as heard:
        heard.subscribe("CHANNEL:WARNING:d:dt:i")
        plc.holding()[0] = 25
        await becomes("active_unacknowledged")
        (alarm,) = await api.client.get("/api/v2/alarms?state=active&priority=critical&device_id=d")
        assert (alarm["id"], alarm["value"], alarm["warn_msg"]) == ("d:dt:i:high", 25, "too much")
        answer = await api.client.send("POST", f"{HIGH}/ack", {"note": "seen"})
        assert answer["state"] == "active_acknowledged"
        assert (await api.client.request("POST", f"{HIGH}/ack", {})).status == 409
        plc.holding()[0] = 15
        await becomes("normal")
        await api.client.send("POST", f"{HIGH}/shelve", {"seconds": 600, "note": "work"})
        plc.holding()[0] = 25
        await eventually(lambda: happened("raise", 2), "it is raised unseen")
        assert await state() == "shelved"
        await api.client.send("POST", f"{HIGH}/shelve", {"seconds": 1, "note": "work is done"})
        await becomes("active_unacknowledged")  # it has come back by itself
        # a limit that is changed counts at once
        await api.client.send("PATCH", "/api/v1/terms/dt/items/i", {"up_limit": 30})
        await becomes("returned_unacknowledged")
        await api.client.send("DELETE", "/api/v1/devices/d")
        await becomes("normal")
        steps = [row["event"] for row in await api.client.get("/api/v2/alarms/history")][::-1]
        assert steps == ["raise", "ack", "clear", "shelve", "raise", "shelve", "unshelve", "clear", "remove"]
        expected = [step for n, step in enumerate(steps) if n != 4]
        messages = (message["data"] for message in heard.listen() if message["type"] == "message")
        told = [text.partition('"event":"')[2].partition('"')[0] for text in islice(messages, len(expected))]
        assert told == expected
    entries = await api.client.get("/api/v2/audit?action=alarm.*")
    assert [(entry["action"], entry["result"]) for entry in entries] == [
        ("alarm.shelve", "ok"),
        ("alarm.shelve", "ok"),
        ("alarm.ack", "ok"),
    ]


async def test_when_the_manager_is_killed_values_that_must_be_fresh_raise_an_alarm(rig, plc):
    plc.holding()[0] = 15
    api = await rig.api("--no-manager", "--plugins", "checker", manager__lease=1.0)
    client = api.client
    manager = rig.manager(rig.store_url(), manager__lease=1.0)
    await client.ready()
    await client.add(port=plc.port)
    point = {"stale_after": 2, "deadband": 5}  # the same value is not stored again
    await client.send("PATCH", "/api/v1/terms/dt/items/i", point)
    await client.shows(15)
    await eventually(lambda: watching(api, 1), "the checker knows the point")
    await manager.kill()

    async def becomes(wanted):
        async def is_it():
            rows = await client.get("/api/v2/alarms")
            return [(row["id"], row["state"]) for row in rows] == [("d:dt:i:stale", wanted)]

        await eventually(is_it, f"the alarm is {wanted}")

    await becomes("active_unacknowledged")
    rig.manager(rig.store_url(), manager__lease=1.0)
    await becomes("returned_unacknowledged")
