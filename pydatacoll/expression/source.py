"""The text of an expression before it is parsed: only characters and words of the language, brackets that match,
and nothing so long or so deep that parsing it could take time or memory.

The parser therefore sees plain ASCII: no letter that looks like another one, no escape, no brace, no comment.
"""

from __future__ import annotations

import ast
import re

from pydatacoll.expression.errors import ExpressionError
from pydatacoll.expression.hints import character_hint, keyword_hint

MAX_LENGTH = 4096
"""Characters; that of a formula in the model."""
MAX_DEPTH = 32
"""Levels of brackets, and of operators and calls within each other. A chain as ``a + b + c`` is one level."""
MAX_TOKENS = 1024
"""Numbers, names and signs."""

_LONGEST_WORD = 32

_TOKEN = re.compile(
    r"""(?P<space>[ \t\r\n]+)
    |(?P<number>(?:[0-9]+\.?[0-9]*|\.[0-9]+)(?:[eE][+-]?[0-9]+)?)
    |(?P<name>[A-Za-z_][A-Za-z_0-9]*)
    |(?P<text>'[^'\r\n]*'|"[^"\r\n]*")
    |(?P<open>[(\[])
    |(?P<close>[)\]])
    |(?P<sign>\*\*|//|<=|>=|==|!=|<(?![<>])|>(?!>)|[-+*/%,.])
    """,
    re.VERBOSE,
)
_BLANKS = str.maketrans("\t\r\n", "   ")
_PAIRS = {"(": ")", "[": "]"}


class Source:
    """A text, and the places in it.

    :raises ExpressionError: from :meth:`parse`.
    """

    def __init__(self, text: str) -> None:
        self.text = text
        self._shift = len(text) - len(text.lstrip(" \t\r\n"))

    def error(self, message: str, offset: int) -> ExpressionError:
        """The error that is at an offset of the text, 0-based."""
        before = self.text[: max(0, min(offset, len(self.text)))]
        return ExpressionError(message, before.count("\n") + 1, len(before) - before.rfind("\n"))

    def error_at(self, message: str, node: ast.expr | ast.keyword, offset: int | None = None) -> ExpressionError:
        """The error that is at a node of the tree, or at an offset as nodes have it."""
        return self.error(message, (node.col_offset if offset is None else offset) + self._shift)

    def parse(self) -> ast.expr:
        """The tree of the expression. Line ends are blanks, wherever they are."""
        self._check()
        try:
            return ast.parse(self.text.translate(_BLANKS).strip(" "), mode="eval").body
        except SyntaxError as error:
            raise self._syntax_error(error.msg, (error.offset or 0) - 1 + self._shift) from None
        except (RecursionError, MemoryError):
            raise self.error("too many levels within each other: divide it into several formulas", 0) from None

    def _syntax_error(self, reason: str, offset: int) -> ExpressionError:
        """``reason`` is Python's: it speaks of much that is not part of the language."""
        end = len(self.text.rstrip(" \t\r\n"))
        if not self._shift <= offset < end:
            return self.error("the expression ends too early: something is missing", end)
        if "'else'" in reason:
            return self.error("the else is missing: write 'a if condition else b'", offset)
        if "leading zero" in reason:
            return self.error("a number does not begin with zeros", offset)
        return self.error("something is missing here, or too much", offset)

    def _check(self) -> None:
        text = self.text
        if len(text) > MAX_LENGTH:
            raise self.error(f"{len(text)} characters; at most {MAX_LENGTH}", MAX_LENGTH)
        match = _TOKEN.match
        opened: list[int] = []
        position = tokens = 0
        before = ""
        while position < len(text):
            found = match(text, position)
            if found is None:
                raise self.error(character_hint(text, position), position)
            kind = found.lastgroup
            if kind != "space":
                tokens += 1
                if tokens > MAX_TOKENS:
                    raise self.error(
                        f"more than {MAX_TOKENS} numbers, names and signs: divide it into several formulas",
                        position,
                    )
                if kind == "open":
                    opened.append(position)
                    if len(opened) > MAX_DEPTH:
                        raise self.error(f"more than {MAX_DEPTH} brackets within each other", position)
                elif kind == "close":
                    if not opened or _PAIRS[text[opened[-1]]] != text[position]:
                        raise self.error(f"{text[position]!r} without its opening bracket", position)
                    opened.pop()
                elif kind != "sign":
                    self._check_word(kind, found.group(), position, before)
            before = kind or ""
            position = found.end()
        if opened:
            raise self.error(f"{text[opened[-1]]!r} is never closed", opened[-1])
        if not tokens:
            raise self.error("the expression is empty", 0)

    def _check_word(self, kind: str | None, word: str, position: int, before: str) -> None:
        if len(word) > _LONGEST_WORD:
            raise self.error(f"longer than {_LONGEST_WORD} characters", position)
        if before == "number" or (before in ("name", "text") and kind in ("text", "name", "number")):
            # 1if, 1j, 0x10, f'...', b'...', '15''m'
            raise self.error(
                f"{word!r} stands right behind something else: an operator or a blank is missing", position
            )
        if kind == "name":
            hint = keyword_hint(word)
            if hint is not None:
                raise self.error(hint, position)
