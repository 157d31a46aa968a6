"""A plugin that writes the samples of chosen items to a CSV file."""

import csv

from msgspec import Struct

from pydatacoll.model import time_to_wire
from pydatacoll.sdk import DataBatch, Plugin


class CsvConfig(Struct, frozen=True, forbid_unknown_fields=True):
    """The table ``[plugin.csv_writer]`` of the settings file."""

    file: str = "values.csv"  # in the data directory
    items: list[str] = []  # ids of the items that are written; empty: all


class CsvWriter(Plugin):
    """One line for each usable sample: entry, time, device, term, item, value."""

    name = "csv_writer"
    description = "Example: samples to a CSV file"
    config_type = CsvConfig

    async def start(self) -> None:
        self.file = (self.context.data_dir / self.config.file).open("a", newline="", encoding="utf-8")

    async def stop(self) -> None:
        self.file.close()

    async def handle(self, batch: DataBatch) -> None:
        rows = csv.writer(self.file)
        for point, sample in batch.samples():
            if sample.quality == 0 and (not self.config.items or point.item_id in self.config.items):
                entry = f"{batch.partition}/{batch.entry_id}"
                rows.writerow([entry, time_to_wire(sample.time), *point, sample.value])
        self.file.flush()  # returning acknowledges the batch, so it must be safe by then
