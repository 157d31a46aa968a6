"""Plugins on the command line."""

from __future__ import annotations

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
