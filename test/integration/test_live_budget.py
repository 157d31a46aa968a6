"""What the subscriptions of all clients together may cost: who asks for more is told, and nobody else notices."""

from __future__ import annotations

import asyncio
from collections import Counter
from contextlib import AsyncExitStack
from typing import Any

from pydatacoll.settings import ServerSettings, Settings
from pydatacoll.store.client import Store
from test.integration.live_rig import LiveRig, Socket, live_rig

ITEMS = [f"i{number}" for number in range(20)]


def _ids(*items: str) -> list[str]:
    return [f"d:d-t:{item}" for item in items]


async def _answers(socket: Socket, count: int) -> Counter[Any]:
    """Of so many subscriptions, by kind or status; batches do not count."""
    found: Counter[Any] = Counter()
    while found.total() < count:
        answer = await socket.get()
        if "op" in answer and not answer.get("more"):
            found[answer.get("status", answer["op"])] += 1
    return found


async def _settled(rig: LiveRig, points: int) -> None:
    while (rig.feed._budget.points, rig.feed._budget.subscriptions) != (points, 0):
        await asyncio.sleep(0.01)


async def test_a_flood_of_subscriptions_of_many_clients_ends_at_the_limit(store: Store) -> None:
    settings = Settings(server=ServerSettings(live_subscriptions=30))
    async with live_rig(store, settings) as rig:
        await rig.plant(items=ITEMS)
        await rig.put(i0=1)
        async with AsyncExitStack() as stack:
            mine = await stack.enter_async_context(rig.socket())
            await mine.sub("mine", ids=_ids("i0"))
            sockets = [await stack.enter_async_context(rig.socket()) for _ in range(5)]
            for number in range(40):
                for socket in sockets:
                    await socket.send(op="sub", id=number, globs=[f"*:*:i{number}?"])
            found = sum([await _answers(socket, 40) for socket in sockets], Counter())
            assert found == {"snapshot": 29, 429: 171}
            await rig.put(i0=2)
            assert await mine.values("mine", until={"d:d-t:i0": 2}) == {"d:d-t:i0": 2}
            problem = (await rig.api("GET", "/api/v2/events", status=429)).json
            assert "server.live_subscriptions" in problem["detail"]
            await mine.send(op="unsub", id="mine")
            assert (await mine.get())["op"] == "unsubscribed"
            await mine.sub("again", ids=_ids("i1"))
        await _settled(rig, 0)


async def test_a_flood_of_points_that_are_named_ends_at_the_limit(store: Store) -> None:
    async with live_rig(store, Settings(server=ServerSettings(live_points=100))) as rig:
        await rig.plant(items=ITEMS)
        async with rig.socket() as socket, rig.socket() as other:
            unknown = [f"d:d-t:x{number}" for number in range(70)]
            assert (await socket.sub("a", ids=unknown))["points"] == 0
            await socket.send(op="sub", id="b", ids=[*unknown, "d:d-t:i1"])
            answer = await socket.get()
            assert (answer["op"], answer["id"], answer["status"]) == ("error", "b", 429)
            assert "server.live_points" in answer["detail"]
            assert (await other.sub("same", ids=unknown))["points"] == 0
            assert (await other.sub("all"))["points"] == len(ITEMS)
            assert (await other.sub("more", globs=["*", "d:*:i1"]))["points"] == len(ITEMS)
            await socket.send(op="unsub", id="a")
            assert (await socket.get())["op"] == "unsubscribed"
            assert (await socket.sub("b", ids=_ids("i1", "i2")))["points"] == 2
        await _settled(rig, 0)


async def test_a_flood_of_patterns_ends_at_the_limit_and_who_was_there_goes_on(store: Store) -> None:
    async with live_rig(store, Settings(server=ServerSettings(live_points=50))) as rig:
        await rig.plant(items=ITEMS)
        await rig.put(i0=1)
        async with rig.socket() as mine, rig.socket() as flood:
            assert (await mine.sub("mine", globs=["d:*:*"]))["points"] == len(ITEMS)
            for number in range(50):
                await flood.send(op="sub", id=number, globs=["d:*:i*", f"x{number}:*:*"])
            found = await _answers(flood, 50)
            assert found == {"snapshot": 1, 429: 49}
            assert rig.feed._budget.points <= 50
            await rig.put(i0=2)
            assert await mine.values("mine", until={"d:d-t:i0": 2}) == {"d:d-t:i0": 2}
            async with rig.api.session.get(f"{rig.api.url}/api/v2/events?glob=*:*:i1*") as response:
                assert response.status == 200
                assert b"snapshot" not in await response.read(), "it ends before its snapshot"
        await _settled(rig, 0)
