"""Progress of long work, on standard error and only for a person who watches."""

from __future__ import annotations

import sys
import time
from typing import IO, Final

_EVERY: Final = 0.1
"""Seconds between two drawings."""


def wanted() -> bool:
    """Whether somebody watches."""
    return sys.stderr.isatty()


class Progress:
    """One line that is drawn over itself."""

    def __init__(self) -> None:
        self._last = 0.0
        self._drawn = 0

    def show(self, what: str, done: int, total: int) -> None:
        """``done`` of ``total``; 0 when the total is not known."""
        now = time.monotonic()
        if now - self._last < _EVERY and done != total:
            return
        self._last = now
        share = f"{done / total:4.0%}" if total else f"{done}"
        self._draw(f"{what} {share}")

    def clear(self) -> None:
        """Take the line away; may be called twice."""
        if self._drawn:
            self._draw("")
            sys.stderr.write("\r")
            sys.stderr.flush()
            self._drawn = 0

    def _draw(self, text: str) -> None:
        sys.stderr.write("\r" + text.ljust(self._drawn))
        sys.stderr.flush()
        self._drawn = len(text)


class Watched:
    """A file that is read once, and tells how far."""

    def __init__(self, file: IO[bytes], total: int, progress: Progress) -> None:
        self._file = file
        self._total = total
        self._done = 0
        self._progress = progress

    def read(self, size: int = -1) -> bytes:
        """Read on."""
        piece = self._file.read(size)
        self._done += len(piece)
        self._progress.show("uploading", self._done, self._total)
        return piece
