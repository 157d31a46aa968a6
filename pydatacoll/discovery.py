"""Finds protocols and plugins: our own, entry points of other packages, then files dropped into folders.

A file of a drop-in folder runs with the rights of this process, so a folder or file that another user could
have written is refused. What is broken is reported and skipped; it never stops the others.
"""

from __future__ import annotations

import configparser
import hashlib
import importlib.metadata
import importlib.util
import inspect
import logging
import os
import re
import stat
import sys
from collections.abc import Callable, Collection, Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from importlib.metadata import EntryPoint
from pathlib import Path
from types import ModuleType
from typing import Generic, TypeVar

from pydatacoll.sdk import DeviceDriver, Plugin

log = logging.getLogger(__name__)

PROTOCOLS = "pydatacoll.protocols"
PLUGINS = "pydatacoll.plugins"
OWN = Path(__file__).with_name("entry_points.ini")
NAME = re.compile(r"[A-Za-z0-9_.\-]{1,64}")
"""What a protocol or plugin may be called."""

T = TypeVar("T")


@dataclass(slots=True)
class Discovered(Generic[T]):
    """What was found.

    :ivar found: name -> class.
    :ivar origins: name -> where it came from.
    :ivar problems: what was skipped, and why; each was logged, unless it is one of those ``said`` before.
    """

    found: dict[str, type[T]] = field(default_factory=dict)
    origins: dict[str, str] = field(default_factory=dict)
    problems: list[str] = field(default_factory=list)
    said: Collection[str] = ()

    def problem(self, text: str) -> None:
        self.problems.append(text)
        if text not in self.said:
            log.error("discovery: %s", text)

    def add(self, cls: type[T], origin: str) -> None:
        """Take a class, unless its name is missing, malformed or taken."""
        name = getattr(cls, "name", None)
        if not isinstance(name, str) or not NAME.fullmatch(name):
            self.problem(f"{origin}: class {cls.__name__} must define name, 1-64 characters of A-Z a-z 0-9 _ . -")
        elif name not in self.found:
            self.found[name] = cls
            self.origins[name] = origin
        elif self.found[name] is not cls:
            self.problem(f"{origin}: the name {name!r} is taken by {self.origins[name]}; skipped")


def discover_protocols(folders: Sequence[Path] = ()) -> Discovered[DeviceDriver]:
    """All protocol drivers; entry points come before files, files in the order of folders and names."""
    result: Discovered[DeviceDriver] = Discovered()
    _discover(result, PROTOCOLS, DeviceDriver, folders)  # type: ignore[type-abstract]
    return result


def discover_plugins(folders: Sequence[Path] = (), said: Collection[str] = ()) -> Discovered[Plugin]:
    """All plugins, in the same order.

    :param said: problems that another discovery has logged; they are not logged again.
    """
    result: Discovered[Plugin] = Discovered(said=said)
    _discover(result, PLUGINS, Plugin, folders)  # type: ignore[type-abstract]
    return result


def _discover(result: Discovered[T], group: str, base: type[T], folders: Sequence[Path]) -> None:
    seen: set[str] = set()
    for point in [*own_entry_points(group), *_installed(group)]:
        if point.value in seen:  # ours are listed by the installed package again
            continue
        seen.add(point.value)
        origin = f"entry point {point.name} = {point.value}"
        cls = _guarded(result, origin, point.load)
        if cls is None:
            continue
        if not (isinstance(cls, type) and issubclass(cls, base)):
            result.problem(f"{origin}: is not a subclass of {base.__name__}")
        elif inspect.isabstract(cls):
            result.problem(f"{origin}: {_missing_methods(cls)}")
        else:
            result.add(cls, origin)
    for folder in folders:
        for file in _files(result, folder):
            module = _guarded(result, str(file), lambda file=file: load_file(file))  # type: ignore[misc]
            for cls in _classes(module, base) if module is not None else ():
                if inspect.isabstract(cls) and "name" in vars(cls):
                    result.problem(f"{file}: class {cls.__name__}: {_missing_methods(cls)}")
                elif not inspect.isabstract(cls):
                    result.add(cls, str(file))


def own_entry_points(group: str) -> Iterator[EntryPoint]:
    """The entry points of this package, which need not be installed."""
    _make_plugins_importable()
    parser = configparser.ConfigParser(delimiters=("=",), interpolation=None)
    parser.read_string(OWN.read_text(encoding="utf-8"))
    if parser.has_section(group):
        for name, value in parser.items(group):
            yield EntryPoint(name, value, group)


def _installed(group: str) -> Iterable[EntryPoint]:
    return sorted(importlib.metadata.entry_points(group=group), key=lambda point: (point.name, point.value))


def _make_plugins_importable() -> None:
    """In a checkout that is not installed, let ``pydatacoll_plugins`` mean the folder ``plugins`` beside us."""
    source = Path(__file__).parent.parent / "plugins" / "__init__.py"
    if (
        "pydatacoll_plugins" in sys.modules
        or importlib.util.find_spec("pydatacoll_plugins")
        or not source.exists()
    ):
        return
    spec = importlib.util.spec_from_file_location(
        "pydatacoll_plugins", source, submodule_search_locations=[str(source.parent)]
    )
    if spec is not None:
        _execute(spec)


def _execute(spec: importlib.machinery.ModuleSpec) -> ModuleType:
    module = importlib.util.module_from_spec(spec)
    assert spec.loader is not None  # noqa: S101 - made from a file
    sys.modules[spec.name] = module  # annotations of its classes are looked up there
    try:
        spec.loader.exec_module(module)
    except BaseException:
        del sys.modules[spec.name]
        raise
    return module


def _guarded(result: Discovered[T], origin: str, load: Callable[[], object]) -> object | None:
    """Run foreign code that may raise anything, ``SystemExit`` included."""
    try:
        return load()
    except (Exception, SystemExit) as error:
        log.debug("discovery: %s", origin, exc_info=error)
        result.problem(f"{origin}: {type(error).__name__}: {error}{_place(error)}")
        return None


def _place(error: BaseException) -> str:
    """Line of the outermost frame in a drop-in file, for a message without a traceback."""
    trace = error.__traceback__
    while trace is not None:
        if trace.tb_frame.f_globals.get("__name__", "").startswith("pydatacoll_dropin_"):
            return f" (line {trace.tb_lineno})"
        trace = trace.tb_next
    return ""


def _missing_methods(cls: type) -> str:
    names = ", ".join(sorted(getattr(cls, "__abstractmethods__", ())))
    return f"does not define {names}"


def _classes(module: object, base: type[T]) -> list[type[T]]:
    """Subclasses of ``base`` that the module itself defines."""
    return [
        value
        for value in vars(module).values()
        if isinstance(value, type)
        and issubclass(value, base)
        and value.__module__ == getattr(module, "__name__", "")
    ]


def unsafe(path: Path) -> str | None:
    """Why code must not be loaded from there, with the remedy; ``None`` when it may.

    :raises OSError: when it cannot be looked at.
    """
    status = path.stat()
    if status.st_mode & (stat.S_IWGRP | stat.S_IWOTH):
        mode = stat.S_IMODE(status.st_mode)
        return f"{path}: refused, other users may write to it (mode {mode:04o}); run: chmod go-w '{path}'"
    if hasattr(os, "geteuid") and status.st_uid not in (0, os.geteuid()):
        return (
            f"{path}: refused, it belongs to another user (uid {status.st_uid}); copy it to a folder of your own"
        )
    return None


def _files(result: Discovered[T], folder: Path) -> Iterator[Path]:
    folder = folder.absolute()
    try:
        reason = unsafe(folder)
        entries = [] if reason else sorted(folder.iterdir())
    except OSError as error:
        reason, entries = f"{folder}: {error.strerror or error}", []
    if reason:
        result.problem(reason)
    for file in entries:
        if file.suffix != ".py" or file.name.startswith(("_", ".")):
            continue
        try:
            reason = unsafe(file)
        except OSError as error:
            reason = f"{file}: {error.strerror or error}"
        if reason:
            result.problem(reason)
        else:
            yield file


def load_file(file: Path) -> ModuleType:
    """Run a file as a module of its own; the same content at the same path is run once."""
    mark = hashlib.sha256(os.fsencode(file) + b"\0" + file.read_bytes()).hexdigest()[:16]
    name = f"pydatacoll_dropin_{mark}_{file.stem}"
    if name in sys.modules:
        return sys.modules[name]
    spec = importlib.util.spec_from_file_location(name, file)
    if spec is None:
        raise ImportError(f"{file} is not a Python file")
    return _execute(spec)
