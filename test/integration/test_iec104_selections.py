"""Selections that are held, over the driver, at a simulated RTU."""

from __future__ import annotations

from typing import Any

import pytest

from pydatacoll.errors import Conflict, DeviceError, DeviceRefused, Invalid
from pydatacoll.sdk import Executed, WriteRequest
from pydatacoll.testing.iec104_rtu import Iec104Fault, Iec104Rtu

from .test_iec104_commands import BAY, BITS, BREAKER, POINTS, acts, rig

ON, OFF = 2, 1


def request(value: Any = ON, address: int = BREAKER) -> WriteRequest:
    return WriteRequest(POINTS[address], value, mode="select")


async def test_selected_then_executed_over_the_same_link() -> None:
    async with Iec104Rtu(BAY) as rtu, rig(rtu) as mine:
        selected = await mine.driver.select(request())
        assert selected.seconds == 20.0
        assert acts(rtu) == [("select", True)]
        assert rtu.value(1, BREAKER) == OFF
        result = await mine.driver.execute(selected.id, request())
        assert isinstance(result, Executed)
        assert (result.outcome, result.sample.value) == ("terminated", ON)
        assert acts(rtu) == [("select", True), ("execute", True)]
        assert rtu.value(1, BREAKER) == ON
        with pytest.raises(Conflict):
            await mine.driver.execute(selected.id, request())
        assert len(rtu.commands) == 2


async def test_given_up_by_itself_at_the_station_too() -> None:
    async with Iec104Rtu(BAY) as rtu, rig(rtu, selection_timeout=1.0) as mine:
        rtu.operator.select_timeout = 60.0
        selected = await mine.driver.select(request())
        await rtu.until(lambda: len(rtu.commands) == 2)
        assert acts(rtu) == [("select", True), ("deactivate", True)]
        with pytest.raises(Conflict, match="expired"):
            await mine.driver.execute(selected.id, request())
        assert rtu.value(1, BREAKER) == OFF


async def test_cancelled_so_that_another_can_select() -> None:
    async with Iec104Rtu(BAY) as rtu, rig(rtu) as mine:
        rtu.operator.select_timeout = 60.0
        selected = await mine.driver.select(request())
        for again in (request(), request(OFF)):
            with pytest.raises(Conflict):
                await mine.driver.select(again)
        (direct,) = await mine.driver.write([request(OFF)])
        assert isinstance(direct, Conflict)
        assert len(rtu.commands) == 1
        await mine.driver.cancel(selected.id, POINTS[BREAKER])
        await rtu.until(lambda: len(rtu.commands) == 2)
        assert acts(rtu)[-1] == ("deactivate", True)
        selected = await mine.driver.select(request(OFF))
        assert isinstance(await mine.driver.execute(selected.id, request(OFF)), Executed)


async def test_a_station_that_forgot_the_selection_refuses_the_execute() -> None:
    async with Iec104Rtu(BAY) as rtu, rig(rtu) as mine:
        rtu.operator.select_timeout = 0.0
        selected = await mine.driver.select(request())
        with pytest.raises(DeviceRefused) as refused:
            await mine.driver.execute(selected.id, request())
        assert refused.value.outcome == "negative"
        assert rtu.value(1, BREAKER) == OFF


async def test_the_link_drops_and_nothing_is_executed_over_the_next_one() -> None:
    async with Iec104Rtu(BAY) as rtu, rig(rtu) as mine:
        selected = await mine.driver.select(request())
        await mine.driver.close()
        await mine.driver.connect()
        with pytest.raises(Conflict):
            await mine.driver.execute(selected.id, request())
        assert acts(rtu) == [("select", True)]


async def test_a_refusal_of_the_select_is_told_as_that_of_a_command() -> None:
    async with Iec104Rtu(BAY) as rtu, rig(rtu, command_timeout=0.1) as mine:
        rtu.faults.add(Iec104Fault("unknown_ioa", type=46, times=1))
        with pytest.raises(DeviceError) as refused:
            await mine.driver.select(request())
        assert refused.value.outcome == "unknown_ioa"
        rtu.faults.add(Iec104Fault("ignore", type=46, times=1))
        with pytest.raises(DeviceError) as silent:
            await mine.driver.select(request())
        assert silent.value.outcome == "select_timeout"


async def test_what_cannot_be_selected_is_known_before() -> None:
    async with Iec104Rtu(BAY) as rtu, rig(rtu) as mine:
        bits, breaker = POINTS[BITS], POINTS[BREAKER]
        device = mine.driver.device
        mine.driver.check_select(device, breaker.term, breaker.item)
        with pytest.raises(Invalid, match="C_BO_NA_1 cannot be selected"):
            mine.driver.check_select(device, bits.term, bits.item)
        other = type(device)(id="d", name="", protocol="iec104", backend="c104")  # type: ignore[call-arg]
        with pytest.raises(Invalid, match="backend c104"):
            mine.driver.check_select(other, breaker.term, breaker.item)
        with pytest.raises(DeviceRefused):
            await mine.driver.select(request(1, BITS))
