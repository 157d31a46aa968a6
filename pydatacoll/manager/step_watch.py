"""Tells which plugin holds up the event loop, so that a slow system need not be guessed at.

A coroutine runs in steps, from one real wait to the next; nothing else of the process runs during a step. Timing
the steps costs well below a microsecond each.
"""

from __future__ import annotations

import logging
import time
from collections.abc import Coroutine, Generator
from typing import Any, Final, Generic, TypeVar

log = logging.getLogger(__name__)

LONG: Final = 0.25
"""Seconds of one step from which it is warned of."""
QUIET: Final = 60.0
"""Seconds between two warnings."""

T = TypeVar("T")


class StepWatch:
    """Of one plugin.

    :ivar longest: seconds of the longest step so far.
    """

    def __init__(self, name: str) -> None:
        self._name = name
        self._quiet_until = 0.0
        self.longest = 0.0

    def over(self, work: Coroutine[Any, Any, T], what: str) -> Watched[T]:
        """``work``, to be awaited; ``what`` names it in the log."""
        return Watched(self, work, what)

    def note(self, seconds: float, what: str) -> None:
        """A step has ended."""
        self.longest = max(self.longest, seconds)
        if seconds >= LONG and time.monotonic() >= self._quiet_until:
            self._quiet_until = time.monotonic() + QUIET
            log.warning(
                "plugin %s held up everything in its process for %.2f s in %s: let it await what takes long, or "
                "use asyncio.to_thread, or run it in a process of its own",
                self._name,
                seconds,
                what,
            )


class Watched(Generic[T]):
    """An awaitable that does what the coroutine does, and times its steps."""

    __slots__ = ("_watch", "_what", "_work")

    def __init__(self, watch: StepWatch, work: Coroutine[Any, Any, T], what: str) -> None:
        self._watch = watch
        self._work = work
        self._what = what

    def __await__(self) -> Generator[Any, Any, T]:
        work, error, answer = self._work, None, None
        while True:
            begun = time.perf_counter()
            try:
                waits_for = work.send(answer) if error is None else work.throw(error)
            except StopIteration as end:
                result: T = end.value
                return result
            finally:
                seconds = time.perf_counter() - begun
                if seconds > self._watch.longest or seconds >= LONG:
                    self._watch.note(seconds, self._what)
            try:
                answer, error = (yield waits_for), None
            except GeneratorExit:
                work.close()
                raise
            except BaseException as thrown:  # noqa: BLE001 - passed on to the coroutine, as await does
                answer, error = None, thrown
