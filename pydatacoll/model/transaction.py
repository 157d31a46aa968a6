"""A set of changes of the model, computed without touching it: all rules between objects stand here."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any, Literal, cast

from pydatacoll.errors import Conflict, FieldError, Invalid, NotFound
from pydatacoll.model.cascade import Cascade
from pydatacoll.model.change import PLURAL, Change, DataOp, Key, key_of, missing
from pydatacoll.model.clone import Cloner
from pydatacoll.model.load import Given, Loaded, Loader
from pydatacoll.model.objects import ID_PATTERN, Formula, ModelObject, Term, TermItem
from pydatacoll.model.overlay import Overlay
from pydatacoll.model.payload import KEY_FIELD, check_once, id_text, key_from_json, merge_patch, with_parent
from pydatacoll.model.registry import Registry
from pydatacoll.model.sample import PointId
from pydatacoll.model.steps import Progress, Steps, finish
from pydatacoll.model.validation import KINDS, Kind, Schemas, to_wire

Outcome = Literal["created", "updated", "unchanged"]

_ID = re.compile(ID_PATTERN)


class MissingReference(NotFound):
    """An object names another one that does not exist; ``field`` is where it does."""

    def __init__(self, field: str, error: NotFound) -> None:
        super().__init__(str(error))
        self.field = field


class Transaction:
    """Operations on an overlay of the model. Each one happens wholly or, when it raises, not at all.

    Several transactions may stand one after another on the same overlay: each sees what those before it did,
    and its own ``changes``, ``data`` and ``counts`` only.

    What may take long can be done in steps, by the ``_steps`` method of the same name. Nothing else may be done to
    the transaction, nor to its overlay and registry, before the last step.

    :ivar data: what happens to the recent data of points, in order.
    :ivar entries: what the audit trail is to say; committed with the changes, or not at all.
    """

    def __init__(self, registry: Registry, schemas: Schemas, overlay: Overlay | None = None) -> None:
        self.registry = registry
        self.schemas = schemas
        self.overlay = overlay or Overlay(registry, schemas)
        self._start = self._began = self.overlay.mark
        self._asked: set[Kind] = set()
        self._cascade = Cascade(self.overlay, schemas)
        self._net: tuple[int, list[Change]] | None = None
        self.entries: list[Mapping[str, Any]] = []

    # Results

    @property
    def data(self) -> list[DataOp]:
        return self._cascade.data

    @property
    def changes(self) -> list[Change]:
        """The net change of each object; empty when nothing changed."""
        return finish(self.changes_steps())

    def changes_steps(self) -> Steps[list[Change]]:
        """``changes``, in steps; worked out anew only when more was done since. Empty after a rollback."""
        mark = self.overlay.mark
        if self._net is None or self._net[0] != mark:
            self._net = mark, (yield from self._net_changes())
        return self._net[1]

    def _net_changes(self) -> Steps[list[Change]]:
        origin: dict[tuple[Kind, Key], Key] = {}
        for kind, old, new in self._cascade.renames:
            origin[kind, new] = origin.pop((kind, old), old)
        changes = yield from self.overlay.changes_since(self._start)
        if not origin:
            return changes
        for at, change in enumerate(changes):
            yield
            source = origin.get((change.kind, change.key))
            if source is not None:
                changes[at] = change._replace(renamed_from=source)
        return changes

    @property
    def counts(self) -> dict[str, int]:
        """Deleted objects per kind; of kinds that were not asked for only what is not zero."""
        deleted = Counter(self._cascade.deleted)
        return {PLURAL[kind]: deleted[kind] for kind in KINDS if deleted[kind] or kind in self._asked}

    def tell_of(self, sees: Callable[[str], bool]) -> None:
        """Let messages name nothing of devices that ``sees`` denies, unless the request itself named it."""
        self._cascade.formulas.sees = sees

    def audit(self, entry: Mapping[str, Any]) -> None:
        """Say something in the audit trail: JSON types. It is written with the commit, first, or not at all."""
        self.entries.append(entry)

    def rollback(self) -> None:
        """Undo everything this transaction did."""
        finish(self.rollback_steps())

    def rollback_steps(self) -> Steps[None]:
        """``rollback``, in steps."""
        yield from self.overlay.rollback_steps(self._start)
        self._cascade.rollback((0, 0, 0))
        self._asked.clear()
        changes, self._net = self._net[1] if self._net is not None else [], None
        while changes:  # freeing all at once takes tens of milliseconds
            yield
            changes.pop()
        self.entries.clear()

    # Operations

    def create(self, kind: Kind, payload: object, parent: str | None = None) -> ModelObject:
        """Add an object.

        :param parent: id of the term (of a term item) or of the device (of a term) that the path names.
        :raises Conflict: when it exists, or its address is taken.
        :raises NotFound: when what it refers to does not exist.
        :raises Invalid: when its content is not acceptable.
        """
        with self._operation():
            if parent is not None and isinstance(payload, Mapping):
                payload = with_parent(kind, payload, parent)
            made = self._build(kind, payload)
            if self.overlay.get(kind, key_of(made)) is not None:
                raise _exists(made, kind)
            finish(self._cascade.write(kind, None, made))
            finish(self._settle())
            return made

    def replace(self, kind: Kind, key: Key, payload: object) -> ModelObject:
        """Replace an object; another id in the payload renames it, and everything that refers to it follows.

        :raises NotFound: when it, or what it refers to, does not exist.
        :raises Conflict: when the new id exists, or an address is taken.
        :raises Invalid: when its content, or one of its children after the change, is not acceptable.
        """
        return finish(self.replace_steps(kind, key, payload))

    def replace_steps(self, kind: Kind, key: Key, payload: object) -> Steps[ModelObject]:
        """``replace``, in steps."""
        with self._operation():
            old = self._require(kind, key)
            if isinstance(payload, Mapping):
                names = ("term_id", "item_id") if kind == "term_item" else ("id",)
                own = key if isinstance(key, tuple) else (key,)
                payload = dict(zip(names, own, strict=True)) | dict(payload)
            made = yield from self._replace(kind, old, self._build(kind, payload, old=old))
            yield from self._settle()
            return made

    def merge(self, kind: Kind, key: Key, patch: object) -> ModelObject:
        """Change the named fields (RFC 7396); ``null`` sets a field back to its default. Raises as ``replace``."""
        return finish(self.merge_steps(kind, key, patch))

    def merge_steps(self, kind: Kind, key: Key, patch: object) -> Steps[ModelObject]:
        """``merge``, in steps."""
        if not isinstance(patch, Mapping):
            raise Invalid.of([FieldError(0, kind, "a merge patch must be an object")])
        whole = merge_patch(to_wire(self._require(kind, key)), patch)
        return (yield from self.replace_steps(kind, key, whole))

    def upsert(self, kind: Kind, payload: object, index: int = 0) -> Outcome:
        """Create the object, or replace the one with its id. Raises as ``create``, without the conflict."""
        with self._operation():
            outcome = finish(self._upsert(kind, payload, index, {}))
            finish(self._settle())
            return outcome

    def delete(self, kind: Kind, key: Key) -> None:
        """Delete an object and everything that cannot exist without it; see ``counts``.

        :raises NotFound: when it does not exist.
        """
        finish(self.delete_steps(kind, key))

    def delete_steps(self, kind: Kind, key: Key) -> Steps[None]:
        """``delete``, in steps."""
        with self._operation():
            yield from self._cascade.delete(self._require(kind, key), kind)
        self._asked.add(kind)

    def batch_upsert(self, kind: Kind, payloads: Sequence[object]) -> dict[str, int]:
        """Create or replace all. Rules between them are applied to the result, so addresses may be swapped.

        :returns: how many were ``created``, ``updated``, ``unchanged``.
        :raises Invalid: with what is wrong with each, by index; then nothing happened.
        """
        return finish(self.batch_upsert_steps(kind, payloads))

    def batch_upsert_steps(self, kind: Kind, payloads: Sequence[object]) -> Steps[dict[str, int]]:
        """``batch_upsert``, in steps."""
        counts: dict[str, int] = {"created": 0, "updated": 0, "unchanged": 0}
        seen: dict[Key, int] = {}
        errors: list[FieldError] = []
        with self._operation():
            for index, payload in enumerate(payloads):
                yield
                with self._collect(index, kind, errors):
                    counts[(yield from self._upsert(kind, payload, index, seen))] += 1
            yield from self._settle(errors)
        return counts

    def batch_delete(self, kind: Kind, keys: Sequence[object]) -> dict[str, int]:
        """Delete all; keys as they come in JSON: ids, or objects with ``term_id`` and ``item_id``.

        :returns: ``counts``.
        :raises Invalid: with what is wrong with each, by index; then nothing happened.
        """
        return finish(self.batch_delete_steps(kind, keys))

    def batch_delete_steps(self, kind: Kind, keys: Sequence[object]) -> Steps[dict[str, int]]:
        """``batch_delete``, in steps."""
        seen: dict[Key, int] = {}
        errors: list[FieldError] = []
        with self._operation():
            for index, raw in enumerate(keys):
                yield
                with self._collect(index, kind, errors):
                    key = key_from_json(kind, raw, index)
                    check_once(seen, kind, key, index)
                    yield from self._cascade.delete(self._require(kind, key), kind)
            yield from self._settle(errors)
        self._asked.add(kind)
        return self.counts

    def load_steps(
        self, given: Mapping[Kind, Sequence[Given]], *, replace: bool = False, progress: Progress | None = None
    ) -> Steps[Loaded]:
        """Bring in a whole document; what is wrong with an object is told in the result and does not keep the
        others from being written: whoever wants all or nothing raises.

        :param replace: delete what the document does not describe.
        :param progress: counts the objects.
        """
        with self._operation():
            loader = Loader(
                self.overlay,
                self.schemas,
                self._cascade,
                self._build,
                replace=replace,
                progress=progress or Progress(),
            )
            return (yield from loader.run(given))

    def clone_steps(self, device_id: str, payloads: Sequence[object]) -> Steps[dict[str, int]]:
        """Copy a device with its terms and points, once for each payload: an ``id``, and the fields of the device
        that are to differ. The ids of the terms begin with that of their device; formulas are not copied.

        :returns: how many ``devices``, ``terms`` and ``term_items`` were created.
        :raises NotFound: when there is no such device.
        :raises Conflict: when a new id exists.
        :raises Invalid: with what is wrong with each, by index; then nothing happened.
        """
        with self._operation():
            made = yield from Cloner(self.overlay, self.schemas, self._cascade, device_id).run(payloads)
            yield from self._settle([])
        return made

    # Parts

    @contextmanager
    def _operation(self) -> Iterator[None]:
        """All or nothing."""
        self._began = self.overlay.mark
        before = self._cascade.mark
        try:
            yield
        except BaseException:
            self.overlay.rollback(self._began)
            self._cascade.rollback(before)
            self._cascade.abandon()
            raise

    def _settle(self, errors: list[FieldError] | None = None) -> Steps[None]:
        """Check addresses and formulas. What is taken is a conflict of a single operation, and more errors of a
        batch."""
        taken = yield from self._cascade.settle()
        faults = yield from self._cascade.formulas.settle()
        if errors is None:
            if taken:
                raise Conflict(taken[0].message)
            for fault in faults:
                if fault.conflict:
                    raise Conflict(fault.message)
                raise Invalid.of([FieldError(0, fault.field, fault.message)])
        taken += [FieldError(fault.place, fault.field, fault.message) for fault in faults]
        if errors is not None and errors + taken:
            yield from self.overlay.rollback_steps(self._began)  # here it can be done in steps
            raise Invalid.of(sorted(errors + taken, key=lambda error: error.index))

    @contextmanager
    def _collect(self, index: int, kind: Kind, errors: list[FieldError]) -> Iterator[None]:
        """One element of a batch: what is wrong with it is noted, and what it did is undone."""
        before = self.overlay.mark, self._cascade.mark
        try:
            yield
        except Invalid as error:
            errors += error.errors or [FieldError(index, kind, str(error))]
        except (NotFound, Conflict) as error:
            errors.append(FieldError(index, getattr(error, "field", KEY_FIELD.get(kind, "id")), str(error)))
        else:
            return
        self.overlay.rollback(before[0])
        self._cascade.rollback(before[1])

    def _require(self, kind: Kind, key: Key) -> ModelObject:
        found = self.overlay.get(kind, key)
        if found is not None:
            return found
        if isinstance(key, tuple):
            if self.overlay.term(key[0]) is None:
                raise missing("term", key[0])
            if self.overlay.item(key[1]) is None:
                raise missing("item", key[1])
        raise missing(kind, key)

    def _upsert(self, kind: Kind, payload: object, index: int, seen: dict[Key, int]) -> Steps[Outcome]:
        stored = self._stored(kind, payload)
        made = self._build(kind, payload, old=stored, index=index)
        check_once(seen, kind, key_of(made), index)
        if stored is None:
            yield from self._cascade.write(kind, None, made, index)
            return "created"
        if stored == made:
            return "unchanged"
        yield from self._cascade.write(kind, stored, made, index)
        return "updated"

    def _stored(self, kind: Kind, payload: object) -> ModelObject | None:
        if not isinstance(payload, Mapping):
            return None
        if kind == "term_item":
            return self.overlay.get(kind, (id_text(payload.get("term_id")), id_text(payload.get("item_id"))))
        return self.overlay.get(kind, id_text(payload.get("id")))

    def _replace(self, kind: Kind, old: ModelObject, made: ModelObject) -> Steps[ModelObject]:
        if made == old:
            return old
        if key_of(made) != key_of(old) and self.overlay.get(kind, key_of(made)) is not None:
            raise _exists(made, kind)
        yield from self._cascade.write(kind, old, made)
        return made

    def _build(
        self, kind: Kind, payload: object, *, old: ModelObject | None = None, index: int = 0
    ) -> ModelObject:
        """Payload -> object that is valid by itself and refers only to what exists."""
        if kind == "device":
            return self.schemas.parse(kind, payload, index=index, keep=getattr(old, "protocol", None))
        if kind == "item" or not isinstance(payload, Mapping):
            return self.schemas.parse(kind, payload, index=index)
        if kind == "formula":
            made = self.schemas.parse(kind, payload, index=index)
            return self._formula(cast("Formula", made))
        term: Term | None = None
        parent: Kind = "term" if kind == "term_item" else "device"
        parent_id = device_id = id_text(payload.get(f"{parent}_id"))
        if parent == "term":
            term = self.overlay.term(parent_id)
            device_id = term.device_id if term is not None else ""
        device = self.overlay.device(device_id)
        if device is None:
            if not _ID.match(parent_id):  # then parsing says what is wrong with it, and with the rest
                self.schemas.parse(kind, payload, index=index, unsure=True)
            raise MissingReference(f"{parent}_id", missing(parent, parent_id))
        made = self.schemas.parse(kind, payload, device.protocol, index=index)
        if isinstance(made, TermItem) and term is not None:
            if self.overlay.item(made.item_id) is None:
                raise MissingReference("item_id", missing("item", made.item_id))
            found = self.schemas.check(device, term, made, index)
            if found:
                raise Invalid.of(found)
        return made

    def _formula(self, made: Formula) -> Formula:
        if self.overlay.device(made.device_id) is None:
            raise MissingReference("device_id", missing("device", made.device_id))
        if self.overlay.term(made.term_id) is None:
            raise MissingReference("term_id", missing("term", made.term_id))
        if self.overlay.item(made.item_id) is None:
            raise MissingReference("item_id", missing("item", made.item_id))
        for name, ref in [("item_id", str(made.target)), *made.params.items()]:
            if not self.overlay.has_point(PointId(*ref.split(":"))):
                raise MissingReference(name, NotFound(f"term_item not found! {ref}"))
        return made


def _exists(made: ModelObject, kind: Kind) -> Conflict:
    key = key_of(made)
    return Conflict(f"{kind} already exists! {':'.join(key) if isinstance(key, tuple) else key}")
