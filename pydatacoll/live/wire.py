"""What subscribers get, as bytes: JSON messages of a WebSocket, or events of a stream (SSE). Pure."""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from typing import NamedTuple, Protocol

from pydatacoll import __version__
from pydatacoll.codec import json
from pydatacoll.model.sample import time_to_wire

PARTS = {"c": "values", "gone": "values", "devices": "devices", "alarms": "alarms", "events": "events"}
"""Member of a message -> topic."""


class Body:
    """Members of a batch, as JSON texts; shared by all who get the same, as are the bytes made of them."""

    __slots__ = ("_json", "parts")

    def __init__(self, parts: Mapping[str, str]) -> None:
        self.parts = parts
        self._json: bytes | None = None

    def json(self) -> bytes:
        """``,"c":[...],"devices":[...]``"""
        if self._json is None:
            self._json = "".join(f',"{name}":{text}' for name, text in self.parts.items()).encode()
        return self._json


class Piece(NamedTuple):
    """A piece of a snapshot.

    :ivar seq: number of the last change that it has.
    :ivar resumed: it has only what changed since the subscriber was here.
    :ivar points: how many the subscription has.
    """

    epoch: str
    seq: int
    resumed: bool
    points: int
    body: Body


def array(texts: Sequence[str]) -> str:
    """JSON texts -> the JSON text of their list."""
    return f"[{','.join(texts)}]"


def strings(texts: Sequence[str]) -> str:
    """Texts that need no escaping -> the JSON text of their list."""
    return '["' + '","'.join(texts) + '"]'


class Wire(Protocol):
    """A way to write what subscribers get."""

    def hello(self, epoch: str) -> bytes: ...

    def snapshot(self, name: str, piece: Piece, *, more: bool) -> bytes: ...

    def batch(self, name: str, epoch: str, seq: int, body: Body) -> bytes: ...

    def alive(self) -> bytes: ...

    def answer(self, operation: str, **members: str) -> bytes:
        """Any other answer; the members are JSON texts."""


class JsonWire:
    """Messages of a WebSocket."""

    def hello(self, epoch: str) -> bytes:
        return self.answer("hello", epoch=f'"{epoch}"', time=_now(), version=f'"{__version__}"')

    def snapshot(self, name: str, piece: Piece, *, more: bool) -> bytes:
        start = (
            f'{{"op":"snapshot","id":{name},"epoch":"{piece.epoch}","seq":{piece.seq},'
            f'"resumed":{"true" if piece.resumed else "false"},"points":{piece.points}'
        )
        return start.encode() + piece.body.json() + (b',"more":true}' if more else b"}")

    def batch(self, name: str, epoch: str, seq: int, body: Body) -> bytes:
        return f'{{"id":{name},"seq":{seq}'.encode() + body.json() + b"}"

    def alive(self) -> bytes:
        return self.answer("alive", time=_now())

    def answer(self, operation: str, **members: str) -> bytes:
        more = "".join(f',"{name}":{text}' for name, text in members.items())
        return f'{{"op":"{operation}"{more}}}'.encode()


def error_members(status: int, detail: str, name: str | None) -> dict[str, str]:
    """Members of the answer ``error``."""
    return {"id": name or "null", "status": str(status), "detail": json.encode(detail).decode()}


def _now() -> str:
    return f'"{time_to_wire(time.time())}"'
