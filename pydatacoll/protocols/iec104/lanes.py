"""What is remembered of commands under way: for each address one lane, with its commands in order."""

from __future__ import annotations

import asyncio
import math
from collections import deque

from pydatacoll.errors import Conflict, DeviceError
from pydatacoll.protocols.iec104.exchange import Exchange

MOST_OWED = 16
"""Commands to one address of which is remembered that their termination is still to come."""

Outcome = str | DeviceError | Conflict


class Job:
    """A command and who waits for it.

    :ivar selection: names the selection when it is to be held; empty otherwise.
    :ivar told: what became of it, or of its select.
    :ivar working: it counts as one of those that are at work.
    """

    def __init__(self, exchange: Exchange, selection: str = "") -> None:
        self.exchange = exchange
        self.selection = selection
        self.told: asyncio.Future[Outcome] = asyncio.get_running_loop().create_future()
        self.working = False
        self.counted = False

    def tell(self, outcome: Outcome) -> None:
        """Tell who waits; who was cancelled does not want to know."""
        if not self.told.done():
            self.told.set_result(outcome)


class Lane:
    """What concerns one address.

    :ivar token: of what was sent last for ``current``.
    :ivar queued: it waits until fewer are at work.
    :ivar owed: commands that ended without their termination, and until when it may come.
    :ivar due: when the timer is to be called.
    """

    def __init__(self) -> None:
        self.current: Job | None = None
        self.token = 0
        self.queued = False
        self.waiting: deque[Job] = deque()
        self.owed: deque[tuple[float, Exchange]] = deque(maxlen=MOST_OWED)
        self.timer: asyncio.Handle | None = None
        self.due = math.inf
