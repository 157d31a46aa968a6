"""Points chosen by patterns: ``feeder*:main:u?``."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Iterator, Sequence
from fnmatch import translate
from functools import lru_cache
from typing import Final

from pydatacoll.model.registry import ModelView
from pydatacoll.model.sample import PointId

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


def matching(model: ModelView, chosen: Sequence[PointGlob], device_ids: Sequence[str]) -> Iterator[PointId]:
    """The points of these devices that match one of the patterns at least, by path."""
    for device_id in device_ids:
        of_device = [glob for glob in chosen if glob[0](device_id)]
        if not of_device:
            continue
        for term_id in sorted(model.terms_of(device_id)):
            of_term = [glob[2] for glob in of_device if glob[1](term_id)]
            if not of_term:
                continue
            for item_id in sorted(model.items_of(term_id)):
                if any(match(item_id) for match in of_term):
                    yield PointId(device_id, term_id, item_id)
