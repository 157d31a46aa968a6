"""The bay of the demo plant, through the driver: every point is good, believable and reacts to the operator."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator

import msgspec
import pytest

from pydatacoll.errors import DeviceRefused
from pydatacoll.model import Item
from pydatacoll.protocols.iec104 import Iec104Device, Iec104Driver, Iec104Term, Iec104TermItem
from pydatacoll.sdk import DriverContext, Executed, Point, WriteRequest, WriteResult
from pydatacoll.testing.demo import DemoPlant
from pydatacoll.testing.fakes import FakeSink
from pydatacoll.testing.iec104_bay import BAY_MODEL, BREAKER, CONTROL_STATION, Bay


class Demo:
    """The bay and its driver."""

    def __init__(self, bay: Bay) -> None:
        payloads = bay.payloads()
        device = msgspec.convert(payloads["devices"][0], Iec104Device)
        terms = {term["id"]: msgspec.convert(term, Iec104Term) for term in payloads["terms"]}
        items = [msgspec.convert(item, Iec104TermItem) for item in payloads["term_items"]]
        self.bay = bay
        self.sink = FakeSink()
        self.points = {item.item_id: Point(terms[item.term_id], item) for item in items}
        for point in self.points.values():
            assert Iec104Driver.check(device, point.term, point.item) == []
        assert Iec104Driver.check_device(device) == []
        self.driver = Iec104Driver(device, DriverContext(self.sink))
        self.driver.configure(list(self.points.values()))

    def value(self, item: str) -> float:
        """The latest one when it is good, else NaN."""
        sample = self.sink.latest.get(self.points[item].id)
        if sample is None or sample.quality or sample.value is None or isinstance(sample.value, str):
            return float("nan")
        return float(sample.value)

    async def until(self, item: str, value: float) -> None:
        await self.sink.until(lambda: self.value(item) == value)

    async def write(self, item: str, value: float) -> WriteResult:
        point = self.points[item]
        (result,) = await self.driver.write([WriteRequest(point, Iec104Driver.check_value(
            self.driver.device, point.term, point.item, value
        ))])  # fmt: skip
        return result


@pytest.fixture
async def demo() -> AsyncIterator[Demo]:
    bay = Bay()
    await bay.start()
    made = Demo(bay)
    await made.driver.connect()
    subscription = asyncio.create_task(made.driver.subscribe())
    yield made
    subscription.cancel()
    await asyncio.gather(subscription, return_exceptions=True)
    await made.driver.close()
    await bay.stop()
    await bay.stop()


async def test_all_points_come_believable_and_within_their_limits(demo: Demo) -> None:
    await demo.sink.until(lambda: all(demo.value(item) == demo.value(item) for item in demo.points))
    for item, point in demo.points.items():
        low, high = point.item.down_limit, point.item.up_limit
        assert low is None or low < demo.value(item), item
        assert high is None or demo.value(item) < high, item
    power = 1.732 * demo.value("u") * demo.value("i1") / 1000 * 0.96
    assert demo.value("mw") == pytest.approx(power, rel=0.05)
    assert demo.value("mvar") < demo.value("mw")
    assert demo.value("import") >= 734_210
    assert (demo.value("switch"), demo.value("isolator"), demo.value("tap_position")) == (2, 2, 10)


async def test_the_bay_reacts_to_the_operator(demo: Demo) -> None:
    await demo.sink.until(lambda: demo.value("i1") > 0)
    refused = await demo.write("isolator", 1)
    assert isinstance(refused, DeviceRefused)  # the breaker is closed
    assert "negative" in (refused.outcome or "")
    opened = await demo.write("switch", 1)
    assert isinstance(opened, Executed)
    assert opened.outcome == "terminated"
    await demo.until("switch", 1)
    for item in ("i1", "i2", "i3", "mw", "mvar"):
        await demo.until(item, 0)
    assert isinstance(await demo.write("isolator", 1), Executed)
    await demo.until("isolator", 1)
    states = [sample.value for place, sample in demo.sink.samples if place.item_id == "isolator"]
    assert states[-2:] == [0, 1]  # it was on its way
    before = demo.value("u")
    assert isinstance(await demo.write("tap_position", 2), Executed)
    await demo.until("tap_position", 11)
    await demo.sink.until(lambda: demo.value("u") > before * 1.005)
    assert isinstance(await demo.write("fan_limit", 70.0), Executed)
    await demo.until("fan_limit", 70.0)
    assert demo.bay.rtu.value(CONTROL_STATION, BREAKER) == 1


async def test_items_and_devices_of_the_whole_plant_are_one_each() -> None:
    items = {msgspec.convert(item, Item).id for item in BAY_MODEL["items"]}
    assert {point["item_id"] for point in BAY_MODEL["term_items"]} == items
    plant = DemoPlant()
    await plant.start()
    try:
        payloads = plant.payloads()
    finally:
        await plant.stop()
    for kind in ("devices", "terms", "items"):
        ids = [payload["id"] for payload in payloads[kind]]
        assert len(ids) == len(set(ids))
    simulated = [device for device in payloads["devices"] if device["protocol"] != "formula"]
    assert [device["id"] for device in simulated] == ["feeder1", "transformer1", "pumps1", "bay1"]
    assert len({device["port"] for device in simulated}) == 4
