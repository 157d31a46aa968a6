"""Random expressions against an interpreter that shares nothing with the compiler, and against Python itself."""

from __future__ import annotations

import ast
import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from hypothesis import HealthCheck, assume, given, settings
from hypothesis import strategies as st

from pydatacoll.expression import Input, compile_expression
from pydatacoll.model import Quality, Sample
from test.expression_rig import COMM_LOST, INVALID, NAMES, NOW, TIME_INVALID, is_sound, result

STALE = int(Quality.STALE)
USABLE = (0, TIME_INVALID)


class NoResult(Exception):
    """As the language defines it, there is none."""


@dataclass
class Interpreter:
    """Walks a tree of tuples; stops at the first number that is not finite."""

    inputs: Mapping[str, Sample | None]
    flags: int = 0

    def number(self, node: Any) -> Any:
        value = getattr(self, node[0])(*node[1:])
        if not isinstance(value, bool) and (
            abs(value) > 1e308 if isinstance(value, int) else not math.isfinite(value)
        ):
            raise NoResult
        return value

    def apart(self, node: Any) -> tuple[Any, int]:
        inner = Interpreter(self.inputs)
        try:
            return inner.number(node), inner.flags
        except (NoResult, ArithmeticError, ValueError):
            return None, inner.flags | INVALID

    def literal(self, value: Any) -> Any:
        return value

    def name(self, name: str) -> Any:
        sample = self.inputs[name]
        if sample is None:
            self.flags |= INVALID
            raise NoResult
        self.flags |= sample.quality
        return sample.value

    def binary(self, sign: str, left: Any, right: Any) -> Any:
        a, b = self.number(left), self.number(right)
        match sign:
            case "+":
                return a + b
            case "-":
                return a - b
            case "*":
                return a * b
            case "/":
                return a / b
            case "//":
                return a // b
            case "%":
                return a % b
        if isinstance(a, int) and isinstance(b, int) and b >= 0 and int(a).bit_length() * b <= 256:
            return a**b
        power = float(a) ** b
        if isinstance(power, complex):
            raise NoResult
        return power

    def negative(self, of: Any) -> Any:
        return -self.number(of)

    def negation(self, of: Any) -> bool:
        return not self.number(of)

    def compare(self, first: Any, *rest: tuple[str, Any]) -> bool:
        left = self.number(first)
        for sign, node in rest:
            right = self.number(node)
            holds = {
                "<": left < right,
                "<=": left <= right,
                ">": left > right,
                ">=": left >= right,
                "==": left == right,
                "!=": left != right,
            }[sign]
            if not holds:
                return False
            left = right
        return True

    def logic(self, word: str, *nodes: Any) -> bool:
        for node in nodes:
            if bool(self.number(node)) is (word == "or"):
                return word == "or"
        return word == "and"

    def choice(self, yes: Any, test: Any, no: Any) -> Any:
        return self.number(yes if self.number(test) else no)

    def function(self, name: str, *nodes: Any) -> Any:
        values = [self.number(node) for node in nodes]
        match name:
            case "sign":
                return 0 if values[0] == 0 else 1 if values[0] > 0 else -1
            case "clamp":
                if values[1] > values[2]:
                    raise NoResult
                x, low, high = values
                return low if x < low else high if x > high else x
            case "abs" | "min" | "max":
                return {"abs": abs, "min": min, "max": max}[name](*values)
            case "floor" | "ceil" if abs(values[0]) >= 2**64:
                return values[0]
        return getattr(math, name)(*values)

    def default(self, first: Any, other: Any) -> Any:
        value, quality = self.apart(first)
        if quality not in USABLE:
            return self.number(other)
        self.flags |= quality
        return value

    def accept(self, of: Any) -> Any:
        return Interpreter(self.inputs).number(of)

    def quality(self, of: Any) -> int:
        return self.apart(of)[1]

    def good(self, of: Any) -> bool:
        return self.apart(of)[1] == 0

    def valid(self, of: Any) -> bool:
        return self.apart(of)[1] in USABLE

    def bad(self, of: Any) -> bool:
        return self.apart(of)[1] not in USABLE


def text_of(node: Any) -> str:
    """The tree as a text, with all brackets."""
    kind, *rest = node
    match kind:
        case "literal" | "name":
            return str(rest[0]) if kind == "name" else repr(rest[0])
        case "binary":
            return f"({text_of(rest[1])} {rest[0]} {text_of(rest[2])})"
        case "negative":
            return f"(-{text_of(rest[0])})"
        case "negation":
            return f"(not {text_of(rest[0])})"
        case "compare":
            return f"({text_of(rest[0])} " + " ".join(f"{sign} {text_of(one)}" for sign, one in rest[1:]) + ")"
        case "logic":
            return "(" + f" {rest[0]} ".join(map(text_of, rest[1:])) + ")"
        case "choice":
            return f"({text_of(rest[0])} if {text_of(rest[1])} else {text_of(rest[2])})"
        case "function":
            return f"{rest[0]}({', '.join(map(text_of, rest[1:]))})"
    return f"{kind}({', '.join(map(text_of, rest))})"


NUMBERS = (
    st.integers(0, 12)
    | st.sampled_from([0.0, 0.5, 1e-300, 1e154, 1e308, 2**32, 2**63, 2**64 - 1, 1e19])
    | st.floats(0, 1e6)
)
LEAVES = st.tuples(st.just("literal"), NUMBERS | st.booleans()) | st.tuples(
    st.just("name"), st.sampled_from(NAMES)
)
SIGNS = st.sampled_from(["+", "-", "*", "/", "//", "%", "**"])
ORDERS = st.sampled_from(["<", "<=", ">", ">=", "==", "!="])
SINGLES = st.sampled_from(
    ["abs", "sign", "floor", "ceil", "sqrt", "exp", "log", "sin", "cos", "atan", "tanh", "degrees"]
)


def branches(inner: st.SearchStrategy[Any]) -> st.SearchStrategy[Any]:
    return st.one_of(
        st.tuples(st.just("binary"), SIGNS, inner, inner),
        st.tuples(st.just("binary"), SIGNS, inner, inner),
        st.tuples(st.just("compare"), inner, st.tuples(ORDERS, inner)),
        st.tuples(st.just("compare"), inner, st.tuples(ORDERS, inner), st.tuples(ORDERS, inner)),
        st.tuples(st.just("logic"), st.sampled_from(["and", "or"]), inner, inner),
        st.tuples(st.sampled_from(["negative", "negation", "accept", "quality", "good", "valid", "bad"]), inner),
        st.tuples(st.sampled_from(["choice"]), inner, inner, inner),
        st.tuples(st.just("default"), inner, inner),
        st.tuples(st.just("function"), SINGLES, inner),
        st.tuples(st.just("function"), st.sampled_from(["min", "max", "hypot", "atan2"]), inner, inner),
        st.tuples(st.just("function"), st.just("clamp"), inner, inner, inner),
    )


TREES = st.recursive(LEAVES, branches, max_leaves=12)
VALUES = NUMBERS | NUMBERS.map(lambda number: -number) | st.booleans()
SAMPLES = st.builds(
    Sample,
    st.just(NOW),
    VALUES,
    st.sampled_from([0, 0, 0, TIME_INVALID, COMM_LOST, STALE, COMM_LOST | TIME_INVALID]),
)
INPUTS = st.fixed_dictionaries({name: st.none() | SAMPLES for name in NAMES})
GOOD_INPUTS = st.fixed_dictionaries({name: st.builds(Sample, st.just(NOW), VALUES, st.just(0)) for name in NAMES})

settings.register_profile("thorough", deadline=None, suppress_health_check=list(HealthCheck))


def same(one: Any, other: Any) -> bool:
    """Equal, but for the last digits of what has become floating point beyond 64 bits."""
    if isinstance(one, bool) or isinstance(other, bool):
        return one is other
    if abs(one) < 2**64 and abs(other) < 2**64:
        return type(one) is type(other) and one == other
    return math.isclose(one, other, rel_tol=1e-15)


def check(tree: Any, inputs: Mapping[str, Sample | None]) -> None:
    interpreter = Interpreter(inputs)
    text = text_of(tree)
    outcome = result(text, {name: sample for name, sample in inputs.items() if sample is not None})
    try:
        expected = interpreter.number(tree)
    except (NoResult, ArithmeticError, ValueError):
        assert outcome.value is None, text
        assert outcome.quality & INVALID
        assert outcome.error
    else:
        assert outcome.error is None, text
        assert same(outcome.value, expected), text
        assert outcome.quality == interpreter.flags


@given(TREES, GOOD_INPUTS)
@settings(settings.get_profile("thorough"), max_examples=600)
def test_an_expression_of_good_inputs_means_what_the_interpreter_says(
    tree: Any, inputs: dict[str, Sample]
) -> None:
    check(tree, inputs)


@given(TREES, INPUTS)
@settings(settings.get_profile("thorough"), max_examples=600)
def test_an_expression_of_any_inputs_means_what_the_interpreter_says(
    tree: Any, inputs: dict[str, Sample | None]
) -> None:
    check(tree, inputs)


@given(TREES, GOOD_INPUTS)
@settings(settings.get_profile("thorough"), max_examples=400)
def test_doubtful_times_change_no_value(tree: Any, inputs: dict[str, Sample]) -> None:
    """The fast and the careful function agree."""
    text = text_of(tree)
    assume(not any(word in text for word in ("quality", "good")))
    fast = result(text, inputs)
    careful = result(text, {name: one._replace(quality=TIME_INVALID) for name, one in inputs.items()})
    assert (careful.value, careful.error) == (fast.value, fast.error)
    assert type(careful.value) is type(fast.value)


ANYTHING = st.builds(
    Sample,
    st.just(NOW),
    VALUES | st.none() | st.text(max_size=3) | st.floats() | st.integers(),
    st.integers(0, 511),
)


@given(TREES, st.fixed_dictionaries({name: st.lists(ANYTHING, max_size=2) for name in NAMES}))
@settings(settings.get_profile("thorough"), max_examples=600)
def test_no_input_makes_an_evaluation_fail(tree: Any, inputs: dict[str, list[Sample]]) -> None:
    assert is_sound(result(text_of(tree), inputs))


class BooleanLogic(ast.NodeTransformer):
    """Makes ``and`` and ``or`` give booleans, the one thing in which the language is not Python."""

    def visit_BoolOp(self, node: ast.BoolOp) -> ast.Call:
        return ast.Call(ast.Name("bool", ast.Load()), [self.generic_visit(node)], [])


WORDS = st.sampled_from(
    [
        "+",
        "-",
        "*",
        "/",
        "//",
        "%",
        "<",
        "<=",
        "==",
        "!=",
        " and ",
        " or ",
        "+-",
        "-(-",
        "*(",
        "/(",
        "** 2 *",
        "-(",
    ]
)
OPERANDS = st.sampled_from(["p1", "p2", "p3", "2", "0.5", "7", "(p1 - 3)", "-p2 ** 2", "not p3", "max(p1, p2)"])


@given(st.lists(st.tuples(OPERANDS, WORDS), min_size=1, max_size=8), OPERANDS, st.booleans(), GOOD_INPUTS)
@settings(settings.get_profile("thorough"), max_examples=400)
def test_operators_bind_as_in_python(
    links: list[tuple[str, str]], last: str, choice: bool, inputs: dict[str, Sample]
) -> None:
    text = "".join(operand + word for operand, word in links) + last
    text += ")" * (text.count("(") - text.count(")"))
    if choice:
        text = f"{text} if {text} else {last}"
    values = {name: one.value for name, one in inputs.items()}
    try:
        tree = ast.parse(text, mode="eval")
    except SyntaxError:  # as in 'p1 + not p2'
        assume(False)
    code = compile(ast.fix_missing_locations(BooleanLogic().visit(tree)), "<test>", "eval")
    try:
        expected = eval(code, {"__builtins__": {}, "max": max, "bool": bool}, values)
    except (ArithmeticError, ValueError):
        expected = None
    outcome = result(text, inputs)
    if outcome.value is None:
        # what Python calls infinite, or NaN, or makes of these, is no value
        assert expected is None or outcome.error == "the result is beyond the range of numbers"
    elif isinstance(outcome.value, bool):
        assert outcome.value is expected
    else:
        assert math.isclose(outcome.value, expected, rel_tol=1e-12)  # powers beyond 256 bits are not exact


def test_one_expression_serves_many_inputs() -> None:
    expression = compile_expression("p1 - p2", NAMES)
    for k in range(20):
        inputs = {"p1": Input(), "p2": Input(), "p3": Input()}
        inputs["p1"].push(Sample(NOW, k, COMM_LOST * (k % 2)))
        inputs["p2"].push(Sample(NOW, 1))
        assert expression.evaluate(inputs, NOW)[:2] == (k - 1, COMM_LOST * (k % 2))
