"""A read that fails never becomes a value: the point keeps the last one, or none, and its quality says why."""

from __future__ import annotations

from typing import Any

import pytest

from pydatacoll.codec.registers import Layout
from pydatacoll.errors import DeviceError, DeviceOffline
from pydatacoll.model import Quality, Sample
from pydatacoll.testing.faults import Fault, FaultKind
from pydatacoll.testing.modbus_server import ModbusServer
from test.integration.modbus_rig import Rig, point
from test.sink_rig import SinkRig

pytestmark = pytest.mark.virtual_time

INVALID, LOST, BUSY = int(Quality.INVALID), int(Quality.COMM_LOST), int(Quality.NOT_TOPICAL)
FAULTS: list[tuple[FaultKind, int, int]] = [
    # fault, exception code, quality of the points
    ("exception", 1, INVALID),
    ("exception", 2, INVALID),
    ("exception", 4, INVALID),
    ("exception", 5, BUSY),
    ("exception", 6, BUSY),
    ("exception", 10, LOST),
    ("exception", 11, LOST),
    ("silence", 0, LOST),
    ("reset", 0, LOST),
    ("close", 0, LOST),
    ("wrong_transaction", 0, LOST),
    ("wrong_unit", 0, INVALID),
    ("wrong_function", 0, INVALID),
    ("short", 0, INVALID),
    ("empty", 0, INVALID),
    ("surplus", 0, INVALID),
    ("garbage", 0, LOST),
    ("half", 0, LOST),
]
RULES: list[dict[str, Any]] = [
    {},
    {"deadband": 0.5, "min_period": 3600.0, "stale_after": 3600.0, "frozen_after": 3600.0},
]
VALUES = {"hr0": 1234, "hr10": 21.5, "hr20": "pump", "co0": True, "hr30": 230.1}


class Plant:
    """A device with a point of every kind, polled into a real sink."""

    def __init__(self, server: ModbusServer, rules: dict[str, Any]) -> None:
        registers = server.holding()
        registers[0] = 1234
        server.put(registers, 10, Layout("float32"), 21.5)
        server.put(registers, 20, Layout("string", length=4), "pump")
        registers[30] = 2301
        server.coils()[0] = True
        self.points = [
            point("hr:0", **rules),
            point("hr:10", code_type="float32", **rules),
            point("hr:20", code_type="string", length=4, **rules),
            point("hr:30", coefficient=0.1, **rules),
            point("co:0", **rules),
        ]
        self.rig = Rig(server.port, self.points, timeout=0.1, retries=1)
        self.sinks = SinkRig(*self.points)
        self.rig.driver.context.sink = self.sinks.sink

    async def poll(self) -> None:
        """What a manager does: a lost link marks all points."""
        try:
            await self.rig.poll()
        except DeviceOffline:
            self.sinks.sink.all_failed(self.points, LOST)
            await self.rig.driver.close()
            await self.rig.driver.connect()

    def known(self) -> dict[str, tuple[Any, int] | None]:
        known = {p.item.item_id: self.sinks.sink.known(p) for p in self.points}
        return {name: sample and (sample.value, sample.quality) for name, sample in known.items()}

    def stored(self) -> set[tuple[str, Any, int]]:
        return {(field.split(":")[1], value, quality) for field, value, quality in self.sinks.writer.rows()}


@pytest.mark.parametrize("rules", RULES, ids=["plain", "ruled"])
@pytest.mark.parametrize(("kind", "code", "quality"), FAULTS, ids=[f"{f[0]}{f[1] or ''}" for f in FAULTS])
async def test_a_failed_read_keeps_the_value_and_says_why(kind, code, quality, rules):
    async with ModbusServer() as server:
        plant = Plant(server, rules)
        async with plant.rig:
            # Given points that were read
            await plant.poll()
            assert plant.known() == {name: (value, 0) for name, value in VALUES.items()}
            # When the device answers nothing of use
            fault = server.faults.add(Fault(kind, code=code))
            for _ in range(3):
                await plant.poll()
            assert fault.hits
            # Then each shows the value it had, and why it is not good; nothing else was ever stored
            assert plant.known() == {name: (value, quality) for name, value in VALUES.items()}
            assert {(name, value) for name, value, _ in plant.stored()} == set(VALUES.items())
            assert plant.sinks.sink.account.balanced()


@pytest.mark.parametrize("rules", RULES, ids=["plain", "ruled"])
@pytest.mark.parametrize(("kind", "code", "quality"), FAULTS, ids=[f"{f[0]}{f[1] or ''}" for f in FAULTS])
async def test_a_point_that_never_had_a_value_has_none(kind, code, quality, rules):
    async with ModbusServer() as server:
        plant = Plant(server, rules)
        server.faults.add(Fault(kind, code=code))
        async with plant.rig:
            for _ in range(3):
                await plant.poll()
            assert plant.known() == dict.fromkeys(VALUES, (None, quality))
            assert {value for _, value, _ in plant.stored()} == {None}


@pytest.mark.parametrize("rules", RULES, ids=["plain", "ruled"])
async def test_a_float_that_is_no_number_keeps_the_value(rules):
    async with ModbusServer() as server:
        plant = Plant(server, rules)
        async with plant.rig:
            await plant.poll()
            server.holding()[10:12] = [0x7FC0, 0]
            await plant.poll()
            assert plant.known() == {
                name: (value, INVALID if name == "hr10" else 0) for name, value in VALUES.items()
            }
            # and so does one that somebody asks for
            (result,) = await plant.rig.driver.read([plant.points[1]])
            assert not isinstance(result, DeviceError)
            assert plant.sinks.sink.once([(plant.points[1], result)]) == [Sample(result.time, 21.5, INVALID)]
