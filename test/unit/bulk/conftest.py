"""Models to write to documents and to read back."""

from __future__ import annotations

from typing import Any

import pytest

from pydatacoll.bulk.columns import Columns
from pydatacoll.bulk.document import Document
from pydatacoll.bulk.read import read_json, read_yaml
from pydatacoll.bulk.read_csv import read_csv
from pydatacoll.bulk.snapshot import Snapshot
from pydatacoll.bulk.write import WRITERS, Format, write_csv
from pydatacoll.model import Device, TermItem
from pydatacoll.model.change import apply
from pydatacoll.model.load import Loaded
from pydatacoll.model.registry import Registry
from pydatacoll.model.steps import Progress, finish
from pydatacoll.model.transaction import Transaction
from pydatacoll.model.validation import Schemas
from pydatacoll.protocols.formula import FormulaDriver
from pydatacoll.protocols.modbus_tcp import ModbusTcpDriver


class ToyDevice(Device, frozen=True, kw_only=True):
    """Options that are not simple."""

    ways: tuple[str, ...] = ()
    mode: int | str | None = None


class ToyPoint(TermItem, frozen=True, kw_only=True):
    """A field that has the name of another column."""

    unit: str = "none"
    limits: dict[str, float] | None = None


class ToyDriver(FormulaDriver):
    """A driver that takes everything."""

    name = "toy"
    device_type = ToyDevice
    term_item_type = ToyPoint


class Bench:
    """A model, its documents, and bringing them in."""

    def __init__(self) -> None:
        self.schemas = Schemas({"modbus_tcp": ModbusTcpDriver, "formula": FormulaDriver, "toy": ToyDriver})
        self.columns = Columns(self.schemas)
        self.registry = Registry()

    def export(self, how: Format, device_ids: list[str] | None = None) -> bytes:
        snapshot = Snapshot(self.registry, lambda _: True, device_ids)
        finish(snapshot.sort())
        return "".join(WRITERS[how](snapshot, self.columns)).encode()

    def excel(self) -> bytes:
        """The whole model as a table for Excel."""
        snapshot = Snapshot(self.registry, lambda _: True)
        finish(snapshot.sort())
        return "".join(write_csv(snapshot, self.columns, "excel")).encode()

    def read(self, how: Format, raw: bytes) -> Document:
        progress = Progress()
        if how == "csv":
            return finish(read_csv(raw, self.columns, progress))
        return finish((read_json if how == "json" else read_yaml)(raw, progress))

    def load(
        self, how: Format, raw: bytes | str, *, replace: bool = False
    ) -> tuple[Document, Loaded, Transaction]:
        """Work out what a document would do."""
        document = self.read(how, raw.encode() if isinstance(raw, str) else raw)
        transaction = Transaction(self.registry, self.schemas)
        loaded = finish(transaction.load_steps(document.given, replace=replace))
        return document, loaded, transaction

    def bring(self, how: Format, raw: bytes | str, *, replace: bool = False) -> list[Any]:
        """Do it; returns the changes."""
        document, loaded, transaction = self.load(how, raw, replace=replace)
        assert document.faults == []
        assert loaded.faults == []
        changes = transaction.changes
        apply(self.registry, changes)
        return changes

    def faults(self, how: Format, raw: bytes | str, *, replace: bool = False) -> list[tuple[int, str, str]]:
        """Row, column and message of everything that is wrong."""
        document, loaded, _ = self.load(how, raw, replace=replace)
        found = sorted([*document.faults, *loaded.faults])
        return [(fault.row, document.column(fault.kind, fault.field), fault.message) for fault in found]


@pytest.fixture
def bench() -> Bench:
    """An empty model."""
    return Bench()
