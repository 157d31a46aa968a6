"""Interrogations over a wire that only records."""

from __future__ import annotations

import asyncio
import time

import pytest

from pydatacoll.errors import DeviceOffline, DeviceRefused, DeviceTimeout
from pydatacoll.protocols.iec104 import interrogations
from pydatacoll.protocols.iec104.asdu import BROADCAST
from pydatacoll.protocols.iec104.config import Iec104Device
from pydatacoll.protocols.iec104.control import CounterInterrogation, Interrogation
from pydatacoll.protocols.iec104.interrogations import COUNTERS, STATION, Interrogations, Request
from pydatacoll.protocols.iec104.turns import Turns
from test.unit.protocols.iec104.command_rig import FakeWire, answer

LOST = DeviceOffline("lost")


class Rig:
    def __init__(self, *, turns: Turns | None = None, silence: float = 10.0, termination: float = 10.0) -> None:
        device = Iec104Device(
            id="d",
            name="d",
            protocol="iec104",
            originator=7,
            interrogation_timeout=silence,
            termination_timeout=termination,
        )
        self.began: list[int] = []
        self.ended: list[tuple[Request, str]] = []
        self.all = Interrogations(
            device,
            time.time,
            began=self.began.append,
            ended=lambda report: self.ended.append((report.request, report.outcome)),
            turns=turns or Turns(),
        )
        self.wire = FakeWire()
        self.all.connected(self.wire)

    def ask(self, request: Request, *, urgent: bool = False):
        return asyncio.create_task(self.all.run(request, urgent=urgent))

    async def sent(self, count: int):
        return await self.wire.after(count)

    def mirror(self, cause: int, **changes) -> bool:
        return self.all.received(answer(self.wire.sent[-1], cause, **changes))


async def test_values_between_confirmation_and_termination_are_counted():
    rig = Rig()
    task = rig.ask(Request(3))
    asked = await rig.sent(1)
    assert (asked.type_id, asked.cause, asked.common_address, asked.originator) == (100, 6, 3, 7)
    assert asked.objects[0].element == Interrogation(20)
    assert rig.mirror(7)
    rig.all.arrived(20, 3, 40)
    under_way = rig.all.status()
    assert (under_way["address"], under_way["points"], under_way["confirmed"]) == (3, 40, True)
    rig.all.arrived(20, 4, 1)  # another station
    rig.all.arrived(3, 3, 1)  # not asked for
    rig.all.arrived(20, 3, 2)
    assert rig.mirror(10)
    report = await task
    assert (report.outcome, report.points, report.error) == ("terminated", 42, None)
    assert rig.all.status() is None
    assert rig.began == [3]
    assert rig.ended == [(Request(3), "terminated")]


@pytest.mark.parametrize(
    ("request_", "element"),
    [
        (Request(1, 36), Interrogation(36)),
        (Request(1, COUNTERS), CounterInterrogation(5, 0)),
        (Request(1, 40, 2), CounterInterrogation(3, 2)),
    ],
)
async def test_what_is_sent_for_a_group(request_, element):
    rig = Rig()
    task = rig.ask(request_)
    assert (await rig.sent(1)).objects[0].element == element
    rig.mirror(7)
    rig.all.arrived(request_.group, 1, 5)
    rig.mirror(10)
    assert (await task).points == 5


@pytest.mark.parametrize(
    ("cause", "negative", "outcome"),
    [
        (7, True, "negative"),
        (44, True, "unknown_type"),
        (45, True, "unknown_cause"),
        (46, True, "unknown_ca"),
        (47, False, "unknown_ioa"),
        (10, True, "negative"),
    ],
)
async def test_a_refusal_ends_it(cause, negative, outcome):
    rig = Rig()
    task = rig.ask(Request(1))
    await rig.sent(1)
    assert rig.mirror(cause, negative=negative)
    report = await task
    assert report.outcome == outcome
    assert isinstance(report.error, DeviceRefused)


async def test_answers_of_others_are_none():
    rig = Rig()
    task = rig.ask(Request(1))
    await rig.sent(1)
    assert not rig.mirror(7, common_address=2)
    assert not rig.mirror(7, type_id=101)
    assert not rig.mirror(10)  # that of an earlier one
    assert not rig.mirror(6)
    assert not task.done()
    rig.mirror(7)
    rig.mirror(10)
    await task
    assert not rig.mirror(10)


async def test_silence_before_and_after_the_confirmation_is_told_apart():
    rig = Rig(silence=0.02)
    report = await rig.ask(Request(1))
    assert report.outcome == "no_confirmation"
    task = rig.ask(Request(1))
    await rig.sent(2)
    rig.mirror(7)
    report = await task
    assert report.outcome == "no_termination"
    assert isinstance(report.error, DeviceTimeout)


async def test_each_value_restarts_the_patience():
    rig = Rig(silence=0.1)
    task = rig.ask(Request(1))
    await rig.sent(1)
    for _ in range(8):
        await asyncio.sleep(0.03)
        rig.all.arrived(20, 1, 1)
    assert not task.done()
    assert (await task).points == 8


@pytest.mark.parametrize("restarted", [1, None])
async def test_a_station_that_starts_again_has_forgotten_what_it_had_begun_to_answer(restarted):
    rig = Rig()
    task, other = rig.ask(Request(1)), rig.ask(Request(2))
    await rig.sent(1)
    rig.mirror(7)
    rig.all.restarted(2)  # another one
    assert rig.all.status() is not None
    rig.all.restarted(restarted)
    report = await task
    assert report.outcome == "no_termination"
    assert "started again" in str(report.error)
    assert (await rig.sent(2)).common_address == 2
    rig.mirror(7)
    rig.mirror(10)
    assert (await other).outcome == "terminated"


async def test_what_a_station_has_not_begun_to_answer_may_still_be_on_its_way_when_it_starts(monkeypatch):
    monkeypatch.setattr(interrogations, "RESTARTED", 0.02)
    rig = Rig()
    rig.all.restarted(1)  # nothing is under way
    task = rig.ask(Request(1))
    await rig.sent(1)
    rig.all.restarted(1)
    report = await task
    assert report.outcome == "no_confirmation"
    assert "started again" in str(report.error)
    task = rig.ask(Request(1))
    await rig.sent(2)
    rig.all.restarted(1)
    rig.mirror(7)
    await asyncio.sleep(0.05)  # longer than a station has to begin
    assert not task.done()
    rig.mirror(10)
    assert (await task).outcome == "terminated"


async def test_one_that_never_ends_does_not_keep_others_from_their_turn(monkeypatch):
    monkeypatch.setattr(interrogations, "LONGEST", 0.01)
    rig = Rig()
    task, other = rig.ask(Request(3)), rig.ask(Request(4))
    await rig.sent(1)
    rig.mirror(7)
    while not task.done():
        rig.all.arrived(20, 3, 1)
        await asyncio.sleep(0)
    report = task.result()
    assert report.outcome == "no_termination"
    assert "was not terminated: still something of it comes after 0.1" in str(report.error)
    assert (await rig.sent(2)).common_address == 4
    rig.mirror(7)
    rig.mirror(10)
    await other


async def test_one_at_a_time_and_equal_ones_are_one():
    rig = Rig()
    first, joins = rig.ask(Request(1)), rig.ask(Request(1))
    other, same = rig.ask(Request(2)), rig.ask(Request(2))
    await rig.sent(1)
    rig.mirror(7)
    later = rig.ask(Request(1))  # the first may have sent values from before this
    await asyncio.sleep(0)
    rig.mirror(10)
    assert await first is await joins
    assert (await rig.sent(2)).common_address == 2
    rig.mirror(7)
    rig.mirror(10)
    assert await other is await same
    assert (await rig.sent(3)).common_address == 1
    rig.mirror(7)
    rig.mirror(10)
    assert await later is not await first


async def test_cancelling_who_waits_does_not_end_it():
    rig = Rig()
    task = rig.ask(Request(1))
    await rig.sent(1)
    task.cancel()
    await asyncio.gather(task, return_exceptions=True)
    rig.mirror(7)
    rig.mirror(10)
    assert rig.ended == [(Request(1), "terminated")]


async def test_a_lost_link_ends_all():
    rig = Rig()
    tasks = [rig.ask(Request(1)), rig.ask(Request(2))]
    await rig.sent(1)
    rig.all.lost(LOST)
    for task in tasks:
        with pytest.raises(DeviceOffline):
            await task
    with pytest.raises(DeviceOffline):
        await rig.all.run(Request(1))
    assert [outcome for _, outcome in rig.ended] == ["link_lost", "link_lost"]


async def test_what_cannot_be_sent_is_told():
    rig = Rig()
    rig.wire.offline = LOST
    with pytest.raises(DeviceOffline):
        await rig.ask(Request(1), urgent=True)


async def test_after_a_switch_over_it_is_asked_again():
    rig = Rig()
    task = rig.ask(Request(1))
    await rig.sent(1)
    rig.mirror(7)
    rig.all.arrived(20, 1, 10)
    rig.all.switched()
    await rig.sent(2)
    rig.mirror(7)
    rig.all.arrived(20, 1, 20)
    rig.mirror(10)
    assert (await task).points == 20


async def test_all_stations_end_when_each_that_confirmed_has():
    rig = Rig()
    task = rig.ask(Request(BROADCAST))
    await rig.sent(1)
    for common in (1, 2):
        rig.mirror(7, common_address=common)
        rig.all.arrived(20, common, 5)
    rig.mirror(10, common_address=1)
    assert not task.done()
    rig.mirror(10, common_address=2)
    assert (await task).points == 10


async def test_a_freeze_needs_no_termination():
    rig = Rig(termination=0.02)
    task = rig.ask(Request(1, COUNTERS, 1))
    await rig.sent(1)
    rig.mirror(7)
    report = await task
    assert (report.outcome, report.error) == ("confirmed", None)


async def test_without_a_turn_only_what_somebody_waits_for_begins():
    turns = Turns(most=1, hold=60)
    other = turns.take(lambda: None)
    rig = Rig(turns=turns)
    waits = rig.ask(Request(1, STATION))
    urgent = rig.ask(Request(2, STATION), urgent=True)
    assert (await rig.sent(1)).common_address == 2
    rig.mirror(7)
    rig.mirror(10)
    await urgent
    for _ in range(5):
        await asyncio.sleep(0)
    assert len(rig.wire.sent) == 1
    other.end()
    assert (await rig.sent(2)).common_address == 1
    rig.mirror(7)
    rig.mirror(10)
    await waits
    assert turns.taken == 0


async def test_a_lost_link_gives_its_turn_back():
    turns = Turns(most=1, hold=60)
    rigs = [Rig(turns=turns), Rig(turns=turns), Rig(turns=turns)]
    tasks = [rig.ask(Request(1)) for rig in rigs]
    await rigs[0].sent(1)
    rigs[1].all.lost(LOST)  # while it waits for its turn
    rigs[0].all.lost(LOST)  # while it has one
    await rigs[2].sent(1)
    rigs[2].mirror(7)
    rigs[2].mirror(10)
    await asyncio.gather(*tasks, return_exceptions=True)
    assert not rigs[1].wire.sent
    assert (turns.taken, len(turns.waiting)) == (0, 0)
