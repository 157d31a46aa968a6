"""What a simulated RTU answers to system commands and read commands (IEC 60870-5-101, 7.3.4 and 7.4)."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import TYPE_CHECKING

from pydatacoll.protocols.iec104 import control as c
from pydatacoll.protocols.iec104.asdu import BROADCAST, Asdu, InformationObject, decode, encode
from pydatacoll.protocols.iec104.times import Cp56
from pydatacoll.protocols.iec104.types import TYPES, Direction, Tag
from pydatacoll.testing.iec104_faults import REQUEST, Iec104Fault
from pydatacoll.testing.iec104_points import COUNTERS, GENERAL, Block, event, with_cause
from pydatacoll.testing.iec104_session import Run, Session

if TYPE_CHECKING:
    from pydatacoll.testing.iec104_rtu import Iec104Rtu

REQUEST_CAUSE, ACTIVATION, CONFIRMED, DEACTIVATION, DEACTIVATED, TERMINATED = 5, 6, 7, 8, 9, 10
UNKNOWN_TYPE, UNKNOWN_CAUSE, UNKNOWN_CA, UNKNOWN_IOA = 44, 45, 46, 47
_COMMON_AT, _OBJECTS_AT = 4, 9
_REFUSALS = {
    "unknown_type": UNKNOWN_TYPE,
    "unknown_cause": UNKNOWN_CAUSE,
    "unknown_ca": UNKNOWN_CA,
    "unknown_ioa": UNKNOWN_IOA,
    "negative": CONFIRMED,
}
_BROADCASTS = frozenset({100, 101, 103, 105})
"""Types that may go to all stations at once (7.2.4)."""


class Reply:
    """The way back for one request, with what goes wrong on it.

    :ivar octets: the request; a confirmation mirrors it.
    """

    def __init__(self, session: Session, octets: bytes, fault: Iec104Fault | None) -> None:
        self.octets = octets
        self._session = session
        self._fault = fault

    def confirm(self, cause: int = CONFIRMED, *, negative: bool = False) -> None:
        """Send the request back with another cause."""
        self.send(with_cause(self.octets, cause, negative=negative))

    def send(self, octets: bytes, *, event: bool = False) -> None:
        """Send an ASDU; ``event``: again if it does not arrive."""
        seconds = self._fault.seconds if self._fault is not None and self._fault.kind == "delay" else 0.0
        for each in self._spoiled(octets):
            if seconds:
                self._session.later(seconds, partial(self._session.answer, each, event=event))
            else:
                self._session.answer(each, event=event)

    def interrogated(self, blocks: list[Block], cause: int, elapsed: Callable[[], float]) -> None:
        """Confirm, send all of them, terminate."""
        octets, fault = self.octets, self._fault

        def run() -> Run:
            if fault is not None and fault.kind == "delay":
                yield fault.seconds
            yield from self._spoiled(with_cause(octets, CONFIRMED))
            for block in blocks:
                yield from self._spoiled(block.asdu(cause, elapsed()))
                if fault is not None and fault.kind == "slow":
                    yield fault.seconds
            yield from self._spoiled(with_cause(octets, TERMINATED))

        self._session.run(run())

    def _spoiled(self, octets: bytes) -> list[bytes]:
        kind = self._fault.kind if self._fault is not None else ""
        cause = octets[2] & 0x3F
        dropped = {"no_con": (CONFIRMED, DEACTIVATED), "no_term": (TERMINATED,)}
        if cause in dropped.get(kind, ()):
            return []
        if kind == "wrong_ca":
            common = int.from_bytes(octets[_COMMON_AT : _COMMON_AT + 2], "little") % 65534 + 1
            octets = octets[:_COMMON_AT] + common.to_bytes(2, "little") + octets[_COMMON_AT + 2 :]
        return [octets]


def answer(rtu: Iec104Rtu, session: Session, octets: bytes) -> None:
    """Do what an ASDU asks for.

    :raises RemoteProtocolError: it is none.
    """
    fault = rtu.faults.match(REQUEST, octets) if rtu.faults.rules else None
    reply = Reply(session, octets, fault)
    if fault is not None and fault.kind == "ignore":
        return
    if fault is not None and fault.kind in _REFUSALS:
        reply.confirm(_REFUSALS[fault.kind], negative=True)
        return
    info = TYPES.get(octets[0])
    if info is None or info.direction not in (Direction.CONTROL, Direction.PARAMETER):
        reply.confirm(UNKNOWN_TYPE, negative=True)
        return
    asdu = decode(octets)
    rtu.log.append(asdu)
    if asdu.common_address == BROADCAST and asdu.type_id in _BROADCASTS:
        for common in sorted(rtu.image.commons):  # each station answers for itself
            own = octets[:_COMMON_AT] + common.to_bytes(2, "little") + octets[_COMMON_AT + 2 :]
            _dispatch(rtu, Reply(session, own, fault), decode(own))
    elif asdu.common_address not in rtu.image.commons:
        reply.confirm(UNKNOWN_CA, negative=True)
    elif info.direction is Direction.CONTROL and not info.system and info.element is not None:
        rtu.operator.received(session, reply, asdu)
    else:
        _dispatch(rtu, reply, asdu)


def _dispatch(rtu: Iec104Rtu, reply: Reply, asdu: Asdu) -> None:
    wanted = {102: (REQUEST_CAUSE,), 100: (ACTIVATION, DEACTIVATION), 101: (ACTIVATION, DEACTIVATION)}
    if asdu.cause not in wanted.get(asdu.type_id, (ACTIVATION,)) and (asdu.type_id, asdu.cause) != (106, 3):
        reply.confirm(UNKNOWN_CAUSE, negative=True)
        return
    if asdu.cause == DEACTIVATION:  # an interrogation is over before it could be stopped
        reply.confirm(DEACTIVATED, negative=True)
        return
    _HANDLERS.get(asdu.type_id, _parameter)(rtu, reply, asdu)


def _interrogation(rtu: Iec104Rtu, reply: Reply, asdu: Asdu) -> None:
    found = asdu.objects[0]
    assert isinstance(found.element, c.Interrogation)  # noqa: S101 - by its type
    cause = found.element.qualifier
    if found.address:
        reply.confirm(UNKNOWN_IOA, negative=True)
    elif GENERAL <= cause <= GENERAL + 16:
        reply.interrogated(rtu.image.interrogated(asdu.common_address, cause), cause, rtu.elapsed)
    else:
        reply.confirm(negative=True)


def _counters(rtu: Iec104Rtu, reply: Reply, asdu: Asdu) -> None:
    element = asdu.objects[0].element
    assert isinstance(element, c.CounterInterrogation)  # noqa: S101 - by its type
    if not 1 <= element.request <= 5:
        reply.confirm(negative=True)
        return
    cause = COUNTERS + element.request % 5  # 5 is all of them
    blocks = rtu.image.interrogated(asdu.common_address, cause)
    for state in rtu.image.counters(asdu.common_address, cause):
        state.refresh(rtu.elapsed())
        if element.freeze:
            state.freeze(memorise=element.freeze != 3, reset=element.freeze >= 2)
    reply.interrogated([] if element.freeze else blocks, cause, rtu.elapsed)


def _clock(rtu: Iec104Rtu, reply: Reply, asdu: Asdu) -> None:
    found = asdu.objects[0].time
    seconds = rtu.zone.seconds(found) if isinstance(found, Cp56) else None
    before = rtu.time()
    if seconds is None:
        reply.confirm(negative=True)
        return
    rtu.set_clock(seconds)
    shown = InformationObject(0, time=rtu.zone.tag(before))
    reply.send(encode(Asdu(103, CONFIRMED, asdu.common_address, (shown,), originator=asdu.originator)))


def _test(rtu: Iec104Rtu, reply: Reply, asdu: Asdu) -> None:
    element = asdu.objects[0].element
    reply.confirm(negative=isinstance(element, c.TestPattern) and element.pattern != c.TEST_PATTERN)


def _reset(rtu: Iec104Rtu, reply: Reply, asdu: Asdu) -> None:
    element = asdu.objects[0].element
    assert isinstance(element, c.ResetProcess)  # noqa: S101 - by its type
    if element.qualifier not in (1, 2):
        reply.confirm(negative=True)
        return
    reply.confirm()
    if element.qualifier == 2:
        rtu.forget_events()
    else:
        reply.send(end_of_initialization(asdu.common_address, 2))


def end_of_initialization(common: int, cause: int) -> bytes:
    """M_EI_NA_1; ``cause``: 0 power on, 1 reset at the station, 2 reset from afar."""
    return encode(Asdu(70, 4, common, (InformationObject(0, c.EndOfInitialization(cause)),)))


def _delay(rtu: Iec104Rtu, reply: Reply, asdu: Asdu) -> None:
    if asdu.cause == ACTIVATION:  # with cause 3 the controlling station tells the result; nobody answers
        reply.confirm()


def _read(rtu: Iec104Rtu, reply: Reply, asdu: Asdu) -> None:
    state = rtu.image.states.get((asdu.common_address, asdu.objects[0].address))
    if state is None or state.answer is None:
        reply.confirm(UNKNOWN_IOA, negative=True)
        return
    state.refresh(rtu.elapsed())
    tagged = state.answer.tag is not Tag.NONE  # protection events have no other type
    reply.send(event(state, REQUEST_CAUSE, rtu.tag(state) if tagged else None))


def _parameter(rtu: Iec104Rtu, reply: Reply, asdu: Asdu) -> None:
    place = (asdu.common_address, asdu.objects[0].address)
    if place in rtu.image.states:
        reply.confirm()
    else:
        reply.confirm(UNKNOWN_IOA, negative=True)


_HANDLERS: dict[int, Callable[[Iec104Rtu, Reply, Asdu], None]] = {
    100: _interrogation,
    101: _counters,
    102: _read,
    103: _clock,
    104: _test,
    105: _reset,
    106: _delay,
    107: _test,
}
