"""What must hold between formulas: results are points of virtual devices, each of one formula, and no circle."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import NamedTuple

from pydatacoll.model.objects import Formula
from pydatacoll.model.overlay import Overlay
from pydatacoll.model.sample import PointId
from pydatacoll.model.steps import Steps
from pydatacoll.model.validation import Schemas


class FormulaFault(NamedTuple):
    """A formula that breaks a rule.

    :ivar place: in a batch.
    :ivar conflict: it is fine by itself, but not beside the others.
    """

    formula_id: str
    place: int
    field: str
    message: str
    conflict: bool


class FormulaRules:
    """Looks at the formulas that were touched since the last time, and at all that these depend on."""

    def __init__(self, overlay: Overlay, schemas: Schemas) -> None:
        self._overlay = overlay
        self._schemas = schemas
        self._touched: dict[str, int] = {}

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
                    path = " -> ".join(map(str, circle))
                    message = f"formula {formula_id} would depend on its own result: {path}"
                    fault = FormulaFault(formula_id, index, "formula", message, conflict=True)
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
            f"the result of formula {formula.id} would be a point of device {formula.device_id}, which is read by "
            f"{driver.name}; a result needs a virtual device, of protocol formula"
        )
        return FormulaFault(formula.id, index, "device_id", message, conflict=False)

    def _taken(self, formula: Formula, index: int, before: set[str]) -> FormulaFault | None:
        """Of two that were touched, the second is at fault."""
        for other in self._producers(formula.target):
            if other.id != formula.id and (other.id in before or other.id not in self._touched):
                message = f"{formula.target} is already the result of formula {other.id}"
                return FormulaFault(formula.id, index, "item_id", message, conflict=True)
        return None

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
