"""A PostgreSQL server of its own, in a temporary directory, on a unix socket: for tests and benchmarks."""

from __future__ import annotations

import os
import pwd
import signal
import subprocess
import time
from pathlib import Path
from typing import Any

from test.database_server import WAIT, DatabaseServer, executable

ADMIN = "postgres"
"""The role that may do everything, and the user of the system as whom root runs the server."""


def _executable(name: str) -> str:
    """Debian keeps those of each release in a folder of its own; the newest counts."""
    folders = sorted(Path("/usr/lib/postgresql").glob("*/bin"), key=lambda one: float(one.parent.name))
    return executable(name, *map(str, reversed(folders)))


def _run_as() -> dict[str, Any]:
    """PostgreSQL refuses to be run by root; Debian's package brings a user for it."""
    if os.geteuid() != 0:
        return {}
    user = pwd.getpwnam(ADMIN)
    return {"user": user.pw_uid, "group": user.pw_gid, "extra_groups": []}


class Postgresql(DatabaseServer):
    """PostgreSQL. The administrator needs no password here, all others need theirs."""

    def __init__(self) -> None:
        super().__init__("pg")
        self._run_as = _run_as()
        if self._run_as:
            os.chown(self.folder, self._run_as["user"], self._run_as["group"])

    def _install(self) -> None:
        arguments = [
            "-D",
            self.folder / "data",
            "-U",
            ADMIN,
            "-E",
            "UTF8",
            "--locale=C",
            "--auth=trust",
        ]
        self._run([_executable("initdb"), *arguments], cwd=self.folder, **self._run_as)
        rules = f"local all {ADMIN} trust\nlocal all all scram-sha-256\n"
        (self.folder / "data/pg_hba.conf").write_text(rules)

    def start(self) -> None:
        """Start, and wait until it answers."""
        arguments = ["-D", self.folder / "data", "-k", self.folder, "-c", "listen_addresses=", "-c", "fsync=off"]
        self._launch([_executable("postgres"), *arguments], cwd=self.folder, **self._run_as)

    def kill(self) -> None:
        """``kill -9``, as a crash; returns when all of its processes have ended."""
        pids = self.pids if (self.folder / "data/postmaster.pid").exists() else []
        self.signal(signal.SIGCONT)
        super().kill()
        end = time.monotonic() + WAIT
        while any(_runs(pid) for pid in pids):
            if time.monotonic() > end:
                raise RuntimeError(f"processes of PostgreSQL do not end: {pids}")
            time.sleep(0.02)

    @property
    def pid(self) -> int:
        """Of the first process of the server."""
        return int((self.folder / "data/postmaster.pid").read_text().split()[0])

    @property
    def pids(self) -> list[int]:
        """Of all processes of the server: it has one for each connection."""
        first = self.pid
        return [first, *(child for child in _processes() if _parent(child) == first)]

    def signal(self, number: signal.Signals) -> None:
        """To all of its processes."""
        for pid in self.pids if (self.folder / "data/postmaster.pid").exists() else []:
            try:
                os.kill(pid, number)
            except ProcessLookupError:
                continue

    def execute(self, sql: str, database: str = ADMIN, *, check: bool = True) -> str | None:
        """Run statements as administrator, each in a transaction of its own; ``None`` when that failed and is not
        checked. Columns are separated by tabs."""
        done = subprocess.run(
            [
                *(_executable("psql"), "-X", "-q", "-A", "-t", "-F", "\t", "-v", "ON_ERROR_STOP=1"),
                *("-h", self.folder, "-U", ADMIN, database),
            ],
            input=sql,
            capture_output=True,
            text=True,
            check=False,
        )
        if done.returncode and check:
            raise RuntimeError(done.stderr)
        return done.stdout if done.returncode == 0 else None

    def url(self, database: str, user: str = ADMIN, password: str = "") -> str:
        """URL of a database for the archive."""
        secret = f":{password}" if password else ""
        return f"postgresql+asyncpg://{user}{secret}@/{database}?host={self.folder}"

    def create(self, database: str) -> str:
        """An empty database; gives its URL."""
        self.execute(f"DROP DATABASE IF EXISTS {database} WITH (FORCE);\nCREATE DATABASE {database};")
        return self.url(database)


def _processes() -> list[int]:
    return [int(entry.name) for entry in Path("/proc").iterdir() if entry.name.isdigit()]


def _parent(pid: int) -> int:
    """0 when it has ended."""
    try:
        return int((Path("/proc") / str(pid) / "stat").read_text().rpartition(")")[2].split()[1])
    except (FileNotFoundError, ProcessLookupError):
        return 0


def _runs(pid: int) -> bool:
    try:
        return (Path("/proc") / str(pid) / "stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except (FileNotFoundError, ProcessLookupError):
        return False
