"""Report by exception: which readings of a point are stored, and when its value counts as stale or frozen.

The rules of one point go by the order of arrival and by a clock that only runs forward. The times of the samples
play no part: a device's clock may be wrong, and its events may arrive out of order.

1. A reading whose quality is not the stored one is stored at once, after what is held.
2. A reading within all deadbands of the stored value is unchanged, unless nothing was stored for ``max_silence``
   less a tolerance (polls come some milliseconds early or late). It also ends what is held: the value is back
   where it was.
3. A reading less than ``min_period`` after the last one stored is held in place of the one held before. At the end
   of the period it is stored.
4. Any other reading is stored. So is every one of a point without a deadband and ``min_period``.
5. A failed read brings no value: the point keeps its own. It is stored only for its quality, by rule 1.
6. After ``stale_after`` without a reading a point with a value takes the flag ``stale``, until the next one.
7. Readings of the same raw value for ``frozen_after`` take the flag ``not_topical``, until another value comes. A
   failed read begins that time anew: nobody knows what the value was meanwhile.
"""

from __future__ import annotations

from enum import Enum
from math import inf

from pydatacoll.model import Quality, Sample, TermItem, Value

NOT_TOPICAL = int(Quality.NOT_TOPICAL)
STALE = int(Quality.STALE)
TOLERANCE_PART, TOLERANCE_MOST = 0.05, 0.5
"""How much earlier than ``max_silence`` a reading may come: this part of it, and at most so many seconds."""
UNKNOWN = -1
"""Quality of a point of which nothing is known: unlike any real one."""

_NO_RAW = object()
_EXACT = (bool, str)
"""Types of values that are equal or not; there is no distance between them."""


class Verdict(Enum):
    """What becomes of a reading."""

    STORE = "store"
    UNCHANGED = "unchanged"
    HOLD = "hold"
    NOTHING = "nothing"
    """A failed read that says nothing new."""


STORE, UNCHANGED, HOLD, NOTHING = Verdict


class PointState:
    """One point that has rules: what is stored of it, and what its next reading is compared with.

    :ivar value: the engineering value stored last, ``quality`` with its flags; ``stored_at`` when, by the clock.
    :ivar silence: ``max_silence`` less its tolerance, seconds.
    :ivar time: of the last reading, epoch seconds.
    :ivar read_at: when it arrived, by the clock; at first when the state was made.
    :ivar held: the sample that waits for the end of the period. Its quality is the stored one.
    """

    __slots__ = (
        "absolute",
        "band",
        "field",
        "frozen",
        "frozen_after",
        "held",
        "item",
        "min_period",
        "percent",
        "quality",
        "raw",
        "raw_at",
        "read_at",
        "silence",
        "stale",
        "stale_after",
        "stored_at",
        "time",
        "value",
    )

    def __init__(self, field: str, item: TermItem, known: Sample | None, now: float, age: float) -> None:
        """``age`` is how long ago ``known`` was stored, in seconds."""
        self.field = field
        self.value: Value = None
        self.quality = UNKNOWN
        self.time = 0.0
        self.stored_at = -inf
        if known is not None:
            self.time, self.value, self.quality = known
            self.stored_at = now - age
        self.read_at = now
        self.raw: object = _NO_RAW
        self.raw_at = now
        self.held: Sample | None = None
        self.stale = self.quality > 0 and bool(self.quality & STALE)
        self.frozen = False
        self.configure(item)

    def configure(self, item: TermItem) -> None:
        """Take the rules of a term item."""
        self.item = item
        self.absolute = item.deadband
        self.percent = item.deadband_percent
        self.min_period = item.min_period or 0.0
        self.silence = inf
        if item.max_silence is not None:
            self.silence = item.max_silence - min(TOLERANCE_PART * item.max_silence, TOLERANCE_MOST)
        self.stale_after = inf if item.stale_after is None else item.stale_after
        self.frozen_after = item.frozen_after
        self.stale = self.stale and item.stale_after is not None
        self.frozen = self.frozen and item.frozen_after is not None
        self._set_band()

    def _set_band(self) -> None:
        """Either deadband is enough for a change, so the narrower one counts."""
        self.band = self.absolute
        if self.percent is None:
            return
        magnitude = 0.0 if self.value is None or isinstance(self.value, _EXACT) else abs(self.value)
        relative = magnitude * (self.percent / 100)
        if self.band is None or relative < self.band:
            self.band = relative

    @property
    def newest(self) -> Value:
        """The value last read, apart from changes within the deadbands."""
        return self.value if self.held is None else self.held.value

    @property
    def period_end(self) -> float:
        """When what is held is stored."""
        return self.stored_at + self.min_period

    def judge(self, raw: Value, value: Value, quality: int, time: float, now: float) -> Verdict:
        """Decide on a reading; ``STORE`` makes it the stored one, but leaves ``held`` to the caller.

        :param value: the engineering value; ``None`` when nothing was obtained.
        :param now: by the clock.
        """
        if value is None:
            return self._failed(quality, now)
        self.read_at = now
        self.time = time
        self.stale = False
        if self.frozen_after is not None:
            if raw != self.raw:
                self.raw, self.raw_at, self.frozen = raw, now, False
            elif now - self.raw_at >= self.frozen_after:
                self.frozen = True
            if self.frozen:
                quality |= NOT_TOPICAL
        if quality == self.quality:
            band = self.band
            if band is not None:
                last = self.value
                if value == last:
                    moved = False
                elif last is None or isinstance(value, _EXACT) or isinstance(last, _EXACT):
                    moved = True
                else:
                    moved = abs(value - last) > band
                if not moved and now - self.stored_at < self.silence:
                    return UNCHANGED
            if now - self.stored_at < self.min_period:
                return HOLD
        self.store(value, quality, now)
        return STORE

    def _failed(self, quality: int, now: float) -> Verdict:
        if not self.frozen:
            self.raw = _NO_RAW
        quality |= self._flags()
        if quality == self.quality:
            return NOTHING
        self.store(self.newest, quality, now)
        return STORE

    def _flags(self) -> int:
        return (STALE if self.stale else 0) | (NOT_TOPICAL if self.frozen else 0)

    def store(self, value: Value, quality: int, now: float) -> None:
        """Note that this is stored now."""
        self.value = value
        self.quality = quality
        self.stored_at = now
        if self.percent is not None:
            self._set_band()

    def grow_stale(self, now: float) -> bool:
        """Take the flag when it is time; whether that is a sample to be stored."""
        if self.stale or self.newest is None or now - self.read_at < self.stale_after:
            return False
        self.stale = True
        quality = self.quality | STALE
        if quality == self.quality:
            return False
        self.store(self.newest, quality, now)
        return True

    def stale_at(self, now: float) -> float:
        """The earliest moment at which :meth:`grow_stale` may have something to say, by the clock."""
        if self.stale or self.newest is None:
            return now + self.stale_after
        return self.read_at + self.stale_after
