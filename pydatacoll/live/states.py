"""Links, alarms and events: read once from the store, then followed in its streams."""

from __future__ import annotations

import logging
from collections.abc import Iterable, Mapping
from itertools import count
from typing import TYPE_CHECKING, Any, Final

import msgspec

from pydatacoll.codec import json
from pydatacoll.live.alarm_rows import alarm_row
from pydatacoll.live.changes import AlarmState, Event
from pydatacoll.live.hub import Hub
from pydatacoll.live.pulse import Pulse
from pydatacoll.model import time_to_wire
from pydatacoll.model.alarm import Alarm, AlarmId, Transition
from pydatacoll.model.event import Event as Happened
from pydatacoll.model.event import Seen, of_alarm, of_audit, of_event
from pydatacoll.store import keys
from pydatacoll.store.alarms import Alarms, decode_transition
from pydatacoll.store.audit import audit_view
from pydatacoll.store.client import Store
from pydatacoll.store.event_log import (
    LIVE_ONLY,
    OF_AUDIT,
    OF_EVENTS,
    EventId,
    EventLog,
    LogFilter,
    row,
)
from pydatacoll.store.events import read_event
from pydatacoll.store.pace import Pace
from pydatacoll.store.status import Link, stored_link
from pydatacoll.store.tail import NewEntry, Tail

if TYPE_CHECKING:
    from pydatacoll.live.feed import Model

log = logging.getLogger(__name__)

AT_ONCE: Final = 100
BLOCK: Final = 1.0
FIRST: Final = 100
"""Events that are there from the beginning."""


class States:
    """Keeps links, alarms and events of a hub up to date."""

    def __init__(self, store: Store, model: Model, hub: Hub, pulse: Pulse) -> None:
        self._store = store
        self._model = model
        self._hub = hub
        self._pulse = pulse
        self._alarms = Alarms(store)
        self._links: dict[str, tuple[str | None, bool, bool]] = {}
        """Device -> its link as it is stored, whether a manager runs it, whether it is enabled."""
        self.shown: dict[str, dict[str, Any]] = {}
        """Device -> its link, as it is shown."""
        self._tail: Tail | None = None
        self._first: frozenset[EventId] = frozenset()
        """Events read from the log, which may come once more."""
        self._numbers = count()
        self.known = False
        """Whether alarms and events were read at all."""

    async def run(self) -> None:
        """Follow alarms and events until cancelled.

        :raises StoreError: when the store goes away.
        """
        partitions = {keys.alarm_stream(one): one for one in range(self._store.partitions)}
        if self._tail is None:
            self._tail = Tail(self._store, [keys.EVENTS, keys.AUDIT, *partitions])
        tail = self._tail
        try:
            await tail.begin()
            await self._read_alarms()
            if not self.known:
                await self._read_events()
                self.known = True
            self._pulse.changed(None)
            self._pulse.wake_all()
            while True:
                entries = await tail.read(count=AT_ONCE, block=BLOCK)
                if entries:
                    await self._take(entries, partitions)
                    self._pulse.changed(None)
        finally:
            await tail.close()

    # Links

    def links(self, missing: Iterable[int], stored: Mapping[str, str]) -> None:
        """Take the links of all devices.

        :param missing: partitions that no manager owns.
        """
        gone = frozenset(missing)
        before, devices = self._hub.seq, self._model.registry.devices
        for device_id, device in devices.items():
            managed = keys.partition_of(device_id, self._store.partitions) not in gone
            now = stored.get(device_id), managed, device.enabled
            if self._links.get(device_id) != now:
                self._links[device_id] = now
                self._link(device_id, stored_link(now[0], managed=managed), enabled=device.enabled)
        for device_id in [one for one in self._links if one not in devices]:
            del self._links[device_id]
            self.shown.pop(device_id, None)
            self._hub.seq += 1
            text = f'{{"device_id":"{device_id}","deleted":true}}'
            self._hub.links.put(device_id, self._hub.seq, text, final=True)
        if self._hub.seq != before:
            self._pulse.changed(None)

    def _link(self, device_id: str, link: Link, *, enabled: bool) -> None:
        self._hub.seq += 1
        shown = {
            "device_id": device_id,
            "enabled": enabled,
            "link": {
                "state": link.state,
                "since": None if link.since is None else time_to_wire(link.since),
                "last_error": link.last_error,
            },
        }
        self.shown[device_id] = shown
        self._hub.links.put(device_id, self._hub.seq, json.encode(shown).decode())

    # Alarms

    async def _read_alarms(self) -> None:
        live = await self._alarms.live()
        pace = Pace()
        for alarm, found in live.items():
            self._alarm(alarm, found)
            await pace.rest()
        for name, _ in list(self._hub.alarms.current()):
            alarm = AlarmId.parse(name)
            if alarm not in live:
                self._alarm(alarm, None)

    def _alarm(self, alarm: AlarmId, found: Alarm | None, last: Transition | None = None) -> None:
        """Take an alarm as it is now; ``None`` when it is normal, after the step ``last`` if that is known."""
        shown = found
        if shown is None:
            shown = Alarm(state="normal", active=False)
            if last is not None:
                shown = Alarm(
                    state="normal",
                    active=False,
                    time=last.time,
                    value=last.value,
                    quality=last.quality,
                    limit=last.limit,
                    priority=last.priority,
                    message=last.message,
                    user=last.user,
                    note=last.note,
                )
        text = json.encode(alarm_row(alarm, shown)).decode()
        known = self._hub.alarms.get(str(alarm))
        if known is not None and known.text == text:
            return
        self._hub.seq += 1
        state = AlarmState(*alarm.point, text, shown.state, shown.active, shown.priority)
        self._hub.alarms.put(str(alarm), self._hub.seq, state, final=found is None)

    # Events

    async def _read_events(self) -> None:
        found = await EventLog(self._store).read(LogFilter(), FIRST)
        for event_id, event in reversed(found):
            self._event(event_id, of_event(event))
        self._first = frozenset(event_id for event_id, _ in found)

    def _event(self, event_id: EventId, seen: Seen) -> None:
        if event_id in self._first:
            return
        self._hub.seq += 1
        text = json.encode(row(event_id, seen.event)).decode()
        self._hub.events.append((self._hub.seq, Event(text, seen.devices, seen.whole)))

    def tell(self, text: str, now: float) -> None:
        """An event of the store that all hear who listen now, and only these.

        :param now: epoch seconds.
        """
        event_id = EventId(int(now * 1000), next(self._numbers), LIVE_ONLY)
        event = Happened(kind="system", text=text, severity="error", object="store", for_all=True)
        self._event(event_id, of_event(event))
        self._pulse.changed(None)

    async def _take(self, entries: Iterable[NewEntry], partitions: Mapping[str, int]) -> None:
        pace = Pace()
        steps: dict[AlarmId, Transition] = {}
        for entry in entries:
            if entry.name == keys.EVENTS:
                self._of_events(entry)
            elif entry.name == keys.AUDIT:
                self._of_audit(entry)
            else:
                step = decode_transition(entry.id, entry.fields)
                if step is not None:
                    steps[AlarmId.parse(step.alarm)] = step
                    place = EventId.of(entry.id, partitions[entry.name])
                    self._event(place, of_alarm(step, json.decode_text))
            await pace.rest()
        if steps:
            alarms = list(steps)
            for alarm, found in zip(alarms, await self._alarms.some(alarms), strict=True):
                self._alarm(alarm, found, steps[alarm])

    def _of_events(self, entry: NewEntry) -> None:
        event = read_event(entry.fields)
        if event is not None:
            self._event(EventId.of(entry.id, OF_EVENTS), of_event(event))

    def _of_audit(self, entry: NewEntry) -> None:
        try:
            shown: dict[str, Any] = audit_view(entry.id, entry.fields.get(b"entry", b""))
        except msgspec.DecodeError as error:
            log.warning("the entry %s of the audit trail is not readable: %s", entry.id, error)
            return
        seen = of_audit(shown)
        if seen is not None:
            self._event(EventId.of(entry.id, OF_AUDIT), seen)
