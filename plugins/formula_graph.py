"""Formulas as a graph: which one uses which points, and in which order they are calculated. Pure."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from typing import Any

from pydatacoll.expression import Expression, ExpressionError, Input, compile_expression
from pydatacoll.model import Device, Formula, PointId, Sample, TermItem
from pydatacoll.model.change import Change
from pydatacoll.model.registry import ModelView
from pydatacoll.model.steps import Steps

from .formula_inputs import InputPoint


class Calculation:
    """A formula that can be calculated.

    :ivar inputs: what its parameters are now, for :attr:`evaluate`.
    :ivar rank: 0 when it uses no result of another formula; else above those that it uses.
    :ivar item: the term item of its result; ``ruled`` when it asks for report by exception.
    :ivar result: the point of its result, when other formulas use that.
    :ivar last: the result stored last; :attr:`known` tells whether that was looked up already.
    :ivar held: a result that is to be stored later.
    :ivar read_at: when a parameter had a sample, the last time: epoch seconds by the store's clock; ``None`` when
        that is not known.
    :ivar fresh: not evaluated since it is here.
    :ivar due: to be evaluated in this pass.
    """

    __slots__ = (
        "due",
        "error",
        "evaluate",
        "evaluations",
        "expression",
        "formula",
        "fresh",
        "held",
        "inputs",
        "item",
        "known",
        "last",
        "points",
        "rank",
        "read_at",
        "result",
        "ruled",
        "target",
    )

    def __init__(self, formula: Formula, expression: Expression) -> None:
        self.formula = formula
        self.expression = expression
        self.evaluate = expression.evaluate
        self.target = formula.target
        self.item: TermItem | None = None
        self.ruled = False
        self.points: list[InputPoint] = []
        self.inputs: dict[str, Input] = {}
        self.rank = 0
        self.result: InputPoint | None = None
        self.last: Sample | None = None
        self.known = False
        self.held: Sample | None = None
        self.read_at: float | None = None
        self.fresh = True
        self.due = False
        self.evaluations = 0
        self.error: str | None = None

    def uses(self) -> dict[str, PointId]:
        """The parameters that occur in the text."""
        params = self.formula.params
        return {name: PointId(*params[name].split(":")) for name in self.expression.names}

    def status(self) -> dict[str, Any]:
        """For the operator."""
        return {"evaluations": self.evaluations, "error": self.error}


class Compiler:
    """Texts that were compiled already: many formulas have the same."""

    def __init__(self) -> None:
        self._known: dict[tuple[str, frozenset[str]], Expression | str] = {}

    def compile(self, formula: Formula) -> Expression | str:
        """The expression, or what is wrong with the text."""
        key = formula.formula, frozenset(formula.params)
        found = self._known.get(key)
        if found is None:
            try:
                found = compile_expression(formula.formula, formula.params)
            except ExpressionError as error:
                found = str(error)
            self._known[key] = found
        return found

    def keep(self, formulas: Iterable[Formula]) -> None:
        """Forget all other texts."""
        keys = {(formula.formula, frozenset(formula.params)) for formula in formulas}
        self._known = {key: found for key, found in self._known.items() if key in keys}


class Graph:
    """All formulas that can be calculated.

    :ivar calculations: formula id -> calculation.
    :ivar problems: formula id -> why it cannot be.
    :ivar points: all points used.
    :ivar devices: device id -> ``term_id:item_id`` -> the point, of those that the stream brings.
    :ivar levels: one list for each rank: what is due in this pass.
    :ivar partitions: those that the points are in.
    """

    def __init__(self) -> None:
        self.calculations: dict[str, Calculation] = {}
        self.problems: dict[str, str] = {}
        self.points: dict[PointId, InputPoint] = {}
        self.devices: dict[str, dict[str, InputPoint]] = {}
        self.levels: list[list[Calculation]] = [[]]
        self.partitions: set[int] = set()

    @classmethod
    def build(
        cls, model: ModelView, partition_of: Callable[[str], int], old: Graph, compiler: Compiler
    ) -> Steps[Graph]:
        """The graph of a model, in steps; what did not change since ``old`` goes on in the new one."""
        graph = cls()
        by_target: dict[PointId, Calculation] = {}
        for formula_id, formula in sorted(model.formulas.items()):
            yield
            found = _calculation(formula, model, old.calculations.get(formula_id), by_target, compiler)
            if isinstance(found, str):
                graph.problems[formula_id] = found
            else:
                graph.calculations[formula_id] = by_target[found.target] = found
        yield from graph._order(by_target)
        yield from graph._connect(by_target, partition_of, old.points)
        compiler.keep(model.formulas.values())
        return graph

    def due(self, calculation: Calculation) -> None:
        """Have it evaluated in this pass."""
        if not calculation.due:
            calculation.due = True
            self.levels[calculation.rank].append(calculation)

    def forget(self, partition: int) -> bool:
        """Drop what depends on a partition, so that the next graph begins with it anew; whether there was any."""
        lost: set[PointId] = {
            point.id for point in self.points.values() if point.partition == partition and point.loaded
        }
        if not lost:
            return False
        for calculation in sorted(self.calculations.values(), key=_rank):
            if any(point.id in lost for point in calculation.points):
                lost.add(calculation.target)
                del self.calculations[calculation.formula.id]
        for point in lost:
            self.points.pop(point, None)
        return True

    def _order(self, by_target: Mapping[PointId, Calculation]) -> Steps[None]:
        """Set the ranks; what is in a circle is put aside."""
        needs: dict[Calculation, list[Calculation]] = {}
        for calculation in self.calculations.values():
            yield
            needs[calculation] = [by_target[point] for point in calculation.uses().values() if point in by_target]
        waiting = {calculation: len(above) for calculation, above in needs.items()}
        users: dict[Calculation, list[Calculation]] = {calculation: [] for calculation in needs}
        for calculation, above in needs.items():
            calculation.rank = 0
            calculation.due = False
            for one in above:
                users[one].append(calculation)
        ready = [calculation for calculation, count in waiting.items() if not count]
        for calculation in ready:  # grows meanwhile
            yield
            for user in users[calculation]:
                user.rank = max(user.rank, calculation.rank + 1)
                waiting[user] -= 1
                if not waiting[user]:
                    ready.append(user)
        if len(ready) < len(needs):
            for calculation in _circles([one for one in needs if waiting[one]], users):
                self.problems[calculation.formula.id] = "it depends on its own result"
                del self.calculations[calculation.formula.id]
            yield from self._order({one.target: one for one in self.calculations.values()})
        else:
            self.levels = [[] for _ in range(1 + max((one.rank for one in needs), default=0))]

    def _connect(
        self,
        by_target: Mapping[PointId, Calculation],
        partition_of: Callable[[str], int],
        old: Mapping[PointId, InputPoint],
    ) -> Steps[None]:
        needs: dict[PointId, tuple[int, float]] = {}
        for calculation in self.calculations.values():
            yield
            for name, point in calculation.uses().items():
                samples, seconds = needs.get(point, (1, 0.0))
                expression = calculation.expression
                needs[point] = (
                    max(samples, expression.recent.get(name, 1)),
                    max(seconds, expression.windows.get(name, 0.0)),
                )
        for point, (samples, seconds) in needs.items():
            yield
            source = by_target.get(point)
            if source is not None and source.formula.id not in self.calculations:
                source = None
            partition = -1 if source is not None else partition_of(point.device_id)
            known = old.get(point)
            if known is None or (known.samples, known.seconds, known.partition) != (samples, seconds, partition):
                known = InputPoint(point, partition, samples=samples, seconds=seconds)
            known.users = []
            known.source = source
            self.points[point] = known
            if source is None:
                self.partitions.add(partition)
                self.devices.setdefault(point.device_id, {})[known.field] = known
        for calculation in self.calculations.values():
            yield
            uses = calculation.uses()
            calculation.points = [self.points[point] for point in dict.fromkeys(uses.values())]
            calculation.inputs = {name: self.points[point].input for name, point in uses.items()}
            calculation.result = self.points.get(calculation.target)
            for used in calculation.points:
                used.users.append(calculation)


def matters(change: Change) -> bool:
    """Whether formulas may be others after a change of the model."""
    if change.kind == "device":
        old, new = change.old, change.new
        return isinstance(old, Device) and isinstance(new, Device) and old.enabled != new.enabled
    return change.kind in {"formula", "term_item", "term"}


def _calculation(
    formula: Formula,
    model: ModelView,
    old: Calculation | None,
    by_target: Mapping[PointId, Calculation],
    compiler: Compiler,
) -> Calculation | str:
    """The calculation of a formula, or why there is none. What is refused today may have been stored before."""
    target = formula.target
    item = model.term_items.get((target.term_id, target.item_id))
    term = model.terms.get(target.term_id)
    if item is None or term is None or term.device_id != target.device_id:
        return f"its result {target} is no term item"
    device = model.devices.get(target.device_id)
    if device is not None and not device.enabled:
        return f"device {device.id} is disabled"
    if item.protocol_code is not None:
        return f"its result {target} is read from its device"
    if target in by_target:
        return f"its result {target} is that of formula {by_target[target].formula.id}, too"
    if old is None or old.formula != formula:
        expression = compiler.compile(formula)
        if isinstance(expression, str):
            return expression
        old = Calculation(formula, expression)
    old.item, old.ruled = item, item.ruled
    return old


def _rank(calculation: Calculation) -> int:
    return calculation.rank


def _circles(left: Iterable[Calculation], users: Mapping[Calculation, Iterable[Calculation]]) -> set[Calculation]:
    """Of what waits for each other, those that nothing but others of them waits for are behind the circles."""
    rest = set(left)
    while True:
        behind = {one for one in rest if not any(user in rest for user in users[one])}
        if not behind:
            return rest
        rest -= behind
