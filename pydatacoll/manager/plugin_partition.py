"""One partition of one plugin: its batches in order, each acknowledged together with its effects.

A batch that fails is tried again with growing pauses; one that keeps failing is cut until what cannot be handled
is alone, which goes to the plugin's dead-letter stream while the rest moves on. After every error the plugin
begins the partition anew with the state as it was committed.
"""

from __future__ import annotations

import asyncio
import logging
import time
from typing import Final

from pydatacoll.errors import StoreError, TryLater
from pydatacoll.manager.plugin_hosting import Hosting, describe
from pydatacoll.manager.plugin_work import Buffer, Unreadable, Work
from pydatacoll.model import DataBatch
from pydatacoll.plugin import Effects, Plugin
from pydatacoll.store.plugin_progress import DeadLetter, GroupGone, LeaseLost, Prepared, Progress, Step

log = logging.getLogger(__name__)

ATTEMPTS: Final = 3
"""Tries of a batch before it is cut."""
TICK: Final = 1.0
"""Seconds between two ticks of a partition."""
TOGETHER: Final = 16
"""Batches without effects that may be acknowledged together while more are waiting."""


def _checked(effects: object, method: str) -> Effects:
    if not isinstance(effects, Effects):
        raise TypeError(f"{method} returned {effects!r:.100}, which is neither Effects nor None")
    return effects


class _Moved(Exception):
    """The place is another one than before: what was read ahead is of no use."""


class PartitionRunner:
    """Handles one partition; :meth:`run` is its task, :meth:`stop` ends it after the batch in hand."""

    def __init__(self, hosting: Hosting, progress: Progress) -> None:
        self._host = hosting
        self._progress = progress
        self.partition = progress.partition
        self.buffer = Buffer()
        self.reading = False
        self._wake = asyncio.Event()
        self._stopping = False
        self._handled: list[Work] = []
        self._retries = 0
        self._started = False
        self._entered: float | None = None
        self._tick_at = 0.0
        self._ticks = type(hosting.plugin).tick is not Plugin.tick
        self._tick_failed = False

    # The reader's side.

    @property
    def hungry(self) -> bool:
        """Whether entries should be read for it now."""
        return self.reading and self.buffer.hungry(2 * self._host.plugin.batch_samples)

    @property
    def inside(self) -> float:
        """Seconds since the plugin was given the batch that it has in hand; 0 when it has none."""
        return 0.0 if self._entered is None else time.monotonic() - self._entered

    def arrived(self) -> None:
        """The buffer has got entries."""
        self._wake.set()

    def stop(self) -> None:
        """Finish the batch in hand, then end."""
        self._stopping = True
        self._wake.set()

    # The plugin's side.

    async def run(self) -> None:
        """Until stopped or cancelled."""
        plugin = self._host.plugin
        pause = self._host.pause
        from_start = False
        while not self._stopping:
            handled = self._host.stats.handled
            try:
                await self._session(from_start)
            except _Moved:
                continue
            except LeaseLost as error:
                self._trouble(error, "waiting for the lease of a partition")
                self._host.lost(self.partition)
            except GroupGone as error:
                self._trouble(error, "waiting for the store")
                from_start = True
            except StoreError as error:
                self._trouble(error, "waiting for the store")
            except Exception as error:
                log.exception("plugin %s failed in partition %d", plugin.name, self.partition)
                self._trouble(error, "failed")
            if self._host.stats.handled > handled:
                pause = self._host.pause
            await self._sleep(pause)
            pause = min(2 * pause, self._host.longest)

    async def _sleep(self, seconds: float) -> None:
        """Wait; not longer than until :meth:`stop`."""
        self._wake.clear()
        if self._stopping:
            return
        try:
            async with asyncio.timeout(seconds):
                while not self._stopping:
                    await self._wake.wait()
                    self._wake.clear()
        except TimeoutError:
            pass

    def _trouble(self, error: Exception, state: str) -> None:
        self._host.stats.failed(self.partition, error, state)

    async def _session(self, from_start: bool) -> None:
        state = await self._progress.open(from_start=from_start)
        self._handled.clear()
        self.buffer.restart(self._progress.cursor)
        try:
            await self._start_plugin(state)
            await self._progress.deliver()
            self._host.stats.troubles.pop(self.partition, None)
            self.reading = True
            self._host.room.set()
            while not self._stopping:
                await self._next()
            await self._flush()
            await self._tidy()
        finally:
            self.reading = False
            await self._stop_plugin()

    async def _start_plugin(self, state: dict[str, bytes]) -> None:
        self._started = True
        started = self._host.plugin.partition_started(self.partition, state)
        await self._host.watch.over(started, "partition_started")

    async def _stop_plugin(self) -> None:
        plugin = self._host.plugin
        if not self._started:
            return
        self._started = False
        try:
            await self._host.watch.over(plugin.partition_stopped(self.partition), "partition_stopped")
        except Exception:
            log.exception("plugin %s failed to let go of partition %d", plugin.name, self.partition)

    async def _next(self) -> None:
        """One batch, or one tick, whatever is due."""
        loop = asyncio.get_running_loop()
        if not self.buffer:
            await self._flush()
            try:
                async with asyncio.timeout_at(self._tick_at):
                    while not self.buffer and not self._stopping:
                        self._wake.clear()
                        await self._wake.wait()
            except TimeoutError:
                pass
        if self._stopping:
            return
        if loop.time() >= self._tick_at:
            self._tick_at = loop.time() + TICK
            await self._tick()
        if self.buffer:
            was_hungry = self.hungry
            try:
                work = self.buffer.take(self._host.plugin.batch_samples, self._progress.part)
            except Unreadable as error:
                await self._put_aside_entry(error)
                return
            if not was_hungry and self.hungry:
                self._host.room.set()
            await self._handle(work)

    async def _handle(self, work: Work) -> None:
        error = await self._try(work)
        if error is None:
            return
        halves = work.halves()
        if halves is None:
            await self._put_aside(work, error)
            return
        for half in halves:
            await self._handle(half)

    async def _try(self, work: Work) -> Exception | None:
        """Give it to the plugin a few times; the last error when that did not help."""
        plugin = self._host.plugin
        pause = self._host.pause
        failures = deliveries = 0
        while True:
            deliveries += 1
            batch = work.batch(self.partition, deliveries)
            try:
                effects = await self._give(batch)
                prepared = None if effects is None else await self._prepare(work, _checked(effects, "handle"))
            except (TryLater, StoreError) as failure:
                self._trouble(failure, "waiting for what it needs")
                if deliveries == 1:
                    log.warning("plugin %s waits: %s", plugin.name, failure)
            except Exception as failure:  # noqa: BLE001 - a plugin may raise anything; it is kept and shown
                self._trouble(failure, "failing")
                log.warning("plugin %s: batch %s: %s", plugin.name, batch.entry_id, describe(failure))
                failures += 1
                if failures == ATTEMPTS:
                    await self._begin_again()
                    return failure
            else:
                if deliveries > 1:
                    self._host.stats.troubles.pop(self.partition, None)
                await self._acknowledge(work, prepared)
                return None
            self._host.stats.retries += 1
            self._retries += 1
            await self._begin_again()
            await self._sleep(pause)
            if self._stopping:
                raise _Moved
            pause = min(2 * pause, self._host.longest)

    async def _give(self, batch: DataBatch) -> Effects | None:
        async with self._host.gate:
            self._entered = time.monotonic()
            try:
                return await self._host.watch.over(self._host.plugin.handle(batch), "handle")
            finally:
                self._entered = None

    async def _begin_again(self) -> None:
        """Give the plugin the state as it was committed: what it made of a batch that failed is forgotten.

        :raises _Moved: when the place changed meanwhile.
        """
        await self._flush()
        place = (self._progress.cursor, self._progress.part)
        await self._stop_plugin()
        state = await self._progress.open()
        if (self._progress.cursor, self._progress.part) != place:
            raise _Moved
        await self._start_plugin(state)

    # Acknowledging.

    async def _prepare(self, work: Work, effects: Effects) -> Prepared:
        return await self._progress.prepare(self._step([*self._handled, work], effects))

    def _step(self, works: list[Work], effects: Effects | None = None) -> Step:
        last = works[-1]
        finished = [one for work in works for one in work.finished]
        part = None if last.finished else (last.entries[0].id, last.end)
        done = sum(map(len, works))
        return Step(finished, part, done=done, retries=self._retries, effects=effects)

    async def _acknowledge(self, work: Work, prepared: Prepared | None) -> None:
        """What has no effects may wait for more of its kind, as long as there is more to do at once."""
        self._host.stats.handled += len(work)
        self._handled.append(work)
        if prepared is None:
            if self.buffer and len(self._handled) < TOGETHER and work.finished:
                return
            prepared = await self._progress.prepare(self._step(self._handled))
        await self._commit(prepared)
        self._handled.clear()
        self._retries = 0

    async def _flush(self) -> None:
        """Acknowledge what has been handled."""
        if self._handled:
            await self._commit(await self._progress.prepare(self._step(self._handled)))
            self._handled.clear()
            self._retries = 0

    async def _commit(self, prepared: Prepared) -> None:
        """Until it is known to have happened: a commit without an answer is repeated, and does nothing the second
        time."""
        pause = self._host.pause
        troubled = False
        while True:
            try:
                await self._progress.commit(prepared)
                await self._progress.deliver()
                break
            except (LeaseLost, GroupGone):
                raise
            except StoreError as error:
                if not troubled:
                    log.warning("plugin %s waits for the store: %s", self._host.plugin.name, error)
                troubled = True
                self._trouble(error, "waiting for the store")
            await asyncio.sleep(pause)
            pause = min(2 * pause, 1.0)
        if troubled:
            self._host.stats.troubles.pop(self.partition, None)

    async def _put_aside(self, work: Work, error: Exception) -> None:
        """One sample that cannot be handled."""
        devices = work.batch(self.partition, 1).devices
        part = None if work.finished else (work.entries[0].id, work.end)
        await self._bury(Step(work.finished, part), DeadLetter.of(work.entries[0].id, devices, describe(error)))

    async def _put_aside_entry(self, error: Unreadable) -> None:
        await self._flush()
        entry = error.entry
        letter = DeadLetter(entry.id, entry.payload, entry.samples, str(error))
        self._trouble(error, "failing")
        await self._bury(Step([(entry.id, entry.samples)]), letter)

    async def _bury(self, step: Step, letter: DeadLetter) -> None:
        step.retries, step.dead = self._retries, letter
        await self._commit(await self._progress.prepare(step))
        self._retries = 0
        self._host.stats.dead_lettered += letter.samples
        self._host.stats.troubles.pop(self.partition, None)
        log.error(
            "plugin %s cannot handle %d samples of entry %s: %s; they are in its dead-letter stream",
            self._host.plugin.name,
            letter.samples,
            letter.entry_id,
            letter.error,
        )

    async def _tick(self) -> None:
        plugin = self._host.plugin
        effects: Effects | None = None
        prepared: Prepared | None = None
        if self._ticks:
            await self._flush()
            try:
                async with self._host.gate:
                    now = plugin.context.wall()
                    effects = await self._host.watch.over(plugin.tick(self.partition, now), "tick")
                if effects is not None:
                    prepared = await self._progress.prepare(Step(effects=_checked(effects, "tick")))
            except Exception as error:  # noqa: BLE001 - a plugin may raise anything; it is kept and shown
                waits = isinstance(error, (TryLater, StoreError))
                self._trouble(error, "waiting for what it needs" if waits else "failing")
                if not self._tick_failed:
                    log.warning("plugin %s: tick: %s", plugin.name, describe(error))
                self._tick_failed = True
                await self._begin_again()
                return
            if self._tick_failed:
                self._tick_failed = False
                self._host.stats.troubles.pop(self.partition, None)
        if prepared is not None:
            await self._commit(prepared)
        await self._tidy()

    async def _tidy(self) -> None:
        """When nothing else is committed soon."""
        if self._progress.untidy and not self._handled:
            await self._commit(await self._progress.prepare(Step()))
