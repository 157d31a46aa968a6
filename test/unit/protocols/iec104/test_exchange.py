"""What must hold for a command whatever the station answers and whenever."""

from __future__ import annotations

import asyncio
import math
from collections.abc import Sequence
from typing import Any

import pytest
from hypothesis import event, given, settings
from hypothesis import strategies as st
from msgspec.structs import replace

from pydatacoll.errors import DeviceError, DeviceOffline, DeviceRefused, DeviceTimeout
from pydatacoll.protocols.iec104.asdu import Asdu, decode, encode
from pydatacoll.protocols.iec104.commands import Commander
from pydatacoll.protocols.iec104.config import Address, Command, Iec104Device, Mode
from pydatacoll.protocols.iec104.control import ShortFloatSetPoint, SingleCommand
from pydatacoll.protocols.iec104.exchange import Exchange, Limits, Phase
from pydatacoll.protocols.iec104.types import BY_NAME
from pydatacoll.sdk import DriverContext
from pydatacoll.testing.fakes import FakeSink
from test.unit.protocols.iec104.command_rig import FakeWire, answer

SINGLE = Command(BY_NAME["C_SC_NA_1"], Address(3, 6001), "direct", 0)
ELEMENT = SingleCommand(True)
LIMITS = Limits(10.0, 20.0)
LOST = DeviceOffline("the station closed the connection")


def exchange(mode: Mode = "direct", deadline: float = math.inf, **options: Any) -> Exchange:
    return Exchange(SINGLE, ELEMENT, mode, LIMITS, deadline=deadline, **options)


def is_select(asdu: Asdu) -> bool:
    return bool(getattr(asdu.objects[0].element, "select", False))


def test_it_waits_for_each_confirmation_anew() -> None:
    one = exchange("select")
    request = one.begin(100.0)
    assert one.due == 110.0
    execute = one.answer(answer(request, 7), 105.0)
    assert execute is not None
    assert one.due == 115.0
    one.answer(answer(execute, 7), 106.0)
    assert one.due == 126.0


def test_it_does_not_wait_beyond_its_deadline() -> None:
    one = exchange("select", 108.0)
    request = one.begin(100.0)
    assert one.due == 108.0
    deactivation = one.answer(answer(request, 7), 108.0)
    assert deactivation is not None
    assert (deactivation.cause, is_select(deactivation)) == (8, True)
    assert isinstance(one.result, DeviceTimeout)
    assert (one.result.outcome, str(one.result)) == ("expired", "expired after the select; nothing was executed")


@pytest.mark.parametrize(
    ("mode", "outcome", "text"),
    [
        ("select", "select_timeout", "select not confirmed within 10 s; nothing was executed"),
        ("direct", "execute_timeout", "execute not confirmed within 10 s; whether the device acted is unknown"),
    ],
)
def test_the_exact_words_of_a_time_out(mode: Mode, outcome: str, text: str) -> None:
    one = exchange(mode)
    one.begin(100.0)
    one.give_up(110.0, reached=True)
    assert isinstance(one.result, DeviceTimeout)
    assert (one.result.outcome, str(one.result)) == (outcome, text)


def test_a_termination_may_be_negative() -> None:
    one = exchange()
    request = one.begin(0.0)
    one.answer(answer(request, 7), 1.0)
    one.answer(answer(request, 10, negative=True), 2.0)
    assert isinstance(one.result, DeviceRefused)
    assert one.result.outcome == "negative"


def test_a_termination_may_mirror_the_select() -> None:
    one = exchange("select")
    select = one.begin(0.0)
    execute = one.answer(answer(select, 7), 1.0)
    assert execute is not None
    one.answer(answer(execute, 7), 2.0)
    assert one.expects(answer(select, 10))
    one.answer(answer(select, 10), 3.0)
    assert one.result == "terminated"


def test_without_a_limit_no_termination_is_awaited() -> None:
    one = Exchange(SINGLE, ELEMENT, "direct", Limits(10.0, 0.0))
    one.answer(answer(one.begin(0.0), 7), 1.0)
    assert (one.result, one.phase) == ("confirmed", Phase.OVER)


@pytest.mark.parametrize(
    "changes",
    [
        {"type_id": 46},
        {"common_address": 4},
        {"test": True},
        {"originator": 2},
        {"cause": 6},
        {"cause": 10},
        {"cause": 9},
        {"cause": 11},
    ],
)
def test_what_is_no_answer(changes: dict[str, Any]) -> None:
    one = exchange(originator=1)
    request = one.begin(0.0)
    assert one.expects(replace(request, cause=7))
    assert one.expects(replace(request, cause=7, originator=0))
    assert not one.expects(replace(request, **{"cause": 7, **changes}))


@pytest.mark.parametrize("element", [SingleCommand(False), SingleCommand(True, 0, True), None])
def test_another_value_is_no_answer(element: SingleCommand | None) -> None:
    one = exchange()
    request = one.begin(0.0)
    other = replace(request.objects[0], element=element)
    assert not one.expects(replace(request, cause=7, objects=(other,)))


def test_the_qualifier_is_not_compared() -> None:
    one = exchange()
    request = one.begin(0.0)
    other = replace(request.objects[0], element=SingleCommand(True, 3, spare=True))
    assert one.expects(replace(request, cause=7, objects=(other,)))


def test_a_floating_point_value_comes_back_less_precise() -> None:
    set_point = SINGLE._replace(info=BY_NAME["C_SE_NC_1"])
    one = Exchange(set_point, ShortFloatSetPoint(0.1), "direct", LIMITS)
    back = decode(encode(replace(one.begin(0.0), cause=7)))
    assert back.objects[0].element != ShortFloatSetPoint(0.1)
    assert one.expects(back)


answers = st.fixed_dictionaries(
    {
        "cause": st.sampled_from([6, 7, 7, 7, 7, 8, 9, 10, 10, 44, 45, 46, 47, 3]),
        "negative": st.sampled_from([False, False, False, True]),
        "element": st.sampled_from(
            [SingleCommand(True), SingleCommand(True, 0, True), SingleCommand(True, 5), SingleCommand(False)]
        ),
        "originator": st.sampled_from([0, 0, 0, 1, 2]),
        "test": st.sampled_from([False] * 9 + [True]),
    }
)
steps = st.lists(
    st.one_of(
        answers,
        st.floats(0.0, 12.0),
        st.sampled_from(["gone", "late", "yes", "yes", "done"]),
    ),
    max_size=25,
)


class Run:
    """One exchange, watched."""

    def __init__(self, mode: Mode, deadline: float) -> None:
        self.one = Exchange(SINGLE, ELEMENT, mode, LIMITS, originator=1, deadline=deadline)
        self.mode = mode
        self.deadline = deadline
        self.now = 0.0
        self.sent: list[Asdu] = []
        self.confirmed = False
        self.results: list[object] = []
        self.send(self.one.begin(self.now))

    def send(self, request: Asdu | None) -> None:
        if request is not None:
            if request.cause == 6 and not is_select(request):
                assert self.now < self.deadline
                assert self.mode == "direct" or self.confirmed
            else:
                assert request.cause in (6, 8)
            if request.cause == 6:
                assert self.one.result is None
            self.sent.append(request)
        if self.one.result is not None and self.results[-1:] != [self.one.result]:
            self.results.append(self.one.result)

    def hear(self, asdu: Asdu) -> None:
        if asdu.objects == self.sent[0].objects and is_select(asdu) and asdu.originator != 2:
            self.confirmed |= asdu.cause == 7 and not (asdu.negative or asdu.test)
        if self.one.expects(asdu):
            self.send(self.one.answer(asdu, self.now))

    def wait(self, seconds: float) -> None:
        until = self.now + seconds
        while self.one.due <= until:
            self.now = max(self.now, self.one.due)
            self.send(self.one.give_up(self.now, reached=True))
        self.now = until


@settings(max_examples=500, deadline=None)
@given(st.sampled_from(["direct", "select"]), st.sampled_from([math.inf, 5.0, 15.0]), steps)
def test_one_execute_after_its_select_and_an_end(mode: Mode, deadline: float, script: Sequence[Any]) -> None:
    run = Run(mode, deadline)
    for step in script:
        if isinstance(step, float):
            run.wait(step)
        elif step == "late":  # timers are
            run.now = max(run.now, min(run.one.due, 100.0))
        elif step in ("yes", "done"):
            run.hear(replace(run.sent[-1], cause=7 if step == "yes" else 10))
        elif step == "gone":
            run.send(run.one.give_up(run.now, reached=True))
        else:
            one = replace(run.sent[0].objects[0], element=step["element"])
            rest = {name: value for name, value in step.items() if name != "element"}
            run.hear(replace(run.sent[0], objects=(one,), **rest))
    run.wait(100.0)
    executes = [each for each in run.sent if each.cause == 6 and not is_select(each)]
    assert len(executes) <= 1
    assert run.one.phase is Phase.OVER
    assert len(run.results) == 1, "the caller is told once"
    if run.one.result == "terminated":
        assert len(executes) == 1
    event(run.one.result if isinstance(run.one.result, str) else run.one.result.outcome)  # type: ignore[union-attr]


orders = st.tuples(st.just("give"), st.sampled_from([6001, 6002]), st.booleans())
replies = st.tuples(st.just("hear"), st.integers(0, 20), st.sampled_from([7, 7, 9, 10, 47]), st.booleans())
others = st.tuples(st.sampled_from(["cancel", "lost", "switched", "full", "flush"]), st.integers(0, 20))


class Station:
    """A commander whose callers, station and link do anything in any order; looks at what is sent."""

    def __init__(self) -> None:
        device = Iec104Device(id="d", name="d", protocol="iec104")
        self.commander = Commander(device, DriverContext(FakeSink()))
        self.tasks: list[asyncio.Task[str]] = []
        self.selected: set[tuple[int, bool]] = set()
        self.executed = 0
        self.connect()

    def connect(self) -> None:
        self.wire = FakeWire()
        self.seen = 0
        self.selected.clear()
        self.commander.connected(self.wire)

    def look(self) -> None:
        """An execute needs its own confirmed select, which it uses up, or a caller who asked for none."""
        for asdu in self.wire.sent[self.seen :]:
            element = asdu.objects[0].element
            assert isinstance(element, SingleCommand)
            key = asdu.objects[0].address, element.on
            if asdu.cause == 8:
                self.selected.discard(key)
            elif not element.select:
                self.executed += 1
                if key[0] == 6001:  # always with select
                    assert key in self.selected
                    self.selected.discard(key)
        self.seen = len(self.wire.sent)

    async def do(self, step: tuple[Any, ...]) -> None:
        wire = self.wire
        match step:
            case ("give", address, on):
                mode: Mode = "select" if address == 6001 else "direct"
                command = SINGLE._replace(address=Address(3, address))
                self.tasks.append(asyncio.create_task(self.commander.execute(command, on, mode, None)))
            case ("hear", index, cause, negative) if wire.sent:
                request = wire.sent[-1 - index % len(wire.sent)]
                element = request.objects[0].element
                assert isinstance(element, SingleCommand)
                if cause == 7 and element.select and not negative:
                    self.selected.add((request.objects[0].address, element.on))
                self.commander.received(answer(request, cause, negative=negative))
            case ("cancel", index) if self.tasks:
                self.tasks[index % len(self.tasks)].cancel()
            case ("lost", _):
                self.commander.lost(LOST)
                self.connect()
            case ("switched", _):
                self.commander.switched()
                self.selected.clear()
            case ("full", _):
                wire.full = True
            case ("flush", _):
                wire.flush()
        await asyncio.sleep(0)
        await asyncio.sleep(0)
        self.look()


@settings(max_examples=300, deadline=None)
@given(st.lists(st.one_of(orders, replies, replies, others), max_size=40))
def test_many_commands_at_once_keep_the_rules(script: list[tuple[Any, ...]]) -> None:
    async def main() -> None:
        station = Station()
        for step in script:
            await station.do(step)
        station.commander.lost(LOST)
        told = await asyncio.gather(*station.tasks, return_exceptions=True)
        assert all(isinstance(each, (str, DeviceError, asyncio.CancelledError)) for each in told), told
        assert station.executed <= len(station.tasks)
        assert station.commander.status() == {"commands": []}

    asyncio.run(main())
