"""What clients of live push say, checked. Pure.

``docs/reference/live.rst`` describes the messages.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final, Literal, cast

from pydatacoll.codec import json
from pydatacoll.model.globs import MOST, point_globs
from pydatacoll.model.objects import ID_PATTERN

Topic = Literal["values", "devices", "alarms", "events"]
TOPICS: Final[tuple[Topic, ...]] = ("values", "devices", "alarms", "events")

MAX_MESSAGE: Final = 262_144
"""Bytes of a message of a client."""
MOST_IDS: Final = 20_000
"""Points that one subscription may name."""
RATES: Final = (100, 5000)
"""Milliseconds between two batches, least and most; 0 is as soon as possible."""
DEFAULT_RATE: Final = 250
_ID: Final = re.compile(ID_PATTERN)
_EPOCH: Final = re.compile(r"[A-Za-z0-9_\-]{1,64}\Z")
_MEMBERS: Final = frozenset({"op", "id", "globs", "ids", "rate", "topics", "epoch", "since"})


class Malformed(Exception):
    """A message that is none of ours. ``id`` is the JSON text of the subscription it names, as far as known."""

    def __init__(self, detail: str, subscription: str | None = None) -> None:
        super().__init__(detail)
        self.id = subscription


class NotJson(Malformed):
    """It is not even JSON."""


@dataclass(frozen=True, slots=True)
class Subscribe:
    """Wants to be told.

    :ivar id: JSON text of the client's own name for it.
    :ivar globs: patterns of points, or ``None`` when ``ids`` names them, as ``device:term:item``.
    :ivar rate: milliseconds between batches; 0: as soon as possible.
    :ivar since: number of the last change that the client saw in ``epoch``.
    """

    id: str
    globs: tuple[str, ...] | None = ("*",)
    ids: tuple[str, ...] | None = None
    rate: int = DEFAULT_RATE
    topics: tuple[Topic, ...] = ("values",)
    epoch: str | None = None
    since: int | None = None


@dataclass(frozen=True, slots=True)
class Unsubscribe:
    """Wants to hear no more."""

    id: str


@dataclass(frozen=True, slots=True)
class Ping:
    """Asks for a sign of life."""


Message = Subscribe | Unsubscribe | Ping


def parse(text: str | bytes) -> Message:
    """A message of a client.

    :raises NotJson: it is not JSON.
    :raises Malformed: it is something else; the text is fit for the user.
    """
    try:
        content = json.decode(text.encode() if isinstance(text, str) else text)
    except json.MalformedJson as error:
        raise NotJson(f"the message is not JSON: {error}") from None
    except UnicodeEncodeError:
        raise NotJson("the message is not Unicode text") from None
    if not isinstance(content, dict):
        raise Malformed("a message must be a JSON object with op")
    operation = content.get("op")
    if operation == "ping":
        return Ping()
    if operation not in ("sub", "unsub"):
        raise Malformed("op must be sub, unsub or ping", _known_id(content))
    name = _id(content)
    if operation == "unsub":
        return Unsubscribe(name)
    return subscribe(name, content)


def subscribe(name: str, content: Mapping[str, Any]) -> Subscribe:
    """The members of a subscription, checked.

    :raises Malformed: naming the member.
    """
    unknown = [member for member in content if member not in _MEMBERS]
    if unknown:
        raise Malformed(f"{ascii(unknown[0])[:80]} is not a member of sub", name)
    globs, ids = content.get("globs"), content.get("ids")
    if globs is not None and ids is not None:
        raise Malformed("either globs or ids, not both", name)
    return Subscribe(
        name,
        None if ids is not None else ("*",) if globs is None else _globs(globs, name),
        None if ids is None else _ids(ids, name),
        rate_of(content.get("rate"), name),
        _topics(content.get("topics"), name),
        _epoch(content.get("epoch"), name),
        _since(content.get("since"), name),
    )


def rate_of(rate: Any, name: str | None = None) -> int:
    """Milliseconds between batches.

    :raises Malformed: it is none.
    """
    if rate is None:
        return DEFAULT_RATE
    least, most = RATES
    if type(rate) is float and rate.is_integer():
        rate = int(rate)
    if type(rate) is not int or not (rate == 0 or least <= rate <= most):
        raise Malformed(f"rate must be 0 or {least} to {most} (milliseconds between batches)", name)
    return rate


def _known_id(content: Mapping[str, Any]) -> str | None:
    try:
        return _id(content)
    except Malformed:
        return None


def _id(content: Mapping[str, Any]) -> str:
    name = content.get("id")
    if isinstance(name, str) and 1 <= len(name) <= 64:
        return json.encode(name).decode()
    if type(name) is int and abs(name) < 2**53:
        return str(name)
    raise Malformed("id must be a string of 1 to 64 characters, or a whole number")


def _list_of_texts(given: Any, member: str, most: int, name: str) -> Sequence[str]:
    if not isinstance(given, list) or not all(isinstance(one, str) for one in given):
        raise Malformed(f"{member} must be a list of strings", name)
    if not 1 <= len(given) <= most:
        raise Malformed(f"{member} must have 1 to {most} elements", name)
    return given


def _globs(given: Any, name: str) -> tuple[str, ...]:
    texts = _list_of_texts(given, "globs", MOST, name)
    try:
        point_globs(texts)
    except ValueError as error:
        raise Malformed(f"globs {str(error).replace(' separated by commas', '')}", name) from None
    return tuple(sorted({text.strip() for text in texts}))


def _ids(given: Any, name: str) -> tuple[str, ...]:
    texts = _list_of_texts(given, "ids", MOST_IDS, name)
    for text in texts:
        parts = text.split(":")
        if len(parts) != 3 or not all(map(_ID.match, parts)):
            raise Malformed(f"ids: {ascii(text)[:80]} is not device:term:item", name)
    return tuple(sorted(set(texts)))


def _topics(given: Any, name: str) -> tuple[Topic, ...]:
    if given is None:
        return ("values",)
    texts = _list_of_texts(given, "topics", len(TOPICS), name)
    if not set(texts) <= set(TOPICS):
        raise Malformed(f"topics must be some of {', '.join(TOPICS)}", name)
    return tuple(topic for topic in TOPICS if topic in cast("list[Topic]", texts))


def _epoch(given: Any, name: str) -> str | None:
    if given is not None and not (isinstance(given, str) and _EPOCH.match(given)):
        raise Malformed("epoch must be the one that the server gave", name)
    return given


def _since(given: Any, name: str) -> int | None:
    if given is not None and not (type(given) is int and 0 <= given < 2**53):
        raise Malformed("since must be the seq of the last message", name)
    return given
