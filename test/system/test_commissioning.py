"""The page that leads from a spreadsheet to a running collector can be followed to the letter."""

from __future__ import annotations

import re
import shutil
import textwrap
import time
from pathlib import Path

import pytest

from test.system.terminal import on_a_terminal, shows
from test.system.tutorial import ROOT, Processes, Step, steps

PAGE = ROOT / "docs" / "howto" / "commissioning.rst"
POINTS = ROOT / "docs" / "examples" / "points.csv"
PATIENCE = 30.0
READS = ("pydatacoll doctor", "pydatacoll ls", "pydatacoll get", "pydatacoll frames", "curl")
"""Commands that are repeated until the collector has come as far as the page."""


class Engineer:
    """Does what the page says, in a folder of its own, on free ports."""

    def __init__(self, text: str, folder: Path) -> None:
        self.processes = Processes(folder)
        self._text = text
        self._folder = folder
        self._environment: dict[str, str] = {}
        self._lines: list[str] = []

    def do(self, step: Step) -> str | None:
        """``None`` when a command printed what the page shows, else the difference."""
        command = self.processes.here(step.command)
        if command.startswith("export "):
            name, _, value = command.removeprefix("export ").partition("=")
            if name != "PATH":
                self._environment[name] = value
            return None
        if command.startswith("pydatacoll serve"):
            self._write_settings()
            line = self.processes.start("-m", "pydatacoll.cli", *command.split()[1:])
            self.processes.addresses["http://127.0.0.1:8080"] = line.rpartition(" ")[2]
            return shows([self.processes.here(line) for line in step.lines], line)
        if command.startswith("pydatacoll simulate"):
            return self._simulate(command)
        printed = on_a_terminal(command, self._folder, self._environment)
        if "token new" in command:
            self._keep(command.partition("--name ")[2].split()[0], printed)
        return shows([self.processes.here(line) for line in step.lines], printed)

    def _simulate(self, command: str) -> None:
        """Both devices, each on a free port; then the table that names them."""
        options = command.replace("--devices 2 ", "").split()[1:]
        for port in ("5020", "5021"):
            line = self.processes.start("-m", "pydatacoll.cli", *options, "--port", "0")
            self.processes.addresses[f"127.0.0.1:{port}"] = line.rpartition(" ")[2]
            self.processes.addresses[port] = line.rpartition(":")[2]
        (self._folder / "points.csv").write_text(self.processes.here(POINTS.read_text()))

    def _keep(self, name: str, printed: str) -> None:
        """The token in a file, its lines for the settings."""
        token = re.search(r"pdc_\S+", printed)
        assert token is not None, printed
        (self._folder / f"{name}.token").write_text(token[0] + "\n")
        (self._folder / f"{name}.token").chmod(0o600)
        self._lines += printed[printed.index("[[auth.tokens]]") :].splitlines()

    def _write_settings(self) -> None:
        """As the page shows them, with the lines of the tokens that were made."""
        block = re.search(r"^\.\. code-block:: toml\n\n((?:   .*\n|\n)+)", self._text, re.MULTILINE)
        assert block is not None
        shown = textwrap.dedent(block[1])
        settings, _, tokens = shown.partition("[[auth.tokens]]")
        assert shows(f"[[auth.tokens]]{tokens}".splitlines(), "\n".join(self._lines)) is None
        file = self._folder / "pydatacoll.toml"
        file.write_text(settings.replace("port = 8080", "port = 0") + "\n".join(self._lines) + "\n")
        file.chmod(0o600)


def test_the_way_from_a_spreadsheet_to_a_running_collector_can_be_followed(tmp_path: Path) -> None:
    """Every command, in order, with all that it prints."""
    if shutil.which("curl") is None:
        pytest.fail("curl is not installed: run make test, or test/install_servers.sh")
    text = PAGE.read_text(encoding="utf-8")
    engineer = Engineer(text, tmp_path)
    try:
        followed = [step for step in steps(text) if not step.command.startswith("chmod")]
        assert len(followed) > 20
        for step in followed:
            deadline = time.monotonic() + PATIENCE
            while wrong := engineer.do(step):
                again = step.command.startswith(READS) and time.monotonic() < deadline
                assert again, f"{step.command}\n{wrong}"
    finally:
        engineer.processes.stop()


def test_a_difference_between_page_and_terminal_is_found() -> None:
    printed = "ok  server  answers in 5 ms\nok  disk\n\n+ device d1  port=5020\nto add 1"
    assert (
        shows(["ok  server  answers in 17 ms", "ok   disk", "+ device d1  port=5020", "to add 1"], printed) is None
    )
    assert shows(["...", "to add 1"], printed) is None
    assert shows(["ok  server  answers in 17 ms", "..."], printed) is None
    for page in (["to add 1"], ["ok server answers in 1 ms"], ["...", "to add 2"], ["...", "ok disk"], []):
        assert shows(page, printed) is not None, page
