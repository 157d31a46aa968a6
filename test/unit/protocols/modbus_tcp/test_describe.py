"""Frames in plain words."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pydatacoll.frame_log import Direction, Frame
from pydatacoll.protocols.modbus_tcp import ModbusTcpDriver
from pydatacoll.protocols.modbus_tcp.describe import describe
from pydatacoll.protocols.modbus_tcp.frames import pack_frame


def words(*entries: tuple[Direction, bytes]) -> list[str]:
    return ModbusTcpDriver.describe([Frame(0.0, direction, data) for direction, data in entries])


def sent(pdu: str, transaction: int = 1, unit: int = 3) -> tuple[Direction, bytes]:
    return "sent", pack_frame(transaction, unit, bytes.fromhex(pdu))


def received(pdu: str, transaction: int = 1, unit: int = 3) -> tuple[Direction, bytes]:
    return "received", pack_frame(transaction, unit, bytes.fromhex(pdu))


@pytest.mark.parametrize(
    ("pdu", "text"),
    [
        ("03 0064 000a", "read 10 holding registers from 100, unit 3"),
        ("04 0000 0001", "read 1 input register from 0, unit 3"),
        ("01 0005 0001", "read 1 coil from 5, unit 3"),
        ("02 0005 0010", "read 16 discrete inputs from 5, unit 3"),
        ("05 0005 ff00", "write coil 5: on, unit 3"),
        ("05 0005 0000", "write coil 5: off, unit 3"),
        ("06 0064 00fa", "write holding register 100: 00fa, unit 3"),
        ("10 0064 0002 04 0001 0002", "write 2 holding registers from 100: 0001 0002, unit 3"),
        ("0f 0000 0003 01 05", "write 3 coils from 0: 1 0 1, unit 3"),
        ("16 0064 fff7 0008", "mask holding register 100: and fff7, or 0008, unit 3"),
        ("17 0000 0002 0064 0001 02 00ff", "write 1 holding register from 100: 00ff, then read 2 from 0, unit 3"),
        ("2b 0e 01 00", "function 43, which is not known here with 3 bytes of data, unit 3"),
        ("03 0064", "read holding registers: 3 bytes do not make such a request, unit 3"),
    ],
)
def test_requests(pdu: str, text: str) -> None:
    assert words(sent(pdu)) == [text]


@pytest.mark.parametrize(
    ("request_", "answer", "text"),
    [
        ("03 0064 0002", "03 04 0001 0002", "2 registers: 0001 0002"),
        ("01 0005 0003", "01 01 05", "3 bits: 1 0 1"),
        ("03 0064 0002", "83 02", "exception 2: illegal data address"),
        ("03 0064 0002", "83 63", "exception 99: not defined by the standard"),
        ("03 0064 0002", "83 02 00", "an exception of 3 bytes, not 2"),
        ("03 0064 0002", "03 02 0001", "2 bytes of data, 4 were asked for: 0001"),
        ("03 0064 0002", "03 04 0001", "4 bytes announced, 2 sent"),
        ("03 0064 0002", "04 04 0001 0002", "function 4 answers function 3"),
        ("06 0064 00fa", "06 0064 00fa", "written"),
        ("10 0064 0001 02 0001", "10 0064 0001", "written"),
        ("06 0064 00fa", "06 0064 00fb", "confirms something else than was asked: 06 00 64 00 fb"),
    ],
)
def test_answers_are_told_with_their_request(request_: str, answer: str, text: str) -> None:
    assert words(sent(request_), received(answer))[1] == text


def test_answers_find_their_request_by_the_transaction() -> None:
    first, second = sent("03 0064 0001", 1), sent("01 0000 0001", 2)
    texts = words(first, second, received("01 01 01", 2), received("03 02 0007", 1))
    assert texts[2:] == ["1 bit: 1", "1 register: 0007"]


def test_an_answer_whose_request_is_gone_is_still_told() -> None:
    assert words(received("03 04 0001 0002")) == ["2 registers: 0001 0002, unit 3 (its request is not in the log)"]
    assert words(received("83 02"))[0].startswith("exception 2: illegal data address, unit 3")


def test_the_answer_of_another_unit_is_pointed_out() -> None:
    assert words(sent("03 0064 0001"), received("03 02 0007", unit=4))[1].endswith(
        "but of unit 4: unit 3 was asked"
    )


def test_long_answers_are_cut_short() -> None:
    text = words(sent("03 0000 007d"), received("03 fa" + "0001" * 125))[1]
    assert text == "125 registers: " + " ".join(["0001"] * 16) + " ... (109 more)"


@pytest.mark.parametrize(
    ("data", "text"),
    [
        ("", "incomplete: 0 of at least 8 bytes"),
        ("0001 0000", "incomplete: 4 of at least 8 bytes"),
        ("0001 0000 0006 03 03 0064", "incomplete: 2 of 12 bytes are missing"),
        ("0001 0007 0006 03 03 0064 0001", "not Modbus TCP: protocol id 7, not 0"),
        ("0001 0000 ffff 03 03 0064 0001", "not Modbus TCP: length 65535, not 2 to 254"),
        ("0001 0000 0002 03 03 0064 0001", "4 bytes too many after a frame of 8 bytes"),
    ],
)
def test_what_is_no_frame_is_said_to_be_none(data: str, text: str) -> None:
    assert words(("received", bytes.fromhex(data))) == [text]


def test_notes_stand_between() -> None:
    assert describe([Frame(0.0, "note", b"", "connected")]) == ["connected"]


@given(
    st.lists(
        st.tuples(
            st.sampled_from(["sent", "received"]),
            st.one_of(
                st.binary(max_size=300),
                st.builds(pack_frame, st.integers(0, 2), st.integers(0, 255), st.binary(min_size=1, max_size=253)),
            ),
        ),
        max_size=8,
    )
)
def test_any_bytes_give_a_text(entries: list[tuple[Direction, bytes]]) -> None:
    texts = words(*entries)
    assert len(texts) == len(entries)
    assert all(text and text.isprintable() for text in texts)
