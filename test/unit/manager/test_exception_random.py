"""Report by exception against a plain model of its rules, over random readings, failures, calls and times."""

from __future__ import annotations

import math
from dataclasses import dataclass, field
from typing import Any

from hypothesis import example, given, settings
from hypothesis import strategies as st

from pydatacoll.model import Quality, Sample
from pydatacoll.sdk import PointGroup, Readings
from test.sink_rig import SinkRig, point

INVALID, LOST, STALE, FROZEN = (
    int(flag) for flag in (Quality.INVALID, Quality.COMM_LOST, Quality.STALE, Quality.NOT_TOPICAL)
)
POINTS = range(4)


@dataclass
class Model:
    """What must be stored of one point, told as simply as possible."""

    rules: dict[str, float]
    stored: list[tuple[Any, int]] = field(default_factory=list)
    stored_at: float = -math.inf
    held: Any = None
    """``(value,)`` or nothing."""
    read_at: float = 0.0
    raws: list[tuple[float, Any]] = field(default_factory=list)
    """Time and raw value of every reading since the last failed one."""
    stale: bool = False
    frozen: bool = False
    read: int = 0

    def newest(self) -> Any:
        if self.held is not None:
            return self.held[0]
        return self.stored[-1][0] if self.stored else None

    def store(self, value: Any, quality: int, now: float) -> None:
        if self.held is not None and self.stored[-1][1] != quality:
            self.stored.append((self.held[0], self.stored[-1][1]))
        self.held = None
        self.stored.append((value, quality))
        self.stored_at = now

    def beyond(self, value: Any) -> bool:
        last = self.stored[-1][0]
        bands = []
        numbers = [type(one) in (int, float) for one in (value, last)]
        if "deadband" in self.rules:
            bands.append(self.rules["deadband"])
        if "deadband_percent" in self.rules:
            bands.append(abs(last) * (self.rules["deadband_percent"] / 100) if numbers[1] else 0)
        if not bands:
            return True
        return value != last and (not all(numbers) or any(abs(value - last) > band for band in bands))

    def silent(self, now: float) -> bool:
        """Whether nothing was stored for the longest silence, of which 5 % and at most half a second may lack."""
        longest = self.rules.get("max_silence", math.inf)
        return now - self.stored_at >= max(longest - 0.5, longest * 0.95)

    def reading(self, raw: Any, quality: int, now: float, *, always: bool) -> None:
        self.read += 1
        if raw is None or raw != raw:
            if raw is not None or not quality:
                quality |= INVALID
            self.missing(quality, now, always=always or not self.rules)
            return
        self.read_at = now
        self.stale = False
        self.raws.append((now, raw))
        if "frozen_after" in self.rules:
            same = now
            for at, one in reversed(self.raws):
                if one != raw:
                    self.frozen = False
                    break
                same = at
            self.frozen = self.frozen or now - same >= self.rules["frozen_after"]
        quality |= FROZEN if self.frozen else 0
        if not self.rules or not self.stored or self.stored[-1][1] != quality or always:
            self.store(raw, quality, now)
        elif not self.beyond(raw) and not self.silent(now):
            self.held = None
        elif now - self.stored_at < self.rules.get("min_period", 0):
            self.held = (raw,)
        else:
            self.store(raw, quality, now)

    def missing(self, quality: int, now: float, *, always: bool = False, counts: bool = False) -> None:
        if self.frozen:
            self.raws = self.raws[-1:]
        else:
            self.raws.clear()
        quality |= (STALE if self.stale else 0) | (FROZEN if self.frozen else 0)
        if always or not self.stored or self.stored[-1][1] != quality:
            self.read += counts
            self.store(self.newest(), quality, now)

    def wait(self, now: float, until: float) -> None:
        """Let the time run; what is overdue already happens at once."""
        while True:
            end = math.inf if self.held is None else self.stored_at + self.rules["min_period"]
            stale = math.inf
            if "stale_after" in self.rules and not self.stale and self.newest() is not None:
                stale = self.read_at + self.rules["stale_after"]
            if min(end, stale) > until:
                return
            now = max(now, min(end, stale))
            if end <= now:
                self.store(self.held[0], self.stored[-1][1], now)
            if stale <= now:
                self.stale = True
                self.read += 1
                self.store(self.newest(), self.stored[-1][1] | STALE, now)


seconds = st.integers(2, 24).map(lambda halves: halves / 2)
rule_sets = st.fixed_dictionaries(
    {},
    optional={
        "deadband": st.sampled_from([0.0, 1.0, 5.0]),
        "deadband_percent": st.sampled_from([0.0, 10.0, 50.0]),
        "min_period": seconds,
        "max_silence": seconds.map(lambda s: s + 12),
        "stale_after": seconds,
        "frozen_after": seconds,
    },
)
raw_values = st.one_of(
    st.sampled_from([0, 1, 2, 10, 11, 10.5, -10]), st.sampled_from([None, math.nan, math.inf, True, "on", "off"])
)
qualities = st.sampled_from([0, 0, 0, 0, INVALID, LOST])
rows = st.lists(st.tuples(st.sampled_from(POINTS), raw_values, qualities), min_size=1, max_size=6)
distinct_rows = st.lists(
    st.tuples(st.sampled_from(POINTS), raw_values, qualities), min_size=1, max_size=4, unique_by=lambda row: row[0]
)
steps = st.one_of(
    st.tuples(st.just("read"), st.one_of(distinct_rows, distinct_rows, rows)),
    st.tuples(st.just("spontaneous"), rows),
    st.tuples(st.just("once"), rows),
    st.tuples(st.just("failed"), st.tuples(st.sets(st.sampled_from(POINTS), min_size=1), qualities.filter(bool))),
    st.tuples(st.just("lost"), st.just(LOST)),
    st.tuples(st.just("wait"), seconds),
    st.tuples(st.just("wait"), seconds),
    st.tuples(st.just("late"), seconds),
    st.tuples(st.just("configure"), st.none()),
)


def _finite(raw: Any) -> Any:
    return math.nan if raw == math.inf else raw


@settings(max_examples=300, deadline=None)
@given(st.tuples(*[rule_sets for _ in POINTS]), st.lists(steps, max_size=30))
@example(
    ({}, {}, {}, {}),
    [("read", [(0, 1, 0)]), ("spontaneous", [(0, 2, 0)]), ("lost", LOST), ("spontaneous", [(0, 3, 0)])],
)
@example(
    ({"min_period": 10.0, "stale_after": 5.0}, {}, {}, {}),
    [("read", [(0, 1, 0)]), ("wait", 2.0), ("read", [(0, 2, 0)]), ("wait", 12.0), ("failed", ({0}, LOST))],
)
def test_the_sink_does_what_the_rules_say(
    rules: tuple[dict[str, float], ...], history: list[tuple[str, Any]]
) -> None:
    def points() -> list[Any]:
        return [point(f"i{i}", **rules[i]) for i in POINTS]

    configured = points()
    rig = SinkRig(*configured)
    sink = rig.sink
    models = [Model(one) for one in rules]
    groups: dict[tuple[int, ...], PointGroup] = {}
    for kind, what in history:
        if kind in ("read", "spontaneous", "once"):
            for i, raw, quality in what:
                models[i].reading(_finite(raw), quality, rig.now, always=kind == "once")
        if kind == "read":
            numbers = tuple(i for i, _, _ in what)
            if numbers not in groups:
                groups[numbers] = PointGroup([configured[i] for i in numbers])
            column = [quality for _, _, quality in what]
            common = column[0] if len(set(column)) == 1 else column
            sink.values(Readings(groups[numbers], [raw for _, raw, _ in what], rig.now, common))
        elif kind == "spontaneous":
            sink.spontaneous([(configured[i], Sample(rig.now, raw, quality)) for i, raw, quality in what])
        elif kind == "once":
            shown = sink.once([(configured[i], Sample(rig.now, raw, quality)) for i, raw, quality in what])
            for i in {i for i, _, _ in what}:
                last = max(n for n, row in enumerate(what) if row[0] == i)
                assert (shown[last].value, shown[last].quality) == models[i].stored[-1]
        elif kind == "failed":
            for i in what[0]:
                models[i].missing(what[1], rig.now, counts=True)
            sink.failed(PointGroup([configured[i] for i in sorted(what[0])]), what[1], rig.now)
        elif kind == "lost":
            for model in models:
                model.missing(what, rig.now, counts=True)
            sink.all_failed(configured, what)
        elif kind == "wait":
            for model in models:
                model.wait(rig.now, rig.now + what)
            rig.wait(rig.now + what)
        elif kind == "late":
            rig.now += what
        else:
            configured = points()
            groups.clear()
            sink.configure(configured)
        stored: list[list[tuple[Any, int]]] = [[] for _ in POINTS]
        for name, value, quality in rig.writer.rows():
            stored[int(name[3:])].append((value, quality))
        assert stored == [model.stored for model in models]
        account = sink.account
        assert account.balanced()
        assert account.held == sum(model.held is not None for model in models)
        assert account.read == sum(model.read for model in models)
        assert account.pending - account.held == sum(map(len, stored))  # the writer settles nothing
        for one, model in zip(configured, models, strict=True):
            known = sink.known(one)
            shows = None if known is None else (known.value, known.quality)
            assert shows == ((model.newest(), model.stored[-1][1]) if model.stored else None)
    sink.flush()
    assert sink.account.held == 0
    assert sink.account.balanced()
    for i, model in enumerate(models):
        if model.held is not None:
            assert [row for row in rig.writer.rows() if row[0] == f"t:i{i}"][-1][1] == model.held[0]
