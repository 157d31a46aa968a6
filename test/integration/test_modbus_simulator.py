"""The simulated Modbus server as a whole: many clients, rotating registers, the command line's function."""

from __future__ import annotations

import asyncio
import contextlib

import pytest

from pydatacoll.errors import DeviceError
from pydatacoll.protocols.modbus_tcp import frames
from pydatacoll.sdk import WriteRequest
from pydatacoll.testing.faults import KINDS, RIGHT, UNANSWERED, Fault, FaultKind
from pydatacoll.testing.modbus_server import ModbusServer
from pydatacoll.testing.signals import Sequence
from pydatacoll.testing.simulation import simulate

from .modbus_rig import Rig, point

pytestmark = pytest.mark.virtual_time


async def test_pieces_and_bundles_of_requests() -> None:
    async with ModbusServer() as server:
        server.holding()[1] = 7
        request = frames.pack_frame(9, 1, frames.read(1, 3, 1, 1).pdu)
        reader, writer = await asyncio.open_connection("127.0.0.1", server.port)
        for byte in request:
            writer.write(bytes([byte]))
            await writer.drain()
        writer.write(request * 2)
        expected = frames.pack_frame(9, 1, b"\3\2\0\7")
        assert await reader.readexactly(len(expected) * 3) == expected * 3
        writer.close()
        await writer.wait_closed()
        assert [r[:4] for r in server.received] == [(1, 3, 1, 1)] * 3


async def test_a_client_that_talks_nonsense_is_dropped() -> None:
    async with ModbusServer() as server:
        reader, writer = await asyncio.open_connection("127.0.0.1", server.port)
        writer.write(b"GET / HTTP/1.1\r\n\r\n")
        with pytest.raises((ConnectionResetError, asyncio.IncompleteReadError)):
            await reader.readexactly(1)
        writer.close()
        with contextlib.suppress(ConnectionResetError):
            await writer.wait_closed()


async def test_a_missing_unit_is_silent() -> None:
    async with ModbusServer(units=[1]) as server:
        rig = Rig(server.port, [point("hr:0"), point("hr:0", unit=9)], timeout=0.05)
        async with rig:
            await rig.poll()
            assert list(rig.driver.status()["suspect_units"]) == ["9"]


async def test_faults_can_be_scripted() -> None:
    async with ModbusServer() as server:
        fault = server.faults.add(Fault("exception", code=6, skip=1, times=2, function=3, address=5))
        request = frames.pack_frame(1, 1, frames.read(1, 3, 4, 2).pdu)
        other = frames.pack_frame(1, 1, frames.read(1, 3, 6, 1).pdu)
        reader, writer = await asyncio.open_connection("127.0.0.1", server.port)
        sizes = []
        for data in (request, other, request, request, request):
            writer.write(data)
            header = await reader.readexactly(7)
            sizes.append((await reader.readexactly(header[5] - 1))[0])
        writer.close()
        await writer.wait_closed()
        assert sizes == [3, 3, 0x83, 0x83, 3]
        assert fault.hits == 2


@pytest.mark.parametrize("signal", ["rotate", "counter", "sine", "ramp", "walk", "fixed"])
async def test_simulate_runs_until_cancelled(signal: str) -> None:
    ready: asyncio.Future[int] = asyncio.get_running_loop().create_future()
    task = asyncio.create_task(simulate("127.0.0.1", 0, [1, 2], 50, signal, ready.set_result))
    port = await ready
    points = [point("hr:0"), point("ir:49", unit=2), point("hr:50")]
    async with Rig(port, points, timeout=5) as rig:
        await rig.poll()
        await rig.poll()
        assert [q == 0 for q in rig.qualities()] == [True, True, False]
        values = [s.value for where, s in rig.sink.samples if where.item_id == "hr0"]
        if signal in ("rotate", "counter"):
            assert len(set(values)) > 1
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task


async def test_simulate_refuses_what_it_does_not_know() -> None:
    with pytest.raises(ValueError, match="sine"):
        await simulate("127.0.0.1", 0, [1], 10, "square")
    with pytest.raises(ValueError, match="65536"):
        await simulate("127.0.0.1", 0, [1], 70000, "fixed")


async def test_a_stopped_server_takes_its_port_again() -> None:
    async with ModbusServer() as server:
        port = server.port
        await server.stop()
        await server.stop()
        await server.start()
        assert server.port == port


async def test_a_thousand_devices_in_one_process() -> None:
    ready: asyncio.Future[int] = asyncio.get_running_loop().create_future()

    async def somewhere() -> None:
        for first in range(20_000, 60_000, 1000):
            with contextlib.suppress(OSError):  # a port among them is in use
                await simulate("127.0.0.1", first, [1], 2, "fixed", ready.set_result, devices=1000)

    task = asyncio.create_task(somewhere())
    first = await ready
    rigs = [Rig(first + number, [point("hr:1")], timeout=60) for number in range(1000)]
    try:
        await asyncio.gather(*(rig.driver.connect() for rig in rigs))
        await asyncio.gather(*(rig.poll() for rig in rigs))
        assert {rig.latest().value for rig in rigs} == {1}
    finally:
        await asyncio.gather(*(rig.driver.close() for rig in rigs))
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
    with pytest.raises(ValueError, match="first port of 1 to 65526"):
        await simulate("127.0.0.1", 65530, [1], 2, "fixed", devices=10)


async def connects(port: int) -> bool:
    """Whether a connection is there to stay: a request on it is answered."""
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    try:
        writer.write(frames.pack_frame(1, 1, frames.read(1, 3, 0, 1).pdu))
        return bool(await reader.read(1))
    except ConnectionResetError:
        return False
    finally:
        writer.close()
        with contextlib.suppress(ConnectionResetError, BrokenPipeError):
            await writer.wait_closed()


async def test_connections_are_limited_and_refused() -> None:
    async with ModbusServer() as server:
        server.max_connections = 1
        async with Rig(server.port, [point("hr:0")]):
            assert not await connects(server.port)
        server.max_connections = None
        refusal = server.faults.add(Fault("refuse", skip=1, times=1))
        assert [await connects(server.port) for _ in range(3)] == [True, False, True]
        assert refusal.hits == 1
        assert server.refused == 2


async def test_a_reply_that_is_cut_ends_the_connection() -> None:
    async with ModbusServer() as server:
        server.faults.add(Fault("cut"))
        reader, writer = await asyncio.open_connection("127.0.0.1", server.port)
        writer.write(frames.pack_frame(1, 1, frames.read(1, 3, 0, 2).pdu))
        assert len(await reader.read()) == 6  # of 13 bytes
        writer.close()
        await writer.wait_closed()


@pytest.mark.parametrize("kind", sorted(set(KINDS) - {"refuse"}))
async def test_a_sequence_knows_what_was_sent(kind: FaultKind) -> None:
    """What a driver takes are exactly the numbers that were sent in right replies, whatever goes wrong."""
    async with ModbusServer() as server:
        sequence = Sequence()
        server.holding().signal(0, sequence)
        fault = server.faults.add(Fault(kind, skip=2, times=1, seconds=0.001))
        rig = Rig(server.port, [point("hr:0")], timeout=0.1, retries=0)
        with contextlib.suppress(DeviceError):  # some end the connection
            async with rig:
                for _ in range(3):
                    await rig.poll()
        async with Rig(server.port, [point("hr:0")]) as again:
            await again.poll()
        assert fault.hits == 1
        stored = [int(value) for value in (*rig.good_values(), *again.good_values()) if isinstance(value, int)]
        right = set(range(1, sequence.value + 1)) - sequence.spoiled
        assert stored == sorted(set(stored))
        assert right - sequence.late <= set(stored) <= right
        assert sequence.spoiled == (set() if kind in RIGHT | UNANSWERED else {3})
        assert sequence.late == ({3} if kind in RIGHT else set())


async def test_writes_are_remembered_apart_from_reads() -> None:
    async with ModbusServer(history=3) as server:
        async with Rig(server.port, [point("hr:0")]) as rig:
            await rig.driver.write([WriteRequest(rig.points[0], 7)])
            for _ in range(5):
                await rig.poll()
        assert [request.pdu for request in server.written] == [b"\6\0\0\0\7"]
