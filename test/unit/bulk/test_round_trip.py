"""What is exported can be imported, and is the same then; to the byte, in every format."""

from __future__ import annotations

import csv
import io
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pydatacoll.bulk.columns import mark, unmark
from pydatacoll.bulk.write import Format
from pydatacoll.codec import json
from pydatacoll.model.change import apply
from test.unit.bulk.conftest import Bench

FORMATS: list[Format] = ["json", "yaml", "csv"]

IDS = st.one_of(
    st.sampled_from(["007", "1e3", "on", "null", "true", "-cmd", "1.0", "-1", "0x10", "2026-11-21", ".x", "y"]),
    st.from_regex(r"\A[A-Za-z0-9_.\-]{1,8}\Z"),
).filter(lambda text: text not in (".", ".."))
TRICKY = [
    "=cmd|' /C calc'!A0",
    "@x",
    "+1",
    "-1",
    "'",
    "''",
    "'=x",
    "'s-Hof",
    " x ",
    "",
    "\tx",
    "a,b;c\td",
    'say "hi"',
]
TRICKY += [
    "two\nlines",
    "cr\rlf\r\n",
    "电压 ü 😀",
    "007",
    "1e3",
    "on",
    "null",
    "~",
    "1,5",
    "# no comment",
    ": x",
    "- x",
    "\u2028",
]
TEXTS = st.one_of(st.sampled_from(TRICKY), st.text(st.characters(exclude_categories=["Cs", "Cc"]), max_size=12))
FLOATS = st.floats(allow_nan=False, allow_infinity=False)
LIMITS = st.dictionaries(st.sampled_from(["low", "high"]), FLOATS, max_size=2)


def objects(draw: Any, optional: dict[str, st.SearchStrategy[Any]], **required: Any) -> dict[str, Any]:
    return {**required, **draw(st.fixed_dictionaries({}, optional=optional))}


@st.composite
def models(draw: Any) -> dict[str, list[dict[str, Any]]]:
    """A valid model, as a document."""
    devices, terms, points, formulas = [], [], [], []
    for device_id in draw(st.lists(IDS, unique=True, max_size=4)):
        common = {"identify": TEXTS, "enabled": st.booleans(), "description": TEXTS, "port": st.integers(1, 65535)}
        toy = {"ways": st.lists(TEXTS, max_size=2), "mode": st.one_of(st.integers(-9, 9), TEXTS)}
        protocol = draw(st.sampled_from(["modbus_tcp", "formula", "toy"]))
        modbus = {"timeout": st.floats(0.1, 9), "word_order": st.sampled_from(["big", "little"])}
        optional = common | {"toy": toy, "modbus_tcp": modbus, "formula": {}}[protocol]
        devices.append(objects(draw, optional, id=device_id, name=draw(TEXTS), protocol=protocol))
    items = [
        objects(draw, {"unit": TEXTS, "description": TEXTS, "view_code": TEXTS}, id=item_id, name=draw(TEXTS))
        for item_id in draw(st.lists(IDS, unique=True, max_size=4))
    ]
    for term_id in draw(st.lists(IDS, unique=True, max_size=5)) if devices else ():
        device = draw(st.sampled_from(devices))
        terms.append(
            objects(
                draw, {"protocol": TEXTS, "identify": TEXTS}, id=term_id, name=draw(TEXTS), device_id=device["id"]
            )
        )
        for number, item in enumerate(items):
            if not draw(st.booleans()):
                continue
            optional = {"base_val": FLOATS, "warn_msg": TEXTS, "down_limit": FLOATS, "db_save": st.booleans()}
            if device["protocol"] != "modbus_tcp":
                optional |= {"protocol_code": TEXTS, "code_type": TEXTS}
            if device["protocol"] == "toy":
                optional |= {"unit": TEXTS, "limits": LIMITS}
            point = objects(draw, optional, term_id=term_id, item_id=item["id"])
            if device["protocol"] == "modbus_tcp" and draw(st.booleans()):
                point["protocol_code"] = f"hr:{100 * len(terms) + number}"
            points.append(point)
    devices_of = {term["id"]: term["device_id"] for term in terms}
    paths = [(devices_of[point["term_id"]], point["term_id"], point["item_id"]) for point in points]
    virtual = {device["id"] for device in devices if device["protocol"] == "formula"}
    results = [path for path in paths if path[0] in virtual][:2]
    inputs = [path for path in paths if path not in results]  # so there is no circle
    for result, formula_id in zip(results, draw(st.lists(IDS, unique=True, max_size=2)), strict=False):
        target = dict(zip(("device_id", "term_id", "item_id"), result, strict=True))
        params = {
            f"p{n}": ":".join(draw(st.sampled_from(inputs)))
            for n in (draw(st.sets(st.integers(0, 12), max_size=3)) if inputs else ())
        }
        formulas.append({"id": formula_id, "formula": draw(TEXTS.filter(bool)), **target, **params})
    return {"devices": devices, "terms": terms, "items": items, "term_items": points, "formulas": formulas}


@given(model=models())
@settings(max_examples=150, deadline=None)
def test_a_model_survives_every_format(model: dict[str, Any]) -> None:
    origin = Bench()
    origin.bring("json", json.encode(model))
    for how in FORMATS:
        written = origin.export(how)
        copy = Bench()
        copy.bring(how, written)
        assert copy.registry.devices == origin.registry.devices
        assert copy.registry.terms == origin.registry.terms
        assert copy.registry.items == origin.registry.items
        assert copy.registry.term_items == origin.registry.term_items
        assert copy.registry.formulas == origin.registry.formulas
        for other in FORMATS:
            assert copy.export(other) == origin.export(other)
        for replace in (False, True):
            assert origin.bring(how, written, replace=replace) == []
    for replace in (False, True):
        assert origin.bring("csv", origin.excel(), replace=replace) == []


def test_a_table_for_excel_has_a_mark_and_semicolons(bench: Bench) -> None:
    name = 'Gr\u00f6\u00dfe; "quoted", \u7535\u538b'
    bench.bring("json", json.encode({"devices": [{"id": "d", "name": name, "protocol": "formula"}]}))
    written = bench.excel()
    assert written.startswith(b"\xef\xbb\xbfdevice_id;device_name;protocol;")
    assert (
        written.removeprefix(b"\xef\xbb\xbf")
        .decode()
        .splitlines()[1]
        .startswith(f'd;"{name.replace(chr(34), chr(34) * 2)}";formula;')
    )
    copy = Bench()
    copy.bring("csv", written)
    assert copy.registry.devices == bench.registry.devices
    assert copy.export("csv") == bench.export("csv") != written


@given(text=TEXTS | st.text())
def test_a_marked_cell_is_not_executed_and_gives_its_text_back(text: str) -> None:
    cell = mark(text)
    assert cell
    assert cell[0] not in "=+-@\t\r"
    assert unmark(cell) == text


def test_apostrophes_of_people_stay() -> None:
    assert unmark("'s-Hertogenbosch") == "'s-Hertogenbosch"
    assert unmark(" plain ") == "plain"


@pytest.mark.parametrize("how", FORMATS)
def test_replacing_with_an_export_undoes_what_was_done_since(bench: Bench, how: Format) -> None:
    bench.bring("json", json.encode(SMALL))
    before = bench.export(how)
    other = {
        "devices": [{"id": "more", "name": "m", "protocol": "formula"}],
        "items": [{"id": "ua", "name": "other"}],
    }
    bench.bring("json", json.encode(other))
    assert bench.export(how) != before
    bench.bring(how, before, replace=True)
    assert bench.export(how) == before


SMALL = {
    "devices": [{"id": "d1", "name": "D", "protocol": "modbus_tcp"}, {"id": "d2", "name": "", "protocol": "toy"}],
    "terms": [
        {"id": "t1", "name": "T", "device_id": "d1", "address": 3},
        {"id": "t2", "name": "U", "device_id": "d2"},
    ],
    "items": [{"id": "ua", "name": "A", "unit": "V"}, {"id": "ub", "name": "B"}],
    "term_items": [
        {"term_id": "t1", "item_id": "ua", "protocol_code": "hr:1", "base_val": -5},
        {"term_id": "t2", "item_id": "ua", "unit": "kV"},
    ],
    "formulas": [
        {"id": "f", "formula": "p0 * 2", "device_id": "d2", "term_id": "t2", "item_id": "ua", "p0": "d1:t1:ua"}
    ],
}


def test_the_table_has_one_row_for_a_point_and_rows_for_the_rest(bench: Bench) -> None:
    bench.bring("json", json.encode(SMALL))
    rows = list(csv.DictReader(io.StringIO(bench.export("csv").decode(), newline="")))
    shown = [(row["device_id"], row["term_id"], row["item_id"], row["formula_id"]) for row in rows]
    assert shown == [
        ("d1", "t1", "ua", ""),
        ("d2", "t2", "ua", ""),
        ("", "", "ub", ""),
        ("d2", "t2", "ua", "f"),
    ]
    assert rows[0]["base_val"] == "-5.0"
    assert rows[1]["point_unit"] == "kV"
    assert rows[1]["unit"] == "V"
    assert rows[1]["device_name"] == "'"
    assert rows[3]["p0"] == "d1:t1:ua"
    assert "device_timeout" not in rows[0]
    assert "code_type" in rows[0]


def test_only_some_devices_can_be_written(bench: Bench) -> None:
    bench.bring("json", json.encode(SMALL))
    written = json.decode(bench.export("json", ["d1"]))
    assert [device["id"] for device in written["devices"]] == ["d1"]
    assert [item["id"] for item in written["items"]] == ["ua"]
    assert len(written["term_items"]) == 1
    assert written["formulas"] == []
    assert json.decode(bench.export("json", ["d2"]))["formulas"][0]["id"] == "f"


def test_what_is_written_is_stable_and_short(bench: Bench) -> None:
    bench.bring("json", json.encode(SMALL))
    assert bench.export("yaml").decode().splitlines()[:5] == [
        "pydatacoll: 1",
        "devices:",
        "- id: d1",
        "  name: D",
        "  protocol: modbus_tcp",
    ]
    assert bench.export("json").decode().splitlines()[:3] == [
        '{"pydatacoll": 1,',
        '"devices": [',
        '{"id":"d1","name":"D","protocol":"modbus_tcp"},',
    ]


@given(before=models(), after=models(), how=st.sampled_from(FORMATS))
@settings(max_examples=200, deadline=None)
def test_replacing_makes_any_model_exactly_any_other(before: Any, after: Any, how: Format) -> None:
    wanted, bench = Bench(), Bench()
    wanted.bring("json", json.encode(after))
    bench.bring("json", json.encode(before))
    bench.bring(how, wanted.export(how), replace=True)
    assert bench.export("json") == wanted.export("json")
    for device_id in bench.registry.devices:
        assert sorted(bench.registry.terms_of(device_id)) == sorted(wanted.registry.terms_of(device_id))


@given(before=models(), after=models())
@settings(max_examples=100, deadline=None)
def test_merging_keeps_the_rest_and_gives_what_the_document_says(before: Any, after: Any) -> None:
    wanted, bench = Bench(), Bench()
    wanted.bring("json", json.encode(after))
    bench.bring("json", json.encode(before))
    old = {name: dict(getattr(bench.registry, name)) for name in ("devices", "items")}
    document, loaded, transaction = bench.load("json", wanted.export("json"))
    assert document.faults == []
    if loaded.faults:  # what only the model has may not fit what the document says
        return
    apply(bench.registry, transaction.changes)
    for name, untouched in old.items():
        expected = {**untouched, **getattr(wanted.registry, name)}
        assert getattr(bench.registry, name) == expected
    for name in ("terms", "term_items", "formulas"):
        assert getattr(bench.registry, name).items() >= getattr(wanted.registry, name).items()
