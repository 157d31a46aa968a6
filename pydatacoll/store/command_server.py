"""The manager's side of calls and controls: hear, claim, hand over, answer."""

from __future__ import annotations

import asyncio
import contextlib
import logging
import secrets
from collections.abc import Awaitable, Callable
from contextlib import AbstractContextManager, nullcontext

import msgspec
from redis.exceptions import RedisError

from pydatacoll.errors import PyDataCollError, StoreError, StoreUnavailable
from pydatacoll.model import PointId, sample_to_wire
from pydatacoll.store import keys
from pydatacoll.store.audit import Audit, audit_entries
from pydatacoll.store.client import Store, store_errors
from pydatacoll.store.command_messages import (
    CommandReply,
    Kind,
    Message,
    Part,
    Reply,
    Result,
    audit_result,
    decode_message,
    encode,
)
from pydatacoll.store.queries import QueryServer

log = logging.getLogger(__name__)

Handler = Callable[[Kind, str, list[Part], float], Awaitable[list[CommandReply]]]
"""``(kind, device_id, parts, seconds left) -> one reply per part``; must not raise."""

REMEMBER = 3600
"""Seconds a taken command and its result are remembered."""
REPLY_LIMIT = 10.0
"""Seconds for which a result is offered to a store that is away."""
OUTSIDE_EXPIRY = 10.0
"""Seconds for a message that another program published without an id."""


class _Flat(msgspec.Struct, frozen=True):
    """A message of another program, as PyDataColl's users know it: one point, no id, no reply channel."""

    device_id: str
    term_id: str
    item_id: str
    value: bool | int | float | str | None = None


_decode_flat = msgspec.json.Decoder(_Flat, strict=False).decode


class CommandServer:
    """Hears all commands, executes those for which ``owns(device_id)`` is true.

    ``hold()`` is entered while a command is under way. Questions come over the same connection and go to
    ``queries``.
    """

    def __init__(
        self,
        store: Store,
        owns: Callable[[str], bool],
        handler: Handler,
        hold: Callable[[], AbstractContextManager[None]] = nullcontext,
        queries: QueryServer | None = None,
    ) -> None:
        self._store = store
        self._hold = hold
        self._queries = queries
        self._owns = owns
        self._handler = handler
        self._audit = Audit(store)
        self._tasks: set[asyncio.Task[None]] = set()
        self.listening = asyncio.Event()

    async def run(self) -> None:
        """Listen until cancelled; subscribes again when the store was away. Commands under way are finished."""
        try:
            while True:
                client = self._store.dedicated(binary=True)
                try:
                    async with client.pubsub() as pubsub:
                        await self._listen(pubsub)
                except (RedisError, OSError) as error:
                    log.debug("the command channel is interrupted: %s", error)
                finally:
                    self.listening.clear()
                    with contextlib.suppress(RedisError, OSError):
                        await self._store.release(client)
                await asyncio.sleep(0.1)
        finally:
            if self._queries is not None:
                await self._queries.stop()
            if self._tasks:
                await asyncio.wait(self._tasks, timeout=2.0)

    async def _listen(self, pubsub: object) -> None:
        channels = [keys.CALL, keys.CTRL] + ([keys.QUERY] if self._queries is not None else [])
        await pubsub.subscribe(*channels)  # type: ignore[attr-defined]
        while True:
            message = await pubsub.get_message(timeout=None)  # type: ignore[attr-defined]
            if message is None:
                continue
            if message["type"] == "subscribe":
                self.listening.set()
            elif message["type"] == "message" and message["channel"] == keys.QUERY.encode():
                if self._queries is not None:
                    self._queries.take(message["data"])
            elif message["type"] == "message":
                kind: Kind = "ctrl" if message["channel"] == keys.CTRL.encode() else "call"
                self._take(kind, message["data"])

    def _take(self, kind: Kind, data: bytes) -> None:
        outside = False
        try:
            message = decode_message(data)
        except msgspec.DecodeError:
            try:
                flat = _decode_flat(data)
            except msgspec.DecodeError as error:
                log.warning("a message on the %s channel is not readable: %s", kind, error)
                return
            outside = True
            part = Part(flat.term_id, flat.item_id, flat.value)
            message = Message(secrets.token_hex(12), flat.device_id, [part], user="redis")
        if self._owns(message.device_id):
            task = asyncio.get_running_loop().create_task(self._run(kind, message, outside))
            self._tasks.add(task)
            task.add_done_callback(self._tasks.discard)

    async def _run(self, kind: Kind, message: Message, outside: bool) -> None:
        with self._hold():
            await self._claim_and_run(kind, message, outside)

    async def _claim_and_run(self, kind: Kind, message: Message, outside: bool) -> None:
        try:
            left = OUTSIDE_EXPIRY
            listeners = 1
            if not outside:
                name = keys.command(message.id)
                pattern = _result_channel(kind, f"{message.device_id}:*")
                asked = asyncio.get_running_loop().time()
                milliseconds, listeners = await self._store.fcall("command_claim", [name], [REMEMBER, pattern])
                if milliseconds < 0:
                    log.info("%s %s is not executed: expired or taken", kind, message.id)
                    return
                # the answer may have been long on its way
                left = max(0.0, milliseconds / 1000 - (asyncio.get_running_loop().time() - asked))
            elif kind == "ctrl":
                message = await self._audited(message)
            replies = await self._handler(kind, message.device_id, message.parts, left)
            await self._reply(kind, message, replies, publish=listeners > 0)
        except PyDataCollError as error:
            log.warning("%s %s: %s", kind, message.id, error)

    async def _audited(self, message: Message) -> Message:
        """A control of another program is in the trail before it is executed, as one that came over REST.

        :raises StoreError: it is not, so it must not be executed; who listens is told.
        """
        entries = [message.audit(index) for index in range(len(message.parts))]
        try:
            before = await self._audit.write_controls(message.device_id, message.fields, entries)
        except StoreError as error:
            reply = CommandReply.failed(error)
            for part in message.parts:
                point = PointId(message.device_id, part.term_id, part.item_id)
                with store_errors():
                    await self._store.redis.publish(
                        _result_channel("ctrl", str(point)), _result_json(point, reply, message.id)
                    )
            raise
        return msgspec.structs.replace(message, before=before)

    async def _reply(self, kind: Kind, message: Message, replies: list[CommandReply], *, publish: bool) -> None:
        """Hand the result over, again when the store was away: it may stand twice in the audit trail then."""
        deadline = asyncio.get_running_loop().time() + REPLY_LIMIT
        while True:
            try:
                await self._hand_over(kind, message, replies, publish=publish)
            except StoreUnavailable:
                if asyncio.get_running_loop().time() > deadline:
                    raise
                await asyncio.sleep(0.1)
            else:
                return

    async def _hand_over(
        self, kind: Kind, message: Message, replies: list[CommandReply], *, publish: bool
    ) -> None:
        reply = encode(Reply(message.id, [Result.of(reply) for reply in replies]))
        entries: list[bytes] = []
        if kind == "ctrl":
            entries = audit_entries(
                {**message.audit(i), "result": audit_result(one)} for i, one in enumerate(replies)
            )
        publications: list[str | bytes] = []
        if publish:
            for part, one in zip(message.parts, replies, strict=True):
                point = PointId(message.device_id, part.term_id, part.item_id)
                publications += [_result_channel(kind, str(point)), _result_json(point, one, message.id)]
        await self._store.fcall(
            "command_reply",
            [keys.command(message.id), keys.AUDIT],
            [reply, REMEMBER, message.reply_to, self._store.audit.length, len(entries), *entries, *publications],
        )


def _result_channel(kind: Kind, point: str) -> str:
    return keys.ctrl_result_channel(point) if kind == "ctrl" else keys.call_result_channel(point)


def _result_json(point: PointId, reply: CommandReply, message_id: str) -> bytes:
    outcome = {"outcome": reply.outcome} if reply.outcome else {}
    if reply.sample is not None:
        return encode({**sample_to_wire(point, reply.sample), "command_id": message_id, "status": 200, **outcome})
    return encode(
        {
            "device_id": point.device_id,
            "term_id": point.term_id,
            "item_id": point.item_id,
            "command_id": message_id,
            "status": reply.status,
            "title": reply.title,
            "detail": reply.detail,
            **outcome,
        }
    )
