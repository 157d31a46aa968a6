"""Live push as server-sent events, over a real store."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any, NamedTuple

import aiohttp
import pytest

from pydatacoll.store.client import Store
from test.integration.live_rig import LiveRig, live_rig


class Event(NamedTuple):
    name: str
    id: str
    data: Any


@pytest.fixture
async def rig(store: Store) -> AsyncIterator[LiveRig]:
    async with live_rig(store) as made:
        yield made


@asynccontextmanager
async def _events(rig: LiveRig, query: str = "", **headers: str) -> AsyncIterator[AsyncIterator[Event]]:
    async def read(response: aiohttp.ClientResponse) -> AsyncIterator[Event]:
        fields: dict[str, str] = {}
        async for line in response.content:
            text = line.decode().rstrip("\n")
            if text:
                name, _, value = text.partition(": ")
                fields[name] = value
            elif "data" in fields:
                yield Event(fields["event"], fields.get("id", ""), json.loads(fields["data"]))
                fields = {}

    url = f"{rig.api.url}/api/v2/events{query}"
    async with rig.api.session.get(url, headers=headers) as response:
        assert response.status == 200, await response.text()
        assert response.content_type == "text/event-stream"
        yield read(response)


async def test_a_stream_begins_with_everything_and_goes_on_with_what_changes(rig: LiveRig) -> None:
    await rig.plant(items=["a", "b"])
    await rig.put(a=1, b=2)
    async with _events(rig, "?glob=d:*:a&rate=0") as events:
        first = await anext(events)
        assert (first.name, first.data["points"], first.data["resumed"]) == ("snapshot", 1, False)
        assert [row[2] for row in first.data["c"]] == [1]
        await rig.put(b=3)
        await rig.put(a=4)
        then = await anext(events)
        assert (then.name, [row[2] for row in then.data["c"]]) == ("values", [4])
        assert then.id > first.id


async def test_a_client_that_was_cut_off_gets_what_it_missed(rig: LiveRig) -> None:
    await rig.plant(items=["a", "b"])
    await rig.put(a=1, b=2)
    async with _events(rig) as events:
        last = (await anext(events)).id
    await rig.put(a=3)
    for headers, query in (({"Last-Event-ID": last}, ""), ({}, f"?last_event_id={last}")):
        async with _events(rig, query, **headers) as events:
            event = await anext(events)
            assert event.data["resumed"] is True
            while not event.data["c"]:  # the snapshot, or what follows when it was quicker than the store
                event = await anext(events)
            assert [row[::2] for row in event.data["c"]] == [["d:d-t:a", 3]]


async def test_an_id_of_another_life_of_the_server_gives_everything(rig: LiveRig) -> None:
    await rig.plant()
    await rig.put(i=1)
    for unknown in ("other-5", "nonsense", "-", "x-99999999999999999999"):
        async with _events(rig, **{"Last-Event-ID": unknown}) as events:
            first = await anext(events)
            assert (first.data["resumed"], len(first.data["c"])) == (False, 1)


async def test_topics_come_as_events_of_their_own(rig: LiveRig) -> None:
    async with _events(rig, "?topics=values,events&rate=0") as events:
        assert (await anext(events)).name == "snapshot"
        await rig.plant()
        await rig.put(i=1)
        names = set()
        while names != {"values", "events"}:
            names.add((await anext(events)).name)


@pytest.mark.parametrize("query", ["topics=x", "glob=a:b:c:d", "rate=50", "rate=x", "rate=5001", "nothing=1"])
async def test_bad_parameters_are_refused_by_name(rig: LiveRig, query: str) -> None:
    answer = await rig.api("GET", f"/api/v2/events?{query}", status=422)
    assert [field for _, field in answer.fields] == [query.partition("=")[0]]


async def test_asking_only_for_the_headers_does_not_begin_a_stream(rig: LiveRig) -> None:
    async with rig.api.session.head(f"{rig.api.url}/api/v2/events") as response:
        assert (response.status, response.content_type) == (200, "text/event-stream")
    assert not rig.feed.clients
