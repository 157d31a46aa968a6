"""Interrogation and what is discovered."""

from __future__ import annotations

import json
from typing import Any

import pytest

from pydatacoll.cli import session
from test.fakes_api import FakeBackend
from test.unit.cli.conftest import Run, Stub


def answer(*outcomes: str) -> dict[str, Any]:
    results = [
        {
            "term_id": f"bay{n}",
            "address": n,
            "outcome": outcome,
            "points": 12,
            "seconds": 0.25,
            "detail": "" if outcome == "terminated" else "cause 46",
        }
        for n, outcome in enumerate(outcomes)
    ]
    return {"device_id": "rtu1", "group": 20, "results": results}


FOUND = {
    "term_id": None,
    "address": 1,
    "protocol_code": "4001",
    "code_type": "M_ME_TF_1",
    "value": 230.5,
    "quality": ["invalid"],
    "time": "2023-11-14T22:13:20.000000Z",
    "cause": "spontaneous",
    "count": 3,
    "note": "",
}


@pytest.mark.parametrize(
    ("arguments", "body"),
    [
        ([], {"group": 20, "wait": 30.0}),
        (["--group", "21", "--term", "bay1", "--wait", "5"], {"group": 21, "term_id": "bay1", "wait": 5.0}),
        (["--group", "37", "--freeze", "freeze"], {"group": 37, "freeze": "freeze", "wait": 30.0}),
        (["--group", "37", "--freeze", "reset", "-y"], {"group": 37, "freeze": "reset", "wait": 30.0}),
    ],
)
def test_what_is_asked_for(stub: Stub, arguments: list[str], body: dict[str, Any]) -> None:
    stub.json(answer("terminated"))
    result = stub.run("interrogate", "rtu1", *arguments)
    method, path, _, sent = stub.seen[-1]
    assert (method, path, json.loads(sent)) == ("POST", "/api/v2/devices/rtu1/interrogate", body)
    assert (result.exit_code, json.loads(result.stdout)["points"]) == (0, 12)


def test_a_reset_of_counters_asks_first(stub: Stub, monkeypatch: pytest.MonkeyPatch) -> None:
    stub.json(answer("terminated"))
    arguments = ("interrogate", "rtu1", "--group", "37", "--freeze", "freeze_reset")
    assert stub.run(*arguments).exit_code == 2  # nobody can be asked
    monkeypatch.setattr(session, "interactive", lambda: True)
    result = stub.run(*arguments, input="n\n")
    assert "counters of all terms of rtu1 are set to zero" in result.stderr
    assert (result.exit_code, stub.seen) == (1, [])
    assert stub.run(*arguments, input="y\n").exit_code == 0


def test_terms_that_did_not_do_it_are_named(stub: Stub) -> None:
    stub.json(answer("terminated", "unknown_ca"))
    result = stub.run("interrogate", "rtu1", "-o", "table")
    assert result.exit_code == 4
    assert "Not complete: bay1" in result.stderr
    first, second = result.stdout.splitlines()[1:]
    assert first.split() == ["bay0", "0", "terminated", "12", "250", "ms"]
    assert second.split() == ["bay1", "1", "unknown_ca", "12", "250", "ms", "cause", "46"]


def test_when_no_term_did_it_the_reason_is_shown(stub: Stub) -> None:
    problem = {"type": "/docs#problem-device-timeout", "title": "t", "status": 504, "detail": "term bay: silence"}
    stub.json({**problem, "results": answer("no_confirmation")["results"]}, 504)
    result = stub.run("interrogate", "rtu1")
    assert (result.exit_code, result.stdout) == (4, "")
    assert "term bay: silence" in result.stderr


def test_what_a_protocol_cannot_do_is_refused(run: Run, backend: FakeBackend) -> None:
    result = run("interrogate", "f1")
    assert result.exit_code == 1
    assert "modbus_tcp cannot be interrogated" in result.stderr
    assert backend.commands.asked == []


def test_discovered_addresses_are_listed(stub: Stub) -> None:
    stub.json([FOUND, {**FOUND, "term_id": "bay1", "value": True}])
    result = stub.run("discovered", "rtu1", "-n", "7", "-o", "table")
    assert stub.seen[-1][1] == "/api/v2/devices/rtu1/discovered?limit=7"
    first, second = result.stdout.splitlines()[1:]
    assert first.split()[:5] == ["1", "4001", "M_ME_TF_1", "230.5", "invalid"]
    assert second.split()[:6] == ["bay1", "1", "4001", "M_ME_TF_1", "true", "invalid"]


def test_as_csv_they_are_the_table_for_the_import(stub: Stub) -> None:
    table = "device_id,term_id\r\nrtu1,bay1\r\n"
    stub.answers.append((200, "text/csv; charset=utf-8", table.encode()))
    result = stub.run("discovered", "rtu1", "-o", "csv")
    assert stub.seen[-1][2]["Accept"] == "text/csv"
    assert (result.exit_code, result.stdout_bytes) == (0, table.encode())
