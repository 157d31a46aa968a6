"""What must hold for two links whatever their owners and the network do, and for one link whatever it is sent."""

from __future__ import annotations

from typing import Any

from hypothesis import event, given, settings
from hypothesis import strategies as st

from pydatacoll.protocols.iec104 import apci
from pydatacoll.protocols.iec104.errors import RemoteProtocolError
from pydatacoll.protocols.iec104.events import AsduReceived, Closed, Event, Role, Started, State, Stopped
from pydatacoll.protocols.iec104.link import Link
from pydatacoll.protocols.iec104.parameters import Parameters

SLOWEST = 1.0
"""Seconds on the way, at most. With t2 = 10 an acknowledgement is then due before t1 = 15 even when timers are
late."""


class End:
    """One end: its link, what it gave away, what it got; as tap it checks k, w and t2 from the frames alone."""

    def __init__(self, role: Role, parameters: Parameters, lateness: float) -> None:
        self.link = Link(role, 0.0, parameters, queue_limit=20)
        self.link.tap = self
        self.now = 0.0
        self.lateness = lateness
        self.parameters = parameters
        self.delay = 0.0
        self.cut = 1000
        self.wire: list[tuple[float, bytes]] = []
        self.given: dict[int, tuple[bool, bytes]] = {}
        self.never: set[int] = set()
        self.got: list[bytes] = []
        self.events: list[Event] = []
        self.unacknowledged = 0
        self.last_nr = 0
        self.to_acknowledge: list[float] = []

    def sent(self, data: bytes) -> None:
        _, _, first, _ = apci.HEADER.unpack_from(data)
        if not first & 1:
            self.unacknowledged += 1
            assert self.unacknowledged <= self.parameters.k
        if not first & 1 or first == 1:
            for since in self.to_acknowledge:
                assert self.now <= since + self.parameters.t2 + self.lateness
            self.to_acknowledge.clear()

    def received(self, data: bytes) -> None:
        _, _, first, second = apci.HEADER.unpack_from(data)
        if not first & 1 or first == 1:
            self.unacknowledged -= (second // 2 - self.last_nr) % 32768
            self.last_nr = second // 2
        if not first & 1:
            self.to_acknowledge.append(self.now)

    def took(self, events: list[Event]) -> None:
        """Look at the events, and put on the wire what is to be sent: in pieces, late, never reordered."""
        self.events += events
        for each in events:
            assert not isinstance(each, Closed), each
            if isinstance(each, AsduReceived):
                self.got.append(each.data)
            elif isinstance(each, Stopped):
                self.never.update(each.unsent)
        assert len(self.to_acknowledge) < self.parameters.w
        data = self.link.data_to_send()
        for at in range(0, len(data), self.cut):
            arrival = max(self.now + self.delay, self.wire[-1][0] if self.wire else 0.0)
            self.wire.append((arrival, data[at : at + self.cut]))

    def send(self, payload: bytes, first: bool) -> None:
        if self.link.room and not (first and len(self.link.unsent()) > 15):
            self.given[self.link.send(payload, self.now, first=first)] = (first, payload)
            self.took([])

    def expected(self, first: bool) -> list[bytes]:
        return [data for token, (f, data) in self.given.items() if f == first and token not in self.never]


def run(ends: tuple[End, End], until: float) -> None:
    """Let time pass: whatever arrives or falls due, in its order."""
    while True:
        due: list[tuple[float, int, End, bytes | None]] = []
        for number, (end, peer) in enumerate((ends, ends[::-1])):
            if peer.wire:
                due.append((peer.wire[0][0], number, end, peer.wire[0][1]))
            deadline = end.link.next_deadline
            assert deadline is not None
            due.append((deadline + end.lateness, 2 + number, end, None))
        at, _, end, data = min(due, key=lambda each: each[:2])
        if at > until:
            break
        # a timer that is late does not take time back
        end.now = max(end.now, at)
        if data is None:
            end.took(end.link.tick(end.now))
            deadline = end.link.next_deadline
            assert deadline is not None
            assert deadline > end.now  # or the timer would fire again and again
        else:
            (ends[1] if end is ends[0] else ends[0]).wire.pop(0)
            end.took(end.link.receive(data, end.now))
    for end in ends:
        end.now = max(end.now, until)


side = st.integers(0, 1)
actions = st.one_of(
    st.tuples(st.just("send"), side, st.integers(1, 30), st.booleans()),
    st.tuples(st.just("wait"), st.one_of(st.floats(0, 2), st.floats(0, 60))),
    st.tuples(st.just("network"), side, st.floats(0, SLOWEST), st.integers(1, 300)),
    st.tuples(st.just("withdraw"), side, st.integers(0, 50)),
    st.tuples(st.just("test"), side),
    st.tuples(st.sampled_from(["start", "stop"])),
)
parameters = st.builds(
    lambda k, w, t3: Parameters(k=k, w=w, t3=t3),
    st.integers(1, 20),
    st.integers(1, 20),
    st.sampled_from([2, 20, 100]),
)


def do(ends: tuple[End, End], action: tuple[Any, ...], names: list[int]) -> None:
    controlling = ends[0]
    match action:
        case "send", number, count, first:
            for _ in range(count):
                names[0] += 1
                ends[number].send(names[0].to_bytes(4, "big") * (1 + names[0] % 60), first)
        case "wait", seconds:
            run(ends, max(end.now for end in ends) + seconds)
        case "network", number, delay, cut:
            ends[number].delay, ends[number].cut = delay, cut
        case "withdraw", number, place:
            waiting = ends[number].link.unsent()
            if place < len(waiting) and ends[number].link.withdraw(waiting[place]):
                ends[number].never.add(waiting[place])
        case "test", number:
            ends[number].link.test(ends[number].now)
            ends[number].took([])
        case ("start",) if controlling.link.state is State.STOPPED:
            controlling.link.start(controlling.now)
            controlling.took([])
        case ("stop",) if controlling.link.state is State.STARTED:
            controlling.link.stop(controlling.now)
            controlling.took([])


@settings(max_examples=300, deadline=None)
@given(st.lists(actions, max_size=40), parameters, parameters, st.sampled_from([0.0, 0.4]))
def test_all_arrives_once_and_in_order(
    steps: list[tuple[Any, ...]], one: Parameters, two: Parameters, lateness: float
) -> None:
    ends = (End("controlling", one, lateness), End("controlled", two, lateness))
    names = [0]
    for action in [("start",), ("wait", 3.0), *steps]:
        do(ends, action, names)
    # at most 20 frames wait; a peer with a large w acknowledges only every t2
    run(ends, max(end.now for end in ends) + 40 * 15)
    for end, peer in (ends, ends[::-1]):
        assert end.link.unsent() == ()
        assert end.link.status(end.now).unacknowledged == 0
        for first in (False, True):
            wanted = end.expected(first)
            assert [data for data in peer.got if data in set(wanted)] == wanted
        assert len(peer.got) == len(end.given) - len(end.never)
        starts = [type(each) for each in end.events if isinstance(each, Started | Stopped)]
        assert starts == [Started, Stopped] * (len(starts) // 2) + [Started] * (len(starts) % 2)
    assert ends[0].link.state is ends[1].link.state
    event(f"{min(len(ends[0].got) + len(ends[1].got), 100) // 20 * 20}+ frames")


numbers = st.one_of(st.integers(0, 3), st.integers(0, 32767))
valid = st.one_of(
    st.sampled_from([apci.pack_u(function) for function in apci.FUNCTIONS]),
    st.builds(apci.pack_s, numbers),
    st.builds(apci.pack_i, numbers, numbers, st.binary(min_size=1, max_size=249)),
)


@st.composite
def conversation(draw: st.DrawFn) -> bytes:
    """What a peer that keeps to the rules sends at first; then anything, some octets changed."""
    role_start = draw(st.sampled_from([b"", apci.pack_u(apci.STARTDT_ACT), apci.pack_u(apci.STARTDT_CON)]))
    good = b"".join(apci.pack_i(n, 0, bytes([n])) for n in range(draw(st.integers(0, 20))))
    rest = b"".join(draw(st.lists(st.one_of(valid, st.binary(max_size=8)), max_size=8)))
    data = bytearray(role_start + good + rest)
    for place, value in draw(st.lists(st.tuples(st.integers(0, 400), st.integers(0, 255)), max_size=3)):
        if place < len(data):
            data[place] = value
    return bytes(data)


def feed(role: Role, pieces: list[bytes], *, seconds: float = 0.0, sends: int = 0) -> tuple[list[Event], Link]:
    link, now, events = Link(role, 0.0), 0.0, list[Event]()
    if role == "controlling":
        link.start(now)
    for piece in pieces:
        events += link.receive(piece, now)
        for _ in range(sends if link.room >= sends else 0):
            link.send(b"data", now)
        now += seconds
        events += link.tick(now)
        if link.state is not State.CLOSED:
            link.data_to_send()
    return events, link


def check(events: list[Event], link: Link) -> None:
    for each in events[:-1]:
        assert not isinstance(each, Closed)
    if link.state is State.CLOSED:
        last = events[-1]
        assert isinstance(last, Closed)
        assert isinstance(last.error, RemoteProtocolError)
        assert link.data_to_send() == b""
        assert link.next_deadline is None
    for each in events:
        if isinstance(each, AsduReceived):
            assert 1 <= len(each.data) <= 249


roles = st.sampled_from(["controlling", "controlled"])


@settings(max_examples=1000, deadline=None)
@given(roles, st.lists(st.binary(max_size=300), max_size=8), st.sampled_from([0.0, 3.0, 30.0]))
def test_any_octets_end_in_closed_or_go_on(role: Role, pieces: list[bytes], seconds: float) -> None:
    check(*feed(role, pieces, seconds=seconds))


@settings(max_examples=1000, deadline=None)
@given(roles, st.lists(conversation(), max_size=4), st.sampled_from([0.0, 3.0, 11.0]), st.integers(0, 5))
def test_almost_right_octets_end_in_closed_or_go_on(
    role: Role, pieces: list[bytes], seconds: float, sends: int
) -> None:
    events, link = feed(role, pieces, seconds=seconds, sends=sends)
    check(events, link)
    event(events[-1].cause if events and isinstance(events[-1], Closed) else "goes on")


@settings(max_examples=500, deadline=None)
@given(roles, conversation(), st.integers(1, 20))
def test_pieces_make_no_difference(role: Role, data: bytes, size: int) -> None:
    # how much of what is no frame has come depends on the piece
    def told(events: list[Event]) -> list[object]:
        return [
            (each.cause, each.reason if each.cause != "garbage" else "") if isinstance(each, Closed) else each
            for each in events
        ]

    whole, _ = feed(role, [data])
    pieces, _ = feed(role, [data[at : at + size] for at in range(0, len(data), size)])
    assert told(pieces) == told(whole)
