"""Faults that a simulated Modbus device shows on purpose."""

from __future__ import annotations

import random
from dataclasses import dataclass, field
from typing import Literal

FaultKind = Literal[
    "delay",  # the right reply, ``seconds`` later
    "silence",  # nothing
    "reset",  # the connection is reset (RST)
    "close",  # the connection is closed (FIN)
    "wrong_transaction",
    "wrong_unit",
    "wrong_function",
    "short",  # byte count and data of one register less, well framed
    "empty",  # a reply without data
    "surplus",  # one register more than asked for
    "exception",  # exception ``code``
    "garbage",  # bytes that are no frame
    "trickle",  # the right reply, byte by byte, ``seconds`` apart
    "half",  # the first half of the reply, then silence
]


@dataclass(slots=True)
class Fault:
    """One rule. It applies to requests that match everything given.

    :ivar address: the request touches this address.
    :ivar probability: of applying to a matching request, 0 to 1.
    :ivar times: how many more requests it applies to; ``None`` for all.
    :ivar skip: matching requests let through before it begins.
    """

    kind: FaultKind
    unit: int | None = None
    function: int | None = None
    address: int | None = None
    probability: float = 1.0
    times: int | None = None
    skip: int = 0
    seconds: float = 0.05
    code: int = 4
    hits: int = 0

    def applies(self, unit: int, function: int, start: int, count: int, rng: random.Random) -> bool:
        """Whether a request meets the fault; counts it."""
        if self.unit not in (None, unit) or self.function not in (None, function):
            return False
        if self.address is not None and not start <= self.address < start + count:
            return False
        if self.times is not None and self.times <= 0:
            return False
        if self.skip > 0:
            self.skip -= 1
            return False
        if self.probability < 1.0 and rng.random() >= self.probability:
            return False
        if self.times is not None:
            self.times -= 1
        self.hits += 1
        return True


@dataclass(slots=True)
class Faults:
    """The rules of a server, first match wins."""

    rules: list[Fault] = field(default_factory=list)
    rng: random.Random = field(default_factory=lambda: random.Random(0))

    def add(self, fault: Fault) -> Fault:
        """Add a rule; its ``hits`` can be watched."""
        self.rules.append(fault)
        return fault

    def clear(self) -> None:
        self.rules.clear()

    def match(self, unit: int, function: int, start: int, count: int) -> Fault | None:
        """The fault a request meets."""
        return next((rule for rule in self.rules if rule.applies(unit, function, start, count, self.rng)), None)
