"""Chinese texts of the web pages' forms, against the schemas that the forms are made from, and their refusals."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from importlib import import_module
from pathlib import Path
from typing import Any

import pytest

from pydatacoll.api import openapi
from pydatacoll.discovery import PROTOCOLS, own_entry_points
from pydatacoll.errors import Invalid
from pydatacoll.model import Device, Term, TermItem
from pydatacoll.model.network import Networks
from pydatacoll.model.validation import Kind, Schemas

TEXTS: dict[str, Any] = json.loads(
    (Path(__file__).parents[3] / "web/src/pages/model/fields.zh.json").read_text(encoding="utf-8")
)
FORM = re.compile(r"(Device|Term|TermItem|Item|Formula)(_\w+)?Input")
CHINESE = re.compile(r"[\u4e00-\u9fff]")
REFERENCES = {"device_id", "term_id", "item_id"}
"""Fields that offer the objects there are instead of help."""


def drivers() -> dict[str, Any]:
    """Those that ship with PyDataColl; others are shown as they describe themselves."""
    found = {}
    for entry in own_entry_points(PROTOCOLS):
        module, _, name = entry.value.partition(":")
        found[entry.name] = getattr(import_module(module), name)
    return found


def alternatives(schema: dict[str, Any], schemas: dict[str, Any]) -> Iterator[dict[str, Any]]:
    if "$ref" in schema:
        yield from alternatives(schemas[schema["$ref"].rpartition("/")[2]], schemas)
    elif "anyOf" in schema:
        for one in schema["anyOf"]:
            yield from alternatives(one, schemas)
    yield schema


@pytest.fixture(scope="module")
def fields() -> list[tuple[str, str, str, list[str]]]:
    """Form, field, description and choices of all fields that a person enters."""
    schemas = openapi.build([], Schemas(drivers()))["components"]["schemas"]
    found = []
    for form, schema in schemas.items():
        if not FORM.fullmatch(form):
            continue
        for name, given in schema.get("properties", {}).items():
            if "const" in given:
                continue
            parts = list(alternatives(given, schemas))
            help_text = next((part["description"] for part in parts if "description" in part), "")
            choices = [str(choice) for part in parts for choice in part.get("enum", ())]
            found.append((form, name, help_text, choices))
    return found


def test_the_forms_are_those_of_all_kinds_and_protocols(fields):
    assert {form for form, *_ in fields} >= {
        "Device_modbus_tcpInput", "Device_iec104Input", "Device_formulaInput", "Term_commonInput",
        "TermItem_commonInput", "TermItem_modbus_tcpInput", "TermItem_iec104Input", "ItemInput", "FormulaInput",
    }  # fmt: skip


def test_every_field_says_what_it_is_for(fields):
    assert [(form, name) for form, name, text, _ in fields if not text] == []


def test_every_field_has_a_chinese_label(fields):
    assert sorted({name for _, name, *_ in fields} - set(TEXTS["labels"])) == []


def test_help_is_chinese_word_for_word_of_the_api(fields):
    """A text that was changed there has no translation any more, and one that is not used is left over."""
    said = {text for _, name, text, _ in fields if name not in REFERENCES}
    assert sorted(said - set(TEXTS["help"])) == []
    assert sorted(set(TEXTS["help"]) - said) == []
    assert [text for text in TEXTS["help"].values() if not CHINESE.search(text)] == []


def test_every_choice_has_a_chinese_name(fields):
    offered: dict[str, set[str]] = {}
    for _, name, _, choices in fields:
        if choices:
            offered.setdefault(name, set()).update(choices)
    assert {name: set(known) for name, known in TEXTS["choices"].items()} == offered
    assert [
        text for names in TEXTS["choices"].values() for text in names.values() if not CHINESE.search(text)
    ] == []


FAULTS: dict[str, str] = json.loads(
    (Path(__file__).parents[3] / "web/src/pages/model/faults.zh.json").read_text(encoding="utf-8")
)
PLACE = re.compile(r"\{(\w+)\}")
MODBUS = {"id": "d", "name": "D", "protocol": "modbus_tcp"}
RTU = {**MODBUS, "protocol": "iec104"}
POINT = {"term_id": "t", "item_id": "i"}
BAD: list[tuple[Kind, dict[str, Any]]] = [
    ("item", {"id": "a b"}),
    ("item", {"id": "a", "name": True}),
    ("item", {"id": "a", "name": "\x07"}),
    ("device", {**MODBUS, "ip": "no host", "enabled": "perhaps", "port": "x", "timeout": "x"}),
    ("device", {**MODBUS, "port": 0, "timeout": 0, "word_order": "middle"}),
    ("device", {**MODBUS, "ip": "0.0.0.0"}),
    ("device", {**MODBUS, "ip": "127.1"}),
    ("device", {**MODBUS, "ip": "fd00::g"}),
    ("device", {**MODBUS, "ip": "192.0.2.1"}),
    ("device", {**RTU, "t1": 5, "t2": 9, "tls_ca": "ca.pem"}),
    ("device", {**RTU, "tls": True, "tls_key": "key.pem", "redundant": "127.0.0.1:19998"}),
    ("formula", {"id": "f", "formula": "p1", "device_id": "d", "term_id": "t", "item_id": "i", "p1": "ua"}),
    ("term_item", {**POINT, "coefficient": "NaN"}),
    ("term_item", {**POINT, "coefficient": 0, "min_period": 9, "max_silence": 5}),
    ("term_item", {**POINT, "down_limit": 5, "up_limit": 3}),
    ("term_item", {**POINT, "down_limit": 3, "up_limit": 5, "hysteresis": 3}),
]
"""Objects that are refused when they are read."""
MISFITS: list[tuple[str, dict[str, Any]]] = [
    ("modbus_tcp", {"writable": True}),
    ("modbus_tcp", {"protocol_code": "100"}),
    ("modbus_tcp", {"protocol_code": "x"}),
    ("modbus_tcp", {"protocol_code": "hr:70000"}),
    ("modbus_tcp", {"protocol_code": "4x0"}),
    ("modbus_tcp", {"protocol_code": "co:1", "code_type": "int16", "bit": 1}),
    ("modbus_tcp", {"protocol_code": "ir:1", "code_type": "int16", "bit": 1, "length": 2, "writable": True}),
    ("modbus_tcp", {"protocol_code": "hr:1", "code_type": "string"}),
    ("modbus_tcp", {"protocol_code": "co:1", "coefficient": 2}),
    ("modbus_tcp", {"protocol_code": "hr:65535", "code_type": "float32"}),
    ("modbus_tcp", {"protocol_code": "hr:1", "code_type": "string", "length": 250, "writable": True}),
    ("formula", {"writable": True}),
    ("iec104", {"writable": True}),
    ("iec104", {"protocol_code": "0", "code_type": "999"}),
    ("iec104", {"protocol_code": "1", "writable": True}),
    ("iec104", {"protocol_code": "1", "code_type": "M_EP_TA_1", "writable": True}),
    ("iec104", {"protocol_code": "1", "code_type": "45", "command_type": "46", "writable": True}),
    ("iec104", {"protocol_code": "1", "code_type": "45", "qualifier": 40, "writable": True}),
]
"""Points that are refused because of the protocol of their device."""


def refused() -> Iterator[str]:
    """What the API says about them."""
    schemas = Schemas(drivers(), Networks(["127.0.0.0/8"]))
    for kind, payload in BAD:
        with pytest.raises(Invalid) as caught:
            schemas.parse(kind, payload, "modbus_tcp")
        yield from (error.message for error in caught.value.errors)
    for protocol, fields in MISFITS:
        options = {"max_block": 100} if protocol == "modbus_tcp" else {}
        device = schemas.parse("device", {**MODBUS, "protocol": protocol, **options})
        term = schemas.parse("term", {"id": "t", "name": "T", "device_id": "d"}, protocol)
        item = schemas.parse("term_item", {**POINT, **fields}, protocol)
        assert isinstance(device, Device)
        assert isinstance(term, Term)
        assert isinstance(item, TermItem)
        found = schemas.check(device, term, item)
        assert found, (protocol, fields)
        yield from (error.message for error in found)
    yield "device already exists! d"
    yield "term_id not found! t"


def test_what_forms_are_refused_for_is_said_in_chinese():
    patterns = {
        text: re.compile("(.+?)".join(map(re.escape, PLACE.split(text)[::2])), re.DOTALL) for text in FAULTS
    }
    used: set[str] = set()
    untold = []
    for message in refused():
        found = {text for text, pattern in patterns.items() if pattern.fullmatch(message)}
        used |= found
        if not found:
            untold.append(message)
    assert untold == []
    assert sorted(set(FAULTS) - used) == []
    assert [text for text in FAULTS.values() if not CHINESE.search(text)] == []
    assert [
        text for text, said in FAULTS.items() if not set(PLACE.findall(said)) <= set(PLACE.findall(text))
    ] == []
