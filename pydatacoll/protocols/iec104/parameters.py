"""The parameters of a link: k, w and the time-outs, with the limits and defaults of IEC 60870-5-104."""

from __future__ import annotations

import msgspec

from pydatacoll.protocols.iec104.apci import MODULUS

LONGEST = 255
"""Seconds: t0, t1 and t2 at most."""
LONGEST_IDLE = 172_800
"""Seconds: t3 at most, 48 hours, for lines that are paid by the octet."""


class Parameters(msgspec.Struct, frozen=True, kw_only=True):
    """What both ends of a link agree on. Checked when made.

    :ivar k: I frames that may be sent and not yet acknowledged, 1-32767; then sending waits.
    :ivar w: received I frames that are acknowledged at the latest, 1-32767. It goes with the k of the
        peer.
    :ivar t0: seconds to wait for the connection, 1-255; for whoever connects, the link does not use it.
    :ivar t1: seconds to wait for the acknowledgement of an I frame or the confirmation of a U frame, 1-255.
    :ivar t2: seconds after which a received I frame is acknowledged when w is not reached, 1-255, below t1.
    :ivar t3: seconds without a received frame after which the link is tested, 1-172800.
    :raises ValueError: a value is out of range; the message names it.
    """

    k: int = 12
    w: int = 8
    t0: float = 30
    t1: float = 15
    t2: float = 10
    t3: float = 20

    def __post_init__(self) -> None:
        for name, count in (("k", self.k), ("w", self.w)):
            if not 1 <= count < MODULUS:
                raise ValueError(f"{name} = {count} is not within 1-{MODULUS - 1}")
        for name, seconds in (("t0", self.t0), ("t1", self.t1), ("t2", self.t2)):
            if not 1 <= seconds <= LONGEST:
                raise ValueError(f"{name} = {seconds:g} is not within 1-{LONGEST} seconds")
        if not 1 <= self.t3 <= LONGEST_IDLE:
            raise ValueError(f"t3 = {self.t3:g} is not within 1-{LONGEST_IDLE} seconds")
        if self.t2 >= self.t1:
            raise ValueError(f"t2 = {self.t2:g} is not below t1 = {self.t1:g}: the peer would wait in vain")

    def warnings(self) -> list[str]:
        """What is allowed and not recommended, in words for the user."""
        if self.w * 3 > self.k * 2:
            return [f"w = {self.w} should not exceed two thirds of k = {self.k}: the peer may have to wait for t2"]
        return []
