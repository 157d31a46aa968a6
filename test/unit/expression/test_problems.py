"""What is refused before it is stored, because its text alone shows that it has no result."""

from __future__ import annotations

import pytest

from pydatacoll.expression import ExpressionError, compile_expression, formula_problem, rule_problem

NAMES = ("p1", "p2")


@pytest.mark.parametrize(
    ("text", "place", "reason"),
    [
        ("p1 / 0", 6, "a division by zero has no result"),
        ("p1 % (2 - 2)", 7, "a division by zero has no result"),
        ("p1 // -0.0 + p2", 7, "a division by zero has no result"),
        ("p2 + mean(p1, '15m') / sin(0)", 24, "a division by zero has no result"),
        ("p1.max() / (1 if 0 > 1 else 0)", 13, "a division by zero has no result"),
        ("max(p1, p2 / False)", 14, "a division by zero has no result"),
        ("1 / 0", 1, "this has no result: division by zero"),
        ("p1 + 10 ** 400", 6, "this has no result: the result is beyond the range of numbers"),
        ("9**9**9**9", 1, "this has no result: the result is beyond the range of numbers"),
        (
            "p1 * 1e308 * 10 if p2 else 1e308 * 10",
            28,
            "this has no result: the result is beyond the range of numbers",
        ),
        ("default(p1, log(0))", 13, "this has no result: a function has no result for this argument"),
        ("p1 > sqrt(-1)", 6, "this has no result: a function has no result for this argument"),
        ("(-8) ** 0.5", 1, "this has no result: a fractional power of a negative number"),
    ],
)
def test_what_can_have_no_result_is_refused_with_its_place(text: str, place: int, reason: str) -> None:
    assert formula_problem(text, NAMES) == f"line 1, column {place}: {reason}"
    compile_expression(text, NAMES)  # one that is stored already does not stop


@pytest.mark.parametrize(
    "text",
    [
        "p1 / p2",
        "p1 // pi % e",
        "clamp(p1, 0, 10) / round(2.5)",
        "percentile(p1, 95, '1h') / (1 + 1)",
        "p1[-2] / 2 ** 10",
        "3 or 1 / 0",
        "p1 if 1 < 2 else p2",
        "min(p1, abs(-2)) - accept(p2) * age(p1)",
        "quality(p1 / p2) + count(p1, '1h')",
        "42",
    ],
)
def test_what_may_have_a_result_is_not(text: str) -> None:
    assert formula_problem(text, NAMES) is None


def test_rules_of_items_are_looked_at_likewise() -> None:
    assert rule_problem("abs(value - previous) / 0 < 5") == "line 1, column 25: a division by zero has no result"
    assert rule_problem("abs(value - previous) / 2 < 5 and age < 60") is None


def test_a_parameter_with_the_name_of_a_constant_is_no_constant() -> None:
    assert formula_problem("1 / (pi - 3.141592653589793)", ["p1"]) is not None
    assert formula_problem("1 / (pi - 3.141592653589793)", ["pi"]) is None


def test_what_is_not_of_the_language_is_refused_as_when_it_is_compiled() -> None:
    for text in ("", "p9", "p1 +", "p1.x", "[p1]", "import os"):
        with pytest.raises(ExpressionError) as refused:
            compile_expression(text, NAMES)
        assert formula_problem(text, NAMES) == str(refused.value)
