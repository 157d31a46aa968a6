"""What an import does, or would do."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from itertools import chain
from typing import Any, Final

from pydatacoll.bulk.document import Document, wire_fault
from pydatacoll.bulk.snapshot import differing, ordered
from pydatacoll.model.audit import key_text
from pydatacoll.model.change import PLURAL, Change
from pydatacoll.model.load import Fault, Loaded
from pydatacoll.model.objects import ModelObject
from pydatacoll.model.steps import Steps
from pydatacoll.model.validation import KINDS, to_wire

MAX_ERRORS: Final = 10_000
"""Errors that are told one by one; all are counted."""


def faults_of(document: Document, loaded: Loaded) -> Steps[list[Fault]]:
    """What is wrong with form and content, by row."""
    return (yield from ordered(chain(document.faults, loaded.faults)))


def wire_faults(document: Document, faults: Sequence[Fault]) -> Steps[list[dict[str, Any]]]:
    """Faults as JSON types, with their columns; at most ``MAX_ERRORS``."""
    wire = []
    for fault in faults[:MAX_ERRORS]:
        yield
        wire.append(wire_fault(fault, document.column(fault.kind, fault.field)))
    return wire


def summary(loaded: Loaded, changes: Sequence[Change], limit: int) -> Steps[dict[str, Any]]:
    """Counts, and the first changes one by one. Objects with a fault are in none of the counts."""
    counts = {PLURAL[kind]: {"add": 0, "change": 0, "delete": 0, "unchanged": 0} for kind in KINDS}
    for kind, seen in loaded.seen.items():
        counts[PLURAL[kind]]["unchanged"] = len(seen)
    for kind, key in loaded.refused:
        yield
        if key in loaded.seen[kind]:
            counts[PLURAL[kind]]["unchanged"] -= 1
    for change in changes:
        yield
        count = counts[PLURAL[change.kind]]
        count[action_of(change)] += 1
        if change.key in loaded.seen[change.kind] and (change.kind, change.key) not in loaded.refused:
            count["unchanged"] -= 1
    listed = []
    for change in changes[:limit]:
        yield
        listed.append(_wire(change))
    totals = {
        name: sum(count[name] for count in counts.values()) for name in ("add", "change", "delete", "unchanged")
    }
    return {
        **totals,
        "counts": counts,
        "changes": listed,
        "truncated": len(changes) > limit,
    }


def action_of(change: Change) -> str:
    """``add``, ``change`` or ``delete``."""
    return "add" if change.old is None else "delete" if change.new is None else "change"


def _wire(change: Change) -> dict[str, Any]:
    return {
        "action": action_of(change),
        "kind": change.kind,
        "key": key_text(change.key),
        "fields": dict(_fields(change.old, change.new)),
    }


def _fields(old: ModelObject | None, new: ModelObject | None) -> Iterator[tuple[str, list[Any]]]:
    """Field -> before and after; of what was added or deleted only what has not its default."""
    if old is None:
        if new is not None:
            yield from ((name, [None, value]) for name, value in differing(new).items())
        return
    if new is None:
        yield from ((name, [value, None]) for name, value in differing(old).items())
        return
    before, after = to_wire(old), to_wire(new)
    for name in (*before, *(name for name in after if name not in before)):
        if before.get(name) != after.get(name):
            yield name, [before.get(name), after.get(name)]
