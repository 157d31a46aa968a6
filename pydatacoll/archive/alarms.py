"""The history of alarms in the archive: every transition, written in a way that a repetition does not change."""

from __future__ import annotations

import asyncio
import re
from collections.abc import Sequence
from typing import Any, Final

from sqlalchemy import text

from pydatacoll.archive.database import Database
from pydatacoll.archive.schema import ALARM
from pydatacoll.archive.shapes import AlarmQuery, AlarmStep
from pydatacoll.archive.values import LONGEST_TEXT, from_micros, storable, to_micros
from pydatacoll.codec import json
from pydatacoll.model.alarm import AlarmId, Transition
from pydatacoll.model.sample import time_from_wire, time_to_wire

_COLUMNS: Final = (
    "time", "entry", "device_id", "term_id", "item_id", "kind", "event", "state", "priority", "value", "quality",
    "bound", "message", "user_name", "note", "until", "noted", "number",
)  # fmt: skip
_READ: Final = (
    "noted", "number", "device_id", "term_id", "item_id", "kind", "event", "state", "time", "value", "quality",
    "bound", "priority", "message", "user_name", "note", "until",
)  # fmt: skip
LONGEST_VALUE: Final = 4200
"""Characters of the JSON text of a value that are kept."""
PAGE: Final = 1000
"""Steps in one query."""
SLICE: Final = 100
"""Steps decoded before others get their turn (about 2 ms)."""
_TIES: Final = 16
"""Steps that different partitions may have noted at one place; were there more, a larger page is read."""


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
    noted, _, number = entry.partition("-")
    return {
        "time": to_micros(time_from_wire(one.time)),
        "entry": entry,
        **alarm._asdict(),
        "event": one.event,
        "state": one.state,
        "priority": one.priority,
        "value": _shortened(one.value),
        "quality": one.quality,
        "bound": None if one.limit == "null" else one.limit,
        "message": storable(one.message, 1024),
        "user_name": storable(one.user, 64),
        "note": storable(one.note),
        "until": to_micros(time_from_wire(one.until)) if one.until else None,
        "noted": int(noted),
        "number": int(number),
    }


def _shortened(value: str) -> str:
    """The JSON text of a value, of a text its beginning where it would be too long."""
    if len(value) > LONGEST_VALUE:
        shown = str(json.decode(value.encode()))[:LONGEST_TEXT]
        while len(value := json.encode(shown).decode()) > LONGEST_VALUE:  # what is escaped takes more room
            shown = shown[: len(shown) * 3 // 4]
    return storable(value, LONGEST_VALUE)


async def read_alarms(database: Database, wanted: AlarmQuery, limit: int) -> list[AlarmStep]:
    """The newest steps that are wanted, the newest first: at least ``limit`` if there are so many, and all that
    stand at the same place as the last of them.

    :raises ArchiveUnavailable: when the database cannot be used now.
    """
    found: list[AlarmStep] = []
    start, size = wanted.before, min(limit, PAGE) + _TIES
    while True:
        query, given = _query(wanted, start)
        async with database.tables() as connection:
            rows: Sequence[Any] = (await connection.execute(text(query), {**given, "page": size})).all()
        steps: list[AlarmStep] = []
        for first in range(0, len(rows), SLICE):
            steps += [_step(*row) for row in rows[first : first + SLICE]]
            await asyncio.sleep(0)
        if len(rows) < size:
            return [*found, *filter(wanted.matches, steps)]
        start = steps[-1][:2]
        whole = [one for one in steps if one[:2] != start]  # of the last place there may be more
        found += filter(wanted.matches, whole)
        if len(found) >= limit:
            return found
        if not whole:
            size *= 2


def _query(wanted: AlarmQuery, start: tuple[int, int] | None) -> tuple[str, dict[str, object]]:
    """Statement and parameters."""
    given: dict[str, object] = {}
    conditions = ["noted >= 0"]

    def bound(name: str, value: object) -> str:
        given[name] = value
        return f":{name}"

    if start is not None:
        noted, number = bound("start", start[0]), bound("place", start[1])
        conditions.append(f"noted <= {noted} AND (noted < {noted} OR number <= {number})")
    if wanted.since is not None:
        conditions.append(f"noted >= {bound('since', wanted.since)}")
    if wanted.until is not None:
        conditions.append(f"noted <= {bound('until', wanted.until)}")
    if wanted.alarm is not None:
        conditions += [f"{name} = {bound(f'of_{name}', part)}" for name, part in wanted.alarm._asdict().items()]
    for name, words in (
        ("device_id", wanted.device_ids),
        ("kind", wanted.kinds),
        ("priority", wanted.priorities),
        ("event", wanted.events),
    ):
        if words is not None:
            marks = [bound(f"{name}_{n}", word) for n, word in enumerate(sorted(words))]
            conditions.append(f"{name} IN ({', '.join(marks)})" if marks else "1 = 0")
    if wanted.patterns is not None:
        marks = [bound(f"like_{n}", _like(glob)) for n, glob in enumerate(wanted.patterns)]
        either = " OR ".join(f"device_id LIKE {mark} ESCAPE '!'" for mark in marks)
        conditions.append(f"({either})" if marks else "1 = 0")
    return (
        f"SELECT {', '.join(_READ)} FROM {ALARM} WHERE {' AND '.join(conditions)} "
        "ORDER BY noted DESC, number DESC LIMIT :page"
    ), given


_PIECES: Final = re.compile(r"(\*)|(\?|\[!?\]?[^\]]*\])|([!%_])|(.)")
"""Of a glob: any characters, one character (perhaps of several), what ``LIKE`` would misread, any other."""


def _like(glob: str) -> str:
    """What a glob means for ``LIKE``, or more than that: databases have no ``[]``."""
    return "".join(
        "%" if found[1] else "_" if found[2] else f"!{found[3]}" if found[3] else found[4]
        for found in _PIECES.finditer(glob)
    )


def _step(noted: int, number: int, *columns: Any) -> AlarmStep:
    device_id, term_id, item_id, kind, event, state, time, value, quality, limit, *rest = columns
    priority, message, user, note, until = rest
    transition = Transition(
        alarm=str(AlarmId(device_id, term_id, item_id, kind)),
        event=event,
        state=state,
        time=time_to_wire(from_micros(time)),
        value=_readable(value),
        quality=quality,
        limit="null" if limit is None else limit,
        priority=priority,
        message=message,
        user=user,
        note=note,
        until="" if until is None else time_to_wire(from_micros(until)),
    )
    return AlarmStep(noted, number, transition)


def _readable(value: str | None) -> str:
    """The JSON text of a value. The first release cut long ones anywhere; these are shown as the text they are."""
    if value is None:
        return "null"
    try:
        json.decode(value.encode())
    except json.MalformedJson:
        return json.encode(value).decode()
    return value
