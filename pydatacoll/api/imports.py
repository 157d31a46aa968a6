"""The imports of this server: one at a time, with their progress."""

from __future__ import annotations

import secrets
import time
from collections import deque
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any, Final, Literal

from pydatacoll.errors import Conflict
from pydatacoll.model import time_to_wire
from pydatacoll.model.steps import Progress

State = Literal["parsing", "checking", "committing", "done", "failed"]

REMEMBERED: Final = 600.0
"""Seconds for which an import that has ended is listed."""
_MOST: Final = 50
"""Imports listed."""


class Import(Progress):
    """One import; ``done`` and ``total`` are bytes while it is parsed, then objects."""

    __slots__ = ("dry_run", "ended", "id", "started", "state", "user")

    def __init__(self, import_id: str, user: str, started: float, *, dry_run: bool) -> None:
        super().__init__()
        self.id = import_id
        self.user = user
        self.started = started
        self.dry_run = dry_run
        self.state: State = "parsing"
        self.ended: float | None = None

    def wire(self) -> dict[str, Any]:
        """JSON types."""
        return {
            "id": self.id,
            "state": self.state,
            "done": self.done,
            "total": self.total,
            "started": time_to_wire(self.started),
            "user": self.user,
            "dry_run": self.dry_run,
        }


class Imports:
    """All imports under way, and those that ended a short time ago.

    :ivar wall: returns epoch seconds.
    """

    def __init__(self, wall: Callable[[], float] = time.time) -> None:
        self.wall = wall
        self._known: deque[Import] = deque(maxlen=_MOST)
        self._current: Import | None = None

    @contextmanager
    def run(self, import_id: str | None, user: str, *, dry_run: bool) -> Iterator[Import]:
        """The time of one import. A second one is refused, not queued: it would be checked against a model that it
        was not made for, and its document would wait in memory.

        :raises Conflict: while another one is under way.
        """
        if self._current is not None:
            raise Conflict(f"import {self._current.id} is under way; try again when it is done")
        own = Import(import_id or secrets.token_hex(8), user, self.wall(), dry_run=dry_run)
        self._current = own
        self._known.append(own)
        try:
            yield own
        except BaseException:
            own.state = "failed"
            raise
        else:
            own.state = "done"
        finally:
            own.ended = self.wall()
            self._current = None

    def listed(self) -> list[Import]:
        """Newest first."""
        since = self.wall() - REMEMBERED
        return [one for one in reversed(self._known) if one.ended is None or one.ended >= since]
