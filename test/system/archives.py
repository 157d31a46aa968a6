"""Archives as a test looks into them: past the product, with the database's own tools."""

from __future__ import annotations

import sqlite3
from contextlib import closing
from pathlib import Path
from typing import Protocol

from test.mariadb import MariaDb

DATABASE = "oracle"


class Archive(Protocol):
    """A database that db_saver writes to."""

    def rows(self, sql: str) -> list[list[str]] | None:
        """Rows of a query as text; ``None`` when the database does not answer."""


class MariaArchive:
    """In a MariaDB server; the database is made anew."""

    def __init__(self, maria: MariaDb) -> None:
        self.maria = maria
        maria.create(DATABASE)

    def rows(self, sql: str) -> list[list[str]] | None:
        text = self.maria.execute(f"USE {DATABASE}; {sql}", check=False)
        return None if text is None else [line.split("\t") for line in text.splitlines()]


class SqliteArchive:
    """In a file."""

    def __init__(self, path: Path) -> None:
        self.path = path

    @property
    def url(self) -> str:
        return f"sqlite:///{self.path}"

    def rows(self, sql: str) -> list[list[str]] | None:
        try:
            with closing(sqlite3.connect(f"file:{self.path}?mode=ro", uri=True, timeout=10)) as connection:
                return [[str(cell) for cell in row] for row in connection.execute(sql)]
        except sqlite3.OperationalError:
            return None
