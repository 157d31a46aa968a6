"""Alarms over REST: which are shown, what persons do with them, what is refused."""

from __future__ import annotations

import hashlib
from collections.abc import AsyncIterator
from typing import Any

import pytest

from pydatacoll.api.app import create_app
from pydatacoll.errors import StoreUnavailable
from pydatacoll.expression import rule_problem
from pydatacoll.model.alarm import Alarm, AlarmId, Transition
from pydatacoll.model.validation import Schemas
from pydatacoll.protocols.modbus_tcp import ModbusTcpDriver
from pydatacoll.settings import AuthSettings, Settings, TokenSettings
from pydatacoll.store.alarms import TransitionId
from test.api_client import Api, serve
from test.fakes_api import FakeAudit, FakeBackend

EARLY, LATE = "2026-11-21T09:00:00.000000Z", "2026-11-21T10:00:00.000000Z"
POINT = {"down_limit": 210, "up_limit": 240, "alarm_priority": "high", "warn_msg": "voltage"}
HIGH = AlarmId("feeder1", "main", "ua", "high")
PATH = f"/api/v2/alarms/{HIGH}"


def alarm(state: Any = "active_unacknowledged", **more: Any) -> Alarm:
    known = {
        "active": state.startswith("active"),
        "raised": EARLY,
        "time": EARLY,
        "value": "241.5",
        "limit": "240",
    }
    return Alarm(state=state, **{**known, "priority": "high", "message": "voltage", **more})


@pytest.fixture
def backend() -> FakeBackend:
    return FakeBackend(Schemas({"modbus_tcp": ModbusTcpDriver}, rule_problem=rule_problem))


@pytest.fixture
async def api(backend: FakeBackend) -> AsyncIterator[Api]:
    async with serve(create_app(backend.services)) as running:
        await plant(running)
        backend.audit.entries.clear()
        yield running


async def plant(api: Api, **headers: Any) -> None:
    for path, body in (
        ("devices", [{"id": f"feeder{n}", "name": "f", "protocol": "modbus_tcp"} for n in (1, 2)]),
        ("terms", [{"id": f"main{'' if n == 1 else n}", "name": "m", "device_id": f"feeder{n}"} for n in (1, 2)]),
        ("items", [{"id": "ua", "name": "U"}, {"id": "ub", "name": "U"}]),
        ("term_items", [
            {"term_id": "main", "item_id": "ua", "protocol_code": "hr:1", **POINT},
            {"term_id": "main", "item_id": "ub", "protocol_code": "hr:2"},
            {"term_id": "main2", "item_id": "ua", "protocol_code": "hr:1", **POINT},
        ]),
    ):  # fmt: skip
        await api("POST", f"/api/v2/{path}", body, headers=headers, status=200)


async def test_an_alarm_is_shown_as_it_is(api: Api, backend: FakeBackend) -> None:
    backend.alarms.alarms[HIGH] = alarm(quality='["time_invalid"]')
    assert await api.get("/api/v2/alarms") == [
        {
            "id": "feeder1:main:ua:high", "device_id": "feeder1", "term_id": "main", "item_id": "ua",
            "kind": "high", "state": "active_unacknowledged", "active": True, "priority": "high", "raised": EARLY,
            "time": EARLY, "value": 241.5, "quality": ["time_invalid"], "limit": 240, "warn_msg": "voltage",
            "user": "", "noted": None, "note": "", "until": None,
        }
    ]  # fmt: skip


async def test_the_most_urgent_and_newest_come_first(api: Api, backend: FakeBackend) -> None:
    backend.alarms.alarms = {
        HIGH: alarm(priority="low", raised=LATE),
        HIGH._replace(kind="low"): alarm(priority="critical"),
        HIGH._replace(kind="quality"): alarm(priority="low", raised=EARLY),
        HIGH._replace(kind="stale"): alarm(priority="medium"),
    }
    found = await api.get("/api/v2/alarms")
    assert [one["kind"] for one in found] == ["low", "stale", "high", "quality"]
    answer = await api("GET", "/api/v2/alarms?limit=2&offset=1")
    assert [one["kind"] for one in answer.json] == ["stale", "high"]
    assert answer.headers["X-Total-Count"] == "4"


@pytest.mark.parametrize(
    ("given", "expected"),
    [
        ("", {"high", "low", "rule", "stale"}),
        ("state=active", {"high", "low"}),
        ("state=unacknowledged", {"high", "rule"}),
        ("state=active_acknowledged", {"low"}),
        ("state=returned_unacknowledged", {"rule"}),
        ("state=shelved", {"stale"}),
        ("priority=critical", {"low"}),
        ("priority=critical,low", {"low", "rule"}),
        ("kind=high,stale", {"high", "stale"}),
        ("device_id=feeder2", {"stale"}),
        ("device_id=feeder1,feeder2&state=active", {"high", "low"}),
        ("device_id=nobody", set()),
    ],
)
async def test_alarms_can_be_chosen(api: Api, backend: FakeBackend, given: str, expected: set[str]) -> None:
    backend.alarms.alarms = {
        HIGH: alarm(),
        HIGH._replace(kind="low"): alarm("active_acknowledged", priority="critical"),
        HIGH._replace(kind="rule"): alarm("returned_unacknowledged", priority="low"),
        AlarmId("feeder2", "main2", "ua", "stale"): alarm("shelved", active=True),
        AlarmId("gone", "main", "ua", "high"): alarm(),
    }
    assert {one["kind"] for one in await api.get(f"/api/v2/alarms?{given}")} == expected


@pytest.mark.parametrize("bad", ["state=normal", "state=x", "priority=urgent", "kind=", "nonsense=1"])
async def test_a_choice_that_does_not_exist_is_refused(api: Api, bad: str) -> None:
    answer = await api("GET", f"/api/v2/alarms?{bad}", status=422)
    assert answer.fields == [(0, bad.partition("=")[0])]


async def test_an_alarm_is_acknowledged(api: Api, backend: FakeBackend) -> None:
    backend.alarms.alarms[HIGH] = alarm()
    found = await api.post(f"{PATH}/ack", {"note": "on my way"}, 200)
    assert (found["state"], found["note"]) == ("active_acknowledged", "on my way")
    assert backend.alarms.done == [("ack", HIGH, "", "on my way")]
    (entry,) = backend.entries
    assert (entry["action"], entry["object"], entry["result"]) == ("alarm.ack", str(HIGH), "ok")
    assert (entry["before"], entry["reason"], entry["devices"]) == (
        "active_unacknowledged",
        "on my way",
        ["feeder1"],
    )


async def test_an_alarm_that_is_over_is_normal_when_acknowledged(api: Api, backend: FakeBackend) -> None:
    backend.alarms.alarms[HIGH] = alarm("returned_unacknowledged")
    found = await api.post(f"{PATH}/ack", {}, 200)
    assert (found["state"], found["active"], found["value"]) == ("normal", False, 241.5)


async def test_an_alarm_is_shelved_for_some_time(api: Api, backend: FakeBackend) -> None:
    backend.alarms.alarms[HIGH] = alarm()
    found = await api.post(f"{PATH}/shelve", {"seconds": "3600", "note": "work"}, 200)
    assert (found["state"], found["active"]) == ("shelved", True)
    more = {"seconds": 3600.0, "limit": "240.0", "priority": "high", "message": "voltage"}
    assert backend.alarms.done == [("shelve", HIGH, "", "work", more)]
    assert (await api.post(f"{PATH}/unshelve", {}, 200))["state"] == "normal"


async def test_an_alarm_that_is_normal_can_be_shelved_but_not_acknowledged(api: Api, backend: FakeBackend) -> None:
    answer = await api("POST", f"{PATH}/ack", {}, status=409)
    assert answer.json["detail"] == "alarm feeder1:main:ua:high is normal"
    assert backend.entries == []
    await api.post(f"{PATH}/shelve", {"seconds": 60}, 200)


@pytest.mark.parametrize(
    ("alarm_id", "detail"),
    [
        ("feeder1:main:ua", "alarm_id not found! feeder1:main:ua"),
        ("feeder1:main:ua:wrong", "alarm_id not found! feeder1:main:ua:wrong"),
        ("nobody:main:ua:high", "device_id not found! nobody"),
        ("feeder1:main2:ua:high", "term_id not found! main2"),
        ("feeder1:main:uc:high", "item_id not found! uc"),
        ("feeder1:main:ub:high", "alarm_id not found! feeder1:main:ub:high: the point has no such alarm"),
        ("feeder1:main:ua:high_high", "alarm_id not found!"),
    ],
)
@pytest.mark.parametrize("what", ["ack", "shelve", "unshelve"])
async def test_an_alarm_that_cannot_be_is_not_found(api: Api, alarm_id: str, detail: str, what: str) -> None:
    body = {"seconds": 60} if what == "shelve" else {}
    answer = await api("POST", f"/api/v2/alarms/{alarm_id}/{what}", body, status=404)
    assert answer.json["detail"].startswith(detail)


@pytest.mark.parametrize(
    ("what", "body", "field"),
    [
        ("ack", {"note": 1.5}, "note"),
        ("ack", {"note": "x" * 1025}, "note"),
        ("ack", {"user": "ann"}, "user"),
        ("ack", [], "body"),
        ("shelve", {}, "seconds"),
        ("shelve", {"seconds": 0}, "seconds"),
        ("shelve", {"seconds": 1e9}, "seconds"),
        ("shelve", {"seconds": "soon"}, "seconds"),
    ],
)
async def test_a_bad_body_is_refused(api: Api, backend: FakeBackend, what: str, body: Any, field: str) -> None:
    backend.alarms.alarms[HIGH] = alarm()
    answer = await api("POST", f"{PATH}/{what}", body, status=422)
    assert answer.fields == [(0, field)]
    assert backend.alarms.done == []


async def test_what_is_not_possible_is_refused_and_not_noted(api: Api, backend: FakeBackend) -> None:
    backend.alarms.alarms[HIGH] = alarm("active_acknowledged")
    for what in ("ack", "unshelve"):
        answer = await api("POST", f"{PATH}/{what}", {}, status=409)
        assert answer.json["detail"] == "alarm feeder1:main:ua:high is active and acknowledged"
    assert backend.entries == backend.alarms.done == []


async def test_who_comes_second_is_told_and_it_is_noted(api: Api, backend: FakeBackend) -> None:
    backend.alarms.alarms[HIGH] = alarm()
    backend.alarms.refused = "active_acknowledged"
    answer = await api("POST", f"{PATH}/ack", {}, status=409)
    assert answer.json["detail"] == "alarm feeder1:main:ua:high is active and acknowledged"
    assert [entry["result"] for entry in backend.entries] == ["ok", f"409 {answer.json['detail']}"]


async def test_nothing_happens_that_cannot_be_noted(api: Api, backend: FakeBackend, monkeypatch: Any) -> None:
    backend.alarms.alarms[HIGH] = alarm()

    async def away(self: FakeAudit, entries: Any) -> None:
        raise StoreUnavailable("the store cannot be reached")

    monkeypatch.setattr(FakeAudit, "write", away)
    await api("POST", f"{PATH}/ack", {}, status=503)
    assert backend.alarms.done == []


def step(number: int, alarm_id: AlarmId = HIGH, event: Any = "raise", **more: Any) -> Any:
    known = {"value": "241.5", "limit": "240", "priority": "high", "message": "voltage", "time": EARLY}
    state: Any = "active_unacknowledged"
    return TransitionId(1000 + number, 0, 3), Transition(
        alarm=str(alarm_id), event=event, state=state, **known, **more
    )


async def test_what_happened_is_shown_in_pages(api: Api, backend: FakeBackend) -> None:
    backend.alarms.steps = [step(n, user="ann") for n in (3, 2, 1)]
    answer = await api("GET", "/api/v2/alarms/history?limit=2")
    assert answer.json[0] == {
        "id": "1003-0-3", "alarm": "feeder1:main:ua:high", "device_id": "feeder1", "term_id": "main",
        "item_id": "ua", "kind": "high", "event": "raise", "state": "active_unacknowledged", "time": EARLY,
        "value": 241.5, "quality": "good", "limit": 240, "priority": "high", "warn_msg": "voltage",
        "user": "ann", "note": "", "until": None,
    }  # fmt: skip
    assert answer.headers["Link"] == '</api/v2/alarms/history?limit=2&before=1002-0-3>; rel="next"'
    answer = await api("GET", "/api/v2/alarms/history?limit=2&before=1002-0-3")
    assert [one["id"] for one in answer.json] == ["1001-0-3"]
    assert "Link" not in answer.headers


@pytest.mark.parametrize(
    ("given", "expected"),
    [
        ("event=ack", ["2"]),
        ("event=ack,raise", ["1", "2", "3"]),
        ("device_id=gone", ["3"]),
        ("alarm=feeder1:main:ua:high", ["1"]),
        ("kind=low", ["2", "3"]),
        ("priority=low", []),
    ],
)
async def test_what_happened_can_be_chosen(
    api: Api, backend: FakeBackend, given: str, expected: list[str]
) -> None:
    low = HIGH._replace(kind="low")
    backend.alarms.steps = [step(1), step(2, low, "ack"), step(3, low._replace(device_id="gone"))]
    found = await api.get(f"/api/v2/alarms/history?{given}")
    assert [one["id"][3] for one in found] == expected


@pytest.mark.parametrize("bad", ["before=1", "since=yesterday", "limit=0", "event=x"])
async def test_a_bad_question_about_the_past_is_refused(api: Api, bad: str) -> None:
    await api("GET", f"/api/v2/alarms/history?{bad}", status=422)


def _token(name: str, scope: Any, *devices: str) -> TokenSettings:
    secret = hashlib.sha256(f"secret of {name}".encode()).hexdigest()
    return TokenSettings(name=name, hash=secret, scope=scope, devices=list(devices))


def _as(name: str) -> dict[str, str]:
    return {"Authorization": f"Bearer secret of {name}"}


async def test_a_token_acts_on_its_own_devices_and_by_its_name() -> None:
    tokens = [_token("root", "admin"), _token("reader", "read"), _token("ann", "operate", "feeder2")]
    backend = FakeBackend(Schemas({"modbus_tcp": ModbusTcpDriver}), Settings(auth=AuthSettings(tokens=tokens)))
    other = AlarmId("feeder2", "main2", "ua", "high")
    async with serve(create_app(backend.services)) as api:
        await plant(api, **_as("root"))
        backend.alarms.alarms = {HIGH: alarm(), other: alarm()}
        backend.alarms.steps = [step(1), step(2, other)]
        assert [one["id"] for one in (await api("GET", "/api/v2/alarms", headers=_as("ann"))).json] == [str(other)]
        past = (await api("GET", "/api/v2/alarms/history", headers=_as("ann"))).json
        assert [one["alarm"] for one in past] == [str(other)]
        await api("POST", f"{PATH}/ack", {}, headers=_as("ann"), status=404)
        await api("POST", f"{PATH}/ack", {}, headers=_as("reader"), status=403)
        await api("POST", f"/api/v2/alarms/{other}/ack", {}, headers=_as("ann"), status=200)
        assert backend.alarms.done == [("ack", other, "ann", "")]
        assert backend.entries[-1]["user"] == "ann"


@pytest.mark.parametrize(
    ("point", "fields"),
    [
        ({"down_limit": 10, "up_limit": 9}, ["down_limit"]),
        ({"up_limit": 10, "high_high": 9}, ["up_limit"]),
        ({"down_limit": 10, "low_low": 11}, ["low_low"]),
        ({"low_low": 10, "high_high": 9}, ["low_low"]),
        ({"low_low": 4, "down_limit": 3, "up_limit": 2, "high_high": 1}, ["low_low", "down_limit", "up_limit"]),
        ({"down_limit": 1, "up_limit": 2, "hysteresis": 1.5}, ["hysteresis"]),
        ({"hysteresis": -1}, ["hysteresis"]),
        ({"alarm_delay": -1}, ["alarm_delay"]),
        ({"alarm_priority": "urgent"}, ["alarm_priority"]),
        ({"up_limit": "NaN"}, ["up_limit"]),
        ({"quality_alarm": "perhaps"}, ["quality_alarm"]),
        ({"do_verify": "value >"}, ["do_verify"]),
        ({"do_verify": "volue > 1"}, ["do_verify"]),
        ({"do_verify": "__import__('os')"}, ["do_verify"]),
    ],
)
async def test_bad_settings_of_alarms_are_refused_by_name(api: Api, point: Any, fields: list[str]) -> None:
    body = [{"term_id": "main", "item_id": "ub", "protocol_code": "hr:2", **point}]
    answer = await api("POST", "/api/v2/term_items", body, status=422)
    assert [field for _, field in answer.fields] == fields


async def test_a_bad_rule_is_refused_with_its_place(api: Api) -> None:
    answer = await api("PATCH", "/api/v1/terms/main/items/ub", {"do_verify": "value > 1 and\nvalue <"},
                       headers={"Content-Type": "application/merge-patch+json"}, status=422)  # fmt: skip
    assert answer.json["errors"][0]["message"].startswith("line 2, column ")


async def test_settings_of_alarms_are_kept(api: Api) -> None:
    point = {"low_low": 1.0, "down_limit": 1.0, "up_limit": 5.0, "high_high": 6.0, "hysteresis": 4.0,
             "alarm_delay": 2.0, "alarm_priority": "critical", "quality_alarm": False,
             "do_verify": "abs(value - previous) < 3", "warn_msg": "level"}  # fmt: skip
    body = {"term_id": "main", "item_id": "ub", "protocol_code": "hr:2", **point}
    await api("PUT", "/api/v1/terms/main/items/ub", body, status=200)
    found = await api.get("/api/v1/terms/main/items/ub")
    assert {name: found[name] for name in point} == point
