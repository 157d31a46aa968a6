"""The parts of a staged commit: small enough for one call, complete, in order."""

from __future__ import annotations

from typing import Any

import msgspec
import pytest

from pydatacoll.model.overlay import Overlay
from pydatacoll.model.registry import Registry
from pydatacoll.model.steps import finish
from pydatacoll.model.transaction import Transaction
from pydatacoll.store import model_ops
from pydatacoll.store.model_ops import Commit
from pydatacoll.testing.model import device, item, schemas, term, term_item


def committed(points: int, audit: int = 0, **fields: Any) -> Commit:
    known = schemas()
    registry = Registry()
    overlay = Overlay(registry, known)
    transaction = Transaction(registry, known, overlay)
    transaction.create("device", device("d"))
    transaction.create("term", term("t"))
    transaction.batch_upsert("item", [item(f"i{n}") for n in range(points)])
    transaction.batch_upsert("term_item", [term_item("t", f"i{n}", **fields) for n in range(points)])
    commit = Commit(overlay)
    finish(commit.add(transaction.changes))
    finish(commit.record({"number": n} for n in range(audit)))
    return commit


def parts_of(commit: Commit) -> list[list[list[Any]]]:
    return [msgspec.msgpack.decode(part) for part in finish(commit.parts(100, 10_000))]


def test_parts_hold_what_one_call_would() -> None:
    whole = finish(committed(50).arguments())
    parts = parts_of(committed(50))
    commands = [op for part in parts for op in part if op[0] != "EVENTS"]
    assert commands == msgspec.msgpack.decode(whole[0])
    events = {op[1]: op[2] for part in parts for op in part if op[0] == "EVENTS"}
    assert events == msgspec.msgpack.decode(whole[2])
    names = [name for piece in finish(committed(50).names()) for name in msgspec.json.decode(piece)]
    assert names == msgspec.json.decode(whole[1])


def test_parts_are_small(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(model_ops, "PART", 200)
    parts = parts_of(committed(100, audit=5))
    assert len(parts) > 10
    assert all(len(part) == 1 or sum(map(len, part)) <= 200 for part in parts)
    hashes = [op for part in parts for op in part if op[0] == "HASHES"]
    assert all(len(op) <= 200 + op[1] + 2 for op in hashes)


def test_long_texts_make_parts_of_fewer_objects(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(model_ops, "PART_BYTES", 20_000)
    parts = finish(committed(40, db_save_sql="x" * 5000).parts(100, 10_000))
    assert len(parts) > 8
    assert max(map(len, parts)) < 30_000


def test_the_audit_trail_comes_first_and_events_last() -> None:
    kinds = [op[0] for part in parts_of(committed(20, audit=3)) for op in part]
    assert kinds[:3] == ["AUDIT"] * 3
    first_event = kinds.index("EVENTS")
    assert set(kinds[first_event:]) == {"EVENTS"}


def test_what_is_large() -> None:
    assert not committed(10).large
    assert committed(model_ops.LARGE // 2).large
    assert committed(200, db_save_sql="x" * 8000).large  # by its bytes
