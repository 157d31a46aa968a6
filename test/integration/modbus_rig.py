"""What the Modbus integration tests share: a driver connected to something that listens on loopback."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable
from typing import Any

import msgspec

from pydatacoll.model import Sample
from pydatacoll.protocols.modbus_tcp import ModbusDevice, ModbusTcpDriver, ModbusTerm, ModbusTermItem
from pydatacoll.sdk import DriverContext, Point
from pydatacoll.testing.fakes import FakeSink


def point(code: str, *, unit: int = 1, **options: Any) -> Point:
    """A writable point unless its table is read-only."""
    term = ModbusTerm(id=f"u{unit}", name="", device_id="d", address=unit)
    bit = f"b{options['bit']}" if "bit" in options else ""
    wire = {"term_id": term.id, "item_id": code.replace(":", "") + bit, "protocol_code": code, **options}
    return Point(term, msgspec.convert({"writable": code[:2] in ("hr", "co"), **wire}, ModbusTermItem))


class Rig:
    """A driver, its sink and its points; closes on exit."""

    def __init__(self, port: int, points: Iterable[Point], **options: Any) -> None:
        wire = {"id": "d", "name": "", "protocol": "modbus_tcp", "port": port, "timeout": 5, **options}
        device = msgspec.convert(wire, ModbusDevice)
        self.sink = FakeSink()
        self.counters: Counter[str] = Counter()
        self.driver = ModbusTcpDriver(device, DriverContext(self.sink, self.counters))
        self.points = list(points)
        for each in self.points:
            wrong = ModbusTcpDriver.check(device, each.term, each.item)
            assert not wrong, wrong
        self.driver.configure(self.points)
        self.plans = [self.driver.plan(lane) for lane in self.driver.lanes(self.points)]

    async def __aenter__(self) -> Rig:
        await self.driver.connect()
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.driver.close()

    async def poll(self) -> None:
        """Every lane once, one after the other."""
        for plan in self.plans:
            await self.driver.poll(plan)

    def latest(self, index: int = 0) -> Sample:
        return self.sink.latest[self.points[index].id]

    def qualities(self) -> list[int]:
        return [self.sink.latest[p.id].quality for p in self.points]

    def good_values(self) -> list[object]:
        """Every value that was ever passed on as good."""
        return [sample.value for _, sample in self.sink.samples if sample.quality == 0]
