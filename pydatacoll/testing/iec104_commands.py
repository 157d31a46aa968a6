"""How a simulated RTU obeys commands: direct, or select before operate (IEC 60870-5-101, 7.2.6.15 to 7.2.6.26)."""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Callable
from typing import TYPE_CHECKING, Literal, NamedTuple, cast

from pydatacoll.protocols.iec104 import control as c
from pydatacoll.protocols.iec104 import elements as e
from pydatacoll.protocols.iec104.asdu import Asdu
from pydatacoll.protocols.iec104.times import Cp24, Cp56
from pydatacoll.protocols.iec104.types import TYPES, Tag
from pydatacoll.testing.iec104_points import Place, State
from pydatacoll.testing.iec104_requests import (
    ACTIVATION,
    DEACTIVATED,
    DEACTIVATION,
    TERMINATED,
    UNKNOWN_CAUSE,
    UNKNOWN_IOA,
    UNKNOWN_TYPE,
    Reply,
)
from pydatacoll.testing.iec104_session import Session

if TYPE_CHECKING:
    from pydatacoll.testing.iec104_rtu import Iec104Rtu

RETURN_INFORMATION = 11
"""Cause of a value that a command has changed."""
INTERMEDIATE = 0
"""A double point on its way."""
LOWER, HIGHER = 1, 2
"""Regulating step commands; also off and on of a double command. 0 and 3 are not permitted."""
Plain = bool | int | float

Act = Literal["select", "execute", "deactivate"]


class CommandRecord(NamedTuple):
    """A command as it was received.

    :ivar time: of the RTU's clock, epoch seconds.
    :ivar address: where it went; the point may have another one.
    :ivar value: of the command: ``bool``, state, raw value.
    :ivar qualifier: QU or QL; 0 of a bit string.
    :ivar tagged: it carried a time tag.
    :ivar accepted: it was confirmed positively.
    """

    time: float
    common: int
    address: int
    type_id: int
    act: Act
    value: Plain
    qualifier: int
    tagged: bool
    accepted: bool


class _Selection(NamedTuple):
    session: Session
    element: e.Element
    until: float


class Operator:
    """The commands of a simulated RTU.

    :ivar select_timeout: seconds for which a selection holds.
    :ivar max_age: seconds; commands with an older time tag are refused; ``None``: none is.
    :ivar permits: asked before an execute is confirmed; false: negative confirmation, as when an interlock holds.
    :ivar records: the last commands, newest last.
    """

    def __init__(self, rtu: Iec104Rtu, *, history: int) -> None:
        self.select_timeout = 10.0
        self.max_age: float | None = None
        self.permits: Callable[[State, Plain], bool] = lambda _state, _value: True
        self.records: deque[CommandRecord] = deque(maxlen=history)
        self._rtu = rtu
        self._selected: dict[Place, _Selection] = {}
        self._running: dict[Place, asyncio.TimerHandle] = {}

    def stop(self) -> None:
        """Finish nothing any more."""
        for timer in self._running.values():
            timer.cancel()
        self._running.clear()
        self._selected.clear()

    def received(self, session: Session, reply: Reply, asdu: Asdu) -> None:
        """Obey or refuse a command."""
        found = asdu.objects[0]
        place = (asdu.common_address, found.address)
        state = self._rtu.image.commands.get(place)
        info = TYPES[asdu.type_id]
        if state is None or state.command is None:
            reply.confirm(UNKNOWN_IOA, negative=True)
        elif asdu.type_id not in (state.command.number, state.command.tagged_command):
            reply.confirm(UNKNOWN_TYPE, negative=True)
        elif asdu.cause not in (ACTIVATION, DEACTIVATION):
            reply.confirm(UNKNOWN_CAUSE, negative=True)
        elif asdu.test:  # it tests the way, and must not reach the process (7.2.3)
            reply.confirm(asdu.cause + 1)
        else:
            element = cast("e.Element", found.element)
            act: Act = "execute" if asdu.cause == ACTIVATION else "deactivate"
            if act == "execute" and getattr(element, "select", False):
                act = "select"
            accepted = self._accepts(session, act, place, state, asdu)
            value = value_of(element)
            self.records.append(
                CommandRecord(
                    self._rtu.time(), *place, asdu.type_id, act, value, getattr(element, "qualifier", 0),
                    info.tag is not Tag.NONE, accepted,
                )
            )  # fmt: skip
            cause = DEACTIVATED if act == "deactivate" else ACTIVATION + 1
            reply.confirm(cause, negative=not accepted)
            if accepted and act == "execute":
                self._execute(session, reply, place, state, value)

    def _accepts(self, session: Session, act: Act, place: Place, state: State, asdu: Asdu) -> bool:
        found = asdu.objects[0]
        element = cast("e.Element", found.element)
        selection = self._selected.pop(place, None)
        now = asyncio.get_running_loop().time()
        held = selection is not None and selection.session is session and now < selection.until
        if act == "deactivate":
            timer = self._running.pop(place, None)
            if timer is not None:
                timer.cancel()
            return held or timer is not None
        if place in self._running or not _possible(state, element) or self._too_old(found.time):
            return False
        if act == "select":
            if held and selection is not None:  # the first one stays as it is
                self._selected[place] = selection
                return False
            self._selected[place] = _Selection(session, element, now + self.select_timeout)
            return True
        if state.point.select and not (held and selection is not None and _chosen(selection.element, element)):
            return False
        return self.permits(state, value_of(element))

    def _too_old(self, tag: Cp24 | Cp56 | None) -> bool:
        if self.max_age is None or tag is None:
            return False
        seconds = self._rtu.zone.seconds(tag)
        return seconds is None or self._rtu.time() - seconds > self.max_age

    def _execute(self, session: Session, reply: Reply, place: Place, state: State, value: Plain) -> None:
        """Change the point at once or, when it takes its time, later."""
        seconds = state.point.operate

        def finish() -> None:
            self._running.pop(place, None)
            self._rtu.operated(session, reply, state, result(state, value))
            reply.confirm(TERMINATED)
            self._rtu.changed()

        if not seconds:
            finish()
            return
        if state.element is e.DoublePoint:
            self._rtu.operated(session, reply, state, INTERMEDIATE)
        self._running[place] = asyncio.get_running_loop().call_later(seconds, finish)


def value_of(element: e.Element) -> Plain:
    """What a command commands: the first field of its element."""
    return cast("Plain", getattr(element, element.__struct_fields__[0]))


def result(state: State, value: Plain) -> Plain:
    """What a point is after a command."""
    if state.command is not None and state.command.element is c.StepCommand:
        return int(state.plain) + (1 if value == HIGHER else -1)
    return value


def _possible(state: State, element: e.Element) -> bool:
    if isinstance(element, c.DoubleCommand | c.StepCommand) and element.state not in (LOWER, HIGHER):
        return False
    if isinstance(element, c.SingleCommand | c.DoubleCommand | c.BitStringCommand):
        return True
    value = result(state, value_of(element))
    low, high = state.point.low, state.point.high
    if isinstance(element, c.StepCommand):
        low, high = max(low, -64), min(high, 63)
    return low <= value <= high


def _chosen(selected: e.Element, element: e.Element) -> bool:
    """Whether the same is executed that was selected."""
    fields = [name for name in element.__struct_fields__ if name != "select"]
    return all(getattr(selected, name) == getattr(element, name) for name in fields)
