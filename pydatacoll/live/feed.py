"""What live push shows, kept up to date while somebody watches.

The data stream, and not what this process collects, is what is shown: so it is also what other managers collect.
Without clients nothing runs; a while after the last one has gone, for he may only have lost his connection, all is
forgotten.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping, Sequence
from contextlib import asynccontextmanager
from typing import Final, NamedTuple, Protocol

from pydatacoll import supervise
from pydatacoll.errors import StoreError, StoreUnavailable
from pydatacoll.live.budget import Budget, TooMuch
from pydatacoll.live.client import Client
from pydatacoll.live.hub import Hub
from pydatacoll.live.looking import Looking
from pydatacoll.live.messages import Topic
from pydatacoll.live.overview import Overview, look
from pydatacoll.live.pulse import Pulse
from pydatacoll.live.selection import ALL, Selection
from pydatacoll.live.states import States
from pydatacoll.live.subscription import Group
from pydatacoll.live.values import Values
from pydatacoll.model.change import Change
from pydatacoll.model.event import Event
from pydatacoll.model.registry import ModelView
from pydatacoll.store.client import Store
from pydatacoll.store.event_log import EventLog
from pydatacoll.store.events import note

log = logging.getLogger(__name__)

PAUSE: Final = 0.2
"""Seconds before the store is tried again."""
PATIENCE: Final = 5.0
"""Seconds that the first overview may take. When the store is silent for so long, others are told at once, for the
same time."""
LINGER: Final = 60.0
"""Seconds for which what is known is kept up to date after the last client has gone."""


class Model(Protocol):
    """The model, and its changes; a :class:`pydatacoll.store.repository.Repository`."""

    @property
    def registry(self) -> ModelView: ...

    async def loaded(self) -> None: ...

    def subscribe(self, callback: Callable[[Sequence[Change] | None], None]) -> Callable[[], None]: ...


class Look(NamedTuple):
    """The plant at one look, and what works and what does not.

    :ivar encoded: what was made of it for tokens with the same rights.
    """

    overview: Overview
    health: Sequence[Mapping[str, str]]
    encoded: dict[object, bytes]


class Full(Exception):
    """There are as many clients as may be."""


class Feed:
    """Live push of one process.

    :ivar hub: what is known now.
    :ivar clients: who watches.
    :ivar log: what happened.
    """

    def __init__(
        self,
        store: Store,
        model: Model,
        virtual: Mapping[str, bool],
        *,
        most: int = 500,
        budget: Budget | None = None,
        linger: float = LINGER,
        wall: Callable[[], float] = time.time,
    ) -> None:
        """
        :param virtual: protocol -> whether its devices have values of their own, without a manager.
        :param most: clients at once.
        :param budget: what their subscriptions may hold.
        :param wall: epoch seconds.
        """
        self.wall = wall
        self.clients: set[Client] = set()
        self.log = EventLog(store)
        self._store = store
        self._model = model
        self._virtual = virtual
        self._most = most
        self._budget = budget or Budget()
        self._linger = linger
        self._running: asyncio.Task[None] | None = None
        self._ending: asyncio.TimerHandle | None = None
        self._selections: dict[tuple[object, ...], Selection]
        self._groups: dict[tuple[Selection, tuple[Topic, ...]], Group]
        self._users: dict[Group, int]
        self._shares: dict[Selection, int]
        """How many groups have a selection."""
        self._uses = 0
        self._looking: Looking[Look] = Looking()
        self._hopeless_until = 0.0
        self._closing = False
        self._away: float | None = None
        """Since when the store is away, by the loop's clock."""
        self._forget()

    def _forget(self) -> None:
        self._budget.subscriptions = self._budget.points = 0
        self._selections = {}
        self._groups = {}
        self._users = {}
        self._shares = {}
        self._everything: Group | None = None
        self._looking.forget()
        self.hub = Hub()
        self.pulse = Pulse(self.hub)
        self.states = States(self._store, self._model, self.hub, self.pulse)
        self.values = Values(
            self._store, self._model, self._virtual, self.hub, self.pulse, on_links=self.states.links
        )

    @asynccontextmanager
    async def joined(self, client: Client) -> AsyncIterator[None]:
        """Serve a client.

        :raises Full: there is no room for it.
        """
        if self._closing or len(self.clients) >= self._most:
            raise Full
        async with self._used():
            self.clients.add(client)
            self.pulse.join(client)
            try:
                yield
            finally:
                client.close()
                self.clients.discard(client)
                self.pulse.leave(client)

    @asynccontextmanager
    async def _used(self) -> AsyncIterator[None]:
        """Run meanwhile, and a while longer."""
        self._uses += 1
        if self._ending is not None:
            self._ending.cancel()
            self._ending = None
        if self._running is None:
            self._running = supervise.start("live push", self._run)
        try:
            yield
        finally:
            self._uses -= 1
            if not self._uses and not self._closing:
                self._ending = asyncio.get_running_loop().call_later(self._linger, self._end)

    async def _follow(self) -> None:
        if self._away is not None:
            await self._store.ping()
            away, self._away = asyncio.get_running_loop().time() - self._away, None
            log.info("live push goes on")
            text = f"the store could not be reached for {away:.0f} s"
            event = Event(kind="system", text=text, severity="warning", object="store", for_all=True)
            await note(self._store, [event])
        await self.values.run()

    async def _run(self) -> None:
        """Follow the store, for ever. While it is away clients are kept, and told."""
        while True:
            try:
                async with supervise.Tasks() as tasks:
                    tasks.start(self._follow(), "live push follows")
                    tasks.start(self.states.run(), "live states")
                    await tasks.failure()
            except StoreError as error:
                if self._away is None:
                    self._away = asyncio.get_running_loop().time()
                    log.warning("live push is interrupted: %s", error)
                    # all who listen hear it: the reason may name an address or a path, and is in the log
                    self.states.tell(f"values are not renewed: {error.title.lower()}", self.wall())
            await asyncio.sleep(PAUSE)

    def _end(self) -> None:
        self._ending = None
        if self._running is not None:
            self._running.cancel()
            self._running = None
        self._away = None  # whether it still is, nobody will look
        self._forget()

    async def close(self) -> None:
        """Take no more clients, and end what runs."""
        self._closing = True
        if self._ending is not None:
            self._ending.cancel()
        await self._looking.close()
        running, self._running = self._running, None
        if running is not None:
            running.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await running

    # What clients share

    def group(
        self,
        client: Client,
        globs: tuple[str, ...] | None,
        ids: tuple[str, ...] | None,
        topics: tuple[Topic, ...],
    ) -> Group:
        """What a client gets; whoever asks for the same with the same rights shares it. To be :meth:`let_go`.

        :raises TooMuch: there is no room for it.
        """
        if globs is not None and "*" in globs:
            globs = ALL  # whatever else it names
        selection = self._selections.get((client.rights, globs, ids))
        self._budget.check(len(ids or ()) if selection is None else 0)
        if selection is not None and selection.refused:
            raise TooMuch(self._budget.full)
        return self._share(client.rights, client.sees, globs, ids, topics)

    def _share(
        self,
        rights: object,
        sees: Callable[[str], bool] | None,
        globs: tuple[str, ...] | None,
        ids: tuple[str, ...] | None,
        topics: tuple[Topic, ...],
    ) -> Group:
        choice = (rights, globs, ids)
        selection = self._selections.get(choice)
        if selection is None:
            selection = self._selections[choice] = Selection(globs, ids, sees, choice=choice, budget=self._budget)
            self.values.want(selection)
        group = self._groups.get((selection, topics))
        if group is None:
            group = self._groups[selection, topics] = Group(self.hub, selection, topics)
            self._shares[selection] = self._shares.get(selection, 0) + 1
        self._users[group] = self._users.get(group, 0) + 1
        self._budget.subscriptions += 1
        return group

    def let_go(self, group: Group) -> None:
        """Somebody does not want it any more."""
        self._users[group] -= 1
        self._budget.subscriptions -= 1
        if self._users[group]:
            return
        del self._users[group]
        selection = group.selection
        del self._groups[selection, group.topics]
        self._shares[selection] -= 1
        if not self._shares[selection]:
            del self._shares[selection]
            del self._selections[selection.choice]
            self.values.let_go(selection)
            selection.release()

    def refusal(self, group: Group) -> str | None:
        """Why what it shows is not to be had, when it turned out to be too much."""
        return self._budget.full if group.selection.refused else None

    # At one look

    @property
    def away(self) -> bool:
        """Whether the store is away."""
        return self._away is not None

    @property
    def missing(self) -> frozenset[int]:
        """Partitions that no manager owns."""
        return self.values.missing

    @property
    def partitions(self) -> int:
        return self._store.partitions

    async def overview(self, health: Callable[[], Awaitable[Sequence[Mapping[str, str]]]]) -> Look:
        """The plant at one look, about a second old at most, worked out once for all who ask.

        While the store is away it is what was known last.

        :raises StoreUnavailable: when not everything is known; at once while the store is known to be away.
        """

        async def work() -> Look:
            return Look(await self._see(), await health(), {})

        return await self._looking.at(work)

    async def _see(self) -> Overview:
        """Follow everything, for a while at least, as if a client did."""
        async with self._used():
            if self._everything is None:
                self._everything = self._share(None, None, ALL, None, ("values", "alarms"))
            group = self._everything
            loop = asyncio.get_running_loop()
            deadline = loop.time() + PATIENCE
            while not self.ready(group):
                if self.away:
                    raise StoreUnavailable("the store cannot be reached: the state of the plant is not known")
                if loop.time() > deadline:
                    self._hopeless_until = loop.time() + PATIENCE
                if loop.time() < self._hopeless_until:
                    raise StoreUnavailable("the store does not answer: the state of the plant is not known")
                await asyncio.sleep(0.02)
            return await look(self.hub, self.states, self._model.registry.devices.values())

    def ready(self, group: Group) -> bool:
        """Whether all that it shows is known."""
        known = self.values.ready(group.selection) and (self.states.known or group.topics == ("values",))
        group.selection.settled |= known
        return known
