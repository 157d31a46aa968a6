"""Which blocks are read to get all points. Pure.

A block is one read request. Points that are close together share one; unused registers in between are read along
when that is cheaper than another request, but never registers that the device is known to refuse.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from typing import NamedTuple


class Span(NamedTuple):
    """Registers (or bits) of one point: ``start`` up to, not including, ``end``."""

    start: int
    end: int


class Block(NamedTuple):
    """One read request.

    :ivar members: indices of the points it covers, by address.
    """

    start: int
    size: int
    members: tuple[int, ...]


@dataclass(slots=True)
class Holes:
    """What is known to be refused in one table of one unit.

    :ivar points: spans that were refused when read alone.
    :ivar gaps: registers that are never read along between points.
    :ivar cuts: addresses ``a`` such that ``a - 1`` and ``a`` are never read in one request.
    """

    points: set[Span] = field(default_factory=set)
    gaps: set[int] = field(default_factory=set)
    cuts: set[int] = field(default_factory=set)

    def learn_boundary(self, left_end: int, right_start: int) -> None:
        """Two halves were answered, the whole was not: what lies between them is at fault."""
        if right_start > left_end:
            self.gaps.update(range(left_end, right_start))
        else:
            self.cuts.add(right_start)

    def bad_registers(self) -> set[int]:
        """Registers that no block with more than one point may contain."""
        bad = set(self.gaps)
        for span in self.points:
            bad.update(range(span.start, span.end))
        return bad


def plan(spans: Sequence[Span], *, max_gap: int, max_block: int, holes: Holes | None = None) -> list[Block]:
    """Blocks that cover every span that is not a hole exactly once, in order of address.

    :param max_gap: unused registers in a row that are read along.
    :param max_block: registers in one block; no single span may be longer.
    """
    holes = holes or Holes()
    bad = holes.bad_registers()
    order = sorted((i for i in range(len(spans)) if spans[i] not in holes.points), key=lambda i: (*spans[i], i))
    blocks: list[Block] = []
    members: list[int] = []
    start = end = 0
    alone = False
    for index in order:
        span = spans[index]
        # Overlaps a hole without being one: the device may well refuse it too, and must not drag others down.
        risky = bool(bad) and any(register in bad for register in range(*span))
        if (
            members
            and not alone
            and not risky
            and span.start - end <= max_gap
            and max(span.end, end) - start <= max_block
            and not (bad and any(register in bad for register in range(end, span.start)))
            and not (holes.cuts and any(start < cut < max(span.end, end) for cut in holes.cuts))
        ):
            members.append(index)
            end = max(end, span.end)
            continue
        if members:
            blocks.append(Block(start, end - start, tuple(members)))
        members, (start, end), alone = [index], span, risky
    if members:
        blocks.append(Block(start, end - start, tuple(members)))
    return blocks


def halves(spans: Sequence[Span], members: Sequence[int]) -> tuple[list[int], list[int]]:
    """Split the members of a refused block, by address. Both halves have at least one."""
    order = sorted(members, key=lambda i: spans[i])
    middle = len(order) // 2
    return order[:middle], order[middle:]


def extent(spans: Sequence[Span], members: Iterable[int]) -> Span:
    """The registers from the first to the last of the members."""
    chosen = [spans[i] for i in members]
    return Span(min(span.start for span in chosen), max(span.end for span in chosen))
