"""A device's sink with a writer that only records, and a clock that is set by hand."""

from __future__ import annotations

from typing import Any

from pydatacoll.manager.pipeline import DeviceSink
from pydatacoll.model import Sample, Term, TermItem
from pydatacoll.sdk import Point, PointGroup, Readings

TERM = Term(id="t", name="t", device_id="d")


def point(item_id: str, **options: Any) -> Point:
    return Point(TERM, TermItem(term_id="t", item_id=item_id, protocol_code="x", **options))


class Recorder:
    """Stands for the writer; settles nothing."""

    def __init__(self) -> None:
        self.packets: list[Any] = []

    def put(self, packet: Any) -> None:
        packet.account.pending += len(packet.fields)
        self.packets.append(packet)

    def rows(self) -> list[tuple[str, Any, int]]:
        """``(field, value, quality)`` of everything put, in order."""
        return [(field, sample.value, sample.quality) for field, sample in self.samples()]

    def samples(self) -> list[tuple[str, Sample]]:
        """``(field, sample)`` of everything put, in order."""
        found = []
        for packet in self.packets:
            for i, (field, value) in enumerate(zip(packet.fields, packet.values, strict=True)):
                time, quality = (
                    column[i] if isinstance(column, list) else column
                    for column in (packet.times, packet.qualities)
                )
                found.append((field, Sample(time, value, int(quality))))
        return found


class SinkRig:
    """A sink at 0 seconds of its clock; the wall clock shows 1000 more, until somebody sets it."""

    def __init__(self, *points: Point, latest: dict[str, Sample] | None = None) -> None:
        self.now = 0.0
        self.wall_ahead = 1000.0
        self.writer = Recorder()
        self.sink = DeviceSink(
            "d",
            3,
            self.writer,  # type: ignore[arg-type]
            100,
            wall=lambda: self.now + self.wall_ahead,
            clock=lambda: self.now,
        )
        if latest:
            self.sink.remember(latest)
        self.sink.configure(points)
        self.group = PointGroup(points)
        self._shown = 0

    def read(self, *values: Any, at: float | None = None, quality: int | list[int] = 0) -> list[tuple[Any, int]]:
        """A reading of all points ``at`` the clock; what is stored for it."""
        self.now = self.now if at is None else at
        self.sink.values(Readings(self.group, list(values), self.now + self.wall_ahead, quality))
        return self.news()

    def fail(self, quality: int, at: float | None = None) -> list[tuple[Any, int]]:
        """Nothing was obtained for any point; what is stored for it."""
        self.now = self.now if at is None else at
        self.sink.failed(self.group, quality, self.now + self.wall_ahead)
        return self.news()

    def wait(self, until: float) -> list[tuple[Any, int]]:
        """Let the clock run, with a look at each moment that the sink wants one; what is stored meanwhile."""
        while self.sink.due <= until:
            self.now = max(self.now, self.sink.due)
            self.sink.check()
        self.now = until
        return self.news()

    def news(self) -> list[tuple[Any, int]]:
        """``(value, quality)`` of what was stored since this was asked the last time."""
        assert self.sink.account.balanced()
        rows = [row[1:] for row in self.writer.rows()]
        shown, self._shown = self._shown, len(rows)
        return rows[shown:]
