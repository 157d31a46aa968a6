"""Faults that a simulated RTU shows on purpose."""

from __future__ import annotations

import random
from dataclasses import dataclass, field
from typing import ClassVar, Final, Literal, get_args

from pydatacoll.testing.fault_rules import STRIKING, Options, Rule

ConnectionFault = Literal[
    "refuse",  # a new connection is reset at once
    "no_startdt_con",  # STARTDT act is not answered
    "no_testfr_con",  # TESTFR act is not answered
    "no_acknowledgement",  # from a received ASDU on, this connection acknowledges nothing any more
]
RequestFault = Literal[
    "no_con",  # an activation is obeyed, but not confirmed
    "no_term",  # its termination is missing; an interrogation ends without saying so
    "negative",  # it is not obeyed: negative confirmation
    "unknown_type",  # it is answered with cause 44,
    "unknown_cause",  # 45,
    "unknown_ca",  # 46,
    "unknown_ioa",  # 47
    "wrong_ca",  # its answers come from the next common address
    "ignore",  # it is neither obeyed nor answered
    "delay",  # its answers come ``seconds`` later
    "slow",  # the ASDUs of an interrogation come ``seconds`` apart
]
FrameFault = Literal[
    "sequence_gap",  # N(S) is one too high
    "bad_nr",  # N(R) acknowledges what was never received
    "garbage",  # octets that are no frame come instead
    "trickle",  # the frame comes octet by octet, ``seconds`` apart
    "half",  # its first half, then nothing more on this connection
    "cut",  # its first half, then the connection is closed (FIN)
    "bad_length",  # the last octet of the ASDU is missing, in a frame that is right
    "silence",  # nothing more is sent on this connection, and nothing it sends is looked at
    "close",  # the connection is closed (FIN) instead
    "reset",  # the same with RST
]
EventFault = Literal[
    "time_invalid",  # the time tag is marked as not valid
    "wrong_clock",  # the time tag is wrong by ``seconds``
    "late",  # the event is sent ``seconds`` later, with its own time
    "duplicate",  # it is sent twice
    "flood",  # and 1000 times more, with the times of now
]
Iec104FaultKind = ConnectionFault | RequestFault | FrameFault | EventFault

_GROUPS: Final = tuple(
    frozenset(get_args(each)) for each in (ConnectionFault, RequestFault, FrameFault, EventFault)
)
CONNECTION, REQUEST, FRAME, EVENT = _GROUPS
"""Kinds, by what they strike: connections and what is received on them, activations and requests, ASDUs about to
be sent, events."""
FLOOD = 1000
"""Events more, of the fault ``flood``."""


@dataclass(slots=True)
class Iec104Fault(Rule):
    """One rule. It applies to whatever of its kind matches everything given.

    :ivar type: type identification of the ASDU.
    :ivar cause: its cause of transmission.
    :ivar common: its common address.
    :ivar address: its first information object address.
    :ivar seconds: of ``delay``, ``slow``, ``trickle``, ``wrong_clock`` (may be negative) and ``late``.
    """

    KINDS = tuple(
        kind for group in (ConnectionFault, RequestFault, FrameFault, EventFault) for kind in get_args(group)
    )
    OPTIONS: ClassVar[Options] = {
        "type": (int, 1, 255),
        "cause": (int, 0, 63),
        "common": (int, 0, 65535),
        "address": (int, 0, 0xFFFFFF),
        **STRIKING,
        "seconds": (float, -1e9, 1e9),
    }

    kind: Iec104FaultKind
    type: int | None = None
    cause: int | None = None
    common: int | None = None
    address: int | None = None
    seconds: float = 0.05

    def matches(self, octets: bytes) -> bool:
        """Whether an ASDU is meant; asks nothing but what is given."""
        wanted = (self.type, self.cause, self.common, self.address)
        found = (
            octets[0],
            octets[2] & 0x3F,
            int.from_bytes(octets[4:6], "little"),
            int.from_bytes(octets[6:9], "little"),
        )
        return all(want in (None, have) for want, have in zip(wanted, found, strict=True))


@dataclass(slots=True)
class Iec104Faults:
    """The rules of a simulated RTU, first match wins. They may be changed at any time.

    :ivar rng: decides on probabilities; seeded, so that a run can be repeated.
    """

    rules: list[Iec104Fault] = field(default_factory=list)
    rng: random.Random = field(default_factory=lambda: random.Random(0))

    def add(self, fault: Iec104Fault) -> Iec104Fault:
        """Add a rule; its ``hits`` can be watched."""
        self.rules.append(fault)
        return fault

    def clear(self) -> None:
        self.rules.clear()

    def match(self, kinds: frozenset[str], octets: bytes | None = None) -> Iec104Fault | None:
        """The fault of one of the kinds that an ASDU meets, or (``None``) a connection as such; counts it."""
        for rule in self.rules:
            if rule.kind in kinds and (octets is None or rule.matches(octets)) and rule.strikes(self.rng):
                return rule
        return None
