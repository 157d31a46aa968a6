"""What managers say about their devices: link state at once, counters every few seconds.

Both live in one hash per partition, so that the state of a thousand devices is sixteen commands.
"""

from __future__ import annotations

import asyncio
import logging
from collections import deque
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import msgspec

from pydatacoll.model import time_to_wire
from pydatacoll.model.event import Event
from pydatacoll.store import keys
from pydatacoll.store.client import Store, store_errors
from pydatacoll.store.events import KEPT, event_fields
from pydatacoll.store.link_events import LinkEvents

log = logging.getLogger(__name__)

CONNECTED = "connected"
CONNECTING = "connecting"
BACKOFF = "backoff"
DISABLED = "disabled"
VIRTUAL = "virtual"
UNSUPPORTED = "unsupported"
NO_MANAGER = "no_manager"
STATES = (CONNECTED, CONNECTING, BACKOFF, DISABLED, VIRTUAL, UNSUPPORTED, NO_MANAGER)


class Link(msgspec.Struct, frozen=True):
    """State of the way to a device.

    :ivar state: ``connected``, ``connecting``, ``backoff`` (waiting to connect again), ``disabled``,
        ``virtual``, ``unsupported`` (no driver) or ``no_manager`` (nobody runs the device now).
    :ivar since: epoch seconds of the last change.
    :ivar last_error: why the link was lost or could not be made, kept until something was read over a new one.
    """

    state: str
    since: float | None = None
    last_error: str | None = None


_UNKNOWN = Link(NO_MANAGER)
_decode_link = msgspec.json.Decoder(Link).decode


def stored_link(text: str | None, *, managed: bool) -> Link:
    """A link as it is stored, or the state of a device that no manager runs now."""
    link = _decode_link(text) if text else _UNKNOWN
    return link if managed else Link(NO_MANAGER, link.since, link.last_error)


class StatusReader:
    """For the API. Lookups of the same moment share one round trip."""

    def __init__(self, store: Store) -> None:
        self._store = store
        self._waiting: dict[str, list[asyncio.Future[Link]]] = {}
        self._tasks: set[asyncio.Task[None]] = set()

    async def links(self, device_ids: Sequence[str]) -> list[Link]:
        """The link of each device.

        :raises StoreError: when the store is away.
        """
        loop = asyncio.get_running_loop()
        if not self._waiting and device_ids:
            loop.call_soon(self._start)
        futures = []
        for device_id in device_ids:
            future: asyncio.Future[Link] = loop.create_future()
            self._waiting.setdefault(device_id, []).append(future)
            futures.append(future)
        if len(futures) == 1:
            return [await futures[0]]
        return await asyncio.gather(*futures)

    def _start(self) -> None:
        waiting, self._waiting = self._waiting, {}
        task = asyncio.get_running_loop().create_task(self._fetch(waiting))
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    async def _fetch(self, waiting: dict[str, list[asyncio.Future[Link]]]) -> None:
        try:
            links = await self._read(waiting)
        except Exception as error:  # noqa: BLE001 - handed to the callers
            for futures in waiting.values():
                for future in futures:
                    if not future.done():
                        future.set_exception(error)
            return
        for device_id, futures in waiting.items():
            for future in futures:
                if not future.done():
                    future.set_result(links.get(device_id, _UNKNOWN))

    async def _read(self, device_ids: Iterable[str]) -> dict[str, Link]:
        by_partition: dict[int, list[str]] = {}
        for device_id in device_ids:
            by_partition.setdefault(keys.partition_of(device_id, self._store.partitions), []).append(device_id)
        links: dict[str, Link] = {}
        partitions = list(by_partition)
        with store_errors():
            pipeline = self._store.redis.pipeline(transaction=False)
            for partition in partitions:
                pipeline.exists(keys.lease(partition))
                pipeline.hmget(keys.link(partition), by_partition[partition])
            replies = await pipeline.execute()
        for n, partition in enumerate(partitions):
            leased, texts = replies[2 * n], replies[2 * n + 1]
            for device_id, text in zip(by_partition[partition], texts, strict=True):
                links[device_id] = stored_link(text, managed=bool(leased))
        return links

    async def device(self, device_id: str) -> dict[str, Any]:
        """Everything known about one device: link, owner, accounting, counters, protocol details."""
        partition = keys.partition_of(device_id, self._store.partitions)
        with store_errors():
            pipeline = self._store.redis.pipeline(transaction=False)
            pipeline.get(keys.lease(partition))
            pipeline.hget(keys.status(partition), device_id)
            owner, text = await pipeline.execute()
        detail: dict[str, Any] = msgspec.json.decode(text) if text else {}
        for name in ("reported", "last_seen"):
            if detail.get(name) is not None:
                detail[name] = time_to_wire(detail[name])
        return {"partition": partition, "manager": owner, **detail}

    async def all_devices(self) -> dict[str, dict[str, Any]]:
        """Last reported detail of every device, for ``/metrics``."""
        with store_errors():
            pipeline = self._store.redis.pipeline(transaction=False)
            for partition in range(self._store.partitions):
                pipeline.hgetall(keys.status(partition))
            replies = await pipeline.execute()
        return {device_id: msgspec.json.decode(text) for reply in replies for device_id, text in reply.items()}

    async def overview(self) -> tuple[frozenset[int], dict[str, str]]:
        """Partitions that no manager owns now, and the link of each device for :func:`stored_link`."""
        with store_errors():
            pipeline = self._store.redis.pipeline(transaction=False)
            for partition in range(self._store.partitions):
                pipeline.exists(keys.lease(partition))
                pipeline.hgetall(keys.link(partition))
            replies = await pipeline.execute()
        missing = frozenset(partition for partition, present in enumerate(replies[::2]) if not present)
        return missing, {device_id: text for reply in replies[1::2] for device_id, text in reply.items()}

    async def managers_missing(self) -> list[int]:
        """Partitions that no manager owns now."""
        with store_errors():
            pipeline = self._store.redis.pipeline(transaction=False)
            for partition in range(self._store.partitions):
                pipeline.exists(keys.lease(partition))
            found = await pipeline.execute()
        return [partition for partition, present in enumerate(found) if not present]

    async def unmanaged(self, device_ids: Iterable[str]) -> frozenset[str]:
        """Those devices that no manager runs now."""
        missing = frozenset(await self.managers_missing())
        if not missing:
            return frozenset()
        partitions = self._store.partitions
        return frozenset(one for one in device_ids if keys.partition_of(one, partitions) in missing)


class StatusWriter:
    """For a manager: collects changes and writes them in few commands."""

    def __init__(self, store: Store) -> None:
        self._store = store
        self._link_events = LinkEvents()
        self._events: deque[Event] = deque(maxlen=KEPT)
        self._links: dict[str, Link] = {}
        self._details: dict[str, Mapping[str, Any]] = {}
        self._wake = asyncio.Event()

    def link(self, device_id: str, link: Link) -> None:
        """Take a changed link; the last one wins. That it was lost, or is there again, is an event besides."""
        self._links[device_id] = link
        event = self._link_events.take(device_id, link.state, link.last_error)
        if event is not None:
            self._events.append(event)
        self._wake.set()

    def detail(self, device_id: str, detail: Mapping[str, Any]) -> None:
        """Take a device's counters; written with the next round."""
        self._details[device_id] = detail
        self._wake.set()

    def forget(self, device_id: str) -> None:
        self._links.pop(device_id, None)
        self._details.pop(device_id, None)
        self._link_events.forget(device_id)

    async def run(self) -> None:
        """Write until cancelled; while the store is away the newest state is kept and written later."""
        while True:
            await self._wake.wait()
            self._wake.clear()
            try:
                await self.flush()
            except Exception as error:  # noqa: BLE001 - status must never stop collection
                log.debug("status not written: %s", error)
                await asyncio.sleep(0.5)
                self._wake.set()

    async def flush(self) -> None:
        """Write what is waiting.

        :raises StoreError: when the store is away; nothing is lost then.
        """
        links, self._links = self._links, {}
        details, self._details = self._details, {}
        events = list(self._events)
        self._events.clear()
        encode = msgspec.json.encode
        mapping: dict[str, dict[str | bytes | int | float, str | bytes | int | float]] = {}
        for device_id, link in links.items():
            name = keys.link(keys.partition_of(device_id, self._store.partitions))
            mapping.setdefault(name, {})[device_id] = encode(link)
        for device_id, detail in details.items():
            name = keys.status(keys.partition_of(device_id, self._store.partitions))
            mapping.setdefault(name, {})[device_id] = encode(detail)
        if not mapping and not events:
            return
        try:
            with store_errors():
                pipeline = self._store.redis.pipeline(transaction=False)
                for name, fields in mapping.items():
                    pipeline.hset(name, mapping=fields)  # type: ignore[arg-type]
                for event in events:
                    pipeline.xadd(keys.EVENTS, event_fields(event), maxlen=KEPT)  # type: ignore[arg-type]
                await pipeline.execute()
        except BaseException:
            self._links = links | self._links
            self._details = details | self._details
            self._events.extendleft(reversed(events))
            raise
