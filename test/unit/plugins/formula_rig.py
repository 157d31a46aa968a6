"""One formula plugin on a model that can be changed, a store in memory, and what dies and begins again."""

from __future__ import annotations

import logging
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from pydatacoll_plugins.formula import FormulaPlugin

from pydatacoll.model import PointId, Sample
from pydatacoll.model.batch import DataBatch, DeviceBatch
from pydatacoll.model.change import apply
from pydatacoll.model.registry import Registry
from pydatacoll.model.transaction import Transaction
from pydatacoll.plugin import Effects, NoConfig, PluginContext
from pydatacoll.testing.model import device, item, schemas, term, term_item

COMM_LOST, INVALID, STALE = 32, 1, 256
ITEMS = "abcdefgh"
Row = tuple[str, float, Any]


class Memory:
    """The store: history of all points."""

    def __init__(self) -> None:
        self.samples: dict[PointId, list[Sample]] = {}
        self.asked = 0

    async def latest(self, points: Sequence[PointId]) -> list[Sample | None]:
        self.asked += 1
        return [found[-1] if (found := self.samples.get(point)) else None for point in points]

    async def recent(self, points: Sequence[PointId], count: int) -> list[list[Sample]]:
        self.asked += 1
        return [self.samples.get(point, [])[-count:] for point in points]

    async def transitions(self, partition: int, after: str, count: int) -> list[Any]:
        return []

    async def managed(self, partition: int) -> bool:
        return True


class Rig:
    """Devices ``x`` (partition 0), ``y`` (partition 1) and the virtual ``v`` (partition 2), each with one term of
    the same name and the points ``a`` to ``h``. Short names: ``xa`` is ``x:x:a``.

    :ivar results: all that was derived, in order: ``(short name, time, value)``, and the quality when not good.
    """

    def __init__(self, **formulas: str) -> None:
        self.registry = Registry()
        self.store = Memory()
        self.now = 1000.0
        self.states: dict[int, dict[str, bytes]] = {0: {}, 1: {}, 2: {}}
        self.results: list[Any] = []
        self._entry = 0
        self._tell: Any = None
        self.plugin = self._new()
        self.change(self._plant)
        for key, text in formulas.items():
            self.formula(key, text)

    def _new(self) -> FormulaPlugin:
        def on_change(callback: Any) -> Any:
            self._tell = callback
            return lambda: None

        options: Any = {"wall": lambda: self.now, "on_change": on_change, "partition_of": "xyv".index}
        log = logging.getLogger("test")
        return FormulaPlugin(NoConfig(), PluginContext(self.registry, Path(), log, self.store, **options))

    def _plant(self, tx: Transaction) -> None:
        for key in ITEMS:
            tx.create("item", item(key))
        for name in "xyv":
            tx.create("device", device(name, protocol="plain"))
            tx.create("term", term(name, name))
            for n, key in enumerate(ITEMS):
                code = {} if name == "v" else {"protocol_code": str(n)}
                tx.create("term_item", term_item(name, key, **code))

    def change(self, fn: Any) -> None:
        transaction = Transaction(self.registry, schemas())
        fn(transaction)
        changes = transaction.changes
        apply(self.registry, changes)
        if self._tell is not None:
            self._tell(changes)

    def formula(self, key: str, text: str) -> None:
        """``va="xa + yb"``: the result is named by the key, the parameters by where they come from."""
        params = {f"p{n}": name for n, name in enumerate(_names(text))}
        for param, name in params.items():
            text = text.replace(name, param)
        self.change(
            lambda tx: tx.upsert(
                "formula",
                {
                    "id": key,
                    "formula": text,
                    "device_id": key[0],
                    "term_id": key[0],
                    "item_id": key[1],
                    **{param: str(point(name)) for param, name in params.items()},
                },
            )
        )

    def options(self, name: str, **options: Any) -> None:
        """Options of a point."""
        self.change(lambda tx: tx.merge("term_item", (name[0], name[1]), options))

    async def start(self, ticks: int = 2) -> Rig:
        await self.plugin.start()
        for partition, state in self.states.items():
            await self.plugin.partition_started(partition, dict(state))
        for _ in range(ticks):
            await self.tick()
        return self

    async def restart(self, ticks: int = 2) -> None:
        """As after a sudden death: only what was committed is there."""
        self.plugin = self._new()
        await self.start(ticks)

    async def tick(self, seconds: float = 0.0) -> None:
        self.now += seconds
        for partition in self.states:
            self.commit(partition, await self.plugin.tick(partition, self.now))

    def seen(self, *rows: Row | tuple[str, float, Any, int]) -> None:
        """Samples in the history that the stream does not bring."""
        for name, time, value, *quality in rows:
            self.store.samples.setdefault(point(name), []).append(
                Sample(float(time), value, quality[0] if quality else 0)
            )

    async def put(self, *rows: Any, late: bool = False) -> list[Any]:
        """One entry of one device; gives what was derived."""
        if not late:
            self.seen(*rows)
        return await self.handle(self.batch(*rows, late=late))

    def batch(self, *rows: Any, late: bool = False, stored: bool = False) -> DataBatch:
        """The entry alone."""
        if stored:
            self.seen(*rows)
        self._entry += 1
        fields = [f"{row[0][0]}:{row[0][1]}" for row in rows]
        qualities = [row[3] if len(row) > 3 else 0 for row in rows]
        one = DeviceBatch(
            rows[0][0][0], fields, [float(row[1]) for row in rows], [row[2] for row in rows], qualities, late
        )
        return DataBatch("xyv".index(rows[0][0][0]), f"{int(self.now * 1000)}-{self._entry}", [one])

    async def handle(self, batch: DataBatch) -> list[Any]:
        return self.commit(batch.partition, await self.plugin.handle(batch))

    def commit(self, partition: int, effects: Effects | None) -> list[Any]:
        """The effects take place."""
        if effects is None:
            return []
        for key, blob in effects.state.items():
            if blob is None:
                self.states[partition].pop(key, None)
            else:
                self.states[partition][key] = blob
        found: list[Any] = []
        for target, sample in effects.samples:
            self.store.samples.setdefault(target, []).append(sample)
            short = target.device_id + target.item_id
            found.append((short, *sample) if sample.quality else (short, *sample[:2]))
        self.results += found
        return found


def point(name: str) -> PointId:
    """``xa`` -> ``x:x:a``."""
    return PointId(name[0], name[0], name[1])


def _names(text: str) -> list[str]:
    found = [first + second for first in "xyv" for second in ITEMS]
    return [name for name in found if name in text]


def joined(*batches: DataBatch) -> DataBatch:
    """Consecutive entries as one batch."""
    devices = [one for batch in batches for one in batch.devices]
    ids = [batch.entry_id for batch in batches]
    return DataBatch(batches[0].partition, ids[-1], devices, 1, ids, [len(batch.devices) for batch in batches])
