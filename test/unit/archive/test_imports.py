"""Who has no archive does not pay for one."""

from __future__ import annotations

import subprocess
import sys

import pytest


@pytest.mark.parametrize(
    "work",
    [
        "import pydatacoll.api_server, pydatacoll.plugin_runner, pydatacoll.cli",
        "from pydatacoll.discovery import discover_plugins; assert 'db_saver' in discover_plugins().found",
        "import pydatacoll.archive.config, pydatacoll.archive.sql_template, pydatacoll.archive.values",
    ],
)
def test_sqlalchemy_is_imported_only_where_there_is_an_archive(work: str) -> None:
    check = "import sys; print([name for name in ('sqlalchemy', 'aiomysql', 'aiosqlite') if name in sys.modules])"
    done = subprocess.run([sys.executable, "-c", f"{work}\n{check}"], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"
