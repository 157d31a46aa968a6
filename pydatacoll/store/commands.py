"""Request and reply of call and ctrl, over pub/sub, executed once or not at all.

1. The API server writes ``COMMAND:{id}`` = ``open`` with the expiry as its time to live, and, for a control,
   the audit entry; then it publishes the message. All in one transaction, in this order.
2. Every manager hears it; the one that owns the device's partition claims ``COMMAND:{id}`` (one winner, never
   after expiry, by Redis' clock), executes, stores the reply there and publishes it.
3. When no reply came in time the API server withdraws the command: withdrawn means that it never ran (503);
   too late means that the outcome is unknown (504).
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import secrets
from collections import Counter
from collections.abc import Awaitable, Callable, Sequence
from functools import partial
from typing import Any

import msgspec
from redis.exceptions import RedisError

from pydatacoll.errors import DeviceTimeout, NoManager, PyDataCollError, StoreError, StoreUnavailable
from pydatacoll.store import keys
from pydatacoll.store.audit import Audit, audit_entries
from pydatacoll.store.client import Store, store_errors
from pydatacoll.store.clock import StoreClock
from pydatacoll.store.command_messages import (
    CommandReply,
    CommandRequest,
    Kind,
    Message,
    Part,
    Reply,
    audit_result,
    decode_reply,
    encode,
    part_id,
)
from pydatacoll.store.idempotency import Claim, Idempotency, fingerprint
from pydatacoll.store.queries import QueryClient, QueryReply, What, decode_query_reply

log = logging.getLogger(__name__)

__all__ = ["CommandClient", "CommandReply", "CommandRequest", "Kind"]

TOO_LATE = -2
"""Answer of ``command_open``."""

LAST_MOMENT = 1.0
"""Seconds for which replies are waited for when the server stops."""
GRACE = 0.25
"""Seconds a reply may take on its way after the command's own time is over."""
AUDIT_LIMIT = 1.0
"""Seconds an answer waits for the audit entry of a command that failed."""
LISTENING = 3.0
"""Seconds for which a command waits until its reply can be heard, as shortly after the start."""
LOST = 3.0
"""Seconds the reply channel may be interrupted before those who wait are told that nothing is known."""


class CommandClient:
    """The API server's side. :meth:`run` must be running; it takes the replies.

    :ivar outcomes: (kind, status of the reply) -> how many commands ended so.
    """

    def __init__(self, store: Store, *, timeout: float = 10.0) -> None:
        self._store = store
        self._timeout = timeout
        self.outcomes: Counter[tuple[Kind, int]] = Counter()
        client_id = secrets.token_hex(8)
        self._channel = keys.reply_channel(client_id)
        self._queries = QueryClient(store, client_id)
        self._waiting: dict[str, asyncio.Future[Reply]] = {}
        self._listening = asyncio.Event()
        self._controls: Idempotency[CommandReply] = Idempotency(
            store, msgspec.json.Decoder(CommandReply).decode, CommandReply.failed, self._of_manager
        )
        self._selections: Idempotency[QueryReply] = Idempotency(
            store, decode_query_reply, partial(QueryReply.failed, ""), _nowhere
        )
        self._audit = Audit(store)
        self._clock = StoreClock(store)
        self._lost: asyncio.TimerHandle | None = None

    async def run(self) -> None:
        """Take replies until cancelled; subscribes again when the store was away."""
        try:
            await self._listen()
        finally:
            self._found()

    async def _listen(self) -> None:
        while True:
            client = self._store.dedicated(binary=True)
            try:
                async with client.pubsub() as pubsub:
                    await pubsub.subscribe(self._channel, self._queries.channel)
                    while True:
                        message = await pubsub.get_message(timeout=None)
                        if message is None:
                            continue
                        if message["type"] == "subscribe":
                            self._listening.set()
                            self._found()
                            await self._ask_again()
                        elif message["channel"] == self._queries.channel.encode():
                            self._queries.answered(message["data"])
                        elif message["type"] == "message":
                            self._answer(message["data"])
            except (RedisError, OSError, StoreError) as error:
                log.debug("the reply channel is interrupted: %s", error)
                if self._lost is None:
                    later = asyncio.get_running_loop().call_later
                    self._lost = later(LOST, self._give_up, "the store was lost")
            finally:
                self._listening.clear()
                with contextlib.suppress(RedisError, OSError):
                    await self._store.release(client)
            await asyncio.sleep(0.1)

    def _found(self) -> None:
        if self._lost is not None:
            self._lost.cancel()
            self._lost = None

    def _give_up(self, why: str) -> None:
        """Wait no longer: whether the commands under way ran is not known."""
        self._queries.give_up(why)
        for future in self._waiting.values():
            if not future.done():
                future.set_exception(_unknown(why))

    def finish(self) -> None:
        """The server is about to stop: replies have a moment left, then those who wait are told."""
        asyncio.get_running_loop().call_later(LAST_MOMENT, self._give_up, "the server is stopping")

    async def _ask_again(self) -> None:
        """Replies may have been published while nobody listened.

        A command that was not taken is left to its time: it may have been opened just now.
        """
        for command_id in list(self._waiting):
            with store_errors():
                state = await self._store.redis.get(keys.command(command_id))
            if state is not None and str(state).startswith("{"):
                self._answer(str(state).encode())

    def _answer(self, data: bytes) -> None:
        try:
            reply = decode_reply(data)
        except msgspec.DecodeError as error:
            log.warning("a reply is not readable: %s", error)
            return
        future = self._waiting.pop(reply.id, None)
        if future is not None and not future.done():
            future.set_result(reply)

    async def query(self, what: What, device_id: str, body: dict[str, Any], seconds: float) -> QueryReply:
        """Ask the manager of a device something; the reply says what went wrong, if anything did.

        :param seconds: longest wait for the answer.
        """
        try:
            await self._listen_first()
        except StoreUnavailable as error:
            return QueryReply.failed("", error)
        return await self._queries.ask(what, device_id, body, seconds)

    async def once(self, user: str, key: str, what: bytes, ask: Callable[[], Awaitable[QueryReply]]) -> QueryReply:
        """Ask something that must not be repeated, with an ``Idempotency-Key``, as of controls: a repeat gets the
        first answer.

        :param what: what is asked for; the same key with anything else is refused.
        :param ask: called for the first request only; when it raises, nothing was asked.
        """

        async def send(_: str) -> QueryReply:
            return await ask()

        return await self._selections.run(Claim(user, key, fingerprint(what)), send)

    async def _of_manager(self, command_id: str) -> CommandReply | None:
        """What the manager left behind as the answer to a command."""
        with store_errors():
            state = await self._store.redis.get(keys.command(command_id))
        if state is None or not str(state).startswith("{"):
            return None
        return decode_reply(state).results[0].reply(command_id)

    async def execute(self, kind: Kind, requests: Sequence[CommandRequest]) -> list[CommandReply]:
        """Run commands and wait for what became of them; never raises for a single command.

        Commands for one device go out as one message, so that neighbouring writes can be combined.
        """
        replies: list[CommandReply | None] = [None] * len(requests)
        groups: dict[tuple[str, float, str | None, str], list[int]] = {}
        keyed: dict[str, list[int]] = {}
        for i, request in enumerate(requests):
            if kind == "ctrl" and request.idempotency_key:
                keyed.setdefault(request.point.device_id, []).append(i)
            else:
                expiry = self._timeout if request.expires_in is None else request.expires_in
                group = request.point.device_id, expiry, request.reason, request.selection
                groups.setdefault(group, []).append(i)

        async def run_group(indexes: list[int]) -> None:
            answers = await self._send(kind, [requests[i] for i in indexes])
            for i, answer in zip(indexes, answers, strict=True):
                replies[i] = answer

        async def run_keyed(indexes: list[int]) -> None:
            for i in indexes:  # one after the other: the order of writes to one device is kept
                request = requests[i]

                async def send(command_id: str, request: CommandRequest = request) -> CommandReply:
                    return (await self._send(kind, [request], command_id))[0]

                replies[i] = await self._controls.run(_claim(request), send)

        await asyncio.gather(*map(run_group, groups.values()), *map(run_keyed, keyed.values()))
        self.outcomes.update((kind, reply.status) for reply in replies if reply is not None)
        return [reply for reply in replies if reply is not None]

    async def _send(
        self, kind: Kind, requests: Sequence[CommandRequest], command_id: str = ""
    ) -> list[CommandReply]:
        command_id = command_id or secrets.token_hex(12)
        first = requests[0]
        message = Message(
            command_id,
            first.point.device_id,
            [Part(r.point.term_id, r.point.item_id, r.value, r.mode, r.verify, r.selection) for r in requests],
            self._channel,
            first.user,
            first.source,
            first.reason or "",
        )
        ids = [part_id(command_id, i, len(requests)) for i in range(len(requests))]
        expiry = self._timeout if first.expires_in is None else min(first.expires_in, 86_400.0)
        try:
            results = (await self._ask(kind, message, expiry)).results
        except PyDataCollError as error:
            replies = [CommandReply.failed(error, id_) for id_ in ids]
            if kind == "ctrl":
                await self._audit_failure(message, replies)
            return replies
        return [result.reply(id_) for result, id_ in zip(results, ids, strict=True)]

    async def _ask(self, kind: Kind, message: Message, expiry: float) -> Reply:
        await self._listen_first()
        future: asyncio.Future[Reply] = asyncio.get_running_loop().create_future()
        self._waiting[message.id] = future
        try:
            await self._open(kind, message, expiry)
            try:
                async with asyncio.timeout(min(expiry, self._timeout) + GRACE):
                    return await future
            except TimeoutError:
                return await self._overdue(message.id)
        finally:
            self._waiting.pop(message.id, None)
            if future.done() and not future.cancelled():
                future.exception()  # seen, even when the command could not be sent at all

    async def _listen_first(self) -> None:
        """An answer that comes while nobody listens is lost."""
        try:
            async with asyncio.timeout(LISTENING):
                await self._listening.wait()
        except TimeoutError:
            raise StoreUnavailable("the store cannot be reached") from None

    async def _open(self, kind: Kind, message: Message, expiry: float) -> None:
        """
        :raises NoManager: nobody is there to run it.
        :raises DeviceTimeout: it was sent, and whether it arrived is unknown.
        :raises StoreUnavailable: it could not be sent, or came too late to be opened.
        """
        try:
            async with asyncio.timeout(min(expiry, self._timeout) + GRACE):
                heard = await self._publish(kind, message, expiry)
        except TimeoutError:
            raise _unknown("the store does not answer") from None
        if heard == TOO_LATE:
            raise StoreUnavailable("the command reached the store too late; it was not executed")
        if heard <= 0:
            raise NoManager(f"no device manager is running for device {message.device_id}")

    async def _publish(self, kind: Kind, message: Message, expiry: float) -> int:
        partition = keys.partition_of(message.device_id, self._store.partitions)
        expires = await self._clock.now() + expiry
        audited: list[int | bytes | str] = []
        if kind == "ctrl":
            entries = audit_entries(map(message.audit, range(len(message.parts))))
            audited = [self._store.audit.length, len(entries), *entries, *message.fields]
        try:
            heard: int = await self._store.fcall(
                "command_open",
                [
                    keys.command(message.id),
                    keys.lease(partition),
                    keys.AUDIT,
                    keys.latest(partition, message.device_id),
                ],
                [
                    int(expires * 1000) + 1,
                    keys.CTRL if kind == "ctrl" else keys.CALL,
                    encode(message),
                    *audited,
                ],
            )
        except StoreUnavailable as error:
            if self._reached(error):
                raise DeviceTimeout(
                    f"the store was lost while the command was sent; whether it ran is unknown ({error})"
                ) from error
            raise
        if heard == TOO_LATE:
            self._clock.forget()  # perhaps the clock was set
        return heard

    @staticmethod
    def _reached(error: StoreUnavailable) -> bool:
        """Whether the command may have reached the store: not when connecting to it failed."""
        return not str(error.__cause__).startswith("Error ")

    async def _overdue(self, command_id: str) -> Reply:
        """No reply in time: it was lost, or the command was not taken, or it still runs."""
        name = keys.command(command_id)
        try:
            withdrawn = await self._store.fcall("command_withdraw", [name], [])
            with store_errors():
                state = await self._store.redis.get(name)
        except StoreUnavailable as error:
            raise _unknown("the store was lost") from error
        if state is not None and str(state).startswith("{"):
            return decode_reply(state)
        if withdrawn or state is None:
            raise NoManager("no device manager took the command in time; it was not executed")
        raise _unknown("no answer in time")

    async def _audit_failure(self, message: Message, replies: Sequence[CommandReply]) -> None:
        """The manager writes the results it knows; this is for commands it never answered."""
        entries = [{**message.audit(i), "result": audit_result(reply)} for i, reply in enumerate(replies)]
        executed = any(reply.status == DeviceTimeout.status for reply in replies)
        try:
            async with asyncio.timeout(AUDIT_LIMIT):
                if executed:  # perhaps; the values known now may be those after it
                    await self._audit.write(entries)
                else:
                    await self._audit.write_controls(message.device_id, message.fields, entries)
        except (StoreError, TimeoutError) as error:
            # when it was sent at all, the intention is in the trail since before that
            log.warning("the result of command %s is not in the audit trail: %s", message.id, error)


def _claim(request: CommandRequest) -> Claim:
    what = msgspec.json.encode((request.point, request.value, request.mode, request.verify))
    return Claim(request.user, request.idempotency_key or "", fingerprint(what + request.selection.encode()))


async def _nowhere(_: str) -> None:
    """Nobody but the server that asked knows the answer to a question."""


def _unknown(why: str) -> DeviceTimeout:
    return DeviceTimeout(f"{why}; whether the device acted is unknown")
