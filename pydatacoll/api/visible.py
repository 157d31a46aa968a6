"""A part of the model: the devices a token is for, with all that belongs to them."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterator, Mapping
from functools import cached_property

from pydatacoll.model import Device, Formula, Item, PointId, Term, TermItem
from pydatacoll.model.registry import ModelView, TermItemKey, formula_points


class VisibleModel:
    """A :class:`~pydatacoll.model.registry.ModelView` of the devices for which ``sees`` is true.

    Items are kinds of quantities and belong to nobody: all of them are visible. What is expensive to filter is
    filtered once, for one version of the model.
    """

    def __init__(self, model: ModelView, sees: Callable[[str], bool]) -> None:
        self._model = model
        self._sees = sees
        self._version = model.version

    def shows(self, model: ModelView) -> bool:
        """Whether this is a view of the model as it is now."""
        return self._model is model and self._version == model.version

    @property
    def version(self) -> int:
        return self._version

    @cached_property
    def devices(self) -> Mapping[str, Device]:
        return {key: device for key, device in self._model.devices.items() if self._sees(key)}

    @cached_property
    def terms(self) -> Mapping[str, Term]:
        return {key: term for key, term in self._model.terms.items() if term.device_id in self.devices}

    @property
    def items(self) -> Mapping[str, Item]:
        return self._model.items

    @cached_property
    def term_items(self) -> Mapping[TermItemKey, TermItem]:
        return {
            (term_id, item_id): self._model.term_items[term_id, item_id]
            for term_id in self.terms
            for item_id in self._model.items_of(term_id)
        }

    @cached_property
    def formulas(self) -> Mapping[str, Formula]:
        """Only those whose parameters are visible, too: a formula would tell their values."""
        return {
            key: formula
            for key, formula in self._model.formulas.items()
            if all(point.device_id in self.devices for point in formula_points(formula))
        }

    def terms_of(self, device_id: str) -> Collection[str]:
        return self._model.terms_of(device_id) if device_id in self.devices else ()

    def items_of(self, term_id: str) -> Collection[str]:
        return self._model.items_of(term_id) if term_id in self.terms else ()

    def terms_with(self, item_id: str) -> Collection[str]:
        return [term_id for term_id in self._model.terms_with(item_id) if term_id in self.terms]

    def formulas_with(self, point: PointId) -> Collection[str]:
        return [key for key in self._model.formulas_with(point) if key in self.formulas]

    def points_of(self, device_id: str) -> Iterator[tuple[Term, TermItem]]:
        if device_id in self.devices:
            yield from self._model.points_of(device_id)
