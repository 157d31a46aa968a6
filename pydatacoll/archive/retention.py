"""Retention: what is older than so many days goes, in small steps that hold nobody up.

On MySQL whole months are dropped, so a sample may stay up to a month longer; dropping takes the same short time
whatever the month holds. Elsewhere rows are deleted, some thousand in one transaction.
"""

from __future__ import annotations

import logging
from typing import Final

from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncConnection

from pydatacoll.archive.database import Database
from pydatacoll.archive.months import FUTURE, missing, partitions
from pydatacoll.archive.schema import ALARM, SAMPLE, SERIES, exclusive

log = logging.getLogger(__name__)

STEP: Final = 5000
"""Rows deleted in one transaction."""
PERIOD: Final = 3600.0
"""Seconds between two looks for what is too old."""
_DAY: Final = 86_400
_LOCK_WAIT: Final = 5
"""Seconds that a change of partitions waits for others: what comes after it waits with it."""


class Retention:
    """Keeps one database within bounds; :meth:`step` is called again and again.

    :param days: how long samples and alarms are kept; 0: for ever.
    """

    def __init__(self, database: Database, days: float) -> None:
        self._database = database
        self._days = days
        self._due = 0.0
        self._series: list[int] = []
        self._partitioned = database.kind == "mysql"
        self.deleted = 0
        """Rows."""
        self.dropped = 0
        """Partitions."""

    async def step(self, now: float) -> None:
        """Do a small piece of what is to be done, if anything is.

        :param now: epoch seconds.
        :raises ArchiveUnavailable: when the database cannot be used now.
        :raises StatementError: when it does not let us do it. Either way it is tried again after ``PERIOD``.
        """
        if now >= self._due:
            self._due = now + PERIOD
            await self._begin(now)
        elif self._series:
            await self._delete_of(self._series[-1], self._cutoff(now))

    def _cutoff(self, now: float) -> int:
        return round((now - self._days * _DAY) * 1e6)

    async def _begin(self, now: float) -> None:
        if self._partitioned:
            await self._maintain_partitions(now)
        if not self._days:
            return
        async with self._database.transaction() as connection:
            while await self._delete_alarms(connection, self._cutoff(now)):
                pass
            if not self._partitioned:
                rows = await connection.execute(text(f"SELECT id FROM {SERIES}"))
                self._series = [number for (number,) in rows]

    async def _maintain_partitions(self, now: float) -> None:
        """Make the partitions of the months to come, and drop those that are too old."""
        async with self._database.transaction() as connection, exclusive(self._database, connection):
            await connection.exec_driver_sql(f"SET SESSION lock_wait_timeout = {_LOCK_WAIT}")
            found = await connection.execute(
                text(
                    "SELECT partition_name, partition_description FROM information_schema.partitions "
                    "WHERE table_schema = DATABASE() AND table_name = :name AND partition_name IS NOT NULL"
                ),
                {"name": SAMPLE},
            )
            bounds = {name: int(bound) for name, bound in found if name != FUTURE}
            if not bounds:  # somebody has made the table anew
                self._partitioned = False
                return
            months = missing(list(bounds.values()), now)
            if months:
                await connection.exec_driver_sql(
                    f"ALTER TABLE {SAMPLE} REORGANIZE PARTITION {FUTURE} INTO ({', '.join(partitions(months))})"
                )
            old = [name for name, bound in bounds.items() if self._days and bound <= self._cutoff(now)]
            if old:
                await connection.exec_driver_sql(f"ALTER TABLE {SAMPLE} DROP PARTITION {', '.join(old)}")
                self.dropped += len(old)
                log.info("%s: partitions dropped: %s", self._database.shown, ", ".join(sorted(old)))

    async def _delete_alarms(self, connection: AsyncConnection, cutoff: int) -> int:
        """One step; gives how many there were."""
        query = text(f"SELECT time FROM {ALARM} WHERE time < :cutoff ORDER BY time LIMIT 1 OFFSET {STEP}")
        before = (await connection.execute(query, {"cutoff": cutoff})).scalar()
        done = await connection.execute(
            text(f"DELETE FROM {ALARM} WHERE time < :before"), {"before": cutoff if before is None else before}
        )
        self.deleted += done.rowcount
        return done.rowcount if before is not None else 0

    async def _delete_of(self, series: int, cutoff: int) -> None:
        """One step of one series; then it is the next one's turn, unless there is more."""
        query = text(
            f"SELECT time FROM {SAMPLE} WHERE series = :series AND time < :cutoff "
            f"ORDER BY time LIMIT 1 OFFSET {STEP}"
        )
        async with self._database.transaction() as connection:
            before = (await connection.execute(query, {"series": series, "cutoff": cutoff})).scalar()
            done = await connection.execute(
                text(f"DELETE FROM {SAMPLE} WHERE series = :series AND time < :before"),
                {"series": series, "before": cutoff if before is None else before},
            )
        self.deleted += done.rowcount
        if before is None:
            self._series.pop()
