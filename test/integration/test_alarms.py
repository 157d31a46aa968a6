"""The life of alarms in the store: every step happens once, is noted and is told."""

from __future__ import annotations

import asyncio
from typing import Any

import msgspec
import pytest

from pydatacoll.model import PointId
from pydatacoll.model.alarm import AlarmId, Condition, Transition
from pydatacoll.store import keys
from pydatacoll.store.alarms import Alarms, TransitionId, Wanted
from pydatacoll.store.client import Store
from pydatacoll.store.overview import look
from pydatacoll.testing.model import device
from test.integration.model_rig import plant, running

HIGH = AlarmId("d", "t", "i", "high")
EARLY, LATE = "2026-11-21T09:00:00.000000Z", "2026-11-21T09:00:05.250000Z"


@pytest.fixture
def alarms(store: Store) -> Alarms:
    return Alarms(store)


def raised(alarm: AlarmId = HIGH, time: str = EARLY, value: str = "230.1", message: str = "too high") -> Condition:
    return Condition(str(alarm), "raise", time, value, '"good"', "230", "high", message)


def cleared(alarm: AlarmId = HIGH, time: str = LATE, value: str = "229.0") -> Condition:
    return Condition(str(alarm), "clear", time, value, '"good"', "230", "high", "too high")


async def state(alarms: Alarms, alarm: AlarmId = HIGH) -> str:
    found = await alarms.one(alarm)
    return "normal" if found is None else found.state


async def transitions(alarms: Alarms, **wanted: Any) -> list[Transition]:
    """Oldest first."""
    return [transition for _, transition in await alarms.history(Wanted(**wanted), 100)][::-1]


async def events(alarms: Alarms) -> list[tuple[str, str]]:
    return [(one.event, one.state) for one in await transitions(alarms)]


async def test_an_alarm_is_raised_acknowledged_and_ends(alarms: Alarms) -> None:
    await alarms.apply([raised()])
    found = (await alarms.live())[HIGH]
    assert (found.state, found.active) == ("active_unacknowledged", True)
    assert (found.raised, found.value) == (EARLY, "230.1")
    assert (found.priority, found.limit, found.message) == ("high", "230", "too high")
    assert await alarms.ack(HIGH, "ann", "on my way") == (True, "active_acknowledged")
    found = (await alarms.live())[HIGH]
    assert (found.user, found.note) == ("ann", "on my way")
    await alarms.apply([cleared()])
    assert await alarms.live() == {}
    assert await events(alarms) == [
        ("raise", "active_unacknowledged"), ("ack", "active_acknowledged"), ("clear", "normal"),
    ]  # fmt: skip
    first, second, third = await transitions(alarms)
    assert (first.time, first.value, first.message) == (EARLY, "230.1", "too high")
    assert (second.user, second.note) == ("ann", "on my way")
    assert (third.time, third.value) == (LATE, "229.0")


async def test_an_alarm_that_ends_unseen_stays_until_somebody_has_seen_it(alarms: Alarms) -> None:
    await alarms.apply([raised(), cleared()])
    assert await state(alarms) == "returned_unacknowledged"
    assert await alarms.ack(HIGH, "ann", "") == (True, "normal")
    assert await state(alarms) == "normal"


async def test_an_alarm_that_comes_again_has_to_be_acknowledged_again(alarms: Alarms) -> None:
    await alarms.apply([raised(), cleared(), raised(time=LATE)])
    found = (await alarms.live())[HIGH]
    assert (found.state, found.raised) == ("active_unacknowledged", LATE)


async def test_what_is_said_twice_counts_once(alarms: Alarms) -> None:
    await alarms.apply([cleared(), raised(), raised(time=LATE, value="231.0"), cleared(), cleared()])
    assert [event for event, _ in await events(alarms)] == ["raise", "clear"]


async def test_there_is_nothing_to_acknowledge_twice(alarms: Alarms) -> None:
    assert await alarms.ack(HIGH, "ann", "") == (False, "normal")
    await alarms.apply([raised()])
    await alarms.ack(HIGH, "ann", "")
    assert await alarms.ack(HIGH, "bob", "") == (False, "active_acknowledged")
    assert (await alarms.live())[HIGH].user == "ann"


async def shelve(alarms: Alarms, seconds: float = 3600) -> Any:
    return await alarms.shelve(
        HIGH, "ann", "maintenance", seconds=seconds, limit="230", priority="high", message="too high"
    )


async def test_a_shelved_alarm_comes_and_goes_without_a_word(alarms: Alarms, store: Store) -> None:
    heard = await listen(store, HIGH.point)
    await alarms.apply([raised()])
    assert await shelve(alarms) == (True, "shelved")
    await alarms.apply([cleared(), raised(time=LATE)])
    found = (await alarms.live())[HIGH]
    assert (found.state, found.active, found.user, found.note) == ("shelved", True, "ann", "maintenance")
    assert await alarms.ack(HIGH, "bob", "") == (False, "shelved")
    assert await alarms.unshelve(HIGH, "bob", "done") == (True, "active_unacknowledged")
    assert await events(alarms) == [
        ("raise", "active_unacknowledged"), ("shelve", "shelved"), ("clear", "shelved"), ("raise", "shelved"),
        ("unshelve", "active_unacknowledged"),
    ]  # fmt: skip
    assert [(await heard())["event"] for _ in range(3)] == ["raise", "shelve", "unshelve"]


async def test_a_shelved_alarm_that_is_over_is_normal_afterwards(alarms: Alarms) -> None:
    await alarms.apply([raised()])
    await shelve(alarms)
    await alarms.apply([cleared()])
    assert await alarms.unshelve(HIGH, "bob", "") == (True, "normal")
    assert await alarms.live() == {}
    assert await alarms.unshelve(HIGH, "bob", "") == (False, "normal")


async def test_an_alarm_that_is_normal_can_be_shelved(alarms: Alarms) -> None:
    assert await shelve(alarms) == (True, "shelved")
    found = (await alarms.live())[HIGH]
    assert (found.active, found.priority, found.limit, found.message) == (False, "high", "230", "too high")


async def test_shelving_ends_by_itself(alarms: Alarms) -> None:
    await alarms.apply([raised()])
    await shelve(alarms, seconds=0)
    until = (await alarms.live())[HIGH].until
    assert await alarms.bring_back() == 1
    assert await state(alarms) == "active_unacknowledged"
    last = (await transitions(alarms))[-1]
    assert (last.event, last.user, last.time) == ("unshelve", "", until)
    assert await alarms.bring_back() == 0


async def test_shelving_that_is_over_ends_also_when_something_else_happens(alarms: Alarms) -> None:
    await shelve(alarms, seconds=0)
    await alarms.apply([raised()])
    assert await state(alarms) == "active_unacknowledged"


async def test_shelving_can_be_prolonged(alarms: Alarms) -> None:
    await shelve(alarms, seconds=0)
    await shelve(alarms)
    assert await alarms.bring_back() == 0
    assert await state(alarms) == "shelved"


async def test_an_alarm_ends_with_its_point(alarms: Alarms, store: Store) -> None:
    other = AlarmId("d", "t", "j", "stale")
    await alarms.apply([raised(), raised(AlarmId("d", "t", "i", "high_high")), raised(other)])
    await shelve(alarms)
    await alarms.drop([PointId("d", "t", "i"), PointId("nobody", "t", "i")])
    assert set(await alarms.live()) == {other}
    assert [event for event, _ in await events(alarms)][-2:] == ["remove", "remove"]
    assert await store.redis.exists(keys.shelved(keys.partition_of("d", store.partitions))) == 0


async def test_everybody_who_listens_is_told(alarms: Alarms, store: Store) -> None:
    heard = await listen(store, HIGH.point)
    await alarms.apply([raised(message='very "high"\n\u20ac/')])
    told = await heard()
    assert told == {
        "device_id": "d", "term_id": "t", "item_id": "i", "time": EARLY, "value": 230.1, "quality": "good",
        "warn_msg": 'very "high"\n\u20ac/', "state": "active_unacknowledged", "event": "raise", "kind": "high",
        "priority": "high", "limit": 230, "user": "", "note": "",
    }  # fmt: skip


async def listen(store: Store, point: PointId) -> Any:
    """A function that waits for the next message."""
    client = store.dedicated()
    pubsub = client.pubsub()
    await pubsub.subscribe(keys.warning_channel(str(point)))
    await pubsub.get_message(timeout=5)

    async def heard() -> Any:
        async with asyncio.timeout(10):
            while (message := await pubsub.get_message(ignore_subscribe_messages=True, timeout=5)) is None:
                pass
        return msgspec.json.decode(message["data"])

    return heard


async def test_numbers_and_texts_survive(alarms: Alarms) -> None:
    for n, value in enumerate(("9007199254740993", "1e-300", "-0.0", '"caf\\u00e9"', "true", "null")):
        alarm = AlarmId("d", "t", f"i{n}", "rule")
        await alarms.apply([Condition(str(alarm), "raise", EARLY, value, '["invalid","stale"]')])
        found = (await alarms.live())[alarm]
        assert (found.value, found.quality) == (value, '["invalid","stale"]')


async def test_history_goes_over_all_partitions_in_pages(alarms: Alarms) -> None:
    ids = [AlarmId(f"device{n}", "t", "i", "high") for n in range(30)]
    for alarm in ids:
        await alarms.apply([raised(alarm)])
    seen: list[str] = []
    before: TransitionId | None = None
    while page := await alarms.history(Wanted(), 7, before):
        seen += [transition.alarm for _, transition in page]
        before = TransitionId.parse(str(page[-1][0]))
    assert sorted(seen) == sorted(map(str, ids))
    assert len(seen) == 30


@pytest.mark.parametrize(
    "before", ["0-0-0", "0-0-9", "0-1-0", "1-0-0", "999999999999999999-999999999999999999-999999"]
)
async def test_history_takes_any_place(alarms: Alarms, before: str) -> None:
    await alarms.apply([raised()])
    found = await alarms.history(Wanted(), 10, TransitionId.parse(before))
    assert len(found) == int(before.startswith("9"))
    assert await alarms.history(Wanted(until=5.0), 10, TransitionId.parse(before)) == []


async def test_history_keeps_to_what_is_wanted(alarms: Alarms) -> None:
    await alarms.apply([raised(), raised(AlarmId("e", "t", "i", "low"))])
    (low,) = await transitions(alarms, matches=lambda transition: transition.alarm.startswith("e:"))
    assert low.alarm == "e:t:i:low"
    assert len(await transitions(alarms, since=0.0, until=4e9)) == 2
    assert await transitions(alarms, since=4e9) == []
    assert await transitions(alarms, until=1.0) == []


async def test_transitions_can_be_followed(alarms: Alarms, store: Store) -> None:
    await alarms.apply([raised(), cleared()])
    partition = keys.partition_of("d", store.partitions)
    (first, one), (second, two) = await alarms.after(partition, "0-0")
    assert (one.event, two.event) == ("raise", "clear")
    assert await alarms.after(partition, first) == [(second, two)]
    assert await alarms.after(partition, "0-0", 1) == [(first, one)]
    assert await alarms.after(partition, second) == []


async def test_what_another_program_put_there_harms_nobody(alarms: Alarms, store: Store) -> None:
    partition = keys.partition_of("d", store.partitions)
    await store.redis.hset(keys.alarms(partition), mapping={"nonsense": "x", "d:t:i:low": "\xc1"})
    await store.redis.xadd(keys.alarm_stream(partition), {"t": "\xc1"})
    await store.redis.xadd(keys.alarm_stream(partition), {"x": "y"})
    foreign = Transition(alarm="nonsense", event="raise", state="normal", time=EARLY)
    await store.redis.xadd(keys.alarm_stream(partition), {"t": msgspec.msgpack.encode(foreign)})
    await alarms.apply([raised()])
    assert set(await alarms.live()) == {HIGH}
    assert await events(alarms) == [("raise", "active_unacknowledged")]
    low = AlarmId("d", "t", "i", "low")
    assert await alarms.ack(low, "ann", "") == (False, "normal")
    await alarms.apply([raised(low)])
    assert set(await alarms.live()) == {HIGH, low}


async def test_an_alarm_ends_when_its_point_is_deleted_or_renamed(alarms: Alarms, store: Store) -> None:
    other = AlarmId("d", "t", "j", "low")
    async with running(store) as repository:
        await repository.transact(plant)
        await alarms.apply([raised(), raised(other)])
        await repository.transact(lambda tx: tx.delete("formula", "f"))
        await repository.transact(lambda tx: tx.delete("term_item", ("t", "i")))
        assert set(await alarms.live()) == {other}
        await repository.transact(lambda tx: tx.replace("device", "d", device("e")))
        assert await alarms.live() == {}
    assert [(one.alarm, one.event) for one in await transitions(alarms)][-2:] == [
        (str(HIGH), "remove"), (str(other), "remove"),
    ]  # fmt: skip


async def follows(store: Store, plugin: str, place: str | None) -> None:
    """A plugin that has read the transitions of the partition of ``d`` up to a place."""
    partition = keys.partition_of("d", store.partitions)
    await store.redis.xgroup_create(keys.stream(partition), plugin, "$", mkstream=True)
    if place is not None:
        await store.redis.hset(keys.plugin_state(partition, plugin), "alarms", place)


async def swing(alarms: Alarms, count: int) -> None:
    """An alarm comes and goes: so many transitions."""
    for start in range(0, count, 500):
        steps = range(start, min(start + 500, count))
        await alarms.apply([cleared() if n % 2 else raised() for n in steps])


async def test_what_is_forgotten_before_it_was_read_is_counted(alarms: Alarms, store: Store) -> None:
    """The store keeps 20,000 transitions of a partition, and at most 100 more."""
    partition = keys.partition_of("d", store.partitions)
    await swing(alarms, 400)
    ids = [entry for entry, _ in await alarms.after(partition, "0-0")]
    await follows(store, "quick", ids[-1])
    await follows(store, "slow", ids[149])
    await follows(store, "stuck", "0-0")
    await follows(store, "other", None)
    await swing(alarms, 20_000)
    kept = int(await store.redis.xlen(keys.alarm_stream(partition)))
    gone = 20_400 - kept
    assert 20_000 <= kept < 20_100
    assert (await look(store)).alarms_lost == {"stuck": gone, "slow": gone - 150}
    await swing(alarms, 200)
    lost = (await look(store)).alarms_lost
    assert (lost["stuck"] > gone, lost["quick"] > 0) == (True, True)


async def test_alarms_are_counted_by_state_and_priority(alarms: Alarms, store: Store) -> None:
    urgent = Condition("e:t:i:low", "raise", EARLY, priority="critical")
    await alarms.apply([raised(), urgent, Condition("f:t:i:low", "raise", EARLY), cleared()])
    await alarms.ack(AlarmId("e", "t", "i", "low"), "ann", "")
    await store.redis.hset(keys.alarms(0), "junk", "\xc1")
    foreign = msgspec.msgpack.encode({"state": "strange", "priority": "high"})
    await store.redis.hset(keys.alarms(0), "foreign", foreign)
    assert (await look(store)).alarms == {
        ("returned_unacknowledged", "high"): 1,
        ("active_acknowledged", "critical"): 1,
        ("active_unacknowledged", "medium"): 1,
    }
