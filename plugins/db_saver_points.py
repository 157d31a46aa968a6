"""What the archive's plugin knows of each point: its series, what was saved last, and its own statement."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import TYPE_CHECKING

from pydatacoll.archive.sql_template import Template
from pydatacoll.archive.values import to_micros
from pydatacoll.model import PointId, Value
from pydatacoll.model.registry import ModelView

if TYPE_CHECKING:
    from pydatacoll.archive.database import Database
    from pydatacoll.archive.write import Writer

Compile = Callable[[str, PointId], Template | None]
"""Text of ``db_save_sql`` -> the statement; ``None`` when it is not fit."""
_NEVER = float("-inf")


class Track:
    """One point.

    :ivar save: whether it is archived.
    :ivar time: of the last sample that was saved, with ``value`` and ``quality``.
    """

    __slots__ = ("point", "quality", "save", "series", "template", "time", "value")

    def __init__(self, point: PointId, series: int) -> None:
        self.point = point
        self.series = series
        self.save = True
        self.template: Template | None = None
        self.time = _NEVER
        self.value: Value = None
        self.quality = -1


class Tracks:
    """All points of this runner, by device; loaded when a device is first seen."""

    def __init__(self, database: Database, writer: Writer, model: ModelView, compile_: Compile) -> None:
        self._database = database
        self._writer = writer
        self._model = model
        self._compile = compile_
        self._devices: dict[str, dict[str, Track]] = {}
        self._stale = False

    def model_changed(self) -> None:
        """The configuration of points is looked up again."""
        self._stale = True

    def forget(self, device_ids: Iterable[str]) -> None:
        """These devices are loaded again when they are next seen."""
        for device_id in device_ids:
            self._devices.pop(device_id, None)

    async def of(self, device_id: str, fields: Sequence[str], times: float | Sequence[float]) -> list[Track]:
        """The points of ``fields`` (``term_id:item_id``), in order.

        Of a point that is not known yet, the last sample before its first one of ``times`` is loaded: so a batch
        that comes again after a crash is judged as it was the first time.

        :raises ArchiveUnavailable: when the database cannot be used now.
        """
        if self._stale:
            self._stale = False
            for device in self._devices.values():
                for track in device.values():
                    self._configure(track)
        known = self._devices.setdefault(device_id, {})
        try:
            return [known[field] for field in fields]
        except KeyError:
            pass
        first: dict[str, float] = {}
        for place, field in enumerate(fields):
            if field not in known:
                first.setdefault(field, times if isinstance(times, (int, float)) else times[place])
        known.update(await self._load(device_id, first))
        return [known[field] for field in fields]

    async def _load(self, device_id: str, first: Mapping[str, float]) -> dict[str, Track]:
        from pydatacoll.archive.series import ensure_series, series_of  # noqa: PLC0415 - brings SQLAlchemy

        points = {PointId(device_id, *field.split(":", 1)): field for field in first}
        before = await series_of(self._database, [device_id])
        series = (
            await ensure_series(self._database, device_id, points) if points.keys() - before.keys() else before
        )
        tracks = {field: Track(point, series[point]) for point, field in points.items()}
        last = await self._writer.last_before(
            [(series[point], to_micros(first[field])) for point, field in points.items() if point in before]
        )
        for track in tracks.values():
            self._configure(track)
            sample = last.get(track.series)
            if sample is not None:
                track.time, track.value, track.quality = sample
        return tracks

    def _configure(self, track: Track) -> None:
        """A point that is in the model no longer is archived as long as samples come."""
        item = self._model.term_items.get((track.point.term_id, track.point.item_id))
        track.save = item is None or item.db_save
        text = None if item is None else item.db_save_sql
        track.template = None if text is None else self._compile(text, track.point)
