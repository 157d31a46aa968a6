"""One try of a point, and everything its registers could mean.

The point is read as it is configured. Then up to four registers are read from its first one, so that also the
types that take two or four can be shown; a device that allows fewer there gives fewer. Left out is what no
instrument measures: NaN, infinity, denormal numbers, floats beyond 1e30 or below 1e-30, and 64-bit integers beyond
2**53. The way in which the point is configured is always shown.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterator
from itertools import product

from pydatacoll.codec.registers import CodeType, Layout, Order, Value, decode
from pydatacoll.errors import DeviceError, DeviceOffline
from pydatacoll.model import Quality
from pydatacoll.protocols.modbus_tcp import frames
from pydatacoll.protocols.modbus_tcp.client import Job, Link, Outcome
from pydatacoll.protocols.modbus_tcp.config import READ_FUNCTIONS, Address, ModbusDevice, Target
from pydatacoll.sdk import Interpretation, Point, Probe, Result, Sample

WIDEST = 4
"""Registers of the widest number."""
PATIENCE = 2.0
"""Most seconds for each read beyond that of the point itself."""
LARGEST, SMALLEST = 1e30, 1e-30
EXACT = 2**53
"""Beyond it a 64-bit integer is hardly a count of anything, and many programs cannot even hold it."""

_ORDERS: tuple[Order, ...] = ("big", "little")
_TYPES: dict[int, tuple[CodeType, ...]] = {
    1: ("uint16", "int16"),
    2: ("uint32", "int32", "float32"),
    4: ("uint64", "int64", "float64"),
}


async def probe(  # noqa: PLR0917
    link: Link, point: Point, target: Target, device: ModbusDevice, deadline: float, wall: Callable[[], float]
) -> Probe:
    """Read a point once; ``deadline`` in ``loop.time()``."""
    address = target.address
    outcome = await _read(link, address, target.size)
    if target.is_bit:
        return _bit(point, target, outcome, wall())
    result: Result
    if isinstance(outcome, bytes):
        value = decode(target.layout, outcome)
        result = Sample(wall(), value, int(Quality.INVALID) if value is None else 0)
    else:
        result = outcome
    raw = outcome if isinstance(outcome, bytes) else b""
    for size in _sizes(address, target.size, device.max_block, known=bool(raw)):
        left = min(PATIENCE, deadline - asyncio.get_running_loop().time() - 0.2)
        if left <= 0 or link.closed.done() or (isinstance(outcome, DeviceError) and not _answered(outcome)):
            break
        try:
            async with asyncio.timeout(left):
                outcome = await _read(link, address, size)
        except TimeoutError:
            break  # some devices stay silent when asked for too much; what is known is enough
        if isinstance(outcome, bytes):
            raw = outcome
            break
    return Probe(result, raw or None, list(interpretations(raw, target, point)))


def _sizes(address: Address, own: int, most: int, *, known: bool) -> list[int]:
    """What to try after the point itself: more while it answers, fewer when it was refused; most first."""
    sizes = [WIDEST, 2] if known else [2, 1]
    most = min(most, frames.ADDRESSES - address.number)
    return [size for size in sizes if size <= most and (size > own if known else size < own)]


def _answered(error: DeviceError) -> bool:
    """Whether the device answered, though negatively: then fewer registers may do."""
    return isinstance(error, frames.ModbusException)


async def _read(link: Link, address: Address, size: int) -> Outcome:
    future: asyncio.Future[Outcome] = asyncio.get_running_loop().create_future()

    def done(_: Job, outcome: Outcome) -> None:
        if not future.done():
            future.set_result(outcome)

    job = Job(frames.read(address.unit, READ_FUNCTIONS[address.table], address.number, size), done)
    link.submit([job])
    try:
        outcome = await future
    finally:
        job.cancelled = True
    if isinstance(outcome, DeviceOffline):
        raise outcome
    return outcome


def _bit(point: Point, target: Target, outcome: Outcome, now: float) -> Probe:
    if isinstance(outcome, DeviceError):
        return Probe(outcome)
    value = bool(outcome[0] & 1)
    return Probe(Sample(now, value), outcome, [Interpretation("bool", value, configured=True)])


def interpretations(data: bytes, target: Target, point: Point) -> Iterator[Interpretation]:
    """Every plausible meaning of registers as they were sent, scaled as the point is; its own way first."""
    own = target.layout
    if own.registers * 2 <= len(data):
        yield _meaning(own, data, point, configured=True)
    for registers, types in _TYPES.items():
        if registers * 2 > len(data):
            break
        words = _ORDERS if registers > 1 else _ORDERS[:1]
        for code_type, byte_order, word_order in product(types, _ORDERS, words):
            layout = Layout(code_type, byte_order, word_order)
            if _same(layout, own) or not plausible(code_type, decode(layout, data[: registers * 2])):
                continue
            yield _meaning(layout, data, point, configured=False)


def _same(layout: Layout, own: Layout) -> bool:
    if layout.code_type != own.code_type or layout.byte_order != own.byte_order:
        return False
    return layout.registers == 1 or layout.word_order == own.word_order


def _meaning(layout: Layout, data: bytes, point: Point, *, configured: bool) -> Interpretation:
    value = decode(layout, data[: layout.registers * 2])
    return Interpretation(
        layout.code_type,
        point.engineering(value),
        layout.byte_order,
        layout.word_order if layout.registers > 1 and layout.code_type != "string" else None,
        configured,
    )


def plausible(code_type: CodeType, value: Value) -> bool:
    """Whether a number can be a measurement or a count."""
    if not isinstance(value, (int, float)):
        return False
    if isinstance(value, float):
        return value == 0 or SMALLEST <= abs(value) <= LARGEST
    return abs(value) <= EXACT if code_type.endswith("64") else True
