"""The simulated RTU answers as IEC 60870-5-101 and -104 say; expectations from the standards, octets by hand."""

from __future__ import annotations

import asyncio
import math
import socket

import pytest

from pydatacoll.model.quality import Quality
from pydatacoll.protocols.iec104 import control as c
from pydatacoll.protocols.iec104 import elements as e
from pydatacoll.protocols.iec104.asdu import Asdu, InformationObject, decode
from pydatacoll.protocols.iec104.parameters import Parameters
from pydatacoll.protocols.iec104.times import Cp24, Cp56, Zone
from pydatacoll.protocols.iec104.types import Tag
from pydatacoll.testing.iec104_rtu import Iec104Fault, Iec104Point, Iec104Rtu

from .iec104_master import CON, TERM, Master, master
from .iec104_peer import STARTDT_ACT, STARTDT_CON, TESTFR_ACT, TESTFR_CON, i_frame

POINTS = [
    *(Iec104Point(address=number, type="M_SP_NA_1", value=number % 2) for number in (1, 2, 3)),
    Iec104Point(address=10, type="M_DP_NA_1", value=2, group=1),
    Iec104Point(address=20, type="M_ST_NA_1", value=e.StepPosition(-3, transient=True)),
    Iec104Point(address=30, type="M_BO_NA_1", value=0xCAFE),
    Iec104Point(address=40, type="M_ME_NA_1", value=0.5, quality=Quality.NOT_TOPICAL),
    Iec104Point(address=41, type="M_ME_ND_1", value=-0.5),
    Iec104Point(address=42, type="M_ME_NB_1", value=-7, group=16),
    Iec104Point(address=43, type="M_ME_NC_1", value=1.5, quality=Quality.INVALID | Quality.OVERFLOW),
    Iec104Point(address=50, type="M_IT_NA_1", value=100),
    Iec104Point(address=51, type="M_IT_NA_1", value=7, group=2),
    Iec104Point(address=60, type="M_PS_NA_1", value=0x8001),
    Iec104Point(address=70, type="M_EP_TD_1", value=2),
    Iec104Point(address=1, common=2, type="M_ME_TF_1", value=9.0),
]
EVENT = 27
"""Octets of a frame with one float and its time: control field, identifier, address, value and quality, CP56."""


async def test_an_interrogation_brings_every_point_once_and_no_counters() -> None:
    async with Iec104Rtu(POINTS) as rtu, master(rtu.port) as station:
        assert await station.values() == {
            1: e.SinglePoint(True),
            2: e.SinglePoint(False),
            3: e.SinglePoint(True),
            10: e.DoublePoint(2),
            20: e.StepPosition(-3, True),
            30: e.BitString(0xCAFE),
            40: e.Normalized(0.5, e.NT),
            41: e.NormalizedOnly(-0.5),
            42: e.Scaled(-7),
            43: e.ShortFloat(1.5, e.IV | e.OV),
            60: e.PackedSingles(0x8001),
        }
        assert await station.values(common=2) == {1: e.ShortFloat(9.0)}
        assert await station.values(21) == {10: e.DoublePoint(2)}
        assert await station.values(36) == {42: e.Scaled(-7)}
        assert await station.values(22) == {}
        rtu.put(1, 42, 8)
        assert await station.values(36) == {42: e.Scaled(8)}


async def test_interrogations_are_confirmed_with_everything_mirrored() -> None:
    async with Iec104Rtu(POINTS) as rtu, master(rtu.port) as station:
        confirmed, *_, terminated = await station.interrogate()
        mirrored = (InformationObject(0, c.Interrogation()),)
        assert confirmed == Asdu(100, CON, 1, mirrored, originator=9)
        assert terminated == Asdu(100, TERM, 1, mirrored, originator=9)
        refused = await station.ask(100, c.Interrogation(19))
        assert (refused.cause, refused.negative) == (CON, True)
        answer = await station.ask(100, c.Interrogation(), cause=8)  # nothing runs that could be stopped
        assert (answer.cause, answer.negative) == (9, True)


async def test_an_interrogation_of_all_stations_is_answered_by_each() -> None:
    async with Iec104Rtu(POINTS) as rtu, master(rtu.port) as station:
        station.send(100, c.Interrogation(), common=0xFFFF)
        first = await station.until_terminated()
        second = await station.until_terminated()
        found = first + second
        for common in (1, 2):
            causes = [asdu.cause for asdu in found if asdu.common_address == common]
            assert causes[0] == CON
            assert causes[-1] == TERM
            assert set(causes[1:-1]) == {20}


async def test_consecutive_addresses_are_sent_once() -> None:
    points = [Iec104Point(address=number, value=number) for number in (*range(1, 101), 200, 202, 300, 301)]
    async with Iec104Rtu(points) as rtu, master(rtu.port) as station:
        _, *answers, _ = await station.interrogate()
        sizes = [(answer.sequence, len(answer.objects)) for answer in answers]
        assert sizes == [(True, 48), (True, 48), (True, 4), (False, 4)]  # 240 octets are 48 floats with quality


async def test_ten_thousand_points_arrive_complete() -> None:
    points = [Iec104Point(address=number, value=number) for number in range(1, 10_001)]
    async with Iec104Rtu(points) as rtu, master(rtu.port) as station:
        assert await station.values() == {number: e.ShortFloat(number) for number in range(1, 10_001)}


async def counters(station: Master, request: int, freeze: int = 0) -> list[Asdu]:
    station.send(101, c.CounterInterrogation(request, freeze))
    return await station.until_terminated()


async def test_counters_are_read_frozen_and_reset() -> None:
    async with Iec104Rtu(POINTS) as rtu, master(rtu.port) as station:
        confirmed, answer, terminated = await counters(station, 5)
        assert (confirmed.cause, terminated.cause, answer.type_id, answer.cause) == (CON, TERM, 15, 37)
        assert [each.element for each in answer.objects] == [e.Counter(100), e.Counter(7)]
        assert [asdu.cause for asdu in await counters(station, 5, 1)] == [CON, TERM]  # freeze
        rtu.put(1, 50, 150)
        _, answer, _ = await counters(station, 5)
        assert [each.element for each in answer.objects] == [e.Counter(100, 1), e.Counter(7, 1)]
        await counters(station, 2, 2)  # freeze and reset a group
        _, answer, _ = await counters(station, 2)
        assert (answer.cause, answer.objects[0].element) == (39, e.Counter(7, 2))
        assert (rtu.value(1, 51), rtu.value(1, 50)) == (0, 150)
        await counters(station, 5, 3)  # reset
        assert rtu.value(1, 50) == 0
        (refused,) = await counters(station, 6)
        assert (refused.cause, refused.negative) == (CON, True)


async def test_counters_that_move_are_reset_too() -> None:
    moving = Iec104Point(address=1, type="M_IT_NA_1", moves=lambda _: 1000)
    async with Iec104Rtu([moving]) as rtu, master(rtu.port) as station:
        assert rtu.value(1, 1) == 1000
        await counters(station, 5, 3)
        assert rtu.value(1, 1) == 0


async def test_the_clock_is_set_and_the_time_before_answered() -> None:
    zone = Zone()
    async with Iec104Rtu(POINTS, clock_offset=-3600) as rtu, master(rtu.port) as station:
        before, wanted = rtu.time(), 1_709_210_096.789
        station.send(103, time=zone.tag(wanted))
        answer = await station.next()
        assert (answer.type_id, answer.cause) == (103, CON)
        shown = answer.objects[0].time
        assert isinstance(shown, Cp56)
        seconds = zone.seconds(shown)
        assert seconds is not None
        assert before - 0.001 <= seconds < before + 60  # its own, not the one it was given
        rtu.set(1, 1, True)
        event = await station.next()
        assert event.objects[0].time is not None
        tagged = zone.seconds(event.objects[0].time)
        assert tagged is not None
        assert 0 <= tagged - wanted < 60
        station.send(103, time=zone.tag(wanted, invalid=True))
        assert (await station.next()).negative


async def test_test_commands_reading_and_what_does_not_exist() -> None:
    async with Iec104Rtu(POINTS) as rtu, master(rtu.port) as station:
        answer = await station.ask(104, c.TestPattern())
        assert (answer.cause, answer.negative) == (CON, False)
        assert (await station.ask(104, c.TestPattern(1))).negative
        station.send(107, c.TestCounter(5), time=Zone().tag(1e9))
        assert (await station.next()).objects[0].element == c.TestCounter(5)
        assert (await station.ask(106, c.Delay(3))).cause == CON
        answer = await station.ask(102, address=43, cause=5)
        assert (answer.type_id, answer.cause) == (13, 5)
        assert answer.objects == (InformationObject(43, e.ShortFloat(1.5, e.IV | e.OV)),)
        answer = await station.ask(102, address=70, cause=5)  # protection events have no type without time tag
        assert (answer.type_id, answer.cause) == (38, 5)
        assert (await station.ask(110, c.NormalizedParameter(0.5, 1), address=40)).cause == CON
        for octets, cause in [
            ("c8 01 06 09 01 00 00 00 00", 44),  # a private type
            ("78 01 0d 09 01 00 00 00 00 00", 44),  # file transfer
            ("64 01 03 09 01 00 00 00 00 14", 45),
            ("64 01 06 09 07 00 00 00 00 14", 46),
            ("66 01 05 09 01 00 e7 03 00", 47),
            ("6e 01 06 09 01 00 e7 03 00 00 00 01", 47),
            ("64 01 06 09 01 00 01 00 00 14", 47),
        ]:
            sent = bytes.fromhex(octets)
            station.peer.send(sent)
            assert await station.peer.receive() == sent[:2] + bytes([cause | 0x40]) + sent[3:]
        station.peer.send(bytes.fromhex("64 01 06 09 01 00 00 00 00"))  # the qualifier is missing
        assert (await station.ask(104, c.TestPattern())).cause == CON
        assert rtu.counts["malformed"] == 1
        assert rtu.counts["102"] == 3


async def test_resetting_the_process_is_followed_by_end_of_initialisation() -> None:
    async with Iec104Rtu(POINTS, announce=True) as rtu:
        async with master(rtu.port) as station:
            for common in (1, 2):
                assert await station.next() == Asdu(
                    70, 4, common, (InformationObject(0, c.EndOfInitialization(0)),)
                )
            assert (await station.ask(105, c.ResetProcess(1))).cause == CON
            assert (await station.next()).objects[0].element == c.EndOfInitialization(2)
            assert (await station.ask(105, c.ResetProcess(3))).negative
            assert (await station.ask(105, c.ResetProcess(2))).cause == CON  # of the events that wait
        await rtu.until(lambda: not rtu.connections)
        rtu.set(1, 1, True)
        rtu.restart()
        assert rtu.pending == 3
        async with master(rtu.port) as station:
            assert [(await station.next()).type_id for _ in range(3)] == [30, 70, 70]


async def test_events_have_the_type_time_and_cause_that_were_asked_for() -> None:
    points = [
        Iec104Point(address=1, type="M_ME_NC_1"),
        Iec104Point(address=2, type="M_ME_NC_1", tag=Tag.CP24),
        Iec104Point(address=3, type="M_ME_NC_1", tag=Tag.NONE),
        Iec104Point(address=4, type="M_ME_TC_1"),
        Iec104Point(address=5, type="M_PS_NA_1"),
    ]
    zone = Zone.parse("+02:00")
    async with Iec104Rtu(points, zone=zone) as rtu, master(rtu.port) as station:
        for point in points:
            rtu.set(1, point.address, 1, quality=Quality.BLOCKED, time=1_709_210_096.789, cause=12)
        found = [await station.next() for _ in points]
        assert [asdu.type_id for asdu in found] == [36, 14, 13, 14, 20]
        assert {asdu.cause for asdu in found} == {12}
        assert {getattr(asdu.objects[0].element, "quality", None) for asdu in found} == {e.BL}
        tags = [asdu.objects[0].time for asdu in found]
        assert isinstance(tags[0], Cp56)
        assert zone.seconds(tags[0]) == 1_709_210_096.789
        assert isinstance(tags[1], Cp24)
        assert (tags[1].minute, tags[1].milliseconds) == (34, 56_789)
        assert tags[2] is None
        rtu.set(1, 1, tagged=False)
        assert (await station.next()).type_id == 13
        with pytest.raises(KeyError, match="no address 9 of common address 1"):
            rtu.set(1, 9, 1)


async def test_events_wait_for_a_connection_and_come_again_until_acknowledged() -> None:
    async with Iec104Rtu([Iec104Point(address=1)], buffer=5) as rtu:
        for value in range(7):
            rtu.set(1, 1, value)
        assert (rtu.pending, rtu.lost) == (5, 2)
        reader, writer = await asyncio.open_connection("127.0.0.1", rtu.port)
        assert rtu.pending == 5  # not before it is started
        writer.write(STARTDT_ACT)
        assert await reader.readexactly(6) == STARTDT_CON
        frames = [await reader.readexactly(EVENT) for _ in range(5)]
        assert [frame[2] >> 1 for frame in frames] == [0, 1, 2, 3, 4]
        writer.write(bytes.fromhex("680401000400"))  # the first two
        writer.write(TESTFR_ACT)
        assert await reader.readexactly(6) == TESTFR_CON
        writer.close()
        await writer.wait_closed()
        await rtu.until(lambda: rtu.pending == 3)
        async with master(rtu.port) as station:
            values = [(await station.next()).objects[0].element for _ in range(3)]
            assert values == [e.ShortFloat(value) for value in (4, 5, 6)]


async def test_only_the_connection_started_last_gets_events() -> None:
    async with Iec104Rtu([Iec104Point(address=1)], paths=2) as rtu:
        assert len(set(rtu.ports)) == 2
        async with master(rtu.ports[0]) as first:
            rtu.set(1, 1, 1.0)
            assert (await first.next()).objects[0].element == e.ShortFloat(1.0)
            assert rtu.active == 0
            async with master(rtu.ports[1]) as second:
                assert rtu.active == 1
                rtu.set(1, 1, 2.0)
                assert (await second.next()).objects[0].element == e.ShortFloat(2.0)
                first.send(104, c.TestPattern())  # it was told that it is not the one any more
                with pytest.raises(asyncio.IncompleteReadError):
                    await first.next()
                rtu.drop(0)
                assert (await second.ask(104, c.TestPattern())).cause == CON
                await rtu.close_path(0)
                with pytest.raises(ConnectionRefusedError):
                    await asyncio.open_connection("127.0.0.1", rtu.ports[0])
                await rtu.open_path(0)
                async with master(rtu.ports[0]):
                    assert rtu.active == 0


async def test_the_window_is_respected() -> None:
    async with Iec104Rtu([Iec104Point(address=1)], parameters=Parameters(k=3, w=2)) as rtu:
        reader, writer = await asyncio.open_connection("127.0.0.1", rtu.port)
        writer.write(STARTDT_ACT)
        assert await reader.readexactly(6) == STARTDT_CON
        for value in range(5):
            rtu.set(1, 1, value)
        assert rtu.pending == 2
        for _ in range(3):
            await reader.readexactly(EVENT)
        writer.write(bytes.fromhex("680401000600"))
        for _ in range(2):
            await reader.readexactly(EVENT)
        writer.close()
        await writer.wait_closed()


async def test_stopdt_is_confirmed_when_all_is_acknowledged_and_what_waits_stays() -> None:
    async with Iec104Rtu([Iec104Point(address=1)], parameters=Parameters(k=1, w=1)) as rtu:
        reader, writer = await asyncio.open_connection("127.0.0.1", rtu.port)
        writer.write(STARTDT_ACT)
        assert await reader.readexactly(6) == STARTDT_CON
        rtu.set(1, 1, 1)
        rtu.set(1, 1, 2)
        await reader.readexactly(EVENT)
        writer.write(bytes.fromhex("680413000000"))
        writer.write(bytes.fromhex("680401000200"))
        assert await reader.readexactly(6) == bytes.fromhex("680423000000")
        assert (rtu.active, rtu.pending) == (None, 1)
        writer.write(STARTDT_ACT)
        assert await reader.readexactly(6) == STARTDT_CON
        assert decode((await reader.readexactly(EVENT))[6:]).objects[0].element == e.ShortFloat(2)
        writer.close()
        await writer.wait_closed()


async def test_cyclic_points_and_background_scan() -> None:
    points = [Iec104Point(address=1, cyclic=True, value=4), Iec104Point(address=9, type="M_SP_NA_1")]
    async with Iec104Rtu(points, cyclic=0.01, background=0.03) as rtu, master(rtu.port) as station:
        found = {}
        while len(found) < 3:
            asdu = await station.next()
            found[asdu.cause, asdu.type_id] = [each.address for each in asdu.objects]
        assert found == {(1, 13): [1], (2, 13): [1], (2, 1): [9]}
        assert len(rtu.image.of(1, 1).blocks) == 2  # those of before are used again
        rtu.image.add(Iec104Point(address=10, type="M_SP_NA_1"))
        while found[2, 1] != [9, 10]:
            asdu = await station.next()
            found[asdu.cause, asdu.type_id] = [each.address for each in asdu.objects]


@pytest.mark.parametrize("tag", list(Tag))
async def test_a_stream_changes_points_in_turn_and_keeps_the_image(tag: Tag) -> None:
    points = [Iec104Point(address=number, tag=tag) for number in range(1, 101)]
    points += [Iec104Point(address=number, type="M_DP_NA_1", tag=tag) for number in range(201, 211)]
    points += [Iec104Point(address=300, type="M_IT_NA_1", value=5)]
    async with Iec104Rtu(points) as rtu, master(rtu.port) as station:
        stream = rtu.stream(math.inf)
        latest: dict[int, object] = {}
        received = 0
        while received < 1000:
            asdu = await station.next()
            assert asdu.cause == 3
            received += len(asdu.objects)
            for each in asdu.objects:
                assert latest.get(each.address) != each.element
                latest[each.address] = each.element
                assert (each.time is not None) == (tag is not Tag.NONE)
                if isinstance(each.time, Cp56):
                    seconds = rtu.zone.seconds(each.time)
                    assert seconds is not None
                    assert abs(seconds - rtu.time()) < 60
        rtu.stream(0)
        while received < stream.sent:
            asdu = await station.next()
            received += len(asdu.objects)
            latest.update({each.address: each.element for each in asdu.objects})
        assert sorted(latest) == [*range(1, 101), *range(201, 211)]
        assert await station.values() == latest
        assert rtu.value(1, 300) == 5


async def test_a_stream_can_have_points_that_are_bad_now_and_then() -> None:
    points = [Iec104Point(address=number) for number in range(1, 17)]
    async with Iec104Rtu(points) as rtu, master(rtu.port) as station:
        stream = rtu.stream(math.inf, bad=0.25)
        bad = [
            {each.address for each in (await station.next()).objects if each.element != _good(each.element)}
            for _ in range(8)
        ]
        assert bad == [set(), set(), set(), {4, 8, 12, 16}] * 2
        rtu.stream(0)
        received = 8 * 16
        latest: dict[int, object] = {}
        while received < stream.sent:
            asdu = await station.next()
            received += len(asdu.objects)
            latest = {each.address: each.element for each in asdu.objects}
        assert await station.values() == latest


def _good(element: object) -> e.ShortFloat:
    assert isinstance(element, e.ShortFloat)
    return e.ShortFloat(element.value)


async def test_an_rtu_that_was_stopped_takes_its_port_again_and_has_kept_its_events() -> None:
    async with Iec104Rtu([Iec104Point(address=1)], paths=2) as rtu:
        ports = rtu.ports
        async with master(rtu.port) as station:
            await station.ask(104, c.TestPattern())
            await rtu.stop()
            with pytest.raises((asyncio.IncompleteReadError, ConnectionResetError)):
                await station.next()
        rtu.set(1, 1, 5.0)
        await rtu.start()
        assert rtu.ports == ports
        async with master(rtu.port) as station:
            assert (await station.next()).objects[0].element == e.ShortFloat(5.0)


async def test_nothing_of_an_interrogation_comes_after_data_transfer_was_stopped() -> None:
    async with Iec104Rtu([Iec104Point(address=1)]) as rtu:
        rtu.faults.add(Iec104Fault("slow", seconds=0.02))
        reader, writer = await asyncio.open_connection("127.0.0.1", rtu.port)
        writer.write(STARTDT_ACT + i_frame(bytes.fromhex("64 01 06 00 01 00 00 00 00 14"), 0, 0))
        assert await reader.readexactly(6) == STARTDT_CON
        assert decode((await reader.readexactly(16))[6:]).cause == CON
        assert decode((await reader.readexactly(20))[6:]).cause == 20
        writer.write(bytes.fromhex("680413000000 680401000400"))
        assert await reader.readexactly(6) == bytes.fromhex("680423000000")
        writer.write(STARTDT_ACT)
        assert await reader.readexactly(6) == STARTDT_CON
        asyncio.get_running_loop().call_later(0.05, rtu.set, 1, 1, 6.0)
        assert decode((await reader.readexactly(EVENT))[6:]).objects[0].element == e.ShortFloat(6.0)
        writer.close()
        await writer.wait_closed()


async def test_a_stream_has_the_rate_asked_for() -> None:
    points = [Iec104Point(address=number) for number in range(1, 11)]
    async with Iec104Rtu(points) as rtu, master(rtu.port) as station:
        started = asyncio.get_running_loop().time()
        stream = rtu.stream(400.0, tick=0.005)
        for _ in range(50):
            await station.next()
        elapsed = asyncio.get_running_loop().time() - started
        assert stream.sent <= elapsed * 400 + 10


async def test_a_client_that_reads_slowly_gets_everything_in_order() -> None:
    points = [Iec104Point(address=number) for number in range(1, 17)]
    async with Iec104Rtu(points, parameters=Parameters(k=32_767, w=8)) as rtu:
        narrow = socket.socket()
        narrow.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
        narrow.connect(("127.0.0.1", rtu.port))
        reader, writer = await asyncio.open_connection(sock=narrow)
        writer.write(STARTDT_ACT)
        assert await reader.readexactly(6) == STARTDT_CON
        stream = rtu.stream(math.inf)
        assert stream.sent < 32_767 * 16  # what the sockets do not take waits
        for number in range(32_767):
            head = await reader.readexactly(6)
            assert int.from_bytes(head[2:4], "little") == number << 1
            await reader.readexactly(head[1] - 4)
        assert stream.sent == 32_767 * 16
        writer.close()
        await writer.wait_closed()


async def test_an_idle_connection_is_tested_and_given_up() -> None:
    parameters = Parameters(t1=2, t2=1, t3=1)
    async with Iec104Rtu(POINTS, parameters=parameters) as rtu:
        reader, writer = await asyncio.open_connection("127.0.0.1", rtu.port)
        assert await reader.readexactly(6) == TESTFR_ACT
        writer.write(TESTFR_CON)
        assert await reader.readexactly(6) == TESTFR_ACT
        assert await reader.read() == b""  # not confirmed
        writer.close()
        await writer.wait_closed()
        await rtu.until(lambda: bool(rtu.endings))
        assert rtu.endings[-1] == "TESTFR act is not confirmed within t1 (2 s)"


async def test_a_connection_that_breaks_the_rules_is_closed() -> None:
    async with Iec104Rtu(POINTS) as rtu:
        reader, writer = await asyncio.open_connection("127.0.0.1", rtu.port)
        writer.write(i_frame(b"\1\2\3", 0, 0))  # not started
        assert await reader.read() == b""
        writer.close()
        await writer.wait_closed()
        await rtu.until(lambda: bool(rtu.endings))
        assert "I frame while data transfer is stopped" in rtu.endings[-1]
