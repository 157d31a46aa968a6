"""Points of one unit, prepared for being read again and again."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import NamedTuple

from pydatacoll.codec.registers import BitDecoder, BlockDecoder, Field, Value
from pydatacoll.model import Quality
from pydatacoll.protocols.modbus_tcp import frames
from pydatacoll.protocols.modbus_tcp.config import READ_FUNCTIONS, ModbusDevice, Table, Target
from pydatacoll.protocols.modbus_tcp.health import HOLE_MAX, HOLE_MIN, PROBE_MAX, Backoff, UnitHealth
from pydatacoll.protocols.modbus_tcp.planner import Block, Holes, Span, plan
from pydatacoll.sdk import Point, PointGroup

BIT_FACTOR = 16
"""``max_gap`` and ``max_block`` are in registers; a bit costs a sixteenth."""


class Member(NamedTuple):
    """A point and where it is."""

    point: Point
    target: Target

    @property
    def span(self) -> Span:
        start = self.target.address.number
        return Span(start, start + self.target.size)


class BlockKey(NamedTuple):
    """What a read request asks for."""

    unit: int
    table: Table
    start: int
    size: int


class ReadBlock:
    """One read request, the points it brings, and how to take them out of the reply."""

    __slots__ = ("decode", "group", "key", "members", "request")

    def __init__(self, unit: int, table: Table, start: int, count: int, members: Sequence[Member]) -> None:
        self.key = BlockKey(unit, table, start, count)
        self.request = frames.read(unit, READ_FUNCTIONS[table], start, count)
        offsets = [member.target.address.number - start for member in members]
        decoder: BitDecoder | BlockDecoder
        if members[0].target.is_bit:
            decoder = BitDecoder(offsets, count)
        else:
            fields = [Field(offset, m.target.layout) for offset, m in zip(offsets, members, strict=True)]
            decoder = BlockDecoder(fields, count)
        self.decode = decoder.decode
        self.members = tuple(members[index] for index in decoder.order)
        self.group = PointGroup([member.point for member in self.members])

    @classmethod
    def around(cls, members: Sequence[Member]) -> ReadBlock:
        """The block from the first to the last of the members."""
        address = members[0].target.address
        start = min(member.span.start for member in members)
        end = max(member.span.end for member in members)
        return cls(address.unit, address.table, start, end - start, members)

    @property
    def span(self) -> Span:
        return Span(self.key.start, self.key.start + self.key.size)

    def __repr__(self) -> str:
        return f"<ReadBlock {self.key} of {len(self.members)} points>"


def qualities(bad: list[bool] | None) -> int | list[int]:
    """Column of bad marks -> quality of a reading."""
    return 0 if bad is None else [int(Quality.INVALID) if mark else 0 for mark in bad]


def sample_values(block: ReadBlock, data: bytes) -> list[tuple[Value, int]]:
    """Value and quality of each member, in the order of ``block.members``."""
    values, bad = block.decode(data)
    marks = bad or [False] * len(values)
    return [(v, int(Quality.INVALID) if mark else 0) for v, mark in zip(values, marks, strict=True)]


class Knowledge:
    """What a device was found to refuse or to ignore; it outlives plans and connections."""

    def __init__(self) -> None:
        self.holes: dict[tuple[int, Table], Holes] = {}
        self.hole_retry: dict[tuple[int, Table, Span], Backoff] = {}
        self.silent: dict[BlockKey, Backoff] = {}
        self.generation = 0
        """Grows with every change that makes another plan the better one."""

    def of(self, unit: int, table: Table) -> Holes:
        return self.holes.setdefault((unit, table), Holes())

    def add_hole(self, member: Member, now: float) -> None:
        """A point is refused when read alone."""
        unit, table = member.target.address[:2]
        self.of(unit, table).points.add(member.span)
        retry = self.hole_retry.setdefault((unit, table, member.span), Backoff(HOLE_MIN, HOLE_MAX))
        retry.failed(now)
        self.generation += 1

    def remove_hole(self, member: Member) -> None:
        """The device answers for it now."""
        unit, table = member.target.address[:2]
        self.of(unit, table).points.discard(member.span)
        self.hole_retry.pop((unit, table, member.span), None)
        self.generation += 1

    def retry_due(self, member: Member) -> float:
        """When a hole may be tried again, ``loop.time()``."""
        unit, table = member.target.address[:2]
        retry = self.hole_retry.get((unit, table, member.span))
        return retry.due if retry is not None else 0.0

    def retry_holes_now(self) -> None:
        """After a reconfiguration or a new connection a hole may have gone."""
        for retry in self.hole_retry.values():
            retry.due = 0.0

    def block_silent(self, key: BlockKey, now: float, *, unit_alive: bool) -> None:
        """A block stayed without answer. When nothing else answered either, it is left out only if that happens
        again: most likely it is the connection."""
        known = key in self.silent
        backoff = self.silent.setdefault(key, Backoff(2.0, PROBE_MAX))
        if unit_alive or known:
            backoff.failed(now)

    def block_answered(self, key: BlockKey) -> None:
        self.silent.pop(key, None)

    def is_silent(self, key: BlockKey, now: float) -> bool:
        """Whether the block is better left out for now."""
        backoff = self.silent.get(key)
        return backoff is not None and backoff.due > now


class LanePlan:
    """All points of one unit and one interval.

    :ivar holes: one block for each point that was refused when read alone.
    """

    __slots__ = ("__weakref__", "blocks", "generation", "health", "holes", "members", "probes", "unit")

    def __init__(self, unit: int, members: Sequence[Member], health: UnitHealth) -> None:
        self.unit = unit
        self.members = tuple(members)
        self.health = health
        self.blocks: list[ReadBlock] = []
        self.holes: list[ReadBlock] = []
        self.generation = -1
        self.probes = 0

    def compile(self, device: ModbusDevice, knowledge: Knowledge) -> None:
        """Work out the blocks anew, keeping the groups of those that stay the same."""
        old = {(block.key, block.members): block for block in [*self.blocks, *self.holes]}

        def reuse(block: ReadBlock) -> ReadBlock:
            return old.get((block.key, block.members), block)

        self.blocks, self.holes = [], []
        for (unit, table), members in by_table(self.members).items():
            holes = knowledge.of(unit, table)
            for block, chosen in plan_members(device, table, members, holes):
                self.blocks.append(reuse(ReadBlock(unit, table, block.start, block.size, chosen)))
            self.holes += [reuse(ReadBlock.around([m])) for m in members if m.span in holes.points]
        self.generation = knowledge.generation

    def next_probe(self) -> ReadBlock | None:
        """A block to ask a silent unit for; another one each time, for a single one may be the silent part."""
        candidates = self.blocks or self.holes
        if not candidates:
            return None
        self.probes += 1
        return candidates[(self.probes - 1) % len(candidates)]


def by_table(members: Iterable[Member]) -> dict[tuple[int, Table], list[Member]]:
    """Members that can share requests."""
    tables: dict[tuple[int, Table], list[Member]] = {}
    for member in members:
        address = member.target.address
        tables.setdefault((address.unit, address.table), []).append(member)
    return tables


def plan_members(
    device: ModbusDevice, table: Table, members: Sequence[Member], holes: Holes
) -> list[tuple[Block, list[Member]]]:
    """Blocks for members of one table, with the device's limits."""
    if table in ("co", "di"):
        max_gap, max_block = device.max_gap * BIT_FACTOR, device.max_block * BIT_FACTOR
    else:
        max_gap, max_block = device.max_gap, device.max_block
    blocks = plan([m.span for m in members], max_gap=max_gap, max_block=max_block, holes=holes)
    return [(block, [members[index] for index in block.members]) for block in blocks]
