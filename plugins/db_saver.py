"""db_saver: archives samples in a database, see :mod:`pydatacoll.archive`.

Changed samples are saved, in batches; a batch that comes again changes nothing. While the database is away the
data stream keeps what comes.
"""

from __future__ import annotations

import asyncio
from collections.abc import Iterator, Sequence
from contextlib import suppress
from typing import TYPE_CHECKING, Any, ClassVar

from pydatacoll.archive.config import ArchiveConfig
from pydatacoll.archive.errors import ArchiveUnavailable, StatementError
from pydatacoll.archive.sql_template import WARN_NAMES
from pydatacoll.archive.values import EXACT, FLOAT, INTEGER, LONGEST_TEXT, to_columns, to_micros
from pydatacoll.model import time_to_wire
from pydatacoll.model.alarm import AlarmId, Transition
from pydatacoll.model.change import Change
from pydatacoll.sdk import DataBatch, DeviceBatch, Effects, Plugin, PluginContext, Sample

from .db_saver_points import Tracks
from .db_saver_statements import Statements

if TYPE_CHECKING:
    from pydatacoll.archive.statements import Job
    from pydatacoll.archive.write import Row


TURN = 2000
"""Samples looked at before others in the process get their turn (some 10 ms)."""
AGAIN = 60.0
"""Seconds after which a batch that the database did not take has surely come again, beside its ``timeout``."""
ALARMS = 500
"""Transitions of alarms in one step."""
ALARM_STATE = "alarms"
"""Key of the state of a partition: id of the last transition that is archived. The store counts by it what is lost
when it has to forget transitions before they are archived, see ``alarms.lua``."""


class DbSaver(Plugin):
    """Archives samples."""

    name = "db_saver"
    description = "archives samples in SQLite, MySQL, MariaDB or PostgreSQL"
    config_type = ArchiveConfig
    batch_samples: ClassVar[int] = 10_000
    concurrency: ClassVar[int] = 2
    """One batch is prepared while the database writes another."""

    def __init__(self, config: ArchiveConfig, context: PluginContext) -> None:
        """
        :raises ConfigError: for a URL that cannot be used.
        """
        super().__init__(config, context)
        # SQLAlchemy is imported where an archive is used, and not where plugins are only looked for
        from pydatacoll.archive.database import Database  # noqa: PLC0415
        from pydatacoll.archive.retention import Retention  # noqa: PLC0415
        from pydatacoll.archive.write import Writer  # noqa: PLC0415

        self._all = config.save_unchanged
        self._patience = config.timeout + AGAIN
        self._database = Database(config, context.data_dir)
        self._writer = Writer(self._database)
        self._retention = Retention(self._database, config.retention)
        self._statements = Statements(self._database, context.model, context.counters)
        self._tracks = Tracks(self._database, self._writer, context.model, self._statements.compile)
        self._alarms: dict[int, str] = {}
        self._unmarked: set[int] = set()
        self._devices: dict[int, set[str]] = {}
        self._retention_error = ""
        self._unsubscribe = _nothing
        self._preparing = asyncio.Lock()
        self._prepared = False
        self._held: dict[
            int, tuple[float, float]
        ] = {}  # partition -> time of its oldest sample that waits, when seen
        self._error = ""

    async def start(self) -> None:
        """Make or migrate the tables, if the database is there; what comes before it is there is held."""
        self._unsubscribe()
        self._unsubscribe = self.context.on_change(self._changed)
        try:
            await self._prepare()
        except ArchiveUnavailable as error:
            self.context.log.warning("%s; samples wait in the stream until it can be used", error)

    async def _prepare(self) -> None:
        """
        :raises ArchiveUnavailable: when the database cannot be used now.
        """
        from pydatacoll.archive.schema import migrate  # noqa: PLC0415

        async with self._preparing:
            if not self._prepared:
                try:
                    await migrate(self._database, self.context.wall())
                except ArchiveUnavailable as error:
                    self._error = str(error)
                    raise
                self._prepared, self._error = True, ""

    async def stop(self) -> None:
        """Close the connections."""
        self._unsubscribe()
        await self._database.close()

    def _changed(self, changes: Sequence[Change] | None) -> None:
        self._tracks.model_changed()

    async def partition_started(self, partition: int, state: dict[str, bytes]) -> None:
        """Alarms are archived from where that ended."""
        self._alarms[partition] = state.get(ALARM_STATE, b"0-0").decode()
        if ALARM_STATE not in state:
            self._unmarked.add(partition)

    async def partition_stopped(self, partition: int) -> None:
        """What was saved last is read again: another runner may save more now, or this one has saved less."""
        self._alarms.pop(partition, None)
        self._unmarked.discard(partition)
        self._tracks.forget(self._devices.pop(partition, ()))

    async def handle(self, batch: DataBatch) -> Effects | None:
        """Save a batch."""
        self._devices.setdefault(batch.partition, set()).update(device.device_id for device in batch.devices)
        try:
            rows: list[Row] = []
            jobs: list[Job] = []
            if not self._prepared:
                await self._prepare()
            turn = TURN
            for device in batch.devices:
                await self._collect(device, rows, jobs)
                turn -= len(device)
                if turn <= 0:
                    turn = TURN
                    await asyncio.sleep(0)
            written = await self._writer.write(rows)
            if jobs:
                await self._statements.run(jobs, self.context.wall())
        except BaseException as error:
            # what is in memory is ahead of the database
            self._tracks.forget([device.device_id for device in batch.devices])
            if isinstance(error, ArchiveUnavailable):
                self._note_away(batch, error)
            raise
        self.context.counters["rows_written"] += written
        self._held.pop(batch.partition, None)
        if not self._waiting():
            self._error = ""
        return None

    async def _collect(self, device: DeviceBatch, rows: list[Row], jobs: list[Job]) -> None:
        """What is to be saved of the samples of one device, and the statements to be executed for them."""
        from pydatacoll.archive.statements import Job  # noqa: PLC0415

        times, qualities, count = device.times, device.qualities, len(device)
        tracks = await self._tracks.of(device.device_id, device.fields, times)
        everything = self._all
        unchanged = excluded = 0
        for track, time, value, quality in zip(
            tracks,
            times if isinstance(times, list) else [times] * count,
            device.values,
            qualities if isinstance(qualities, list) else [qualities] * count,
            strict=True,
        ):
            if not track.save:
                excluded += 1
                continue
            # an older sample is always saved: what came before it is not known
            if value == track.value and quality == track.quality and time >= track.time and not everything:
                unchanged += 1
                continue
            track.value, track.quality, track.time = value, quality, time
            of = type(value)
            if of is float and value - value == 0:  # type: ignore[operator] # neither NaN nor infinite
                rows.append((track.series, round(time * 1e6), value, None, FLOAT, quality))  # type: ignore[arg-type]
            elif of is int and -EXACT <= value <= EXACT:  # type: ignore[operator]
                rows.append((track.series, round(time * 1e6), value, None, INTEGER, quality))  # type: ignore[arg-type]
            else:
                if of is str and len(value) > LONGEST_TEXT:  # type: ignore[arg-type]
                    self.context.counters["texts_cut"] += 1
                rows.append((track.series, to_micros(time), *to_columns(value, quality)))
            if track.template is not None:
                sample = Sample(time, value, quality)
                jobs.append(Job(str(track.point), track.template, self._statements.values(track.point, sample)))
        self.context.counters["samples_unchanged"] += unchanged
        self.context.counters["samples_excluded"] += excluded

    def _note_away(self, batch: DataBatch, error: ArchiveUnavailable) -> None:
        oldest = min(
            (min(device.times) if isinstance(device.times, list) else device.times for device in batch.devices),
            default=self.context.wall(),
        )
        before, _ = self._held.get(batch.partition, (oldest, 0.0))
        self._held[batch.partition] = min(oldest, before), self.context.wall()
        self._error = str(error)

    def _waiting(self) -> list[float]:
        """Time of the oldest sample that waits, of each partition; where others are now does not count."""
        now = self.context.wall()
        self._held = {n: held for n, held in self._held.items() if now - held[1] < self._patience}
        return [oldest for oldest, _ in self._held.values()]

    async def tick(self, partition: int, now: float) -> Effects | None:
        """Transitions of alarms; retention, done by the runner of the first partition."""
        if partition in self._unmarked:  # also while the database is away
            self._unmarked.discard(partition)
            return Effects(state={ALARM_STATE: self._alarms[partition].encode()})
        if not self._prepared:
            if partition == 0:
                with suppress(ArchiveUnavailable):  # the status says it
                    await self._prepare()
            return None
        if partition == 0:
            await self._retain(now)
        return await self._archive_alarms(partition, now)

    async def _retain(self, now: float) -> None:
        """What the database does not let us do here must not keep it from taking samples."""
        try:
            await self._retention.step(now)
        except StatementError as error:
            self._retention_error = str(error)
            self.context.log.warning("retention failed: %s", error)

    async def _archive_alarms(self, partition: int, now: float) -> Effects | None:
        """The place up to which they are archived is part of the state of the partition."""
        from pydatacoll.archive.alarms import write_alarms  # noqa: PLC0415

        found = await self.context.store.transitions(partition, self._alarms.get(partition, "0-0"), ALARMS)
        if not found:
            return None
        await write_alarms(self._database, found)
        await self._statements.run(list(self._warnings(found)), now)
        self.context.counters["alarms_written"] += len(found)
        self._alarms[partition] = last = found[-1][0]
        return Effects(state={ALARM_STATE: last.encode()})

    def _warnings(self, found: Sequence[tuple[str, Transition]]) -> Iterator[Job]:
        """Statements for alarms that begin."""
        from pydatacoll.archive.statements import Job  # noqa: PLC0415

        for _, one in found:
            alarm = AlarmId.parse(one.alarm)
            item = self.context.model.term_items.get((alarm.term_id, alarm.item_id))
            if one.event != "raise" or item is None or item.db_warn_sql is None:
                continue
            template = self._statements.compile(item.db_warn_sql, alarm.point, WARN_NAMES)
            if template is not None:
                yield Job(str(alarm.point), template, self._statements.alarm_values(alarm, one))

    def status(self) -> dict[str, Any]:
        """Which database, what waits for it, and which statements are wrong."""
        waiting = self._waiting()
        held = None
        if waiting:
            held = {"since": time_to_wire(min(waiting)), "until": time_to_wire(self.context.wall())}
        return {
            "database": self._database.shown,
            "available": not self._error,
            "error": self._error,
            "held": held,
            "rows_deleted": self._retention.deleted,
            "partitions_dropped": self._retention.dropped,
            "retention_error": self._retention_error,
            "statement_errors": self._statements.status(),
        }


def _nothing() -> None:
    """Ends a subscription that was never made."""
