"""Probing, frames and the audit trail."""

from __future__ import annotations

import json
from typing import Any

import pytest

from pydatacoll.cli import frames
from test.unit.cli.conftest import Run, Stub

PROBED = {
    "reachable": True,
    "seconds": 0.25,
    "error": None,
    "raw": "00ff",
    "sample": {"time": "2023-11-14T22:13:20.000000Z", "value": 255, "quality": "good"},
    "interpretations": [
        {"code_type": "uint16", "byte_order": "big", "word_order": None, "value": 255, "configured": True},
        {"code_type": "uint16", "byte_order": "little", "word_order": None, "value": 65280, "configured": False},
    ],
}


def sent(stub: Stub) -> Any:
    return json.loads(stub.seen[-1][3])


@pytest.mark.parametrize(
    ("arguments", "body"),
    [
        (
            ["modbus_tcp", "10.0.0.5:502"],
            {"device": {"protocol": "modbus_tcp", "ip": "10.0.0.5", "port": 502}},
        ),
        (
            ["modbus_tcp", "plc", "--term", "3", "--code", "hr:100", "--type", "float32", "--set", "timeout=2"],
            {
                "device": {"protocol": "modbus_tcp", "ip": "plc", "timeout": "2"},
                "term": {"address": 3},
                "point": {"protocol_code": "hr:100", "code_type": "float32"},
            },
        ),
        (["modbus_tcp", "[fe80::1]:502"], {"device": {"protocol": "modbus_tcp", "ip": "fe80::1", "port": 502}}),
        (["modbus_tcp", "fe80::1"], {"device": {"protocol": "modbus_tcp", "ip": "fe80::1"}}),
        (["--device", "f1", "--code", "hr:1"], {"device_id": "f1", "point": {"protocol_code": "hr:1"}}),
        (["--device", "f1"], {"device_id": "f1"}),
    ],
)
def test_what_a_probe_asks_for(stub: Stub, arguments: list[str], body: dict[str, Any]) -> None:
    stub.json(PROBED)
    result = stub.run("probe", *arguments)
    assert (sent(stub), json.loads(result.stdout), result.exit_code) == (body, PROBED, 0)


def test_a_probe_of_a_saved_point(stub: Stub) -> None:
    stub.json([{"device_id": "f1", "term_id": "t", "item_id": "i"}])
    stub.json({"term_id": "t", "item_id": "i", "protocol_code": "hr:5"})
    stub.json(PROBED)
    result = stub.run("probe", "f1:t:i", "-o", "table")
    assert sent(stub) == {"device_id": "f1", "point": {"term_id": "t", "item_id": "i", "protocol_code": "hr:5"}}
    assert [line.split() for line in result.stdout.splitlines()][1:] == [
        ["*", "uint16", "big", "255"],
        ["uint16", "little", "65280"],
    ]
    assert result.stderr == "Reachable within 250 ms.\nBytes read: 00ff\nAs configured: 255 (good)\n"


def test_a_device_that_cannot_be_reached(stub: Stub) -> None:
    gone = {"reachable": False, "error": "Connection refused", "raw": None, "sample": None, "interpretations": []}
    stub.json({**PROBED, **gone})
    result = stub.run("probe", "modbus_tcp", "10.0.0.5", "-o", "table")
    assert result.exit_code == 4
    assert "Not reachable" in result.stderr
    assert "Error: Connection refused" in result.stderr


@pytest.mark.parametrize(
    "arguments",
    [
        [],
        ["modbus_tcp"],
        ["a", "b", "c"],
        ["modbus_tcp", "x:99999"],
        ["--device", "f1", "modbus_tcp", "x"],
        ["--device", "f1", "--set", "a=b"],
        ["modbus_tcp", "x", "--set", "timeout"],
    ],
)
def test_wrong_usage_of_probe(stub: Stub, arguments: list[str]) -> None:
    assert stub.run("probe", *arguments).exit_code == 2
    assert stub.seen == []


def frame(number: int, direction: str = "sent") -> dict[str, Any]:
    return {
        "time": f"2023-11-14T22:13:{number:02}.000000Z",
        "direction": direction,
        "hex": "00",
        "text": f"frame {number}",
    }


def test_frames(stub: Stub) -> None:
    stub.json({"device_id": "f1", "size": 9, "frames": [frame(1), frame(2, "received"), frame(3, "note")]})
    result = stub.run("frames", "f1", "-n", "3", "-o", "table")
    assert stub.seen[-1][1] == "/api/v2/devices/f1/frames?limit=3"
    assert [line.split()[1:4] for line in result.stdout.splitlines()[1:]] == [
        [">", "frame", "1"],
        ["<", "frame", "2"],
        ["#", "frame", "3"],
    ]
    assert (result.exit_code, result.stderr) == (0, "")


def test_frames_that_are_not_kept(stub: Stub) -> None:
    stub.json({"device_id": "f1", "size": 0, "frames": []})
    result = stub.run("frames", "f1")
    assert (result.exit_code, result.stdout) == (0, "")
    assert '{"frame_log": 1000}' in result.stderr
    assert "manager.frame_log" in result.stderr


def test_frames_are_followed_without_repetition(stub: Stub, monkeypatch: pytest.MonkeyPatch) -> None:
    for numbers in ([1, 2], [1, 2, 3], [], [3, 4], [6, 7]):
        stub.json({"device_id": "f1", "size": 3, "frames": [frame(n) for n in numbers]})
    rounds = 0

    def sleep(_: float) -> None:
        nonlocal rounds
        rounds += 1
        if rounds == 5:
            raise KeyboardInterrupt

    monkeypatch.setattr(frames.time, "sleep", sleep)
    result = stub.run("frames", "f1", "--follow")
    texts = [json.loads(line)["text"] for line in result.stdout.splitlines()]
    assert texts == [f"frame {n}" for n in (1, 2, 3, 4, 6, 7)]
    assert result.exit_code == 130


def test_an_empty_audit_trail(run: Run) -> None:
    result = run("audit")
    assert (result.exit_code, result.stdout) == (0, "")
    table = run("audit", "-o", "table").stdout
    assert table.split() == ["TIME", "USER", "SOURCE", "ACTION", "OBJECT", "RESULT", "REASON", "CHANGE"]


def test_audit_passes_its_filters_on(stub: Stub) -> None:
    stub.json([])
    arguments = ["--user", "u", "--device", "d", "--action", "ctrl", "--object", "d:*", "--failed", "-n", "5"]
    assert stub.run("audit", *arguments, "--since", "2026-01-01T00:00:00Z").exit_code == 0
    path = stub.seen[-1][1]
    for part in (
        "user=u",
        "device_id=d",
        "action=ctrl",
        "object=d%3A%2A",
        "result=failed",
        "limit=5",
        "since=2026",
    ):
        assert part in path, part
    stub.run("audit", "--since", "2h")
    assert "T" in stub.seen[-1][1].partition("since=")[2]


def test_audit_of_a_change_names_the_fields(stub: Stub) -> None:
    entry = {
        "id": "1-0",
        "time": "2023-11-14T22:13:20.000000Z",
        "action": "device.update",
        "user": "admin",
        "source": "127.0.0.1",
        "object": "f1",
        "before": {"id": "f1", "port": 502},
        "after": {"id": "f1", "port": 503},
        "result": "ok",
        "devices": ["f1"],
    }
    stub.json([{**entry, "before": 1.5, "after": 2, "action": "ctrl"}, entry, {**entry, "counts": {"terms": 2}}])
    rows = stub.run("audit", "-o", "table").stdout.splitlines()[1:]
    assert [row.rpartition("  ")[2] for row in rows] == ['{"terms": 2}', "port: 502 -> 503", "1.5 -> 2"]


def test_audit_of_an_interrogation_tells_what_was_asked(stub: Stub) -> None:
    asked = {"group": 37, "freeze": "freeze_reset"}
    entry = {
        "time": "2026-11-21T09:00:00.000000Z",
        "action": "interrogate",
        "object": "rtu1",
        "before": None,
        "after": asked,
        "result": "ok",
    }
    stub.json([entry])
    (row,) = stub.run("audit", "-o", "table").stdout.splitlines()[1:]
    assert row.rstrip().endswith("group: 37, freeze: freeze_reset")


def test_audit_tells_reasons_and_parts(stub: Stub) -> None:
    entry = {
        "id": "1-0",
        "time": "2023-11-14T22:13:20.000000Z",
        "action": "import",
        "user": "admin",
        "source": "127.0.0.1",
        "object": "model",
        "before": None,
        "after": None,
        "result": "ok",
        "devices": [],
    }
    part = {**entry, "counts": {"items": {"created": 900}}, "part": 2, "parts": 2}
    stub.json([part, {**entry, "action": "ctrl", "before": 1, "after": 2, "reason": "night\x1b mode"}])
    control, imported = stub.run("audit", "-o", "table").stdout.splitlines()[1:]
    assert imported.endswith('  {"items": {"created": 900}} (part 2 of 2)')
    assert control.split("  ")[-2:] == ["night\\x1b mode", "1 -> 2"]
    assert json.loads(stub.run("audit", "-o", "jsonl").stdout.splitlines()[0])["reason"] == "night\x1b mode"


@pytest.mark.parametrize(
    "text", ["", "yesterday", "2x", "h", "-2h", "9999999w", "2026-13-01", "nan", "1e300", "2026-01-01T25:00"]
)
@pytest.mark.parametrize("option", ["--since", "--until"])
def test_a_time_that_is_none_is_wrong_usage(stub: Stub, option: str, text: str) -> None:
    result = stub.run("audit", option, text)
    assert (result.exit_code, stub.seen) == (2, [])
    assert f"Invalid value for '{option}'" in result.stderr


@pytest.mark.parametrize(
    ("text", "sent_as"),
    [
        ("2026-01-31", "2026-01-31"),
        ("1795300000", "1795300000"),
        ("2026-01-31T08:00:00+01:00", "2026-01-31T08%3A00%3A00%2B01%3A00"),
        ("999999w", "1970-01-01T00%3A00%3A00.000000Z"),
    ],
)
def test_times_that_audit_takes(stub: Stub, text: str, sent_as: str) -> None:
    stub.json([])
    assert stub.run("audit", "--since", text).exit_code == 0
    assert f"since={sent_as}&" in stub.seen[-1][1]
