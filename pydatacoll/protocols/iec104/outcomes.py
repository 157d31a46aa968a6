"""What became of a request, as one word for programs, and what a negative answer means.

The words that several procedures share: ``terminated`` and ``confirmed`` for what went well; ``negative``,
``unknown_type``, ``unknown_cause``, ``unknown_ca`` and ``unknown_ioa`` for what the station refused;
``no_confirmation`` and ``no_termination`` for what it left open; ``link_lost``.
"""

from __future__ import annotations

from pydatacoll.errors import DeviceRefused
from pydatacoll.protocols.iec104.asdu import CAUSES, Asdu
from pydatacoll.protocols.iec104.types import type_name

TERMINATED = "terminated"
CONFIRMED = "confirmed"
NEGATIVE = "negative"
NO_CONFIRMATION = "no_confirmation"
NO_TERMINATION = "no_termination"
LINK_LOST = "link_lost"

UNKNOWN = {44: "unknown_type", 45: "unknown_cause", 46: "unknown_ca", 47: "unknown_ioa"}
"""Causes with which a station refuses what it does not know (IEC 60870-5-101, 7.2.3)."""


def refusal(asdu: Asdu) -> DeviceRefused | None:
    """The error that a mirrored request means; ``None`` when it is a positive answer."""
    outcome = UNKNOWN.get(asdu.cause) or (NEGATIVE if asdu.negative else None)
    if outcome is None:
        return None
    meaning = CAUSES.get(asdu.cause, "reserved")
    sign = "negative " if outcome == NEGATIVE else ""
    return DeviceRefused(
        f"the station answered {type_name(asdu.type_id)} with {sign}cause {asdu.cause}, {meaning}", outcome=outcome
    )
