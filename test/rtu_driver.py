"""A driver of a station that can be interrogated, without a network: to test what is around a driver."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from typing import ClassVar

from pydatacoll.model import Device, Term, TermItem
from pydatacoll.protocols.iec104.config import Address, Iec104Device, Iec104Term, Iec104TermItem, address_of
from pydatacoll.sdk import DeviceDriver, Discovered, Interrogated, Point, Result, Sample, WriteRequest, WriteResult


class RtuDriver(DeviceDriver):
    """Answers every interrogation with ``results``, once ``answering`` is set; tells ``found``.

    :ivar asked: what was asked of all instances.
    :ivar lost: set to lose the link.
    """

    name = "rtu"
    description = "a station for tests"
    device_type = Iec104Device
    term_type = Iec104Term
    term_item_type = Iec104TermItem
    groups: ClassVar = {
        20: "general",
        **{20 + n: f"group {n}" for n in range(1, 17)},
        37: "counters",
        38: "counters 1",
    }
    alive_when_connected = True
    command_modes = frozenset({"direct", "select"})

    asked: ClassVar[list[tuple[int, Sequence[str] | None, int]]] = []
    results: ClassVar[Sequence[Interrogated] | Exception] = ()
    found: ClassVar[Sequence[Discovered]] = ()
    answering: ClassVar[asyncio.Event]
    lost: ClassVar[asyncio.Event]

    @classmethod
    def reset(cls) -> None:
        """As at the beginning of a test."""
        cls.asked, cls.results, cls.found = [], (), ()
        cls.answering, cls.lost = asyncio.Event(), asyncio.Event()
        cls.answering.set()

    @classmethod
    def check(cls, device: Device, term: Term, item: TermItem) -> list[tuple[str, str]]:
        try:
            address_of(device, term, item)
        except ValueError as error:
            return [("protocol_code", str(error))]
        return []

    @classmethod
    def address(cls, device: Device, term: Term, item: TermItem) -> Address:
        return address_of(device, term, item)

    async def connect(self) -> None:
        pass

    async def close(self) -> None:
        pass

    async def subscribe(self) -> None:
        await self.lost.wait()
        raise ConnectionError("lost")

    async def read(self, points: Sequence[Point]) -> Sequence[Result]:
        return [Sample(0.0, 0.0) for _ in points]

    async def write(self, requests: Sequence[WriteRequest]) -> Sequence[WriteResult]:
        return [Sample(0.0, request.value) for request in requests]

    async def interrogate(
        self, group: int, terms: Sequence[str] | None = None, *, freeze: int = 0
    ) -> Sequence[Interrogated]:
        self.asked.append((group, terms, freeze))
        await self.answering.wait()
        if isinstance(self.results, Exception):
            raise self.results
        return self.results

    def discovered(self) -> Sequence[Discovered]:
        return self.found
