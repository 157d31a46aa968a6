"""A station waits while the store is behind."""

from __future__ import annotations

import asyncio

from pydatacoll.errors import DeviceOffline
from pydatacoll.protocols.iec104.config import Iec104Device
from pydatacoll.protocols.iec104.hold_back import LONGEST_PAUSE, HoldBack
from pydatacoll.sdk import DriverContext


class HeldWire:
    """Notes when it is told to wait, and to go on."""

    def __init__(self) -> None:
        self.closed: asyncio.Future[DeviceOffline] = asyncio.get_running_loop().create_future()
        self.paused = 0
        self.resumed = asyncio.Event()

    def pause(self) -> None:
        self.paused += 1

    def resume(self) -> None:
        self.resumed.set()


async def test_a_long_wait_takes_few_looks() -> None:
    device = Iec104Device(id="d", name="d", protocol="iec104", t1=1)
    context = DriverContext(None)  # type: ignore[arg-type]
    looks = 0

    def behind() -> bool:
        nonlocal looks
        looks += 1
        return True

    context.behind = behind
    wire = HeldWire()
    hold_back = HoldBack(device, context)
    begin = asyncio.get_running_loop().time()
    hold_back.check(wire)  # type: ignore[arg-type]
    hold_back.check(wire)  # type: ignore[arg-type]
    assert wire.paused == context.counters["held_back"] == 1
    await wire.resumed.wait()
    waited = asyncio.get_running_loop().time() - begin
    assert waited >= device.t1 / 2
    assert looks <= 6 + waited / LONGEST_PAUSE, "2, 4, 8, 16, then every 20 ms"


async def test_a_short_wait_ends_with_the_first_look() -> None:
    context = DriverContext(None)  # type: ignore[arg-type]
    answers = iter((True, False))
    context.behind = lambda: next(answers)
    wire = HeldWire()
    HoldBack(Iec104Device(id="d", name="d", protocol="iec104"), context).check(wire)  # type: ignore[arg-type]
    await wire.resumed.wait()
    assert next(answers, None) is None
