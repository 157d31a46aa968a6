"""How long a window is: ``'15m'``."""

from __future__ import annotations

import re

_UNITS = {"ms": 0.001, "s": 1.0, "m": 60.0, "h": 3600.0, "d": 86_400.0}
_DURATION = re.compile(r"([0-9]{1,9}(?:\.[0-9]{1,9})?) ?(ms|s|m|h|d)")
LONGEST = 366 * 86_400.0


def duration(text: str) -> float:
    """The seconds of a duration: a number and one of ms, s, m (minutes), h, d.

    :raises ValueError: when it is none, or not from more than 0 to 366 days. The message is for the user.
    """
    found = _DURATION.fullmatch(text)
    if found is None:
        raise ValueError(f"{text!r} is no duration: write a number and ms, s, m, h or d, as in '15m'")
    seconds = float(found[1]) * _UNITS[found[2]]
    if not 0 < seconds <= LONGEST:
        raise ValueError("a window has more than 0 seconds and at most 366 days ('366d')")
    return seconds
