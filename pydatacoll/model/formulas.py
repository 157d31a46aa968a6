"""What must hold between formulas: results are points of virtual devices, each of one formula, and no circle."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterator, Sequence
from typing import Final, NamedTuple, Protocol

from pydatacoll.model.objects import Device, Formula
from pydatacoll.model.registry import ModelView, formula_points
from pydatacoll.model.sample import PointId
from pydatacoll.model.steps import Steps
from pydatacoll.model.validation import Schemas


class FormulaFault(NamedTuple):
    """A formula that breaks a rule.

    :ivar name: the id, as far as it may be told.
    :ivar place: in a batch.
    :ivar conflict: it is fine by itself, but not beside the others.
    """

    formula_id: str
    name: str
    place: int
    field: str
    message: str
    conflict: bool


_OTHERS: Final = "(other devices)"


class Formulas(Protocol):
    """Formulas and devices, as :class:`pydatacoll.model.overlay.Overlay` has them."""

    def device(self, device_id: str) -> Device | None: ...
    def formula(self, formula_id: str) -> Formula | None: ...
    def formulas_with(self, point: PointId) -> Collection[str]: ...


class _Beside:
    """A model with one more formula, which takes the place of the one with its id."""

    def __init__(self, model: ModelView, own: Formula) -> None:
        self._model = model
        self._own = own
        self._points = formula_points(own)

    def device(self, device_id: str) -> Device | None:
        return self._model.devices.get(device_id)

    def formula(self, formula_id: str) -> Formula | None:
        return self._own if formula_id == self._own.id else self._model.formulas.get(formula_id)

    def formulas_with(self, point: PointId) -> Collection[str]:
        others = [key for key in self._model.formulas_with(point) if key != self._own.id]
        return [*others, self._own.id] if point in self._points else others


def _all(_: str) -> bool:
    return True


class FormulaRules:
    """Looks at the formulas that were touched since the last time, and at all that these depend on.

    :ivar sees: of which devices messages may tell: who asks may not know the others.
    """

    def __init__(self, overlay: Formulas, schemas: Schemas) -> None:
        self._overlay = overlay
        self._schemas = schemas
        self._touched: dict[str, int] = {}
        self.sees: Callable[[str], bool] = _all

    def touch(self, formula_id: str, index: int) -> None:
        """A formula was written, or its points or their devices changed."""
        self._touched.setdefault(formula_id, index)

    def touch_point(self, point: PointId, index: int) -> None:
        """The device of a point changed."""
        for formula_id in self._overlay.formulas_with(point):
            self.touch(formula_id, index)

    def abandon(self) -> None:
        """Forget what was touched, because the operation failed."""
        self._touched.clear()

    def settle(self) -> Steps[list[FormulaFault]]:
        """What is wrong now; nothing is touched afterwards."""
        faults: list[FormulaFault] = []
        before: set[str] = set()
        done: set[PointId] = set()
        for formula_id, index in self._touched.items():
            yield
            formula = self._overlay.formula(formula_id)
            if formula is None:
                continue
            fault = self._misplaced(formula, index) or self._taken(formula, index, before)
            before.add(formula_id)
            if fault is None:
                circle = yield from self._circle(formula.target, done)
                if circle:
                    message = f"{self._called(formula)} would depend on its own result: {self._path(circle)}"
                    fault = self._fault(formula, index, "formula", message, conflict=True)
            if fault is not None:
                faults.append(fault)
        self._touched.clear()
        return faults

    def _misplaced(self, formula: Formula, index: int) -> FormulaFault | None:
        device = self._overlay.device(formula.device_id)
        driver = self._schemas.protocols.get(device.protocol) if device is not None else None
        if driver is None or driver.virtual:
            return None
        message = (
            f"the result of {self._called(formula)} would be a point of device {formula.device_id}, which is read "
            f"by {driver.name}; a result needs a virtual device, of protocol formula"
        )
        return self._fault(formula, index, "device_id", message, conflict=False)

    def _taken(self, formula: Formula, index: int, before: set[str]) -> FormulaFault | None:
        """Of two that were touched, the second is at fault."""
        for other in self._producers(formula.target):
            if other.id != formula.id and (other.id in before or other.id not in self._touched):
                message = f"{formula.target} is already the result of {self._called(other)}"
                return self._fault(formula, index, "item_id", message, conflict=True)
        return None

    def _fault(self, formula: Formula, index: int, field: str, message: str, *, conflict: bool) -> FormulaFault:
        name = formula.id if self._visible(formula) else ""
        return FormulaFault(formula.id, name, index, field, message, conflict)

    def _visible(self, formula: Formula) -> bool:
        return all(self.sees(point.device_id) for point in formula_points(formula))

    def _called(self, formula: Formula) -> str:
        if not self._visible(formula):
            return "a formula that uses other devices"
        return f"formula {formula.id}" if formula.id else "the formula"

    def _path(self, circle: Sequence[PointId]) -> str:
        """Points of devices that may not be told stand together as one."""
        names: list[str] = []
        for point in circle:
            if self.sees(point.device_id):
                names.append(str(point))
            elif names[-1:] != [_OTHERS]:
                names.append(_OTHERS)
        return " -> ".join(names)

    def _producers(self, point: PointId) -> Iterator[Formula]:
        for formula_id in self._overlay.formulas_with(point):
            formula = self._overlay.formula(formula_id)
            if formula is not None and formula.target == point:
                yield formula

    def _inputs(self, point: PointId) -> list[PointId]:
        return [PointId(*ref.split(":")) for formula in self._producers(point) for ref in formula.params.values()]

    def _circle(self, start: PointId, done: set[PointId]) -> Steps[Sequence[PointId]]:
        """A circle among what a point depends on, in the direction of the calculation; empty without one.

        :param done: points that are known not to lead into a circle; more are added.
        """
        if start in done:
            return ()
        path, ahead = [start], [self._inputs(start)]
        on_path = {start}
        while path:
            yield
            if not ahead[-1]:
                ahead.pop()
                done.add(path[-1])
                on_path.remove(path.pop())
                continue
            point = ahead[-1].pop()
            if point in on_path:
                return [point, *reversed(path[path.index(point) :])]
            if point not in done:
                path.append(point)
                on_path.add(point)
                ahead.append(self._inputs(point))
        return ()


def formula_faults(
    model: ModelView, schemas: Schemas, formula: Formula, sees: Callable[[str], bool]
) -> Steps[list[FormulaFault]]:
    """What would be wrong with a formula beside all others, if it was saved; in steps.

    :param formula: takes the place of the one with its id, if there is one.
    :param sees: of which devices messages may tell.
    """
    rules = FormulaRules(_Beside(model, formula), schemas)
    rules.sees = sees
    rules.touch(formula.id, 0)
    return (yield from rules.settle())
