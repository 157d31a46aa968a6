"""Which quality, time and value a result has."""

from __future__ import annotations

import math

import pytest

from pydatacoll.expression import ITEM_ALIASES, ITEM_NAMES, ExpressionError, Input, compile_expression
from pydatacoll.model import Quality, Sample, Value
from test.expression_rig import COMM_LOST, INVALID, NAMES, NOW, TIME_INVALID, made, result

GOOD, BAD, STALE = Sample(NOW, 6.0), Sample(NOW, 3.0, COMM_LOST), Sample(NOW, 2.0, int(Quality.STALE))
MISSING: list[Sample] = []


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("1 + 2 * 3 - 4 / 8", 6.5),
        ("7 // 2 + 7 % 4", 6),
        ("-7 // 2", -4),
        ("-7 % 3", 2),
        ("-2 ** 2", -4),
        ("2 ** 3 ** 2", 512),
        ("2 ** -1", 0.5),
        ("9 ** 0.5", 3.0),
        ("(2 + 3) * 4", 20),
        ("10 - 4 - 3", 3),
        ("100 / 10 / 5", 2.0),
        ("+5 - -5", 10),
        (".5 + 1e-1 + 1.", 1.6),
        ("1 < 2 < 3", True),
        ("1 < 3 < 2", False),
        ("1 == 1.0 != 2", True),
        ("not 0", True),
        ("1 and 2", True),
        ("0 or 0.0", False),
        ("3 or 1 / 0", True),
        ("0 and 1 / 0", False),
        ("1 if 0 else 2 if 0 else 3", 3),
        ("True + True", 2),
        ("abs(-3.5)", 3.5),
        ("min(3, 1, 2) + max(3, 1, 2)", 4),
        ("clamp(12, 0, 10) + clamp(-1, 0, 10) + clamp(5, 0, 10)", 15),
        ("sign(-2.5) + sign(0) + sign(3)", 0),
        ("scale(12, 4, 20, 0, 100)", 50.0),
        ("bit(6, 0)", False),
        ("bit(6, 2)", True),
        ("bit(-1, 63)", True),
        ("round(2.5)", 2),
        ("round(3.5)", 4),
        ("round(2.345, 2)", 2.35),
        ("round(1234, -2)", 1200),
        ("floor(-1.5) + ceil(-1.5) + trunc(-1.5)", -4),
        ("sqrt(16)", 4.0),
        ("log(e)", 1.0),
        ("log(8, 2)", 3.0),
        ("log10(1000) + log2(8)", 6.0),
        ("exp(0)", 1.0),
        ("hypot(3, 4)", 5.0),
        ("sin(pi / 2) + cos(0)", 2.0),
        ("tan(0) + asin(0) + acos(1) + atan(0)", 0.0),
        ("atan2(1, 1) * 4 - pi", 0.0),
        ("sinh(0) + cosh(0) + tanh(0)", 1.0),
        ("degrees(pi) + radians(180) - pi", 180.0),
    ],
)
def test_operators_and_functions(text: str, value: Value) -> None:
    outcome = result(text)
    assert outcome.error is None
    assert outcome.value == pytest.approx(value, abs=1e-12)
    assert type(outcome.value) is type(value)
    assert (outcome.quality, outcome.time) == (0, NOW)


@pytest.mark.parametrize(
    ("text", "value", "quality"),
    [
        # all that is read counts
        ("p1 + p2", 9.0, COMM_LOST),
        ("p2 + p3", 5.0, COMM_LOST | Quality.STALE),
        ("max(p1, p2)", 6.0, COMM_LOST),
        ("p1 * 0 + p2 * 0", 0.0, COMM_LOST),
        ("p2 > 1", True, COMM_LOST),
        # what is not read does not
        ("p1 > 5 or p2 > 5", True, 0),
        ("p1 > 7 or p2 > 5", False, COMM_LOST),
        ("p1 > 7 and p2 > 5", False, 0),
        ("p2 > 5 and p1 > 7", False, COMM_LOST),
        ("p1 if p1 > 5 else p2", 6.0, 0),
        ("p1 if p1 > 7 else p2", 3.0, COMM_LOST),
        ("p1 if p2 > 1 else p3", 6.0, COMM_LOST),
        ("1 < p1 < 2 < p2", False, 0),
        # what is asked for its quality does not
        ("p2 if good(p2) else p1", 6.0, 0),
        ("p1 if bad(p2) else p2", 6.0, 0),
        ("quality(p1)", 0, 0),
        ("quality(p2)", COMM_LOST, 0),
        ("quality(p2 + p3)", COMM_LOST | int(Quality.STALE), 0),
        ("quality(p1 / 0)", INVALID, 0),
        ("good(p1) and not good(p2) and bad(p2) and not valid(p2)", True, 0),
        ("valid(p1 / p1) and bad(p1 / 0)", True, 0),
        ("good(p1) and p2 > 1", True, COMM_LOST),
        ("good(p2) and p2 > 1", False, 0),
        ("age(p2)", 0.0, 0),
        # what is replaced or accepted does not
        ("default(p2, 5)", 5, 0),
        ("default(p1, 5)", 6.0, 0),
        ("default(p2, p3)", 2.0, Quality.STALE),
        ("default(p2, default(p3, p1))", 6.0, 0),
        ("default(p1 / 0, -1)", -1, 0),
        ("default(p1 * 1e308 * 10, -1)", -1, 0),
        ("default(p1 * 1e308 * 10, -1) > 0", False, 0),
        ("default(sqrt(-p1), p1)", 6.0, 0),
        ("accept(p2)", 3.0, 0),
        ("accept(p2) + p3", 5.0, Quality.STALE),
        ("p3 + accept(p2)", 5.0, Quality.STALE),
        ("default(p2, 0) + accept(p2) + p1", 9.0, 0),
    ],
)
def test_the_quality_is_that_of_what_was_read(text: str, value: Value, quality: int) -> None:
    outcome = result(text, {"p1": GOOD, "p2": BAD, "p3": STALE})
    assert outcome == (value, quality, NOW, None)
    assert type(outcome.value) is type(value)


@pytest.mark.parametrize(
    ("text", "value", "quality"),
    [
        ("p2", None, INVALID),
        ("p1 + p2", None, INVALID),
        ("p3 + p2", None, INVALID | COMM_LOST),
        ("p2 > 5", None, INVALID),
        ("p2 == p1", None, INVALID),
        ("not p2", None, INVALID),
        ("p1 if p2 else p1", None, INVALID),
        ("age(p2)", None, INVALID),
        ("accept(p2)", None, INVALID),
        ("p2[-1]", None, INVALID),
        ("p1[-2]", None, INVALID),
        ("mean(p2, '1h')", None, INVALID),
        ("sum(p2, '1h')", None, INVALID),
        ("default(p2, p2)", None, INVALID),
        ("default(p2, 7)", 7, 0),
        ("default(p1[-2], p1)", 6.0, 0),
        ("default(mean(p2, '1h'), 7)", 7, 0),
        ("count(p2, '1h')", 0, 0),
        ("coverage(p2, '1h')", 0, 0),
        ("quality(p2)", INVALID, 0),
        ("bad(p2)", True, 0),
        ("p2 if valid(p2) else p1", 6.0, 0),
        ("bad(p2) or age(p2) > 60", True, 0),
        ("p1 > 5 or p2 > 5", True, 0),
    ],
)
def test_a_missing_input_gives_no_value_unless_it_is_dealt_with(text: str, value: Value, quality: int) -> None:
    outcome = result(text, {"p1": GOOD, "p2": MISSING, "p3": BAD})
    assert outcome[:2] == (value, quality)
    assert (outcome.error is None) == (value is not None)


@pytest.mark.parametrize("nothing", [None, math.nan, math.inf, -math.inf, 10**400])
def test_a_value_that_cannot_be_calculated_with_is_missing(nothing: Value) -> None:
    sample = Sample(NOW - 5, nothing, COMM_LOST)
    assert result("p1", {"p1": sample}) == (None, INVALID | COMM_LOST, NOW - 5, "p1 has no value")
    assert result("p1 < 5 or p1 >= 5", {"p1": sample}).value is None
    assert result("default(p1, 1)", {"p1": sample}) == (1, 0, NOW - 5, None)
    assert result("mean(p1, '1h')", {"p1": sample}).value is None


def test_a_doubtful_time_alone_leaves_a_value_usable() -> None:
    given = {"p1": Sample(NOW, 4.0, TIME_INVALID)}
    assert result("p1 + 1", given)[:2] == (5.0, TIME_INVALID)
    assert result("default(p1, 0)", given)[:2] == (4.0, TIME_INVALID)
    assert result("mean(p1, '1m')", given)[:2] == (4.0, TIME_INVALID)
    assert result("valid(p1) and not bad(p1) and not good(p1)", given)[:2] == (True, 0)
    assert result("default(p1, 0)", {"p1": Sample(NOW, 4.0, TIME_INVALID | COMM_LOST)})[:2] == (0, 0)


@pytest.mark.parametrize(
    ("text", "error"),
    [
        ("1 / p1", "division by zero"),
        ("1 // p1", "division by zero"),
        ("1 % p1", "division by zero"),
        ("p1 ** -1", "division by zero"),
        ("p2 * 1e308 * 10", "the result is beyond the range of numbers"),
        ("p2 * 1e308 * 10 > 5", "the result is beyond the range of numbers"),
        ("p2 * 1e308 * 10 and True", "the result is beyond the range of numbers"),
        ("1 if p2 * 1e308 * 10 else 2", "the result is beyond the range of numbers"),
        ("1 / (p2 * 1e308 * 10)", "the result is beyond the range of numbers"),
        ("-(p2 * 1e308 * 10) < 5", "the result is beyond the range of numbers"),
        ("(p2 * 1e308 * 10) ** 0", "the result is beyond the range of numbers"),
        ("(p2 * 1e308 * 10) ** -1", "the result is beyond the range of numbers"),
        ("0.5 ** (p2 * 1e308 * 10)", "the result is beyond the range of numbers"),
        ("atan(p2 * 1e308 * 10)", "the result is beyond the range of numbers"),
        ("p2 * 1e308 * 10 - p2 * 1e308 * 10", "the result is beyond the range of numbers"),
        ("exp(p2 * 1000)", "the result is beyond the range of numbers"),
        ("10 ** (p2 * 1000)", "the result is beyond the range of numbers"),
        ("sqrt(-p2)", "a function has no result for this argument"),
        ("log(p1)", "a function has no result for this argument"),
        ("(-p2) ** 0.5", "a fractional power of a negative number"),
        ("clamp(p1, 2, 1)", "the lower limit of clamp is above the upper one"),
        ("scale(p1, 1, 1, 0, 5)", "scale from a range that has no width"),
        ("bit(p2 / 2, 0)", "bit of a value that is no whole number"),
        ("bit(p2, 64)", "bits have the numbers 0 to 63"),
        ("round(p2, 16)", "round takes a whole number of digits from -15 to 15"),
        ("rate(p2, '1h')", "rate of p2: a rate needs some time between two values"),
        ("stddev(p2, '1h')", "stddev of p2: a standard deviation needs two values"),
        ("p3", "p3 has no value"),
        ("p3[-2]", "p3 has fewer than 2 samples"),
        ("last(p3, '1h')", "last of p3: no usable value in the window"),
    ],
)
def test_a_calculation_without_result_says_why(text: str, error: str) -> None:
    given = {"p1": 0, "p2": 5, "p3": Sample(NOW, None, COMM_LOST)}
    value, quality, time, why = result(text, given)
    assert (value, time, why) == (None, NOW, error)
    assert quality & INVALID


def test_whole_numbers_are_exact_up_to_64_bits_and_floating_point_beyond() -> None:
    counter = {"p1": 2**63 + 1, "p2": 2**63}
    assert result("p1 - p2", counter).value == 1
    assert result("p1", counter).value == 2**63 + 1
    assert result("p1 ** 3 - p2 ** 3 > 0", counter).value is True
    assert result("p1 * 4 - p2 * 4", counter).value == 4
    for text in ("p1 * 4", "p1 ** 2", "p1 ** 9", "p1 * 4 if good(p2) else 0"):
        value = result(text, counter).value
        assert type(value) is float
        assert value == pytest.approx(float(eval(text.partition(" if")[0], {"p1": 2**63 + 1})))
    assert result("floor(1e300)").value == 1e300
    assert result("p1", {"p1": 10**30}).value == 1e30


# Texts


def test_texts_can_only_be_compared_and_handed_on() -> None:
    given = {"p1": "open", "p2": "open", "p3": 5}
    assert result("p1 == p2", given)[:2] == (True, 0)
    assert result("p1 != p2 or p1 == p3", given)[:2] == (False, 0)
    assert result("p1", given)[:2] == ("open", 0)
    assert result("p1 if p3 > 1 else p2", given).value == "open"
    assert result("default(p1, p2)", given)[:2] == ("open", 0)
    assert result("accept(p1)", given).value == "open"
    assert result("(p1 if p3 > 1 else p3 * 2) == p2", given)[:2] == (True, 0)
    assert result("default(p1 if p3 > 1 else p3 * 2, 0)", given).value == "open"
    assert result("default(p3 / 0, p1 if p3 > 1 else p3 * 2)", given).value == "open"
    assert result("quality(p1) == 0 and good(p1)", given)[:2] == (True, 0)


@pytest.mark.parametrize(
    "text",
    ["p1 + p2", "p1 * 3", "p1 % p3", "p1 < p2", "p1 == p2 < 5", "not p1", "p1 and p3", "max(p1, p2)", "-p1"],
)
def test_a_text_in_a_calculation_is_no_value(text: str) -> None:
    value, quality, _, error = result(text, {"p1": "op%n", "p2": "open", "p3": 5})
    assert (value, quality, error) == (None, INVALID, "p1 is a text")


def test_a_stored_text_is_treated_alike() -> None:
    given = {"p1": [Sample(NOW - 1, "open"), Sample(NOW, "closed")]}
    assert result("p1 == p1[-2]", given).value is False
    assert result("p1[-2]", given).value == "open"
    assert result("p1[-2] + 1", given)[::3] == (None, "p1[-2] is a text")
    assert result("last(p1, '1h')", given).value is None


# Time


def test_the_result_has_the_time_of_the_newest_input_used_or_not() -> None:
    given = {"p1": Sample(NOW - 50, 5.0), "p2": Sample(NOW - 20, 7.0, COMM_LOST), "p3": Sample(NOW - 1, 1.0)}
    assert result("p1 if good(p1) else p2", given) == (5.0, 0, NOW - 20, None)
    assert result("p2 if good(p2) else p1", given) == (5.0, 0, NOW - 20, None)
    assert result("p1 + p1", given).time == NOW - 50
    assert result("p1 + p3 * 2", given).time == NOW - 1
    assert result("p3 * 2 + p1", given).time == NOW - 1
    assert result("p1 / 0", given).time == NOW - 50
    assert result("5", given).time == NOW
    assert result("default(p1, 5)", {}).time == NOW


@pytest.mark.parametrize("text", ["age(p1) > 5", "mean(p1, '1h')", "p1 + p1.max()", "bad(p1) or age(p1) < 0"])
def test_what_changes_as_time_passes_has_the_time_of_its_evaluation(text: str) -> None:
    assert compile_expression(text, NAMES).uses_time
    assert result(text, {"p1": Sample(NOW - 50, 5.0)}).time == NOW
    assert result(text, {"p1": Sample(NOW + 50, 5.0)}).time == NOW + 50


def test_age_is_in_seconds_and_never_negative() -> None:
    given = {"p1": [Sample(NOW - 90.5, 1.0), Sample(NOW - 30.25, 2.0)], "p2": Sample(NOW + 5, 1.0)}
    assert result("age(p1)", given).value == 30.25
    assert result("age(p1[-2])", given).value == 90.5
    assert result("age(p2)", given).value == 0.0


# Stored samples


def test_an_index_counts_from_the_newest_sample() -> None:
    given = {"p1": [Sample(NOW - 3, 10.0, COMM_LOST), Sample(NOW - 2, 20.0), Sample(NOW - 1, True)]}
    assert result("p1[-1]", given)[:2] == (True, 0)
    assert result("p1[-2] + p1", given)[:2] == (21.0, 0)
    assert result("p1[-3]", given)[:2] == (10.0, COMM_LOST)
    assert result("quality(p1[-3])", given)[:2] == (COMM_LOST, 0)
    assert result("p1[-4]", given)[::3] == (None, "p1 has fewer than 4 samples")
    assert compile_expression("p1[-4] + p1[-2] + p2[-1]", NAMES).recent == {"p1": 4}


# What the compiled expression tells


def test_it_tells_what_it_needs() -> None:
    expression = compile_expression("p1 + p2[-3] + mean(p1, '15m') + p1.max('500ms') + p3.last()", NAMES)
    assert expression.names == {"p1", "p2", "p3"}
    assert expression.recent == {"p2": 3}
    assert expression.windows == {"p1": 900.0, "p3": math.inf}
    assert expression.uses_time
    assert not compile_expression("p1 + p2[-3]", NAMES).uses_time
    assert repr(compile_expression("p1", NAMES)) == "Expression('p1')"


@pytest.mark.parametrize(
    ("text", "boolean"),
    [
        ("p1 > 5", True),
        ("not p1", True),
        ("p1 and p2", True),
        ("True", True),
        ("good(p1)", True),
        ("bit(p1, 3)", True),
        ("p1 > 5 if p2 > 5 else False", True),
        ("default(p1 > 5, True)", True),
        ("accept(p1 > 5)", True),
        ("p1", False),
        ("p1 if p2 else True", False),
        ("default(p1, True)", False),
        ("quality(p1)", False),
    ],
)
def test_it_tells_whether_it_is_a_condition(text: str, boolean: bool) -> None:
    assert compile_expression(text, NAMES).boolean is boolean


def test_an_input_that_keeps_no_samples_is_a_mistake_of_the_caller() -> None:
    expression = compile_expression("mean(p1, '1m')", NAMES)
    with pytest.raises(TypeError, match="input of p1 keeps no samples"):
        expression.evaluate({"p1": Input()}, NOW)
    with pytest.raises(KeyError):
        expression.evaluate({}, NOW)


# The rule of an item


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("value < 10", True),
        ("abs(value - previous) < 3", False),
        ("previous == 2", True),
        ("quality == 0", False),
        ("age > 5", True),
        ("valid(value) and value > 5 or age(value) > 5", True),
        ("max(value, previous) == value", True),
        ("value.max() - value[-3] == 4", True),
    ],
)
def test_the_rule_of_an_item_may_use_further_names(text: str, value: Value) -> None:
    rule = compile_expression(text, ITEM_NAMES, ITEM_ALIASES)
    assert rule.names == {"value"}
    samples = [Sample(NOW - 8, 1.0), Sample(NOW - 7, 2.0), Sample(NOW - 6, 5.0, TIME_INVALID)]
    assert rule.evaluate({"value": made(samples, rule, "value")}, NOW).value is value


def test_an_error_in_a_rule_has_its_place_in_the_rule() -> None:
    with pytest.raises(ExpressionError, match=r"line 1, column 12: previus is not known.* did you mean previous"):
        compile_expression("previous + previus", ITEM_NAMES, ITEM_ALIASES)
    with pytest.raises(ExpressionError, match="line 1, column 1: previous is not a function"):
        compile_expression("previous(3)", ITEM_NAMES, ITEM_ALIASES)


@pytest.mark.parametrize(
    ("text", "remedy"),
    [
        ("p1 = 3", "write '=='"),
        ("p1 && p2", "write 'and'"),
        ("!p1", "write 'not'"),
        ("p1 ^ 2", r"write '\*\*'"),
        ("p1 << 2", r"\* 2 \*\* n"),
        ("p1 ? 1 : 2", "write 'a if condition else b'"),
        ("{p1} + 1", "write p1"),
        ("p1 × 2", r"write '\*'"),
        ("ｐ1", "write 'p'"),
        ("avg(p1, '1h')", "did you mean average"),
        ("averag(p1, '1h')", "did you mean average"),
        ("SQRT(p1)", "did you mean sqrt"),
        ("sqr(p1)", "did you mean sqrt"),
        ("isnan(p1)", "did you mean bad"),
        ("p1.maximum()", "did you mean max"),
        ("p4", "p4 is not known; there are p1, p2, p3"),
        ("true", "did you mean True"),
        ("p1 if p2", "else is missing"),
        ("p1 p2", "something is missing"),
        ("mean(p1, '15min')", "write a number and ms, s, m, h or d"),
        ("percentile(p1, '1h')", r"write percentile\(p1, 95, '15m'\)"),
        ("mean(p1 + p2, '1h')", "mean needs a parameter"),
        ("min(5)", r"min takes 2 to 1000 arguments, not 1, or a window: min\(p1, '15m'\)"),
        ("p1.max", r"write max\(\) with brackets"),
        ("mean", r"write mean\(\.\.\.\)"),
        ("3 (p1)", "an operator is missing"),
        ("p1(p2)", "an operator is missing"),
        ("p1[5]", r"write p1\[-1\] for the newest"),
        ("p1 is None", "write '=='"),
        ("0,5 * p1", "write '.' in decimal numbers"),
        ("None", "default"),
    ],
)
def test_a_message_names_the_remedy(text: str, remedy: str) -> None:
    with pytest.raises(ExpressionError, match=remedy):
        compile_expression(text, NAMES)


def test_an_expression_may_have_line_ends_and_blanks_anywhere() -> None:
    assert result("\n  p1\n\t+ 2\r\n", {"p1": 5}).value == 7
    with pytest.raises(ExpressionError) as caught:
        compile_expression("\n  p1\n\t+ p7\r\n", NAMES)
    assert (caught.value.line, caught.value.column) == (3, 4)
