"""Long computations in steps, so that whoever runs one can let others go first in between."""

from __future__ import annotations

from collections.abc import Generator
from typing import TypeVar

T = TypeVar("T")

Steps = Generator[None, None, T]
"""A computation that stops for a moment wherever it can; its result is what the generator returns."""


def finish(steps: Steps[T]) -> T:
    """Run to the end without stopping."""
    while True:
        try:
            next(steps)
        except StopIteration as end:
            result: T = end.value
            return result


class Progress:
    """How far a long computation is, for those who watch it: ``done`` of ``total``, in units of its own."""

    __slots__ = ("done", "total")

    def __init__(self) -> None:
        self.done = 0
        self.total = 0
