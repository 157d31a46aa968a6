"""What the IEC 104 integration tests share: a driver connected to a simulated RTU, with its schedule running."""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import Callable, Iterable
from typing import Any

import msgspec

from pydatacoll.errors import DeviceOffline
from pydatacoll.model import PointId, Sample
from pydatacoll.protocols.iec104 import Iec104Device, Iec104Driver, Iec104Term, Iec104TermItem
from pydatacoll.sdk import DriverContext, Point
from pydatacoll.testing.fakes import FakeSink


def point(address: int, code_type: str | None = "M_ME_TF_1", *, common: int = 1, **options: Any) -> Point:
    """A point whose item is named after its address."""
    term = Iec104Term(id=f"s{common}", name="", device_id="d", address=common)
    wire = {"term_id": term.id, "item_id": f"i{address}", "protocol_code": str(address), "code_type": code_type}
    return Point(
        term, msgspec.convert({k: v for k, v in {**wire, **options}.items() if v is not None}, Iec104TermItem)
    )


class Rig:
    """A driver, its sink and its points; ``async with`` connects and closes.

    :param subscribed: whether the schedule runs.
    """

    def __init__(self, port: int, points: Iterable[Point], *, subscribed: bool = True, **options: Any) -> None:
        device = Iec104Device(**{"id": "d", "name": "", "protocol": "iec104", "port": port, **options})
        self.sink = FakeSink()
        self.counters: Counter[str] = Counter()
        self.context = DriverContext(self.sink, self.counters)
        self.driver = Iec104Driver(device, self.context)
        self.points = list(points)
        for each in self.points:
            wrong = Iec104Driver.check(device, each.term, each.item)
            assert not wrong, wrong
        self.driver.configure(self.points)
        self.subscription: asyncio.Task[None] | None = None
        self._subscribed = subscribed

    async def __aenter__(self) -> Rig:
        await self.connect()
        return self

    async def connect(self) -> None:
        await self.driver.connect()
        if self._subscribed:
            self.subscription = asyncio.create_task(self.driver.subscribe())

    async def __aexit__(self, *_: object) -> None:
        if self.subscription is not None:
            self.subscription.cancel()
            await asyncio.gather(self.subscription, return_exceptions=True)
        await self.driver.close()

    async def lost(self) -> str:
        """Why the link was lost, once it is."""
        assert self.subscription is not None
        try:
            await self.subscription
        except DeviceOffline as error:
            return str(error)
        raise AssertionError("the subscription ended without a reason")

    async def until(self, condition: Callable[[], bool]) -> None:
        """Wait for something that is about to happen; looked at often."""
        while not condition():
            await asyncio.sleep(0.002)

    def latest(self, address: int, common: int = 1) -> Sample | None:
        return self.sink.latest.get(PointId("d", f"s{common}", f"i{address}"))

    def value(self, address: int, common: int = 1) -> Any:
        """The latest value, when it is good."""
        sample = self.latest(address, common)
        return None if sample is None or sample.quality else sample.value

    def history(self, address: int, common: int = 1) -> list[Any]:
        """All values passed on, oldest first."""
        wanted = PointId("d", f"s{common}", f"i{address}")
        return [sample.value for place, sample in self.sink.samples if place == wanted]

    def interrogation(self, common: int = 1, what: str = "general") -> dict[str, Any]:
        """The last one, as the status shows it; empty when there was none."""
        found: dict[str, Any] = self.driver.status()["interrogations"].get(str(common), {}).get(what, {})
        return found

    async def interrogated(self, common: int = 1, what: str = "general") -> dict[str, Any]:
        """The same, once there was one."""
        await self.until(lambda: bool(self.interrogation(common, what)))
        return self.interrogation(common, what)
