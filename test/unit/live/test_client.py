"""What one client may cost others."""

from __future__ import annotations

import asyncio
from typing import Any, cast

from pydatacoll.live.client import Client
from pydatacoll.live.feed import Feed
from pydatacoll.live.hub import Hub
from pydatacoll.live.messages import Subscribe
from pydatacoll.live.pulse import Pulse
from pydatacoll.live.selection import Selection
from pydatacoll.live.subscription import Group
from pydatacoll.live.wire import JsonWire
from pydatacoll.model.batch import DeviceBatch


class _Feed:
    """A feed with one device and everything known."""

    def __init__(self) -> None:
        self.hub = Hub()
        self.pulse = Pulse(self.hub)
        self.hub.watch("d", frozenset({"t:i"}))
        self.hub.load("d", {}, (1, 0))

    def group(self, *_: Any) -> Group:
        selection = Selection(("*",), None, None)
        selection.resolve("d", frozenset({"t:i"}))
        return Group(self.hub, selection, ("values",))

    def let_go(self, _: Group) -> None:
        """Nothing is shared here."""

    def ready(self, _: Group) -> bool:
        return True

    def refusal(self, _: Group) -> None:
        """There is room for everything."""


async def test_between_two_messages_to_a_client_with_many_subscriptions_others_have_their_turn() -> None:
    feed, sent, turns, most = _Feed(), 0, 0, 0
    all_told = asyncio.Event()

    async def send(data: bytes) -> None:
        nonlocal sent, most, turns
        sent += b'"c":[["d:t:i"' in data
        most, turns = max(most, 1 if turns else most + 1), 0
        if sent == 100:
            all_told.set()

    async def others() -> None:
        nonlocal turns
        while True:
            turns += 1
            await asyncio.sleep(0)

    client = Client(cast(Feed, feed), JsonWire(), send)
    for number in range(100):
        client.subscribe(Subscribe(str(number), rate=0))
    tasks = [asyncio.create_task(client.write()), asyncio.create_task(others())]
    while any(one.lost for one in client._subscriptions.values()):
        await asyncio.sleep(0)
    sent = most = 0
    feed.hub.apply(DeviceBatch("d", ["t:i"], 1.0, [5], 0, False), (2, 0))
    feed.pulse.changed(None)
    await all_told.wait()
    assert most <= 2
    client.close()
    for task in tasks:
        task.cancel()
    await asyncio.gather(*tasks, return_exceptions=True)
