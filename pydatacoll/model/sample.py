"""Samples and times: what a device said, when, and how good it is."""

from __future__ import annotations

from datetime import UTC, datetime
from functools import lru_cache
from typing import NamedTuple

from pydatacoll.model.quality import quality_to_wire

Value = bool | int | float | str | None
"""An engineering value. ``None`` means that no value was ever obtained; the quality says why."""


class Sample(NamedTuple):
    """One value of one term item.

    ``time`` is seconds since the epoch, UTC: the device's own time tag when valid, else the time of receipt.
    ``quality`` is a bit set of :class:`~pydatacoll.model.quality.Quality`.
    """

    time: float
    value: Value
    quality: int = 0


class PointId(NamedTuple):
    """The path of a term item."""

    device_id: str
    term_id: str
    item_id: str

    def __str__(self) -> str:
        return ":".join(self)


@lru_cache(maxsize=256)
def _second(second: int) -> str:
    return datetime.fromtimestamp(second, UTC).isoformat()[:19]


def time_to_wire(time: float) -> str:
    """Epoch seconds -> ISO 8601 with microseconds and ``Z``."""
    second, micros = divmod(round(time * 1e6), 1_000_000)
    return f"{_second(second)}.{micros:06d}Z"


def time_from_wire(text: str) -> float:
    """ISO 8601 (a missing zone means UTC) or epoch seconds as text -> epoch seconds.

    :raises ValueError: when it is neither, or outside the years 1 to 9999.
    """
    try:
        seconds = float(text)
    except ValueError:
        moment = datetime.fromisoformat(text)
        return (moment if moment.tzinfo else moment.replace(tzinfo=UTC)).timestamp()
    datetime.fromtimestamp(seconds, UTC)  # refuses NaN, infinity and what no calendar holds
    return seconds


def sample_to_wire(point: PointId, sample: Sample) -> dict[str, object]:
    """The JSON object of a sample, as REST, channels and live push show it."""
    return {
        "device_id": point.device_id,
        "term_id": point.term_id,
        "item_id": point.item_id,
        "time": time_to_wire(sample.time),
        "value": sample.value,
        "quality": quality_to_wire(sample.quality),
    }
