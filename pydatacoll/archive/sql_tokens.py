"""Where strings, names and comments of an SQL statement begin and end, as each database sees it. Pure.

What is taken for code here must be code for the database, and the other way round; so what two of its modes would
see differently is refused (executable comments of MySQL), or the mode is set for our connections (``sql_mode``).
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from typing import Literal, NamedTuple

from pydatacoll.archive.errors import TemplateError

Kind = Literal["sqlite", "mysql", "postgresql"]
"""Family of a database; ``mysql`` is MariaDB, too."""


class Token(NamedTuple):
    """A piece of a statement.

    :ivar type: ``code``, ``string``, ``name`` (quoted) or ``comment``.
    :ivar text: as it stands there.
    :ivar content: of a string, what it means.
    """

    type: Literal["code", "string", "name", "comment"]
    text: str
    content: str = ""


_SPECIAL = re.compile(r"['\"`\[#$]|--|/\*")
_DOLLAR = re.compile(r"\$(?:[A-Za-z_\u0080-\uffff][A-Za-z0-9_\u0080-\uffff]*)?\$")
_ESCAPE_PREFIX = re.compile(r"(?:^|[^A-Za-z0-9_$\u0080-\uffff])[eE]\Z")
_ESCAPES = {"0": "\0", "b": "\b", "n": "\n", "r": "\r", "t": "\t", "Z": "\x1a", "%": "\\%", "_": "\\_"}
"""MySQL's escapes that do not mean the character itself."""


def tokens(sql: str, kind: Kind) -> Iterator[Token]:
    """The pieces of a statement, in order; together they are the statement.

    :raises TemplateError: when a string, a quoted name or a comment does not end, or is one of those refused.
    """
    start = at = 0
    while found := _SPECIAL.search(sql, at):
        at = found.start()
        read = _reader(sql, at, found.group(), kind)
        if read is None:
            at = found.end()
            continue
        if at > start:
            yield Token("code", sql[start:at])
        token = read(sql, at)
        yield token
        start = at = at + len(token.text)
    if start < len(sql):
        yield Token("code", sql[start:])


_Reader = Callable[[str, int], Token]


def _reader(sql: str, at: int, mark: str, kind: Kind) -> _Reader | None:  # noqa: PLR0911 - one return per mark
    """What reads on from a mark; ``None`` when it is code in this database."""
    match mark:
        case "'":
            if kind == "mysql":
                return _backslash_string
            escapes = kind == "postgresql" and _ESCAPE_PREFIX.search(sql, max(0, at - 2), at)
            return _backslash_string if escapes else _plain_string
        case '"':
            return _backslash_string if kind == "mysql" else _quoted_name
        case "`":
            return None if kind == "postgresql" else _quoted_name
        case "[":
            return _bracketed_name if kind == "sqlite" else None
        case "#":
            return _line_comment if kind == "mysql" else None
        case "$":
            return _dollar_string if kind == "postgresql" and _DOLLAR.match(sql, at) else None
        case "--":  # MySQL wants a blank after it, else these are two signs
            following = sql[at + 2 : at + 3]
            return _line_comment if kind != "mysql" or not following or following <= " " else None
        case _:
            return _nested_comment if kind == "postgresql" else _block_comment


def _unclosed(what: str, text: str) -> TemplateError:
    shown = text if len(text) <= 40 else text[:37] + "..."
    return TemplateError(f"{what} does not end: {shown}")


def _plain_string(sql: str, at: int) -> Token:
    end = _end_of_quoted(sql, at, "a string")
    return Token("string", sql[at:end], sql[at + 1 : end - 1].replace("''", "'"))


def _quoted_name(sql: str, at: int) -> Token:
    return Token("name", sql[at : _end_of_quoted(sql, at, "a quoted name")])


def _end_of_quoted(sql: str, at: int, what: str) -> int:
    """A doubled quotation mark is one of the content."""
    quote, end = sql[at], at + 1
    while True:
        end = sql.find(quote, end) + 1
        if not end:
            raise _unclosed(what, sql[at:])
        if sql[end : end + 1] != quote:
            return end
        end += 1


def _backslash_string(sql: str, at: int) -> Token:
    quote, end = sql[at], at + 1
    content: list[str] = []
    while end < len(sql):
        character = sql[end]
        following = sql[end + 1 : end + 2]
        if character == "\\" and following:
            content.append(_ESCAPES.get(following, following))
            end += 2
        elif character == quote and following == quote:
            content.append(quote)
            end += 2
        elif character == quote:
            return Token("string", sql[at : end + 1], "".join(content))
        else:
            content.append(character)
            end += 1
    raise _unclosed("a string", sql[at:])


def _bracketed_name(sql: str, at: int) -> Token:
    end = sql.find("]", at) + 1
    if not end:
        raise _unclosed("a quoted name", sql[at:])
    return Token("name", sql[at:end])


def _dollar_string(sql: str, at: int) -> Token:
    tag = _DOLLAR.match(sql, at)
    assert tag is not None  # noqa: S101 - looked at before
    end = sql.find(tag.group(), tag.end())
    if end < 0:
        raise _unclosed("a string", sql[at:])
    return Token("string", sql[at : end + len(tag.group())], sql[tag.end() : end])


def _line_comment(sql: str, at: int) -> Token:
    end = sql.find("\n", at)
    return Token("comment", sql[at:] if end < 0 else sql[at : end + 1])


def _block_comment(sql: str, at: int) -> Token:
    if re.match(r"/\*M?!", sql[at:]):
        raise TemplateError("a comment that begins with /*! is code for some databases: write it as code, or not")
    end = sql.find("*/", at + 2)
    if end < 0:
        raise _unclosed("a comment", sql[at:])
    return Token("comment", sql[at : end + 2])


def _nested_comment(sql: str, at: int) -> Token:
    depth = 0
    for mark in re.finditer(r"/\*|\*/", sql[at:]):
        depth += 1 if mark.group() == "/*" else -1
        if depth == 0:
            return Token("comment", sql[at : at + mark.end()])
    raise _unclosed("a comment", sql[at:])
