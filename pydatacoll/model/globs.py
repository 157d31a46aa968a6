"""Points chosen by patterns: ``feeder*:main:u?``."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Sequence
from fnmatch import translate
from functools import lru_cache
from typing import Final

from pydatacoll.model.registry import ModelView
from pydatacoll.model.sample import PointId
from pydatacoll.model.steps import Steps

MOST: Final = 100
"""Patterns in one request."""
_ALLOWED: Final = re.compile(r"[A-Za-z0-9_.\-*?\[\]!]{1,64}\Z")

_Matcher = Callable[[str], object]
PointGlob = tuple[_Matcher, _Matcher, _Matcher]
"""What says whether an id of a device, of a term and of an item matches."""


@lru_cache(maxsize=1024)
def _matcher(part: str) -> _Matcher:
    return re.compile(translate(part)).match


def point_globs(texts: Iterable[str]) -> tuple[PointGlob, ...]:
    """``device:term:item`` patterns; what is left out at the end of one matches everything.

    :raises ValueError: with a message fit for the user.
    """
    found: list[PointGlob] = []
    for one in dict.fromkeys(text.strip() for text in texts):
        parts = one.split(":")
        if len(parts) > 3 or not all(_ALLOWED.match(part) for part in parts):
            raise ValueError(
                "must be device:term:item patterns separated by commas; a part is an id or has *, ? and [] in it"
            )
        device, term, item = map(_matcher, (*parts, "*", "*")[:3])
        found.append((device, term, item))
    if len(found) > MOST:
        raise ValueError(f"takes at most {MOST} patterns")
    return tuple(found)


def matching(model: ModelView, chosen: Sequence[PointGlob], device_ids: Sequence[str]) -> Steps[list[PointId]]:
    """The points of these devices that match one of the patterns at least, by path.

    In steps, see :mod:`pydatacoll.model.steps`: many patterns for many points take seconds. The model may change
    between them; a point that is gone meanwhile may still be among those found.
    """
    found: list[PointId] = []
    for device_id in device_ids:
        yield
        of_device = [glob[1:] for glob in chosen if glob[0](device_id)]
        for term_id in sorted(model.terms_of(device_id)) if of_device else ():
            yield
            items = dict.fromkeys(item for term, item in of_device if term(term_id))
            for item_id in sorted(model.items_of(term_id)) if items else ():
                yield
                if any(match(item_id) for match in items):
                    found.append(PointId(device_id, term_id, item_id))
    return found
