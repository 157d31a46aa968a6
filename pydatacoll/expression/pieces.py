"""Parts of the text of the two functions that an expression becomes."""

from __future__ import annotations

from typing import NamedTuple


class Piece(NamedTuple):
    """A part of the two functions.

    :ivar fast: ``None`` when only the careful function can do it.
    :ivar finite: whether the value is known to be finite.
    :ivar boolean: whether it is True or False.
    :ivar atom: whether it needs no brackets.
    """

    fast: str | None
    careful: str
    finite: bool = True
    boolean: bool = False
    atom: bool = True


class Reference(NamedTuple):
    """A parameter, or a stored sample of one. ``back`` is 1 for the latest."""

    name: str
    back: int


def bracketed(code: str | None, piece: Piece) -> str | None:
    return code if code is None or piece.atom else f"({code})"


def joined(parts: list[str | None]) -> str | None:
    """``None`` when a part is."""
    return None if None in parts else " ".join(part for part in parts if part is not None)


def truth(piece: Piece) -> Piece:
    if piece.boolean:
        return piece
    fast = None if piece.fast is None else f"bool({piece.fast})"
    return piece._replace(fast=fast, careful=f"bool({piece.careful})", boolean=True)
