"""Listing and reading: what is shown, in every form."""

from __future__ import annotations

import csv
import io
import json
from typing import Any

import pytest

from pydatacoll import errors
from pydatacoll.cli.client import Client
from pydatacoll.model import PointId, Sample
from pydatacoll.store.status import Link
from test.fakes_api import FakeBackend
from test.unit.cli.conftest import T0, Run, Served


def lines(text: str) -> list[Any]:
    return [json.loads(line) for line in text.splitlines()]


def test_devices_are_listed_with_their_links(run: Run, backend: FakeBackend) -> None:
    backend.status.known["f1"] = Link("connected", T0)
    backend.status.known["f2"] = Link("backoff", T0, "Connection refused")
    result = run("ls", "-o", "table")
    head, *rows = result.stdout.splitlines()
    assert head.split() == ["ID", "NAME", "PROTOCOL", "ADDRESS", "LINK", "SINCE", "LAST", "ERROR"]
    assert [row.split("  ")[0] for row in rows] == ["f1", "f2"]
    assert "connected" in rows[0]
    assert rows[1].endswith("Connection refused")
    assert result.exit_code == 0


@pytest.mark.parametrize(
    ("arguments", "ids"),
    [
        (["ls"], ["f1", "f2"]),
        (["ls", "devices", "*2"], ["f2"]),
        (["ls", "devices", "nothing"], []),
        (["ls", "terms", "f1.*"], ["f1.main"]),
        (["ls", "items"], ["set", "ua"]),
        (["ls", "formulas"], []),
    ],
)
def test_a_pipe_gets_whole_objects_as_json_lines(run: Run, arguments: list[str], ids: list[str]) -> None:
    result = run(*arguments)
    assert [one["id"] for one in lines(result.stdout)] == ids
    assert (result.exit_code, result.stderr) == (0, "")


@pytest.mark.parametrize("kind", ["points", "term_items"])
def test_points_are_listed_by_pattern(run: Run, kind: str) -> None:
    rows = json.loads(run("-o", "json", "ls", kind, "f1").stdout)
    assert [(row["item_id"], row["unit"], row["writable"]) for row in rows] == [
        ("set", "kW", True),
        ("ua", "V", False),
    ]
    table = run("ls", kind, "*:*:ua", "-o", "table").stdout.splitlines()
    assert [row.split()[0] for row in table] == ["POINT", "f1:f1.main:ua", "f2:f2.main:ua"]


def test_latest_values(run: Run) -> None:
    result = run("get", "*:*:ua", "-o", "table")
    assert [row.split()[:3] for row in result.stdout.splitlines()] == [
        ["POINT", "VALUE", "UNIT"],
        ["f1:f1.main:ua", "230.5", "V"],
        ["f2:f2.main:ua", "0.0", "V"],
    ]
    assert result.stdout.splitlines()[2].endswith("comm_lost stale")
    assert lines(run("get", "f1:f1.main:ua").stdout) == [
        {
            "device_id": "f1",
            "term_id": "f1.main",
            "item_id": "ua",
            "time": "2023-11-14T22:13:20.000000Z",
            "value": 230.5,
            "quality": "good",
            "unit": "V",
        }
    ]
    assert [row["device_id"] for row in lines(run("get", "*", "--quality", "bad").stdout)] == ["f2"]


def test_a_point_without_a_value_is_named(run: Run) -> None:
    result = run("get", "f1")
    assert len(lines(result.stdout)) == 1
    assert result.stderr == "No value yet: f1:f1.main:set\n"
    assert result.exit_code == 0


@pytest.mark.parametrize("command", ["get", "call", "tail"])
@pytest.mark.parametrize("points", [["f9:x:y"], ["f1:*:ua", "nobody"], ["f1:f1.main:u"]])
def test_what_matches_nothing_is_an_error(run: Run, command: str, points: list[str]) -> None:
    result = run(command, *points)
    assert (result.exit_code, result.stdout) == (1, "")
    assert f"no point matches {points[-1]}\n" in result.stderr
    assert "pydatacoll ls points" in result.stderr


@pytest.mark.parametrize("point", ["a:b:c:d", "a b", "", "a::b"])
def test_what_is_no_pattern_is_wrong_usage(run: Run, point: str) -> None:
    result = run("get", point)
    assert result.exit_code == 2
    assert "DEVICE:TERM:ITEM" in result.stderr


def test_many_points_are_asked_for_in_requests_that_fit(run: Run) -> None:
    many = ["f1:f1.main:ua", "f2:f2.main:ua"] * 60
    assert len(lines(run("get", *many).stdout)) == 2


def test_csv_has_a_header_and_no_formulas(run: Run, backend: FakeBackend, plant: Served) -> None:
    client = Client(plant.url)
    client.post("/api/v2/devices", [{"id": "x", "name": "=1+1", "protocol": "modbus_tcp", "description": 'a,"b"'}])
    client.close()
    rows = list(csv.DictReader(io.StringIO(run("ls", "devices", "x", "-o", "csv").stdout)))
    assert [(row["id"], row["name"], row["description"], row["link.state"]) for row in rows] == [
        ("x", "'=1+1", 'a,"b"', "no_manager")
    ]
    backend.history.samples[PointId("f1", "f1.main", "ua")] = [Sample(T0, -5)]
    rows = list(csv.DictReader(io.StringIO(run("get", "*:*:ua", "-o", "csv").stdout)))
    assert [(row["value"], row["quality"]) for row in rows] == [("-5", "good"), ("0.0", "comm_lost stale")]


def test_nothing_in_a_name_acts_on_the_terminal(run: Run, plant: Served) -> None:
    client = Client(plant.url)
    name = "evil\u009b2J \u202ename\u7535\u538b"
    client.post("/api/v2/devices", [{"id": "x", "name": name, "protocol": "modbus_tcp"}])
    client.close()
    for form in ("table", "json", "jsonl", "csv"):
        output = run("ls", "devices", "x", "-o", form).stdout
        assert not any(char in output for char in "\x1b\u009b\u202e"), form
        assert "\u7535\u538b" in output
    assert lines(run("ls", "devices", "x").stdout)[0]["name"] == name


def test_an_object_is_shown_whole(run: Run) -> None:
    assert json.loads(run("show", "device", "f1", "-o", "json").stdout)["name"] == "Feeder 1"
    assert lines(run("show", "point", "f1:f1.main:set").stdout)[0]["coefficient"] == 0.1
    assert lines(run("show", "status", "f1").stdout)[0]["status"] == "off"
    table = run("show", "item", "ua", "-o", "table").stdout
    assert ["unit", "V"] in [row.split() for row in table.splitlines()]
    missing = run("show", "term", "nobody")
    assert (missing.exit_code, missing.stdout) == (1, "")
    assert missing.stderr == "Error: term_id not found! nobody\n"
    assert run("show", "point", "f1").exit_code == 2


def test_a_call_reads_from_the_devices(run: Run, backend: FakeBackend) -> None:
    result = run("call", "*:*:ua")
    assert [(row["device_id"], row["value"], row["unit"]) for row in lines(result.stdout)] == [
        ("f1", 42, "V"),
        ("f2", 42, "V"),
    ]
    assert [kind for kind, _ in backend.commands.taken] == ["call", "call"]


@pytest.mark.parametrize(
    ("outcome", "code"),
    [
        (errors.DeviceRefused("exception 2: illegal data address"), 4),
        (errors.DeviceOffline("no connection"), 4),
        (errors.DeviceTimeout("no answer within 3 s"), 4),
        (errors.NoManager("no device manager runs"), 3),
        (errors.StoreUnavailable("the store is away"), 3),
    ],
)
def test_what_a_device_did_not_answer(
    run: Run, backend: FakeBackend, outcome: errors.PyDataCollError, code: int
) -> None:
    backend.commands.outcome = outcome
    result = run("call", "f1:f1.main:ua")
    assert (result.exit_code, result.stdout) == (code, "")
    assert f"f1:f1.main:ua: {outcome}" in result.stderr


def test_one_failure_does_not_hide_the_others(run: Run, plant: Served) -> None:
    client = Client(plant.url)
    client.request(
        "PATCH", "/api/v1/devices/f2", body=b'{"enabled": false}', headers={"Content-Type": "application/json"}
    )
    client.close()
    result = run("call", "*:*:ua")
    assert [row["device_id"] for row in lines(result.stdout)] == ["f1"]
    assert "f2:f2.main:ua: device f2 is disabled" in result.stderr
    assert result.exit_code == 1


def test_tail_shows_present_values_and_then_changes(
    run: Run, backend: FakeBackend, monkeypatch: pytest.MonkeyPatch
) -> None:
    from pydatacoll.cli import tail

    history = backend.history.samples
    point = PointId("f1", "f1.main", "ua")
    steps = iter([[], [Sample(T0 + 2, 231.0)], [], [Sample(T0 + 2, 231.0, 1)]])

    def sleep(_: float) -> None:
        history[point] = next(steps) or history[point]

    monkeypatch.setattr(tail.time, "sleep", sleep)
    result = run("tail", "f1", "-n", "3")
    assert [(row["value"], row["quality"], row["unit"]) for row in lines(result.stdout)] == [
        (230.5, "good", "V"),
        (231.0, "good", "V"),
        (231.0, ["invalid"], "V"),
    ]
    everything = run("tail", "*:*:ua", "--all", "-n", "2", "-o", "csv").stdout
    assert len(everything.splitlines()) == 3
    assert run("tail", "*:*:ua", "-n", "2", "-o", "table").stdout.splitlines()[1].endswith("comm_lost stale")


def test_tail_survives_a_restart_of_the_server(
    run: Run, plant: Served, backend: FakeBackend, monkeypatch: pytest.MonkeyPatch
) -> None:
    from pydatacoll.api.app import create_app
    from pydatacoll.cli import tail

    again: list[Served] = []
    polls = 0

    def sleep(_: float) -> None:
        nonlocal polls
        polls += 1
        if polls == 1:
            plant.stop()
        elif polls == 3:
            backend.history.samples[PointId("f1", "f1.main", "ua")] = [Sample(T0 + 5, 1)]
            again.append(Served(create_app(backend.services), plant.port))

    monkeypatch.setattr(tail.time, "sleep", sleep)
    try:
        result = run("tail", "f1", "-n", "2")
    finally:
        for served in again:
            served.stop()
    assert [row["value"] for row in lines(result.stdout)] == [230.5, 1]
    assert result.stderr.splitlines() == [
        f"cannot reach {plant.url}: Connection refused; trying again until it is back",
        f"{plant.url} answers again",
    ]
    assert result.exit_code == 0


def test_tail_of_a_server_that_was_never_there(run: Run) -> None:
    assert run("--url", "http://127.0.0.1:1", "tail", "f1").exit_code == 3
