"""Values that move, as functions of time. Times are seconds since the server was started."""

from __future__ import annotations

import math
import random
from abc import ABC, abstractmethod
from dataclasses import dataclass, field


class Signal(ABC):
    """A value that changes by itself."""

    @abstractmethod
    def at(self, time: float) -> float:
        """The value at a time; times never go back."""


@dataclass(slots=True)
class Fixed(Signal):
    """Always the same."""

    value: float

    def at(self, time: float) -> float:
        return self.value


@dataclass(slots=True)
class Counter(Signal):
    """One more at every reading."""

    value: int = -1
    modulo: int = 65536

    def at(self, time: float) -> float:
        self.value = (self.value + 1) % self.modulo
        return self.value


@dataclass(slots=True)
class Sequence(Signal):
    """Numbers its readings 1, 2, 3, ... and remembers which of them were never sent in a right reply.

    What a collector stored can so be compared with what it was sent: every number up to ``value`` that is not in
    ``spoiled`` was sent once. Use it on a type that is wide enough not to wrap, and for points that nobody writes.

    :ivar value: the last number.
    :ivar spoiled: numbers in replies that were wrong on purpose: whoever stores one did not check the reply.
    :ivar late: numbers in replies that were right but delayed on purpose, perhaps beyond the time-out.
    """

    value: int = 0
    spoiled: set[int] = field(default_factory=set)
    late: set[int] = field(default_factory=set)

    def at(self, time: float) -> float:
        self.value += 1
        return self.value


@dataclass(slots=True)
class Sine(Signal):
    """Swings around a mean; ``period`` and ``phase`` in seconds."""

    mean: float
    amplitude: float
    period: float = 60.0
    phase: float = 0.0

    def at(self, time: float) -> float:
        return self.mean + self.amplitude * math.sin(2 * math.pi * (time + self.phase) / self.period)


@dataclass(slots=True)
class Ramp(Signal):
    """Grows by ``rate`` per second from ``start``, and begins again at ``end``."""

    start: float
    end: float
    rate: float

    def at(self, time: float) -> float:
        return self.start + time * self.rate % (self.end - self.start)


@dataclass(slots=True)
class RandomWalk(Signal):
    """Wanders between two ends, at most ``step`` per second."""

    low: float
    high: float
    step: float
    seed: int = 0
    value: float = field(init=False)
    _time: float = field(default=0.0, init=False)
    _rng: random.Random = field(init=False)

    def __post_init__(self) -> None:
        self.value = (self.low + self.high) / 2
        self._rng = random.Random(self.seed)

    def at(self, time: float) -> float:
        elapsed, self._time = time - self._time, time
        self.value += self._rng.uniform(-1, 1) * self.step * min(elapsed, 10.0)
        self.value = min(max(self.value, self.low), self.high)
        return self.value
