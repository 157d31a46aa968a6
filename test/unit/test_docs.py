"""The reference is complete: what the code has, the documentation names."""

from __future__ import annotations

import importlib.util
import json
import re
import textwrap
import tomllib
from pathlib import Path
from types import ModuleType

import click
import msgspec
import pytest

from pydatacoll import sdk
from pydatacoll.api.app import all_operations
from pydatacoll.api.problems import KINDS
from pydatacoll.config import load_settings
from pydatacoll.config_text import reference
from pydatacoll.discovery import load_file
from pydatacoll.model import Device, Formula, Item, Term, TermItem
from pydatacoll.model.quality import FLAG_NAMES
from pydatacoll.protocols.iec104 import Iec104Device, Iec104Term, Iec104TermItem, commands, exchange, outcomes
from pydatacoll.protocols.iec104.asdu import CAUSES
from pydatacoll.protocols.iec104.events import Cause
from pydatacoll.protocols.iec104.types import TYPES
from pydatacoll.protocols.modbus_tcp import ModbusDevice, ModbusTerm, ModbusTermItem
from pydatacoll.protocols.modbus_tcp.frames import Kind
from pydatacoll.settings import Settings
from pydatacoll.store.keys import DOCUMENTATION

ROOT = Path(__file__).parents[2]
DOCS = ROOT / "docs"
PAGES = [path for path in sorted(DOCS.rglob("*.rst")) if "_build" not in path.parts]


def page(name: str) -> str:
    return (DOCS / name).read_text(encoding="utf-8")


@pytest.fixture(scope="module")
def generated() -> ModuleType:
    """The module that makes parts of the reference."""
    spec = importlib.util.spec_from_file_location("docs_generated", DOCS / "generated.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def test_every_generated_part_is_shown_once(generated: ModuleType) -> None:
    shown = [name for path in PAGES for name in re.findall(r"^\.\. generated:: (\S+)$", path.read_text(), re.M)]
    assert sorted(shown) == sorted(generated.PARTS)


def test_every_setting_is_in_the_reference(generated: ModuleType) -> None:
    text = generated.PARTS["settings"]()
    for setting in reference():
        assert f"``{setting.name}``" in text
        assert setting.meaning, setting.name


def test_every_route_is_in_the_reference(generated: ModuleType) -> None:
    text = generated.PARTS["routes"]()
    for operation in all_operations():
        cells = (operation.method, f"``{operation.path}``", operation.needs, operation.summary)
        assert "   * - " + "\n     - ".join(cells) in text, operation.id
        for query in operation.query:
            assert f"``{query.name}``" in text


def test_every_problem_is_in_the_reference(generated: ModuleType) -> None:
    text = generated.PARTS["problems"]()
    assert all(kind.uri in text for kind in KINDS.values() if kind.status)


def test_every_key_and_channel_is_in_the_reference(generated: ModuleType) -> None:
    text = generated.PARTS["redis_keys"]()
    for key in DOCUMENTATION:
        assert f"``{key}``" in text


@pytest.mark.parametrize(
    ("part", "of", "base"),
    [
        ("device", Device, None),
        ("term", Term, None),
        ("item", Item, None),
        ("term_item", TermItem, None),
        ("formula", Formula, None),
        ("modbus_device", ModbusDevice, Device),
        ("modbus_term", ModbusTerm, Term),
        ("modbus_term_item", ModbusTermItem, TermItem),
        ("iec104_device", Iec104Device, Device),
        ("iec104_term", Iec104Term, Term),
        ("iec104_term_item", Iec104TermItem, TermItem),
    ],
)
def test_every_field_of_the_model_has_a_meaning(
    generated: ModuleType, part: str, of: type[msgspec.Struct], base: type[msgspec.Struct] | None
) -> None:
    text = generated.PARTS[part]()
    inherited = set() if base is None else set(base.__struct_fields__)
    for name in of.__struct_fields__:
        if name not in inherited:
            assert f"``{name}``" in text
    rows = re.findall(r"   \* - .*\n     - .*\n     -.*\n     -(.*)\n", text)
    assert rows
    assert all(meaning.strip() for meaning in rows)


def test_every_metric_has_a_meaning(generated: ModuleType) -> None:
    names = {name for name, _, _ in generated.metric_names()}
    assert {"pydatacoll_samples_dropped_total", "pydatacoll_device_up", "pydatacoll_store_up"} <= names
    assert all(meaning for _, _, meaning in generated.metric_names())
    assert all(f"``{name}``" in generated.PARTS["metrics"]() for name in names)


def test_every_quality_flag_is_explained_with_its_bit() -> None:
    rows = dict(re.findall(r"^``(\w+)``\s+(\d+)\s", page("reference/rest.rst"), re.M))
    assert rows == {name: str(bit) for name, bit in FLAG_NAMES.items()}


def test_every_counter_of_bad_replies_is_explained() -> None:
    text = page("howto/modbus.rst")
    assert all(f"``{kind}``" in text for kind in Kind.__args__)


def test_every_type_and_cause_of_iec_104_is_in_the_reference(generated: ModuleType) -> None:
    names = [name for part in ("monitor", "control", "other") for name in _column(generated, f"iec104_{part}", 2)]
    assert sorted(names) == sorted(f"``{info.name}``" for info in TYPES.values())
    assert _column(generated, "iec104_causes", 1) == [str(cause) for cause in CAUSES]
    assert all(mark == "X" for mark in _column(generated, "iec104_monitor", 0))
    marks, numbers = (_column(generated, "iec104_control", column) for column in (0, 1))
    assert {number for number, mark in zip(numbers, marks, strict=True) if mark == "R"} == {
        "104",
        "105",
        "106",
        "107",
    }
    assert set(marks) == {"X", "R"}
    assert not any(_column(generated, "iec104_other", 0))


def test_every_outcome_and_every_end_of_a_link_of_iec_104_is_explained() -> None:
    text = page("howto/iec104.rst")
    words = {
        value
        for module in (outcomes, exchange, commands)
        for name, value in vars(module).items()
        if name.isupper() and isinstance(value, str) and value.islower() and " " not in value
    }
    assert {"terminated", "select_timeout", "busy"} <= words
    words |= {*outcomes.UNKNOWN.values(), *(f"link_{cause}" for cause in Cause.__args__ if cause != "local")}
    assert [word for word in sorted(words) if f"``{word}``" not in text] == []


def _column(generated: ModuleType, part: str, place: int) -> list[str]:
    rows = re.split(r"^   \* -", generated.PARTS[part](), flags=re.M)[2:]
    return [row.split("\n     -")[place].strip() for row in rows]


def test_every_option_of_a_command_is_in_the_reference(generated: ModuleType) -> None:
    text = generated.PARTS["command_line"]()
    text += generated.PARTS["session_options"]()
    commands = [generated.api_server.main, generated.device_manager.main, generated.cli.main]
    for command in commands:
        if isinstance(command, click.Group):
            commands += command.commands.values()
        for parameter in command.params:
            if isinstance(parameter, click.Option) and not parameter.hidden:
                assert f"``{parameter.opts[0]}``" in text


def test_the_table_of_figures_is_made_from_the_stored_results(
    generated: ModuleType, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    stored = {
        "machine": "a_machine",
        "rows": [
            {"figure": "values/s", "value": "400,000", "must": ">= 300,000", "met": True, "compare": "x 15,000"},
            {"figure": "p99", "value": "20 ms", "must": "<= 15 ms", "met": False, "notes": {"others": "3%"}},
        ],
    }
    monkeypatch.setattr(generated, "PERFORMANCE", tmp_path / "performance.json")
    assert "make bench" in generated.performance()
    (tmp_path / "performance.json").write_text(json.dumps(stored))
    text = generated.performance()
    assert "400,000\n     - >= 300,000\n     - x 15,000" in text
    assert "20 ms (missed)\n     - <= 15 ms" in text
    assert "others 3%" in text


def test_the_examples_can_be_loaded() -> None:
    driver = load_file(DOCS / "examples" / "line_driver.py").LineDriver
    assert (driver.name, driver.device_type.__struct_fields__[-2:]) == ("line", ("timeout", "poll_interval"))
    plugin = load_file(DOCS / "examples" / "csv_writer.py").CsvWriter
    assert (plugin.name, plugin.config_type().items) == ("csv_writer", [])


def blocks(language: str) -> list[str]:
    """All code blocks of a language."""
    pattern = re.compile(rf"^\.\. code-block:: {language}\n\n((?:   .*\n|\n)+)", re.MULTILINE)
    return [
        textwrap.dedent(found) for path in PAGES for found in pattern.findall(path.read_text(encoding="utf-8"))
    ]


def test_settings_files_shown_are_valid(tmp_path: Path) -> None:
    shown = [block for block in blocks("toml") if "[project" not in block]
    assert len(shown) >= 4
    for block in shown:
        file = tmp_path / "shown.toml"
        file.write_text(block)
        assert load_settings(file, {}, {}) != Settings()


def test_objects_shown_are_valid() -> None:
    shown = [json.loads(block) for block in blocks("json")]
    devices = [one for one in shown if "protocol" in one]
    assert devices
    types = {"modbus_tcp": ModbusDevice, "iec104": Iec104Device}
    for device in devices:
        msgspec.convert(device, types[device["protocol"]])


def test_all_that_drivers_and_plugins_import_is_in_the_reference() -> None:
    text = page("reference/sdk.rst")
    assert [name for name in sdk.__all__ if not re.search(rf"\b{name}\b", text)] == []


def test_the_layers_shown_are_those_that_are_checked() -> None:
    """And each of their modules is explained, and each file named exists."""
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))
    checked = next(
        one["layers"] for one in project["tool"]["importlinter"]["contracts"] if one["name"] == "Layers"
    )
    architecture = page("explanation/architecture.rst")
    shown = next(block for block in blocks("text") if block.startswith("cli\n"))
    assert shown.split("\n")[: len(checked)] == checked
    for module in re.findall(r"\w+", " ".join(checked)):
        assert f"``{module}``" in architecture, module
    for name in re.findall(r"``([\w/]+\.py)``", architecture.partition("Where to change what")[2]):
        folders = ("", "protocols/modbus_tcp/", "protocols/iec104/")
        assert any((ROOT / "pydatacoll" / folder / name).exists() for folder in folders), name


def test_pages_name_no_place_of_the_authors_machine() -> None:
    for path in [*PAGES, ROOT / "README.rst", ROOT / "CHANGELOG.rst"]:
        found = re.search(r"(?<![\w.])/(work|root|home|Users|tmp)/\S*", path.read_text(encoding="utf-8"))
        assert found is None, f"{path.name}: {found}"
