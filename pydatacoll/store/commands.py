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
from collections.abc import Sequence
from typing import Any

import msgspec
from redis.exceptions import RedisError

from pydatacoll.errors import DeviceTimeout, NoManager, PyDataCollError, StoreError, StoreUnavailable
from pydatacoll.store import keys
from pydatacoll.store.audit import MAX_ENTRIES, audit_fields
from pydatacoll.store.client import Store, store_errors
from pydatacoll.store.command_messages import (
    CommandReply,
    CommandRequest,
    Kind,
    Message,
    Part,
    Reply,
    decode_reply,
    encode,
    part_id,
)
from pydatacoll.store.idempotency import Idempotency

log = logging.getLogger(__name__)

__all__ = ["CommandClient", "CommandReply", "CommandRequest", "Kind"]

GRACE = 0.25
"""Seconds a reply may take on its way after the command's own time is over."""


class CommandClient:
    """The API server's side. :meth:`run` must be running; it takes the replies."""

    def __init__(self, store: Store, *, timeout: float = 10.0) -> None:
        self._store = store
        self._timeout = timeout
        self._channel = keys.reply_channel(secrets.token_hex(8))
        self._waiting: dict[str, asyncio.Future[Reply]] = {}
        self._listening = asyncio.Event()
        self._idempotency = Idempotency(store)

    async def run(self) -> None:
        """Take replies until cancelled; subscribes again when the store was away."""
        while True:
            client = self._store.dedicated(binary=True)
            try:
                async with client.pubsub() as pubsub:
                    await pubsub.subscribe(self._channel)
                    while True:
                        message = await pubsub.get_message(timeout=None)
                        if message is None:
                            continue
                        if message["type"] == "subscribe":
                            self._listening.set()
                        elif message["type"] == "message":
                            self._answer(message["data"])
            except (RedisError, OSError) as error:
                log.debug("the reply channel is interrupted: %s", error)
            finally:
                self._listening.clear()
                with contextlib.suppress(RedisError, OSError):
                    await self._store.release(client)
            await asyncio.sleep(0.1)

    def _answer(self, data: bytes) -> None:
        try:
            reply = decode_reply(data)
        except msgspec.DecodeError as error:
            log.warning("a reply is not readable: %s", error)
            return
        future = self._waiting.pop(reply.id, None)
        if future is not None and not future.done():
            future.set_result(reply)

    async def execute(self, kind: Kind, requests: Sequence[CommandRequest]) -> list[CommandReply]:
        """Run commands and wait for what became of them; never raises for a single command.

        Commands for one device go out as one message, so that neighbouring writes can be combined.
        """
        replies: list[CommandReply | None] = [None] * len(requests)
        groups: dict[tuple[str, float], list[int]] = {}
        keyed: list[int] = []
        for i, request in enumerate(requests):
            if kind == "ctrl" and request.idempotency_key:
                keyed.append(i)
            else:
                expiry = self._timeout if request.expires_in is None else request.expires_in
                groups.setdefault((request.point.device_id, expiry), []).append(i)

        async def run_group(indexes: list[int]) -> None:
            answers = await self._send(kind, [requests[i] for i in indexes])
            for i, answer in zip(indexes, answers, strict=True):
                replies[i] = answer

        async def run_keyed(i: int) -> None:
            key = requests[i].idempotency_key or ""

            async def send(command_id: str) -> CommandReply:
                return (await self._send(kind, [requests[i]], command_id))[0]

            replies[i] = await self._idempotency.run(key, requests[i], send)

        await asyncio.gather(*(run_group(indexes) for indexes in groups.values()), *map(run_keyed, keyed))
        return [reply for reply in replies if reply is not None]

    async def _send(
        self, kind: Kind, requests: Sequence[CommandRequest], command_id: str = ""
    ) -> list[CommandReply]:
        command_id = command_id or secrets.token_hex(12)
        ids = [part_id(command_id, i, len(requests)) for i in range(len(requests))]
        try:
            results = (await self._ask(kind, command_id, requests)).results
            replies = [result.reply(id_) for result, id_ in zip(results, ids, strict=True)]
        except PyDataCollError as error:
            replies = [CommandReply.failed(error, id_) for id_ in ids]
        if kind == "ctrl":
            await self._audit_results(requests, replies)
        return replies

    async def _ask(self, kind: Kind, command_id: str, requests: Sequence[CommandRequest]) -> Reply:
        device_id = requests[0].point.device_id
        expiry = requests[0].expires_in
        expiry = self._timeout if expiry is None else min(expiry, 86_400.0)
        try:
            async with asyncio.timeout(1.0):
                await self._listening.wait()
        except TimeoutError:
            raise StoreError("the store cannot be reached") from None
        message = Message(
            command_id,
            device_id,
            [Part(r.point.term_id, r.point.item_id, r.value, r.mode, r.verify) for r in requests],
            self._channel,
        )
        future = asyncio.get_running_loop().create_future()
        self._waiting[command_id] = future
        try:
            await self._publish(kind, message, expiry, requests)
            try:
                async with asyncio.timeout(min(expiry, self._timeout) + GRACE):
                    reply: Reply = await future
                    return reply
            except TimeoutError:
                return await self._overdue(command_id)
        finally:
            self._waiting.pop(command_id, None)

    async def _publish(
        self, kind: Kind, message: Message, expiry: float, requests: Sequence[CommandRequest]
    ) -> None:
        lease = keys.lease(keys.partition_of(message.device_id, self._store.partitions))
        with store_errors():
            if not await self._store.redis.exists(lease):
                raise NoManager(f"no device manager is running for device {message.device_id}")
            pipeline = self._store.redis.pipeline(transaction=True)
            pipeline.set(keys.command(message.id), "open", px=max(1, int(expiry * 1000)))
            if kind == "ctrl":
                for i, request in enumerate(requests):
                    entry = _entry(request, part_id(message.id, i, len(requests)))
                    pipeline.xadd(
                        keys.AUDIT,
                        audit_fields(entry),  # type: ignore[arg-type]
                        maxlen=MAX_ENTRIES,
                        approximate=True,
                    )
            pipeline.publish(keys.CTRL if kind == "ctrl" else keys.CALL, encode(message))
            try:
                with store_errors():
                    heard = (await pipeline.execute())[-1]
            except StoreUnavailable as error:
                raise DeviceTimeout(
                    f"the store was lost while the command was sent; whether it ran is unknown ({error})"
                ) from error
        if not heard:
            await self._store.fcall("command_withdraw", [keys.command(message.id)], [])
            raise NoManager(f"no device manager is listening for device {message.device_id}")

    async def _overdue(self, command_id: str) -> Reply:
        """No reply in time: it was lost, or the command was not taken, or it still runs."""
        name = keys.command(command_id)
        withdrawn = await self._store.fcall("command_withdraw", [name], [])
        with store_errors():
            state = await self._store.redis.get(name)
        if state is not None and str(state).startswith("{"):
            return decode_reply(state)
        if withdrawn or state is None:
            raise NoManager("no device manager took the command in time; it was not executed")
        raise DeviceTimeout("no answer in time; whether the device acted is unknown")

    async def _audit_results(self, requests: Sequence[CommandRequest], replies: Sequence[CommandReply]) -> None:
        try:
            with store_errors():
                pipeline = self._store.redis.pipeline(transaction=False)
                for request, reply in zip(requests, replies, strict=True):
                    entry = _entry(request, reply.command_id)
                    entry["result"] = reply.status if reply.status == 200 else f"{reply.status} {reply.detail}"
                    pipeline.xadd(
                        keys.AUDIT,
                        audit_fields(entry),  # type: ignore[arg-type]
                        maxlen=MAX_ENTRIES,
                        approximate=True,
                    )
                await pipeline.execute()
        except StoreError as error:
            # the intention is in the trail since before the command went out
            log.warning("the result of command %s is not in the audit trail: %s", replies[0].command_id, error)


def _entry(request: CommandRequest, command_id: str) -> dict[str, Any]:
    entry: dict[str, Any] = {
        "action": "ctrl",
        "user": request.user,
        "source": request.source,
        "object": str(request.point),
        "after": request.value,
        "command_id": command_id,
    }
    if request.reason:
        entry["reason"] = request.reason
    return entry
