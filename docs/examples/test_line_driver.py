"""The line driver passes the conformance suite that every driver must pass."""

from __future__ import annotations

from line_device import LineServer
from line_driver import LineDevice, LineDriver

from pydatacoll.sdk import Device, Point, Term, TermItem, Value
from pydatacoll.testing.driver_conformance import DriverConformance, Harness


class LineHarness(Harness):
    """A simulated device with the values ``v0`` to ``v4``."""

    driver_type = LineDriver

    def __init__(self) -> None:
        self.server = LineServer({f"v{n}": 0.0 for n in range(5)})
        self._points = [self._point(f"v{n}") for n in range(5)]

    @staticmethod
    def _point(name: str) -> Point:
        term = Term(id="t", name="t", device_id="d")
        return Point(term, TermItem(term_id="t", item_id=name, protocol_code=name, writable=True))

    async def start(self) -> None:
        await self.server.start()

    async def stop(self) -> None:
        await self.server.stop()

    def device(self) -> Device:
        return LineDevice(id="d", name="d", protocol="line", port=self.server.port, timeout=0.2)

    def points(self) -> list[Point]:
        return self._points[:4]

    def spare(self) -> Point:
        return self._points[4]

    def unknown(self) -> Point:
        return self._point("nonsense")

    def put(self, point: Point, value: Value) -> None:
        self.server.values[point.id.item_id] = float(value or 0)

    def get(self, point: Point) -> Value:
        return self.server.values[point.id.item_id]

    def mute(self) -> None:
        self.server.muted = True

    def drop(self) -> None:
        self.server.drop()

    def connections(self) -> int:
        return self.server.accepted


class TestLineDriver(DriverConformance):
    """All checks of the suite."""

    def harness(self) -> Harness:
        return LineHarness()
