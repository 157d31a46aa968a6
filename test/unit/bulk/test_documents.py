"""JSON and YAML documents: what is read, what is refused, and where it says that it is."""

from __future__ import annotations

import pytest

from pydatacoll.bulk.document import Malformed
from pydatacoll.bulk.read import read_json
from pydatacoll.bulk.write import Format
from pydatacoll.codec import json
from pydatacoll.errors import Invalid
from pydatacoll.model.steps import Progress
from pydatacoll.model.transaction import Transaction
from test.unit.bulk.conftest import Bench

DEVICE = '{"id": "d1", "name": "x", "protocol": "formula"}'


@pytest.mark.parametrize(
    ("raw", "message"),
    [
        (b"", "it is empty"),
        (b"  ", "it is empty"),
        (b"{", r"line 1, column 2"),
        (b'{"devices": [', r"line 1, column 14"),
        (b'{"devices": [\n{"id": 1,}]}', r"line 2, column 10"),
        (b'{"devices": []\n"terms": []}', r"expected ',' or '}' \(line 2, column 1\)"),
        (b'{"devices": []} x', r"something follows the end of the document \(line 1, column 17\)"),
        (b'{"devices": [], "devices": []}', "'devices' is repeated"),
        (b"{devices: []}", "expected a name in quotes"),
        (b'{"devices" []}', "expected ':'"),
        (b'{"devices": [{"port": NaN}]}', "NaN is no number"),
        (b'{"devices": [{"port": 01}]}', "line 1"),
        (b'{"devices": [{"port": ' + b"9" * 5000 + b"}]}", "out of range"),
        (b'{"devices": ' + b"[" * 5000 + b"]" * 5000 + b"}", "nested"),
        (b'{"devices": [' + b"[" * 40 + b"]" * 40 + b"]}", "nested"),
        (b'{"devices": [{"id": "\xff"}]}', r"not UTF-8 .* after line 1"),
    ],
)
def test_what_is_no_json_document_is_refused_with_its_place(bench: Bench, raw: bytes, message: str) -> None:
    with pytest.raises(Malformed, match=message):
        bench.read("json", raw)


@pytest.mark.parametrize(
    ("raw", "message"),
    [
        ("", "it is empty"),
        ("devices: [", "line 1|line 2"),
        ("devices:\n\t- id: x", "line 2, column 1"),
        ("a: &x 1", "anchors and aliases"),
        ("a: *x", "anchors and aliases"),
        ("a: !!python/object/apply:os.system [x]", "tags"),
        ("a: 1\na: 2", r"the key 'a' is repeated \(line 2, column 1\)"),
        ("[a]: 2", "a key must be a text"),
        ("---\na: 1\n---\na: 2", "more than one document"),
        ("a: " + "[" * 40 + "]" * 40, "nested"),
        ("a: \x00", "control characters"),
    ],
)
def test_what_is_no_yaml_document_is_refused_with_its_place(bench: Bench, raw: str, message: str) -> None:
    with pytest.raises(Malformed, match=message):
        bench.read("yaml", raw.encode())


@pytest.mark.parametrize("word", ["007", "1e3", "on", "no", "0x1F", "1_000", "12:30", "2026-11-21", "1.10"])
def test_ids_and_names_in_yaml_are_what_stands_there(bench: Bench, word: str) -> None:
    if ":" not in word:
        bench.bring("yaml", f"items:\n- id: {word}\n  name: x\n")
        assert list(bench.registry.items) == [word]
    bench.bring("yaml", f"items:\n- id: x\n  name: {word}\n")
    assert bench.registry.items["x"].name == word


@pytest.mark.parametrize("number", ["1e400", ".nan", ".inf", "-.inf", "abc", "[1]"])
def test_what_is_no_number_in_yaml_is_a_fault_of_its_field(bench: Bench, number: str) -> None:
    raw = f"devices:\n- {{id: d, name: x, protocol: modbus_tcp, timeout: {number}}}\n"
    assert [fault[:2] for fault in bench.faults("yaml", raw)] == [(0, "timeout")]


@pytest.mark.parametrize("how", ["json", "yaml"])  # what is JSON is also YAML
def test_faults_of_form_and_content_are_told_together(bench: Bench, how: Format) -> None:
    raw = (
        f'{{"pydatacoll": 2, "devics": [], "items": {{}}, "devices": [{DEVICE}, 5, {{"id": "d2"}}, {DEVICE}], '
        '"terms": [{"id": "t", "name": "T", "device_id": "d2"}, {"id": "u", "name": 1e400, "device_id": "no"}]}'
    )
    found = bench.faults(how, raw)
    assert sorted(fault[:2] for fault in found) == [
        (0, "devics"),
        (0, "items"),
        (0, "pydatacoll"),
        (1, "device"),
        (1, "device_id"),
        (2, "name"),
        (2, "protocol"),
        (3, "id"),
    ]
    assert "did you mean 'devices'" in dict(fault[1:] for fault in found)["devics"]


@pytest.mark.parametrize(("how", "raw"), [("json", "[]"), ("json", "5"), ("yaml", "- a"), ("yaml", "text")])
def test_another_document_than_a_model(bench: Bench, how: Format, raw: str) -> None:
    assert "expected" in bench.faults(how, raw)[0][2]


def test_what_only_the_server_knows_of_a_device_is_ignored(bench: Bench) -> None:
    bench.bring("json", f'{{"devices": [{DEVICE[:-1]}, "status": "on", "link": null}}]}}')
    assert list(bench.registry.devices) == ["d1"]


def test_a_device_may_change_its_protocol_together_with_its_points(bench: Bench) -> None:
    before = {
        "devices": [{"id": "d", "name": "x", "protocol": "toy"}],
        "terms": [{"id": "t", "name": "x", "device_id": "d"}],
        "items": [{"id": "i", "name": "x"}, {"id": "j", "name": "x"}],
        "term_items": [{"term_id": "t", "item_id": item, "unit": "kV", "protocol_code": "any"} for item in "ij"],
    }
    bench.bring("json", json.encode(before))
    after = {
        "devices": [{"id": "d", "name": "x", "protocol": "modbus_tcp"}],
        "term_items": [{"term_id": "t", "item_id": "i", "protocol_code": "hr:1"}],
    }
    assert bench.faults("json", json.encode(after)) == [
        (0, "term_item t:j unit", "unknown field"),
    ]
    after["term_items"].append({"term_id": "t", "item_id": "j", "protocol_code": "hr:2"})
    changes = bench.bring("json", json.encode(after))
    assert {change.kind for change in changes} == {"device", "term", "term_item"}


def test_a_driver_is_not_asked_about_points_that_do_not_fit_it(bench: Bench) -> None:
    model = {
        "devices": [{"id": "d", "name": "x", "protocol": "toy"}],
        "terms": [{"id": "t", "name": "x", "device_id": "d"}],
        "items": [{"id": "i", "name": "x"}],
        "term_items": [{"term_id": "t", "item_id": "i", "unit": "kV"}],
    }
    bench.bring("json", json.encode(model))
    with pytest.raises(Invalid, match="term_item t:i unit: unknown field"):
        Transaction(bench.registry, bench.schemas).merge("device", "d", {"protocol": "modbus_tcp", "ways": None})


def test_points_may_swap_their_addresses_and_move_to_another_device(bench: Bench) -> None:
    def model(first: str, second: str, device: str) -> bytes:
        return json.encode(
            {
                "devices": [
                    *({"id": key, "name": "x", "protocol": "modbus_tcp"} for key in ("d1", "d2")),
                    {"id": "v", "name": "x", "protocol": "formula"},
                ],
                "terms": [
                    {"id": "t", "name": "x", "device_id": device},
                    {"id": "sums", "name": "x", "device_id": "v"},
                ],
                "items": [{"id": "i", "name": "x"}, {"id": "j", "name": "x"}],
                "term_items": [
                    {"term_id": "t", "item_id": "i", "protocol_code": first},
                    {"term_id": "t", "item_id": "j", "protocol_code": second},
                    {"term_id": "sums", "item_id": "j"},
                ],
                "formulas": [
                    {
                        "id": "f",
                        "formula": "p0",
                        "device_id": "v",
                        "term_id": "sums",
                        "item_id": "j",
                        "p0": f"{device}:t:i",
                    }
                ],
            }
        )

    bench.bring("json", model("hr:1", "hr:2", "d1"))
    assert len(bench.bring("json", model("hr:2", "hr:1", "d1"))) == 2
    changes = bench.bring("json", model("hr:2", "hr:1", "d2"))
    assert sorted(change.kind for change in changes) == ["formula", "term"]
    assert bench.registry.formulas["f"].params == {"p0": "d2:t:i"}


def test_replacing_refuses_what_depends_on_something_that_would_go(bench: Bench) -> None:
    point = {"term_id": "t", "item_id": "i"}
    whole = {
        "devices": [{"id": "d", "name": "x", "protocol": "formula"}],
        "terms": [{"id": "t", "name": "x", "device_id": "d"}],
        "items": [{"id": "i", "name": "x"}],
        "term_items": [point],
        "formulas": [{"id": "f", "formula": "1", "device_id": "d", **point}],
    }
    bench.bring("json", json.encode(whole))
    for missing, expected in {
        "devices": [(0, "device_id")],
        "terms": [(0, "term_id"), (0, "term_id")],
        "items": [(0, "item_id"), (0, "item_id")],
        "term_items": [(0, "item_id")],
    }.items():
        part = {name: objects for name, objects in whole.items() if name != missing}
        found = bench.faults("json", json.encode(part), replace=True)
        assert [fault[:2] for fault in found][: len(expected)] == expected[: len(found)], (missing, found)
        assert found
    bench.bring("json", b"{}", replace=True)
    assert not bench.registry.devices
    assert not bench.registry.items


def test_a_long_document_is_read_in_many_steps(bench: Bench) -> None:
    objects = 2_000
    raw = json.encode({"items": [{"id": f"i{n}", "name": "x"} for n in range(objects)]})
    assert sum(1 for _ in read_json(raw, Progress())) >= objects
