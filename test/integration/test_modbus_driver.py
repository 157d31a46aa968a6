"""What the Modbus driver does with a healthy device."""

from __future__ import annotations

import asyncio

import pytest
import uvloop

from pydatacoll.codec.registers import Layout
from pydatacoll.errors import DeviceOffline, DeviceRefused, DeviceTimeout, Invalid
from pydatacoll.model import Quality, Sample
from pydatacoll.protocols.modbus_tcp import ModbusTcpDriver
from pydatacoll.sdk import WriteRequest
from pydatacoll.testing.faults import Fault
from pydatacoll.testing.modbus_server import ModbusServer

from .modbus_rig import Rig, point

pytestmark = pytest.mark.virtual_time

VALUES = {
    "bool": True,
    "int16": -12345,
    "uint16": 54321,
    "int32": -123456789,
    "uint32": 4123456789,
    "int64": -1234567890123456789,
    "uint64": 2**64 - 5,
    "float32": 1.5,
    "float64": -2.718281828459045,
    "string": "Pump 7",
}


@pytest.mark.parametrize("byte_order", ["big", "little"])
@pytest.mark.parametrize("word_order", ["big", "little"])
async def test_all_types_are_read_and_written(byte_order: str, word_order: str) -> None:
    async with ModbusServer() as server:
        points = []
        for index, (kind, value) in enumerate(VALUES.items()):
            length = {"length": 9} if kind == "string" else {}
            points.append(point(f"hr:{index * 10}", code_type=kind, **length))
            layout = Layout(kind, byte_order, word_order, 9)
            server.put(server.holding(), index * 10, layout, value)
        async with Rig(server.port, points, byte_order=byte_order, word_order=word_order) as rig:
            await rig.poll()
            assert [rig.sink.latest[p.id].value for p in points] == list(VALUES.values())
            assert len(server.received) == 1
            for start in range(200):
                server.holding()[start] = 0
            results = await rig.driver.write(
                [WriteRequest(p, v, verify=True) for p, v in zip(points, VALUES.values(), strict=True)]
            )
            assert [r.value if isinstance(r, Sample) else r for r in results] == list(VALUES.values())
            await rig.poll()
            assert [rig.sink.latest[p.id].value for p in points] == list(VALUES.values())


async def test_all_tables_and_bits() -> None:
    async with ModbusServer() as server:
        server.holding()[4] = 0b1000_0000_0000_0010
        server.inputs()[4] = 44
        server.coils()[7] = True
        server.discrete()[1999] = True
        points = [
            point("hr:4", bit=1),
            point("hr:4", bit=2),
            point("hr:4", bit=15),
            point("hr:4"),
            point("3x5"),
            point("0x8"),
            point("co:6"),
            point("di:1999"),
            point("di:0"),
        ]
        async with Rig(server.port, points, max_gap=124) as rig:
            await rig.poll()
            assert [rig.sink.latest[p.id].value for p in points] == [
                True, False, True, 0b1000_0000_0000_0010, 44, True, False, True, False,
            ]  # fmt: skip
            assert sorted((r.function, r.address, r.number) for r in server.received) == [
                (1, 6, 2), (2, 0, 1), (2, 1999, 1), (3, 4, 1), (4, 4, 1),
            ]  # fmt: skip


async def test_float_that_is_no_number_is_invalid() -> None:
    async with ModbusServer() as server:
        server.put(server.holding(), 0, Layout("float32"), float("nan"))
        server.put(server.holding(), 2, Layout("float32"), float("inf"))
        points = [point(f"hr:{n}", code_type="float32") for n in (0, 2, 4)]
        async with Rig(server.port, points) as rig:
            await rig.poll()
            assert [(rig.latest(n).value, rig.latest(n).quality) for n in range(3)] == [
                (None, Quality.INVALID), (None, Quality.INVALID), (0.0, 0),
            ]  # fmt: skip
            results = await rig.driver.read(points)
            assert [r.quality for r in results if isinstance(r, Sample)] == [1, 1, 0]


async def test_holes_are_found_and_never_read_again() -> None:
    # Given a device with holes under a point and between points
    async with ModbusServer() as server:
        server.holding()[0:60] = range(60)
        server.holding().holes.update({7, 30, 31})
        points = [point(f"hr:{n}") for n in [*range(10), 20, 21, 28, 29, 35, 36]]
        async with Rig(server.port, points) as rig:
            for _ in range(8):
                await rig.poll()
            # Then every other point is good
            assert [p.item.protocol_code for p, q in zip(points, rig.qualities(), strict=True) if q] == ["hr:7"]
            assert rig.latest(7).quality == Quality.INVALID
            assert rig.driver.status()["holes"] == ["hr:7 of unit 1"]
            # And no hole is read again, in few blocks
            before = len(server.received)
            await rig.poll()
            requests = [(r.address, r.number) for r in list(server.received)[before:]]
            assert requests == [(0, 7), (8, 22), (35, 2)]


async def test_a_hole_that_was_filled_is_found_after_a_reconfiguration() -> None:
    async with ModbusServer() as server:
        server.holding().holes.add(1)
        points = [point(f"hr:{n}") for n in range(3)]
        async with Rig(server.port, points) as rig:
            await rig.poll()
            await rig.poll()
            assert rig.qualities() == [0, Quality.INVALID, 0]
            server.holding().holes.clear()
            rig.driver.configure(points)
            await rig.poll()
            assert rig.qualities() == [0, 0, 0]
            before = len(server.received)
            await rig.poll()
            assert len(server.received) - before == 1


async def test_a_device_with_a_smaller_limit_is_learnt() -> None:
    async with ModbusServer() as server:
        points = [point(f"hr:{n}") for n in range(100)]
        async with Rig(server.port, points) as rig:
            server.faults.add(Fault("exception", code=3, times=1))
            await rig.poll()
            assert set(rig.qualities()) == {0}
            before = len(server.received)
            await rig.poll()
            assert [(r.address, r.number) for r in list(server.received)[before:]] == [(0, 50), (50, 50)]


async def test_limits_of_a_request() -> None:
    async with ModbusServer() as server:
        points = [point(f"hr:{n}") for n in range(300)] + [point(f"co:{n}") for n in range(2500)]
        async with Rig(server.port, points) as rig:
            await rig.poll()
            await rig.driver.write([WriteRequest(p, 1) for p in points])
            assert set(rig.qualities()) == {0}
        numbers: dict[int, list[int]] = {}
        for request in server.received:
            numbers.setdefault(request.function, []).append(request.number)
        assert numbers == {3: [125, 125, 50], 1: [2000, 500], 16: [123, 123, 54], 15: [1968, 532]}


async def test_61_contiguous_floats_are_written_at_once() -> None:
    async with ModbusServer() as server:
        points = [point(f"hr:{n * 2}", code_type="float32") for n in range(61)]
        async with Rig(server.port, points) as rig:
            results = await rig.driver.write([WriteRequest(p, n + 0.5) for n, p in enumerate(points)])
            assert all(isinstance(r, Sample) for r in results)
            await rig.poll()
            assert rig.good_values() == [n + 0.5 for n in range(61)]


async def test_bits_are_written_without_touching_their_neighbours() -> None:
    async with ModbusServer() as server:
        server.holding()[4] = 0b1010
        async with Rig(server.port, [point("hr:4", bit=0), point("hr:4", bit=1)]) as rig:
            requests = [
                WriteRequest(rig.points[0], True, verify=True),
                WriteRequest(rig.points[1], False, verify=True),
            ]
            results = await rig.driver.write(requests)
            assert [r.value for r in results if isinstance(r, Sample)] == [True, False]
            assert server.holding()[4] == 0b1001
            assert [r.function for r in server.received] == [22, 3]


async def test_bits_of_a_byte_swapped_register() -> None:
    async with ModbusServer() as server, Rig(server.port, [point("hr:4", bit=0)], byte_order="little") as rig:
        (result,) = await rig.driver.write([WriteRequest(rig.points[0], True, verify=True)])
        assert isinstance(result, Sample)
        assert result.value is True
        await rig.poll()
        assert rig.latest().value is True


async def test_a_device_without_mask_write_gets_no_other_write() -> None:
    async with ModbusServer() as server:
        server.units[1].functions.discard(22)
        async with Rig(server.port, [point("hr:4", bit=0)]) as rig:
            (result,) = await rig.driver.write([WriteRequest(rig.points[0], True)])
            assert isinstance(result, DeviceRefused)
            assert "mask write" in str(result)
            assert [r.function for r in server.received] == [22]


async def test_verify_tells_what_was_read_back() -> None:
    async with ModbusServer() as server, Rig(server.port, [point("hr:4"), point("co:4")]) as rig:
        # Given a device that confirms and does nothing
        server.units[1].holding.frozen = True
        server.units[1].coils.frozen = True
        results = await rig.driver.write(
            [WriteRequest(rig.points[0], 7, verify=True), WriteRequest(rig.points[1], True, verify=True)]
        )
        assert all(isinstance(r, DeviceRefused) for r in results)
        assert "wrote 7" in str(results[0])
        assert "read back 0" in str(results[0])
        assert "read back False" in str(results[1])


async def test_writes_go_before_waiting_polls() -> None:
    async with ModbusServer() as server:
        points = [point(f"hr:{n}") for n in range(1000)]
        async with Rig(server.port, points) as rig:
            poll = asyncio.create_task(rig.poll())
            while not server.received:
                await asyncio.sleep(0)
            await rig.driver.write([WriteRequest(points[0], 5)])
            await poll
            functions = [r.function for r in server.received]
            assert len(functions) == 9
            assert functions.index(6) < 4


async def test_an_expired_write_in_the_queue_is_not_sent() -> None:
    # Given a device that is slow to answer a poll
    async with ModbusServer() as server:
        server.faults.add(Fault("delay", function=3, seconds=0.1))
        async with Rig(server.port, [point("hr:0")], timeout=5) as rig:
            poll = asyncio.create_task(rig.poll())
            while not server.received:
                await asyncio.sleep(0)
            deadline = asyncio.get_running_loop().time() + 0.01
            (result,) = await rig.driver.write([WriteRequest(rig.points[0], 1, deadline=deadline)])
            assert isinstance(result, DeviceTimeout)
            assert "expired before it was sent" in str(result)
            await poll
            assert [r.function for r in server.received] == [3]


async def test_requests_in_flight_are_limited() -> None:
    async with ModbusServer() as server:
        server.faults.add(Fault("silence"))
        points = [point(f"hr:{n * 20}") for n in range(20)]
        async with Rig(server.port, points, max_in_flight=5, timeout=60) as rig:
            poll = asyncio.create_task(rig.poll())
            while len(server.received) < 5:
                await asyncio.sleep(0)
            for _ in range(20):
                await asyncio.sleep(0)
            assert len(server.received) == 5
            assert rig.driver.status()["in_flight"] == 5
            await rig.driver.close()
            with pytest.raises(DeviceOffline):
                await poll


async def test_values_that_change_between_polls_all_arrive() -> None:
    async with ModbusServer() as server:
        server.rotate()
        async with Rig(server.port, [point(f"hr:{n}") for n in range(125)]) as rig:
            await rig.poll()
            first = [rig.latest(n).value for n in range(125)]
            await rig.poll()
            second = [rig.latest(n).value for n in range(125)]
            assert all(a != b for a, b in zip(first, second, strict=True))


async def test_points_without_an_address_are_told_so() -> None:
    async with ModbusServer() as server:
        calculated = point("hr:0")
        nowhere = type(calculated)(calculated.term, type(calculated.item)(term_id="u1", item_id="x"))
        async with Rig(server.port, [calculated]) as rig:
            results = await rig.driver.read([nowhere, calculated])
            assert isinstance(results[0], DeviceRefused)
            assert isinstance(results[1], Sample)
            (result,) = await rig.driver.write([WriteRequest(nowhere, 1)])
            assert isinstance(result, DeviceRefused)
            (result,) = await rig.driver.write([WriteRequest(calculated, 70000)])
            assert isinstance(result, DeviceRefused)
            assert not any(r.function == 6 for r in server.received)


async def test_two_devices_do_not_mix() -> None:
    async with ModbusServer() as one, ModbusServer() as other:
        one.holding()[0], other.holding()[0] = 1, 2
        async with Rig(one.port, [point("hr:0")]) as a, Rig(other.port, [point("hr:0")]) as b:
            await asyncio.gather(*(rig.poll() for rig in (a, b) for _ in range(1)))
            assert (a.latest().value, b.latest().value) == (1, 2)


async def test_a_host_that_does_not_resolve_is_offline() -> None:
    rig = Rig(1, [point("hr:0")], ip="no.such.host.invalid", timeout=5)
    with pytest.raises(DeviceOffline):
        await rig.driver.connect()
    rig = Rig(1, [point("hr:0")], ip="x" * 80, timeout=5)
    with pytest.raises(DeviceOffline):
        await rig.driver.connect()


async def test_poll_interval_of_a_point_goes_before_the_device_s() -> None:
    rig = Rig(1, [point("hr:0"), point("hr:1", poll_interval=0)], poll_interval=5)
    intervals = [ModbusTcpDriver.interval(rig.driver.device, p.term, p.item) for p in rig.points]
    assert intervals == [5, 0]


async def test_check_value_is_of_the_sdk_s_error() -> None:
    rig = Rig(1, [point("hr:0")])
    with pytest.raises(Invalid):
        ModbusTcpDriver.check_value(rig.driver.device, rig.points[0].term, rig.points[0].item, 70000)


def test_on_uvloop() -> None:
    async def scenario() -> None:
        async with ModbusServer() as server:
            server.rotate()
            points = [point(f"hr:{n}") for n in range(1000)]
            async with Rig(server.port, points, max_in_flight=8) as rig:
                await asyncio.gather(*(rig.poll() for _ in range(10)))
                results = await rig.driver.write([WriteRequest(points[3], 7)])
                assert isinstance(results[0], Sample)
                assert len(rig.good_values()) == 10_000
                server.drop()
                with pytest.raises(DeviceOffline):
                    await rig.driver.subscribe()

    uvloop.run(scenario())
