"""``STREAM:EVENT``: what happened to links, managers, plugins and the store. The last ones are kept.

Steps of alarms, changes of the model and controls have streams of their own; :mod:`pydatacoll.store.event_log`
shows them together.
"""

from __future__ import annotations

import logging
from collections.abc import Sequence
from typing import Final

import msgspec

from pydatacoll.model.event import Event
from pydatacoll.store import keys
from pydatacoll.store.client import Store, store_errors

log = logging.getLogger(__name__)

KEPT: Final = 10_000
"""Events, about. Also in ``leases.lua``."""

_decode = msgspec.json.Decoder(Event).decode


def event_fields(event: Event) -> dict[str | bytes, bytes]:
    """The fields of an entry of the stream."""
    return {"event": msgspec.json.encode(event)}


def read_event(fields: dict[bytes, bytes]) -> Event | None:
    """Inverse of :func:`event_fields`; ``None`` for what is not readable."""
    try:
        return _decode(fields.get(b"event", b""))
    except msgspec.DecodeError as error:
        log.warning("an event is not readable: %s", error)
        return None


async def note(store: Store, events: Sequence[Event]) -> None:
    """Add events.

    :raises StoreError: when the store is away.
    """
    with store_errors():
        pipeline = store.redis.pipeline(transaction=False)
        for event in events:
            pipeline.xadd(keys.EVENTS, event_fields(event), maxlen=KEPT, approximate=True)  # type: ignore[arg-type]
        await pipeline.execute()
