"""The simulated RTU against lib60870, by way of the c104 package: what an independent client asks, it is told.

c104 compares annotations of callbacks with its own classes: hence no ``from __future__ import annotations``.
"""

import asyncio
import contextlib
import queue
from collections.abc import AsyncIterator, Callable
from typing import Any

from pydatacoll.model.quality import Quality
from pydatacoll.testing.iec104_faults import Iec104Fault
from pydatacoll.testing.iec104_rtu import Iec104Point, Iec104Rtu
from test.lib60870 import lib60870

c104 = lib60870()

CA = 47
TIMEOUT = 30


class Client:
    """A client of c104 with one connection, started."""

    def __init__(self, connection: Any, station: Any) -> None:
        self.connection = connection
        self.station = station
        self.seen: queue.SimpleQueue[tuple[int, int, Any, Any, int]] = queue.SimpleQueue()

    def point(self, address: int, name: str, **more: Any) -> Any:
        """A point that tells what it receives."""
        made = self.station.add_point(io_address=address, type=getattr(c104.Type, name), **more)
        seen = self.seen

        def on_receive(
            point: c104.Point, previous_info: c104.Information, message: c104.IncomingMessage
        ) -> c104.ResponseState:
            seen.put((message.type.value, point.io_address, point.value, point.quality, message.cot.value))
            return c104.ResponseState.SUCCESS

        made.on_receive(callable=on_receive)
        return made

    async def received(self) -> tuple[int, int, Any, Any, int]:
        """Type, address, value, quality and cause of the next value."""
        return await asyncio.to_thread(self.seen.get, True, TIMEOUT)


@contextlib.asynccontextmanager
async def connected(rtu: Iec104Rtu) -> AsyncIterator[Client]:
    client = c104.Client(tick_rate_ms=50)
    # c104 may send no STARTDT at all when it shall do so as soon as it is connected
    connection = client.add_connection("127.0.0.1", rtu.port, c104.Init.MUTED)
    states: queue.SimpleQueue[Any] = queue.SimpleQueue()

    def on_state_change(connection: c104.Connection, state: c104.ConnectionState) -> None:
        states.put(state)

    connection.on_state_change(callable=on_state_change)
    made = Client(connection, connection.add_station(common_address=CA))
    client.start()
    try:
        while await asyncio.to_thread(states.get, True, TIMEOUT) != c104.ConnectionState.OPEN_MUTED:
            pass
        assert await asyncio.to_thread(connection.unmute)
        async with asyncio.timeout(TIMEOUT):
            await rtu.until(lambda: rtu.active is not None)
            yield made
    finally:
        await asyncio.to_thread(client.stop)


async def call(function: Callable[..., bool], *arguments: Any, **more: Any) -> bool:
    return await asyncio.to_thread(function, *arguments, **more)


MONITORED: list[tuple[str, Any, Any]] = [
    ("M_SP_NA_1", True, True),
    ("M_DP_NA_1", 2, c104.Double.ON),
    ("M_ST_NA_1", -5, c104.Int7(-5)),
    ("M_BO_NA_1", 0x78563412, c104.Byte32(b"\x12\x34\x56\x78")),
    ("M_ME_NA_1", 0.25, c104.NormalizedFloat(0.25)),
    ("M_ME_NB_1", -7, c104.Int16(-7)),
    ("M_ME_NC_1", 2.5, 2.5),
    ("M_ME_ND_1", -0.5, c104.NormalizedFloat(-0.5)),
]


async def test_an_interrogation_by_lib60870() -> None:
    points = [
        Iec104Point(common=CA, address=100 * at + few, type=name, value=value)
        for at, (name, value, _) in enumerate(MONITORED, 1)
        for few in (0, 1, 2, 50)  # SQ = 1 and SQ = 0
    ]
    points.append(Iec104Point(common=CA, address=5000, type="M_IT_NA_1", value=1234))
    async with Iec104Rtu(points) as rtu, connected(rtu) as client:
        expected = {}
        for point in points:
            client.point(point.address, point.type)
            expected[point.address] = next((text for name, _, text in MONITORED if name == point.type), None)
        assert await call(client.connection.interrogation, CA)
        found = [await client.received() for _ in range(len(points) - 1)]
        assert {cause for *_, cause in found} == {20}
        assert {address: str(value) for _, address, value, _, _ in found} == {
            address: str(value) for address, value in expected.items() if address != 5000
        }
        assert await call(client.connection.counter_interrogation, CA)
        type_id, address, value, _, cause = await client.received()
        assert (type_id, address, int(value), cause) == (15, 5000, 1234, 37)


async def test_events_and_reading_by_lib60870() -> None:
    async with Iec104Rtu([Iec104Point(common=CA, address=1, type="M_ME_NC_1")]) as rtu, connected(rtu) as client:
        client.point(1, "M_ME_TF_1")
        rtu.set(CA, 1, 5.5, quality=Quality.NOT_TOPICAL | Quality.SUBSTITUTED)
        type_id, address, value, quality, cause = await client.received()
        assert (type_id, address, value, cause) == (36, 1, 5.5, 3)
        assert quality == c104.Quality.NonTopical | c104.Quality.Substituted
    async with Iec104Rtu([Iec104Point(common=CA, address=1, type="M_ME_NC_1")]) as rtu, connected(rtu) as client:
        point = client.point(1, "M_ME_NC_1")
        rtu.put(CA, 1, 7.5)
        assert await call(point.read)
        assert (await client.received())[2::2] == (7.5, 5)


async def test_clock_and_test_command_by_lib60870() -> None:
    async with Iec104Rtu(commons=[CA], clock_offset=-5000.0) as rtu, connected(rtu) as client:
        # the library says of its own C_TS_TA_1 that it does not know the type; whether it takes the answer depends
        # on which of its threads is first
        await call(client.connection.test, CA, with_time=True)
        assert await call(client.connection.clock_sync, CA)
        assert abs(rtu.clock_offset) < 60
        assert [asdu.type_id for asdu in rtu.log] == [107, 103]


async def test_commands_by_lib60870() -> None:
    points = [
        Iec104Point(common=CA, address=1, type="M_DP_NA_1", value=1, command=True, select=True),
        Iec104Point(common=CA, address=2, command=True),
    ]
    async with Iec104Rtu(points) as rtu, connected(rtu) as client:
        breaker = client.point(1, "C_DC_NA_1", command_mode=c104.CommandMode.SELECT_AND_EXECUTE)
        breaker.value = c104.Double.ON
        assert await call(breaker.transmit, c104.Cot.ACTIVATION)
        assert rtu.value(CA, 1) == 2
        set_point = client.point(2, "C_SE_NC_1")
        set_point.value = 12.5
        assert await call(set_point.transmit, c104.Cot.ACTIVATION)
        assert rtu.value(CA, 2) == 12.5
        assert [(record.act, record.value, record.accepted) for record in rtu.commands] == [
            ("select", 2, True), ("execute", 2, True), ("execute", 12.5, True),
        ]  # fmt: skip
        rtu.faults.add(Iec104Fault("negative", type=50))
        set_point.value = 13.5
        assert not await call(set_point.transmit, c104.Cot.ACTIVATION)
        assert rtu.value(CA, 2) == 12.5
