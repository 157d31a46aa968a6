"""From a driver's readings to packets for the store: scaling, validity, report by exception, accounting."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Sequence
from math import inf, isfinite
from operator import attrgetter

from pydatacoll.manager.columns import Columns, common, engineered, finite, keep_last, repair
from pydatacoll.manager.exception_rules import HOLD, NOTHING, STORE, UNCHANGED, PointState, Verdict
from pydatacoll.manager.memory import Memory
from pydatacoll.model import Sample, Value
from pydatacoll.sdk import Point, PointGroup, Readings
from pydatacoll.store.ingest import Writer
from pydatacoll.store.packets import Account, Packet

_plain, _ruled, _field = attrgetter("plain"), attrgetter("ruled"), attrgetter("field")


class DeviceSink:
    """The sink of one device. Everything a driver of the device reads goes through here.

    :param clock: seconds of a clock that only runs forward; the rules of the points go by it.
    :ivar wake: called when :attr:`due` has become earlier.
    """

    def __init__(
        self,
        device_id: str,
        partition: int,
        writer: Writer,
        history_length: int,
        *,
        wall: Callable[[], float] = time.time,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self.device_id = device_id
        self.account = Account()
        self.last_seen: float | None = None
        self.wake: Callable[[], None] = _nobody
        self._partition = partition
        self._writer = writer
        self._history_length = history_length
        self._wall = wall
        self._clock = clock
        self._memory = Memory(clock, wall)
        self._holding: dict[PointState, None] = {}
        self._hold_due = inf
        self._stale_due = inf

    # Known values: what stands in the latest hash, so that a lost link can mark it without reading it back.

    def remember(self, latest: dict[str, Sample]) -> None:
        """Take over the latest values that the store has from before this sink."""
        self._memory.remember(latest)

    def configure(self, points: Sequence[Point]) -> None:
        """Take the point list. The values of points that are still configured stay known; what is held is stored
        when its point goes or gets other rules."""
        items = {point.field: point.item for point in points}
        self._release([state for state in self._holding if items.get(state.field) != state.item])
        self._memory.configure(points)
        now = self._clock()
        self._stale_due = min((state.stale_at(now) for state in self._memory.states.values()), default=inf)
        self.wake()

    def known(self, point: Point) -> Sample | None:
        """See :class:`pydatacoll.sdk.Sink`."""
        return self._memory.get(point.field)

    # Sink

    def values(self, readings: Readings) -> None:
        """See :class:`pydatacoll.sdk.Sink`."""
        group = readings.group
        values = list(readings.values)
        quality = readings.quality
        self.account.read += len(values)
        self.last_seen = readings.time if isinstance(readings.time, float) else self._wall()
        if group.last is None:
            self._memory.adopt(group)
        try:
            for i, multiplier, divisor, base in group.scaling:
                values[i] = values[i] * multiplier / divisor + base  # type: ignore[operator]
            fit = isfinite(sum(values))  # type: ignore[arg-type]
        except (TypeError, OverflowError):
            fit = False
        if not fit:
            if not group.distinct:
                self._repeating(readings)
                return
            values, quality = repair(group, list(readings.values), quality)
            keep_last(values, group)
        if group.ruled:
            self._by_exception(readings, values, quality)
            return
        group.last = values
        group.last_quality = quality
        group.last_time = readings.time
        self._put(group.fields, values, readings.time, quality, group.history, mergeable=group.distinct)

    def spontaneous(self, samples: Sequence[tuple[Point, Sample]]) -> None:
        """See :class:`pydatacoll.sdk.Sink`."""
        self.account.read += len(samples)
        self.last_seen = self._wall()
        self._one_by_one(samples)

    def arrived(
        self,
        points: Sequence[Point],
        values: Sequence[Value],
        times: Sequence[float] | float,
        qualities: Sequence[int] | int,
    ) -> None:
        """See :class:`pydatacoll.sdk.Sink`."""
        if not points:
            return
        times = times if isinstance(times, (int, float)) else common(list(times))
        qualities = int(qualities) if isinstance(qualities, int) else common(list(map(int, qualities)))
        plain = all(map(_plain, points))
        passed = None if not plain and any(map(_ruled, points)) else finite(points, values, plain=plain)
        if passed is None:
            count = len(points)
            each_time = [times] * count if isinstance(times, (int, float)) else times
            each_quality = [qualities] * count if isinstance(qualities, int) else qualities
            self.spontaneous(list(zip(points, map(Sample, each_time, values, each_quality), strict=True)))
            return
        self.account.read += len(points)
        self.last_seen = self._wall()
        fields = list(map(_field, points))
        self._memory.update(fields, passed, times, qualities)
        history = None if plain else [point.item.history_length for point in points]
        self._put(fields, passed, times, qualities, history)

    def late(self, samples: Sequence[tuple[Point, Sample]]) -> None:
        """See :class:`pydatacoll.sdk.Sink`."""
        self.account.read += len(samples)
        self.last_seen = self._wall()
        out = Columns()
        for point, sample in samples:
            new = Sample(sample.time, *engineered(point, sample))
            out.add(point.field, new, point.item.history_length)
        self._put_columns(out, late=True)

    def once(self, results: Sequence[tuple[Point, Sample]]) -> list[Sample]:
        """Pass on single raw samples that somebody asked for, whatever the rules say; returns them as they are
        stored, as engineering samples."""
        self.account.read += len(results)
        self.last_seen = self._wall()
        return self._one_by_one(results, always=True)

    def failed(self, group: PointGroup, quality: int, time: float) -> None:
        """See :class:`pydatacoll.sdk.Sink`."""
        last = group.last
        if last is None or group.ruled:
            self._mark(group.points, quality, time)
            return
        if group.last_quality == quality:
            return
        old = group.last_quality if isinstance(group.last_quality, list) else [group.last_quality] * len(last)
        changed = [i for i, present in enumerate(old) if present != quality]
        if not changed:
            return
        self.account.read += len(changed)
        group.last_quality = quality
        group.own = None
        history = group.history
        self._put(
            [group.fields[i] for i in changed],
            [last[i] for i in changed],
            time,
            quality,
            None if history is None else [history[i] for i in changed],
        )

    def all_failed(self, points: Iterable[Point], quality: int) -> None:
        """The link is lost: every point keeps its value and takes ``quality``."""
        now = self._wall()
        grouped: set[str] = set()
        for group in list(self._memory.groups):
            grouped.update(group.fields)
            self.failed(group, quality, now)
        self._mark([point for point in points if point.field not in grouped], quality, now)

    # Time

    @property
    def due(self) -> float:
        """When :meth:`check` should be called next, by the clock; infinity when nothing waits for time to pass."""
        return min(self._hold_due, self._stale_due)

    @property
    def remaining(self) -> float:
        """Seconds until :attr:`due`."""
        return self.due - self._clock()

    def check(self) -> None:
        """Store what was held for long enough, and mark the points for which no reading has come."""
        now = self._clock()
        if now >= self._hold_due:
            self._release([state for state in self._holding if state.period_end <= now])
        if now >= self._stale_due:
            states = [state for state in self._memory.states.values() if state.stale_after < inf]
            wall = self._wall()
            out = Columns()
            for state in states:
                held = state.held
                if state.grow_stale(now):
                    if held is not None:
                        self._end_hold(state, out)
                    self.account.read += 1
                    out.add(state.field, Sample(wall, state.value, state.quality), state.item.history_length)
            self._put_columns(out)
            self._stale_due = min((state.stale_at(now) for state in states), default=inf)

    def flush(self) -> None:
        """Store all that is held: the device is about to stop."""
        self._release(list(self._holding))

    def flagged(self) -> tuple[int, int]:
        """How many points are stale, and how many frozen."""
        states = self._memory.states.values()
        return sum(state.stale for state in states), sum(state.frozen for state in states)

    def bad_points(self) -> int:
        """How many points show a value that is not to be used; those never read are not counted."""
        return self._memory.bad()

    # Report by exception

    def _by_exception(self, readings: Readings, values: list[Value], quality: int | list[int]) -> None:
        """Pass on a reading of a group with points that have rules."""
        group = readings.group
        times = readings.time
        count = len(values)
        if not group.distinct:
            self._repeating(readings)
            return
        now = self._clock()
        raw = readings.values
        left_out: list[int] = []
        before = Columns()
        for i, state in zip(group.ruled, group.states, strict=True):
            one = quality[i] if isinstance(quality, list) else quality
            at = times[i] if isinstance(times, list) else times
            value = values[i]
            verdict: Verdict = state.judge(raw[i], value, one, at, now)
            if verdict is STORE:
                if state.held is not None:
                    self._end_hold(state, before)
                if state.quality != one or value is None:
                    quality = list(quality) if isinstance(quality, list) else [quality] * count
                    quality[i] = state.quality
                    values[i] = state.value
            else:
                left_out.append(i)
                if verdict is HOLD:
                    self._hold(state, Sample(at, value, state.quality))
                else:
                    self.account.unchanged += 1
                    if verdict is UNCHANGED and state.held is not None:
                        self._supersede(state)
        group.last = values
        group.last_quality = quality
        group.last_time = times
        self._put_columns(before)
        if not left_out:
            self._put(group.fields, values, times, quality, group.history, mergeable=True)
        elif len(left_out) < count:
            out = set(left_out)
            passed = [i for i in range(count) if i not in out]
            history = group.history
            self._put(
                [group.fields[i] for i in passed],
                [values[i] for i in passed],
                [times[i] for i in passed] if isinstance(times, list) else times,
                [quality[i] for i in passed] if isinstance(quality, list) else quality,
                None if history is None else [history[i] for i in passed],
            )

    def _repeating(self, readings: Readings) -> None:
        """Pass on a reading of a group in which a point stands twice: its samples depend on each other."""
        count = len(readings.values)
        times = readings.time if isinstance(readings.time, list) else [readings.time] * count
        qualities = readings.quality if isinstance(readings.quality, list) else [readings.quality] * count
        rows = map(Sample, times, readings.values, qualities)
        self._one_by_one(list(zip(readings.group.points, rows, strict=True)))

    def _one_by_one(self, samples: Sequence[tuple[Point, Sample]], *, always: bool = False) -> list[Sample]:
        """Pass on raw samples in their order; ``always``: whatever the rules say. Returns what is known then."""
        now = self._clock()
        out = Columns()
        shown: list[Sample] = []
        for point, sample in samples:
            time, raw, _ = sample
            value, quality = engineered(point, sample)
            if not point.ruled:
                if value is None:
                    value = self._last_value(point)
                new = Sample(time, value, quality)
                self._memory.set(point.field, new)
                out.add(point.field, new, point.item.history_length)
                shown.append(new)
                continue
            state = self._state(point)
            verdict = state.judge(raw, value, quality, time, now)
            if always and verdict is not STORE:
                state.store(state.newest if value is None else value, state.quality, now)
                verdict = STORE
            new = Sample(time, state.value if value is None else value, state.quality)
            shown.append(new)
            if verdict is STORE:
                if state.held is not None:
                    self._end_hold(state, out)
                out.add(point.field, new, point.item.history_length)
            elif verdict is HOLD:
                self._hold(state, new)
            else:
                self.account.unchanged += 1
                if verdict is UNCHANGED and state.held is not None:
                    self._supersede(state)
        self._put_columns(out)
        return shown

    def _mark(self, points: Iterable[Point], quality: int, time: float) -> None:
        """Points for which nothing was obtained; a sample of each that does not have this quality yet."""
        now = self._clock()
        out = Columns()
        for point in points:
            if point.ruled:
                state = self._state(point)
                if state.judge(None, None, quality, time, now) is NOTHING:
                    continue
                if state.held is not None:
                    self._end_hold(state, out)
                new = Sample(time, state.value, state.quality)
            else:
                known = self._memory.get(point.field)
                if known is not None and known.quality == quality:
                    continue
                value, read = (None, 0.0) if known is None else (known.value, known.time)
                self._memory.set(point.field, Sample(read, value, quality))
                new = Sample(time, value, quality)
            self.account.read += 1
            out.add(point.field, new, point.item.history_length)
        self._put_columns(out)

    def _state(self, point: Point) -> PointState:
        return self._memory.states.get(point.field) or self._memory.state(point)

    def _last_value(self, point: Point) -> Value:
        known = self._memory.get(point.field)
        return None if known is None else known.value

    # What is held

    def _hold(self, state: PointState, sample: Sample) -> None:
        if state.held is not None:
            self.account.unchanged += 1
        else:
            self.account.pending += 1
            self.account.held += 1
            self._holding[state] = None
        state.held = sample
        if state.period_end < self._hold_due:
            self._hold_due = state.period_end
            self.wake()

    def _let_go(self, state: PointState) -> None:
        state.held = None
        del self._holding[state]
        self.account.pending -= 1
        self.account.held -= 1

    def _supersede(self, state: PointState) -> None:
        """A newer reading says all that the held one would have said."""
        self._let_go(state)
        self.account.unchanged += 1

    def _end_hold(self, state: PointState, out: Columns) -> None:
        """A newer sample has been stored: the held one is stored before it when its quality is another."""
        held = state.held
        if held is None or held.quality == state.quality:
            self._supersede(state)
            return
        self._let_go(state)
        out.add(state.field, held, state.item.history_length)

    def _release(self, states: Iterable[PointState]) -> None:
        """Store what is held of these points."""
        now = self._clock()
        out = Columns()
        for state in states:
            held = state.held
            if held is not None:
                self._let_go(state)
                state.store(held.value, held.quality, now)
                out.add(state.field, held, state.item.history_length)
        self._put_columns(out)
        self._hold_due = min((state.period_end for state in self._holding), default=inf)

    # To the writer

    def _put(
        self,
        fields: list[str],
        values: list[Value],
        times: float | list[float],
        quality: int | list[int],
        history: Sequence[int | None] | None,
        *,
        mergeable: bool = False,
        late: bool = False,
    ) -> None:
        default = self._history_length
        lengths: int | list[int] = (
            default if history is None else [default if length is None else length for length in history]
        )
        packet = Packet(self._partition, self.device_id, self.account, fields, values, times, quality, lengths)
        packet.mergeable = mergeable
        packet.late = late
        self._writer.put(packet)

    def _put_columns(self, out: Columns, *, late: bool = False) -> None:
        if out.fields:
            self._put(out.fields, out.values, common(out.times), common(out.qualities), out.history, late=late)


def _nobody() -> None:
    """Stands for whoever wants to know when something becomes due."""
