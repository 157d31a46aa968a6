"""Reading the model from Redis: all of it, or what changed since a version."""

from __future__ import annotations

import logging
from collections.abc import Callable, Mapping, Sequence
from typing import cast

import msgspec

from pydatacoll.model import Device, ModelObject, PointId, Term
from pydatacoll.model.change import PLURAL, RANK, Change, Key, apply
from pydatacoll.model.registry import Registry, formula_points
from pydatacoll.model.steps import Steps
from pydatacoll.model.validation import Kind, Schemas
from pydatacoll.store import keys
from pydatacoll.store.client import Store, store_errors
from pydatacoll.store.model_codec import CorruptHash, decode, hash_key, parse_hash_key
from pydatacoll.store.pace import Pace

log = logging.getLogger(__name__)

CHUNK = 500
"""Keys read in one call: 1-2 ms of the server's time."""

ORPHANS_LOGGED = 20

_Found = dict[tuple[Kind, Key], ModelObject | None]
_Decoder = msgspec.msgpack.Decoder(list[list[str]])


class ModelReader:
    """Reads objects; what cannot be read is logged and left out."""

    def __init__(self, store: Store, schemas: Schemas) -> None:
        self.store = store
        self.schemas = schemas

    async def version(self) -> int:
        """The version in the store, 0 for an empty one."""
        with store_errors():
            return int(await self.store.redis.get(keys.VERSION) or 0)

    async def load(self) -> Registry:
        """Read everything. Changes made meanwhile are caught up with before it returns."""
        pace = Pace()
        registry = Registry()
        registry.version = await self.version()
        roots = await self._read(
            "model_members", [keys.SET_DEVICE, keys.SET_TERM, keys.SET_ITEM, keys.SET_FORMULA]
        )
        devices, terms, items, formulas = roots
        linked = await self._read("model_members", [keys.set_term_item(term) for term in terms])
        wanted: list[tuple[Kind, Key]] = [
            *(("device", one) for one in devices),
            *(("item", one) for one in items),
            *(("term", one) for one in terms),
            *(("term_item", (term, one)) for term, ones in zip(terms, linked, strict=True) for one in ones),
            *(("formula", one) for one in formulas),
        ]
        for start in range(0, len(wanted), CHUNK * 8):
            part = wanted[start : start + CHUNK * 8]
            rows = await self._read("model_hashes", [hash_key(kind, key) for kind, key in part])
            found = await pace.run(self._objects(dict(zip(part, rows, strict=True)), registry))
            apply(registry, [Change(*entry, None, made) for entry, made in found.items() if made is not None])
        if await self.catch_up(registry) is None:
            log.warning("the model changed a lot while it was loaded; loading it again")
            return await self.load()
        _drop_orphans(registry)
        return registry

    async def catch_up(self, registry: Registry) -> list[Change] | None:
        """Bring a registry to the present version.

        :returns: what changed; ``None`` when the log does not lead there, so that everything must be loaded.
        """
        known = registry.version
        rows: dict[tuple[Kind, Key], list[str]] = {}
        whole = False
        while not whole:  # what is read piecemeal may be newer than the version; the next round is at one moment
            version, names, found = await self._since(known)
            if names is None:
                return None
            whole = found is not None
            if found is None:
                found = await self._read("model_hashes", names)
            rows.update(zip(map(parse_hash_key, names), found, strict=True))
            known = version
        changes = []
        objects = await Pace().run(self._objects(rows, registry))
        for (kind, key), made in objects.items():
            old = cast("dict[Key, ModelObject]", getattr(registry, PLURAL[kind])).get(key)
            if old != made:
                changes.append(Change(kind, key, old, made))
        apply(registry, changes)
        registry.version = known
        return changes

    async def _since(self, known: int) -> tuple[int, list[str] | None, list[list[str]] | None]:
        """The present version, the hashes that changed, and their fields when they are few."""
        names = [keys.VERSION, keys.MODEL_LOG]
        try:
            reply = msgspec.msgpack.decode(await self.store.fcall("model_since", names, [str(known), CHUNK]))
        except (msgspec.DecodeError, UnicodeDecodeError):  # bytes that are no text: to be read one by one
            reply = msgspec.msgpack.decode(await self.store.fcall("model_since", names, [str(known), -1]))
        version, changed, found = (*reply, None, None)[:3]
        return int(version), changed, found

    def _objects(self, rows: Mapping[tuple[Kind, Key], list[str]], registry: Registry) -> Steps[_Found]:
        """Decode in steps, parents first; ``None`` for what is not there or cannot be read."""
        found: _Found = {}
        protocol_of = _protocol_finder(registry, found)
        for kind, key in sorted(rows, key=lambda entry: RANK[entry[0]]):
            yield
            fields = rows[kind, key]
            found[kind, key] = self._decode(kind, key, fields, protocol_of) if fields else None
        return found

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


def _drop_orphans(registry: Registry) -> None:
    """What refers to an object that could not be read is left out too."""
    gone: list[tuple[Kind, Key]] = [
        ("term", term.id) for term in registry.terms.values() if term.device_id not in registry.devices
    ]
    apply(registry, [Change(kind, key, None, None) for kind, key in gone])
    points: list[tuple[Kind, Key]] = [
        ("term_item", key)
        for key in registry.term_items
        if key[0] not in registry.terms or key[1] not in registry.items
    ]
    apply(registry, [Change(kind, key, None, None) for kind, key in points])
    formulas: list[tuple[Kind, Key]] = [
        ("formula", formula.id)
        for formula in registry.formulas.values()
        if not all(_has_point(registry, point) for point in formula_points(formula))
    ]
    apply(registry, [Change(kind, key, None, None) for kind, key in formulas])
    orphans = [*gone, *points, *formulas]
    for kind, key in orphans[:ORPHANS_LOGGED]:
        log.error("stored %s %s ignored: what it belongs to is missing", kind, key)


def _has_point(registry: Registry, point: PointId) -> bool:
    term = registry.terms.get(point.term_id)
    return (
        term is not None
        and term.device_id == point.device_id
        and (point.term_id, point.item_id) in registry.term_items
    )
