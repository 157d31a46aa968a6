"""When subscribers are told."""

from __future__ import annotations

import asyncio
import json
from typing import Any

from pydatacoll.live.hub import Hub
from pydatacoll.live.pulse import Pulse
from pydatacoll.live.selection import Selection
from pydatacoll.live.subscription import Group, Subscription
from pydatacoll.model.batch import DeviceBatch

FIELDS = ("t:a", "t:b")


class _Client:
    """Reads what it is told as soon as it is woken."""

    def __init__(self, hub: Hub) -> None:
        self.hub = hub
        self.one: Subscription
        self.got: asyncio.Queue[list[Any]] = asyncio.Queue()

    def wake(self) -> None:
        batch = self.one.batch(self.hub)
        if batch is not None:
            self.got.put_nowait(json.loads(b"{" + batch[1].json()[1:] + b"}")["c"])

    def beat(self, idle: float) -> None:
        """It is never quiet."""


def _subscribe(hub: Hub, pulse: Pulse, rate: int) -> _Client:
    selection = Selection(("*",), None, None)
    selection.resolve("d", frozenset(FIELDS))
    client = _Client(hub)
    client.one = Subscription("1", Group(hub, selection, ("values",)), rate, None)
    list(client.one.snapshot(hub))
    pulse.add(client.one, client)
    return client


def _hub() -> Hub:
    hub = Hub()
    hub.watch("d", frozenset(FIELDS))
    hub.load("d", {}, (1, 0))
    return hub


async def test_at_rate_0_a_change_comes_at_once_and_confirmations_at_the_next_beat() -> None:
    hub = _hub()
    hub.apply(DeviceBatch("d", list(FIELDS), 1.0, [1, 2]), (2, 0))
    pulse = Pulse(hub)
    client = _subscribe(hub, pulse, 0)
    hub.apply(DeviceBatch("d", list(FIELDS), 2.0, [1, 3]), (3, 0))
    pulse.changed({"d"})
    assert [row[0] for row in client.got.get_nowait()] == ["d:t:b"]
    assert [(row[0], row[2]) for row in await client.got.get()] == [("d:t:a", 1)]
    pulse.remove(client.one)


async def test_somebody_else_with_a_slower_rate_takes_no_confirmation_away() -> None:
    hub = _hub()
    hub.apply(DeviceBatch("d", list(FIELDS), 1.0, [1, 2]), (2, 0))
    pulse = Pulse(hub)
    clients = [_subscribe(hub, pulse, rate) for rate in (0, 100, 250)]
    hub.apply(DeviceBatch("d", list(FIELDS), 2.0, [1, 2]), (3, 0))
    for client in clients:
        assert {row[1] for row in await client.got.get()} == {"1970-01-01T00:00:02.000000Z"}
        pulse.remove(client.one)
