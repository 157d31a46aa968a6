"""The audit trail, ``STREAM:AUDIT``: written together with what it tells of, read newest first."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from fnmatch import translate
from re import Pattern
from re import compile as compile_pattern
from typing import Any, cast

import msgspec

from pydatacoll.model import time_to_wire
from pydatacoll.store import keys
from pydatacoll.store.client import Store, store_errors
from pydatacoll.store.pace import Pace

CHUNK = 100
"""Entries read with one command."""
PAGE_BYTES = 8_388_608
"""A page ends with the entry that makes it larger."""
_LAST = 10**17
"""Beyond every time of an entry, milliseconds."""


def audit_entry(entry: Mapping[str, Any]) -> bytes:
    """The JSON of an entry: ``time`` and whatever is given."""
    return audit_entries([entry])[0]


def audit_entries(entries: Iterable[Mapping[str, Any]]) -> list[bytes]:
    """The JSON of entries of one moment. It always ends with a member, so that a function can add others."""
    now = time_to_wire(time.time())
    encode = msgspec.json.encode
    return [encode({"time": now, **entry}) for entry in entries]


class AuditFilter(msgspec.Struct, frozen=True, kw_only=True):
    """Which entries are wanted. ``since`` and ``until``: epoch seconds of the store's clock.

    :ivar action: glob, as ``device.*``.
    :ivar object: glob of the object itself, or of one among the changes of many.
    :ivar failed: ``True``: only what failed or was refused; ``False``: only what succeeded.
    :ivar sees: whether a device may be seen; ``None``: all, and what concerns the model as a whole.
    """

    since: float | None = None
    until: float | None = None
    user: str | None = None
    action: str | None = None
    object: str | None = None
    device_id: str | None = None
    failed: bool | None = None
    sees: Callable[[str], bool] | None = None


class AuditPage(msgspec.Struct, frozen=True):
    """Entries, newest first, each with its ``id``; ``more``: the id before which to go on, unless that was all."""

    entries: list[dict[str, Any]]
    more: str | None = None


class Audit:
    """Reads the trail, and appends what belongs to no other write."""

    def __init__(self, store: Store) -> None:
        self._store = store

    async def write(self, entries: Sequence[Mapping[str, Any]]) -> None:
        """Append entries.

        :raises StoreError: when they cannot be written; what is audited must not happen then.
        """
        with store_errors():
            pipeline = self._store.redis.pipeline(transaction=False)
            for entry in audit_entries(entries):
                pipeline.xadd(keys.AUDIT, {"entry": entry}, maxlen=self._store.audit.length, approximate=True)
            await pipeline.execute()

    async def write_controls(
        self, device_id: str, fields: Sequence[str], entries: Sequence[Mapping[str, Any]]
    ) -> list[Any]:
        """Append entries of controls, each with the last known value of its point (``term_id:item_id``) as
        ``before``; returns these values.

        :raises StoreError: when they cannot be written.
        """
        partition = keys.partition_of(device_id, self._store.partitions)
        values: bytes = await self._store.fcall(
            "command_audit",
            [keys.AUDIT, keys.latest(partition, device_id)],
            [self._store.audit.length, len(entries), *audit_entries(entries), *fields],
        )
        return _decode_values(values)

    async def length(self) -> int:
        """How many entries there are.

        :raises StoreError: when the store is away.
        """
        with store_errors():
            return int(await self._store.redis.xlen(keys.AUDIT))

    async def read(self, wanted: AuditFilter, limit: int, before: str | None = None) -> AuditPage:
        """The newest entries that match, at most ``limit``, all older than the entry ``before``.

        :raises StoreError: when the store is away.
        """
        if before is not None and set(before) <= {"0", "-"}:
            return AuditPage([])  # the store refuses to look before its very first id
        matches = _Matcher(wanted)
        newest = _LAST if wanted.until is None else _milliseconds(wanted.until)
        oldest = 0 if wanted.since is None else _milliseconds(wanted.since)
        start = f"{newest}" if before is None or int(before.partition("-")[0]) > newest else f"({before}"
        found: list[dict[str, Any]] = []
        size = 0
        pace = Pace()
        while True:
            with store_errors():
                rows = cast(
                    "list[tuple[bytes, dict[bytes, bytes]]]",
                    await self._store.binary.xrevrange(keys.AUDIT, start, str(oldest), count=CHUNK),
                )
            for entry_id, fields in rows:
                await pace.rest()
                text = fields.get(b"entry", b"")
                entry = matches(entry_id.decode(), text)
                if entry is None:
                    continue
                found.append(entry)
                size += len(text)
                if len(found) >= limit or size >= PAGE_BYTES:
                    return AuditPage(found, entry["id"])
            if len(rows) < CHUNK:
                return AuditPage(found)
            start = f"({rows[-1][0].decode()}"


class _Matcher:
    """Decodes an entry when it is wanted; ``None`` when not, or when another program has put it there."""

    def __init__(self, wanted: AuditFilter) -> None:
        self._wanted = wanted
        self._action = _glob(wanted.action)
        self._object = _glob(wanted.object)

    def __call__(self, entry_id: str, text: bytes) -> dict[str, Any] | None:
        try:
            stored = _decode(text)
        except msgspec.DecodeError:
            return None
        entry = _normal(entry_id, stored)
        return entry if self._wants(entry) else None

    def _wants(self, entry: Mapping[str, Any]) -> bool:
        wanted, devices = self._wanted, entry["devices"]
        return (
            (wanted.user is None or entry["user"] == wanted.user)
            and (wanted.device_id is None or wanted.device_id in devices)
            and (wanted.failed is None or failed(entry["result"]) is wanted.failed)
            and (self._action is None or self._action.match(entry["action"]) is not None)
            and (self._object is None or self._is_about(self._object, entry))
            and (wanted.sees is None or (bool(devices) and all(map(wanted.sees, devices))))
        )

    @staticmethod
    def _is_about(pattern: Pattern[str], entry: Mapping[str, Any]) -> bool:
        """A batch, a clone or an import is also about each object in it, by its new key and by its old one."""
        if pattern.match(entry["object"]) is not None:
            return True
        changes = entry.get("changes")
        return isinstance(changes, list) and any(
            isinstance(name, str) and pattern.match(name) is not None
            for change in changes
            if isinstance(change, dict)
            for name in (change.get("key"), change.get("renamed_from"))
        )


_decode_values = msgspec.json.Decoder(list[Any]).decode
_decode = msgspec.json.Decoder(dict[str, Any]).decode


def audit_view(entry_id: str, text: bytes) -> dict[str, Any]:
    """A stored entry as it is shown.

    :raises msgspec.DecodeError: it is none.
    """
    return _normal(entry_id, _decode(text))


def _glob(text: str | None) -> Pattern[str] | None:
    return None if text is None else compile_pattern(translate(text))


def _milliseconds(moment: float) -> int:
    return int(min(max(moment * 1000, 0), _LAST))


def failed(result: str | None) -> bool | None:
    """Whether the ``result`` of an entry is a failure; ``None`` of an intention, which has none."""
    return None if result is None else result != "ok" and not result.startswith("ok (")


def _normal(entry_id: str, stored: dict[str, Any]) -> dict[str, Any]:
    """An entry as it is shown. Its time is that of its id, by the store's clock: one clock and one order for all.

    The device of a control stands in its object alone. The first release wrote 200 or counts as the result of what
    succeeded, and no devices of changes.
    """
    stored = {name: value for name, value in stored.items() if name not in {"id", "time"}}
    action, name = str(stored.pop("action", "")), str(stored.pop("object", ""))
    result = stored.pop("result", None)
    if isinstance(result, dict):
        stored["counts"] = result
        result = "ok"
    elif result is not None and not isinstance(result, str):
        result = "ok"
    devices = stored.pop("devices", None)
    if devices is None:
        devices = [name.partition(":")[0]] if action == "ctrl" else []
    elif not isinstance(devices, list) or not all(isinstance(one, str) for one in devices):
        devices = []  # no entry of ours: it is nobody's but of those who see everything
    return {
        "id": entry_id,
        "time": time_to_wire(int(entry_id.partition("-")[0]) / 1000),
        "action": action,
        "user": str(stored.pop("user", "")),
        "source": str(stored.pop("source", "")),
        "object": name,
        "before": stored.pop("before", None),
        "after": stored.pop("after", None),
        "result": result,
        "devices": devices,
        **stored,
    }
