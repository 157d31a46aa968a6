"""The table from which addresses that a device sends become its points."""

from __future__ import annotations

import csv
import io
from collections.abc import Hashable, Iterator, Mapping, Sequence
from typing import Any, Final, cast

from pydatacoll.bulk.columns import mark
from pydatacoll.errors import Invalid
from pydatacoll.model import Device, Term, TermItem
from pydatacoll.model.registry import ModelView
from pydatacoll.model.validation import Schemas

COLUMNS: Final = (
    "device_id",
    "term_id",
    "term_name",
    "term_address",
    "item_id",
    "item_name",
    "protocol_code",
    "code_type",
)
_CHUNK: Final = 100
_LONGEST: Final = 64
"""Characters of an id."""


def terms_by_address(device: Device, model: ModelView) -> dict[int, Term]:
    """Address -> term of a device; of several with one address the first by id."""
    found: dict[int, Term] = {}
    for term_id in sorted(model.terms_of(device.id)):
        term = model.terms[term_id]
        address = getattr(term, "address", None)
        if isinstance(address, int):
            found.setdefault(address, term)
    return found


def point_list(
    device: Device, rows: Sequence[Mapping[str, Any]], model: ModelView, schemas: Schemas
) -> Iterator[str]:
    """A row for each address that can be a point and is none, in pieces of text.

    :param rows: ``address``, ``protocol_code`` and ``code_type`` of each address.
    :param model: the whole of it: ids of new terms must be free among those of all devices.
    """
    table = _Table(device, model, schemas)
    out = io.StringIO()
    write = csv.writer(out, lineterminator="\r\n").writerow
    write(COLUMNS)
    for count, row in enumerate(rows):
        cells = table.cells(row["address"], row["protocol_code"], row["code_type"])
        if cells is not None:
            write([mark(cell) if cell else "" for cell in cells])
        if count % _CHUNK == _CHUNK - 1:
            yield out.getvalue()
            out.seek(0)
            out.truncate()
    yield out.getvalue()


class _Table:
    """What is there already, and the names of what is to be made."""

    def __init__(self, device: Device, model: ModelView, schemas: Schemas) -> None:
        self._device = device
        self._model = model
        self._schemas = schemas
        self._terms = terms_by_address(device, model)
        self._taken: set[Hashable] = {schemas.address(device, *point) for point in model.points_of(device.id)}
        self._new: set[tuple[str, str]] = set()

    def cells(self, address: int, code: str, code_type: str) -> list[str] | None:
        """One row; ``None`` when the import would refuse it, or it is a point already."""
        try:
            term = self._term(address)
            item = self._parsed(term, code, code_type)
        except Invalid:
            return None
        place = self._schemas.address(self._device, term, item)
        if place in self._taken:
            return None
        self._taken.add(place)
        kind = _kind(code_type)
        item_id = self._item_id(term.id, kind, code)
        # what exists already is only named, and so keeps its own name
        described = ["", ""] if term.id in self._model.terms else [term.name, str(address)]
        name = "" if item_id in self._model.items else f"{kind} {code}"
        return [self._device.id, term.id, *described, item_id, name, code, code_type]

    def _term(self, address: int) -> Term:
        """The term with this address, or one that is to be made.

        :raises Invalid: no term can have it.
        """
        if address not in self._terms:
            made = {"id": self._term_id(address), "name": str(address), "device_id": self._device.id}
            payload = {**made, "address": address}
            self._terms[address] = cast("Term", self._schemas.parse("term", payload, self._device.protocol))
        return self._terms[address]

    def _parsed(self, term: Term, code: str, code_type: str) -> TermItem:
        """
        :raises Invalid: it cannot be a point.
        """
        payload = {"term_id": term.id, "item_id": "new", "protocol_code": code, "code_type": code_type}
        item = cast("TermItem", self._schemas.parse("term_item", payload, self._device.protocol))
        errors = self._schemas.check(self._device, term, item)
        if errors:
            raise Invalid.of(errors)
        return item

    def _term_id(self, address: int) -> str:
        number = 1
        while True:
            ending = f".{address}" if number == 1 else f".{address}_{number}"
            term_id = self._device.id[: _LONGEST - len(ending)] + ending
            if term_id not in self._model.terms:
                return term_id
            number += 1

    def _item_id(self, term_id: str, kind: str, code: str) -> str:
        """An id for the item of a new point: one that the term does not have yet."""
        number = 1
        while True:
            item_id = f"{kind}_{code}".lower() + ("" if number == 1 else f"_{number}")
            point = term_id, item_id
            if point not in self._new and point not in self._model.term_items:
                self._new.add(point)
                return item_id
            number += 1


def _kind(code_type: str) -> str:
    """``M_SP_NA_1`` and ``M_SP_TB_1`` -> ``M_SP``. The time tag is no part of a name: whether there is one only
    an event shows."""
    return "_".join(code_type.split("_")[:2])
