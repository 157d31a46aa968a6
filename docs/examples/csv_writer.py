"""A plugin that writes the samples of chosen items to a CSV file."""

from __future__ import annotations

import csv
from typing import IO, Annotated, Any

from msgspec import Meta, Struct

from pydatacoll.model import time_to_wire
from pydatacoll.sdk import DataBatch, Plugin, PluginContext


class CsvConfig(Struct, frozen=True, forbid_unknown_fields=True):
    """The table ``[plugin.csv_writer]`` of the settings file."""

    file: Annotated[str, Meta(min_length=1, description="name of the file, in the data directory")] = "values.csv"
    items: Annotated[list[str], Meta(description="ids of the items that are written; empty: all")] = []


class CsvWriter(Plugin):
    """One line for each usable sample: entry, time, device, term, item, value."""

    name = "csv_writer"
    description = "Example: samples to a CSV file"
    config_type = CsvConfig

    def __init__(self, config: CsvConfig, context: PluginContext) -> None:
        super().__init__(config, context)
        self._items = frozenset(config.items)
        self._file: IO[str] | None = None

    async def start(self) -> None:
        self._file = (self.context.data_dir / self.config.file).open("a", newline="", encoding="utf-8")

    async def stop(self) -> None:
        if self._file is not None:
            self._file.close()

    async def handle(self, batch: DataBatch) -> None:
        rows: list[list[Any]] = [
            [f"{batch.partition}/{batch.entry_id}", time_to_wire(sample.time), *point, sample.value]
            for point, sample in batch.samples()
            if sample.quality == 0 and (not self._items or point.item_id in self._items)
        ]
        if self._file is not None:
            csv.writer(self._file).writerows(rows)
            self._file.flush()  # returning acknowledges the batch, so it must be safe by then
