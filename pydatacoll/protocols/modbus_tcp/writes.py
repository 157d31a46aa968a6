"""Which requests a batch of writes becomes. Pure.

Writes keep the order of the batch. Neighbours in the batch share a request only when their registers are exactly
contiguous, so that nothing is written that was not asked for; a value of several registers is never split.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

from pydatacoll.codec.registers import encode, pack_bits
from pydatacoll.protocols.modbus_tcp import frames
from pydatacoll.protocols.modbus_tcp.config import Table, Target
from pydatacoll.protocols.modbus_tcp.planner import Span
from pydatacoll.sdk import Value

FULL = 0xFFFF


@dataclass(slots=True)
class Part:
    """One value of a step.

    :ivar index: its place in the batch.
    :ivar data: the bytes of its registers; one byte 0 or 1 for a bit.
    """

    index: int
    target: Target
    data: bytes

    @property
    def span(self) -> Span:
        start = self.target.address.number
        return Span(start, start + self.target.size)


@dataclass(slots=True)
class Step:
    """One write request.

    :ivar masked: single bits of one register (function 22).
    """

    unit: int
    table: Table
    start: int
    end: int
    masked: bool
    parts: list[Part] = field(default_factory=list)

    def overlaps(self, other: Step) -> bool:
        """Whether the order of the two matters."""
        same = (self.unit, self.table) == (other.unit, other.table)
        return same and self.start < other.end and other.start < self.end

    def accept(self, part: Part) -> bool:
        """Take a part in, if it may share the request."""
        address = part.target.address
        if (address.unit, address.table) != (self.unit, self.table) or self.masked != (address.bit is not None):
            return False
        if self.masked:
            taken = any(other.target.address.bit == address.bit for other in self.parts)
            fits = address.number == self.start and not taken
            if fits:
                self.parts.append(part)
            return fits
        limit = frames.MAX_WRITE_BITS if self.table == "co" else frames.MAX_WRITE_REGISTERS
        fits = self.end - self.start + part.target.size <= limit
        span = part.span
        if fits and span.start == self.end:
            self.end = span.end
            self.parts.append(part)
        elif fits and span.end == self.start:
            self.start = span.start
            self.parts.insert(0, part)
        else:
            return False
        return True

    def request(self) -> frames.Request:
        """The request PDU: function 5, 6, 15, 16 or 22."""
        if self.masked:
            and_mask, or_mask = FULL, 0
            for part in self.parts:
                mask = 1 << wire_bit(part.target)
                and_mask &= ~mask
                or_mask |= mask if part.data == b"\1" else 0
            return frames.mask_write(self.unit, self.start, and_mask, or_mask)
        count = self.end - self.start
        if self.table == "co":
            bits = [part.data == b"\1" for part in self.parts]
            if count == 1:
                return frames.write_coil(self.unit, self.start, bits[0])
            return frames.write_coils(self.unit, self.start, pack_bits(bits), count)
        data = b"".join(part.data for part in self.parts)
        if count == 1:
            return frames.write_register(self.unit, self.start, data)
        return frames.write_registers(self.unit, self.start, data)

    def read_back(self) -> frames.Request:
        """The request that reads what the step wrote."""
        function = frames.READ_COILS if self.table == "co" else frames.READ_HOLDING_REGISTERS
        return frames.read(self.unit, function, self.start, self.end - self.start)


def wire_bit(target: Target) -> int:
    """Place of a single bit in its register as it is sent; little byte order exchanges the two halves."""
    bit = target.address.bit or 0
    return bit ^ 8 if target.layout.byte_order == "little" else bit


def make_part(index: int, target: Target, value: Value) -> Part:
    """Encode one value.

    :raises ValueError: when it does not fit or the point cannot be written.
    """
    if target.address.table not in ("co", "hr"):
        raise ValueError(f"{target.address} cannot be written")
    if target.is_bit or target.address.bit is not None:
        if value not in (True, False):
            raise ValueError("true or false is expected")
        return Part(index, target, b"\1" if value else b"\0")
    return Part(index, target, encode(target.layout, value))


def plan_writes(parts: Sequence[Part]) -> list[list[Step]]:
    """Steps in the order of the batch, in waves: steps of one wave do not overlap, and a wave begins when the one
    before it is answered."""
    steps: list[Step] = []
    for part in parts:
        if steps and steps[-1].accept(part):
            continue
        address = part.target.address
        masked = address.bit is not None
        steps.append(Step(address.unit, address.table, part.span.start, part.span.end, masked, [part]))
    waves: list[list[Step]] = []
    for step in steps:
        if not waves or any(step.overlaps(other) for other in waves[-1]):
            waves.append([])
        waves[-1].append(step)
    return waves
