"""Questions to the manager of a device: its frames, a probe, an interrogation, a selection. Not commands: no point
is written.

The API server publishes the question on ``CHANNEL:DEVICE_QUERY``, when somebody owns the device; the owner answers
on a channel of that API server. Nothing is kept, repeated or audited here: a question that gets lost is answered
with 503 after its time. While a partition changes hands two managers may answer; the first answer counts.

An interrogation makes the device do something, and may reset its counters; a selection is held by one manager. So
these are taken by one manager only, and in their time or not at all: ``QUERY:{pN}:{id}`` is there until a manager
takes it, or until nobody waits any more.
"""

from __future__ import annotations

import asyncio
import logging
import secrets
from collections.abc import Awaitable, Callable
from typing import Any, Literal

import msgspec

from pydatacoll.errors import DeviceError, DeviceTimeout, NoManager, PyDataCollError, StoreError, StoreRefused
from pydatacoll.store import keys
from pydatacoll.store.client import Store, store_errors

log = logging.getLogger(__name__)

What = Literal["frames", "probe", "interrogate", "discovered", "select", "cancel"]
ONCE = frozenset[What]({"interrogate", "select", "cancel"})
"""What one manager must take, once and in time."""
Handler = Callable[[What, str, dict[str, Any], float], Awaitable[Any]]
"""``(what, device_id, body, seconds left) -> JSON types``; raises an error of the package's tree."""

MOST = 8_388_608
"""Bytes of an answer: far below what Redis allows a subscriber to lag behind."""


class Query(msgspec.Struct, frozen=True):
    """A question.

    :ivar left: seconds for which the answer is waited for.
    """

    id: str
    device_id: str
    what: What
    body: dict[str, Any]
    reply_to: str
    left: float


class QueryReply(msgspec.Struct, frozen=True, omit_defaults=True):
    """The answer; ``status`` is an HTTP status, ``body`` is there for 200; ``outcome`` is one word for programs
    where the protocol tells more than the status does."""

    id: str
    status: int
    body: Any = None
    title: str = ""
    detail: str = ""
    outcome: str = ""

    @classmethod
    def failed(cls, query_id: str, error: PyDataCollError) -> QueryReply:
        outcome = error.outcome if isinstance(error, DeviceError) else ""
        return cls(query_id, error.status, None, error.title, str(error), outcome)


_decode_query = msgspec.json.Decoder(Query).decode
decode_query_reply = msgspec.json.Decoder(QueryReply).decode


class QueryClient:
    """The API server's side. Whoever listens to :attr:`channel` hands the messages to :meth:`answered`."""

    def __init__(self, store: Store, client_id: str) -> None:
        self._store = store
        self.channel = keys.query_reply_channel(client_id)
        self._waiting: dict[str, tuple[What, asyncio.Future[QueryReply]]] = {}

    def answered(self, data: bytes) -> None:
        """Take an answer; one that nobody waits for any more is dropped."""
        try:
            reply = decode_query_reply(data)
        except msgspec.DecodeError as error:
            log.warning("the answer to a question is not readable: %s", error)
            return
        _, future = self._waiting.pop(reply.id, ("", None))
        if future is not None and not future.done():
            future.set_result(reply)

    def give_up(self, why: str) -> None:
        """Wait no longer: answers cannot come any more, or may have been lost."""
        for what, future in self._waiting.values():
            if not future.done():
                future.set_exception(_no_answer(what, why))

    async def ask(self, what: What, device_id: str, body: dict[str, Any], seconds: float) -> QueryReply:
        """Ask and wait for the answer; never raises for what went wrong on the way."""
        query = Query(secrets.token_hex(12), device_id, what, body, self.channel, seconds)
        future: asyncio.Future[QueryReply] = asyncio.get_running_loop().create_future()
        self._waiting[query.id] = what, future
        try:
            async with asyncio.timeout(seconds):
                partition = keys.partition_of(device_id, self._store.partitions)
                names = [keys.lease(partition)] + ([keys.query(partition, query.id)] if what in ONCE else [])
                message = msgspec.json.encode(query)
                heard = await self._store.fcall(
                    "query_ask", names, [keys.QUERY, message, max(1, int(seconds * 1000))]
                )
                if heard <= 0:
                    raise NoManager(f"no device manager is running for device {device_id}")
                return await future
        except TimeoutError:
            return QueryReply.failed(query.id, _no_answer(what, "the device manager did not answer in time"))
        except PyDataCollError as error:
            return QueryReply.failed(query.id, error)
        finally:
            self._waiting.pop(query.id, None)


def _no_answer(what: What, why: str) -> PyDataCollError:
    if what in {"select", "cancel"}:
        return DeviceTimeout(f"{why}; nothing was executed, and what may be selected is given up after its time")
    if what in ONCE:
        return DeviceTimeout(f"{why}; whether the device acted is unknown")
    return NoManager(why)


class QueryServer:
    """The manager's side: answers questions about the devices for which ``owns(device_id)`` is true."""

    def __init__(self, store: Store, owns: Callable[[str], bool], handler: Handler) -> None:
        self._store = store
        self._owns = owns
        self._handler = handler
        self._tasks: set[asyncio.Task[None]] = set()

    def take(self, data: bytes) -> None:
        """Take a message from the channel."""
        try:
            query = _decode_query(data)
        except msgspec.DecodeError as error:
            log.warning("a message on %s is not readable: %s", keys.QUERY, error)
            return
        if self._owns(query.device_id):
            task = asyncio.get_running_loop().create_task(self._run(query), name=f"query {query.what}")
            self._tasks.add(task)
            task.add_done_callback(self._tasks.discard)

    async def stop(self) -> None:
        """Give up what is under way."""
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)

    async def _taken(self, query: Query) -> bool:
        """Whether it is ours to carry out.

        :raises StoreError: nobody knows.
        """
        partition = keys.partition_of(query.device_id, self._store.partitions)
        with store_errors():
            return await self._store.redis.getdel(keys.query(partition, query.id)) is not None

    async def _run(self, query: Query) -> None:
        try:
            if query.what in ONCE and not await self._taken(query):
                log.info("%s of device %s is not begun: too late, or taken", query.what, query.device_id)
                return
            body = await self._handler(query.what, query.device_id, query.body, query.left)
            data = msgspec.json.encode(QueryReply(query.id, 200, body))
            if len(data) > MOST:
                raise StoreRefused(f"the answer has {len(data)} bytes; at most {MOST} can be passed on")  # noqa: TRY301
        except PyDataCollError as error:
            data = msgspec.json.encode(QueryReply.failed(query.id, error))
        except Exception as error:
            log.exception("a question (%s) about device %s failed", query.what, query.device_id)
            reply = QueryReply(query.id, 500, title="Internal error", detail=type(error).__name__)
            data = msgspec.json.encode(reply)
        try:
            with store_errors():
                await self._store.binary.publish(query.reply_to, data)
        except StoreError as error:
            log.debug("the answer to a question could not be sent: %s", error)
