"""Our connections to lib60870 as the controlled station: it does not share a line with ours."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Sequence
from typing import Any

import pytest

from pydatacoll.protocols.iec104 import control as c
from pydatacoll.protocols.iec104.asdu import Asdu, InformationObject, decode, encode
from pydatacoll.protocols.iec104.config import Iec104Device
from pydatacoll.protocols.iec104.opening import open_wire
from pydatacoll.sdk import DriverContext
from pydatacoll.testing.fakes import FakeSink
from test.integration.iec104_peer import listening
from test.lib60870 import lib60870

c104 = lib60870()

CA = 47
POINTS = 2000
TIMEOUT = 30
INTERROGATION = encode(Asdu(100, 6, CA, (InformationObject(0, c.Interrogation()),)))


class Rtu:
    """A server of lib60870 with floating point numbers."""

    def __init__(self) -> None:
        self.server = c104.Server(ip="127.0.0.1", port=0, tick_rate_ms=50)
        station = self.server.add_station(common_address=CA)
        self.points = [
            station.add_point(io_address=address + 1, type=c104.Type.M_ME_NC_1) for address in range(POINTS)
        ]
        before = listening()
        self.server.start()
        (self.port,) = listening() - before


@pytest.fixture
async def rtu() -> AsyncIterator[Rtu]:
    made = Rtu()
    yield made
    await asyncio.to_thread(made.server.stop)


class Received:
    """Addresses of values by cause, and the terminations."""

    def __init__(self) -> None:
        self.context = DriverContext(FakeSink())
        self.values: dict[int, list[int]] = {}
        self.terminated = 0
        self._changed = asyncio.Event()

    def __call__(self, asdus: Sequence[bytes]) -> None:
        for octets in asdus:
            asdu = decode(octets)
            self.values.setdefault(asdu.cause, []).extend(each.address for each in asdu.objects)
            self.terminated += (asdu.type_id, asdu.cause) == (100, 10)
        self._changed.set()

    async def until_terminated(self, times: int) -> None:
        while self.terminated < times:
            self._changed.clear()
            await self._changed.wait()

    def device(self, port: int, **options: Any) -> Iec104Device:
        options = {"id": "rtu", "name": "RTU", "protocol": "iec104", "ip": "127.0.0.1", "port": port, **options}
        return Iec104Device(**options)


async def test_interrogations_and_an_orderly_end(rtu: Rtu) -> None:
    received = Received()
    async with asyncio.timeout(TIMEOUT):
        wire = await open_wire(received.device(rtu.port), received.context, received)
        for number in range(1, 6):
            wire.send(INTERROGATION)
            await received.until_terminated(number)
        assert sorted(received.values[20]) == sorted([*range(1, POINTS + 1)] * 5)
        status = wire.status()
        assert (status["state"], status["unacknowledged"]) == ("started", 0)
        await wire.close()
        assert str(wire.closed.result()) == "closed by us"
    assert status["counters"]["s_sent"] >= status["counters"]["i_received"] // 12


async def test_a_long_idle_time_is_bridged_with_tests(rtu: Rtu) -> None:
    received = Received()
    device = received.device(rtu.port, t1=1.1, t2=1.0, t3=1.0)
    async with asyncio.timeout(TIMEOUT):
        wire = await open_wire(device, received.context, received)
        while wire.status()["round_trip"] is None:
            await asyncio.sleep(0.01)
        assert not wire.closed.done()
        wire.send(INTERROGATION)
        await received.until_terminated(1)
        await wire.close()


async def test_a_redundancy_group_of_two_servers() -> None:
    first, second = Rtu(), Rtu()
    received, switched = Received(), asyncio.Event()
    device = received.device(first.port, redundant=f"127.0.0.1:{second.port}")
    try:
        async with asyncio.timeout(TIMEOUT):
            wire = await open_wire(device, received.context, received)
            wire.switched = switched.set
            wire.send(INTERROGATION)
            await received.until_terminated(1)
            while wire.status()["redundancy"]["other"]["state"] != "stopped":
                await asyncio.sleep(0.01)
            await asyncio.to_thread(first.server.stop)
            await switched.wait()
            wire.send(INTERROGATION)
            await received.until_terminated(2)
            await wire.close()
    finally:
        for each in (first, second):
            await asyncio.to_thread(each.server.stop)
    assert sorted(received.values[20]) == sorted([*range(1, POINTS + 1)] * 2)
