"""A user's own statement with placeholders, compiled once to bound parameters. Pure.

Placeholders are ``:value`` in code, and ``{PARAM.value}`` in code or in a string. A string that holds nothing
but one, as ``'{PARAM.value}'``, is the value itself; one that holds more, as ``'meter {PARAM.device_id}'``,
becomes one parameter, too. So nothing that a device sends is ever part of what a database reads as a statement.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Final, Literal

from pydatacoll.archive.errors import TemplateError
from pydatacoll.archive.sql_tokens import Kind, Token, tokens

SAVE_NAMES: Final[Mapping[str, str]] = {
    "value": "engineering value: a number, a text, true or false, or NULL",
    "time": "time of the sample, UTC, as a date with time and microseconds",
    "epoch": "the same in seconds since 1970",
    "quality": "quality as a number: 0 is good",
    "quality_text": "quality in words: ``good``, or flags separated by commas",
    "device_id": "the device",
    "term_id": "the term",
    "item_id": "the item",
    "device_name": "name of the device",
    "term_name": "name of the term",
    "item_name": "name of the item",
    "unit": "unit of the value",
}
"""Placeholders of ``db_save_sql``, with their meaning."""
WARN_NAMES: Final[Mapping[str, str]] = {
    **SAVE_NAMES,
    "warn_msg": "text of the alarm",
    "condition": "what is wrong: ``high``, ``low``, ``rule``, ``quality``, ``stale``, ...",
    "limit": "the limit, or NULL",
    "priority": "priority of the alarm",
    "state": "state of the alarm, as ``active_unacknowledged``",
}
"""Placeholders of ``db_warn_sql``."""
NAMES: Final = {"db_save_sql": SAVE_NAMES, "db_warn_sql": WARN_NAMES}
"""Field of a term item -> placeholders of the statement in it."""
ALLOWED: Final = ("INSERT", "REPLACE", "UPDATE", "CALL")
"""What a statement may begin with."""

Style = Literal["qmark", "format", "numeric"]
"""How parameters are written: ``?``, ``%s`` (and ``%%`` for %) or ``$1``."""
Parameter = object
_OLD = re.compile(r"\{\s*PARAM\b[^{}]*\}?")
_OLD_NAME = re.compile(r"\{PARAM\.([A-Za-z_][A-Za-z0-9_]*)\}")
_MARK = re.compile(
    r"(?P<cast>::|:=)|:(?P<name>[A-Za-z_][A-Za-z0-9_]*)|(?P<old>\{\s*PARAM\b[^{}]*\}?)|(?P<parameter>\?|\$[0-9]+)"
    r"|(?P<end>;)"
)
_WORD = re.compile(r"[A-Za-z_]+")


@dataclass(frozen=True, slots=True)
class Bound:
    """One bound parameter: a name, or a text with names in it.

    :ivar parts: texts and names in turn, beginning with a text.
    """

    parts: tuple[str, ...]

    @classmethod
    def of(cls, name: str) -> Bound:
        return cls(("", name, ""))

    def value(self, values: Mapping[str, Parameter]) -> Parameter:
        """What is bound."""
        parts = self.parts
        if len(parts) == 3 and not parts[0] and not parts[2]:
            return values[parts[1]]
        return "".join(_as_text(values[part]) if place % 2 else part for place, part in enumerate(parts))


def _as_text(value: Parameter) -> str:
    if value is None:
        return ""
    return str(int(value)) if isinstance(value, bool) else str(value)


@dataclass(frozen=True, slots=True, weakref_slot=True)
class Template:
    """A compiled statement.

    :ivar pieces: code and strings, and the parameters between them.
    """

    kind: Kind
    pieces: tuple[str | Bound, ...]

    def sql(self, style: Style) -> str:
        """The text for the database."""
        parts: list[str] = []
        number = 0
        for piece in self.pieces:
            if isinstance(piece, Bound):
                number += 1
                parts.append({"qmark": "?", "format": "%s", "numeric": f"${number}"}[style])
            else:
                parts.append(piece.replace("%", "%%") if style == "format" else piece)
        return "".join(parts)

    @property
    def names(self) -> frozenset[str]:
        """Placeholders that occur."""
        return frozenset(name for piece in self.bound for name in piece.parts[1::2])

    @property
    def bound(self) -> list[Bound]:
        """The parameters, in order."""
        return [piece for piece in self.pieces if isinstance(piece, Bound)]

    def parameters(self, values: Mapping[str, Parameter]) -> tuple[Parameter, ...]:
        """What is bound, in order."""
        return tuple(piece.value(values) for piece in self.pieces if isinstance(piece, Bound))


def compile_template(text: str, kind: Kind, names: Mapping[str, str] = SAVE_NAMES) -> Template:
    """Compile a user's statement.

    :param names: the placeholders there are.
    :raises TemplateError: when it is not exactly one statement that writes, or has an unknown placeholder.
    """
    if "\0" in text:
        raise TemplateError("a statement must not hold the character NUL")
    pieces: list[str | Bound] = []
    ended = False
    for token in tokens(text, kind):
        if token.type == "comment":
            pieces.append(" ")
            continue
        if ended and token.text.strip(" \t\r\n\f\v;"):
            raise TemplateError("only one statement is taken: something follows the semicolon")
        if token.type == "code":
            for piece in _code(token.text, names):
                if piece == ";":
                    ended = True
                elif ended and (isinstance(piece, Bound) or piece.strip()):
                    raise TemplateError("only one statement is taken: something follows the semicolon")
                elif not ended:
                    pieces.append(piece)
        else:
            pieces.append(_quoted(token, names))
    _check_verb(pieces)
    return Template(kind, tuple(_joined(pieces)))


def statement_problem(kind: Kind, field: str, text: str) -> str | None:
    """What is wrong with a statement as far as it can be told without the database; ``None`` when it is fine."""
    try:
        compile_template(text, kind, NAMES[field])
    except TemplateError as error:
        return str(error)
    return None


def _known(name: str, names: Mapping[str, str]) -> str:
    if name not in names:
        raise TemplateError(f"unknown placeholder {name!r}; known: {', '.join(names)}")
    return name


def _old_name(text: str, names: Mapping[str, str]) -> str:
    found = _OLD_NAME.fullmatch(text)
    if found is None:
        raise TemplateError(f"{text!r} is no placeholder; write {{PARAM.value}} or :value, without anything else")
    return _known(found[1], names)


def _code(text: str, names: Mapping[str, str]) -> Iterator[str | Bound]:
    at = 0
    for mark in _MARK.finditer(text):
        yield text[at : mark.start()]
        at = mark.end()
        if mark["name"]:
            yield Bound.of(_known(mark["name"], names))
        elif mark["old"]:
            yield Bound.of(_old_name(mark["old"], names))
        elif mark["parameter"]:
            raise TemplateError(f"{mark.group()} has no name; write :value or another of {', '.join(names)}")
        else:
            yield mark.group()
    yield text[at:]


def _quoted(token: Token, names: Mapping[str, str]) -> str | Bound:
    """A string with placeholders becomes a parameter; a name stays, for names cannot be bound."""
    if "PARAM" not in token.text or not _OLD.search(token.content or token.text):
        return token.text
    if token.type == "name":
        raise TemplateError(f"{token.text}: the name of a table or column cannot be a placeholder")
    parts: list[str] = []
    at = 0
    for found in _OLD.finditer(token.content):
        parts += [token.content[at : found.start()], _old_name(found.group(), names)]
        at = found.end()
    return Bound((*parts, token.content[at:]))


def _check_verb(pieces: Sequence[str | Bound]) -> None:
    code = "".join(piece if isinstance(piece, str) else "?" for piece in pieces).strip()
    if not code:
        raise TemplateError("there is no statement")
    word = _WORD.match(code)
    verb = word.group().upper() if word else code[:20]
    if verb not in ALLOWED:
        raise TemplateError(f"a statement begins with {', '.join(ALLOWED[:-1])} or {ALLOWED[-1]}, not with {verb}")


def _joined(pieces: Sequence[str | Bound]) -> Iterator[str | Bound]:
    """Neighbouring texts as one, without blanks at the ends."""
    text = ""
    first = True
    for piece in pieces:
        if isinstance(piece, str):
            text += piece
            continue
        if text:
            yield text.lstrip() if first else text
        first, text = False, ""
        yield piece
    if text := (text.strip() if first else text.rstrip()):
        yield text
