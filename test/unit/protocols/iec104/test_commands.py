"""Commands over a wire: order, time-outs, what is sent and what is told."""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import AsyncIterator

import pytest

from pydatacoll.errors import DeviceError, DeviceOffline, DeviceRefused, DeviceTimeout
from pydatacoll.protocols.iec104 import commands
from pydatacoll.protocols.iec104.asdu import Asdu
from pydatacoll.protocols.iec104.commands import MOST_AT_ONCE, MOST_WAITING, Commander
from pydatacoll.protocols.iec104.config import Address, Command, Iec104Device, Mode
from pydatacoll.protocols.iec104.control import SingleCommand
from pydatacoll.protocols.iec104.lanes import MOST_OWED
from pydatacoll.protocols.iec104.times import Zone
from pydatacoll.protocols.iec104.types import BY_NAME
from pydatacoll.sdk import DriverContext
from pydatacoll.testing.fakes import FakeSink
from test.unit.protocols.iec104.command_rig import FakeWire, answer

LOST = DeviceOffline("the station closed the connection")
NOW = 1_700_000_000.25
SINGLE = Command(BY_NAME["C_SC_NA_1"], Address(3, 6001), "direct", 0)
OTHER = SINGLE._replace(address=Address(3, 6002))
CON, DEACT, DEACT_CON, TERM = 7, 8, 9, 10


class Rig:
    """A commander with its wire; ``give`` begins a command."""

    def __init__(self, **options: object) -> None:
        fields = {"command_timeout": 60.0, "termination_timeout": 60.0, **options}
        device = Iec104Device(id="d", name="d", protocol="iec104", **fields)  # type: ignore[arg-type]
        self.counters: Counter[str] = Counter()
        self.given_up: list[tuple[str, str]] = []
        context = DriverContext(FakeSink(), self.counters, wall=lambda: NOW)
        context.given_up = lambda selection, error: self.given_up.append((selection, error))
        self.commander = Commander(device, context)
        self.wire = FakeWire()
        self.commander.connected(self.wire)
        self.tasks: list[asyncio.Task[str]] = []

    def give(
        self,
        value: object = True,
        command: Command = SINGLE,
        mode: Mode | None = None,
        deadline: float | None = None,
    ) -> asyncio.Task[str]:
        task = asyncio.create_task(self.commander.execute(command, value, mode, deadline))  # type: ignore[arg-type]
        self.tasks.append(task)
        return task

    def hear(self, request: Asdu, *causes: int, negative: bool = False) -> list[bool]:
        """The station mirrors a request with these causes."""
        return [self.commander.received(answer(request, cause, negative=negative)) for cause in causes]


@pytest.fixture
async def rig() -> AsyncIterator[Rig]:
    made = Rig()
    yield made
    await end(made)


async def end(made: Rig) -> None:
    made.commander.lost(LOST)
    await asyncio.gather(*made.tasks, return_exceptions=True)


async def failure(task: asyncio.Task[str], kind: type[DeviceError], outcome: str) -> str:
    with pytest.raises(kind) as caught:
        await task
    assert type(caught.value) is kind
    assert caught.value.outcome == outcome
    return str(caught.value)


async def test_direct(rig: Rig) -> None:
    task = rig.give()
    request = await rig.wire.after(1)
    assert (request.type_id, request.cause, request.common_address) == (45, 6, 3)
    assert (request.objects[0].address, request.objects[0].element) == (6001, SingleCommand(True))
    assert rig.wire.urgent == [True]
    assert rig.hear(request, CON, TERM) == [True, True]
    assert await task == "terminated"
    assert rig.counters == {"commands": 1, "command_terminated": 1}
    assert rig.commander.status() == {"commands": []}


async def test_select_before_operate(rig: Rig) -> None:
    task = rig.give(mode="select")
    select = await rig.wire.after(1)
    assert select.objects[0].element == SingleCommand(True, 0, True)
    assert rig.commander.status()["commands"][0] == {
        "address": "6001 of common address 3", "type": "C_SC_NA_1", "phase": "selecting", "waiting": 0,
    }  # fmt: skip
    rig.hear(select, CON)
    execute = await rig.wire.after(2)
    assert execute.objects[0].element == SingleCommand(True, 0, False)
    rig.hear(execute, CON, TERM)
    assert await task == "terminated"


async def test_the_mode_of_the_point_holds_unless_the_command_says_otherwise(rig: Rig) -> None:
    selected = SINGLE._replace(mode="select")
    rig.give(command=selected)
    rig.give(command=selected._replace(address=Address(1, 1)), mode="direct")
    await rig.wire.after(2)
    assert [each.objects[0].element.select for each in rig.wire.sent] == [True, False]  # type: ignore[union-attr]


async def test_originator_and_time_tag_are_sent() -> None:
    rig = Rig(originator=9, time_zone="+02:00")
    rig.give(command=SINGLE._replace(info=BY_NAME["C_SC_TA_1"]))
    request = await rig.wire.after(1)
    assert request.originator == 9
    assert request.objects[0].time == Zone.parse("+02:00").tag(NOW)
    await end(rig)


async def test_commands_for_one_address_go_one_after_the_other(rig: Rig) -> None:
    first, second, third = rig.give(True), rig.give(False), rig.give(True)
    elsewhere = rig.give(command=OTHER)
    await rig.wire.after(2)
    assert [each.objects[0].address for each in rig.wire.sent] == [6001, 6002]
    rig.hear(rig.wire.sent[1], CON, TERM)
    assert await elsewhere == "terminated"
    for count, (task, value) in enumerate([(first, True), (second, False), (third, True)]):
        request = rig.wire.sent[-1] if count else rig.wire.sent[0]
        assert request.objects[0].element == SingleCommand(value)
        rig.hear(request, CON, TERM)
        assert await task == "terminated"
        assert len(rig.wire.sent) == min(count + 3, 4)


async def test_no_more_begin_at_once_than_the_link_can_queue(rig: Rig) -> None:
    tasks = [rig.give(command=SINGLE._replace(address=Address(3, 1 + n))) for n in range(3 * MOST_AT_ONCE)]
    await rig.wire.after(MOST_AT_ONCE)
    for request in rig.wire.sent:  # grows meanwhile
        assert len(rig.wire.sent) <= 3 * MOST_AT_ONCE
        rig.hear(request, CON, TERM)
    assert await asyncio.gather(*tasks) == ["terminated"] * len(tasks)
    assert [each.objects[0].address for each in rig.wire.sent] == list(range(1, len(tasks) + 1))
    assert rig.commander._lanes == {}


async def test_those_who_wait_for_others_expire_and_end_with_the_link(rig: Rig) -> None:
    tasks = [rig.give(command=SINGLE._replace(address=Address(3, 1 + n))) for n in range(MOST_AT_ONCE)]
    await rig.wire.after(MOST_AT_ONCE)
    deadline = asyncio.get_running_loop().time() + 0.01
    expiring, waiting = rig.give(command=OTHER, deadline=deadline), rig.give(command=OTHER)
    elsewhere = [rig.give(command=OTHER._replace(address=Address(4, n))) for n in range(2000)]
    await failure(expiring, DeviceTimeout, "expired")
    rig.wire.offline = LOST
    rig.hear(rig.wire.sent[0], 47)  # the next ones find that nothing can be sent
    await failure(tasks[0], DeviceRefused, "unknown_ioa")
    for task in [waiting, *elsewhere]:
        await failure(task, DeviceOffline, "link_lost")
    rig.commander.lost(LOST)
    for task in tasks[1:]:
        await failure(task, DeviceTimeout, "link_lost")
    again = FakeWire()
    rig.commander.connected(again)
    rig.give()
    assert (await again.after(1)).objects[0].address == 6001


async def test_too_many_for_one_address_are_refused(rig: Rig) -> None:
    for _ in range(MOST_WAITING + 1):
        rig.give()
    assert "wait for address 6001" in await failure(rig.give(), DeviceRefused, "busy")
    assert len(rig.wire.sent) == 1


@pytest.mark.parametrize(
    ("cause", "negative", "outcome", "text"),
    [
        (7, True, "negative", "the station refuses it (negative confirmation)"),
        (44, True, "unknown_type", "type identification C_SC_NA_1 (45) (cause 44)"),
        (45, True, "unknown_cause", "cause of transmission 6, activation (cause 45)"),
        (46, True, "unknown_ca", "common address 3 (cause 46)"),
        (47, False, "unknown_ioa", "the station does not know the information object address 6001 (cause 47)"),
    ],
)
async def test_each_refusal_is_told_as_itself(
    rig: Rig, cause: int, negative: bool, outcome: str, text: str
) -> None:
    task = rig.give()
    rig.hear(await rig.wire.after(1), cause, negative=negative)
    assert text in await failure(task, DeviceRefused, outcome)
    assert rig.counters[f"command_{outcome}"] == 1
    assert len(rig.wire.sent) == 1


async def test_a_select_that_is_refused_ends_it(rig: Rig) -> None:
    task = rig.give(mode="select")
    rig.hear(await rig.wire.after(1), CON, negative=True)
    assert "nothing was executed" in await failure(task, DeviceRefused, "negative")
    assert len(rig.wire.sent) == 1


async def test_no_termination_is_confirmed_only() -> None:
    rig = Rig(termination_timeout=0.01)
    task = rig.give()
    rig.hear(await rig.wire.after(1), CON)
    assert await task == "confirmed"
    await end(rig)


async def test_a_termination_that_is_late_does_not_confirm_the_next_command() -> None:
    rig = Rig(termination_timeout=0.01)
    first = rig.give()
    request = await rig.wire.after(1)
    rig.hear(request, CON)
    assert await first == "confirmed"
    second = rig.give()
    again = await rig.wire.after(2)
    rig.hear(again, CON)
    assert rig.hear(request, TERM) == [True]  # of the first one
    assert rig.counters["command_answers_late"] == 1
    assert await second == "confirmed"
    await end(rig)


async def test_who_does_not_wait_for_terminations_is_not_told_of_them() -> None:
    rig = Rig(termination_timeout=0.0)
    for value in range(3 * MOST_OWED):
        task = rig.give(value % 2 == 0)
        request = await rig.wire.after(value + 1)
        assert rig.hear(request, CON) == [True]
        assert await task == "confirmed"
        if value % 5:
            assert rig.hear(request, TERM) == [True]
    assert rig.counters["command_answers_unexpected"] == 0
    assert len(rig.commander._lanes[SINGLE.address].owed) <= MOST_OWED
    await end(rig)


async def test_the_time_tag_tells_terminations_apart() -> None:
    rig = Rig(termination_timeout=0.01)
    command = SINGLE._replace(info=BY_NAME["C_SC_TA_1"])
    first = rig.give(command=command)
    rig.hear(await rig.wire.after(1), CON)
    assert await first == "confirmed"
    rig.commander._context.wall = lambda: NOW + 1
    second = rig.give(command=command)
    request = await rig.wire.after(2)
    assert rig.hear(request, CON, TERM) == [True, True]
    assert await second == "terminated"
    await end(rig)


def test_every_time_out_ends_its_command_also_on_uvloop() -> None:
    """Its timers are called up to half a millisecond early, and what is due at once is none."""
    uvloop = pytest.importorskip("uvloop", reason="not on this platform")

    async def time_out() -> list[str | BaseException]:
        rigs = [Rig(command_timeout=0.01 + number * 0.000_13) for number in range(40)]
        return await asyncio.gather(*(rig.give() for rig in rigs), return_exceptions=True)

    outcomes = uvloop.run(time_out())
    assert [getattr(outcome, "outcome", outcome) for outcome in outcomes] == ["execute_timeout"] * 40


async def test_a_late_termination_is_forgotten_after_a_while(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(commands, "OWED", 0.0)
    rig = Rig(termination_timeout=0.01)
    first = rig.give()
    rig.hear(await rig.wire.after(1), CON)
    assert await first == "confirmed"
    second = rig.give()
    rig.hear(await rig.wire.after(2), CON, TERM)
    assert await second == "terminated"
    await end(rig)


async def test_a_select_without_confirmation_is_deactivated_and_blocks_nothing_for_ever() -> None:
    rig = Rig(command_timeout=0.02)
    task = rig.give(mode="select")
    text = await failure(task, DeviceTimeout, "select_timeout")
    assert text == "select not confirmed within 0.02 s; nothing was executed"
    deactivation = await rig.wire.after(2)
    assert (deactivation.cause, deactivation.objects[0].element) == (DEACT, SingleCommand(True, 0, True))
    following = rig.give(False)  # it waits for answers that do not come, but not for ever
    request = await rig.wire.after(3)
    rig.hear(request, CON, TERM)
    assert await following == "terminated"
    await end(rig)


@pytest.mark.parametrize("stopped", [True, False])
async def test_a_confirmation_that_is_late_does_not_confirm_the_next_command(stopped: bool) -> None:
    rig = Rig(command_timeout=0.2, termination_timeout=0.02)
    first = rig.give()
    request = await rig.wire.after(1)
    assert "whether the device acted is unknown" in await failure(first, DeviceTimeout, "execute_timeout")
    deactivation = await rig.wire.after(2)
    assert (deactivation.cause, deactivation.objects[0].element) == (DEACT, SingleCommand(True))
    second = rig.give()
    await asyncio.sleep(0)
    assert len(rig.wire.sent) == 2  # it waits
    assert rig.hear(request, CON) == [True]
    assert len(rig.wire.sent) == 2
    assert rig.hear(deactivation, DEACT_CON, negative=not stopped) == [True]
    again = await rig.wire.after(3)
    rig.hear(again, CON, TERM)
    # what was not stopped may still be terminated, and that be what came
    assert await second == ("terminated" if stopped else "confirmed")
    await end(rig)


async def test_what_expires_while_it_waits_is_never_sent(rig: Rig) -> None:
    first = rig.give()
    request = await rig.wire.after(1)
    late = rig.give(False, deadline=asyncio.get_running_loop().time() + 0.01)
    text = await failure(late, DeviceTimeout, "expired")
    assert text == (
        "expired before it was sent: the station still owes an answer to the command before; nothing was executed"
    )
    rig.hear(request, CON, TERM)
    assert await first == "terminated"
    assert len(rig.wire.sent) == 1


async def test_what_expired_before_is_never_sent(rig: Rig) -> None:
    task = rig.give(deadline=asyncio.get_running_loop().time() - 1)
    await failure(task, DeviceTimeout, "expired")
    assert rig.wire.sent == []


async def test_what_still_waits_for_the_window_is_withdrawn(rig: Rig) -> None:
    rig.wire.full = True
    task = rig.give(deadline=asyncio.get_running_loop().time() + 0.01)
    assert "withdrawn; nothing was executed" in await failure(task, DeviceTimeout, "expired")
    assert (rig.wire.queued, rig.wire.sent) == ({}, [])


async def test_an_execute_that_still_waits_is_withdrawn_and_its_select_deactivated(rig: Rig) -> None:
    task = rig.give(mode="select", deadline=asyncio.get_running_loop().time() + 0.02)
    select = await rig.wire.after(1)
    rig.wire.full = True
    rig.hear(select, CON)
    assert [each.cause for each in rig.wire.queued.values()] == [6]
    assert "nothing was executed" in await failure(task, DeviceTimeout, "expired")
    (deactivation,) = rig.wire.queued.values()
    assert (deactivation.cause, deactivation.objects[0].element) == (DEACT, SingleCommand(True, 0, True))


async def test_an_execute_that_never_reaches_the_station_was_not_executed(rig: Rig) -> None:
    rig.wire.vanished = True
    task = rig.give(deadline=asyncio.get_running_loop().time() + 0.01)
    assert "nothing was executed" in await failure(task, DeviceTimeout, "expired")


async def test_a_caller_who_goes_leaves_nothing_selected(rig: Rig) -> None:
    task = rig.give(mode="select")
    waiting = rig.give(False)
    select = await rig.wire.after(1)
    task.cancel()
    waiting.cancel()
    await asyncio.wait([task, waiting])
    deactivation = await rig.wire.after(2)
    assert deactivation.cause == DEACT
    rig.hear(select, CON)
    rig.hear(deactivation, DEACT_CON)
    assert len(rig.wire.sent) == 2
    assert rig.commander.status() == {"commands": []}


async def test_when_the_link_is_lost_everything_ends_and_nothing_is_sent_later(rig: Rig) -> None:
    executing, waiting = rig.give(), rig.give(False)
    selecting = rig.give(command=OTHER, mode="select")
    terminating = rig.give(command=SINGLE._replace(address=Address(1, 1)))
    await rig.wire.after(3)
    rig.hear(rig.wire.sent[2], CON)
    rig.commander.lost(LOST)
    assert "whether the device acted is unknown" in await failure(executing, DeviceTimeout, "link_lost")
    assert "nothing was executed" in await failure(waiting, DeviceOffline, "link_lost")
    assert "nothing was executed" in await failure(selecting, DeviceOffline, "link_lost")
    assert await terminating == "confirmed"
    again = FakeWire()
    rig.commander.connected(again)
    await asyncio.sleep(0)
    assert again.sent == []
    rig.give(command=OTHER)
    await again.after(1)


async def test_what_was_not_sent_when_the_link_is_lost_was_not_executed(rig: Rig) -> None:
    rig.wire.full = True
    task = rig.give()
    await rig.wire.until(lambda: bool(rig.wire.queued))
    rig.commander.lost(LOST)
    assert "nothing was executed" in await failure(task, DeviceOffline, "link_lost")


async def test_without_a_link_nothing_is_taken(rig: Rig) -> None:
    rig.commander.lost(LOST)
    await failure(rig.give(), DeviceOffline, "link_lost")


async def test_a_wire_that_takes_nothing(rig: Rig) -> None:
    rig.wire.offline = LOST
    assert "closed the connection; nothing was executed" in await failure(rig.give(), DeviceOffline, "link_lost")


async def test_an_execute_does_not_follow_its_select_over_another_connection(rig: Rig) -> None:
    selecting, waiting = rig.give(mode="select"), rig.give(False)
    select = await rig.wire.after(1)
    rig.commander.switched()
    assert "nothing was executed" in await failure(selecting, DeviceOffline, "link_lost")
    request = await rig.wire.after(2)  # what waited goes over the new connection
    assert request.objects[0].element == SingleCommand(False)
    assert rig.hear(select, CON) == [False]
    rig.hear(request, CON, TERM)
    assert await waiting == "terminated"


async def test_an_execute_in_the_queue_does_not_go_over_another_connection(rig: Rig) -> None:
    task = rig.give(mode="select")
    select = await rig.wire.after(1)
    rig.wire.full = True
    rig.hear(select, CON)
    rig.commander.switched()
    assert rig.wire.queued == {}
    assert "nothing was executed" in await failure(task, DeviceOffline, "link_lost")


async def test_a_bitstring_cannot_be_selected(rig: Rig) -> None:
    bits = SINGLE._replace(info=BY_NAME["C_BO_NA_1"])
    with pytest.raises(DeviceRefused, match="C_BO_NA_1 cannot be selected"):
        await rig.give(5, bits, "select")
    assert rig.wire.sent == []


async def test_answers_for_nobody_are_counted(rig: Rig) -> None:
    task = rig.give()
    request = await rig.wire.after(1)
    assert rig.hear(request, TERM, DEACT_CON) == [False, False]
    assert rig.hear(answer(request, 7, common_address=4), CON) == [False]
    assert rig.counters["command_answers_unexpected"] == 3
    rig.hear(request, CON, TERM)
    assert await task == "terminated"
    assert rig.hear(request, CON) == [False]


async def test_nothing_is_kept_of_what_is_over(rig: Rig) -> None:
    for _ in range(3):
        task = rig.give()
        await rig.wire.until(lambda: len(rig.wire.sent) > 0)
        rig.hear(rig.wire.sent.pop(), CON, TERM)
        assert await task == "terminated"
    assert rig.commander._lanes == {}
