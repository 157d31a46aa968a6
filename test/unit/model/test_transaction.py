"""Rules between objects, as a client meets them."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from pydatacoll.errors import Conflict, Invalid, NotFound, RequestError
from pydatacoll.model import PointId
from pydatacoll.model.change import DataDrop, DataMove, DeviceDrop, DeviceMove, apply, find
from pydatacoll.model.payload import merge_patch
from pydatacoll.model.registry import Registry
from pydatacoll.model.transaction import MissingReference, Transaction
from pydatacoll.model.validation import Kind
from pydatacoll.testing.model import WireItem, device, formula, item, schemas, term, term_item

SCHEMAS = schemas()


def begin(registry: Registry) -> Transaction:
    return Transaction(registry, SCHEMAS)


@pytest.fixture
def registry() -> Registry:
    """d (wire) - t - i (code 1), j (code 2); e (plain); formula f = d:t:i -> d:t:j."""
    made = Registry()
    setup = begin(made)
    setup.batch_upsert("device", [device("d"), device("e", protocol="plain")])
    setup.create("term", term("t"))
    setup.batch_upsert("item", [item("i"), item("j")])
    setup.create("term_item", term_item("t", "i", protocol_code="1"))
    setup.create("term_item", {"item_id": "j", "protocol_code": 2, "bit": 3}, parent="t")
    setup.create("formula", formula("f", "d:t:j", p1="d:t:i"))
    apply(made, setup.changes)
    return made


@pytest.mark.parametrize(
    ("run", "error", "text"),
    [
        (lambda tx: tx.create("device", device("d")), Conflict, "device already exists! d"),
        (lambda tx: tx.create("term_item", term_item()), Conflict, "term_item already exists! t:i"),
        (lambda tx: tx.create("term", term("u", "x")), NotFound, "device_id not found! x"),
        (lambda tx: tx.create("term_item", term_item("x")), NotFound, "term_id not found! x"),
        (lambda tx: tx.create("term_item", term_item("t", "x")), NotFound, "item_id not found! x"),
        (lambda tx: tx.create("formula", formula("g", "x:t:i")), NotFound, "device_id not found! x"),
        (lambda tx: tx.create("formula", formula("g", "e:t:i")), NotFound, "term_item not found! e:t:i"),
        (lambda tx: tx.create("formula", formula("g", p3="d:t:x")), NotFound, "term_item not found! d:t:x"),
        (lambda tx: tx.replace("device", "x", device()), NotFound, "device_id not found! x"),
        (lambda tx: tx.delete("term", "x"), NotFound, "term_id not found! x"),
        (lambda tx: tx.merge("item", "x", {}), NotFound, "item_id not found! x"),
        (lambda tx: tx.delete("formula", "x"), NotFound, "formula_id not found! x"),
        (lambda tx: tx.delete("term_item", ("x", "i")), NotFound, "term_id not found! x"),
        (lambda tx: tx.delete("term_item", ("t", "x")), NotFound, "item_id not found! x"),
        (
            lambda tx: (tx.create("item", item("k")), tx.delete("term_item", ("t", "k"))),
            NotFound,
            "term_item not found! t:k",
        ),
        (lambda tx: tx.merge("device", "d", {"id": "e"}), Conflict, "device already exists! e"),
        (
            lambda tx: tx.merge("term_item", ("t", "i"), {"item_id": "j"}),
            Conflict,
            "term_item already exists! t:j",
        ),
        (
            lambda tx: tx.merge("term_item", ("t", "i"), {"protocol_code": "2"}),
            Conflict,
            "address 2 of unit 1 is already used by term item t:j",
        ),
        (
            lambda tx: tx.create("term_item", term_item("u"), parent="t"),
            Invalid,
            "term_id: is not the 't' of the path",
        ),
        (lambda tx: tx.merge("device", "d", []), Invalid, "device: a merge patch must be an object"),
        (lambda tx: tx.merge("device", "d", {"name": None}), Invalid, "name: is required"),
        (lambda tx: tx.merge("term_item", ("t", "i"), {"protocol_code": 13}), Invalid, "protocol_code: 13 is not"),
    ],
)
def test_refusals(
    registry: Registry, run: Callable[[Transaction], Any], error: type[RequestError], text: str
) -> None:
    transaction = begin(registry)
    with pytest.raises(error) as caught:
        run(transaction)
    assert str(caught.value).startswith(text)
    assert [change.key for change in transaction.changes] in ([], ["k"])
    assert transaction.data == []


def test_a_missing_reference_names_its_field(registry: Registry) -> None:
    with pytest.raises(MissingReference) as caught:
        begin(registry).create("formula", formula("g", p3="d:t:x"))
    assert caught.value.field == "p3"


@pytest.mark.parametrize("value", [0.5, 1.0, True, [], {}, "a b", 10**64, -1.5e300])
@pytest.mark.parametrize(
    ("kind", "payload", "field"),
    [
        ("term", term("t"), "device_id"),
        ("term_item", term_item("t", "i"), "term_id"),
        ("term_item", term_item("t", "i"), "item_id"),
        ("formula", formula("f", p1="d:t:i"), "device_id"),
    ],
)
def test_a_reference_that_is_no_id_never_dangles(
    registry: Registry, kind: Kind, payload: dict[str, Any], field: str, value: object
) -> None:
    key: Any = ("t", "i") if kind == "term_item" else payload["id"]
    bad = payload | {field: value}
    attempts: list[Callable[[Transaction], object]] = [
        lambda tx: tx.create(kind, bad),
        lambda tx: tx.upsert(kind, bad),
        lambda tx: tx.replace(kind, key, bad),
        lambda tx: tx.merge(kind, key, {field: value}),
        lambda tx: tx.batch_upsert(kind, [bad]),
    ]
    for attempt in attempts:
        transaction = begin(registry)
        with pytest.raises(Invalid) as caught:
            attempt(transaction)
        assert [error.field for error in caught.value.errors] == [field]
        assert transaction.changes == []


def test_a_whole_number_is_an_id(registry: Registry) -> None:
    transaction = begin(registry)
    transaction.create("device", device(7))  # type: ignore[arg-type]
    transaction.create("term", term("n") | {"device_id": 7})
    assert transaction.upsert("device", device(7)) == "unchanged"  # type: ignore[arg-type]
    apply(registry, transaction.changes)
    assert registry.terms["n"].device_id == "7"
    assert transaction.batch_delete("device", [7]) == {"devices": 1, "terms": 1}


def test_a_computation_that_is_abandoned_leaves_nothing(registry: Registry) -> None:
    """Others may run between the steps of a long one; it is cancelled in the middle."""
    transaction = begin(registry)
    before = dict(registry.term_items)
    longest = 0
    for stop_after in range(1, 40):
        steps = transaction.batch_upsert_steps("device", [device("d", byte_order="little"), device("n")])
        taken = 0
        for _ in steps:
            taken += 1
            if taken == stop_after:
                break
        steps.close()
        longest = max(longest, taken)
        if taken < stop_after:
            break
        assert transaction.changes == []
        assert registry.term_items == before
    assert longest > 4  # several for one device: its points are looked at one by one
    assert {change.key for change in transaction.changes} == {"d", "n"}


def test_merge_changes_the_named_fields_only(registry: Registry) -> None:
    transaction = begin(registry)
    transaction.merge("device", "d", {"port": "502", "timeout": 3})
    made = transaction.merge("device", "d", {"timeout": None})
    assert (made.port, made.timeout, made.name) == (502, 1.0, "d")  # type: ignore[attr-defined]
    assert len(transaction.changes) == 1


def test_a_change_that_changes_nothing_is_none(registry: Registry) -> None:
    transaction = begin(registry)
    transaction.replace("device", "d", device("d"))
    transaction.merge("term", "t", {"name": "other"})
    transaction.merge("term", "t", {"name": "t"})
    transaction.delete("formula", "f")
    transaction.create("formula", formula("f", "d:t:j", p1="d:t:i"))
    assert transaction.upsert("item", item("i")) == "unchanged"
    assert transaction.changes == []


def test_renaming_a_device_takes_everything_along(registry: Registry) -> None:
    transaction = begin(registry)
    transaction.replace("device", "d", device("d2"))
    changes = {(change.kind, change.key): change for change in transaction.changes}
    assert changes["device", "d"].new is None
    assert changes["device", "d2"].renamed_from == "d"
    assert transaction.data[-1] == DeviceMove("d", "d2")
    assert set(transaction.data[:-1]) == {
        DataMove(PointId("d", "t", "i"), PointId("d2", "t", "i")),
        DataMove(PointId("d", "t", "j"), PointId("d2", "t", "j")),
    }
    apply(registry, transaction.changes)
    assert registry.terms["t"].device_id == "d2"
    assert registry.formulas["f"].params == {"p1": "d2:t:i"}
    assert str(registry.formulas["f"].target) == "d2:t:j"
    assert transaction.counts == {}


def test_moving_a_point_to_another_term(registry: Registry) -> None:
    transaction = begin(registry)
    transaction.create("term", term("u", "d", address=5))
    transaction.merge("term_item", ("t", "i"), {"term_id": "u"})
    assert transaction.data == [DataMove(PointId("d", "t", "i"), PointId("d", "u", "i"))]
    apply(registry, transaction.changes)
    assert set(registry.term_items) == {("u", "i"), ("t", "j")}
    assert registry.formulas["f"].params == {"p1": "d:u:i"}


def test_deleting_takes_what_depends_on_it(registry: Registry) -> None:
    transaction = begin(registry)
    transaction.delete("device", "d")
    assert transaction.counts == {"devices": 1, "terms": 1, "term_items": 2, "formulas": 1}
    assert {op for op in transaction.data if isinstance(op, DataDrop)} == {
        DataDrop(PointId("d", "t", "i")),
        DataDrop(PointId("d", "t", "j")),
    }
    assert transaction.data[-1] == DeviceDrop("d")
    apply(registry, transaction.changes)
    assert set(registry.devices) == {"e"}
    assert not registry.terms
    assert not registry.term_items
    assert not registry.formulas
    assert set(registry.items) == {"i", "j"}


def test_another_protocol_checks_the_children(registry: Registry) -> None:
    transaction = begin(registry)
    with pytest.raises(Invalid) as caught:
        transaction.merge("device", "d", {"protocol": "plain", "timeout": None, "byte_order": None})
    assert {error.field for error in caught.value.errors} >= {"term_item t:j bit"}
    assert transaction.changes == []


def test_moving_a_term_to_another_protocol_gives_its_points_their_new_type(registry: Registry) -> None:
    setup = begin(registry)
    setup.create("term", term("p", "e"))
    setup.create("term_item", term_item("p", "i", protocol_code="9"))
    apply(registry, setup.changes)
    transaction = begin(registry)
    transaction.merge("term", "p", {"device_id": "d"})
    apply(registry, transaction.changes)
    assert type(registry.term_items["p", "i"]) is WireItem
    bad = begin(registry)
    bad.merge("term_item", ("t", "i"), {"protocol_code": "4"})
    bad.merge("term", "p", {"address": 7})
    with pytest.raises(Conflict, match="address 9 of unit 7 is already used by term item p:i"):
        (
            bad.batch_upsert("term", [term("q", "d", address=7)]),
            bad.create("term_item", term_item("q", "i", protocol_code=9)),
        )


def test_a_batch_names_every_bad_element_and_does_nothing(registry: Registry) -> None:
    transaction = begin(registry)
    rows = [
        term_item("t", "i", protocol_code="7"),
        term_item("t", "j", protocol_code="7"),
        term_item("x", "j"),
        term_item("t", "j"),
        {"term_id": "t", "item_id": [], "bit": 99},
        "no object",
        term_item("t", "i", protocol_code="13"),
    ]
    with pytest.raises(Invalid) as caught:
        transaction.batch_upsert("term_item", rows)
    assert [(error.index, error.field) for error in caught.value.errors] == [
        (1, "protocol_code"),
        (2, "term_id"),
        (3, "item_id"),
        (4, "item_id"),
        (4, "bit"),
        (5, "term_item"),
        (6, "protocol_code"),
    ]
    assert transaction.changes == []


def test_a_batch_may_swap_addresses(registry: Registry) -> None:
    transaction = begin(registry)
    rows = [term_item("t", "i", protocol_code="2"), term_item("t", "j", protocol_code="1", bit=3)]
    assert transaction.batch_upsert("term_item", rows) == {"created": 0, "updated": 2, "unchanged": 0}
    assert transaction.batch_upsert("term_item", rows) == {"created": 0, "updated": 0, "unchanged": 2}


def test_deleting_a_batch(registry: Registry) -> None:
    transaction = begin(registry)
    with pytest.raises(Invalid) as caught:
        transaction.batch_delete(
            "term_item", [{"term_id": "t", "item_id": "i"}, ["t", "i"], ["t", "x"], "t:i", {}]
        )
    assert [error.index for error in caught.value.errors] == [1, 2, 3, 4]
    assert transaction.counts == {}
    assert transaction.batch_delete("item", ["i"]) == {"items": 1, "term_items": 1, "formulas": 1}


def test_ten_thousand_objects_take_linear_time(registry: Registry) -> None:
    """Counted, not timed: the driver is asked a bounded number of times per point."""
    asked = 0
    plain = SCHEMAS.address

    def counted(*args: Any) -> Any:
        nonlocal asked
        asked += 1
        return plain(*args)

    own = schemas()
    own.address = counted  # type: ignore[method-assign]
    transaction = Transaction(registry, own)
    transaction.batch_upsert("item", [item(f"n{n}") for n in range(2000)])
    transaction.batch_upsert("term_item", [term_item("t", f"n{n}", protocol_code=f"c{n}") for n in range(2000)])
    assert asked < 5 * 2000


def test_find_says_what_is_missing(registry: Registry) -> None:
    assert find(registry, "term_item", ("t", "i")) is registry.term_items["t", "i"]
    assert find(registry, "device", "d") is registry.devices["d"]
    with pytest.raises(NotFound, match="item_id not found! x"):
        find(registry, "term_item", ("t", "x"))


def test_merge_patch_is_rfc_7396() -> None:
    """The example of section 3."""
    target = {
        "title": "Goodbye!",
        "author": {"givenName": "John", "familyName": "Doe"},
        "tags": ["example", "sample"],
        "content": "This will be unchanged",
    }
    patch = {
        "title": "Hello!",
        "phoneNumber": "+01-123-456-7890",
        "author": {"familyName": None},
        "tags": ["example"],
    }
    assert merge_patch(target, patch) == {
        "title": "Hello!",
        "author": {"givenName": "John"},
        "tags": ["example"],
        "content": "This will be unchanged",
        "phoneNumber": "+01-123-456-7890",
    }
