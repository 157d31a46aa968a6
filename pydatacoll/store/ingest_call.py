"""Calls of ``ingest.lua``, as they go to the store."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from itertools import chain

import msgspec

from pydatacoll.codec.entry import encode_column
from pydatacoll.store import keys
from pydatacoll.store.packets import Packet, joined, merged

_pack = msgspec.msgpack.encode


@dataclass(slots=True)
class Call:
    """One call of ``ingest.lua``. ``cost`` is what it takes of the store's time, in samples."""

    partition: int
    sequence: int
    packets: list[Packet]
    samples: int
    cost: int
    payload: bytes
    control: bytes


def encode(packets: Iterable[Packet]) -> tuple[bytes, bytes]:
    """The stream's payload, and what ``ingest.lua`` writes to latest hash and history lists."""
    packets = joined(packets)
    payload = [
        (p.device_id, p.fields, p.times, p.values, p.qualities, *([True] if p.late else ())) for p in packets
    ]
    control = []
    for group in merged(packets):
        last = group[-1]
        columns = [encode_column(packet.values, packet.times, packet.qualities) for packet in group]
        flat: list[str] = [""] * (2 * len(last.fields))
        flat[::2] = last.fields
        flat[1::2] = columns.pop()
        control.append((last.device_id, flat, last.lengths, columns, last.late))
    return _pack(payload), _pack(control)


def command(call: Call, writer: str, owner: str, lease: int, most: int) -> bytes:
    """The command as the server reads it (RESP). Packed here, for this is half of what a small call costs.

    :param lease: milliseconds.
    :param most: entries the stream may hold.
    """
    partition = call.partition
    texts = (
        "FCALL",
        "ingest",
        1,
        keys.stream(partition),
        keys.tag(partition),
        writer,
        call.sequence,
        owner,
        most,
        call.samples,
    )
    arguments = [*(str(text).encode() for text in texts), call.payload, call.control, b"%d" % lease]
    lengths_and_arguments = chain.from_iterable((b"$%d" % len(one), one) for one in arguments)
    return b"\r\n".join((b"*%d" % len(arguments), *lengths_and_arguments, b""))
