"""The last protocol frames of a device, as they went over the line."""

from __future__ import annotations

import time
from collections import deque
from collections.abc import Callable
from itertools import islice
from typing import Literal, NamedTuple

Direction = Literal["sent", "received", "note"]


class Frame(NamedTuple):
    """One entry.

    :ivar time: epoch seconds.
    :ivar data: the bytes as they were on the line; empty for a note.
    :ivar text: of a note: what happened to the link. Empty for bytes: they are put into words when asked for.
    """

    time: float
    direction: Direction
    data: bytes
    text: str = ""


class FrameLog:
    """Keeps the newest ``size`` entries. Cheap enough for every frame at full speed: nothing is decoded.

    :ivar size: entries kept, at least 1.
    """

    __slots__ = ("_frames", "_wall")

    def __init__(self, size: int, wall: Callable[[], float] = time.time) -> None:
        # plain tuples: making a Frame costs four times as much, and few are ever looked at
        self._frames: deque[tuple[float, Direction, bytes, str]] = deque(maxlen=max(1, size))
        self._wall = wall

    @property
    def size(self) -> int:
        return self._frames.maxlen or 0

    def resized(self, size: int) -> FrameLog:
        """A log of another size that begins with what this one holds."""
        log = FrameLog(size, self._wall)
        log._frames.extend(self._frames)
        return log

    def sent(self, data: bytes) -> None:
        """A frame that went to the device."""
        self._frames.append((self._wall(), "sent", data, ""))

    def received(self, data: bytes) -> None:
        """A frame that came from the device; also what is no frame."""
        self._frames.append((self._wall(), "received", data, ""))

    def note(self, text: str) -> None:
        """What happened to the link: opened, closed, refused, no answer."""
        self._frames.append((self._wall(), "note", b"", text))

    def newest(self, limit: int) -> list[Frame]:
        """At most ``limit`` entries, oldest first."""
        frames = self._frames
        return [Frame(*entry) for entry in islice(frames, max(0, len(frames) - limit), None)]

    def __len__(self) -> int:
        return len(self._frames)
