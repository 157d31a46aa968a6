"""Copies of a device with its terms and points. Formulas are not copied: they may name points of any device."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from typing import Any, cast

from msgspec.structs import replace

from pydatacoll.errors import Conflict, FieldError, Invalid
from pydatacoll.model.cascade import Cascade
from pydatacoll.model.change import missing
from pydatacoll.model.objects import Device, Term, TermItem
from pydatacoll.model.overlay import Overlay
from pydatacoll.model.steps import Steps
from pydatacoll.model.validation import Schemas, to_wire

_SEPARATORS = "._-"
_LONGEST_ID = 64


def term_names(device_id: str, term_ids: Sequence[str]) -> dict[str, str]:
    """Term id -> what it is called within its device: without the device's id in front, where that is no other's
    name. "" for a term that has the id of its device.
    """
    short = {term_id: _without(device_id, term_id) for term_id in term_ids}
    taken = Counter(short.values())
    return {term_id: name if taken[name] == 1 else term_id for term_id, name in short.items()}


def _without(device_id: str, term_id: str) -> str:
    if term_id == device_id:
        return ""
    if term_id.startswith(device_id) and term_id[len(device_id)] in _SEPARATORS:
        return term_id[len(device_id) + 1 :]
    return term_id


class Cloner:
    """Copies one device into an overlay, many times."""

    def __init__(self, overlay: Overlay, schemas: Schemas, cascade: Cascade, device_id: str) -> None:
        """
        :raises NotFound: when there is no such device.
        """
        source = overlay.device(device_id)
        if source is None:
            raise missing("device", device_id)
        self._overlay = overlay
        self._schemas = schemas
        self._cascade = cascade
        self._source = source
        self._terms = [cast("Term", overlay.term(term_id)) for term_id in sorted(overlay.terms_of(device_id))]
        self._names = term_names(device_id, [term.id for term in self._terms])
        self._errors: list[FieldError] = []
        self._conflicts: list[FieldError] = []
        self._seen: dict[str, int] = {}

    def run(self, payloads: Sequence[object]) -> Steps[dict[str, int]]:
        """
        :returns: how many devices, terms and term items were made.
        :raises Conflict: when nothing but ids that exist is wrong.
        :raises Invalid: with what is wrong with each, by index.
        """
        counts = {"devices": 0, "terms": 0, "term_items": 0}
        for index, payload in enumerate(payloads):
            yield
            device = self._device(payload, index)
            if device is None:
                continue
            counts["devices"] += 1
            for term in self._terms:
                copy = self._term(term, device, index)
                if copy is None:
                    continue
                counts["terms"] += 1
                for item in sorted(self._overlay.items_under(term.id), key=_item_id):
                    yield
                    yield from self._term_item(item, device, copy, index)
                    counts["term_items"] += 1
        if self._errors:
            raise Invalid.of(sorted(self._errors + self._conflicts, key=lambda error: error.index))
        if self._conflicts:
            more = f" (and {len(self._conflicts) - 1} more)" if len(self._conflicts) > 1 else ""
            raise Conflict(self._conflicts[0].message + more)
        return counts

    def _device(self, payload: object, index: int) -> Device | None:
        """The copy of the device, with what the payload says differently."""
        whole: object = payload
        if isinstance(payload, Mapping):
            rest: dict[str, Any] = {name: value for name, value in to_wire(self._source).items() if name != "id"}
            whole = {**rest, **payload}
        try:
            made = cast("Device", self._schemas.parse("device", whole, index=index, keep=self._source.protocol))
        except Invalid as error:
            self._errors += error.errors
            return None
        if made.protocol != self._source.protocol:
            message = f"a copy has the protocol of its original, {self._source.protocol}"
            self._errors.append(FieldError(index, "protocol", message))
            return None
        first = self._seen.setdefault(made.id, index)
        if first != index:
            message = f"appears twice in the list, first at index {first}"
            self._errors.append(FieldError(index, "id", message))
            return None
        if self._overlay.device(made.id) is not None:
            self._conflicts.append(FieldError(index, "id", f"device already exists! {made.id}"))
            return None
        self._overlay.put("device", made.id, made)
        return made

    def _term(self, term: Term, device: Device, index: int) -> Term | None:
        name = self._names[term.id]
        term_id = f"{device.id}.{name}" if name else device.id
        if len(term_id) > _LONGEST_ID:
            message = f"term {term.id} would become {term_id}, which is longer than {_LONGEST_ID} characters"
            self._errors.append(FieldError(index, "id", message))
            return None
        if self._overlay.term(term_id) is not None:
            self._conflicts.append(FieldError(index, "id", f"term already exists! {term_id}"))
            return None
        copy = replace(term, id=term_id, device_id=device.id)
        self._overlay.put("term", term_id, copy)
        return copy

    def _term_item(self, item: TermItem, device: Device, term: Term, index: int) -> Steps[None]:
        copy = replace(item, term_id=term.id)
        for error in self._schemas.check(device, term, copy, index):
            place = f"term_item {term.id}:{item.item_id} {error.field}"
            self._errors.append(FieldError(index, place, error.message))
        yield from self._cascade.write("term_item", None, copy, index)


def _item_id(item: TermItem) -> str:
    return item.item_id
