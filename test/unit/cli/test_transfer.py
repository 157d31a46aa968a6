"""Import and export: what is sent, what is shown, and when it asks."""

from __future__ import annotations

import json
import os
import stat
from pathlib import Path
from typing import Any

import pytest

from pydatacoll.cli import session, transfer
from test.unit.cli.conftest import Stub

PLAN = {
    "add": 1,
    "change": 1,
    "delete": 0,
    "unchanged": 7,
    "errors": [],
    "counts": {},
    "changes": [
        {"action": "add", "kind": "device", "key": "d9", "fields": {"name": [None, "Nine"]}},
        {"action": "change", "kind": "term_item", "key": "t:i", "fields": {"coefficient": [1.0, None]}},
    ],
    "truncated": False,
}
DELETING = {
    **PLAN,
    "delete": 1,
    "changes": [{"action": "delete", "kind": "device", "key": "old", "fields": {"name": ["Old", None]}}],
}
ERRORS = [
    {"row": 4, "column": "port", "kind": "device", "key": "d9", "field": "port", "message": "must be a number"},
    {"row": 7, "column": None, "kind": "term", "key": "t", "field": "id", "message": "is required"},
]


@pytest.fixture
def file(tmp_path: Path) -> Path:
    path = tmp_path / "points.csv"
    path.write_bytes(b"device_id\nd9\n")
    return path


def test_a_dry_run_shows_the_difference(stub: Stub, file: Path) -> None:
    stub.json(PLAN)
    result = stub.run("import", str(file), "--dry-run", "-o", "table", color=True)
    assert result.stdout.splitlines() == [
        '\x1b[32m+ device d9  name="Nine"\x1b[0m',
        "\x1b[33m~ term_item t:i  coefficient: 1.0 -> unset\x1b[0m",
    ]
    assert result.stderr == "to add 1, to change 1, to delete 0, unchanged 7\n"
    assert result.exit_code == 0
    ((method, path, headers, body),) = stub.seen
    assert (method, path) == ("POST", "/api/v2/import?dry_run=true&mode=merge")
    assert (headers["Content-Type"], body) == ("text/csv", b"device_id\nd9\n")
    assert json.loads(stub.run("import", str(file), "--dry-run", "-o", "json").stdout) == PLAN
    rows = stub.run("import", str(file), "--dry-run").stdout.splitlines()
    assert [json.loads(row)["key"] for row in rows] == ["d9", "t:i"]
    assert (
        stub.run("import", str(file), "--dry-run", "-o", "csv").stdout.splitlines()[0] == "action,kind,key,fields"
    )


def test_a_dry_run_with_errors_fails(stub: Stub, file: Path) -> None:
    stub.json({**PLAN, "errors": ERRORS, "error_count": 20_000})
    result = stub.run("import", str(file), "--dry-run")
    assert "points.csv: 20000 errors\n" in result.stderr
    assert (result.exit_code, result.stdout) == (1, "")
    assert result.stderr.splitlines()[1:] == [
        "  row 4, column port, device d9: must be a number",
        "  row 7, term t, id: is required",
    ]


def test_a_merge_deletes_nothing_and_does_not_ask(stub: Stub, file: Path) -> None:
    stub.json(PLAN)
    result = stub.run("import", str(file))
    assert (result.exit_code, result.stderr) == (0, "added 1, changed 1, deleted 0, unchanged 7\n")
    assert [path for _, path, _, _ in stub.seen] == ["/api/v2/import?dry_run=false&mode=merge"]


@pytest.mark.parametrize(("answer", "sent", "code"), [("y\n", 2, 0), ("n\n", 1, 1)])
def test_what_deletes_asks_first(
    stub: Stub, file: Path, monkeypatch: pytest.MonkeyPatch, answer: str, sent: int, code: int
) -> None:
    for module in (session, transfer):
        monkeypatch.setattr(module, "interactive", lambda: True)
    stub.json(DELETING)
    result = stub.run("import", str(file), "--mode", "replace", input=answer)
    assert "- device old\n" in result.stderr
    assert "delete 1?" in result.stderr
    assert (len(stub.seen), result.exit_code) == (sent, code)


def test_what_deletes_needs_yes_without_a_terminal(stub: Stub, file: Path) -> None:
    stub.json(DELETING)
    assert stub.run("import", str(file), "--mode", "replace").exit_code == 2
    assert [path for _, path, _, _ in stub.seen] == ["/api/v2/import?dry_run=true&mode=replace"]
    assert stub.run("import", str(file), "--mode", "replace", "--yes").exit_code == 0
    assert stub.seen[-1][1] == "/api/v2/import?dry_run=false&mode=replace"


def test_a_replacement_that_deletes_nothing_does_not_ask(stub: Stub, file: Path) -> None:
    stub.json(PLAN)
    assert stub.run("import", str(file), "--mode", "replace").exit_code == 0
    assert len(stub.seen) == 2


def test_progress_is_for_somebody_who_watches(stub: Stub, file: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    stub.json(PLAN)
    quiet = stub.run("import", str(file))
    monkeypatch.setattr(transfer, "wanted", lambda: True)
    watched = stub.run("import", str(file))
    assert "%" not in quiet.stderr
    assert "uploading 100%" in watched.stderr
    assert watched.stdout == quiet.stdout
    post = next(headers for method, _, headers, _ in reversed(stub.seen) if method == "POST")
    assert len(post["X-Import-Id"]) == 32
    stub.answers.clear()
    stub.json({"type": "/docs#problem-invalid", "status": 422, "detail": "bad", "errors": ERRORS}, 422)
    failed = stub.run("import", str(file))
    assert failed.exit_code == 1
    assert "row 4, column port" in failed.stderr


def test_a_lost_answer_says_that_it_may_be_applied(stub: Stub, file: Path) -> None:
    stub.cut = True
    stub.json(PLAN)
    result = stub.run("import", str(file))
    assert result.exit_code == 3
    assert "Whether it was applied is not known" in result.stderr
    assert len(stub.seen) == 1


@pytest.mark.parametrize(("name", "media"), [("a.json", "json"), ("a.YML", "yaml"), ("a.yaml", "yaml")])
def test_the_form_follows_from_the_name(stub: Stub, tmp_path: Path, name: str, media: str) -> None:
    stub.json(PLAN)
    (tmp_path / name).write_text("{}")
    assert stub.run("import", str(tmp_path / name)).exit_code == 0
    assert stub.seen[-1][2]["Content-Type"] == f"application/{media}"


def test_files_that_cannot_be_imported(stub: Stub, tmp_path: Path) -> None:
    (tmp_path / "a.txt").write_text("{}")
    for arguments in (["a.txt"], ["nothing.csv"], ["-"]):
        given = [str(tmp_path / arguments[0])] if arguments != ["-"] else arguments
        assert stub.run("import", *given).exit_code == 2
    stub.json(PLAN)
    assert stub.run("import", "-", "--format", "json", input="{}").exit_code == 0
    assert stub.seen[-1][3] == b"{}"


def test_an_export_is_there_whole_or_not_at_all(stub: Stub, tmp_path: Path) -> None:
    stub.answers.append((200, "text/csv", b"a,b\n" * 50_000))
    target = tmp_path / "model.csv"
    result = stub.run("export", str(target))
    assert (result.exit_code, result.stdout) == (0, "")
    assert target.read_bytes() == b"a,b\n" * 50_000
    assert stub.seen[-1][2]["Accept"] == "text/csv"
    target.chmod(0o640)
    assert stub.run("export", str(target)).exit_code == 0
    assert stat.S_IMODE(target.stat().st_mode) == 0o640
    link = tmp_path / "link.csv"
    link.symlink_to(target)
    assert stub.run("export", str(link)).exit_code == 0
    assert link.is_symlink()
    assert sorted(os.listdir(tmp_path)) == ["link.csv", "model.csv"]
    assert stub.run("export", str(tmp_path / "no" / "model.csv")).exit_code == 1
    assert stub.run("export", "/dev/full").exit_code == 1


@pytest.mark.parametrize("arguments", [[], ["-"]])
def test_an_export_to_standard_output(stub: Stub, arguments: list[str]) -> None:
    stub.answers.append((200, "application/yaml", "name: 电压\n".encode()))
    result = stub.run("export", *arguments, "--format", "yaml")
    assert result.stdout_bytes.decode() == "name: 电压\n"
    assert stub.seen[-1][2]["Accept"] == "application/yaml"
    stub.run("export", "--device", "a", "--device", "b")
    assert stub.seen[-1][1] == "/api/v2/export?device_id=a%2Cb"


@pytest.mark.parametrize("arguments", [["model.csv"], ["points"], ["model.json", "--format", "csv"], ["-"]])
def test_an_export_for_excel_is_csv(stub: Stub, tmp_path: Path, arguments: list[str]) -> None:
    stub.answers.append((200, "text/csv", b"\xef\xbb\xbfdevice_id\r\n"))
    file = arguments[0] if arguments[0] == "-" else str(tmp_path / arguments[0])
    assert stub.run("export", file, *arguments[1:], "--excel", "--device", "a").exit_code == 0
    ((_, path, headers, _),) = stub.seen
    assert path == "/api/v2/export?device_id=a&format=csv&dialect=excel"
    assert headers["Accept"] == "text/csv"


@pytest.mark.parametrize("arguments", [["model.json"], ["model.csv", "--format", "yaml"]])
def test_excel_and_another_form_is_wrong_usage(stub: Stub, arguments: list[str]) -> None:
    result = stub.run("export", *arguments, "--excel")
    assert (result.exit_code, stub.seen) == (2, [])
    assert "--excel writes csv" in result.stderr


def test_an_export_that_is_refused_leaves_nothing(stub: Stub, tmp_path: Path) -> None:
    problem: dict[str, Any] = {"type": "/docs#problem-forbidden", "status": 403, "detail": "no"}
    stub.json(problem, 403)
    assert stub.run("export", str(tmp_path / "m.json")).exit_code == 1
    assert os.listdir(tmp_path) == []
