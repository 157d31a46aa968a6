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
from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from contextlib import asynccontextmanager
from typing import Final, Protocol

from pydatacoll import supervise
from pydatacoll.errors import StoreError
from pydatacoll.live.client import Client
from pydatacoll.live.hub import Hub
from pydatacoll.live.messages import Topic
from pydatacoll.live.pulse import Pulse
from pydatacoll.live.selection import Selection
from pydatacoll.live.subscription import Group
from pydatacoll.live.values import Values
from pydatacoll.model.change import Change
from pydatacoll.model.registry import ModelView
from pydatacoll.store.client import Store

log = logging.getLogger(__name__)

PAUSE: Final = 0.2
"""Seconds before the store is tried again."""
LINGER: Final = 60.0
"""Seconds for which what is known is kept up to date after the last client has gone."""


class Model(Protocol):
    """The model, and its changes; a :class:`pydatacoll.store.repository.Repository`."""

    @property
    def registry(self) -> ModelView: ...

    async def loaded(self) -> None: ...

    def subscribe(self, callback: Callable[[Sequence[Change] | None], None]) -> Callable[[], None]: ...


class Full(Exception):
    """There are as many clients as may be."""


class Feed:
    """Live push of one process.

    :ivar hub: what is known now.
    :ivar clients: who watches.
    """

    def __init__(
        self,
        store: Store,
        model: Model,
        virtual: Mapping[str, bool],
        *,
        most: int = 500,
        linger: float = LINGER,
        wall: Callable[[], float] = time.time,
    ) -> None:
        """
        :param virtual: protocol -> whether its devices have values of their own, without a manager.
        :param most: clients at once.
        :param wall: epoch seconds.
        """
        self.wall = wall
        self.clients: set[Client] = set()
        self._store = store
        self._model = model
        self._virtual = virtual
        self._most = most
        self._linger = linger
        self._running: asyncio.Task[None] | None = None
        self._ending: asyncio.TimerHandle | None = None
        self._selections: dict[tuple[object, ...], Selection] = {}
        self._groups: dict[tuple[Selection, tuple[Topic, ...]], Group] = {}
        self._users: dict[Group, int] = {}
        self._closing = False
        self._forget()

    def _forget(self) -> None:
        self.hub = Hub()
        self.pulse = Pulse(self.hub)
        self.values = Values(self._store, self._model, self._virtual, self.hub, self.pulse)

    @asynccontextmanager
    async def joined(self, client: Client) -> AsyncIterator[None]:
        """Serve a client.

        :raises Full: there is no room for it.
        """
        if self._closing or len(self.clients) >= self._most:
            raise Full
        self.clients.add(client)
        self.pulse.join(client)
        if self._ending is not None:
            self._ending.cancel()
            self._ending = None
        if self._running is None:
            self._running = supervise.start("live push", self._run)
        try:
            yield
        finally:
            client.close()
            self.clients.discard(client)
            self.pulse.leave(client)
            if not self.clients and not self._closing:
                self._ending = asyncio.get_running_loop().call_later(self._linger, self._end)

    async def _run(self) -> None:
        """Follow the store, for ever. While it is away clients are kept, and told."""
        while True:
            try:
                await self.values.run()
            except StoreError as error:
                log.warning("live push is interrupted: %s", error)
            await asyncio.sleep(PAUSE)

    def _end(self) -> None:
        self._ending = None
        if self._running is not None:
            self._running.cancel()
            self._running = None
        self._forget()

    async def close(self) -> None:
        """Take no more clients, and end what runs."""
        self._closing = True
        if self._ending is not None:
            self._ending.cancel()
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
        """What a client gets; whoever asks for the same with the same rights shares it. To be :meth:`let_go`."""
        choice = (client.rights, globs, ids)
        selection = self._selections.get(choice)
        if selection is None:
            selection = self._selections[choice] = Selection(globs, ids, client.sees)
            self.values.want(selection)
        group = self._groups.get((selection, topics))
        if group is None:
            group = self._groups[selection, topics] = Group(self.hub, selection, topics)
        self._users[group] = self._users.get(group, 0) + 1
        return group

    def let_go(self, group: Group) -> None:
        """Somebody does not want it any more."""
        self._users[group] -= 1
        if self._users[group]:
            return
        del self._users[group]
        del self._groups[group.selection, group.topics]
        if not any(selection is group.selection for selection, _ in self._groups):
            self.values.let_go(group.selection)
            for choice, selection in list(self._selections.items()):
                if selection is group.selection:
                    del self._selections[choice]

    def ready(self, selection: Selection) -> bool:
        """Whether all that it shows is known."""
        return self.values.ready(selection)
