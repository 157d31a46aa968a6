"""The page on expressions: complete, and its examples true."""

from __future__ import annotations

import re
import textwrap
from pathlib import Path

import pytest

from pydatacoll.expression import (
    CONSTANTS,
    FUNCTION_NAMES,
    ITEM_ALIASES,
    ITEM_NAMES,
    ExpressionError,
    compile_expression,
)
from pydatacoll.model import Sample, Value, quality_from_wire, quality_to_wire
from test.expression_rig import NAMES, NOW, result

PAGE = (Path(__file__).parents[3] / "docs/reference/expression.rst").read_text(encoding="utf-8")
BLOCKS = [
    textwrap.dedent(found).strip()
    for found in re.findall(r"^\.\. code-block:: text\n\n((?:   .*\n|\n)+)", PAGE, re.MULTILINE)
]
EXAMPLES = [
    (block.splitlines()[0], *re.split(r"\s{2,}", line, maxsplit=1))
    for block in BLOCKS
    for line in block.splitlines()[2:]
]


def value_of(text: str) -> Value:
    if text.startswith('"'):
        return text[1:-1]
    return (
        {"True": True, "False": False}.get(text) if text[0] in "TF" else float(text) if "." in text else int(text)
    )


def sample_of(text: str) -> Sample:
    """``20 at -30 s (comm_lost)``."""
    found = re.fullmatch(r"(\S+)(?: at (\S+) s)?(?: \((\w+)\))?", text)
    assert found is not None, text
    return Sample(NOW + float(found[2] or 0), value_of(found[1]), quality_from_wire(found[3] or "good"))


def given(line: str) -> dict[str, Value | Sample | list[Sample]]:
    inputs: dict[str, Value | Sample | list[Sample]] = {}
    for part in line.removeprefix("given ").split("; "):
        if not part.endswith(" missing"):
            name, _, samples = part.partition(" = ")
            inputs[name] = [sample_of(one) for one in samples.split(", ")]
    return inputs


def test_there_are_examples_of_all_kinds() -> None:
    assert len(BLOCKS) >= 8
    assert len(EXAMPLES) >= 45


@pytest.mark.parametrize(("inputs", "text", "shown"), EXAMPLES)
def test_an_example_is_true(inputs: str, text: str, shown: str) -> None:
    if inputs == "refused":
        with pytest.raises(ExpressionError) as caught:
            compile_expression(text, NAMES)
        assert str(caught.value) == shown
        return
    value, quality, _, error = result(text, given(inputs))
    written, _, flag = shown.partition(" (")
    assert quality_to_wire(quality) == ([flag[:-1]] if flag else "good")
    if written == "no value":
        assert value is None
        assert error
    else:
        assert value == pytest.approx(value_of(written), rel=1e-5)
        assert isinstance(value, bool) is isinstance(value_of(written), bool)


def test_every_name_is_explained() -> None:
    for name in FUNCTION_NAMES:
        assert f"``{name}(" in PAGE, name
    for name in (*CONSTANTS, *ITEM_NAMES, *ITEM_ALIASES):
        assert f"``{name}``" in PAGE, name
    for meaning in ITEM_ALIASES.values():
        assert f"``{meaning}``" in PAGE, meaning


def test_the_examples_of_rules_are_rules() -> None:
    text = PAGE.partition("For example ")[2].partition(".\n")[0]
    rules = re.findall(r"``([^`]+)``", text)
    assert len(rules) == 2
    assert all(compile_expression(rule, ITEM_NAMES, ITEM_ALIASES).boolean for rule in rules)
