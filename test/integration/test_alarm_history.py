"""What happened to alarms, from the store and the archive together: everything once, whatever the store forgot."""

from __future__ import annotations

import asyncio
import random
from collections.abc import AsyncIterator
from dataclasses import replace
from hashlib import sha256
from typing import Any

import pytest

from pydatacoll.api import alarm_history
from pydatacoll.api.access import Access
from pydatacoll.api.app import create_app
from pydatacoll.archive.alarms import write_alarms
from pydatacoll.archive.archive import Archive
from pydatacoll.archive.config import ArchiveConfig
from pydatacoll.archive.database import Database
from pydatacoll.archive.schema import migrate
from pydatacoll.model.alarm import AlarmId, Condition
from pydatacoll.model.validation import Schemas
from pydatacoll.settings import AuthSettings, TokenSettings
from pydatacoll.store import keys
from pydatacoll.store.alarms import Alarms
from pydatacoll.store.client import Store
from test.api_client import Api, serve
from test.fakes_api import FakeBackend
from test.integration.archive_rig import NOW

PATH = "/api/v2/alarms/history"
TIME = "2026-11-21T09:00:00.000000Z"
DEVICES = [f"device{n}" for n in range(9)]


@pytest.fixture
async def archive(archive_url, tmp_path) -> AsyncIterator[Archive]:
    made = Archive(ArchiveConfig(url=archive_url), tmp_path)
    yield made
    await made.close()


@pytest.fixture
async def database(archive_url, tmp_path) -> AsyncIterator[Database]:
    made = Database(ArchiveConfig(url=archive_url), tmp_path)
    await migrate(made, NOW)
    yield made
    await made.close()


def services(store: Store, archive: Archive | None) -> Any:
    return replace(FakeBackend(Schemas({})).services, alarms=Alarms(store), archive=archive)


@pytest.fixture
async def api(store: Store, archive: Archive) -> AsyncIterator[Api]:
    async with serve(create_app(services(store, archive))) as made:
        yield made


async def happen(store: Store, count: int = 120) -> None:
    """Alarms of all devices begin and end."""
    alarms = Alarms(store)
    for n in range(count):
        alarm = AlarmId(DEVICES[n % len(DEVICES)], "t", "i", ("high", "low")[n // len(DEVICES) % 2])
        change = ("raise", "clear")[n // (2 * len(DEVICES)) % 2]
        await alarms.apply([Condition(str(alarm), change, TIME, str(n), priority="low" if n % 3 else "high")])  # type: ignore[arg-type]


async def everything(store: Store) -> list[tuple[str, str]]:
    """Id and value of what is in the store, the newest first."""
    found = await Alarms(store).history(alarm_history.Wanted(), 10_000)
    return [(str(step_id), one.value) for step_id, one in found]


async def archived_and_forgotten(store: Store, database: Database, seed: int) -> None:
    """The archive has a part of each partition, of different length; the store has forgotten a part of that."""
    rng = random.Random(seed)
    for partition in range(store.partitions):
        steps = await Alarms(store).after(partition, "0-0")
        archived = steps[: rng.randint(0, len(steps))]
        if archived:
            await write_alarms(database, archived)
            forgotten = rng.randint(0, len(archived))
            if forgotten:
                await store.redis.xdel(keys.alarm_stream(partition), *(entry for entry, _ in archived[:forgotten]))


async def pages(api: Api, query: str, **more: Any) -> list[dict[str, Any]]:
    """All pages, by their links."""
    found: list[dict[str, Any]] = []
    path = f"{PATH}?{query}"
    while path:
        answer = await api("GET", path, status=200, **more)
        assert "X-Incomplete" not in answer.headers
        found += answer.json
        path = answer.headers.get("Link", "").partition(">")[0].lstrip("<")
    return found


def seen(found: list[dict[str, Any]]) -> list[tuple[str, str]]:
    return [(one["id"], str(one["value"])) for one in found]


@pytest.mark.parametrize(("seed", "limit"), [(1, 7), (2, 1), (3, 100), (4, 1000)])
async def test_everything_is_found_once_in_pages(
    api: Api, store: Store, database: Database, seed: int, limit: int
) -> None:
    await happen(store)
    expected = await everything(store)
    await archived_and_forgotten(store, database, seed)
    assert len(await everything(store)) < len(expected) == 120
    assert seen(await pages(api, f"limit={limit}")) == expected


async def test_filters_mean_the_same_in_both(api: Api, store: Store, database: Database) -> None:
    await happen(store)
    before = {
        query: await pages(api, f"limit=4&{query}")
        for query in (
            "device_id=device1,device4", "kind=low", "priority=high", "event=clear", "alarm=device2:t:i:high",
            "kind=high&event=raise&priority=low", "until=1", "since=4000000000",
        )
    }  # fmt: skip
    assert [bool(found) for found in before.values()] == [True] * 6 + [False] * 2
    await archived_and_forgotten(store, database, 5)
    for query, found in before.items():
        assert await pages(api, f"limit=4&{query}") == found, query


async def test_a_span_of_time_goes_over_both(api: Api, store: Store, database: Database) -> None:
    await happen(store)
    expected = await everything(store)
    await archived_and_forgotten(store, database, 6)
    first, last = expected[80][0].partition("-")[0], expected[30][0].partition("-")[0]
    within = [one for one in expected if int(first) <= int(one[0].partition("-")[0]) <= int(last)]
    found = await pages(api, f"limit=10&since={int(first) / 1000}&until={int(last) / 1000}")
    assert seen(found) == within


async def test_what_an_emptied_store_has_forgotten_is_there(api: Api, store: Store, database: Database) -> None:
    await happen(store)
    expected = await everything(store)
    for partition in range(store.partitions):
        if steps := await Alarms(store).after(partition, "0-0"):
            await write_alarms(database, steps)
        await store.redis.delete(keys.alarm_stream(partition))
    assert seen(await pages(api, "limit=50")) == expected


async def test_a_token_sees_its_own_devices_in_both(store: Store, archive: Archive, database: Database) -> None:
    await happen(store)
    expected = await everything(store)
    await archived_and_forgotten(store, database, 7)
    token = TokenSettings(name="a", hash=sha256(b"x").hexdigest(), scope="read", devices=["device[12]", "none*"])
    made = replace(services(store, archive), access=Access(AuthSettings(tokens=[token])))
    async with serve(create_app(made)) as limited:
        found = await pages(limited, "limit=5", headers={"Authorization": "Bearer x"})
    assert {one["device_id"] for one in found} == {"device1", "device2"}
    assert len(found) == sum(n % len(DEVICES) in {1, 2} for n in range(120))
    assert [one for one in expected if one in seen(found)] == seen(found)


async def test_without_an_archive_the_store_is_all_there_is(store: Store) -> None:
    await happen(store)
    async with serve(create_app(services(store, None))) as api:
        assert seen(await pages(api, "limit=50")) == await everything(store)


async def test_an_archive_that_is_away_is_told_and_the_rest_is_served(store: Store, tmp_path) -> None:
    """Its tables were never made, or its server is not there: both are no fault of who asks."""
    await happen(store)
    expected = await everything(store)
    for url in (f"sqlite:///{tmp_path}/new.db", "mysql://a:hidden@127.0.0.1:1/none"):
        away = Archive(ArchiveConfig(url=url, timeout=5), tmp_path)
        async with serve(create_app(services(store, away))) as api:
            answer = await api("GET", f"{PATH}?limit=200", status=200)
            assert answer.headers["X-Incomplete"] == "archive unavailable"
            assert "hidden" not in answer.raw.decode()
            assert seen(answer.json) == expected
        await away.close()


async def test_an_archive_that_does_not_answer_is_not_waited_for(
    store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    class Hanging:
        async def alarms(self, wanted: Any, limit: int) -> Any:
            await asyncio.Event().wait()

    monkeypatch.setattr(alarm_history, "WAIT", 0.01)
    await happen(store, 20)
    async with serve(create_app(services(store, Hanging()))) as api:  # type: ignore[arg-type]
        answer = await api("GET", PATH, status=200)
    assert answer.headers["X-Incomplete"] == "archive unavailable"
    assert len(answer.json) == 20
