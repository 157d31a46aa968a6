"""A wire that keeps what is sent, and answers of a station as it would mirror them."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Any

from msgspec.structs import replace

from pydatacoll.errors import DeviceOffline
from pydatacoll.protocols.iec104.asdu import Asdu, decode
from pydatacoll.protocols.iec104.wire import Wire


def answer(request: Asdu, cause: int, *, negative: bool = False, **changes: Any) -> Asdu:
    """The request mirrored, with another cause."""
    return replace(request, cause=cause, negative=negative, **changes)


class FakeWire(Wire):
    """Keeps everything.

    :ivar sent: what went out.
    :ivar queued: what waits, when ``full``.
    :ivar vanished: what was sent does not reach the station, and recalling it says so.
    :ivar offline: why nothing can be sent.
    """

    def __init__(self) -> None:
        super().__init__(lambda _: None)
        self.sent: list[Asdu] = []
        self.queued: dict[int, Asdu] = {}
        self.urgent: list[bool] = []
        self.full = False
        self.vanished = False
        self.offline: DeviceOffline | None = None
        self._tokens = 0
        self._out: set[int] = set()
        self._news = asyncio.Event()

    def send(self, asdu: bytes, *, first: bool = False) -> int:
        if self.offline is not None:
            raise self.offline
        self._tokens += 1
        self.urgent.append(first)
        if self.full:
            self.queued[self._tokens] = decode(asdu)
        else:
            self._out.add(self._tokens)
            self.sent.append(decode(asdu))
        self._news.set()
        return self._tokens

    def flush(self) -> None:
        """The window is open again: what waits goes out."""
        self.full = False
        self._out.update(self.queued)
        self.sent += self.queued.values()
        self.queued.clear()
        self._news.set()

    def withdraw(self, token: int) -> bool:
        return self.queued.pop(token, None) is not None

    def recall(self, token: int) -> bool:
        return self.withdraw(token) or self.vanished

    def went_out(self, token: int) -> bool:
        return token in self._out

    async def close(self) -> None:
        """Nothing to close."""

    def status(self) -> dict[str, Any]:
        return {}

    async def until(self, condition: Callable[[], bool]) -> None:
        """Wait for something to be sent."""
        while not condition():
            self._news.clear()
            await self._news.wait()

    async def after(self, count: int) -> Asdu:
        """The last ASDU, once so many have been sent."""
        await self.until(lambda: len(self.sent) >= count)
        assert len(self.sent) == count
        return self.sent[-1]
