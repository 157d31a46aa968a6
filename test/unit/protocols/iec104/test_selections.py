"""Selections that are held: confirmed, executed, cancelled, given up, lost; and what is refused meanwhile."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from typing import Any

import pytest

from pydatacoll.errors import Conflict, DeviceOffline, DeviceRefused, DeviceTimeout, Invalid
from pydatacoll.protocols.iec104.asdu import Asdu
from pydatacoll.protocols.iec104.commands import MOST_AT_ONCE
from pydatacoll.protocols.iec104.config import Address
from test.unit.protocols.iec104.command_rig import FakeWire
from test.unit.protocols.iec104.test_commands import CON, DEACT, DEACT_CON, LOST, SINGLE, TERM, Rig, end

LONG = 1000.0


@pytest.fixture
async def rig() -> AsyncIterator[Rig]:
    made = Rig()
    yield made
    await end(made)


def begin(rig: Rig, hold: float = LONG, value: Any = True, **more: Any) -> asyncio.Task[str]:
    command = more.pop("command", SINGLE)
    task = asyncio.create_task(rig.commander.select(command, value, hold, more.pop("deadline", None)))
    rig.tasks.append(task)
    return task


async def held(rig: Rig, hold: float = LONG, **more: Any) -> str:
    """Select, and let the station confirm it."""
    before = len(rig.wire.sent)
    task = begin(rig, hold, **more)
    select = await rig.wire.after(before + 1)
    assert shape(select) == (6, True)
    rig.hear(select, CON)
    return await task


def execute(rig: Rig, selection: str, value: Any = True, command: Any = SINGLE) -> asyncio.Task[str]:
    task = asyncio.create_task(rig.commander.execute_selected(selection, command, value, None))
    rig.tasks.append(task)
    return task


def shape(asdu: Asdu) -> tuple[int, bool]:
    """Cause, and S/E."""
    return asdu.cause, asdu.objects[0].element.select  # type: ignore[union-attr]


async def test_a_selection_is_held_until_it_is_executed_once(rig: Rig) -> None:
    selection = await held(rig)
    assert rig.commander.status()["commands"][0]["phase"] == "selected"
    assert len(rig.wire.sent) == 1
    task = execute(rig, selection)
    request = await rig.wire.after(2)
    assert shape(request) == (6, False)
    with pytest.raises(Conflict, match="select again"):
        await execute(rig, selection)
    rig.hear(request, CON, TERM)
    assert await task == "terminated"
    with pytest.raises(Conflict, match="select again"):
        await execute(rig, selection)
    assert len(rig.wire.sent) == 2
    assert rig.counters == {"commands": 1, "selections": 1, "command_terminated": 1}
    assert rig.commander.status() == {"commands": []}
    assert rig.given_up == []


async def test_a_select_that_is_refused_or_not_answered_holds_nothing() -> None:
    rig = Rig(command_timeout=0.02)
    task = begin(rig)
    rig.hear(await rig.wire.after(1), CON, negative=True)
    with pytest.raises(DeviceRefused) as refused:
        await task
    assert refused.value.outcome == "negative"
    task = begin(rig)
    await rig.wire.after(2)
    with pytest.raises(DeviceTimeout) as silent:
        await task
    assert silent.value.outcome == "select_timeout"
    assert shape(await rig.wire.after(3)) == (DEACT, True)
    await end(rig)


async def test_another_value_is_not_executed_and_the_selection_stays(rig: Rig) -> None:
    selection = await held(rig)
    with pytest.raises(Invalid) as wrong:
        await execute(rig, selection, False)
    assert [error.field for error in wrong.value.errors] == ["value"]
    assert len(rig.wire.sent) == 1
    task = execute(rig, selection)
    rig.hear(await rig.wire.after(2), CON, TERM)
    assert await task == "terminated"


async def test_cancelling_deactivates_the_select(rig: Rig) -> None:
    selection = await held(rig)
    rig.commander.cancel(selection, SINGLE)
    request = await rig.wire.after(2)
    assert shape(request) == (DEACT, True)
    with pytest.raises(Conflict):
        rig.commander.cancel(selection, SINGLE)
    with pytest.raises(Conflict):
        await execute(rig, selection)
    rig.hear(request, DEACT_CON)
    assert len(rig.wire.sent) == 2
    assert rig.counters["command_cancelled"] == rig.counters["command_deactivations"] == 1
    await held(rig)
    assert rig.given_up == []


async def test_what_nobody_executes_is_deactivated_after_its_time(rig: Rig) -> None:
    selection = await held(rig, 0.02)
    request = await rig.wire.after(2)
    assert shape(request) == (DEACT, True)
    with pytest.raises(Conflict, match="expired"):
        await execute(rig, selection)
    assert rig.given_up == []  # whether the station has forgotten it is not known yet
    rig.hear(request, DEACT_CON)
    assert len(rig.wire.sent) == 2
    assert rig.counters["command_expired"] == 1
    assert rig.commander.status() == {"commands": []}
    assert rig.given_up == [(selection, "")]


async def test_it_is_told_when_the_station_does_not_confirm_the_deactivation() -> None:
    rig = Rig(command_timeout=0.1)
    refused = await held(rig, 0.02)
    rig.hear(await rig.wire.after(2), DEACT_CON, negative=True)
    silent = await held(rig, 0.02)
    await rig.wire.after(4)
    while len(rig.given_up) < 2:
        await asyncio.sleep(0)
    cut = await held(rig, 0.02)
    await rig.wire.after(6)
    rig.commander.lost(LOST)
    over = "its time was over; the station "
    assert rig.given_up == [
        (refused, over + "refuses the deactivation"),
        (silent, over + "has not answered the deactivation"),
        (cut, over + "has not answered the deactivation"),
    ]


async def test_an_execute_that_begins_in_time_outlives_the_selection(rig: Rig) -> None:
    selection = await held(rig, 0.05)
    task = execute(rig, selection)
    request = await rig.wire.after(2)
    await asyncio.sleep(0.1)  # the time of the selection
    rig.hear(request, CON, TERM)
    assert await task == "terminated"
    assert len(rig.wire.sent) == 2


async def test_another_command_for_the_point_is_refused_meanwhile(rig: Rig) -> None:
    behind = [begin(rig), begin(rig), rig.give()]
    select = await rig.wire.after(1)
    rig.hear(select, CON)
    await behind[0]
    for task in [*behind[1:], begin(rig), rig.give(False), rig.give(mode="select")]:
        with pytest.raises(Conflict, match="is selected"):
            await task
    assert len(rig.wire.sent) == 1
    assert rig.counters["command_selected"] == 5
    task = execute(rig, await behind[0])
    request = await rig.wire.after(2)
    waiting = rig.give(False)  # no selection is held any more: it waits for its turn
    rig.hear(request, CON, TERM)
    assert await task == "terminated"
    rig.hear(await rig.wire.after(3), CON, TERM)
    assert await waiting == "terminated"


async def test_a_selection_is_for_one_point_as_it_was(rig: Rig) -> None:
    selection = await held(rig)
    for other in (SINGLE._replace(address=Address(3, 6002)), SINGLE._replace(qualifier=1)):
        with pytest.raises(Conflict, match="select again"):
            await execute(rig, selection, command=other)
        with pytest.raises(Conflict, match="select again"):
            rig.commander.cancel(selection, other)
    assert len(rig.wire.sent) == 1


async def test_a_selection_is_lost_with_the_link(rig: Rig) -> None:
    selection = await held(rig)
    rig.commander.lost(LOST)
    assert rig.given_up == [(selection, "lost with the link; nothing was executed")]
    rig.wire = FakeWire()
    rig.commander.connected(rig.wire)
    with pytest.raises(Conflict):
        await execute(rig, selection)
    assert rig.wire.sent == []
    await held(rig)


async def test_a_selection_is_lost_when_the_other_connection_takes_over(rig: Rig) -> None:
    selection = await held(rig)
    rig.commander.switched()
    assert rig.given_up == [(selection, "lost with the link; nothing was executed")]
    with pytest.raises(Conflict):
        await execute(rig, selection)
    assert len(rig.wire.sent) == 1


async def test_the_link_is_lost_before_the_select_is_confirmed(rig: Rig) -> None:
    task = begin(rig)
    await rig.wire.after(1)
    rig.commander.lost(LOST)
    with pytest.raises(DeviceOffline, match="nothing was executed"):
        await task


async def test_who_does_not_wait_for_the_confirmation_holds_nothing(rig: Rig) -> None:
    task = begin(rig)
    select = await rig.wire.after(1)
    task.cancel()
    rig.hear(select, CON)  # at the same moment
    await asyncio.gather(task, return_exceptions=True)
    assert shape(await rig.wire.after(2)) == (DEACT, True)
    assert rig.commander.status()["commands"][0]["phase"] == "deactivating"


async def test_a_select_that_is_confirmed_after_its_deadline_is_deactivated(rig: Rig) -> None:
    task = begin(rig, deadline=asyncio.get_running_loop().time() + 0.05)
    select = await rig.wire.after(1)
    with pytest.raises(DeviceTimeout):
        await task
    rig.hear(select, CON)
    assert [shape(each) for each in rig.wire.sent] == [(6, True), (DEACT, True)]


async def test_an_execute_that_comes_too_late_is_not_sent(rig: Rig) -> None:
    selection = await held(rig)
    late = asyncio.get_running_loop().time() - 1
    with pytest.raises(DeviceTimeout) as expired:
        await rig.commander.execute_selected(selection, SINGLE, True, late)
    assert expired.value.outcome == "expired"
    assert len(rig.wire.sent) == 1


async def test_selections_that_are_held_keep_no_other_address_waiting(rig: Rig) -> None:
    for number in range(MOST_AT_ONCE):
        await held(rig, command=SINGLE._replace(address=Address(4, number + 1)))
    task = rig.give()
    rig.hear(await rig.wire.after(MOST_AT_ONCE + 1), CON, TERM)
    assert await task == "terminated"
