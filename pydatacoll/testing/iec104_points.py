"""The process image of a simulated RTU: its points, their values, and the ASDUs that carry them."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from functools import cache
from itertools import groupby
from typing import cast

from pydatacoll.model.quality import Quality
from pydatacoll.protocols.iec104 import elements as e
from pydatacoll.protocols.iec104.asdu import Asdu, InformationObject, capacity, encode
from pydatacoll.protocols.iec104.times import Cp24, Cp56
from pydatacoll.protocols.iec104.types import TYPES, Direction, Tag, TypeInfo, find

Value = bool | int | float | e.Element
"""What a point may be set to; an element says everything a type can hold, such as a step position in transit."""
Place = tuple[int, int]
"""Common address and information object address."""

SPONTANEOUS = 3
GENERAL, COUNTERS = 20, 37
"""Causes of what a station interrogation and a general counter request bring."""
_SHORTEST_RUN = 3
"""Consecutive addresses from which on SQ = 1 is worth an ASDU of its own."""

_TAGGED = {
    (info.element, info.tag): info
    for info in TYPES.values()
    if info.direction is Direction.MONITOR and not info.system
}
_STATES = (e.SinglePoint, e.DoublePoint, e.ProtectionEvent)
_quality_octet = cache(e.quality_octet)  # an interrogation asks it for every point


@dataclass(frozen=True, slots=True, kw_only=True)
class Iec104Point:
    """An information object of a simulated RTU.

    :ivar type: type identification by name or number; one with a time tag says how events are tagged; empty: the
        point is only commanded.
    :ivar tag: the time tag of its events, when ``type`` has none; types without tagged variant go without.
    :ivar value: at the start.
    :ivar quality: the same, as :class:`~pydatacoll.model.quality.Quality` bits.
    :ivar group: of interrogation, 1 to 16, of counters 1 to 4; 0: none.
    :ivar cyclic: whether it is sent periodically (cause 1), see :class:`~pydatacoll.testing.iec104_rtu.Iec104Rtu`.
    :ivar command: true: it takes the command that goes with ``type``; a text: that type. Tagged or not.
    :ivar command_address: where the command goes; unset: to the point's own address.
    :ivar select: it is executed only after it was selected.
    :ivar operate: seconds from the confirmation of a command until the new value and the termination.
    :ivar low, high: set-points and step positions beyond are refused.
    :ivar moves: the value as a function of the seconds since the start, asked whenever it is sent.
    """

    address: int
    common: int = 1
    type: str = "M_ME_NC_1"
    tag: Tag = Tag.CP56
    value: Value = 0
    quality: int = 0
    group: int = 0
    cyclic: bool = False
    command: bool | str = False
    command_address: int | None = None
    select: bool = False
    operate: float = 0.0
    low: float = float("-inf")
    high: float = float("inf")
    moves: Callable[[float], Value] | None = None


class State:
    """A point and what it is now.

    :ivar answer: the type of answers, without time tag where there is such a type; ``None``: only commanded.
    :ivar event: the type of events.
    :ivar command: the type of its commands, without time tag; ``None``: it has none.
    :ivar sequence: of a counter: the number of the reading, 0 to 31.
    :ivar frozen: of a counter: what was memorised last.
    """

    __slots__ = (
        "_reset_at", "answer", "blocks", "command", "element", "event", "frozen", "point", "quality", "sequence",
        "value",
    )  # fmt: skip

    def __init__(self, point: Iec104Point) -> None:
        self.point = point
        self.value = point.value
        self.quality = point.quality
        self._reset_at = 0.0
        self.sequence = 0
        self.frozen: int | None = None
        self.blocks: list[Block] = []
        info = _monitored(point.type) if point.type else None
        self.element = info.element if info is not None else None
        self.answer: TypeInfo | None = None
        self.event: TypeInfo | None = None
        if info is not None:
            tag = point.tag if info.tag is Tag.NONE else info.tag
            self.answer = _TAGGED.get((info.element, Tag.NONE), info)
            self.event = _TAGGED.get((info.element, tag)) or self.answer
        self.command = _command(point, info)

    @property
    def place(self) -> Place:
        return self.point.common, self.point.address

    @property
    def plain(self) -> bool | int | float:
        """The value without whatever else its element says."""
        if isinstance(self.value, e.Element):  # the value is the first field of every element
            return cast("bool | int | float", getattr(self.value, self.value.__struct_fields__[0]))
        return self.value

    def set(self, value: Value | None, quality: int | None) -> None:
        """Change value, quality or both; ``None`` leaves it."""
        if value is not None:
            self.value = value
        if quality is not None:
            self.quality = quality
        for block in self.blocks:
            block.octets = None

    def made(self, *, frozen: bool = False) -> e.Element:
        """The information element; ``frozen``: a counter as it was memorised."""
        if isinstance(self.value, e.Element):
            return self.value
        if self.element is e.Counter:
            value = self.frozen if frozen and self.frozen is not None else int(self.value)
            return e.Counter(value, self.sequence, invalid=bool(self.quality & Quality.INVALID))
        return make_element(self.element, self.value, self.quality)

    def freeze(self, *, memorise: bool, reset: bool) -> None:
        """Of a counter (clause 7.2.6.23)."""
        if memorise:
            self.frozen = int(self.plain)
            self.sequence = (self.sequence + 1) % 32
        if reset:
            self._reset_at += self.plain
        self.set(0 if reset else None, None)

    def refresh(self, elapsed: float) -> None:
        """Take the value of now, if it moves; ``elapsed`` seconds since the start."""
        if self.point.moves is not None:
            value = self.point.moves(elapsed)
            self.set(value if isinstance(value, e.Element) else value - self._reset_at, None)


def _monitored(text: str) -> TypeInfo:
    info = find(text)
    if info.direction is not Direction.MONITOR or info.system:
        raise ValueError(f"{info.name} carries no value of a point; a command is given as command")
    return info


def _command(point: Iec104Point, info: TypeInfo | None) -> TypeInfo | None:
    if point.command is False:
        return None
    if point.command is True:
        if info is None or info.command is None:
            raise ValueError(
                f"address {point.address}: {point.type or 'no type'} has no command that goes with it"
            )
        return TYPES[info.command]
    chosen = find(point.command)
    if chosen.direction is not Direction.CONTROL or chosen.system or chosen.element is None:
        raise ValueError(f"{chosen.name} is no command that a point can have")
    return next((each for each in TYPES.values() if each.tagged_command == chosen.number), chosen)


def make_element(kind: type[e.Element] | None, value: bool | int | float, quality: int) -> e.Element:
    """The element of a kind in monitor direction with a value and :class:`Quality` bits."""
    octet = _quality_octet(quality)
    if kind is e.NormalizedOnly:
        return e.NormalizedOnly(value)
    if kind is e.SinglePoint:
        return e.SinglePoint(bool(value), octet & ~e.OV)
    if kind is e.StepPosition:
        return e.StepPosition(int(value), False, octet)
    if kind is e.PackedSingles:
        return e.PackedSingles(int(value), 0, octet)
    if kind is None:
        raise ValueError("the point is only commanded: it has no value to send")
    fields = (octet & ~e.OV,) if kind in _STATES else (octet,)
    return cast("Callable[..., e.Element]", kind)(value, *fields)


class Block:
    """Points whose values go into one ASDU; its octets are kept until one of them changes."""

    def __init__(self, states: Sequence[State], *, sequence: bool) -> None:
        first = states[0]
        assert first.answer is not None  # noqa: S101 - only monitored points come here
        self.type_id = first.answer.number
        self.common = first.point.common
        self.states = states
        self.octets: bytes | None = None
        self._sequence = sequence
        self._moving = any(state.point.moves is not None for state in states)
        for state in states:
            state.blocks.append(self)

    def asdu(self, cause: int, elapsed: float) -> bytes:
        """The octets, with the values of now; ``elapsed`` seconds since the start."""
        if self._moving:
            for state in self.states:
                state.refresh(elapsed)
        if self.octets is None:
            frozen = self.type_id in COUNTER_TYPES
            objects = tuple(
                InformationObject(state.point.address, state.made(frozen=frozen)) for state in self.states
            )
            self.octets = encode(Asdu(self.type_id, 1, self.common, objects, sequence=self._sequence))
        return with_cause(self.octets, cause)


COUNTER_TYPES = frozenset({15, 16, 37})
_CAUSE_AT = 2


def with_cause(octets: bytes, cause: int, *, negative: bool = False) -> bytes:
    """The same ASDU with another cause: a confirmation mirrors everything else. The test bit stays."""
    octet = cause | (0x40 if negative else 0) | octets[_CAUSE_AT] & 0x80
    return octets[:_CAUSE_AT] + bytes((octet,)) + octets[_CAUSE_AT + 1 :]


def blocks(states: Iterable[State]) -> list[Block]:
    """Distribute points to as few ASDUs as possible: by common address and type, consecutive addresses SQ = 1."""
    made: list[Block] = []
    ordered = sorted(states, key=lambda state: (state.point.common, _number(state), state.point.address))
    for (_, type_id), alike in groupby(ordered, key=lambda state: (state.point.common, _number(state))):
        scattered: list[State] = []
        for run in _runs(alike):
            if len(run) >= _SHORTEST_RUN and TYPES[type_id].sequence:
                made += [Block(part, sequence=True) for part in _cut(run, capacity(type_id, sequence=True))]
            else:
                scattered += run
        made += [Block(part, sequence=False) for part in _cut(scattered, capacity(type_id))]
    return made


def _number(state: State) -> int:
    return state.answer.number if state.answer is not None else 0


def _runs(states: Iterable[State]) -> Iterator[list[State]]:
    run: list[State] = []
    for state in states:
        if run and state.point.address != run[-1].point.address + 1:
            yield run
            run = []
        run.append(state)
    if run:
        yield run


def _cut(states: list[State], size: int) -> Iterator[list[State]]:
    for start in range(0, len(states), size):
        yield states[start : start + size]


class Image:
    """All points of a simulated RTU.

    :ivar states: the monitored ones, by common address and address.
    :ivar commands: the commandable ones, by where their commands go.
    :ivar commons: the common addresses there are.
    :raises ValueError: an address twice, or a type that does not fit.
    """

    def __init__(self, points: Iterable[Iec104Point], commons: Iterable[int] = ()) -> None:
        self.states: dict[Place, State] = {}
        self.commands: dict[Place, State] = {}
        self.commons = set(commons)
        self._blocks: dict[tuple[int, int], list[Block]] = {}
        for point in points:
            self.add(point)

    def add(self, point: Iec104Point) -> State:
        """One more point.

        :raises ValueError: its address, or that of its command, is taken.
        """
        state = State(point)
        command = (point.common, point.address if point.command_address is None else point.command_address)
        if state.answer is not None and state.place in self.states:
            raise ValueError(f"address {point.address} of common address {point.common} is there twice")
        if state.command is not None and command in self.commands:
            raise ValueError(f"commands to address {command[1]} of common address {command[0]} are there twice")
        if state.answer is not None:
            self.states[state.place] = state
        if state.command is not None:
            self.commands[command] = state
        self.commons.add(point.common)
        if self._blocks:
            self._blocks.clear()
            for each in self.states.values():
                each.blocks.clear()
        return state

    def of(self, common: int, address: int) -> State:
        """A point, by its own address or that of its command.

        :raises KeyError: when there is none.
        """
        found = self.states.get((common, address)) or self.commands.get((common, address))
        if found is None:
            raise KeyError(f"there is no address {address} of common address {common}")
        return found

    def interrogated(self, common: int, cause: int) -> list[Block]:
        """What an interrogation brings, by its cause: 20 to 36 points, 37 to 41 counters. Protection events, which
        exist only with a time tag, are not interrogated."""
        found = self._blocks.get((common, cause))
        if found is None:
            counters = cause >= COUNTERS
            group = cause - (COUNTERS if counters else GENERAL)
            found = self._blocks[common, cause] = blocks(
                state
                for state in self.states.values()
                if state.point.common == common
                and state.answer is not None
                and state.answer.tag is Tag.NONE
                and (state.answer.number in COUNTER_TYPES) == counters
                and group in (0, state.point.group)
            )
        return found

    def periodic(self, *, cyclic: bool) -> list[Block]:
        """The cyclic points, or else all that a background scan brings: everything but protection events."""
        key = (0, int(cyclic))  # 0 is no common address
        found = self._blocks.get(key)
        if found is None:
            found = self._blocks[key] = blocks(
                state
                for state in self.states.values()
                if state.answer is not None and state.answer.tag is Tag.NONE and (state.point.cyclic or not cyclic)
            )
        return found

    def counters(self, common: int, cause: int) -> list[State]:
        """The counters that a counter request means, by the cause of its answers."""
        return [state for block in self.interrogated(common, cause) for state in block.states]


def event(state: State, cause: int, time: Cp24 | Cp56 | None) -> bytes:
    """A value as an ASDU of its own. ``time`` goes with ``state.event``; ``None``: the type of answers."""
    info = state.answer if time is None else state.event
    assert info is not None  # noqa: S101 - only monitored points come here
    found = InformationObject(state.point.address, state.made(), time)
    return encode(Asdu(info.number, cause, state.point.common, (found,)))
