"""Patterns of points as query parameters."""

from __future__ import annotations

from pydatacoll.api.query import Query
from pydatacoll.model.globs import PointGlob, matching
from pydatacoll.model.globs import point_globs as _point_globs

__all__ = ["globs", "matching", "point_globs"]


def point_globs(text: str) -> tuple[PointGlob, ...]:
    """``device:term:item`` patterns, separated by commas.

    :raises ValueError: with a message fit for the user.
    """
    return _point_globs(text.split(","))


def globs(name: str, description: str) -> Query:
    """Patterns of points, as :func:`point_globs` makes them."""
    return Query(name, description, {"type": "string", "examples": ["feeder*:main:u?"]}, point_globs)
