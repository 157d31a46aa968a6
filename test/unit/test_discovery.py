"""Finding drivers and plugins: what is good is found, what is broken or unsafe is reported and skipped."""

from __future__ import annotations

import importlib.metadata
import logging
import os
import subprocess
import sys
import textwrap
from importlib.metadata import EntryPoint
from pathlib import Path

import pytest

import pydatacoll
from pydatacoll import discovery
from pydatacoll.discovery import discover_plugins, discover_protocols
from pydatacoll.sdk import DataBatch, Plugin

PLUGIN = """
from __future__ import annotations
from dataclasses import dataclass
from pydatacoll.sdk import DataBatch, Plugin

@dataclass
class Helper:
    count: int = 0

class {cls}(Plugin):
    name = {name!r}
    async def handle(self, batch: DataBatch) -> None:
        pass
"""
DRIVER = """
from pydatacoll.sdk import DeviceDriver

class Base(DeviceDriver):
    async def connect(self): ...
    async def close(self): ...
    async def read(self, points): return []

class Mine(Base):
    name = "mine"
    async def write(self, requests): return []
"""


class Counting(Plugin):
    name = "counting"

    async def handle(self, batch: DataBatch) -> None: ...


class Twin(Counting): ...


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    path = tmp_path / "drop-in"
    path.mkdir(mode=0o755)
    return path


def put(folder: Path, name: str, text: str) -> Path:
    file = folder / name
    file.write_text(textwrap.dedent(text))
    file.chmod(0o644)
    return file


def offer(monkeypatch: pytest.MonkeyPatch, **points: str) -> None:
    """Pretend that packages are installed that have these entry points."""
    made = [EntryPoint(name, value, discovery.PLUGINS) for name, value in points.items()]
    monkeypatch.setattr(importlib.metadata, "entry_points", lambda *, group: made)
    monkeypatch.setattr(discovery, "own_entry_points", lambda group: [])


def test_our_own_are_found_once_and_without_problems() -> None:
    protocols, plugins = discover_protocols(), discover_plugins()
    assert {"modbus_tcp", "formula"} <= set(protocols.found)
    assert protocols.problems == plugins.problems == []
    assert all(driver.name == name for name, driver in protocols.found.items())


def test_a_file_in_a_folder_is_enough(folder: Path) -> None:
    put(folder, "one.py", PLUGIN.format(cls="One", name="one"))
    put(folder, "driver.py", DRIVER)
    put(folder, "_private.py", "raise RuntimeError")
    put(folder, "notes.txt", "hello")
    plugins, protocols = discover_plugins([folder]), discover_protocols([folder])
    assert plugins.problems == protocols.problems == []
    assert plugins.found["one"].__name__ == "One"
    assert protocols.found["mine"].__name__ == "Mine"
    assert plugins.origins["one"] == str(folder / "one.py")


def test_the_same_file_is_run_once(folder: Path) -> None:
    put(folder, "one.py", PLUGIN.format(cls="One", name="one"))
    assert discover_plugins([folder]).found["one"] is discover_plugins([folder]).found["one"]


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("def broken(:\n", "SyntaxError"),
        ("import nothing_of_this_name\n", "ModuleNotFoundError: No module named 'nothing_of_this_name' (line 1)"),
        ("\n\n1 / 0\n", "ZeroDivisionError: division by zero (line 3)"),
        ("import sys\nsys.exit('bye')\n", "SystemExit: bye (line 2)"),
        (PLUGIN.format(cls="Bad", name="a b"), "class Bad must define name"),
        (PLUGIN.format(cls="Bad", name="x").replace("name = 'x'", ""), "class Bad must define name"),
        (PLUGIN.format(cls="Bad", name="x").replace("handle", "handel"), "class Bad: does not define handle"),
    ],
)
def test_what_is_broken_is_reported_and_skipped(
    folder: Path, text: str, message: str, caplog: pytest.LogCaptureFixture
) -> None:
    bad = put(folder, "a_bad.py", text)
    put(folder, "b_good.py", PLUGIN.format(cls="Good", name="good"))
    with caplog.at_level(logging.ERROR):
        result = discover_plugins([folder])
    assert "good" in result.found
    (problem,) = result.problems
    assert problem.startswith(str(bad))
    assert message in problem
    assert problem in caplog.text


def test_a_name_is_given_once(folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    offer(monkeypatch, counting=f"{__name__}:Counting", again=f"{__name__}:Twin")
    monkeypatch.setitem(sys.modules, __name__, sys.modules[Counting.__module__])
    put(folder, "a.py", PLUGIN.format(cls="A", name="counting"))
    put(folder, "b.py", PLUGIN.format(cls="B", name="b"))
    other = tmp_path / "other"
    other.mkdir(mode=0o755)
    put(other, "b.py", PLUGIN.format(cls="B2", name="b"))
    result = discover_plugins([folder, other])
    # entry points in the order of their own names, then files in the order of folders
    assert {name: cls.__name__ for name, cls in result.found.items()} == {"counting": "Twin", "b": "B"}
    assert len(result.problems) == 3
    assert any(
        f"{folder / 'a.py'}: the name 'counting' is taken by entry point" in text for text in result.problems
    )
    assert any(f"{other / 'b.py'}: the name 'b' is taken by {folder / 'b.py'}" in text for text in result.problems)


def test_broken_entry_points_are_reported(monkeypatch: pytest.MonkeyPatch) -> None:
    offer(
        monkeypatch,
        gone="nowhere:X",
        wrong="pathlib:Path",
        abstract="pydatacoll.sdk:Plugin",
        missing="pathlib:Pth",
    )
    result = discover_plugins()
    assert result.found == {}
    text = "\n".join(result.problems)
    assert "gone = nowhere:X: ModuleNotFoundError" in text
    assert "wrong = pathlib:Path: is not a subclass of Plugin" in text
    assert "abstract = pydatacoll.sdk:Plugin: does not define handle" in text
    assert "missing = pathlib:Pth: AttributeError" in text


@pytest.mark.parametrize("mode", [0o775, 0o757])
def test_what_others_may_write_is_refused(folder: Path, mode: int) -> None:
    file = put(folder, "one.py", PLUGIN.format(cls="One", name="one"))
    folder.chmod(mode)
    result = discover_plugins([folder])
    assert "one" not in result.found
    assert result.problems == [
        f"{folder}: refused, other users may write to it (mode {mode:04o}); run: chmod go-w '{folder}'"
    ]
    folder.chmod(0o755)
    file.chmod(mode & 0o666)
    result = discover_plugins([folder])
    assert "one" not in result.found
    assert result.problems[0].startswith(f"{file}: refused")


def test_what_belongs_to_others_is_refused(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    put(folder, "one.py", PLUGIN.format(cls="One", name="one"))
    owner = folder.stat().st_uid
    monkeypatch.setattr(os, "geteuid", lambda: owner + 1)
    if owner == 0:  # root may write everywhere anyway, so what is root's is accepted
        assert discover_plugins([folder]).problems == []
    else:
        assert "belongs to another user" in discover_plugins([folder]).problems[0]


def test_missing_folders_and_dangling_links_are_reported(folder: Path) -> None:
    (folder / "link.py").symlink_to(folder / "nothing.py")
    problems = discover_plugins([folder, folder / "none"]).problems
    assert problems == [
        f"{folder / 'link.py'}: No such file or directory",
        f"{folder / 'none'}: No such file or directory",
    ]


def test_a_checkout_works_without_being_installed(tmp_path: Path) -> None:
    """Only the packages of requirements.txt are installed: no entry points, no package pydatacoll_plugins."""
    root = Path(pydatacoll.__file__).parent.parent
    script = """
        import importlib.metadata, sys
        sys.meta_path = [finder for finder in sys.meta_path if "editable" not in repr(finder)]
        importlib.metadata.entry_points = lambda *, group: []
        from pydatacoll.discovery import discover_plugins, discover_protocols
        result = discover_protocols()
        assert discover_plugins().problems == result.problems == [], result.problems
        import pydatacoll_plugins
        print(*sorted(result.found), pydatacoll_plugins.__file__)
    """
    run = subprocess.run(
        [sys.executable, "-c", textwrap.dedent(script)],
        cwd=tmp_path,
        env=os.environ | {"PYTHONPATH": str(root)},
        capture_output=True,
        text=True,
        check=True,
    )
    assert "modbus_tcp" in run.stdout
    assert "plugins" in run.stdout
