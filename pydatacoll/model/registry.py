"""The model in memory: what every process that reads the model holds, kept up to date by the store."""

from __future__ import annotations

from collections.abc import Callable, Collection, Hashable, Iterator, Mapping
from typing import Protocol

from msgspec.structs import replace

from pydatacoll.model.objects import Device, Formula, Item, Term, TermItem
from pydatacoll.model.sample import PointId
from pydatacoll.model.steps import Steps

TermItemKey = tuple[str, str]
"""``(term_id, item_id)``."""

AddressOf = Callable[[Device, Term, TermItem], Hashable | None]
"""What must be unique among the points of a device, see :meth:`pydatacoll.sdk.DeviceDriver.address`."""


class ModelView(Protocol):
    """Reading access to the model, for plugins and handlers."""

    @property
    def version(self) -> int: ...
    @property
    def devices(self) -> Mapping[str, Device]: ...
    @property
    def terms(self) -> Mapping[str, Term]: ...
    @property
    def items(self) -> Mapping[str, Item]: ...
    @property
    def term_items(self) -> Mapping[TermItemKey, TermItem]: ...
    @property
    def formulas(self) -> Mapping[str, Formula]: ...

    def terms_of(self, device_id: str) -> Collection[str]:
        """Ids of the terms of a device; empty for an unknown one."""

    def items_of(self, term_id: str) -> Collection[str]:
        """Ids of the items of a term."""

    def terms_with(self, item_id: str) -> Collection[str]:
        """Ids of the terms that have an item."""

    def formulas_with(self, point: PointId) -> Collection[str]:
        """Ids of the formulas that use a point as parameter or as target."""

    def points_of(self, device_id: str) -> Iterator[tuple[Term, TermItem]]:
        """All term items of a device with their terms."""


class Index:
    """A map of sets that forgets empty sets."""

    __slots__ = ("_sets",)

    def __init__(self) -> None:
        self._sets: dict[object, set[str]] = {}

    def add(self, key: object, member: str) -> None:
        self._sets.setdefault(key, set()).add(member)

    def discard(self, key: object, member: str) -> None:
        members = self._sets.get(key)
        if members is not None:
            members.discard(member)
            if not members:
                del self._sets[key]

    def __getitem__(self, key: object) -> Collection[str]:
        return self._sets.get(key, ())

    def copy_steps(self) -> Steps[Index]:
        other = Index()
        for key, members in self._sets.items():
            yield
            other._sets[key] = members.copy()
        return other


class Registry:
    """The model with its indexes. Changed only by its ``put_`` and ``remove_`` methods, which never fail."""

    def __init__(self) -> None:
        self.version = 0
        self.devices: dict[str, Device] = {}
        self.terms: dict[str, Term] = {}
        self.items: dict[str, Item] = {}
        self.term_items: dict[TermItemKey, TermItem] = {}
        self.formulas: dict[str, Formula] = {}
        self._terms_of = Index()
        self._items_of = Index()
        self._terms_with = Index()
        self._formulas_with = Index()
        self._addresses: dict[str, dict[Hashable, TermItemKey]] = {}
        self._address_of: AddressOf | None = None

    def adopt(self, other: Registry) -> None:
        """Become a copy of another registry, which is then not used any more."""
        self.__dict__.update(other.__dict__)

    def copy_steps(self) -> Steps[Registry]:
        """A copy that shares the objects, made in steps."""
        other = Registry()
        other.version = self.version
        other._address_of = self._address_of
        for name in ("devices", "terms", "items", "term_items", "formulas"):
            yield
            setattr(other, name, getattr(self, name).copy())
        for name in ("_terms_of", "_items_of", "_terms_with", "_formulas_with"):
            setattr(other, name, (yield from getattr(self, name).copy_steps()))
        for device_id, known in self._addresses.items():
            yield
            other._addresses[device_id] = known.copy()
        return other

    def terms_of(self, device_id: str) -> Collection[str]:
        return self._terms_of[device_id]

    def items_of(self, term_id: str) -> Collection[str]:
        return self._items_of[term_id]

    def terms_with(self, item_id: str) -> Collection[str]:
        return self._terms_with[item_id]

    def formulas_with(self, point: PointId) -> Collection[str]:
        return self._formulas_with[point]

    def points_of(self, device_id: str) -> Iterator[tuple[Term, TermItem]]:
        for term_id in self._terms_of[device_id]:
            term = self.terms[term_id]
            for item_id in self._items_of[term_id]:
                yield term, self.term_items[term_id, item_id]

    def addresses(self, device_id: str, address_of: AddressOf) -> Mapping[Hashable, TermItemKey]:
        """Address -> term item, of one device.

        Worked out when first asked for and kept up to date from then on, so that only a process that changes
        the model pays for it.
        """
        self._address_of = address_of
        known = self._addresses.get(device_id)
        if known is None:
            known = {}
            device = self.devices.get(device_id)
            if device is not None:
                for term, item in self.points_of(device_id):
                    address = address_of(device, term, item)
                    if address is not None:
                        known[address] = (item.term_id, item.item_id)
            self._addresses[device_id] = known
        return known

    def put_device(self, device: Device) -> None:
        old = self.devices.get(device.id)
        self.devices[device.id] = device
        if old is None or device_moves_addresses(old, device):
            self._addresses.pop(device.id, None)

    def remove_device(self, device_id: str) -> None:
        self.devices.pop(device_id, None)
        self._addresses.pop(device_id, None)

    def put_term(self, term: Term) -> None:
        old = self.terms.get(term.id)
        if old is not None and old.device_id != term.device_id:
            self._terms_of.discard(old.device_id, term.id)
        self.terms[term.id] = term
        self._terms_of.add(term.device_id, term.id)
        if old is not None and term_moves_addresses(old, term):
            self._addresses.pop(old.device_id, None)
            self._addresses.pop(term.device_id, None)

    def remove_term(self, term_id: str) -> None:
        old = self.terms.pop(term_id, None)
        if old is not None:
            self._terms_of.discard(old.device_id, term_id)
            self._addresses.pop(old.device_id, None)

    def put_item(self, item: Item) -> None:
        self.items[item.id] = item

    def remove_item(self, item_id: str) -> None:
        self.items.pop(item_id, None)

    def put_term_item(self, item: TermItem) -> None:
        key = (item.term_id, item.item_id)
        old = self.term_items.get(key)
        if old is None:
            self._items_of.add(item.term_id, item.item_id)
            self._terms_with.add(item.item_id, item.term_id)
        self.term_items[key] = item
        known, address = self._address(item)
        if known is None or (address is not None and known.get(address) == key):
            return
        if old is not None:
            self._forget_address(key, old)
        if address is not None:
            known[address] = key

    def remove_term_item(self, key: TermItemKey) -> None:
        old = self.term_items.pop(key, None)
        if old is not None:
            self._items_of.discard(key[0], key[1])
            self._terms_with.discard(key[1], key[0])
            self._forget_address(key, old)

    def _address(self, item: TermItem) -> tuple[dict[Hashable, TermItemKey] | None, Hashable | None]:
        """The address map of the item's device, if there is one, and the item's address."""
        term = self.terms.get(item.term_id)
        if term is None:
            return None, None
        known = self._addresses.get(term.device_id)
        device = self.devices.get(term.device_id)
        if known is None or device is None or self._address_of is None:
            return None, None
        return known, self._address_of(device, term, item)

    def _forget_address(self, key: TermItemKey, item: TermItem) -> None:
        known, address = self._address(item)
        if known is not None and known.get(address) == key:
            del known[address]

    def put_formula(self, formula: Formula) -> None:
        self.remove_formula(formula.id)
        self.formulas[formula.id] = formula
        for point in formula_points(formula):
            self._formulas_with.add(point, formula.id)

    def remove_formula(self, formula_id: str) -> None:
        old = self.formulas.pop(formula_id, None)
        if old is not None:
            for point in formula_points(old):
                self._formulas_with.discard(point, formula_id)


def formula_points(formula: Formula) -> set[PointId]:
    """Parameters and target of a formula."""
    return {PointId(*ref.split(":")) for ref in formula.params.values()} | {formula.target}


def device_moves_addresses(old: Device, new: Device) -> bool:
    """Whether a change of a device can change the addresses, or the validity, of its points."""
    if old is new:
        return False
    same = replace(
        old,
        name=new.name,
        ip=new.ip,
        port=new.port,
        identify=new.identify,
        enabled=new.enabled,
        description=new.description,
    )
    return same != new


def term_moves_addresses(old: Term, new: Term) -> bool:
    """The same of a term."""
    return old is not new and replace(old, name=new.name, identify=new.identify) != new
