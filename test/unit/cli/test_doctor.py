"""The doctor: finds what is wrong, and says what to do."""

from __future__ import annotations

import fcntl
import json
import os
import socket
from pathlib import Path
from typing import Any, NamedTuple

import pytest

from pydatacoll.cli import local
from test.unit.cli.conftest import Run, Stub

AWAY = "http://127.0.0.1:1"
TOKEN = {"name": "", "scope": "admin", "devices": [], "expires": None}


def checks(output: str) -> dict[str, str]:
    """Check -> status; the worst when there are several."""
    found: dict[str, str] = {}
    for line in output.splitlines():
        row = json.loads(line)
        assert set(row) == {"check", "status", "detail", "remedy"}
        assert row["status"] == "ok" or row["remedy"], row
        if found.get(row["check"]) != "failed":
            found[row["check"]] = row["status"]
    return found


@pytest.fixture(autouse=True)
def _somewhere(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)


def test_a_healthy_server(stub: Stub) -> None:
    stub.json({"status": "ok"})
    stub.json({**TOKEN, "time": "2999-01-01T00:00:00.000000Z"})
    stub.json({"checks": [{"check": "store", "status": "ok", "detail": "Valkey", "remedy": ""}]})
    result = stub.run("doctor")
    assert checks(result.stdout) == {"server": "ok", "token": "ok", "our clock": "warning", "store": "ok"}
    assert result.exit_code == 0


def test_what_the_server_finds_is_shown_with_its_remedy(stub: Stub) -> None:
    stub.json({"status": "ok"})
    stub.json(
        {**TOKEN, "name": "x", "expires": "2999-01-01T00:00:00.000000Z", "time": "2999-01-01T00:00:00.000000Z"}
    )
    finding = {
        "check": "devices",
        "status": "failed",
        "detail": "2 of 3 are \x1baway",
        "remedy": "look at their cables",
    }
    stub.json({"checks": [finding]})
    result = stub.run("doctor", "-o", "table")
    assert result.exit_code == 1
    last = result.stdout.splitlines()[-2:]
    assert last[0].split() == ["failed", "devices", "2", "of", "3", "are", "\\x1baway"]
    assert last[1].strip() == "look at their cables"


def test_a_token_that_is_refused(stub: Stub) -> None:
    stub.json({"status": "ok"})
    stub.json({"type": "/docs#problem-unauthorized", "status": 401, "detail": "a token is needed"}, 401)
    result = stub.run("doctor")
    assert checks(result.stdout) == {"server": "ok", "token": "failed"}
    assert result.exit_code == 1


def test_an_older_server_tells_less(run: Run, stub: Stub) -> None:
    stub.json({"status": "ok"})
    stub.json({**TOKEN, "time": "2999-01-01T00:00:00.000000Z"})
    stub.json({"type": "/docs#problem-no-route", "status": 404, "detail": "nothing"}, 404)
    stub.json({"type": "/docs#problem-not-ready", "status": 503, "detail": "no manager"}, 503)
    device = {"id": "d", "link": {"state": "backoff", "since": None, "last_error": "Connection refused"}}
    stub.json([device])
    assert checks(stub.run("doctor").stdout) == {
        "server": "ok",
        "token": "ok",
        "our clock": "warning",
        "readiness": "failed",
        "devices": "failed",
    }


def test_without_a_server_this_machine_is_looked_at(stub: Stub, tmp_path: Path) -> None:
    result = stub.run("--url", AWAY, "doctor", "--data-dir", str(tmp_path / "data"))
    found = checks(result.stdout)
    assert found["server"] == "failed"
    assert (found["settings"], found["data"]) == ("ok", "ok")
    assert result.exit_code == 1
    assert not (tmp_path / "data").exists()  # it only looks


def test_settings_in_error_are_named_with_their_line(stub: Stub, tmp_path: Path) -> None:
    file = tmp_path / "bad.toml"
    file.write_text("[server]\nprot = 8080\n")
    result = stub.run("--url", AWAY, "doctor", "--config", str(file))
    assert checks(result.stdout) == {"server": "failed", "settings": "failed"}
    assert "bad.toml:2: server.prot" in result.stdout


@pytest.mark.parametrize(("mode", "status"), [(0o700, "ok"), (0o755, "warning"), (0o777, "failed")])
def test_rights_of_the_data_directory(stub: Stub, tmp_path: Path, mode: int, status: str) -> None:
    data = tmp_path / "data"
    data.mkdir()
    data.chmod(mode)
    found = checks(stub.run("--url", AWAY, "doctor", "--data-dir", str(data)).stdout)
    assert (found["data"], found["process"]) == (status, "failed")


def test_a_data_directory_that_is_none(stub: Stub, tmp_path: Path) -> None:
    (tmp_path / "data").write_text("")
    assert (
        checks(stub.run("--url", AWAY, "doctor", "--data-dir", str(tmp_path / "data")).stdout)["data"] == "failed"
    )


def test_a_server_that_runs_elsewhere_is_found_by_its_lock(stub: Stub, tmp_path: Path) -> None:
    data = tmp_path / "data"
    data.mkdir(mode=0o700)
    (data / "lock").write_text("4711")
    with (data / "lock").open("r+") as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        output = stub.run("--url", AWAY, "doctor", "--data-dir", str(data)).stdout
        assert checks(output)["process"] == "failed"
        assert "process 4711 is running" in output
    assert "no server is running" in stub.run("--url", AWAY, "doctor", "--data-dir", str(data)).stdout
    assert (data / "lock").read_text() == "4711"


class Usage(NamedTuple):
    total: int
    used: int
    free: int


@pytest.mark.parametrize(("free", "status"), [(2**20, "failed"), (2**29, "warning"), (2**40, "ok")])
def test_free_disk_space(
    stub: Stub, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, free: int, status: str
) -> None:
    monkeypatch.setattr(local.shutil, "disk_usage", lambda _: Usage(2**41, 0, free))
    (tmp_path / "data").mkdir(mode=0o700)
    output = stub.run("--url", AWAY, "doctor", "--data-dir", str(tmp_path / "data")).stdout
    assert checks(output)["disk"] == status


def test_a_port_that_another_program_has(stub: Stub, monkeypatch: pytest.MonkeyPatch) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        monkeypatch.setenv("PYDATACOLL_SERVER__PORT", str(port))
        output = stub.run("--url", AWAY, "doctor").stdout
        assert checks(output)["port"] == "failed"
        assert f"127.0.0.1:{port} is taken by another program" in output
    monkeypatch.setenv("PYDATACOLL_SERVER__HOST", "192.0.2.1")
    monkeypatch.setenv("PYDATACOLL_SERVER__PORT", "1")
    assert checks(stub.run("--url", AWAY, "doctor").stdout)["port"] == "failed"


def test_a_store_that_is_away(stub: Stub, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PYDATACOLL_REDIS__URL", "redis://:hidden@127.0.0.1:1/0")
    output = stub.run("--url", AWAY, "doctor").stdout
    assert checks(output)["store"] == "failed"
    assert "hidden" not in output


def test_a_settings_file_that_others_may_write_to(stub: Stub, tmp_path: Path) -> None:
    file = tmp_path / "settings.toml"
    file.write_text("")
    file.chmod(0o666)
    assert checks(stub.run("--url", AWAY, "doctor", "--config", str(file)).stdout)["settings"] == "failed"
    file.chmod(0o600)
    assert checks(stub.run("--url", AWAY, "doctor", "--config", str(file)).stdout)["settings"] == "ok"


def test_the_variables_of_a_client_are_no_settings(stub: Stub, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PYDATACOLL_URL", AWAY)
    monkeypatch.setenv("PYDATACOLL_TOKEN", "x")
    assert checks(stub.run("--url", AWAY, "doctor").stdout)["settings"] == "ok"
    assert os.environ["PYDATACOLL_URL"] == AWAY


def test_data_of_a_check(stub: Stub) -> None:
    rows: list[Any] = json.loads(stub.run("--url", AWAY, "doctor", "-o", "json").stdout)
    assert rows[0]["check"] == "server"
    assert rows[0]["remedy"]
