"""Points of a simulated RTU that change by themselves, at any rate up to what a link can carry."""

from __future__ import annotations

import asyncio
import math
from collections.abc import Set
from typing import TYPE_CHECKING

from pydatacoll.model.quality import Quality
from pydatacoll.protocols.iec104 import elements as e
from pydatacoll.protocols.iec104.asdu import Asdu, InformationObject, capacity, encode
from pydatacoll.protocols.iec104.times import Cp24, Cp56
from pydatacoll.protocols.iec104.types import Tag
from pydatacoll.testing.iec104_points import COUNTER_TYPES, SPONTANEOUS, Place, State, make_element

if TYPE_CHECKING:
    from pydatacoll.testing.iec104_rtu import Iec104Rtu

VARIANTS = 4
"""Different values that each point takes in turn."""
LONGEST_BURST = 1.0
"""Seconds of events at most that are made up for after the process was held up."""


def variant(element: type[e.Element] | None, address: int, number: int) -> bool | int | float:
    """One of the values of a point that changes by itself; two that follow each other differ."""
    step = address + number
    if element is e.SinglePoint:
        return bool(step % 2)
    if element in (e.DoublePoint, e.ProtectionEvent):
        return 1 + step % 2
    if element in (e.Normalized, e.NormalizedOnly):
        return (address % 16 + number) / 32
    if element is e.ShortFloat:
        return 100.0 + address % 50 + number / 4
    return step % 60


class _Burst:
    """Points whose changes go into one ASDU, made once for each variant up to its time tags."""

    def __init__(self, states: list[State], bad: Set[Place]) -> None:
        first = states[0]
        assert first.event is not None  # noqa: S101 - see Stream
        self.tag = first.event.tag
        self.states = states
        self.values: list[list[bool | int | float]] = []
        self.qualities: list[list[int]] = []
        self._changing = any(state.place in bad for state in states)
        self.pieces: list[list[bytes]] = []
        size = self.tag.value
        mark: Cp24 | Cp56 | None = {Tag.NONE: None, Tag.CP24: Cp24(bytes(3)), Tag.CP56: Cp56(bytes(7))}[self.tag]
        for number in range(VARIANTS):
            values = [variant(state.element, state.point.address, number) for state in states]
            worse = int(Quality.NOT_TOPICAL) if number == VARIANTS - 1 else 0
            qualities = [state.point.quality | (worse if state.place in bad else 0) for state in states]
            objects = tuple(
                InformationObject(state.point.address, make_element(state.element, value, quality), mark)
                for state, value, quality in zip(states, values, qualities, strict=True)
            )
            octets = encode(Asdu(first.event.number, SPONTANEOUS, first.point.common, objects))
            stride = (len(octets) - 6) // len(states)
            cuts = [6 + stride * (n + 1) - size for n in range(len(states))] if size else []
            starts = [0, *(cut + size for cut in cuts)]
            ends = [*cuts, len(octets)]
            self.values.append(values)
            self.qualities.append(qualities)
            self.pieces.append([octets[start:end] for start, end in zip(starts, ends, strict=True)])

    def asdu(self, number: int, tag: bytes) -> bytes:
        """Change the points and report it."""
        for state, value in zip(self.states, self.values[number], strict=True):
            state.value = value
            for block in state.blocks:
                block.octets = None
        if self._changing:
            for state, quality in zip(self.states, self.qualities[number], strict=True):
                state.quality = quality
        return tag.join(self.pieces[number])


class Stream:
    """Changes of all points in turn.

    :ivar sent: events made so far.
    """

    def __init__(self, rtu: Iec104Rtu, rate: float, *, tick: float, bad: float) -> None:
        self.rate = rate
        self.sent = 0
        self._rtu = rtu
        self._tick = tick
        self._timer: asyncio.TimerHandle | None = None
        self._turn = self._number = 0
        states = [
            state
            for state in rtu.image.states.values()
            if state.event is not None
            and state.point.moves is None
            and state.command is None
            and state.event.number not in COUNTER_TYPES
        ] if rate else []  # fmt: skip
        worse = {state.place for at, state in enumerate(states) if int((at + 1) * bad) > int(at * bad)}
        self._bursts = _bursts(states, rate * tick, worse)
        self._due = 0.0
        self._last = 0.0
        if self._bursts and not math.isinf(rate):
            self._last = asyncio.get_running_loop().time()
            self._wait()

    def stop(self) -> None:
        """No more changes."""
        self._bursts = []
        if self._timer is not None:
            self._timer.cancel()

    def next(self) -> bytes | None:
        """The next ASDU; ``None`` when there are no points."""
        if not self._bursts:
            return None
        burst = self._bursts[self._turn]
        tag = self._rtu.tag(burst.states[0])
        octets = burst.asdu(self._number, tag.octets if tag is not None else b"")
        self.sent += len(burst.states)
        self._turn += 1
        if self._turn == len(self._bursts):
            self._turn = 0
            self._number = (self._number + 1) % VARIANTS
        return octets

    def _wait(self) -> None:
        self._timer = asyncio.get_running_loop().call_later(self._tick, self._burst)

    def _burst(self) -> None:
        now = asyncio.get_running_loop().time()
        self._due = min(self._due + (now - self._last) * self.rate, LONGEST_BURST * self.rate + 1)
        self._last = now
        while self._bursts and self._due >= len(self._bursts[self._turn].states):
            self._due -= len(self._bursts[self._turn].states)
            octets = self.next()
            if octets is not None:
                self._rtu.report(octets)
        if self._bursts:
            self._wait()


def _bursts(states: list[State], at_once: float, bad: Set[Place]) -> list[_Burst]:
    """As many points in an ASDU as change at once and fit."""
    alike: dict[tuple[int, int], list[State]] = {}
    for state in states:
        assert state.event is not None  # noqa: S101 - see Stream
        alike.setdefault((state.point.common, state.event.number), []).append(state)
    made: list[_Burst] = []
    for (_, number), several in alike.items():
        size = capacity(number) if at_once >= capacity(number) else max(1, int(at_once))
        made += [_Burst(several[start : start + size], bad) for start in range(0, len(several), size)]
    return made
