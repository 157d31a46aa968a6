"""Fakes for tests of drivers."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence

from pydatacoll.model import PointId, Sample, Value
from pydatacoll.sdk import Point, PointGroup, Readings


class FakeSink:
    """Keeps what a driver passes on, as rows.

    :ivar samples: everything, oldest first; a point for which a read failed has the value ``None``.
    :ivar latest: the last sample of each point; a failed read keeps the value and changes the quality.
    """

    def __init__(self) -> None:
        self.samples: list[tuple[PointId, Sample]] = []
        self.latest: dict[PointId, Sample] = {}
        self.calls = 0
        self._changed = asyncio.Event()

    def values(self, readings: Readings) -> None:
        """See :class:`pydatacoll.sdk.Sink`."""
        times, qualities = readings.time, readings.quality
        for index, (point, value) in enumerate(zip(readings.group.points, readings.values, strict=True)):
            time = times[index] if isinstance(times, list) else times
            quality = qualities[index] if isinstance(qualities, list) else qualities
            sample = Sample(time, value, quality)
            self.samples.append((point.id, sample))
            self.latest[point.id] = sample
        self._note()

    def spontaneous(self, samples: Sequence[tuple[Point, Sample]]) -> None:
        """See :class:`pydatacoll.sdk.Sink`."""
        for point, sample in samples:
            self.samples.append((point.id, sample))
            self.latest[point.id] = sample
        self._note()

    def arrived(
        self,
        points: Sequence[Point],
        values: Sequence[Value],
        times: Sequence[float] | float,
        qualities: Sequence[int] | int,
    ) -> None:
        """See :class:`pydatacoll.sdk.Sink`."""
        count = len(points)
        each_time = [times] * count if isinstance(times, (int, float)) else times
        each_quality = [qualities] * count if isinstance(qualities, int) else qualities
        rows = map(Sample, each_time, values, each_quality)
        self.spontaneous(list(zip(points, rows, strict=True)))

    def late(self, samples: Sequence[tuple[Point, Sample]]) -> None:
        """See :class:`pydatacoll.sdk.Sink`."""
        self.samples += [(point.id, sample) for point, sample in samples]
        self._note()

    def known(self, point: Point) -> Sample | None:
        """See :class:`pydatacoll.sdk.Sink`; the value is raw."""
        return self.latest.get(point.id)

    def failed(self, group: PointGroup, quality: int, time: float) -> None:
        """See :class:`pydatacoll.sdk.Sink`."""
        for point in group.points:
            self.samples.append((point.id, Sample(time, None, quality)))
            old = self.latest.get(point.id)
            self.latest[point.id] = Sample(time, old.value if old else None, quality)
        self._note()

    def _note(self) -> None:
        self.calls += 1
        self._changed.set()

    async def until(self, condition: Callable[[], bool]) -> None:
        """Wait for something the sink is about to show."""
        while not condition():
            self._changed.clear()
            await self._changed.wait()
