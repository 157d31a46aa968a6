"""Calculates points from others.

One runner at a time has all partitions, because the inputs of a formula may be in several; others stand by. Inputs
are remembered in the state of their partitions, which is committed together with the results. So after a crash a
batch meets what it had met before, and gives the same results once.

What came into the stream together is taken together: then every formula that uses any of it is evaluated once,
those that use results of others after these; a point that comes again begins another reading. Formulas that depend
on time are also evaluated about every second.

All that is evaluated together is one pass. Others get their turn during a long one, but the plugin itself does
nothing else: batches wait, and no partition comes or goes. A pass that is broken off leaves nothing behind.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from itertools import repeat
from math import inf
from time import monotonic, perf_counter, thread_time
from typing import Any, ClassVar, Final

from pydatacoll.model import DeviceBatch, PointId, Sample
from pydatacoll.model.change import Change
from pydatacoll.model.steps import Steps
from pydatacoll.sdk import DataBatch, Effects, Plugin, PluginContext, TryLater

from .formula_graph import Calculation, Compiler, Graph, matters
from .formula_inputs import InputPoint, Remembered
from .formula_results import ended, grown_stale, still_stale, stored

PATIENCE: Final = 5.0
"""Seconds that a batch waits for partitions that its formulas need, before it comes again."""
CURRENT: Final = 5.0
"""Seconds behind up to which a partition counts as up to date."""
AT_ONCE: Final = 30
"""Steps before others get their turn: a few milliseconds when each compiles a text."""
SLICE: Final = 0.005
"""Seconds of a pass after which others get their turn."""
LOOKS: Final = 16
"""Evaluations after which the clock is looked at; one takes up to some 0.2 ms."""
LONG: Final = 0.5
"""Seconds of work from which a pass because of time is followed by as long a pause."""
PAGE: Final = 500
"""Points loaded at once."""
SHOWN: Final = 100
"""Formulas whose status is shown, those with an error first."""

Results = list[tuple[PointId, Sample]]


class FormulaPlugin(Plugin):
    """See the module."""

    name = "formula"
    description = "points calculated from others"
    batch_samples: ClassVar[int] = 5000
    single: ClassVar[bool] = True

    def __init__(self, config: Any, context: PluginContext) -> None:
        super().__init__(config, context)
        self._graph = Graph()
        self._compiler = Compiler()
        self._outdated = True
        self._states: dict[int, Remembered] = {}
        self._lag: dict[int, float] = {}
        self._busy: set[int] = set()
        self._untidy: set[int] = set()
        self._started = asyncio.Condition()
        self._changed: dict[int, list[InputPoint]] = {}
        self._turn = 0
        self._idle = asyncio.Event()
        self._idle.set()
        self._slice_ends = 0.0
        self._pause_ends = 0.0
        self._leave: Callable[[], None] = lambda: None

    async def start(self) -> None:
        """Follow the model."""
        self._leave = self.context.on_change(self._model_changed)

    async def stop(self) -> None:
        """Leave the model."""
        self._leave()

    def _model_changed(self, changes: Sequence[Change] | None) -> None:
        if changes is None or any(map(matters, changes)):
            self._outdated = True

    # Partitions

    async def partition_started(self, partition: int, state: dict[str, bytes]) -> None:
        """Its points are as they were when its last batch was acknowledged."""
        await self._between_passes()
        self._forget(partition)
        async with self._started:
            self._states[partition] = Remembered(state)
            self._untidy.add(partition)
            self._lag[partition] = inf
            self._started.notify_all()

    async def partition_stopped(self, partition: int) -> None:
        """What depends on it is begun anew."""
        try:
            await self._between_passes()
        finally:  # also when it must not wait any longer
            self._states.pop(partition, None)
            self._lag.pop(partition, None)
            self._forget(partition)

    def _forget(self, partition: int) -> None:
        self._changed.pop(partition, None)
        if self._graph.forget(partition):
            self._outdated = True

    # Batches

    async def handle(self, batch: DataBatch) -> Effects | None:
        """Evaluate the formulas that use what came, entry by entry.

        After the store was away an entry has several readings of the same points: each has its own results.

        :raises TryLater: when partitions that formulas need are not here.
        """
        await self._rebuild()
        await self._wait()
        if not await self._prepare():
            raise TryLater("a partition that formulas need is begun anew")
        results: Results = []
        now = 0.0
        with self._pass():
            for now, devices in _entries(batch):
                for device in devices:
                    await self._take(device, now, results)
                await self._evaluate(now, results)
            effects = await self._effects(batch.partition, results)
        self._lag[batch.partition] = self.context.wall() - now
        self._busy.add(batch.partition)
        return effects

    async def tick(self, partition: int, now: float) -> Effects | None:
        """Evaluate formulas that are new, and those that depend on time."""
        results: Results = []
        if await self._prepare() and partition == min(self._states):
            await self._pass_time(now, results)
        if partition not in self._busy:  # nothing has come since the last tick
            self._lag[partition] = 0.0 if self._lag[partition] != inf else CURRENT
        self._busy.discard(partition)
        with self._pass():
            return await self._effects(partition, results)

    async def _pass_time(self, now: float, results: Results) -> None:
        graph = self._graph
        if any(self._lag[partition] == inf for partition in graph.partitions):
            return  # what was committed for a partition may not be delivered yet
        current = all(self._lag[partition] < CURRENT for partition in graph.partitions)
        timely = current and monotonic() >= self._pause_ends
        await self._look_up([one for one in graph.calculations.values() if one.fresh])
        if graph is not self._graph or self._outdated:
            return  # a partition has begun anew, or the model was changed: the next time
        begun = thread_time()
        with self._pass():
            for number, one in enumerate(list(graph.calculations.values())):
                if not number % LOOKS and perf_counter() > self._slice_ends:
                    await self._others()
                for sample in (ended(one, now), grown_stale(one, now) if current and one.known else None):
                    if sample is not None:
                        self._deliver(one, sample, results)
                if one.fresh or (timely and one.expression.uses_time):
                    graph.due(one)
            await self._evaluate(now, results, ticking=True)
        spent = thread_time() - begun
        if timely and spent > LONG:
            self._pause_ends = monotonic() + spent

    # Passes

    @contextmanager
    def _pass(self) -> Iterator[None]:
        """What is done in it is done as a whole. Passes do not meet: the host lets in one batch or tick."""
        self._idle.clear()
        self._slice_ends = perf_counter() + SLICE
        try:
            yield
        except BaseException:
            self._graph, self._outdated = Graph(), True  # begin all anew, with what was committed
            raise
        finally:
            self._idle.set()

    async def _between_passes(self) -> None:
        while not self._idle.is_set():
            await self._idle.wait()

    async def _others(self) -> None:
        """Give others their turn."""
        await asyncio.sleep(0)
        self._slice_ends = perf_counter() + SLICE

    async def _take(self, batch: DeviceBatch, now: float, results: Results) -> None:
        points = self._graph.devices.get(batch.device_id)
        if points is None:
            return
        levels = self._graph.levels
        late = batch.late
        times = batch.times if isinstance(batch.times, list) else repeat(batch.times)
        qualities = batch.qualities if isinstance(batch.qualities, list) else repeat(batch.qualities)
        make, kind = tuple.__new__, Sample  # a third of the time of Sample(...), here where every value passes
        for field, time, value, quality in zip(batch.fields, times, batch.values, qualities, strict=False):
            point = points.get(field)
            if point is None:
                continue
            if point.turn == self._turn and not late:
                await self._evaluate(now, results)  # what came before is another reading
            point.turn = self._turn
            sample = make(kind, (time, value, quality))
            changed = point.changed
            if late or point.settled_at or point.trail is not None:
                point.take(sample, now, late=late)
            else:
                point.input.push(sample)
                point.latest = sample
                point.changed = True
            if point.changed and not changed:
                self._changed.setdefault(point.partition, []).append(point)
            for user in point.users:
                if not user.due:
                    user.due = True
                    levels[user.rank].append(user)

    async def _evaluate(self, now: float, results: Results, *, ticking: bool = False) -> None:
        """Everything that is due, in order."""
        self._turn += 1
        if perf_counter() > self._slice_ends:
            await self._others()
        for level in self._graph.levels:
            if not level:
                continue
            for number, one in enumerate(level, 1):
                if not number % LOOKS and perf_counter() > self._slice_ends:
                    await self._others()
                one.due = one.fresh = False
                one.evaluations += 1
                outcome = one.evaluate(one.inputs, now)
                if not ticking:
                    one.read_at, sample = now, stored(one, outcome)
                else:
                    stale = still_stale(one, outcome, now)
                    sample = stored(one, stale or outcome, ticking=bool(stale) or one.expression.uses_time)
                if sample is not None:
                    self._deliver(one, sample, results)
            level.clear()

    def _deliver(self, one: Calculation, sample: Sample, results: Results) -> None:
        results.append((one.target, sample))
        if one.result is not None:
            one.result.input.push(sample)
            for user in one.result.users:
                self._graph.due(user)

    async def _effects(self, partition: int, results: Results) -> Effects | None:
        """What is to be committed; the last part of a pass."""
        points = self._changed.pop(partition, ())
        state: dict[str, bytes | None] = {}
        known = self._graph.points
        own = self._states[partition]
        for number, point in enumerate(points):
            if not number % LOOKS and perf_counter() > self._slice_ends:
                await self._others()
            if point.changed and known.get(point.id) is point:
                changes = point.state()
                own.update(changes)
                state |= changes
        if partition in self._untidy and not self._outdated:
            self._untidy.discard(partition)
            unused = dict.fromkeys(own.unused(known))
            own.update(unused)
            state |= unused
        return Effects(state=state, samples=results) if state or results else None

    # The graph

    def _missing(self) -> set[int]:
        """Partitions that formulas need and that are not here."""
        return self._graph.partitions - self._states.keys()

    async def _wait(self) -> None:
        """Until all partitions that formulas need are here."""
        if not self._missing():
            return
        try:
            async with asyncio.timeout(PATIENCE), self._started:
                await self._started.wait_for(lambda: not self._missing())
        except TimeoutError:
            missing = ", ".join(map(str, sorted(self._missing())))
            raise TryLater(f"formulas need partitions that are not here: {missing}") from None

    async def _rebuild(self) -> None:
        """Bring the graph up to date with the model; others get their turn meanwhile."""
        context = self.context
        while self._outdated:
            self._outdated = False
            built = await _run(Graph.build(context.model, context.partition_of, self._graph, self._compiler))
            if not self._outdated:
                self._graph = built
                self._untidy.update(self._states)

    async def _prepare(self) -> bool:
        """Bring the graph up to date, and load what its points had been. Whether all partitions that formulas need
        are here.

        When one begins anew meanwhile it is done once more.
        """
        while True:
            await self._rebuild()
            if self._missing():
                return False
            graph = self._graph
            await self._load([point for point in graph.points.values() if not point.loaded])
            await self._look_up([one for one in graph.calculations.values() if not one.known])
            if graph is self._graph and not self._outdated and not self._missing():
                return True

    async def _load(self, points: Sequence[InputPoint]) -> None:
        by_count: dict[int, list[InputPoint]] = {}
        for point in points:
            by_count.setdefault(point.wanted, []).append(point)
        pages = [
            (count, alike[start : start + PAGE])
            for count, alike in by_count.items()
            for start in range(0, len(alike), PAGE)
        ]
        for count, alike in pages:
            found = await self.context.store.recent([point.id for point in alike], count)
            now = self.context.wall()
            for point, history in zip(alike, found, strict=True):
                if point.partition != -1 and point.partition not in self._states:
                    continue  # it has just gone
                state = {} if point.partition == -1 else self._states[point.partition].of(point)
                point.load(state, history, now)
                if point.changed and point.partition != -1:
                    self._changed.setdefault(point.partition, []).append(point)

    async def _look_up(self, calculations: Sequence[Calculation]) -> None:
        """The results that were stored last."""
        for start in range(0, len(calculations), PAGE):
            page = calculations[start : start + PAGE]
            found = await self.context.store.latest([one.target for one in page])
            for one, last in zip(page, found, strict=True):
                one.last, one.known = last, True

    # Status

    def status(self) -> dict[str, Any]:
        """Totals, and the formulas one by one: what cannot be calculated, what gives no value, then the others."""
        graph = self._graph
        calculations = graph.calculations
        failing = [key for key, one in calculations.items() if one.error is not None]
        shown: dict[str, Any] = {
            key: {"evaluations": 0, "error": problem} for key, problem in list(graph.problems.items())[:SHOWN]
        }
        for key in [*failing, *calculations][: SHOWN + len(failing)]:
            if len(shown) < SHOWN:
                shown[key] = calculations[key].status()
        return {
            "formulas": len(calculations) + len(graph.problems),
            "refused": len(graph.problems),
            "without_value": len(failing),
            "evaluations": sum(one.evaluations for one in calculations.values()),
            "shown": shown,
        }


async def _run(steps: Steps[Graph]) -> Graph:
    """Run steps to their end; others get their turn in between."""
    while True:
        try:
            for _ in range(AT_ONCE):
                next(steps)
        except StopIteration as end:
            built: Graph = end.value
            return built
        await asyncio.sleep(0)


def _entries(batch: DataBatch) -> Iterator[tuple[float, Sequence[DeviceBatch]]]:
    """The entries of a batch, each with the time when it came into the stream."""
    if not batch.entries:
        yield _time(batch.entry_id), batch.devices
        return
    start = 0
    for entry_id, size in zip(batch.entries, batch.sizes, strict=True):
        yield _time(entry_id), batch.devices[start : start + size]
        start += size


def _time(entry_id: str) -> float:
    return int(entry_id.partition("-")[0]) / 1000
