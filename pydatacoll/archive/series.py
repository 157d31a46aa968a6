"""Series: the number of each point in the archive."""

from __future__ import annotations

from collections.abc import Collection, Sequence

from sqlalchemy import bindparam, text
from sqlalchemy.exc import IntegrityError
from sqlalchemy.ext.asyncio import AsyncConnection

from pydatacoll.archive.database import Database
from pydatacoll.archive.errors import StatementError
from pydatacoll.archive.schema import SERIES
from pydatacoll.model.sample import PointId

_OF_DEVICES = text(f"SELECT id, device_id, term_id, item_id FROM {SERIES} WHERE device_id IN :devices").bindparams(
    bindparam("devices", expanding=True)
)
_CHUNK = 500
"""Devices in one query."""
_INSERT = 200
"""New series in one statement."""


async def series_of(database: Database, device_ids: Collection[str]) -> dict[PointId, int]:
    """Series of all points of devices that were ever archived.

    :raises ArchiveUnavailable: when the database cannot be used now.
    """
    found: dict[PointId, int] = {}
    async with database.tables() as connection:
        names = list(device_ids)
        for start in range(0, len(names), _CHUNK):
            found |= await _load(connection, names[start : start + _CHUNK])
    return found


async def _load(connection: AsyncConnection, devices: Sequence[str]) -> dict[PointId, int]:
    rows = await connection.execute(_OF_DEVICES, {"devices": list(devices)})
    return {PointId(*path): number for number, *path in rows}


async def all_series(database: Database) -> dict[PointId, int]:
    """Every series there is.

    :raises ArchiveUnavailable: when the database cannot be used now.
    """
    async with database.tables() as connection:
        rows = await connection.execute(text(f"SELECT id, device_id, term_id, item_id FROM {SERIES}"))
        return {PointId(*path): number for number, *path in rows}


async def ensure_series(database: Database, device_id: str, points: Collection[PointId]) -> dict[PointId, int]:
    """Series of all points of a device, those that did not have one now included.

    :raises ArchiveUnavailable: when the database cannot be used now.
    """
    for last in (False, True):
        known = await series_of(database, [device_id])
        missing = [point for point in points if point not in known]
        if not missing:
            return known
        try:
            async with database.tables() as connection:
                for start in range(0, len(missing), _INSERT):
                    await _insert(connection, missing[start : start + _INSERT])
                return await _load(connection, [device_id])
        except StatementError as error:
            if last or not isinstance(error.__cause__, IntegrityError):
                raise
            # another process has made some of them
    raise AssertionError("unreachable")


async def _insert(connection: AsyncConnection, points: Sequence[PointId]) -> None:
    marks = ", ".join(f"(:d{n}, :t{n}, :i{n})" for n in range(len(points)))
    given = {f"{name}{n}": part for n, point in enumerate(points) for name, part in zip("dti", point, strict=True)}
    await connection.execute(text(f"INSERT INTO {SERIES} (device_id, term_id, item_id) VALUES {marks}"), given)
