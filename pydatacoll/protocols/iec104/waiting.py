"""Requests that wait for their answer, found by what the answer is known by."""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Hashable
from typing import Generic, TypeVar

from pydatacoll.errors import DeviceError

K = TypeVar("K", bound=Hashable)
T = TypeVar("T")


class Waiting(Generic[K, T]):
    """Futures by key. An answer goes to the oldest that waits for it; who gave up is forgotten at once."""

    def __init__(self) -> None:
        self._futures: dict[K, deque[asyncio.Future[T]]] = {}

    def __bool__(self) -> bool:
        return bool(self._futures)

    def __contains__(self, key: K) -> bool:
        return key in self._futures

    def add(self, key: K) -> asyncio.Future[T]:
        """A new request; the answer is the result of the future."""
        future: asyncio.Future[T] = asyncio.get_running_loop().create_future()
        self._futures.setdefault(key, deque()).append(future)
        return future

    def forget(self, key: K, future: asyncio.Future[T]) -> None:
        """The request is over, however it ended; must be called for each."""
        futures = self._futures.get(key)
        if futures is not None and future in futures:
            futures.remove(future)
            if not futures:
                del self._futures[key]
        if future.done() and not future.cancelled():
            future.exception()  # seen, also when nobody waits for it any more

    def answer(self, key: K, answer: T | DeviceError) -> bool:
        """Give an answer; False: nobody waits for it."""
        futures = self._futures.get(key)
        if futures is None:
            return False
        future = futures.popleft()
        if not futures:
            del self._futures[key]
        _settle(future, answer)
        return True

    def end(self, error: DeviceError) -> None:
        """Nothing will be answered any more."""
        ended, self._futures = self._futures, {}
        for futures in ended.values():
            for future in futures:
                _settle(future, error)


def _settle(future: asyncio.Future[T], answer: T | DeviceError) -> None:
    if future.done():
        return
    if isinstance(answer, DeviceError):
        future.set_exception(answer)
    else:
        future.set_result(answer)
