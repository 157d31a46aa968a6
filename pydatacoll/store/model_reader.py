"""Reading the model from Redis: all of it, or what changed since a version."""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterable, Iterator, Sequence
from itertools import chain, islice
from typing import NamedTuple, cast

import msgspec

from pydatacoll.model import Device, ModelObject, PointId, Term
from pydatacoll.model.change import PLURAL, Change, Key, apply, apply_steps
from pydatacoll.model.registry import Registry, formula_points
from pydatacoll.model.steps import Steps
from pydatacoll.model.validation import KINDS, Kind, Schemas
from pydatacoll.store import keys
from pydatacoll.store.client import Store, store_errors
from pydatacoll.store.model_codec import CorruptHash, decode, hash_key, parse_hash_key
from pydatacoll.store.pace import Pace
from pydatacoll.store.staging import finish_pending

log = logging.getLogger(__name__)

CHUNK = 500
"""Keys read in one call: 1-2 ms of the server's time."""

AT_ONCE = 1_000
"""Changes that are taken over, or told, without letting others go in between: 1-2 ms."""

ORPHANS_LOGGED = 20

_Found = dict[tuple[Kind, Key], ModelObject | None]
_Decoder = msgspec.msgpack.Decoder(list[list[str]])


class _News(NamedTuple):
    """The present version, the hashes that changed, and their fields when they are few."""

    version: int
    names: list[str]
    rows: list[list[str]] | None


class ModelReader:
    """Reads objects; what cannot be read is logged and left out."""

    def __init__(self, store: Store, schemas: Schemas) -> None:
        self.store = store
        self.schemas = schemas

    async def version(self) -> int:
        """The version in the store, 0 for an empty one; a large change that has begun is finished first."""
        while True:
            version = await self.store.fcall("model_version", [keys.VERSION, keys.MODEL_PENDING], [])
            if version:
                return int(version)
            await finish_pending(self.store)

    async def load(self) -> Registry:
        """Read everything. Changes made meanwhile are caught up with before it returns."""
        registry = Registry()
        registry.version = await self.version()
        roots = await self._read(
            "model_members", [keys.SET_DEVICE, keys.SET_TERM, keys.SET_ITEM, keys.SET_FORMULA]
        )
        devices, terms, items, formulas = roots
        linked = await self._read("model_members", [keys.set_term_item(term) for term in terms])
        wanted: Iterator[tuple[Kind, Key]] = chain(
            (("device", one) for one in devices),
            (("item", one) for one in items),
            (("term", one) for one in terms),
            (("term_item", (term, one)) for term, ones in zip(terms, linked, strict=True) for one in ones),
            (("formula", one) for one in formulas),
        )
        while part := list(islice(wanted, CHUNK)):
            found: _Found = {}
            await self._read_objects(part, registry, found)
            apply(registry, [Change(*entry, None, made) for entry, made in found.items() if made is not None])
        if await self.catch_up(registry) is None:
            log.warning("the model changed a lot while it was loaded; loading it again")
            return await self.load()
        await Pace().run(_drop_orphans(registry))
        return registry

    async def catch_up(self, registry: Registry) -> list[Change] | None:
        """Bring a registry to the present version.

        :returns: what changed; ``None`` when the log does not lead there, so that everything must be loaded.
        """
        known = registry.version
        found: _Found = {}
        whole = False
        while not whole:  # what is read piecemeal may be newer than the version; the next round is at one moment
            news = await self._since(known)
            if news is None:
                return None
            entries = await Pace().run(_ordered(news.names))
            whole = news.rows is not None
            if news.rows is not None:
                rows = dict(zip(map(parse_hash_key, news.names), news.rows, strict=True))
                await Pace().run(self._objects(entries, [rows[entry] for entry in entries], registry, found))
            else:
                await self._read_objects(entries, registry, found)
            known = news.version
        changes = await Pace().run(_differences(registry, found))
        await take_over(registry, changes, known)
        return changes

    async def _since(self, known: int) -> _News | None:
        """What changed since a version; ``None`` when the log does not lead there."""
        names = [keys.VERSION, keys.MODEL_LOG, keys.MODEL_PENDING]
        while True:
            try:
                reply = msgspec.msgpack.decode(await self.store.fcall("model_since", names, [str(known), CHUNK]))
            except (msgspec.DecodeError, UnicodeDecodeError):  # bytes that are no text: to be read one by one
                reply = msgspec.msgpack.decode(await self.store.fcall("model_since", names, [str(known), -1]))
            version, changed, lists, rows = (*reply, None, None, None)[:4]
            if version:
                break
            await finish_pending(self.store)
        if changed is None:
            return None
        for name, length in lists or ():
            more = await self._names(name, length)
            if more is None:
                return None
            changed += more
        return _News(int(version), changed, rows)

    async def _names(self, name: str, length: int) -> list[str] | None:
        """What a large change touched; ``None`` when that is not known any more."""
        found: list[str] = []
        for at in range(length):
            with store_errors():
                piece = await self.store.binary.lindex(name, at)
            if piece is None:
                return None
            found += msgspec.json.decode(piece)
        return found

    async def _read_objects(self, entries: Sequence[tuple[Kind, Key]], registry: Registry, found: _Found) -> None:
        """Read objects, parents first, and add them to ``found``; ``None`` for what is not there."""
        pace = Pace()
        for start in range(0, len(entries), CHUNK):
            part = entries[start : start + CHUNK]
            rows = await self._read_part("model_hashes", [hash_key(kind, key) for kind, key in part])
            await pace.run(self._objects(part, rows, registry, found))

    def _objects(
        self,
        entries: Sequence[tuple[Kind, Key]],
        rows: Sequence[list[str]],
        registry: Registry,
        found: _Found,
    ) -> Steps[None]:
        """Decode in steps; ``None`` for what is not there or cannot be read."""
        protocol_of = _protocol_finder(registry, found)
        for (kind, key), fields in zip(entries, rows, strict=True):
            yield
            found[kind, key] = self._decode(kind, key, fields, protocol_of) if fields else None

    def _decode(
        self, kind: Kind, key: Key, flat: list[str], protocol_of: Callable[[Kind, str], str | None]
    ) -> ModelObject | None:
        fields = dict(zip(flat[::2], flat[1::2], strict=False))
        protocol = None
        if kind == "term":
            protocol = protocol_of("device", fields.get("device_id", ""))
        elif kind == "term_item":
            protocol = protocol_of("term", key[0])
        try:
            return decode(self.schemas, kind, key, fields, protocol)
        except CorruptHash as error:
            log.error("stored object ignored: %s", error)  # noqa: TRY400 - the reason is in the message
            return None

    async def _read(self, function: str, names: Sequence[str]) -> list[list[str]]:
        """Sets or hashes, a chunk at a time."""
        rows: list[list[str]] = []
        for start in range(0, len(names), CHUNK):
            rows += await self._read_part(function, names[start : start + CHUNK])
        return rows

    async def _read_part(self, function: str, names: Sequence[str]) -> list[list[str]]:
        reply = await self.store.fcall(function, names, [])
        try:
            return _Decoder.decode(reply)
        except (msgspec.DecodeError, UnicodeDecodeError) as error:
            # Somebody stored bytes that are no text. Find out where, and leave that out.
            if len(names) < 2:
                log.error("stored object ignored: %s: %s", ", ".join(names), error)  # noqa: TRY400
                return [[] for _ in names]
            half = len(names) // 2
            return [
                *await self._read_part(function, names[:half]),
                *await self._read_part(function, names[half:]),
            ]


def _protocol_finder(registry: Registry, found: _Found) -> Callable[[Kind, str], str | None]:
    def protocol_of(kind: Kind, key: str) -> str | None:
        if kind == "term":
            term = cast("Term | None", found[kind, key] if (kind, key) in found else registry.terms.get(key))
            if term is None:
                return None
            key = term.device_id
        entry: tuple[Kind, Key] = ("device", key)
        device = cast("Device | None", found[entry] if entry in found else registry.devices.get(key))
        return device.protocol if device is not None else None

    return protocol_of


async def take_over(registry: Registry, changes: Sequence[Change], version: int) -> None:
    """Bring a registry to a version at one moment, as readers see it: nobody is to read half a change.

    Nothing else may change the registry meanwhile.
    """
    if len(changes) > AT_ONCE:
        await Pace().run(apply_steps(registry, changes, version))
    else:
        apply(registry, changes)
        registry.version = version


def _ordered(names: Iterable[str]) -> Steps[list[tuple[Kind, Key]]]:
    """Names of hashes -> objects, each once, parents first."""
    by_kind: dict[Kind, dict[Key, None]] = {kind: {} for kind in KINDS}
    for name in names:
        yield
        kind, key = parse_hash_key(name)
        by_kind[kind][key] = None
    ordered: list[tuple[Kind, Key]] = []
    for kind, found in by_kind.items():
        for one in found:
            yield
            ordered.append((kind, one))
    return ordered


def _differences(registry: Registry, found: _Found) -> Steps[list[Change]]:
    changes = []
    for (kind, key), made in found.items():
        yield
        old = cast("dict[Key, ModelObject]", getattr(registry, PLURAL[kind])).get(key)
        if old != made:
            changes.append(Change(kind, key, old, made))
    return changes


def _drop_orphans(registry: Registry) -> Steps[None]:
    """What refers to an object that could not be read is left out too. Nobody else has the registry yet."""
    orphans: list[tuple[Kind, Key]] = []

    def drop(kind: Kind, gone: Sequence[Key]) -> None:
        orphans.extend((kind, key) for key in gone)
        apply(registry, [Change(kind, key, None, None) for key in gone])

    terms: list[Key] = []
    for term in registry.terms.values():
        yield
        if term.device_id not in registry.devices:
            terms.append(term.id)
    drop("term", terms)
    points: list[Key] = []
    for key in registry.term_items:
        yield
        if key[0] not in registry.terms or key[1] not in registry.items:
            points.append(key)
    drop("term_item", points)
    formulas: list[Key] = []
    for formula in registry.formulas.values():
        yield
        if not all(_has_point(registry, point) for point in formula_points(formula)):
            formulas.append(formula.id)
    drop("formula", formulas)
    for kind, orphan in orphans[:ORPHANS_LOGGED]:
        log.error("stored %s %s ignored: what it belongs to is missing", kind, orphan)


def _has_point(registry: Registry, point: PointId) -> bool:
    term = registry.terms.get(point.term_id)
    return (
        term is not None
        and term.device_id == point.device_id
        and (point.term_id, point.item_id) in registry.term_items
    )
