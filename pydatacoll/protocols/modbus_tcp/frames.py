"""Modbus TCP on the wire, without IO: bytes in, frames out.

Sources: MODBUS Application Protocol Specification V1.1b3 (function codes and limits, clause 6; exceptions,
clause 7) and MODBUS Messaging on TCP/IP Implementation Guide V1.0b (the MBAP header, clause 3.1.3).

The rules, in the order in which a received byte meets them:

1. A frame is a header of 7 bytes (transaction, protocol, length, unit) and a PDU. Protocol is 0 and length, which
   counts the unit and the PDU, 2 to 254; with anything else the stream cannot be followed any more
   (``garbage``) and the connection is of no use. Frames that arrived with the garbage are dropped: a peer that
   broke off a frame and began another has filled the first with bytes of the second.
2. A frame belongs to the request with its transaction id. One without such a request is ignored.
3. Unit, function, byte count and, for writes, the echo must be those of the request. With anything else that
   request has failed; its data are never looked at.
4. A function code with the high bit set and one byte of data is an exception: a valid, negative answer.

Two classes are raised and nothing else: :class:`LocalProtocolError` when we are asked to build what the protocol
does not allow, :class:`RemoteProtocolError` for what the peer did wrong.
"""

from __future__ import annotations

import struct
from collections.abc import Container
from typing import Literal, NamedTuple

from pydatacoll.errors import DeviceRefused

READ_COILS = 1
READ_DISCRETE_INPUTS = 2
READ_HOLDING_REGISTERS = 3
READ_INPUT_REGISTERS = 4
WRITE_SINGLE_COIL = 5
WRITE_SINGLE_REGISTER = 6
WRITE_MULTIPLE_COILS = 15
WRITE_MULTIPLE_REGISTERS = 16
MASK_WRITE_REGISTER = 22
READ_WRITE_REGISTERS = 23

MAX_READ_REGISTERS = 125
MAX_READ_BITS = 2000
MAX_WRITE_REGISTERS = 123
MAX_WRITE_BITS = 1968
MAX_READ_WRITE_REGISTERS = 121
"""Registers written by function 23; it reads up to 125."""
ADDRESSES = 65536

EXCEPTIONS = {
    1: "illegal function",
    2: "illegal data address",
    3: "illegal data value",
    4: "server device failure",
    5: "acknowledge",
    6: "server device busy",
    8: "memory parity error",
    10: "gateway path unavailable",
    11: "gateway target device failed to respond",
}

Kind = Literal["garbage", "stale_transaction", "bad_unit", "bad_function", "bad_count", "bad_echo"]

_HEADER = struct.Struct(">HHHB")
_READ = struct.Struct(">BHH")
HEADER_SIZE = 7
MAX_LENGTH = 254
_NO_PROTOCOL = b"\0\0"
_LONGEST = MAX_LENGTH.to_bytes(2, "big")


class LocalProtocolError(ValueError):
    """We tried to send what the protocol does not allow."""


class RemoteProtocolError(DeviceRefused):
    """The peer answered wrongly. ``kind`` is the counter that shows it."""

    def __init__(self, kind: Kind, message: str) -> None:
        super().__init__(f"bad reply ({kind}): {message}")
        self.kind: Kind = kind


class ModbusException(DeviceRefused):
    """The peer answered with an exception, a valid reply. Returned by :meth:`Request.parse`, not raised by it."""

    def __init__(self, code: int) -> None:
        super().__init__(f"exception {code}: {EXCEPTIONS.get(code, 'not defined by the standard')}")
        self.code = code


class Frame(NamedTuple):
    """One application data unit."""

    transaction: int
    unit: int
    pdu: bytes


def pack_frame(transaction: int, unit: int, pdu: bytes) -> bytes:
    """Header and PDU."""
    return _HEADER.pack(transaction, 0, len(pdu) + 1, unit) + pdu


class Splitter:
    """Cuts a byte stream into frames, whatever pieces it comes in.

    :ivar error: set when the stream cannot be followed any more.
    """

    __slots__ = ("_rest", "error")

    def __init__(self) -> None:
        self._rest = b""
        self.error: RemoteProtocolError | None = None

    @property
    def rest(self) -> bytes:
        """The beginning of a frame that is not complete yet."""
        return self._rest

    def stuck(self, expected: Container[int]) -> bool:
        """Whether a frame has begun that none of the ``expected`` transactions waits for."""
        return len(self._rest) >= 2 and int.from_bytes(self._rest[:2], "big") not in expected

    def feed(self, data: bytes) -> list[Frame]:
        """Take what arrived; return the frames completed by it.

        :raises RemoteProtocolError: when the stream was broken before.
        """
        if self.error is not None:
            raise self.error
        if self._rest:
            data = self._rest + data
        frames: list[Frame] = []
        position, end = 0, len(data)
        while end - position >= HEADER_SIZE:
            transaction, protocol, length, unit = _HEADER.unpack_from(data, position)
            if protocol or not 2 <= length <= MAX_LENGTH:
                return self._broken(data[position : position + HEADER_SIZE])
            stop = position + 6 + length
            if stop > end:
                break
            frames.append(Frame(transaction, unit, data[position + 7 : stop]))
            position = stop
        if position == end:
            self._rest = b""
            return frames
        self._rest = rest = data[position:]
        if len(rest) < HEADER_SIZE and (rest[2:4] > _NO_PROTOCOL or rest[4:6] > _LONGEST):
            return self._broken(rest)
        return frames

    def _broken(self, header: bytes) -> list[Frame]:
        self.error = RemoteProtocolError("garbage", f"a frame cannot begin with {header.hex(' ')}")
        self._rest = b""
        return []


class Request:
    """A request PDU and what a right answer looks like.

    :ivar size: number of data bytes a read must bring; ``None`` for a write.
    :ivar echo: the whole reply PDU a write must bring; ``None`` for a read.
    """

    __slots__ = ("echo", "function", "pdu", "size", "tail", "unit")

    def __init__(self, unit: int, pdu: bytes, *, size: int | None = None, echo: bytes | None = None) -> None:
        if not 0 <= unit <= 255:
            raise LocalProtocolError(f"unit {unit} is not within 0-255")
        self.unit = unit
        self.pdu = pdu
        self.function = pdu[0]
        self.size = size
        self.echo = echo
        self.tail = struct.pack(">HHB", 0, len(pdu) + 1, unit) + pdu
        """The frame without its transaction id."""

    def __repr__(self) -> str:
        return f"<Request unit={self.unit} {self.pdu.hex(' ')}>"

    def parse(self, unit: int, pdu: bytes) -> bytes | ModbusException:
        """Check a reply; return its data (empty for a write) or the exception it carries.

        :raises RemoteProtocolError: when it is not a reply to this request.
        """
        if unit != self.unit:
            raise RemoteProtocolError("bad_unit", f"asked unit {self.unit}, unit {unit} answered")
        if not pdu:
            raise RemoteProtocolError("bad_count", "empty")
        function = pdu[0]
        if function != self.function:
            if function != self.function | 0x80:
                raise RemoteProtocolError("bad_function", f"asked {self.function}, got {function}")
            if len(pdu) != 2:
                raise RemoteProtocolError("bad_count", f"an exception of {len(pdu)} bytes")
            return ModbusException(pdu[1])
        if self.echo is not None:
            if pdu != self.echo:
                raise RemoteProtocolError("bad_echo", f"expected {self.echo.hex(' ')}, got {pdu[:16].hex(' ')}")
            return b""
        if len(pdu) < 2 or pdu[1] != self.size or len(pdu) - 2 != self.size:
            raise RemoteProtocolError("bad_count", f"expected {self.size} bytes of data, got {len(pdu) - 2}")
        return pdu[2:]


def _check_range(address: int, count: int, limit: int) -> None:
    if not 1 <= count <= limit:
        raise LocalProtocolError(f"{count} values in one request; allowed are 1 to {limit}")
    if not 0 <= address <= ADDRESSES - count:
        raise LocalProtocolError(f"addresses {address} to {address + count - 1} are not within 0-65535")


def read(unit: int, function: int, address: int, count: int) -> Request:
    """Functions 1 to 4 (clauses 6.1 to 6.4).

    :raises LocalProtocolError: beyond 125 registers, 2000 bits or address 65535.
    """
    if function in (READ_COILS, READ_DISCRETE_INPUTS):
        _check_range(address, count, MAX_READ_BITS)
        size = (count + 7) // 8
    elif function in (READ_HOLDING_REGISTERS, READ_INPUT_REGISTERS):
        _check_range(address, count, MAX_READ_REGISTERS)
        size = count * 2
    else:
        raise LocalProtocolError(f"function {function} does not read")
    return Request(unit, _READ.pack(function, address, count), size=size)


def write_coil(unit: int, address: int, value: bool) -> Request:
    """Function 5 (clause 6.5)."""
    _check_range(address, 1, 1)
    pdu = _READ.pack(WRITE_SINGLE_COIL, address, 0xFF00 if value else 0)
    return Request(unit, pdu, echo=pdu)


def write_register(unit: int, address: int, data: bytes) -> Request:
    """Function 6 (clause 6.6); ``data`` are the two bytes of the register."""
    _check_range(address, 1, 1)
    if len(data) != 2:
        raise LocalProtocolError(f"a register has 2 bytes, not {len(data)}")
    pdu = struct.pack(">BH", WRITE_SINGLE_REGISTER, address) + data
    return Request(unit, pdu, echo=pdu)


def write_coils(unit: int, address: int, bits: bytes, count: int) -> Request:
    """Function 15 (clause 6.11); ``bits`` as :func:`~pydatacoll.codec.registers.pack_bits` gives them."""
    _check_range(address, count, MAX_WRITE_BITS)
    if len(bits) != (count + 7) // 8:
        raise LocalProtocolError(f"{len(bits)} bytes do not hold {count} bits")
    head = _READ.pack(WRITE_MULTIPLE_COILS, address, count)
    return Request(unit, head + bytes([len(bits)]) + bits, echo=head)


def write_registers(unit: int, address: int, data: bytes) -> Request:
    """Function 16 (clause 6.12)."""
    if len(data) % 2:
        raise LocalProtocolError("half a register")
    _check_range(address, len(data) // 2, MAX_WRITE_REGISTERS)
    head = _READ.pack(WRITE_MULTIPLE_REGISTERS, address, len(data) // 2)
    return Request(unit, head + bytes([len(data)]) + data, echo=head)


def mask_write(unit: int, address: int, and_mask: int, or_mask: int) -> Request:
    """Function 22 (clause 6.16): register = (register AND and_mask) OR (or_mask AND NOT and_mask)."""
    _check_range(address, 1, 1)
    if not (0 <= and_mask <= 0xFFFF and 0 <= or_mask <= 0xFFFF):
        raise LocalProtocolError("masks have 16 bits")
    pdu = struct.pack(">BHHH", MASK_WRITE_REGISTER, address, and_mask, or_mask)
    return Request(unit, pdu, echo=pdu)


def read_write(unit: int, address: int, count: int, write_address: int, data: bytes) -> Request:
    """Function 23 (clause 6.17): writes ``data`` first, then reads."""
    if len(data) % 2:
        raise LocalProtocolError("half a register")
    _check_range(address, count, MAX_READ_REGISTERS)
    _check_range(write_address, len(data) // 2, MAX_READ_WRITE_REGISTERS)
    head = struct.pack(">BHHHHB", READ_WRITE_REGISTERS, address, count, write_address, len(data) // 2, len(data))
    return Request(unit, head + data, size=count * 2)
