"""Reading the model from Redis: all of it, or what changed since a version."""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterable, Sequence
from typing import Any, cast

import msgspec

from pydatacoll.model import Device, ModelObject, Term
from pydatacoll.model.change import PLURAL, RANK, Change, Key, apply
from pydatacoll.model.registry import Registry
from pydatacoll.model.validation import Kind, Schemas
from pydatacoll.store import keys
from pydatacoll.store.client import Store, store_errors
from pydatacoll.store.model_codec import CorruptHash, decode, hash_key
from pydatacoll.store.model_ops import parse_touched

log = logging.getLogger(__name__)

CHUNK = 500
"""Keys read in one call: 1-2 ms of the server's time."""

_ATTEMPTS = 5

_Found = dict[tuple[Kind, Key], ModelObject | None]
_Decoder = msgspec.msgpack.Decoder(tuple[str, list[list[str]]])


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
        registry = Registry()
        registry.version = await self.version()
        devices, terms, items, formulas = (
            await self._members([keys.SET_DEVICE, keys.SET_TERM, keys.SET_ITEM, keys.SET_FORMULA])
        )[1]
        linked = (await self._members([keys.set_term_item(term) for term in terms]))[1]
        wanted: list[tuple[Kind, Key]] = [
            *(("device", one) for one in devices),
            *(("item", one) for one in items),
            *(("term", one) for one in terms),
            *(("term_item", (term, one)) for term, ones in zip(terms, linked, strict=True) for one in ones),
            *(("formula", one) for one in formulas),
        ]
        for start in range(0, len(wanted), CHUNK * 8):
            _, found = await self._objects(wanted[start : start + CHUNK * 8], registry)
            apply(
                registry,
                [Change(kind, key, None, made) for (kind, key), made in found.items() if made is not None],
            )
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
        touched: dict[tuple[Kind, Key], None] = {}
        found: _Found = {}
        for _ in range(_ATTEMPTS):
            with store_errors():
                entries: Any = await self.store.redis.xrange(keys.MODEL_LOG, min=f"({known}-0")
            for entry_id, fields in entries:
                if int(fields["prev"]) != known:
                    return None
                known = int(entry_id.partition("-")[0])
                touched.update(dict.fromkeys(parse_touched(fields["keys"])))
            seen, found = await self._objects(sorted(touched, key=lambda entry: RANK[entry[0]]), registry)
            if seen == {str(known)}:
                break
            if not entries and str(known) not in seen:
                return None  # no way leads from here to the present version
        changes = []
        for (kind, key), made in found.items():
            old = cast("dict[Key, ModelObject]", getattr(registry, PLURAL[kind])).get(key)
            if old != made:
                changes.append(Change(kind, key, old, made))
        apply(registry, changes)
        registry.version = known
        return changes

    async def _objects(self, wanted: Sequence[tuple[Kind, Key]], registry: Registry) -> tuple[set[str], _Found]:
        """Versions met while reading, and the objects, ``None`` for one that is not there."""
        versions, hashes = await self._hashes([hash_key(kind, key) for kind, key in wanted])
        found: _Found = {}
        for (kind, key), fields in zip(wanted, hashes, strict=True):
            found[kind, key] = (
                self._decode(kind, key, fields, _protocol_finder(registry, found)) if fields else None
            )
        return versions, found

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

    async def _members(self, names: Sequence[str]) -> tuple[set[str], list[list[str]]]:
        return await self._call("model_members", names)

    async def _hashes(self, names: Sequence[str]) -> tuple[set[str], list[list[str]]]:
        return await self._call("model_hashes", names)

    async def _call(self, function: str, names: Sequence[str]) -> tuple[set[str], list[list[str]]]:
        versions: set[str] = set()
        rows: list[list[str]] = []
        for start in range(0, len(names) or 1, CHUNK):
            version, found = await self._call_part(function, names[start : start + CHUNK])
            versions.add(version)
            rows += found
        return versions, rows

    async def _call_part(self, function: str, names: Sequence[str]) -> tuple[str, list[list[str]]]:
        reply = await self.store.fcall(function, [keys.VERSION, *names], [])
        try:
            return _Decoder.decode(reply)
        except (msgspec.ValidationError, UnicodeDecodeError) as error:
            # Somebody stored bytes that are no text. Find out where, and leave that out.
            if len(names) < 2:
                log.error("stored object ignored: %s: %s", ", ".join(names), error)  # noqa: TRY400
                return str(await self.version()), [[] for _ in names]
            half = len(names) // 2
            _, first = await self._call_part(function, names[:half])
            version, second = await self._call_part(function, names[half:])
            return version, first + second


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
    gone: list[tuple[Kind, Key]] = []
    gone += [("term", term.id) for term in registry.terms.values() if term.device_id not in registry.devices]
    apply(registry, [Change(kind, key, None, None) for kind, key in gone])
    orphans: list[tuple[Kind, Key]] = [
        ("term_item", key)
        for key in registry.term_items
        if key[0] not in registry.terms or key[1] not in registry.items
    ]
    apply(registry, [Change(kind, key, None, None) for kind, key in orphans])
    for kind, key in _log_some([*gone, *orphans]):
        log.error("stored %s %s ignored: what it belongs to is missing", kind, key)


def _log_some(entries: Iterable[tuple[Kind, Key]]) -> list[tuple[Kind, Key]]:
    return list(entries)[:20]
