"""Runs one plugin on the data stream: acknowledge what it handled, bring back what it did not.

A batch that fails is tried again with growing pauses; one that keeps failing is split until what cannot be
handled is alone, which goes to the plugin's dead-letter stream while the rest moves on.
"""

from __future__ import annotations

import asyncio
import logging
from dataclasses import dataclass

import msgspec

from pydatacoll.errors import StoreError
from pydatacoll.model import DataBatch, DeviceBatch
from pydatacoll.sdk import Plugin
from pydatacoll.store.stream import StreamReader

log = logging.getLogger(__name__)

ATTEMPTS = 3
"""Tries of a batch before it is split."""
CLAIM_IDLE = 10.0
"""Seconds after which entries of another, probably dead, runner are taken over."""
CLAIM_PERIOD = 3.0
"""Seconds between two looks for such entries."""
COUNT = 16
"""Entries per partition and read."""
STOP = 3.0
"""Seconds a plugin may take to flush and close at the end."""


@dataclass(slots=True)
class PluginStats:
    """Of one runner; counts in samples, ``retries`` in batches."""

    state: str = "starting"
    handled: int = 0
    retries: int = 0
    dead_lettered: int = 0
    last_error: str | None = None


class PluginHost:
    """Hosts one plugin; :meth:`run` is its task. Other plugins and collection are not touched by its failures."""

    def __init__(self, plugin: Plugin, reader: StreamReader, *, pause: float = 0.2, longest: float = 10.0) -> None:
        self.plugin = plugin
        self.stats = PluginStats()
        self._reader = reader
        self._pause = pause
        self._longest = longest

    async def run(self) -> None:
        """Until cancelled."""
        started = False
        try:
            while True:
                try:
                    if not started:
                        await self.plugin.start()
                        started = True
                    await self._reader.start()
                    self.stats.state = "running"
                    await self._consume()
                except StoreError as error:
                    self._failed("waiting for the store", error)
                except Exception as error:
                    log.exception("plugin %s failed", self.plugin.name)
                    self._failed("failed", error)
                await asyncio.sleep(self._pause)
        finally:
            self.stats.state = "stopped"
            await self._reader.close()
            if started:
                await self._stop()

    async def _stop(self) -> None:
        """What a plugin does here must not keep the process from ending."""
        try:
            async with asyncio.timeout(STOP):
                await self.plugin.stop()
        except TimeoutError:
            log.warning("plugin %s did not stop within %g s", self.plugin.name, STOP)
        except Exception:
            log.exception("plugin %s failed to stop", self.plugin.name)

    def _failed(self, state: str, error: Exception) -> None:
        self.stats.state = state
        self.stats.last_error = f"{type(error).__name__}: {error}"

    async def _consume(self) -> None:
        loop = asyncio.get_running_loop()
        # what this consumer held when it stopped or died comes first
        await self._handle_all(await self._reader.claim(CLAIM_IDLE))
        claimed = loop.time()
        while True:
            await self._handle_all(await self._reader.read(count=COUNT))
            if loop.time() - claimed > CLAIM_PERIOD:
                claimed = loop.time()
                await self._handle_all(await self._reader.claim(CLAIM_IDLE))

    async def _handle_all(self, batches: list[DataBatch]) -> None:
        for batch in batches:
            await self._handle(batch)
            await self._reader.ack([batch])

    async def _handle(self, batch: DataBatch) -> None:
        pause = self._pause
        error: Exception | None = None
        for attempt in range(ATTEMPTS):
            if attempt:
                self.stats.retries += 1
                await asyncio.sleep(pause)
                pause = min(pause * 2, self._longest)
            try:
                await self.plugin.handle(batch)
            except Exception as failure:  # noqa: BLE001 - a plugin may raise anything; it is kept and shown
                error = failure
                self.stats.last_error = f"{type(failure).__name__}: {failure}"
                log.warning("plugin %s: batch %s: %s", self.plugin.name, batch.entry_id, self.stats.last_error)
            else:
                self.stats.handled += len(batch)
                return
        halves = split(batch)
        if halves is None:
            await self._reader.dead_letter(batch, f"{type(error).__name__}: {error}")
            self.stats.dead_lettered += len(batch)
            return
        for half in halves:
            await self._handle(half)


def split(batch: DataBatch) -> tuple[DataBatch, DataBatch] | None:
    """Two halves of a batch, by devices or by samples; ``None`` for a single sample."""
    devices = batch.devices
    if len(devices) > 1:
        middle = len(devices) // 2
        parts: tuple[list[DeviceBatch], list[DeviceBatch]] = (devices[:middle], devices[middle:])
    elif len(batch) > 1:
        one = devices[0]
        middle = len(one) // 2
        parts = ([_slice(one, 0, middle)], [_slice(one, middle, len(one))])
    else:
        return None
    first, second = (msgspec.structs.replace(batch, devices=part) for part in parts)
    return first, second


def _slice(batch: DeviceBatch, start: int, end: int) -> DeviceBatch:
    return DeviceBatch(
        batch.device_id,
        batch.fields[start:end],
        batch.times[start:end] if isinstance(batch.times, list) else batch.times,
        batch.values[start:end],
        batch.qualities[start:end] if isinstance(batch.qualities, list) else batch.qualities,
    )
