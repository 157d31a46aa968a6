"""From a driver's readings to packets for the store: scaling, validity, deadband, accounting."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Sequence
from math import isfinite

from pydatacoll.model import Quality, Sample, Value
from pydatacoll.sdk import Point, PointGroup, Readings
from pydatacoll.store.ingest import Writer
from pydatacoll.store.packets import Account, Packet

_INVALID = int(Quality.INVALID)


class DeviceSink:
    """The sink of one device. Everything a driver of the device reads goes through here."""

    def __init__(
        self,
        device_id: str,
        partition: int,
        writer: Writer,
        history_length: int,
        *,
        wall: Callable[[], float] = time.time,
    ) -> None:
        self.device_id = device_id
        self.account = Account()
        self.last_seen: float | None = None
        self._partition = partition
        self._writer = writer
        self._history_length = history_length
        self._wall = wall
        self._groups: list[PointGroup] = []
        self._known: dict[str, Sample] = {}

    # Known values: what stands in the latest hash, so that a lost link can mark it without reading it back.

    def remember(self, latest: dict[str, Sample]) -> None:
        """Take over the latest values that the store has from before this sink."""
        self._known = latest | self._known

    def replan(self, fields: Iterable[str]) -> None:
        """Forget the groups made so far, keeping the values of the points that are still configured."""
        kept = set(fields)
        for group in self._groups:
            self._fold(group)
        self._groups.clear()
        self._known = {field: sample for field, sample in self._known.items() if field in kept}

    def _fold(self, group: PointGroup) -> None:
        if group.last is None:
            return
        qualities = group.last_quality
        for i, field in enumerate(group.fields):
            quality = qualities[i] if isinstance(qualities, list) else qualities
            self._known[field] = Sample(0.0, group.last[i], quality)
        group.last = None

    def _recall(self, group: PointGroup) -> None:
        """Give a new group what is known of its points."""
        known = [self._known.get(field) for field in group.fields]
        group.last = [None if sample is None else sample.value for sample in known]
        group.last_quality = [-1 if sample is None else sample.quality for sample in known]
        self._groups.append(group)

    # Sink

    def values(self, readings: Readings) -> None:
        """See :class:`pydatacoll.sdk.Sink`."""
        group = readings.group
        values = list(readings.values)
        quality = readings.quality
        self.account.read += len(values)
        self.last_seen = readings.time if isinstance(readings.time, float) else self._wall()
        if group.last is None:
            self._recall(group)
        try:
            for i, multiplier, divisor, base in group.scaling:
                values[i] = values[i] * multiplier / divisor + base  # type: ignore[operator]
            fit = isfinite(sum(values))  # type: ignore[arg-type]
        except (TypeError, OverflowError):
            fit = False
        if not fit:
            values, quality = _repair(group, list(readings.values), quality)
        if group.deadbands is not None:
            self._by_exception(readings, values, quality)
            return
        group.last = values
        group.last_quality = quality
        self._put(group.fields, values, readings.time, quality, group.history, mergeable=group.distinct)

    def _put(
        self,
        fields: list[str],
        values: list[Value],
        times: float | list[float],
        quality: int | list[int],
        history: list[int | None] | None,
        *,
        mergeable: bool = False,
    ) -> None:
        default = self._history_length
        lengths: int | list[int] = (
            default if history is None else [default if length is None else length for length in history]
        )
        packet = Packet(self._partition, self.device_id, self.account, fields, values, times, quality, lengths)
        packet.mergeable = mergeable
        self._writer.put(packet)

    def _by_exception(self, readings: Readings, values: list[Value], quality: int | list[int]) -> None:
        """Pass on only what moved by more than its deadband, or whose quality changed."""
        group = readings.group
        last = group.last or [None] * len(values)
        old = group.last_quality if isinstance(group.last_quality, list) else [group.last_quality] * len(values)
        new = quality if isinstance(quality, list) else [quality] * len(values)
        bands = group.deadbands or []
        moved = [
            i
            for i, value in enumerate(values)
            if old[i] != new[i] or (band := bands[i]) is None or _moved(value, last[i], band)
        ]
        self.account.unchanged += len(values) - len(moved)
        if not moved:
            return
        for i in moved:
            last[i] = values[i]
            old[i] = new[i]
        group.last, group.last_quality = last, old
        times = readings.time
        history = group.history
        self._put(
            [group.fields[i] for i in moved],
            [values[i] for i in moved],
            [times[i] for i in moved] if isinstance(times, list) else times,
            [new[i] for i in moved],
            None if history is None else [history[i] for i in moved],
        )

    def failed(self, group: PointGroup, quality: int, time: float) -> None:
        """See :class:`pydatacoll.sdk.Sink`."""
        if group.last is None:
            self._recall(group)
        last = group.last or []
        old = group.last_quality if isinstance(group.last_quality, list) else [group.last_quality] * len(last)
        changed = [i for i, present in enumerate(old) if present != quality]
        if not changed:
            return
        self.account.read += len(changed)
        group.last_quality = quality
        history = group.history
        self._put(
            [group.fields[i] for i in changed],
            [last[i] for i in changed],
            time,
            quality,
            None if history is None else [history[i] for i in changed],
        )

    def once(self, results: Sequence[tuple[Point, Sample]]) -> list[Sample]:
        """Pass on single raw samples from outside the polling plan; returns them as engineering samples."""
        samples = [
            Sample(sample.time, point.engineering(sample.value), sample.quality) for point, sample in results
        ]
        self.account.read += len(samples)
        self._put(
            [point.field for point, _ in results],
            [sample.value for sample in samples],
            [sample.time for sample in samples],
            [sample.quality for sample in samples],
            [point.item.history_length for point, _ in results],
        )
        return samples

    def all_failed(self, points: Iterable[Point], quality: int) -> None:
        """The link is lost: every point keeps its value and takes ``quality``."""
        now = self._wall()
        grouped: set[str] = set()
        for group in self._groups:
            grouped.update(group.fields)
            self.failed(group, quality, now)
        rest = [point for point in points if point.field not in grouped]
        if rest:
            self.failed(PointGroup(rest), quality, now)


def _moved(value: Value, last: Value, band: float) -> bool:
    if isinstance(value, (int, float)) and isinstance(last, (int, float)):
        return abs(value - last) > band
    return value != last


def _repair(group: PointGroup, raw: list[Value], quality: int | list[int]) -> tuple[list[Value], int | list[int]]:
    """The careful way, for a column with texts, missing values or numbers that are not finite.

    Not a number becomes invalid, and like a missing value keeps the last known one.
    """
    qualities = list(quality) if isinstance(quality, list) else [quality] * len(raw)
    scaling = {i: (multiplier, divisor, base) for i, multiplier, divisor, base in group.scaling}
    values = list(raw)
    for i, one in enumerate(raw):
        if isinstance(one, (int, float)) and not isinstance(one, bool):
            try:
                if i in scaling:
                    multiplier, divisor, base = scaling[i]
                    values[i] = one * multiplier / divisor + base
                finite = isfinite(values[i])  # type: ignore[arg-type]
            except OverflowError:
                finite = False
            if not finite:
                values[i] = None
                qualities[i] |= _INVALID
        if values[i] is None:
            values[i] = group.last[i] if group.last else None
            if not qualities[i]:
                qualities[i] = _INVALID
    first = qualities[0] if qualities else 0
    return values, first if all(one == first for one in qualities) else qualities
