"""Loads the settings: option > environment > file > default. Every error is found before anything is opened.

The environment names a setting in capitals, tables joined by two underscores: ``PYDATACOLL_SERVER__PORT=9000``,
``PYDATACOLL_DATA_DIR=/srv/pydatacoll``; lists are separated by commas.
"""

from __future__ import annotations

import difflib
import math
import re
import tomllib
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, TypeVar

import msgspec
from msgspec import inspect

from pydatacoll.config_check import cautions, mistakes
from pydatacoll.config_text import effective, expected, known_secrets, reference, reference_rst, scrub
from pydatacoll.errors import ConfigError
from pydatacoll.settings import Settings

__all__ = [
    "ENV_PREFIX",
    "cautions",
    "effective",
    "known_secrets",
    "load_settings",
    "locate",
    "plugin_settings",
    "reference",
    "reference_rst",
    "scrub",
]

ENV_PREFIX = "PYDATACOLL_"

CLIENT_VARIABLES = frozenset(f"{ENV_PREFIX}{name}" for name in ("URL", "TOKEN", "TOKEN_FILE", "CA"))
"""Variables of the command line as a client of a server; they are no settings of one."""

Path_ = tuple[str | int, ...]
"""Place of a value: names of tables and of the setting, and indexes of arrays of tables."""
T = TypeVar("T", bound=msgspec.Struct)
_MISSING = object()


def dotted(path: Path_) -> str:
    """``("auth", "tokens", 0, "hash")`` -> ``auth.tokens[0].hash``."""
    text = "".join(f"[{part}]" if isinstance(part, int) else f".{part}" for part in path)
    return text.removeprefix(".")


def plain(of: inspect.Type) -> inspect.Type:
    """A type without its description."""
    while isinstance(of, inspect.Metadata):
        of = of.type
    return of


def setting_names(of: inspect.Type, prefix: Path_ = ()) -> Iterator[str]:
    """Dotted names of all settings below a table."""
    of = plain(of)
    if isinstance(of, inspect.StructType):
        for entry in of.fields:
            yield from setting_names(entry.type, (*prefix, entry.encode_name))
    else:
        yield dotted(prefix)


def statement_lines(text: str) -> dict[Path_, int]:
    """First line of every table header and key of a valid TOML text.

    TOML is a sequence of statements that end with a line, so lines are gathered until they parse by themselves.
    """
    lines: dict[Path_, int] = {}
    table: Path_ = ()
    counts: dict[Path_, int] = {}
    chunk, start = "", 1
    for number, line in enumerate(text.split("\n"), 1):
        chunk += line + "\n"
        try:
            parsed = tomllib.loads(chunk)
        except tomllib.TOMLDecodeError:
            continue
        if chunk.lstrip().startswith("["):
            table = ()
            inner: Any = parsed
            while inner:
                key, inner = next(iter(inner.items()))
                table = (*table, key)
                if isinstance(inner, list):
                    counts[table] = counts.get(table, -1) + 1
                    inner = inner[0]
                if table in counts:
                    table = (*table, counts[table])
            lines.setdefault(table, start)
        else:
            for path in _paths(parsed, table):
                lines.setdefault(path, start)
        chunk, start = "", number + 1
    return lines


def _paths(value: Any, prefix: Path_) -> Iterator[Path_]:
    if isinstance(value, dict):
        for key, inner in value.items():
            yield (*prefix, key)
            yield from _paths(inner, (*prefix, key))
    elif isinstance(value, list):
        for index, inner in enumerate(value):
            yield from _paths(inner, (*prefix, index))


@dataclass(slots=True)
class Source:
    """Where a tree of values comes from.

    :ivar text: values are text, as in the environment, and not typed, as in a file.
    """

    text: bool
    errors: list[str] = field(default_factory=list)

    def place(self, path: Path_) -> str:
        """How an error message begins."""
        return f"{dotted(path)} (given as an option)"

    def fail(self, path: Path_, message: str) -> None:
        self.errors.append(f"{self.place(path)}: {message}")


@dataclass(slots=True)
class FileSource(Source):
    """A TOML file."""

    file: Path = Path()
    lines: dict[Path_, int] = field(default_factory=dict)

    def place(self, path: Path_) -> str:
        at = path
        while at and at not in self.lines:
            at = at[:-1]
        line = f":{self.lines[at]}" if at else ""
        return f"{self.file}{line}: {dotted(path)}"


@dataclass(slots=True)
class EnvironmentSource(Source):
    """The process environment."""

    def place(self, path: Path_) -> str:
        return ENV_PREFIX + "__".join(str(part).upper() for part in path)


def check(value: Any, of: inspect.Type, source: Source, path: Path_, raw: Any) -> Any:
    """Convert what a source says of a setting or table, noting everything that is wrong.

    :param of: the type as msgspec describes it; ``raw`` is the annotation, which converts it.
    :returns: plain tables of converted values, or ``_MISSING`` for a value in error.
    """
    of = plain(of)
    if isinstance(of, inspect.StructType):
        return _check_table(value, of, source, path)
    if isinstance(of, inspect.ListType) and isinstance(inner := plain(of.item_type), inspect.StructType):
        if source.text or not isinstance(value, list):
            source.fail(path, "expected an array of tables ([[...]]) in the settings file")
            return _MISSING
        return [_check_table(entry, inner, source, (*path, index)) for index, entry in enumerate(value)]
    if source.text and isinstance(value, str):
        if isinstance(of, inspect.ListType):
            value = [part for part in (part.strip() for part in value.split(",")) if part]
        elif isinstance(of, inspect.BoolType):
            value = {"yes": "true", "on": "true", "no": "false", "off": "false"}.get(value.lower(), value.lower())
    try:
        converted = msgspec.convert(value, raw, strict=not source.text)
    except msgspec.ValidationError:
        source.fail(path, f"expected {expected(of)}, got {_shown(value, path)}")
        return _MISSING
    if isinstance(converted, float) and not math.isfinite(converted):
        source.fail(path, f"expected {expected(of)}, got {value}")
        return _MISSING
    return converted


def _shown(value: Any, path: Path_) -> str:
    """The value in error; not the one of a secret."""
    text = (
        effective({str(path[-1]): value}).partition("=")[2].strip() if not isinstance(value, dict) else "a table"
    )
    return text if len(text) <= 60 else text[:57] + "..."


def _check_table(value: Any, of: inspect.StructType, source: Source, path: Path_) -> Any:
    if not isinstance(value, dict):
        source.fail(path, "expected a table")
        return _MISSING
    known = {entry.encode_name: entry for entry in of.fields}
    hints = msgspec.structs.fields(of.cls)
    annotations = {hint.encode_name: hint.type for hint in hints}
    found: dict[str, Any] = {}
    for key, inner in value.items():
        if key not in known:
            source.fail((*path, key), f"unknown setting{_meant(key, path, of)}")
            continue
        converted = check(inner, known[key].type, source, (*path, key), annotations[key])
        if converted is not _MISSING:
            found[key] = converted
    if path and isinstance(path[-1], int):  # an entry of an array is whole in one source
        for name, entry in known.items():
            if entry.required and name not in value:
                source.fail((*path, name), "missing")
    return found


def _meant(key: str, path: Path_, table: inspect.StructType) -> str:
    prefix = dotted(path)
    here = [dotted((*path, entry.encode_name)) for entry in table.fields]
    everywhere = list(setting_names(inspect.type_info(Settings)))
    name = f"{prefix}.{key}" if prefix else key
    for candidates in (here, everywhere):
        if close := difflib.get_close_matches(name, candidates, 1, 0.75):
            return f"; did you mean {close[0]}?"
    same = [other for other in everywhere if other.rpartition(".")[2] == key]
    if same:
        return f"; did you mean {same[0]}?"
    return f"; known here: {', '.join(sorted(entry.encode_name for entry in table.fields))}"


def read_file(file: Path) -> tuple[dict[str, Any], FileSource]:
    """Read a TOML file.

    :raises ConfigError: when it cannot be read or is not TOML; names the line.
    """
    try:
        text = file.read_text(encoding="utf-8-sig")
    except OSError as error:
        raise ConfigError(f"{file}: cannot be read: {error.strerror or error}") from error
    except UnicodeDecodeError as error:
        raise ConfigError(f"{file}: is not UTF-8 text") from error
    try:
        tree = tomllib.loads(text)
    except tomllib.TOMLDecodeError as error:
        match = re.search(r" \(at line (\d+), column \d+\)$", str(error))
        line, message = (f":{match[1]}", str(error)[: match.start()]) if match else ("", str(error))
        raise ConfigError(f"{file}{line}: not valid TOML: {message}") from error
    except RecursionError as error:
        raise ConfigError(f"{file}: is nested too deeply") from error
    return tree, FileSource(text=False, file=file, lines=statement_lines(text.replace("\r\n", "\n")))


def _grow(tree: dict[str, Any], path: tuple[str, ...], value: Any) -> None:
    for part in path[:-1]:
        branch = tree.setdefault(part, {})
        if not isinstance(branch, dict):
            return  # a table where another name gave a value: that one is in error already
        tree = branch
    tree[path[-1]] = value


def _from_environment(environ: Mapping[str, str]) -> dict[str, Any]:
    tree: dict[str, Any] = {}
    for name in sorted(environ):
        if name.startswith(ENV_PREFIX) and name not in CLIENT_VARIABLES:
            _grow(tree, tuple(name[len(ENV_PREFIX) :].lower().split("__")), environ[name])
    return tree


def _merge(low: dict[str, Any], high: dict[str, Any]) -> dict[str, Any]:
    merged = dict(low)
    for key, value in high.items():
        below = merged.get(key)
        merged[key] = _merge(below, value) if isinstance(value, dict) and isinstance(below, dict) else value
    return merged


def _sources(
    file: Path | None, environ: Mapping[str, str], options: Mapping[str, Any]
) -> list[tuple[dict[str, Any], Source]]:
    """What each source says, unchecked; later ones win."""
    given: dict[str, Any] = {}
    for name, value in options.items():
        if value is not None:
            _grow(given, tuple(name.split(".")), value)
    sources: list[tuple[dict[str, Any], Source]] = [read_file(file)] if file is not None else []
    return [*sources, (_from_environment(environ), EnvironmentSource(text=True)), (given, Source(text=True))]


def _origin(sources: list[tuple[dict[str, Any], Source]], path: Path_) -> str:
    """Where the value of a setting in force was given, as an error message begins."""
    names = [part for part in path if isinstance(part, str)][: 2 if len(path) > 1 else 1]
    for tree, source in reversed(sources):
        inner: Any = tree
        for name in names:
            inner = inner.get(name, _MISSING) if isinstance(inner, dict) else _MISSING
        if inner is not _MISSING:
            place: str = source.place(path)
            return place
    return dotted(path)


_SETTING = re.compile(r"((?:[a-z_]+\.)?[a-z_]+(?:\[(\d+)\])?)(?=: )")


def locate(message: str, file: Path | None, environ: Mapping[str, str], options: Mapping[str, Any]) -> str:
    """An error that begins with the name of a setting, with the file and line, or the variable, where that stands.

    For errors that are found when a setting is used. ``options`` as for :func:`load_settings`.
    """
    match = _SETTING.match(message)
    if match is None or match[1].partition("[")[0] not in set(setting_names(inspect.type_info(Settings))):
        return message
    path: Path_ = (*match[1].partition("[")[0].split("."), *((int(match[2]),) if match[2] else ()))
    if options.get(match[1]) is not None:
        return message  # whoever typed it knows where
    try:
        place = _origin(_sources(file, environ, {}), path)
    except ConfigError:  # the file has changed since
        return message
    return f"{place}{message[match.end() :]}"


def load_settings(file: Path | None, environ: Mapping[str, str], options: Mapping[str, Any]) -> Settings:
    """Settings in force.

    :param options: dotted name (``server.port``) -> value, typed or as text; ``None`` means not given.
    :raises ConfigError: for everything unknown or ill-typed in any of the sources, one line each.
    """
    sources = _sources(file, environ, options)
    of = inspect.type_info(Settings)
    merged: dict[str, Any] = {}
    for tree, source in sources:
        checked = check(tree, of, source, (), Settings)
        merged = _merge(merged, checked)
    errors = [error for _, source in sources for error in source.errors]
    if errors:
        raise ConfigError("\n".join(errors))
    try:
        settings = msgspec.convert(merged, Settings)
    except msgspec.ValidationError as error:
        raise ConfigError(str(error)) from error
    errors = [f"{_origin(sources, path)}: {message}" for path, message in mistakes(settings)]
    if errors:
        raise ConfigError("\n".join(errors))
    return msgspec.structs.replace(
        settings,
        data_dir=str(Path(settings.data_dir).expanduser()),
        plugin_dirs=[str(Path(folder).expanduser()) for folder in settings.plugin_dirs],
    )


def plugin_settings(settings: Settings, name: str, config_type: type[T], file: Path | None = None) -> T:
    """The table ``[plugin.NAME]`` as the plugin's own type; text from the environment is converted.

    :param file: the settings file, for the line numbers of errors.
    :raises ConfigError: for everything unknown, missing or ill-typed, one line each.
    """
    path: Path_ = ("plugin", name)
    source = read_file(file)[1] if file is not None else FileSource(text=False, file=Path("settings"))
    table = settings.plugin.get(name, {})
    of = inspect.type_info(config_type)
    assert isinstance(of, inspect.StructType)  # noqa: S101 - a plugin's configuration is a struct
    texts = {key for key, value in table.items() if isinstance(value, str)}
    found: dict[str, Any] = {}
    for as_text in (False, True):
        source.text = as_text
        part = {key: value for key, value in table.items() if (key in texts) == as_text}
        checked = _check_table(part, of, source, path)
        if isinstance(checked, dict):
            found |= checked
    for entry in of.fields:
        if entry.required and entry.encode_name not in table:
            source.fail((*path, entry.encode_name), f"missing; expected {expected(entry.type)}")
    if source.errors:
        raise ConfigError("\n".join(source.errors))
    try:
        return msgspec.convert(found, config_type)
    except msgspec.ValidationError as error:
        raise ConfigError(f"{source.place(path)}: {error}") from error
