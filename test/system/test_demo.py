"""The demo plant as ``make run`` starts it, with no server installed: alarms, formulas and an archive fill."""

from __future__ import annotations

import pytest

from test.system.rig import eventually

RELAY = "device_id=feeder1&term_id=feeder1.relay"
BREAKER = {"device_id": "feeder1", "term_id": "feeder1.relay", "item_id": "breaker_cmd"}
OPEN = "feeder1:feeder1.relay:breaker:rule"


@pytest.mark.timeout(240)
async def test_the_demo_fills_archive_and_alarms_and_calculates(rig, cli):
    api = await rig.api("--demo")
    await api.client.ready(within=60)

    async def rows(path):
        return await api.client.get(path)

    async def calculated():
        found = {row["item_id"]: row for row in await rows("/api/v2/values?device_id=calculated")}
        return found if len(found) >= 3 and all(row["quality"] == "good" for row in found.values()) else None

    values = await eventually(calculated, "the formulas have values", within=60)
    assert 8000 < values["s"]["value"] < 12_000  # kVA of the feeder, whose three currents are about 240 A
    # an operator opens the breaker: that is an alarm, until it is closed again and somebody has seen it
    await api.client.send("POST", "/api/v1/device_ctrl", {**BREAKER, "value": 0})
    path = "/api/v2/alarms?device_id=feeder1&priority=critical"

    async def becomes(state):
        async def is_it():
            found = [row["state"] for row in await rows(path) if row["id"] == OPEN]
            return found == ([state] if state else [])

        await eventually(is_it, f"the alarm is {state or 'over'}", within=30)

    await becomes("active_unacknowledged")
    await api.client.send("POST", f"/api/v2/alarms/{OPEN}/ack", {"note": "on purpose"})
    await becomes("active_acknowledged")
    await api.client.send("POST", "/api/v1/device_ctrl", {**BREAKER, "value": 1})
    await becomes(None)

    async def archived():
        return len(await rows(f"/api/v2/history?{RELAY}&item_id=f&limit=1000")) > 5

    await eventually(archived, "the archive fills", within=30)
    (bucket,) = await rows(f"/api/v2/history?{RELAY}&item_id=f&buckets=1&since=2020-01-01T00:00:00Z")
    assert 49.9 < bucket["min"] <= bucket["mean"] <= bucket["max"] < 50.1
    assert bucket["count"] > 5
    derived = "device_id=calculated&term_id=calculated.feeder1&item_id=s"
    assert await rows(f"/api/v2/history?{derived}&limit=10")
    plugins = {row["name"]: row for row in await rows("/api/v2/plugins")}
    assert set(plugins) == {"checker", "db_saver", "formula"}
    for row in plugins.values():
        assert (row["enabled"], row["state"]) == (True, "running")
        assert (row["dropped"], row["dead_lettered"], row["retries"]) == (0, 0, 0)
    doctor = await cli("doctor", url=api.client.url)
    assert {row["check"] for row in doctor.rows if row["status"] != "ok"} <= {"disk"}, doctor.out
