"""Which changes of a link are events: that it was lost, and that it is there again. Pure."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Final

from pydatacoll.model.event import Event

MOST: Final = 10
"""Events of one device in :data:`PERIOD`."""
PERIOD: Final = 600.0
"""Seconds."""


@dataclass(slots=True)
class _Told:
    """About one device: whether its link is up, and how many events there were since ``start``."""

    up: bool | None = None
    start: float = 0.0
    count: int = 0


class LinkEvents:
    """Remembers what was told of each device. A device that comes and goes does not fill the log."""

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._told: dict[str, _Told] = {}

    def forget(self, device_id: str) -> None:
        """The device is not run here any more."""
        self._told.pop(device_id, None)

    def take(self, device_id: str, state: str, error: str | None) -> Event | None:
        """The event that a link in this state is, if it is one.

        A link that is up and has an error still is one over which nothing was read yet.
        """
        if state == "connected":
            up = None if error is not None else True
        elif state == "backoff":
            up = False
        elif state == "connecting":
            up = None
        else:
            self.forget(device_id)
            return None
        told = self._told.setdefault(device_id, _Told())
        if up is None or up is told.up:
            return None
        before, told.up = told.up, up
        if up and before is None:
            return None  # the first connection after a start
        text = f"device {device_id} is connected again" if up else f"device {device_id} is lost: {error}"
        if before is None:
            text = f"device {device_id} cannot be reached: {error}"
        return self._limited(told, device_id, text, up=up, error=error)

    def _limited(self, told: _Told, device_id: str, text: str, *, up: bool, error: str | None) -> Event | None:
        now = self._clock()
        if now - told.start > PERIOD:
            told.start, told.count = now, 0
        told.count += 1
        if told.count > MOST:
            return None
        if told.count == MOST:
            text += f"; it comes and goes: what follows within {PERIOD / 60:.0f} minutes is not listed"
        return Event(
            kind="link",
            text=text,
            severity="info" if up else "error",
            device_id=device_id,
            object=device_id,
            details={"state": "connected" if up else "lost", "error": error},
        )
