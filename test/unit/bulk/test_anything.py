"""Whatever is sent: it is read or refused with a reason, and what is read gives faults, never a failure."""

from __future__ import annotations

from typing import Any

from hypothesis import given, settings
from hypothesis import strategies as st

from pydatacoll.bulk.document import Malformed
from pydatacoll.bulk.summary import faults_of, summary, wire_faults
from pydatacoll.bulk.write import SECTIONS, Format
from pydatacoll.codec import json
from pydatacoll.model.steps import finish
from test.unit.bulk.conftest import Bench

FORMATS = st.sampled_from(["json", "yaml", "csv"])
PIECES = [
    "{",
    "}",
    "[",
    "]",
    '"',
    ":",
    ",",
    "- ",
    "\n",
    "\r",
    ";",
    "\t",
    "'",
    "&a ",
    "*a ",
    "!!x ",
    "|",
    ">",
    "%",
    "\x00",
]
PIECES += [
    "devices",
    "term_items",
    "device_id",
    "term_id",
    "item_id",
    "id",
    "protocol",
    "toy",
    "sep=",
    "1e400",
    "\ufeff",
]
SNIPPETS = st.lists(st.sampled_from(PIECES) | st.text(max_size=3), max_size=20).map("".join)

SCALARS = st.one_of(
    st.none(), st.booleans(), st.integers(), st.floats(allow_nan=False, allow_infinity=False), st.text(max_size=5)
)
VALUES = st.recursive(
    SCALARS | st.sampled_from(["a", "b", "toy", "modbus_tcp", "a:a:a", "hr:1"]),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=3), inner, max_size=3),
    max_leaves=4,
)
NAMES = [
    "id",
    "name",
    "protocol",
    "device_id",
    "term_id",
    "item_id",
    "port",
    "ip",
    "formula",
    "p0",
    "params",
    "address",
]
NAMES += ["protocol_code", "coefficient", "unit", "status"]
OBJECTS = st.dictionaries(st.sampled_from(NAMES), VALUES, max_size=6) | VALUES
DOCUMENTS = st.dictionaries(st.sampled_from([*SECTIONS, "pydatacoll"]), st.lists(OBJECTS, max_size=4) | VALUES)


def bring(bench: Bench, how: Format, raw: bytes, *, replace: bool) -> None:
    """What the server does with a dry run."""
    try:
        document, loaded, transaction = bench.load(how, raw, replace=replace)
    except Malformed:
        return
    faults = finish(faults_of(document, loaded))
    json.encode(finish(wire_faults(document, faults)))
    answer = finish(summary(loaded, transaction.changes, 10))
    json.encode(answer)
    assert all(count >= 0 for counts in answer["counts"].values() for count in counts.values())
    finish(loaded.let_go())
    transaction.rollback()
    assert transaction.changes == []


@given(how=FORMATS, raw=st.binary(max_size=60) | SNIPPETS.map(lambda text: text.encode(errors="replace")))
@settings(max_examples=400, deadline=None)
def test_any_bytes(how: Format, raw: bytes) -> None:
    bring(Bench(), how, raw, replace=False)


@given(model=DOCUMENTS, replace=st.booleans())
@settings(max_examples=400, deadline=None)
def test_any_document(model: dict[str, Any], replace: bool) -> None:
    bench = Bench()
    bench.bring(
        "json", b'{"devices": [{"id": "a", "name": "x", "protocol": "toy"}], "items": [{"id": "a", "name": "x"}]}'
    )
    bench.bring("json", b'{"terms": [{"id": "a", "name": "x", "device_id": "a"}]}')
    bench.bring("json", b'{"term_items": [{"term_id": "a", "item_id": "a", "unit": "V"}]}')
    for how in ("json", "yaml"):
        bring(bench, how, json.encode(model), replace=replace)  # type: ignore[arg-type]


@given(
    header=st.lists(st.sampled_from([*Bench().columns.by_name, "p0", "x", ""]), max_size=8),
    rows=st.lists(
        st.lists(st.sampled_from(["", "a", "b", "toy", "'", "'=", "1,5", "a:a:a", "hr:1", " "]), max_size=9)
    ),
    replace=st.booleans(),
)
@settings(max_examples=400, deadline=None)
def test_any_table(header: list[str], rows: list[list[str]], replace: bool) -> None:
    bench = Bench()
    bench.bring(
        "json", b'{"devices": [{"id": "a", "name": "x", "protocol": "toy"}], "items": [{"id": "a", "name": "x"}]}'
    )
    bench.bring("json", b'{"terms": [{"id": "a", "name": "x", "device_id": "a"}]}')
    table = "\n".join(";".join(row) for row in [header, *rows])
    bring(bench, "csv", table.encode(), replace=replace)
