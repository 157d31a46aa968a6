"""How the simulated RTU takes commands: direct, select before operate, refusals, return information."""

from __future__ import annotations

from dataclasses import replace

import pytest

from pydatacoll.protocols.iec104 import control as c
from pydatacoll.protocols.iec104 import elements as e
from pydatacoll.protocols.iec104.asdu import Asdu
from pydatacoll.protocols.iec104.times import Zone
from pydatacoll.protocols.iec104.types import TYPES, Tag
from pydatacoll.testing.iec104_rtu import Iec104Point, Iec104Rtu

from .iec104_master import CON, TERM, Master, master

SWITCH = Iec104Point(address=1, type="M_SP_NA_1", command=True)
BREAKER = Iec104Point(address=1, type="M_DP_NA_1", value=1, command=True, select=True)


def answers(asdus: list[Asdu]) -> list[tuple[int, int, bool]]:
    return [(asdu.type_id, asdu.cause, asdu.negative) for asdu in asdus]


async def execute(station: Master, type_id: int, element: e.Element, *, address: int = 1) -> list[Asdu]:
    station.send(type_id, element, address=address)
    return await station.until_terminated()


COMMANDS: list[tuple[str, int, e.Element, e.Element]] = [
    ("M_SP_NA_1", 45, c.SingleCommand(True), e.SinglePoint(True)),
    ("M_DP_NA_1", 46, c.DoubleCommand(2), e.DoublePoint(2)),
    ("M_ST_NA_1", 47, c.StepCommand(2), e.StepPosition(1)),
    ("M_ST_NA_1", 47, c.StepCommand(1), e.StepPosition(-1)),
    ("M_ME_NA_1", 48, c.NormalizedSetPoint(-0.5), e.Normalized(-0.5)),
    ("M_ME_NB_1", 49, c.ScaledSetPoint(-7), e.Scaled(-7)),
    ("M_ME_NC_1", 50, c.ShortFloatSetPoint(2.5), e.ShortFloat(2.5)),
    ("M_BO_NA_1", 51, c.BitStringCommand(0xCAFE), e.BitString(0xCAFE)),
]


@pytest.mark.parametrize(("name", "type_id", "command", "after"), COMMANDS)
@pytest.mark.parametrize("tagged", [False, True])
async def test_a_command_is_confirmed_shown_and_terminated(
    name: str, type_id: int, command: e.Element, after: e.Element, tagged: bool
) -> None:
    number = TYPES[type_id].tagged_command if tagged else type_id
    assert number is not None
    async with Iec104Rtu([Iec104Point(address=1, type=name, command=True)]) as rtu, master(rtu.port) as station:
        station.send(number, command, address=1, time=Zone().tag(rtu.time()) if tagged else None)
        confirmed, shown, terminated = await station.until_terminated()
        assert (confirmed.type_id, confirmed.cause, confirmed.originator) == (number, CON, 9)
        assert confirmed.objects == terminated.objects
        assert confirmed.objects[0].element == command
        assert (TYPES[shown.type_id].tag, shown.cause) == (Tag.CP56, 11)
        assert shown.objects[0].element == after
        (record,) = rtu.commands
        assert (record.act, record.tagged, record.accepted, record.type_id) == ("execute", tagged, True, number)
        assert (await station.values())[1] == after


async def test_the_value_may_be_shown_elsewhere_or_nowhere() -> None:
    points = [
        Iec104Point(address=1, type="M_SP_NA_1", command=True, command_address=101),
        Iec104Point(address=102, type="", command="C_SE_NC_1"),
    ]
    async with Iec104Rtu(points) as rtu, master(rtu.port) as station:
        confirmed, shown, terminated = await execute(station, 45, c.SingleCommand(True), address=101)
        assert [asdu.objects[0].address for asdu in (confirmed, shown, terminated)] == [101, 1, 101]
        found = await execute(station, 50, c.ShortFloatSetPoint(4.5, 3), address=102)
        assert answers(found) == [(50, CON, False), (50, TERM, False)]
        assert (rtu.value(1, 102), rtu.value(1, 1)) == (4.5, True)
        assert [(record.address, record.qualifier) for record in rtu.commands] == [(101, 0), (102, 3)]
        assert list(await station.values()) == [1]


async def test_select_before_operate() -> None:
    select, operate = c.DoubleCommand(2, 1, select=True), c.DoubleCommand(2, 1)
    async with Iec104Rtu([BREAKER]) as rtu, master(rtu.port) as station:
        (refused,) = await execute(station, 46, operate)
        assert (refused.cause, refused.negative) == (CON, True)
        answer = await station.ask(46, select, address=1)
        assert (answer.cause, answer.negative, answer.objects[0].element) == (CON, False, select)
        assert (await station.ask(46, select, address=1)).negative  # it is selected already
        assert answers(await execute(station, 46, operate)) == [
            (46, CON, False), (31, 11, False), (46, TERM, False),
        ]  # fmt: skip
        assert rtu.value(1, 1) == 2
        assert (await execute(station, 46, operate))[-1].negative  # a selection serves once
        assert [(record.act, record.accepted) for record in rtu.commands] == [
            ("execute", False), ("select", True), ("select", False), ("execute", True), ("execute", False),
        ]  # fmt: skip


@pytest.mark.parametrize("other", [c.DoubleCommand(1), c.DoubleCommand(2, 2)])
async def test_nothing_but_what_was_selected_is_executed(other: c.DoubleCommand) -> None:
    async with Iec104Rtu([BREAKER]) as rtu, master(rtu.port) as station:
        assert not (await station.ask(46, c.DoubleCommand(2, select=True), address=1)).negative
        assert (await execute(station, 46, other))[-1].negative
        assert rtu.value(1, 1) == 1


async def test_a_selection_ends_with_its_time_its_connection_or_when_cancelled() -> None:
    select, operate = c.DoubleCommand(2, select=True), c.DoubleCommand(2)
    async with Iec104Rtu([BREAKER]) as rtu:
        async with master(rtu.port) as station:
            rtu.operator.select_timeout = 0.0
            assert not (await station.ask(46, select, address=1)).negative
            assert (await station.ask(46, operate, address=1)).negative
            rtu.operator.select_timeout = 10.0
            assert not (await station.ask(46, select, address=1)).negative
            cancelled = await station.ask(46, select, address=1, cause=8)
            assert (cancelled.cause, cancelled.negative) == (9, False)
            assert (await station.ask(46, operate, address=1)).negative
            again = await station.ask(46, select, address=1, cause=8)
            assert (again.cause, again.negative) == (9, True)
            assert not (await station.ask(46, select, address=1)).negative
        async with master(rtu.port) as station:
            assert (await station.ask(46, operate, address=1)).negative
        assert rtu.value(1, 1) == 1


async def test_a_command_that_takes_its_time_can_be_cancelled_and_is_not_doubled() -> None:
    slow = replace(BREAKER, select=False, operate=3600.0)
    async with Iec104Rtu([slow]) as rtu, master(rtu.port) as station:
        assert (await station.ask(46, c.DoubleCommand(2), address=1)).cause == CON
        between = await station.next()
        assert (between.cause, between.objects[0].element) == (11, e.DoublePoint(0))
        assert (await station.ask(46, c.DoubleCommand(1), address=1)).negative
        cancelled = await station.ask(46, c.DoubleCommand(2), address=1, cause=8)
        assert (cancelled.cause, cancelled.negative) == (9, False)


async def test_a_command_ends_after_its_time_even_when_the_connection_is_lost() -> None:
    async with Iec104Rtu([replace(BREAKER, select=False, operate=0.05)]) as rtu:
        async with master(rtu.port) as station:
            assert answers(await execute(station, 46, c.DoubleCommand(2))) == [
                (46, CON, False), (31, 11, False), (31, 11, False), (46, TERM, False),
            ]  # fmt: skip
            assert (await station.ask(46, c.DoubleCommand(1), address=1)).cause == CON
            await station.next()
        await rtu.until(lambda: rtu.value(1, 1) == 1)
        assert rtu.connections == 0
        async with master(rtu.port) as station:
            found = await station.next()
            assert (found.cause, found.objects[0].element) == (11, e.DoublePoint(1))


@pytest.mark.parametrize(
    ("type_id", "command", "address", "cause", "expected"),
    [
        (46, c.DoubleCommand(0), 1, 6, 7),
        (46, c.DoubleCommand(3), 1, 6, 7),
        (45, c.SingleCommand(True), 1, 6, 44),
        (46, c.DoubleCommand(1), 1, 3, 45),
        (46, c.DoubleCommand(1), 9, 6, 47),
        (47, c.StepCommand(2), 2, 6, 7),
        (50, c.ShortFloatSetPoint(10.5), 3, 6, 7),
        (50, c.ShortFloatSetPoint(float("nan")), 3, 6, 7),
    ],
)
async def test_what_cannot_be_is_refused(
    type_id: int, command: e.Element, address: int, cause: int, expected: int
) -> None:
    points = [
        replace(BREAKER, select=False),
        Iec104Point(address=2, type="M_ST_NA_1", value=63, command=True),
        Iec104Point(address=3, value=5.0, command=True, high=10.0),
    ]
    async with Iec104Rtu(points) as rtu, master(rtu.port) as station:
        refused = await station.ask(type_id, command, address=address, cause=cause)
        assert (refused.type_id, refused.cause, refused.negative) == (type_id, expected, True)
        assert [rtu.value(1, each.address) for each in points] == [1, 63, 5.0]


async def test_interlocks_and_old_commands() -> None:
    async with Iec104Rtu([SWITCH]) as rtu, master(rtu.port) as station:
        rtu.operator.permits = lambda state, value: not value
        assert (await execute(station, 45, c.SingleCommand(True)))[-1].negative
        assert not (await execute(station, 45, c.SingleCommand(False)))[-1].negative
        rtu.operator.max_age = 5.0
        old, new = Zone().tag(rtu.time() - 10), Zone().tag(rtu.time())
        assert (await station.ask(58, c.SingleCommand(False), address=1, time=old)).negative
        assert not (await station.ask(58, c.SingleCommand(False), address=1, time=new)).negative


async def test_a_command_with_the_test_bit_is_confirmed_and_changes_nothing() -> None:
    async with Iec104Rtu([SWITCH]) as rtu, master(rtu.port) as station:
        station.peer.send(bytes.fromhex("2d 01 86 09 01 00 01 00 00 01"))  # C_SC_NA_1, on
        assert await station.peer.receive() == bytes.fromhex("2d 01 87 09 01 00 01 00 00 01")
        assert rtu.value(1, 1) == 0
        assert not rtu.commands
