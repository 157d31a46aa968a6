"""What an expression sees of one point: its latest value and, where it asks for them, recent ones.

One input serves all expressions that use the point. What a sample means for calculations is settled once, when it
arrives, and not at each evaluation.
"""

from __future__ import annotations

from math import inf, isfinite

from pydatacoll.expression.functions import WIDEST
from pydatacoll.expression.recent import Recent
from pydatacoll.model import Quality, Sample, Value

TEXT = 1 << 16
"""Marks a text in :attr:`Input.doubt`; no flag of a quality."""

_INVALID = int(Quality.INVALID)
DEFAULT_LIMIT = 10_000


class Input:
    """The samples of one point, as expressions see them.

    :ivar value: the latest; a finite number, a boolean or a text. ``None`` when there is none of these.
    :ivar quality: its flags; with ``INVALID`` when there is no value.
    :ivar time: its time in epoch seconds; minus infinity before the first sample.
    :ivar doubt: 0 when the latest is a good number or boolean; else the flags, and :data:`TEXT` for a text.
    :ivar recent: the samples kept; ``None`` when only the latest was ever required.
    """

    __slots__ = ("doubt", "limit", "recent", "time", "value")

    def __init__(self, *, limit: int = DEFAULT_LIMIT) -> None:
        """``limit``: samples kept at most, however long the windows are."""
        self.limit = limit
        self.value: Value = None
        self.doubt = _INVALID
        self.time = -inf
        self.recent: Recent | None = None

    @property
    def quality(self) -> int:
        return self.doubt & ~TEXT

    def require(self, *, samples: int = 1, seconds: float = 0.0) -> None:
        """Keep at least so many samples, and those of so many seconds (infinite: all), from now on.

        What was required before stays required. What came before the first call is gone, but for the latest.
        """
        if self.recent is None:
            if samples <= 1 and seconds <= 0:
                return
            self.recent = Recent(self.limit)
            if self.time > -inf:
                self.recent.append(self.time, self.value, self.quality)
        self.recent.require(samples, seconds)

    def push(self, sample: Sample) -> None:
        """Take the sample that came next; it is the latest from now on.

        When it is older than others the clock was set back, and those are forgotten: no window could hold both.
        """
        time, value, quality = sample
        value, self.doubt = _settled(value, quality)
        self.value = value
        self.time = time
        if self.recent is not None:
            self.recent.append(time, value, self.doubt & ~TEXT)

    def insert(self, sample: Sample) -> None:
        """Take a sample that is late: it goes to its place among the recent ones. It becomes the latest only when
        it is not older than that."""
        if sample.time >= self.time:
            self.push(sample)
        elif self.recent is not None:
            value, doubt = _settled(sample.value, sample.quality)
            self.recent.insert(sample.time, value, doubt & ~TEXT)


def _settled(value: Value, quality: int) -> tuple[Value, int]:
    """The value as it is calculated with, and its doubt."""
    if type(value) is float:
        if isfinite(value):
            return value, quality
    elif type(value) is bool:
        return value, quality
    elif type(value) is int:
        if -WIDEST <= value <= WIDEST:
            return value, quality
        try:
            return float(value), quality
        except OverflowError:
            pass
    elif type(value) is str:
        return value, quality | TEXT
    return None, quality | _INVALID
