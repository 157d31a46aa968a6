"""Commands to a simulated RTU, over the driver: what is told of each fault, and what the RTU has got."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest

from pydatacoll.errors import DeviceError, DeviceOffline, DeviceRefused, DeviceTimeout
from pydatacoll.protocols.iec104.times import Zone
from pydatacoll.sdk import Executed, WriteRequest
from pydatacoll.testing.iec104_rtu import Iec104Fault, Iec104Point, Iec104Rtu

from .iec104_rig import Rig, point

BREAKER, SWITCH, LIMIT, BITS, COUNT = 1, 2, 3, 4, 5
BAY = [
    Iec104Point(address=BREAKER, type="M_DP_NA_1", value=1, command=True, select=True),
    Iec104Point(address=SWITCH, type="M_SP_NA_1", command=True),
    Iec104Point(address=LIMIT, type="M_ME_NC_1", command=True, low=-50, high=50),
    Iec104Point(address=BITS, type="M_BO_NA_1", command=True, command_address=104),
    Iec104Point(address=COUNT, type="M_ME_NB_1", command=True),
]
POINTS = {
    BREAKER: point(BREAKER, "M_DP_TB_1", writable=True, command_mode="select"),
    SWITCH: point(SWITCH, "M_SP_TB_1", writable=True),
    LIMIT: point(LIMIT, "M_ME_TF_1", writable=True),
    BITS: point(BITS, "M_BO_TB_1", writable=True, command_address=104),
    COUNT: point(COUNT, "M_ME_TE_1", writable=True),
}


def rig(rtu: Iec104Rtu, **options: Any) -> Rig:
    return Rig(rtu.port, POINTS.values(), subscribed=False, **options)


async def write(rig: Rig, address: int, value: Any, **more: Any) -> Any:
    (result,) = await rig.driver.write([WriteRequest(POINTS[address], value, **more)])
    return result.outcome if isinstance(result, Executed) else result


def acts(rtu: Iec104Rtu) -> list[tuple[str, bool]]:
    return [(record.act, record.accepted) for record in rtu.commands]


@pytest.mark.parametrize("tagged", [False, True])
@pytest.mark.parametrize(
    ("address", "value"), [(BREAKER, 2), (SWITCH, True), (LIMIT, 0.1), (BITS, 0xCAFE), (COUNT, -7)]
)
async def test_every_command_is_terminated(address: int, value: Any, tagged: bool) -> None:
    async with Iec104Rtu(BAY) as rtu, rig(rtu, command_time_tag=tagged, originator=7, time_zone="+05:30") as mine:
        rtu.operator.max_age = None
        assert await write(mine, address, value) == "terminated"
        assert rtu.value(1, address) == pytest.approx(value)
        assert {record.tagged for record in rtu.commands} == {tagged}
        assert [record.act for record in rtu.commands] == (["select"] if address == BREAKER else []) + ["execute"]
        assert {asdu.originator for asdu in rtu.log} == {7}


async def test_the_time_tag_is_now_in_the_zone_of_the_station() -> None:
    async with Iec104Rtu(BAY, zone=Zone.parse("+05:30")) as rtu:
        rtu.operator.max_age = 60.0
        async with rig(rtu, command_time_tag=True, time_zone="+05:30") as mine:
            assert await write(mine, SWITCH, True) == "terminated"
        async with rig(rtu, command_time_tag=True) as mine:
            assert (await write(mine, SWITCH, True)).outcome == "negative"


@pytest.mark.parametrize(
    ("kind", "error", "outcome", "text"),
    [
        ("negative", DeviceRefused, "negative", "the station refuses it (negative confirmation)"),
        ("unknown_type", DeviceRefused, "unknown_type", "C_SC_NA_1 (45) (cause 44)"),
        ("unknown_cause", DeviceRefused, "unknown_cause", "(cause 45)"),
        ("unknown_ca", DeviceRefused, "unknown_ca", "does not know the common address 1 (cause 46)"),
        ("unknown_ioa", DeviceRefused, "unknown_ioa", "information object address 2 (cause 47)"),
        ("ignore", DeviceTimeout, "execute_timeout", "execute not confirmed within 0.1 s; whether the device"),
        ("wrong_ca", DeviceTimeout, "execute_timeout", "execute not confirmed within 0.1 s; whether the device"),
    ],
)
async def test_each_fault_is_told_as_itself(kind: Any, error: type[DeviceError], outcome: str, text: str) -> None:
    async with Iec104Rtu(BAY) as rtu, rig(rtu, command_timeout=0.1) as mine:
        fault = rtu.faults.add(Iec104Fault(kind, type=45))
        result = await write(mine, SWITCH, True)
        assert type(result) is error
        assert result.outcome == outcome
        assert text in str(result)
        rtu.faults.rules.remove(fault)
        assert await write(mine, SWITCH, True) == "terminated"


async def test_without_termination_it_is_confirmed() -> None:
    async with Iec104Rtu(BAY) as rtu, rig(rtu, termination_timeout=0.05) as mine:
        rtu.faults.add(Iec104Fault("no_term", type=45))
        assert await write(mine, SWITCH, True) == "confirmed"
        assert rtu.value(1, SWITCH) is True


async def test_a_confirmation_that_is_missing_leaves_it_open() -> None:
    async with Iec104Rtu(BAY) as rtu, rig(rtu, command_timeout=0.1) as mine:
        rtu.faults.add(Iec104Fault("no_con", type=45, times=1))
        assert (await write(mine, SWITCH, True)).outcome == "execute_timeout"
        assert rtu.value(1, SWITCH) is True  # that is why it is unknown
        assert mine.counters["command_answers_unexpected"] == 1  # a termination without confirmation
        assert await write(mine, SWITCH, False) == "terminated"


async def test_a_select_that_is_answered_too_late_is_never_executed() -> None:
    async with Iec104Rtu(BAY) as rtu, rig(rtu, command_timeout=0.1) as mine:
        fault = rtu.faults.add(Iec104Fault("delay", type=46, seconds=0.15))
        result = await write(mine, BREAKER, 2)
        assert (type(result), result.outcome) == (DeviceTimeout, "select_timeout")
        assert "nothing was executed" in str(result)
        rtu.faults.rules.remove(fault)
        assert await write(mine, BREAKER, 2) == "terminated"  # the selection before is given up
        assert acts(rtu) == [("select", True), ("deactivate", True), ("select", True), ("execute", True)]


async def test_a_selection_that_somebody_else_has_is_a_refusal() -> None:
    async with Iec104Rtu(BAY) as rtu, rig(rtu) as mine:
        rtu.faults.add(Iec104Fault("negative", type=46))
        result = await write(mine, BREAKER, 2)
        assert (type(result), result.outcome) == (DeviceRefused, "negative")
        assert "the select" in str(result)
        assert rtu.value(1, BREAKER) == 1


async def test_what_the_station_does_not_permit() -> None:
    async with Iec104Rtu(BAY) as rtu, rig(rtu) as mine:
        rtu.operator.permits = lambda _state, _value: False
        assert (await write(mine, SWITCH, True)).outcome == "negative"
        assert (await write(mine, LIMIT, 51.0)).outcome == "negative"
        assert (await write(mine, BREAKER, 2, mode="direct")).outcome == "negative"
        assert rtu.value(1, SWITCH) == 0


async def test_writes_to_one_point_are_carried_out_in_order() -> None:
    async with Iec104Rtu(BAY) as rtu, rig(rtu) as mine:
        requests = [WriteRequest(POINTS[COUNT], value) for value in range(20)]
        results = await mine.driver.write(requests)
        assert [result.outcome for result in results if isinstance(result, Executed)] == ["terminated"] * 20
        assert [record.value for record in rtu.commands] == list(range(20))


async def test_a_slow_point_does_not_keep_the_others_waiting() -> None:
    slow = Iec104Point(address=BREAKER, type="M_DP_NA_1", value=1, command=True, operate=30.0)
    async with Iec104Rtu([slow, *BAY[1:]]) as rtu, rig(rtu) as mine:
        moving = asyncio.create_task(write(mine, BREAKER, 2))
        await rtu.until(lambda: len(rtu.commands) == 2)
        assert await write(mine, SWITCH, True) == "terminated"
        (shown,) = mine.driver.status()["commands"]
        assert (shown["phase"], shown["type"]) == ("terminating", "C_DC_NA_1")
        rtu.drop()
        assert await moving == "confirmed"


async def test_a_link_that_is_lost_between_select_and_execute() -> None:
    async with Iec104Rtu(BAY) as rtu, rig(rtu) as mine:
        rtu.faults.add(Iec104Fault("delay", type=46, seconds=30.0))
        writing = asyncio.create_task(write(mine, BREAKER, 2))
        await rtu.until(lambda: len(rtu.commands) == 1)
        rtu.drop()
        result = await writing
        assert (type(result), result.outcome) == (DeviceOffline, "link_lost")
        assert "nothing was executed" in str(result)
        rtu.faults.clear()
        await mine.connect()
        assert await write(mine, SWITCH, True) == "terminated"
        assert acts(rtu) == [("select", True), ("execute", True)]  # nothing was executed later


async def test_a_switch_over_between_select_and_execute() -> None:
    async with Iec104Rtu(BAY, paths=2) as rtu:
        second = f"127.0.0.1:{rtu.ports[1]}"
        async with rig(rtu, redundant=second) as mine:
            await rtu.until(lambda: rtu.connections == 2)
            rtu.faults.add(Iec104Fault("delay", type=46, seconds=30.0))
            writing = asyncio.create_task(write(mine, BREAKER, 2))
            await rtu.until(lambda: len(rtu.commands) == 1)
            first = rtu.active
            rtu.drop(first)
            result = await writing
            assert isinstance(result, (DeviceOffline, DeviceTimeout))
            assert result.outcome == "link_lost"
            assert "nothing was executed" in str(result)
            await rtu.until(lambda: rtu.active not in (None, first))
            rtu.faults.clear()
            await mine.until(lambda: mine.counters["switchovers"] == 1)
            assert await write(mine, BREAKER, 2) == "terminated"
            assert acts(rtu) == [("select", True), ("select", True), ("execute", True)]


async def test_a_command_that_expires_while_the_station_is_silent_is_never_executed() -> None:
    """The bytes may be in the system, on their way to a station that hears nothing."""
    async with Iec104Rtu(BAY) as rtu, rig(rtu) as mine:
        rtu.mute()
        deadline = asyncio.get_running_loop().time() + 0.1
        result = await write(mine, SWITCH, True, deadline=deadline)
        assert isinstance(result, DeviceTimeout)
        assert result.outcome in ("expired", "execute_timeout")


async def test_what_waits_behind_a_silent_command_expires() -> None:
    async with Iec104Rtu(BAY) as rtu, rig(rtu) as mine:
        rtu.faults.add(Iec104Fault("ignore", type=45))
        first = asyncio.create_task(write(mine, SWITCH, True))
        await rtu.until(lambda: rtu.counts["45"] == 1)
        deadline = asyncio.get_running_loop().time() + 0.05
        result = await write(mine, SWITCH, False, deadline=deadline)
        assert (type(result), result.outcome) == (DeviceTimeout, "expired")
        assert rtu.counts["45"] == 1
        rtu.drop()
        assert (await first).outcome == "link_lost"
