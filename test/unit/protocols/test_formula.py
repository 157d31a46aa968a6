"""The virtual device."""

from __future__ import annotations

from pydatacoll.errors import DeviceRefused
from pydatacoll.protocols.formula import FormulaDriver
from pydatacoll.sdk import Device, DriverContext, Point, Term, TermItem, WriteRequest
from pydatacoll.testing.fakes import FakeSink

DEVICE = Device(id="d", name="d", protocol="formula")
TERM = Term(id="t", name="t", device_id="d")
ITEM = TermItem(term_id="t", item_id="i", protocol_code="anything")


def test_it_has_no_addresses_and_is_never_polled() -> None:
    assert FormulaDriver.virtual
    assert FormulaDriver.address(DEVICE, TERM, ITEM) is None
    assert FormulaDriver.interval(DEVICE, TERM, ITEM) is None
    assert FormulaDriver.check(DEVICE, TERM, ITEM) == []
    writable = TermItem(term_id="t", item_id="i", writable=True)
    assert [field for field, _ in FormulaDriver.check(DEVICE, TERM, writable)] == ["writable"]


async def test_reading_and_writing_are_refused() -> None:
    driver = FormulaDriver(DEVICE, DriverContext(FakeSink()))
    point = Point(TERM, ITEM)
    await driver.connect()
    assert isinstance((await driver.read([point]))[0], DeviceRefused)
    assert isinstance((await driver.write([WriteRequest(point, 1)]))[0], DeviceRefused)
    await driver.close()
