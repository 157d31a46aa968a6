"""Live push of devices, alarms and events, over real sockets and a real store."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator

import pytest

from pydatacoll.manager import plugin_report
from pydatacoll.model.alarm import Condition
from pydatacoll.store.alarms import Alarms
from pydatacoll.store.client import Store
from pydatacoll.store.leases import Leases
from pydatacoll.store.plugin_reports import PluginReport
from pydatacoll.store.status import BACKOFF, CONNECTED, Link, StatusWriter
from test.integration.live_rig import LiveRig, live_rig


@pytest.fixture
async def rig(store: Store) -> AsyncIterator[LiveRig]:
    async with live_rig(store) as made:
        yield made


async def _link(store: Store, *states: tuple[str, str | None]) -> None:
    writer = StatusWriter(store)
    for state, error in states:
        writer.link("d", Link(state, 1_800_000_000.0, error))
        await writer.flush()


async def test_a_lost_device_is_shown_and_is_an_event(rig: LiveRig) -> None:
    await rig.plant()
    writer = StatusWriter(rig.store)
    writer.link("d", Link(CONNECTED, 1_800_000_000.0))
    await writer.flush()
    async with rig.socket() as socket:
        snapshot = await socket.sub(topics=["devices", "events"])
        assert snapshot["devices"] == [
            {
                "device_id": "d",
                "enabled": True,
                "link": {"state": "connected", "since": "2027-01-15T08:00:00.000000Z", "last_error": None},
            }
        ]
        assert "c" not in snapshot
        writer.link("d", Link(BACKOFF, 1_800_000_001.0, "no answer"))
        await writer.flush()
        events, devices = [], []
        while not (events and devices):
            message = await socket.get()
            events += message.get("events", [])
            devices += message.get("devices", [])
    assert devices[0]["link"] == {
        "state": "backoff",
        "since": "2027-01-15T08:00:01.000000Z",
        "last_error": "no answer",
    }
    event = events[0]
    assert (event["kind"], event["device_id"], event["severity"]) == ("link", "d", "error")
    assert event["text"] == "device d is lost: no answer"
    assert (await rig.api.get("/api/v2/log"))[0] == event


async def test_an_alarm_comes_and_goes_back_to_normal(rig: LiveRig, store: Store) -> None:
    await rig.plant()
    await rig.api("PATCH", "/api/v1/terms/d-t/items/i", {"up_limit": 10}, status=200)
    alarms = Alarms(store)
    time = "2027-01-15T08:00:00.000000Z"
    async with rig.socket() as socket:
        assert (await socket.sub(topics=["alarms"]))["alarms"] == []
        await alarms.apply([Condition("d:d-t:i:high", "raise", time, "11", '"good"', "10", "high", "too high")])
        message = await socket.get()
        assert message["alarms"] == await rig.api.get("/api/v2/alarms")
        assert message["alarms"][0]["state"] == "active_unacknowledged"
        again = await socket.sub("t", topics=["alarms"])
        assert again["alarms"] == message["alarms"]
        await rig.api.post("/api/v2/alarms/d:d-t:i:high/ack", {"note": "seen"}, 200)
        states = []
        while len(states) < 2:
            states += [alarm["state"] for alarm in (await socket.get())["alarms"]]
        assert states == ["active_acknowledged"] * 2
        await alarms.apply([Condition("d:d-t:i:high", "clear", time, "9", '"good"', "10", "high", "too high")])
        (gone,) = (await socket.get())["alarms"]
        assert (gone["id"], gone["state"], gone["active"]) == ("d:d-t:i:high", "normal", False)
    log = await rig.api.get("/api/v2/log?kind=alarm")
    assert [event["details"]["event"] for event in log] == ["clear", "ack", "raise"]
    assert log[2]["text"] == "d:d-t:i high: raised at 11 (limit 10): too high"


async def test_changes_and_controls_are_events(rig: LiveRig) -> None:
    async with rig.socket() as socket:
        assert (await socket.sub(topics=["events"]))["events"] == []
        await rig.plant()
        texts: list[str] = []
        while len(texts) < 4:
            texts += [event["text"] for event in (await socket.get()).get("events", [])]
        assert texts == [
            "device d created",
            "term d-t created",
            "1 item created",
            "1 term item created",
        ]
        point = {"device_id": "d", "term_id": "d-t", "item_id": "i", "value": 5}
        await rig.store.redis.delete(*[f"LEASE:{{p{n}}}" for n in range(16)])
        await rig.api.post("/api/v1/device_ctrl", point, 503)
        while True:
            message = await socket.get()
            if events := message.get("events"):
                break
        assert events[0]["kind"] == "control"
        assert events[0]["text"].startswith("d:d-t:i not set to 5: 503")


async def test_a_device_that_is_deleted_says_so(rig: LiveRig) -> None:
    await rig.plant()
    async with rig.socket() as socket:
        assert len((await socket.sub(topics=["devices"]))["devices"]) == 1
        await rig.api("DELETE", "/api/v1/devices/d", status=200)
        assert (await socket.get())["devices"] == [{"device_id": "d", "deleted": True}]


async def test_managers_that_come_and_go_are_events(rig: LiveRig, store: Store) -> None:
    leases = Leases(store, "host-1", 5)
    await leases.heartbeat()
    await leases.heartbeat()
    await leases.goodbye()
    await Leases(store, "host-2", 5).heartbeat()
    await leases.bury("host-2")
    log = await rig.api.get("/api/v2/log?kind=system")
    assert [(event["text"], event["severity"]) for event in log] == [
        ("device manager host-2 has died", "error"),
        ("device manager host-2 has started", "info"),
        ("device manager host-1 has stopped", "info"),
        ("device manager host-1 has started", "info"),
    ]


async def test_the_log_is_read_page_by_page(rig: LiveRig, store: Store) -> None:
    await rig.plant()
    await _link(store, (CONNECTED, None), (BACKOFF, "a"), (CONNECTED, None), (BACKOFF, "b"))
    whole = await rig.api.get("/api/v2/log")
    assert len(whole) == 7
    path, pages = "/api/v2/log?limit=2", []
    while path:
        answer = await rig.api("GET", path, status=200)
        pages += answer.json
        path = answer.headers.get("Link", "").partition(">")[0].removeprefix("<")
    assert pages == whole
    assert [event["kind"] for event in whole] == ["link"] * 3 + ["model"] * 4
    assert await rig.api.get("/api/v2/log?kind=link&device_id=x") == []
    assert len(await rig.api.get("/api/v2/log?kind=link&device_id=d")) == 3


async def test_the_overview_counts_what_is_not_as_it_should_be_worst_device_first(
    rig: LiveRig, store: Store
) -> None:
    await rig.plant("fine", ["a", "b"])
    await rig.plant("d", ["a", "b"])
    await rig.put("fine", a=1, b=2)
    await rig.put("d", a=1)
    writer = StatusWriter(store)
    writer.link("fine", Link(CONNECTED, 1_800_000_000.0))
    writer.link("d", Link(BACKOFF, 1_800_000_000.0, "no answer"))
    await writer.flush()
    time = "2027-01-15T08:00:00.000000Z"
    await Alarms(store).apply([Condition("d:d-t:a:high", "raise", time, "11", '"good"', "10", "high", "too high")])
    found = await rig.api.get("/api/v2/overview")
    assert found["totals"] == {
        "devices": 2,
        "devices_down": 1,
        "points": 3,
        "bad": 0,
        "stale": 0,
        "alarms_active": 1,
        "alarms_unacknowledged": 1,
        "alarms_by_priority": {"low": 0, "medium": 0, "high": 1, "critical": 0},
        "values_per_second": None,
    }
    worst, fine = found["devices"]
    assert (worst["device_id"], worst["worst_priority"], worst["link"]["state"]) == ("d", "high", "backoff")
    assert (fine["device_id"], fine["points"], fine["worst_priority"]) == ("fine", 2, None)
    assert [(one["name"], one["state"]) for one in found["health"]] == [("store", "ok"), ("manager", "ok")]


async def test_a_plugin_that_cannot_work_and_then_can_is_two_events(
    rig: LiveRig, store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(plugin_report, "PERIOD", 0.0)
    state = "starting"

    def said() -> PluginReport:
        counts = dict.fromkeys(("handled", "retries", "dead_lettered"), 0)
        return PluginReport(reported=0.0, host="h", pid=1, state=state, partitions=[], **counts)

    reporting = asyncio.create_task(plugin_report.PluginReporter(store, "db_saver", "runner", said).run())
    texts: list[str] = []
    async with rig.socket() as socket:
        await socket.sub(topics=["events"])
        for state in ("running", "the database is away", "running"):
            expected = 0 if not texts and state == "running" else len(texts) + 1
            while len(texts) < expected:
                texts += [event["text"] for event in (await socket.get()).get("events", [])]
    reporting.cancel()
    await asyncio.gather(reporting, return_exceptions=True)
    assert texts == ["plugin db_saver does not work: the database is away", "plugin db_saver works again"]
