"""Users' own statements as the archive's plugin runs them: what fails is counted and shown, and disturbs nothing
else."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from pydatacoll.archive.errors import TemplateError
from pydatacoll.archive.sql_template import SAVE_NAMES, Template, compile_template
from pydatacoll.archive.values import storable, to_columns
from pydatacoll.codec.json import decode
from pydatacoll.model import PointId, Sample, time_from_wire
from pydatacoll.model.alarm import AlarmId, Transition
from pydatacoll.model.quality import quality_from_wire, quality_to_wire
from pydatacoll.model.registry import ModelView

if TYPE_CHECKING:
    from pydatacoll.archive.database import Database
    from pydatacoll.archive.statements import Job

FAILURES = 10
"""A statement that failed so often in a row rests."""
REST = 30.0
"""For so many seconds: each try costs the database as much as hundreds of rows."""
SHOWN = 20
"""Faults that the status names."""


@dataclass(slots=True)
class _Fault:
    message: str
    row: int = 0
    """Failures in a row."""
    rests_until: float = 0.0


class Statements:
    """Compiles and runs statements, and remembers what is wrong with them."""

    def __init__(self, database: Database, model: ModelView, counters: Counter[str]) -> None:
        self._database = database
        self._model = model
        self._counters = counters
        self._compiled: dict[tuple[str, bool], Template | str] = {}
        self._faults: dict[str, _Fault] = {}

    def compile(self, text: str, point: PointId, names: Mapping[str, str] = SAVE_NAMES) -> Template | None:
        """A statement; ``None`` when it is not fit, which the status shows then."""
        key = text, names is SAVE_NAMES
        if key not in self._compiled:
            try:
                self._compiled[key] = compile_template(text, self._database.kind, names)
            except TemplateError as error:
                self._compiled[key] = str(error)
        found = self._compiled[key]
        if isinstance(found, str):
            self._faults[str(point)] = _Fault(found)
            return None
        fault = self._faults.get(str(point))
        if fault is not None and not fault.row:  # it was mended
            del self._faults[str(point)]
        return found

    def values(self, point: PointId, sample: Sample) -> dict[str, Any]:
        """What the placeholders of ``db_save_sql`` mean."""
        from pydatacoll.archive.statements import database_time  # noqa: PLC0415 - brings SQLAlchemy

        model = self._model
        number, text, _, quality = to_columns(sample.value, sample.quality)
        words = quality_to_wire(quality)
        device, term = model.devices.get(point.device_id), model.terms.get(point.term_id)
        item = model.items.get(point.item_id)
        return {
            "value": number if text is None else text,
            "time": database_time(self._database, sample.time),
            "epoch": sample.time,
            "quality": quality,
            "quality_text": words if isinstance(words, str) else ",".join(words),
            **point._asdict(),
            "device_name": storable(device.name) if device is not None else "",
            "term_name": storable(term.name) if term is not None else "",
            "item_name": storable(item.name) if item is not None else "",
            "unit": storable(item.unit) if item is not None else "",
        }

    def alarm_values(self, alarm: AlarmId, one: Transition) -> dict[str, Any]:
        """What the placeholders of ``db_warn_sql`` mean."""
        sample = Sample(time_from_wire(one.time), decode(one.value.encode()), _quality(one.quality))
        return self.values(alarm.point, sample) | {
            "warn_msg": storable(one.message),
            "condition": alarm.kind,
            "limit": decode(one.limit.encode()),
            "priority": one.priority,
            "state": one.state,
        }

    async def run(self, jobs: Sequence[Job], now: float) -> None:
        """Execute statements.

        :raises ArchiveUnavailable: when the database cannot be used now.
        """
        from pydatacoll.archive.statements import compact, execute  # noqa: PLC0415 - brings SQLAlchemy

        awake = [job for job in jobs if not self._rests(job.owner, now)]
        self._counters["statements_skipped"] += len(jobs) - len(awake)
        if not awake:
            return
        failed = await execute(self._database, awake)
        self._counters["statements_executed"] += len(awake) - len(failed)
        self._counters["statements_failed"] += len(failed)
        if self._faults:
            for owner in {job.owner for job in awake} - {one.job.owner for one in failed}:
                self._faults.pop(owner, None)
        for one in failed:
            fault = self._faults.setdefault(one.job.owner, _Fault(""))
            fault.message = compact(one.message)
            fault.row += 1
            if fault.row >= FAILURES:
                fault.rests_until = now + REST

    def _rests(self, owner: str, now: float) -> bool:
        fault = self._faults.get(owner)
        return fault is not None and now < fault.rests_until

    def status(self) -> dict[str, str]:
        """Point -> what is wrong with its statement."""
        return {owner: fault.message for owner, fault in list(self._faults.items())[:SHOWN]}


def _quality(text: str) -> int:
    return quality_from_wire(decode(text.encode()))
