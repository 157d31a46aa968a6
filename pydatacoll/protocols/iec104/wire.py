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
"""Takes ASDUs in the order of their arrival, each 1 to 249 octets, nothing in them looked at."""


class Wire(ABC):
    """One way to a controlled station, open and started (STARTDT confirmed) when its owner gets it.

    :ivar closed: set once, to why the way is over; nothing is received afterwards.
    :ivar switched: called when another connection has taken over: what the station had not sent yet may have been
        lost, so its owner interrogates it again.
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

    @abstractmethod
    async def close(self) -> None:
        """End it, orderly as far as that goes at once; never raises, may be called twice."""

    @abstractmethod
    def status(self) -> dict[str, Any]:
        """State, timers, window, counters; JSON types only."""


def _nobody() -> None:
    """Stands for an owner that does not want to know."""
