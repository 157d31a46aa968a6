"""Wheel and sdist: complete, equal, and working in an environment that has never seen the checkout."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import sysconfig
import tarfile
import textwrap
import venv
import zipfile
from fnmatch import fnmatch
from pathlib import Path

import pytest
from packaging.requirements import Requirement

from pydatacoll import __version__

ROOT = Path(__file__).parents[2]
LEFT_OUT = shutil.ignore_patterns(
    ".git",
    ".venv*",
    "__pycache__",
    "*.egg-info",
    "build",
    "dist",
    ".*_cache",
    ".hypothesis",
    "data",
    "_build",
    "node_modules",
)


def python(*arguments: str | Path, executable: str | Path = sys.executable, cwd: Path, **more: str) -> str:
    """Run Python away from the checkout, with ``more`` in its environment; what it printed."""
    environment = {name: value for name, value in os.environ.items() if not name.startswith("PYTHON")} | more
    run = subprocess.run(
        [executable, *arguments], cwd=cwd, env=environment, capture_output=True, text=True, check=False
    )
    assert run.returncode == 0, run.stdout + run.stderr
    return run.stdout


def build(source: Path, kind: str, folder: str = "dist", **environment: str) -> Path:
    """Build with the tools of this environment; only npm downloads, and only when the pages are not built."""
    target = source / folder
    arguments = ("-m", "build", f"--{kind}", "--no-isolation", "--outdir", target, source)
    python(*arguments, cwd=source.parent, **environment)
    (made,) = target.glob("*.whl" if kind == "wheel" else "*.tar.gz")
    return made


@pytest.fixture(scope="module")
def source(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A copy of the checkout: building leaves files behind."""
    target = tmp_path_factory.mktemp("source") / "checkout"
    shutil.copytree(ROOT, target, ignore=LEFT_OUT)
    return target


@pytest.fixture(scope="module")
def wheel(source: Path) -> Path:
    return build(source, "wheel")


@pytest.fixture(scope="module")
def installed(wheel: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Python of a fresh environment with the wheel; the packages it needs are lent by this one."""
    folder = tmp_path_factory.mktemp("fresh")
    venv.create(folder / "venv", with_pip=False)
    executable = folder / "venv" / "bin" / "python"
    python("-m", "pip", "--python", executable, "install", "--no-deps", "--no-index", "--quiet", wheel, cwd=folder)
    site = next((folder / "venv" / "lib").glob("python3*/site-packages"))
    # a path file of a path file is not read: the editable installation here stays invisible there
    (site / "lent.pth").write_text(sysconfig.get_path("purelib") + "\n")
    return executable


def requirements() -> set[Requirement]:
    """The lines of requirements.txt."""
    lines = (ROOT / "requirements.txt").read_text().splitlines()
    return {Requirement(line) for line in lines if line and not line.startswith("#")}


def contents(wheel: Path) -> dict[str, int]:
    """Name -> checksum of every file; the record of the build's own checksums left out."""
    with zipfile.ZipFile(wheel) as archive:
        return {entry.filename: entry.CRC for entry in archive.infolist() if not entry.filename.endswith("RECORD")}


def test_the_wheel_has_every_module_and_data_file(wheel: Path, source: Path) -> None:
    names = set(contents(wheel))
    expected = {
        str(path.relative_to(source))
        for path in (source / "pydatacoll").rglob("*")
        if path.is_file() and "__pycache__" not in path.parts and not path.name.startswith(".")
    }
    expected |= {f"pydatacoll_plugins/{path.name}" for path in (source / "plugins").glob("*.py")}
    assert expected <= names
    assert any(name.endswith(".lua") for name in names)
    assert any("api/static/" in name for name in names)
    assert "pydatacoll/web/static/index.html" in names
    assert any(fnmatch(name, "pydatacoll/web/static/assets/*.js.gz") for name in names)
    assert {name.partition("/")[0] for name in names} == {
        "pydatacoll",
        "pydatacoll_plugins",
        f"pydatacoll-{__version__}.dist-info",
    }
    assert {name.rpartition("/")[2] for name in names} >= {"LICENSE", "NOTICE", "py.typed", "entry_points.txt"}


def test_the_sdist_builds_the_same_wheel(source: Path, wheel: Path, tmp_path: Path) -> None:
    sdist = build(source, "sdist")
    with tarfile.open(sdist) as archive:
        archive.extractall(tmp_path, filter="data")
    unpacked = tmp_path / f"pydatacoll-{__version__}"
    assert {"LICENSE", "NOTICE", "README.rst", "CHANGELOG.rst", "Makefile", "requirements.txt", "test"} <= {
        path.name for path in unpacked.iterdir()
    }
    assert (unpacked / "web/package-lock.json").is_file()
    assert not list(unpacked.glob("web/node_modules"))
    # the pages are in it, built: no Node is needed
    tools = tmp_path / "bin"
    tools.mkdir()
    for name in ("node", "npm"):
        (tools / name).write_text("#!/bin/sh\nexit 1\n")
        (tools / name).chmod(0o755)
    hidden = f"{tools}{os.pathsep}{os.environ['PATH']}"
    assert contents(build(unpacked, "wheel", PATH=hidden)) == contents(wheel)


def test_a_wheel_without_pages(source: Path, wheel: Path) -> None:
    """Also where pages were built before."""
    with_pages, without = (
        set(contents(one)) for one in (wheel, build(source, "wheel", "api", PYDATACOLL_WEB="skip"))
    )
    assert without == {name for name in with_pages if not name.startswith("pydatacoll/web/static/")}


def test_the_wheel_works_where_it_is_installed(installed: Path, tmp_path: Path) -> None:
    script = """
        import importlib.metadata, sys
        from pathlib import Path
        import pydatacoll, pydatacoll_plugins
        from pydatacoll.discovery import discover_plugins, discover_protocols
        from pydatacoll.web.site import load

        for package in (pydatacoll, pydatacoll_plugins):
            assert Path(package.__file__).is_relative_to(sys.prefix), package.__file__
        assert importlib.metadata.version("pydatacoll") == pydatacoll.__version__
        points = importlib.metadata.distribution("pydatacoll").entry_points
        for point in points:
            point.load()
            assert Path(sys.modules[point.module].__file__).is_relative_to(sys.prefix), point
        assert {"index.html", "favicon.svg"} <= load().keys()
        protocols, plugins = discover_protocols(), discover_plugins()
        assert protocols.problems == plugins.problems == [], (protocols, plugins)
        for group, found in (("protocols", protocols.found), ("plugins", plugins.found)):
            assert set(points.select(group=f"pydatacoll.{group}").names) == set(found)
        print(*sorted(protocols.found))
    """
    assert "modbus_tcp" in python("-c", textwrap.dedent(script), executable=installed, cwd=tmp_path)


def test_the_command_is_installed(installed: Path, tmp_path: Path) -> None:
    command = installed.parent / "pydatacoll"
    run = subprocess.run([command, "version"], cwd=tmp_path, capture_output=True, text=True, check=True)
    assert run.stdout == f"{__version__}\n"


def test_the_wheel_asks_for_what_requirements_list(wheel: Path) -> None:
    with zipfile.ZipFile(wheel) as archive:
        metadata = archive.read(f"pydatacoll-{__version__}.dist-info/METADATA").decode()
    asked = {
        Requirement(line.partition(":")[2]) for line in metadata.splitlines() if line.startswith("Requires-Dist:")
    }
    extras = {one for one in asked if one.marker is not None and "extra ==" in str(one.marker)}
    assert asked - extras == requirements()
    assert {(one.name, str(one.marker)) for one in extras} == {("asyncpg", 'extra == "postgresql"')}
    assert "Requires-Python: >=3.11" in metadata


def test_imports_of_the_package_are_all_required() -> None:
    """Every distribution that the code imports is listed."""
    script = """
        import ast, sys
        from pathlib import Path
        names = set()
        for folder in ("pydatacoll", "plugins"):
            for path in Path(folder).rglob("*.py"):
                for node in ast.walk(ast.parse(path.read_text())):
                    if isinstance(node, ast.Import):
                        names |= {alias.name.partition(".")[0] for alias in node.names}
                    elif isinstance(node, ast.ImportFrom) and not node.level:
                        names.add(node.module.partition(".")[0])
        print(*sorted(names - set(sys.stdlib_module_names) - {"pydatacoll", "pydatacoll_plugins"}))
    """
    imported = set(python("-c", textwrap.dedent(script), cwd=ROOT).split())
    named = {"PyYAML": "yaml"}  # distributions that are not called as their package is
    required = {named.get(one.name, one.name).replace("-", "_") for one in requirements()}
    assert imported <= required | {"multidict", "yarl"}  # the types of aiohttp's own interface
