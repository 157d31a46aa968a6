"""Commands as a person types them, on a terminal; what they print is compared with a page of the documentation."""

from __future__ import annotations

import os
import pty
import re
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path

_VARYING: tuple[tuple[re.Pattern[str], str], ...] = (
    (re.compile(r"\bpdc_[\w-]{43}"), "TOKEN"),
    (re.compile(r"\b[0-9a-f]{64}\b"), "HASH"),
    (re.compile(r"\b\d{4}-\d\d-\d\d[ T]\d\d:\d\d:\d\d(\.\d+)?(Z|\+00:00)"), "TIME"),
    (re.compile(r"\b\d\d:\d\d:\d\d\.\d{3}\b"), "TIME"),
    (re.compile(r"\b\d+(\.\d+)? (ms|s|bytes)\b"), "AMOUNT"),
    # a frame begins with the number of its request
    (re.compile(r"\b[0-9a-f]{4}(?=0000[0-9a-f]{8,}$)"), "NUMBER"),
)


def on_a_terminal(command: str, folder: Path, environment: Mapping[str, str]) -> str:
    """What a person sees, without colours; lines that were written over (progress) as they were left."""
    ours, its = pty.openpty()
    path = f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"
    plain = {"PATH": path, "TERM": "xterm", "NO_COLOR": "1", "COLUMNS": "250"}
    environment = {**os.environ, **environment, **plain}
    try:
        process = subprocess.Popen(
            ["sh", "-c", command], cwd=folder, env=environment, stdin=its, stdout=its, stderr=its
        )
    finally:
        os.close(its)
    seen = b""
    try:
        while part := _read(ours):
            seen += part
    finally:
        os.close(ours)
        process.wait(timeout=60)
    lines = seen.decode().replace("\r\n", "\n").split("\n")
    return "\n".join(line.rpartition("\r")[2].rstrip() for line in lines).strip("\n")


def _read(terminal: int) -> bytes:
    """What was printed since; nothing at the end, which Linux tells as an error."""
    try:
        return os.read(terminal, 65536)
    except OSError:
        return b""


def _plain(line: str) -> str:
    """A line without what differs in every run, and without the width of its columns."""
    for pattern, name in _VARYING:
        line = pattern.sub(name, line.rstrip())
    return " ".join(line.split())


def shows(page: list[str], printed: str) -> str | None:
    """``None`` when the lines of the page were printed, in order, and no others; else the difference.

    ``...`` stands for any lines.
    """
    left = [_plain(line) for line in printed.splitlines() if line.strip()]
    skip = False
    for line in filter(str.strip, page):
        if line.strip() == "...":
            skip = True
            continue
        wanted = _plain(line)
        if skip and wanted in left:
            del left[: left.index(wanted)]
        if not left or left[0] != wanted:
            return f"{wanted!r} is not in, or not next in:\n{printed}"
        del left[0]
        skip = False
    return f"more than the page shows: {left}" if left and not skip else None
