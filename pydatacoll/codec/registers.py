"""Registers and bits on the wire <-> raw values. Pure.

A register is two bytes, sent most significant byte first (MODBUS Application Protocol V1.1b3, 4.2). How a vendor
lays a wider value over several registers is his choice; with A the most significant byte of a 32-bit value:

==========  ==========  ======
byte_order  word_order  bytes
==========  ==========  ======
big         big         ABCD
big         little      CDAB
little      big         BADC
little      little      DCBA
==========  ==========  ======

The same rule holds for 64-bit values. ``word_order`` does not touch strings.
"""

from __future__ import annotations

import struct
from array import array
from collections.abc import Callable, Sequence
from math import isfinite
from operator import itemgetter
from typing import Literal, NamedTuple, get_args

CodeType = Literal["bool", "int16", "uint16", "int32", "uint32", "int64", "uint64", "float32", "float64", "string"]
Order = Literal["big", "little"]

CODE_TYPES: tuple[CodeType, ...] = get_args(CodeType)
FORMATS: dict[str, str] = {
    "bool": "H",
    "int16": "h",
    "uint16": "H",
    "int32": "i",
    "uint32": "I",
    "int64": "q",
    "uint64": "Q",
    "float32": "f",
    "float64": "d",
}
INTEGER_RANGES: dict[str, tuple[int, int]] = {
    f"{sign}int{bits}": (0, 2**bits - 1) if sign else (-(2 ** (bits - 1)), 2 ** (bits - 1) - 1)
    for sign in ("", "u")
    for bits in (16, 32, 64)
}
Value = bool | int | float | str | None
"""A raw value; ``None`` where the registers hold no value of the type (infinity, NaN, undecodable text)."""

Column = tuple[Sequence[Value], "list[bool] | None"]
"""Raw values, and which of them are bad; ``None`` when all are good."""


class Layout(NamedTuple):
    """How one value lies in registers.

    :ivar length: size of a string in bytes.
    :ivar bit: the bit of the register that is meant, 0 the least significant; ``None`` for the whole.
    """

    code_type: CodeType = "uint16"
    byte_order: Order = "big"
    word_order: Order = "big"
    length: int = 0
    bit: int | None = None

    @property
    def registers(self) -> int:
        """Number of registers the value takes."""
        if self.code_type == "string":
            return (self.length + 1) // 2
        return struct.calcsize(">" + FORMATS[self.code_type]) // 2

    @property
    def is_float(self) -> bool:
        return self.code_type in ("float32", "float64")

    @property
    def _swap(self) -> bool:
        """Whether the two bytes of every register change places before ``_endian`` is applied."""
        if self.code_type == "string" or self.registers == 1:
            return self.byte_order == "little"
        return self.byte_order != self.word_order

    @property
    def _endian(self) -> str:
        return "<" if self.registers > 1 and self.code_type != "string" and self.word_order == "little" else ">"


class Field(NamedTuple):
    """A value in a block: its first register, counted from the start of the block, and its layout."""

    offset: int
    layout: Layout


def swap_bytes(data: bytes) -> bytes:
    """Exchange the two bytes of every register."""
    words = array("H", data)
    words.byteswap()
    return words.tobytes()


def encode(layout: Layout, value: Value) -> bytes:
    """A raw value -> the bytes of its registers, as they are sent.

    :raises ValueError: when the type cannot hold the value; nothing is wrapped or cut off.
    """
    kind = layout.code_type
    if kind == "string":
        if not isinstance(value, str):
            raise ValueError("a text is expected")
        if "\0" in value:
            raise ValueError("a text must not contain NUL")
        try:
            data = value.encode()
        except UnicodeEncodeError as exc:
            raise ValueError("the text cannot be encoded as UTF-8") from exc
        if len(data) > layout.length:
            raise ValueError(f"the text takes {len(data)} bytes, the point holds {layout.length}")
        data = data.ljust(layout.registers * 2, b"\0")
    else:
        if kind == "bool" and value not in (True, False):
            raise ValueError("true or false is expected")
        number = int(value) if isinstance(value, bool) else value
        try:
            data = struct.pack(layout._endian + FORMATS[kind], number)
        except (struct.error, OverflowError) as exc:
            raise ValueError(f"{value!r} does not fit {kind}") from exc
    return swap_bytes(data) if layout._swap else data


def decode(layout: Layout, data: bytes) -> Value:
    """The bytes of one value -> the raw value; ``None`` when they hold none."""
    return BlockDecoder([Field(0, layout)]).decode(data)[0][0]


def _text(data: bytes) -> Value:
    """Text up to the first NUL, without trailing spaces."""
    try:
        return data.split(b"\0", 1)[0].rstrip(b" ").decode()
    except UnicodeDecodeError:
        return None


class _Pass:
    """One ``struct.unpack`` over the block: fields that do not overlap and share one order."""

    __slots__ = ("checked", "convert", "fields", "swap", "unpack")

    def __init__(self, fields: list[Field], size: int) -> None:
        first = fields[0].layout
        self.fields = fields
        self.swap = first._swap
        form, position = [first._endian], 0
        for offset, layout in fields:
            if offset > position:
                form.append(f"{(offset - position) * 2}x")
            if layout.code_type == "string":
                pad = layout.registers * 2 - layout.length
                form.append(f"{layout.length}s{pad}x" if pad else f"{layout.length}s")
            else:
                form.append(FORMATS[layout.code_type])
            position = offset + layout.registers
        form.append(f"{(size - position) * 2}x")
        self.unpack: Callable[[bytes], tuple[Value, ...]] = struct.Struct("".join(form)).unpack
        self.checked = any(field.layout.is_float for field in fields)
        self.convert = any(field.layout.code_type in ("string", "bool") for field in fields)

    def decode(self, data: bytes) -> Column:
        values = self.unpack(data)
        if self.convert:
            return self._converted(values)
        # A sum is finite when all terms are; it may overflow without one being infinite, which the slow way
        # sorts out.
        if self.checked and not isfinite(sum(values)):  # type: ignore[arg-type]
            return self._converted(values)
        return values, None

    def _converted(self, raw: Sequence[Value | bytes]) -> Column:
        values: list[Value] = []
        for field, item in zip(self.fields, raw, strict=True):
            value: Value
            if isinstance(item, bytes):
                value = _text(item)
            elif isinstance(item, float):
                value = item if isfinite(item) else None
            elif field.layout.code_type == "bool" and isinstance(item, int):
                bit = field.layout.bit
                value = bool(item) if bit is None else bool(item >> bit & 1)
            else:
                value = item
            values.append(value)
        return values, [value is None for value in values] if None in values else None


class BlockDecoder:
    """Decodes a block of registers at once.

    :ivar order: indices of the given fields in the order in which :meth:`decode` returns their values; chosen so
        that decoding needs no rearranging.
    """

    __slots__ = ("_passes", "decode", "order")

    def __init__(self, fields: Sequence[Field], size: int | None = None) -> None:
        if size is None:
            size = max(field.offset + field.layout.registers for field in fields)
        by_order: dict[tuple[bool, str], list[int]] = {}
        for index in sorted(range(len(fields)), key=lambda i: fields[i].offset):
            layout = fields[index].layout
            by_order.setdefault((layout._swap, layout._endian), []).append(index)
        self.order: list[int] = []
        self._passes: list[_Pass] = []
        for indices in by_order.values():
            rest = indices
            while rest:
                taken, later, end = [], [], 0
                for index in rest:
                    offset, layout = fields[index]
                    if offset >= end:
                        taken.append(index)
                        end = offset + layout.registers
                    else:
                        later.append(index)
                self.order.extend(taken)
                self._passes.append(_Pass([fields[i] for i in taken], size))
                rest = later
        self.decode: Callable[[bytes], Column] = self._decode_all
        """Bytes of the block -> values in ``order``; the number of bytes must be right."""
        if len(self._passes) == 1 and not self._passes[0].swap:
            self.decode = self._passes[0].decode

    def _decode_all(self, data: bytes) -> Column:
        swapped = swap_bytes(data)
        values: list[Value] = []
        for part in self._passes:
            values.extend(part.decode(swapped if part.swap else data)[0])
        return values, [value is None for value in values] if None in values else None


_BITS_OF_BYTE: list[tuple[bool, ...]] = [tuple(bool(byte >> bit & 1) for bit in range(8)) for byte in range(256)]


def unpack_bits(data: bytes, count: int) -> list[bool]:
    """Coils or discrete inputs as sent (least significant bit first) -> ``count`` booleans."""
    table = _BITS_OF_BYTE
    bits = [bit for byte in data for bit in table[byte]]
    del bits[count:]
    return bits


def pack_bits(bits: Sequence[bool]) -> bytes:
    """Inverse of :func:`unpack_bits`; unused bits of the last byte are 0."""
    number = sum(1 << i for i, bit in enumerate(bits) if bit)
    return number.to_bytes((len(bits) + 7) // 8, "little")


class BitDecoder:
    """Decodes a block of coils or discrete inputs; the values come in the order of ``offsets``, all good."""

    __slots__ = ("_count", "_pick", "order")

    def __init__(self, offsets: Sequence[int], size: int) -> None:
        self.order = list(range(len(offsets)))
        self._count = size
        self._pick: Callable[[list[bool]], Sequence[bool]] | None = None
        if len(offsets) == 1:
            only = offsets[0]
            self._pick = lambda bits: (bits[only],)
        elif list(offsets) != list(range(size)):
            self._pick = itemgetter(*offsets)

    def decode(self, data: bytes) -> Column:
        """Bytes of the block -> values."""
        bits = unpack_bits(data, self._count)
        return (bits if self._pick is None else self._pick(bits)), None
