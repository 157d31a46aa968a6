"""The IEC 104 driver with a simulated RTU: what comes, what is asked and when, and what is told about it."""

from __future__ import annotations

import asyncio
import json
import time

import pytest

from pydatacoll.errors import DeviceOffline, DeviceRefused, DeviceTimeout, Invalid
from pydatacoll.model import Quality
from pydatacoll.protocols.iec104.asdu import Asdu, InformationObject
from pydatacoll.protocols.iec104.control import EndOfInitialization
from pydatacoll.protocols.iec104.times import Zone
from pydatacoll.sdk import Executed, Sample, WriteRequest
from pydatacoll.testing.iec104_rtu import Iec104Fault, Iec104Point, Iec104Rtu

from .iec104_rig import Rig, point

BAY = [
    Iec104Point(address=1, type="M_DP_NA_1", value=1, command=True, select=True),
    Iec104Point(address=2, type="M_SP_NA_1", value=True),
    Iec104Point(address=100, value=1.5, group=1),
    Iec104Point(address=101, value=2.5, group=2, command=True),
    Iec104Point(address=200, type="M_IT_NA_1", value=7, group=1),
    Iec104Point(address=100, common=2, value=20.5),
]


def points():
    return [
        point(1, "M_DP_TB_1", writable=True),
        point(2, "M_SP_TB_1"),
        point(100),
        point(101, writable=True),
        point(200, "M_IT_TB_1"),
        point(100, common=2),
    ]


async def test_after_connecting_everything_is_there_and_the_clocks_are_set():
    async with Iec104Rtu(BAY, clock_offset=-3600) as rtu, Rig(rtu.port, points()) as rig:
        await rig.interrogated(what="counters")
        assert [rig.value(a) for a in (1, 2, 100, 101, 200)] == [1, True, 1.5, 2.5, 7]
        assert rig.value(100, 2) == 20.5
        await rig.until(lambda: rig.counters["clock_syncs"] == 2)
        assert abs(rtu.time() - time.time()) < 1
        assert rig.interrogation(1)["points"] == 4
        assert rig.interrogation(2)["outcome"] == "terminated"
        assert [asdu.type_id for asdu in rtu.log] == [103, 103, 100, 100, 101]
        assert not rig.interrogation(2, "counters")  # it has none


async def test_the_zone_of_the_station():
    zone = Zone.parse("Europe/Vienna")
    async with Iec104Rtu(BAY, zone=zone) as rtu, Rig(rtu.port, points(), time_zone="Europe/Vienna") as rig:
        await rig.until(lambda: rig.counters["clock_syncs"] == 2)
        assert abs(rtu.time() - time.time()) < 1
        await rig.interrogated(what="counters")
        rtu.set(1, 100, 9.5)
        await rig.until(lambda: rig.value(100) == 9.5)
        assert abs(rig.latest(100).time - time.time()) < 1


async def test_events_arrive_with_their_own_time():
    async with Iec104Rtu(BAY) as rtu, Rig(rtu.port, points()) as rig:
        await rig.interrogated(what="counters")
        at = round(time.time() + 0.5, 3)
        rtu.set(1, 2, False, time=at)
        await rig.until(lambda: rig.value(2) is False)
        assert rig.latest(2).time == pytest.approx(at, abs=0.001)


async def test_a_station_that_starts_again_is_interrogated():
    async with Iec104Rtu(BAY) as rtu, Rig(rtu.port, points()) as rig:
        await rig.interrogated(what="counters")
        rtu.put(1, 100, 55.5)
        rtu.put(2, 100, 66.5)
        rtu.restart()
        await rig.until(lambda: (rig.value(100), rig.value(100, 2)) == (55.5, 66.5))
        await rig.until(lambda: rig.counters["clock_syncs"] == 4)
        assert rig.counters["restarts"] == 2


async def test_a_station_that_starts_again_during_its_interrogation_is_not_waited_for():
    """Its answer would be waited for ``interrogation_timeout`` seconds: longer than this test may take."""
    async with Iec104Rtu(BAY) as rtu:
        rtu.faults.add(Iec104Fault("no_term", type=100, common=1, times=1))
        async with Rig(rtu.port, points(), interrogation_timeout=3600) as rig:
            await rig.until(lambda: rig.value(100) == 1.5)
            rtu.put(1, 100, 55.5)
            rtu.restart()
            await rig.until(lambda: rig.value(100) == 55.5)
            assert (await rig.interrogated(what="counters"))["outcome"] == "terminated"


async def test_end_of_initialisation_of_an_unknown_station_does_no_harm():
    async with Iec104Rtu(BAY) as rtu, Rig(rtu.port, points()) as rig:
        await rig.interrogated(what="counters")
        rtu.send(Asdu(70, 4, 77, (InformationObject(0, EndOfInitialization()),)))
        await rig.until(lambda: rig.counters["restarts"] == 1)
        assert isinstance((await rig.driver.read([rig.points[0]]))[0], Sample)


async def test_what_an_interrogation_does_not_bring_is_not_topical():
    async with Iec104Rtu(BAY) as rtu, Rig(rtu.port, [*points(), point(999), point(998, "M_IT_NA_1")]) as rig:
        await rig.interrogated(what="counters")
        assert rig.latest(999).quality == rig.latest(998).quality == Quality.NOT_TOPICAL
        assert rig.value(100) == 1.5


async def test_a_point_that_is_only_commanded_is_not_missed():
    station = [Iec104Point(address=5, type="", command="C_SC_NA_1"), *BAY]
    command = point(5, "C_SC_NA_1", writable=True)
    async with Iec104Rtu(station) as rtu, Rig(rtu.port, [*points(), command]) as rig:
        await rig.interrogated(what="counters")
        assert rig.latest(5) is None
        (result,) = await rig.driver.read([command])
        assert isinstance(result, DeviceRefused)
        (result,) = await rig.driver.write([WriteRequest(command, True)])
        assert isinstance(result, Executed)
        (result,) = await rig.driver.write([WriteRequest(command, True, verify=True)])
        assert isinstance(result, DeviceRefused)


async def test_an_incomplete_interrogation_marks_nothing_and_is_repeated(monkeypatch):
    monkeypatch.setattr("pydatacoll.protocols.iec104.schedule.FIRST_RETRY", 0.02)
    async with Iec104Rtu(BAY) as rtu:
        rtu.faults.add(Iec104Fault("no_term", type=100, common=1, times=1))
        async with Rig(rtu.port, [*points(), point(999)], interrogation_timeout=0.05) as rig:
            assert (await rig.interrogated())["outcome"] == "no_termination"
            assert rig.latest(999) is None
            await rig.until(lambda: rig.interrogation()["outcome"] == "terminated")
            assert rig.latest(999).quality == Quality.NOT_TOPICAL


@pytest.mark.parametrize(
    ("kind", "outcome"),
    [
        ("negative", "negative"),
        ("unknown_type", "unknown_type"),
        ("unknown_cause", "unknown_cause"),
        ("unknown_ca", "unknown_ca"),
        ("unknown_ioa", "unknown_ioa"),
        ("ignore", "no_confirmation"),
        ("no_con", "terminated"),
        ("no_term", "no_termination"),
        ("wrong_ca", "no_confirmation"),
    ],
)
async def test_one_station_that_fails_does_not_hide_the_others(kind, outcome):
    options = {"subscribed": False, "interrogation_timeout": 0.1}
    async with Iec104Rtu(BAY) as rtu, Rig(rtu.port, points(), **options) as rig:
        rtu.faults.add(Iec104Fault(kind, type=100, common=1))
        told = await rig.driver.interrogate(20)
        assert [(one.term_id, one.address, one.outcome) for one in told] == [
            ("s1", 1, outcome),
            ("s2", 2, "terminated"),
        ]
        assert bool(told[0].detail) == (outcome != "terminated")
        assert rig.value(100, 2) == 20.5


async def test_groups_and_single_terms():
    async with Iec104Rtu(BAY) as rtu, Rig(rtu.port, points(), subscribed=False) as rig:
        (told,) = await rig.driver.interrogate(21, ["s1"])
        assert (told.outcome, told.points) == ("terminated", 1)
        assert (rig.value(100), rig.value(101)) == (1.5, None)
        (told,) = await rig.driver.interrogate(38, ["s1"])
        assert (told.points, rig.value(200)) == (1, 7)
        for wrong in ((19, None, 0), (42, None, 0), (20, ["nobody"], 0), (20, None, 1), (37, None, 4)):
            with pytest.raises(Invalid):
                await rig.driver.interrogate(wrong[0], wrong[1], freeze=wrong[2])
    with pytest.raises(DeviceOffline):
        await rig.driver.interrogate(20)


async def test_counters_are_frozen():
    async with Iec104Rtu(BAY) as rtu, Rig(rtu.port, points(), subscribed=False) as rig:
        (told,) = await rig.driver.interrogate(37, ["s1"], freeze=2)
        assert told.outcome == "terminated"
        assert rtu.value(1, 200) == 0


async def test_without_any_point_all_stations_show_what_they_have():
    async with Iec104Rtu(BAY) as rtu, Rig(rtu.port, []) as rig:
        await rig.until(lambda: len(rig.driver.discovered()) == 6)
        found = [(one.address, one.protocol_code, one.code_type) for one in rig.driver.discovered()]
        assert found == [
            (1, "1", "M_DP_NA_1"),
            (1, "2", "M_SP_NA_1"),
            (1, "100", "M_ME_NC_1"),
            (1, "101", "M_ME_NC_1"),
            (1, "200", "M_IT_NA_1"),
            (2, "100", "M_ME_NC_1"),
        ]
        (told,) = await rig.driver.interrogate(20)
        assert (told.term_id, told.outcome, told.points) == ("", "terminated", 5)


async def test_a_term_without_points_is_asked_by_its_address():
    """Stations need not answer to the common address 65535."""
    terms = [point(1, common=common).term for common in (1, 2)]
    async with Iec104Rtu(BAY) as rtu:
        rtu.faults.add(Iec104Fault("unknown_ca", common=0xFFFF))
        rig = Rig(rtu.port, [])
        rig.driver.configure_terms(terms[:1])
        rig.driver.configure([])
        async with rig:
            await rig.until(lambda: len(rig.driver.discovered()) == 5)
            assert {one.address for one in rig.driver.discovered()} == {1}
            (told,) = await rig.driver.interrogate(20, ["s1"])
            assert (told.term_id, told.outcome, told.points) == ("s1", "terminated", 4)
            rig.driver.configure_terms(terms)
            rig.driver.configure([point(1, "M_DP_TB_1")])
            await rig.until(lambda: len(rig.driver.discovered()) == 5 and rig.value(1) == 1)
            assert {one.address for one in rig.driver.discovered()} == {1, 2}
            assert {told.term_id for told in await rig.driver.interrogate(20)} == {"s1", "s2"}


async def test_new_points_are_interrogated_once_and_old_ones_keep_the_link(monkeypatch):
    monkeypatch.setattr("pydatacoll.protocols.iec104.schedule.GATHER", 0.05)
    async with Iec104Rtu(BAY) as rtu, Rig(rtu.port, points()[:2]) as rig:
        await rig.interrogated()
        await rig.driver.read(rig.points)
        before = rtu.counts["100"]
        for _ in range(50):
            rig.driver.configure(points()[:4])
        await rig.until(lambda: rig.value(101) == 2.5)
        assert rtu.counts["100"] == before + 1
        assert rtu.accepted == 1
        rig.driver.configure([])
        assert rig.driver.status()["interrogations"] == {}


async def test_a_point_that_comes_from_elsewhere_does_not_keep_the_value_of_what_it_was():
    async with Iec104Rtu(BAY) as rtu, Rig(rtu.port, [point(100), point(2, "M_SP_TB_1")]) as rig:
        await rig.until(lambda: rig.value(100) == 1.5)
        await rig.driver.read(rig.points)
        rtu.faults.add(Iec104Fault("ignore", type=100))
        rig.driver.configure([point(300, item_id="i100"), point(2, "M_SP_TB_1")])
        assert rig.latest(100).quality == Quality.NOT_TOPICAL
        assert rig.value(2) is True


async def test_verified_write_and_outcomes():
    async with Iec104Rtu(BAY) as rtu, Rig(rtu.port, points(), subscribed=False, command_mode="select") as rig:
        breaker = rig.points[0]
        (done,) = await rig.driver.write([WriteRequest(breaker, 2, verify=True)])
        assert isinstance(done, Executed)
        assert (done.outcome, done.sample.value) == ("terminated", 2)
        (wrong,) = await rig.driver.write([WriteRequest(breaker, 1, mode="direct")])
        assert isinstance(wrong, DeviceRefused)
        assert wrong.outcome == "negative"
        (none,) = await rig.driver.write([WriteRequest(rig.points[1], True)])
        assert isinstance(none, DeviceRefused)
        assert none.outcome in {"unknown_ioa", "negative"}
        assert rtu.value(1, 1) == 2


async def test_a_value_of_another_type_is_no_answer_and_is_listed():
    async with Iec104Rtu(BAY) as rtu, Rig(rtu.port, [point(100, "M_SP_NA_1")], subscribed=False) as rig:
        (result,) = await rig.driver.read(rig.points)
        assert isinstance(result, DeviceRefused)
        assert rig.latest(100) is None
        (found,) = rig.driver.discovered()
        assert (found.protocol_code, found.code_type, bool(found.note)) == ("100", "M_ME_NC_1", True)


@pytest.mark.parametrize("read_fault", [None, "unknown_type", "ignore"])
async def test_probe(read_fault):
    async with Iec104Rtu(BAY) as rtu:
        if read_fault:
            rtu.faults.add(Iec104Fault(read_fault, type=102))
        async with Rig(rtu.port, [point(101)], subscribed=False) as rig:
            found = await rig.driver.probe(rig.points[0], 1.0)
            assert isinstance(found.result, Sample)
            assert (found.result.value, found.raw) == (2.5, bytes.fromhex("00 00 20 40 00"))
            (shown,) = found.interpretations
            assert (shown.code_type, shown.value, shown.configured) == ("M_ME_NC_1", 2.5, True)
            assert {asdu.type_id for asdu in rtu.log} <= {100, 102}  # no clock is set
            rig.driver.configure([point(101, "M_SP_NA_1")])
            found = await rig.driver.probe(point(101, "M_SP_NA_1"), 1.0)
            assert isinstance(found.result, DeviceRefused)
            assert [one.configured for one in found.interpretations] == [False]
            found = await rig.driver.probe(point(55), 1.0)
            assert isinstance(found.result, DeviceRefused)
            assert (found.raw, list(found.interpretations)) == (None, [])


async def test_a_lost_link_ends_what_is_under_way():
    async with Iec104Rtu(BAY) as rtu, Rig(rtu.port, points()) as rig:
        await rig.interrogated(what="counters")
        rtu.faults.add(Iec104Fault("ignore"))
        reading = asyncio.create_task(rig.driver.read(rig.points[:2]))
        asking = asyncio.create_task(rig.driver.interrogate(20))
        writing = asyncio.create_task(rig.driver.write([WriteRequest(rig.points[0], 2)]))
        await rig.until(lambda: rtu.counts["102"] == 2 and rtu.counts["46"] == 1)
        rtu.drop()
        assert await rig.lost()
        assert all(isinstance(one, DeviceOffline) for one in await reading)
        with pytest.raises(DeviceOffline):
            await asking
        assert isinstance((await writing)[0], DeviceTimeout)  # it may have been executed
        rtu.faults.clear()
        await rig.connect()
        assert isinstance((await rig.driver.read(rig.points))[0], Sample)


async def test_the_store_being_behind_makes_the_station_wait():
    async with Iec104Rtu(BAY) as rtu, Rig(rtu.port, points()) as rig:
        await rig.interrogated(what="counters")
        behind = True
        rig.context.behind = lambda: behind
        rtu.set(1, 100, 5.5)
        await rig.until(lambda: rig.value(100) == 5.5)
        assert rig.driver.status()["link"]["paused"]
        rtu.set(1, 100, 6.5)
        sample = asyncio.create_task(rig.driver.read([rig.points[2]]))
        await rtu.until(lambda: rtu.counts["102"] == 1)
        assert rig.value(100) == 5.5
        behind = False
        assert (await sample)[0].value == 6.5
        assert rig.value(100) == 6.5
        assert not rig.driver.status()["link"]["paused"]


async def test_a_store_that_stays_behind_does_not_cost_the_link():
    async with Iec104Rtu(BAY) as rtu, Rig(rtu.port, points(), t1=2, t2=1) as rig:
        await rig.interrogated(what="counters")
        rig.context.behind = lambda: True
        for value in range(4):
            rtu.set(1, 100, value)
            await rig.until(lambda value=value: rig.value(100) == value)
        assert rig.counters["held_back"] >= 3
        assert not rig.subscription.done()


async def test_status_tells_everything_in_plain_data():
    async with Iec104Rtu(BAY) as rtu, Rig(rtu.port, points(), subscribed=False) as rig:
        rtu.send(bytes.fromhex("c8 01 03 00 01 00 05 00 00 0a"))
        rtu.send(bytes.fromhex("0b 01 03 00 01 00 05 00 00 0a"))
        rtu.send(bytes.fromhex("0b 01 11 00 01 00 05 00 00 0a 00 00"))
        rtu.send(bytes.fromhex("64 01 07 00 01 00 00 00 00 14"))
        await rig.until(lambda: rig.counters["unexpected_asdus"] == 1)
        status = rig.driver.status()
        json.dumps(status, allow_nan=False)
        assert status["backend"] == "native"
        assert status["warnings"] == []
        assert status["link"]["state"] == "started"
        assert status["errors"]["unknown_types"] == {"type 200 (private)": 1}
        assert status["errors"]["unexpected"] == {"C_IC_NA_1 (100), activation confirmation": 1}
        assert status["errors"]["deviations"] == {"M_ME_NB_1 (11): cause 17 is reserved": 1}
        assert status["errors"]["last_error"]["frame"] == "0b 01 03 00 01 00 05 00 00 0a"
        assert rig.counters["protocol_errors"] == rig.counters["unknown_types"] == 1
    assert rig.driver.status()["link"] == {"state": "closed", "last_fault": None}


def test_a_w_that_makes_the_station_wait_is_warned_of():
    (warning,) = Rig(2404, points(), w=13).driver.status()["warnings"]
    assert warning.startswith("w = 13 should not exceed")


async def test_a_switch_over_loses_nothing_and_stores_nothing_twice():
    async with (
        Iec104Rtu(BAY, paths=2) as rtu,
        Rig(rtu.port, points(), redundant=f"127.0.0.1:{rtu.ports[1]}", coll_interval=0) as rig,
    ):
        await rig.interrogated(what="counters")
        await rtu.until(lambda: rtu.connections == 2)
        active = rtu.active
        rtu.set(1, 100, 5.0)
        await rig.until(lambda: rig.value(100) == 5.0)
        before = rtu.counts["100"]
        now = time.time()
        rtu.set(1, 100, 6.0, time=now)
        rtu.drop(active)
        rtu.set(1, 100, 7.0, time=now + 0.1)
        await rig.until(lambda: rig.value(100) == 7.0)
        await rig.until(lambda: rtu.counts["100"] == before + 2)
        await rig.until(lambda: rig.driver.status()["interrogating"] is None)
        assert rtu.active != active
        assert rig.counters["switchovers"] == 1
        events = [value for value in rig.history(100) if value in {5.0, 6.0}]
        assert events == [5.0, 6.0]
        assert not rig.subscription.done()
        (done,) = await rig.driver.write([WriteRequest(rig.points[3], 9.5, verify=True)])
        assert isinstance(done, Executed)
