"""Which requests a batch of writes becomes."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from pydatacoll.codec.registers import Layout
from pydatacoll.protocols.modbus_tcp.config import Address, Target
from pydatacoll.protocols.modbus_tcp.writes import Step, make_part, plan_writes


def target(
    number: int, kind: str = "uint16", *, table: str = "hr", bit: int | None = None, unit: int = 1
) -> Target:
    layout = Layout("bool" if bit is not None or table == "co" else kind, bit=bit)
    return Target(Address(unit, table, number, bit), layout, 1 if table == "co" else layout.registers)


def steps(*writes: tuple[Target, object]) -> list[Step]:
    parts = [make_part(index, where, value) for index, (where, value) in enumerate(writes)]
    return [step for wave in plan_writes(parts) for step in wave]


def pdus(*writes: tuple[Target, object]) -> list[str]:
    return [step.request().pdu.hex() for step in steps(*writes)]


def test_one_register_is_function_6() -> None:
    assert pdus((target(5), 0x1234)) == ["0600051234"]


def test_one_coil_is_function_5() -> None:
    assert pdus((target(5, table="co"), True)) == ["050005ff00"]
    assert pdus((target(5, table="co"), False)) == ["0500050000"]


def test_a_wide_value_is_function_16() -> None:
    assert pdus((target(5, "uint32"), 0x11223344)) == ["100005" + "0002" + "04" + "11223344"]


def test_contiguous_writes_share_a_request() -> None:
    assert pdus((target(5), 1), (target(6), 2), (target(7, "uint32"), 3)) == ["1000050004080001000200000003"]
    assert pdus((target(6), 2), (target(5), 1)) == ["1000050002" + "04" + "00010002"]
    assert pdus(*((target(n, table="co"), n % 2 == 0) for n in range(10))) == ["0f0000000a02" + "5501"]


def test_a_gap_is_never_written() -> None:
    assert pdus((target(5), 1), (target(7), 2)) == ["0600050001", "0600070002"]


def test_units_and_tables_are_kept_apart() -> None:
    assert len(steps((target(5), 1), (target(6, unit=2), 1), (target(7, table="co"), 1))) == 3


def test_61_floats_fit_and_62_are_two_requests() -> None:
    sizes = [step.end - step.start for step in steps(*((target(n * 2, "float32"), 1.0) for n in range(62)))]
    assert sizes == [122, 2]


def test_bits_use_the_mask() -> None:
    assert pdus((target(4, bit=0), True)) == ["160004fffe0001"]
    assert pdus((target(4, bit=15), False)) == ["1600047fff0000"]
    assert pdus((target(4, bit=0), True), (target(4, bit=1), False)) == ["160004fffc0001"]
    assert len(pdus((target(4, bit=0), True), (target(4, bit=0), False))) == 2


def test_the_same_address_twice_is_two_waves() -> None:
    parts = [make_part(index, target(5), value) for index, value in enumerate((1, 2))]
    assert [[step.request().pdu.hex() for step in wave] for wave in plan_writes(parts)] == [
        ["0600050001"],
        ["0600050002"],
    ]


places = st.tuples(st.integers(0, 30), st.sampled_from(["uint16", "uint32", "float64"]), st.integers(0, 1000))


@given(st.lists(places, max_size=60))
def test_a_simulated_device_ends_with_the_last_value_of_each_register(writes: list[tuple[int, str, int]]) -> None:
    parts = [make_part(i, target(number, kind), value) for i, (number, kind, value) in enumerate(writes)]
    expected: dict[int, bytes] = {}
    for part in parts:
        for offset in range(part.target.size):
            expected[part.span.start + offset] = part.data[offset * 2 : offset * 2 + 2]
    got: dict[int, bytes] = {}
    seen = []
    for wave in plan_writes(parts):
        for index, step in enumerate(wave):
            assert not any(step.overlaps(other) for other in wave[:index])
            data = b"".join(part.data for part in step.parts)
            assert len(data) == (step.end - step.start) * 2 <= 246
            for offset in range(step.end - step.start):
                got[step.start + offset] = data[offset * 2 : offset * 2 + 2]
            seen += [part.index for part in step.parts]
    assert got == expected
    assert sorted(seen) == list(range(len(parts)))
