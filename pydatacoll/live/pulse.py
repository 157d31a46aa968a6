"""When subscribers are told: at the beats of their rate, which are the same for all with that rate.

Who wants to know as soon as possible, rate 0, is told of changes at once. Of samples that only confirm what is
known he is told at beats, too: a thousand of them in every message would delay the change that he waits for.
"""

from __future__ import annotations

import asyncio
from collections.abc import Collection
from typing import Final, Protocol

from pydatacoll.live.hub import Hub
from pydatacoll.live.subscription import Subscription

SIGN_OF_LIFE: Final = 0.45
"""Seconds: who was told nothing for so long hears a sign of life, so that no second is without a message."""
CONFIRMING: Final = 250
"""Milliseconds between the beats of rate 0."""


class Told(Protocol):
    """Who is told."""

    def wake(self) -> None: ...

    def beat(self, idle: float) -> None: ...


class Pulse:
    """Timers for all subscriptions. One timer for a rate, and none without subscribers."""

    def __init__(self, hub: Hub) -> None:
        self.hub = hub
        self.clients: set[Told] = set()
        self._rates: dict[int, dict[Subscription, Told]] = {}
        self._timers: dict[int, asyncio.TimerHandle] = {}
        self._life: asyncio.TimerHandle | None = None

    def add(self, one: Subscription, client: Told) -> None:
        """Tell somebody from now on."""
        of_rate = self._rates.setdefault(one.rate, {})
        of_rate[one] = client
        if one.rate not in self._timers:
            self._schedule(one.rate)

    def remove(self, one: Subscription) -> None:
        """Tell him no more."""
        of_rate = self._rates.get(one.rate, {})
        of_rate.pop(one, None)
        if not of_rate:
            self._rates.pop(one.rate, None)
            timer = self._timers.pop(one.rate, None)
            if timer is not None:
                timer.cancel()

    def join(self, client: Told) -> None:
        """Give a client signs of life."""
        self.clients.add(client)
        if self._life is None:
            self._life = asyncio.get_running_loop().call_later(SIGN_OF_LIFE, self._live)

    def leave(self, client: Told) -> None:
        """Give it none any more."""
        self.clients.discard(client)
        if not self.clients and self._life is not None:
            self._life.cancel()
            self._life = None

    def _live(self) -> None:
        for client in self.clients:
            client.beat(SIGN_OF_LIFE)
        self._life = asyncio.get_running_loop().call_later(SIGN_OF_LIFE, self._live)

    def _schedule(self, rate: int) -> None:
        loop = asyncio.get_running_loop()
        period = (rate or CONFIRMING) / 1000
        self._timers[rate] = loop.call_at((loop.time() // period + 1) * period, self._beat, rate)

    def _beat(self, rate: int) -> None:
        self._schedule(rate)
        self.hub.confirm()
        upto = self.hub.seq
        for one, client in self._rates[rate].items():
            if one.position is None or one.position < upto:
                one.due = upto
                client.wake()

    def changed(self, device_ids: Collection[str] | None) -> None:
        """Tell those who want to know as soon as possible: values of these devices, or something else, changed."""
        upto = self.hub.seq
        for one, client in self._rates.get(0, {}).items():
            if device_ids is not None and one.group.selection.members.keys().isdisjoint(device_ids):
                continue
            one.due = upto
            client.wake()

    def wake_all(self) -> None:
        """What somebody waits for may be there."""
        for client in self.clients:
            client.wake()
