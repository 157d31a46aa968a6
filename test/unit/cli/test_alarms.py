"""Alarms on the command line."""

from __future__ import annotations

import json
from typing import Any

import pytest
from msgspec.structs import replace

from pydatacoll.cli import alarms
from pydatacoll.model.alarm import Alarm, AlarmId
from test.fakes_api import FakeBackend
from test.unit.cli.conftest import Run, Served, Stub

HIGH = AlarmId("f1", "f1.main", "ua", "high")


@pytest.fixture
def limits(plant: Served, backend: FakeBackend, run: Run) -> FakeBackend:
    registry = backend.repository.registry
    registry.put_term_item(replace(registry.term_items["f1.main", "ua"], up_limit=240.0))
    backend.alarms.alarms[HIGH] = Alarm(
        state="active_unacknowledged", active=True, raised="2026-11-21T09:00:00.000000Z", value="241.5",
        limit="240.0", priority="critical", message="too high\x1b[2J",
    )  # fmt: skip
    return backend


def test_alarms_are_listed(limits: FakeBackend, run: Run) -> None:
    result = run("alarms", "ls", "-o", "table")
    assert result.exit_code == 0
    title, row = result.stdout.splitlines()
    assert title.split()[:3] == ["PRIORITY", "ALARM", "STATE"]
    assert row.split()[:3] == ["critical", "f1:f1.main:ua:high", "active_unacknowledged"]
    assert "\x1b" not in row
    assert json.loads(run("alarms", "ls", "--state", "active", "--priority", "critical").stdout)["id"] == str(HIGH)
    assert run("alarms", "ls", "--priority", "low", "--priority", "high").stdout == ""


def test_an_alarm_is_acknowledged(limits: FakeBackend, run: Run) -> None:
    result = run("alarms", "ack", str(HIGH), "--note", "on my way")
    assert (result.exit_code, json.loads(result.stdout)["state"]) == (0, "active_acknowledged")
    assert limits.alarms.done == [("ack", HIGH, "", "on my way")]


def test_what_is_refused_does_not_keep_the_others(limits: FakeBackend, run: Run) -> None:
    result = run("alarms", "ack", "f9:x:y:high", str(HIGH))
    assert result.exit_code != 0
    assert "f9:x:y:high" in result.stderr
    assert "device_id not found! f9" in result.stderr
    assert len(limits.alarms.done) == 1


@pytest.mark.parametrize(
    ("span", "seconds"), [("90", 90), ("90s", 90), ("30m", 1800), ("8h", 28800), ("2d", 172800)]
)
def test_an_alarm_is_shelved(limits: FakeBackend, run: Run, span: str, seconds: int) -> None:
    assert run("alarms", "shelve", str(HIGH), "--for", span).exit_code == 0
    assert limits.alarms.done[0][4]["seconds"] == seconds
    assert run("alarms", "unshelve", str(HIGH)).exit_code == 0


def test_a_span_that_is_none_is_refused(run: Run) -> None:
    result = run("alarms", "shelve", str(HIGH), "--for", "soon")
    assert (result.exit_code, "'soon' is not like 90s" in result.stderr) == (2, True)


def step(**more: Any) -> dict[str, Any]:
    return {
        "id": "1-0-0", "alarm": str(HIGH), **HIGH._asdict(), "event": "raise", "state": "active_unacknowledged",
        "time": "2026-11-21T09:00:00.000000Z", "value": 241.5, "quality": "good", "limit": 240.0,
        "priority": "high", "warn_msg": "too high", "user": "", "note": "", "until": None, **more,
    }  # fmt: skip


def test_the_past_is_shown_the_newest_last(stub: Stub) -> None:
    stub.json([step(event="ack", user="ann"), step()])
    result = stub.run("alarms", "history", "--device", "f1", "--until", "2026-11-21T10:00:00Z", "-o", "table")
    _, first, second = result.stdout.splitlines()
    assert ("raise" in first, "ack" in second, "ann" in second) == (True, True, True)
    assert stub.seen[0][1] == "/api/v2/alarms/history?until=2026-11-21T10%3A00%3A00Z&device_id=f1&limit=100"


def test_all_the_past_since_some_time_is_read_in_pages(stub: Stub, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(alarms, "_PAGE", 2)
    stub.json([step(id="5-0-0"), step(id="4-0-0")])
    stub.json([step(id="3-0-0"), step(id="2-0-0", value="last, first")])
    stub.json([step(id="1-0-0", value=None)])
    since = "2026-11-21T08:00:00Z"
    result = stub.run("-o", "csv", "alarms", "history", "--since", since, "--device-id", "f1")
    title, *lines = result.stdout.splitlines()
    assert (result.exit_code, title.split(",")[:2], result.stderr) == (0, ["id", "alarm"], "")
    assert [line.partition(",")[0] for line in lines] == ["1-0-0", "2-0-0", "3-0-0", "4-0-0", "5-0-0"]
    assert [path.partition("limit=")[2] for _, path, *_ in stub.seen] == ["2", "2&before=4-0-0", "2&before=2-0-0"]


def test_no_more_of_the_past_is_read_than_asked_for(stub: Stub, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(alarms, "_PAGE", 2)
    stub.json([step(id="5-0-0"), step(id="4-0-0")])
    stub.json([step(id="3-0-0")])
    result = stub.run("alarms", "history", "-n", "3", "-o", "json")
    assert [one["id"] for one in json.loads(result.stdout)] == ["3-0-0", "4-0-0", "5-0-0"]
    assert [path.partition("limit=")[2] for _, path, *_ in stub.seen] == ["2", "1&before=4-0-0"]


def test_who_may_miss_a_part_of_the_past_is_told(stub: Stub) -> None:
    stub.headers["X-Incomplete"] = "archive unavailable"
    stub.json([step()])
    result = stub.run("alarms", "history", "-o", "csv")
    assert (result.exit_code, len(result.stdout.splitlines())) == (0, 2)
    assert "the archive cannot be asked now" in result.stderr
