"""Whatever happens, and however a client is told, cut off and comes back: in the end it shows what is stored."""

from __future__ import annotations

import json
from typing import Any

from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule

from pydatacoll.live.hub import Hub
from pydatacoll.live.selection import Selection
from pydatacoll.live.subscription import Group, Subscription
from pydatacoll.model import Sample
from pydatacoll.model.batch import DeviceBatch
from pydatacoll.model.sample import time_to_wire

DEVICES = ("a", "b", "c")
FIELDS = ("t:x", "t:y", "u:z")
CHOICES: tuple[tuple[tuple[str, ...] | None, tuple[str, ...] | None], ...] = (
    (("*",), None),
    (("a:t", "b:*:z"), None),
    (None, ("a:t:x", "c:u:z")),
)
COMM_LOST = 32

devices = st.sampled_from(DEVICES)
fields = st.sampled_from(FIELDS)
some_fields = st.frozensets(fields)
choices = st.integers(0, len(CHOICES) - 1)


class Watcher:
    """A client: what it shows, made of the messages it got."""

    def __init__(self, choice: int, group: Group, resume: tuple[str, int] | None = None) -> None:
        self.choice = choice
        self.one = Subscription("1", group, 250, resume)
        self.shown: dict[str, Any] = {}
        self.times: dict[str, str] = {}
        self.place = resume

    def take(self, parts: dict[str, Any]) -> None:
        for gone in parts.get("gone", ()):
            self.shown.pop(gone, None)
        for point, time, value, quality in parts.get("c", ()):
            self.shown[point] = value, quality
            self.times[point] = time


class Plant(RuleBasedStateMachine):
    """The store with its stream, the hub that follows it, and clients."""

    def __init__(self) -> None:
        super().__init__()
        self.model: dict[str, frozenset[str]] = dict.fromkeys(DEVICES, frozenset(FIELDS))
        self.stored: dict[str, dict[str, Any]] = {device: {} for device in DEVICES}
        self.times: dict[tuple[str, str], float] = {}
        self.flagged: dict[str, bool] = dict.fromkeys(DEVICES, False)
        self.clock = 0
        self.hub = Hub()
        self.selections = [Selection(*choice, None) for choice in CHOICES]
        self.groups = [Group(self.hub, selection, ("values",)) for selection in self.selections]
        self.watchers: list[Watcher] = []
        self.reading: dict[str, tuple[dict[str, Sample], tuple[int, int]]] = {}

    def _read(self, device: str) -> None:
        """Ask the store for a device; what it says is not taken at once, see :meth:`load`."""
        if self.hub.unload(device):
            samples = {
                field: Sample(self.times[device, field], value) for field, value in self.stored[device].items()
            }
            self.reading[device] = samples, (self.clock, 0)

    @precondition(lambda self: self.reading)
    @rule(data=st.data())
    def load(self, data: st.DataObject) -> None:
        device = data.draw(st.sampled_from(sorted(self.reading)))
        self.hub.load(device, *self.reading.pop(device))

    # The plant

    @rule(device=devices, values=st.dictionaries(fields, st.integers(0, 9), min_size=1))
    def measure(self, device: str, values: dict[str, int]) -> None:
        self.clock += 1
        known = {field: value for field, value in values.items() if field in self.model[device]}
        self.stored[device] |= known
        self.times |= {(device, field): float(self.clock) for field in known}
        batch = DeviceBatch(device, list(values), float(self.clock), list(values.values()), 0, False)
        self.hub.apply(batch, (self.clock, 0))

    @rule(device=devices, fields=some_fields)
    def change_model(self, device: str, fields: frozenset[str]) -> None:
        for field in self.model[device] - fields:
            self.stored[device].pop(field, None)
        self.model[device] = fields
        changed = self.hub.model(device, fields)
        for selection in self.selections:
            selection.resolve(device, fields)
        if changed:
            self.reading.pop(device, None)
            self._read(device)

    @rule(device=devices, field=fields)
    def forget_a_value(self, device: str, field: str) -> None:
        """A point is deleted and made again before anybody looks, or the store has lost something."""
        self.stored[device].pop(field, None)
        self._read(device)

    @rule(device=devices)
    def flag(self, device: str) -> None:
        if device in self.hub.devices:
            self.flagged[device] = not self.flagged[device]
            self.hub.flag(device, COMM_LOST if self.flagged[device] else 0)

    @rule(device=devices)
    def watch(self, device: str) -> None:
        """Somebody begins to want a device."""
        if device in self.hub.devices or not self.model[device]:
            return
        self.hub.watch(device, self.model[device])
        self.flagged[device] = False
        for selection in self.selections:
            selection.resolve(device, self.model[device])
        self._read(device)

    @rule(device=devices)
    def read_anew(self, device: str) -> None:
        self._read(device)

    # The clients

    @rule(choice=choices)
    def subscribe(self, choice: int) -> None:
        if len(self.watchers) < 5:
            self.watchers.append(Watcher(choice, self.groups[choice]))

    @precondition(lambda self: self.watchers)
    @rule(data=st.data(), upto_now=st.booleans())
    def tell(self, data: st.DataObject, upto_now: bool) -> None:
        """A beat of a client; that it is due may be older than what is sent."""
        watcher = data.draw(st.sampled_from(self.watchers))
        if upto_now or watcher.one.due is None:
            watcher.one.due = self.hub.seq
        self._tell(watcher)

    @precondition(lambda self: self.watchers)
    @rule()
    def beat(self) -> None:
        """Everybody is due; who takes it, and when, is another matter."""
        self.hub.confirm()
        for watcher in self.watchers:
            watcher.one.due = self.hub.seq

    @precondition(lambda self: self.watchers)
    @rule(data=st.data())
    def cut(self, data: st.DataObject) -> None:
        """A client loses its connection and comes back with what it saw last."""
        place = data.draw(st.integers(0, len(self.watchers) - 1))
        old = self.watchers[place]
        new = Watcher(old.choice, self.groups[old.choice], old.place)
        new.shown, new.times = old.shown, old.times
        self.watchers[place] = new

    def _tell(self, watcher: Watcher) -> None:
        one = watcher.one
        if one.lost:
            pieces = list(one.snapshot(self.hub))
            if not pieces[0].resumed:
                watcher.shown = {}
            for piece in pieces:
                watcher.take(json.loads(b"{" + piece.body.json()[1:] + b"}"))
            watcher.place = pieces[-1].epoch, pieces[-1].seq
            return
        batch = one.batch(self.hub)
        if batch is not None:
            seq, body = batch
            assert watcher.place is not None
            assert seq > watcher.place[1]
            watcher.take(json.loads(b"{" + body.json()[1:] + b"}"))
            watcher.place = self.hub.epoch, seq

    @invariant()
    def everybody_who_was_told_all_shows_what_is_stored(self) -> None:
        for watcher in self.watchers:
            if watcher.one.position != self.hub.seq:
                continue
            selection = self.selections[watcher.choice]
            known = {device for device in DEVICES if device not in self.reading}
            expected = {
                f"{device}:{field}": (value, ["comm_lost"] if self.flagged[device] else "good")
                for device in self.hub.devices
                if device in known
                for field, value in self.stored[device].items()
                if field in selection.members.get(device, ())
            }
            shown = {point: row for point, row in watcher.shown.items() if point.partition(":")[0] in known}
            assert shown == expected

    def teardown(self) -> None:
        for device, read in self.reading.items():
            self.hub.load(device, *read)
        self.reading.clear()
        self.hub.confirm()
        for watcher in self.watchers:
            for _ in range(2):  # a snapshot, when it needs one, and what came after it
                watcher.one.due = self.hub.seq
                self._tell(watcher)
        self.everybody_who_was_told_all_shows_what_is_stored()
        for watcher in self.watchers:
            for point in watcher.shown:
                device, _, field = point.partition(":")
                assert watcher.times[point] == time_to_wire(self.times[device, field])


TestConvergence = Plant.TestCase
TestConvergence.settings = settings(max_examples=100, stateful_step_count=30, deadline=None)
