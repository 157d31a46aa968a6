"""``Idempotency-Key``: a repeated control request returns the first answer and does nothing."""

from __future__ import annotations

import asyncio
import hashlib
import secrets
from collections.abc import Awaitable, Callable

import msgspec

from pydatacoll.errors import Conflict, DeviceOffline, Invalid, NoManager, PyDataCollError
from pydatacoll.store import keys
from pydatacoll.store.client import Store, store_errors
from pydatacoll.store.command_messages import CommandReply, CommandRequest, decode_reply

REMEMBER = 86_400
"""Seconds a key is remembered."""


class _Record(msgspec.Struct, frozen=True):
    fingerprint: str
    command_id: str
    reply: CommandReply | None = None


_NOT_EXECUTED = frozenset({NoManager.title, DeviceOffline.title})
_decode = msgspec.json.Decoder(_Record).decode


def _fingerprint(request: CommandRequest) -> str:
    what = msgspec.json.encode((request.point, request.value, request.mode, request.verify))
    if request.selection:
        what += request.selection.encode()
    return hashlib.sha256(what).hexdigest()[:32]


class Idempotency:
    """Runs a command once per key, across API servers and restarts."""

    def __init__(self, store: Store) -> None:
        self._store = store
        self._running: dict[str, asyncio.Future[CommandReply]] = {}

    async def run(self, request: CommandRequest, send: Callable[[str], Awaitable[CommandReply]]) -> CommandReply:
        """The first answer for the key of the request; a key belongs to the user that sent it.

        ``send`` is called, with a command id, only for the first request.

        Errors become replies: 409 while the first request is under way elsewhere or its outcome is unknown,
        422 when the key was used for another command.
        """
        try:
            return await self._run(request, send)
        except PyDataCollError as error:
            return CommandReply.failed(error)

    async def _run(self, request: CommandRequest, send: Callable[[str], Awaitable[CommandReply]]) -> CommandReply:
        name = keys.idempotency(request.user, request.idempotency_key or "")
        record = _Record(_fingerprint(request), secrets.token_hex(12))
        with store_errors():
            fresh = await self._store.redis.set(name, msgspec.json.encode(record), nx=True, ex=REMEMBER)
        if not fresh:
            return await self._repeated(name, record.fingerprint)
        future: asyncio.Future[CommandReply] = asyncio.get_running_loop().create_future()
        self._running[name] = future
        try:
            reply = await send(record.command_id)
            if reply.title in _NOT_EXECUTED:
                # the client may try again with the same key
                with store_errors():
                    await self._store.redis.delete(name)
            else:
                done = _Record(record.fingerprint, record.command_id, reply)
                with store_errors():
                    await self._store.redis.set(name, msgspec.json.encode(done), ex=REMEMBER)
            future.set_result(reply)
            return reply
        finally:
            del self._running[name]
            if not future.done():
                future.cancel()

    async def _repeated(self, name: str, fingerprint: str) -> CommandReply:
        with store_errors():
            text = await self._store.redis.get(name)
        if text is None:
            raise Conflict("the first request with this Idempotency-Key has just failed; try again")
        record = _decode(text)
        if record.fingerprint != fingerprint:
            raise Invalid("this Idempotency-Key was used for another command")
        if record.reply is not None:
            return record.reply
        running = self._running.get(name)
        if running is not None:
            return await asyncio.shield(running)
        with store_errors():
            state = await self._store.redis.get(keys.command(record.command_id))
        if state is not None and str(state).startswith("{"):
            return decode_reply(state).results[0].reply(record.command_id)
        raise Conflict("the first request with this Idempotency-Key is still under way, or its outcome is unknown")
