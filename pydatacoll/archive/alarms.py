"""The history of alarms in the archive: every transition, written in a way that a repetition does not change."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

from sqlalchemy import text

from pydatacoll.archive.database import Database
from pydatacoll.archive.schema import ALARM
from pydatacoll.archive.values import storable, to_micros
from pydatacoll.model.alarm import AlarmId, Transition
from pydatacoll.model.sample import time_from_wire

_COLUMNS: Final = (
    "time", "entry", "device_id", "term_id", "item_id", "kind", "event", "state", "priority", "value", "quality",
    "bound", "message", "user_name", "note", "until",
)  # fmt: skip
LONGEST_VALUE: Final = 4200
"""Characters of the JSON text of a value that are kept."""


async def write_alarms(database: Database, transitions: Sequence[tuple[str, Transition]]) -> None:
    """Write transitions, each with its id in the stream, all or none.

    :raises ArchiveUnavailable: when the database cannot be used now.
    """
    ignore = " ON DUPLICATE KEY UPDATE entry = entry" if database.kind == "mysql" else " ON CONFLICT DO NOTHING"
    marks = ", ".join(f":{name}" for name in _COLUMNS)
    statement = text(f"INSERT INTO {ALARM} ({', '.join(_COLUMNS)}) VALUES ({marks}){ignore}")
    async with database.tables() as connection:
        await connection.execute(statement, [_row(entry, one) for entry, one in transitions])


def _row(entry: str, one: Transition) -> dict[str, object]:
    alarm = AlarmId.parse(one.alarm)
    return {
        "time": to_micros(time_from_wire(one.time)),
        "entry": entry,
        **alarm._asdict(),
        "event": one.event,
        "state": one.state,
        "priority": one.priority,
        "value": storable(one.value, LONGEST_VALUE),
        "quality": one.quality,
        "bound": None if one.limit == "null" else one.limit,
        "message": storable(one.message, 1024),
        "user_name": storable(one.user, 64),
        "note": storable(one.note),
        "until": to_micros(time_from_wire(one.until)) if one.until else None,
    }
