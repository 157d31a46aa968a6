"""Long computations on the event loop, a few milliseconds at a time, so that others are answered meanwhile."""

from __future__ import annotations

import asyncio
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
