"""A MariaDB server of its own, in a temporary directory, on a unix socket: for tests and benchmarks."""

from __future__ import annotations

import os
import subprocess
from collections.abc import Sequence
from pathlib import Path

from test.database_server import DatabaseServer, executable


def _executable(name: str) -> str:
    return executable(name, "/usr/sbin", "/usr/local/sbin")


class MariaDb(DatabaseServer):
    """MariaDB.

    :param data: folder of its data, which is made; when not given, in a temporary one.
    :param options: of the server, beside ours.
    """

    def __init__(self, data: Path | None = None, options: Sequence[str] = ()) -> None:
        super().__init__("maria")
        self._data = data or self.folder / "data"
        self._options = options
        self.socket = self.folder / "s.sock"

    def _install(self) -> None:
        arguments = [
            "--no-defaults",
            f"--datadir={self._data}",
            "--skip-test-db",
            *self._user(),
            *self._options,
        ]
        self._run([_executable("mariadb-install-db"), *arguments, "--auth-root-authentication-method=normal"])

    def _user(self) -> list[str]:
        return ["--user=root"] if os.geteuid() == 0 else []

    def start(self, *options: str) -> None:
        """Start, and wait until it answers."""
        arguments = [
            "--no-defaults",
            f"--datadir={self._data}",
            f"--socket={self.socket}",
            f"--pid-file={self.folder / 'pid'}",
            "--skip-networking",
            "--skip-log-bin",
            "--max-connections=50",
            *self._user(),
            *self._options,
            *options,
        ]
        self._launch([_executable("mariadbd"), *arguments])

    @property
    def pid(self) -> int:
        """Of the server."""
        return int((self.folder / "pid").read_text())

    def execute(self, sql: str, *, check: bool = True) -> str | None:
        """Run statements as administrator; ``None`` when that failed and is not checked."""
        done = subprocess.run(
            [_executable("mariadb"), "--no-defaults", f"--socket={self.socket}", "-uroot", "-N", "-e", sql],
            capture_output=True,
            text=True,
            check=False,
        )
        if done.returncode and check:
            raise RuntimeError(done.stderr)
        return done.stdout if done.returncode == 0 else None

    def url(self, database: str, user: str = "root", password: str = "") -> str:
        """URL of a database for the archive."""
        secret = f":{password}" if password else ""
        return f"mysql+aiomysql://{user}{secret}@localhost/{database}?unix_socket={self.socket}"

    def create(self, database: str) -> str:
        """An empty database; gives its URL."""
        self.execute(f"DROP DATABASE IF EXISTS {database}; CREATE DATABASE {database}")
        return self.url(database)
