"""Faults that a simulated Modbus device shows on purpose."""

from __future__ import annotations

import random
from dataclasses import dataclass, field
from typing import Any, Final, Literal, get_args

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
class Fault:
    """One rule. It applies to requests that match everything given.

    :ivar address: the request touches this address.
    :ivar probability: of applying to a matching request, 0 to 1.
    :ivar times: how many more requests it applies to; ``None`` for all.
    :ivar skip: matching requests let through before it begins.
    :ivar seconds: of ``delay`` and ``trickle``.
    :ivar code: of ``exception``.
    :ivar hits: requests it applied to so far.
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

    @classmethod
    def parse(cls, text: str) -> Fault:
        """``silence``, ``exception:code=6,unit=2``, ``delay:seconds=0.5,probability=0.1``.

        :raises ValueError: saying what is wrong and what is known.
        """
        kind, _, rest = text.partition(":")
        if kind not in KINDS:
            raise ValueError(f"unknown fault {kind!r}; known: {', '.join(KINDS)}")
        options: dict[str, Any] = {}
        for part in filter(None, rest.split(",")):
            name, _, value = part.partition("=")
            if name not in _OPTIONS:
                raise ValueError(f"{text!r}: unknown option {name!r}; known: {', '.join(_OPTIONS)}")
            convert, low, high = _OPTIONS[name]
            try:
                number = convert(value)
            except ValueError:
                raise ValueError(f"{text!r}: {name} must be a number") from None
            if not low <= number <= high:
                raise ValueError(f"{text!r}: {name} is {low} to {high}")
            options[name] = number
        return cls(kind, **options)  # type: ignore[arg-type]  # looked up in KINDS

    def applies(self, unit: int, function: int, start: int, count: int, rng: random.Random) -> bool:
        """Whether a request meets the fault; counts it."""
        if self.kind == "refuse":
            return False
        if self.unit not in (None, unit) or self.function not in (None, function):
            return False
        if self.address is not None and not start <= self.address < start + count:
            return False
        return self.strikes(rng)

    def strikes(self, rng: random.Random) -> bool:
        """What ``times``, ``skip`` and ``probability`` say; counts it."""
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


_OPTIONS: Final[dict[str, tuple[type[int] | type[float], float, float]]] = {
    "unit": (int, 0, 255),
    "function": (int, 1, 127),
    "address": (int, 0, 65535),
    "probability": (float, 0, 1),
    "times": (int, 0, 1_000_000_000),
    "skip": (int, 0, 1_000_000_000),
    "seconds": (float, 0, 3600),
    "code": (int, 1, 255),
}


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
