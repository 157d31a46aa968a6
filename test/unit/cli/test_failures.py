"""How commands end when something goes wrong, and what their output does to a terminal or a pipe."""

from __future__ import annotations

import os
import re
import signal
import socket
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import msgspec
import pytest
from click.testing import CliRunner

from pydatacoll.api.app import create_app
from pydatacoll.cli import main
from pydatacoll.cli.failures import details_of
from pydatacoll.cli.text import cell, csv_cell, span, width
from pydatacoll.cli.tokens import hash_of
from pydatacoll.settings import AuthSettings, Settings, TokenSettings
from test.fakes_api import FakeBackend
from test.unit.cli.conftest import Run, Served, Stub

REFUSED = {
    "type": "/docs#problem-device-refused",
    "title": "The device refused",
    "status": 502,
    "detail": "exception 2",
}


@pytest.fixture
def guarded(backend: FakeBackend) -> Iterator[Served]:
    """A server that wants tokens."""
    tokens: Any = [
        TokenSettings(name=name, hash=hash_of(f"token-{name}"), scope=name) for name in ("read", "admin")
    ]
    backend.settings = msgspec.structs.replace(Settings(), auth=AuthSettings(tokens=tokens))
    served = Served(create_app(backend.services))
    yield served
    served.stop()


@pytest.mark.parametrize(
    ("status", "kind", "code"),
    [
        (502, "device-refused", 4),
        (503, "device-offline", 4),
        (504, "device-timeout", 4),
        (503, "store-unavailable", 3),
        (503, "store-refused", 3),
        (503, "no-manager", 3),
        (503, "not-ready", 3),
        (404, "not-found", 1),
        (409, "conflict", 1),
        (422, "invalid", 1),
        (429, "too-many", 1),
        (401, "unauthorized", 1),
        (403, "forbidden", 1),
        (500, "internal", 1),
    ],
)
def test_a_problem_has_an_exit_code(stub: Stub, status: int, kind: str, code: int) -> None:
    stub.json({"type": f"/docs#problem-{kind}", "title": "T", "status": status, "detail": "it is so"}, status)
    result = stub.run("ls")
    assert (result.exit_code, result.stdout) == (code, "")
    assert result.stderr.startswith("Error: it is so\n")


def test_field_errors_are_listed(stub: Stub) -> None:
    errors = [
        {"index": 0, "field": "ip", "message": "is bad"},
        {"index": 3, "field": "port", "message": "is \x1b[2Jbad"},
    ]
    stub.json({**REFUSED, "type": "/docs#problem-invalid", "status": 422, "errors": errors * 15}, 422)
    stderr = stub.run("ls").stderr.splitlines()
    assert stderr[1:3] == ["  ip: is bad", "  element 3, port: is \\x1b[2Jbad"]
    assert stderr[-1] == "  and 10 more"


@pytest.mark.parametrize(("status", "code"), [(502, 3), (504, 3), (503, 3), (404, 1), (200, 1)])
def test_a_proxy_or_another_service_is_no_device(stub: Stub, status: int, code: int) -> None:
    stub.answers.append((status, "text/html", b"<h1>Hello</h1>"))
    result = stub.run("ls")
    assert result.exit_code == code
    assert "PyDataColl" in result.stderr


def test_a_redirect_is_named_and_not_followed(stub: Stub) -> None:
    stub.headers["Location"] = "https://elsewhere.example/"
    stub.answers.append((308, "text/plain", b""))
    result = stub.run("--token", "pdc_secret", "ls")
    assert result.exit_code == 1
    assert "redirects to https://elsewhere.example/" in result.stderr
    assert len(stub.seen) == 1


def test_an_answer_that_breaks_off(stub: Stub, tmp_path: Path) -> None:
    stub.cut = True
    stub.answers.append((200, "application/json", b"[]"))
    assert stub.run("ls").exit_code == 3
    target = tmp_path / "model.json"
    target.write_text("old")
    result = stub.run("export", str(target))
    assert result.exit_code == 3
    assert "broke its answer off" in result.stderr
    assert target.read_text() == "old"
    assert os.listdir(tmp_path) == ["model.json"]


def test_a_server_that_is_not_there(stub: Stub) -> None:
    with socket.create_server(("127.0.0.1", 0)) as silent:  # accepts, and never answers
        port = silent.getsockname()[1]
        result = stub.run("--url", f"http://127.0.0.1:{port}", "--timeout", "0.05", "ls")
        assert result.exit_code == 3
        assert "no answer within 0.05 s" in result.stderr
        tls = stub.run("--url", stub.url.replace("http:", "https:"), "ls")
        assert tls.exit_code == 3
    gone = stub.run("--url", f"http://127.0.0.1:{port}", "ls")
    assert (gone.exit_code, gone.stdout) == (3, "")
    assert "Connection refused" in gone.stderr
    assert "pydatacoll serve" in gone.stderr


@pytest.mark.parametrize(
    "url", ["127.0.0.1:8080", "ftp://x", "http://", "http://u:p@x", "http://x:99999", "http://x:y"]
)
def test_a_url_that_is_none(stub: Stub, url: str) -> None:
    result = stub.run("--url", url, "ls")
    assert result.exit_code == 2
    assert url in result.stderr


def test_tokens(stub: Stub, guarded: Served, tmp_path: Path) -> None:
    missing = stub.run("--url", guarded.url, "ls")
    assert missing.exit_code == 1
    assert "PYDATACOLL_TOKEN" in missing.stderr
    wrong = stub.run("--url", guarded.url, "--token", "pdc_wrong", "ls")
    assert wrong.exit_code == 1
    assert "pdc_wrong" not in wrong.output
    file = tmp_path / "token"
    file.write_text("token-read\n")
    assert stub.run("ls", "--url", guarded.url, "--token-file", str(file)).exit_code == 0
    by_environment = {"PYDATACOLL_TOKEN": "token-read", "PYDATACOLL_URL": guarded.url}
    assert CliRunner().invoke(main, ["ls"], env=by_environment).exit_code == 0
    assert stub.run("--url", guarded.url, "ls", env={"PYDATACOLL_TOKEN_FILE": str(file)}).exit_code == 0
    low = stub.run("--url", guarded.url, "--token", "token-read", "probe", "modbus_tcp", "127.0.0.1")
    assert low.exit_code == 1
    assert "needs the scope" in low.stderr
    assert stub.seen == []


@pytest.mark.parametrize(
    ("mode", "warned"), [(0o600, False), (0o400, False), (0o640, True), (0o604, True), (0o644, True)]
)
def test_a_token_file_that_others_can_read(stub: Stub, tmp_path: Path, mode: int, warned: bool) -> None:
    stub.json([])
    file = tmp_path / "my token"
    file.write_text("pdc_secret\n")
    file.chmod(mode)
    result = stub.run("--token-file", str(file), "audit")
    assert result.exit_code == 0
    expected = f"Warning: others can read the access token in {file}: chmod go-r '{file}'\n" if warned else ""
    assert result.stderr == expected
    assert stub.seen[-1][2]["Authorization"] == "Bearer pdc_secret"
    assert stub.run("--token", "pdc_other", "--token-file", str(file), "audit").stderr == ""  # not read at all


@pytest.mark.parametrize("content", [b"", b"two words", b"caf\xc3\xa9", b"\xff", None])
def test_a_token_file_that_holds_none(stub: Stub, tmp_path: Path, content: bytes | None) -> None:
    file = tmp_path / "token"
    if content is not None:
        file.write_bytes(content)
    assert stub.run("--token-file", str(file), "ls").exit_code == 2


def test_a_connection_that_was_idle_is_made_again(stub: Stub) -> None:
    from pydatacoll.cli.client import Client

    stub.json([1])
    client = Client(stub.url)
    assert client.get("/a") == [1]
    assert client._connection is not None
    assert client._connection.sock is not None
    client._connection.sock.shutdown(socket.SHUT_RDWR)
    assert client.get("/b") == [1]
    client.close()


@pytest.mark.parametrize(
    ("arguments", "environment", "colours"),
    [
        ([], {}, True),
        (["--no-color"], {}, False),
        ([], {"NO_COLOR": "1"}, False),
        ([], {"NO_COLOR": ""}, True),
    ],
)
def test_colours_can_be_refused(
    run: Run, arguments: list[str], environment: dict[str, str], colours: bool
) -> None:
    result = run(*arguments, "ls", "-o", "table", color=True, env=environment)
    assert ("\x1b[" in result.stdout) == colours
    assert "no_manager" in result.stdout
    error = run(*arguments, "show", "device", "x", color=True, env=environment)
    assert ("\x1b[" in error.stderr) == colours
    assert "\x1b[" not in run("ls", "-o", "table").stdout  # no terminal, no colours


# As processes: what only the operating system shows


def command(*arguments: str, **more: Any) -> list[str]:
    return [sys.executable, "-m", "pydatacoll.cli", *arguments]


def test_a_pipe_that_is_closed_ends_it_quietly(plant: Served) -> None:
    process = subprocess.Popen(
        command("--url", plant.url, "tail", "*", "--all", "--interval", "0.05"),
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
    )
    assert process.stdout is not None
    assert process.stderr is not None
    process.stdout.readline()
    process.stdout.close()
    assert process.wait(20) == 0
    assert process.stderr.read() == b""
    process.stderr.close()


def test_ctrl_c_ends_it_with_130(plant: Served) -> None:
    # a shell that runs the tests in the background has them ignore the signal, and so their children
    heard = (
        "import os, signal, sys; signal.signal(signal.SIGINT, signal.SIG_DFL); os.execv(sys.argv[1], sys.argv[1:])"
    )
    line = [sys.executable, "-c", heard, *command("--url", plant.url, "tail", "*")]
    with subprocess.Popen(line, stdout=subprocess.PIPE, stderr=subprocess.PIPE) as process:
        assert process.stdout is not None
        process.stdout.readline()
        process.send_signal(signal.SIGINT)
        _, errors = process.communicate(timeout=20)
    assert (process.returncode, errors) == (130, b"")


def test_a_full_disk_is_an_error(plant: Served) -> None:
    with open("/dev/full", "wb") as full:
        done = subprocess.run(
            command("--url", plant.url, "ls"), stdout=full, stderr=subprocess.PIPE, check=False, timeout=20
        )
    assert done.returncode == 1
    assert b"No space left on device" in done.stderr
    assert b"Traceback" not in done.stderr


def test_help_of_no_command_imports_what_is_slow() -> None:
    script = (
        "import sys, click; from pydatacoll.cli import main\n"
        "def walk(command, path):\n"
        "    try: main([*path, '--help'], standalone_mode=False)\n"
        "    except click.exceptions.Exit: pass\n"
        "    for name in getattr(command, 'commands', ()): \n"
        "        if name != 'serve': walk(command.commands[name], [*path, name])\n"
        "walk(main, [])\n"
        "heavy = {'aiohttp', 'redis', 'pymodbus', 'asyncio', 'msgspec', 'rich', 'ssl', 'http.client', 'socket'}\n"
        "print('heavy:', sorted(heavy & set(sys.modules)))"
    )
    output = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True).stdout
    assert output.endswith("heavy: []\n")
    for name in ("doctor", "import", "tail"):
        assert f"Usage: pydatacoll {name}" in re.sub(r"Usage: \S+", "Usage: pydatacoll", output)


@pytest.mark.parametrize(
    ("value", "shown"),
    [
        (None, ""),
        (True, "true"),
        (1.5, "1.5"),
        (["a", "b"], "a b"),
        ({"a": [1]}, '{"a": [1]}'),
        ("a\n\tb", r"a\n\tb"),
    ],
)
def test_cells(value: Any, shown: str) -> None:
    assert cell(value) == shown


@pytest.mark.parametrize(
    ("value", "shown"),
    [("=A1", "'=A1"), ("+x", "'+x"), ("-5", "-5"), ("+1e3", "+1e3"), ("@x", "'@x"), (-5, "-5"), ("a=b", "a=b")],
)
def test_csv_cells(value: Any, shown: str) -> None:
    assert csv_cell(value) == shown


def test_widths_and_spans() -> None:
    assert [width(text) for text in ("abc", "\u7535\u538b", "e\u0301")] == [3, 4, 1]
    assert [span(n) for n in (0.25, 42, 600, 7300, 400_000, -3)] == [
        "250 ms",
        "42 s",
        "10 min",
        "2 h",
        "5 d",
        "-3 s",
    ]


def test_an_error_of_a_whole_row_names_no_column() -> None:
    error = {"row": 11, "column": "", "kind": "table", "key": "", "message": "the row has 19 cells, the header 18"}
    assert details_of({"errors": [error]}) == ["row 11, table: the row has 19 cells, the header 18"]
