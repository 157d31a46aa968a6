"""Writing a point: asks first, never writes twice, says what is not known."""

from __future__ import annotations

import json

import pytest

from pydatacoll import errors
from pydatacoll.cli import control, session
from test.fakes_api import FakeBackend
from test.unit.cli.conftest import Run, Stub

POINT = "f1:f1.main:set"


@pytest.fixture
def terminal(monkeypatch: pytest.MonkeyPatch) -> None:
    """Somebody can be asked."""
    monkeypatch.setattr(session, "interactive", lambda: True)
    monkeypatch.setattr(control, "interactive", lambda: True)


def test_with_yes_it_is_written(run: Run, backend: FakeBackend) -> None:
    result = run(
        "ctrl", POINT, "42.5", "--yes", "--reason", "test", "--expires-in", "5", "--verify", "--mode", "direct"
    )
    row = json.loads(result.stdout)
    assert (row["value"], row["unit"], row["command_id"]) == (42.5, "kW", "c1")
    ((kind, request),) = backend.commands.taken
    assert (kind, request.value, request.reason, request.expires_in) == ("ctrl", 42.5, "test", 5)
    assert (request.verify, request.mode) == (True, "direct")
    assert len(request.idempotency_key or "") == 32
    assert (result.exit_code, result.stderr) == (0, "")


def test_a_value_may_be_negative(run: Run, backend: FakeBackend) -> None:
    assert run("ctrl", POINT, "-5", "--yes").exit_code == 0
    assert backend.commands.taken[0][1].value == -5


@pytest.mark.usefixtures("terminal")
def test_it_asks_and_shows_what_would_change(run: Run, backend: FakeBackend) -> None:
    result = run("ctrl", POINT, "120", input="y\n")
    assert result.exit_code == 0
    for text in ("Setpoint", "no value yet", "120 kW", "int16, -3276.8 to 3276.7", "limits to 100", "OUTSIDE"):
        assert text in result.stderr, text
    assert "Write it? [y/N]" in result.stderr
    assert json.loads(result.stdout)["value"] == 120
    assert len(backend.commands.taken) == 1


@pytest.mark.usefixtures("terminal")
@pytest.mark.parametrize("answer", ["n\n", "\n", ""])
def test_without_agreement_nothing_is_written(run: Run, backend: FakeBackend, answer: str) -> None:
    result = run("ctrl", POINT, "1", input=answer)
    assert (result.exit_code, result.stdout) == (1, "")
    assert backend.commands.taken == []


def test_without_a_terminal_it_refuses(run: Run, backend: FakeBackend) -> None:
    result = run("ctrl", POINT, "1", input="y\n")
    assert (result.exit_code, result.stdout) == (2, "")
    assert "give --yes" in result.stderr
    assert backend.commands.taken == []


@pytest.mark.parametrize("point", ["f1", "f1:*:set", "f1:f1.main", "a:b:c:d"])
def test_it_takes_one_point_only(run: Run, point: str) -> None:
    assert run("ctrl", point, "1", "--yes").exit_code == 2


def test_a_point_that_is_not_writable(run: Run, backend: FakeBackend) -> None:
    result = run("ctrl", "f1:f1.main:ua", "1", "--yes")
    assert result.exit_code == 1
    assert "f1:f1.main:ua is not writable" in result.stderr
    assert backend.commands.taken == []


def test_a_value_that_the_point_cannot_take(run: Run) -> None:
    result = run("ctrl", POINT, "much", "--yes")
    assert result.exit_code == 1
    assert "Error: value: " in result.stderr


def test_how_it_was_confirmed_is_shown(run: Run, backend: FakeBackend) -> None:
    assert "OUTCOME" not in run("-o", "table", "ctrl", POINT, "1", "--yes").stdout
    backend.commands.word = "confirmed"
    assert json.loads(run("ctrl", POINT, "1", "--yes").stdout)["outcome"] == "confirmed"
    table = run("-o", "table", "ctrl", POINT, "1", "--yes").stdout.splitlines()
    assert table[0].endswith("OUTCOME")
    assert table[1].endswith("confirmed")


def test_why_it_failed_is_shown(run: Run, backend: FakeBackend) -> None:
    backend.commands.outcome = errors.DeviceTimeout("select not confirmed within 10 s", outcome="select_timeout")
    result = run("ctrl", POINT, "1", "--yes")
    assert result.exit_code == 4
    assert "select not confirmed within 10 s\n  outcome: select_timeout" in result.stderr


def test_a_device_that_refuses(run: Run, backend: FakeBackend) -> None:
    backend.commands.outcome = errors.DeviceRefused("exception 3: illegal data value")
    result = run("ctrl", POINT, "1", "--yes")
    assert result.exit_code == 4
    assert "exception 3" in result.stderr


def test_without_a_manager_nothing_was_written(run: Run, backend: FakeBackend) -> None:
    backend.commands.outcome = errors.NoManager("no device manager is running for device f1")
    result = run("ctrl", POINT, "1", "--yes")
    assert result.exit_code == 3
    assert "not known" not in result.stderr
    assert "Remedy: start the server with a manager" in result.stderr


def test_a_lost_answer_names_the_key_to_repeat_it_with(stub: Stub) -> None:
    point = {"device_id": "a", "term_id": "b", "item_id": "c", "writable": True, "unit": ""}
    stub.json([point])
    stub.answers.append((502, "text/html", b"<h1>Bad gateway</h1>"))
    result = stub.run("ctrl", "a:b:c", "1", "--yes", "--key", "k1")
    assert result.exit_code == 3
    assert "Whether it was written is not known." in result.stderr
    assert "--key k1" in result.stderr
    assert stub.seen[-1][2]["Idempotency-Key"] == "k1"
