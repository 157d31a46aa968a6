"""What is read from the archive. Pure, and cheap to import."""

from __future__ import annotations

from collections.abc import Callable, Collection
from typing import NamedTuple

from msgspec import Struct

from pydatacoll.model.alarm import AlarmId, Transition
from pydatacoll.model.sample import Value

Stored = tuple[int, float | int | None, str | None, int, int]
"""``(time, value, text, kind, quality)``, time in microseconds."""


class Bucket(NamedTuple):
    """What a span of time holds of one series.

    :ivar time: when it begins, microseconds.
    :ivar low: smallest usable number (a boolean is 0 or 1); ``None`` when there is none, so ``high`` and ``mean``.
    :ivar good: usable samples.
    :ivar bad: other samples: what they say is in no other figure but ``last``.
    :ivar last: value of the last sample, whatever its ``quality``, which is of ``last_time``.
    """

    time: int
    low: float | None
    high: float | None
    mean: float | None
    good: int
    bad: int
    last: Value
    last_time: int
    quality: int


class Span(NamedTuple):
    """A span of time of one series, microseconds, both ends included."""

    series: int
    since: int
    until: int


class AlarmStep(NamedTuple):
    """A step in the life of an alarm, with its place in the stream of its partition: when the store noted it,
    milliseconds, and its number among those of that time."""

    noted: int
    number: int
    step: Transition


class AlarmQuery(Struct, frozen=True, kw_only=True):
    """Which steps of alarms are wanted; ``None``: whatever it is.

    :ivar since: noted at this time or later, milliseconds, as ``until``.
    :ivar before: at this place (``noted``, ``number``) or before it.
    :ivar patterns: ids of devices are like one of these globs.
    :ivar matches: what no database can tell.
    """

    since: int | None = None
    until: int | None = None
    before: tuple[int, int] | None = None
    alarm: AlarmId | None = None
    device_ids: Collection[str] | None = None
    kinds: Collection[str] | None = None
    priorities: Collection[str] | None = None
    events: Collection[str] | None = None
    patterns: Collection[str] | None = None
    matches: Callable[[AlarmStep], bool] = lambda _: True
