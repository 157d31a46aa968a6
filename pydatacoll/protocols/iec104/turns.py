"""How many interrogations begin at once in this process.

When a network comes back, hundreds of stations connect within a second; all of them sending everything they know
at the same time would keep everything else waiting. So each interrogation waits for its turn. A turn ends with the
interrogation, and otherwise soon: a slow station is no load, and must not keep others from theirs.
"""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Callable

MOST = 16
"""Turns at a time. A station sends some thousand points within 0.1 s; that many keep a process busy."""
HOLD = 0.5
"""Longest turn, seconds."""


class Turn:
    """One turn, or the wait for it. :meth:`end` gives it back; it may be called at any time, and again."""

    def __init__(self, turns: Turns, begin: Callable[[], None]) -> None:
        self._turns = turns
        self._begin = begin
        self._timer: asyncio.Handle | None = None
        self._over = False

    def end(self) -> None:
        """Let the next one begin; ``begin`` is not called any more."""
        if self._over:
            return
        self._over = True
        if self._timer is None:
            self._turns.waiting.remove(self)
            return
        self._timer.cancel()
        self._turns.taken -= 1
        self._turns.go_on()

    def start(self) -> None:
        """It is this one's turn."""
        self._timer = asyncio.get_running_loop().call_soon(self._run)

    def _run(self) -> None:
        self._timer = asyncio.get_running_loop().call_later(self._turns.hold, self.end)
        self._begin()


class Turns:
    """First come, first served."""

    def __init__(self, most: int = MOST, hold: float = HOLD) -> None:
        self.most = most
        self.hold = hold
        self.taken = 0
        self.waiting: deque[Turn] = deque()

    def take(self, begin: Callable[[], None]) -> Turn:
        """Have ``begin()`` called by the event loop as soon as there is a turn."""
        turn = Turn(self, begin)
        self.waiting.append(turn)
        self.go_on()
        return turn

    def go_on(self) -> None:
        """Start those for whom there is a turn now."""
        while self.waiting and self.taken < self.most:
            self.taken += 1
            self.waiting.popleft().start()


TURNS = Turns()
"""Of this process."""
