"""What carries ASDUs between us and one controlled station.

The driver above it neither knows nor cares whether our own link runs over a socket, two of them make a redundancy
group, or a library in another process does the work.
"""

from __future__ import annotations

import asyncio
from abc import ABC, abstractmethod
from collections.abc import Callable, Sequence
from typing import Any

from pydatacoll.errors import DeviceOffline

Receiver = Callable[[Sequence[bytes]], None]
"""Takes ASDUs in the order of their arrival, each 1 to 249 octets, nothing in them looked at. The first ones may
come before their owner has got the wire."""


class Wire(ABC):
    """One way to a controlled station, open and started (STARTDT confirmed) when its owner gets it.

    :ivar closed: set once, to why the way is over; nothing is received afterwards. Wait for it shielded, or with
        ``asyncio.wait``: a waiter that is cancelled would cancel it.
    :ivar switched: called when another connection has taken over, before anything is received over it: what was
        sent over the old one and not answered stays without an answer, and what the station had not sent yet may
        have been lost, so its owner interrogates it again.
    """

    def __init__(self, receive: Receiver) -> None:
        self.closed: asyncio.Future[DeviceOffline] = asyncio.get_running_loop().create_future()
        self.receive = receive
        self.switched: Callable[[], None] = _nobody

    @abstractmethod
    def send(self, asdu: bytes, *, first: bool = False) -> int:
        """Send an ASDU, or queue it; return its token. Never blocks.

        :param first: before everything that waits: commands.
        :raises DeviceOffline: the way is closed, or its queue is full.
        """

    @abstractmethod
    def withdraw(self, token: int) -> bool:
        """Take back an ASDU that still waits. True: it has not been and never will be sent."""

    @abstractmethod
    def went_out(self, token: int) -> bool:
        """Whether an ASDU has been sent, or may have been; also answered after the end."""

    def recall(self, token: int) -> bool:
        """The time of an ASDU is over: withdraw it, or when it may still be on its way, end the whole way, so that
        it does not arrive later.

        :returns: as :meth:`withdraw`; false also when it is not known whether it has arrived.
        """
        return self.withdraw(token)

    def pause(self) -> None:  # noqa: B027 - not every way can be held back
        """Receive nothing for a while, at most half of t1: what comes waits in the system, then at the station."""

    def resume(self) -> None:  # noqa: B027
        """Go on receiving."""

    @abstractmethod
    async def close(self) -> None:
        """End it, orderly as far as that goes at once; never raises, may be called twice."""

    @abstractmethod
    def status(self) -> dict[str, Any]:
        """State, timers, window, counters; JSON types only."""


def _nobody() -> None:
    """Stands for an owner that does not want to know."""
