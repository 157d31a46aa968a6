"""Two connections, one of them started."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import suppress
from typing import Any

import pytest

from pydatacoll.errors import DeviceOffline
from pydatacoll.frame_log import FrameLog
from pydatacoll.protocols.iec104 import redundancy
from pydatacoll.protocols.iec104.config import Iec104Device
from pydatacoll.protocols.iec104.wire import Wire
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
from test.unit.protocols.iec104.station import Owner, Peer, Station, device

QUICK = {"t1": 1.1, "t2": 1.0, "t3": 1.0}


class Pair:
    """A station with two addresses."""

    def __init__(self, first: Station, second: Station) -> None:
        self.first, self.second = first, second

    def device(self, **options: Any) -> Iec104Device:
        return device(self.first.port, redundant=f"127.0.0.1:{self.second.port}", **options)


@pytest.fixture
async def pair() -> AsyncIterator[Pair]:
    async with Station() as first, Station() as second:
        yield Pair(first, second)


@pytest.fixture
async def owner(monkeypatch: pytest.MonkeyPatch) -> Owner:
    monkeypatch.setattr(redundancy, "FIRST_PAUSE", 0.01)
    return Owner()


async def opened(owner: Owner, pair: Pair, **options: Any) -> tuple[Wire, Peer, Peer]:
    """A group with the first connection started."""
    opening = owner.opening(pair.device(**options))
    first, second = await pair.first.accepted(), await pair.second.accepted()
    await first.start()
    wire = await opening
    wire.switched = owner.note_switch
    return wire, first, second


async def reason(wire: Wire) -> str:
    return str(await asyncio.shield(wire.closed))


def shown(wire: Wire) -> tuple[str | None, str, str]:
    """What the status says: the active place, the state of the one chosen and of the other."""
    status = wire.status()
    return status["redundancy"]["active"], status["state"], status["redundancy"]["other"]["state"]


async def test_the_first_is_started_and_the_other_only_tested(owner: Owner, pair: Pair) -> None:
    wire, first, second = await opened(owner, pair, **QUICK)
    assert shown(wire) == (f"127.0.0.1:{pair.first.port}", "started", "stopped")
    for peer in (first, second):
        await peer.expect(TESTFR_ACT)
        peer.write(TESTFR_CON)
    first.write(i(0))
    await owner.received(1)
    assert owner.switched == 0
    closing = asyncio.create_task(wire.close())
    await first.expect(s(1), STOPDT_ACT)
    first.write(STOPDT_CON)
    assert await first.ended() == b""
    assert set(await second.ended()) <= set(TESTFR_ACT), "it was never started"
    await closing
    assert await reason(wire) == "closed by us"


async def test_the_second_when_the_first_does_not_listen(owner: Owner, pair: Pair) -> None:
    pair.first.deaf()
    opening = owner.opening(pair.device())
    second = await pair.second.accepted()
    await second.start()
    wire = await opening
    assert shown(wire) == (f"127.0.0.1:{pair.second.port}", "started", "closed")
    assert "connection refused" in wire.status()["redundancy"]["other"]["last_error"]
    await pair.first.listen()
    await pair.first.accepted()
    while shown(wire)[2] != "stopped":
        await asyncio.sleep(0)
    assert shown(wire)[0] == f"127.0.0.1:{pair.second.port}", "going back is not automatic"
    await wire.close()


async def test_the_second_when_the_first_does_not_confirm(owner: Owner, pair: Pair) -> None:
    opening = owner.opening(pair.device(**QUICK))
    first, second = await pair.first.accepted(), await pair.second.accepted()
    await first.expect(STARTDT_ACT)
    await second.expect(TESTFR_ACT)
    second.write(TESTFR_CON)
    await second.start()
    wire = await opening
    assert wire.status()["redundancy"]["other"]["last_fault"]["cause"] == "t1"
    assert owner.switched == 0, "it has only just begun"
    await wire.close()


async def test_neither_can_be_reached(owner: Owner, pair: Pair) -> None:
    pair.first.deaf()
    opening = owner.opening(pair.device())
    second = await pair.second.accepted()
    await second.expect(STARTDT_ACT)
    second.reset()
    with pytest.raises(DeviceOffline) as raised:
        await opening
    assert "connection refused; 127.0.0.1" in str(raised.value)
    assert "closed the connection before it confirmed STARTDT" in str(raised.value)


async def test_switching_over(owner: Owner, pair: Pair) -> None:
    wire, first, second = await opened(owner, pair, k=1)
    sent, waited = wire.send(b"\x01"), wire.send(b"\x02")
    await first.expect(i(0, asdu=b"\x01"))
    first.reset()
    await second.expect(STARTDT_ACT)
    with pytest.raises(DeviceOffline, match=r"the other connection of the redundancy group is being started"):
        wire.send(ASDU)
    assert owner.switched == 0
    calls: list[str] = []
    wire.switched = lambda: (calls.append(f"switched after {len(owner.asdus)}"), owner.note_switch())[-1]
    second.write(STARTDT_CON, i(0))
    await owner.has_switched()
    await owner.received(1)
    assert calls == ["switched after 0"], "the owner knows before it receives"
    assert not wire.closed.done()
    assert (wire.went_out(sent), wire.went_out(waited)) == (True, False)
    assert wire.withdraw(waited)
    assert not wire.withdraw(sent)
    again = wire.send(b"\x03")
    assert len({sent, waited, again}) == 3
    await second.expect(i(0, 1, asdu=b"\x03"))  # and nothing of what the first one had
    assert wire.went_out(again)
    assert not wire.went_out(again + 1)
    assert wire.status()["redundancy"]["switch_overs"] == 1
    await wire.close()
    assert wire.went_out(sent), "also after the end"


async def test_the_lost_one_comes_back_and_takes_over_in_turn(owner: Owner, pair: Pair) -> None:
    wire, first, second = await opened(owner, pair)
    first.reset()
    await second.start()
    await owner.has_switched(1)
    back = await pair.first.accepted()
    while shown(wire)[2] != "stopped":
        await asyncio.sleep(0)
    second.reset()
    await back.start()
    await owner.has_switched(2)
    back.write(i(0))
    await owner.received(1)
    assert shown(wire)[0] == f"127.0.0.1:{pair.first.port}"
    assert wire.status()["redundancy"]["switch_overs"] == 2
    await wire.close()


async def test_the_frame_log_says_which_connection_comes_goes_and_takes_over(owner: Owner, pair: Pair) -> None:
    owner.context.frames = log = FrameLog(100)
    wire, first, second = await opened(owner, pair)
    pair.first.deaf()
    first.reset()
    await second.start()
    await owner.has_switched()
    names = [f"127.0.0.1:{station.port}" for station in (pair.first, pair.second)]
    notes = [frame.text for frame in log.newest(100) if frame.direction == "note"]
    assert sorted(notes[:2]) == sorted(f"{name}: connected" for name in names)
    assert notes[2:] == [f"{names[0]}: the device closed the connection", f"switching over to {names[1]}"]
    await wire.close()


async def test_losing_the_one_that_is_not_started_changes_nothing(owner: Owner, pair: Pair) -> None:
    wire, first, second = await opened(owner, pair)
    second.write(i(0))  # not allowed while it is stopped
    await pair.second.accepted()
    while shown(wire)[2] != "stopped":
        await asyncio.sleep(0)
    assert wire.status()["redundancy"]["other"]["last_fault"]["cause"] == "unexpected"
    first.write(i(0))
    await owner.received(1)
    assert owner.switched == 0
    await wire.close()


async def test_losing_both(owner: Owner, pair: Pair) -> None:
    wire, first, second = await opened(owner, pair)
    pair.second.deaf()
    second.reset()
    while shown(wire)[2] != "closed":
        await asyncio.sleep(0)
    first.reset()
    words = await reason(wire)
    assert words.startswith(f"127.0.0.1:{pair.first.port}: the device closed the connection; 127.0.0.1:")
    with pytest.raises(DeviceOffline):
        wire.send(ASDU)
    await wire.close()


async def test_the_other_does_not_confirm_either(owner: Owner, pair: Pair) -> None:
    wire, first, second = await opened(owner, pair)
    first.reset()
    await second.expect(STARTDT_ACT)
    back = await pair.first.accepted()
    second.reset()
    assert "before it confirmed STARTDT" in await reason(wire)
    assert await back.ended() in {b"", b"reset"}, "nothing stays open"
    assert owner.switched == 0
    await wire.close()


async def test_holding_back_goes_over_to_the_other(owner: Owner, pair: Pair) -> None:
    wire, first, second = await opened(owner, pair)
    wire.pause()
    first.reset()
    with suppress(ConnectionError):
        await first.writer.wait_closed()
    with suppress(DeviceOffline):
        while True:
            wire.send(ASDU)  # only this shows that it is lost: nothing is read
            await asyncio.sleep(0)
    await second.expect(STARTDT_ACT)
    second.write(STARTDT_CON)
    await owner.has_switched()
    second.write(i(0))
    async with Station() as third:  # some turns of the loop, and packets that come later
        other, end = await Owner().opened(third)
        end.write(i(0))
        await other.close()
    assert owner.asdus == []
    wire.resume()
    await owner.received(1)
    await wire.close()


async def test_giving_up_while_it_opens(owner: Owner, pair: Pair) -> None:
    opening = owner.opening(pair.device())
    first, second = await pair.first.accepted(), await pair.second.accepted()
    await first.expect(STARTDT_ACT)
    opening.cancel()
    for peer in (first, second):
        assert await peer.ended() in {b"", b"reset"}
    with pytest.raises(asyncio.CancelledError):
        await opening


async def test_closing_while_one_is_being_connected(owner: Owner, pair: Pair) -> None:
    wire, _, second = await opened(owner, pair)
    pair.second.deaf()
    second.reset()
    while shown(wire)[2] != "closed":
        await asyncio.sleep(0)
    await wire.close()
    await wire.close()
