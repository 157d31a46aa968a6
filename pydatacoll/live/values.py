"""Values: read once from the store when somebody wants them, then followed in the data stream."""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import TYPE_CHECKING, Final

import msgspec

from pydatacoll.live.hub import Hub
from pydatacoll.live.pulse import Pulse
from pydatacoll.live.selection import Selection
from pydatacoll.model import Device, Term, TermItem
from pydatacoll.model.change import Change
from pydatacoll.model.quality import Quality
from pydatacoll.store import keys
from pydatacoll.store.client import Store
from pydatacoll.store.latest import last_ids, latest_of, readable, stream_id
from pydatacoll.store.pace import Pace
from pydatacoll.store.status import StatusReader
from pydatacoll.store.stream import StreamReader, decode_payload
from pydatacoll.supervise import Tasks

if TYPE_CHECKING:
    from pydatacoll.live.feed import Model

log = logging.getLogger(__name__)

AT_ONCE: Final = 50
"""Entries of a partition in one read."""
BLOCK: Final = 1.0
BEHIND: Final = 1000
"""Milliseconds by the store's clock: what is further behind is left out, for the latest values."""
SUSPENDED: Final = 10.0
"""Seconds without a look into the stream after which it may have been trimmed meanwhile."""
TOGETHER: Final = 20
"""Devices whose latest values are read with one command."""
AGAIN: Final = 3
"""How often the values of a device are read anew, one :data:`PERIOD` apart, after its points have changed."""
PERIOD: Final = 1.0
"""Seconds between two looks at who has managers."""


class Values:
    """Keeps the values of a hub up to date."""

    def __init__(
        self,
        store: Store,
        model: Model,
        virtual: Mapping[str, bool],
        hub: Hub,
        pulse: Pulse,
        *,
        on_links: Callable[[frozenset[int], Mapping[str, str]], None],
    ) -> None:
        """
        :param virtual: protocol -> whether its devices have values of their own, without a manager.
        :param on_links: called every second with the partitions without a manager, and with the links as stored.
        """
        self._on_links = on_links
        self._store = store
        self._status = StatusReader(store)
        self._model = model
        self._virtual = virtual
        self._hub = hub
        self._pulse = pulse
        self._selections: dict[Selection, set[str]] = {}
        """Each with the devices that are still to be loaded."""
        self._new: dict[Selection, None] = {}
        self._unloaded: dict[str, None] = {}
        self._again: dict[str, int] = {}
        """Devices to be read anew, so many times: their values may have been moved from another one."""
        self._affected: dict[str, None] = {}
        self._everything = False
        self._work = asyncio.Event()
        self.missing: frozenset[int] = frozenset()
        """Partitions that no manager owns."""
        self._places: dict[int, str] = {}

    # What is wanted

    def want(self, selection: Selection) -> None:
        """Keep a selection's values from now on."""
        self._selections[selection] = set()
        self._new[selection] = None
        self._work.set()

    def let_go(self, selection: Selection) -> None:
        """Nobody wants it any more."""
        self._selections.pop(selection, None)
        self._new.pop(selection, None)

    def ready(self, selection: Selection) -> bool:
        """Whether all its values are there."""
        return selection not in self._new and not self._selections.get(selection)

    # Life

    async def run(self) -> None:
        """Work until cancelled.

        :raises StoreError: when the store goes away; to be started again, what is known stays.
        """
        await self._model.loaded()
        unsubscribe = self._model.subscribe(self._on_model)
        try:
            partitions = range(self._store.partitions)
            names = [keys.stream(partition) for partition in partitions]
            self._places = dict(zip(partitions, await last_ids(self._store, names), strict=True))
            self.missing, stored = await self._status.overview()
            self._on_links(self.missing, stored)
            self._everything = True
            self._reload(self._hub.devices)
            self._work.set()
            async with Tasks() as tasks:
                tasks.start(self._follow(), "live values")
                tasks.start(self._prepare(), "live selections")
                tasks.start(self._watch(), "live managers")
                await tasks.failure()
        finally:
            unsubscribe()

    def _reload(self, device_ids: Iterable[str]) -> None:
        """Read the latest values of devices anew; until then what the stream has for them waits."""
        for device_id in device_ids:
            if self._hub.unload(device_id):
                self._unloaded[device_id] = None
        self._work.set()

    # The stream

    async def _follow(self) -> None:
        reader = StreamReader(self._store)
        hub, places = self._hub, self._places
        try:
            looked = time.monotonic()
            while True:
                found = await reader.read(places, count=AT_ONCE, block=BLOCK)
                now = time.monotonic()
                if now - looked > SUSPENDED:
                    self._reload(hub.devices)
                looked = now
                pace = Pace()
                for partition, entries in found.items():
                    for entry in entries:
                        place = stream_id(entry.id)
                        devices: set[str] = set()
                        try:
                            for batch in decode_payload(entry.payload):
                                if hub.apply(batch, place):
                                    devices.add(batch.device_id)
                        except (msgspec.DecodeError, ValueError):
                            log.warning("the entry %s of the data stream is not readable", entry.id)
                        places[partition] = entry.id
                        if devices:
                            self._pulse.changed(devices)
                        await pace.rest()
                    if len(entries) == AT_ONCE:
                        await self._catch_up(partition)
        finally:
            await reader.close()

    async def _catch_up(self, partition: int) -> None:
        """Leave out what is too far behind."""
        (last,) = await last_ids(self._store, [keys.stream(partition)])
        if stream_id(last)[0] - stream_id(self._places[partition])[0] > BEHIND:
            log.debug("live push leaves out a part of the stream of partition %d", partition)
            self._places[partition] = last
            self._reload([one for one in self._hub.devices if self._partition(one) == partition])

    def _partition(self, device_id: str) -> int:
        return keys.partition_of(device_id, self._store.partitions)

    # Selections, and what the model says

    def _on_model(self, changes: Sequence[Change] | None) -> None:
        if changes is None:
            self._everything = True
        else:
            registry = self._model.registry
            for change in changes:
                for one in (change.old, change.new):
                    if isinstance(one, Device):
                        self._affected[one.id] = None
                    elif isinstance(one, Term):
                        self._affected[one.device_id] = None
                    elif isinstance(one, TermItem) and one.term_id in registry.terms:
                        self._affected[registry.terms[one.term_id].device_id] = None
        self._work.set()

    async def _prepare(self) -> None:
        """Bring selections up to the model, and load what they want."""
        while True:
            await self._work.wait()
            self._work.clear()
            pace = Pace()
            if self._everything:
                self._everything = False
                self._affected |= dict.fromkeys([*self._model.registry.devices, *self._hub.devices])
            while self._affected:
                device_id = next(iter(self._affected))
                del self._affected[device_id]
                await self._device_changed(device_id, pace)
                await pace.rest()
            for selection in list(self._new):
                for device_id in list(self._model.registry.devices):
                    await self._resolve(selection, device_id, pace)
                    await pace.rest()
                self._new.pop(selection, None)
            await self._load(pace)
            self._pulse.wake_all()

    def _fields(self, device_id: str) -> frozenset[str]:
        return frozenset(f"{term.id}:{item.item_id}" for term, item in self._model.registry.points_of(device_id))

    async def _device_changed(self, device_id: str, pace: Pace) -> None:
        fields = self._fields(device_id)
        if self._hub.model(device_id, fields):
            self._reload([device_id])
            self._pulse.changed(None)
        for selection in list(self._selections):
            if selection not in self._new:
                await self._resolve(selection, device_id, pace)
        if device_id in self._unloaded:
            self._again[device_id] = AGAIN
        self._flag(device_id)

    async def _resolve(self, selection: Selection, device_id: str, pace: Pace) -> None:
        """Work out which points of a device a selection has, and see to it that they are loaded."""
        waiting = self._selections.get(selection)
        if waiting is None or not selection.has_device(device_id):
            return
        state = self._hub.devices.get(device_id)
        fields = self._fields(device_id) if state is None else state.fields
        selection.take(device_id, await pace.run(selection.points(device_id, fields)))
        if device_id not in selection.members:
            return
        if state is None:
            state = self._hub.watch(device_id, fields)
            self._flag(device_id)
            self._unloaded[device_id] = None
        if not state.loaded:
            waiting.add(device_id)

    async def _load(self, pace: Pace) -> None:
        while self._unloaded:
            unloaded, self._unloaded = self._unloaded, {}
            by_partition: dict[int, list[str]] = {}
            for device_id in unloaded:
                by_partition.setdefault(self._partition(device_id), []).append(device_id)
            for partition, device_ids in by_partition.items():
                for start in range(0, len(device_ids), TOGETHER):
                    some = device_ids[start : start + TOGETHER]
                    found, upto = await latest_of(self._store, partition, some)
                    for device_id, entries in zip(some, found, strict=True):
                        if device_id in self._unloaded:
                            continue  # asked for anew since: this may be older than what was left out
                        self._hub.load(device_id, dict(readable(entries.items())), upto)
                        for waiting in self._selections.values():
                            waiting.discard(device_id)
                        await pace.rest()
            self._pulse.changed(unloaded)

    # Managers

    async def _watch(self) -> None:
        """Look whose values nobody renews, and once more after values that were moved."""
        while True:
            await asyncio.sleep(PERIOD)
            self._hub.second()
            self._reload(self._again)
            self._again = {device_id: left - 1 for device_id, left in self._again.items() if left > 1}
            missing, stored = await self._status.overview()
            self._on_links(missing, stored)
            if missing != self.missing:
                self.missing = missing
                pace = Pace()
                for device_id in list(self._hub.devices):
                    self._flag(device_id)
                    await pace.rest()
                self._pulse.changed(None)

    def _flag(self, device_id: str) -> None:
        """Whether nobody renews the values of a device: it is disabled, without a driver, or without a manager."""
        device = self._model.registry.devices.get(device_id)
        if device is None:
            return
        virtual = self._virtual.get(device.protocol)
        idle = (
            not device.enabled or virtual is None or (not virtual and self._partition(device_id) in self.missing)
        )
        self._hub.flag(device_id, int(Quality.COMM_LOST) if idle else 0)
