"""The link over a socket: opening, octets both ways, closing."""

from __future__ import annotations

import asyncio
import gc
import os
import socket
import time
from collections.abc import AsyncIterator, Coroutine
from contextlib import suppress
from typing import Any

import pytest

from pydatacoll.errors import DeviceOffline
from pydatacoll.model.network import Networks
from pydatacoll.protocols import sockets
from pydatacoll.protocols.iec104 import connection
from pydatacoll.protocols.iec104.opening import open_wire
from pydatacoll.protocols.iec104.wire import Wire
from pydatacoll.sdk import FrameLog
from test.unit.protocols.iec104.link_bench import (
    ASDU,
    STARTDT_ACT,
    STARTDT_CON,
    STOPDT_ACT,
    STOPDT_CON,
    TESTFR_ACT,
    TESTFR_CON,
    i,
    s,
)
from test.unit.protocols.iec104.station import Owner, Station, device

QUICK = {"t1": 1.1, "t2": 1.0, "t3": 1.0}
"""As short as the standard allows."""


@pytest.fixture
async def station() -> AsyncIterator[Station]:
    async with Station() as made:
        yield made


@pytest.fixture
async def owner() -> Owner:
    return Owner()


async def reason(wire: Wire) -> str:
    return str(await asyncio.shield(wire.closed))


# ---- opening


async def test_a_wire_is_started_and_nothing_is_lost_on_the_way(station: Station, owner: Owner) -> None:
    opening = owner.opening(device(station.port))
    peer = await station.accepted()
    await peer.expect(STARTDT_ACT)
    assert not opening.done(), "before the confirmation there is no wire"
    peer.write(STARTDT_CON, i(0), i(1, asdu=b"\x01"))
    wire = await opening
    assert owner.lists == [[ASDU, b"\x01"]], "one list for one piece of data"
    status = wire.status()
    assert status["state"] == "started"
    assert status["peer"] == f"127.0.0.1:{station.port}"
    assert (status["unconfirmed"], status["next_received"]) == (2, 2)
    await wire.close()


async def test_over_ipv6_and_by_name(owner: Owner) -> None:
    async with Station("::1") as station:
        wire, _ = await owner.opened(station, ip="::1")
        assert wire.status()["peer"] == f"[::1]:{station.port}"
        await wire.close()
    async with Station() as station:
        wire, _ = await owner.opened(station, ip="localhost")
        await wire.close()


@pytest.mark.parametrize(
    ("answer", "words"),
    [
        (b"HTTP/1.1 400 Bad Request\r\n", "sends what is not IEC 104: a frame cannot begin with 48 54 54 50"),
        (i(0), "sends what does not belong here: an I frame while data transfer is starting"),
        (STARTDT_ACT, "sends what does not belong here: STARTDT act to the controlling station"),
        (
            b"",
            "closed the connection before it confirmed STARTDT; it may serve another station already, not know "
            "this one, or want TLS",
        ),
    ],
)
async def test_a_station_that_answers_wrongly_at_the_start(
    station: Station, owner: Owner, answer: bytes, words: str
) -> None:
    opening = owner.opening(device(station.port))
    peer = await station.accepted()
    await peer.expect(STARTDT_ACT)
    peer.write(answer)
    if not answer:
        peer.writer.close()
    with pytest.raises(DeviceOffline) as raised:
        await opening
    assert str(raised.value).startswith(f"no data transfer with 127.0.0.1:{station.port}: the device {words}")
    assert owner.asdus == []
    await peer.ended()


async def test_a_station_that_accepts_and_says_nothing(station: Station, owner: Owner) -> None:
    opening = owner.opening(device(station.port, **QUICK))
    peer = await station.accepted()
    with pytest.raises(DeviceOffline, match=r"does not answer: STARTDT act is not confirmed within t1 \(1.1 s\)"):
        await opening
    assert await peer.ended() in {STARTDT_ACT, STARTDT_ACT + TESTFR_ACT}
    assert owner.context.counters["link_t1"] == 1


async def test_where_nobody_listens(station: Station, owner: Owner) -> None:
    station.deaf()
    with pytest.raises(DeviceOffline, match=rf"no connection to 127.0.0.1:{station.port}: connection refused"):
        await owner.opening(device(station.port))


async def test_only_inside_the_networks(station: Station, owner: Owner) -> None:
    owner.context.networks = Networks(["192.0.2.0/24"])
    with pytest.raises(DeviceOffline, match=r"outside the networks"):
        await owner.opening(device(station.port))


async def test_who_gives_up_opening_leaves_nothing(station: Station, owner: Owner) -> None:
    opening = owner.opening(device(station.port))
    peer = await station.accepted()
    await peer.expect(STARTDT_ACT)
    opening.cancel()
    assert await peer.ended() in {b"", b"reset"}
    with pytest.raises(asyncio.CancelledError):
        await opening


# ---- sending


async def test_what_is_sent_and_what_waits(station: Station, owner: Owner) -> None:
    wire, peer = await owner.opened(station, k=1)
    first, second, third = wire.send(b"\x01"), wire.send(b"\x02"), wire.send(b"\x03", first=True)
    assert [wire.went_out(token) for token in (first, second, third)] == [True, False, False]
    await peer.expect(i(0, asdu=b"\x01"))
    assert not wire.withdraw(first)
    assert wire.withdraw(second)
    assert wire.withdraw(second), "still true"
    peer.write(s(1))
    await peer.expect(i(1, asdu=b"\x03"))
    assert wire.went_out(third)
    assert not wire.went_out(second)
    assert not wire.went_out(third + 1), "never given"
    fourth = wire.send(b"\x04")
    peer.reset()
    await reason(wire)
    assert wire.went_out(third)
    assert not wire.went_out(fourth)
    assert wire.withdraw(fourth), "it has not been and never will be sent"
    assert not wire.withdraw(third)
    with pytest.raises(DeviceOffline, match=r"the device closed the connection"):
        wire.send(ASDU)
    await wire.close()


async def test_a_full_queue_and_what_is_no_asdu(station: Station, owner: Owner) -> None:
    wire, _ = await owner.opened(station, k=1)
    for data in (b"", bytes(250)):
        with pytest.raises(ValueError, match=r"1 to 249 octets"):
            wire.send(data)
    for _ in range(1 + 1024):
        wire.send(ASDU)
    with pytest.raises(DeviceOffline, match=r"too many frames are waiting"):
        wire.send(ASDU)
    await wire.close()


async def test_many_commands_over_one_wire(station: Station, owner: Owner) -> None:
    """Each acknowledged one after the other: what is remembered of them stays small."""
    wire, peer = await owner.opened(station, k=2)
    assert isinstance(wire, connection.Connection)
    for number in range(300):
        token = wire.send(ASDU)
        await peer.expect(i(number))
        peer.write(s(number + 1))
        while wire.status()["unacknowledged"]:
            await asyncio.sleep(0)
        assert wire.went_out(token)
        assert not wire.recall(token), "it has arrived"
    assert len(wire._positions) <= 6
    assert not wire._queued
    await wire.close()


@pytest.mark.parametrize(("on_the_way", "over"), [(1, True), (len(i(1)), True), (0, False)])
async def test_recalling_what_may_not_have_arrived(
    station: Station, owner: Owner, monkeypatch: pytest.MonkeyPatch, on_the_way: int, over: bool
) -> None:
    wire, peer = await owner.opened(station)
    token = wire.send(ASDU)
    await peer.expect(i(0))
    monkeypatch.setattr(sockets, "unconfirmed", lambda *_: on_the_way)
    assert not wire.recall(token), "whether it has arrived is not known"
    assert wire.closed.done() == over
    assert owner.context.counters["recalled"] == over
    await wire.close()
    assert (await peer.ended() == b"reset") == over


async def test_recalling_what_came_before(station: Station, owner: Owner, monkeypatch: pytest.MonkeyPatch) -> None:
    wire, peer = await owner.opened(station, k=1)
    first, second = wire.send(ASDU), wire.send(ASDU)
    await peer.expect(i(0))
    peer.write(s(1))
    await peer.expect(i(1))
    third = wire.send(ASDU)
    assert wire.recall(third), "it waits"
    monkeypatch.setattr(sockets, "unconfirmed", lambda *_: len(i(1)))
    assert not wire.recall(first), "acknowledged"
    assert not wire.closed.done()
    assert not wire.recall(second)
    assert "did not arrive before its time was over" in await reason(wire)
    await wire.close()


# ---- receiving


async def test_a_wrong_frame_ends_it_after_the_right_ones(station: Station, owner: Owner) -> None:
    wire, peer = await owner.opened(station)
    peer.write(i(0), i(2), i(3))
    assert await reason(wire) == "the device counts wrongly: N(S) is 2, must be 1"
    assert owner.asdus == [ASDU]
    fault = wire.status()["last_fault"]
    assert (fault["cause"], fault["frame"]) == ("sequence", i(2).hex(" "))
    assert owner.context.counters["link_sequence"] == 1
    assert await peer.ended() in {b"", b"reset"}
    await wire.close()


async def test_the_last_fault_is_known_after_the_connection(station: Station, owner: Owner) -> None:
    past = connection.Past()
    opening = asyncio.create_task(open_wire(device(station.port), owner.context, owner.receive, past))
    peer = await station.accepted()
    peer.write(b"SSH-2.0")
    with pytest.raises(DeviceOffline, match=r"a frame cannot begin with 53 53 48"):
        await opening
    opening = asyncio.create_task(open_wire(device(station.port), owner.context, owner.receive, past))
    peer = await station.accepted()
    await peer.start()
    wire = await opening
    fault = wire.status()["last_fault"]
    assert fault == past.status()["last_fault"]
    assert (fault["cause"], bytes.fromhex(fault["frame"])) == ("garbage", b"SSH-2.0")
    assert fault["peer"] == f"127.0.0.1:{station.port}"
    await wire.close()


async def test_one_connection_does_not_take_the_loop_for_itself(station: Station, owner: Owner) -> None:
    wire, peer = await owner.opened(station)
    frames = [i(number, asdu=bytes(249)) for number in range(4000)]
    peer.write(*frames)
    await owner.received(4000)
    assert max(map(len, owner.lists)) <= connection.READ // len(frames[0]) + 1
    await wire.close()


def on_uvloop(scenario: Coroutine[Any, Any, None]) -> None:
    uvloop = pytest.importorskip("uvloop", reason="not on this platform")
    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        runner.run(scenario)


def test_others_have_their_turn_after_each_piece_whatever_the_loop() -> None:
    """uvloop would read a socket 32 times before it looks at anything else."""

    async def flood() -> None:
        owner = Owner()
        async with Station() as station:
            wire, peer = await owner.opened(station)
            frames = [i(number, asdu=bytes(249)) for number in range(4000)]
            # as much as fits into the buffers of the system lies there at once
            os.write(peer.writer.get_extra_info("socket").fileno(), b"".join(frames))
            most = before = 0
            while len(owner.asdus) < 500:
                await asyncio.sleep(0)
                most = max(most, len(owner.lists) - before)
                before = len(owner.lists)
            assert most == 1
            await wire.close()
        await asyncio.sleep(0)

    on_uvloop(flood())


def test_a_timer_that_is_due_within_a_moment_is_no_obstacle(monkeypatch: pytest.MonkeyPatch) -> None:
    """What is due at once is no timer in uvloop, and cannot say when it is due."""

    async def send_at_the_last_moment() -> None:
        owner = Owner()
        async with Station() as station:
            wire, peer = await owner.opened(station, t2=1.0)
            wire.receive = lambda _: [wire.send(ASDU), owner.receive([ASDU])]
            began = time.monotonic()
            clock = iter([began])  # when it arrives; t2 is all but over when the timer is set
            monkeypatch.setattr(connection, "monotonic", lambda: next(clock, began + 0.9999))
            peer.write(i(0))
            await owner.received(1)
            monkeypatch.undo()
            assert not wire.closed.done()
            await wire.close()
        await asyncio.sleep(0)

    on_uvloop(send_at_the_last_moment())


async def test_reading_can_be_held_back(station: Station, owner: Owner) -> None:
    wire, peer = await owner.opened(station)
    wire.pause()
    wire.pause()
    peer.write(i(0))
    other, end = await Owner().opened(station)  # some turns of the loop, and packets that come later
    end.write(i(0))
    await other.close()
    assert owner.asdus == []
    assert wire.status()["paused"]
    wire.resume()
    await owner.received(1)
    await wire.close()
    wire.pause()
    wire.resume()


async def test_frames_are_noted_from_the_moment_somebody_wants_them(station: Station, owner: Owner) -> None:
    wire, peer = await owner.opened(station)
    peer.write(i(0))
    await owner.received(1)
    owner.context.frames = log = FrameLog(100)
    peer.write(i(1))
    await owner.received(2)
    wire.send(ASDU)
    owner.context.frames = None
    wire.send(ASDU)
    assert [(frame.direction, frame.data) for frame in log.newest(100)] == [
        ("received", i(1)),
        ("sent", i(0, 2)),
    ]
    await wire.close()


@pytest.mark.parametrize("loop_name", ["asyncio", "uvloop"])
def test_an_answer_that_lies_there_after_a_standstill_counts(loop_name: str) -> None:
    """Some loops look at their timers before they read."""

    async def standstill() -> None:
        owner, other = Owner(), Owner()
        async with Station() as station:
            wire, peer = await owner.opened(station, **QUICK)
            sock = peer.writer.get_extra_info("socket")

            def stand_still(_: object) -> None:
                wire.send(ASDU)
                with socket.fromfd(sock.fileno(), sock.family, sock.type) as kernel:
                    kernel.sendall(b"".join(i(number, 1, asdu=bytes(249)) for number in range(200)))
                time.sleep(1.3)  # the whole process

            stalling, end = await other.opened(station)
            stalling.receive = stand_still
            end.write(i(0))
            await owner.received(200)
            peer.write(i(200, 1))
            await owner.received(201)
            assert not wire.closed.done()
            await asyncio.gather(wire.close(), stalling.close())
        await asyncio.sleep(0)

    if loop_name == "uvloop":
        on_uvloop(standstill())
    else:
        asyncio.run(standstill())
    gc.collect()


async def test_a_mistake_above_ends_the_connection_and_is_reported(station: Station, owner: Owner) -> None:
    reported: list[dict[str, Any]] = []
    asyncio.get_running_loop().set_exception_handler(lambda _, context: reported.append(context))
    wire, peer = await owner.opened(station)

    def broken(_: object) -> None:
        raise RuntimeError("a mistake")

    wire.receive = broken
    peer.write(i(0))
    assert "a mistake" in await reason(wire)
    assert str(reported[0]["exception"]) == "a mistake"
    await wire.close()


# ---- a dead or deaf station


async def test_a_station_that_falls_silent_is_found_within_t3_and_t1(station: Station, owner: Owner) -> None:
    wire, peer = await owner.opened(station, **QUICK)
    await peer.expect(TESTFR_ACT)
    assert wire.status()["timers"].keys() == {"t1"}
    assert await reason(wire) == "the device does not answer: TESTFR act is not confirmed within t1 (1.1 s)"
    await wire.close()


async def test_an_asdu_that_is_not_acknowledged_is_found_within_t1(station: Station, owner: Owner) -> None:
    wire, peer = await owner.opened(station, **QUICK)
    wire.send(ASDU)
    peer.write(TESTFR_ACT)  # alive, but it acknowledges nothing
    await peer.expect(i(0), TESTFR_CON)
    assert await reason(wire) == "the device does not answer: 1 I frames are not acknowledged within t1 (1.1 s)"
    await wire.close()


async def test_a_silent_station_that_answers_tests_stays(station: Station, owner: Owner) -> None:
    wire, peer = await owner.opened(station, **QUICK)
    for _ in range(2):
        await peer.expect(TESTFR_ACT)
        peer.write(TESTFR_CON)
    while wire.status()["counters"]["u_received"] < 3:
        await asyncio.sleep(0)
    assert 0 < wire.status()["round_trip"] < 1.1
    await wire.close()


async def test_acknowledged_after_t2_also_while_held_back(station: Station, owner: Owner) -> None:
    wire, peer = await owner.opened(station, **QUICK)
    peer.write(i(0))
    await owner.received(1)
    wire.pause()
    await peer.expect(s(1))
    await wire.close()


async def test_being_held_back_is_not_taken_for_silence(station: Station, owner: Owner) -> None:
    wire, peer = await owner.opened(station, **QUICK)
    wire.send(ASDU)
    await peer.expect(i(0))
    wire.pause()
    peer.write(s(1))
    await peer.expect(TESTFR_ACT)
    asyncio.get_running_loop().call_later(0.4, wire.resume)  # after t1
    peer.write(TESTFR_CON, i(0, 1))
    await owner.received(1)
    assert not wire.closed.done()
    await wire.close()


async def test_a_station_that_asks_and_does_not_read_is_given_up(station: Station, owner: Owner) -> None:
    wire, peer = await owner.opened(station)
    peer.writer.transport.pause_reading()
    with suppress(ConnectionResetError):
        while not wire.closed.done():
            peer.write(TESTFR_ACT * 10_000)
            await peer.writer.drain()
            await asyncio.sleep(0)
    assert await reason(wire) == "the device does not read what is sent to it"
    await wire.close()
    assert isinstance(wire, connection.Connection)
    assert wire._gone.done(), "the connection is gone with everything that waited"


# ---- closing


async def test_closing_stops_data_transfer_first(station: Station, owner: Owner) -> None:
    wire, peer = await owner.opened(station)
    peer.write(i(0))
    await owner.received(1)
    closing = asyncio.create_task(wire.close())
    await peer.expect(s(1), STOPDT_ACT)
    peer.write(i(1))  # it was on its way
    await peer.expect(s(2))
    assert len(owner.asdus) == 2, "what is acknowledged has been handed over"
    with pytest.raises(DeviceOffline, match=r"data transfer is stopping"):
        wire.send(ASDU)
    peer.write(STOPDT_CON)
    assert await peer.ended() == b""
    await closing
    assert await reason(wire) == "closed by us"
    assert wire.status()["state"] == "closed"
    await wire.close()


async def test_closing_does_not_wait_for_a_station_that_does_not_answer(station: Station, owner: Owner) -> None:
    wire, peer = await owner.opened(station)
    await asyncio.gather(wire.close(), wire.close())
    assert (await peer.ended()).startswith(STOPDT_ACT)


async def test_closing_that_is_cancelled_closes_at_once(station: Station, owner: Owner) -> None:
    wire, peer = await owner.opened(station)
    closing = asyncio.create_task(wire.close())
    await peer.expect(STOPDT_ACT)
    closing.cancel()
    with pytest.raises(asyncio.CancelledError):
        await closing
    assert wire.closed.done()
    await peer.ended()


async def test_a_lost_connection_ends_the_wire(station: Station, owner: Owner) -> None:
    wire, peer = await owner.opened(station)
    peer.reset()
    assert "the device closed the connection" in await reason(wire)
    await wire.close()
