"""Both backends of the Modbus driver pass the conformance suite."""

from __future__ import annotations

from typing import Literal

import pytest

from pydatacoll.model import Value
from pydatacoll.protocols.modbus_tcp import ModbusDevice, ModbusTcpDriver, ModbusTerm, ModbusTermItem
from pydatacoll.sdk import Device, Point
from pydatacoll.testing.driver_conformance import DriverConformance, Harness
from pydatacoll.testing.faults import Fault
from pydatacoll.testing.modbus_server import ModbusServer

pytestmark = pytest.mark.virtual_time


class ModbusHarness(Harness):
    driver_type = ModbusTcpDriver

    def __init__(self, backend: Literal["native", "pymodbus"], depth: int) -> None:
        self.backend: Literal["native", "pymodbus"] = backend
        self.depth = depth
        self.server = ModbusServer(units=[1, 2])
        self.server.holding(1).holes.add(30)
        self._points = [self.point(number) for number in (3, 4, 9, 200)]

    def point(self, number: int) -> Point:
        term = ModbusTerm(id="t", name="t", device_id="d")
        item = ModbusTermItem(term_id="t", item_id=f"r{number}", protocol_code=f"hr:{number}", writable=True)
        return Point(term, item)

    async def start(self) -> None:
        await self.server.start()

    async def stop(self) -> None:
        await self.server.stop()

    def device(self) -> Device:
        return ModbusDevice(
            id="d",
            name="d",
            protocol="modbus_tcp",
            port=self.server.port,
            backend=self.backend,
            timeout=0.2,
            max_in_flight=self.depth,
        )

    def points(self) -> list[Point]:
        return self._points

    def spare(self) -> Point:
        return self.point(11)

    def unknown(self) -> Point:
        return self.point(30)

    def put(self, point: Point, value: Value) -> None:
        assert isinstance(value, int)
        self.server.holding(1)[self.number(point)] = value

    def get(self, point: Point) -> Value:
        return self.server.holding(1)[self.number(point)]

    @staticmethod
    def number(point: Point) -> int:
        return int(str(point.item.protocol_code).partition(":")[2])

    def mute(self) -> None:
        self.server.faults.add(Fault("silence"))

    def drop(self) -> None:
        self.server.drop()

    def connections(self) -> int:
        return self.server.accepted


@pytest.mark.usefixtures("_backend")
class TestModbus(DriverConformance):
    @pytest.fixture(
        params=[("native", 1), ("native", 8), ("pymodbus", 1)], ids=["native", "pipelined", "pymodbus"]
    )
    def _backend(self, request: pytest.FixtureRequest) -> None:
        self.parameters = request.param

    def harness(self) -> Harness:
        return ModbusHarness(*self.parameters)
