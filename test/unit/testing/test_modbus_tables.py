"""The simulated device answers as the specification says; expected bytes from V1.1b3, clause 6."""

from __future__ import annotations

import pytest

from pydatacoll.codec.registers import Layout
from pydatacoll.testing.modbus_tables import Unit, handle
from pydatacoll.testing.signals import Counter, Fixed, Ramp, RandomWalk, Sine


def ask(unit: Unit, pdu: str, time: float = 0.0) -> str:
    return handle(unit, bytes.fromhex(pdu), time).hex(" ").upper()


def test_reading() -> None:
    unit = Unit()
    unit.holding[107:110] = [0x022B, 0, 0x64]
    assert ask(unit, "03 00 6B 00 03") == "03 06 02 2B 00 00 00 64"
    unit.inputs[8] = 10
    assert ask(unit, "04 00 08 00 01") == "04 02 00 0A"
    for number, bit in enumerate("1011001111010110101"):
        unit.coils[0x13 + number] = bit == "1"
    assert ask(unit, "01 00 13 00 13") == "01 03 CD 6B 05"
    unit.discrete[1] = True
    assert ask(unit, "02 00 00 00 02") == "02 01 02"


def test_writing() -> None:
    unit = Unit()
    assert ask(unit, "05 00 AC FF 00") == "05 00 AC FF 00"
    assert unit.coils[0xAC]
    assert ask(unit, "06 00 01 00 03") == "06 00 01 00 03"
    assert unit.holding[1] == 3
    assert ask(unit, "0F 00 13 00 0A 02 CD 01") == "0F 00 13 00 0A"
    assert [unit.coils[n] for n in range(0x13, 0x1D)] == [bit == "1" for bit in "1011001110"]
    assert ask(unit, "10 00 01 00 02 04 00 0A 01 02") == "10 00 01 00 02"
    assert unit.holding[1:3] == [10, 0x102]
    unit.holding[4] = 0x12
    assert ask(unit, "16 00 04 00 F2 00 25") == "16 00 04 00 F2 00 25"
    assert unit.holding[4] == 0x17
    assert ask(unit, "17 00 01 00 02 00 02 00 01 02 00 63") == "17 04 00 0A 00 63"


@pytest.mark.parametrize(
    ("pdu", "code"),
    [
        ("2B 0E 01 00", 1),
        ("03 FF FF 00 02", 2),
        ("03 00 32 00 01", 2),
        ("06 00 32 00 01", 2),
        ("03 00 00 00 00", 3),
        ("03 00 00 00 7E", 3),
        ("01 00 00 07 D1", 3),
        ("03 00 00", 3),
        ("05 00 00 12 34", 3),
        ("10 00 00 00 02 04 00 0A", 3),
        ("10 00 00 00 7C F8", 3),
        ("0F 00 00 00 0A 01 FF", 3),
        ("16 00 04 00 F2", 3),
        ("17 00 01 00 02 00 02 00 01 02", 3),
        ("03", 3),
    ],
)
def test_exceptions(pdu: str, code: int) -> None:
    unit = Unit()
    unit.holding.holes.add(50)
    function = int(pdu[:2], 16)
    assert ask(unit, pdu) == f"{function | 0x80:02X} {code:02X}"


def test_a_limited_table_ends() -> None:
    unit = Unit()
    unit.limit(10)
    assert ask(unit, "03 00 09 00 01") == "03 02 00 00"
    assert ask(unit, "03 00 09 00 02") == "83 02"
    with pytest.raises(ValueError, match="65536"):
        unit.limit(65537)


def test_signals_move_and_end_when_written() -> None:
    unit = Unit()
    unit.holding.signal(0, Counter())
    assert [ask(unit, "03 00 00 00 01")[-5:] for _ in range(3)] == ["00 00", "00 01", "00 02"]
    unit.holding.signal(2, Ramp(10, 20, 1), Layout("float32"), scale=0.5)
    assert ask(unit, "03 00 02 00 02", 2.0) == "03 04 41 C0 00 00"  # (10 + 2) / 0.5 = 24.0
    assert ask(unit, "03 00 03 00 01", 3.0) == "03 02 00 00"
    unit.holding.signal(5, Fixed(1e9))
    assert ask(unit, "03 00 05 00 01") == "03 02 FF FF"
    ask(unit, "06 00 00 00 63")
    assert ask(unit, "03 00 00 00 01") == "03 02 00 63"
    unit.coils.signal(0, Sine(0, 1, 4))
    assert [ask(unit, "01 00 00 00 01", time)[-2:] for time in (1, 3)] == ["01", "00"]


def test_random_walk_stays_within_its_ends() -> None:
    walk = RandomWalk(0, 10, 100, seed=4)
    values = [walk.at(time) for time in range(200)]
    assert 0 <= min(values) < max(values) <= 10
    assert len(set(values)) > 10
