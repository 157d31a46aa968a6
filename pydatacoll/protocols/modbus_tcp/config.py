"""Options of a Modbus device, its units and its points, and every check that needs no device."""

from __future__ import annotations

import re
from functools import lru_cache
from math import isfinite
from typing import Annotated, Literal, NamedTuple

from msgspec import Meta

from pydatacoll.codec import engineering
from pydatacoll.codec.registers import FORMATS, INTEGER_RANGES, CodeType, Layout, Order, encode
from pydatacoll.errors import Invalid
from pydatacoll.model import Device, Term, TermItem, Value
from pydatacoll.protocols.modbus_tcp import frames

DEFAULT_PORT = 502

Table = Literal["co", "di", "ir", "hr"]
READ_FUNCTIONS: dict[Table, int] = {
    "co": frames.READ_COILS,
    "di": frames.READ_DISCRETE_INPUTS,
    "ir": frames.READ_INPUT_REGISTERS,
    "hr": frames.READ_HOLDING_REGISTERS,
}
TABLE_NAMES: dict[Table, str] = {
    "co": "coil",
    "di": "discrete input",
    "ir": "input register",
    "hr": "holding register",
}
_MODICON: dict[str, Table] = {"0": "co", "1": "di", "3": "ir", "4": "hr"}
_ZERO_BASED = re.compile(r"(hr|ir|co|di):([0-9]{1,6})", re.ASCII)
_ONE_BASED = re.compile(r"([0134])x([0-9]{1,6})", re.ASCII)


class ModbusDevice(Device, frozen=True, kw_only=True):
    """A Modbus TCP server: one device, or a gateway with several units behind it."""

    backend: Annotated[
        Literal["native", "pymodbus"], Meta(description="who speaks the protocol; the blocks read are the same")
    ] = "native"
    timeout: Annotated[float, Meta(gt=0, le=3600, description="longest wait for an answer, seconds")] = 3.0
    retries: Annotated[
        int, Meta(ge=0, le=10, description="repeats of a read without answer; never of a write")
    ] = 1
    poll_interval: Annotated[
        float, Meta(ge=0, le=86_400 * 366, description="seconds between two reads; 0 = without pause")
    ] = 1.0
    max_gap: Annotated[
        int, Meta(ge=0, le=124, description="unused registers read along to save a request; bits: 16 times that")
    ] = 16
    max_block: Annotated[
        int, Meta(ge=1, le=125, description="registers in one read request; bits: 16 times that")
    ] = 125
    max_in_flight: Annotated[int, Meta(ge=1, le=16, description="requests sent before the first is answered")] = 1
    byte_order: Annotated[Order, Meta(description="order of the two bytes of a register")] = "big"
    word_order: Annotated[Order, Meta(description="order of the registers of a wider value")] = "big"


class ModbusTerm(Term, frozen=True, kw_only=True):
    """A unit of a Modbus device."""

    address: Annotated[int, Meta(ge=0, le=255, description="unit id")] = 1


class ModbusTermItem(TermItem, frozen=True, kw_only=True):
    """A register, a bit or a value of several registers."""

    protocol_code: (
        Annotated[
            str,
            Meta(
                max_length=16,
                description="hr:100 ir:100 co:5 di:5 (zero-based) or 4x101 3x101 0x6 1x6 (one-based)",
                examples=["hr:100", "4x101"],
            ),
        ]
        | None
    ) = None
    code_type: Annotated[CodeType, Meta(description="unset: uint16, bool for bits")] | None = None
    poll_interval: (
        Annotated[float, Meta(ge=0, le=86_400 * 366, description="seconds; unset: the device's")] | None
    ) = None
    byte_order: Annotated[Order, Meta(description="unset: the device's")] | None = None
    word_order: Annotated[Order, Meta(description="unset: the device's")] | None = None
    bit: Annotated[int, Meta(ge=0, le=15, description="one bit of a register, 0 the least significant")] | None = (
        None
    )
    length: (
        Annotated[int, Meta(ge=1, le=250, description="bytes of a string (UTF-8), two per register")] | None
    ) = None


class Address(NamedTuple):
    """What is unique among the points of a device; the number is zero-based."""

    unit: int
    table: Table
    number: int
    bit: int | None = None

    def __str__(self) -> str:
        bit = "" if self.bit is None else f" bit {self.bit}"
        return f"{self.table}:{self.number}{bit} of unit {self.unit}"

    def __repr__(self) -> str:
        return str(self)


class Target(NamedTuple):
    """Where a point is and how it is coded.

    :ivar size: registers, or bits for ``co`` and ``di``.
    """

    address: Address
    layout: Layout
    size: int

    @property
    def is_bit(self) -> bool:
        """Whether the table is one of bits."""
        return self.address.table in ("co", "di")


@lru_cache(maxsize=65536)
def parse_code(code: str) -> tuple[Table, int]:
    """Spelling of the address -> table and zero-based number.

    :raises ValueError: when it is neither spelling, or outside 0-65535.
    """
    if match := _ZERO_BASED.fullmatch(code):
        table: Table = match[1]  # type: ignore[assignment]
        number = int(match[2])
        if number > 65535:
            raise ValueError(f"{number} is not within 0-65535")
        return table, number
    if match := _ONE_BASED.fullmatch(code):
        number = int(match[2])
        if not 1 <= number <= 65536:
            raise ValueError(f"{number} is not within 1-65536, the one-based numbers")
        return _MODICON[match[1]], number - 1
    if code.isascii() and code.isdigit():
        number = min(int(code[:8]), 65535)
        raise ValueError(
            f"{code!r} does not tell the table: write hr:{number} (zero-based) or 4x{number + 1} (one-based) for "
            "a holding register; ir: or 3x for an input register, co: or 0x for a coil, di: or 1x for a discrete "
            "input"
        )
    raise ValueError(
        f"{code!r} is not an address: hr:100 ir:100 co:5 di:5 (zero-based) or 4x101 3x101 0x6 1x6 (one-based)"
    )


def _typed(device: Device, term: Term, item: TermItem) -> tuple[ModbusDevice, ModbusTerm, ModbusTermItem]:
    if isinstance(device, ModbusDevice) and isinstance(term, ModbusTerm) and isinstance(item, ModbusTermItem):
        return device, term, item
    raise TypeError("the objects are not of the Modbus driver's own types")


def address_of(device: Device, term: Term, item: TermItem) -> Address:
    """Where a point is. Asked for every point of every change of the model: it must cost little.

    :raises ValueError: when it has no valid address.
    """
    _, term, item = _typed(device, term, item)
    if item.protocol_code is None:
        raise ValueError("the point has no protocol_code")
    return Address(term.address, *parse_code(item.protocol_code), item.bit)


def resolve(device: Device, term: Term, item: TermItem) -> Target:
    """Where a point is and how it is coded.

    :raises ValueError: when it has no valid address.
    """
    device, term, item = _typed(device, term, item)
    if item.protocol_code is None:
        raise ValueError("the point has no protocol_code")
    table, number = parse_code(item.protocol_code)
    bits = table in ("co", "di")
    layout = Layout(
        item.code_type or ("bool" if bits or item.bit is not None else "uint16"),
        item.byte_order or device.byte_order,
        item.word_order or device.word_order,
        item.length or 0,
        item.bit,
    )
    return Target(Address(term.address, table, number, item.bit), layout, 1 if bits else layout.registers)


def check(device: Device, term: Term, item: TermItem) -> list[tuple[str, str]]:  # noqa: PLR0912 - a list of rules
    """See :meth:`pydatacoll.sdk.DeviceDriver.check`."""
    device, term, item = _typed(device, term, item)
    if item.protocol_code is None:
        return [("protocol_code", "a writable point needs an address")] if item.writable else []
    try:
        table, number = parse_code(item.protocol_code)
    except ValueError as exc:
        return [("protocol_code", str(exc))]
    wrong: list[tuple[str, str]] = []
    bits = table in ("co", "di")
    kind = item.code_type
    if bits and kind not in (None, "bool"):
        wrong.append(("code_type", f"a {TABLE_NAMES[table]} is bool, not {kind}"))
    if item.bit is not None:
        if bits:
            wrong.append(("bit", f"a {TABLE_NAMES[table]} has no bits to choose from"))
        elif kind not in (None, "bool"):
            wrong.append(("bit", f"one bit is bool, not {kind}"))
    if kind == "string" and item.length is None:
        wrong.append(("length", "a string needs its length in bytes"))
    if kind != "string" and item.length is not None:
        wrong.append(("length", f"only a string has a length, not {kind or 'a number'}"))
    if item.writable and table in ("di", "ir"):
        wrong.append(("writable", f"{TABLE_NAMES[table]}s cannot be written"))
    scaled = (item.coefficient, item.base_val) != (1.0, 0.0)
    if not (isfinite(item.coefficient) and isfinite(item.base_val)):
        wrong.append(("coefficient", "coefficient and base_val must be finite"))
    elif scaled and (bits or item.bit is not None or kind in ("bool", "string")):
        wrong.append(("coefficient", f"a value of type {kind or 'bool'} cannot be scaled"))
    elif item.coefficient == 0 and item.writable:
        wrong.append(("coefficient", "a writable point needs a coefficient other than 0"))
    if wrong:
        return wrong
    size = resolve(device, term, item).size
    if number + size > frames.ADDRESSES:
        wrong.append(("protocol_code", f"{size} registers from {number} on run past 65535"))
    if item.writable and size > frames.MAX_WRITE_REGISTERS:
        wrong.append(
            ("length", f"{size} registers cannot be written at once; at most {frames.MAX_WRITE_REGISTERS}")
        )
    if not bits and size > device.max_block:
        wrong.append(("code_type", f"{size} registers do not fit the device's max_block of {device.max_block}"))
    return wrong


def to_raw(layout: Layout, coefficient: float, base: float, value: Value) -> Value:
    """Engineering value -> raw value that the type holds exactly.

    :raises Invalid: when it cannot; nothing is wrapped, cut off or rounded to another step.
    """
    kind = layout.code_type
    if kind == "bool":
        return engineering.to_bool(value)
    if kind == "string":
        if not isinstance(value, str):
            raise Invalid(f"{engineering.shown(value)}: a text is expected")
        try:
            encode(layout, value)
        except ValueError as exc:
            raise Invalid(str(exc)) from exc
        return value
    if kind in INTEGER_RANGES:
        return engineering.to_integer(value, INTEGER_RANGES[kind], coefficient, base, kind)
    return engineering.to_float(value, f">{FORMATS[kind]}", coefficient, base, kind)
