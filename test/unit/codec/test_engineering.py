"""What a user writes -> what a type holds exactly."""

from __future__ import annotations

import contextlib

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pydatacoll.codec import engineering
from pydatacoll.errors import Invalid


@pytest.mark.parametrize("value", [True, 1, 1.0, "1", "true"])
def test_true(value: engineering.Value) -> None:
    assert engineering.to_bool(value) is True


@pytest.mark.parametrize("value", [False, 0, -0.0, "0", "false"])
def test_false(value: engineering.Value) -> None:
    assert engineering.to_bool(value) is False


@pytest.mark.parametrize("value", [2, "True", "yes", "", None, 0.5, float("nan")])
def test_neither(value: engineering.Value) -> None:
    with pytest.raises(Invalid, match="true or false"):
        engineering.to_bool(value)


@pytest.mark.parametrize(
    ("value", "expected"), [("+5", 5), ("-.5e1", -5.0), ("5.", 5.0), (7, 7), (0.1, 0.1), ("1" * 40, int("1" * 40))]
)
def test_numbers(value: engineering.Value, expected: float) -> None:
    found = engineering.to_number(value)
    assert found == expected
    assert type(found) is type(expected)


@pytest.mark.parametrize("value", ["", " 5", "5 ", "1,5", "0x10", "1_000", "inf", "٥", True, None])
def test_no_numbers(value: engineering.Value) -> None:
    with pytest.raises(Invalid, match="a number is expected"):
        engineering.to_number(value)


def test_between_two_steps() -> None:
    assert engineering.to_integer(0.3, (0, 10), 0.1, 0.0, "uint8") == 3
    with pytest.raises(Invalid, match=r"steps of 0\.1 from -5"):
        engineering.to_integer(0.35, (0, 100), 0.1, -5.0, "uint8")


def test_the_range_is_told_in_engineering_values() -> None:
    with pytest.raises(Invalid, match="-1 to 0"):
        engineering.to_integer(0.1, (0, 10), -0.1, 0.0, "uint8")
    with pytest.raises(Invalid, match="0 to 10"):
        engineering.to_integer(11, (0, 10), 1.0, 0.0, "uint8")


def test_a_float_must_fit_its_format() -> None:
    assert engineering.to_float("3.4e38", "<f", 1.0, 0.0, "R32") == 3.4e38
    with pytest.raises(Invalid, match="does not fit R32"):
        engineering.to_float(3.41e38, "<f", 1.0, 0.0, "R32")
    with pytest.raises(Invalid, match="does not fit R32"):
        engineering.to_float(1.0, "<f", 1e-39, 0.0, "R32")


@given(
    st.one_of(st.none(), st.booleans(), st.integers(), st.floats(), st.text()),
    st.floats(allow_nan=False, allow_infinity=False),
    st.floats(allow_nan=False, allow_infinity=False),
)
def test_nothing_but_invalid_is_raised(value: engineering.Value, coefficient: float, base: float) -> None:
    with contextlib.suppress(Invalid):
        assert 0 <= engineering.to_integer(value, (0, 65535), coefficient, base, "uint16") <= 65535
    with contextlib.suppress(Invalid):
        engineering.to_float(value, "<f", coefficient, base, "R32")
