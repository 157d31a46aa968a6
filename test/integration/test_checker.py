"""The checker on a real store: whatever dies or goes wrong, alarms come and go as if nothing had happened."""

from __future__ import annotations

import asyncio
import logging
import random
import time
from collections.abc import AsyncIterator, Sequence
from pathlib import Path
from typing import Any

import pytest
from pydatacoll_plugins.checker import Checker

from pydatacoll.model import Device, Item, PointId, Term, TermItem
from pydatacoll.model.alarm import AlarmId
from pydatacoll.model.registry import Registry
from pydatacoll.plugin import PluginContext
from pydatacoll.store import keys
from pydatacoll.store.alarms import Alarms, Wanted
from pydatacoll.store.client import Store
from pydatacoll.store.packets import Account, Packet
from pydatacoll.store.plugin_forget import forget
from pydatacoll.store.plugin_reads import PluginReads
from pydatacoll.store.point_data import drop_points
from test.integration.plugin_rig import DEVICE, PARTITION, FaultyStore, Rig, until

POINTS = 4
Row = tuple[str, str, str, str]


def model(**options: Any) -> Registry:
    """A device with points that have limits."""
    registry = Registry()
    registry.put_device(Device(id=DEVICE, name="d", protocol="p"))
    registry.put_term(Term(id="t", name="t", device_id=DEVICE))
    limits = {"low_low": 0.0, "down_limit": 10.0, "up_limit": 20.0, "high_high": 30.0, "hysteresis": 2.0}
    for n in range(POINTS):
        registry.put_item(Item(id=f"i{n}", name="i"))
        registry.put_term_item(TermItem(term_id="t", item_id=f"i{n}", **{**limits, **options}))
    return registry


def checker(store: Store, registry: Registry) -> Checker:
    context = PluginContext(
        registry, Path(), logging.getLogger("test.plugin"), PluginReads(store), partition_of=keys.partition_of
    )
    return Checker(None, context)


@pytest.fixture
async def rig(store: Store) -> AsyncIterator[Rig]:
    made = Rig(store)
    yield made
    await made.close()


async def put(rig: Rig, moment: float, values: Sequence[Any]) -> None:
    """One entry of the stream."""
    fields = [f"t:i{n}" for n in range(len(values))]
    account = Account(read=len(values))
    rig._writer.put(Packet(PARTITION, DEVICE, account, fields, list(values), moment, 0, 10))
    await rig._writer.flush()


async def told(alarms: Alarms) -> list[Row]:
    """Alarm, event, time and value of all that happened, in order."""
    found = await alarms.history(Wanted(), 10_000)
    return [(one.alarm.removeprefix(f"{DEVICE}:t:"), one.event, one.time[14:19], one.value) for _, one in found][
        ::-1
    ]


async def caught_up(rig: Rig) -> None:
    """Everything in the stream has been handled."""

    async def done() -> bool:
        name = keys.stream(PARTITION)
        last = await rig.store.binary.xrevrange(name, count=1)
        (group,) = [one for one in await rig.store.redis.xinfo_groups(name) if one["name"] == "checker"]
        return bool(last[0][0].decode() == group["last-delivered-id"])

    await until(done)


async def begun(rig: Rig) -> None:
    """The checker knows its points: what comes now is checked."""

    async def there() -> bool:
        return f"rules:{DEVICE}".encode() in await rig.state("checker")

    await until(there)


async def test_alarms_come_and_go(rig: Rig) -> None:
    alarms = Alarms(rig.store)
    host = await rig.host(checker(rig.store, model(warn_msg="too much", alarm_priority="high")))
    await rig.ready(host)
    await put(rig, 1.0, [15, 25, 5, 35])
    await caught_up(rig)
    live = await alarms.live()
    assert {alarm.item_id + " " + alarm.kind: one.state for alarm, one in live.items()} == {
        "i1 high": "active_unacknowledged",
        "i2 low": "active_unacknowledged",
        "i3 high": "active_unacknowledged",
        "i3 high_high": "active_unacknowledged",
    }
    one = live[AlarmId(DEVICE, "t", "i1", "high")]
    assert (one.value, one.limit, one.message, one.priority) == ("25", "20.0", "too much", "high")
    await alarms.ack(AlarmId(DEVICE, "t", "i1", "high"), "ann", "")
    await put(rig, 2.0, [15, 15, 15, 15])
    await caught_up(rig)
    assert {alarm.item_id: one.state for alarm, one in (await alarms.live()).items()} == {
        "i2": "returned_unacknowledged",
        "i3": "returned_unacknowledged",
    }


def series(seed: int, count: int) -> list[list[float]]:
    chosen = random.Random(seed)
    return [[chosen.choice([-5, 5, 11, 15, 19, 25, 35]) for _ in range(POINTS)] for _ in range(count)]


async def run(rig: Rig, values: Sequence[Sequence[float]], delay: float, faults: Sequence[tuple[int, str]]) -> Any:
    """Puts the values in, while runners have these faults one after the other; the last one has none."""
    rest = [*faults, (-1, "")]
    deaths: list[Any] = []
    host = await rig.host(checker(rig.store, model(alarm_delay=delay)), "r0", fault=rest.pop(0))
    store = host._store
    assert isinstance(store, FaultyStore)
    await begun(rig)

    async def replace() -> None:
        nonlocal host, store
        while rest:
            assert isinstance(store, FaultyStore)
            await store.died.wait()
            deaths.append(host)
            await rig.kill(host)
            host = await rig.host(checker(rig.store, model(alarm_delay=delay)), f"r{len(rest)}", fault=rest.pop(0))
            store = host._store

    replacing = asyncio.get_running_loop().create_task(replace())
    try:
        for n, some in enumerate(values):
            await put(rig, 1.0 + n, some)
            if n % 3:
                await caught_up(rig)
        await caught_up(rig)
    finally:
        replacing.cancel()
        await asyncio.gather(replacing, return_exceptions=True)
    assert len(deaths) == sum(how.startswith("die") for _, how in faults)
    return await told(Alarms(rig.store))


@pytest.mark.parametrize("delay", [0.0, 2.0])
@pytest.mark.parametrize("seed", range(3))
async def test_sudden_deaths_lose_no_alarm_and_raise_none_twice(rig: Rig, seed: int, delay: float) -> None:
    values = series(seed, 60)
    chosen = random.Random(seed)
    faults = [
        (chosen.randrange(17 if n else 20, 26), chosen.choice(["die before", "die after"])) for n in range(6)
    ]
    found = await run(rig, values, delay, faults)
    assert found == expected(values, delay)


@pytest.mark.parametrize("how", ["before", "after"])
async def test_lost_answers_lose_no_alarm_and_raise_none_twice(rig: Rig, how: str) -> None:
    values = series(9, 30)
    assert await run(rig, values, 0.0, [(30, how)]) == expected(values, 0.0)


def expected(values: Sequence[Sequence[float]], delay: float) -> list[Row]:
    """By hand: what an alarm does is worked out from the limits alone, point by point and kind by kind."""
    rows: list[tuple[int, int, int, Row]] = []
    kinds = [("high_high", 30, 1), ("high", 20, 1), ("low", 10, -1), ("low_low", 0, -1)]
    for n in range(POINTS):
        for order, (kind, limit, sign) in enumerate(kinds):
            active, since = False, None
            for step, some in enumerate(values):
                beyond = sign * (some[n] - limit)
                if active:
                    if beyond <= -2:
                        active, since = False, None
                        rows.append((step, n, 10 + order, (f"i{n}:{kind}", "clear", clock(step), str(some[n]))))
                    continue
                if since is not None and since + delay < step and delay:
                    raise AssertionError("steps of one second cannot miss the end of a whole delay")
                since = (step if since is None else since) if beyond > 0 else None
                if since is not None and step >= since + delay:
                    active = True
                    rows.append((step, n, 10 + order, (f"i{n}:{kind}", "raise", clock(step), str(some[n]))))
    return [row[3] for row in sorted(rows)]


def clock(step: int) -> str:
    return f"{(step + 1) // 60:02}:{(step + 1) % 60:02}"


async def test_a_limit_can_be_changed_while_it_runs(rig: Rig) -> None:
    """With the value as the store has it, not with the next one."""
    registry = model()
    changed: list[Any] = []
    plugin = checker(rig.store, registry)
    object.__setattr__(plugin.context, "on_change", lambda callback: changed.append(callback) or (lambda: None))
    host = await rig.host(plugin)
    await rig.ready(host)
    await put(rig, 1.0, [15])
    await caught_up(rig)
    registry.put_term_item(TermItem(term_id="t", item_id="i0", up_limit=12.0))
    changed[0](None)
    alarms = Alarms(rig.store)
    await until(alarms.live)
    assert await told(alarms) == [("i0:high", "raise", "00:01", "15")]
    assert await alarms.one(AlarmId.parse(f"{DEVICE}:t:i0:high")) is not None


async def test_the_alarm_of_a_point_that_was_deleted_and_made_again_is_not_lost(rig: Rig) -> None:
    """So quickly that the checker sees no change of the model."""
    alarms = Alarms(rig.store)
    host = await rig.host(checker(rig.store, model()))
    await rig.ready(host)
    await put(rig, 1.0, [15, 25, 15, 15])
    await caught_up(rig)
    await alarms.ack(AlarmId(DEVICE, "t", "i1", "high"), "ann", "")
    await drop_points(rig.store, [PointId(DEVICE, "t", "i1")])
    await put(rig, 2.0, [15, 26, 15, 15])

    async def there() -> bool:
        return AlarmId(DEVICE, "t", "i1", "high") in await alarms.live()

    await until(there)
    assert [row[:2] for row in await told(alarms)] == [
        ("i1:high", event) for event in ("raise", "ack", "remove", "raise")
    ]
    assert (await alarms.live())[AlarmId(DEVICE, "t", "i1", "high")].state == "active_unacknowledged"


async def test_what_the_checker_reads(rig: Rig) -> None:
    """Transitions for those who follow them."""
    host = await rig.host(checker(rig.store, model()))
    await rig.ready(host)
    await put(rig, 1.0, [25])
    await caught_up(rig)
    reads = PluginReads(rig.store)
    ((first, transition),) = await reads.transitions(PARTITION, "0-0", 10)
    assert (transition.alarm, transition.event) == (f"{PointId(DEVICE, 't', 'i0')}:high", "raise")
    assert await reads.transitions(PARTITION, first, 10) == []


async def test_late_samples_raise_no_alarm(rig: Rig) -> None:
    """They are marked in the stream, because their times alone do not tell."""
    host = await rig.host(checker(rig.store, model()))
    await rig.ready(host)
    await begun(rig)
    now = time.time()
    await put(rig, now, [15])
    late = Packet(PARTITION, DEVICE, Account(read=1), ["t:i0"], [35], now - 50, 0, 10)
    late.late = True
    rig._writer.put(late)
    await rig._writer.flush()
    await put(rig, now - 10, [25])  # a clock that was set back
    await caught_up(rig)
    assert [(name, event, value) for name, event, _, value in await told(Alarms(rig.store))] == [
        ("i0:high", "raise", "25")
    ]


async def test_a_checker_that_was_forgotten_ends_what_it_had_raised_when_it_is_run_again(rig: Rig) -> None:
    alarms = Alarms(rig.store)
    host = await rig.host(checker(rig.store, model()), "one")
    await rig.ready(host)
    await put(rig, 1.0, [25.0, 15.0])
    await caught_up(rig)
    await rig.stop(host)
    await put(rig, 2.0, [35.0, 35.0])  # is given up
    assert (await forget(rig.store, "checker")).samples == 2
    await put(rig, 3.0, [15.0, 15.0])
    await rig.ready(await rig.host(checker(rig.store, model()), "two"))
    await put(rig, 4.0, [14.0, 14.0])
    await caught_up(rig)
    assert [(alarm, event) for alarm, event, *_ in await told(alarms)] == [
        ("i0:high", "raise"),
        ("i0:high", "clear"),
    ]
