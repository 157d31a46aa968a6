"""Samples on their way into the store, and the account of what became of them."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

from pydatacoll.model import Value

MAX_CALL = 1000
"""Samples in one call: about 3 ms of the server's time."""

_COLUMNS = ("times", "qualities", "lengths")


@dataclass(slots=True)
class Account:
    """What became of the samples of one device; ``held`` of those pending wait for the end of a period."""

    read: int = 0
    stored: int = 0
    unchanged: int = 0
    rejected: int = 0
    dropped: int = 0
    pending: int = 0
    held: int = 0

    def balanced(self) -> bool:
        return self.read == self.stored + self.unchanged + self.rejected + self.dropped + self.pending


class Packet:
    """Samples of one device on their way; at most :data:`MAX_CALL`.

    ``mergeable`` says that ``fields`` is the list of a polling plan, without repetitions: packets with that very
    list are readings of the same points, one after the other. ``late`` says that the samples are older than what
    their points show, so that they are no latest values.
    """

    __slots__ = (
        "account",
        "device_id",
        "fields",
        "late",
        "lengths",
        "mergeable",
        "number",
        "partition",
        "qualities",
        "times",
        "values",
    )

    def __init__(  # noqa: PLR0917 - made millions of times; positional is faster
        self,
        partition: int,
        device_id: str,
        account: Account,
        fields: list[str],
        values: list[Value],
        times: float | list[float],
        qualities: int | list[int],
        lengths: int | list[int],
    ) -> None:
        self.partition = partition
        self.device_id = device_id
        self.account = account
        self.fields = fields
        self.values = values
        self.times = times
        self.qualities = qualities
        self.lengths = lengths
        self.mergeable = False
        self.late = False
        self.number = 0

    def split(self) -> list[Packet]:
        """Parts of at most :data:`MAX_CALL` samples."""

        def part(column: Any, start: int) -> Any:
            return column[start : start + MAX_CALL] if isinstance(column, list) else column

        columns = (self.fields, self.values, self.times, self.qualities, self.lengths)
        parts = []
        for start in range(0, len(self.fields), MAX_CALL):
            cut = (part(column, start) for column in columns)
            parts.append(Packet(self.partition, self.device_id, self.account, *cut))
            parts[-1].late = self.late
        return parts


def cost_of(packet: Packet, seen: set[int]) -> int:
    """What a packet costs the store, in samples: less when the same call writes its points already."""
    count = len(packet.fields)
    if packet.mergeable:
        if id(packet.fields) in seen:
            return count // 3
        seen.add(id(packet.fields))
    return count


def merged(packets: Iterable[Packet]) -> list[list[Packet]]:
    """Packets that one command per point can write together, in an order that keeps that of every point.

    Plans of one device share no points; what is not from a plan may have any, so it ends the merging.
    """
    groups: list[list[Packet]] = []
    joinable: dict[str, dict[int, list[Packet]]] = {}
    for packet in packets:
        if not packet.mergeable:
            joinable.pop(packet.device_id, None)
            groups.append([packet])
            continue
        of_device = joinable.setdefault(packet.device_id, {})
        group = of_device.get(id(packet.fields))
        if group is None:
            group = of_device[id(packet.fields)] = []
            groups.append(group)
        group.append(packet)
    return groups


def joined(packets: Iterable[Packet]) -> list[Packet]:
    """The same samples in fewer packets: of small ones of one device, as events make them, the store need not be
    told one by one. The order of every point is kept."""
    result: list[Packet] = []
    open_parts: dict[str, list[Packet]] = {}
    groups: list[list[Packet]] = []
    for packet in packets:
        group = open_parts.get(packet.device_id)
        if packet.mergeable or group is None or group[0].mergeable or group[0].late != packet.late:
            group = open_parts[packet.device_id] = []
            groups.append(group)
        group.append(packet)
    for group in groups:
        result.append(group[0] if len(group) == 1 else _one(group))
    return result


def _one(packets: list[Packet]) -> Packet:
    """One packet for all; its account is that of each, so it must not be settled."""
    first = packets[0]
    fields: list[str] = []
    values: list[Value] = []
    for packet in packets:
        fields += packet.fields
        values += packet.values
    columns = (_column(packets, [getattr(packet, name) for packet in packets]) for name in _COLUMNS)
    one = Packet(first.partition, first.device_id, first.account, fields, values, *columns)
    one.late = first.late
    return one


def _column(packets: list[Packet], parts: list[Any]) -> Any:
    first = parts[0]
    if not isinstance(first, list) and parts.count(first) == len(parts):
        return first
    column: list[Any] = []
    for packet, part in zip(packets, parts, strict=True):
        column += part if isinstance(part, list) else [part] * len(packet.fields)
    return column
