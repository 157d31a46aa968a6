"""The points of one device that are watched, and the quick look at a batch: most values change nothing."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Final

import msgspec

from pydatacoll.model import DeviceBatch, PointId, Sample, is_usable
from pydatacoll.model.registry import ModelView

from .checker_rules import Bounds, Checked, Watch

SKEW: Final = 1.0
"""Seconds by which the clocks of this machine and of the store may differ."""

_digests = msgspec.msgpack.Decoder(dict[str, int]).decode


def watches_of(device_id: str, model: ModelView) -> dict[str, Watch]:
    """What is asked for of the points of a device: ``term_id:item_id`` -> watch."""
    if device_id not in model.devices:
        return {}
    found = {}
    for term, item in model.points_of(device_id):
        watch = Watch(PointId(device_id, term.id, item.item_id), item)
        if watch.kinds:
            found[f"{term.id}:{item.item_id}"] = watch
    return found


def decode_digests(stored: bytes | None) -> dict[str, int]:
    """What was asked for of each point when this was written; see :attr:`Watch.digest`."""
    return {} if stored is None else _digests(stored)


def encode_digests(watches: dict[str, Watch]) -> bytes | None:
    """Inverse; ``None`` when there is nothing to watch."""
    return msgspec.msgpack.encode({field: watch.digest for field, watch in watches.items()}) if watches else None


class DevicePoints:
    """The watched points of a device by their fields, ``term_id:item_id``."""

    __slots__ = ("_begun", "_quiet", "points")

    def __init__(self, points: dict[str, Checked]) -> None:
        self.points = points
        self._quiet: dict[str, Bounds] = {field: checked.quiet for field, checked in points.items()}
        self._begun: dict[str, tuple[float, float]] = {}

    def settled(self, field: str) -> None:
        """The state of a point may be another one now."""
        self._quiet[field] = self.points[field].quiet

    def begun(self, field: str, sample: Sample, now: float) -> None:
        """A point was begun with its latest sample, which may be in the stream with others from before."""
        self._begun[field] = (sample.time, now + SKEW)

    def seen_before(self, field: str, sample: Sample, arrived: float) -> bool:
        """Whether a sample of the stream is from before the one that its point was begun with."""
        begun = self._begun.get(field)
        if begun is None:
            return False
        time, moment = begun
        if arrived > moment:
            del self._begun[field]
            return False
        return sample.time <= time

    def loud(self, batch: DeviceBatch) -> Iterator[int]:
        """Places of the values that may change something. A point may stand several times in a batch: what one of
        its values changed (:meth:`settled`) counts for the next ones."""
        fields, values, qualities = batch.fields, batch.values, batch.qualities
        if not all(map(is_usable, set(qualities) if isinstance(qualities, list) else (qualities,))):
            yield from self._careful(batch, 0)
            return
        place = 0
        try:
            for place, (bounds, value) in enumerate(zip(map(self._quiet.get, fields), values, strict=True)):
                if bounds is not None and not bounds[0] <= value <= bounds[1]:  # type: ignore[operator]
                    yield place
        except TypeError:  # a text, or no value
            yield from self._careful(batch, place)

    def _careful(self, batch: DeviceBatch, start: int) -> Iterator[int]:
        """The same from a place on, for values of any type and quality."""
        qualities = batch.qualities
        for place in range(start, len(batch)):
            bounds = self._quiet.get(batch.fields[place])
            if bounds is None:
                continue
            value = batch.values[place]
            usable = is_usable(qualities[place] if isinstance(qualities, list) else qualities)
            if not (usable and isinstance(value, (int, float)) and bounds[0] <= value <= bounds[1]):
                yield place


def sample_of(batch: DeviceBatch, place: int) -> Sample:
    """One sample of a batch."""
    times, qualities = batch.times, batch.qualities
    return Sample(
        times[place] if isinstance(times, list) else times,
        batch.values[place],
        qualities[place] if isinstance(qualities, list) else qualities,
    )
