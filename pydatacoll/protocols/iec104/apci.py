"""The frame (APDU) of IEC 60870-5-104, clause 5: its octets, without any state.

A frame is the start octet 68H, a length octet (4 to 253: what follows it) and four control octets; an I frame adds
the data unit (ASDU). The two lowest bits of the first control octet tell the formats apart:

======  ==========================================  ================================================
format  control octets, as two little-endian words  use
======  ==========================================  ================================================
I       N(S) * 2, N(R) * 2                          numbered transfer of one data unit
S       1, N(R) * 2                                 acknowledges received I frames
U       function, 0                                 start, stop, test; exactly one function at a time
======  ==========================================  ================================================

All bits not named are reserved and 0. S and U frames have length 4; an I frame is longer.
"""

from __future__ import annotations

import struct
from collections.abc import Iterator

START = 0x68
CONTROL = 4
"""Control octets of a frame; also the smallest length."""
MAX_LENGTH = 253
MAX_ASDU = MAX_LENGTH - CONTROL
MODULUS = 32768
"""Sequence numbers count from 0 to 32767."""

STARTDT_ACT = 0x07
STARTDT_CON = 0x0B
STOPDT_ACT = 0x13
STOPDT_CON = 0x23
TESTFR_ACT = 0x43
TESTFR_CON = 0x83
FUNCTIONS = {
    STARTDT_ACT: "STARTDT act",
    STARTDT_CON: "STARTDT con",
    STOPDT_ACT: "STOPDT act",
    STOPDT_CON: "STOPDT con",
    TESTFR_ACT: "TESTFR act",
    TESTFR_CON: "TESTFR con",
}
"""The control octet of every U frame, and its name."""

HEADER = struct.Struct("<BBHH")
"""Start, length and the two control words."""
HEADER_SIZE = HEADER.size


def pack_i(number: int, acknowledged: int, asdu: bytes) -> bytes:
    """An I frame with N(S) ``number`` and N(R) ``acknowledged``; ``asdu`` has 1 to 249 octets."""
    return HEADER.pack(START, CONTROL + len(asdu), number << 1, acknowledged << 1) + asdu


def pack_s(acknowledged: int) -> bytes:
    """An S frame with N(R) ``acknowledged``."""
    return HEADER.pack(START, CONTROL, 1, acknowledged << 1)


def pack_u(function: int) -> bytes:
    """A U frame; ``function`` is one of :data:`FUNCTIONS`."""
    return HEADER.pack(START, CONTROL, function, 0)


def begins_wrongly(rest: bytes) -> bool:
    """Whether no frame can begin with these octets, however it goes on. True is final, false is not."""
    if rest[:1] and rest[0] != START:
        return True
    return len(rest) > 1 and not CONTROL <= rest[1] <= MAX_LENGTH


def split(data: bytes) -> Iterator[bytes]:
    """Cut octets that begin with a frame into frames; what does not make a frame comes last, in one piece."""
    position, end = 0, len(data)
    while position < end:
        if end - position < HEADER_SIZE or begins_wrongly(data[position : position + 2]):
            break
        stop = position + 2 + data[position + 1]
        if stop > end:
            break
        yield data[position:stop]
        position = stop
    if position < end:
        yield data[position:]


def describe(frame: bytes) -> str:
    """The control octets of one frame in plain words, such as ``I N(S)=3 N(R)=17``, or what is wrong with them."""
    if len(frame) < HEADER_SIZE or begins_wrongly(frame) or len(frame) != 2 + frame[1]:
        return f"no frame, {len(frame)} octets"
    _, length, first, second = HEADER.unpack_from(frame)
    if not first & 1 and not second & 1 and length > CONTROL:
        return f"I N(S)={first >> 1} N(R)={second >> 1}"
    if first == 1 and not second & 1 and length == CONTROL:
        return f"S N(R)={second >> 1}"
    if first in FUNCTIONS and not second and length == CONTROL:
        return f"U {FUNCTIONS[first]}"
    return f"bad control octets {frame[2:HEADER_SIZE].hex(' ')}, length {length}"
