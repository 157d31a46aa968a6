"""One client of live push: its subscriptions, and the task that writes to it.

What it gets is made when it can take it, from the present state: for a client that does not read nothing waits but
the answers to what it asked itself, which are few.
"""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Awaitable, Callable
from typing import TYPE_CHECKING, Final

from pydatacoll.live.budget import TooMuch
from pydatacoll.live.hub import Hub
from pydatacoll.live.messages import Malformed, Message, Ping, Subscribe, Unsubscribe
from pydatacoll.live.subscription import Subscription
from pydatacoll.live.wire import Piece, Wire, error_members
from pydatacoll.model.sample import time_to_wire

if TYPE_CHECKING:
    from pydatacoll.live.feed import Feed

MOST_SUBSCRIPTIONS: Final = 100
ANSWERS_WAITING: Final = 20
"""A client that has so many answers to read is not listened to."""
STALLED: Final = 30.0
"""Seconds after which a client that does not take what it is sent is given up."""

Send = Callable[[bytes], Awaitable[None]]


class Stalled(Exception):
    """A client does not take what it is sent."""


class Client:
    """One client. :meth:`take` is for who reads from it, :meth:`write` for the task that writes to it.

    :ivar sees: whether its access token is for a device; ``None``: for all.
    :ivar rights: what clients with the same rights have in common.
    """

    def __init__(
        self,
        feed: Feed,
        wire: Wire,
        send: Send,
        *,
        sees: Callable[[str], bool] | None = None,
        rights: object = None,
        quiet: float = 0.0,
        only: bool = False,
    ) -> None:
        """
        :param quiet: seconds of silence before a sign of life; 0: as the server likes it.
        :param only: it has one subscription, and without that nothing.
        """
        self._only = only
        self._quiet = quiet
        self.sees = sees
        self.rights = rights
        self._feed = feed
        self._wire = wire
        self._send = send
        self._answers: deque[bytes] = deque()
        self._room = asyncio.Event()
        self._room.set()
        self._wake = asyncio.Event()
        self._subscriptions: dict[str, Subscription] = {}
        self._clock = asyncio.get_running_loop().time
        self._sent = self._clock()
        self._silent = False

    # Reading

    async def take(self, message: Message) -> None:
        """Do what the client asks for; waits while it does not read the answers."""
        if isinstance(message, Subscribe):
            try:
                self.subscribe(message)
            except TooMuch as problem:
                self.answer("error", **error_members(429, str(problem), message.id))
        elif isinstance(message, Unsubscribe):
            self._drop(message.id)
            self.answer("unsubscribed", id=message.id)
        elif isinstance(message, Ping):
            self.answer("pong", time=f'"{time_to_wire(self._feed.wall())}"')
        await self._room.wait()

    async def refuse(self, problem: Malformed) -> None:
        """Tell what is wrong with a message."""
        self.answer("error", **error_members(422, str(problem), problem.id))
        await self._room.wait()

    def subscribe(self, message: Subscribe) -> None:
        """Begin a subscription, in place of one with the same id.

        :raises TooMuch: there is no room for it.
        """
        self._drop(message.id)
        if len(self._subscriptions) >= MOST_SUBSCRIPTIONS:
            raise TooMuch(f"there are {MOST_SUBSCRIPTIONS} subscriptions already; end one first")
        group = self._feed.group(self, message.globs, message.ids, message.topics)
        resume = None
        if message.epoch is not None and message.since is not None:
            resume = message.epoch, message.since
        one = self._subscriptions[message.id] = Subscription(message.id, group, message.rate, resume)
        self._feed.pulse.add(one, self)
        self.wake()

    def answer(self, operation: str, **members: str) -> None:
        """Send an answer; the members are JSON texts."""
        self._answers.append(self._wire.answer(operation, **members))
        if len(self._answers) >= ANSWERS_WAITING:
            self._room.clear()
        self.wake()

    def _drop(self, name: str) -> None:
        one = self._subscriptions.pop(name, None)
        if one is not None:
            self._feed.pulse.remove(one)
            self._feed.let_go(one.group)

    def close(self) -> None:
        """End all subscriptions."""
        for name in list(self._subscriptions):
            self._drop(name)
        self._room.set()

    # Writing

    def wake(self) -> None:
        """There may be something to write."""
        self._wake.set()

    def beat(self, idle: float) -> None:
        """Say something when nothing was sent for so many seconds."""
        if self._clock() - self._sent >= max(idle, self._quiet):
            self._silent = True
            self._wake.set()

    async def write(self) -> None:
        """Write until cancelled.

        :raises Stalled: the client does not take it.
        :raises TooMuch: there is no room for the only subscription.
        :raises ConnectionError: the client is gone.
        """
        await self._put(self._wire.hello(self._feed.hub.epoch))
        while True:
            await self._wake.wait()
            self._wake.clear()
            while self._answers:
                await self._put(self._answers.popleft())
                if len(self._answers) < ANSWERS_WAITING:
                    self._room.set()
            for one in list(self._subscriptions.values()):
                await self._tell(one)
            if self._silent:
                self._silent = False
                if self._clock() - self._sent > 0.1:
                    await self._put(self._wire.alive())

    async def _tell(self, one: Subscription) -> None:
        hub = self._feed.hub
        if one.lost:
            refusal = self._feed.refusal(one.group)
            if refusal is not None:
                self._drop(one.name)
                if self._only:
                    raise TooMuch(refusal)
                self.answer("error", **error_members(429, refusal, one.name))
                return
            if not self._feed.ready(one.group):
                return  # it wakes us
            await self._snapshot(one, hub)
            return
        batch = one.batch(hub)
        if batch is not None:
            seq, body = batch
            await self._put(self._wire.batch(one.name, hub.epoch, seq, body))
            await asyncio.sleep(0)  # sending waits only for a client that is slow; there may be many subscriptions
        self._begin_anew(one)

    def _begin_anew(self, one: Subscription) -> None:
        if one.lost:
            self.wake()

    async def _snapshot(self, one: Subscription, hub: Hub) -> None:
        pieces = one.snapshot(hub)
        piece: Piece | None = next(pieces)
        while piece is not None and self._subscriptions.get(one.name) is one:
            following = next(pieces, None)
            await self._put(self._wire.snapshot(one.name, piece, more=following is not None))
            await asyncio.sleep(0)  # sending waits only for a client that is slow
            piece = following

    async def _put(self, data: bytes) -> None:
        try:
            async with asyncio.timeout(STALLED):
                await self._send(data)
        except TimeoutError:
            raise Stalled(f"nothing was taken for {STALLED:g} s") from None
        self._sent = self._clock()
