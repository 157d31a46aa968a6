"""Changes of the model -> the commands, log entry and events of one commit. Pure."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Sequence
from itertools import islice
from typing import cast

import msgspec

from pydatacoll.model import Device, Formula, Item, ModelObject, Term, TermItem
from pydatacoll.model.change import Change, Key
from pydatacoll.model.overlay import Overlay
from pydatacoll.model.validation import Kind
from pydatacoll.store import keys
from pydatacoll.store.model_codec import encode, hash_key, unset_fields

CHUNK = 1000
"""Arguments of one command; Lua's unpack() fails near 8,000."""


class Commit:
    """Collects the changes of one or more transactions, in order.

    ``ops`` are Redis commands, besides ``READ src`` (remember a hash) and ``EXTRA src dst`` (give ``dst`` what was
    remembered): a renamed object of a driver that is not installed keeps the fields that only that driver knows.
    """

    def __init__(self, overlay: Overlay) -> None:
        self._overlay = overlay
        self._ops: list[Sequence[str]] = []
        self._sets: defaultdict[str, dict[str, bool]] = defaultdict(dict)
        self._touched: dict[str, None] = {}
        self._events: defaultdict[str, list[str]] = defaultdict(list)

    def add(self, changes: Sequence[Change]) -> None:
        """Take the changes of a transaction that has just run on the overlay."""
        gone = [change for change in changes if change.new is None]
        unlinked = [hash_key(change.kind, change.key) for change in gone]
        emptied = {_CHILDREN[change.kind](cast("str", change.key)) for change in gone if change.kind in _CHILDREN}
        unlinked += emptied
        for name in emptied:
            self._sets.pop(name, None)
        sources = {
            change.key: source for change in changes if (source := self._foreign_source(change)) is not None
        }
        self._ops += [("READ", source) for source in sources.values()]
        for start in range(0, len(unlinked), CHUNK):
            self._ops.append(("UNLINK", *unlinked[start : start + CHUNK]))
        for change in changes:
            self._touched[hash_key(change.kind, change.key)] = None
            if change.new is not None:
                self._store(change, change.new, sources.get(change.key))
            if change.old is not None:
                for name, member in _memberships(change.old):
                    if name not in emptied:
                        self._sets[name][member] = False
        for change in changes:  # after all removals: what moved from one place to another stays in the common sets
            if change.new is not None:
                for name, member in _memberships(change.new):
                    self._sets[name][member] = True
        self._announce(changes)

    def _store(self, change: Change, new: ModelObject, source: str | None) -> None:
        name = hash_key(change.kind, change.key)
        stored = encode(new)
        if change.old is None or change.kind == "formula":
            self._ops.append(("UNLINK", name))
            if source is not None:
                self._ops.append(("EXTRA", source, name))
        unset = unset_fields(new, stored)
        if unset and (change.old is not None or source is not None):
            self._ops.append(("HDEL", name, *unset))
        self._ops.append(("HSET", name, *(part for pair in stored.items() for part in pair)))

    def _foreign_source(self, change: Change) -> str | None:
        """Name of the hash whose unknown fields a renamed object takes along."""
        if change.renamed_from is None or change.new is None:
            return None
        device = _device_of(change.new, self._overlay)
        if device is None or device.protocol in self._overlay.schemas.protocols:
            return None
        return hash_key(change.kind, change.renamed_from)

    def _announce(self, changes: Sequence[Change]) -> None:
        """One event per change, except for what went, came or moved together with its parent's path."""
        gone = {(change.kind, change.key) for change in changes if change.new is None}
        for change in changes:
            made = change.new if change.new is not None else cast("ModelObject", change.old)
            if change.new is None and any(parent in gone for parent in _parents(made)):
                continue
            event = "DEL" if change.new is None else "ADD" if change.old is None else "FRESH"
            event = _EVENTS.get((change.kind, event), event)
            channel = keys.model_channel(f"{change.kind.upper()}_{event}")
            ids = msgspec.json.encode(self._path(change.kind, change.key, made)).decode()
            self._events[channel].append(ids[:-1] + ',"version":')

    def _path(self, kind: Kind, key: Key, made: ModelObject) -> dict[str, str]:
        if isinstance(made, TermItem):
            term = self._overlay.term(made.term_id) or self._overlay.registry.terms.get(made.term_id)
            device_id = term.device_id if term is not None else ""
            return {"device_id": device_id, "term_id": made.term_id, "item_id": made.item_id}
        if isinstance(made, Term):
            return {"device_id": made.device_id, "term_id": made.id}
        if isinstance(made, Formula):
            target = {"device_id": made.device_id, "term_id": made.term_id, "item_id": made.item_id}
            return {"formula_id": made.id, **target}
        return {f"{kind}_id": cast("str", key)}

    def arguments(self) -> list[bytes]:
        """The commands, the log entry and the events, encoded for ``model_commit``."""
        ops = list(self._ops)
        for name, members in self._sets.items():
            for command, wanted in (("SADD", True), ("SREM", False)):
                chosen = iter([member for member, present in members.items() if present is wanted])
                while part := list(islice(chosen, CHUNK)):
                    ops.append((command, name, *part))
        touched = msgspec.json.encode(list(self._touched))
        return [msgspec.msgpack.encode(ops), touched, msgspec.msgpack.encode(self._events)]


_CHILDREN = {"device": keys.set_device_term, "term": keys.set_term_item}
"""The set that goes with its owner, as a whole."""

_EVENTS = {
    ("item", "ADD"): "FRESH",
    ("term_item", "FRESH"): "ADD",
}
"""Channels that do not exist -> the one that stands for them."""


def _device_of(made: ModelObject, overlay: Overlay) -> Device | None:
    if isinstance(made, Device):
        return made
    term = made if isinstance(made, Term) else overlay.term(made.term_id) if isinstance(made, TermItem) else None
    return overlay.device(term.device_id) if term is not None else None


def _parents(made: ModelObject) -> Iterable[tuple[Kind, Key]]:
    """Objects whose deletion implies this one's."""
    if isinstance(made, Term):
        return [("device", made.device_id)]
    if isinstance(made, TermItem):
        return [("term", made.term_id), ("item", made.item_id)]
    return []


def _memberships(made: ModelObject) -> list[tuple[str, str]]:
    """``(set, member)`` of the sets that an object stands in."""
    if isinstance(made, TermItem):
        return [(keys.set_term_item(made.term_id), made.item_id)]
    if isinstance(made, Term):
        return [(keys.SET_TERM, made.id), (keys.set_device_term(made.device_id), made.id)]
    if isinstance(made, Device):
        return [(keys.SET_DEVICE, made.id)]
    if isinstance(made, Item):
        return [(keys.SET_ITEM, made.id)]
    formula = cast("Formula", made)
    used = [(keys.set_formula_param(ref), formula.id) for ref in formula.params.values()]
    return [(keys.SET_FORMULA, formula.id), *used]
