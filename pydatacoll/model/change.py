"""What a transaction did: changes of objects, and what they mean for the data of points."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Any, NamedTuple, cast

from pydatacoll.errors import NotFound
from pydatacoll.model.objects import Device, Formula, Item, ModelObject, Term, TermItem
from pydatacoll.model.registry import ModelView, Registry, TermItemKey
from pydatacoll.model.sample import PointId
from pydatacoll.model.steps import Steps
from pydatacoll.model.validation import KINDS, Kind

Key = str | TermItemKey
"""Id of an object; of a term item ``(term_id, item_id)``."""

PLURAL: dict[Kind, str] = {
    "device": "devices",
    "term": "terms",
    "item": "items",
    "term_item": "term_items",
    "formula": "formulas",
}
RANK = {kind: rank for rank, kind in enumerate(KINDS)}


class Change(NamedTuple):
    """One object before and after: ``old`` is ``None`` when it was created, ``new`` when it was deleted.

    ``renamed_from`` is the key that the object had before, when the change is one half of a rename; the other
    half is the deletion of the old key.
    """

    kind: Kind
    key: Key
    old: ModelObject | None
    new: ModelObject | None
    renamed_from: Key | None = None


class DataMove(NamedTuple):
    """Recent data of a point follows it to its new path."""

    old: PointId
    new: PointId


class DataDrop(NamedTuple):
    """Recent data of a deleted point goes too."""

    point: PointId


class DeviceMove(NamedTuple):
    """What is kept per device follows it to its new id."""

    old: str
    new: str


class DeviceDrop(NamedTuple):
    """What is kept per device goes."""

    device_id: str


DataOp = DataMove | DataDrop | DeviceMove | DeviceDrop
"""Order matters: they are carried out as they stand."""


def key_of(made: ModelObject) -> Key:
    """The key of an object."""
    if isinstance(made, TermItem):
        return made.term_id, made.item_id
    return cast("Device | Term | Item | Formula", made).id


def find(view: ModelView, kind: Kind, key: Key) -> ModelObject:
    """An object, or the error that says which one is missing.

    :raises NotFound: ``device_id not found! 7``; for a term item the first of term, item and their link.
    """
    if kind == "term_item":
        term_id, item_id = cast("TermItemKey", key)
        found = view.term_items.get((term_id, item_id))
        if found is None:
            if term_id not in view.terms:
                raise missing("term", term_id)
            if item_id not in view.items:
                raise missing("item", item_id)
            raise missing("term_item", (term_id, item_id))
        return found
    table = cast("dict[str, ModelObject]", getattr(view, PLURAL[kind]))
    other = table.get(cast("str", key))
    if other is None:
        raise missing(kind, key)
    return other


def missing(kind: Kind, key: Key) -> NotFound:
    """The error for an object that does not exist."""
    if isinstance(key, tuple):
        return NotFound(f"term_item not found! {key[0]}:{key[1]}")
    return NotFound(f"{kind}_id not found! {key}")


def apply(registry: Registry, changes: Iterable[Change]) -> None:
    """Bring a registry up to date, at one moment: what it costs holds up everything else."""
    for kind, key, _, new, _ in sorted(changes, key=_rank):
        if new is not None:
            _PUT[kind](registry, new)
        else:
            _REMOVE[kind](registry, key)


def apply_steps(registry: Registry, changes: Iterable[Change], version: int) -> Steps[None]:
    """``apply`` for many changes, in steps; readers see the registry as it was until the last one.

    Nothing else may change the registry meanwhile.
    """
    ordered: list[list[Change]] = [[] for _ in KINDS]
    for change in changes:
        yield
        ordered[RANK[change.kind]].append(change)
    copy = yield from registry.copy_steps()
    for of_kind in ordered:
        for change in of_kind:
            yield
            apply(copy, (change,))
    copy.version = version
    registry.adopt(copy)


def _rank(change: Change) -> int:
    return RANK[change.kind]


_PUT: dict[Kind, Callable[[Registry, Any], None]] = {
    "device": Registry.put_device,
    "term": Registry.put_term,
    "item": Registry.put_item,
    "term_item": Registry.put_term_item,
    "formula": Registry.put_formula,
}
_REMOVE: dict[Kind, Callable[[Registry, Any], None]] = {
    "device": Registry.remove_device,
    "term": Registry.remove_term,
    "item": Registry.remove_item,
    "term_item": Registry.remove_term_item,
    "formula": Registry.remove_formula,
}
