"""Making tokens: what is printed is what the server takes."""

from __future__ import annotations

import hashlib
import json
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner, Result

from pydatacoll.cli import main
from pydatacoll.config import load_settings


def run(*arguments: str, **more: Any) -> Result:
    return CliRunner().invoke(main, ["token", *arguments], **more)


def test_a_new_token_and_its_hash_belong_together(tmp_path: Path) -> None:
    arguments = ["--scope", "operate", "--name", 'Gate "1"', "--devices", "north*,x", "--devices", "y?"]
    result = run("new", *arguments, "--expires", "2999-01-31", "-o", "json")
    made = json.loads(result.stdout)
    assert made["token"].startswith("pdc_")
    assert len(made["token"]) >= 4 + 43  # 256 bits
    assert made["hash"] == hashlib.sha256(made["token"].encode()).hexdigest()
    file = tmp_path / "settings.toml"
    file.write_text(made["settings"])
    (token,) = load_settings(file, {}, {}).auth.tokens
    assert (token.name, token.hash, token.scope) == ('Gate "1"', made["hash"], "operate")
    assert token.devices == ["north*", "x", "y?"]
    assert token.expires == datetime(2999, 2, 1, tzinfo=UTC)  # the end of that day
    assert run("hash", input=made["token"] + "\n").stdout == made["hash"] + "\n"


def test_for_a_person_it_is_ready_to_paste(tmp_path: Path) -> None:
    result = run("new", "--scope", "read", "-o", "table")
    token, digest = (line.split()[1] for line in result.stdout.splitlines()[:2])
    assert hashlib.sha256(token.encode()).hexdigest() == digest
    block = result.stdout[result.stdout.index("[[auth.tokens]]") :]
    file = tmp_path / "settings.toml"
    file.write_text(block)
    assert load_settings(file, {}, {}).auth.tokens[0].name == "read"
    assert run("new", "--scope", "read", "-o", "table").stdout != result.stdout


@pytest.mark.parametrize(
    "arguments",
    [
        [],
        ["--scope", "root"],
        ["--scope", "read", "--expires", "soon"],
        ["--scope", "read", "--expires", "2001-01-01"],
        ["--scope", "read", "--expires", "0d"],
        ["--scope", "read", "--devices", "a b"],
        ["--scope", "read", "--name", "x" * 65],
    ],
)
def test_wrong_usage(arguments: list[str]) -> None:
    assert run("new", *arguments).exit_code == 2


@pytest.mark.parametrize(("text", "days"), [("12h", 0.5), ("90d", 90), ("2w", 14), ("1y", 365)])
def test_a_span_until_it_expires(text: str, days: float) -> None:
    made = json.loads(run("new", "--scope", "read", "--expires", text, "-o", "json").stdout)
    left = datetime.fromisoformat(made["expires"]) - datetime.now(UTC)
    assert abs(left.total_seconds() / 86_400 - days) < 0.1


@pytest.mark.parametrize("text", ["", "\n", "two words"])
def test_standard_input_without_a_token(text: str) -> None:
    assert run("hash", input=text).exit_code == 2
