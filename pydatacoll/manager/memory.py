"""What is known of the points of one device: of each exactly once, in whatever combination its values come in.

* Points with rules have a :class:`PointState`.
* Points of a polling plan are kept in the columns of their group, so that taking over a whole reading costs three
  assignments. A group *owns* its points; when another group brings one of them, it owns its points from then on.
* All others stand in a dictionary.

A group is let go when another one takes its points, so that groups made for a single reading do not pile up.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from itertools import repeat

from pydatacoll.manager.exception_rules import UNKNOWN, PointState
from pydatacoll.model import Quality, Sample, Value
from pydatacoll.sdk import Point, PointGroup

USABLE = (0, int(Quality.TIME_INVALID), UNKNOWN)
"""Qualities of points that nobody has to look after. Of those never read nothing is known."""


class Memory:
    """The values known of a device's points.

    :ivar states: of the points with rules, by ``term_id:item_id``.
    :ivar groups: those that own points, as an ordered set.
    """

    def __init__(self, clock: Callable[[], float], wall: Callable[[], float]) -> None:
        self.states: dict[str, PointState] = {}
        self.groups: dict[PointGroup, None] = {}
        self._clock = clock
        self._wall = wall
        self._known: dict[str, tuple[float, Value, int]] = {}
        """Rows of :class:`Sample`; those that come in columns are plain tuples, which are made much faster."""
        self._owned: dict[str, tuple[PointGroup, int]] = {}

    def remember(self, latest: Mapping[str, Sample]) -> None:
        """Take over values stored earlier, as far as nothing newer is known."""
        for field, sample in latest.items():
            if field not in self._owned and field not in self.states:
                self._known.setdefault(field, sample)

    def get(self, field: str) -> Sample | None:
        """Value and quality that the point shows, with the time of its last reading."""
        state = self.states.get(field)
        if state is not None:
            return None if state.quality == UNKNOWN else Sample(state.time, state.newest, state.quality)
        owner = self._owned.get(field)
        if owner is None:
            known = self._known.get(field)
            return None if known is None else Sample._make(known)
        return _row(*owner)

    def set(self, field: str, sample: Sample) -> None:
        """Note a sample of a point without rules."""
        owner = self._owned.get(field)
        if owner is None:
            self._known[field] = sample
            return
        group, i = owner
        if group.last is not group.own or group.own is None:
            # the columns may also be those of a packet on its way: they must not be written to
            count = len(group.fields)
            group.last = group.own = list(group.last or ())
            quality, time = group.last_quality, group.last_time
            group.last_quality = list(quality) if isinstance(quality, list) else [quality] * count
            group.last_time = list(time) if isinstance(time, list) else [time] * count
        group.last_time[i], group.last[i], group.last_quality[i] = sample  # type: ignore[index]

    def update(
        self,
        fields: Sequence[str],
        values: Iterable[Value],
        times: Iterable[float] | float,
        qualities: Iterable[int] | int,
    ) -> None:
        """Note samples of points without rules, in columns and in their order."""
        each_time = repeat(times) if isinstance(times, (int, float)) else times
        each_quality = repeat(qualities) if isinstance(qualities, int) else qualities
        rows = zip(each_time, values, each_quality)  # noqa: B905 - two of them may be endless
        if not self._owned or self._owned.keys().isdisjoint(fields):
            self._known.update(zip(fields, rows, strict=False))
            return
        for field, row in zip(fields, rows, strict=False):
            self.set(field, Sample._make(row))

    def bad(self) -> int:
        """How many points have a quality other than :data:`USABLE`. Cheap for the columns of polling plans."""
        qualities = [quality for _, _, quality in self._known.values()]
        qualities += [state.quality for state in self.states.values()]
        count = _bad(qualities)
        for group in self.groups:
            quality = group.last_quality
            if group.ruled or not group.distinct:
                count += _bad(
                    [
                        quality[i] if isinstance(quality, list) else quality
                        for i, point in enumerate(group.points)
                        if not point.ruled and self._owned.get(point.field) == (group, i)
                    ]
                )
            else:
                count += _bad(quality) if isinstance(quality, list) else _bad([quality]) * len(group.fields)
        return count

    # Groups

    def adopt(self, group: PointGroup) -> None:
        """Let a group own its points, and give it the states of those with rules."""
        for field in group.fields:
            self._free(field)
        group.states = [self.state(group.points[i]) for i in group.ruled]
        known = [self.get(field) for field in group.fields]
        group.last = group.own = [None if sample is None else sample.value for sample in known]
        group.last_quality = [UNKNOWN if sample is None else sample.quality for sample in known]
        group.last_time = [0.0 if sample is None else sample.time for sample in known]
        for i, point in enumerate(group.points):
            self._owned[point.field] = (group, i)
            if not point.ruled:
                self._known.pop(point.field, None)
                self.states.pop(point.field, None)
        if group.fields:
            self.groups[group] = None

    def _free(self, field: str) -> None:
        owner = self._owned.get(field)
        if owner is not None:
            self._disown(owner[0])

    def _disown(self, group: PointGroup) -> None:
        for i, point in enumerate(group.points):
            if self._owned.get(point.field) == (group, i):
                sample = None if point.ruled else _row(group, i)
                if sample is not None:
                    self._known[point.field] = sample
                del self._owned[point.field]
        group.last = group.own = None
        group.states = []
        del self.groups[group]

    # Points with rules

    def state(self, point: Point) -> PointState:
        """The state of a point that has rules."""
        state = self.states.get(point.field)
        if state is None:
            known = self.get(point.field)
            self._free(point.field)  # it had no rules before
            self._known.pop(point.field, None)
            age = 0.0 if known is None else max(0.0, self._wall() - known.time)
            state = self.states[point.field] = PointState(point.field, point.item, known, self._clock(), age)
        return state

    def configure(self, points: Iterable[Point]) -> None:
        """Begin a new plan with these points: forget groups and all other points. Nothing may be held of points
        that go or get other rules."""
        for group in list(self.groups):
            self._disown(group)
        wanted = {point.field: point for point in points}
        for field in list(self.states):
            point = wanted.get(field)
            if point is None or not point.ruled:
                known = self.get(field)
                del self.states[field]
                if known is not None:
                    self._known[field] = known
        self._known = {field: sample for field, sample in self._known.items() if field in wanted}
        for point in wanted.values():
            if point.ruled:
                state = self.state(point)
                if state.item != point.item:
                    state.configure(point.item)


def _bad(qualities: list[int]) -> int:
    return len(qualities) - sum(map(qualities.count, USABLE))


def _row(group: PointGroup, i: int) -> Sample | None:
    quality, time = group.last_quality, group.last_time
    one = quality[i] if isinstance(quality, list) else quality
    if one == UNKNOWN or group.last is None:
        return None
    return Sample(time[i] if isinstance(time, list) else time, group.last[i], one)
