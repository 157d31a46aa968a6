"""Cleaning up after deleted points: samples that were under way have created their data anew."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Iterable
from dataclasses import dataclass

from pydatacoll.errors import StoreError
from pydatacoll.model import PointId
from pydatacoll.store import keys
from pydatacoll.store.client import Store, store_errors
from pydatacoll.store.history import History
from pydatacoll.store.ingest import Writer
from pydatacoll.store.repository import Repository

log = logging.getLogger(__name__)

AGAIN = 1.0
"""Seconds until the next try when the store is away."""


@dataclass(frozen=True, slots=True)
class _Gone:
    """Points that are no longer configured, by ``term_id:item_id``; ``whole`` when their device is gone."""

    device_id: str
    fields: set[str]
    whole: bool = False


class Garbage:
    """What is to be deleted; :meth:`run` does it when :meth:`collect` says that there is something. Its length is
    how many devices wait for that."""

    def __init__(self, store: Store, repository: Repository, history: History, writer: Writer) -> None:
        self._store = store
        self._repository = repository
        self._history = history
        self._writer = writer
        self._gone: list[_Gone] = []
        self._leftovers: set[int] = set()
        self._waits = asyncio.Event()

    def __len__(self) -> int:
        return len(self._gone)

    def points(self, device_id: str, fields: set[str]) -> None:
        """These points of a device are gone."""
        self._gone.append(_Gone(device_id, fields))

    def device(self, device_id: str, fields: set[str]) -> None:
        """A device is gone, with the points that it had here."""
        self._gone.append(_Gone(device_id, fields, whole=True))

    def leftovers(self, partitions: Iterable[int]) -> None:
        """Partitions in which there may be data of devices that were deleted while no manager was there to clean
        up after itself."""
        self._leftovers.update(partitions)

    def collect(self) -> None:
        """All that is gone is stopped."""
        self._waits.set()

    async def run(self) -> None:
        """Delete until cancelled."""
        while True:
            while not self._gone and not self._leftovers:
                self._waits.clear()
                await self._waits.wait()
            try:
                await self._find_leftovers()
                await self._delete()
            except StoreError as error:
                log.debug("deleted points not cleaned up yet: %s", error)
                await asyncio.sleep(AGAIN)

    async def _find_leftovers(self) -> None:
        await self._repository.loaded()
        while self._leftovers:
            partition = next(iter(self._leftovers))
            with store_errors():
                devices = await self._store.redis.smembers(keys.data_devices(partition))
            known = self._repository.registry.devices
            for one in map(str, devices):
                if one not in known:
                    self.device(one, set())
            self._leftovers.discard(partition)

    async def _delete(self) -> None:
        """
        :raises StoreError: when the store is away; nothing is forgotten then.
        """
        gone, self._gone = self._gone, []
        for one in gone:
            if one.whole:
                self._writer.discard(one.device_id)
        await self._writer.barrier()
        registry = self._repository.registry
        points: list[PointId] = []
        devices: list[str] = []
        try:
            for one in gone:
                configured = {f"{term.id}:{item.item_id}" for term, item in registry.points_of(one.device_id)}
                fields = one.fields - configured
                if one.whole and one.device_id not in registry.devices:
                    fields |= (await self._history.latest_of_device(one.device_id)).keys()
                    devices.append(one.device_id)
                points += [PointId(one.device_id, *field.split(":")) for field in fields]
            if points or devices:
                await self._repository.drop_data(points, devices)
        except StoreError:
            self._gone = gone + self._gone
            raise
