"""A monitor with a sink that records, and two clocks that are set by hand."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from pydatacoll.protocols.iec104 import elements as e
from pydatacoll.protocols.iec104.asdu import Asdu, InformationObject, encode
from pydatacoll.protocols.iec104.columns import Columns
from pydatacoll.protocols.iec104.config import Iec104Device, Iec104Term, Iec104TermItem, resolve
from pydatacoll.protocols.iec104.monitor import Monitor
from pydatacoll.protocols.iec104.times import Zone
from pydatacoll.protocols.iec104.types import TYPES, Tag
from pydatacoll.sdk import DriverContext, Point, Sample

START = 1_709_210_000.0
"""What the wall clock shows at first; the clock that only runs forward shows 0 then."""
ZONE = Zone()


class RecordingSink:
    """Notes what is shown and what comes late."""

    def __init__(self) -> None:
        self.shown: list[tuple[str, Sample]] = []
        self.late_rows: list[tuple[str, Sample]] = []
        self.calls = 0

    def arrived(self, points: Sequence[Point], values: Any, times: Any, qualities: Any) -> None:
        self.calls += 1
        for point, value, time, quality in zip(points, values, times, qualities, strict=True):
            self.shown.append((point.item.item_id, Sample(time, value, quality)))

    def known(self, point: Point) -> Sample | None:
        mine = [sample for item_id, sample in self.shown if item_id == point.item.item_id]
        return mine[-1] if mine else None

    def late(self, samples: Sequence[tuple[Point, Sample]]) -> None:
        self.late_rows += [(point.item.item_id, sample) for point, sample in samples]


class MonitorRig:
    """Points are given as address -> code_type, of common address 1 unless said otherwise; their item id is the
    address, after the common address when that is another one."""

    def __init__(self, points: dict[int | tuple[int, int], str | None], **options: Any) -> None:
        self.now = 0.0
        self.wall_ahead = START
        self.sink = RecordingSink()
        self.device = Iec104Device(id="d", name="d", protocol="iec104", **options)
        self.context = DriverContext(self.sink, wall=lambda: self.now + self.wall_ahead)  # type: ignore[arg-type]
        self.monitor = Monitor(self.device, self.context, clock=lambda: self.now)
        self.points: dict[str, Point] = {}
        self.configure(points)
        self.monitor.connected()

    def configure(self, points: dict[int | tuple[int, int], str | None]) -> None:
        targets = {}
        for key, code_type in points.items():
            common, address = key if isinstance(key, tuple) else (1, key)
            term = Iec104Term(id=f"t{common}", name="t", device_id="d", address=common)
            item_id = str(address) if common == 1 else f"{common}-{address}"
            item = Iec104TermItem(
                term_id=term.id, item_id=item_id, protocol_code=str(address), code_type=code_type
            )
            point = self.points[item_id] = Point(term, item)
            targets[point] = resolve(self.device, term, item)
        self.monitor.configure(targets)

    @property
    def wall(self) -> float:
        return self.now + self.wall_ahead

    def asdu(
        self,
        type_id: int,
        *objects: tuple[Any, ...],
        cause: int | None = None,
        common: int = 1,
        **options: Any,
    ) -> Columns:
        """Receive ``(address, element)`` or ``(address, element, seconds)``; the tag is ``seconds`` after the
        wall clock, or not valid when that is ``None``."""
        tag = TYPES[type_id].tag
        made = []
        for address, element, *time in objects:
            stamp = None
            if tag is not Tag.NONE:
                ahead = time[0] if time else 0.0
                make = ZONE.tag if tag is Tag.CP56 else ZONE.short_tag
                stamp = make(self.wall + (ahead or 0.0), invalid=ahead is None)
            made.append(InformationObject(address, element, stamp))
        chosen = cause if cause is not None else (20 if tag is Tag.NONE else 3)
        data = encode(Asdu(type_id, chosen, common, tuple(made), **options))
        columns = self.monitor.take(data, self.wall)
        self.monitor.flush()
        return columns

    def event(self, value: float, ahead: float | None = 0.0, address: int = 1, **options: Any) -> None:
        """M_ME_TF_1."""
        self.asdu(36, (address, e.ShortFloat(value), ahead), **options)

    def current(self, value: float, address: int = 1, cause: int = 20, **options: Any) -> None:
        """M_ME_NC_1."""
        self.asdu(13, (address, e.ShortFloat(value)), cause=cause, **options)

    def wait(self, seconds: float) -> None:
        self.now += seconds

    @property
    def shown(self) -> list[Any]:
        """Values passed on as the newest, in order."""
        return [sample.value for _, sample in self.sink.shown]

    @property
    def late(self) -> list[Any]:
        return [sample.value for _, sample in self.sink.late_rows]
