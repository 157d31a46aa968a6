"""The link of IEC 60870-5-104 (clause 5) as a state machine, without IO and without a clock.

Bytes and the time go in, bytes and events come out. ``now`` is any clock in seconds that never goes back. After
each call the owner sends :meth:`Link.data_to_send`, acts on the events returned and sets one timer to
:attr:`Link.next_deadline`, which calls :meth:`Link.tick`; one that fires early does no harm. What has arrived is
given to :meth:`Link.receive` before ``tick`` is called, so that an answer already here never counts as missing;
an owner that stops reading for longer than t1 loses the link, since neither end sees the other's acknowledgements.

The rules:

1. **Frames** (clause 5). They arrive in any pieces. A wrong start octet, length, control octet or reserved bit
   closes the link. The frames before it in the same piece count.
2. **Order** (5.1). I frames are numbered modulo 32768. N(S) must be the next number: a gap or a repeat closes.
   N(R) acknowledges all frames below it and must lie between the oldest frame not acknowledged and the next to
   be sent: anything else closes. Numbers begin at 0 with the connection; starting and stopping leave them alone.
3. **Acknowledging** (5.1). Received I frames are acknowledged by the next I frame sent, else by an S frame when
   ``w`` of them have come (once per piece of data) or ``t2`` after the first of them.
4. **Window** (5.5). At most ``k`` sent I frames are without acknowledgement; others wait, unnumbered, in a
   bounded queue, from which they can be withdrawn. Those sent with ``first`` overtake the rest of the queue.
5. **t1** (5.1, 5.2). The oldest I frame not acknowledged and each act not confirmed within ``t1`` closes.
6. **Testing** (5.2). TESTFR act is confirmed at once in every state. ``t3`` after the last received frame an own
   TESTFR act goes out, until it is confirmed no second one. Half a frame is no frame: trickling octets do not
   keep a link alive. TESTFR con that nobody asked for is counted and ignored.
7. **Starting and stopping** (5.3). A connection begins stopped. Only the controlling station sends STARTDT and
   STOPDT act, only the controlled one confirms; the wrong direction, or a con without its act, closes. An act
   for a state that is there already is confirmed again.

   ===========  =================================  ======================================================
   state        I frames, controlling / controlled  left by
   ===========  =================================  ======================================================
   stopped      neither                            STARTDT act
   starting     neither (controlling only)         STARTDT con -> started
   started      both ways                          STOPDT act -> stopping
   stopping     received / not received            controlled: all own I frames acknowledged, then it sends
                                                   STOPDT con; controlling: STOPDT con -> stopped
   closed       nothing                            (final)
   ===========  =================================  ======================================================

   An I frame where the table has none closes, and so does an S frame while stopped or starting, unless it
   acknowledges what a STOPDT con came too early for. Before STOPDT act and before its con all received I frames
   are acknowledged; the controlling station acknowledges at once while stopping, since the peer waits for it.
   No I frame is sent while stopping; those in the queue come back with :class:`Stopped`.
8. **End**. Whatever the peer did wrong becomes exactly one :class:`Closed`, the last event; nothing that was
   waiting to be sent goes out any more, and later input is ignored. No exception comes from ``receive``, ``tick``
   or ``close``. Misuse of the other methods raises :class:`LocalProtocolError` and changes nothing.
"""

from __future__ import annotations

from collections import deque

from pydatacoll.protocols.iec104 import apci
from pydatacoll.protocols.iec104.apci import CONTROL, HEADER, HEADER_SIZE, MAX_ASDU, MAX_LENGTH, MODULUS, START
from pydatacoll.protocols.iec104.errors import LocalProtocolError, RemoteProtocolError
from pydatacoll.protocols.iec104.events import (
    AsduReceived,
    Cause,
    Closed,
    Event,
    FrameTap,
    Role,
    Room,
    Started,
    State,
    Status,
    Stopped,
    TestConfirmed,
)
from pydatacoll.protocols.iec104.parameters import Parameters
from pydatacoll.protocols.iec104.send_queue import SendQueue

_LAST = MODULUS - 1
_LAST_WORD = 2 * _LAST


class _Violation(Exception):
    """The peer broke a rule; never leaves this module."""

    def __init__(self, cause: Cause, reason: str) -> None:
        super().__init__(reason)
        self.cause: Cause = cause


class Link:
    """One end of one connection, from its establishment on.

    :param role: ``controlling`` (the one that connects and starts) or ``controlled``.
    :param now: the time the connection was established; t3 runs from then on.
    :param parameters: k, w and the time-outs.
    :param queue_limit: frames that may wait for k, at least 1; the same again for those sent with ``first``.
    :ivar tap: is shown every frame when set; may be changed at any time.
    """

    def __init__(
        self, role: Role, now: float, parameters: Parameters | None = None, *, queue_limit: int = 1024
    ) -> None:
        self.role: Role = role
        self.parameters = parameters or Parameters()
        self.tap: FrameTap | None = None
        self._controlling = role == "controlling"
        self._state = State.STOPPED
        self._accepts_data = False
        self._rest = b""
        self._out: list[bytes] = []
        self._queue = SendQueue(queue_limit)
        self._token = 0
        self._send_number = 0
        # token and t1 deadline of each I frame not acknowledged, oldest first
        self._outstanding: deque[tuple[int, float]] = deque()
        # as on the wire, times 2: what the next frame carries when all goes well
        self._expected_word = 0
        self._acknowledged_word = 0
        self._unconfirmed = 0
        self._act_at: float | None = None
        self._test_at: float | None = None
        self._test_sent = now
        self._t2_at: float | None = None
        self._t3_at: float | None = now + self.parameters.t3
        self._counts = dict.fromkeys(("s_sent", "s_received", "u_sent", "u_received", "tests_unasked"), 0)
        # the two that count at full rate
        self._sent = self._received = 0
        self._bad_frame = b""

    @property
    def state(self) -> State:
        """Where data transfer stands."""
        return self._state

    @property
    def room(self) -> int:
        """Frames that :meth:`send` takes now (without ``first``); 0 unless started."""
        if self._state is not State.STARTED:
            return 0
        return self.parameters.k - len(self._outstanding) + self._queue.room

    @property
    def next_deadline(self) -> float | None:
        """When :meth:`tick` has something to do; ``None`` once closed."""
        first = self._outstanding[0][1] if self._outstanding else None
        # asked for with each piece of data
        for at in (self._act_at, self._test_at, self._t2_at, self._t3_at):
            if at is not None and (first is None or at < first):
                first = at
        return first

    def status(self, now: float) -> Status:
        """All of it at a glance, for the status page of a device."""
        t1 = [at for at in (self._act_at, self._test_at) if at is not None]
        if self._outstanding:
            t1.append(self._outstanding[0][1])
        timers = {"t1": min(t1, default=None), "t2": self._t2_at, "t3": self._t3_at}
        return Status(
            state=self._state,
            unacknowledged=len(self._outstanding),
            k=self.parameters.k,
            unconfirmed=self._unconfirmed,
            w=self.parameters.w,
            waiting=len(self._queue),
            next_sent=self._send_number,
            next_received=self._expected_word >> 1,
            timers={name: max(0.0, at - now) for name, at in timers.items() if at is not None},
            counters={"i_sent": self._sent, "i_received": self._received, **self._counts},
            bad_frame=self._bad_frame.hex(" "),
        )

    def data_to_send(self) -> bytes:
        """Take what is to be sent now: whole frames, in order; empty when there is nothing."""
        if not self._out:
            return b""
        data = b"".join(self._out)
        self._out.clear()
        return data

    # ---- what we do -------------------------------------------------------------------------------------------

    def start(self, now: float) -> None:
        """Send STARTDT act; :class:`Started` follows.

        :raises LocalProtocolError: we are the controlled station, or not stopped.
        """
        self._require(State.STOPPED, "start")
        self._state = State.STARTING
        self._act_at = now + self.parameters.t1
        self._send_u(apci.STARTDT_ACT)

    def stop(self, now: float) -> None:
        """Acknowledge what has come and send STOPDT act; :class:`Stopped` follows.

        :raises LocalProtocolError: we are the controlled station, or not started.
        """
        self._require(State.STARTED, "stop")
        self._state = State.STOPPING
        self._send_s_if_due(1)
        self._act_at = now + self.parameters.t1
        self._send_u(apci.STOPDT_ACT)

    def test(self, now: float) -> None:
        """Send TESTFR act unless one is on its way already; :class:`TestConfirmed` follows.

        :raises LocalProtocolError: the link is closed.
        """
        if self._state is State.CLOSED:
            raise LocalProtocolError("the link is closed")
        if self._test_at is None:
            self._t3_at = None
            self._test_sent = now
            self._test_at = now + self.parameters.t1
            self._send_u(apci.TESTFR_ACT)

    def send(self, asdu: bytes, now: float, *, first: bool = False) -> int:
        """Send a data unit, or queue it while k is reached; return its token.

        ``first`` puts it before all that waits, except earlier ones of its kind.

        :raises LocalProtocolError: not started, the queue is full, or not 1 to 249 octets.
        """
        if self._state is not State.STARTED:
            raise LocalProtocolError(f"data transfer is {self._state}, not started")
        if not 1 <= len(asdu) <= MAX_ASDU:
            raise LocalProtocolError(f"a data unit has 1 to {MAX_ASDU} octets, not {len(asdu)}")
        self._token = token = self._token + 1
        # while the window is open nothing waits: each place that falls free is filled at once
        if len(self._outstanding) < self.parameters.k:
            self._send_i(token, asdu, now)
        elif not self._queue.put(token, asdu, first=first):
            raise LocalProtocolError("too many frames are waiting already")
        return token

    def unsent(self) -> tuple[int, ...]:
        """Tokens of the frames that wait, in sending order."""
        return self._queue.tokens()

    def unacknowledged(self) -> tuple[int, ...]:
        """Tokens of the frames that left and may or may not have arrived, oldest first."""
        return tuple(token for token, _ in self._outstanding)

    def withdraw(self, token: int) -> bool:
        """Take a waiting frame out of the queue. True: it has not been and never will be sent. False: too late."""
        return self._queue.withdraw(token)

    def close(self, reason: str) -> list[Event]:
        """End the link for a reason of our own, or because the connection is lost; nothing when closed already."""
        return [] if self._state is State.CLOSED else [self._close("local", reason, None)]

    # ---- what happens -----------------------------------------------------------------------------------------

    def tick(self, now: float, *, unread: bool = False) -> list[Event]:
        """Do what is due at ``now``; :attr:`next_deadline` is later than that afterwards.

        :param unread: something may have arrived that was not given to :meth:`receive` yet. Then nothing counts as
            missing; ``next_deadline`` stays where it is when something seems to be.
        """
        if not unread and (missing := self._missing(now)) is not None:
            return [missing]
        if self._t2_at is not None and now >= self._t2_at:
            self._send_s_if_due(1)
        if self._t3_at is not None and now >= self._t3_at:
            self.test(now)
        return []

    def receive(self, data: bytes, now: float) -> list[Event]:
        """Take what arrived, in any pieces; ignored once closed."""
        events: list[Event] = []
        if self._state is State.CLOSED:
            return events
        if self._rest:
            data = self._rest + data
        tap, unpack = self.tap, HEADER.unpack_from
        position, end = 0, len(data)
        try:
            while end - position >= HEADER_SIZE:
                start, length, first, second = unpack(data, position)
                if start != START or not CONTROL <= length <= MAX_LENGTH:
                    break
                stop = position + 2 + length
                if stop > end:
                    break
                if tap is not None:
                    tap.received(data[position:stop])
                if first & 1:
                    self._control_frame(length, first, second, now, events)
                else:
                    self._data_frame(length, first, second)
                    events.append(AsduReceived(data[position + HEADER_SIZE : stop]))
                position = stop
        except _Violation as violation:
            error = RemoteProtocolError(str(violation), data[position : position + 2 + data[position + 1]])
            events.append(self._close(violation.cause, str(violation), error))
            return events
        self._rest = rest = data[position:]
        if apci.begins_wrongly(rest):
            bad = rest[: MAX_LENGTH + 2]
            if tap is not None:
                tap.received(bad)
            reason = f"a frame cannot begin with {bad[:HEADER_SIZE].hex(' ')}"
            events.append(self._close("garbage", reason, RemoteProtocolError(reason, bad)))
            return events
        self._settle(position > 0, now, events)
        return events

    def _settle(self, frames: bool, now: float, events: list[Event]) -> None:
        """After a piece of data with or without whole ``frames``: send what waits, acknowledge, set timers."""
        if frames and self._test_at is None:
            self._t3_at = now + self.parameters.t3
        if self._state is State.STARTED:
            while self._queue and len(self._outstanding) < self.parameters.k:
                self._send_i(*self._queue.pop(), now)
            if self._queue.relieved():
                events.append(Room(self.room))
        self._send_s_if_due(self.parameters.w if self._state is State.STARTED else 1)
        if self._unconfirmed and self._t2_at is None:
            self._t2_at = now + self.parameters.t2

    def _data_frame(self, length: int, first: int, second: int) -> None:
        if second & 1 or length == CONTROL:
            raise _Violation("control", "an I frame with a reserved bit set or without data")
        if not self._accepts_data:
            raise _Violation("unexpected", f"an I frame while data transfer is {self._state}")
        if first != self._expected_word:
            raise _Violation("sequence", f"N(S) is {first >> 1}, must be {self._expected_word >> 1}")
        if second != self._acknowledged_word:
            self._acknowledge(second)
        self._expected_word = (first + 2) & _LAST_WORD
        self._unconfirmed += 1
        self._received += 1

    def _acknowledge(self, word: int) -> None:
        count = ((word - self._acknowledged_word) & _LAST_WORD) >> 1
        if count > len(self._outstanding):
            allowed = f"{self._acknowledged_word >> 1}-{self._send_number} (modulo {MODULUS})"
            raise _Violation("acknowledgement", f"N(R) is {word >> 1}, must be within {allowed}")
        for _ in range(count):
            self._outstanding.popleft()
        self._acknowledged_word = word

    def _control_frame(self, length: int, first: int, second: int, now: float, events: list[Event]) -> None:
        if first == 1 and length == CONTROL and not second & 1:
            if self._state in (State.STOPPED, State.STARTING) and not self._outstanding:
                raise _Violation("unexpected", f"an S frame while data transfer is {self._state}")
            self._acknowledge(second)
            self._counts["s_received"] += 1
            if self._state is State.STOPPING and not self._controlling:
                self._confirm_stop_if_acknowledged(events)
        elif first in apci.FUNCTIONS and length == CONTROL and not second:
            self._counts["u_received"] += 1
            self._function(first, now, events)
        else:
            raise _Violation("control", f"control octets {HEADER.pack(0, 0, first, second)[2:].hex(' ')}")

    def _function(self, function: int, now: float, events: list[Event]) -> None:
        match function, self._controlling, self._state:
            case apci.TESTFR_ACT, _, _:
                self._send_u(apci.TESTFR_CON)
            case apci.TESTFR_CON, _, _:
                if self._test_at is None:
                    self._counts["tests_unasked"] += 1
                else:
                    self._test_at = None
                    events.append(TestConfirmed(now - self._test_sent))
            case apci.STARTDT_CON, True, State.STARTING:
                self._act_at = None
                self._begin(events)
            case apci.STOPDT_CON, True, State.STOPPING:
                self._act_at = None
                self._end(events)
            case apci.STARTDT_ACT, False, State.STOPPED | State.STARTED:
                self._send_u(apci.STARTDT_CON)
                if self._state is State.STOPPED:
                    self._begin(events)
            case apci.STOPDT_ACT, False, State.STOPPED:
                self._send_u(apci.STOPDT_CON)
            case apci.STOPDT_ACT, False, State.STARTED:
                self._send_s_if_due(1)
                self._state = State.STOPPING
                self._accepts_data = False
                self._confirm_stop_if_acknowledged(events)
            case _:
                name = apci.FUNCTIONS[function]
                raise _Violation("unexpected", f"{name} to the {self.role} station, which is {self._state}")

    def _begin(self, events: list[Event]) -> None:
        self._state = State.STARTED
        self._accepts_data = True
        events.append(Started())

    def _confirm_stop_if_acknowledged(self, events: list[Event]) -> None:
        if not self._outstanding:
            self._send_u(apci.STOPDT_CON)
            self._end(events)

    def _end(self, events: list[Event]) -> None:
        self._state = State.STOPPED
        self._accepts_data = False
        events.append(Stopped(self._queue.take_all()))

    def _require(self, state: State, what: str) -> None:
        if not self._controlling:
            raise LocalProtocolError(f"only the controlling station can {what} data transfer")
        if self._state is not state:
            raise LocalProtocolError(f"data transfer is {self._state}, not {state}")

    def _missing(self, now: float) -> Closed | None:
        if self._outstanding and now >= self._outstanding[0][1]:
            return self._overdue(f"{len(self._outstanding)} I frames are not acknowledged")
        if self._act_at is not None and now >= self._act_at:
            act = apci.STARTDT_ACT if self._state is State.STARTING else apci.STOPDT_ACT
            return self._overdue(f"{apci.FUNCTIONS[act]} is not confirmed")
        if self._test_at is not None and now >= self._test_at:
            return self._overdue("TESTFR act is not confirmed")
        return None

    def _overdue(self, what: str) -> Closed:
        reason = f"{what} within t1 ({self.parameters.t1:g} s)"
        return self._close("t1", reason, RemoteProtocolError(reason, b""))

    def _close(self, cause: Cause, reason: str, error: RemoteProtocolError | None) -> Closed:
        event = Closed(cause, reason, error, self._queue.take_all(), self.unacknowledged())
        self._state = State.CLOSED
        self._accepts_data = False
        self._bad_frame = error.data if error is not None else b""
        self._rest = b""
        self._out.clear()
        self._outstanding.clear()
        self._unconfirmed = 0
        self._act_at = self._test_at = self._t2_at = self._t3_at = None
        return event

    def _send_i(self, token: int, asdu: bytes, now: float) -> None:
        self._write(apci.pack_i(self._send_number, self._expected_word >> 1, asdu))
        self._send_number = (self._send_number + 1) & _LAST
        self._outstanding.append((token, now + self.parameters.t1))
        self._unconfirmed = 0
        self._t2_at = None
        self._sent += 1

    def _send_s_if_due(self, limit: int) -> None:
        """Acknowledge when at least ``limit`` received frames are not acknowledged."""
        if self._unconfirmed >= limit:
            self._write(apci.pack_s(self._expected_word >> 1))
            self._unconfirmed = 0
            self._t2_at = None
            self._counts["s_sent"] += 1

    def _send_u(self, function: int) -> None:
        self._write(apci.pack_u(function))
        self._counts["u_sent"] += 1

    def _write(self, frame: bytes) -> None:
        if self.tap is not None:
            self.tap.sent(frame)
        self._out.append(frame)
