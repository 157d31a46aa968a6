"""What is remembered of the points that formulas use, and how it is kept in the store.

The state of a partition holds what its points had been when its last batch was acknowledged: of most points the
latest sample (``d:t:i``); of those in windows and with an index the samples as they came, in chunks (``d:t:i:n``).
A batch that comes again after a crash therefore meets the very inputs it had met before.
"""

from __future__ import annotations

from bisect import bisect_left
from collections import deque
from collections.abc import Mapping, Sequence
from math import inf
from typing import TYPE_CHECKING, Any, Final

import msgspec

from pydatacoll.expression import Input
from pydatacoll.model import PointId, Sample

if TYPE_CHECKING:
    from .formula_graph import Calculation

CHUNK: Final = 64
"""Samples in a chunk."""
LATEST: Final = ""
"""The part of the state that is the latest sample."""
SETTLING: Final = 60.0
"""Seconds after loading in which the stream may bring what was loaded already."""

_encode = msgspec.msgpack.Encoder().encode
_decode = msgspec.msgpack.Decoder().decode
Row = tuple[float, Any, int] | tuple[float, Any, int, bool]
"""A sample; a fourth column says that it came late."""


class Trail:
    """The samples of one point as they came, in chunks; only the newest chunk changes.

    ``older`` holds number and newest time of the others; ``limit`` says how many samples are of any use.
    """

    def __init__(self, prefix: str, limit: int) -> None:
        self.prefix = prefix
        self.limit = limit
        self.older: deque[tuple[int, float]] = deque()
        self.number = 0
        self.rows: list[Row] = []

    def restore(self, chunks: Mapping[int, Sequence[Row]]) -> None:
        """Go on where the chunks end."""
        numbers = sorted(chunks)
        self.older.extend((number, max(row[0] for row in chunks[number])) for number in numbers[:-1])
        if numbers:
            self.number, self.rows = numbers[-1], list(chunks[numbers[-1]])

    def changes(self, oldest: float) -> dict[str, bytes | None]:
        """State to be written; chunks that end before ``oldest`` are deleted."""
        state: dict[str, bytes | None] = {}
        if not self.rows and not self.number:
            state[f"{self.prefix}0"] = _encode(self.rows)
        for start in range(0, len(self.rows), CHUNK):
            part = self.rows[start : start + CHUNK]
            state[f"{self.prefix}{self.number}"] = _encode(part)
            if len(part) == CHUNK:
                self.older.append((self.number, max(row[0] for row in part)))
                self.number += 1
        self.rows = self.rows[len(self.rows) - len(self.rows) % CHUNK :]
        while self.older and (self.older[0][1] < oldest or (len(self.older) - 1) * CHUNK > self.limit):
            state[f"{self.prefix}{self.older.popleft()[0]}"] = None
        return state


class InputPoint:
    """A point that formulas use.

    :ivar users: the formulas.
    :ivar source: the formula that it is the result of; such a point belongs to no partition (-1), and what the
        stream brings of it is known already.
    :ivar loaded: whether the input has what the store knows.
    :ivar changed: whether its state is to be written.
    :ivar turn: number of the evaluation that its last sample waits for, or waited for.
    """

    __slots__ = (
        "changed",
        "field",
        "id",
        "input",
        "key",
        "latest",
        "loaded",
        "partition",
        "samples",
        "seconds",
        "settled_at",
        "source",
        "trail",
        "turn",
        "users",
    )

    def __init__(self, point: PointId, partition: int, *, samples: int, seconds: float) -> None:
        self.id = point
        self.key = str(point)
        self.field = f"{point.term_id}:{point.item_id}"
        self.partition = partition
        self.samples = samples
        self.seconds = seconds
        self.users: list[Calculation] = []
        self.source: Calculation | None = None
        self.input = Input()
        self.input.require(samples=samples, seconds=seconds)
        self.latest: Sample | None = None
        self.trail = None if self.input.recent is None else Trail(f"{self.key}:", self.input.limit)
        self.loaded = False
        self.changed = False
        self.turn = -1
        self.settled_at = 0.0

    @property
    def wanted(self) -> int:
        """How many samples of the history it can make use of."""
        return max(self.samples, self.input.limit if self.seconds else 1)

    def load(self, state: Mapping[str, bytes], history: Sequence[Sample], now: float) -> None:
        """Begin with what the store knows.

        :param state: of this point.
        :param history: recent samples, oldest first; they count as far as the state does not reach.
        """
        chunks = {int(key): _decode(value) for key, value in state.items() if key}
        rows: list[Row] = [row for number in sorted(chunks) for row in chunks[number]]
        if not rows and LATEST in state:
            rows = [row] if (row := _decode(state[LATEST])) is not None else []
        # a state without a sample says that there was none
        first = min((row[0] for row in rows), default=-inf if state else inf)
        before = [sample for sample in history if sample.time < first]
        for sample in before:
            self._put(sample, late=False)
        for row in rows:
            self._put(Sample(*row[:3]), late=len(row) > 3)
        if self.trail is not None:
            self.trail.restore(chunks)
            if not chunks:
                self.trail.rows = [*before, *rows]
        # what is not in the state yet goes there, so that the samples that come next meet the same after a crash
        self.changed = not chunks if self.trail is not None else LATEST not in state
        self.loaded = True
        self.settled_at = now + SETTLING

    def take(self, sample: Sample, now: float, *, late: bool) -> None:
        """Take a sample of the stream.

        :param now: when it came into the stream, epoch seconds.
        """
        own = self.input
        if self.settled_at:
            if sample.time > own.time or now > self.settled_at:
                self.settled_at = 0.0
            elif self._known(sample):
                return
            else:
                late = True
        self._put(sample, late=late)
        if self.trail is not None:
            self.trail.rows.append((*sample, True) if late else sample)
        self.changed = True

    def _put(self, sample: Sample, *, late: bool) -> None:
        if late and sample.time < self.input.time:
            self.input.insert(sample)
            return
        self.input.push(sample)
        self.latest = sample

    def _known(self, sample: Sample) -> bool:
        """Whether it was loaded: the stream and the history show the same samples."""
        recent = self.input.recent
        if recent is None:
            return sample == self.latest
        place = bisect_left(recent.times, sample.time)
        return place < len(recent) and recent.times[place] == sample.time and recent.values[place] == sample.value

    def state(self) -> dict[str, bytes | None]:
        """State to be written."""
        self.changed = False
        recent = self.input.recent
        if self.trail is not None and recent is not None:
            return self.trail.changes(recent.times[0] if len(recent) else -inf)
        return {self.key: _encode(self.latest)}


class Remembered:
    """The state of one partition, by point."""

    def __init__(self, state: Mapping[str, bytes]) -> None:
        self._points: dict[str, dict[str, bytes]] = {}
        self.update(state)

    def of(self, point: InputPoint) -> Mapping[str, bytes]:
        """What is kept of a point: the latest sample under :data:`LATEST`, chunks under their numbers."""
        return self._points.get(point.key, {})

    def update(self, changes: Mapping[str, bytes | None]) -> None:
        """Follow what is written."""
        for key, value in changes.items():
            point, part = _split(key)
            parts = self._points.setdefault(point, {})
            if value is not None:
                parts[part] = value
            elif parts.pop(part, None) is not None and not parts:
                del self._points[point]

    def unused(self, points: Mapping[PointId, InputPoint]) -> list[str]:
        """Keys of what no formula needs any more."""
        keys = []
        for name, parts in self._points.items():
            point = points.get(PointId(*name.split(":")))
            for part in parts:
                if point is None or point.source is not None or (point.trail is None) == (part != LATEST):
                    keys.append(f"{name}:{part}" if part else name)
        return keys


def _split(key: str) -> tuple[str, str]:
    """``d:t:i`` or ``d:t:i:n`` -> point and part."""
    device_id, term_id, item_id, *part = key.split(":")
    return f"{device_id}:{term_id}:{item_id}", part[0] if part else LATEST
