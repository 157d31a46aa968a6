"""Bytes <-> frames. Expected bytes are the examples of MODBUS Application Protocol V1.1b3, clause 6."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pydatacoll.protocols.modbus_tcp import frames
from pydatacoll.protocols.modbus_tcp.frames import (
    LocalProtocolError,
    ModbusException,
    RemoteProtocolError,
    Splitter,
    pack_frame,
)


@pytest.mark.parametrize(
    ("request_", "pdu", "reply"),
    [
        (frames.read(1, 1, 0x13, 0x13), "01 00 13 00 13", "01 03 CD 6B 05"),
        (frames.read(1, 2, 0xC4, 0x16), "02 00 C4 00 16", "02 03 AC DB 35"),
        (frames.read(1, 3, 0x6B, 3), "03 00 6B 00 03", "03 06 02 2B 00 00 00 64"),
        (frames.read(1, 4, 8, 1), "04 00 08 00 01", "04 02 00 0A"),
        (frames.write_coil(1, 0xAC, True), "05 00 AC FF 00", "05 00 AC FF 00"),
        (frames.write_register(1, 1, b"\0\3"), "06 00 01 00 03", "06 00 01 00 03"),
        (frames.write_coils(1, 0x13, b"\xcd\1", 10), "0F 00 13 00 0A 02 CD 01", "0F 00 13 00 0A"),
        (frames.write_registers(1, 1, b"\0\x0a\1\2"), "10 00 01 00 02 04 00 0A 01 02", "10 00 01 00 02"),
        (frames.mask_write(1, 4, 0xF2, 0x25), "16 00 04 00 F2 00 25", "16 00 04 00 F2 00 25"),
        (
            frames.read_write(1, 3, 6, 14, b"\0\xff" * 3),
            "17 00 03 00 06 00 0E 00 03 06 00 FF 00 FF 00 FF",
            "17 0C 00 FE 0A CD 00 01 00 03 00 0D 00 FF",
        ),
    ],
)
def test_examples_of_the_specification(request_: frames.Request, pdu: str, reply: str) -> None:
    assert request_.pdu == bytes.fromhex(pdu)
    data = request_.parse(1, bytes.fromhex(reply))
    assert data == (b"" if request_.size is None else bytes.fromhex(reply)[2:])


def test_header() -> None:
    assert pack_frame(0x1501, 0xFF, b"\3\0\4\0\1").hex() == "150100000006ff0300040001"
    request = frames.read(0xFF, 3, 4, 1)
    assert b"\x15\1" + request.tail == pack_frame(0x1501, 0xFF, request.pdu)


REQUEST = frames.read(1, 3, 0, 2)


@pytest.mark.parametrize(
    ("unit", "reply", "kind"),
    [
        (2, "03 04 00 01 00 02", "bad_unit"),
        (1, "04 04 00 01 00 02", "bad_function"),
        (1, "84 02", "bad_function"),
        (1, "03", "bad_count"),
        (1, "03 00", "bad_count"),
        (1, "03 02 00 01", "bad_count"),
        (1, "03 06 00 01 00 02 00 03", "bad_count"),
        (1, "03 04 00 01", "bad_count"),
        (1, "03 04 00 01 00 02 00", "bad_count"),
        (1, "83", "bad_count"),
        (1, "83 02 00", "bad_count"),
        (1, "", "bad_count"),
    ],
)
def test_wrong_replies(unit: int, reply: str, kind: str) -> None:
    with pytest.raises(RemoteProtocolError) as caught:
        REQUEST.parse(unit, bytes.fromhex(reply))
    assert caught.value.kind == kind


def test_a_write_must_be_echoed() -> None:
    with pytest.raises(RemoteProtocolError) as caught:
        frames.write_register(1, 1, b"\0\3").parse(1, bytes.fromhex("06 00 01 00 04"))
    assert caught.value.kind == "bad_echo"


def test_an_exception_is_an_answer() -> None:
    answer = REQUEST.parse(1, b"\x83\2")
    assert isinstance(answer, ModbusException)
    assert str(answer) == "exception 2: illegal data address"
    assert "not defined" in str(REQUEST.parse(1, b"\x83\x63"))


@pytest.mark.parametrize(
    "build",
    [
        lambda: frames.read(1, 3, 0, 126),
        lambda: frames.read(1, 3, 0, 0),
        lambda: frames.read(1, 1, 0, 2001),
        lambda: frames.read(1, 3, 65535, 2),
        lambda: frames.read(1, 3, -1, 1),
        lambda: frames.read(1, 6, 0, 1),
        lambda: frames.read(256, 3, 0, 1),
        lambda: frames.write_registers(1, 0, bytes(248)),
        lambda: frames.write_registers(1, 0, b"\0"),
        lambda: frames.write_registers(1, 65535, bytes(4)),
        lambda: frames.write_coils(1, 0, bytes(247), 1969),
        lambda: frames.write_coils(1, 0, b"\0", 9),
        lambda: frames.write_register(1, 0, b"\0"),
        lambda: frames.mask_write(1, 0, 0x10000, 0),
        lambda: frames.read_write(1, 0, 1, 0, bytes(244)),
        lambda: frames.read_write(1, 0, 1, 0, b"\0"),
    ],
)
def test_we_do_not_send_what_is_not_allowed(build: object) -> None:
    with pytest.raises(LocalProtocolError):
        build()


@given(
    st.lists(
        st.tuples(st.integers(0, 65535), st.integers(0, 255), st.binary(min_size=1, max_size=253)), max_size=8
    ),
    st.data(),
)
def test_any_cutting_gives_the_same_frames(expected: list[tuple[int, int, bytes]], data: st.DataObject) -> None:
    stream = b"".join(pack_frame(*frame) for frame in expected)
    cuts = sorted(data.draw(st.lists(st.integers(0, len(stream)), max_size=10)))
    splitter = Splitter()
    got = []
    for start, end in zip([0, *cuts], [*cuts, len(stream)], strict=True):
        got += splitter.feed(stream[start:end])
    assert got == expected
    assert splitter.error is None
    assert not splitter.stuck(())


GOOD = pack_frame(7, 1, b"\3\2\1\0")


@pytest.mark.parametrize(
    "header", ["0001 0001 0006 01", "0001 0000 0001 01", "0001 0000 00ff 01", "0001 0100", "0001 0000 01"]
)
def test_garbage_ends_the_stream(header: str) -> None:
    splitter = Splitter()
    assert splitter.feed(GOOD) == [(7, 1, b"\3\2\1\0")]
    assert splitter.feed(bytes.fromhex(header)) == []
    assert splitter.error is not None
    with pytest.raises(RemoteProtocolError):
        splitter.feed(GOOD)


@pytest.mark.parametrize("cut", range(1, len(GOOD)))
def test_half_a_frame_completed_by_the_next_one_is_no_frame(cut: int) -> None:
    splitter, request = Splitter(), frames.read(1, 3, 0, 1)
    splitter.feed(pack_frame(6, 1, b"\3\2\0\0")[:cut])
    for frame in splitter.feed(GOOD):
        if frame.transaction == 6:
            with pytest.raises(RemoteProtocolError):
                request.parse(frame.unit, frame.pdu)


def test_a_frame_nobody_waits_for_is_stuck() -> None:
    splitter = Splitter()
    splitter.feed(pack_frame(7, 1, b"\3\0")[:5])
    assert splitter.stuck({6})
    assert not splitter.stuck({7})
