"""Faults that a simulated Modbus device shows on purpose."""

from __future__ import annotations

import random
from dataclasses import dataclass, field
from typing import ClassVar, Final, Literal, get_args

from pydatacoll.testing.fault_rules import STRIKING, Options, Rule

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
    "cut",  # the first half of the reply, then the connection is closed (FIN)
    "refuse",  # new connections are reset at once; looks at probability, times and skip only
]

KINDS: Final[tuple[str, ...]] = get_args(FaultKind)

RIGHT: Final = frozenset({"delay", "trickle"})
"""Kinds whose reply is right, though perhaps too late."""
UNANSWERED: Final = frozenset({"silence", "reset", "close", "garbage", "exception"})
"""Kinds that have nothing of the right reply in them."""


@dataclass(slots=True)
class Fault(Rule):
    """One rule. It applies to requests that match everything given.

    :ivar address: the request touches this address.
    :ivar seconds: of ``delay`` and ``trickle``.
    :ivar code: of ``exception``.
    """

    KINDS = KINDS
    OPTIONS: ClassVar[Options] = {
        "unit": (int, 0, 255),
        "function": (int, 1, 127),
        "address": (int, 0, 65535),
        **STRIKING,
        "seconds": (float, 0, 3600),
        "code": (int, 1, 255),
    }

    kind: FaultKind
    unit: int | None = None
    function: int | None = None
    address: int | None = None
    seconds: float = 0.05
    code: int = 4

    def applies(self, unit: int, function: int, start: int, count: int, rng: random.Random) -> bool:
        """Whether a request meets the fault; counts it."""
        if self.kind == "refuse":
            return False
        if self.unit not in (None, unit) or self.function not in (None, function):
            return False
        if self.address is not None and not start <= self.address < start + count:
            return False
        return self.strikes(rng)


@dataclass(slots=True)
class Faults:
    """The rules of a server, first match wins. They may be changed at any time.

    :ivar rng: decides on probabilities; seeded, so that a run can be repeated.
    """

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

    def refuses(self) -> bool:
        """Whether a new connection is refused."""
        return any(rule.kind == "refuse" and rule.strikes(self.rng) for rule in self.rules)
