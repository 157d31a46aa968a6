"""What ended by itself goes into the audit trail, whether the store is there or comes back later."""

from __future__ import annotations

import asyncio
import logging

import pytest

from pydatacoll.manager import trail
from pydatacoll.manager.trail import Trail
from pydatacoll.store.audit import Audit, AuditFilter
from pydatacoll.store.client import Store
from test.integration.proxy import Proxy


def entry(number: int) -> dict[str, object]:
    return {"action": "select.given_up", "object": f"d:t:{number}", "devices": ["d"], "result": "ok"}


async def objects(store: Store, count: int) -> list[str]:
    """Of the entries, oldest first, once there are so many."""
    audit = Audit(store)
    while await audit.length() < count:
        await asyncio.sleep(0.01)
    return [found["object"] for found in reversed((await audit.read(AuditFilter(), 100)).entries)]


async def test_entries_wait_for_the_store_in_their_order(
    redis_url: str, store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(trail, "AGAIN", 0.01)
    async with Proxy(redis_url.removeprefix("unix://")) as proxy:
        behind = Store(proxy.url)
        mine = Trail(Audit(behind))
        task = asyncio.create_task(mine.run())
        mine.tell(entry(0))
        assert await objects(store, 1) == ["d:t:0"]
        proxy.refuse = True
        proxy.cut()
        for number in range(1, 4):
            mine.tell(entry(number))
        proxy.refuse = False
        assert await objects(store, 4) == [f"d:t:{number}" for number in range(4)]
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)
        await behind.close()


async def test_the_last_entries_are_written_when_the_manager_stops(store: Store) -> None:
    mine = Trail(Audit(store))
    task = asyncio.create_task(mine.run())
    await asyncio.sleep(0)  # it runs
    mine.tell(entry(0))
    mine.tell(entry(1))
    task.cancel()
    await asyncio.gather(task, return_exceptions=True)
    assert await objects(store, 2) == ["d:t:0", "d:t:1"]


async def test_what_is_given_up_is_logged(
    redis_url: str, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(trail, "MOST_WAITING", 2)
    async with Proxy(redis_url.removeprefix("unix://")) as proxy:
        behind = Store(proxy.url)
        proxy.refuse = True
        mine = Trail(Audit(behind))
        with caplog.at_level(logging.ERROR):
            for number in range(3):
                mine.tell(entry(number))
            task = asyncio.create_task(mine.run())
            await asyncio.sleep(0)
            task.cancel()
            await asyncio.gather(task, return_exceptions=True)
        await behind.close()
    lost = [record.getMessage() for record in caplog.records]
    assert [f"d:t:{number}" in text for number, text in enumerate(lost)] == [True, True, True]
