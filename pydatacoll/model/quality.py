"""Quality of a value: a bit set in memory and in the store, ``"good"`` or a list of flags on the wire."""

from __future__ import annotations

from enum import IntFlag
from functools import lru_cache


class Quality(IntFlag):
    """Flags of a sample. 0 is good. ``TIME_INVALID`` alone leaves the value usable."""

    GOOD = 0
    INVALID = 1
    NOT_TOPICAL = 2
    SUBSTITUTED = 4
    BLOCKED = 8
    OVERFLOW = 16
    COMM_LOST = 32
    TIME_INVALID = 64
    OUT_OF_RANGE = 128
    STALE = 256


FLAG_NAMES: dict[str, int] = {flag.name.lower(): int(flag) for flag in Quality if flag.name}


@lru_cache(maxsize=512)
def _names(quality: int) -> tuple[str, ...]:
    return tuple(name for name, bit in FLAG_NAMES.items() if quality & bit)


def quality_to_wire(quality: int) -> str | list[str]:
    """``0`` -> ``"good"``; anything else -> the list of its flag names."""
    return list(_names(quality)) if quality else "good"


def quality_from_wire(wire: str | list[str]) -> int:
    """Inverse of :func:`quality_to_wire`.

    :raises ValueError: for an unknown flag.
    """
    if wire == "good":
        return 0
    names = [wire] if isinstance(wire, str) else wire
    quality = 0
    for name in names:
        if name not in FLAG_NAMES:
            raise ValueError(f"unknown quality flag {name!r}; known: good, {', '.join(FLAG_NAMES)}")
        quality |= FLAG_NAMES[name]
    return quality


def is_usable(quality: int) -> bool:
    """Whether a value of this quality may be used in calculations and alarms."""
    return not quality & ~Quality.TIME_INVALID
