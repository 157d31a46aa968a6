"""Checks values against limits and rules, and raises alarms.

What is known of a point is kept in the store together with the acknowledgement of its samples, so that no alarm is
lost or raised twice, whatever process dies.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, ClassVar

from pydatacoll.model import Device, Term, TermItem
from pydatacoll.model.change import Change
from pydatacoll.sdk import DataBatch, Effects, Plugin, PluginContext

from .checker_partition import CheckedPartition


class Checker(Plugin):
    """See the module."""

    name = "checker"
    description = "limits and rules of points; alarms"
    batch_samples: ClassVar[int] = 5000

    def __init__(self, config: Any, context: PluginContext) -> None:
        super().__init__(config, context)
        self._partitions: dict[int, CheckedPartition] = {}
        self._leave: Callable[[], None] = lambda: None

    async def start(self) -> None:
        """Follow the model."""
        self._leave = self.context.on_change(self._changed)

    async def stop(self) -> None:
        """Leave the model."""
        self._leave()

    async def partition_started(self, partition: int, state: dict[str, bytes]) -> None:
        """Look at all its devices, and at those that were in it the last time."""
        checked = CheckedPartition(self.context, partition, state)
        partition_of = self.context.partition_of
        checked.changed.update(one for one in self.context.model.devices if partition_of(one) == partition)
        self._partitions[partition] = checked
        await checked.refresh()

    async def partition_stopped(self, partition: int) -> None:
        """Forget it."""
        self._partitions.pop(partition, None)

    async def handle(self, batch: DataBatch) -> Effects | None:
        """Check the values."""
        partition = self._partitions[batch.partition]
        if partition.changed:
            await partition.refresh()
        arrived = int(batch.first_id.partition("-")[0]) / 1000
        for one in batch.devices:
            partition.check(one, arrived)
        return partition.effects()

    async def tick(self, partition: int, now: float) -> Effects | None:
        """Take over changes of the model, and end delays of values that do not come again."""
        checked = self._partitions[partition]
        if checked.changed:
            await checked.refresh()
        if not checked.pending:
            await checked.begin_removed()
        await checked.elapse(now)
        return checked.effects()

    def status(self) -> dict[str, Any]:
        """How many points are watched, what is wrong, and which rules give nothing."""
        partitions = self._partitions.values()
        counts = [partition.counts() for partition in partitions]
        names = ("points", "active", "delayed", "failing_rules")
        failures = (partition.failure() for partition in partitions)
        return {
            **{name: sum(count[name] for count in counts) for name in names},
            "rule_failure": next(filter(None, failures), ""),
        }

    def _changed(self, changes: Sequence[Change] | None) -> None:
        """The model was changed: look at the devices concerned before the next batch, or within a second."""
        model = self.context.model
        touched = set(model.devices) if changes is None else set()
        for change in changes or ():
            for made in (change.old, change.new):
                if isinstance(made, Device):
                    touched.add(made.id)
                elif isinstance(made, Term):
                    touched.add(made.device_id)
                elif isinstance(made, TermItem) and made.term_id in model.terms:
                    touched.add(model.terms[made.term_id].device_id)
        for device_id in touched:
            partition = self._partitions.get(self.context.partition_of(device_id))
            if partition is not None:
                partition.changed.add(device_id)
        if changes is None:
            for partition in self._partitions.values():
                partition.changed |= partition.devices()
