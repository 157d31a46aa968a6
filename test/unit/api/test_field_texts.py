"""The web pages' Chinese texts of form fields, against the schemas that the forms are made from."""

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
from pydatacoll.model.validation import Schemas

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
