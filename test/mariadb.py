"""A MariaDB server of its own, in a temporary directory, on a unix socket: for tests and benchmarks."""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Self

SCRIPT = '"$@" & server=$!; cat >/dev/null; kill -9 $server 2>/dev/null; wait $server'
"""The shell ends the server when its standard input closes, however the test run ends."""
WAIT = 60.0


class MissingServer(RuntimeError):
    """MariaDB is not installed."""


def _executable(name: str) -> str:
    found = shutil.which(name) or shutil.which(name, path="/usr/sbin:/usr/local/sbin")
    if found is None:
        raise MissingServer(f"{name} is not installed: run make test, or test/install_servers.sh")
    return found


class MariaDb:
    """``with MariaDb() as server``. The server can be killed and started again; its data stay.

    :param data: folder of its data, which is made; when not given, in a temporary one.
    :param options: of the server, beside ours.
    """

    def __init__(self, data: Path | None = None, options: Sequence[str] = ()) -> None:
        self.folder = Path(tempfile.mkdtemp(prefix="pdc-maria-"))
        self._data = data or self.folder / "data"
        self._options = options
        self.socket = self.folder / "s.sock"
        self._process: subprocess.Popen[bytes] | None = None

    def __enter__(self) -> Self:
        try:
            self._install()
            self.start()
        except BaseException:
            self.close()
            raise
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def _install(self) -> None:
        arguments = [
            "--no-defaults",
            f"--datadir={self._data}",
            "--skip-test-db",
            *self._user(),
            *self._options,
        ]
        done = subprocess.run(
            [_executable("mariadb-install-db"), *arguments, "--auth-root-authentication-method=normal"],
            capture_output=True,
            text=True,
            check=False,
        )
        if done.returncode:
            raise RuntimeError(f"mariadb-install-db failed: {done.stdout}{done.stderr}")

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
        with (self.folder / "log").open("ab") as log:
            self._process = subprocess.Popen(
                ["/bin/sh", "-c", SCRIPT, "sh", _executable("mariadbd"), *arguments],
                stdin=subprocess.PIPE,
                stdout=subprocess.DEVNULL,
                stderr=log,
                start_new_session=True,
            )
        end = time.monotonic() + WAIT
        while self.execute("SELECT 1", check=False) is None:
            if time.monotonic() > end:
                raise RuntimeError((self.folder / "log").read_text()[-2000:])
            time.sleep(0.05)

    def kill(self) -> None:
        """``kill -9``, as a crash."""
        assert self._process is not None
        assert self._process.stdin is not None
        self._process.stdin.close()
        try:
            self._process.wait(10)
        except subprocess.TimeoutExpired:
            os.killpg(self._process.pid, signal.SIGKILL)
            self._process.wait()
        self._process = None

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

    def close(self) -> None:
        if self._process is not None:
            self.kill()
        shutil.rmtree(self.folder, ignore_errors=True)
