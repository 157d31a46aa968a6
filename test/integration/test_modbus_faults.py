"""Whatever a device answers: never a wrong value of good quality, never a stuck poll, and a counter that tells."""

from __future__ import annotations

import asyncio
import socket
from functools import partial

import pytest

from pydatacoll.errors import DeviceError, DeviceOffline, DeviceRefused, DeviceTimeout
from pydatacoll.model import Quality, Sample
from pydatacoll.protocols.modbus_tcp import client
from pydatacoll.sdk import WriteRequest
from pydatacoll.testing.faults import Fault
from pydatacoll.testing.modbus_server import ModbusServer

from .modbus_rig import Rig as PatientRig
from .modbus_rig import point

pytestmark = pytest.mark.virtual_time

Rig = partial(PatientRig, timeout=0.2)

# fault -> counters of which one must have counted; "" when the right value may come through
FAULTS: dict[str, tuple[str, ...]] = {
    "delay": ("",),
    "silence": ("timeouts",),
    "reset": ("",),
    "close": ("",),
    "wrong_transaction": ("stale_transaction",),
    "wrong_unit": ("bad_unit", "stale_transaction"),
    "wrong_function": ("bad_function",),
    "short": ("bad_count",),
    "empty": ("bad_count",),
    "surplus": ("bad_count",),
    "exception": ("exception_4",),
    "garbage": ("garbage", "timeouts"),
    "trickle": ("",),
    "half": ("garbage", "timeouts"),
}
BACKENDS = [("native", 1), ("native", 8), ("pymodbus", 1)]
VALUES = [1000 + n for n in range(10)]


async def poll_or_offline(rig: PatientRig) -> bool:
    """Poll once; reconnect when the driver says that it is needed. Whether it was."""
    try:
        async with asyncio.timeout(10):
            await rig.poll()
    except DeviceOffline:
        await rig.driver.close()
        await rig.driver.connect()
        return True
    return False


@pytest.mark.parametrize(("backend", "depth"), BACKENDS, ids=["native", "pipelined", "pymodbus"])
@pytest.mark.parametrize("kind", FAULTS)
async def test_faults_of_reads(kind: str, backend: str, depth: int) -> None:
    # Given a device with known values in two blocks, that shows a fault on all reads of the second
    async with ModbusServer() as server:
        server.holding()[0:10] = VALUES
        server.holding()[100:110] = VALUES
        points = [point(f"hr:{n}") for n in [*range(10), *range(100, 110)]]
        fault = server.faults.add(Fault(kind, address=105, seconds=0.002))
        async with Rig(server.port, points, backend=backend, max_in_flight=depth) as rig:
            # When it is polled a few times
            for _ in range(3):
                await poll_or_offline(rig)
            assert fault.hits > 0
            # Then whatever is good is right, the fault is counted, and bad points are marked
            assert set(rig.good_values()) <= set(VALUES)
            assert any(name == "" or rig.counters[name] for name in FAULTS[kind]), rig.counters
            if "" not in FAULTS[kind]:
                assert all(quality for quality in rig.qualities()[10:])
            # And when the fault is gone, all is well again
            server.faults.clear()
            async with asyncio.timeout(20):
                while any(rig.sink.latest.get(p.id, Sample(0, None, 1)).quality for p in points):
                    await poll_or_offline(rig)
                    await asyncio.sleep(0.01)  # what was silent is not asked again at once
            assert [rig.sink.latest[p.id].value for p in points] == VALUES * 2


@pytest.mark.parametrize(("backend", "depth"), BACKENDS, ids=["native", "pipelined", "pymodbus"])
@pytest.mark.parametrize("kind", FAULTS)
async def test_faults_of_writes(kind: str, backend: str, depth: int) -> None:
    # Given a device that shows a fault on writes
    async with ModbusServer() as server:
        server.faults.add(Fault(kind, function=6, seconds=0.002))
        async with Rig(server.port, [point("hr:1")], backend=backend, max_in_flight=depth) as rig:
            (result,) = await rig.driver.write([WriteRequest(rig.points[0], 7)])
            # Then the write is sent once, and success is claimed only when the device confirmed
            assert len([r for r in server.received if r.function == 6]) == 1
            if kind in ("delay", "trickle"):
                assert isinstance(result, Sample)
                assert server.holding()[1] == 7
            else:
                assert isinstance(result, DeviceError)
                refused = kind in ("exception", "short", "empty", "surplus", "wrong_function")
                native_unit = kind == "wrong_unit" and backend == "native"
                assert isinstance(result, DeviceRefused if refused or native_unit else DeviceTimeout), result
                if kind != "exception":
                    assert "unknown" in str(result)


@pytest.mark.parametrize("seed", range(3))
async def test_random_faults_never_give_a_wrong_value(seed: int) -> None:
    async with ModbusServer() as server:
        server.faults.rng.seed(seed)
        server.holding()[0:200] = range(200)
        for kind in FAULTS:
            server.faults.add(Fault(kind, probability=0.04, seconds=0.001))
        points = [point(f"hr:{n}") for n in range(0, 200, 3)]
        async with Rig(server.port, points, max_in_flight=4, max_block=20, timeout=0.05) as rig:
            for _ in range(30):
                await poll_or_offline(rig)
        for where, sample in rig.sink.samples:
            if sample.quality == 0:
                assert sample.value == int(where.item_id[2:])
        assert rig.good_values()


async def test_a_closed_connection_fails_all_requests_at_once() -> None:
    async with ModbusServer() as server:
        server.faults.add(Fault("silence"))
        points = [point(f"hr:{n}") for n in range(0, 100, 20)]
        async with Rig(server.port, points, max_in_flight=2, max_gap=0, timeout=60) as rig:
            read = asyncio.create_task(rig.driver.read(points))
            while len(server.received) < 2:
                await asyncio.sleep(0)
            server.drop()
            results = await read
            assert all(isinstance(result, DeviceOffline) for result in results)


async def test_half_open_connection_is_found_after_the_repeats() -> None:
    async with ModbusServer() as server, Rig(server.port, [point("hr:0")], retries=2) as rig:
        await rig.poll()
        server.faults.add(Fault("silence"))
        watch = asyncio.create_task(rig.driver.subscribe())
        with pytest.raises(DeviceOffline, match="half-open"):
            await rig.poll()
        with pytest.raises(DeviceOffline):
            await watch
        assert rig.latest().quality == Quality.COMM_LOST
        assert len(server.received) == 1 + 3
        # And after a new connection it is asked at once
        server.faults.clear()
        await rig.driver.close()
        await rig.driver.connect()
        await rig.poll()
        assert rig.latest().quality == 0


async def test_a_block_that_kills_the_connection_twice_is_left_out() -> None:
    # Given a device that stops answering for good when it is asked for one block
    async with ModbusServer() as server:
        server.faults.add(Fault("half", address=0))
        points = [point("hr:0"), point("hr:100")]
        async with Rig(server.port, points) as rig:
            for _ in range(4):
                await poll_or_offline(rig)
            assert rig.qualities() == [Quality.COMM_LOST, 0]


async def test_a_block_that_is_ignored_does_not_take_the_connection_down() -> None:
    # Given a device that answers everything but one block
    async with ModbusServer() as server:
        server.faults.add(Fault("silence", address=0))
        points = [point("hr:0"), point("hr:100"), point("hr:200")]
        async with Rig(server.port, points) as rig:
            await rig.poll()
            await rig.poll()
            # Then the others are read on, on the same connection, and the block is left out for a while
            assert rig.qualities() == [Quality.COMM_LOST, 0, 0]
            assert server.accepted == 1
            before = len(server.received)
            await rig.poll()
            assert [r.address for r in list(server.received)[before:]] == [100, 200]
            assert rig.driver.status()["silent_blocks"] == ["hr:0+1 of unit 1"]


async def test_a_dead_unit_does_not_stall_its_neighbour() -> None:
    # Given a gateway with a dead unit, polled next to a living one without pause
    async with ModbusServer(units=[1, 2]) as server:
        server.faults.add(Fault("silence", unit=2))
        points = [point("hr:0", unit=1), point("hr:0", unit=2)]
        async with Rig(server.port, points) as rig:
            living, dead = rig.plans
            await rig.driver.poll(dead)
            # Then the dead one is marked and suspect
            assert rig.latest(1).quality == Quality.COMM_LOST
            assert list(rig.driver.status()["suspect_units"]) == ["2"]
            # And while its next probe is out, the other goes on
            rig.driver._reader.units[2].backoff.due = 0
            probe = asyncio.create_task(rig.driver.poll(dead))
            for _ in range(20):
                await rig.driver.poll(living)
            assert not probe.done()
            assert rig.latest(0).quality == 0
            await probe
            assert server.accepted == 1
            # And it is found again when it answers
            server.faults.clear()
            rig.driver._reader.units[2].backoff.due = 0
            await rig.driver.poll(dead)
            assert rig.latest(1).quality == 0
            assert rig.driver.status()["suspect_units"] == {}


async def test_a_user_s_read_revives_a_suspect_unit_at_once() -> None:
    async with ModbusServer(units=[1, 2]) as server:
        server.faults.add(Fault("exception", unit=2, code=11, times=1))
        async with Rig(server.port, [point("hr:0"), point("hr:0", unit=2)]) as rig:
            await rig.poll()
            assert rig.driver.status()["suspect_units"] == {
                "2": "exception 11: gateway target device failed to respond"
            }
            assert rig.qualities() == [0, Quality.COMM_LOST]
            waiting = asyncio.create_task(rig.driver.poll(rig.plans[1]))
            await asyncio.sleep(0)
            (result,) = await rig.driver.read([rig.points[1]])
            assert isinstance(result, Sample)
            await waiting
            await rig.poll()
            assert rig.qualities() == [0, 0]


@pytest.mark.parametrize("code", [5, 6])
async def test_a_busy_device_is_asked_again_shortly_after(code: int) -> None:
    async with ModbusServer() as server:
        server.faults.add(Fault("exception", code=code, times=1))
        async with Rig(server.port, [point("hr:0")]) as rig:
            await rig.poll()
            assert rig.qualities() == [0]
            assert rig.counters[f"exception_{code}"] == 1


async def test_a_busy_device_is_not_asked_for_ever() -> None:
    async with ModbusServer() as server:
        server.faults.add(Fault("exception", code=6))
        async with Rig(server.port, [point("hr:0")]) as rig:
            await rig.poll()
            assert rig.qualities() == [Quality.NOT_TOPICAL]


async def test_acknowledge_to_a_write_means_unknown() -> None:
    async with ModbusServer() as server:
        server.faults.add(Fault("exception", code=5))
        async with Rig(server.port, [point("hr:0")]) as rig:
            (result,) = await rig.driver.write([WriteRequest(rig.points[0], 1)])
            assert isinstance(result, DeviceTimeout)


async def test_silence_is_told_in_plain_words() -> None:
    async with ModbusServer() as server:
        server.faults.add(Fault("silence"))
        async with Rig(server.port, [point("hr:5")], timeout=0.05, retries=0) as rig:
            for results in (
                await rig.driver.read(rig.points),
                await rig.driver.write([WriteRequest(rig.points[0], 7)]),
            ):
                assert isinstance(results[0], DeviceTimeout)
                assert "no answer within 0.05 s: " in str(results[0])
                assert "register" in str(results[0])
                assert "unit 1" in str(results[0])


async def test_too_many_unanswered_requests_end_the_connection(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(client, "MAX_LATE", 50)
    async with ModbusServer() as server:
        server.faults.add(Fault("silence", unit=1))
        points = [point(f"hr:{n}") for n in range(0, 600, 2)]
        async with Rig(server.port, points, max_gap=0, max_in_flight=16, timeout=0.02, retries=0) as rig:
            async with asyncio.timeout(30):
                results = await rig.driver.read(points)
            assert {type(result) for result in results} == {DeviceTimeout, DeviceOffline}


async def test_ids_of_unanswered_requests_come_back_after_a_while(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(client, "MAX_LATE", 5)
    monkeypatch.setattr(client, "LATE", 0.0)
    async with ModbusServer(units=[1, 2]) as server:
        server.faults.add(Fault("silence", unit=2))
        async with Rig(server.port, [point("hr:0"), point("hr:0", unit=2)], timeout=0.01) as rig:
            for _ in range(20):
                await rig.driver.read([rig.points[1]])
            await rig.poll()
            assert rig.latest(0).quality == 0
            assert server.accepted == 1


@pytest.mark.parametrize("backend", ["native", "pymodbus"])
async def test_a_read_during_which_the_connection_ends_tells_so(backend: str) -> None:
    # Given a block that is refused as a whole, and a connection that ends while the cause is looked for
    async with ModbusServer() as server:
        server.faults.add(Fault("exception", code=2, times=1))
        server.faults.add(Fault("close", address=3))
        points = [point(f"hr:{n}") for n in range(4)]
        async with Rig(server.port, points, backend=backend) as rig:
            results = await rig.driver.read(points)
            assert isinstance(results[0], Sample)
            assert isinstance(results[3], DeviceOffline)


async def test_an_error_inside_pymodbus_ends_the_connection() -> None:
    async with ModbusServer() as server, Rig(server.port, [point("hr:0")], backend="pymodbus") as rig:

        async def broken(*_: object) -> None:
            raise AttributeError("a bug")

        link = rig.driver._link
        assert link is not None
        link._client.execute = broken
        with pytest.raises(DeviceOffline, match="a bug"):
            await rig.poll()


@pytest.mark.parametrize("backend", ["native", "pymodbus"])
async def test_no_answer_to_connect(backend: str) -> None:
    # Given an address that takes connections only in its queue, which is full
    with socket.create_server(("127.0.0.1", 0), backlog=0) as listener:
        port = listener.getsockname()[1]
        fillers = [socket.socket() for _ in range(4)]
        for filler in fillers:
            filler.setblocking(False)
            filler.connect_ex(("127.0.0.1", port))
        rig = Rig(port, [point("hr:0")], backend=backend)
        with pytest.raises(DeviceOffline, match=r"within 0\.2 s"):
            await rig.driver.connect()
        for filler in fillers:
            filler.close()
