"""The imports of this server, one at a time, with their progress; its exports, few at a time."""

from __future__ import annotations

import secrets
import time
from collections import deque
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any, Final, Literal

from pydatacoll.api.problems import ApiProblem
from pydatacoll.errors import Conflict
from pydatacoll.model import time_to_wire
from pydatacoll.model.steps import Progress

State = Literal["parsing", "checking", "committing", "done", "failed"]

REMEMBERED: Final = 600.0
"""Seconds for which an import that has ended is listed."""
_MOST: Final = 50
"""Imports listed."""
MOST_EXPORTS: Final = 10
_MOST_UPLOADS: Final = 3
"""Documents that arrive at the same time."""


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


def _too_many(detail: str) -> ApiProblem:
    return ApiProblem("too-many", detail, headers={"Retry-After": "10"})


class Exports:
    """The exports under way: each keeps a list of all objects until its client has taken the last of them."""

    def __init__(self) -> None:
        self._count = 0

    @contextmanager
    def run(self) -> Iterator[None]:
        """The time of one export.

        :raises ApiProblem: 429 while too many others are under way.
        """
        if self._count >= MOST_EXPORTS:
            raise _too_many(f"{MOST_EXPORTS} exports are under way; try again when one is done")
        self._count += 1
        try:
            yield
        finally:
            self._count -= 1


class Imports:
    """All imports under way, and those that ended a short time ago.

    :ivar wall: returns epoch seconds.
    """

    def __init__(self, wall: Callable[[], float] = time.time) -> None:
        self.wall = wall
        self._known: deque[Import] = deque(maxlen=_MOST)
        self._current: Import | None = None
        self._uploads = 0

    @contextmanager
    def upload(self) -> Iterator[None]:
        """The time in which the document of an import arrives. It waits in memory, so there are few at a time.

        :raises Conflict: while an import is under way.
        :raises ApiProblem: 429 while others arrive.
        """
        self._check_free()
        if self._uploads >= _MOST_UPLOADS:
            raise _too_many(f"{_MOST_UPLOADS} documents to import are arriving already; try again later")
        self._uploads += 1
        try:
            yield
        finally:
            self._uploads -= 1

    def _check_free(self) -> None:
        if self._current is not None:
            raise Conflict(f"import {self._current.id} is under way; try again when it is done")

    @contextmanager
    def run(self, import_id: str | None, user: str, *, dry_run: bool) -> Iterator[Import]:
        """The time of one import. A second one is refused, not queued: it would be checked against a model that it
        was not made for, and its document would wait in memory.

        :raises Conflict: while another one is under way.
        """
        self._check_free()
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
