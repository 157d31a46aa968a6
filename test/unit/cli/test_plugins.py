"""Plugins on the command line."""

from __future__ import annotations

import json
from typing import Any

from test.unit.cli.conftest import Stub


def plugin(name: str, **more: Any) -> dict[str, Any]:
    return {
        "name": name, "description": "", "enabled": True, "state": "running", "behind": 0.0, "lag": 0,
        "lag_entries": 0, "handled": 10, "retries": 0, "dead_lettered": 0, "dropped": 0, "runners": [], **more,
    }  # fmt: skip


def test_plugins_are_listed_with_what_is_wrong(stub: Stub) -> None:
    runners = [
        {"state": "running", "last_error": "long ago"},
        {"state": "waiting for what it needs", "last_error": "no data\x1bbase"},
    ]
    late = plugin(
        "late", state="waiting for what it needs", behind=75.0, lag=1234, dead_lettered=2, runners=runners
    )
    stub.json([late, plugin("fine")])
    result = stub.run("plugins", "-o", "table")
    assert result.exit_code == 0
    title, first, second = result.stdout.splitlines()
    assert title.split() == [
        "PLUGIN", "STATE", "RUNNERS", "BEHIND", "LAG", "HANDLED", "RETRIES", "DEAD", "DROPPED", "ERROR",
    ]  # fmt: skip
    assert first.split()[:1] == ["late"]
    assert "1234" in first
    assert first.endswith("no data\\x1bbase")
    assert second.split()[:3] == ["fine", "running", "0"]


def test_without_plugins_it_says_how_to_get_some(stub: Stub) -> None:
    stub.json([])
    result = stub.run("plugins")
    assert result.exit_code == 0
    assert "--plugins" in result.stderr


def test_what_is_held_for_a_plugin_that_is_not_enabled_is_told_with_the_remedy(stub: Stub) -> None:
    stub.json([plugin("old", enabled=False, state="not enabled", lag=1234), plugin("idle", state="not enabled")])
    result = stub.run("plugins")
    assert result.exit_code == 0
    assert result.stderr.count("Warning") == 1
    assert "1234 samples" in result.stderr
    assert "plugins forget old" in result.stderr


def test_a_plugin_is_forgotten_when_the_person_agrees(stub: Stub) -> None:
    stub.json([plugin("old", lag=12)])
    stub.json({"released": {"samples": 12, "entries": 3}})
    result = stub.run("plugins", "forget", "old", "--yes", "-o", "json")
    assert result.exit_code == 0
    assert json.loads(result.stdout) == [{"name": "old", "samples": 12, "entries": 3}]
    assert [request[:2] for request in stub.seen] == [
        ("GET", "/api/v2/plugins"),
        ("DELETE", "/api/v2/plugins/old"),
    ]


def test_without_an_answer_nothing_is_given_up(stub: Stub) -> None:
    stub.json([plugin("old", lag=12)])
    result = stub.run("plugins", "forget", "old")
    assert result.exit_code == 2
    assert "--yes" in result.stderr
    assert [request[0] for request in stub.seen] == ["GET"]


def test_a_plugin_that_is_in_use_is_not_forgotten(stub: Stub) -> None:
    stub.json([plugin("busy")])
    stub.json({"title": "Conflict", "status": 409, "detail": "plugin busy is in use: stop its runner first"}, 409)
    result = stub.run("plugins", "forget", "busy")
    assert result.exit_code != 0
    assert "stop its runner first" in result.stderr
