"""A whole document of objects, brought into the model at once: rules between them are applied to the result.

Unlike a batch of one kind, nothing depends on the order: a device may change its protocol together with its
points, a point may take the address that another one gives up.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any, Final, NamedTuple, cast

from msgspec import Struct

from pydatacoll.errors import Conflict, FieldError, Invalid, NotFound
from pydatacoll.model.audit import key_text
from pydatacoll.model.cascade import Cascade
from pydatacoll.model.change import Key, missing
from pydatacoll.model.fields import fields_of, id_from_json
from pydatacoll.model.objects import Device, Formula, ModelObject, Term
from pydatacoll.model.overlay import Overlay
from pydatacoll.model.registry import formula_points
from pydatacoll.model.steps import Progress, Steps
from pydatacoll.model.validation import KINDS, Kind, Schemas, to_wire

Build = Callable[..., ModelObject]
"""``Transaction``'s way from a payload to an object that refers only to what exists."""

_PARENTS: dict[Kind, tuple[tuple[str, Kind], ...]] = {
    "term": (("device_id", "device"),),
    "term_item": (("term_id", "term"), ("item_id", "item")),
}
_WRITTEN_FIRST: tuple[Kind, ...] = ("device", "item", "term", "term_item")
_DELETED: tuple[Kind, ...] = ("formula", "term_item", "term", "item", "device")
"""Formulas are written after that: those of a deleted point go with it."""
MOST_FAULTS: Final = 20_000
"""Faults of the content that are remembered."""


class Given(Struct, frozen=True, gc=False):
    """One object as a document gives it.

    :ivar row: its place: line of a table, index in a list.
    :ivar payload: JSON types.
    :ivar covers: fields that the document tells; when merging, the others stay as they are. ``None``: all.
    :ivar named: only named, not described: it must exist already.
    """

    kind: Kind
    row: int
    payload: Any
    covers: frozenset[str] | None = None
    named: bool = False


class Fault(NamedTuple):
    """What is wrong with one field of one object; ``key`` is "" when it cannot be told."""

    row: int
    kind: str
    key: str
    field: str
    message: str


class Loaded(NamedTuple):
    """What became of a document.

    :ivar faults: in no order.
    :ivar seen: kind -> key -> row of every object described.
    :ivar refused: the objects with a fault, and those that depend on one.
    :ivar more_faults: how many there are beyond the :data:`MOST_FAULTS` in ``faults``.
    """

    faults: list[Fault]
    seen: dict[Kind, dict[Key, int]]
    refused: dict[tuple[Kind, Key], str | None]
    more_faults: int

    def let_go(self) -> Steps[None]:
        """Free it in steps: all at once it takes tens of milliseconds."""
        while self.faults:
            yield
            self.faults.pop()
        tables: list[dict[Any, Any]] = [self.refused, *self.seen.values()]
        for table in tables:
            while table:
                yield
                table.popitem()


def key_in(kind: Kind, payload: Mapping[str, Any]) -> Key:
    """The key that a payload gives; "" where there is none."""
    if kind == "term_item":
        return id_from_json(payload.get("term_id")) or "", id_from_json(payload.get("item_id")) or ""
    return id_from_json(payload.get("id")) or ""


class Loader:
    """One run over a document. Objects without fault are written, whatever is wrong with others."""

    def __init__(
        self,
        overlay: Overlay,
        schemas: Schemas,
        cascade: Cascade,
        build: Build,
        *,
        replace: bool,
        progress: Progress,
    ) -> None:
        self._overlay = overlay
        self._schemas = schemas
        self._cascade = cascade
        self._build = build
        self._replace = replace
        self._progress = progress
        self._faults: list[Fault] = []
        self._more_faults = 0
        self._seen: dict[Kind, dict[Key, int]] = {kind: {} for kind in KINDS}
        self._refused: dict[tuple[Kind, Key], str | None] = {}
        self._parents: list[tuple[Kind, ModelObject, ModelObject, int]] = []

    def run(self, given: Mapping[Kind, Sequence[Given]]) -> Steps[Loaded]:
        """Write everything, delete what is not there any more, then look at the whole."""
        self._progress.total = sum(len(objects) for objects in given.values())
        self._progress.done = 0
        for kind in _WRITTEN_FIRST:
            if kind == "term_item":
                yield from self._fit_terms()
            yield from self._put_all(kind, given.get(kind, ()))
        if self._replace:
            for one in given.get("formula", ()):
                if isinstance(one.payload, Mapping):
                    self._seen["formula"].setdefault(key_in("formula", one.payload), one.row)
                yield
            yield from self._delete_rest()
            self._seen["formula"].clear()
        yield from self._put_all("formula", given.get("formula", ()))
        for kind, old, new, row in self._parents:
            errors = yield from self._cascade.recheck(cast("Device", old), cast("Device", new), row)
            self._note(kind, cast("Device", new).id, errors)
        for key, row, message in (yield from self._cascade.settle_keys()):
            self._fault(Fault(row, "term_item", key_text(key), "protocol_code", message))
            self._refused["term_item", key] = None
        for fault in (yield from self._cascade.formulas.settle()):
            self._fault(Fault(fault.place, "formula", fault.name, fault.field, fault.message))
            self._refused["formula", fault.formula_id] = None
        return Loaded(self._faults, self._seen, self._refused, self._more_faults)

    def _fit_terms(self) -> Steps[None]:
        """Terms of devices whose protocol changes, as far as the document does not describe them."""
        for kind, old, new, row in self._parents:
            if kind != "device" or cast("Device", old).protocol == cast("Device", new).protocol:
                continue
            for term_id in self._overlay.terms_of(cast("Device", new).id):
                yield
                term = self._overlay.term(term_id)
                if term is None or term_id in self._seen["term"] or self._replace:
                    continue
                protocol = cast("Device", new).protocol
                errors = self._cascade.fit(term, protocol, row)
                if errors:
                    self._note("device", cast("Device", new).id, errors)
                    self._refused["term", term_id] = protocol

    def _put_all(self, kind: Kind, objects: Sequence[Given]) -> Steps[None]:
        for one in objects:
            self._progress.done += 1
            yield
            key: Key = key_in(kind, one.payload) if isinstance(one.payload, Mapping) else ""
            try:
                yield from self._put(one, kind, key)
            except Invalid as error:
                self._note(kind, key, error.errors or [FieldError(one.row, kind, str(error))])
            except (NotFound, Conflict) as error:
                field = getattr(error, "field", "item_id" if kind == "term_item" else "id")
                self._note(kind, key, [FieldError(one.row, field, str(error))])
            else:
                continue
            self._refused.setdefault((kind, key), self._protocol(kind, one.payload))

    def _put(self, one: Given, kind: Kind, key: Key) -> Steps[None]:
        payload, stored = one.payload, self._overlay.get(kind, key)
        if one.named:
            self._check_named(one, kind, key, stored)
            return
        if isinstance(payload, Mapping):
            first = self._seen[kind].setdefault(key, one.row)
            if first != one.row and key and key != ("", ""):
                raise Invalid.of([FieldError(one.row, _key_field(kind), f"appears twice, first in row {first}")])
            if one.covers is not None and stored is not None and not self._replace:
                payload = self._patched(kind, stored, payload, one.covers)
            if self._depends_on_refused(kind, payload):
                self._check_alone(one, kind, key, payload)
                return
            if self._replace:
                self._check_parents_given(kind, payload, one.row)
        made = self._build(kind, payload, old=stored, index=one.row)
        if stored == made:
            return
        if stored is not None and isinstance(made, (Device, Term)):
            yield from self._cascade.put_parent(cast("Device", stored), made)
            self._parents.append((kind, stored, made, one.row))
        else:
            yield from self._cascade.write(kind, stored, made, one.row)

    def _check_alone(self, one: Given, kind: Kind, key: Key, payload: Mapping[str, Any]) -> None:
        """What is wrong with an object besides that something it depends on has a fault."""
        self._refused[kind, key] = protocol = self._protocol(kind, payload)
        try:
            self._schemas.parse(kind, payload, protocol, index=one.row, unsure=protocol is None)
        except Invalid as error:
            told = {
                field
                for field, parent in _PARENTS.get(kind, ())
                if (parent, id_from_json(payload.get(field)) or "") in self._refused
            }
            self._note(kind, key, [found for found in error.errors if found.field not in told])

    def _fault(self, fault: Fault) -> None:
        """Remember a fault; many more than anybody reads are only counted."""
        if len(self._faults) < MOST_FAULTS:
            self._faults.append(fault)
        else:
            self._more_faults += 1

    def _note(self, kind: Kind, key: Key, errors: Sequence[FieldError]) -> None:
        for error in errors:
            self._fault(Fault(error.index, kind, key_text(key).strip(":"), error.field, error.message))
            self._refused.setdefault((kind, key), None)

    def _check_named(self, one: Given, kind: Kind, key: Key, stored: ModelObject | None) -> None:
        """What is only named must exist, and go on existing."""
        if self._depends_on_refused(kind, one.payload):
            self._refused[kind, key] = self._protocol(kind, one.payload)
            return
        if self._replace:
            message = f"{kind} {key_text(key)} is named, but no row describes it; mode=replace would delete it"
            raise Invalid.of([FieldError(one.row, _key_field(kind), message)])
        if stored is None:
            raise missing(kind, key)
        device_id = one.payload.get("device_id")
        if isinstance(stored, Term) and device_id is not None and device_id != stored.device_id:
            message = f"term {stored.id} belongs to device {stored.device_id}, not to {device_id}"
            raise Invalid.of([FieldError(one.row, "device_id", message)])

    def _check_parents_given(self, kind: Kind, payload: Mapping[str, Any], row: int) -> None:
        for field, parent in _PARENTS.get(kind, ()):
            key = id_from_json(payload.get(field))
            if key and key not in self._seen[parent] and self._overlay.get(parent, key) is not None:
                message = f"{parent} {key} is not in the document; mode=replace would delete it"
                raise Invalid.of([FieldError(row, field, message)])

    # What has a fault is reported once, not again by everything that depends on it

    def _depends_on_refused(self, kind: Kind, payload: Mapping[str, Any]) -> bool:
        if not self._refused:
            return False
        if kind == "formula":
            made = self._schemas.parse(kind, payload)
            return any(
                bad in self._refused
                for point in formula_points(cast("Formula", made))
                for bad in _path(point.device_id, point.term_id, point.item_id)
            )
        return any(
            (parent, id_from_json(payload.get(field)) or "") in self._refused
            for field, parent in _PARENTS.get(kind, ())
        )

    def _protocol(self, kind: Kind, payload: object) -> str | None:
        """The protocol of an object's device, as far as it can be told."""
        if not isinstance(payload, Mapping):
            return None
        if kind == "device":
            name = payload.get("protocol")
            return name if isinstance(name, str) and name in self._schemas.protocols else None
        device_id = id_from_json(payload.get("device_id")) or ""
        if kind == "term_item":
            term_id = id_from_json(payload.get("term_id")) or ""
            if ("term", term_id) in self._refused:
                return self._refused["term", term_id]
            term = self._overlay.term(term_id)
            device_id = term.device_id if term is not None else ""
        if ("device", device_id) in self._refused:
            return self._refused["device", device_id]
        device = self._overlay.device(device_id)
        return device.protocol if device is not None else None

    def _patched(
        self, kind: Kind, stored: ModelObject, payload: Mapping[str, Any], covers: frozenset[str]
    ) -> Mapping[str, Any]:
        """The payload with what the document does not tell as it is stored, if the type still has it."""
        rest = {name: value for name, value in to_wire(stored).items() if name not in covers}
        if kind == "device":
            protocol = payload.get("protocol") or rest.get("protocol")
        else:
            protocol = self._protocol(kind, {**rest, **payload})
        if kind != "formula":
            known = fields_of(self._schemas.types_for(kind, cast("str | None", protocol)))
            rest = {name: value for name, value in rest.items() if name in known}
        return {**rest, **payload}

    def _delete_rest(self) -> Steps[None]:
        registry = self._overlay.registry
        tables: dict[Kind, Mapping[Any, ModelObject]] = {
            "formula": registry.formulas,
            "term_item": registry.term_items,
            "term": registry.terms,
            "item": registry.items,
            "device": registry.devices,
        }
        for kind in _DELETED:
            for key in tables[kind]:
                yield
                if key in self._seen[kind]:
                    continue
                made = self._overlay.get(kind, key)
                if made is not None:
                    yield from self._cascade.delete(made, kind)


def _key_field(kind: Kind) -> str:
    return "item_id" if kind == "term_item" else "id"


def _path(device_id: str, term_id: str, item_id: str) -> tuple[tuple[Kind, Key], ...]:
    return (
        ("device", device_id),
        ("term", term_id),
        ("item", item_id),
        ("term_item", (term_id, item_id)),
    )
