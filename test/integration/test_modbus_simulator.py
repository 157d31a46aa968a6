"""The simulated Modbus server as a whole: many clients, rotating registers, the command line's function."""

from __future__ import annotations

import asyncio
import contextlib

import pytest

from pydatacoll.protocols.modbus_tcp import frames
from pydatacoll.testing.faults import Fault
from pydatacoll.testing.modbus_server import ModbusServer, simulate

from .modbus_rig import Rig, point


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
    server = ModbusServer()
    await server.start()
    port = server.port
    await server.stop()
    await server.stop()
    await server.start()
    assert server.port == port
    await server.stop()
