"""What is known about units and blocks that do not answer."""

from __future__ import annotations

import asyncio
from collections.abc import Iterable
from dataclasses import dataclass, field

PROBE_MIN = 1.0
PROBE_MAX = 30.0
HOLE_MIN = 60.0
HOLE_MAX = 3600.0


@dataclass(slots=True)
class Backoff:
    """Growing pauses. All times are ``loop.time()``, all pauses seconds."""

    first: float
    longest: float
    pause: float = 0.0
    due: float = 0.0

    def failed(self, now: float) -> None:
        """Wait twice as long as the last time."""
        self.pause = min(self.pause * 2 or self.first, self.longest)
        self.due = now + self.pause


@dataclass(slots=True)
class UnitHealth:
    """One unit behind a connection.

    A unit is *suspect* when it left a request and its repeats unanswered, or a gateway said that it cannot reach
    it. Its points are then marked and it is asked again with growing pauses, beside the line of its neighbours.

    :ivar reason: why it is suspect; ``None`` when it is not.
    :ivar replied: ``loop.time()`` of the last reply.
    """

    reason: str | None = None
    replied: float = 0.0
    backoff: Backoff = field(default_factory=lambda: Backoff(PROBE_MIN, PROBE_MAX))
    _revived: asyncio.Event = field(default_factory=asyncio.Event)

    @property
    def suspect(self) -> bool:
        return self.reason is not None

    def alive(self, now: float) -> None:
        """It replied."""
        self.replied = now
        if self.reason is not None:
            self.reason = None
            self.backoff.pause = 0.0
            self._revived.set()

    def lost(self, reason: str, now: float) -> None:
        """It did not, for long enough."""
        self.reason = reason
        self._revived.clear()
        self.backoff.failed(now)

    async def until_probe(self) -> None:
        """Wait until the unit may be asked again, or until somebody else's request found it alive."""
        pause = self.backoff.due - asyncio.get_running_loop().time()
        if pause > 0:
            try:
                async with asyncio.timeout(pause):
                    await self._revived.wait()
            except TimeoutError:
                return


def silence(units: Iterable[int], timeout: float, *, replied: bool) -> str:
    """Why a connection over which nothing comes in is closed; ``replied``: it was otherwise before."""
    if replied:
        return f"half-open: nothing received for {timeout:g} s and more"
    named = ", ".join(map(str, sorted(units)))
    return (
        f"nothing is answered: check the unit id (address of the term, here {named}), and that the device speaks "
        f"Modbus TCP on this port and answers within {timeout:g} s"
    )
