"""Against implementations that are not ours: libmodbus (a server compiled here, and mbpoll) and pymodbus's own."""

from __future__ import annotations

import asyncio
import contextlib
import subprocess
from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import pytest
from pymodbus.server import ModbusTcpServer
from pymodbus.simulator import DataType, SimData, SimDevice

from pydatacoll.codec.registers import Layout
from pydatacoll.errors import DeviceOffline, DeviceRefused
from pydatacoll.model import Sample
from pydatacoll.sdk import Point, WriteRequest
from pydatacoll.testing.modbus_server import ModbusServer

from .modbus_rig import Rig, point

BACKENDS = ["native", "pymodbus"]
SOURCE = Path(__file__).parent / "peers" / "modbus_peer.c"


@pytest.fixture(scope="module")
def peer_program(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The libmodbus server, compiled (needs gcc and libmodbus-dev)."""
    program = tmp_path_factory.mktemp("peer") / "modbus_peer"
    subprocess.run(["gcc", "-Wall", "-Werror", "-o", program, SOURCE, "-lmodbus"], check=True)
    return program


@pytest.fixture
def libmodbus(peer_program: Path) -> Iterator[int]:
    """Port of a running libmodbus server."""
    with subprocess.Popen([peer_program], stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        yield int(process.stdout.readline())
        process.kill()


def typed_points() -> list[Point]:
    orders = [("big", "big"), ("little", "big"), ("big", "little"), ("little", "little")]
    return [
        *(
            point(f"hr:{index * 2}", code_type="float32", byte_order=byte, word_order=word)
            for index, (byte, word) in enumerate(orders)
        ),
        point("hr:8", code_type="int32"),
        point("hr:10", code_type="int64"),
    ]


@pytest.mark.parametrize("backend", BACKENDS)
async def test_reading_from_libmodbus(libmodbus: int, backend: str) -> None:
    points = [
        *typed_points(),
        *(point(f"hr:{n}") for n in range(100, 500)),
        *(point(f"ir:{n}") for n in (0, 1, 999)),
        *(point(f"co:{n}") for n in range(2500)),
        *(point(f"di:{n}") for n in (0, 1, 7, 2999)),
    ]
    expected = [
        *[123.5] * 4,
        -100000,
        -5000000000,
        *range(100, 500),
        *(60000 + n for n in (0, 1, 999)),
        *(n % 3 == 0 for n in range(2500)),
        *(n % 7 == 0 for n in (0, 1, 7, 2999)),
    ]
    async with Rig(libmodbus, points, backend=backend, timeout=5) as rig:
        await rig.poll()
        assert [rig.sink.latest[p.id].value for p in points] == expected
        assert set(rig.qualities()) == {0}


@pytest.mark.parametrize("backend", BACKENDS)
async def test_writing_to_libmodbus(libmodbus: int, backend: str) -> None:
    points = [
        *typed_points(),
        point("hr:20"),
        point("hr:22", bit=3),
        *(point(f"hr:{n}", code_type="float32") for n in range(100, 222, 2)),
        point("co:1"),
        *(point(f"co:{n}") for n in range(10, 2010)),
    ]
    values = [
        1.5,
        -2.5,
        3.25,
        -4.125,
        123456,
        -(2**40),
        54321,
        True,
        *(n / 4 for n in range(61)),
        True,
        *[True] * 2000,
    ]
    async with Rig(libmodbus, points, backend=backend, timeout=5) as rig:
        requests = [WriteRequest(p, v, verify=True) for p, v in zip(points, values, strict=True)]
        results = await rig.driver.write(requests)
        assert [r.value if isinstance(r, Sample) else r for r in results] == values
        await rig.poll()
        assert [rig.sink.latest[p.id].value for p in points] == values


@pytest.mark.parametrize("backend", BACKENDS)
async def test_addresses_libmodbus_does_not_have(libmodbus: int, backend: str) -> None:
    points = [point("hr:998"), point("hr:999"), point("hr:1000"), point("hr:5000")]
    async with Rig(libmodbus, points, backend=backend, timeout=5) as rig:
        for _ in range(3):
            await rig.poll()
        assert [quality == 0 for quality in rig.qualities()] == [True, True, False, False]
        results = await rig.driver.read(points)
        assert [isinstance(r, DeviceRefused) for r in results] == [False, False, True, True]
        (result,) = await rig.driver.write([WriteRequest(points[3], 1)])
        assert "exception 2" in str(result)


async def test_pipelining_with_libmodbus(libmodbus: int) -> None:
    points = [point(f"hr:{n}") for n in range(14, 1000)]
    async with Rig(libmodbus, points, max_in_flight=8, timeout=5) as rig:
        for _ in range(20):
            await rig.poll()
        assert all(sample.value == int(where.item_id[2:]) for where, sample in rig.sink.samples)


@contextlib.asynccontextmanager
async def pymodbus_server() -> AsyncIterator[int]:
    """pymodbus's own server with its simulated device."""
    data = [
        SimData(0, values=list(range(100)), datatype=DataType.REGISTERS),
        SimData(100, values=1.5, datatype=DataType.FLOAT32),
    ]
    coils = [SimData(0, values=[True, False] * 32, datatype=DataType.BITS)]
    server = ModbusTcpServer(SimDevice(id=1, simdata=(coils, coils, data, data)), address=("127.0.0.1", 0))
    await server.serve_forever(background=True)
    try:
        yield server.transport.sockets[0].getsockname()[1]
    finally:
        await server.shutdown()


@pytest.mark.parametrize("backend", BACKENDS)
async def test_pymodbus_s_own_simulator(backend: str) -> None:
    async with pymodbus_server() as port:
        points = [
            *(point(f"hr:{n}") for n in range(100)),
            point("hr:100", code_type="float32"),
            point("co:0"),
            point("co:1"),
        ]
        async with Rig(port, points, backend=backend, timeout=5) as rig:
            await rig.poll()
            assert [rig.sink.latest[p.id].value for p in points] == [*range(100), 1.5, True, False]
            requests = [WriteRequest(points[5], 500, verify=True), WriteRequest(points[100], 2.5, verify=True)]
            results = await rig.driver.write([*requests, WriteRequest(points[102], True, verify=True)])
            assert [r.value if isinstance(r, Sample) else r for r in results] == [500, 2.5, True]
            (result,) = await rig.driver.read([point("hr:200")])
            assert isinstance(result, DeviceRefused)


async def mbpoll(port: int, *arguments: str) -> tuple[int, str]:
    """Run mbpoll once against a port; exit code and output."""
    process = await asyncio.create_subprocess_exec(
        "mbpoll", "-m", "tcp", "-p", str(port), "-1", "-o", "2", *arguments,
        stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.STDOUT,
    )  # fmt: skip
    output, _ = await process.communicate()
    assert process.returncode is not None
    return process.returncode, output.decode()


async def test_mbpoll_reads_our_simulator() -> None:
    async with ModbusServer(units=[1, 17]) as server:
        server.holding(17)[99] = 4711
        server.inputs(17)[0] = 815
        server.coils(17)[2] = True
        server.put(server.holding(17), 10, Layout("float32", "big", "little"), 2.5)
        host = "127.0.0.1"
        code, output = await mbpoll(server.port, "-a", "17", "-t", "4", "-r", "100", host)
        assert (code, "[100]: \t4711" in output) == (0, True), output
        code, output = await mbpoll(server.port, "-a", "17", "-t", "3", "-r", "1", host)
        assert "[1]: \t815" in output
        code, output = await mbpoll(server.port, "-a", "17", "-t", "0", "-r", "1", "-c", "5", host)
        assert ["[3]: \t1" in output, "[2]: \t0" in output] == [True, True], output
        code, output = await mbpoll(server.port, "-a", "17", "-t", "4:float", "-r", "11", host)
        assert "2.5" in output
        server.holding(17).holes.add(500)
        code, output = await mbpoll(server.port, "-a", "17", "-t", "4", "-r", "501", host)
        assert "Illegal data address" in output


async def test_mbpoll_writes_our_simulator() -> None:
    async with ModbusServer() as server:
        code, output = await mbpoll(server.port, "-a", "1", "-t", "4", "-r", "8", "127.0.0.1", "11", "12", "13")
        assert code == 0, output
        assert server.holding()[7:10] == [11, 12, 13]
        code, output = await mbpoll(server.port, "-a", "1", "-t", "0", "-r", "3", "127.0.0.1", "1")
        assert code == 0, output
        assert server.coils()[2] is True


async def test_the_driver_after_libmodbus_is_killed(peer_program: Path) -> None:
    with subprocess.Popen([peer_program], stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        port = int(process.stdout.readline())
        async with Rig(port, [point("hr:20")], timeout=5) as rig:
            await rig.poll()
            process.kill()
            with pytest.raises(DeviceOffline):
                await rig.driver.subscribe()
            with pytest.raises(DeviceOffline):
                await rig.poll()
