"""The audit trail: who changed or controlled what, before, after, result."""

from __future__ import annotations

import time
from collections.abc import Iterable
from typing import Any

import msgspec

from pydatacoll.model import time_to_wire
from pydatacoll.store import keys
from pydatacoll.store.client import Store, store_errors

MAX_ENTRIES = 100_000
"""About; the oldest are trimmed."""


def audit_entry(entry: dict[str, Any]) -> bytes:
    """The JSON of an entry: ``time`` and whatever is given."""
    return audit_entries([entry])[0]


def audit_entries(entries: Iterable[dict[str, Any]]) -> list[bytes]:
    """The JSON of entries of one moment."""
    now = time_to_wire(time.time())
    encode = msgspec.json.encode
    return [encode({"time": now, **entry}) for entry in entries]


class Audit:
    """Appends to ``STREAM:AUDIT``."""

    def __init__(self, store: Store) -> None:
        self._store = store

    async def write(self, entry: dict[str, Any]) -> None:
        """Append one entry.

        :raises StoreError: when it cannot be written; what is audited must not happen then.
        """
        with store_errors():
            await self._store.redis.xadd(
                keys.AUDIT,
                {"entry": audit_entry(entry)},
                maxlen=MAX_ENTRIES,
                approximate=True,
            )
