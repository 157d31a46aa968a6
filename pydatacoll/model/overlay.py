"""A changeable view of a registry that leaves it untouched: what differs is kept beside it, and can be undone."""

from __future__ import annotations

from collections.abc import Collection, Hashable, Iterator
from typing import Any, Literal, cast

from pydatacoll.model.change import Change, Key
from pydatacoll.model.objects import Device, Formula, Item, ModelObject, Term, TermItem
from pydatacoll.model.registry import Registry, TermItemKey, formula_points
from pydatacoll.model.sample import PointId
from pydatacoll.model.steps import Steps, finish
from pydatacoll.model.validation import KINDS, Kind, Schemas

_ABSENT: Any = object()
_IndexName = Literal["terms_of", "items_of", "terms_with", "formulas_with"]


class Overlay:
    """Registry + differences. A write costs O(1) and is recorded; :meth:`rollback` undoes what was written."""

    def __init__(self, registry: Registry, schemas: Schemas) -> None:
        self.registry = registry
        self.schemas = schemas
        self._objects: dict[Kind, dict[Key, ModelObject | None]] = {kind: {} for kind in KINDS}
        self._base: dict[Kind, dict[Key, ModelObject]] = cast(
            "dict[Kind, dict[Key, ModelObject]]",
            {
                "device": registry.devices,
                "term": registry.terms,
                "item": registry.items,
                "term_item": registry.term_items,
                "formula": registry.formulas,
            },
        )
        self._members: dict[_IndexName, dict[Any, dict[str, bool]]] = {
            "terms_of": {},
            "items_of": {},
            "terms_with": {},
            "formulas_with": {},
        }
        self._addresses: dict[tuple[str, Hashable], TermItemKey] = {}
        self._log: list[tuple[dict[Any, Any], Any, Any, Kind | None]] = []

    # Undo

    @property
    def mark(self) -> int:
        """A point in time to come back to."""
        return len(self._log)

    def rollback(self, mark: int) -> None:
        """Undo everything since ``mark``."""
        finish(self.rollback_steps(mark))

    def rollback_steps(self, mark: int) -> Steps[None]:
        """``rollback``, in steps."""
        log = self._log
        while len(log) > mark:
            yield
            table, key, before, _ = log.pop()
            if before is _ABSENT:
                del table[key]
            else:
                table[key] = before

    def changes_since(self, mark: int) -> Steps[list[Change]]:
        """What differs from the state at ``mark``; an object that is equal again is no change."""
        first: dict[tuple[Kind, Key], ModelObject | None] = {}
        for at in range(mark, len(self._log)):
            yield
            _, key, before, kind = self._log[at]
            if kind is not None and (kind, key) not in first:
                first[kind, key] = self._base[kind].get(key) if before is _ABSENT else before
        changes = []
        for (kind, key), old in first.items():
            yield
            new = self._objects[kind][key]
            if old != new:
                changes.append(Change(kind, key, old, new))
        return changes

    def _write(self, table: dict[Any, Any], key: Any, value: Any, kind: Kind | None = None) -> None:
        self._log.append((table, key, table.get(key, _ABSENT), kind))
        table[key] = value

    # Reading

    def get(self, kind: Kind, key: Key) -> ModelObject | None:
        own = self._objects[kind].get(key, _ABSENT)
        return self._base[kind].get(key) if own is _ABSENT else own

    def device(self, device_id: str) -> Device | None:
        return cast("Device | None", self.get("device", device_id))

    def term(self, term_id: str) -> Term | None:
        return cast("Term | None", self.get("term", term_id))

    def item(self, item_id: str) -> Item | None:
        return cast("Item | None", self.get("item", item_id))

    def term_item(self, key: TermItemKey) -> TermItem | None:
        return cast("TermItem | None", self.get("term_item", key))

    def formula(self, formula_id: str) -> Formula | None:
        return cast("Formula | None", self.get("formula", formula_id))

    def terms_of(self, device_id: str) -> Collection[str]:
        return self._collect("terms_of", device_id, self.registry.terms_of(device_id))

    def items_of(self, term_id: str) -> Collection[str]:
        return self._collect("items_of", term_id, self.registry.items_of(term_id))

    def terms_with(self, item_id: str) -> Collection[str]:
        return self._collect("terms_with", item_id, self.registry.terms_with(item_id))

    def formulas_with(self, point: PointId) -> Collection[str]:
        return self._collect("formulas_with", point, self.registry.formulas_with(point))

    def has_point(self, point: PointId) -> bool:
        """Whether a term item exists under that very path."""
        term = self.term(point.term_id)
        return (
            term is not None
            and term.device_id == point.device_id
            and self.term_item((point.term_id, point.item_id)) is not None
        )

    def items_under(self, term_id: str) -> Iterator[TermItem]:
        """The term items of a term."""
        for item_id in self.items_of(term_id):
            found = self.term_item((term_id, item_id))
            if found is not None:
                yield found

    def address_owner(self, device_id: str, address: Hashable) -> TermItemKey | None:
        """The term item that has an address now."""
        owner = self._addresses.get((device_id, address))
        if owner is not None and self._has_address(owner, device_id, address):
            return owner
        if device_id in self.registry.devices:
            owner = self.registry.addresses(device_id, self.schemas.address).get(address)
            if owner is not None and self._has_address(owner, device_id, address):
                return owner
        return None

    def _has_address(self, key: TermItemKey, device_id: str, address: Hashable) -> bool:
        """The notes on owners are not kept up when objects go or change; this tells whether one still holds."""
        item, term, device = self.term_item(key), self.term(key[0]), self.device(device_id)
        return (
            item is not None
            and term is not None
            and device is not None
            and term.device_id == device_id
            and self.schemas.address(device, term, item) == address
        )

    def _collect(self, name: _IndexName, key: Any, base: Collection[str]) -> Collection[str]:
        own = self._members[name].get(key)
        if not own:
            return list(base)
        return [member for member in base if own.get(member, True)] + [
            member for member, present in own.items() if present and member not in base
        ]

    # Writing

    def put(self, kind: Kind, key: Key, made: ModelObject) -> None:
        """Create or replace an object; the indexes follow."""
        self._link(kind, self.get(kind, key), present=False)
        self._write(self._objects[kind], key, made, kind)
        self._link(kind, made, present=True)

    def remove(self, kind: Kind, key: Key) -> None:
        """Delete an object, but nothing that depends on it."""
        self._link(kind, self.get(kind, key), present=False)
        self._write(self._objects[kind], key, None, kind)

    def own_address(self, device_id: str, address: Hashable, owner: TermItemKey) -> None:
        """Note that a term item has an address."""
        self._write(self._addresses, (device_id, address), owner)

    def _link(self, kind: Kind, made: ModelObject | None, *, present: bool) -> None:
        if made is None:
            return
        if isinstance(made, TermItem):
            self._member("items_of", made.term_id, made.item_id, present)
            self._member("terms_with", made.item_id, made.term_id, present)
        elif isinstance(made, Term):
            self._member("terms_of", made.device_id, made.id, present)
        elif isinstance(made, Formula):
            for point in formula_points(made):
                self._member("formulas_with", point, made.id, present)

    def _member(self, name: _IndexName, key: Any, member: str, present: bool) -> None:
        index = self._members[name]
        own = index.get(key)
        if own is None:
            own = index[key] = {}
        self._write(own, member, present)
