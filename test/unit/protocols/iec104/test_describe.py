"""Frames in plain words. The octets are spelt out; what they mean is from the standard."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pydatacoll.frame_log import Frame
from pydatacoll.protocols.iec104.asdu import encode
from pydatacoll.protocols.iec104.describe import describe, in_words
from pydatacoll.protocols.iec104.types import TYPES
from test.iec104_asdus import all_examples, example

NOON = "7b 00 00 0c 15 0b 1a"  # 21 November 2026, 12:00:00.123


def i_frame(asdu: str) -> bytes:
    """N(S) = 12, N(R) = 7."""
    data = bytes.fromhex(asdu)
    return bytes([0x68, len(data) + 4, 24, 0, 14, 0]) + data


@pytest.mark.parametrize(
    ("frame", "text"),
    [
        ("68 04 07 00 00 00", "U STARTDT act"),
        ("68 04 0b 00 00 00", "U STARTDT con"),
        ("68 04 13 00 00 00", "U STOPDT act"),
        ("68 04 23 00 00 00", "U STOPDT con"),
        ("68 04 43 00 00 00", "U TESTFR act"),
        ("68 04 83 00 00 00", "U TESTFR con"),
        ("68 04 01 00 0e 00", "S 7: acknowledges frames up to 6"),
        ("68 04 01 00 00 00", "S 0: acknowledges frames up to 32767"),
        ("68 04 07 00 00 00 68 04 01 00 02 00", "U STARTDT act; then S 1: acknowledges frames up to 0"),
        ("68 04 0f 00 00 00", "bad control octets: 68 04 0f 00 00 00"),
        ("68 04 00 00 00 00", "bad control octets: 68 04 00 00 00 00"),
        ("68 04 07 00", "incomplete: 68 04 07 00"),
        ("68 0e 00 00 00 00 64", "incomplete: 68 0e 00 00 00 00 64"),
        ("68", "incomplete: 68"),
        ("47 45 54 20 2f", "no frame: 47 45 54 20 2f"),
        ("68 ff 00 00", "no frame: 68 ff 00 00"),
        ("", "no octets"),
    ],
)
def test_frames(frame: str, text: str) -> None:
    assert in_words(bytes.fromhex(frame)) == text


@pytest.mark.parametrize(
    ("asdu", "text"),
    [
        (
            f"24 01 03 00 01 00 a1 0f 00 9a 19 66 43 00 {NOON}",
            "M_ME_TF_1 (36), spontaneous, CA 1: 4001 = 230.1 good 2026-11-21 12:00:00.123",
        ),
        (
            f"1e 02 03 00 01 00 01 00 00 01 {NOON} 02 00 00 90 {NOON}",
            "M_SP_TB_1 (30), spontaneous, CA 1: 1 = on good 2026-11-21 12:00:00.123; "
            "2 = off invalid blocked 2026-11-21 12:00:00.123",
        ),
        (
            "03 84 14 00 01 00 64 00 00 00 01 02 43",
            "M_DP_NA_1 (3), interrogated by station interrogation, CA 1: 100 = intermediate good; 101 = off good; "
            "102 = on good; 103 = indeterminate not topical",
        ),
        ("05 01 01 00 01 00 0a 00 00 85 20", "M_ST_NA_1 (5), periodic, CA 1: 10 = 5 transient substituted"),
        ("09 01 02 00 01 00 0a 00 00 00 c0 01", "M_ME_NA_1 (9), background scan, CA 1: 10 = -0.5 overflow"),
        ("0b 01 05 00 01 00 0a 00 00 ff ff 00", "M_ME_NB_1 (11), request, CA 1: 10 = -1 good"),
        (
            "0f 01 25 00 01 00 0a 00 00 40 e2 01 00 e5",
            "M_IT_NA_1 (15), requested by general counter request, CA 1: "
            "10 = 123456 sequence 5 carry adjusted invalid",
        ),
        (
            "02 01 03 00 01 00 0a 00 00 01 7b 00 80",
            "M_SP_TA_1 (2), spontaneous, CA 1: 10 = on good ??:00:00.123 (invalid)",
        ),
        (
            "46 01 04 00 01 00 00 00 00 82",
            "M_EI_NA_1 (70), initialized, CA 1: remote reset, local parameters changed",
        ),
        ("2d 01 06 00 01 00 89 13 00 81", "C_SC_NA_1 (45), activation, CA 1: 5001 = on, select"),
        ("2d 01 07 00 01 00 89 13 00 81", "C_SC_NA_1 (45), activation confirmation, CA 1: 5001 = on, select"),
        ("2d 01 06 00 01 00 89 13 00 05", "C_SC_NA_1 (45), activation, CA 1: 5001 = on, execute, short pulse"),
        (
            "2d 01 47 03 01 00 89 13 00 01",
            "C_SC_NA_1 (45), negative activation confirmation, originator 3, CA 1: 5001 = on, execute",
        ),
        (
            "2d 01 6f 00 01 00 89 13 00 01",
            "C_SC_NA_1 (45), negative unknown information object address, CA 1: 5001 = on, execute",
        ),
        (
            "2d 01 8a 00 01 00 89 13 00 01",
            "C_SC_NA_1 (45), activation termination, test, CA 1: 5001 = on, execute",
        ),
        ("2e 01 08 00 01 00 89 13 00 82", "C_DC_NA_1 (46), deactivation, CA 1: 5001 = on, select"),
        ("2f 01 06 00 01 00 89 13 00 01", "C_RC_NA_1 (47), activation, CA 1: 5001 = lower, execute"),
        (
            "32 01 06 00 01 00 89 13 00 00 00 c0 3f 80",
            "C_SE_NC_1 (50), activation, CA 1: 5001 = 1.5, select",
        ),
        (
            "64 01 06 00 ff ff 00 00 00 14",
            "C_IC_NA_1 (100), activation, all common addresses: the whole station (20)",
        ),
        ("64 01 0a 00 02 00 00 00 00 17", "C_IC_NA_1 (100), activation termination, CA 2: group 3 (23)"),
        (
            "65 01 06 00 01 00 00 00 00 85",
            "C_CI_NA_1 (101), activation, CA 1: all counters, freeze and reset",
        ),
        ("66 01 05 00 01 00 a1 0f 00", "C_RD_NA_1 (102), request, CA 1: 4001"),
        (f"67 01 06 00 01 00 00 00 00 {NOON}", "C_CS_NA_1 (103), activation, CA 1: 2026-11-21 12:00:00.123"),
        (
            "67 01 07 00 01 00 00 00 00 7b 00 80 8c 15 0b 1a",
            "C_CS_NA_1 (103), activation confirmation, CA 1: 2026-11-21 12:00:00.123 summer time (invalid)",
        ),
        (
            "67 01 07 00 01 00 00 00 00 7b 00 00 0c 1f 02 1a",
            "C_CS_NA_1 (103), activation confirmation, CA 1: 2026-02-31 12:00:00.123 (no time)",
        ),
        ("68 01 06 00 01 00 00 00 00 aa 55", "C_TS_NA_1 (104), activation, CA 1: test pattern 55aaH"),
        ("69 01 06 00 01 00 00 00 00 01", "C_RP_NA_1 (105), activation, CA 1: the whole process"),
        ("78 01 0d 00 01 00 01 00 00 01 00", "F_FR_NA_1 (120), file transfer, CA 1: 5 octets of file transfer"),
        (
            "c8 01 03 00 01 00 05",
            "type 200 (private), spontaneous, CA 1, unknown type: c8 01 03 00 01 00 05",
        ),
        (
            "01 01 00 00 00 00 00 00 00 01",
            "M_SP_NA_1 (1), cause 0, CA 0: 0 = on good (not as of the standard: cause 0 is not used, "
            "common address 0 is not used, address 0 belongs to no point)",
        ),
        ("01 02", "wrong data unit, 2 octets are less than a data unit identifier: 01 02"),
    ],
)
def test_data_units(asdu: str, text: str) -> None:
    assert in_words(i_frame(asdu)) == f"I 12/7: {text}"


def test_many_objects_are_shortened() -> None:
    text = in_words(i_frame("01 8a 14 00 01 00 64 00 00" + " 01" * 10))
    assert text.endswith("106 = on good; 107 = on good; ... (2 more)")


def test_wrong_lengths_are_told_with_the_octets() -> None:
    text = in_words(i_frame("24 02 03 00 01 00 a1 0f 00"))
    assert text.startswith("I 12/7: wrong data unit, M_ME_TF_1 (36), number of objects 2, SQ = 0, must have")
    assert text.endswith(": 24 02 03 00 01 00 a1 0f 00")


def test_every_type_has_words_of_its_own() -> None:
    for asdu in [*all_examples(), *all_examples(swapped=True)]:
        text = in_words(i_frame(encode(asdu).hex()))
        assert f"{TYPES[asdu.type_id].name} ({asdu.type_id})" in text
        assert "element" not in text
        assert "Struct" not in text
        assert "(x" not in text
        for one in asdu.objects:
            assert one.element is None or type(one.element).__name__ not in text


def test_notes_stay_as_they_are() -> None:
    frames = [Frame(0.0, "note", b"", "connected"), Frame(0.0, "sent", bytes.fromhex("680407000000"))]
    assert describe(frames) == ["connected", "U STARTDT act"]


_VALID = [i_frame(encode(example(number)).hex()) for number in (1, 5, 15, 36, 38, 45, 50, 70, 100, 103)]


@given(st.binary(max_size=300))
def test_whatever_comes_there_are_words(data: bytes) -> None:
    assert in_words(data)


@given(st.binary(min_size=0, max_size=249))
def test_whatever_a_frame_carries_there_are_words(asdu: bytes) -> None:
    text = in_words(bytes([0x68, len(asdu) + 4, 2, 0, 4, 0]) + asdu)
    assert text.isprintable()


@given(st.sampled_from(_VALID), st.lists(st.tuples(st.integers(0, 60), st.integers(0, 255)), max_size=4))
def test_changed_octets_are_still_told(frame: bytes, changes: list[tuple[int, int]]) -> None:
    octets = bytearray(frame)
    for place, octet in changes:
        octets[place % len(octets)] = octet
    assert in_words(bytes(octets)).isprintable()
