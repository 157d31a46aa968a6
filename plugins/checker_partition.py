"""What the checker knows of one partition: its devices, what is kept of them in the store, what was found out.

Keys of the state: ``point:d:t:i`` has the state of a point that is not at rest; ``rules:d`` tells which rules the
points of a device had, so that one with other rules is begun anew, also when they were changed while nobody ran;
``seen:`` is the id of the last transition of an alarm that was looked at.

The alarms of a point that is deleted end in the store at once. When it is made again right then, the model shows
nothing of that, but the transitions do: a condition that counts here, and whose alarm was removed, is begun anew.
"""

from __future__ import annotations

import asyncio
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from math import inf
from typing import Any, Final

import msgspec

from pydatacoll.model import DeviceBatch, PointId, Sample, time_to_wire
from pydatacoll.model.alarm import CHANGES, Condition
from pydatacoll.model.quality import quality_to_wire
from pydatacoll.sdk import Effects, PluginContext

from .checker_points import (
    DevicePoints,
    decode_digests,
    encode_digests,
    sample_of,
    watches_of,
)
from .checker_rules import STALE, Checked, Found, Watch, gone

TRIES: Final = 5
"""How often, a second apart, the latest value of a new point is looked for: a renamed one has it in a moment."""
SEEN: Final = "seen:"
TRANSITIONS: Final = 500
"""Read at once."""

_json = msgspec.json.encode


@dataclass(slots=True)
class _Awaited:
    """A point without a value, since when (epoch seconds), and how often one was looked for."""

    checked: Checked
    since: float
    tries: int = 0


class CheckedPartition:
    """One partition.

    :ivar changed: devices of which the model says something else than before.
    """

    def __init__(self, context: PluginContext, number: int, state: dict[str, bytes]) -> None:
        self._context = context
        self._number = number
        self._stored = dict(state)
        self._devices: dict[str, DevicePoints] = {}
        self._restless: dict[PointId, Checked] = {}  # all that have a state in the store
        self._awaited: dict[PointId, _Awaited] = {}
        self._effects = _no_effects()
        self._alone_since: float | None = -inf
        self.changed = {key.split(":")[1] for key in state if key != SEEN}

    def devices(self) -> set[str]:
        """Devices with points that are watched."""
        return set(self._devices)

    @property
    def pending(self) -> bool:
        """Whether there is something to be committed."""
        return bool(self._effects.state or self._effects.conditions)

    def effects(self) -> Effects | None:
        """What has to be committed since the last time."""
        effects = self._effects
        if not self.pending:
            return None
        self._effects = _no_effects()
        return effects

    def check(self, batch: DeviceBatch, arrived: float) -> None:
        """Take the values of a device.

        :param arrived: when they were stored, epoch seconds by the store's clock.
        """
        device = self._devices.get(batch.device_id)
        if device is None:
            return
        if self._awaited:
            for field in batch.fields:
                self._awaited.pop(PointId(batch.device_id, *field.split(":")), None)
        if batch.late:
            for n, field in enumerate(batch.fields):
                if field in device.points:
                    device.points[field].late(sample_of(batch, n))
            return
        touched: dict[str, Checked] = {}
        for n in device.loud(batch):
            field = batch.fields[n]
            checked = device.points[field]
            sample = sample_of(batch, n)
            if not device.seen_before(field, sample, arrived):
                self._report(checked.watch, checked.take(sample, arrived))
                device.settled(field)
                touched[field] = checked
        self._keep(touched.values())

    async def elapse(self, now: float) -> None:
        """See what time alone changes (epoch seconds).

        :raises StoreError: when the store is away.
        """
        if self._awaited:
            await self._begin([one.checked for one in self._awaited.values()], now)
        if self._devices:
            await self._look_for_manager(now)
        due = [checked for checked in self._restless.values() if checked.due(now)]
        if not due:
            return
        latest = await self._context.store.latest([checked.watch.id for checked in due])
        for checked, sample in zip(due, latest, strict=True):
            if sample is not None and sample == checked.state.last:  # else there are others on their way to us
                self._report(checked.watch, checked.elapse(now))
                self._settle(checked)
        self._keep(due)

    async def _look_for_manager(self, now: float) -> None:
        """It is the device manager that marks what has no readings. As long as there is none that is done here."""
        before = self._alone_since
        if await self._context.store.managed(self._number):
            self._alone_since = None
            if before is not None:
                await self._renew(now)
        elif before is None or before == -inf:
            self._alone_since = now
        else:
            await self._grow_stale(now, now - before)

    async def _grow_stale(self, now: float, seconds: float) -> None:
        """Points that had no reading for so many seconds, at least."""
        devices = self._context.model.devices
        due = [
            checked
            for device_id, device in self._devices.items()
            if device_id in devices and devices[device_id].enabled
            for checked in device.points.values()
            if (limit := checked.watch.stale_after) is not None
            and limit <= seconds
            and "stale" not in checked.state.counts
        ]
        latest = await self._context.store.latest([checked.watch.id for checked in due]) if due else []
        for checked, sample in zip(due, latest, strict=True):
            if sample is not None and sample.value is not None:
                stale = Sample(now, sample.value, sample.quality | STALE)
                self._report(checked.watch, checked.take(stale, now))
                self._settle(checked)
        self._keep(due)

    async def _renew(self, now: float) -> None:
        """There is a manager again, which will mark what is stale: what grew stale here is what the store shows. A
        value that is the same as before may not be stored again."""
        stale = [checked for checked in self._restless.values() if "stale" in checked.state.counts]
        latest = await self._context.store.latest([checked.watch.id for checked in stale]) if stale else []
        for checked, sample in zip(stale, latest, strict=True):
            if sample is not None and not sample.quality & STALE:
                point = checked.watch.id
                self._report(checked.watch, checked.take(sample, now))
                self._devices[point.device_id].begun(_field(point), sample, now)
                self._settle(checked)
        self._keep(stale)

    async def refresh(self) -> None:
        """Take over what the model says of the devices that were changed.

        :raises StoreError: when the store is away.
        """
        fresh: list[Checked] = []
        known: list[Checked] = []
        while self.changed:
            for checked, is_new in self._rebuild(self.changed.pop()):
                (fresh if is_new else known).append(checked)
            await asyncio.sleep(0)  # many devices may have been changed at once, and one of them again meanwhile
        fresh, known = list(filter(self._in_use, fresh)), list(filter(self._in_use, known))
        for checked, samples in zip(known, await self._recent(known), strict=True):
            checked.remember(samples)
        await self._begin(fresh, self._context.wall())

    async def begin_removed(self) -> None:
        """Begin points anew whose alarms ended with a point of the same name.

        To be called when everything found out is committed: what counts here then is in the transitions.

        :raises StoreError: when the store is away.
        """
        last: dict[str, str] = {}
        seen = before = self._stored.get(SEEN, b"0-0").decode()
        while some := await self._context.store.transitions(self._number, seen, TRANSITIONS):
            seen = some[-1][0]
            last.update((one.alarm, one.event) for _, one in some if one.event in CHANGES)
        if seen == before:
            return
        self._put(SEEN, seen.encode())
        removed = [
            checked
            for point, checked in self._restless.items()
            if any(last.get(f"{point}:{kind}") == "remove" for kind in checked.state.counts)
        ]
        for checked in removed:
            point = checked.watch.id
            self._devices[point.device_id].points[_field(point)] = Checked(checked.watch)
            self._settle(checked)
            self._put(_key(point), None)
            del self._restless[point]
        fresh = [self._devices[one.watch.id.device_id].points[_field(one.watch.id)] for one in removed]
        await self._begin(fresh, self._context.wall())

    def counts(self) -> dict[str, int]:
        """For the status of the plugin."""
        states = [checked.state for checked in self._restless.values()]
        points = [checked for device in self._devices.values() for checked in device.points.values()]
        return {
            "points": len(points),
            "active": sum(len(state.counts) for state in states),
            "delayed": sum(len(state.since) for state in states),
            "failing_rules": sum(bool(checked.failure or checked.watch.problem) for checked in points),
        }

    def failure(self) -> str:
        """Why a rule gives nothing, of one of those that do."""
        for device in self._devices.values():
            for checked in device.points.values():
                if checked.failure or checked.watch.problem:
                    return f"{checked.watch.id}: {checked.watch.problem or checked.failure}"
        return ""

    def _rebuild(self, device_id: str) -> list[tuple[Checked, bool]]:
        """Points of a device that have to look back: those that are new or have other rules now (true), and those
        that were known before a start."""
        old = self._devices.pop(device_id, None)
        before = decode_digests(self._stored.get(f"rules:{device_id}"))
        watches = watches_of(device_id, self._context.model)
        points: dict[str, Checked] = {}
        found: list[tuple[Checked, bool]] = []
        for field, watch in watches.items():
            stored = self._stored.get(_key(watch.id))
            if before.get(field) != watch.digest:
                self._awaited.pop(watch.id, None)
                checked = Checked(watch)
                if stored is not None:
                    self._report(watch, checked.adopt(stored, self._context.wall()))
                found.append((checked, True))
            elif old is not None and field in old.points:
                checked = old.points[field]
                checked.watch = watch
            else:
                checked = Checked(watch, stored)
                if watch.memory:
                    found.append((checked, False))
            points[field] = checked
        for field in before.keys() - watches.keys():
            self._forget(PointId(device_id, *field.split(":")))
        if points:
            self._devices[device_id] = DevicePoints(points)
        self._put(f"rules:{device_id}", encode_digests(watches))
        self._keep(points.values())
        return found

    def _forget(self, point: PointId) -> None:
        """A point that is not watched any more."""
        now = self._context.wall()
        stored = self._stored.get(_key(point))
        for kind, change, sample in () if stored is None else gone(stored, now):
            condition = Condition(f"{point}:{kind}", change, time_to_wire(sample.time))
            self._effects.conditions.append(condition)
        self._put(_key(point), None)
        self._restless.pop(point, None)
        self._awaited.pop(point, None)

    async def _begin(self, fresh: Sequence[Checked], now: float) -> None:
        """Begin points with their latest values; those that have none are looked at again later.

        What then is newer than the point itself comes in the stream, and must not be taken before that.
        """
        for checked, samples in zip(fresh, await self._recent(fresh), strict=True):
            point = checked.watch.id
            awaited = self._awaited.pop(point, None) or _Awaited(checked, now)
            awaited.tries += 1
            if samples and (awaited.tries == 1 or samples[-1].time < awaited.since):
                checked.remember(samples[:-1])
                self._report(checked.watch, checked.take(samples[-1], now))
                self._devices[point.device_id].begun(_field(point), samples[-1], now)
                self._settle(checked)
            elif not samples and awaited.tries < TRIES:
                self._awaited[point] = awaited
        self._keep(fresh)

    async def _recent(self, points: Sequence[Checked]) -> list[list[Sample]]:
        """The samples of each point that it has to know, oldest first; the latest one at least."""
        store = self._context.store
        latest = await store.latest([checked.watch.id for checked in points]) if points else []
        found = [[] if sample is None else [sample] for sample in latest]
        by_size: dict[int, list[int]] = {}
        for n, checked in enumerate(points):
            if checked.watch.memory and found[n]:
                by_size.setdefault(checked.watch.memory, []).append(n)
        for size, places in by_size.items():
            recent = await store.recent([points[n].watch.id for n in places], size + 1)
            for n, samples in zip(places, recent, strict=True):
                found[n] = samples or found[n]
        return found

    def _in_use(self, checked: Checked) -> bool:
        point = checked.watch.id
        device = self._devices.get(point.device_id)
        return device is not None and device.points.get(_field(point)) is checked

    def _settle(self, checked: Checked) -> None:
        point = checked.watch.id
        self._devices[point.device_id].settled(_field(point))

    def _report(self, watch: Watch, found: Iterable[Found]) -> None:
        for kind, change, sample in found:
            self._context.counters[_COUNTERS[change]] += 1
            condition = Condition(
                f"{watch.id}:{kind}",
                change,
                time_to_wire(sample.time),
                _json(sample.value).decode(),
                _json(quality_to_wire(sample.quality)).decode(),
                _json(watch.limit(kind)).decode(),
                watch.priority,
                watch.message,
            )
            self._effects.conditions.append(condition)

    def _keep(self, touched: Iterable[Checked]) -> None:
        """Remember the state of points."""
        for checked in touched:
            point, blob = checked.watch.id, checked.stored()
            self._put(_key(point), blob)
            if blob is None:
                self._restless.pop(point, None)
            else:
                self._restless[point] = checked

    def _put(self, key: str, blob: bytes | None) -> None:
        if blob == self._stored.get(key):
            return
        self._effects.state[key] = blob
        if blob is None:
            self._stored.pop(key, None)
        else:
            self._stored[key] = blob


_COUNTERS: Final[dict[Any, str]] = {
    "raise": "alarms_raised",
    "clear": "alarms_cleared",
    "remove": "alarms_removed",
}


def _no_effects() -> Effects:
    return Effects(state={}, conditions=[])


def _key(point: PointId) -> str:
    return f"point:{point}"


def _field(point: PointId) -> str:
    return f"{point.term_id}:{point.item_id}"
