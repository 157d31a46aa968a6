"""Frames <-> octets. Expected octets follow figures 6 to 8 of IEC 60870-5-104."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pydatacoll.protocols.iec104 import apci
from pydatacoll.protocols.iec104.parameters import Parameters


@pytest.mark.parametrize(
    ("frame", "octets", "words"),
    [
        (apci.pack_u(apci.STARTDT_ACT), "68 04 07 00 00 00", "U STARTDT act"),
        (apci.pack_u(apci.STARTDT_CON), "68 04 0b 00 00 00", "U STARTDT con"),
        (apci.pack_u(apci.STOPDT_ACT), "68 04 13 00 00 00", "U STOPDT act"),
        (apci.pack_u(apci.STOPDT_CON), "68 04 23 00 00 00", "U STOPDT con"),
        (apci.pack_u(apci.TESTFR_ACT), "68 04 43 00 00 00", "U TESTFR act"),
        (apci.pack_u(apci.TESTFR_CON), "68 04 83 00 00 00", "U TESTFR con"),
        (apci.pack_s(0), "68 04 01 00 00 00", "S N(R)=0"),
        (apci.pack_s(5), "68 04 01 00 0a 00", "S N(R)=5"),
        (apci.pack_s(32767), "68 04 01 00 fe ff", "S N(R)=32767"),
        (apci.pack_i(0, 0, b"\x64"), "68 05 00 00 00 00 64", "I N(S)=0 N(R)=0"),
        (apci.pack_i(3, 17, b"\1\2"), "68 06 06 00 22 00 01 02", "I N(S)=3 N(R)=17"),
        (apci.pack_i(32767, 128, b"\1"), "68 05 fe ff 00 01 01", "I N(S)=32767 N(R)=128"),
    ],
)
def test_frames(frame: bytes, octets: str, words: str) -> None:
    assert frame.hex(" ") == octets
    assert apci.describe(frame) == words
    assert not apci.begins_wrongly(frame)


@pytest.mark.parametrize(
    "octets",
    ["", "68", "68 04 07", "68 05 07 00 00 00", "69 04 07 00 00 00", "68 03 07 00 00", "68 04 07 00 00 00 00"],
)
def test_what_is_no_frame_is_called_so(octets: str) -> None:
    assert apci.describe(bytes.fromhex(octets)).startswith("no frame")


@pytest.mark.parametrize(
    "octets", ["68 04 47 00 00 00", "68 04 00 00 00 00", "68 04 01 00 01 00", "68 05 00 00 01 00 09"]
)
def test_wrong_control_octets_are_shown(octets: str) -> None:
    assert octets[6:17] in apci.describe(bytes.fromhex(octets))


@given(
    st.lists(
        st.one_of(
            st.builds(apci.pack_s, st.integers(0, 32767)),
            st.binary(min_size=1, max_size=249).map(lambda asdu: apci.pack_i(1, 2, asdu)),
        ),
        min_size=1,
    ),
    st.binary(max_size=5),
)
def test_splitting_loses_nothing(frames: list[bytes], tail: bytes) -> None:
    pieces = list(apci.split(b"".join(frames) + tail))
    assert pieces == frames + ([tail] if tail else [])


@given(st.binary(max_size=600))
def test_any_octets_can_be_split_and_described(data: bytes) -> None:
    pieces = list(apci.split(data))
    assert b"".join(pieces) == data
    assert all(apci.describe(piece) for piece in pieces)


def test_defaults_are_those_of_the_standard() -> None:
    p = Parameters()
    assert (p.k, p.w, p.t0, p.t1, p.t2, p.t3) == (12, 8, 30, 15, 10, 20)
    assert p.warnings() == []


@pytest.mark.parametrize(
    ("name", "values"),
    [
        ("k", {"k": 0}),
        ("k", {"k": 32768}),
        ("w", {"w": 0}),
        ("w", {"w": 32768}),
        ("t0", {"t0": 0.5}),
        ("t0", {"t0": 256}),
        ("t1", {"t1": 256}),
        ("t1", {"t1": 0}),
        ("t2", {"t2": 0.9}),
        ("t2", {"t2": 15}),
        ("t2", {"t1": 5, "t2": 6}),
        ("t3", {"t3": 0}),
        ("t3", {"t3": 172_801}),
        ("t3", {"t3": float("nan")}),
    ],
)
def test_parameters_out_of_range_are_named(name: str, values: dict[str, float]) -> None:
    with pytest.raises(ValueError, match=f"^{name} = "):
        Parameters(**values)  # type: ignore[arg-type]


@pytest.mark.parametrize(
    "values", [{"k": 32767, "w": 1}, {"k": 1, "w": 1}, {"t3": 172_800}, {"t1": 255, "t2": 254}]
)
def test_the_limits_are_allowed(values: dict[str, int]) -> None:
    Parameters(**values)  # type: ignore[arg-type]


def test_w_above_two_thirds_of_k_is_warned_about() -> None:
    assert Parameters(k=12, w=8).warnings() == []
    assert "w = 9" in Parameters(k=12, w=9).warnings()[0]
