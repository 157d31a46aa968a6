"""Modbus devices of the demo plant: every point is good, values are believable and react to the operator."""

from __future__ import annotations

from collections.abc import AsyncIterator

import msgspec
import pytest

from pydatacoll.model import Item, PointId
from pydatacoll.protocols.modbus_tcp import ModbusDevice, ModbusTcpDriver, ModbusTerm, ModbusTermItem
from pydatacoll.sdk import DriverContext, Point, Sample, WriteRequest
from pydatacoll.testing.demo import DEMO_MODEL, DemoPlant
from pydatacoll.testing.fakes import FakeSink


class Demo:
    """The plant and one driver per device."""

    def __init__(self, payloads: dict[str, list[dict[str, object]]]) -> None:
        self.sink = FakeSink()
        modbus = [device for device in payloads["devices"] if device["protocol"] == "modbus_tcp"]
        devices = {d["id"]: msgspec.convert(d, ModbusDevice) for d in modbus}
        own = [term for term in payloads["terms"] if term["device_id"] in devices]
        terms = {t["id"]: msgspec.convert(t, ModbusTerm) for t in own}
        items = [msgspec.convert(i, ModbusTermItem) for i in payloads["term_items"] if i["term_id"] in terms]
        self.points = {f"{i.term_id}:{i.item_id}": Point(terms[i.term_id], i) for i in items}
        self.drivers: dict[str, ModbusTcpDriver] = {}
        for name, device in devices.items():
            self.drivers[name] = driver = ModbusTcpDriver(device, DriverContext(self.sink))
            driver.configure([p for p in self.points.values() if p.term.device_id == name])
            for point in self.points.values():
                if point.term.device_id == name:
                    assert ModbusTcpDriver.check(device, point.term, point.item) == []

    async def poll(self) -> dict[str, float]:
        """Engineering values of everything, by ``term:item``."""
        for name, driver in self.drivers.items():
            points = [p for p in self.points.values() if p.term.device_id == name]
            for lane in driver.lanes(points):
                await driver.poll(driver.plan(lane))
        values = {}
        for key, point in self.points.items():
            sample = self.sink.latest[point.id]
            assert sample.quality == 0, key
            value = sample.value
            values[key] = value * point.coefficient + point.base if type(value) in (int, float) else value
        return values

    async def write(self, key: str, value: object) -> None:
        point = self.points[key]
        (result,) = await self.drivers[point.term.device_id].write([WriteRequest(point, value, verify=True)])
        assert isinstance(result, Sample), result


@pytest.fixture
async def demo() -> AsyncIterator[Demo]:
    plant = DemoPlant()
    await plant.start()
    made = Demo(plant.payloads())
    for driver in made.drivers.values():
        await driver.connect()
    yield made
    for driver in made.drivers.values():
        await driver.close()
    await plant.stop()
    await plant.stop()


async def test_values_are_believable_and_within_their_limits(demo: Demo) -> None:
    values = await demo.poll()
    for key, point in demo.points.items():
        low, high = point.item.down_limit, point.item.up_limit
        assert low is None or low < values[key], key
        assert high is None or values[key] < high, key
    power = sum(values[f"feeder1.relay:u{p}"] * values[f"feeder1.relay:i{p}"] for p in "abc") / 1000 * 0.96
    assert values["feeder1.relay:p"] == pytest.approx(power, rel=0.01)
    assert values["transformer1.monitor:load"] == pytest.approx(values["feeder1.relay:p"] / 160, rel=0.01)
    assert values["transformer1.monitor:winding_temp"] > values["transformer1.monitor:oil_temp"]
    assert values["feeder1.relay:model"] == "DEMO-REL 615"
    assert values["pumps1.drives:pump1_on"] is True
    assert values["pumps1.drives:pump1_speed"] == pytest.approx(1450, rel=0.01)


async def test_the_plant_reacts_to_the_operator(demo: Demo) -> None:
    before = await demo.poll()
    await demo.write("feeder1.relay:breaker_cmd", False)
    await demo.write("transformer1.monitor:tap", 13)
    await demo.write("pumps1.drives:speed_set", 0.0)
    after = await demo.poll()
    assert (before["feeder1.relay:breaker"], after["feeder1.relay:breaker"]) == (True, False)
    assert after["feeder1.relay:ia"] == after["feeder1.relay:p"] == 0
    assert after["feeder1.relay:ua"] > before["feeder1.relay:ua"] * 1.03
    assert after["pumps1.drives:pump1_on"] is False
    assert after["pumps1.reservoir:inflow"] == 0


async def test_every_item_exists_and_ports_are_filled_in(demo: Demo) -> None:
    items = {msgspec.convert(item, Item).id for item in DEMO_MODEL["items"]}
    assert {point["item_id"] for point in DEMO_MODEL["term_items"]} == items
    assert all("port" not in device for device in DEMO_MODEL["devices"])
    assert len({driver.device.port for driver in demo.drivers.values()}) == 3
    assert len({point.id for point in demo.points.values()}) == len(demo.points)
    assert PointId("pumps1", "pumps1.drives", "speed_set") in {point.id for point in demo.points.values()}
