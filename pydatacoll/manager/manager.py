"""The device manager: devices of the owned partitions, following the model, writing into the store."""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from contextlib import suppress
from pathlib import Path

from pydatacoll.errors import StoreError
from pydatacoll.manager.garbage import Garbage
from pydatacoll.manager.identity import manager_name
from pydatacoll.manager.inspection import Inspector
from pydatacoll.manager.link_log import LinkLog
from pydatacoll.manager.ownership import Ownership
from pydatacoll.manager.pipeline import DeviceSink
from pydatacoll.manager.runner import DeviceRunner
from pydatacoll.manager.self_report import SelfReport
from pydatacoll.manager.trail import Trail
from pydatacoll.model import Device, Term, TermItem
from pydatacoll.model.change import Change
from pydatacoll.model.network import Networks
from pydatacoll.sdk import DeviceDriver, DeviceOffline, Point
from pydatacoll.settings import Settings
from pydatacoll.store import keys
from pydatacoll.store.audit import Audit
from pydatacoll.store.client import Store
from pydatacoll.store.clock import StoreClock
from pydatacoll.store.command_messages import CommandReply, Kind, Part
from pydatacoll.store.command_server import CommandServer
from pydatacoll.store.history import History
from pydatacoll.store.ingest import Writer
from pydatacoll.store.leases import Leases
from pydatacoll.store.queries import QueryServer
from pydatacoll.store.repository import Repository
from pydatacoll.store.status import DISABLED, UNSUPPORTED, VIRTUAL, Link, StatusWriter
from pydatacoll.store.stream import trim
from pydatacoll.supervise import start

log = logging.getLogger(__name__)

FLUSH = 1.0
"""Seconds in which a partition's last samples are stored before it is given to another manager."""
REPORT = 2.0
"""Seconds between two reports of a device's counters."""


class DeviceManager:
    """Runs the devices of its partitions. ``async with`` starts and stops it."""

    def __init__(
        self,
        store: Store,
        repository: Repository,
        drivers: Mapping[str, type[DeviceDriver]],
        settings: Settings,
    ) -> None:
        self.id = manager_name()
        self._store = store
        self._repository = repository
        self._drivers = drivers
        self._settings = settings
        self._history = History(store)
        self.writer = Writer(
            store,
            self.id,
            owner=self.id,
            lease=settings.manager.lease,
            buffer=settings.manager.buffer,
            batch=settings.manager.batch,
            stream_bytes=settings.stream.max_bytes,
            on_lost=self._lease_lost,
        )
        self._status = StatusWriter(store)
        self._networks = Networks(settings.manager.networks)
        self._certificates = Path(settings.manager.certificates or Path(settings.data_dir, "certificates"))
        self.runners: dict[str, DeviceRunner] = {}
        inspector = Inspector(self.runners, drivers, self._networks, self._certificates)
        queries = QueryServer(store, self._owns, inspector.answer)
        self._commands = CommandServer(store, self._owns, self._execute, self.writer.hold, queries)
        self._leases = Leases(store, self.id, settings.manager.lease)
        self._ownership = Ownership(
            self._leases,
            self.id,
            partitions=store.partitions,
            seconds=settings.manager.lease,
            on_gain=self._gain,
            on_loss=self._loss,
        )
        self._links = LinkLog()
        self._trail = Trail(Audit(store))
        self._marking = asyncio.Lock()
        self._self_report = SelfReport(store, self.id, self.writer, lambda: len(self.runners))
        self._tasks: dict[str, asyncio.Task[None]] = {}
        self._ended: dict[str, DeviceRunner] = {}
        self._services: list[asyncio.Task[None]] = []
        self._affected: set[str] = set()
        self._everything = False
        self._model_changed = asyncio.Event()
        self._reconciling = asyncio.Lock()
        self._garbage = Garbage(store, repository, self._history, self.writer)
        self._unsubscribe: Callable[[], None] = _nothing

    # Life

    async def __aenter__(self) -> DeviceManager:
        self._unsubscribe = self._repository.subscribe(self._on_model)
        self._services = [
            start("writer", self.writer.run),
            start("status writer", self._status.run),
            start("command server", self._commands.run),
            start("model follower", self._follow_model),
            start("ownership", self._ownership.run),
            start("clean-up", self._garbage.run),
            start("status report", self._report),
            start("stream trimming", self._trim),
            start("link summary", self._links.run),
            start("audit trail", self._trail.run),
            start("own report", self._self_report.run),
        ]
        return self

    async def __aexit__(self, *_: object) -> None:
        """Stop polling, store what was read, then give the partitions back."""
        self._unsubscribe()
        self._stop_services(
            {task.get_name() for task in self._services} - {"writer", "status writer", "audit trail"}
        )
        await self._stop(list(self.runners))
        with suppress(TimeoutError):
            async with asyncio.timeout(3.0):
                await self.writer.flush()
        with suppress(StoreError):
            await self._status.flush()
            await self._self_report.end()
            await self._ownership.release()
        self._stop_services(None)
        await asyncio.gather(*self._services, return_exceptions=True)
        if self.writer.pending:
            log.warning("%d samples could not be stored before the end", self.writer.pending)

    def _stop_services(self, names: set[str] | None) -> None:
        for task in self._services:
            if names is None or task.get_name() in names:
                task.cancel()

    # Ownership

    def _partition(self, device_id: str) -> int:
        return keys.partition_of(device_id, self._store.partitions)

    def _owns(self, device_id: str) -> bool:
        return self._partition(device_id) in self._ownership.owned

    def _lease_lost(self, partition: int) -> None:
        self._ownership.lost(partition)

    async def _gain(self, partitions: set[int]) -> None:
        devices = [d for d in self._repository.registry.devices if self._partition(d) in partitions]
        await self._reconcile(devices)
        self._garbage.leftovers(partitions)
        self._garbage.collect()

    async def _loss(self, partitions: set[int]) -> None:
        await self._stop([d for d in self.runners if self._partition(d) in partitions])
        with suppress(TimeoutError):
            async with asyncio.timeout(FLUSH):  # what was read goes in before another manager begins
                await self.writer.barrier()

    # Following the model

    def _on_model(self, changes: Sequence[Change] | None) -> None:
        if changes is None:
            self._everything = True
        else:
            for change in changes:
                self._affected.update(self._devices_of(change))
        self._model_changed.set()

    def _devices_of(self, change: Change) -> Iterable[str]:
        for one in (change.old, change.new):
            if one is None:
                continue
            if isinstance(one, Device):
                yield one.id
            elif isinstance(one, Term):
                yield one.device_id
            elif isinstance(one, TermItem):
                term = self._repository.registry.terms.get(one.term_id)
                if term is not None:
                    yield term.device_id

    async def _follow_model(self) -> None:
        while True:
            await self._model_changed.wait()
            self._model_changed.clear()
            affected, self._affected = self._affected, set()
            if self._everything:
                self._everything = False
                affected = set(self._repository.registry.devices) | set(self.runners)
                await self._store_everything_again()
            await self._reconcile([device_id for device_id in affected if self._owns(device_id)])
            self._garbage.collect()

    async def _store_everything_again(self) -> None:
        """The model was read anew, perhaps from an emptied store: the link states may be gone, too."""
        for runner in self.runners.values():
            self._status.link(runner.device.id, runner.link)

    async def _reconcile(self, device_ids: Iterable[str]) -> None:
        """Make the running devices what the model says. The registry is the truth, not the change."""
        async with self._reconciling:
            for number, device_id in enumerate(device_ids):
                if not self._owns(device_id):
                    continue
                await self._reconcile_one(device_id)
                if number % 50 == 49:
                    await asyncio.sleep(0)

    async def _reconcile_one(self, device_id: str) -> None:
        device = self._repository.registry.devices.get(device_id)
        runner = self.runners.get(device_id)
        fields = set() if runner is None else {point.field for point in runner.points}
        driver_type = None if device is None else self._drivers.get(device.protocol)
        runnable = device is not None and device.enabled and driver_type is not None and not driver_type.virtual
        if runner is not None and (not runnable or not _same_link(runner.device, device)):
            await self._stop([device_id])
            if device is not None and not runnable:
                self._ended[device_id] = runner
            runner = None
        if device is None:
            self._garbage.device(device_id, fields)
            self._status.forget(device_id)
            return
        if driver_type is None or not runnable:
            self._idle_link(device, driver_type)
            return
        registry = self._repository.registry
        terms = [registry.terms[term_id] for term_id in sorted(registry.terms_of(device_id))]
        points = [
            Point(term, item) for term, item in registry.points_of(device_id) if item.protocol_code is not None
        ]
        if runner is not None:
            self._update(runner, device, terms, points)
        else:
            await self._start(device, terms, points, driver_type)

    def _idle_link(self, device: Device, driver_type: type[DeviceDriver] | None) -> None:
        state = UNSUPPORTED if driver_type is None else DISABLED if not device.enabled else VIRTUAL
        error = f"no driver for protocol {device.protocol!r}" if driver_type is None else None
        self._status.link(device.id, Link(state, time.time(), error))

    def _update(self, runner: DeviceRunner, device: Device, terms: list[Term], points: list[Point]) -> None:
        runner.device = device
        runner.keep_frames()
        old = {point.field: (point.term, point.item) for point in runner.points}
        new = {point.field: (point.term, point.item) for point in points}
        if (old, runner.terms) == (new, terms):
            return
        runner.reconfigure(terms, points)
        gone = set(old) - set(new)
        if gone:
            self._garbage.points(device.id, gone)
        log.info("device %s: %d points, new plan", device.id, len(points))

    async def _start(
        self, device: Device, terms: list[Term], points: list[Point], driver_type: type[DeviceDriver]
    ) -> None:
        sink = DeviceSink(device.id, self._partition(device.id), self.writer, self._settings.history.length)
        with suppress(StoreError):
            sink.remember(await self._history.latest_of_device(device.id))
        runner = DeviceRunner(
            device,
            terms,
            points,
            driver_type,
            sink=sink,
            writer=self.writer,
            status=self._status,
            settings=self._settings.manager,
            links=self._links,
            tell=self._trail.tell,
            marking=self._marking,
            networks=self._networks,
            certificates=self._certificates,
        )
        self.runners[device.id] = runner
        self._tasks[device.id] = start(f"device {device.id}", runner.run)

    async def _stop(self, device_ids: Sequence[str]) -> None:
        tasks = []
        for device_id in device_ids:
            runner = self.runners.pop(device_id, None)
            task = self._tasks.pop(device_id, None)
            if task is not None:
                task.cancel()
                tasks.append(task)
            if runner is not None:
                self._status.forget(device_id)
                self._links.forget(device_id)
        if tasks:
            await asyncio.gather(*tasks, return_exceptions=True)

    # Services

    async def _execute(self, kind: Kind, device_id: str, parts: list[Part], left: float) -> list[CommandReply]:
        runner = self.runners.get(device_id)
        if runner is None:
            error = DeviceOffline(f"device {device_id} is not running")
            return [CommandReply.failed(error)] * len(parts)
        return await runner.execute(kind, parts, left)

    async def _report(self) -> None:
        while True:
            for number, (device_id, runner) in enumerate(list(self.runners.items())):
                runner.confirm()
                self._status.link(device_id, runner.link)
                self._status.detail(device_id, runner.detail())
                if number % 50 == 49:
                    await asyncio.sleep(0.001)
            self._report_ended()
            await asyncio.sleep(REPORT)

    def _report_ended(self) -> None:
        """The account of a device that was disabled goes on until all that was read from it is stored."""
        for device_id, runner in list(self._ended.items()):
            known = device_id in self._repository.registry.devices and self._owns(device_id)
            if known and device_id not in self.runners:
                self._status.detail(device_id, runner.detail())
                if runner.sink.account.pending:
                    continue
            del self._ended[device_id]

    async def _trim(self) -> None:
        clock = StoreClock(self._store)
        while True:
            for partition in sorted(self._ownership.owned):
                with suppress(StoreError):
                    now = await clock.now()  # entries carry the store's time
                    dropped = await trim(self._store, partition, self._settings.stream.retention, now)
                    for group, samples in dropped.items():
                        log.error("%d samples were dropped before plugin %s had read them", samples, group)
            await asyncio.sleep(1.0)


def _same_link(old: Device, new: Device | None) -> bool:
    """Whether a changed device can go on with its connection: only names and texts differ, or what is logged."""
    if new is None or type(old) is not type(new):
        return False
    free = {"name", "description", "identify", "frame_log"}
    return all(getattr(old, name) == getattr(new, name) for name in old.__struct_fields__ if name not in free)


def _nothing() -> None:
    """Stands for what has not been subscribed."""
