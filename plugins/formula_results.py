"""Which results are stored, and with what time.

1. A result whose time, value and quality are those of the one before is none. One that was worked out only because
   time passed is stored when its value or quality is another.
2. The times of one result go up: two results of the same moment are a microsecond apart, so that history and
   archive keep both. When the clock of the inputs was set back, the time goes back with it.
3. As long as no input had a sample, there is no result but a value.
4. The term item of the result may ask for report by exception: ``deadband``, ``deadband_percent``,
   ``max_silence`` and ``min_period`` hold as for measured points, by the times of the results. A change of quality
   is stored at once.
5. When no parameter has had a sample for ``stale_after`` of that term item, the result takes the flag ``stale``,
   until one has.
"""

from __future__ import annotations

from math import inf
from typing import Final

from pydatacoll.expression import Outcome
from pydatacoll.model import Quality, Sample, TermItem, Value

from .formula_graph import Calculation

STALE: Final = int(Quality.STALE)
APART: Final = 1e-6
"""Seconds between two results of the same moment."""
SAME: Final = 1e-3
"""Times that are less apart than this belong to one moment."""
SET_BACK: Final = 60.0
"""Seconds by which a clock must be behind to count as set back; less is an evaluation that came late."""
TOLERANCE_PART, TOLERANCE_MOST = 0.05, 0.5
"""How much earlier than ``max_silence`` a result may come: this part of it, and at most so many seconds."""


def stored(calculation: Calculation, outcome: Outcome, *, ticking: bool = False) -> Sample | None:
    """What of a result is to be stored; it is the last one then.

    :param ticking: it was evaluated because time passed.
    """
    value, quality, time, error = outcome
    calculation.error = error
    last = calculation.last
    if last is not None and time - last.time >= SAME and not ticking and not calculation.ruled:
        calculation.last = sample = Sample(time, value, quality)  # by far the most
        return sample
    if value is None and last is None and all(one.time == -inf for one in calculation.inputs.values()):
        return None
    if last is not None:
        same = quality == last.quality and value == last.value and type(value) is type(last.value)
        if same and (ticking or abs(time - last.time) < SAME):
            return None
        if time <= last.time:
            behind = last.time - time
            if behind < SAME:
                time = last.time + APART
            elif behind < SET_BACK and calculation.expression.uses_time:
                return None
    sample = Sample(time, value, quality)
    item = calculation.item
    if (
        calculation.ruled
        and item is not None
        and last is not None
        and not _reported(item, last, sample, calculation)
    ):
        return None
    calculation.last = sample
    calculation.held = None
    return sample


def ended(calculation: Calculation, now: float) -> Sample | None:
    """What was held, when its period is over: it is the last result then."""
    held, last, item = calculation.held, calculation.last, calculation.item
    if held is None or (last is not None and item is not None and now < last.time + (item.min_period or 0.0)):
        return None
    calculation.last, calculation.held = held, None
    return held


def still_stale(calculation: Calculation, outcome: Outcome, now: float) -> Outcome | None:
    """What is to be made of a result that was worked out without a new sample, when the last one is stale: only a
    sample ends that. ``None`` when it is not."""
    last, item = calculation.last, calculation.item
    if item is None or item.stale_after is None or last is None or not last.quality & STALE:
        return None
    return outcome._replace(quality=outcome.quality | STALE, time=now)


def grown_stale(calculation: Calculation, now: float) -> Sample | None:
    """The result that is stale from now on; it is the last one then."""
    last, item = calculation.last, calculation.item
    if item is None or item.stale_after is None or last is None or last.value is None or last.quality & STALE:
        return None
    if calculation.read_at is None:
        calculation.read_at = now  # after a start the time begins anew
    if now - calculation.read_at < item.stale_after:
        return None
    value = last.value if calculation.held is None else calculation.held.value
    calculation.last = sample = Sample(max(now, last.time + APART), value, last.quality | STALE)
    calculation.held = None
    return sample


def _reported(item: TermItem, last: Sample, new: Sample, calculation: Calculation) -> bool:
    if new.quality != last.quality or new.time < last.time:
        return True
    passed = new.time - last.time
    within = _within(item, last.value, new.value)
    if within:
        calculation.held = None  # the value is back where it was
        silence = item.max_silence
        return silence is not None and passed >= silence - min(TOLERANCE_PART * silence, TOLERANCE_MOST)
    if item.min_period is not None and passed < item.min_period:
        calculation.held = new
        return False
    return True


def _within(item: TermItem, last: Value, new: Value) -> bool:
    """Whether a value is within all deadbands of the last one. Without a deadband none is."""
    if item.deadband is None and item.deadband_percent is None:
        return False
    if isinstance(last, (bool, str)) or isinstance(new, (bool, str)) or last is None or new is None:
        return last == new
    band = inf if item.deadband is None else item.deadband
    if item.deadband_percent is not None:
        band = min(band, abs(last) * item.deadband_percent / 100)
    return abs(new - last) <= band
