"""IEC 104 over lib60870 in worker processes: what differs from our own link, and what happens when a worker dies.

What both have in common is in ``test_iec104_conformance.py``.
"""

from __future__ import annotations

import asyncio
import contextlib
import os
import re
import signal
import sys
from collections.abc import AsyncIterator, Sequence
from pathlib import Path
from typing import Any

import pytest

from pydatacoll.errors import DeviceOffline, DeviceRefused, DeviceTimeout
from pydatacoll.frame_log import FrameLog
from pydatacoll.model import Quality
from pydatacoll.protocols.iec104 import Iec104Device, c104_pool
from pydatacoll.protocols.iec104 import control as c
from pydatacoll.protocols.iec104.asdu import Asdu, InformationObject, decode, encode
from pydatacoll.protocols.iec104.c104_wire import open_c104
from pydatacoll.protocols.iec104.elements import Element, SinglePoint
from pydatacoll.protocols.iec104.times import Zone
from pydatacoll.protocols.iec104.types import TYPES, Tag
from pydatacoll.protocols.iec104.wire import Wire
from pydatacoll.sdk import DriverContext, Executed, WriteRequest
from pydatacoll.testing.fakes import FakeSink
from pydatacoll.testing.iec104_rtu import Iec104Fault, Iec104Point, Iec104Rtu
from test.integration.iec104_peer import Peer
from test.integration.iec104_rig import Rig, point
from test.lib60870 import lib60870

lib60870()

BAY = [
    Iec104Point(address=1, type="M_DP_NA_1", value=1, command=True, select=True),
    Iec104Point(address=2, type="M_SP_NA_1", value=True, command=True),
    Iec104Point(address=100, value=1.5),
]


def points():
    return [point(1, "M_DP_TB_1", writable=True), point(2, "M_SP_TB_1", writable=True), point(100)]


def over_c104(rtu: Iec104Rtu, **options: Any) -> Rig:
    return Rig(rtu.port, points(), **{"backend": "c104", **options})


def worker_of(rig: Rig) -> dict[str, Any]:
    found: dict[str, Any] = rig.driver.status()["link"]["worker"]
    return found


class Station:
    """A controlled station by hand, and the wire to it."""

    def __init__(self, wire: Wire, peer: Peer, arrived: asyncio.Queue[bytes], context: DriverContext) -> None:
        self.wire = wire
        self.peer = peer
        self.arrived = arrived
        self.context = context

    async def asked(self, asdu: Asdu, *, first: bool = True) -> Asdu:
        """Send it; what the station gets."""
        self.wire.send(encode(asdu), first=first)
        return decode(await self.peer.receive())


@contextlib.asynccontextmanager
async def station(host: str = "127.0.0.1", **options: Any) -> AsyncIterator[Station]:
    peers: asyncio.Queue[Peer] = asyncio.Queue()

    async def accept(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await peers.put(Peer(reader, writer))

    listener = await asyncio.start_server(accept, host, 0)
    port = listener.sockets[0].getsockname()[1]
    arrived: asyncio.Queue[bytes] = asyncio.Queue()
    context = DriverContext(FakeSink())

    def take(asdus: Sequence[bytes]) -> None:
        for each in asdus:
            arrived.put_nowait(each)

    device = Iec104Device(
        **{"id": "d", "name": "", "protocol": "iec104", "backend": "c104", "ip": host, "port": port, **options}
    )
    opening = asyncio.create_task(open_c104(device, context, take))
    peer = await peers.get()
    await peer.started()
    wire = await opening
    try:
        yield Station(wire, peer, arrived, context)
    finally:
        await wire.close()
        with contextlib.suppress(ConnectionError):  # it may be reset: what has not arrived is taken back
            await peer.close()
        listener.close()
        await listener.wait_closed()


async def test_what_it_says_of_itself() -> None:
    async with Iec104Rtu(BAY) as rtu, over_c104(rtu) as rig:
        await rig.interrogated()
        assert (rig.value(1), rig.value(2), rig.value(100)) == (1, True, 1.5)
        link = rig.driver.status()["link"]
        assert (link["backend"], link["state"], link["peer"]) == ("c104", "started", f"127.0.0.1:{rtu.port}")
        assert link["counters"]["i_received"] >= 5
        assert link["worker"]["c104"].startswith("2.2.")
        assert Path(f"/proc/{link['worker']['pid']}").exists()
    assert rig.driver.status()["link"]["state"] == "closed"


async def test_the_library_is_not_loaded_into_the_manager() -> None:
    script = "import sys, pydatacoll.protocols.iec104.c104_wire; sys.exit('c104' in sys.modules)"
    process = await asyncio.create_subprocess_exec(sys.executable, "-c", script)
    assert await process.wait() == 0


async def test_octets_come_as_they_were_on_the_line() -> None:
    """Also those that c104 does not tell: CP24, unknown types, IV and SU of a time tag, wrong lengths."""
    sent = [
        bytes.fromhex("02 01 03 00 01 00 05 00 00 01 10 27 0a"),
        bytes.fromhex("c8 01 03 00 01 00 05 00 00 0a"),
        bytes.fromhex("1e 01 03 00 01 00 05 00 00 01 10 27 8a 8b 15 0b 1a"),
        bytes.fromhex("0b 01 03 00 01 00 05 00 00 0a"),
        bytes.fromhex("2d 01 6f 07 09 00 05 00 00 01"),
    ]
    async with asyncio.timeout(30), station() as rtu:
        for asdu in sent:
            rtu.peer.send(asdu)
        assert [await rtu.arrived.get() for _ in sent] == sent


@pytest.mark.parametrize("frame_log", [False, True])
async def test_what_the_library_is_made_to_send(frame_log: bool) -> None:
    zone = Zone.parse("+05:30")
    commands: list[tuple[int, Element]] = [
        (45, c.SingleCommand(True, 31)),
        (46, c.DoubleCommand(1, 2)),
        (47, c.StepCommand(2, 4)),
        (48, c.NormalizedSetPoint(-0.75, 127)),
        (49, c.ScaledSetPoint(-2, 1)),
        (50, c.ShortFloatSetPoint(1.25, 64)),
        (51, c.BitStringCommand(0x12345678)),
    ]
    asked = [
        Asdu(100, 6, 0xFFFF, (InformationObject(0, c.Interrogation(36)),), originator=3),
        Asdu(100, 8, 9, (InformationObject(0, c.Interrogation()),), originator=3),
        Asdu(101, 6, 9, (InformationObject(0, c.CounterInterrogation(4, 2)),), originator=3),
        Asdu(102, 5, 9, (InformationObject(0xFFFFFF),), originator=3),
    ]
    for number, element in commands:
        for type_id in (number, TYPES[number].tagged_command):
            assert type_id is not None
            tag = zone.tag(1_768_000_123.456, weekday=False) if TYPES[type_id].tag is Tag.CP56 else None
            asked.append(Asdu(type_id, 6, 9, (InformationObject(7, element, tag),), originator=3))
            asked.append(Asdu(type_id, 8, 9, (InformationObject(7, element, tag),), originator=3))
    async with asyncio.timeout(60), station(originator=3, command_timeout=0.5) as rtu:
        if frame_log:
            rtu.context.frames = FrameLog(1000)
        for asdu in asked:
            rtu.wire.send(encode(asdu), first=True)
            octets = await rtu.peer.receive()
            assert decode(octets) == asdu
            answer = {5: 47, 6: 7, 8: 9}[asdu.cause]  # so that the library does not wait
            mirrored = bytes([*octets[:2], answer, *octets[3:]])
            rtu.peer.send(mirrored)
            assert await rtu.arrived.get() == mirrored
            if frame_log:
                frames = [(frame.direction, frame.data[6:]) for frame in rtu.context.frames.newest(9)]  # type: ignore[union-attr]
                assert ("sent", octets) in frames
                assert ("received", mirrored) in frames


async def test_clock_and_tagged_test_are_those_of_the_library() -> None:
    now = Zone().tag
    async with asyncio.timeout(30), station() as rtu:
        wall = rtu.context.wall()
        clock = await rtu.asked(Asdu(103, 6, 9, (InformationObject(0, None, now(wall)),)))
        assert clock.objects[0].time is not None
        assert abs((Zone().seconds(clock.objects[0].time) or 0) - wall) < 10
        test = await rtu.asked(Asdu(107, 6, 9, (InformationObject(0, c.TestCounter(5), now(wall)),)))
        assert (test.type_id, test.cause, test.common_address) == (107, 6, 9)


SUMMER = Zone.parse("Europe/Vienna").tag(1_784_000_000.0)
UNSENDABLE = {
    "reset": Asdu(105, 6, 1, (InformationObject(0, c.ResetProcess()),)),
    "parameter": Asdu(112, 6, 1, (InformationObject(5, c.ShortFloatParameter(1.5, 1)),)),
    "test bit": Asdu(45, 6, 1, (InformationObject(5, c.SingleCommand(True)),), test=True),
    "cause": Asdu(45, 3, 1, (InformationObject(5, c.SingleCommand(True)),)),
    "state": Asdu(46, 6, 1, (InformationObject(5, c.DoubleCommand(3)),)),
    "group": Asdu(100, 6, 1, (InformationObject(0, c.Interrogation(99)),)),
    "counter group": Asdu(101, 6, 1, (InformationObject(0, c.CounterInterrogation(6)),)),
    "test": Asdu(104, 6, 1, (InformationObject(0, c.TestPattern()),)),  # its pattern is 55CCH
    "another clock": Asdu(103, 6, 1, (InformationObject(0, None, Zone().tag(1_768_000_000.0)),)),
    "summer time": Asdu(58, 6, 1, (InformationObject(5, c.SingleCommand(True), SUMMER),)),
}


@pytest.mark.parametrize("asdu", UNSENDABLE.values(), ids=UNSENDABLE.keys())
async def test_what_it_cannot_send_it_says_so(asdu: Asdu) -> None:
    async with asyncio.timeout(30), station() as rtu:
        rtu.wire.send(encode(asdu), first=True)
        answer = decode(await rtu.arrived.get())
        assert (answer.type_id, answer.cause, answer.negative) == (asdu.type_id, 44, True)
        assert answer.objects == asdu.objects
        assert rtu.context.counters["unsupported"] == 1
        # and nothing was sent instead
        read = Asdu(102, 5, 1, (InformationObject(7),))
        assert await rtu.asked(read, first=False) == read
        assert rtu.wire.status()["unacknowledged"] <= 1


@pytest.mark.parametrize("octets", [b"", bytes(6), bytes.fromhex("2d 01 06 00 01 00 05 00 00"), bytes(250)])
async def test_what_is_no_asdu_is_not_sent(octets: bytes) -> None:
    async with asyncio.timeout(30), station() as rtu:
        with pytest.raises(ValueError, match="no ASDU"):
            rtu.wire.send(octets)
        read = Asdu(102, 5, 1, (InformationObject(7),))
        assert await rtu.asked(read, first=False) == read


async def test_who_does_not_take_what_comes_loses_only_his_own_connection() -> None:
    def fail(_: Sequence[bytes]) -> None:
        raise RuntimeError("cannot take it")

    async with Iec104Rtu(BAY) as rtu, over_c104(rtu) as other:
        await other.until(lambda: rtu.counts["100"] > 0)  # the last of what it asks for at the start
        device = Iec104Device(id="e", name="", protocol="iec104", backend="c104", port=rtu.port)
        wire = await open_c104(device, DriverContext(FakeSink()), fail)
        rtu.set(1, 100, 2.5)  # the one started last gets it
        await wire.closed
        await wire.close()
        assert worker_of(other)["stations"] == 1
        assert other.driver.status()["link"]["state"] == "started"


async def test_frames_in_pieces() -> None:
    async with Iec104Rtu(BAY) as rtu, over_c104(rtu) as rig:
        await rig.interrogated()
        rtu.faults.add(Iec104Fault("trickle", times=2, seconds=0.005))
        rtu.set(1, 100, 2.5)
        rtu.set(1, 100, 3.5)
        await rig.until(lambda: rig.value(100) == 3.5)
        assert rig.history(100)[-2:] == [2.5, 3.5]


async def test_commands_end_as_with_our_own_link() -> None:
    async with Iec104Rtu(BAY) as rtu, over_c104(rtu, command_timeout=0.5, command_mode="select") as rig:
        (executed,) = await rig.driver.write([WriteRequest(rig.points[0], 2)])
        assert isinstance(executed, Executed)
        assert executed.outcome == "terminated"
        assert [record.act for record in rtu.commands] == ["select", "execute"]
        for kind, outcome in (
            ("negative", "negative"),
            ("unknown_type", "unknown_type"),
            ("unknown_cause", "unknown_cause"),
            ("unknown_ca", "unknown_ca"),
            ("unknown_ioa", "unknown_ioa"),
        ):
            rtu.faults.add(Iec104Fault(kind, type=46, times=1))  # type: ignore[arg-type]
            (refused,) = await rig.driver.write([WriteRequest(rig.points[0], 1)])
            assert isinstance(refused, DeviceRefused)
            assert refused.outcome == outcome
        rtu.faults.add(Iec104Fault("ignore", type=46, times=1))
        (timeout,) = await rig.driver.write([WriteRequest(rig.points[0], 1)])
        assert isinstance(timeout, DeviceTimeout)
        assert timeout.outcome == "select_timeout"
        (executed,) = await rig.driver.write([WriteRequest(rig.points[0], 1)])
        assert isinstance(executed, Executed)
        assert rtu.value(1, 1) == 1


async def test_the_execute_waits_for_its_owner() -> None:
    """The library would execute at once what was selected."""
    select = Asdu(45, 6, 1, (InformationObject(5, c.SingleCommand(True, select=True)),))
    execute = Asdu(45, 6, 1, (InformationObject(5, c.SingleCommand(True)),))
    async with asyncio.timeout(30), station() as rtu:
        assert await rtu.asked(select) == select
        rtu.peer.send(encode(Asdu(45, 7, 1, select.objects)))
        assert decode(await rtu.arrived.get()).cause == 7
        # another request is not sent before it either, so it shows that nothing was
        with pytest.raises(TimeoutError):
            async with asyncio.timeout(0.2):
                await rtu.peer.receive()
        assert await rtu.asked(execute) == execute


async def test_a_selected_command_taken_back_is_never_executed() -> None:
    select = Asdu(45, 6, 1, (InformationObject(5, c.SingleCommand(True, select=True)),))
    deactivate = Asdu(45, 8, 1, select.objects)
    async with asyncio.timeout(30), station() as rtu:
        assert await rtu.asked(select) == select
        rtu.peer.send(encode(Asdu(45, 7, 1, select.objects)))
        assert decode(await rtu.arrived.get()).cause == 7
        rtu.wire.send(encode(deactivate), first=True)
        assert "taken back" in str(await rtu.wire.closed)
        with pytest.raises((asyncio.IncompleteReadError, ConnectionError)):
            await rtu.peer.receive()


async def test_an_execute_that_nobody_decides_on_ends_the_way() -> None:
    select = Asdu(45, 6, 1, (InformationObject(5, c.SingleCommand(True, select=True)),))
    async with asyncio.timeout(30), station() as rtu:
        assert await rtu.asked(select) == select
        rtu.peer.send(encode(Asdu(45, 7, 1, select.objects)))
        assert "given up" in str(await rtu.wire.closed)
        with pytest.raises((asyncio.IncompleteReadError, ConnectionError)):
            await rtu.peer.receive()


async def test_a_refused_select_leaves_nothing_behind() -> None:
    select = Asdu(45, 6, 1, (InformationObject(5, c.SingleCommand(True, select=True)),))
    execute = Asdu(45, 6, 1, (InformationObject(5, c.SingleCommand(True)),))
    async with asyncio.timeout(30), station() as rtu:
        for _ in range(2):
            assert await rtu.asked(select) == select
            rtu.peer.send(encode(Asdu(45, 7, 1, select.objects, negative=True)))
            assert decode(await rtu.arrived.get()).negative
        assert await rtu.asked(execute) == execute  # a command of its own, given directly
        rtu.peer.send(encode(Asdu(45, 7, 1, execute.objects)))
        assert not decode(await rtu.arrived.get()).negative


async def test_a_select_that_is_not_answered_is_deactivated() -> None:
    select = Asdu(45, 6, 1, (InformationObject(5, c.SingleCommand(True, select=True)),))
    deactivate = Asdu(45, 8, 1, select.objects)
    async with asyncio.timeout(30), station(command_timeout=0.3) as rtu:
        assert await rtu.asked(select) == select
        assert await rtu.asked(deactivate) == deactivate


async def test_no_more_than_k_are_sent_and_what_waits_can_be_withdrawn() -> None:
    reads = [Asdu(102, 5, 1, (InformationObject(number),)) for number in (1, 2, 3)]
    async with asyncio.timeout(30), station(k=2, w=1, command_timeout=0.2) as rtu:
        # it acknowledges what it has read, which is nothing
        tokens = [rtu.wire.send(encode(read)) for read in reads]
        assert [rtu.wire.went_out(token) for token in tokens] == [True, True, False]
        assert not rtu.wire.withdraw(tokens[0])
        assert rtu.wire.withdraw(tokens[2])
        assert not rtu.wire.went_out(tokens[2])
        assert rtu.wire.status()["waiting"] == 0


async def test_a_worker_that_dies_costs_a_reconnection() -> None:
    async with Iec104Rtu(BAY) as rtu, over_c104(rtu) as rig:
        await rig.interrogated()
        pid = worker_of(rig)["pid"]
        os.kill(pid, signal.SIGABRT)
        assert "SIGABRT" in await rig.lost()
        assert rig.counters["workers_lost"] == 1
        # it died soon after its start, so the next one is not started at once
        with pytest.raises(DeviceOffline, match=r"SIGABRT.* after its start; tried again in"):
            await rig.connect()
        while not await connected(rig):
            await asyncio.sleep(0.05)
        assert worker_of(rig)["pid"] != pid
        assert worker_of(rig)["lost"] == 1
        rtu.set(1, 100, 2.5)
        await rig.until(lambda: rig.value(100) == 2.5)


async def connected(rig: Rig) -> bool:
    """Try once more, as the manager does."""
    with contextlib.suppress(DeviceOffline):
        await rig.connect()
        return True
    return False


async def test_stations_share_workers(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(c104_pool, "STATIONS", 2)
    async with Iec104Rtu(BAY) as rtu, over_c104(rtu) as one, over_c104(rtu) as other:
        assert worker_of(one)["pid"] == worker_of(other)["pid"]
        assert worker_of(one)["stations"] == 2
        async with over_c104(rtu) as third:
            pid = worker_of(third)["pid"]
            assert pid != worker_of(one)["pid"]
        assert not Path(f"/proc/{pid}").exists()
        assert worker_of(one)["stations"] == 2


async def test_a_station_that_comes_and_goes_leaves_nothing_in_the_worker() -> None:
    async with Iec104Rtu(BAY) as rtu, Iec104Rtu(BAY) as other, over_c104(other) as rig:
        pid = worker_of(rig)["pid"]
        device = Iec104Device(id="e", name="", protocol="iec104", backend="c104", port=rtu.port)

        async def come_and_go(*, dropped: bool) -> None:
            wire = await open_c104(device, DriverContext(FakeSink()), lambda asdus: None)
            if dropped:
                rtu.drop()
                await wire.closed
            await wire.close()

        def size() -> int:
            return len(os.listdir(f"/proc/{pid}/fd"))

        before = size()
        for number in range(6):
            await come_and_go(dropped=bool(number % 2))
        while size() > before:  # the last one is about to end
            await asyncio.sleep(0.02)


async def test_workers_end_with_their_last_station() -> None:
    async with Iec104Rtu(BAY) as rtu:
        async with over_c104(rtu) as rig:
            pid = worker_of(rig)["pid"]
        assert not Path(f"/proc/{pid}").exists()


MANAGER = """
import asyncio, sys
from pydatacoll.protocols.iec104 import Iec104Device
from pydatacoll.protocols.iec104.c104_wire import open_c104
from pydatacoll.sdk import DriverContext
from pydatacoll.testing.fakes import FakeSink

async def main():
    device = Iec104Device(id="d", name="", protocol="iec104", backend="c104", port=int(sys.argv[1]))
    wire = await open_c104(device, DriverContext(FakeSink()), lambda asdus: None)
    print(wire.status()["worker"]["pid"], flush=True)
    await wire.closed

asyncio.run(main())
"""


async def test_workers_end_with_their_manager_however_that_ends() -> None:
    async with Iec104Rtu(BAY) as rtu:
        manager = await asyncio.create_subprocess_exec(
            sys.executable, "-c", MANAGER, str(rtu.port), stdout=asyncio.subprocess.PIPE
        )
        assert manager.stdout is not None
        pid = int(await manager.stdout.readline())
        assert Path(f"/proc/{pid}").exists()
        manager.kill()
        await manager.wait()
        await rtu.until(lambda: rtu.connections == 0)
        while Path(f"/proc/{pid}").exists() and not is_zombie(pid):
            await asyncio.sleep(0.02)


def is_zombie(pid: int) -> bool:
    """Whether a process has ended, and nobody has asked for its exit code yet."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] == "Z"
    except FileNotFoundError:
        return True


async def test_while_its_owner_holds_it_back_nothing_is_received_and_nothing_lost() -> None:
    sent = [encode(Asdu(1, 3, 1, (InformationObject(number, SinglePoint(True)),))) for number in range(1, 3000)]
    read = Asdu(102, 5, 1, (InformationObject(7),))
    async with asyncio.timeout(60), station() as rtu:
        rtu.wire.pause()
        for asdu in sent:
            rtu.peer.send(asdu)
        assert await rtu.asked(read, first=False) == read  # meanwhile it can be asked
        assert rtu.arrived.empty()
        assert rtu.wire.status()["paused"]
        rtu.wire.resume()
        assert [await rtu.arrived.get() for _ in sent] == sent


async def test_without_the_package_the_remedy_is_named(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    (tmp_path / "c104.py").write_text("raise ModuleNotFoundError(\"No module named 'c104'\")")
    monkeypatch.setenv("PYTHONPATH", f"{tmp_path}{os.pathsep}{os.environ.get('PYTHONPATH', '')}")
    async with Iec104Rtu(BAY) as rtu:
        rig = over_c104(rtu)
        with pytest.raises(DeviceOffline, match=r"pip install c104.*native"):
            await rig.connect()
        # tried again later, for the same reason
        with pytest.raises(DeviceOffline, match=r"pip install c104.*tried again in"):
            await rig.connect()
        assert rtu.accepted == 0


async def test_ipv6_and_names() -> None:
    async with asyncio.timeout(30), station("::1") as rtu:
        assert rtu.wire.status()["peer"].startswith("[::1]:")
    async with Iec104Rtu(BAY) as rtu, over_c104(rtu, ip="localhost") as rig:
        assert rig.driver.status()["link"]["peer"] == f"127.0.0.1:{rtu.port}"


async def test_a_station_that_cannot_be_reached() -> None:
    async with Iec104Rtu(BAY) as rtu:
        port = rtu.port
    rig = Rig(port, points(), backend="c104")
    with pytest.raises(DeviceOffline, match=f"127.0.0.1:{port}: connection refused"):
        await rig.connect()


@pytest.mark.parametrize(
    ("kind", "reason", "counter"),
    [
        ("sequence_gap", r"N\(S\) is \d+, must be", "link_sequence"),
        ("garbage", "a frame cannot begin with", "link_garbage"),
        ("close", "the device closed the connection", ""),
        ("bad_nr", "lib60870 closed the connection", ""),
    ],
)
async def test_a_station_that_breaks_the_protocol(kind: Any, reason: str, counter: str) -> None:
    async with Iec104Rtu(BAY) as rtu, over_c104(rtu) as rig:
        await rig.interrogated()
        rtu.faults.add(Iec104Fault(kind, times=1))
        rtu.set(1, 100, 2.5)
        assert re.search(reason, await rig.lost())
        assert not counter or rig.counters[counter] == 1


async def test_time_tags_keep_their_quality() -> None:
    async with Iec104Rtu(BAY) as rtu, over_c104(rtu) as rig:
        await rig.interrogated()
        rtu.faults.add(Iec104Fault("time_invalid", times=1))
        rtu.set(1, 100, 2.5)
        await rig.until(lambda: 2.5 in rig.history(100))
        latest = rig.latest(100)
        assert latest is not None
        assert latest.quality == Quality.TIME_INVALID
