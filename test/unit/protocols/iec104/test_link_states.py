"""Rules 6 to 8 of the link: testing, starting and stopping, the end; and what its owner sees."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from pydatacoll.protocols.iec104 import apci
from pydatacoll.protocols.iec104.errors import LocalProtocolError
from pydatacoll.protocols.iec104.events import AsduReceived, Closed, Started, State, Stopped, TestConfirmed
from pydatacoll.protocols.iec104.link import Link
from test.unit.protocols.iec104.link_bench import (
    ASDU,
    STARTDT_ACT,
    STARTDT_CON,
    STOPDT_ACT,
    STOPDT_CON,
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

# ---- rule 6: testing


@pytest.mark.parametrize(
    "link",
    [
        made(),
        made("controlled"),
        started(),
        started("controlled"),
        stopping("controlling"),
        stopping("controlled"),
    ],
)
def test_testfr_is_confirmed_in_every_state(link: Link) -> None:
    assert link.receive(TESTFR_ACT, 0.0) == []
    assert link.data_to_send() == TESTFR_CON


def test_testfr_is_confirmed_while_starting() -> None:
    link = made()
    link.start(0.0)
    link.receive(TESTFR_ACT, 0.0)
    assert link.data_to_send() == STARTDT_ACT + TESTFR_CON


@pytest.mark.parametrize("link", [made("controlled"), started()])
def test_idle_for_t3_sends_one_test(link: Link) -> None:
    assert link.next_deadline == 20.0
    assert link.tick(20.0) == []
    assert link.data_to_send() == TESTFR_ACT
    assert link.next_deadline == 35.0
    link.test(21.0)
    assert link.data_to_send() == b""
    assert link.receive(TESTFR_CON, 20.5) == [TestConfirmed(0.5)]
    assert link.next_deadline == 40.5


@pytest.mark.parametrize("frame", [i(0), s(0), TESTFR_ACT, TESTFR_CON])
def test_every_received_frame_restarts_t3(frame: bytes) -> None:
    link = started()
    link.receive(frame, 19.0)
    assert link.status(19.0).timers["t3"] == 20.0


def test_t3_rests_while_a_test_is_on_its_way() -> None:
    link = started(t3=2)
    link.tick(2.0)
    link.receive(i(0), 3.0)
    assert link.status(3.0).timers == {"t1": 14.0, "t2": 10.0}
    link.receive(TESTFR_CON, 4.0)
    assert link.status(4.0).timers == {"t2": 9.0, "t3": 2.0}


def test_sent_frames_do_not_restart_t3() -> None:
    link = started()
    link.send(ASDU, 19.0)
    assert link.next_deadline == 20.0


def test_trickling_octets_do_not_keep_a_link_alive() -> None:
    link, now = started(), 0.0
    for octet in i(0, 0, bytes(200)):
        now += 1.0
        link.receive(bytes([octet]), now)
        events = link.tick(now)
        if events:
            break
    assert now == 35.0
    closed(events, "t1")


def test_an_unasked_testfr_con_is_counted() -> None:
    link = started()
    assert link.receive(TESTFR_CON, 0.0) == []
    assert link.status(0.0).counters["tests_unasked"] == 1


# ---- rule 7: starting and stopping


def test_the_controlling_station_starts_and_stops() -> None:
    link = made()
    assert link.state is State.STOPPED
    link.start(0.0)
    assert link.data_to_send() == STARTDT_ACT
    assert link.state is State.STARTING
    assert link.receive(STARTDT_CON, 0.0) == [Started()]
    link.receive(i(0), 0.0)
    link.stop(0.0)
    assert link.data_to_send() == s(1) + STOPDT_ACT
    assert link.receive(i(1), 0.0) == [AsduReceived(ASDU)]
    assert link.data_to_send() == s(2)  # at once: the peer waits for it
    assert link.receive(STOPDT_CON, 0.0) == [Stopped()]
    assert link.state is State.STOPPED
    assert link.status(0.0).timers == {"t3": 20.0}
    link.start(0.0)
    assert link.receive(STARTDT_CON + i(2), 0.0) == [Started(), AsduReceived(ASDU)]
    assert link.send(ASDU, 0.0)
    assert link.data_to_send() == STARTDT_ACT + i(0, 3)  # numbers go on


def test_the_controlled_station_is_started_and_stopped() -> None:
    link = made("controlled")
    assert link.receive(STARTDT_ACT, 0.0) == [Started()]
    assert link.data_to_send() == STARTDT_CON
    assert link.receive(STARTDT_ACT, 0.0) == []
    assert link.data_to_send() == STARTDT_CON
    link.receive(i(0), 0.0)
    assert link.receive(STOPDT_ACT, 0.0) == [Stopped()]
    assert link.data_to_send() == s(1) + STOPDT_CON
    assert link.receive(STOPDT_ACT, 0.0) == []
    assert link.data_to_send() == STOPDT_CON
    assert link.receive(STARTDT_ACT + i(1), 0.0) == [Started(), AsduReceived(ASDU)]


def test_the_controlled_station_waits_for_acknowledgements_before_it_confirms_the_stop() -> None:
    link = started("controlled", k=2)
    link.send(ASDU, 0.0)
    link.send(ASDU, 0.0)
    waiting = link.send(ASDU, 0.0)
    link.data_to_send()
    assert link.receive(STOPDT_ACT, 0.0) == []
    assert link.receive(s(1), 0.0) == []
    assert link.state is State.STOPPING
    assert link.data_to_send() == b""
    assert link.receive(s(2), 0.0) == [Stopped((waiting,))]
    assert link.data_to_send() == STOPDT_CON
    assert link.unsent() == ()


def test_a_stop_that_is_never_acknowledged_ends_by_t1() -> None:
    link = stopping("controlled", 2)
    assert closed(link.tick(15.0), "t1").unacknowledged == (1, 2)


def test_frames_in_the_queue_come_back_when_the_controlling_station_stops() -> None:
    link = started(k=1)
    link.send(ASDU, 0.0)
    two, three = link.send(ASDU, 0.0), link.send(ASDU, 0.0)
    link.stop(0.0)
    assert link.receive(s(1), 0.0) == []
    assert link.data_to_send() == i(0) + STOPDT_ACT
    assert link.withdraw(two)
    assert link.receive(STOPDT_CON, 0.0) == [Stopped((three,))]


def test_a_stop_confirmed_too_early_may_be_acknowledged_later() -> None:
    link = stopping("controlling")
    assert link.receive(STOPDT_CON, 0.0) == [Stopped()]
    assert link.receive(s(1), 0.0) == []
    assert link.status(0.0).timers == {"t3": 20.0}
    late = stopping("controlling")
    late.receive(STOPDT_CON, 0.0)
    closed(late.tick(15.0), "t1")


def starting() -> Link:
    link = made()
    link.start(0.0)
    return link


@pytest.mark.parametrize(
    ("make", "frame"),
    [
        # data where there must be none
        (made, i(0)),
        (made, s(0)),
        (starting, i(0)),
        (starting, s(0)),
        (lambda: made("controlled"), i(0)),
        (lambda: made("controlled"), s(0)),
        (lambda: stopping("controlled"), i(0)),
        # functions of the other direction
        (made, STARTDT_ACT),
        (started, STARTDT_ACT),
        (started, STOPDT_ACT),
        (lambda: made("controlled"), STARTDT_CON),
        (lambda: started("controlled"), STOPDT_CON),
        # a con without its act
        (made, STARTDT_CON),
        (made, STOPDT_CON),
        (started, STARTDT_CON),
        (started, STOPDT_CON),
        (starting, STOPDT_CON),
        (lambda: stopping("controlling"), STARTDT_CON),
        # while the last one is not done
        (lambda: stopping("controlled"), STARTDT_ACT),
        (lambda: stopping("controlled"), STOPDT_ACT),
    ],
)
def test_a_right_frame_in_a_wrong_state_closes(make: Callable[[], Link], frame: bytes) -> None:
    link = make()
    event = closed(link.receive(frame, 0.0), "unexpected")
    assert event.error is not None
    assert event.error.data == frame
    over(link)


def test_i_frames_after_an_orderly_stop_close() -> None:
    link = started()
    link.stop(0.0)
    events = link.receive(STOPDT_CON + i(0), 0.0)
    assert events[0] == Stopped()
    closed(events, "unexpected")


def test_misuse_is_told_and_changes_nothing() -> None:
    controlled, fresh, running = started("controlled"), made(), started()
    for call in (controlled.start, controlled.stop, fresh.stop, running.start):
        with pytest.raises(LocalProtocolError):
            call(0.0)
    assert controlled.state is running.state is State.STARTED
    assert fresh.state is State.STOPPED
    assert controlled.data_to_send() == fresh.data_to_send() == running.data_to_send() == b""


# ---- rule 8: end


def test_the_end_tells_what_never_left_and_what_may_have_arrived() -> None:
    link = started(k=2)
    tokens = [link.send(ASDU, 0.0) for _ in range(4)]
    first = link.send(ASDU, 0.0, first=True)
    link.receive(s(1), 0.0)
    events = link.close("connection reset by peer")
    event = closed(events, "local")
    assert event == Closed("local", "connection reset by peer", None, tuple(tokens[2:]), (tokens[1], first))
    assert link.status(0.0).bad_frame == ""
    over(link)


def test_what_was_to_be_sent_is_dropped_at_the_end() -> None:
    link = started()
    link.send(ASDU, 0.0)
    closed(link.receive(TESTFR_ACT + b"\0", 0.0), "garbage")
    over(link)


# ---- what the owner sees


def test_status_counts_and_shows_the_fill() -> None:
    link = started(k=4, w=3)
    for _ in range(6):
        link.send(ASDU, 0.0)
    link.receive(i(0, 1) + i(1, 1) + s(2) + TESTFR_ACT, 1.0)
    status = link.status(3.0)
    assert (status.state, status.unacknowledged, status.k, status.waiting) == ("started", 4, 4, 0)
    assert (status.unconfirmed, status.w) == (0, 3)  # the two that left took the acknowledgement along
    assert (status.next_sent, status.next_received) == (6, 2)
    assert status.timers == {"t1": 12.0, "t3": 18.0}
    assert status.counters == {
        "i_sent": 6,
        "i_received": 2,
        "s_sent": 0,
        "s_received": 1,
        "u_sent": 2,
        "u_received": 2,
        "tests_unasked": 0,
    }
    assert status.bad_frame == ""


class Taped:
    def __init__(self) -> None:
        self.frames: list[tuple[str, bytes]] = []

    def sent(self, data: bytes) -> None:
        self.frames.append(("sent", data))

    def received(self, data: bytes) -> None:
        self.frames.append(("received", data))


def test_the_tap_sees_whole_frames_and_what_is_none() -> None:
    link, tap = made(), Taped()
    link.tap = tap
    link.start(0.0)
    link.receive(STARTDT_CON[:3], 0.0)
    link.receive(STARTDT_CON[3:] + i(0), 0.0)
    link.send(ASDU, 0.0)
    link.receive(TESTFR_ACT + b"\x99", 0.0)
    assert tap.frames == [
        ("sent", STARTDT_ACT),
        ("received", STARTDT_CON),
        ("received", i(0)),
        ("sent", i(0, 1)),
        ("received", TESTFR_ACT),
        ("sent", TESTFR_CON),
        ("received", b"\x99"),
    ]
    assert [apci.describe(data) for _, data in tap.frames[:2]] == ["U STARTDT act", "U STARTDT con"]
