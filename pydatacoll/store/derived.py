"""Samples that plugins derive, on their way into the store: first noted with the batch they come from, then stored
like measured ones, each batch once."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import msgspec

from pydatacoll.model import DeviceBatch, PointId, Sample
from pydatacoll.model.steps import Steps
from pydatacoll.store import keys
from pydatacoll.store.client import Arg, Store
from pydatacoll.store.ingest_call import encode
from pydatacoll.store.packets import MAX_CALL, Account, Packet
from pydatacoll.store.publish import publish

_decode = msgspec.msgpack.Decoder(list[DeviceBatch]).decode


class _Row(msgspec.Struct, array_like=True):
    partition: int
    samples: int
    payload: bytes
    control: bytes


_decode_row = msgspec.msgpack.Decoder(_Row).decode


class Outgoing:
    """One call of ``ingest.lua`` to come; ``number`` makes it happen once."""

    __slots__ = ("number", "row")

    def __init__(self, number: int, row: _Row) -> None:
        self.number = number
        self.row = row

    def encoded(self) -> bytes:
        """As it is noted in the store."""
        return msgspec.msgpack.encode(self.row)

    @classmethod
    def decode(cls, number: int, blob: bytes) -> Outgoing:
        """Inverse of :meth:`encoded`."""
        return cls(number, _decode_row(blob))


def outgoing(
    partitions: int, samples: Sequence[tuple[PointId, Sample]], history: Callable[[PointId], int], last: int
) -> Steps[list[Outgoing]]:
    """Samples as calls, the order of every device kept, in steps.

    :param partitions: number of partitions of the store.
    :param history: samples kept of a point.
    :param last: number of the last call before these.
    """
    by_partition: dict[int, list[tuple[PointId, Sample]]] = {}
    for start in range(0, len(samples), MAX_CALL):
        yield
        for one in samples[start : start + MAX_CALL]:
            by_partition.setdefault(keys.partition_of(one[0].device_id, partitions), []).append(one)
    result: list[Outgoing] = []
    for partition, ours in by_partition.items():
        for start in range(0, len(ours), MAX_CALL):
            yield
            part = ours[start : start + MAX_CALL]
            payload, control = encode(_packets(partition, part, history))
            last += 1
            result.append(Outgoing(last, _Row(partition, len(part), payload, control)))
    return result


def _packets(
    partition: int, samples: Sequence[tuple[PointId, Sample]], history: Callable[[PointId], int]
) -> list[Packet]:
    by_device: dict[str, list[tuple[PointId, Sample]]] = {}
    for one in samples:
        by_device.setdefault(one[0].device_id, []).append(one)
    return [
        Packet(
            partition,
            device_id,
            Account(),
            [f"{point.term_id}:{point.item_id}" for point, _ in rows],
            [sample.value for _, sample in rows],
            _column([float(sample.time) for _, sample in rows]),
            _column([int(sample.quality) for _, sample in rows]),
            [history(point) for point, _ in rows],
        )
        for device_id, rows in by_device.items()
    ]


def _column(values: list[Any]) -> Any:
    """One number when all are the same, as the stream has it."""
    return values[0] if len(set(values)) == 1 else values


async def deliver(store: Store, one: Outgoing, writer: str, stream_bytes: int) -> None:
    """Store it, unless that has happened, and publish it for outside listeners.

    :param writer: who counts these numbers.
    :param stream_bytes: memory that a partition's stream may take.
    :raises StoreError: when the store is away.
    """
    row = one.row
    most = max(64, stream_bytes // (len(row.payload) + 64))
    arguments: list[Arg] = [
        keys.tag(row.partition), writer, str(one.number), "", most, row.samples, row.payload, row.control, "0",
    ]  # fmt: skip
    status, listeners = await store.fcall("ingest", [keys.stream(row.partition)], arguments)
    if status == 1 and listeners:
        await publish(store, _decode(row.payload))
