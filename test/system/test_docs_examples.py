"""The documentation tells the truth: its commands are run, its examples are used as a reader would use them."""

from __future__ import annotations

import csv
import json
import re
import shutil
import subprocess
import sys
import time
import urllib.request
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from test.system.terminal import on_a_terminal
from test.system.tutorial import TUTORIAL, Processes, Runner, difference, matches, shape, steps

ROOT = Path(__file__).parents[2]
EXAMPLES = ROOT / "docs" / "examples"
PATIENCE = 30.0
"""Seconds until something that is about to happen must have happened."""


@pytest.fixture
def processes(tmp_path: Path) -> Iterator[Processes]:
    started = Processes(tmp_path)
    yield started
    started.stop()


def until(condition: Callable[[], Any]) -> Any:
    """Ask again and again until the answer is true."""
    deadline = time.monotonic() + PATIENCE
    while not (answer := condition()):
        assert time.monotonic() < deadline, "it did not happen in time"
    return answer


def request(url: str, body: Any = None) -> Any:
    """POST a body, or GET; the JSON of the answer."""
    data = None if body is None else json.dumps(body).encode()
    asked = urllib.request.Request(url, data, {"Content-Type": "application/json"})
    with urllib.request.urlopen(asked, timeout=PATIENCE) as answer:
        return json.load(answer)


def test_the_documentation_builds_without_a_warning(tmp_path: Path) -> None:
    """As ``make docs`` does."""
    output = tmp_path / "html"
    command = [sys.executable, "-m", "sphinx", "-W", "--keep-going", "-q", "-b", "html", ROOT / "docs", output]
    run = subprocess.run([*command, "-d", tmp_path / "trees"], capture_output=True, text=True, check=False)
    assert run.returncode == 0, run.stdout + run.stderr
    settings = (output / "reference" / "settings.html").read_text(encoding="utf-8")
    assert "manager.lease" in settings


# The tutorial


def test_the_tutorial_can_be_followed(tmp_path: Path) -> None:
    """Every command, in order. What reads is repeated until the values are there that the tutorial shows."""
    if shutil.which("curl") is None:
        pytest.fail("curl is not installed: run make test, or test/install_servers.sh")
    runner = Runner(tmp_path)
    try:
        followed = list(steps(TUTORIAL.read_text(encoding="utf-8")))
        assert len(followed) > 30
        for step in followed:
            deadline = time.monotonic() + PATIENCE
            wrong: str | None = "not run"
            while wrong:
                wrong = matches(step, runner.run(step), runner.processes)
                again = step.reads and time.monotonic() < deadline
                assert not wrong or again, f"{step.command}\n{wrong}"
    finally:
        runner.processes.stop()


def test_the_commands_of_the_readme_work(processes: Processes) -> None:
    taste = (ROOT / "README.rst").read_text(encoding="utf-8").partition("A taste\n")[2].partition("Every route")[0]
    commands = re.findall(r"^    (curl (?:.|\n)+?)(?=\n\n|\n    #|\n    curl)", taste, re.MULTILINE)
    assert len(commands) == 4
    started = processes.start("-m", "pydatacoll.api_server", "--port", "0", "--demo")
    processes.addresses["http://127.0.0.1:8080"] = started.rpartition(" ")[2]
    for command in commands:
        script = processes.here(command).replace("curl", "curl --fail --silent --show-error", 1)
        if " -d " in command:
            done = subprocess.run(["sh", "-c", script], capture_output=True, text=True, check=False)
            assert done.returncode == 0, f"{command}: {done.stderr}"
        else:
            # the devices of the demo plant and their first values come a moment after the start
            until(lambda script=script: json.loads(answer) if (answer := output_of(script)) else None)
    typed = re.findall(r"^    \.venv/bin/(pydatacoll .+)$", taste, re.MULTILINE)
    assert len(typed) == 4
    for command in typed:
        yes = " --yes" if " ctrl " in command else ""
        server = {"PYDATACOLL_URL": started.rpartition(" ")[2]}
        printed = on_a_terminal(command + yes, processes.folder, server)
        assert printed, command
        assert "Error" not in printed, command


def test_the_commands_of_the_command_line_work(processes: Processes) -> None:
    """On the demo plant, in the order of the page; without those that ask for what is not there."""
    page = (ROOT / "docs" / "howto" / "command_line.rst").read_text(encoding="utf-8")
    # what stands behind three blanks is a remark
    typed = [line.partition("   ")[0] for line in re.findall(r"^   (pydatacoll .+)$", page, re.MULTILINE)]
    typed = [line for line in typed if not re.search(r"10\.0\.0\.5|\| jq|--follow|csv_writer", line)]
    assert len(typed) > 12
    started = processes.start("-m", "pydatacoll.api_server", "--port", "0", "--demo")
    server = {"PYDATACOLL_URL": started.rpartition(" ")[2]}
    until(lambda: len(on_a_terminal("pydatacoll -o csv get '*'", processes.folder, server).splitlines()) > 30)
    for command in typed:
        more = {"ctrl": " --yes", "tail": " -n 1"}.get(command.split()[1], "")
        printed = on_a_terminal(command + more, processes.folder, server)
        assert printed or ">" in command, command
        assert not re.search("Error|Usage", printed), f"{command}\n{printed}"


def output_of(script: str) -> str:
    """What a script prints; nothing when it fails."""
    done = subprocess.run(["sh", "-c", script], capture_output=True, text=True, check=False)
    return done.stdout if done.returncode == 0 else ""


def test_a_difference_is_found() -> None:
    shown = shape({"time": "2026-11-21T10:06:28.543724Z", "value": 4.5, "quality": "good", "more": [{"a": True}]})
    same = shape({"time": "2027-01-01T00:00:00.000000Z", "value": 9, "quality": "good", "more": [{"a": True}]})
    assert difference(shown, same) is None
    for name, value in (("value", "4.5"), ("quality", ["invalid"]), ("more", []), ("more", [{"a": False}])):
        assert difference(shown, {**same, name: shape(value)}), name
    assert difference(shown, {"time": "TIME"})
    assert difference(shown, {**same, "surplus": 1})


# The examples


def test_the_example_driver_passes_the_conformance_suite(tmp_path: Path) -> None:
    """With the configuration that the how-to shows, in a folder of its own."""
    for name in (
        "line_driver.py",
        "line_device.py",
        "test_line_driver.py",
        "switch_counter.py",
        "test_switch_counter.py",
        "pytest.ini",
    ):
        shutil.copy(EXAMPLES / name, tmp_path)
    run = subprocess.run(
        [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", "-p", "no:valkey"],
        cwd=tmp_path,
        capture_output=True,
        text=True,
        check=False,
    )
    assert run.returncode == 0, run.stdout + run.stderr
    assert " passed" in run.stdout


def drop_in(folder: Path, *names: str) -> Path:
    """A folder of plug-ins as the how-to makes it, and the settings file that names it."""
    folder.mkdir(mode=0o755)
    for name in names:
        shutil.copy(EXAMPLES / name, folder)
        (folder / name).chmod(0o644)
    return folder


def test_the_example_driver_reads_and_writes(processes: Processes, tmp_path: Path) -> None:
    drivers = drop_in(tmp_path / "drivers", "line_driver.py")
    config = tmp_path / "pydatacoll.toml"
    config.write_text(f'plugin_dirs = ["{drivers}"]\n')
    line = processes.start(str(EXAMPLES / "line_device.py"), "0")
    started = processes.start("-m", "pydatacoll.api_server", "--port", "0", "--config", str(config))
    api = started.rpartition(" ")[2] + "/api"
    assert "line" in request(f"{api}/v1/device_protocols")
    request(
        f"{api}/v1/devices",
        {"id": "d", "name": "D", "protocol": "line", "port": int(line.rpartition(":")[2]), "timeout": 5},
    )
    request(f"{api}/v1/terms", {"id": "t", "name": "T", "device_id": "d"})
    request(f"{api}/v2/items", [{"id": name, "name": name} for name in ("power", "limit")])
    request(f"{api}/v1/terms/t/items", {"item_id": "power", "protocol_code": "power", "coefficient": 10})
    request(f"{api}/v1/terms/t/items", {"item_id": "limit", "protocol_code": "limit", "writable": True})

    values = until(lambda: len(found := request(f"{api}/v2/values?quality=good")) == 2 and found)
    assert [(one["item_id"], one["value"]) for one in values] == [("limit", 40.0), ("power", 125.0)]

    point = {"device_id": "d", "term_id": "t", "item_id": "limit"}
    assert request(f"{api}/v1/device_ctrl", {**point, "value": 55.5, "verify": True})["value"] == 55.5
    assert request(f"{api}/v1/device_call", point)["value"] == 55.5


def test_the_example_plugin_writes_the_data_stream(processes: Processes, tmp_path: Path) -> None:
    plugins = drop_in(tmp_path / "plugins", "csv_writer.py")
    config = tmp_path / "pydatacoll.toml"
    config.write_text(
        f'plugin_dirs = ["{plugins}"]\nplugins = ["csv_writer"]\ndata_dir = "data"\n\n'
        '[plugin.csv_writer]\nfile = "power.csv"\nitems = ["power"]\n'
    )
    simulator = processes.start("-m", "pydatacoll.cli", "simulate", "modbus", "--port", "0", "--signal", "fixed")
    started = processes.start("-m", "pydatacoll.api_server", "--port", "0", "--config", str(config))
    api = started.rpartition(" ")[2] + "/api"
    port = int(simulator.rpartition(":")[2])
    request(f"{api}/v1/devices", {"id": "m", "name": "M", "protocol": "modbus_tcp", "port": port})
    request(f"{api}/v1/terms", {"id": "t", "name": "T", "device_id": "m"})
    request(f"{api}/v2/items", [{"id": name, "name": name} for name in ("power", "other")])
    for item, code in (("power", "hr:100"), ("other", "hr:101")):
        request(f"{api}/v1/terms/t/items", {"item_id": item, "protocol_code": code, "poll_interval": 0.05})

    file = tmp_path / "data" / "power.csv"
    text = until(lambda: file.exists() and len((text := file.read_text()).splitlines()) > 2 and text)
    rows = list(csv.reader(text.splitlines()))
    assert {tuple(row[2:]) for row in rows} == {("m", "t", "power", "100")}
    assert len({row[0] for row in rows}) == len(rows), "one entry of the stream was written twice"
