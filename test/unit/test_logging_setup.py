"""What an operator sees on standard error."""

from __future__ import annotations

import subprocess
import sys

import pytest

SCRIPT = """
import logging, sys, warnings
from pydatacoll.logging_setup import setup_logging
from pydatacoll.settings import LogSettings

setup_logging(LogSettings(level="error"))
setup_logging(LogSettings(level=sys.argv[1]))
for name in ("pydatacoll.x", "pydatacoll_plugins.y", "library"):
    for level in ("debug", "info", "warning"):
        getattr(logging.getLogger(name), level)("said %s", level)
warnings.warn("mind this")
"""


def said(level: str) -> list[str]:
    run = subprocess.run([sys.executable, "-c", SCRIPT, level], capture_output=True, text=True, check=True)
    assert run.stdout == ""
    return run.stderr.splitlines()


@pytest.mark.parametrize(
    ("level", "expected"),
    [
        (
            "debug",
            ["x DEBUG", "x INFO", "x WARNING", "y DEBUG", "y INFO", "y WARNING", "z DEBUG", "z INFO", "z WARNING"],
        ),
        ("info", ["x INFO", "x WARNING", "y INFO", "y WARNING", "z WARNING"]),
        ("warning", ["x WARNING", "y WARNING", "z WARNING"]),
        ("error", []),
    ],
)
def test_levels_of_ours_and_of_libraries(level: str, expected: list[str]) -> None:
    lines = [line for line in said(level) if ": said " in line]
    short = {"pydatacoll.x": "x", "pydatacoll_plugins.y": "y", "library": "z"}
    seen = [(line.split()[2].rstrip(":"), line.split()[1]) for line in lines]
    assert [f"{short[name]} {shown}" for name, shown in seen] == expected


def test_times_are_utc_and_warnings_are_logged() -> None:
    lines = said("warning")
    assert any("py.warnings" in line and "mind this" in line for line in lines)
    time = lines[0].split()[0]
    assert time[10] == "T"
    assert time[-5] == "."
    assert time.endswith("Z")
