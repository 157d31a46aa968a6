"""The process image of the simulated RTU: what it refuses, and the images of the command line."""

from __future__ import annotations

from collections import Counter

import pytest

from pydatacoll.model.quality import Quality
from pydatacoll.protocols.iec104 import elements as e
from pydatacoll.protocols.iec104.asdu import decode
from pydatacoll.testing.iec104_points import Block, Iec104Point, Image, State, Value, event, make_element
from pydatacoll.testing.iec104_simulation import points_like_a_substation, points_of_types


@pytest.mark.parametrize(
    ("points", "message"),
    [
        ([Iec104Point(address=1), Iec104Point(address=1)], "address 1 of common address 1 is there twice"),
        (
            [
                Iec104Point(address=1, command=True, command_address=5),
                Iec104Point(address=5, type="", command="C_SC_NA_1"),
            ],
            "commands to address 5 of common address 1 are there twice",
        ),
        ([Iec104Point(address=1, type="C_SC_NA_1")], "C_SC_NA_1 carries no value of a point"),
        ([Iec104Point(address=1, type="M_EI_NA_1")], "M_EI_NA_1 carries no value of a point"),
        ([Iec104Point(address=1, type="M_XY_NA_1")], "no type identification"),
        ([Iec104Point(address=1, type="M_IT_NA_1", command=True)], "no command that goes with it"),
        ([Iec104Point(address=1, type="", command=True)], "no type has no command that goes with it"),
        ([Iec104Point(address=1, command="C_IC_NA_1")], "C_IC_NA_1 is no command that a point can have"),
    ],
)
def test_what_cannot_be_a_point_is_refused(points: list[Iec104Point], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        Image(points)


@pytest.mark.parametrize(
    ("kind", "value", "expected"),
    [
        (e.SinglePoint, 1, e.SinglePoint(True, e.IV | e.BL)),
        (e.DoublePoint, 2, e.DoublePoint(2, e.IV | e.BL)),
        (e.StepPosition, -3, e.StepPosition(-3, False, e.IV | e.BL | e.OV)),
        (e.ShortFloat, 1.5, e.ShortFloat(1.5, e.IV | e.BL | e.OV)),
        (e.NormalizedOnly, 0.5, e.NormalizedOnly(0.5)),
        (e.PackedSingles, 3, e.PackedSingles(3, 0, e.IV | e.BL | e.OV)),
        (e.ProtectionEvent, 2, e.ProtectionEvent(2, e.IV | e.BL)),
    ],
)
def test_quality_is_said_as_far_as_the_type_can(kind: type[e.Element], value: Value, expected: e.Element) -> None:
    assert not isinstance(value, e.Element)
    assert make_element(kind, value, Quality.INVALID | Quality.BLOCKED | Quality.OVERFLOW) == expected


def test_a_block_is_made_anew_when_one_of_its_values_changes() -> None:
    states = [State(Iec104Point(address=number)) for number in (1, 2, 3)]
    block = Block(states, sequence=True)
    before = block.asdu(20, 0.0)
    assert block.asdu(21, 0.0)[3:] == before[3:]
    states[1].set(None, int(Quality.SUBSTITUTED))
    assert [each.element for each in decode(block.asdu(20, 0.0)).objects] == [
        e.ShortFloat(0.0), e.ShortFloat(0.0, e.SB), e.ShortFloat(0.0),
    ]  # fmt: skip


def test_points_that_move_are_asked_each_time() -> None:
    state = State(Iec104Point(address=1, moves=lambda elapsed: elapsed * 2))
    block = Block([state], sequence=False)
    assert decode(block.asdu(20, 1.5)).objects[0].element == e.ShortFloat(3.0)
    assert decode(block.asdu(20, 2.5)).objects[0].element == e.ShortFloat(5.0)
    assert decode(event(state, 3, None)).objects[0].element == e.ShortFloat(5.0)


def test_the_image_of_a_substation() -> None:
    points = points_like_a_substation([1, 3], 100)
    kinds = Counter((point.common, point.type) for point in points)
    assert kinds == {
        (common, name): number
        for common in (1, 3)
        for name, number in {
            "M_SP_NA_1": 40, "M_DP_NA_1": 10, "M_ST_NA_1": 5, "M_ME_NC_1": 35, "M_ME_NB_1": 5, "M_IT_NA_1": 5,
        }.items()
    }  # fmt: skip
    image = Image(points)
    assert image.commons == {1, 3}
    assert image.of(1, 10_001).point.select
    assert (image.of(1, 40_001).command, image.of(1, 50_001).point.moves is not None) == (None, True)
    assert {len(points_like_a_substation([1], number)) for number in (1, 2, 7, 99)} == {1, 2, 7, 99}
    assert len(Image(points_like_a_substation([1], 20_000)).states) == 20_000


def test_an_image_of_given_types() -> None:
    points = points_of_types([1], 5, ["M_SP_TB_1", "15"])
    assert [(point.address, point.type) for point in points] == [
        (1, "M_SP_TB_1"), (2, "M_SP_TB_1"), (3, "M_SP_TB_1"), (4, "15"), (5, "15"),
    ]  # fmt: skip
    assert [point.moves is not None for point in points] == [False, False, False, True, True]
