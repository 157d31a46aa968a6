"""Live push as server-sent events (HTML standard, 9.2), for curl, Node-RED and the like. Pure."""

from __future__ import annotations

from typing import Final

from pydatacoll.live.wire import PARTS, Body, Piece

RETRY: Final = 2000
"""Milliseconds after which a client connects again."""


def event_id(epoch: str, seq: int) -> str:
    """What a client sends back as ``Last-Event-ID``."""
    return f"{epoch}-{seq}"


def parse_event_id(text: str | None) -> tuple[str, int] | None:
    """Inverse of :func:`event_id`; ``None`` for what is none: then everything is sent."""
    epoch, _, seq = (text or "").rpartition("-")
    if not epoch or not (seq.isascii() and seq.isdigit()) or len(seq) > 15:
        return None
    return epoch, int(seq)


class SseWire:
    """Events ``snapshot`` and then ``values``, ``devices``, ``alarms`` and ``events``."""

    def hello(self, epoch: str) -> bytes:
        del epoch
        return f"retry: {RETRY}\n\n".encode()

    def snapshot(self, name: str, piece: Piece, *, more: bool) -> bytes:
        """The id comes with the last piece: who has not got all of them begins anew."""
        del name
        head = f'{{"epoch":"{piece.epoch}","seq":{piece.seq},"resumed":{"true" if piece.resumed else "false"}'
        data = (
            f'{head},"points":{piece.points}'.encode() + piece.body.json() + (b',"more":true}' if more else b"}")
        )
        last = b"" if more else f"id: {event_id(piece.epoch, piece.seq)}\n".encode()
        return b"event: snapshot\n" + last + b"data: " + data + b"\n\n"

    def batch(self, name: str, epoch: str, seq: int, body: Body) -> bytes:
        """One event for each topic; the id comes with the last one."""
        del name
        by_topic: dict[str, list[str]] = {}
        for member, text in body.parts.items():
            by_topic.setdefault(PARTS[member], []).append(f'"{member}":{text}')
        topics = list(by_topic)
        lines = []
        for topic in topics:
            lines.append(f"event: {topic}\n")
            if topic == topics[-1]:
                lines.append(f"id: {event_id(epoch, seq)}\n")
            lines.append(f"data: {{{','.join(by_topic[topic])}}}\n\n")
        return "".join(lines).encode()

    def alive(self) -> bytes:
        return b": alive\n\n"

    def answer(self, operation: str, **members: str) -> bytes:
        """There is nobody who asks."""
        return f": {operation} {' '.join(members.values())}\n\n".encode()
