"""What is added to several streams, from now on; it remembers how far it is."""

from __future__ import annotations

from collections.abc import Iterable
from typing import NamedTuple

from pydatacoll.store.client import Store
from pydatacoll.store.latest import last_ids, stream_id
from pydatacoll.store.xread import StreamsReader, pairs


class NewEntry(NamedTuple):
    """One entry of one of the streams."""

    name: str
    id: str
    fields: dict[bytes, bytes]


class Tail:
    """Reads what comes after :meth:`begin`."""

    def __init__(self, store: Store, names: Iterable[str]) -> None:
        self._store = store
        self._places = dict.fromkeys(names, "0-0")
        self._begun = False
        self._reader = StreamsReader(store)
        self.close = self._reader.close

    async def begin(self) -> None:
        """From now on; or, after an interruption, from where it was, unless the store has lost its data.

        :raises StoreError: when the store is away.
        """
        names = list(self._places)
        for name, last in zip(names, await last_ids(self._store, names), strict=True):
            if not self._begun or stream_id(last) < stream_id(self._places[name]):
                self._places[name] = last
        self._begun = True

    async def read(self, *, count: int, block: float) -> list[NewEntry]:
        """Entries, oldest first of each stream, at most ``count`` of each.

        :param block: seconds to wait for the first one.
        :raises StoreError: when the store is away.
        """
        found = []
        for name, entries in (await self._reader.read(self._places, count=count, block=block)).items():
            for entry_id, fields in entries:
                one = NewEntry(name.decode(), entry_id.decode(), pairs(fields))
                self._places[one.name] = one.id
                found.append(one)
        return found
