"""What the simulated RTU does wrong when it is told to."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import pytest

from pydatacoll.protocols.iec104 import control as c
from pydatacoll.protocols.iec104 import elements as e
from pydatacoll.protocols.iec104.asdu import Asdu, InformationObject, decode, encode
from pydatacoll.protocols.iec104.events import Closed
from pydatacoll.protocols.iec104.link import Link
from pydatacoll.protocols.iec104.times import Cp56
from pydatacoll.testing.iec104_faults import CONNECTION, EVENT, FRAME, REQUEST, Iec104Fault, Iec104FaultKind
from pydatacoll.testing.iec104_rtu import Iec104Point, Iec104Rtu

from .iec104_master import CON, TERM, Master, master
from .iec104_peer import STARTDT_ACT, STARTDT_CON, TESTFR_ACT, TESTFR_CON, i_frame

POINTS = [
    Iec104Point(address=1, value=1.5),
    Iec104Point(address=2, type="M_SP_NA_1", command=True),
    Iec104Point(address=1, common=2, value=2.5),
]
TEST = encode(Asdu(104, 6, 1, (InformationObject(0, c.TestPattern()),)))


@asynccontextmanager
async def octets(
    rtu: Iec104Rtu, *, started: bool = True
) -> AsyncIterator[tuple[asyncio.StreamReader, asyncio.StreamWriter]]:
    """A connection that shows everything that comes."""
    reader, writer = await asyncio.open_connection("127.0.0.1", rtu.port)
    try:
        if started:
            writer.write(STARTDT_ACT)
            assert await reader.readexactly(6) == STARTDT_CON
        yield reader, writer
    finally:
        writer.close()
        try:
            await writer.wait_closed()
        except ConnectionResetError:
            assert rtu.faults.rules  # it was one of them


async def obeyed(station: Master, type_id: int = 45) -> list[Asdu]:
    """What comes until the answer to a test command, asked last."""
    station.send(
        type_id, c.SingleCommand(True) if type_id == 45 else c.Interrogation(), address=2 if type_id == 45 else 0
    )
    station.send(104, c.TestPattern())
    found = [await station.next()]
    while found[-1].type_id != 104:
        found.append(await station.next())
    return found[:-1]


@pytest.mark.parametrize(
    ("kind", "causes", "done"),
    [
        ("no_con", [11, TERM], True),
        ("no_term", [CON, 11], True),
        ("negative", [CON], False),
        ("unknown_type", [44], False),
        ("unknown_cause", [45], False),
        ("unknown_ca", [46], False),
        ("unknown_ioa", [47], False),
        ("ignore", [], False),
    ],
)
async def test_commands_answered_wrongly(kind: Iec104FaultKind, causes: list[int], done: bool) -> None:
    async with Iec104Rtu(POINTS) as rtu, master(rtu.port) as station:
        fault = rtu.faults.add(Iec104Fault(kind, type=45, address=2))
        found = await obeyed(station)
        assert [asdu.cause for asdu in found] == causes
        assert all(asdu.negative for asdu in found) == (not done)
        assert (bool(rtu.value(1, 2)), fault.hits) == (done, 1)


async def test_answers_from_another_station() -> None:
    async with Iec104Rtu(POINTS) as rtu, master(rtu.port) as station:
        rtu.faults.add(Iec104Fault("wrong_ca", type=45))
        assert {asdu.common_address for asdu in await obeyed(station)} == {2}


async def test_an_interrogation_without_end_a_slow_one_and_one_that_begins_late() -> None:
    async with Iec104Rtu(POINTS) as rtu, master(rtu.port) as station:
        rtu.faults.add(Iec104Fault("no_term", type=100, times=1))
        station.send(100, c.Interrogation())
        assert [(await station.next()).cause for _ in range(3)] == [CON, 20, 20]
        rtu.faults.add(Iec104Fault("slow", type=100, times=1, seconds=0.05))
        started = time.monotonic()
        assert [asdu.cause for asdu in await station.interrogate()] == [CON, 20, 20, TERM]
        assert time.monotonic() - started >= 0.1
        rtu.faults.add(Iec104Fault("delay", times=1, seconds=0.05))
        started = time.monotonic()
        assert [asdu.cause for asdu in await station.interrogate()] == [CON, 20, 20, TERM]
        assert time.monotonic() - started >= 0.05
        assert sum(rule.hits for rule in rtu.faults.rules) == 3


async def test_a_slow_answer_does_not_hold_up_others() -> None:
    async with Iec104Rtu(POINTS) as rtu, master(rtu.port) as station:
        rtu.faults.add(Iec104Fault("delay", type=45, seconds=0.05))
        station.send(45, c.SingleCommand(True), address=2)
        station.send(104, c.TestPattern())
        assert [(await station.next()).type_id for _ in range(4)] == [104, 45, 30, 45]


@pytest.mark.parametrize(
    ("kind", "cause"),
    [("sequence_gap", "sequence"), ("bad_nr", "acknowledgement"), ("garbage", "garbage")],
)
async def test_frames_that_end_a_link(kind: Iec104FaultKind, cause: str) -> None:
    async with Iec104Rtu(POINTS) as rtu, octets(rtu, started=False) as (reader, writer):
        rtu.faults.add(Iec104Fault(kind, type=104))
        link = Link("controlling", 0.0)
        link.start(0.0)
        writer.write(link.data_to_send())
        link.receive(await reader.readexactly(6), 0.0)
        link.send(TEST, 0.0)
        writer.write(link.data_to_send())
        (event,) = link.receive(await reader.read(1000), 0.0)
        assert isinstance(event, Closed)
        assert event.cause == cause


async def test_frames_in_pieces_cut_or_missing() -> None:
    async with Iec104Rtu(POINTS) as rtu:
        frame = i_frame(TEST[:2] + bytes([CON]) + TEST[3:], 0, 1)
        rtu.faults.add(Iec104Fault("trickle", seconds=0.001, times=1))
        async with octets(rtu) as (reader, writer):
            writer.write(i_frame(TEST, 0, 0))
            assert await reader.readexactly(1) == frame[:1]
            writer.write(TESTFR_ACT)  # its answer waits for the end of the frame
            assert await reader.readexactly(len(frame) - 1) == frame[1:]
            assert await reader.readexactly(6) == TESTFR_CON
        for kind, received in [("cut", frame[: len(frame) // 2]), ("close", b""), ("bad_length", None)]:
            rtu.faults.clear()
            rtu.faults.add(Iec104Fault(kind))  # type: ignore[arg-type]
            async with octets(rtu) as (reader, writer):
                writer.write(i_frame(TEST, 0, 0))
                if received is not None:
                    assert await reader.read() == received
                else:  # a frame that is right around an ASDU that is not
                    assert await reader.readexactly(len(frame) - 1) == bytes([0x68, frame[1] - 1]) + frame[2:-1]
        rtu.faults.clear()
        rtu.faults.add(Iec104Fault("reset"))
        async with octets(rtu) as (reader, writer):
            writer.write(i_frame(TEST, 0, 0))
            with pytest.raises(ConnectionResetError):
                await reader.read()


@pytest.mark.parametrize("kind", ["half", "silence"])
async def test_a_connection_that_falls_silent(kind: Iec104FaultKind) -> None:
    async with Iec104Rtu(POINTS) as rtu:
        frame = i_frame(TEST[:2] + bytes([CON]) + TEST[3:], 0, 1)
        fault = rtu.faults.add(Iec104Fault(kind))
        async with octets(rtu) as (reader, writer):
            writer.write(i_frame(TEST, 0, 0))
            await rtu.until(lambda: fault.hits == 1)
            writer.write(TESTFR_ACT)
            received = await reader.readexactly(8 if kind == "half" else 0)
            rtu.faults.clear()
            async with master(rtu.port) as other:  # by then it has been heard
                await other.ask(104, c.TestPattern())
            rtu.drop()
            assert received + await reader.read() == frame[: len(received)]


async def test_link_functions_that_are_not_confirmed() -> None:
    async with Iec104Rtu(POINTS) as rtu:
        rtu.faults.add(Iec104Fault("no_startdt_con", times=1))
        rtu.faults.add(Iec104Fault("no_testfr_con", times=1))
        async with octets(rtu, started=False) as (reader, writer):
            writer.write(STARTDT_ACT + TESTFR_ACT[:3])
            writer.write(TESTFR_ACT[3:] + TESTFR_ACT)
            assert await reader.readexactly(6) == TESTFR_CON
            assert rtu.active is None
            writer.write(STARTDT_ACT)
            assert await reader.readexactly(6) == STARTDT_CON
            assert rtu.active == 0


async def test_a_frame_that_comes_in_pieces_while_rules_go_away() -> None:
    async with Iec104Rtu(POINTS) as rtu, octets(rtu) as (reader, writer):
        rtu.faults.add(Iec104Fault("negative", type=45))
        writer.write(TESTFR_ACT + TESTFR_ACT[:3])
        assert await reader.readexactly(6) == TESTFR_CON
        rtu.faults.clear()
        writer.write(TESTFR_ACT[3:])
        assert await reader.readexactly(6) == TESTFR_CON


async def test_a_station_that_acknowledges_nothing() -> None:
    async with Iec104Rtu(POINTS) as rtu, octets(rtu) as (reader, writer):
        size = len(TEST) + 6
        writer.write(i_frame(TEST, 0, 0))
        assert (await reader.readexactly(size))[4:6] == b"\2\0"
        rtu.faults.add(Iec104Fault("no_acknowledgement"))
        for number in range(1, 10):
            writer.write(i_frame(TEST, number, number))
            answer = await reader.readexactly(size)
            assert answer[:6] == bytes([0x68, size - 2, number << 1, 0, 2, 0])


async def test_connections_that_are_refused() -> None:
    async with Iec104Rtu(POINTS) as rtu:
        rtu.faults.add(Iec104Fault("refuse", times=1))
        reader, writer = await asyncio.open_connection("127.0.0.1", rtu.port)
        with pytest.raises(ConnectionResetError):
            await reader.readexactly(1)
        writer.close()
        with pytest.raises(ConnectionResetError):
            await writer.wait_closed()
        async with master(rtu.port):
            assert (rtu.refused, rtu.accepted) == (1, 1)


async def test_times_that_are_wrong() -> None:
    async with Iec104Rtu(POINTS) as rtu, master(rtu.port) as station:
        rtu.faults.add(Iec104Fault("time_invalid", times=1))
        rtu.faults.add(Iec104Fault("wrong_clock", times=1, seconds=-3600))
        for value in (1, 2, 3):
            rtu.set(1, 1, value)
        first, second, third = [(await station.next()).objects[0] for _ in range(3)]
        assert [each.element for each in (first, second, third)] == [e.ShortFloat(value) for value in (1, 2, 3)]
        assert isinstance(first.time, Cp56)
        assert first.time.invalid
        assert second.time is not None
        assert third.time is not None
        before, now = rtu.zone.seconds(second.time), rtu.zone.seconds(third.time)
        assert before is not None
        assert now is not None
        assert 3590 < now - before < 3610


async def test_events_late_twice_or_a_thousand_times() -> None:
    async with Iec104Rtu(POINTS) as rtu, master(rtu.port) as station:
        rtu.faults.add(Iec104Fault("late", times=1, seconds=0.02))
        rtu.set(1, 1, 1.0)
        rtu.set(1, 1, 2.0)
        newer, older = [(await station.next()).objects[0] for _ in range(2)]
        assert (newer.element, older.element) == (e.ShortFloat(2.0), e.ShortFloat(1.0))
        assert newer.time is not None
        assert older.time is not None
        assert (rtu.zone.seconds(older.time) or 0) <= (rtu.zone.seconds(newer.time) or 0)
        rtu.faults.add(Iec104Fault("duplicate", times=1))
        rtu.set(1, 1, 3.0)
        assert await station.next() == await station.next()
        rtu.faults.add(Iec104Fault("flood", times=1))
        rtu.set(1, 1, 4.0)
        flood = [await station.next() for _ in range(1001)]
        assert len({asdu.objects[0].time for asdu in flood}) >= 1000
        assert {asdu.objects[0].element for asdu in flood} == {e.ShortFloat(4.0)}


async def test_mute_connections_neither_send_nor_hear() -> None:
    async with Iec104Rtu(POINTS) as rtu, master(rtu.port) as station:
        rtu.mute()
        rtu.set(1, 1, 5.0)
        station.send(45, c.SingleCommand(True), address=2)
        async with octets(rtu, started=False) as (reader, writer):
            writer.write(STARTDT_ACT)
            rtu.unmute()
            async with master(rtu.port) as other:  # what the first did not acknowledge comes here
                found = await other.next()
                assert found.objects[0].element == e.ShortFloat(5.0)
                assert not rtu.value(1, 2)
            rtu.drop()
            assert await reader.read() == b""


def test_every_fault_has_its_place_and_can_be_written() -> None:
    assert sorted([*CONNECTION, *REQUEST, *FRAME, *EVENT]) == sorted(Iec104Fault.KINDS)
    assert Iec104Fault.parse("delay:seconds=2,type=100,common=1,address=0,cause=6,times=3") == Iec104Fault(
        "delay", seconds=2.0, type=100, common=1, address=0, cause=6, times=3
    )
    with pytest.raises(ValueError, match=r"unknown fault 'no_ack'; known: refuse, no_startdt_con"):
        Iec104Fault.parse("no_ack")
    with pytest.raises(ValueError, match="type is 1 to 255"):
        Iec104Fault.parse("no_con:type=0")


def test_what_is_sent_can_be_chosen_by_its_own_fields() -> None:
    asdu = encode(Asdu(36, 3, 7, (InformationObject(0x010203, e.ShortFloat(1.0), Cp56(bytes(7))),)))
    assert Iec104Fault("close", type=36, cause=3, common=7, address=0x010203).matches(asdu)
    for field, value in [("type", 30), ("cause", 11), ("common", 8), ("address", 1)]:
        assert not Iec104Fault("close", **{field: value}).matches(asdu)  # type: ignore[arg-type]
    assert decode(asdu).cause == 3
