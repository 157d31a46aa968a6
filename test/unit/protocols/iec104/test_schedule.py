"""When stations are interrogated and clocks set, with procedures that only record."""

from __future__ import annotations

import asyncio
import math
from collections import Counter
from itertools import pairwise

import pytest

from pydatacoll.errors import DeviceOffline, DeviceRefused, DeviceTimeout
from pydatacoll.protocols.iec104 import schedule as module
from pydatacoll.protocols.iec104.asdu import BROADCAST
from pydatacoll.protocols.iec104.config import Iec104Device
from pydatacoll.protocols.iec104.interrogations import COUNTERS, STATION, Report, Request
from pydatacoll.protocols.iec104.schedule import Schedule, next_beat


class Recorder:
    """Stands for the procedures.

    :ivar times: of the entries of the log.
    :ivar outcomes: of interrogations, by request; others terminate.
    """

    def __init__(self) -> None:
        self.log: list[object] = []
        self.times: list[float] = []
        self.outcomes: dict[Request, str] = {}
        self.clock_error: Exception | None = None
        self.lost: Exception | None = None
        self.gate: asyncio.Event | None = None
        self._news = asyncio.Event()

    def _note(self, what: object) -> None:
        self.log.append(what)
        self.times.append(asyncio.get_running_loop().time())
        self._news.set()

    async def interrogate(self, request):
        self._note(request)
        if self.gate is not None:
            await self.gate.wait()
        if self.lost is not None:
            raise self.lost
        return Report(request, self.outcomes.get(request, "terminated"), 0, 0.0, 0.0)

    async def set_clock(self, common):
        self._note(("clock", common))
        if self.clock_error is not None:
            raise self.clock_error

    async def until(self, condition):
        while not condition():
            self._news.clear()
            await self._news.wait()

    def requests(self):
        return [entry for entry in self.log if isinstance(entry, Request)]


class Rig:
    def __init__(self, **options) -> None:
        options = {"coll_interval": 0, "clock_sync": True} | options
        device = Iec104Device(id="d", name="d", protocol="iec104", **options)
        self.did = Recorder()
        self.counters: Counter[str] = Counter()
        self.schedule = Schedule(device, self.did, self.counters)
        self.schedule.configure([1, 2], [2], [1, 2], everywhere=False)

    async def __aenter__(self):
        self.task = asyncio.create_task(self.schedule.run())
        return self

    async def __aexit__(self, *_):
        self.task.cancel()
        await asyncio.gather(self.task, return_exceptions=True)

    async def begun(self):
        await self.did.until(lambda: len(self.did.log) == 5)


START = [("clock", 1), ("clock", 2), Request(1), Request(2), Request(2, COUNTERS)]


async def test_clocks_then_values_then_counters():
    async with Rig() as rig:
        await rig.begun()
        assert rig.did.log == START
        assert rig.counters["clock_syncs"] == 2


async def test_values_do_not_wait_for_a_station_that_confirms_no_clock():
    rig = Rig()

    async def never(common):
        rig.did.log.append(("clock", common))
        await asyncio.Event().wait()

    rig.did.set_clock = never
    async with rig:
        await rig.begun()
        assert rig.did.log == START


async def test_no_clock_and_no_counters_when_they_are_not_wanted():
    async with Rig(clock_sync=False, counter_interval=0) as rig:
        await rig.did.until(lambda: len(rig.did.log) == 2)
        assert rig.did.log == [Request(1), Request(2)]


@pytest.mark.parametrize("stations", [[], [7]])
async def test_without_points_all_stations_are_asked_after_those_that_are_known(stations):
    rig = Rig(clock_sync=False)
    rig.schedule.configure(stations, stations, [], everywhere=True)
    everyone = [Request(BROADCAST), Request(BROADCAST, COUNTERS)]
    known = [Request(7), Request(7, COUNTERS)] if stations else []
    async with rig:
        await rig.did.until(lambda: len(rig.did.log) == len(known + everyone))
        assert rig.did.log == known + everyone


async def test_counters_that_are_never_wanted_are_not_asked_for_everywhere():
    rig = Rig(clock_sync=False, counter_interval=0)
    rig.schedule.configure([1], [1], [], everywhere=True)
    async with rig:
        await rig.did.until(lambda: len(rig.did.log) == 2)
        assert rig.did.log == [Request(1), Request(BROADCAST)]


async def test_a_station_that_starts_again():
    async with Rig() as rig:
        await rig.begun()
        rig.schedule.again(2, clock=True)
        await rig.did.until(lambda: len(rig.did.log) == 8)
        assert rig.did.requests()[3:] == [Request(2), Request(2, COUNTERS)]
        assert rig.did.log.count(("clock", 2)) == 2
        rig.schedule.again()
        await rig.did.until(lambda: len(rig.did.log) == 11)
        assert rig.did.requests()[5:] == [Request(1), Request(2), Request(2, COUNTERS)]


async def test_one_that_starts_again_while_it_is_interrogated_is_interrogated_again():
    rig = Rig(clock_sync=False)
    rig.did.gate = asyncio.Event()
    async with rig:
        await rig.did.until(lambda: rig.did.log)
        rig.schedule.again(1)
        rig.did.gate.set()
        await rig.did.until(lambda: len(rig.did.log) == 4)
        assert rig.did.log.count(Request(1)) == 2


async def test_one_that_starts_again_all_the_time_is_not_asked_all_the_time(monkeypatch):
    monkeypatch.setattr(module, "GATHER", 0.05)
    async with Rig() as rig:
        await rig.begun()
        loop = asyncio.get_running_loop()
        began = loop.time()
        while loop.time() < began + 0.3:
            rig.schedule.again(1, clock=True)
            await asyncio.sleep(0)
        most = (loop.time() - began) / 0.05 + 2  # with the first, and one for the beginning
        assert 2 <= rig.did.log.count(Request(1)) <= most
        assert 2 <= rig.did.log.count(("clock", 1)) <= most


async def test_many_changes_are_one_interrogation(monkeypatch):
    monkeypatch.setattr(module, "GATHER", 0.05)
    async with Rig() as rig:
        await rig.begun()
        for _ in range(100):
            rig.schedule.configure([1, 2, 3], [2], [1], everywhere=False)
        await rig.did.until(lambda: len(rig.did.requests()) == 5)
        assert sorted(rig.did.requests()[3:]) == [Request(1), Request(3)]
        rig.schedule.configure([3], [], [], everywhere=False)
        rig.schedule.again()
        await rig.did.until(lambda: len(rig.did.requests()) == 6)
        assert rig.did.requests()[5] == Request(3)


async def test_what_failed_is_repeated_with_growing_pauses(monkeypatch):
    monkeypatch.setattr(module, "FIRST_RETRY", 0.01)
    rig = Rig(clock_sync=False, counter_interval=0)
    rig.did.outcomes = {Request(1): "no_termination", Request(2): "unknown_ca"}
    async with rig:
        await rig.did.until(lambda: rig.did.log.count(Request(1)) == 4)
        assert rig.did.log.count(Request(2)) == 1
        assert rig.counters["failed_interrogations"] >= 3
    times = [time for what, time in zip(rig.did.log, rig.did.times, strict=True) if what == Request(1)]
    pauses = [after - before for before, after in pairwise(times)]
    assert all(pause >= least * 0.9 for pause, least in zip(pauses, (0.01, 0.02, 0.04), strict=True))


async def test_periods():
    async with Rig(coll_interval=0.05, counter_interval=0.1, clock_sync=0.07) as rig:
        await rig.did.until(lambda: rig.did.log.count(Request(1)) >= 5)
        assert rig.did.log.count(Request(2)) >= 4
        assert rig.did.log.count(Request(2, COUNTERS)) >= 2
        assert rig.did.log.count(("clock", 1)) >= 3


async def test_a_clock_that_cannot_be_set_is_tried_again(monkeypatch):
    monkeypatch.setattr(module, "CLOCK_RETRY", 0.01)
    rig = Rig()
    rig.did.clock_error = DeviceRefused("no")
    async with rig:
        await rig.did.until(lambda: rig.did.log.count(("clock", 1)) == 3)
        assert rig.counters["failed_clock_syncs"] >= 2


@pytest.mark.parametrize("what", ["lost", "clock_error"])
async def test_a_lost_link_ends_it(what):
    rig = Rig()
    setattr(rig.did, what, DeviceOffline("lost"))
    with pytest.raises(DeviceOffline):
        await rig.schedule.run()


async def test_other_failures_are_none_of_the_link():
    rig = Rig()
    rig.did.clock_error = DeviceTimeout("silent")
    async with rig:
        await rig.begun()
        assert not rig.task.done()


def test_beats_are_a_grid_without_one_that_is_too_soon():
    now, interval = 1000.0, 60.0
    first = next_beat(now, interval, "d/20")
    assert interval / 2 <= first - now <= interval * 1.5
    assert next_beat(first, interval, "d/20") == pytest.approx(first + interval)
    assert next_beat(now, interval, "other/20") != first
    assert next_beat(now, 0, "d/20") == math.inf
    # a long one does not make up for the beats it missed
    late = next_beat(first + 5 * interval + 1, interval, "d/20")
    assert late == pytest.approx(first + 6 * interval)


def test_devices_do_not_coincide():
    beats = sorted(next_beat(0.0, 900.0, f"rtu{n}/{STATION}") for n in range(200))
    assert max(after - before for before, after in pairwise(beats)) < 60
