"""A station whose clock is behind, and nobody sets it: what happens shows at once, although its time looks old."""

from __future__ import annotations

import asyncio

import pytest

from pydatacoll.protocols.iec104 import doubts
from pydatacoll.testing.iec104_rtu import Iec104Fault, Iec104Point, Iec104Rtu

from .iec104_rig import Rig, point

BREAKER = Iec104Point(address=1, type="M_DP_NA_1", value=2)
MANY = [Iec104Point(address=100 + n, value=0.0) for n in range(doubts.SINGLY + 1)]
COUNTER = Iec104Point(address=200, type="M_IT_NA_1", value=7)
VIENNA = {"clock_sync": False, "time_zone": "Europe/Vienna", "coll_interval": 0}
"""Of a station whose clock shows UTC: its time tags look as if they were an hour old, or two."""


def points():
    return [point(1, "M_DP_TB_1"), point(200, "M_IT_TB_1"), *(point(each.address) for each in MANY)]


@pytest.fixture
async def rtu():
    async with Iec104Rtu([BREAKER, COUNTER, *MANY]) as rtu:
        yield rtu


async def begun(rig):
    await rig.interrogated(what="counters")
    assert rig.value(1) == 2


async def test_a_breaker_that_trips_shows_it(rtu):
    async with Rig(rtu.port, points(), **VIENNA) as rig:
        await begun(rig)
        for value in (1, 2, 1):
            rtu.set(1, 1, value)
            await rig.until(lambda value=value: rig.value(1) == value)
        assert rig.counters["late_values"] == rig.counters["doubted_values"] == 3
        assert rtu.counts["102"] == 3
        assert rtu.counts["100"] == 1
        assert rig.history(1) == [2, 1, 1, 2, 2, 1, 1]  # each event with its own time, too


@pytest.mark.parametrize("fault", ["unknown_type", "ignore", "negative", "unknown_cause"])
async def test_also_of_a_station_that_does_not_answer_to_a_read_command(rtu, fault, monkeypatch):
    monkeypatch.setattr(doubts, "PATIENCE", 0.1)
    rtu.faults.add(Iec104Fault(fault, type=102))
    async with Rig(rtu.port, points(), **VIENNA) as rig:
        await begun(rig)
        rtu.set(1, 1, 1)
        await rig.until(lambda: rig.value(1) == 1)
        assert (rtu.counts["102"], rtu.counts["100"]) == (1, 2)
        assert rig.counters["doubted_values"] == 1


async def test_what_waits_for_an_interrogation_gets_it_after_the_pause(rtu, monkeypatch):
    monkeypatch.setattr(doubts, "PAUSE", 0.3)
    rtu.faults.add(Iec104Fault("unknown_type", type=102))
    async with Rig(rtu.port, points(), **VIENNA) as rig:
        await begun(rig)
        started = asyncio.get_running_loop().time()
        for value in (1, 2, 1):
            rtu.set(1, 1, value)
            await rig.until(lambda value=value: rig.value(1) == value)
        assert asyncio.get_running_loop().time() - started > 2 * doubts.PAUSE
        assert (rtu.counts["102"], rtu.counts["100"]) == (1, 4)


async def test_many_at_once_are_interrogated_for(rtu):
    async with Rig(rtu.port, points(), **VIENNA) as rig:
        await begun(rig)
        for each in MANY:
            rtu.set(1, each.address, 5.0)
        await rig.until(lambda: all(rig.value(each.address) == 5.0 for each in MANY))
        assert rtu.counts["100"] == 2
        assert rtu.counts["102"] == 0


async def test_counters_are_interrogated_for_as_such(rtu):
    rtu.faults.add(Iec104Fault("unknown_type", type=102))
    async with Rig(rtu.port, points(), **VIENNA) as rig:
        await begun(rig)
        rtu.set(1, 200, 9)
        await rig.until(lambda: rig.value(200) == 9)
        assert rtu.counts["101"] == 2
        assert rtu.counts["100"] == 1


async def test_a_point_that_the_station_cannot_give_is_asked_for_once(rtu):
    rtu.faults.add(Iec104Fault("unknown_ioa", type=102))
    async with Rig(rtu.port, points(), **VIENNA) as rig:
        await begun(rig)
        rtu.set(1, 1, 1)
        await rig.until(lambda: rtu.counts["102"] == 1)
        rtu.faults.clear()
        rtu.set(1, 100, 1.0)
        await rig.until(lambda: rig.value(100) == 1.0)
        assert (rtu.counts["102"], rtu.counts["100"]) == (2, 1)
        assert rig.value(1) == 2


async def test_a_late_event_that_says_what_is_shown_asks_nothing(rtu):
    async with Rig(rtu.port, points(), **VIENNA) as rig:
        await begun(rig)
        rtu.set(1, 1, 2)
        await rig.until(lambda: rig.counters["late_values"] == 1)
        rtu.set(1, 100, 1.0)
        await rig.until(lambda: rig.value(100) == 1.0)
        assert rtu.counts["102"] == rig.counters["doubted_values"] == 1
