"""The URL of the archive: what is wrong with it is said at the start, and never the password."""

from __future__ import annotations

from pathlib import Path

import pytest

from pydatacoll.archive.config import ArchiveConfig, database_kind
from pydatacoll.archive.database import Database, message_of, parse_url
from pydatacoll.errors import ConfigError

SECRET = "sesame%21"


@pytest.mark.parametrize(
    ("url", "message"),
    [
        ("not a url", "is no URL"),
        (f"oracle://me:{SECRET}@host/db", "'oracle' cannot be used; there are sqlite, mysql"),
        (
            f"mysql+pyodbc://me:{SECRET}@host/db",
            "the driver 'pyodbc' cannot be used; leave it out, or name aiomysql",
        ),
        (f"mysql://me:{SECRET}@host", "names no database; expected mysql://"),
        (f"mysql://me:{SECRET}@host:port/db", "is no URL"),
        ("sqlite://", "names no file"),
        ("sqlite:///:memory:", "names no file"),
        ("sqlite:////nowhere/at/all/archive.db", "the folder /nowhere/at/all does not exist"),
    ],
)
def test_a_url_that_cannot_be_used_is_refused(url: str, message: str, tmp_path: Path) -> None:
    with pytest.raises(ConfigError) as caught:
        parse_url(url, tmp_path)
    assert message in str(caught.value)
    assert str(caught.value).startswith("plugin.db_saver.url: ")
    assert "sesame" not in str(caught.value)


def test_a_driver_that_is_not_installed_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("importlib.util.find_spec", lambda name: None)
    with pytest.raises(
        ConfigError, match="the driver of postgresql is not installed; install it: pip install asyncpg"
    ):
        parse_url("postgresql://me:pw@host/db", tmp_path)


@pytest.mark.parametrize(
    ("url", "drivername"),
    [
        ("mysql://u:p@h/d", "mysql+aiomysql"),
        ("mariadb://u:p@h/d", "mysql+aiomysql"),
        ("mysql+aiomysql://u:p@h/d", "mysql+aiomysql"),
        ("postgresql://u:p@h/d", "postgresql+asyncpg"),
        ("postgresql+asyncpg://u:p@h/d", "postgresql+asyncpg"),
        ("sqlite:///here.db", "sqlite+aiosqlite"),
        ("", "sqlite+aiosqlite"),
    ],
)
def test_urls_get_their_driver(url: str, drivername: str, tmp_path: Path) -> None:
    assert parse_url(url, tmp_path).drivername == drivername


async def test_the_password_is_never_shown(tmp_path: Path) -> None:
    database = Database(ArchiveConfig(url=f"mysql://me:{SECRET}@host:3307/db?ssl_key={SECRET}"), tmp_path)
    assert database.shown == "mysql://me:***@host:3307/db"
    await database.close()


async def test_the_default_is_a_file_in_the_data_directory(tmp_path: Path) -> None:
    database = Database(ArchiveConfig(), tmp_path)
    assert (database.kind, database.shown) == ("sqlite", str(tmp_path / "archive.db"))
    await database.close()


@pytest.mark.parametrize(
    ("table", "kind"),
    [
        ({}, "sqlite"),
        ({"url": "mysql+aiomysql://x"}, "mysql"),
        ({"url": "MariaDB://x"}, "mysql"),
        ({"url": "postgresql://x"}, "postgresql"),
        ({"url": 7}, "sqlite"),
    ],
)
def test_the_family_of_a_database_is_known_without_its_driver(table: dict[str, object], kind: str) -> None:
    assert database_kind(table) == kind


def test_messages_are_the_databases_own() -> None:
    assert message_of(Exception(1146, "Table 'a.b' doesn't exist")) == "1146: Table 'a.b' doesn't exist"
    assert message_of(Exception("no such table: x")) == "no such table: x"
