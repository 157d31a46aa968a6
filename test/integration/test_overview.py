"""One look at a real store: what metrics, readiness and diagnosis are made of."""

from __future__ import annotations

import asyncio
import time
from pathlib import Path

import pytest
from prometheus_client.parser import text_string_to_metric_families

from pydatacoll.errors import StoreError, StoreRefused, StoreUnavailable
from pydatacoll.health.diagnosis import Diagnosis
from pydatacoll.health.readiness import Readiness
from pydatacoll.manager.metrics import Metrics
from pydatacoll.manager.self_report import SelfReport
from pydatacoll.model import TermItem
from pydatacoll.model.alarm import AlarmId, Condition
from pydatacoll.model.registry import Registry
from pydatacoll.settings import RedisSettings, Settings
from pydatacoll.store import keys, plugin_reports
from pydatacoll.store.alarms import Alarms
from pydatacoll.store.client import Store, store_errors
from pydatacoll.store.ingest import Writer
from pydatacoll.store.leases import Leases
from pydatacoll.store.overview import FORGET, look, report, try_write, withdraw
from pydatacoll.store.packets import Account, Packet
from pydatacoll.store.plugin_reports import PluginReport
from pydatacoll.store.status import Link, StatusReader, StatusWriter


class FakeRepository:
    ready = True

    def __init__(self) -> None:
        self.registry = Registry()


def self_report(store: Store, name: str) -> SelfReport:
    return SelfReport(store, name, Writer(store, name), lambda: 3)


def plugin_report(state: str) -> PluginReport:
    return PluginReport(
        reported=0.0, host="h", pid=1, state=state, partitions=[0], handled=5, retries=0, dead_lettered=0,
        counters={"rows": 3}, longest_step=0.5,
    )  # fmt: skip


async def owned(store: Store, name: str) -> Leases:
    leases = Leases(store, name, 60.0)
    await leases.heartbeat()
    for partition in range(store.partitions):
        await leases.take(partition)
    return leases


async def test_an_empty_store(store: Store) -> None:
    seen = await look(store)
    assert seen.unowned == store.partitions
    assert (seen.managers, seen.groups, seen.streams) == ({}, {}, [0] * store.partitions)
    assert abs(seen.time - time.time()) < 60
    assert seen.info["aof_enabled"] in {0, 1}


async def test_managers_tell_about_themselves_as_long_as_they_live(store: Store) -> None:
    leases = await owned(store, "m1")
    one, dead = self_report(store, "m1"), self_report(store, "dead")
    await report(store, "m1", one.now())
    await report(store, "dead", dead.now())
    seen = await look(store)
    assert seen.unowned == 0
    assert list(seen.managers) == ["m1"]
    assert seen.managers["m1"].devices == 3
    assert set(seen.managers["m1"].writer) >= {"calls", "samples", "bytes", "reconnects"}
    await one.end()
    await leases.goodbye()
    assert (await look(store)).managers == {}
    assert await store.redis.hkeys(keys.MANAGER_REPORTS) == ["dead"]
    await withdraw(store, "other", time.time() + FORGET + 60)
    assert not await store.redis.exists(keys.MANAGER_REPORTS)


async def test_how_far_plugins_are_behind(store: Store) -> None:
    await store.redis.xgroup_create(keys.stream(5), "archive", "$", mkstream=True)
    writer = Writer(store, "w")
    task = asyncio.create_task(writer.run())
    try:
        for number in range(3):
            writer.put(Packet(5, "d", Account(), ["t:i"], [float(number)], 1000.0, 0, 10))
            await writer.flush()
        assert (await look(store)).groups["archive"].lag == 3
        await store.redis.hset(keys.stream_dropped(5), "archive", 7)
        seen = await look(store)
        assert seen.groups["archive"].dropped == 7
        assert 0 <= seen.groups["archive"].behind(seen.time) < 60
        assert sum(seen.streams) == 3
    finally:
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)


async def test_a_new_server_gets_the_functions_that_a_look_needs(store: Store) -> None:
    await store.redis.function_flush()
    assert (await look(store)).groups == {}


async def test_a_store_that_takes_no_writes_is_found_out(store: Store) -> None:
    await try_write(store)
    await store.redis.config_set("maxmemory", 1)
    with pytest.raises(StoreRefused):
        await try_write(store)
    await store.redis.config_set("maxmemory", 0)
    await store.redis.config_set("min-replicas-to-write", 3)
    try:
        with pytest.raises(StoreRefused):
            await try_write(store)
    finally:
        await store.redis.config_set("min-replicas-to-write", 0)
    await try_write(store)


def readiness(store: Store, settled: asyncio.Event, **more: object) -> Readiness:
    repository = FakeRepository()
    vars(repository).update(more)
    return Readiness(store, settled, repository, StatusReader(store), lambda: False)  # type: ignore[arg-type]


async def test_why_it_is_not_ready_and_what_to_do(store: Store) -> None:
    settled = asyncio.Event()
    assert "start it, or mend redis.url" in (await readiness(store, settled).reasons())[0]
    settled.set()
    found = await readiness(store, settled, ready=False).reasons()
    assert found[0].startswith(f"no device manager runs {store.partitions} of {store.partitions} partitions: ")
    assert found[1].startswith("the model is not loaded: ")
    leases = await owned(store, "m")
    assert await readiness(store, settled).reasons() == []
    await store.redis.config_set("maxmemory", 1)
    assert (await readiness(store, settled).reasons())[0].startswith(
        "the store refuses writes: it is out of memory: raise its maxmemory"
    )
    await store.redis.config_set("maxmemory", 0)
    await leases.goodbye()


async def test_a_demo_plant_that_is_being_loaded_is_waited_for(store: Store) -> None:
    settled = asyncio.Event()
    settled.set()
    await owned(store, "m")
    loading = [True]
    repository = FakeRepository()
    asked = Readiness(store, settled, repository, StatusReader(store), loading.pop)  # type: ignore[arg-type]
    assert await asked.reasons() == ["the demo plant is being loaded: wait"]


async def test_a_store_that_hangs_is_not_waited_for(store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("pydatacoll.health.readiness.PATIENCE", 0.05)
    settled = asyncio.Event()
    settled.set()
    await store.redis.client_pause(3000)
    (reason,) = await readiness(store, settled).reasons()
    assert reason.startswith("the store does not answer within")
    await store.redis.client_unpause()


async def test_asking_often_asks_the_store_once(store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("pydatacoll.health.readiness.KEEP", 60.0)
    settled = asyncio.Event()
    settled.set()
    asked = readiness(store, settled)
    before = (await store.redis.info("commandstats")).get("cmdstat_set", {"calls": 0})["calls"]
    await asyncio.gather(*(asked.reasons() for _ in range(100)))
    assert (await store.redis.info("commandstats"))["cmdstat_set"]["calls"] == before + 1


def away() -> Store:
    return Store("redis://:hidden-password@127.0.0.1:1/0")


async def test_nothing_says_a_password_or_an_address_without_a_token() -> None:
    store = away()
    settled = asyncio.Event()
    settled.set()
    said = await readiness(store, settled).reasons()
    assert said
    assert "127.0.0.1" not in said[0]
    for ask in (look(store), try_write(store), store.ping(), store.settle(), store.problems()):
        with pytest.raises(StoreError) as caught:
            await ask
        assert "hidden-password" not in f"{caught.value!r} {caught.value.__cause__!r}"
    await store.close()


async def test_the_diagnosis_of_a_sound_and_of_a_broken_system(store: Store, tmp_path: Path) -> None:
    data = tmp_path / "data"
    data.mkdir(mode=0o755)
    config = tmp_path / "plant.toml"
    config.write_text("")
    config.chmod(0o644)
    settings = Settings(data_dir=str(data), redis=RedisSettings(url="redis://:hidden-password@h/0"), plugins=["a"])
    model = Registry()

    async def found(one: Store) -> dict[str, tuple[str, str]]:
        diagnosis = Diagnosis(settings, config, one, StatusReader(one))
        checks = await diagnosis.checks(lambda: model)
        assert all(check.remedy for check in checks if check.status != "ok")
        assert "hidden-password" not in str(checks)
        return {check.check: (check.status, check.detail) for check in checks}

    await owned(store, "m")
    await report(store, "m", self_report(store, "m").now())
    await plugin_reports.report(store, "a", "r", plugin_report("running"))
    sound = await found(store)
    assert {name for name, (status, _) in sound.items() if status == "failed"} == set()
    assert {"store", "memory", "managers", "devices", "clock", "disk", "plugins", "rights"} <= sound.keys()
    assert "settings file" in sound["rights"][1]  # the last of two
    assert "mode 0644" in sound["rights"][1]
    await plugin_reports.report(store, "a", "r", plugin_report("failing"))
    assert (await found(store))["plugins"][0] == "failed"
    await plugin_reports.withdraw(store, "a", "r")
    assert (await found(store))["plugins"] == ("failed", "no runner of a is alive")
    model.put_term_item(TermItem(term_id="t", item_id="i", up_limit=240.0))
    assert "nobody raises their alarms" in (await found(store))["plugins"][1]
    await plugin_reports.report(store, "checker", "elsewhere", plugin_report("running"))
    assert (await found(store))["plugins"] == ("failed", "no runner of a is alive")
    gone = away()
    broken = await found(gone)
    assert broken["store"][0] == "failed"
    assert "disk" in broken
    await gone.close()


async def test_the_exposition_is_valid_with_and_without_the_store(store: Store) -> None:
    await owned(store, "m")
    await report(store, "m", self_report(store, "m").now())
    writer = StatusWriter(store)
    repository = FakeRepository()
    for name in ("d1", "d2"):
        repository.registry.devices[name] = object()  # type: ignore[index]
        account = {"read": 10, "stored": 7, "unchanged": 1, "rejected": 0, "dropped": 1, "pending": 1}
        counters = {"polls": 5, "failed_polls": 2, 'odd "\\\n': 3}
        writer.detail(name, {"accounting": account, "points": 3, "last_seen": time.time(), "counters": counters})
    writer.link("d1", Link("connected"))
    writer.link("d2", Link("backoff", 1.0, "refused"))
    await writer.flush()

    await plugin_reports.report(store, "a", "r", plugin_report("running"))
    await store.redis.xgroup_create(keys.stream(3), "a", "$", mkstream=True)
    await store.redis.hset(keys.plugin_place(3, "a"), mapping={"done": 7, "dead": 1, "retries": 2, "base": -8})

    raised = [Condition(f"d{n}:t:i:high", "raise", "2026-11-21T09:00:00Z", priority="high") for n in range(3)]
    await Alarms(store).apply(raised)
    await Alarms(store).ack(AlarmId("d0", "t", "i", "high"), "ann", "")
    await Alarms(store).shelve(
        AlarmId("d1", "t", "i", "high"), "ann", "", seconds=60, limit="1", priority="high", message=""
    )
    await store.redis.hset(keys.alarms_lost(5), "a", 12)

    async def exposed(one: Store, **options: bool) -> dict[tuple[str, ...], float]:
        metrics = Metrics(
            repository,  # type: ignore[arg-type]
            StatusReader(one),
            lambda: look(one),
            plugins=lambda: plugin_reports.read_reports(one),
            **options,
        )
        families = text_string_to_metric_families((await metrics.text()).decode())
        return {(s.name, *sorted(s.labels.values())): s.value for family in families for s in family.samples}

    found = await exposed(store)
    assert found["pydatacoll_store_up",] == 1
    assert found["pydatacoll_managers",] == 1
    assert found["pydatacoll_devices", "backoff"] == found["pydatacoll_devices", "connected"] == 1
    assert found["pydatacoll_accounted_samples_total", "read"] == 20
    assert found["pydatacoll_polls_total", "failed"] == 4
    assert found["pydatacoll_samples_stored_total", "d1"] == 7
    assert found["pydatacoll_device_events_total", "d2", 'odd "\\\n'] == 3
    assert found["pydatacoll_manager_devices", "m"] == 3
    assert found["pydatacoll_store_memory_bytes",] > 0
    assert found["pydatacoll_plugin_handled_total", "a"] == 7
    assert found["pydatacoll_plugin_dead_lettered_total", "a"] == 1
    assert found["pydatacoll_plugin_lag_samples", "a"] == 0
    assert found["pydatacoll_plugin_behind_seconds", "a"] == 0
    assert found["pydatacoll_plugin_up", "a", "r"] == 1
    assert found["pydatacoll_plugin_longest_step_seconds", "a", "r"] == 0.5
    assert found["pydatacoll_plugin_events_total", "a", "r", "rows"] == 3
    assert found["pydatacoll_alarms", "active_acknowledged", "high"] == 1  # labels sorted
    assert found["pydatacoll_alarms", "high", "shelved"] == found["pydatacoll_alarms_shelved",] == 1
    assert found["pydatacoll_alarms", "critical", "shelved"] == 0
    assert found["pydatacoll_alarms_unacknowledged", "high"] == 1
    assert found["pydatacoll_alarm_steps_lost_total", "a"] == 12
    sums = await exposed(store, devices=False)
    assert sums["pydatacoll_accounted_samples_total", "read"] == 20
    assert not any("d1" in key for key in sums)
    gone = away()
    without = await exposed(gone)
    assert without["pydatacoll_store_up",] == 0
    assert ("pydatacoll_managers",) not in without
    assert ("process_cpu_seconds_total",) in without
    await gone.close()


async def test_a_store_that_is_away_is_no_refusal() -> None:
    store = away()
    with pytest.raises(StoreUnavailable):
        await try_write(store)
    await store.close()


async def test_a_refusal_inside_a_pipeline_is_a_refusal(store: Store) -> None:
    """redis-py puts words of its own before what the server said."""
    await store.redis.config_set("min-replicas-to-write", 3)
    try:
        pipeline = store.redis.pipeline(transaction=False)
        pipeline.set("a", "(of pipeline caused error: ('2'")
        with pytest.raises(StoreRefused, match="NOREPLICAS"), store_errors():
            await pipeline.execute()
    finally:
        await store.redis.config_set("min-replicas-to-write", 0)
