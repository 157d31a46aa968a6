"""``Idempotency-Key``: a repeated request returns the first answer and does nothing."""

from __future__ import annotations

import asyncio
import hashlib
import logging
import secrets
from collections.abc import Awaitable, Callable
from typing import Final, Generic, NamedTuple, Protocol, TypeVar

import msgspec

from pydatacoll.errors import Conflict, DeviceOffline, Invalid, NoManager, PyDataCollError, StoreError
from pydatacoll.store import keys
from pydatacoll.store.client import Store, store_errors

log = logging.getLogger(__name__)

REMEMBER: Final = 86_400
"""Seconds a key is remembered."""


class Reply(Protocol):
    """What a request is answered with, encoded as JSON when it is kept."""

    @property
    def title(self) -> str:
        """That of the error; empty when there was none."""


R = TypeVar("R", bound=Reply)


class Claim(NamedTuple):
    """The key of a request. It belongs to the user that sent it, and to what was asked for first."""

    user: str
    key: str
    fingerprint: str


_NO_REPLY: Final = msgspec.Raw(b"null")


class _Record(msgspec.Struct, frozen=True):
    fingerprint: str
    command_id: str
    reply: msgspec.Raw = _NO_REPLY


_NOT_EXECUTED: Final = frozenset({NoManager.title, DeviceOffline.title})
_decode: Final = msgspec.json.Decoder(_Record).decode


def fingerprint(what: bytes) -> str:
    """Of what is asked for."""
    return hashlib.sha256(what).hexdigest()[:32]


class Idempotency(Generic[R]):
    """Runs a request once per key, across API servers and restarts. All kinds of requests share the keys.

    :param decode: an answer, out of the JSON that is kept of it.
    :param failed: an error as an answer.
    :param found: looks elsewhere, by the id of a request, for an answer that was not kept: the server that waited
        for it has died.
    """

    def __init__(
        self,
        store: Store,
        decode: Callable[[msgspec.Raw], R],
        failed: Callable[[PyDataCollError], R],
        found: Callable[[str], Awaitable[R | None]],
    ) -> None:
        self._store = store
        self._decode = decode
        self._failed = failed
        self._found = found
        self._running: dict[str, asyncio.Future[R]] = {}

    async def run(self, claim: Claim, send: Callable[[str], Awaitable[R]]) -> R:
        """The first answer for the key.

        ``send`` is called, with an id, only for the first request. When it raises, nothing was sent.

        Errors become replies: 409 while the first request is under way elsewhere or its outcome is unknown,
        422 when the key was used for something else.
        """
        try:
            return await self._run(claim, send)
        except PyDataCollError as error:
            return self._failed(error)

    async def _run(self, claim: Claim, send: Callable[[str], Awaitable[R]]) -> R:
        name = keys.idempotency(claim.user, claim.key)
        record = _Record(claim.fingerprint, secrets.token_hex(12))
        with store_errors():
            fresh = await self._store.redis.set(name, msgspec.json.encode(record), nx=True, ex=REMEMBER)
        if not fresh:
            return await self._repeated(name, record.fingerprint)
        future: asyncio.Future[R] = asyncio.get_running_loop().create_future()
        self._running[name] = future
        try:
            reply = await send(record.command_id)
        except PyDataCollError as error:
            await self._keep(name, record, None)
            future.set_result(self._failed(error))
            raise
        else:
            await self._keep(name, record, reply)
            future.set_result(reply)
            return reply
        finally:
            del self._running[name]
            if not future.done():
                future.cancel()

    async def _keep(self, name: str, record: _Record, reply: R | None) -> None:
        """Keep the answer, or forget the key: when nothing ran, the client may try again with it. What the device
        did is answered even when that cannot be noted."""
        try:
            with store_errors():
                if reply is None or reply.title in _NOT_EXECUTED:
                    await self._store.redis.delete(name)
                else:
                    kept = _Record(record.fingerprint, record.command_id, msgspec.Raw(msgspec.json.encode(reply)))
                    await self._store.redis.set(name, msgspec.json.encode(kept), ex=REMEMBER)
        except StoreError as error:
            log.warning("the answer for an Idempotency-Key is not kept: %s", error)

    async def _repeated(self, name: str, fingerprint: str) -> R:
        with store_errors():
            text = await self._store.redis.get(name)
        if text is None:
            raise Conflict("the first request with this Idempotency-Key has just failed; try again")
        record = _decode(text)
        if record.fingerprint != fingerprint:
            raise Invalid("this Idempotency-Key was used for another command")
        if record.reply != _NO_REPLY:
            return self._decode(record.reply)
        running = self._running.get(name)
        if running is not None:
            try:
                return await asyncio.shield(running)
            except asyncio.CancelledError:
                if not running.cancelled():
                    raise
        else:
            reply = await self._found(record.command_id)
            if reply is not None:
                return reply
        raise Conflict("the first request with this Idempotency-Key is still under way, or its outcome is unknown")
