"""Large changes of the model: prepared in parts, made to happen at one moment, then written part by part.

One call that writes 100,000 objects would hold up everybody for half a second. So the parts are put into a list
first, which expires by itself when the process dies. ``model_begin`` then makes the new version, atomically: from
that moment the change has happened, and whoever meets its marker, ``META:PENDING``, carries out what is left
before reading or changing the model. A part is carried out and taken off the list by the same call.
"""

from __future__ import annotations

import asyncio
import contextlib
import secrets
from typing import Any

from pydatacoll.errors import StoreError, StoreUnavailable
from pydatacoll.store import keys
from pydatacoll.store.client import Store, store_errors
from pydatacoll.store.model_ops import Commit
from pydatacoll.store.pace import Pace
from pydatacoll.store.turn import Turn

STAGE_LIFE = 60_000
"""Milliseconds that parts live after the last one was added, unless the change happens."""
NAMES_LIFE = 600_000
"""Milliseconds that other processes have to read what changed; later they read the whole model."""

LOST, NOT_OUR_TURN = 0, 2
"""First number of an answer, besides 1; see ``model_commit`` in model.lua."""
_EXPIRED = 3

TURN_PAUSE = 0.002
"""Seconds between two attempts while another process has the turn."""


async def send_commit(store: Store, commit: Commit, version: int, turn: Turn) -> int | None:
    """Make a change happen, whatever its size.

    :param version: the one that it was computed on.
    :returns: the new version; ``None`` when another process was faster.
    :raises StoreUnavailable: the store is away; whether the change has happened is unknown.
    :raises StoreRefused: the store will not take it; nothing happened.
    """
    large = commit.large
    reply = await (_stage if large else _send)(store, commit, version, turn)
    turn.held = reply[0] == LOST
    if reply[0] != 1:
        return None
    if large:
        await finish_pending(store)
    return int(reply[1])


async def finish_pending(store: Store) -> None:
    """Carry out what is left of a large change that has begun, if there is one; several processes may at once.

    :raises StoreError: when the store is away or refuses; others will go on.
    """
    while await store.fcall("model_apply", [keys.MODEL_PENDING], []):
        pass


async def _send(store: Store, commit: Commit, version: int, turn: Turn) -> Any:
    names = [keys.VERSION, keys.MODEL_LOG, keys.MODEL_TURN, keys.MODEL_PENDING, keys.AUDIT]
    encoded = await Pace().run(commit.arguments())
    kept = store.audit
    arguments = [str(version), *encoded, turn.writer, kept.length, kept.max_bytes, *commit.audit]
    return await _when_it_is_our_turn(store, "model_commit", names, arguments)


async def _stage(store: Store, commit: Commit, version: int, turn: Turn) -> Any:
    commit_id = secrets.token_hex(8)
    parts, names = keys.staged(commit_id), keys.staged_names(commit_id)
    kept = store.audit
    whole = await Pace().run(commit.parts(kept.length, kept.max_bytes))
    changed = await Pace().run(commit.names())
    try:
        for name, pieces in ((parts, whole), (names, changed)):
            for piece in pieces:
                await store.fcall("model_stage", [name], [STAGE_LIFE, piece])
        places = [keys.VERSION, keys.MODEL_LOG, keys.MODEL_TURN, keys.MODEL_PENDING, keys.AUDIT]
        reply = await _when_it_is_our_turn(
            store,
            "model_begin",
            [*places, parts, names, keys.staged_fields(commit_id)],
            [str(version), turn.writer, len(whole), len(changed), NAMES_LIFE],
        )
    except StoreUnavailable:  # it may have happened: the parts are needed then, and else they expire
        raise
    except StoreError:
        await _forget(store, parts, names)
        raise
    if reply[0] != 1:
        await _forget(store, parts, names)
    return [LOST] if reply[0] == _EXPIRED else reply


async def _forget(store: Store, *names: str) -> None:
    """Free the memory now; what cannot be reached expires."""
    with contextlib.suppress(StoreError), store_errors():
        await store.redis.unlink(*names)


async def _when_it_is_our_turn(store: Store, function: str, names: list[str], arguments: list[Any]) -> Any:
    while True:
        reply = await store.fcall(function, names, arguments)
        if reply[0] != NOT_OUR_TURN:
            return reply
        await asyncio.sleep(TURN_PAUSE)
