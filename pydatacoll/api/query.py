"""Query parameters, declared once: name, type and meaning. Strict: what is not declared is refused by name."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from aiohttp import web

from pydatacoll.errors import FieldError, Invalid
from pydatacoll.model import time_from_wire
from pydatacoll.model.quality import FLAG_NAMES

_BOOLEANS = {
    "true": True,
    "1": True,
    "yes": True,
    "on": True,
    "false": False,
    "0": False,
    "no": False,
    "off": False,
}
_MAX_INT = 2**31 - 1


@dataclass(frozen=True, slots=True)
class Query:
    """One query parameter.

    :ivar schema: its JSON schema, for the document.
    :ivar convert: text -> value; raises ``ValueError`` with a message fit for the user.
    """

    name: str
    description: str
    schema: Mapping[str, Any]
    convert: Callable[[str], Any]
    default: Any = None


def flag(name: str, description: str) -> Query:
    """``true`` or ``false`` (also 1/0, yes/no, on/off); absent means false."""

    def convert(text: str) -> bool:
        try:
            return _BOOLEANS[text.lower()]
        except KeyError:
            raise ValueError("must be true or false") from None

    return Query(name, description, {"type": "boolean", "default": False}, convert, False)


def integer(name: str, description: str, *, ge: int = 0, le: int = _MAX_INT, default: int | None = None) -> Query:
    """A decimal number from ``ge`` to ``le``."""

    def convert(text: str) -> int:
        if not (text.isascii() and text.isdigit()) or len(text) > 10 or not ge <= int(text) <= le:
            raise ValueError(f"must be a whole number from {ge} to {le}")
        return int(text)

    schema: dict[str, Any] = {"type": "integer", "minimum": ge, "maximum": le}
    if default is not None:
        schema["default"] = default
    return Query(name, description, schema, convert, default)


def choice(name: str, description: str, names: Sequence[str], default: str | None = None) -> Query:
    """One of several words."""

    def convert(text: str) -> str:
        if text not in names:
            raise ValueError(f"must be one of {', '.join(names)}")
        return text

    schema: dict[str, Any] = {"type": "string", "enum": list(names)}
    if default is not None:
        schema["default"] = default
    return Query(name, description, schema, convert, default)


def moment(name: str, description: str) -> Query:
    """A time, as epoch seconds: ISO 8601 (a missing zone means UTC) or epoch seconds."""

    def convert(text: str) -> float:
        try:
            # An unencoded "+" of a zone offset arrives as a space.
            return time_from_wire(text.replace(" ", "+") if "T" in text else text)
        except (ValueError, OverflowError, OSError):
            raise ValueError("must be an ISO 8601 time or epoch seconds") from None

    return Query(name, description, {"type": "string", "examples": ["2026-11-21T09:00:00Z"]}, convert)


def ids(name: str, description: str) -> Query:
    """Ids, separated by commas, as a tuple without repetition."""

    def convert(text: str) -> tuple[str, ...]:
        parts = tuple(dict.fromkeys(part.strip() for part in text.split(",")))
        if not all(parts):
            raise ValueError("must be ids separated by commas")
        return parts

    return Query(name, description, {"type": "string", "examples": ["feeder1,feeder2"]}, convert)


def words(name: str, description: str, known: Sequence[str]) -> Query:
    """Some of several words, separated by commas, as a set."""

    def convert(text: str) -> frozenset[str]:
        given = frozenset(part.strip() for part in text.split(","))
        if not given <= set(known):
            raise ValueError(f"must be some of {', '.join(known)}, separated by commas")
        return given

    return Query(name, description, {"type": "string", "examples": [known[0]]}, convert)


def word(name: str, description: str, *, longest: int = 256) -> Query:
    """A text, perhaps a glob."""

    def convert(text: str) -> str:
        if not 0 < len(text) <= longest:
            raise ValueError(f"must be 1-{longest} characters")
        return text

    return Query(name, description, {"type": "string", "minLength": 1, "maxLength": longest}, convert)


def quality(name: str, description: str) -> Query:
    """``good``, ``bad`` or the name of a flag."""
    return choice(name, description, ["good", "bad", *FLAG_NAMES])


EXPAND = flag("expand", "answer whole objects instead of ids")
DRY_RUN = flag("dry_run", "only work out and count what would happen; change nothing")
LIMIT = integer("limit", "answer at most so many; without it, all")
OFFSET = integer("offset", "leave out so many at the beginning", default=0)
PAGING = (LIMIT, OFFSET)


def parse(request: web.Request, declared: Mapping[str, Query], defaults: Mapping[str, Any]) -> Mapping[str, Any]:
    """All parameters of a request.

    :raises Invalid: naming every unknown, repeated or ill-typed one.
    """
    values = dict(defaults)
    errors: list[FieldError] = []
    seen: set[str] = set()
    for name, text in request.query.items():
        query = declared.get(name)
        if query is None:
            known = f"known here: {', '.join(declared)}" if declared else "there are none here"
            errors.append(FieldError(0, name, f"is not a query parameter of this path; {known}"))
        elif name in seen:
            errors.append(FieldError(0, name, "is given more than once"))
        else:
            seen.add(name)
            try:
                values[name] = query.convert(text)
            except ValueError as error:
                errors.append(FieldError(0, name, str(error)))
    if errors:
        raise Invalid.of(errors)
    return values
