"""Steps of alarms in real databases: all that were written are found again, in pages, and chosen as asked."""

from __future__ import annotations

import itertools
from functools import partial
from typing import Any

import pytest

from pydatacoll.archive import alarms
from pydatacoll.archive.alarms import LONGEST_VALUE, read_alarms, write_alarms
from pydatacoll.archive.config import ArchiveConfig
from pydatacoll.archive.database import Database
from pydatacoll.archive.schema import MIGRATIONS, migrate
from pydatacoll.archive.shapes import AlarmQuery, AlarmStep
from pydatacoll.codec import json
from pydatacoll.model.alarm import AlarmId, Transition
from test.integration.archive_rig import NOW

TIME = "2026-11-21T01:30:00.123456Z"


@pytest.fixture
async def empty(archive_url, tmp_path):
    made = Database(ArchiveConfig(url=archive_url), tmp_path)
    yield made
    await made.close()


@pytest.fixture
async def database(empty):
    await migrate(empty, NOW)
    return empty


def step(device: str = "d", kind: str = "high", **more: Any) -> Transition:
    known = {"event": "raise", "state": "active_unacknowledged", "time": TIME, "value": "241.5", "limit": "240.0"}
    return Transition(alarm=f"{device}:t:i:{kind}", **{**known, **more})


async def found(database: Database, limit: int = 100, **wanted: Any) -> list[AlarmStep]:
    return await read_alarms(database, AlarmQuery(**wanted), limit)


async def test_a_step_comes_out_as_it_went_in(database: Database) -> None:
    steps = [
        step(message="it's \u2603", priority="critical", quality='["invalid","stale"]'),
        step(event="shelve", state="shelved", user="anna", note="a\nb", until="2027-01-01T00:00:00.000001Z"),
        step(value='"caf\\u00e9 \\"x\\""', limit="null"),
        step(value="null"),
        step(value="9007199254740993"),
    ]
    await write_alarms(database, [(f"1795224600{n:03}-0", one) for n, one in enumerate(steps)])
    assert await found(database) == [AlarmStep(1795224600000 + n, 0, one) for n, one in enumerate(steps)][::-1]


async def test_long_texts_are_cut_and_stay_readable(database: Database, monkeypatch: pytest.MonkeyPatch) -> None:
    long = json.encode("\u2603\n" * 3000).decode()
    await write_alarms(
        database, [("1-0", step(value=long)), ("2-0", step(value=json.encode("x" * 5000).decode()))]
    )
    monkeypatch.setattr(alarms, "_shortened", lambda value: value[:LONGEST_VALUE])  # as the first release did
    await write_alarms(database, [("3-0", step(value=long))])
    cut, letters, snow = [json.decode(one.step.value.encode()) for one in await found(database)]
    assert (len(letters), set(letters)) == (4096, {"x"})
    assert snow.startswith("\u2603\n\u2603")
    assert cut == long[:LONGEST_VALUE]


async def test_steps_come_in_the_order_of_numbers_and_not_of_texts(database: Database) -> None:
    places = [(9, 0), (10, 2), (10, 10), (100, 0)]
    await write_alarms(database, [(f"{noted}-{number}", step()) for noted, number in places])
    assert [one[:2] for one in await found(database)] == places[::-1]
    assert [one[:2] for one in await found(database, before=(10, 9))] == places[1::-1]
    assert [one[:2] for one in await found(database, since=10, until=10)] == [(10, 10), (10, 2)]


def is_not(place: tuple[int, int] | None, one: AlarmStep) -> bool:
    return one[:2] != place


@pytest.mark.parametrize("limit", [1, 3, 7, 1000])
async def test_pages_of_any_size_hold_everything_once(
    database: Database, monkeypatch: pytest.MonkeyPatch, limit: int
) -> None:
    """Also where many partitions noted a step at the same place."""
    monkeypatch.setattr(alarms, "PAGE", 5)
    monkeypatch.setattr(alarms, "_TIES", 2)
    written = [(f"{place}-0", step(f"d{n}")) for place, n in itertools.product((1, 2, 3), range(20))]
    await write_alarms(database, written)
    seen: list[AlarmStep] = []
    before: tuple[int, int] | None = None
    while True:
        page = await found(database, limit, before=before, matches=partial(is_not, before))
        assert page == sorted(page, key=lambda one: one[:2], reverse=True)
        if not page:
            break
        assert len(page) >= limit or len(seen) + len(page) == 60
        seen += page
        before = page[-1][:2]
    assert sorted((f"{one.noted}-{one.number}", one.step.alarm) for one in seen) == sorted(
        (entry, one.alarm) for entry, one in written
    )


@pytest.mark.parametrize(
    ("wanted", "expected"),
    [
        ({"device_ids": ["feeder1"]}, [2, 1]),
        ({"device_ids": ["feeder1", "Feeder1"]}, [3, 2, 1]),
        ({"device_ids": []}, []),
        ({"kinds": ["low", "rule"]}, [5, 2]),
        ({"priorities": ["critical"]}, [4]),
        ({"events": ["ack", "clear"]}, [5, 3]),
        ({"alarm": AlarmId("feeder1", "t", "i", "low")}, [2]),
        ({"patterns": ["feeder_2"]}, [4]),
        ({"patterns": ["fee*"], "matches": lambda one: one.step.alarm.startswith("fee")}, [5, 4, 2, 1]),
        ({"patterns": ["feeder?2", "x*"]}, [5, 4]),
        ({"patterns": ["feeder[!1]2"], "matches": lambda one: "1" not in one.step.alarm}, [5, 4]),
        ({"patterns": ["feeder[]x_]2"]}, [5, 4]),
        ({"patterns": ["feeder["]}, []),
        ({"patterns": ["[f]eeder1"], "matches": lambda one: one.step.alarm.startswith("f")}, [2, 1]),
        ({"patterns": []}, []),
        ({"device_ids": ["feeder1"], "kinds": ["high"], "since": 1, "until": 3}, [1]),
        ({"device_ids": ["feeder1"], "before": (1, 0)}, [1]),
        ({"matches": lambda one: one.step.priority == "critical"}, [4]),
    ],
)
async def test_steps_can_be_chosen(database: Database, wanted: dict[str, Any], expected: list[int]) -> None:
    steps = [
        step("feeder1"),
        step("feeder1", "low"),
        step("Feeder1", event="ack"),
        step("feeder_2", priority="critical"),
        step("feeder-2", "rule", event="clear"),
    ]
    await write_alarms(database, [(f"{n}-0", one) for n, one in enumerate(steps, 1)])
    assert [one.noted for one in await found(database, **wanted)] == expected


async def test_steps_of_an_older_archive_are_found_in_their_order(empty: Database) -> None:
    """Its table did not have the places as numbers."""
    await migrate(empty, NOW, MIGRATIONS[:2])
    old = (
        "INSERT INTO pdc_alarm (time, entry, device_id, term_id, item_id, kind, event, state, priority, value, "
        "quality, bound, message, user_name, note, until) VALUES ({n}, '{entry}', 'd', 't', 'i', 'high', 'raise', "
        "'shelved', 'high', '1', '\"good\"', NULL, '', '', '', NULL)"
    )
    async with empty.transaction() as connection:
        for n, entry in enumerate(("1795224600000-9", "1795224600000-10", "999-0")):
            await connection.exec_driver_sql(old.format(n=n, entry=entry))
    await migrate(empty, NOW)
    assert [one[:2] for one in await found(empty)] == [(1795224600000, 10), (1795224600000, 9), (999, 0)]


async def test_a_migration_that_broke_off_is_done_again(empty: Database) -> None:
    async def broken(connection: Any, kind: Any, now: float) -> None:
        await MIGRATIONS[2](connection, kind, now)
        raise OSError("the power went")

    await migrate(empty, NOW, MIGRATIONS[:2])
    with pytest.raises(Exception, match="the power went"):
        await migrate(empty, NOW, (*MIGRATIONS[:2], broken))
    await migrate(empty, NOW)
    await write_alarms(empty, [("7-1", step())])
    assert await found(empty) == [AlarmStep(7, 1, step())]
