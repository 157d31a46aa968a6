"""Frames in plain words, for a person who looks at the frame log. Pure.

An answer does not tell which addresses it is about, so it is described together with its request, which is the
last one sent with the same transaction id. Whatever bytes come, a text comes out: what is no right frame is said
to be none, and why.
"""

from __future__ import annotations

import struct
from collections.abc import Callable, Sequence

from pydatacoll.codec.registers import unpack_bits
from pydatacoll.protocols.modbus_tcp import frames as wire
from pydatacoll.sdk import Frame

_SHOWN = 16
"""Values shown of an answer; the bytes stand beside it anyhow."""

_READ = {
    wire.READ_COILS: ("coil", "coils"),
    wire.READ_DISCRETE_INPUTS: ("discrete input", "discrete inputs"),
    wire.READ_HOLDING_REGISTERS: ("holding register", "holding registers"),
    wire.READ_INPUT_REGISTERS: ("input register", "input registers"),
}
_BITS = (wire.READ_COILS, wire.READ_DISCRETE_INPUTS)
_NAMES = {
    **{function: f"read {words[1]}" for function, words in _READ.items()},
    wire.WRITE_SINGLE_COIL: "write one coil",
    wire.WRITE_SINGLE_REGISTER: "write one holding register",
    wire.WRITE_MULTIPLE_COILS: "write coils",
    wire.WRITE_MULTIPLE_REGISTERS: "write holding registers",
    wire.MASK_WRITE_REGISTER: "mask a holding register",
    wire.READ_WRITE_REGISTERS: "write and read holding registers",
}
_HEADER = struct.Struct(">HHHB")


def describe(entries: Sequence[Frame]) -> list[str]:
    """See :meth:`pydatacoll.sdk.DeviceDriver.describe`."""
    open_requests: dict[int, tuple[int, bytes]] = {}
    texts = []
    for entry in entries:
        if entry.direction == "note":
            texts.append(entry.text)
        elif entry.direction == "sent":
            texts.append(_sent(entry.data, open_requests))
        else:
            texts.append(_received(entry.data, open_requests))
    return texts


def in_words(unit: int, pdu: bytes) -> str:
    """A request, as ``read 2 holding registers from 100, unit 3``."""
    return f"{_request(pdu)}, unit {unit}"


def _split(data: bytes) -> tuple[int, int, bytes] | str:
    """Transaction, unit and PDU, or what is wrong with the frame."""
    if len(data) < wire.HEADER_SIZE:
        return f"incomplete: {len(data)} of at least 8 bytes"
    transaction, protocol, length, unit = _HEADER.unpack_from(data)
    if protocol:
        return f"not Modbus TCP: protocol id {protocol}, not 0"
    if not 2 <= length <= wire.MAX_LENGTH:
        return f"not Modbus TCP: length {length}, not 2 to {wire.MAX_LENGTH}"
    missing = 6 + length - len(data)
    if missing > 0:
        return f"incomplete: {missing} of {6 + length} bytes are missing"
    if missing < 0:
        return f"{-missing} bytes too many after a frame of {6 + length} bytes"
    return transaction, unit, data[wire.HEADER_SIZE :]


def _sent(data: bytes, requests: dict[int, tuple[int, bytes]]) -> str:
    parts = _split(data)
    if isinstance(parts, str):
        return parts
    transaction, unit, pdu = parts
    requests[transaction] = unit, pdu
    return in_words(unit, pdu)


def _received(data: bytes, requests: dict[int, tuple[int, bytes]]) -> str:
    parts = _split(data)
    if isinstance(parts, str):
        return parts
    transaction, unit, pdu = parts
    asked = requests.pop(transaction, None)
    text = _answer(pdu, asked[1] if asked is not None else None)
    if asked is None:
        return f"{text}, unit {unit} (its request is not in the log)"
    return text if unit == asked[0] else f"{text}, but of unit {unit}: unit {asked[0]} was asked"


def _request(pdu: bytes) -> str:
    function = pdu[0]
    shape = _REQUESTS.get(function)
    if shape is None:
        return _unknown(pdu)
    try:
        return shape(pdu)
    except struct.error:
        return f"{_NAMES[function]}: {len(pdu)} bytes do not make such a request"


def _read_request(pdu: bytes) -> str:
    address, count = struct.unpack(">HH", pdu[1:])
    return f"read {count} {_READ[pdu[0]][count != 1]} from {address}"


def _write_coil(pdu: bytes) -> str:
    address, value = struct.unpack(">HH", pdu[1:])
    return f"write coil {address}: {_COIL.get(value) or f'{value:04x}'}"


def _write_register(pdu: bytes) -> str:
    address, value = struct.unpack(">HH", pdu[1:])
    return f"write holding register {address}: {value:04x}"


def _write_many(pdu: bytes) -> str:
    address, count, size = struct.unpack(">HHB", pdu[1:6])
    values = pdu[6:]
    if len(values) != size:
        return f"{_NAMES[pdu[0]]}: {size} bytes announced, {len(values)} sent"
    bits = pdu[0] == wire.WRITE_MULTIPLE_COILS
    what = ("coil" if bits else "holding register") + ("" if count == 1 else "s")
    return f"write {count} {what} from {address}: {_values(values, count if bits else None)}"


def _mask(pdu: bytes) -> str:
    address, and_mask, or_mask = struct.unpack(">HHH", pdu[1:])
    return f"mask holding register {address}: and {and_mask:04x}, or {or_mask:04x}"


def _write_and_read(pdu: bytes) -> str:
    address, count, to, written, _ = struct.unpack(">HHHHB", pdu[1:10])
    what = "holding register" if written == 1 else "holding registers"
    return f"write {written} {what} from {to}: {_values(pdu[10:], None)}, then read {count} from {address}"


_COIL = {0xFF00: "on", 0: "off"}
_REQUESTS: dict[int, Callable[[bytes], str]] = {
    **dict.fromkeys(_READ, _read_request),
    wire.WRITE_SINGLE_COIL: _write_coil,
    wire.WRITE_SINGLE_REGISTER: _write_register,
    wire.WRITE_MULTIPLE_COILS: _write_many,
    wire.WRITE_MULTIPLE_REGISTERS: _write_many,
    wire.MASK_WRITE_REGISTER: _mask,
    wire.READ_WRITE_REGISTERS: _write_and_read,
}


def _answer(pdu: bytes, request: bytes | None) -> str:
    function = pdu[0]
    asked = request[0] if request is not None else function & 0x7F
    if function == asked | 0x80:
        return _exception(pdu)
    if function != asked:
        return f"function {function} answers function {asked}"
    if function in _READ or function == wire.READ_WRITE_REGISTERS:
        return _read_answer(pdu, request)
    return _write_answer(pdu, request) if function in _NAMES else _unknown(pdu)


def _exception(pdu: bytes) -> str:
    if len(pdu) != 2:
        return f"an exception of {len(pdu)} bytes, not 2"
    code = pdu[1]
    return f"exception {code}: {wire.EXCEPTIONS.get(code, 'not defined by the standard')}"


def _read_answer(pdu: bytes, request: bytes | None) -> str:
    data = pdu[2:]
    if len(pdu) < 2 or pdu[1] != len(data):
        return f"{pdu[1] if len(pdu) > 1 else 'no'} bytes announced, {len(data)} sent"
    bits = pdu[0] in _BITS
    count = len(data) * 8 if bits else len(data) // 2
    asked = None
    if request is not None and len(request) >= 5:
        asked = int.from_bytes(request[3:5], "big")
        wanted = (asked + 7) // 8 if bits else asked * 2
        if wanted != len(data):
            return f"{len(data)} bytes of data, {wanted} were asked for: {_values(data, None)}"
    elif len(data) % 2 and not bits:
        return f"{len(data)} bytes of data, half a register among them: {_values(data, None)}"
    count = asked if asked is not None else count
    what = "bit" if bits else "register"
    return f"{count} {what}{'' if count == 1 else 's'}: {_values(data, count if bits else None)}"


def _write_answer(pdu: bytes, request: bytes | None) -> str:
    if request is not None:
        echo = request if request[0] in _ECHO_WHOLE else request[:5]
        return "written" if pdu == echo else f"confirms something else than was asked: {pdu.hex(' ')}"
    return f"{_NAMES[pdu[0]]}: written" if len(pdu) >= 5 else f"{_NAMES[pdu[0]]}: {len(pdu)} bytes are too few"


_ECHO_WHOLE = (wire.WRITE_SINGLE_COIL, wire.WRITE_SINGLE_REGISTER, wire.MASK_WRITE_REGISTER)


def _values(data: bytes, bits: int | None) -> str:
    """The first registers as hexadecimal words, or the first ``bits`` bits."""
    if bits is None:
        count, text = (len(data) + 1) // 2, data[: 2 * _SHOWN].hex(" ", -2)
    else:
        count = min(bits, len(data) * 8)
        text = " ".join("1" if bit else "0" for bit in unpack_bits(data[: _SHOWN // 8], min(count, _SHOWN)))
    return text if count <= _SHOWN else f"{text} ... ({count - _SHOWN} more)"


def _unknown(pdu: bytes) -> str:
    data = f" with {len(pdu) - 1} bytes of data" if len(pdu) > 1 else ""
    return f"function {pdu[0]}, which is not known here{data}"
