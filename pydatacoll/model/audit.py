"""What the audit trail says of changes of the model: who touched which objects, before and after."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from functools import cache
from typing import Any, cast

import msgspec

from pydatacoll.model.change import PLURAL, Change, Key
from pydatacoll.model.objects import Device, Formula, Item, ModelObject, Term, TermItem
from pydatacoll.model.overlay import Overlay
from pydatacoll.model.registry import ModelView, formula_points
from pydatacoll.model.steps import Steps
from pydatacoll.model.validation import to_wire

Entry = dict[str, Any]
"""An entry of the trail, JSON types; docs/explanation/audit.rst explains it."""

PART = 500
"""Objects in one entry; more make several entries."""
MOST_DEVICES = 1000
"""An entry that concerns more devices names none of them: it concerns the model as a whole."""


def key_text(key: Key) -> str:
    """A key as text: the id, or ``term_id:item_id``."""
    return key if isinstance(key, str) else ":".join(key)


def devices_of(one: ModelObject, change: Change, overlay: Overlay, registry: ModelView) -> Iterable[str]:
    """Ids of the devices that a change concerns through ``one``, its object before or after."""
    if isinstance(one, Device):
        return (one.id,)
    if isinstance(one, Term):
        return (one.device_id,)
    if isinstance(one, TermItem):
        return _term_devices(one.term_id, overlay, registry)
    if isinstance(one, Formula):
        return {point.device_id for point in formula_points(one)}
    if isinstance(one, Item) and change.old is not None:  # shared: others' points would change with it
        return {
            device_id
            for term_id in registry.terms_with(one.id)
            for device_id in _term_devices(term_id, overlay, registry)
        }
    return ()


def _term_devices(term_id: str, overlay: Overlay, registry: ModelView) -> Iterator[str]:
    for term in (registry.terms.get(term_id), overlay.get("term", term_id)):
        if term is not None:
            yield cast("Term", term).device_id


def single_entry(
    changes: Sequence[Change],
    before: ModelObject | None,
    after: ModelObject | None,
    overlay: Overlay,
    registry: ModelView,
) -> Steps[Entry]:
    """The change of one object, whole; what it drew along with it is counted."""
    entry: Entry = {
        "before": None if before is None else to_wire(before),
        "after": None if after is None else to_wire(after),
    }
    entry["devices"] = yield from _devices(changes, overlay, registry)
    own = _own(changes)
    if len(own) > 1:
        entry["counts"] = yield from _counts(own)
    return entry


def batch_entries(changes: Sequence[Change], overlay: Overlay, registry: ModelView) -> Steps[list[Entry]]:
    """The changes of many objects, at most :data:`PART` in one entry; each entry has the counts of all.

    ``changes`` is encoded already, because the objects of a large import need much more room than their JSON.
    """
    own = _own(changes)
    counts = yield from _counts(own)
    parts = -(-len(own) // PART)
    entries = []
    for part in range(parts):
        some = own[part * PART : (part + 1) * PART]
        encoded = []
        for change in some:
            yield
            encoded.append(msgspec.json.encode(_change(change)))
        entry: Entry = {
            "counts": counts,
            "changes": msgspec.Raw(b"[" + b",".join(encoded) + b"]"),
            "devices": (yield from _devices(some, overlay, registry)),
        }
        if parts > 1:
            entry |= {"part": part + 1, "parts": parts}
        entries.append(entry)
    return entries


def _own(changes: Sequence[Change]) -> Sequence[Change]:
    """One change for each rename, instead of a creation and a deletion."""
    halves = {(change.kind, change.renamed_from) for change in changes if change.renamed_from is not None}
    if not halves:
        return changes
    gone = {(change.kind, change.key): change.old for change in changes if change.new is None}
    return [
        change
        if change.renamed_from is None
        else change._replace(old=gone.get((change.kind, change.renamed_from), change.old))
        for change in changes
        if change.new is not None or (change.kind, change.key) not in halves
    ]


def _counts(changes: Iterable[Change]) -> Steps[dict[str, dict[str, int]]]:
    """Plural of the kind -> what happened -> how many."""
    counts: dict[str, dict[str, int]] = {}
    for change in changes:
        yield
        what = (
            "renamed"
            if change.renamed_from is not None
            else "created"
            if change.old is None
            else "deleted"
            if change.new is None
            else "changed"
        )
        of_kind = counts.setdefault(PLURAL[change.kind], {})
        of_kind[what] = of_kind.get(what, 0) + 1
    return counts


def _change(change: Change) -> Mapping[str, Any]:
    found: dict[str, Any] = {"kind": change.kind, "key": key_text(change.key)}
    if change.renamed_from is not None:
        found["renamed_from"] = key_text(change.renamed_from)
    if change.old is not None and change.new is not None:
        old, new = to_wire(change.old), to_wire(change.new)
        names = [name for name in {**old, **new} if old.get(name) != new.get(name)]
        found["before"] = {name: old.get(name) for name in names}
        found["after"] = {name: new.get(name) for name in names}
    elif change.new is not None:
        found["after"] = _given(change.new)
    elif change.old is not None:
        found["before"] = _given(change.old)
    return found


@cache
def _defaults(object_type: type[ModelObject]) -> Mapping[str, Any]:
    return {info.name: info.default for info in msgspec.structs.fields(object_type)}


def _given(made: ModelObject) -> dict[str, Any]:
    """The representation, without what is as it is by default."""
    defaults = _defaults(type(made))
    return {name: value for name, value in to_wire(made).items() if defaults.get(name) != value}


def _devices(changes: Iterable[Change], overlay: Overlay, registry: ModelView) -> Steps[list[str]]:
    """The devices concerned, sorted; none when there are too many."""
    found: set[str] = set()
    for change in changes:
        yield
        for one in (change.old, change.new):
            if one is not None:
                found.update(devices_of(one, change, overlay, registry))
        if len(found) > MOST_DEVICES:
            return []
    return sorted(found)
