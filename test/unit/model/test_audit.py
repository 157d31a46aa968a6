"""What the audit trail says of changes."""

from __future__ import annotations

from typing import Any

import msgspec

from pydatacoll.model.audit import MOST_DEVICES, PART, batch_entries, single_entry
from pydatacoll.model.change import apply
from pydatacoll.model.registry import Registry
from pydatacoll.model.steps import finish
from pydatacoll.model.transaction import Transaction
from pydatacoll.model.validation import Schemas
from pydatacoll.protocols.modbus_tcp import ModbusTcpDriver

SCHEMAS = Schemas({"modbus_tcp": ModbusTcpDriver})


def plant(devices: int = 1) -> Registry:
    """Devices with one term and one point each, all of one item."""
    registry = Registry()
    tx = Transaction(registry, SCHEMAS)
    names = [f"d{n}" for n in range(devices)]
    tx.batch_upsert("device", [{"id": name, "name": name, "protocol": "modbus_tcp"} for name in names])
    tx.batch_upsert("term", [{"id": f"{name}t", "name": "T", "device_id": name} for name in names])
    tx.create("item", {"id": "i", "name": "I"})
    tx.batch_upsert(
        "term_item", [{"term_id": f"{name}t", "item_id": "i", "protocol_code": "hr:1"} for name in names]
    )
    apply(registry, tx.changes)
    return registry


def batch(tx: Transaction) -> list[dict[str, Any]]:
    entries = finish(batch_entries(tx.changes, tx.overlay, tx.registry))
    return [msgspec.json.decode(msgspec.json.encode(entry)) for entry in entries]


def test_an_entry_of_many_holds_what_differs() -> None:
    tx = Transaction(plant(2), SCHEMAS)
    tx.merge("device", "d0", {"port": 1502, "ip": "10.0.0.1"})
    tx.create("item", {"id": "new", "name": "N", "unit": "V"})
    tx.delete("device", "d1")
    (entry,) = batch(tx)
    changes = {(change["kind"], change["key"]): change for change in entry["changes"]}
    device = changes["device", "d0"]
    assert device["before"] == {"port": None, "ip": "127.0.0.1"}
    assert device["after"] == {"port": 1502, "ip": "10.0.0.1"}
    assert changes["item", "new"]["after"] == {"id": "new", "name": "N", "unit": "V"}
    assert changes["device", "d1"]["before"]["name"] == "d1"
    assert changes["term_item", "d1t:i"]["before"]["protocol_code"] == "hr:1"
    assert entry["devices"] == ["d0", "d1"]
    assert entry["counts"] == {
        "devices": {"changed": 1, "deleted": 1},
        "terms": {"deleted": 1},
        "items": {"created": 1},
        "term_items": {"deleted": 1},
    }
    assert "part" not in entry


def test_a_rename_is_one_change() -> None:
    tx = Transaction(plant(), SCHEMAS)
    tx.merge("device", "d0", {"id": "e"})
    (entry,) = batch(tx)
    renamed = next(change for change in entry["changes"] if change["kind"] == "device")
    assert renamed["renamed_from"] == "d0"
    assert (renamed["before"], renamed["after"]) == ({"id": "d0"}, {"id": "e"})
    assert entry["counts"] == {"devices": {"renamed": 1}, "terms": {"changed": 1}}
    assert entry["devices"] == ["d0", "e"]


def test_many_objects_are_parts_with_every_object_once() -> None:
    tx = Transaction(Registry(), SCHEMAS)
    count = 2 * PART + 1
    tx.batch_upsert("item", [{"id": f"i{n}", "name": "x"} for n in range(count)])
    entries = batch(tx)
    assert [(entry["part"], entry["parts"]) for entry in entries] == [(1, 3), (2, 3), (3, 3)]
    assert [len(entry["changes"]) for entry in entries] == [PART, PART, 1]
    assert {change["key"] for entry in entries for change in entry["changes"]} == {f"i{n}" for n in range(count)}
    assert all(entry["counts"] == {"items": {"created": count}} for entry in entries)


def test_a_shared_item_concerns_the_devices_that_have_it() -> None:
    tx = Transaction(plant(2), SCHEMAS)
    tx.merge("item", "i", {"unit": "V"})
    assert batch(tx)[0]["devices"] == ["d0", "d1"]


def test_what_concerns_very_many_devices_concerns_the_model() -> None:
    tx = Transaction(plant(MOST_DEVICES + 1), SCHEMAS)
    tx.merge("item", "i", {"unit": "V"})
    assert batch(tx)[0]["devices"] == []


def test_one_object_is_told_whole_and_what_goes_with_it_is_counted() -> None:
    tx = Transaction(plant(), SCHEMAS)
    before = tx.overlay.get("device", "d0")
    tx.delete("device", "d0")
    entry = finish(single_entry(tx.changes, before, None, tx.overlay, tx.registry))
    assert entry["before"]["name"] == "d0"
    assert entry["before"]["ip"] == "127.0.0.1"
    assert entry["after"] is None
    assert entry["counts"] == {"devices": {"deleted": 1}, "terms": {"deleted": 1}, "term_items": {"deleted": 1}}
    assert entry["devices"] == ["d0"]


def test_entries_go_with_a_rollback() -> None:
    tx = Transaction(plant(), SCHEMAS)
    tx.merge("item", "i", {"unit": "V"})
    assert len(tx.changes) == 1
    tx.audit({"action": "x"})
    tx.rollback()
    assert (tx.entries, tx.changes) == ([], [])


def test_changes_are_those_after_the_last_operation() -> None:
    tx = Transaction(plant(), SCHEMAS)
    tx.merge("item", "i", {"unit": "V"})
    assert [change.key for change in tx.changes] == ["i"]
    tx.merge("device", "d0", {"name": "other"})
    assert [change.key for change in tx.changes] == ["i", "d0"]
