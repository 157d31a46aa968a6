"""Random histories: the transaction must agree with a model that is too simple to be wrong."""

from __future__ import annotations

import copy
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pydatacoll.errors import RequestError
from pydatacoll.model import Formula, PointId
from pydatacoll.model.change import apply
from pydatacoll.model.overlay import Overlay
from pydatacoll.model.registry import Registry, formula_points
from pydatacoll.model.transaction import Transaction
from pydatacoll.model.validation import Kind, Schemas
from pydatacoll.testing import model as given_model

SCHEMAS = given_model.schemas()


class Broken(Exception):
    """The naive model would break one of its rules."""


class Naive:
    """Dictionaries; every operation works on a copy, and all rules are checked at the end of it."""

    def __init__(self) -> None:
        self.devices: set[str] = set()
        self.terms: dict[str, str] = {}
        self.items: set[str] = set()
        self.points: dict[tuple[str, str], str | None] = {}
        self.formulas: dict[str, tuple[str, str]] = {}

    def path(self, key: tuple[str, str]) -> str:
        return f"{self.terms[key[0]]}:{key[0]}:{key[1]}"

    def checked(self) -> Naive:
        paths = {self.path(key) for key in self.points if key[0] in self.terms}
        taken = [
            (self.terms[t], code) for (t, _), code in self.points.items() if code is not None and t in self.terms
        ]
        if not (
            all(device in self.devices for device in self.terms.values())
            and all(t in self.terms and i in self.items for t, i in self.points)
            and all(ref in paths for pair in self.formulas.values() for ref in pair)
            and len(taken) == len(set(taken))
        ):
            raise Broken
        sources = dict(self.formulas.values())
        if len(sources) < len(self.formulas):
            raise Broken  # two formulas with one result
        for start in sources:
            at = start
            for _ in sources:
                at = sources.get(at, "")
                if at == start:
                    raise Broken
        return self

    def renamed(self, before: Naive, keys: dict[tuple[str, str], tuple[str, str]]) -> Naive:
        """Formulas follow points that moved."""
        moved = {before.path(old): self.path(new) for old, new in keys.items()}
        self.formulas = {f: tuple(moved.get(r, r) for r in pair) for f, pair in self.formulas.items()}  # type: ignore
        return self

    def without_dangling(self) -> Naive:
        self.terms = {t: d for t, d in self.terms.items() if d in self.devices}
        self.points = {k: c for k, c in self.points.items() if k[0] in self.terms and k[1] in self.items}
        paths = {self.path(key) for key in self.points}
        self.formulas = {f: pair for f, pair in self.formulas.items() if set(pair) <= paths}
        return self

    def upsert(self, kind: Kind, rows: list[Any]) -> Naive:
        new = copy.deepcopy(self)
        names = [row[:2] if kind == "term_item" else row[0] for row in rows]
        if len(set(names)) != len(names):
            raise Broken
        for row in rows:
            if kind == "device":
                new.devices.add(row[0])
            elif kind == "item":
                new.items.add(row[0])
            elif kind == "term":
                new.terms[row[0]] = row[1]
            elif kind == "term_item":
                new.points[row[:2]] = row[2]
            else:
                new.formulas[row[0]] = row[1:]
        if any(device not in new.devices for device in new.terms.values()):
            raise Broken
        if kind == "term":
            new.renamed(self, {key: key for key in self.points})
        return new.checked()

    def rename(self, kind: Kind, old: Any, to: Any) -> Naive:
        new = copy.deepcopy(self)
        if kind == "device":
            if old not in new.devices or (to in new.devices and to != old):
                raise Broken
            new.devices = new.devices - {old} | {to}
            new.terms = {t: to if d == old else d for t, d in new.terms.items()}
            return new.renamed(self, {key: key for key in self.points}).checked()
        if kind == "term":
            if old not in new.terms or (to in new.terms and to != old):
                raise Broken
            new.terms[to] = new.terms.pop(old)
            keys = {key: (to if key[0] == old else key[0], key[1]) for key in self.points}
        elif kind == "item":
            if old not in new.items or (to in new.items and to != old):
                raise Broken
            new.items = new.items - {old} | {to}
            keys = {key: (key[0], to if key[1] == old else key[1]) for key in self.points}
        else:
            if old not in new.points or (to in new.points and to != old):
                raise Broken
            if to[0] not in new.terms or to[1] not in new.items:
                raise Broken
            keys = {key: to if key == old else key for key in self.points}
        new.points = {keys[key]: code for key, code in self.points.items()}
        return new.renamed(self, keys).checked()

    def delete(self, kind: Kind, name: Any) -> Naive:
        new = copy.deepcopy(self)
        table: Any = {
            "device": new.devices,
            "term": new.terms,
            "item": new.items,
            "term_item": new.points,
            "formula": new.formulas,
        }[kind]
        if name not in table:
            raise Broken
        table.discard(name) if isinstance(table, set) else table.pop(name)
        return new.without_dangling()


def payload(kind: Kind, row: Any) -> dict[str, Any]:
    if kind == "device":
        return given_model.device(row[0], protocol="plain")
    if kind == "term":
        return given_model.term(*row)
    if kind == "item":
        return given_model.item(row[0])
    if kind == "term_item":
        return given_model.term_item(row[0], row[1], protocol_code=row[2])
    return given_model.formula(row[0], row[1], p1=row[2])


DEVICES, TERMS, ITEMS = st.sampled_from("ab"), st.sampled_from("stu"), st.sampled_from("ijk")
REFS = st.tuples(DEVICES, TERMS, ITEMS).map(":".join)
ROWS: dict[Kind, st.SearchStrategy[Any]] = {
    "device": st.tuples(DEVICES),
    "term": st.tuples(TERMS, DEVICES),
    "item": st.tuples(ITEMS),
    "term_item": st.tuples(TERMS, ITEMS, st.sampled_from(["1", "2", "3", None])),
    "formula": st.tuples(st.sampled_from("fgh"), REFS, REFS),
}
NAMES: dict[Kind, st.SearchStrategy[Any]] = {
    "device": DEVICES,
    "term": TERMS,
    "item": ITEMS,
    "term_item": st.tuples(TERMS, ITEMS),
    "formula": st.sampled_from("fgh"),
}


def _operations(kind: Kind) -> list[st.SearchStrategy[Any]]:
    rows = st.lists(ROWS[kind], min_size=1, max_size=3)
    found = [
        st.tuples(st.just("upsert"), st.just(kind), rows),
        st.tuples(st.just("upsert"), st.just(kind), rows),
        st.tuples(st.just("delete"), st.just(kind), NAMES[kind]),
    ]
    if kind != "formula":
        found.append(st.tuples(st.just("rename"), st.just(kind), st.tuples(NAMES[kind], NAMES[kind])))
    return found


OPERATION = st.one_of([one for kind in ROWS for one in _operations(kind)])
# A start with something in it, so that short histories already meet the interesting cases.
START: list[Any] = [
    ("upsert", "device", [("a",), ("b",)]),
    ("upsert", "item", [("i",), ("j",)]),
    ("upsert", "term", [("s", "a"), ("t", "a")]),
    ("upsert", "term_item", [("s", "i", "1"), ("s", "j", "2"), ("t", "i", "3")]),
    ("upsert", "formula", [("f", "a:s:i", "a:t:i")]),
]


def perform(transaction: Transaction, operation: Any) -> None:
    name, kind, what = operation
    if name == "upsert":
        transaction.batch_upsert(kind, [payload(kind, row) for row in what])
    elif name == "delete":
        transaction.delete(kind, what)
    else:
        old, new = what
        ids = {"term_id": new[0], "item_id": new[1]} if kind == "term_item" else {"id": new}
        transaction.merge(kind, old, ids)


def expected(naive: Naive, operation: Any) -> Naive:
    name, kind, what = operation
    if name == "rename":
        return naive.rename(kind, *what)
    return naive.upsert(kind, what) if name == "upsert" else naive.delete(kind, what)


def assert_equal(registry: Registry, naive: Naive) -> None:
    assert set(registry.devices) == naive.devices
    assert {key: one.device_id for key, one in registry.terms.items()} == naive.terms
    assert set(registry.items) == naive.items
    assert {key: one.protocol_code for key, one in registry.term_items.items()} == naive.points
    assert {key: (str(one.target), one.params["p1"]) for key, one in registry.formulas.items()} == naive.formulas


def assert_indexes(registry: Registry, schemas: Schemas) -> None:
    """Every index is what one would compute from the objects."""
    for device_id in {"a", "b", *registry.devices}:
        terms = {key for key, one in registry.terms.items() if one.device_id == device_id}
        assert set(registry.terms_of(device_id)) == terms
        addresses = {
            one.protocol_code: key
            for key, one in registry.term_items.items()
            if key[0] in terms and one.protocol_code is not None
        }
        assert registry.addresses(device_id, schemas.address) == addresses
    for name in "stu":
        assert set(registry.items_of(name)) == {i for t, i in registry.term_items if t == name}
    for name in "ijk":
        assert set(registry.terms_with(name)) == {t for t, i in registry.term_items if i == name}
    uses: dict[PointId, set[str]] = {}
    for one in registry.formulas.values():
        for point in formula_points(one):
            uses.setdefault(point, set()).add(one.id)
    for d in "ab":
        for t in "stu":
            for i in "ijk":
                point = PointId(d, t, i)
                assert set(registry.formulas_with(point)) == uses.get(point, set())


@settings(max_examples=300, deadline=None)
@given(st.lists(OPERATION, max_size=12), st.data())
def test_agrees_with_the_naive_model(operations: list[Any], data: st.DataObject) -> None:
    registry, naive = Registry(), Naive()
    for operation in START + operations:
        # When several operations share an overlay, as in a group commit, the result is the same.
        overlay = Overlay(registry, SCHEMAS)
        before = copy.deepcopy(naive)
        if data.draw(st.booleans()):
            undone = Transaction(registry, SCHEMAS, overlay)
            other = data.draw(OPERATION)
            try:
                perform(undone, other)
            except RequestError:
                with pytest.raises(Broken):
                    expected(naive, other)
            undone.rollback()
            assert undone.changes == []
            assert undone.counts == {}
        transaction = Transaction(registry, SCHEMAS, overlay)
        try:
            naive = expected(naive, operation)
        except Broken:
            with pytest.raises(RequestError):
                perform(transaction, operation)
            assert transaction.changes == []
            assert transaction.data == []
        else:
            perform(transaction, operation)
        assert_equal(registry, before)  # not touched yet
        changes = transaction.changes
        assert all(change.old != change.new for change in changes)
        apply(registry, changes)
        assert_equal(registry, naive)
        assert_indexes(registry, SCHEMAS)


@settings(max_examples=100, deadline=None)
@given(st.lists(OPERATION, max_size=8))
def test_many_operations_in_one_transaction_are_the_same_as_one_by_one(operations: list[Any]) -> None:
    registry, naive = Registry(), Naive()
    transaction = Transaction(registry, SCHEMAS)
    for operation in START + operations:
        try:
            naive = expected(naive, operation)
        except Broken:
            with pytest.raises(RequestError):
                perform(transaction, operation)
        else:
            perform(transaction, operation)
    apply(registry, transaction.changes)
    assert_equal(registry, naive)
    assert_indexes(registry, SCHEMAS)
    assert all(isinstance(one, Formula) for one in registry.formulas.values())
