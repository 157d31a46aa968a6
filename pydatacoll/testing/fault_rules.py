"""What the fault rules of all simulated devices share: how often they strike, and their spelling."""

from __future__ import annotations

import random
from dataclasses import dataclass
from typing import Any, ClassVar, Self

Options = dict[str, tuple[type[int] | type[float], float, float]]
"""Name of an option -> its type, smallest and largest value."""

STRIKING: Options = {
    "probability": (float, 0, 1),
    "times": (int, 0, 1_000_000_000),
    "skip": (int, 0, 1_000_000_000),
}


@dataclass(slots=True, kw_only=True)
class Rule:
    """How often a fault strikes.

    :ivar probability: of applying to a matching message, 0 to 1.
    :ivar times: how many more messages it applies to; ``None`` for all.
    :ivar skip: matching messages let through before it begins.
    :ivar hits: messages it applied to so far.
    """

    KINDS: ClassVar[tuple[str, ...]]
    OPTIONS: ClassVar[Options]

    probability: float = 1.0
    times: int | None = None
    skip: int = 0
    hits: int = 0

    @classmethod
    def parse(cls, text: str) -> Self:
        """``silence``, ``exception:code=6,unit=2``, ``delay:seconds=0.5,probability=0.1``.

        :raises ValueError: saying what is wrong and what is known.
        """
        kind, _, rest = text.partition(":")
        if kind not in cls.KINDS:
            raise ValueError(f"unknown fault {kind!r}; known: {', '.join(cls.KINDS)}")
        options: dict[str, Any] = {"kind": kind}  # which subclasses have
        for part in filter(None, rest.split(",")):
            name, _, value = part.partition("=")
            if name not in cls.OPTIONS:
                raise ValueError(f"{text!r}: unknown option {name!r}; known: {', '.join(cls.OPTIONS)}")
            convert, low, high = cls.OPTIONS[name]
            try:
                number = convert(value)
            except ValueError:
                raise ValueError(f"{text!r}: {name} must be a number") from None
            if not low <= number <= high:
                raise ValueError(f"{text!r}: {name} is {low} to {high}")
            options[name] = number
        return cls(**options)

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
