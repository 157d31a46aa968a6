"""Pure: the alarm conditions of one point, and when they begin and end.

1.  A value above ``up_limit`` (``high_high``), or below ``down_limit`` (``low_low``), is a condition; so is a rule
    (``do_verify``) that is false, a bad quality, and the quality ``stale``. Each one lives on its own.
2.  A condition has to hold for ``alarm_delay`` before it counts, ``stale`` excepted: that has waited already. A
    sample that denies it in between begins the delay anew. It then counts from the end of the delay on, also when
    no further sample comes.
3.  What counts goes on until the value is ``hysteresis`` inside the limit.
4.  While the quality is bad, or the value is no number, nothing is known about limits and rules: what counts goes
    on, and a delay begins anew. ``time_invalid`` alone leaves a value usable.
5.  The order of samples is that of their arrival. A clock that was set back begins a delay anew. Late samples,
    which never were the latest, do not change anything.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from math import inf, isfinite, nan, nextafter
from typing import Final, NamedTuple
from zlib import crc32

import msgspec

from pydatacoll.expression import ExpressionError, Input, compile_rule
from pydatacoll.model import PointId, Quality, Sample, TermItem, is_usable
from pydatacoll.model.alarm import LIMITS, Change, Kind, Priority, kinds_of

STALE: Final = int(Quality.STALE)
BAD: Final = ~(int(Quality.TIME_INVALID) | STALE)
"""Flags that are an alarm of bad quality."""
ON_THE_WAY: Final = 1.0
"""Seconds after the end of a delay in which a sample from before may still arrive."""
RECENT: Final = 1000
"""Recent samples that a rule with windows begins with."""

Bounds = tuple[float, float]
NEVER_QUIET: Final[Bounds] = (nan, nan)


class Limit(NamedTuple):
    """``back``: where an alarm ends. ``above``: whether it is an upper limit."""

    kind: Kind
    bound: float
    back: float
    above: bool

    def holds(self, value: float, *, counts: bool) -> bool:
        """Whether the condition holds, when it counts already or not."""
        bound = self.back if counts else self.bound
        return value > bound if self.above else value < bound


class Found(NamedTuple):
    """A condition began, ended, or is no longer asked for."""

    kind: Kind
    change: Change
    sample: Sample


class Watch:
    """What a term item asks for, worked out once.

    :ivar digest: tells whether anything was changed that matters for conditions.
    :ivar problem: why the rule cannot be used: it was stored before it was checked.
    :ivar stale_after: seconds without a reading after which the point is stale; ``None`` when that is no alarm, or
        it is not read from a device.
    """

    __slots__ = (
        "delay",
        "digest",
        "id",
        "kinds",
        "limits",
        "message",
        "priority",
        "problem",
        "rule",
        "stale_after",
    )

    def __init__(self, point: PointId, item: TermItem) -> None:
        self.id = point
        self.kinds = kinds_of(item)
        self.delay = item.alarm_delay or 0.0
        self.priority: Priority = item.alarm_priority or "medium"
        self.message = item.warn_msg or ""
        self.stale_after = item.stale_after if "stale" in self.kinds and item.protocol_code is not None else None
        self.limits = tuple(_limits(item))
        self.rule = None
        self.problem = ""
        if item.do_verify is not None:
            try:
                self.rule = compile_rule(item.do_verify)
            except ExpressionError as error:
                self.problem = str(error)
        self.digest = crc32(repr((self.limits, self.delay, item.do_verify, sorted(self.kinds))).encode())

    @property
    def memory(self) -> int:
        """How many samples have to be known again after a start; 0 when the rule only looks at what comes."""
        rule = self.rule
        if rule is None:
            return 0
        if rule.windows:
            return RECENT
        back = rule.recent.get("value", 1)
        return back if back > 1 or rule.uses_time else 0

    def limit(self, kind: str) -> float | None:
        """The limit of a kind; ``None`` when it has none."""
        return next((limit.bound for limit in self.limits if limit.kind == kind), None)


def _limits(item: TermItem) -> Iterator[Limit]:
    width = item.hysteresis or 0.0
    for kind, field in LIMITS.items():
        bound = getattr(item, field)
        if bound is not None:
            above = kind in {"high_high", "high"}
            yield Limit(kind, bound, bound - width if above else bound + width, above)


class State(msgspec.Struct, array_like=True):
    """What is known of a point that is not at rest.

    :ivar counts: kinds that count.
    :ivar since: kinds that wait for the end of the delay: since when, and when that arrived (epoch seconds).
    :ivar last: the last sample, when one of those needs it.
    """

    counts: list[Kind] = []
    since: dict[Kind, tuple[float, float]] = {}
    last: Sample | None = None


_decode = msgspec.msgpack.Decoder(State).decode
_encode = msgspec.msgpack.encode
_REST: Final = _encode(State())


class Checked:
    """A point that is watched, with the state of its conditions.

    :ivar quiet: values within these bounds, of good quality, change nothing.
    :ivar failure: why the rule gives nothing, although the value is good.
    """

    __slots__ = ("failure", "input", "quiet", "state", "watch")

    def __init__(self, watch: Watch, stored: bytes | None = None) -> None:
        self.watch = watch
        self.state = State() if stored is None else _decode(stored)
        self.input = Input()
        self.failure = ""
        if watch.rule is not None:
            watch.rule.require({"value": self.input})
        self._settle()

    def stored(self) -> bytes | None:
        """The state, as it is kept; ``None`` at rest."""
        encoded = _encode(self.state)
        return None if encoded == _REST else encoded

    def adopt(self, stored: bytes, now: float) -> list[Found]:
        """Take over what counted under other rules; kinds that are not asked for any more are ``remove``."""
        old = _decode(stored)
        self.state = State([kind for kind in old.counts if kind in self.watch.kinds])
        self._settle()
        return gone(stored, now, self.watch.kinds)

    def remember(self, samples: Sequence[Sample]) -> None:
        """Recent samples of the store, oldest first. Some may have come after the last one that was taken."""
        last = self.state.last
        if last is not None:
            samples = [*(sample for sample in samples if sample.time < last.time), last]
        for sample in samples:
            self.input.push(sample)

    def late(self, sample: Sample) -> None:
        """A sample that never was the latest: windows see it, nothing else."""
        if self.watch.memory:
            self.input.insert(sample)

    def take(self, sample: Sample, arrived: float) -> list[Found]:
        """The next sample.

        :param arrived: when it was stored, epoch seconds by the store's clock.
        """
        value = sample.value
        if type(value) is float and not isfinite(value):
            sample = sample._replace(value=None)
        found = self._over(sample.time) if self.state.since else []
        for kind, holds in self._judge(sample):
            self._step(kind, sample, arrived, found, holds=holds)
        self.state.last = sample if self.state.since or self.watch.memory else None
        self._settle()
        return found

    def due(self, now: float) -> bool:
        """Whether time alone may change something now (epoch seconds by the store's clock)."""
        state = self.state
        if any(arrived + self.watch.delay + ON_THE_WAY <= now for _, arrived in state.since.values()):
            return True
        rule = self.watch.rule
        if rule is None or not rule.uses_time or self.input.time == -inf:
            return False
        holds = self._ruled(now)
        return holds is not None and holds != ("rule" in state.counts)

    def elapse(self, now: float) -> list[Found]:
        """What time alone changes; to be called when the last sample is still the latest."""
        found: list[Found] = []
        state, delay = self.state, self.watch.delay
        for kind, (since, arrived) in list(state.since.items()):
            if arrived + delay + ON_THE_WAY <= now and state.last is not None:
                self._count(kind, state.last._replace(time=since + delay), found)
        rule = self.watch.rule
        if rule is not None and rule.uses_time and self.input.time > -inf:
            sample = Sample(now, self.input.value, self.input.quality)
            self._step("rule", sample, now, found, holds=self._ruled(now))
            state.last = sample._replace(time=self.input.time)
        self._settle()
        return found

    def _over(self, time: float) -> list[Found]:
        """Delays that ended before a sample of this time."""
        found: list[Found] = []
        for kind, (since, _) in list(self.state.since.items()):
            if since + self.watch.delay < time and self.state.last is not None:
                self._count(kind, self.state.last._replace(time=since + self.watch.delay), found)
        return found

    def _judge(self, sample: Sample) -> Iterator[tuple[Kind, bool | None]]:
        """Kind -> whether its condition holds, as far as the sample tells."""
        _, value, quality = sample
        watch, counts = self.watch, self.state.counts
        number = value if isinstance(value, (int, float)) else None
        if "quality" in watch.kinds:
            yield "quality", bool(quality & BAD) or (number is None and (value is None or bool(watch.limits)))
        if "stale" in watch.kinds:
            yield "stale", bool(quality & STALE)
        usable = number is not None and is_usable(quality)
        for limit in watch.limits:
            holds = limit.holds(number, counts=limit.kind in counts) if usable and number is not None else None
            yield limit.kind, holds
        if watch.rule is not None:
            self.input.push(sample)
            yield "rule", self._ruled(sample.time)

    def _ruled(self, now: float) -> bool | None:
        """Whether the rule is broken; ``None`` when it cannot tell."""
        rule = self.watch.rule
        if rule is None:
            return None
        outcome = rule.evaluate({"value": self.input}, now)
        self.failure = outcome.error or "" if is_usable(self.input.quality) else ""
        if outcome.value is None or isinstance(outcome.value, str) or not is_usable(outcome.quality):
            return None
        return not outcome.value

    def _step(self, kind: Kind, sample: Sample, arrived: float, found: list[Found], *, holds: bool | None) -> None:
        state = self.state
        if kind in state.counts:
            if holds is False:
                state.counts.remove(kind)
                found.append(Found(kind, "clear", sample))
        elif not holds:
            state.since.pop(kind, None)
        elif kind == "stale" or not self.watch.delay:
            self._count(kind, sample, found)
        else:
            since = state.since.get(kind)
            if since is None or since[0] > sample.time:
                state.since[kind] = (sample.time, arrived)
            elif since[0] + self.watch.delay <= sample.time:
                self._count(kind, sample, found)

    def _count(self, kind: Kind, sample: Sample, found: list[Found]) -> None:
        self.state.since.pop(kind, None)
        self.state.counts.append(kind)
        found.append(Found(kind, "raise", sample))

    def _settle(self) -> None:
        """Work out the bounds between which nothing happens."""
        state = self.state
        if self.watch.rule is not None or state.since or "quality" in state.counts or "stale" in state.counts:
            self.quiet = NEVER_QUIET
            return
        low, high = -inf, inf
        for limit in self.watch.limits:
            if limit.kind in state.counts:
                if limit.above:
                    low = max(low, nextafter(limit.back, inf))
                else:
                    high = min(high, nextafter(limit.back, -inf))
            elif limit.above:
                high = min(high, limit.bound)
            else:
                low = max(low, limit.bound)
        self.quiet = (low, high)


def gone(stored: bytes, now: float, kinds: frozenset[str] = frozenset()) -> list[Found]:
    """What counted and is not among the kinds asked for any more."""
    return [Found(kind, "remove", Sample(now, None)) for kind in _decode(stored).counts if kind not in kinds]
