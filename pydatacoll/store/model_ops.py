"""Changes of the model -> the commands, log entry and events of one commit. Pure."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from itertools import islice
from struct import Struct
from typing import Any, cast

import msgspec

from pydatacoll.model import Device, Formula, Item, ModelObject, Term, TermItem
from pydatacoll.model.change import Change, Key
from pydatacoll.model.overlay import Overlay
from pydatacoll.model.steps import Steps
from pydatacoll.model.validation import Kind
from pydatacoll.store import keys
from pydatacoll.store.audit import audit_entry
from pydatacoll.store.model_codec import encode, hash_key, unset_fields

CHUNK = 1000
"""Arguments of one command; Lua's unpack() fails near 8,000."""

LARGE = 1000
"""A commit of more objects is staged, see :mod:`pydatacoll.store.staging`; one call takes 5 ms for so many."""
LARGE_BYTES = 1_048_576
"""Also one of fewer objects with more text."""
PART = 4_000
"""Arguments of the commands in one part of a staged commit: 1 to 4 ms of the server's time."""
PART_BYTES = 262_144
NAMES = 1000
"""Names of hashes in one element of a list."""


class Commit:
    """Collects the changes of one or more transactions, in order.

    The operations are Redis commands, besides ``READ src`` (remember a hash) and ``EXTRA src dst`` (give ``dst``
    what was remembered): a renamed object of a driver that is not installed keeps the fields that only that driver
    knows; and ``HASHES n field1 ... fieldn name value1 ... valuen name ...``: hashes with the same fields. In
    parts of a staged commit there are also ``AUDIT trail length bytes entry`` and ``EVENTS channel lines``.

    :ivar audit: entries of the audit trail, encoded; they are written first, or nothing is.
    """

    def __init__(self, overlay: Overlay) -> None:
        self._overlay = overlay
        self._ops: list[tuple[int, bytes]] = []
        self._bytes = 0
        self._sets: defaultdict[str, dict[str, bool]] = defaultdict(dict)
        self._touched: dict[str, None] = {}
        self._events: defaultdict[str, list[str]] = defaultdict(list)
        self.audit: list[bytes] = []

    def record(self, entries: Iterable[Mapping[str, Any]]) -> Steps[None]:
        """Take the audit entries of a transaction, in steps."""
        for entry in entries:
            yield
            self.audit.append(audit_entry(entry))

    def add(self, changes: Sequence[Change]) -> Steps[None]:
        """Take the changes of a transaction that has just run on the overlay, in steps."""
        gone: list[str] = []
        emptied: dict[str, None] = {}
        for change in changes:
            yield
            name = hash_key(change.kind, change.key)
            self._touched[name] = None
            if change.new is None:
                gone.append(name)
                if change.kind in _CHILDREN:
                    emptied[_CHILDREN[change.kind](cast("str", change.key))] = None
        yield from self._store(changes, [*gone, *emptied])
        yield from self._link(changes, emptied)
        yield from self._announce(changes)

    def _store(self, changes: Sequence[Change], unlinked: list[str]) -> Steps[None]:
        """Remember what is needed of the old hashes, remove what goes, write what stays."""
        rows: defaultdict[tuple[str, ...], list[str]] = defaultdict(list)
        extra: list[tuple[str, str, str]] = []
        unset: list[tuple[str, ...]] = []
        for change in changes:
            yield
            if change.new is None:
                continue
            name = hash_key(change.kind, change.key)
            stored = encode(change.new)
            rows[tuple(stored)] += (name, *stored.values())
            source = self._foreign_source(change)
            if source is not None:
                self._op("READ", source)
                extra.append(("EXTRA", source, name))
            if change.old is None or change.kind == "formula":
                unlinked.append(name)
            absent = _absent(change.old, stored) if source is None else unset_fields(change.new, stored)
            if absent:
                unset.append(("HDEL", name, *absent))
        for start in range(0, len(unlinked), CHUNK):
            yield
            self._op("UNLINK", *unlinked[start : start + CHUNK])
        for op in (*extra, *unset):
            yield
            self._op(*op)
        for fields, row in rows.items():
            width = len(fields) + 1
            size = width * max(1, PART // width)
            for start in range(0, len(row), size):
                yield
                some = row[start : start + size]
                share = sum(map(len, some)) // PART_BYTES + 1  # of long texts a part takes fewer
                step = width * max(1, len(some) // width // share)
                for at in range(0, len(some), step):
                    yield
                    self._op("HASHES", len(fields), *fields, *some[at : at + step])

    def _link(self, changes: Sequence[Change], emptied: Collection[str]) -> Steps[None]:
        for name in emptied:
            self._sets.pop(name, None)
        for change in changes:
            yield
            if change.old is not None:
                for name, member in _memberships(change.old):
                    if name not in emptied:
                        self._sets[name][member] = False
        for change in changes:  # after all removals: what moved from one place to another stays in the common sets
            yield
            if change.new is not None:
                for name, member in _memberships(change.new):
                    self._sets[name][member] = True

    def _op(self, *op: str | int) -> None:
        encoded = _ENCODER.encode(op)
        self._bytes += len(encoded)
        self._ops.append((len(op), encoded))

    def _foreign_source(self, change: Change) -> str | None:
        """Name of the hash whose unknown fields a renamed object takes along."""
        if change.renamed_from is None or change.new is None:
            return None
        device = _device_of(change.new, self._overlay)
        if device is None or device.protocol in self._overlay.schemas.protocols:
            return None
        return hash_key(change.kind, change.renamed_from)

    def _announce(self, changes: Sequence[Change]) -> Steps[None]:
        """One event per change, except for what went, came or moved together with its parent's path."""
        gone: set[tuple[Kind, Key]] = set()
        for change in changes:
            yield
            if change.new is None:
                gone.add((change.kind, change.key))
        for change in changes:
            yield
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

    @property
    def large(self) -> bool:
        """Too large for one call."""
        return len(self._touched) > LARGE or self._bytes + sum(map(len, self.audit)) > LARGE_BYTES

    def arguments(self) -> Steps[list[bytes]]:
        """The commands, the log entry and the events, encoded for ``model_commit``, in steps."""
        yield from self._write_sets()
        yield
        touched = msgspec.json.encode(list(self._touched))
        yield
        events = {channel: "\n".join(texts) for channel, texts in self._events.items()}
        yield
        return [_array([op for _, op in self._ops]), touched, _ENCODER.encode(events)]

    def parts(self, trail_length: int, trail_bytes: int) -> Steps[list[bytes]]:
        """The parts of a staged commit: audit entries, commands, events, encoded for ``model_stage``, in steps."""
        yield from self._write_sets()
        parts: list[bytes] = []
        part: list[bytes] = []
        size = room = 0
        for cost, op in self._all_operations(trail_length, trail_bytes):
            yield
            if part and (size + cost > PART or room + len(op) > PART_BYTES):
                parts.append(_array(part))
                part, size, room = [], 0, 0
            part.append(op)
            size, room = size + cost, room + len(op)
        parts.append(_array(part))
        return parts

    def _all_operations(self, trail_length: int, trail_bytes: int) -> Iterator[tuple[int, bytes]]:
        for entry in self.audit:
            yield 1, _ENCODER.encode(("AUDIT", keys.AUDIT, trail_length, trail_bytes, entry.decode()))
        yield from self._ops
        for channel, texts in self._events.items():
            for start in range(0, len(texts), CHUNK):
                lines = texts[start : start + CHUNK]
                yield len(lines), _ENCODER.encode(("EVENTS", channel, "\n".join(lines)))

    def names(self) -> Steps[list[bytes]]:
        """Names of the hashes that change, for other processes to read: JSON, :data:`NAMES` each, in steps."""
        rest = iter(self._touched)
        lists = []
        while part := list(islice(rest, NAMES)):
            yield
            lists.append(msgspec.json.encode(part))
        return lists

    def _write_sets(self) -> Steps[None]:
        for name, members in self._sets.items():
            for command, wanted in (("SADD", True), ("SREM", False)):
                chosen = iter([member for member, present in members.items() if present is wanted])
                while part := list(islice(chosen, CHUNK)):
                    yield
                    self._op(command, name, *part)
        self._sets.clear()


_ENCODER = msgspec.msgpack.Encoder()
_ARRAY = Struct(">BI")
"""Head of a msgpack array: 0xDD and the number of its elements, 32 bits."""


def _array(encoded: Sequence[bytes]) -> bytes:
    return _ARRAY.pack(0xDD, len(encoded)) + b"".join(encoded)


_CHILDREN = {"device": keys.set_device_term, "term": keys.set_term_item}
"""The set that goes with its owner, as a whole."""

_EVENTS = {
    ("item", "ADD"): "FRESH",
    ("term_item", "FRESH"): "ADD",
}
"""Channels that do not exist -> the one that stands for them."""


def _absent(old: ModelObject | None, stored: Mapping[str, str]) -> list[str]:
    """Fields that the hash of the old object has, and that of the new one must not have."""
    return [field for field in encode(old) if field not in stored] if old is not None else []


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
