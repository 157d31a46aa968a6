"""What is wrong with an expression, and where."""

from __future__ import annotations

from pydatacoll.errors import Invalid


class ExpressionError(Invalid):
    """The text is no expression of the language. The message names the remedy.

    :ivar message: what is wrong, without the place.
    :ivar line: 1-based.
    :ivar column: 1-based, in characters.
    """

    title = "Bad expression"

    def __init__(self, message: str, line: int, column: int) -> None:
        super().__init__(f"line {line}, column {column}: {message}")
        self.message = message
        self.line = line
        self.column = column


class NoValue(Exception):
    """A calculation has no result; the text says why. It never leaves the package."""
