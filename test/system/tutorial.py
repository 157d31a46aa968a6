"""Reads and runs the commands of the tutorial."""

from __future__ import annotations

import json
import re
import signal
import subprocess
import sys
import textwrap
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

ROOT = Path(__file__).parents[2]
TUTORIAL = ROOT / "docs" / "tutorial.rst"
_BLOCK = re.compile(r"^\.\. code-block:: console\n\n((?:   .*\n|\n)+)", re.MULTILINE)
_TIME = re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{6}Z")
VARYING = frozenset({"command_id", "manager", "partition"})
"""Texts and numbers that are different in every run."""
LIVE = frozenset({"status", "link"})
"""Members of a new device that show how far its connection is at this moment."""
OPEN = frozenset({"counters"})
"""Objects that may have more members than the tutorial shows."""


@dataclass
class Step:
    """A command, and what the tutorial says it prints."""

    command: str
    lines: list[str] = field(default_factory=list)

    @property
    def output(self) -> str:
        return "\n".join(self.lines)

    @property
    def reads(self) -> bool:
        """Whether the command changes nothing, so that it may be repeated."""
        asks = "/device_call" in self.command or not (" -d " in self.command or " -X " in self.command)
        return self.command.startswith("curl") and asks


def steps(text: str) -> Iterator[Step]:
    """All commands of the tutorial, in order. A backslash at the end continues a command."""
    for block in _BLOCK.findall(text):
        step: Step | None = None
        for line in textwrap.dedent(block).strip("\n").split("\n"):
            if line.startswith("$ "):
                if step is not None:
                    yield step
                step = Step(line[2:])
            elif step is None:
                raise ValueError(f"output without a command: {line}")
            elif step.command.endswith("\\"):
                step.command += f"\n{line}"
            else:
                step.lines.append(line)
        if step is not None:
            yield step


def shape(value: Any, name: str = "") -> Any:
    """What must be the same in every run: names, texts, booleans; of times and numbers only their kind."""
    if isinstance(value, dict):
        return {
            _TIME.sub("TIME", key): ... if key in VARYING else shape(inner, key) for key, inner in value.items()
        }
    if isinstance(value, list):
        return [shape(inner) for inner in value]
    if isinstance(value, str):
        return _TIME.sub("TIME", value)
    return "NUMBER" if isinstance(value, (int, float)) and not isinstance(value, bool) else value


def difference(expected: Any, actual: Any, place: str = "") -> str | None:
    """The first place where two shapes differ."""
    if isinstance(expected, dict) and isinstance(actual, dict):
        surplus = set() if place.rpartition(".")[2] in OPEN else actual.keys() - expected.keys()
        if surplus or expected.keys() - actual.keys():
            return f"{place}: {sorted(actual)} instead of {sorted(expected)}"
        found = (difference(inner, actual[key], f"{place}.{key}") for key, inner in expected.items())
        return next((one for one in found if one), None)
    if isinstance(expected, list) and isinstance(actual, list) and len(expected) == len(actual):
        found = (difference(one, other, f"{place}[]") for one, other in zip(expected, actual, strict=True))
        return next((one for one in found if one), None)
    return None if expected == actual else f"{place}: {actual!r} instead of {expected!r}"


def _heed_ctrl_c() -> None:
    """When the tests run in the background of a shell, Ctrl+C is ignored there, and that is inherited."""
    signal.signal(signal.SIGINT, signal.SIG_DFL)


class Processes:
    """What the tutorial starts in other terminals, on free ports."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.log = folder / "stderr.txt"
        self._running: list[subprocess.Popen[str]] = []
        self.addresses: dict[str, str] = {}
        """Address in the tutorial -> the one it has here."""

    def start(self, *arguments: str) -> str:
        """Run a Python process; its first line."""
        with self.log.open("a") as log:
            process = subprocess.Popen(
                [sys.executable, *arguments],
                cwd=self.folder,
                stdout=subprocess.PIPE,
                stderr=log,
                text=True,
                preexec_fn=_heed_ctrl_c,  # noqa: PLW1509 - it does nothing but that
            )
        self._running.append(process)
        assert process.stdout is not None
        return process.stdout.readline().strip()

    def stop(self) -> None:
        """Ctrl+C in all terminals, the last one first."""
        try:
            while self._running:
                process = self._running[-1]
                process.send_signal(signal.SIGINT)
                process.communicate(timeout=30)
                assert process.returncode == 0, self.log.read_text()
                self._running.pop()
        finally:
            while self._running:
                process = self._running.pop()
                process.kill()
                process.communicate()

    def here(self, text: str) -> str:
        """A text of the tutorial with the addresses of this run."""
        for there, here in self.addresses.items():
            text = text.replace(there, here)
        return text


class Runner:
    """Runs the steps one after the other."""

    def __init__(self, folder: Path) -> None:
        self.processes = Processes(folder)
        self._variables: list[str] = []
        self._number = 0

    def run(self, step: Step) -> str:
        """What the command prints."""
        command = step.command
        if command.startswith("make run"):
            return self._serve("--demo")
        if "pydatacoll.api_server" in command:
            self.processes.stop()
            return self._serve(*command.partition("api_server")[2].split())
        if "simulate modbus" in command:
            line = self.processes.start("-m", "pydatacoll.cli", "simulate", "modbus", "--port", "0")
            self.processes.addresses["5020"] = line.rpartition(":")[2]
            return line
        if re.match(r"[A-Z]+=", command):
            self._variables.append(self.processes.here(command))
            return ""
        script = "\n".join([*self._variables, self.processes.here(command)])
        done = subprocess.run(["sh", "-c", script], capture_output=True, text=True, check=False)
        assert done.returncode == 0, f"{command}: {done.stderr}"
        return done.stdout.strip()

    def _serve(self, *options: str) -> str:
        self._number += 1
        if "--data-dir" not in options:
            options = (*options, "--data-dir", f"data{self._number}")
        line = self.processes.start("-m", "pydatacoll.api_server", "--port", "0", *options)
        self.processes.addresses["http://127.0.0.1:8080"] = line.rpartition(" ")[2]
        return line


def matches(step: Step, printed: str, processes: Processes) -> str | None:
    """``None`` when a command printed what the tutorial shows, else the difference."""
    if not step.output.startswith(("{", "[")):
        expected = processes.here(step.output)
        return None if printed == expected else f"{printed!r} instead of {expected!r}"
    expected, actual = shape(json.loads(step.output)), shape(json.loads(printed))
    if not step.reads and isinstance(actual, dict) and "link" in actual:
        expected, actual = ({**one, **dict.fromkeys(LIVE)} for one in (expected, actual))
    return difference(expected, actual)
