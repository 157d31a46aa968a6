"""Long computations on the event loop, a few milliseconds at a time, so that others are answered meanwhile."""

from __future__ import annotations

import asyncio
import gc
from collections.abc import Iterator
from contextlib import contextmanager
from time import monotonic
from typing import TypeVar

from pydatacoll.model.steps import Steps

T = TypeVar("T")

SLICE = 0.004
"""Seconds of work between two looks at what else is to be done."""


class Pace:
    """Keeps the pace of one piece of work, however many computations it is made of."""

    def __init__(self) -> None:
        self._until = monotonic() + SLICE

    async def rest(self) -> None:
        """Let others go first, when it is time."""
        if monotonic() >= self._until:
            await asyncio.sleep(0)
            self._until = monotonic() + SLICE

    async def run(self, steps: Steps[T]) -> T:
        """The result of a computation; when cancelled in the middle, its own clean-up is done first."""
        try:
            while True:
                next(steps)
                if monotonic() >= self._until:
                    await self.rest()
        except StopIteration as end:
            result: T = end.value
            return result
        finally:
            steps.close()


def let_go(rows: list[T]) -> Steps[None]:
    """Free what a long list holds, in steps: all at once it takes tens of milliseconds."""
    while rows:
        yield
        rows.pop()


class _Pauses:
    """How many want the collector paused now; it is one for the whole process."""

    def __init__(self) -> None:
        self.count = 0
        self.was_enabled = False


_pauses = _Pauses()


@contextmanager
def collector_paused() -> Iterator[None]:
    """Without looking for garbage until the last of those who want it so is done.

    A million new objects that stay make the collector look at all of them several times, up to 0.1 s each time,
    and find nothing.
    """
    if not _pauses.count:
        _pauses.was_enabled = gc.isenabled()
        gc.disable()
    _pauses.count += 1
    try:
        yield
    finally:
        _pauses.count -= 1
        if not _pauses.count and _pauses.was_enabled:
            gc.enable()
