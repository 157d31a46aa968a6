"""Rules 1 to 5 of the link: frames, order, acknowledging, window, t1. Expected octets are written out."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from pydatacoll.protocols.iec104.errors import LocalProtocolError, RemoteProtocolError
from pydatacoll.protocols.iec104.events import AsduReceived, Room
from pydatacoll.protocols.iec104.link import Link
from test.unit.protocols.iec104.link_bench import (
    ASDU,
    TESTFR_ACT,
    TESTFR_CON,
    closed,
    i,
    made,
    over,
    s,
    started,
    stopping,
)

# ---- rule 1: frames


def test_frames_in_any_pieces() -> None:
    stream = b"".join(i(n, asdu=bytes([n]) * (n + 1)) for n in range(20)) + TESTFR_ACT
    for size in (1, 2, 5, 6, 7, 13, 100, len(stream)):
        link = started()
        events = [e for at in range(0, len(stream), size) for e in link.receive(stream[at : at + size], 0.0)]
        assert events == [AsduReceived(bytes([n]) * (n + 1)) for n in range(20)]
        assert TESTFR_CON in link.data_to_send()


def test_the_longest_frame() -> None:
    link = started()
    assert link.receive(i(0, asdu=bytes(249)), 0.0) == [AsduReceived(bytes(249))]


@pytest.mark.parametrize(
    "piece", ["00", "69 04 43 00 00 00", "68 03", "68 fe", "68 00", "68 ff 00 00 00 00", "16"]
)
def test_garbage_closes(piece: str) -> None:
    link = started()
    data = bytes.fromhex(piece)
    event = closed(link.receive(i(0) + data, 0.0), "garbage")
    assert event.error is not None
    assert event.error.data == data
    assert link.status(0.0).bad_frame == data.hex(" ")
    over(link)


@pytest.mark.parametrize(
    "octets",
    [
        "68 04 03 00 00 00",  # a U frame without a function
        "68 04 47 00 00 00",  # two functions at once
        "68 04 4b 00 00 00",
        "68 04 ff 00 00 00",
        "68 04 43 01 00 00",  # reserved octets of a U frame
        "68 04 43 00 01 00",
        "68 04 43 00 00 01",
        "68 05 43 00 00 00 00",  # a U frame with data
        "68 04 01 01 00 00",  # reserved octet of an S frame
        "68 04 05 00 00 00",
        "68 04 01 00 01 00",  # reserved bit below N(R)
        "68 05 01 00 00 00 00",  # an S frame with data
        "68 05 00 00 01 00 01",
        "68 04 00 00 00 00",  # an I frame without data
    ],
)
def test_wrong_control_octets_close(octets: str) -> None:
    link = started()
    event = closed(link.receive(bytes.fromhex(octets) + i(0), 0.0), "control")
    assert event.error is not None
    assert event.error.data == bytes.fromhex(octets)
    over(link)


def test_frames_before_the_wrong_one_count_and_those_after_do_not() -> None:
    link = started()
    events = link.receive(i(0) + i(1) + b"\0" + i(2), 0.0)
    assert events[:-1] == [AsduReceived(ASDU)] * 2
    closed(events, "garbage")


# ---- rule 2: order


def test_numbers_go_on_over_32767() -> None:
    link = started(k=4)
    for n in range(33000):
        number = n % 32768
        assert link.receive(i(number, number), 0.0) == [AsduReceived(ASDU)]
        link.send(ASDU, 0.0)
        assert link.data_to_send() == i(number, (number + 1) % 32768)
    assert link.receive(s(33000 - 32768), 0.0) == []
    assert link.status(0.0).next_sent == link.status(0.0).next_received == 232


def at_the_wrap() -> Link:
    """Numbers 32766, 32767, 0 and 1 are sent and not acknowledged."""
    link = started(k=4)
    for n in range(32770):
        if n >= 4:
            link.receive(s(n - 3), 0.0)
        link.send(ASDU, 0.0)
    assert link.data_to_send().endswith(i(32766) + i(32767) + i(0) + i(1))
    return link


def test_acknowledging_over_the_wrap() -> None:
    for acknowledged, left in ((32766, 4), (32767, 3), (0, 2), (1, 1), (2, 0)):
        link = at_the_wrap()
        assert link.receive(s(acknowledged), 0.0) == []
        assert link.status(0.0).unacknowledged == left
    for acknowledged in (32765, 3, 16383):
        closed(at_the_wrap().receive(s(acknowledged), 0.0), "acknowledgement")


@pytest.mark.parametrize(("good", "number"), [(0, 1), (0, 32767), (3, 2), (3, 4), (3, 0), (3, 16387)])
def test_a_gap_or_a_repeat_of_ns_closes(good: int, number: int) -> None:
    link = started()
    link.receive(b"".join(i(n) for n in range(good)), 0.0)
    closed(link.receive(i(number), 0.0), "sequence")
    over(link)


@pytest.mark.parametrize("frame", [s, lambda acknowledged: i(0, acknowledged)])
@pytest.mark.parametrize(
    ("acknowledged", "fine"),
    [(2, True), (3, True), (5, True), (1, False), (6, False), (0, False), (32767, False), (16386, False)],
)
def test_nr_lies_within_what_is_not_acknowledged(
    frame: Callable[[int], bytes], acknowledged: int, fine: bool
) -> None:
    link = started()
    for _ in range(5):
        link.send(ASDU, 0.0)
    link.receive(s(2), 0.0)
    events = link.receive(frame(acknowledged), 0.0)
    if fine:
        assert link.status(0.0).unacknowledged == 5 - acknowledged
    else:
        assert closed(events, "acknowledgement").unacknowledged == (3, 4, 5)
        over(link)


def test_nr_of_a_fresh_link_can_only_be_0() -> None:
    assert started().receive(s(0), 0.0) == []
    closed(started().receive(s(1), 0.0), "acknowledgement")


# ---- rule 3: acknowledging


def test_acknowledged_after_w_frames() -> None:
    link = started(w=3)
    for n in range(2):
        link.receive(i(n), 0.0)
    assert link.data_to_send() == b""
    link.receive(i(2), 0.0)
    assert link.data_to_send() == s(3)
    assert link.status(0.0).unconfirmed == 0


def test_one_acknowledgement_for_one_piece_of_data() -> None:
    link = started()
    link.receive(b"".join(i(n) for n in range(50)), 0.0)
    assert link.data_to_send() == s(50)


def test_acknowledged_t2_after_the_first_frame() -> None:
    link = started()
    link.receive(i(0), 1.0)
    link.receive(i(1), 9.0)
    assert link.next_deadline == 11.0
    assert link.tick(10.9) == []
    assert link.data_to_send() == b""
    assert link.tick(11.0) == []
    assert link.data_to_send() == s(2)
    link.receive(i(2), 12.0)
    assert link.status(12.0).timers["t2"] == 10.0


def test_a_sent_frame_acknowledges() -> None:
    link = started(w=2)
    link.receive(i(0), 0.0)
    link.send(ASDU, 1.0)
    assert link.data_to_send() == i(0, 1)
    assert "t2" not in link.status(1.0).timers
    link.receive(i(1, 1), 2.0)
    assert link.data_to_send() == b""


# ---- rule 4: window


def test_sending_waits_for_k() -> None:
    link = started(k=3)
    for _ in range(5):
        link.send(ASDU, 0.0)
    assert link.data_to_send() == i(0) + i(1) + i(2)
    assert link.status(0.0).waiting == 2
    link.receive(s(1), 0.0)
    assert link.data_to_send() == i(3)
    link.receive(i(0, 4), 0.0)
    assert link.data_to_send() == i(4, 1)


def test_first_overtakes_what_is_not_numbered() -> None:
    link = started(k=1)
    for name in (b"a", b"b", b"c"):
        link.send(name, 0.0)
    link.send(b"select", 0.0, first=True)
    link.send(b"execute", 0.0, first=True)
    sent = b""
    for n in range(5):
        sent += link.data_to_send()
        link.receive(s(n + 1), 0.0)
    assert sent == b"".join(i(n, 0, x) for n, x in enumerate((b"a", b"select", b"execute", b"b", b"c")))


def test_what_is_withdrawn_is_never_sent() -> None:
    link = started(k=1)
    one, two, three, four = (link.send(name, 0.0) for name in (b"1", b"2", b"3", b"4"))
    command = link.send(b"!", 0.0, first=True)
    assert link.unsent() == (command, two, three, four)
    assert link.withdraw(command)
    assert link.withdraw(three)
    assert not link.withdraw(three)
    assert not link.withdraw(one)  # numbered already
    assert not link.withdraw(99)
    for n in range(4):
        if n < 3:
            link.receive(s(n + 1), 0.0)
    assert link.data_to_send() == i(0, 0, b"1") + i(1, 0, b"2") + i(2, 0, b"4")
    assert link.unsent() == ()


def test_the_queue_is_bounded_and_tells_when_there_is_room() -> None:
    link = started(k=2, queue_limit=4)
    assert link.room == 6
    for left in range(6, 0, -1):
        assert link.room == left
        link.send(ASDU, 0.0)
    assert link.room == 0
    with pytest.raises(LocalProtocolError, match="waiting"):
        link.send(ASDU, 0.0)
    for _ in range(4):
        link.send(ASDU, 0.0, first=True)  # commands have room of their own
    with pytest.raises(LocalProtocolError, match="waiting"):
        link.send(ASDU, 0.0, first=True)
    acknowledged, rooms = 0, []
    while link.status(0.0).unacknowledged:
        acknowledged += 1
        rooms += link.receive(s(acknowledged), 0.0)
    assert rooms == [Room(2)]
    assert link.room == 6


def test_send_needs_a_started_link_and_a_data_unit_that_fits() -> None:
    for link in (made(), made("controlled"), stopping("controlling"), stopping("controlled")):
        assert link.room == 0
        with pytest.raises(LocalProtocolError, match="not started"):
            link.send(ASDU, 0.0)
        assert link.data_to_send() == b""
    link = started()
    for bad in (b"", bytes(250)):
        with pytest.raises(LocalProtocolError, match="249"):
            link.send(bad, 0.0)
    link.send(bytes(249), 0.0)
    assert len(link.data_to_send()) == 255


def test_a_queue_of_nothing_is_refused() -> None:
    with pytest.raises(ValueError, match="queue_limit"):
        made(queue_limit=0)


# ---- rule 5: t1


def test_t1_of_the_oldest_i_frame() -> None:
    link = started()
    one, two = link.send(ASDU, 1.0), link.send(ASDU, 5.0)
    assert link.next_deadline == 16.0
    link.receive(s(1), 15.9)
    assert link.tick(16.0) == []
    assert link.next_deadline == 20.0
    event = closed(link.tick(20.0), "t1")
    assert event.unacknowledged == (two,) != (one,)
    assert isinstance(event.error, RemoteProtocolError)
    assert event.error.data == b""
    over(link)


@pytest.mark.parametrize(
    ("act", "name"),
    [
        (lambda link: link.stop(0.0), "STOPDT act"),
        (lambda link: link.test(0.0), "TESTFR act"),
    ],
)
def test_t1_of_acts(act: Callable[[Link], None], name: str) -> None:
    link = started()
    act(link)
    assert link.next_deadline == 15.0
    link.receive(TESTFR_ACT if name == "STOPDT act" else i(0), 14.0)  # other frames do not stand for the con
    assert link.tick(14.9) == []
    assert name in closed(link.tick(15.0), "t1").reason
    over(link)


def test_t1_of_startdt() -> None:
    link = made()
    link.start(2.0)
    assert link.tick(16.9) == []
    assert "STARTDT act" in closed(link.tick(17.0), "t1").reason


def test_everything_acknowledged_leaves_only_t3() -> None:
    link = started()
    link.send(ASDU, 0.0)
    link.receive(s(1), 3.0)
    assert link.status(3.0).timers == {"t3": 20.0}
    assert link.tick(22.9) == []


def test_nothing_is_missing_while_something_is_unread() -> None:
    link = started(t1=5, t2=2, t3=7)
    token = link.send(ASDU, 0.0)
    link.receive(i(0), 1.0)
    link.data_to_send()
    assert link.tick(6.0, unread=True) == []
    assert link.data_to_send() == s(1), "what is due is sent all the same"
    assert link.unacknowledged() == (token,)
    assert link.next_deadline == 5.0
    assert link.receive(s(1), 6.0) == []
    assert link.unacknowledged() == ()
    assert link.tick(6.0) == []


def test_what_was_read_in_full_counts() -> None:
    link = started(t1=5, t2=2)
    link.send(ASDU, 0.0)
    assert link.tick(6.0, unread=True) == []
    closed(link.tick(6.0), "t1")
