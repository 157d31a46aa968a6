"""Completion: a script for each shell, ids asked of the server, silence when it is away."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
from click.testing import CliRunner

from pydatacoll.cli import main
from test.unit.cli.conftest import Served


@pytest.mark.parametrize("shell", ["bash", "zsh", "fish"])
def test_there_is_a_script_for_each_shell(shell: str) -> None:
    result = CliRunner().invoke(main, ["completion", shell])
    assert result.exit_code == 0
    assert f"_PYDATACOLL_COMPLETE={shell}_complete" in result.stdout


@pytest.fixture
def program(tmp_path: Path) -> Path:
    """A folder with the command in it."""
    path = tmp_path / "bin" / "pydatacoll"
    path.parent.mkdir()
    path.write_text(f'#!/bin/sh\nexec "{sys.executable}" -m pydatacoll.cli "$@"\n')
    path.chmod(0o755)
    return path.parent


def complete(program: Path, url: str, line: str) -> list[str]:
    """What bash would offer."""
    script = (
        'eval "$(pydatacoll completion bash)"\n'
        'COMP_LINE="$1" COMP_POINT=${#1}\n'
        "_pydatacoll_completion\n"
        'printf "%s\\n" "${COMPREPLY[@]}"\n'
    )
    environment = {**os.environ, "PATH": f"{program}:{os.environ['PATH']}", "PYDATACOLL_URL": url}
    bash = shutil.which("bash")
    assert bash is not None
    done = subprocess.run(
        [bash, "-c", script, "bash", line], env=environment, capture_output=True, text=True, check=True, timeout=60
    )
    assert done.stderr == ""
    return done.stdout.split()


def test_bash_completes_commands_options_and_points(program: Path, plant: Served) -> None:
    assert complete(program, plant.url, "pydatacoll ta") == ["tail"]
    assert complete(program, plant.url, "pydatacoll tail --int") == ["--interval"]
    assert complete(program, plant.url, "pydatacoll show device ") == ["f1", "f2"]
    assert complete(program, plant.url, "pydatacoll get f") == ["f1:", "f2:"]
    assert complete(program, plant.url, "pydatacoll get f1:f1.main:") == ["set", "ua"]
    assert complete(program, plant.url, "pydatacoll get nobody:") == []
    assert complete(program, plant.url, "pydatacoll interrogate f1 --term ") == ["f1.main"]


def test_a_server_that_is_away_completes_nothing(program: Path) -> None:
    assert complete(program, "http://127.0.0.1:1", "pydatacoll get f") == []
    assert complete(program, "nonsense", "pydatacoll get f") == []
