from __future__ import annotations

import pytest

from pydatacoll.protocols.iec104.types import BY_NAME, TYPES, Direction, Tag, find, type_name


def test_all_types_are_there() -> None:
    """Those of the table of ASDUs in IEC 60870-5-104; 41-44, 71-99 and so on are reserved."""
    expected = {*range(1, 22), *range(30, 41), *range(45, 52), *range(58, 65), 70}
    expected |= {*range(100, 108), *range(110, 114), *range(120, 128)}
    assert set(TYPES) == expected
    assert len(BY_NAME) == len(TYPES)


@pytest.mark.parametrize(
    ("number", "name", "command"),
    [
        (1, "M_SP_NA_1", 45),
        (4, "M_DP_TA_1", 46),
        (10, "M_ME_TA_1", 48),
        (12, "M_ME_TB_1", 49),
        (16, "M_IT_TA_1", None),
        (17, "M_EP_TA_1", None),
        (21, "M_ME_ND_1", 48),
        (32, "M_ST_TB_1", 47),
        (33, "M_BO_TB_1", 51),
        (34, "M_ME_TD_1", 48),
        (36, "M_ME_TF_1", 50),
        (40, "M_EP_TF_1", None),
        (64, "C_BO_TA_1", None),
        (70, "M_EI_NA_1", None),
        (103, "C_CS_NA_1", None),
        (107, "C_TS_TA_1", None),
        (113, "P_AC_NA_1", None),
        (126, "F_DR_TA_1", None),
    ],
)
def test_names_and_commands(number: int, name: str, command: int | None) -> None:
    info = find(str(number))
    assert info is find(name.lower())
    assert (info.name, info.command) == (name, command)


def test_a_command_carries_what_the_point_shows() -> None:
    for info in TYPES.values():
        if info.command is not None and info.tagged_command is not None:
            command, tagged = TYPES[info.command], TYPES[info.tagged_command]
            assert command.tagged_command == tagged.number
            assert command.element is tagged.element
            assert (command.tag, tagged.tag) == (Tag.NONE, Tag.CP56)
            assert command.direction is tagged.direction is Direction.CONTROL


@pytest.mark.parametrize("text", ["0", "22", "256", "-1", "M_SP_XX_1", "", "1.5", "²"])
def test_what_is_no_type_is_refused_with_an_example(text: str) -> None:
    with pytest.raises(ValueError, match="such as 36 or M_ME_TF_1"):
        find(text)


def test_unknown_numbers_have_a_description() -> None:
    assert type_name(36) == "M_ME_TF_1 (36)"
    assert type_name(0) == "type 0 (not used)"
    assert type_name(90) == "type 90 (reserved)"
    assert type_name(200) == "type 200 (private)"
