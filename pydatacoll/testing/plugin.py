"""Runs a plugin without a store, for tests of plugins."""

from __future__ import annotations

import logging
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from pydatacoll.model import DataBatch, DeviceBatch, PointId, Sample
from pydatacoll.model.alarm import Condition, Transition
from pydatacoll.model.registry import ModelView, Registry
from pydatacoll.sdk import Effects, Plugin, PluginContext


class FakePluginStore:
    """Recent samples as a test wants them.

    :ivar samples: point -> its samples, oldest first.
    :ivar alarms: ids and transitions of alarms, oldest first.
    :ivar has_manager: whether a device manager runs the devices.
    """

    def __init__(self) -> None:
        self.samples: dict[PointId, list[Sample]] = {}
        self.alarms: list[tuple[str, Transition]] = []
        self.has_manager = True

    async def latest(self, points: Sequence[PointId]) -> list[Sample | None]:
        """See :class:`pydatacoll.sdk.PluginStore`."""
        return [one[-1] if (one := self.samples.get(point)) else None for point in points]

    async def recent(self, points: Sequence[PointId], count: int) -> list[list[Sample]]:
        """See :class:`pydatacoll.sdk.PluginStore`."""
        return [self.samples.get(point, [])[-count:] if count > 0 else [] for point in points]

    async def transitions(self, partition: int, after: str, count: int) -> list[tuple[str, Transition]]:
        """See :class:`pydatacoll.sdk.PluginStore`; of any partition."""
        ids = [entry_id for entry_id, _ in self.alarms]
        start = ids.index(after) + 1 if after in ids else 0
        return self.alarms[start : start + count]

    async def managed(self, partition: int) -> bool:
        """See :class:`pydatacoll.sdk.PluginStore`; of any partition."""
        return self.has_manager


class PluginHarness:
    """A plugin with one partition, and what it did there. ``async with`` starts and stops it.

    :ivar state: what it has committed.
    :ivar derived: the samples it derived; ``published`` and ``conditions`` likewise.
    :ivar now: what the clock of the plugin shows, epoch seconds.
    """

    def __init__(
        self,
        plugin_type: type[Plugin],
        config: object | None = None,
        *,
        model: ModelView | None = None,
        data_dir: Path = Path(),
        partition: int = 0,
    ) -> None:
        self._type = plugin_type
        self._config = plugin_type.config_type() if config is None else config
        self._model = model or Registry()
        self._data_dir = data_dir
        self.partition = partition
        self.store = FakePluginStore()
        self.now = 1_700_000_000.0
        self.state: dict[str, bytes] = {}
        self.derived: list[tuple[PointId, Sample]] = []
        self.published: list[tuple[str, bytes]] = []
        self.conditions: list[Condition] = []
        self._entries = 0
        self.plugin = self._made()

    def _made(self) -> Plugin:
        log = logging.getLogger(f"pydatacoll.plugin.{self._type.name}")
        context = PluginContext(self._model, self._data_dir, log, self.store, wall=lambda: self.now)
        return self._type(self._config, context)

    async def __aenter__(self) -> PluginHarness:
        await self.plugin.start()
        await self.plugin.partition_started(self.partition, dict(self.state))
        return self

    async def __aexit__(self, *_: Any) -> None:
        await self.plugin.partition_stopped(self.partition)
        await self.plugin.stop()

    async def put(self, *samples: tuple[PointId, Sample]) -> Effects | None:
        """Give it a batch; what it answers takes effect.

        :raises Exception: what the plugin raises; then nothing takes effect, see :meth:`restart`.
        """
        self._entries += 1
        by_device: list[DeviceBatch] = [
            DeviceBatch(point.device_id, [f"{point.term_id}:{point.item_id}"], time, [value], quality)
            for point, (time, value, quality) in samples
        ]
        effects = await self.plugin.handle(DataBatch(self.partition, f"{self._entries}-0", by_device))
        self._commit(effects)
        return effects

    async def tick(self, seconds: float = 1.0) -> Effects | None:
        """Let time pass, and a tick come."""
        self.now += seconds
        effects = await self.plugin.tick(self.partition, self.now)
        self._commit(effects)
        return effects

    async def restart(self) -> None:
        """As after ``kill -9``: a new plugin, with nothing but the state that was committed."""
        self.plugin = self._made()
        await self.__aenter__()

    def _commit(self, effects: Effects | None) -> None:
        if effects is None:
            return
        for key, value in effects.state.items():
            if value is None:
                self.state.pop(key, None)
            else:
                self.state[key] = value
        self.derived += effects.samples
        self.published += effects.publish
        self.conditions += effects.conditions
