"""The overview while the store is away: nobody waits for somebody else's attempt, and nobody waits in vain."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager
from typing import Any

import pytest

from pydatacoll.errors import StoreUnavailable
from pydatacoll.live import feed as live_feed
from pydatacoll.live.feed import Feed
from pydatacoll.model.change import Change
from pydatacoll.model.registry import ModelView
from pydatacoll.store.client import Store
from test.integration.live_rig import live_rig
from test.integration.proxy import Proxy

FOR_EVER = 1000.0


class NoModel:
    """The model is not loaded, as the store was never there."""

    @property
    def registry(self) -> ModelView:
        raise StoreUnavailable("the model is not loaded")

    async def loaded(self) -> None:
        await asyncio.Event().wait()

    def subscribe(self, callback: Callable[[Sequence[Change] | None], None]) -> Callable[[], None]:
        return lambda: None


async def _health() -> Sequence[dict[str, str]]:
    return []


@asynccontextmanager
async def _feed(url: str) -> AsyncIterator[Feed]:
    store = Store(url)
    feed = Feed(store, NoModel(), {})
    try:
        yield feed
    finally:
        await feed.close()
        await store.close()


async def _all_are_told(feed: Feed, count: int = 50) -> None:
    found = await asyncio.gather(*(feed.overview(_health) for _ in range(count)), return_exceptions=True)
    assert {type(one) for one in found} == {StoreUnavailable}


async def test_a_store_that_refuses_connections_is_told_of_at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(live_feed, "PATIENCE", FOR_EVER)
    async with _feed("redis://127.0.0.1:1") as feed:
        await _all_are_told(feed)
        await _all_are_told(feed)


async def test_a_store_that_is_silent_is_waited_for_once(monkeypatch: pytest.MonkeyPatch) -> None:
    silent = asyncio.Event()

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        while await reader.read(65536):
            silent.set()
        writer.close()

    server = await asyncio.start_server(serve, "127.0.0.1", 0)
    monkeypatch.setattr(live_feed, "PATIENCE", 0.5)
    async with _feed(f"redis://127.0.0.1:{server.sockets[0].getsockname()[1]}") as feed:
        first = asyncio.create_task(_all_are_told(feed))
        await silent.wait()
        monkeypatch.setattr(live_feed, "PATIENCE", FOR_EVER)  # from now on
        await first
        await _all_are_told(feed)
    server.close()


async def test_it_says_when_to_ask_again_and_then_what_was_known_last(redis_url: str, store: Store) -> None:
    async with Proxy(redis_url.removeprefix("unix://")) as proxy:
        behind = Store(proxy.url)
        async with live_rig(behind) as rig:
            await rig.plant()
            await rig.put(i=7)
            proxy.refuse = True
            proxy.cut()
            answer = await rig.api("GET", "/api/v2/overview", status=503)
            assert answer.headers["Retry-After"] == "2"
            proxy.refuse = False

            async def shown() -> dict[str, Any]:
                while True:
                    answer = await rig.api("GET", "/api/v2/overview")
                    if answer.status == 200:
                        return dict(answer.json)
                    assert answer.status == 503

            assert (await shown())["totals"]["points"] == 1
            proxy.refuse = True
            proxy.cut()
            while not rig.feed.away:
                await asyncio.sleep(0.01)
            rig.feed._looking.forget()
            found = await shown()
            assert found["totals"]["points"] == 1
            assert found["health"][0]["state"] == "error"
            proxy.refuse = False
        await behind.close()
