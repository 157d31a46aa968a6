"""The model at one moment, sorted: what is written to a document."""

from __future__ import annotations

import heapq
from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from typing import Any, TypeVar

import msgspec

from pydatacoll.model.objects import Device, Formula, Item, ModelObject, Term, TermItem
from pydatacoll.model.registry import ModelView, formula_points
from pydatacoll.model.steps import Steps
from pydatacoll.model.validation import to_wire

T = TypeVar("T")

_CHUNK = 1_000
"""Keys sorted between two stops."""


class Snapshot:
    """References to all objects as they are now; sorting them is a second step, in steps.

    :ivar terms: by device, then id; ``term_items`` by device, term and item; the others by id.
    :ivar above: term item -> index of its term in ``terms``.
    """

    def __init__(
        self, model: ModelView, sees: Callable[[str], bool], device_ids: Collection[str] | None = None
    ) -> None:
        """Copy the tables, which costs little.

        :param sees: whether a device is to be shown at all; see :class:`pydatacoll.api.visible.VisibleModel`.
        :param device_ids: take only these devices, and of the items those that they have.
        """
        self._devices = dict(model.devices)
        self._terms = dict(model.terms)
        self._items = dict(model.items)
        self._term_items = dict(model.term_items)
        self._formulas = dict(model.formulas)
        self._sees = sees
        self._only = None if device_ids is None else frozenset(device_ids)
        self.devices: Sequence[Device] = ()
        self.terms: Sequence[Term] = ()
        self.items: Sequence[Item] = ()
        self.term_items: Sequence[TermItem] = ()
        self.formulas: Sequence[Formula] = ()

    def sort(self) -> Steps[None]:
        """Choose and sort; before that all lists are empty."""
        seen: set[str] = set()
        for device_id in self._devices:
            if (self._only is None or device_id in self._only) and self._sees(device_id):
                seen.add(device_id)
            yield
        self.devices = yield from _pick(self._devices, (yield from ordered(seen)))
        terms = yield from ordered(
            (term.device_id, term.id) for term in self._terms.values() if term.device_id in seen
        )
        self.terms = yield from _pick(self._terms, terms, lambda key: key[1])
        device_of = {term.id: term.device_id for term in self.terms}
        points = yield from ordered(
            (device_of[term_id], term_id, item_id) for term_id, item_id in self._term_items if term_id in device_of
        )
        self.term_items = yield from _pick(self._term_items, points, lambda key: key[1:])
        used: Collection[str] = self._items.keys()
        if self._only is not None:
            used = {point.item_id for point in self.term_items}
        self.items = yield from _pick(self._items, (yield from ordered(used)))
        self.formulas = yield from _pick(
            self._formulas,
            (yield from ordered(key for key, formula in self._formulas.items() if self._shows(formula, seen))),
        )

    def _shows(self, formula: Formula, seen: Collection[str]) -> bool:
        """All of its points must be visible, as its value would tell theirs; its target must be asked for."""
        if self._only is not None and formula.device_id not in seen:
            return False
        return all(self._sees(point.device_id) for point in formula_points(formula))


def ordered(keys: Iterable[T]) -> Steps[list[T]]:
    """Sorted, in steps: sorting 100,000 keys at once takes a tenth of a second."""
    runs: list[list[Any]] = [[]]
    for key in keys:
        runs[-1].append(key)
        if len(runs[-1]) == _CHUNK:
            runs[-1].sort()
            runs.append([])
            yield
    runs[-1].sort()
    if len(runs) == 1:
        return runs[0]
    merged: list[T] = []
    for key in heapq.merge(*runs):
        merged.append(key)
        if len(merged) % _CHUNK == 0:
            yield
    return merged


def _pick(
    table: Mapping[Any, T], keys: Sequence[Any], key_in: Callable[[Any], Any] = lambda key: key
) -> Steps[list[T]]:
    picked = []
    for start in range(0, len(keys), _CHUNK):
        picked += [table[key_in(key)] for key in keys[start : start + _CHUNK]]
        yield
    return picked


_defaults: dict[type[ModelObject], dict[str, Any]] = {}


def defaults_of(object_type: type[ModelObject]) -> dict[str, Any]:
    """Field -> default, of the fields that have one."""
    found = _defaults.get(object_type)
    if found is None:
        found = {
            info.name: info.default_factory() if info.default is msgspec.NODEFAULT else info.default
            for info in msgspec.structs.fields(object_type)
            if not info.required
        }
        _defaults[object_type] = found
    return found


def differing(made: ModelObject) -> dict[str, Any]:
    """The fields that have not their default, as JSON types: what a document says of an object."""
    defaults = defaults_of(type(made))
    wire = to_wire(made)
    return {
        name: value
        for name, value in wire.items()
        if name not in defaults or getattr(made, name) != defaults[name]
    }
