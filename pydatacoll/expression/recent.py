"""The recent samples of one point, in columns, and what holds of them over a time.

Between two samples the value is that of the earlier one (steps). Columns of what each sample contributes are kept
up to date, so that an evaluation adds up slices and does not walk through samples.
"""

from __future__ import annotations

from bisect import bisect_right
from functools import reduce
from math import inf
from operator import or_

from pydatacoll.model import Value, is_usable

Number = int | float


class Recent:
    """Samples in the order of their times.

    :ivar times: epoch seconds.
    :ivar values: as they are.
    :ivar numbers: the same as numbers, booleans as 0 and 1; ``None`` where the value is not usable in a window.
    :ivar flags: qualities.
    :ivar gaps: seconds from each sample to the next one; 0 where the value is not usable, and for the newest.
    :ivar areas: value times gap.
    :ivar unusable: how many numbers are ``None``.
    :ivar flagged: how many flags are not 0.
    """

    __slots__ = (
        "areas",
        "flagged",
        "flags",
        "gaps",
        "limit",
        "numbers",
        "samples",
        "seconds",
        "times",
        "unusable",
        "values",
    )

    def __init__(self, limit: int) -> None:
        self.limit = limit
        self.samples = 1
        self.seconds = 0.0
        self.times: list[float] = []
        self.values: list[Value] = []
        self.numbers: list[Number | None] = []
        self.flags: list[int] = []
        self.gaps: list[float] = []
        self.areas: list[float] = []
        self.unusable = 0
        self.flagged = 0

    def __len__(self) -> int:
        return len(self.times)

    def require(self, samples: int, seconds: float) -> None:
        """Keep at least these from now on; never fewer than required before."""
        self.samples = max(self.samples, samples)
        self.seconds = max(self.seconds, seconds)
        self.limit = max(self.limit, self.samples)

    def append(self, time: float, value: Value, quality: int) -> None:
        """Take the newest sample. Those with later times are forgotten."""
        times = self.times
        if times and time < times[-1]:
            self._cut(bisect_right(times, time), len(times))
        self._put(len(times), time, value, quality)
        self._trim()

    def insert(self, time: float, value: Value, quality: int) -> None:
        """Take a late sample, behind those of the same time."""
        self._put(bisect_right(self.times, time), time, value, quality)
        self._trim()

    def _put(self, place: int, time: float, value: Value, quality: int) -> None:
        number: Number | None = None
        if isinstance(value, (int, float)) and is_usable(quality):
            number = int(value) if isinstance(value, bool) else value
        self.times.insert(place, time)
        self.values.insert(place, value)
        self.numbers.insert(place, number)
        self.flags.insert(place, quality)
        self.gaps.insert(place, 0.0)
        self.areas.insert(place, 0.0)
        self.unusable += number is None
        self.flagged += quality != 0
        self._measure(place - 1)
        self._measure(place)

    def _measure(self, place: int) -> None:
        """Set gap and area of a sample from the one behind it."""
        if not 0 <= place < len(self.times) - 1:
            return
        number = self.numbers[place]
        if number is not None:
            self.gaps[place] = self.times[place + 1] - self.times[place]
            self.areas[place] = number * self.gaps[place]

    def _trim(self) -> None:
        """Forget what no window needs. The sample in force when the longest window begins is needed."""
        times = self.times
        excess = 0
        most = len(times) - self.samples
        oldest = times[-1] - self.seconds
        while excess < most and (times[excess + 1] <= oldest or len(times) - excess > self.limit):
            excess += 1
        if excess:
            self._cut(0, excess)

    def _cut(self, start: int, stop: int) -> None:
        self.unusable -= self.numbers[start:stop].count(None)
        self.flagged -= stop - start - self.flags[start:stop].count(0)
        for column in (self.times, self.values, self.numbers, self.flags, self.gaps, self.areas):
            del column[start:stop]

    def over(self, seconds: float, now: float) -> Window:
        """The window of so many seconds (infinite: all that is kept) that ends now, or at the newest sample when
        that is ahead of ``now``. There must be a sample."""
        times = self.times
        end = max(now, times[-1])
        start = end - seconds
        came = 0 if seconds == inf else bisect_right(times, start)
        first = max(came - 1, 0)
        return Window(self, first, came, begin=max(start, times[0]), end=end, seconds=seconds)


class Window:
    """What lies between two moments.

    :ivar first: place of the sample in force when the window begins, else of the oldest one.
    :ivar came: place of the oldest sample that came in the window, which does not include its first moment.
    :ivar begin: epoch seconds; that of the oldest sample when none was in force at the beginning.
    :ivar end: epoch seconds.
    :ivar seconds: the length asked for.
    """

    __slots__ = ("begin", "came", "end", "first", "recent", "seconds")

    def __init__(self, recent: Recent, first: int, came: int, *, begin: float, end: float, seconds: float) -> None:
        self.recent = recent
        self.first = first
        self.came = came
        self.begin = begin
        self.end = end
        self.seconds = seconds

    @property
    def quality(self) -> int:
        """All flags of all samples of the window, that in force at its beginning included."""
        return reduce(or_, self.recent.flags[self.first :]) if self.recent.flagged else 0

    def numbers(self, place: int) -> list[Number]:
        """The usable values from a place on, oldest first."""
        found = self.recent.numbers[place:]
        return [one for one in found if one is not None] if self.recent.unusable else found  # type: ignore[return-value]

    def first_usable(self) -> float:
        """When the first usable value of the window came into force. There must be one."""
        recent = self.recent
        place = self.first
        while recent.numbers[place] is None:
            place += 1
        return max(self.begin, recent.times[place])

    def pieces(self) -> tuple[list[float], list[float]]:
        """Seconds and value times seconds: of the first sample, of all between, of the newest."""
        recent, first, last = self.recent, self.first, len(self.recent) - 1
        seconds, areas = recent.gaps[first:], recent.areas[first:]
        number = recent.numbers[first]
        if number is not None and first < last:
            seconds[0] = recent.times[first + 1] - self.begin
            areas[0] = number * seconds[0]
        number = recent.numbers[last]
        if number is not None:
            seconds[-1] = self.end - max(self.begin, recent.times[last])
            areas[-1] = number * seconds[-1]
        return seconds, areas
