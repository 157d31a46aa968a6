"""Expressions with the inputs that a test names."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping

from pydatacoll.expression import Expression, Input, Outcome, compile_expression
from pydatacoll.model import Quality, Sample, Value

NOW = 10_000.0
INVALID, COMM_LOST, TIME_INVALID = int(Quality.INVALID), int(Quality.COMM_LOST), int(Quality.TIME_INVALID)
NAMES = ("p1", "p2", "p3")


def is_sound(outcome: Outcome) -> bool:
    """Whether it is what every expression gives, whatever it is and whatever its inputs are."""
    value, quality, time, error = outcome
    if value is None:
        return bool(quality & INVALID) and bool(error)
    fits = isinstance(value, (bool, str)) or (
        math.isfinite(value) and (type(value) is float or abs(value) < 2**64)
    )
    return fits and error is None and math.isfinite(time)


def made(samples: Iterable[Sample], expression: Expression | None = None, name: str = "p1") -> Input:
    """An input that got these samples, and kept what the expression needs."""
    of = Input()
    if expression is not None and name in expression.names:
        expression.require({one: of if one == name else Input() for one in expression.names})
    for sample in samples:
        of.push(sample)
    return of


def result(
    text: str, given: Mapping[str, Value | Sample | list[Sample]] | None = None, now: float = NOW
) -> Outcome:
    """Evaluate with inputs given as values (good, of ``now``), samples or lists of samples; others are missing."""
    expression = compile_expression(text, NAMES)
    inputs = {}
    for name in NAMES:
        samples = (given or {}).get(name, [])
        if not isinstance(samples, list):
            samples = [samples if isinstance(samples, Sample) else Sample(now, samples)]
        inputs[name] = made(samples, expression, name)
    return expression.evaluate(inputs, now)
