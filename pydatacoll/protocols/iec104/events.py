"""What a link tells its owner: states, events, status."""

from __future__ import annotations

from enum import StrEnum
from typing import Literal, Protocol

import msgspec

from pydatacoll.protocols.iec104.errors import RemoteProtocolError

Role = Literal["controlling", "controlled"]
Cause = Literal["garbage", "control", "sequence", "acknowledgement", "unexpected", "t1", "local"]


class State(StrEnum):
    """Where data transfer stands; see rule 7 of :mod:`~pydatacoll.protocols.iec104.link`."""

    STOPPED = "stopped"
    STARTING = "starting"
    STARTED = "started"
    STOPPING = "stopping"
    CLOSED = "closed"


class AsduReceived(msgspec.Struct, frozen=True, gc=False):
    """A data unit came, 1 to 249 octets; nothing in it has been looked at."""

    data: bytes


class Started(msgspec.Struct, frozen=True):
    """Data may be sent from now on."""


class Stopped(msgspec.Struct, frozen=True):
    """Data transfer has stopped, orderly. ``unsent``: tokens of the frames that never left, in sending order."""

    unsent: tuple[int, ...] = ()


class TestConfirmed(msgspec.Struct, frozen=True):
    """The peer confirmed our TESTFR act after ``round_trip`` seconds."""

    __test__ = False  # no test class, whatever pytest makes of the name

    round_trip: float


class Room(msgspec.Struct, frozen=True):
    """The queue was full and is at most half full now: ``room`` frames can be sent."""

    room: int


class Closed(msgspec.Struct, frozen=True):
    """The link is over; the owner closes the connection.

    :ivar cause: the rule that was broken, for counting: ``garbage`` (start octet, length), ``control`` (control
        octets), ``sequence`` (N(S)), ``acknowledgement`` (N(R)), ``unexpected`` (a right frame in a wrong state),
        ``t1`` (no answer in time), ``local`` (:meth:`Link.close`).
    :ivar reason: the same in words.
    :ivar error: what the peer did, with the offending frame (empty for ``t1``); ``None`` for ``local``.
    :ivar unsent: tokens of the frames that never left, in sending order.
    :ivar unacknowledged: tokens of the frames that left and may or may not have arrived.
    """

    cause: Cause
    reason: str
    error: RemoteProtocolError | None
    unsent: tuple[int, ...]
    unacknowledged: tuple[int, ...]


Event = AsduReceived | Started | Stopped | TestConfirmed | Room | Closed


class Status(msgspec.Struct, frozen=True):
    """A link as its user may see it.

    :ivar unacknowledged: I frames sent and not acknowledged, of at most ``k``.
    :ivar unconfirmed: I frames received and not yet acknowledged by us; ``w`` at the latest.
    :ivar waiting: frames in the queue.
    :ivar next_sent, next_received: the next N(S) of either direction.
    :ivar timers: running timers by name (``t1``, ``t2``, ``t3``) and the seconds left.
    :ivar counters: frames by direction and format, and ``tests_unasked``.
    :ivar bad_frame: the frame that closed the link, hex; empty when none did.
    """

    state: State
    unacknowledged: int
    k: int
    unconfirmed: int
    w: int
    waiting: int
    next_sent: int
    next_received: int
    timers: dict[str, float]
    counters: dict[str, int]
    bad_frame: str


class FrameTap(Protocol):
    """Sees every whole frame, such as a :class:`~pydatacoll.sdk.FrameLog`."""

    def sent(self, data: bytes) -> None:
        """A frame about to be sent."""

    def received(self, data: bytes) -> None:
        """A frame that came; also what is no frame."""
