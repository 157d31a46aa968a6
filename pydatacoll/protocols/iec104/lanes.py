"""What is remembered of commands under way: for each address one lane, with its commands in order."""

from __future__ import annotations

import asyncio
import math
from collections import deque

from pydatacoll.errors import Conflict, DeviceError
from pydatacoll.protocols.iec104.exchange import NOTHING, Exchange, Phase

MOST_OWED = 16
"""Commands to one address of which is remembered that their termination is still to come."""

Outcome = str | DeviceError | Conflict


class Job:
    """A command and who waits for it.

    :ivar selection: names the selection when it is to be held; empty otherwise.
    :ivar told: what became of it, or of its select.
    :ivar working: it counts as one of those that are at work.
    :ivar given_up: its selection was held, and is given up after its time.
    """

    def __init__(self, exchange: Exchange, selection: str = "") -> None:
        self.exchange = exchange
        self.selection = selection
        self.told: asyncio.Future[Outcome] = asyncio.get_running_loop().create_future()
        self.working = False
        self.counted = False
        self.given_up = False

    def tell(self, outcome: Outcome) -> None:
        """Tell who waits; who was cancelled does not want to know."""
        if not self.told.done():
            self.told.set_result(outcome)

    @property
    def lapsed(self) -> str | None:
        """Of a selection that ended by itself: what went wrong with that, empty when nothing did; ``None`` of
        anything else."""
        if self.exchange.phase is Phase.SELECTED:
            return f"lost with the link; {NOTHING}"
        if not self.given_up:
            return None
        said = self.exchange.deactivated
        if said is None:
            return "its time was over; the station has not answered the deactivation"
        return "" if said else "its time was over; the station refuses the deactivation"


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
