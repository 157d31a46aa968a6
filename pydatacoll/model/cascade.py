"""What a change of one object means for the others: children, formulas, addresses and recent data follow."""

from __future__ import annotations

from typing import cast

from msgspec.structs import replace

from pydatacoll.errors import FieldError, Invalid
from pydatacoll.model.change import DataDrop, DataMove, DataOp, DeviceDrop, DeviceMove, Key, key_of
from pydatacoll.model.formulas import FormulaRules
from pydatacoll.model.objects import Device, Formula, Item, ModelObject, Term, TermItem
from pydatacoll.model.overlay import Overlay
from pydatacoll.model.registry import TermItemKey, device_moves_addresses, term_moves_addresses
from pydatacoll.model.sample import PointId
from pydatacoll.model.steps import Steps
from pydatacoll.model.validation import Kind, Schemas, to_wire

Mark = tuple[int, int, int]


class Cascade:
    """Writes valid objects into an overlay, with all consequences; what may take long goes in steps.

    :ivar data: what happens to the data of points, in order.
    :ivar deleted: kinds of the objects deleted, one entry each.
    :ivar renames: ``(kind, old key, new key)``, in order.
    :ivar formulas: looks at those that were touched.
    """

    def __init__(self, overlay: Overlay, schemas: Schemas) -> None:
        self.overlay = overlay
        self.schemas = schemas
        self.data: list[DataOp] = []
        self.deleted: list[Kind] = []
        self.renames: list[tuple[Kind, Key, Key]] = []
        self.formulas = FormulaRules(overlay, schemas)
        self._unsettled: dict[TermItemKey, int] = {}

    @property
    def mark(self) -> Mark:
        return len(self.data), len(self.deleted), len(self.renames)

    def rollback(self, mark: Mark) -> None:
        """Forget what was noted since; the overlay is rolled back by its owner."""
        del self.data[mark[0] :], self.deleted[mark[1] :], self.renames[mark[2] :]

    def abandon(self) -> None:
        """Forget what is still to be checked, because the operation failed."""
        self._unsettled.clear()
        self.formulas.abandon()

    def settle(self) -> Steps[list[FieldError]]:
        """Give every point written since the last call its address; returns those whose address is taken."""
        taken = yield from self.settle_keys()
        return [FieldError(index, "protocol_code", message) for _, index, message in taken]

    def settle_keys(self) -> Steps[list[tuple[TermItemKey, int, str]]]:
        """``settle``, telling key, index and message of each point whose address is taken."""
        taken = []
        for key, index in self._unsettled.items():
            yield
            item = self.overlay.term_item(key)
            term = self.overlay.term(key[0])
            device = self.overlay.device(term.device_id) if term is not None else None
            if item is None or term is None or device is None:
                continue
            address = self.schemas.address(device, term, item)
            if address is None:
                continue
            owner = self.overlay.address_owner(device.id, address)
            if owner is None:
                self.overlay.own_address(device.id, address, key)
            elif owner != key:
                message = f"address {address} is already used by term item {owner[0]}:{owner[1]}"
                taken.append((key, index, message))
        self._unsettled.clear()
        return taken

    # Writing

    def write(self, kind: Kind, old: ModelObject | None, new: ModelObject, index: int = 0) -> Steps[None]:
        """Create an object, or put another in the place of ``old``, under the same key or a new one.

        :raises Invalid: when a child is not acceptable under the new parent.
        """
        if old is not None and key_of(old) != key_of(new):
            self.renames.append((kind, key_of(old), key_of(new)))
            self.overlay.remove(kind, key_of(old))
        self.overlay.put(kind, key_of(new), new)
        if isinstance(new, TermItem):
            self._unsettled[new.term_id, new.item_id] = index
        elif isinstance(new, Formula):
            self.formulas.touch(new.id, index)
        if old is None:
            return
        if isinstance(new, Device):
            yield from self._device_changed(cast("Device", old), new, index)
        elif isinstance(new, Term):
            yield from self._term_changed(cast("Term", old), new, index)
        elif isinstance(new, Item):
            yield from self._item_changed(cast("Item", old), new, index)
        elif isinstance(new, TermItem):
            self._term_item_changed(cast("TermItem", old), new)

    def _device_changed(self, old: Device, new: Device, index: int) -> Steps[None]:
        renamed = old.id != new.id
        if not renamed and not device_moves_addresses(old, new):
            return
        retype = old.protocol != new.protocol
        errors: list[FieldError] = []
        for term_id in list(self.overlay.terms_of(old.id)):
            term = cast("Term", self.overlay.term(term_id))
            moved = replace(term, device_id=new.id) if renamed else term
            if retype:
                moved = cast("Term", self._retype("term", moved, new.protocol, index, errors))
            if moved is not term:
                self.overlay.put("term", term_id, moved)
            for item in list(self.overlay.items_under(term_id)):
                yield
                self._item_under(new, moved, item, index, errors, retype=retype)
                if renamed:
                    self._follow(PointId(old.id, term_id, item.item_id), PointId(new.id, term_id, item.item_id))
        if errors:
            raise Invalid.of(errors)
        if renamed:
            self.data.append(DeviceMove(old.id, new.id))

    def _term_changed(self, old: Term, new: Term, index: int) -> Steps[None]:
        renamed = old.id != new.id
        if not renamed and not term_moves_addresses(old, new):
            return
        device = cast("Device", self.overlay.device(new.device_id))
        before = cast("Device", self.overlay.device(old.device_id))
        errors: list[FieldError] = []
        for item in list(self.overlay.items_under(old.id)):
            yield
            moved = item
            if renamed:
                self.overlay.remove("term_item", (old.id, item.item_id))
                moved = replace(item, term_id=new.id)
                self.renames.append(("term_item", (old.id, item.item_id), (new.id, item.item_id)))
                self.overlay.put("term_item", (new.id, item.item_id), moved)
            self._item_under(device, new, moved, index, errors, retype=device.protocol != before.protocol)
            if renamed or old.device_id != new.device_id:
                self._follow(
                    PointId(old.device_id, old.id, item.item_id), PointId(new.device_id, new.id, item.item_id)
                )
        if errors:
            raise Invalid.of(errors)

    def put_parent(self, old: Device | Term, new: Device | Term) -> Steps[None]:
        """Put a device or term in the place of one of the same id, without asking whether its children fit: they
        may be replaced, too, before :meth:`recheck` asks."""
        self.overlay.put("device" if isinstance(new, Device) else "term", new.id, new)
        if isinstance(new, Term) and isinstance(old, Term) and old.device_id != new.device_id:
            for item_id in list(self.overlay.items_of(new.id)):
                yield
                self._follow(PointId(old.device_id, old.id, item_id), PointId(new.device_id, new.id, item_id))

    def fit(self, term: Term, protocol: str, index: int) -> list[FieldError]:
        """Make a term one of its device's protocol; what is wrong when it cannot be."""
        errors: list[FieldError] = []
        fitting = self._retype("term", term, protocol, index, errors)
        if fitting is not term:
            self.overlay.put("term", term.id, fitting)
        return errors

    def recheck(self, old: Device | Term, new: Device | Term, index: int) -> Steps[list[FieldError]]:
        """What is wrong with the points after :meth:`put_parent`, and after all that was to be written.

        Those of a term that does not :meth:`fit` are left out.
        """
        errors: list[FieldError] = []
        if isinstance(new, Term):
            terms = [new] if term_moves_addresses(cast("Term", old), new) else []
            device = self.overlay.device(new.device_id)
        else:
            below = self.overlay.terms_of(new.id) if device_moves_addresses(cast("Device", old), new) else ()
            terms = [cast("Term", self.overlay.term(term_id)) for term_id in below]
            device = new
        for term in terms:
            if device is None or type(term) is not self.schemas.types_for("term", device.protocol):
                continue
            for item in list(self.overlay.items_under(term.id)):
                yield
                self._item_under(device, term, item, index, errors, retype=True)
        return errors

    def _item_changed(self, old: Item, new: Item, index: int) -> Steps[None]:
        if old.id == new.id:
            return
        for term_id in list(self.overlay.terms_with(old.id)):
            yield
            item = cast("TermItem", self.overlay.term_item((term_id, old.id)))
            moved = replace(item, item_id=new.id)
            self.overlay.remove("term_item", (term_id, old.id))
            self.overlay.put("term_item", (term_id, new.id), moved)
            self.renames.append(("term_item", (term_id, old.id), (term_id, new.id)))
            self._unsettled[term_id, new.id] = index
            device_id = cast("Term", self.overlay.term(term_id)).device_id
            self._follow(PointId(device_id, term_id, old.id), PointId(device_id, term_id, new.id))

    def _term_item_changed(self, old: TermItem, new: TermItem) -> None:
        if key_of(old) == key_of(new):
            return
        before = cast("Term", self.overlay.term(old.term_id))
        after = cast("Term", self.overlay.term(new.term_id))
        self._follow(
            PointId(before.device_id, old.term_id, old.item_id), PointId(after.device_id, new.term_id, new.item_id)
        )

    def _item_under(
        self, device: Device, term: Term, item: TermItem, index: int, errors: list[FieldError], *, retype: bool
    ) -> None:
        """A term item whose device or term changed: is it still valid, and is its address still free?"""
        if retype:
            made = cast("TermItem", self._retype("term_item", item, device.protocol, index, errors))
            fits = type(made) is self.schemas.types_for("term_item", device.protocol)
            if not fits or type(term) is not self.schemas.types_for("term", device.protocol):
                return  # said already; a driver checks only what is of its own types
            if made is not item:
                item = made
                self.overlay.put("term_item", (item.term_id, item.item_id), item)
        place = f"term_item {item.term_id}:{item.item_id}"
        errors += [
            FieldError(index, f"{place} {found.field}", found.message)
            for found in self.schemas.check(device, term, item)
        ]
        self._unsettled[item.term_id, item.item_id] = index
        self.formulas.touch_point(PointId(device.id, term.id, item.item_id), index)

    def _retype(
        self, kind: Kind, made: ModelObject, protocol: str, index: int, errors: list[FieldError]
    ) -> ModelObject:
        """The object as the type of another protocol; what does not fit goes to ``errors``."""
        if type(made) is self.schemas.types_for(kind, protocol):
            return made
        try:
            return self.schemas.parse(kind, to_wire(made), protocol)
        except Invalid as error:
            key = key_of(made)
            place = f"{kind} {':'.join(key) if isinstance(key, tuple) else key}"
            errors += [FieldError(index, f"{place} {found.field}", found.message) for found in error.errors]
            return made

    def _follow(self, old: PointId, new: PointId) -> None:
        """A point has a new path: its data and the formulas that name it follow."""
        self.data.append(DataMove(old, new))
        for formula_id in list(self.overlay.formulas_with(old)):
            formula = cast("Formula", self.overlay.formula(formula_id))
            was, now = str(old), str(new)
            moved = replace(formula, params={n: now if ref == was else ref for n, ref in formula.params.items()})
            if formula.target == old:
                moved = replace(moved, device_id=new.device_id, term_id=new.term_id, item_id=new.item_id)
            self.overlay.put("formula", formula_id, moved)
            self.formulas.touch(formula_id, 0)

    # Deleting

    def delete(self, made: ModelObject, kind: Kind) -> Steps[None]:
        """Delete an object and what cannot exist without it."""
        if isinstance(made, Device):
            for term_id in list(self.overlay.terms_of(made.id)):
                yield from self._delete_term(cast("Term", self.overlay.term(term_id)))
            self.data.append(DeviceDrop(made.id))
            self._gone(kind, made.id)
        elif isinstance(made, Term):
            yield from self._delete_term(made)
        elif isinstance(made, Item):
            for term_id in list(self.overlay.terms_with(made.id)):
                yield
                term = cast("Term", self.overlay.term(term_id))
                self._delete_point(PointId(term.device_id, term_id, made.id))
            self._gone(kind, made.id)
        elif isinstance(made, TermItem):
            term = cast("Term", self.overlay.term(made.term_id))
            self._delete_point(PointId(term.device_id, made.term_id, made.item_id))
        else:
            self._gone(kind, key_of(made))

    def _delete_term(self, term: Term) -> Steps[None]:
        for item_id in list(self.overlay.items_of(term.id)):
            yield
            self._delete_point(PointId(term.device_id, term.id, item_id))
        self._gone("term", term.id)

    def _delete_point(self, point: PointId) -> None:
        for formula_id in list(self.overlay.formulas_with(point)):
            self._gone("formula", formula_id)
        self.data.append(DataDrop(point))
        self._gone("term_item", (point.term_id, point.item_id))

    def _gone(self, kind: Kind, key: Key) -> None:
        self.overlay.remove(kind, key)
        self.deleted.append(kind)
