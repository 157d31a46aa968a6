"""The checker as a plugin: what it takes from batches, from the model and from time, and what it gives back."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest
from pydatacoll_plugins.checker import Checker

from pydatacoll.errors import StoreUnavailable
from pydatacoll.model import PointId, Sample
from pydatacoll.model.alarm import Transition
from pydatacoll.model.batch import DataBatch, DeviceBatch
from pydatacoll.model.change import Change, apply
from pydatacoll.model.registry import Registry
from pydatacoll.model.transaction import Transaction
from pydatacoll.plugin import Effects, NoConfig, PluginContext
from pydatacoll.testing.model import device, item, schemas, term, term_item

BAD, STALE, TIME_INVALID = 1, 256, 64
LIMITS = {"down_limit": 10, "up_limit": 20}


class FakeStore:
    """``samples`` holds the recent samples of points, ``alarms`` what happened to alarms; ``away`` lets every
    question about samples fail; ``has_manager``: whether a device manager runs the devices."""

    def __init__(self) -> None:
        self.samples: dict[PointId, list[Sample]] = {}
        self.alarms: list[tuple[str, Transition]] = []
        self.asked: list[Sequence[PointId]] = []
        self.away = False
        self.has_manager = True

    def _check(self, points: Sequence[PointId]) -> None:
        if self.away:
            raise StoreUnavailable("away")
        self.asked.append(points)

    async def latest(self, points: Sequence[PointId]) -> list[Sample | None]:
        self._check(points)
        return [found[-1] if (found := self.samples.get(point)) else None for point in points]

    async def recent(self, points: Sequence[PointId], count: int) -> list[list[Sample]]:
        self._check(points)
        return [self.samples.get(point, [])[-count:] for point in points]

    async def transitions(self, partition: int, after: str, count: int) -> list[tuple[str, Transition]]:
        ids = [entry_id for entry_id, _ in self.alarms]
        start = ids.index(after) + 1 if after in ids else 0
        return self.alarms[start : start + min(count, 2)]

    async def managed(self, partition: int) -> bool:
        return self.has_manager

    def happens(self, alarm: str, *events: Any) -> None:
        """Of an alarm of the device ``d``, term ``t``."""
        for event in events:
            note = Transition(alarm=f"d:t:{alarm}", event=event, state="normal", time="")
            self.alarms.append((f"{len(self.alarms) + 1}-0", note))


class Rig:
    """One checker with one partition, on a model that can be changed; what it commits is kept.

    :ivar told: ``alarm, change, time`` of all conditions, in order.
    """

    def __init__(self) -> None:
        self.registry = Registry()
        self.store = FakeStore()
        self.now = 1000.0
        self.told: list[tuple[str, str, float]] = []
        self.conditions: list[Any] = []
        self.state: dict[str, bytes] = {}
        self._tell: Any = None
        self._entry = 0
        self.plugin = self._new()

    def _new(self) -> Checker:
        def on_change(callback: Any) -> Any:
            self._tell = callback
            return lambda: None

        log = logging.getLogger("test")
        options: Any = {"wall": lambda: self.now, "on_change": on_change}
        return Checker(NoConfig(), PluginContext(self.registry, Path(), log, self.store, **options))

    async def start(self) -> None:
        await self.plugin.start()
        await self.plugin.partition_started(0, dict(self.state))

    async def restart(self) -> None:
        """As after a sudden death."""
        self.plugin = self._new()
        await self.start()

    def change(self, fn: Any) -> None:
        transaction = Transaction(self.registry, schemas())
        fn(transaction)
        changes: list[Change] = transaction.changes
        apply(self.registry, changes)
        if self._tell is not None:
            self._tell(changes)

    def plant(self, **points: Any) -> None:
        """A device ``d`` with a term ``t`` and these points."""

        def make(tx: Transaction) -> None:
            tx.create("device", device("d"))
            tx.create("term", term("t"))
            for n, (name, options) in enumerate(points.items()):
                tx.create("item", item(name))
                tx.create("term_item", term_item("t", name, protocol_code=str(n), **options))

        self.change(make)

    def point(self, name: str = "i", **options: Any) -> None:
        """Replace the options of a point."""
        self.change(lambda tx: tx.replace("term_item", ("t", name), term_item("t", name, **options)))

    def commit(self, effects: Effects | None) -> list[tuple[str, str, float]]:
        """What the conditions say; the state is kept."""
        if effects is None:
            return []
        for key, blob in effects.state.items():
            if blob is None:
                self.state.pop(key, None)
            else:
                self.state[key] = blob
        self.conditions += effects.conditions
        found = [(one.alarm.removeprefix("d:t:"), one.change, one.time[17:19]) for one in effects.conditions]
        self.told += found
        return found

    async def put(self, *rows: tuple[Any, ...], late: bool = False, entry: float | None = None) -> Any:
        """One batch of ``(field, time, value[, quality])``; the store shows it."""
        fields, times, values, qualities = [], [], [], []
        for name, time, value, *quality in rows:
            fields.append(f"t:{name}")
            times.append(float(time))
            values.append(value)
            qualities.append(quality[0] if quality else 0)
            if not late:
                self.store.samples.setdefault(PointId("d", "t", name), []).append(
                    Sample(times[-1], value, qualities[-1])
                )
        self._entry += 1
        milliseconds = int((self.now if entry is None else entry) * 1000)
        batch = DeviceBatch("d", fields, times, values, qualities, late)
        return self.commit(await self.plugin.handle(DataBatch(0, f"{milliseconds}-{self._entry}", [batch])))

    async def tick(self, now: float | None = None) -> Any:
        self.now = self.now + 1 if now is None else now
        return self.commit(await self.plugin.tick(0, self.now))


@pytest.fixture
def rig() -> Rig:
    return Rig()


async def test_an_alarm_says_everything(rig: Rig) -> None:
    rig.plant(i={**LIMITS, "alarm_priority": "high", "warn_msg": "too much"})
    await rig.start()
    await rig.put(("i", 1, 25.5, TIME_INVALID))
    (condition,) = rig.conditions
    assert condition.alarm == "d:t:i:high"
    assert (condition.change, condition.time) == ("raise", "1970-01-01T00:00:01.000000Z")
    assert (condition.value, condition.quality, condition.limit) == ("25.5", '["time_invalid"]', "20.0")
    assert (condition.priority, condition.message) == ("high", "too much")


async def test_values_of_every_kind_go_through_one_batch(rig: Rig) -> None:
    rig.plant(i=LIMITS, j=LIMITS, k={}, text={"quality_alarm": True}, rule={"do_verify": "value > 3"})
    await rig.start()
    found = await rig.put(
        ("i", 1, 15), ("j", 1, 25), ("k", 1, 99), ("text", 1, "x"), ("rule", 1, 2), ("i", 2, None, BAD),
        ("j", 3, True), ("nobody", 1, 5), ("text", 2, None, BAD), ("i", 4, "x"), ("i", 5, 12.5),
    )  # fmt: skip
    assert found == [
        ("j:high", "raise", "01"), ("rule:rule", "raise", "01"), ("i:quality", "raise", "02"),
        ("j:high", "clear", "03"), ("j:low", "raise", "03"), ("text:quality", "raise", "02"),
        ("i:quality", "clear", "05"),
    ]  # fmt: skip


async def test_one_quality_for_all(rig: Rig) -> None:
    rig.plant(i=LIMITS, j={})
    await rig.start()

    async def put(values: list[Any], quality: int) -> Any:
        batch = DeviceBatch("d", ["t:i", "t:j"], 1.0, values, quality)
        return rig.commit(await rig.plugin.handle(DataBatch(0, "1-1", [batch])))

    assert await put([15, 99], 0) == []
    assert await put([25, 99], TIME_INVALID) == [("i:high", "raise", "01")]
    assert await put([15, 99], BAD) == [("i:quality", "raise", "01")]
    assert await put([15, 99], 0) == [("i:quality", "clear", "01"), ("i:high", "clear", "01")]


async def test_nothing_is_committed_while_nothing_changes(rig: Rig) -> None:
    rig.plant(i=LIMITS)
    await rig.start()
    await rig.put(("i", 1, 15))
    assert list(rig.state) == ["rules:d"]
    batch = DataBatch(0, "5-5", [DeviceBatch("d", ["t:i"], 2.0, [16.0])])
    assert await rig.plugin.handle(batch) is None
    assert await rig.plugin.tick(0, 5.0) is None


async def test_what_counts_survives(rig: Rig) -> None:
    rig.plant(i={**LIMITS, "alarm_delay": 5})
    await rig.start()
    await rig.put(("i", 1, 25))
    await rig.restart()
    assert await rig.put(("i", 7, 25)) == [("i:high", "raise", "06")]
    await rig.restart()
    assert await rig.put(("i", 8, 26)) == []
    assert await rig.put(("i", 9, 15)) == [("i:high", "clear", "09")]
    assert list(rig.state) == ["rules:d"]


async def test_a_delay_ends_without_a_value_but_not_while_one_is_on_its_way(rig: Rig) -> None:
    rig.plant(i={**LIMITS, "alarm_delay": 5})
    await rig.start()
    await rig.put(("i", 1, 25))
    point = PointId("d", "t", "i")
    rig.store.samples[point].append(Sample(3.0, 15))  # stored, but not here yet
    assert await rig.tick(2000.0) == []
    assert await rig.put(("i", 3, 15)) == []
    await rig.put(("i", 10, 25))
    rig.store.away = True
    with pytest.raises(StoreUnavailable):
        await rig.tick(3000.0)
    rig.store.away = False
    assert await rig.tick(3001.0) == [("i:high", "raise", "15")]
    assert await rig.tick(3002.0) == []


async def test_a_rule_about_time_goes_on_after_a_restart(rig: Rig) -> None:
    rig.plant(i={"do_verify": "age < 30"})
    await rig.start()
    await rig.put(("i", 1, 25))
    await rig.tick(20.0)
    await rig.restart()
    assert await rig.tick(30.0) == []
    assert await rig.tick(31.0) == [("i:rule", "raise", "31")]
    assert await rig.tick(40.0) == []


async def test_a_rule_that_looks_back_does_so_after_a_restart(rig: Rig) -> None:
    rig.plant(i={"do_verify": "abs(value - previous) < 5"}, j={"do_verify": "max(value, '1m') < 50"})
    await rig.start()
    await rig.put(("i", 1, 10), ("j", 1, 60), ("j", 2, 1))
    await rig.restart()
    assert await rig.put(("i", 2, 20), ("j", 30, 1), ("j", 70, 1)) == [
        ("i:rule", "raise", "02"), ("j:rule", "clear", "10"),
    ]  # fmt: skip


async def test_values_from_before_the_first_start_count(rig: Rig) -> None:
    rig.plant(i=LIMITS, j=LIMITS)
    rig.store.samples[PointId("d", "t", "i")] = [Sample(50.0, 15), Sample(51.0, 25)]
    await rig.start()
    assert await rig.tick() == [("i:high", "raise", "51")]
    # what is in the stream with them has been looked at
    assert await rig.put(("i", 50, 15), ("i", 51, 25)) == []
    assert await rig.put(("i", 52, 15)) == [("i:high", "clear", "52")]


async def test_a_clock_that_is_set_back_later_stops_nothing(rig: Rig) -> None:
    rig.plant(i=LIMITS)
    rig.store.samples[PointId("d", "t", "i")] = [Sample(5000.0, 15)]
    await rig.start()
    assert await rig.put(("i", 10, 25), entry=rig.now + 60) == [("i:high", "raise", "10")]


async def test_late_samples_change_nothing(rig: Rig) -> None:
    rig.plant(i=LIMITS, j={})
    await rig.start()
    await rig.put(("i", 10, 15))
    assert await rig.put(("i", 5, 25), ("j", 5, 1), late=True) == []


async def test_a_limit_that_is_changed_counts_at_once(rig: Rig) -> None:
    rig.plant(i={}, j=LIMITS)
    await rig.start()
    await rig.put(("i", 1, 25), ("j", 1, 25))
    await rig.tick()
    rig.point("i", **LIMITS)
    assert await rig.tick() == [("i:high", "raise", "01")]
    rig.point("i", down_limit=10, up_limit=30)
    assert await rig.tick() == [("i:high", "clear", "01")]
    rig.point("i", down_limit=30)
    rig.point("j", down_limit=10)
    assert sorted(one[:2] for one in await rig.tick()) == [("i:low", "raise"), ("j:high", "remove")]
    rig.point("i")
    assert [one[:2] for one in await rig.tick()] == [("i:low", "remove")]
    assert set(rig.state) == {"rules:d"}


async def test_a_limit_that_is_changed_while_nobody_runs_counts_afterwards(rig: Rig) -> None:
    rig.plant(i=LIMITS, j=LIMITS)
    await rig.start()
    await rig.put(("i", 1, 25), ("j", 1, 25))
    rig._tell = None
    rig.point("i", up_limit=30)
    await rig.restart()
    assert await rig.tick() == [("i:high", "clear", "01")]


async def test_other_texts_and_priorities_count_from_the_next_alarm_on(rig: Rig) -> None:
    rig.plant(i={**LIMITS, "warn_msg": "old"})
    await rig.start()
    await rig.put(("i", 1, 25))
    rig.point("i", **LIMITS, warn_msg="new", alarm_priority="critical")
    assert await rig.tick() == []
    await rig.put(("i", 2, 5))
    assert [(one.message, one.priority) for one in rig.conditions] == [
        ("old", "medium"), ("new", "critical"), ("new", "critical"),
    ]  # fmt: skip


@pytest.mark.parametrize("kind", ["device", "term", "item", "term_item"])
async def test_alarms_end_with_their_point(rig: Rig, kind: Any) -> None:
    rig.plant(i=LIMITS)
    await rig.start()
    await rig.put(("i", 1, 25))
    key = {"device": "d", "term": "t", "item": "i", "term_item": ("t", "i")}[kind]
    rig.change(lambda tx: tx.delete(kind, key))
    assert [one[:2] for one in await rig.tick()] == [("i:high", "remove")]
    assert rig.state == {}


async def test_alarms_end_with_a_point_that_went_while_nobody_ran(rig: Rig) -> None:
    rig.plant(i=LIMITS)
    await rig.start()
    await rig.put(("i", 1, 25))
    rig._tell = None
    rig.change(lambda tx: tx.delete("device", "d"))
    await rig.restart()
    assert [one[:2] for one in await rig.tick()] == [("i:high", "remove")]
    assert rig.state == {}


async def test_a_point_that_is_deleted_and_made_again_at_once_begins_anew(rig: Rig) -> None:
    """The store has ended its alarm; of the model nothing was seen but that it is as before."""
    rig.plant(i=LIMITS, j=LIMITS, k=LIMITS)
    await rig.start()
    await rig.put(("i", 1, 25), ("j", 1, 25), ("k", 1, 25))
    rig.store.happens("i:high", "raise", "remove")
    rig.store.happens("j:high", "raise", "ack", "shelve", "unshelve")
    rig.store.happens("k:high", "raise", "remove", "raise")
    assert await rig.tick() == [("i:high", "raise", "01")]
    rig.store.happens("i:high", "raise")
    assert await rig.tick() == []
    assert await rig.put(("i", 2, 15), ("j", 2, 15)) == [("i:high", "clear", "02"), ("j:high", "clear", "02")]


async def test_a_point_that_is_made_again_waits_for_its_first_value(rig: Rig) -> None:
    rig.plant(i=LIMITS)
    await rig.start()
    await rig.put(("i", 1, 25))
    rig.store.samples.clear()
    rig.store.happens("i:high", "raise", "remove")
    assert await rig.tick() == []
    assert rig.plugin.status()["active"] == 0
    assert await rig.put(("i", 2, 26)) == [("i:high", "raise", "02")]


async def test_a_point_that_was_made_again_while_nobody_ran_begins_anew(rig: Rig) -> None:
    rig.plant(i=LIMITS)
    await rig.start()
    await rig.put(("i", 1, 25))
    rig.store.happens("i:high", "raise")
    await rig.tick()
    rig.store.happens("i:high", "remove")
    await rig.restart()
    assert await rig.tick() == [("i:high", "raise", "01")]
    rig.store.happens("i:high", "raise")
    await rig.restart()
    assert await rig.tick() == []


async def test_a_point_that_is_renamed_begins_anew_when_its_value_has_followed(rig: Rig) -> None:
    rig.plant(i=LIMITS)
    await rig.start()
    await rig.put(("i", 1, 25))
    rig.change(lambda tx: tx.replace("item", "i", item("x")))
    assert [one[:2] for one in await rig.tick()] == [("i:high", "remove")]
    rig.store.samples[PointId("d", "t", "x")] = rig.store.samples.pop(PointId("d", "t", "i"))
    assert await rig.tick() == [("x:high", "raise", "01")]


async def test_the_first_value_of_a_point_comes_with_the_stream(rig: Rig) -> None:
    """And those before it are not passed over because the store shows a later one already."""
    rig.plant(i=LIMITS)
    await rig.start()
    await rig.tick()
    point = PointId("d", "t", "i")
    rig.store.samples[point] = [Sample(rig.now + n, value) for n, value in enumerate((15, 25, 15))]
    assert await rig.tick() == []
    first = rig.store.samples[point][0].time
    found = await rig.put(("i", first, 15), ("i", first + 1, 25), ("i", first + 2, 15))
    assert [one[:2] for one in found] == [("i:high", "raise"), ("i:high", "clear")]


async def test_nobody_asks_for_ever_for_a_value_that_does_not_come(rig: Rig) -> None:
    rig.plant(i=LIMITS)
    await rig.start()
    for _ in range(10):
        await rig.tick()
    assert len(rig.store.asked) == 5
    assert await rig.put(("i", 1, 25)) == [("i:high", "raise", "01")]


async def test_everything_read_anew_is_looked_at_anew(rig: Rig) -> None:
    rig.plant(i=LIMITS)
    await rig.start()
    await rig.put(("i", 1, 25))
    tell, rig._tell = rig._tell, None
    rig.change(lambda tx: tx.delete("term_item", ("t", "i")))
    tell(None)
    assert [one[:2] for one in await rig.tick()] == [("i:high", "remove")]


async def test_a_device_may_be_changed_again_while_others_are_looked_at(rig: Rig) -> None:
    rig.plant(i=LIMITS, j=LIMITS)
    await rig.start()
    await rig.put(("i", 1, 25), ("j", 1, 25))
    rig.point("i", down_limit=30)
    rig.point("j", down_limit=30)
    refresh = asyncio.create_task(rig.tick())
    await asyncio.sleep(0)  # it has looked at the device for the first time
    rig.change(lambda tx: tx.delete("term_item", ("t", "i")))
    rig.point("j", up_limit=20)
    assert sorted(one[:2] for one in await refresh) == [
        ("i:high", "remove"), ("j:high", "raise"), ("j:high", "remove"),
    ]  # fmt: skip
    assert rig.plugin.status()["active"] == 1


async def test_only_devices_of_the_partition_are_looked_at(rig: Rig) -> None:
    rig.plant(i=LIMITS)
    await rig.start()
    await rig.plugin.partition_started(7, {})
    assert rig.plugin.status()["points"] == 1
    await rig.plugin.partition_stopped(0)
    assert rig.plugin.status()["points"] == 0
    await rig.plugin.stop()


async def test_status_counts_and_names_what_fails(rig: Rig) -> None:
    rig.plant(i=LIMITS, j={**LIMITS, "alarm_delay": 5}, k={"do_verify": "1 / value > 0"})
    await rig.start()
    await rig.put(("i", 1, 25), ("j", 1, 25), ("k", 1, 0))
    status = rig.plugin.status()
    assert (status["points"], status["active"], status["delayed"], status["failing_rules"]) == (3, 1, 1, 1)
    assert status["rule_failure"].startswith("d:t:k: ")
    assert rig.plugin.context.counters == {"alarms_raised": 1}


async def test_values_grow_stale_when_no_manager_runs_the_devices(rig: Rig) -> None:
    rig.plant(i={**LIMITS, "stale_after": 5}, j=LIMITS)
    await rig.start()
    await rig.put(("i", 1000, 15), ("j", 1000, 15))
    assert await rig.tick(1100) == []
    rig.store.has_manager = False
    assert await rig.tick(1101) == []
    assert await rig.tick(1105) == []
    assert await rig.tick(1106) == [("i:stale", "raise", "26")]
    assert rig.conditions[-1].quality == '["stale"]'
    assert await rig.tick(1107) == []

    rig.store.has_manager = True  # a value that is the same as before is not stored again
    assert await rig.tick(1120) == [("i:stale", "clear", "40")]
    assert await rig.tick(1121) == []


async def test_what_grew_stale_without_a_manager_ends_also_after_a_restart(rig: Rig) -> None:
    rig.plant(i={**LIMITS, "stale_after": 5})
    rig.store.has_manager = False
    await rig.start()
    await rig.put(("i", 1000, 15))
    assert await rig.tick(1001) == []
    assert await rig.tick(1006) == [("i:stale", "raise", "46")]
    await rig.restart()
    assert await rig.tick(1007) == []
    await rig.restart()
    rig.store.has_manager = True
    assert await rig.tick(1008) == [("i:stale", "clear", "40")]
    assert await rig.put(("i", 999, 25)) == [], "from before the one that it was begun with"


async def test_what_the_manager_marked_stays_stale_and_disabled_devices_do_not_grow_stale(rig: Rig) -> None:
    rig.plant(i={"stale_after": 5})
    await rig.start()
    await rig.put(("i", 1000, 15, STALE))
    rig.store.has_manager = False
    await rig.tick(1100)
    rig.store.has_manager = True
    assert await rig.tick(1101) == []
    assert await rig.put(("i", 1102, 15)) == [("i:stale", "clear", "22")]
    rig.change(lambda tx: tx.merge("device", "d", {"enabled": False}))
    rig.store.has_manager = False
    await rig.tick(1103)
    assert await rig.tick(1200) == []
