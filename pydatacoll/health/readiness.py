"""Why the service is not ready. Shown without a token, so without addresses and names."""

from __future__ import annotations

import asyncio
from collections.abc import Callable

from pydatacoll.errors import StoreError, StoreRefused
from pydatacoll.store.client import Store
from pydatacoll.store.overview import try_write
from pydatacoll.store.repository import Repository
from pydatacoll.store.status import StatusReader

KEEP = 0.5
"""Seconds for which an answer is given again: anybody may ask as often as he likes."""

PATIENCE = 2.0
"""Seconds after which a store that takes requests and does not answer counts as away here: who asks is waiting."""

AWAY = "start it, or mend redis.url"
_REFUSALS = (
    ("maxmemory", "it is out of memory: raise its maxmemory (redis.maxmemory), or shorten history.length"),
    ("oom", "it is out of memory: raise its maxmemory (redis.maxmemory), or shorten history.length"),
    ("misconf", "it cannot write its file: make room on its disk"),
    ("aof", "it cannot write its file: make room on its disk"),
    ("read only", "it is a replica, or read-only: let redis.url name the primary"),
    ("readonly", "it is a replica, or read-only: let redis.url name the primary"),
    ("noreplicas", "too few replicas are connected to it: start them, or lower its min-replicas-to-write"),
    ("noauth", "it wants a password: give it in redis.url"),
    ("auth", "user or password are wrong: mend redis.url"),
    ("permission", "its user lacks rights: allow it all commands and keys (ACL SETUSER)"),
    ("noperm", "its user lacks rights: allow it all commands and keys (ACL SETUSER)"),
)
"""Words in what the store says -> what it means and what to do."""


def remedy_of(refusal: str) -> str:
    """What to do about a store that refuses to write, by what it says."""
    said = refusal.lower()
    return next((text for word, text in _REFUSALS if word in said), "see its log")


class Readiness:
    """Answers ``/readyz``. An answer is kept for :data:`KEEP` seconds, and found out once for all who ask."""

    def __init__(
        self,
        store: Store,
        settled: asyncio.Event,
        repository: Repository,
        status: StatusReader,
        demo_loading: Callable[[], bool],
    ) -> None:
        self._store = store
        self._settled = settled
        self._repository = repository
        self._status = status
        self._demo_loading = demo_loading
        self._lock = asyncio.Lock()
        self._known: list[str] = []
        self._until = 0.0

    async def reasons(self) -> list[str]:
        """Each says what to do; empty when ready."""
        loop = asyncio.get_running_loop()
        async with self._lock:
            if loop.time() >= self._until:
                try:
                    async with asyncio.timeout(PATIENCE):
                        self._known = await self._find()
                except TimeoutError:
                    self._known = [
                        f"the store does not answer within {PATIENCE:g} s: look after its host and its log"
                    ]
                self._until = loop.time() + KEEP
            return self._known

    async def _find(self) -> list[str]:
        if not self._settled.is_set():
            return [f"the store has not been reached yet: {AWAY}; its state is in the log"]
        reasons = []
        try:
            await try_write(self._store)
        except StoreRefused as error:
            reasons.append(f"the store refuses writes: {remedy_of(str(error))}")
        except StoreError:
            return [f"the store cannot be reached: {AWAY}"]
        try:
            missing = await self._status.managers_missing()
        except StoreError:
            return [f"the store cannot be reached: {AWAY}"]
        if missing:
            reasons.append(
                f"no device manager runs {len(missing)} of {self._store.partitions} partitions: wait some seconds "
                "after a start, or start one with python -m pydatacoll.device_manager"
            )
        if not self._repository.ready:
            reasons.append("the model is not loaded: wait; when it stays so, the log says why")
        if self._demo_loading():
            reasons.append("the demo plant is being loaded: wait")
        return reasons
