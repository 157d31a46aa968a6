"""The present state of everything that is watched, in the order in which it changed. Pure.

Every change has a number. The newest state of each point stands once, in order of change, and that is all there is
to it: who has seen everything up to a number gets what stands behind it. So a client that is slow, or comes back
after a break, gets the newest value of what it has missed, and costs no memory.

A sample that only confirms what is known, same value and quality at a newer time, gets its number later, together
with all others of its kind: see :meth:`Hub.confirm`. So a change need not wait until thousands of confirmations
have been told.
"""

from __future__ import annotations

import logging
import secrets
from collections import deque
from collections.abc import Collection, Iterator, Mapping
from typing import Final

from pydatacoll.codec.entry import row_json
from pydatacoll.live.cells import Cell, DeviceState, StreamId
from pydatacoll.live.changes import AlarmState, Changes, Event
from pydatacoll.live.messages import Topic
from pydatacoll.live.selection import Selection
from pydatacoll.model.batch import DeviceBatch
from pydatacoll.model.quality import Quality
from pydatacoll.model.sample import Sample

log = logging.getLogger(__name__)

GONE_KEPT: Final = 20_000
"""Points that are gone which are remembered."""
STATES_KEPT: Final = 20_000
"""Alarms that went back to normal, and devices that are gone, which are remembered."""
EVENTS_KEPT: Final = 1_000
SMOOTH: Final = 0.2
"""Weight of the last second in the rate of a device."""


class Hub:
    """All that is watched.

    :ivar epoch: names one life of these numbers.
    :ivar seq: number of the last change.
    :ivar seconds: how many have gone by; rates are known after the first whole one.
    :ivar devices: those that are watched, that whose values changed last at the end.
    """

    def __init__(self) -> None:
        self.epoch = secrets.token_urlsafe(9)
        self.seq = 0
        self.seconds = 0
        self.devices: dict[str, DeviceState] = {}
        self.links: Changes[str, str] = Changes(STATES_KEPT)
        self.alarms: Changes[str, AlarmState] = Changes(STATES_KEPT)
        self.events: deque[tuple[int, Event]] = deque(maxlen=EVENTS_KEPT)
        self._confirmed: dict[str, None] = {}
        self._gone: deque[tuple[int, str, str]] = deque()
        self._gone_floor = 0

    # Values

    def watch(self, device_id: str, fields: frozenset[str]) -> DeviceState:
        """A device whose values are wanted from now on."""
        state = self.devices.get(device_id)
        if state is None:
            state = self.devices[device_id] = DeviceState(device_id, fields)
            state.seq = self.seq  # it stands at the end, behind those that changed before
        return state

    def apply(self, batch: DeviceBatch, entry: StreamId) -> bool:
        """Take samples from the stream, in order; returns whether a value or a quality changed."""
        state = self.devices.get(batch.device_id)
        if state is None or batch.late or (state.loaded and entry <= state.upto):
            return False
        state.samples += len(batch.fields)
        cells, fields, confirmed = state.cells, state.fields, state.confirmed
        times, qualities = batch.times, batch.qualities
        one_time = None if isinstance(times, list) else times
        one_quality = None if isinstance(qualities, list) else qualities
        if not state.loaded:
            for i, (field, value) in enumerate(zip(batch.fields, batch.values, strict=True)):
                time = times[i] if one_time is None else one_time  # type: ignore[index]
                quality = qualities[i] if one_quality is None else one_quality  # type: ignore[index]
                state.waiting[field] = entry, Sample(time, value, Quality(quality))
            return False
        seq = self.seq + 1
        changed = False
        for i, (field, value) in enumerate(zip(batch.fields, batch.values, strict=True)):
            cell = cells.get(field)
            time = times[i] if one_time is None else one_time  # type: ignore[index]
            quality = qualities[i] if one_quality is None else one_quality  # type: ignore[index]
            if cell is None:
                if field not in fields:
                    continue
                cell = Cell(seq, time, value, quality)
            elif cell.value == value and cell.quality == quality and type(cell.value) is type(value):
                cell.time = time
                cell.text = ""
                confirmed[field] = None
                continue
            else:
                del cells[field]
                cell.seq = seq
                cell.time = time
                cell.value = value
                cell.quality = quality
                cell.text = ""
            cells[field] = cell
            changed = True
        if confirmed:
            self._confirmed[state.id] = None
        if changed:
            self.seq = seq
            self._changed(state)
        return changed

    def confirm(self) -> None:
        """Give what was only confirmed since the last time its number: from now on it is told."""
        if not self._confirmed:
            return
        self.seq += 1
        for device_id in self._confirmed:
            state = self.devices.get(device_id)
            if state is None:
                continue
            cells = state.cells
            for field in state.confirmed:
                cell = cells.pop(field, None)
                if cell is not None:
                    cell.seq = self.seq
                    cells[field] = cell
            state.confirmed.clear()
            self._changed(state)
        self._confirmed.clear()

    def _changed(self, state: DeviceState) -> None:
        state.seq = self.seq
        self.devices.pop(state.id)
        self.devices[state.id] = state

    def second(self) -> None:
        """A second has gone by."""
        self.seconds += 1
        for state in self.devices.values():
            state.rate += (state.samples - state.rate) * SMOOTH if state.rate else state.samples
            state.samples = 0

    def unload(self, device_id: str) -> bool:
        """From now on the latest values of a device are not known, until those are :meth:`load`-ed that the store
        has from now on; whether it is watched at all."""
        state = self.devices.get(device_id)
        if state is None:
            return False
        state.loaded = False
        state.waiting.clear()
        return True

    def load(self, device_id: str, samples: Mapping[str, Sample], upto: StreamId) -> None:
        """Take the latest values of a device as the store has them; what did not change keeps its number, and what
        the store does not have is gone."""
        state = self.devices.get(device_id)
        if state is None:
            return
        newer = {field: one for field, one in state.waiting.items() if one[0] > upto}
        state.waiting.clear()
        samples = {**samples, **{field: sample for field, (_, sample) in newer.items()}}
        upto = max(upto, *(entry for entry, _ in newer.values())) if newer else upto
        self.seq += 1
        for field in [one for one in state.cells if one not in samples]:
            del state.cells[field]
            self._went(device_id, field)
        changed = False
        for field, sample in samples.items():
            if field not in state.fields:
                continue
            cell = state.cells.get(field)
            if cell is not None and _same(cell, sample):
                continue
            state.cells.pop(field, None)
            state.cells[field] = Cell(self.seq, *sample)
            changed = True
        state.loaded = True
        state.upto = upto
        if changed:
            self._changed(state)

    def flag(self, device_id: str, flags: int) -> None:
        """Take what is to be added to the quality of all values of a device."""
        state = self.devices.get(device_id)
        if state is None or state.flags == flags:
            return
        state.flags = flags
        self.seq += 1
        for cell in state.cells.values():
            cell.seq = self.seq
            cell.text = ""
        self._changed(state)

    def model(self, device_id: str, fields: frozenset[str]) -> bool:
        """Take the points of a device as the model has them now; returns whether they are others than before."""
        state = self.devices.get(device_id)
        if state is None or state.fields == fields:
            return False
        self.seq += 1
        for field in sorted(state.fields - fields):
            state.cells.pop(field, None)
            self._went(device_id, field)
        state.fields = fields
        if not fields:
            del self.devices[device_id]
        return True

    def _went(self, device_id: str, field: str) -> None:
        self._gone.append((self.seq, device_id, field))
        while len(self._gone) > GONE_KEPT:
            self._gone_floor = self._gone.popleft()[0]

    # What subscribers get

    def knows(self, position: int, topics: Collection[Topic]) -> bool:
        """Whether everything that happened after a number can still be told."""
        floors = {
            "values": self._gone_floor,
            "devices": self.links.floor,
            "alarms": self.alarms.floor,
            "events": self.events[0][0] if len(self.events) == EVENTS_KEPT else 0,
        }
        return max(floors[topic] for topic in topics) <= position <= self.seq

    def rows(self, selection: Selection) -> Iterator[str]:
        """Rows of all points that have a value; they may change while the caller takes his time."""
        for device_id, wanted in list(selection.members.items()):
            state = self.devices.get(device_id)
            if state is None:
                continue
            for field, cell in list(state.cells.items()):
                if field in wanted and (text := cell.text or _text(state, field, cell)):
                    yield text

    def rows_since(self, selection: Selection, position: int) -> list[str]:
        """Rows of the points that changed after a number."""
        found: list[str] = []
        members = selection.members
        for state in reversed(self.devices.values()):
            if state.seq <= position:
                break
            wanted = members.get(state.id)
            if wanted is None:
                continue
            for field, cell in reversed(state.cells.items()):
                if cell.seq <= position:
                    break
                if field in wanted and (text := cell.text or _text(state, field, cell)):
                    found.append(text)
        return found

    def gone_since(self, selection: Selection, position: int) -> list[str]:
        """Points that left the selection, or lost their value, after a number, and did not come back."""
        found: dict[str, None] = {}
        for seq, device_id, field in reversed(self._gone):
            if seq <= position:
                break
            state = self.devices.get(device_id)
            if state is not None and field in state.cells and field in selection.members.get(device_id, ()):
                continue
            term_id, _, item_id = field.partition(":")
            if selection.has_point(device_id, term_id, item_id):
                found[f"{device_id}:{field}"] = None
        return list(found)

    def links_of(self, selection: Selection, position: int | None) -> list[str]:
        """Devices, those that changed after a number or all."""
        found = self.links.current() if position is None else self.links.since(position)
        return [text for device_id, text in found if selection.has_device(device_id)]

    def alarms_of(self, selection: Selection, position: int | None) -> list[str]:
        """Alarms, those that changed after a number or all that are not normal."""
        found = self.alarms.current() if position is None else self.alarms.since(position)
        return [one.text for _, one in found if selection.has_point(*one[:3])]

    def events_of(self, selection: Selection, position: int | None, most: int = EVENTS_KEPT) -> list[str]:
        """Events after a number, oldest first; or the last ones."""
        found: list[str] = []
        for seq, event in reversed(self.events):
            if (position is not None and seq <= position) or len(found) >= most:
                break
            if selection.has_devices(event.devices) and not (event.whole and selection.limited):
                found.append(event.text)
        found.reverse()
        return found


def _same(cell: Cell, sample: Sample) -> bool:
    return (
        cell.time == sample.time
        and cell.quality == sample.quality
        and type(cell.value) is type(sample.value)
        and cell.value == sample.value
    )


def _text(state: DeviceState, field: str, cell: Cell) -> str:
    """The row of a point; empty when its time is in no calendar."""
    try:
        cell.text = row_json(state.id, field, cell.time, cell.value, int(cell.quality) | state.flags)
    except (ValueError, OverflowError, OSError) as error:
        log.debug("the latest value of %s:%s cannot be shown: %s", state.id, field, error)
    return cell.text
