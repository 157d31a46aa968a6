"""Looks after what becomes due in a sink by the mere passing of time."""

from __future__ import annotations

import asyncio

from pydatacoll.manager.pipeline import DeviceSink

LEAST = 0.02
"""Seconds between two looks: what becomes due together is stored together."""


class Watch:
    """Calls :meth:`DeviceSink.check` when it is due, between :meth:`start` and :meth:`stop`. Costs nothing for a
    sink in which nothing ever is."""

    def __init__(self, sink: DeviceSink) -> None:
        self._sink = sink
        self._timer: asyncio.TimerHandle | None = None
        self._loop: asyncio.AbstractEventLoop | None = None
        sink.wake = self._arm

    @property
    def next(self) -> float | None:
        """When the sink is looked at, ``loop.time()``; ``None`` when nothing waits for it."""
        return None if self._timer is None else self._timer.when()

    def start(self) -> None:
        self._loop = asyncio.get_running_loop()
        self._arm()

    def stop(self) -> None:
        self._loop = None
        self._disarm()

    def _disarm(self) -> None:
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None

    def _arm(self) -> None:
        self._disarm()
        if self._loop is None:
            return
        remaining = self._sink.remaining
        if remaining < float("inf"):
            self._timer = self._loop.call_later(max(remaining, LEAST), self._look)

    def _look(self) -> None:
        self._timer = None
        try:
            self._sink.check()
        finally:
            self._arm()
