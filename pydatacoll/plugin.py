"""Plugins as authors see them: what they get, what they may ask, and what they give back.

Imported through :mod:`pydatacoll.sdk`.
"""

from __future__ import annotations

import logging
import time
from abc import ABC, abstractmethod
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, ClassVar, Protocol

from msgspec import Struct

from pydatacoll.model import DataBatch, PointId, Sample
from pydatacoll.model.alarm import Condition, Transition
from pydatacoll.model.change import Change
from pydatacoll.model.registry import ModelView


class Effects(Struct):
    """What follows from a batch. It takes effect together with the acknowledgement of the batch, or not at all.

    A batch that comes again after a crash finds the state as it was before that batch; so the effects of every
    batch take place exactly once, whatever process dies in between.

    :ivar state: changed keys of the plugin's state of this partition; ``None`` deletes a key.
    :ivar conditions: alarm conditions that changed, see :mod:`pydatacoll.model.alarm`.
    :ivar publish: messages for channels of the store: ``(channel, message)``. As all that is published they reach
        who listens at that moment.
    :ivar samples: derived samples, of any device. They are stored and go into the data stream like measured ones,
        in this order.
    """

    state: dict[str, bytes | None] = {}
    conditions: list[Condition] = []
    publish: list[tuple[str, bytes]] = []
    samples: list[tuple[PointId, Sample]] = []


class PluginStore(Protocol):
    """What a plugin may ask of the store. All raise :class:`~pydatacoll.errors.StoreError` when it is away, which
    a plugin need not catch: its batch comes again.
    """

    async def latest(self, points: Sequence[PointId]) -> list[Sample | None]:
        """The latest sample of each point; ``None`` for one that was never stored."""

    async def recent(self, points: Sequence[PointId], count: int) -> list[list[Sample]]:
        """The newest ``count`` samples of each point, oldest first; as many as the store still has."""

    async def transitions(self, partition: int, after: str, count: int) -> list[tuple[str, Transition]]:
        """What happened to alarms of a partition after the transition with this id (``0-0``: all that the store
        still has), oldest first, at most ``count``; each with its id."""

    async def managed(self, partition: int) -> bool:
        """Whether a device manager runs the devices of a partition: else nobody renews their values, or marks them
        as old."""


@dataclass(frozen=True, slots=True)
class PluginContext:
    """What the host gives to a plugin.

    :ivar model: the live model, for reading.
    :ivar data_dir: a directory the plugin may write to.
    :ivar store: latest values and recent samples.
    :ivar counters: shown in ``GET /api/v2/plugins`` and in ``/metrics``; a plugin adds its own names.
    :ivar wall: returns epoch seconds; replaced in tests.
    :ivar on_change: ``on_change(callback)`` calls ``callback`` after every change of the model with the changes,
        or with ``None`` when everything was read anew; it returns a function that ends that.
    :ivar partition_of: device id -> the partition that its samples are in.
    """

    model: ModelView
    data_dir: Path
    log: logging.Logger
    store: PluginStore
    counters: Counter[str] = field(default_factory=Counter)
    wall: Callable[[], float] = time.time
    on_change: Callable[[Callable[[Sequence[Change] | None], None]], Callable[[], None]] = lambda _: _nothing
    partition_of: Callable[[str], int] = lambda _: 0


def _nothing() -> None:
    """Ends what was never begun."""


class NoConfig(Struct, frozen=True, forbid_unknown_fields=True):
    """For plugins without settings."""


class Plugin(ABC):
    """A consumer of the data stream, which is cut into partitions; all samples of a device are in one.

    Each partition is given to one runner at a time, and its batches come in order. Returning from :meth:`handle`
    acknowledges a batch; raising makes it come again, with growing pauses, and in the end moves what keeps failing
    to the plugin's dead-letter stream. After an error the partition is begun anew (:meth:`partition_stopped`, then
    :meth:`partition_started` with the state as it was committed), so there is nothing to take back.

    What a plugin keeps in memory should belong to a partition, because partitions move between runners.
    """

    name: ClassVar[str]
    description: ClassVar[str] = ""
    config_type: ClassVar[type[Struct]] = NoConfig
    """Type of the plugin's table in the settings file, ``[plugin.NAME]``."""
    batch_samples: ClassVar[int] = 1
    """Samples up to which waiting entries of a partition are joined into one batch; 1: every entry by itself. An
    entry has up to some thousand samples and is not cut, so a batch may be larger."""
    concurrency: ClassVar[int] = 1
    """How many batches, of different partitions, may be in :meth:`handle` at once."""
    single: ClassVar[bool] = False
    """Whether one runner at a time has all partitions, and others stand by: for what needs to see all devices."""

    def __init__(self, config: Any, context: PluginContext) -> None:
        self.config = config
        self.context = context

    async def start(self) -> None:  # noqa: B027 - optional hook
        """Open what the plugin needs; raising is retried."""

    async def stop(self) -> None:  # noqa: B027 - optional hook
        """Flush and close."""

    async def partition_started(self, partition: int, state: dict[str, bytes]) -> None:  # noqa: B027 - optional
        """This runner has got a partition; ``state`` is all that was committed for it."""

    async def partition_stopped(self, partition: int) -> None:  # noqa: B027 - optional hook
        """The partition goes to another runner, or is begun anew: forget what is known of it."""

    @abstractmethod
    async def handle(self, batch: DataBatch) -> Effects | None:
        """Take one batch.

        :raises TryLater: when what the plugin needs is away, such as a database: the batch waits for it, however
            long that takes.
        """

    async def tick(self, partition: int, now: float) -> Effects | None:
        """About once a second for each partition of this runner, between its batches.

        :param now: epoch seconds.
        """
        return None

    def status(self) -> dict[str, Any]:
        """The plugin's own details for ``GET /api/v2/plugins``; JSON types only."""
        return {}
