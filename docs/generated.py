"""The parts of the reference that are made from the code, as reStructuredText, and their directive.

``.. generated:: NAME`` puts the text of one of :data:`PARTS` in its place.
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Iterable, Sequence
from inspect import cleandoc as inspect_doc
from pathlib import Path
from typing import Any, ClassVar

import click
from docutils import nodes
from docutils.parsers.rst import Directive
from docutils.statemachine import StringList
from msgspec import NODEFAULT, Struct, inspect
from sphinx.application import Sphinx
from sphinx.util.nodes import nested_parse_with_titles

from pydatacoll import api_server, cli, device_manager, plugin_runner
from pydatacoll.api.app import all_operations
from pydatacoll.api.problems import KINDS
from pydatacoll.api.stats import HttpStats, command_families
from pydatacoll.archive.config import ArchiveConfig
from pydatacoll.archive.sql_template import SAVE_NAMES, WARN_NAMES
from pydatacoll.bulk.columns import Columns
from pydatacoll.cli import failures
from pydatacoll.config_text import expected, reference
from pydatacoll.manager import metrics
from pydatacoll.model import Device, Formula, Item, Term, TermItem
from pydatacoll.model.registry import Registry
from pydatacoll.model.validation import Schemas
from pydatacoll.protocols.formula import FormulaDriver
from pydatacoll.protocols.iec104 import Iec104Driver
from pydatacoll.protocols.iec104.asdu import CAUSES
from pydatacoll.protocols.iec104.config import Iec104Device, Iec104Term, Iec104TermItem
from pydatacoll.protocols.iec104.parameters import Parameters
from pydatacoll.protocols.iec104.types import TYPES, Direction
from pydatacoll.protocols.modbus_tcp import ModbusDevice, ModbusTcpDriver, ModbusTerm, ModbusTermItem
from pydatacoll.store.keys import DOCUMENTATION

PERFORMANCE = Path(__file__).parent / "performance.json"


def table(head: Sequence[str], rows: Iterable[Sequence[str]], widths: Sequence[int]) -> str:
    """A ``list-table``."""
    lines = [".. list-table::", "   :header-rows: 1", f"   :widths: {' '.join(map(str, widths))}", ""]
    for row in (head, *rows):
        lines += [f"   {'* -' if n == 0 else '  -'} {cell}".rstrip() for n, cell in enumerate(row)]
    return "\n".join(lines) + "\n"


def literal(text: str) -> str:
    return f"``{text}``" if text else ""


def escape(text: str) -> str:
    """Plain text, unless its author has marked it up."""
    return text if "``" in text else text.replace("\\", "\\\\").replace("*", "\\*").replace("|", "\\|")


# Model objects


MEANINGS = {
    "device_id": "the device it belongs to",
    "term_id": "the term of the point",
    "item_id": "the kind of quantity",
    "do_verify": "a rule; when it is false that is an alarm. See :doc:`expression`",
    "params": "``p0``, ``p1``, ... on the wire, each ``device:term:item``",
}
"""What a field is for, where its own description does not tell it or cannot link to a page."""


def _described(of: inspect.Type) -> tuple[str, str]:
    """Type in words, and the description that its author gave."""
    text = ""
    while isinstance(of, inspect.Metadata):
        text = str((of.extra_json_schema or {}).get("description", text))
        of = of.type
    if isinstance(of, inspect.UnionType):
        for inner in of.types:
            text = text or _described(inner)[1]
    takes = re.sub(r" matching \^.*?\\Z(?!\))", "", expected(of))  # the meaning says it in words
    return takes, text


def fields(of: type[Struct], base: type[Struct] | None = None) -> str:
    """Table of a type's fields; with ``base``, of those that are not the same there."""
    info = inspect.type_info(of)
    assert isinstance(info, inspect.StructType)  # noqa: S101 - by the signature
    known = {} if base is None else {entry.name: entry.type for entry in inspect.type_info(base).fields}  # type: ignore[attr-defined]
    rows = []
    for entry in info.fields:
        if known.get(entry.name) == entry.type:
            continue
        takes, text = _described(entry.type)
        default = "required" if entry.required else ""
        if entry.default is not NODEFAULT and entry.default is not None:
            default = literal(json.dumps(entry.default))
        meaning = MEANINGS.get(entry.name, text)
        rows.append((literal(entry.name), escape(takes), default, escape(meaning)))
    return table(("field", "takes", "default", "meaning"), rows, (18, 26, 16, 40))


# IEC 60870-5-104: the tables of its interoperability, from the tables that the code works with

_ANSWERED = frozenset({104, 105, 106, 107})
"""Types in control direction that only the simulated station takes."""
_WITHOUT_MEANING = frozenset({13, 14, 15, 16})
"""Causes of file transfer and of authentication."""


def iec104_types(*directions: Direction) -> str:
    """Type identifications: mark, number, name, meaning."""
    marks = {Direction.MONITOR: "X", Direction.CONTROL: "X"}
    rows = [
        (
            "R" if number in _ANSWERED else marks.get(info.direction, ""),
            str(number),
            literal(info.name),
            info.text,
        )
        for number, info in sorted(TYPES.items())
        if info.direction in directions
    ]
    return table(("mark", "type", "name", "meaning"), rows, (8, 8, 20, 64))


def iec104_causes() -> str:
    """Causes of transmission."""
    rows = [("" if number in _WITHOUT_MEANING else "X", str(number), text) for number, text in CAUSES.items()]
    return table(("mark", "cause", "meaning"), rows, (8, 8, 84))


def iec104_parameters() -> str:
    """k, w and the time-outs: the defaults of the standard and ours, and the range."""
    standard = Parameters()
    ours = {entry.name: entry for entry in inspect.type_info(Iec104Device).fields}  # type: ignore[attr-defined]
    rows = []
    for name in Parameters.__struct_fields__:
        _, text = _described(ours[name].type)
        takes = expected(ours[name].type)
        rows.append(("X", literal(name), text, f"{getattr(standard, name):g}", f"{ours[name].default:g}", takes))
    return table(("mark", "parameter", "meaning", "standard", "default", "takes"), rows, (6, 12, 42, 10, 10, 20))


def settings() -> str:
    """Every setting."""
    rows = [
        (literal(doc.name), escape(doc.type), literal(doc.default), escape(doc.meaning)) for doc in reference()
    ]
    return table(("setting", "takes", "default", "meaning"), rows, (22, 22, 16, 40))


def archive_settings() -> str:
    """The settings of the archive."""
    docs = reference(ArchiveConfig, "plugin.db_saver.")
    rows = [(literal(doc.name), escape(doc.type), literal(doc.default), escape(doc.meaning)) for doc in docs]
    return table(("setting", "takes", "default", "meaning"), rows, (22, 22, 16, 40))


def archive_placeholders() -> str:
    """What users' own statements may ask for."""
    rows = [
        (literal(f":{name}"), "both" if name in SAVE_NAMES else literal("db_warn_sql"), text)
        for name, text in WARN_NAMES.items()
    ]
    return table(("placeholder", "in", "meaning"), rows, (22, 18, 60))


def table_columns() -> str:
    """The columns of the table, with the drivers that come along."""
    protocols = {driver.name: driver for driver in (ModbusTcpDriver, Iec104Driver, FormulaDriver)}
    words = {"term_item": "point"}
    rows = [
        (literal(column.name), words.get(column.kind, column.kind), literal(column.field))
        for column in Columns(Schemas(protocols)).by_name.values()
    ]
    rows.append((f"{literal('p0')}, {literal('p1')}, ...", "formula", "a parameter"))
    return table(("column", "of", "field"), rows, (34, 16, 34))


# REST


def routes() -> str:
    """One table per tag."""
    parts = []
    tags: dict[str, list[Any]] = {}
    for operation in all_operations():
        tags.setdefault(operation.tag, []).append(operation)
    for tag, operations in tags.items():
        rows = []
        for operation in operations:
            text = operation.summary
            if operation.query:
                text += ". Query: " + ", ".join(literal(query.name) for query in operation.query)
            rows.append((operation.method, literal(operation.path), operation.needs, text))
        parts.append(f".. rubric:: {tag.replace('_', ' ').capitalize()}\n\n")
        parts.append(table(("method", "path", "scope", "what it does"), rows, (10, 42, 10, 38)))
    return "\n".join(parts)


def problems() -> str:
    """The kinds of problem."""
    rows = [
        (str(kind.status), literal(kind.uri), kind.title, escape(kind.meaning))
        for kind in sorted(KINDS.values(), key=lambda kind: kind.status)
        if kind.status
    ]
    return table(("status", "``type``", "``title``", "meaning"), rows, (8, 34, 22, 44))


# Redis, metrics, command line, performance


def redis_keys() -> str:
    """Every key and channel."""
    rows = [(literal(key), escape(text)) for key, text in DOCUMENTATION.items()]
    return table(("key or channel", "meaning"), rows, (42, 58))


def metric_names() -> list[tuple[str, str, str]]:
    """``(name, labels, meaning)`` of every family of ours, from the code that makes them."""

    class NoRepository:
        registry = Registry()

    maker = metrics.Metrics(
        NoRepository(),  # type: ignore[arg-type]
        None,  # type: ignore[arg-type] - nothing runs while the documentation is made
        None,  # type: ignore[arg-type]
        more=lambda: [*HttpStats().families(), *command_families({})],
    )
    found = []
    for family in maker.catalogue():
        name = family.name + ("_total" if family.type == "counter" else "")
        labels = ", ".join(getattr(family, "_labelnames", ()))
        found.append((name, labels, family.documentation))
    return found


def metric_table() -> str:
    """The metrics."""
    rows = [(literal(name), labels, escape(text)) for name, labels, text in metric_names()]
    return table(("metric", "labels", "meaning"), rows, (40, 18, 42))


def _commands(command: click.Command, name: str) -> Iterable[tuple[str, click.Command]]:
    """A command, or those of a group, by the name under which it is called."""
    if not isinstance(command, click.Group):
        yield name, command
        return
    for one in sorted(command.commands):
        yield from _commands(command.commands[one], f"{name} {one}")


def _option(parameter: click.Option) -> tuple[str, str]:
    names = ", ".join(literal(name) for name in parameter.opts)
    notes = []
    if parameter.show_default:
        notes.append(f"default {literal(str(parameter.default))}")
    if parameter.show_envvar:
        notes.append(f"environment {literal(str(parameter.envvar))}")
    return names, escape(parameter.help or "") + (f" ({'; '.join(notes)})" if notes else "")


def _usage(command: click.Command, name: str) -> str:
    context = click.Context(command, info_name=name)
    return " ".join([name, *command.collect_usage_pieces(context)])


def command_line() -> str:
    """Options of every command."""
    main = cli.main
    commands: list[tuple[str, click.Command]] = [
        ("python -m pydatacoll.api_server", api_server.main),
        ("python -m pydatacoll.device_manager", device_manager.main),
        ("python -m pydatacoll.plugin_runner", plugin_runner.main),
        *_commands(main, "pydatacoll"),
    ]
    parts = []
    for name, command in commands:
        parts.append(f"``{name}``\n{'~' * (len(name) + 4)}\n\n{_paragraphs(command.help or '')}\n")
        if name.startswith("pydatacoll ") and name != "pydatacoll serve":
            parts.append(f".. code-block:: text\n\n   {_usage(command, name)}\n")
        rows = [
            _option(parameter)
            for parameter in command.params
            if isinstance(parameter, click.Option) and not parameter.hidden
        ]
        if name == "python -m pydatacoll.plugin_runner":
            rows.append((literal("NAME"), "name of the plugin"))
        if rows:
            parts.append(table(("option", "meaning"), rows, (25, 75)))
    return "\n".join(parts)


def _paragraphs(text: str) -> str:
    """Help of a command: what click must not wrap is an example."""
    parts = []
    for part in inspect_doc(text).split("\n\n"):
        if part.startswith("\b\n"):
            lines = "\n".join(f"   {line}" for line in part[2:].splitlines())
            parts.append(f".. code-block:: text\n\n{lines}")
        else:
            parts.append(escape(part))
    return "\n\n".join(parts) + "\n"


def session_options() -> str:
    """Options that every command takes which talks to a server."""
    rows = [_option(one) for one in cli.main.params if isinstance(one, click.Option)]
    return table(("option", "meaning"), rows, (25, 75))


def exit_codes() -> str:
    """How commands end."""
    rows = [(str(code), escape(meaning)) for code, meaning in failures.EXIT_CODES.items()]
    return table(("exit code", "meaning"), rows, (15, 85))


def performance() -> str:
    """The measured figures, or where they come from when none are stored."""
    if not PERFORMANCE.exists():
        return "No figures are stored with this documentation; ``make bench`` measures them.\n"
    stored = json.loads(PERFORMANCE.read_text(encoding="utf-8"))
    rows = []
    for row in stored["rows"]:
        notes = ", ".join(f"{name} {value}" for name, value in row.get("notes", {}).items())
        value = escape(row["value"]) + ("" if row["met"] else " (missed)")
        rows.append(
            (escape(row["figure"]), value, escape(row["must"]), escape(row.get("compare", "")), escape(notes))
        )
    head = ("figure", "measured", "must", "compared with", "CPU shares and notes")
    return f"Machine: {escape(stored.get('machine', 'unknown'))}.\n\n" + table(head, rows, (28, 14, 12, 28, 18))


PARTS: dict[str, Callable[[], str]] = {
    "settings": settings,
    "routes": routes,
    "problems": problems,
    "device": lambda: fields(Device),
    "term": lambda: fields(Term),
    "item": lambda: fields(Item),
    "term_item": lambda: fields(TermItem),
    "formula": lambda: fields(Formula),
    "modbus_device": lambda: fields(ModbusDevice, Device),
    "modbus_term": lambda: fields(ModbusTerm, Term),
    "modbus_term_item": lambda: fields(ModbusTermItem, TermItem),
    "iec104_device": lambda: fields(Iec104Device, Device),
    "iec104_term": lambda: fields(Iec104Term, Term),
    "iec104_term_item": lambda: fields(Iec104TermItem, TermItem),
    "iec104_parameters": iec104_parameters,
    "iec104_monitor": lambda: iec104_types(Direction.MONITOR),
    "iec104_control": lambda: iec104_types(Direction.CONTROL),
    "iec104_other": lambda: iec104_types(Direction.PARAMETER, Direction.FILE),
    "iec104_causes": iec104_causes,
    "archive_settings": archive_settings,
    "archive_placeholders": archive_placeholders,
    "table_columns": table_columns,
    "redis_keys": redis_keys,
    "metrics": metric_table,
    "command_line": command_line,
    "session_options": session_options,
    "exit_codes": exit_codes,
    "performance": performance,
}


class Generated(Directive):
    """``.. generated:: NAME``."""

    required_arguments = 1
    option_spec: ClassVar[dict[str, Any]] = {}

    def run(self) -> list[nodes.Node]:
        name = self.arguments[0]
        node = nodes.section()
        node.document = self.state.document
        lines = StringList(PARTS[name]().splitlines(), f"<generated {name}>")
        nested_parse_with_titles(self.state, lines, node)
        environment = self.state.document.settings.env
        environment.note_reread()
        return list(node.children)


def setup(app: Sphinx) -> dict[str, Any]:
    """Called by Sphinx."""
    app.add_directive("generated", Generated)
    return {"parallel_read_safe": True}
