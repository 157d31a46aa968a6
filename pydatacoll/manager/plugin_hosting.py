"""What the partitions of one plugin in a process share: its limits, its pace, and what becomes of its batches."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable
from dataclasses import dataclass, field

from pydatacoll.manager.step_watch import StepWatch
from pydatacoll.plugin import Plugin


@dataclass(slots=True)
class PluginStats:
    """Of one plugin in this process; counts in samples, ``retries`` in batches.

    :ivar troubles: partition -> why it does not move on.
    """

    handled: int = 0
    retries: int = 0
    dead_lettered: int = 0
    last_error: str | None = None
    last_error_time: float | None = None
    troubles: dict[int, str] = field(default_factory=dict)

    def failed(self, partition: int, error: Exception, state: str) -> None:
        """Note why a partition waits; ``state`` is for the operator."""
        self.last_error = describe(error)
        self.last_error_time = time.time()
        self.troubles[partition] = state


def describe(error: Exception) -> str:
    """An error in one line."""
    return f"{type(error).__name__}: {error}"


@dataclass(slots=True)
class Hosting:
    """What the partitions of one plugin share.

    :ivar gate: lets so many batches into the plugin at once.
    :ivar room: set when a partition can take more entries.
    :ivar pause: seconds before the first repetition; ``longest``: before a later one.
    :ivar lost: called with a partition whose lease is gone.
    """

    plugin: Plugin
    stats: PluginStats
    watch: StepWatch
    gate: asyncio.Semaphore
    room: asyncio.Event
    pause: float
    longest: float
    lost: Callable[[int], None]
