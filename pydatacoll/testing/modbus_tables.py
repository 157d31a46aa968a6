"""The tables of a simulated Modbus unit and the functions on them."""

from __future__ import annotations

import struct
from collections.abc import Iterable, Iterator
from typing import overload

from pydatacoll.codec.registers import INTEGER_RANGES, Layout, decode, encode
from pydatacoll.testing.signals import Sequence, Signal

SIZE = 65536
UINT16 = Layout()


class _Refuse(Exception):
    def __init__(self, code: int) -> None:
        self.code = code


class _Table:
    """What registers and bits share.

    :ivar size: addresses from here on give exception 2.
    :ivar holes: addresses that give exception 2.
    :ivar frozen: writes are confirmed and do nothing.
    """

    width = 1
    """Bytes of one address."""

    def __init__(self) -> None:
        self.size = SIZE
        self.holes: set[int] = set()
        self.frozen = False
        self._data = bytearray(SIZE * self.width)

    def limit(self, size: int) -> None:
        """Take no more memory than for ``size`` addresses; from there on exception 2."""
        self.size = size
        del self._data[size * self.width :]

    def check(self, address: int, count: int) -> None:
        """Refuse with exception 2 what is outside or in a hole."""
        if address + count > self.size:
            raise _Refuse(2)
        if self.holes and not self.holes.isdisjoint(range(address, address + count)):
            raise _Refuse(2)


class Registers(_Table):
    """16-bit registers, readable and writable like a list."""

    width = 2

    def __init__(self) -> None:
        super().__init__()
        self._signals: dict[int, tuple[Signal, Layout, float]] = {}

    @overload
    def __getitem__(self, key: int) -> int: ...
    @overload
    def __getitem__(self, key: slice) -> list[int]: ...
    def __getitem__(self, key: int | slice) -> int | list[int]:
        if isinstance(key, slice):
            return [self[index] for index in range(*key.indices(SIZE))]
        return int.from_bytes(self._data[key * 2 : key * 2 + 2], "big")

    @overload
    def __setitem__(self, key: int, value: int) -> None: ...
    @overload
    def __setitem__(self, key: slice, value: Iterable[int]) -> None: ...
    def __setitem__(self, key: int | slice, value: int | Iterable[int]) -> None:
        if isinstance(key, slice) and not isinstance(value, int):
            for index, item in zip(range(*key.indices(SIZE)), value, strict=True):
                self[index] = item
        elif isinstance(key, int) and isinstance(value, int):
            struct.pack_into(">H", self._data, key * 2, value)

    def signal(
        self,
        address: int,
        signal: Signal,
        layout: Layout = UINT16,
        *,
        scale: float = 1.0,
    ) -> None:
        """Let a value move. ``scale`` is the engineering value of one step: the raw value is signal / scale."""
        self._signals[address] = (signal, layout, scale)

    def store(self, address: int, data: bytes) -> None:
        """Write bytes; a signal on a written register ends."""
        if self.frozen:
            return
        self._data[address * 2 : address * 2 + len(data)] = data
        if self._signals:
            for touched in range(address, address + len(data) // 2):
                self._signals.pop(touched, None)

    def load(self, address: int, count: int, time: float) -> bytes:
        """Bytes of registers; signals are worked out now."""
        if self._signals:
            # A wide value may begin up to three registers before the block.
            for start in range(max(0, address - 3), address + count):
                moving = self._signals.get(start)
                if moving is not None:
                    self._refresh(start, *moving, time)
        return bytes(self._data[address * 2 : (address + count) * 2])

    def sequences(self, address: int, count: int) -> Iterator[Sequence]:
        """The sequences that begin in a block."""
        for start in range(address, address + count) if self._signals else ():
            moving = self._signals.get(start)
            if moving is not None and isinstance(moving[0], Sequence):
                yield moving[0]

    def value(self, address: int, layout: Layout) -> float:
        """The number stored at an address; 0 for what is none."""
        stored = decode(layout, bytes(self._data[address * 2 : (address + layout.registers) * 2]))
        return stored if isinstance(stored, (int, float)) else 0

    def _refresh(self, address: int, signal: Signal, layout: Layout, scale: float, time: float) -> None:
        value: float | bool = signal.at(time) / scale
        if layout.code_type in INTEGER_RANGES:
            low, high = INTEGER_RANGES[layout.code_type]
            value = min(max(round(value), low), high)
        data = encode(layout, value)
        self._data[address * 2 : address * 2 + len(data)] = data


class Bits(_Table):
    """Coils or discrete inputs."""

    def __init__(self) -> None:
        super().__init__()
        self._signals: dict[int, Signal] = {}

    def __getitem__(self, key: int) -> bool:
        return bool(self._data[key])

    def __setitem__(self, key: int, value: bool) -> None:
        self._data[key] = 1 if value else 0

    def signal(self, address: int, signal: Signal) -> None:
        """Let a bit move: it is set while the signal is positive."""
        self._signals[address] = signal

    def load(self, address: int, count: int, time: float) -> bytes:
        """Packed bits."""
        for index in range(address, address + count) if self._signals else ():
            moving = self._signals.get(index)
            if moving is not None:
                self._data[index] = 1 if moving.at(time) > 0 else 0
        digits = self._data[address : address + count][::-1].translate(_DIGITS)
        return int(digits, 2).to_bytes((count + 7) // 8, "little")

    def store(self, address: int, count: int, packed: bytes) -> None:
        """Write packed bits."""
        if self.frozen:
            return
        number = int.from_bytes(packed, "little")
        for index in range(count):
            self._data[address + index] = number >> index & 1
            self._signals.pop(address + index, None)


_DIGITS = bytes([48 + (value & 1) for value in range(256)])


class Unit:
    """One unit: four tables.

    :ivar functions: those it knows; others give exception 1.
    """

    def __init__(self) -> None:
        self.holding = Registers()
        self.inputs = Registers()
        self.coils = Bits()
        self.discrete = Bits()
        self.functions = {1, 2, 3, 4, 5, 6, 15, 16, 22, 23}

    def limit(self, size: int) -> None:
        """Addresses from ``size`` on give exception 2."""
        if not 1 <= size <= SIZE:
            raise ValueError(f"{size} registers: 1 to {SIZE} are possible")
        for table in (self.holding, self.inputs, self.coils, self.discrete):
            table.limit(size)


def handle(unit: Unit, pdu: bytes, time: float) -> bytes:
    """Execute a request PDU and return the reply PDU."""
    function = pdu[0]
    try:
        _require(function in unit.functions, 1)
        return pdu[:1] + _execute(unit, function, pdu, time)
    except struct.error:
        return bytes((function | 0x80, 3))
    except _Refuse as refuse:
        return bytes((function | 0x80, refuse.code))


def _require(condition: bool, code: int = 3) -> None:
    if not condition:
        raise _Refuse(code)


def _execute(unit: Unit, function: int, pdu: bytes, time: float) -> bytes:  # noqa: PLR0911 - one branch a function
    address, count = struct.unpack_from(">HH", pdu, 1)
    if function in (1, 2):
        bits = unit.coils if function == 1 else unit.discrete
        _require(len(pdu) == 5 and 1 <= count <= 2000)
        bits.check(address, count)
        data = bits.load(address, count, time)
        return bytes((len(data),)) + data
    if function in (3, 4):
        registers = unit.holding if function == 3 else unit.inputs
        _require(len(pdu) == 5 and 1 <= count <= 125)
        registers.check(address, count)
        return bytes((count * 2,)) + registers.load(address, count, time)
    if function == 5:
        _require(len(pdu) == 5 and count in (0, 0xFF00))
        unit.coils.check(address, 1)
        unit.coils.store(address, 1, b"\1" if count else b"\0")
        return pdu[1:]
    if function == 6:
        _require(len(pdu) == 5)
        unit.holding.check(address, 1)
        unit.holding.store(address, pdu[3:5])
        return pdu[1:]
    if function == 15:
        size = pdu[5] if len(pdu) > 5 else 0
        _require(1 <= count <= 1968 and size == (count + 7) // 8 and len(pdu) == 6 + size)
        unit.coils.check(address, count)
        unit.coils.store(address, count, pdu[6:])
        return pdu[1:5]
    if function == 16:
        size = pdu[5] if len(pdu) > 5 else 0
        _require(1 <= count <= 123 and size == count * 2 and len(pdu) == 6 + size)
        unit.holding.check(address, count)
        unit.holding.store(address, pdu[6:])
        return pdu[1:5]
    if function == 22:
        _require(len(pdu) == 7)
        and_mask, or_mask = struct.unpack_from(">HH", pdu, 3)
        unit.holding.check(address, 1)
        value = unit.holding[address]
        unit.holding.store(address, struct.pack(">H", (value & and_mask) | (or_mask & ~and_mask & 0xFFFF)))
        return pdu[1:]
    write_address, write_count, size = struct.unpack_from(">HHB", pdu, 5)
    _require(1 <= count <= 125 and 1 <= write_count <= 121 and size == write_count * 2 and len(pdu) == 10 + size)
    unit.holding.check(write_address, write_count)
    unit.holding.check(address, count)
    unit.holding.store(write_address, pdu[10:])
    return bytes((count * 2,)) + unit.holding.load(address, count, time)
