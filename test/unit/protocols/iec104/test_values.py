"""Engineering value -> raw value -> element of a command. Ends and states are those of IEC 60870-5-101, 7.2.6."""

from __future__ import annotations

import contextlib
import struct

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from pydatacoll.errors import Invalid
from pydatacoll.model import Value
from pydatacoll.protocols.iec104 import control
from pydatacoll.protocols.iec104.config import Iec104Device, Iec104Term, Iec104TermItem, Target, resolve
from pydatacoll.protocols.iec104.values import to_element, to_raw

DEVICE = Iec104Device(id="d", name="d", protocol="iec104")
TERM = Iec104Term(id="t", name="t", device_id="d", address=7)
LAST = 1 - 2**-15
"""The greatest normalized value."""


def point(code_type: str | None, **options: object) -> tuple[Target, Iec104TermItem]:
    fields = {"term_id": "t", "item_id": "i", "protocol_code": "6001", "writable": True, **options}
    item = msgspec.convert({**fields, **({"code_type": code_type} if code_type else {})}, Iec104TermItem)
    return resolve(DEVICE, TERM, item), item


def raw(value: Value, code_type: str, **options: object) -> Value:
    return to_raw(*point(code_type, **options), value)


@pytest.mark.parametrize(
    ("value", "code_type", "expected"),
    [
        (True, "M_SP_TB_1", True),
        (0, "C_SC_NA_1", False),
        ("on", "45", True),
        ("off", "45", False),
        ("false", "45", False),
        (1, "M_DP_TB_1", 1),
        (2.0, "M_DP_TB_1", 2),
        ("2", "46", 2),
        (True, "46", 2),
        (False, "46", 1),
        ("on", "46", 2),
        ("off", "46", 1),
        ("true", "46", 2),
        (1, "47", 1),
        ("higher", "M_ST_NA_1", 2),
        ("lower", "47", 1),
        (0.5, "M_ME_NA_1", 0.5),
        (-1, "48", -1.0),
        (LAST, "48", LAST),
        ("0.25", "M_ME_ND_1", 0.25),
        (32767, "M_ME_NB_1", 32767),
        ("-32768", "49", -32768),
        (5.0, "49", 5),
        (0.1, "50", 0.1),
        (3.4e38, "M_ME_TF_1", 3.4e38),
        (2**32 - 1, "51", 2**32 - 1),
        ("0", "M_BO_NA_1", 0),
    ],
)
def test_raw_values(value: Value, code_type: str, expected: Value) -> None:
    found = raw(value, code_type)
    assert found == expected
    assert type(found) is type(expected)


@pytest.mark.parametrize(
    ("value", "code_type", "message"),
    [
        (2, "45", "true or false"),
        ("ON", "45", "true or false"),
        (None, "45", "true or false"),
        (0, "46", r"1 \(off\) or 2 \(on\)"),
        (3, "46", "permits no other"),
        (5, "46", "permits no other"),
        (1.5, "46", "permits no other"),
        ("lower", "46", r"1 \(off\)"),
        (True, "47", r"1 \(lower\) or 2 \(higher\)"),
        (0, "47", "permits no other"),
        ("on", "47", "higher"),
        (1.5, "48", "-1 to 0.99996948"),
        (1.0, "48", "one step, 2\\^-15, below 1"),
        (-1.00001, "48", "outside"),
        (float("nan"), "48", "finite"),
        (True, "48", "a number is expected"),
        (40000, "49", "-32768 to 32767"),
        (-32769, "49", "outside"),
        (0.5, "49", "steps of 1"),
        (3.5e38, "50", "does not fit"),
        (float("inf"), "50", "finite"),
        ("1e39", "50", "does not fit"),
        (-1, "51", "0 to 4294967295"),
        (2**32, "51", "outside"),
        (1.5, "51", "steps"),
        ("0x10", "51", "a number is expected"),
    ],
)
def test_values_that_do_not_fit_are_refused(value: Value, code_type: str, message: str) -> None:
    with pytest.raises(Invalid, match=message):
        raw(value, code_type)


def test_scaling_goes_the_other_way() -> None:
    assert raw(23.5, "49", coefficient=0.1) == 235
    assert raw(110.0, "48", coefficient=220.0) == 0.5
    assert raw(-40.0, "50", coefficient=0.5, base_val=-40.0) == 0.0
    with pytest.raises(Invalid, match=r"steps of 0\.1"):
        raw(23.55, "49", coefficient=0.1)
    with pytest.raises(Invalid, match=r"-3276.8 to 3276.7"):
        raw(3276.8, "49", coefficient=0.1)
    with pytest.raises(Invalid, match=r"-220 to 219.99329"):
        raw(220.0, "48", coefficient=220.0)


def test_the_nearest_normalized_value_is_taken() -> None:
    assert raw(0.1, "48") == 3277 / 32768


def test_a_point_without_command_takes_nothing() -> None:
    with pytest.raises(Invalid, match="command_type"):
        raw(1, "M_IT_TB_1")


@pytest.mark.parametrize(
    ("code_type", "value", "expected"),
    [
        ("45", True, control.SingleCommand(True, 2, True)),
        ("M_DP_NA_1", 2, control.DoubleCommand(2, 2, True)),
        ("47", 1, control.StepCommand(1, 2, True)),
        ("48", 0.5, control.NormalizedSetPoint(0.5, 2, True)),
        ("49", -7, control.ScaledSetPoint(-7, 2, True)),
        ("63", 1.5, control.ShortFloatSetPoint(1.5, 2, True)),
        ("51", 9, control.BitStringCommand(9)),
    ],
)
def test_elements(code_type: str, value: Value, expected: object) -> None:
    command = point(code_type, qualifier=2)[0].command
    assert command is not None
    assert to_element(command, value, select=True) == expected


numbers = st.one_of(st.none(), st.booleans(), st.integers(), st.floats(), st.text())


@given(st.sampled_from(["45", "46", "47", "48", "49", "50", "51", "58", "64"]), numbers, st.booleans())
def test_what_is_taken_can_be_sent_and_is_what_was_asked_for(code_type: str, value: Value, select: bool) -> None:
    target, item = point(code_type)
    command = target.command
    assert command is not None
    with contextlib.suppress(Invalid):
        given_raw = to_raw(target, item, value)
        assert to_raw(target, item, given_raw) == given_raw  # the manager checks again what the API has checked
        element = to_element(command, given_raw, select=select)
        packed = struct.pack("<" + element.FORMAT, *element.pack())
        back = type(element).unpack(struct.unpack("<" + element.FORMAT, packed))
        if isinstance(value, (int, float)) and not isinstance(value, bool):
            sent = getattr(back, back.__struct_fields__[0])
            assert abs(sent - value) <= max(2**-16, abs(value) * 2**-24)


@given(
    st.integers(-32768, 32767),
    st.sampled_from([0.1, 0.01, 2.0, -0.5, 220.0]),
    st.sampled_from([0.0, -40.0, 273.15]),
)
@pytest.mark.parametrize("code_type", ["48", "49"])
def test_what_is_read_can_be_written_back(code_type: str, steps: int, coefficient: float, base: float) -> None:
    value = steps / 32768 if code_type == "48" else steps
    assert raw(value * coefficient + base, code_type, coefficient=coefficient, base_val=base) == value
