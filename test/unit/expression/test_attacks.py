"""A hostile text gives nothing but an error with its place, a strange expression nothing but a sound result."""

from __future__ import annotations

import tracemalloc

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from pydatacoll.errors import Invalid
from pydatacoll.expression import CONSTANTS, FUNCTION_NAMES, ExpressionError, Outcome, compile_expression
from pydatacoll.model import Sample
from test.expression_rig import NAMES, NOW, is_sound, result
from test.unit.expression.attacks import HARMLESS, REFUSED

MEGABYTE = 1_000_000


def attack(text: str) -> Outcome | ExpressionError:
    samples = [Sample(NOW - 9 + k, float(k)) for k in range(9)]
    try:
        return result(text, {"p1": samples, "p2": -7.5, "p3": 2**64})
    except ExpressionError as error:
        return error


def test_the_corpus_is_large_enough() -> None:
    assert len(REFUSED) + len(HARMLESS) >= 300


@pytest.mark.parametrize("text", REFUSED, ids=lambda text: ascii(text[:40]))
def test_an_attack_is_refused_with_its_place(text: str) -> None:
    with pytest.raises(ExpressionError) as caught:
        compile_expression(text, NAMES)
    error = caught.value
    assert (error.line, error.column) == REFUSED[text], str(error)
    assert str(error) == f"line {error.line}, column {error.column}: {error.message}"
    assert isinstance(error, Invalid)
    assert str(error).isprintable()


@pytest.mark.parametrize("text", HARMLESS, ids=lambda text: text[:40])
def test_a_strange_expression_gives_a_sound_result(text: str) -> None:
    outcome = attack(text)
    assert isinstance(outcome, Outcome), str(outcome)
    assert is_sound(outcome)


@pytest.mark.parametrize("text", [*REFUSED, *HARMLESS], ids=lambda text: ascii(text[:40]))
def test_no_attack_takes_much_memory(text: str) -> None:
    attack("p1 + mean(p1, '15m')")  # what is loaded or cached once is not the attack's
    tracemalloc.start()
    try:
        attack(text)
        _, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert peak < 2 * MEGABYTE


PIECES = st.sampled_from(
    [
        *(
            "p1",
            "p2",
            "p9",
            "1",
            "0",
            "-1",
            "2.5",
            "1e308",
            "'15m'",
            "True",
            "None",
            " ",
            "\n",
            ",",
            "(",
            ")",
            "[",
            "]",
        ),
        *("+", "-", "*", "/", "//", "%", "**", "<", "<=", "==", "!=", "=", "if", "else", "and", "or", "not", "."),
        *(
            "lambda",
            ":",
            "{",
            "}",
            "'",
            '"',
            "\\",
            "\x00",
            "é",
            "ｐ１",
            "__class__",
            "for",
            "in",
            "is",
            ":=",
            "@",
            "f'",
        ),
        *(*sorted(FUNCTION_NAMES), *CONSTANTS, "[-2]", ".max(", ".mean()", ", '1h')"),
    ]
)


@given(st.lists(PIECES, max_size=40).map(" ".join) | st.lists(PIECES, max_size=40).map("".join))
@settings(max_examples=600, deadline=None)
@example("min(p1, p2, '15m')")
def test_no_mixture_of_its_words_gives_anything_else(text: str) -> None:
    outcome = attack(text)
    if isinstance(outcome, Outcome):
        assert is_sound(outcome)
    else:
        lines = text.split("\n")
        assert 1 <= outcome.line <= len(lines)
        assert 1 <= outcome.column <= len(lines[outcome.line - 1]) + 1


@given(st.text(max_size=60))
@settings(max_examples=400, deadline=None)
def test_no_text_gives_anything_else(text: str) -> None:
    outcome = attack(text)
    assert isinstance(outcome, ExpressionError) or is_sound(outcome)
