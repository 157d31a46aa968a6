"""What the database servers of tests and benchmarks have in common: a temporary directory, a start and an end."""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import tempfile
import time
from abc import ABC, abstractmethod
from collections.abc import Sequence
from pathlib import Path
from typing import Any, Self

SCRIPT = '"$@" & server=$!; cat >/dev/null; kill -9 $server 2>/dev/null; wait $server'
"""The shell ends the server when its standard input closes, however the test run ends."""
WAIT = 60.0
"""Seconds until it answers, at most."""


class MissingServer(RuntimeError):
    """The server is not installed."""


def executable(name: str, *folders: str) -> str:
    """The path of a program.

    :param folders: looked into as well.
    :raises MissingServer: there is none.
    """
    found = shutil.which(name) or shutil.which(name, path=os.pathsep.join(folders))
    if found is None:
        raise MissingServer(f"{name} is not installed: run make test, or test/install_servers.sh")
    return found


class DatabaseServer(ABC):
    """``with ...() as server``. The server can be killed and started again; its data stay.

    :ivar folder: of its own, with its socket and its log.
    """

    def __init__(self, name: str) -> None:
        self.folder = Path(tempfile.mkdtemp(prefix=f"pdc-{name}-"))
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

    @abstractmethod
    def _install(self) -> None:
        """Make an empty data directory."""

    @abstractmethod
    def start(self) -> None:
        """Start, and wait until it answers."""

    @abstractmethod
    def execute(self, sql: str, *, check: bool = True) -> str | None:
        """Run statements as administrator; ``None`` when that failed and is not checked."""

    @staticmethod
    def _run(command: Sequence[str | Path], **options: Any) -> None:
        """Run a program to its end.

        :raises RuntimeError: it failed.
        """
        done = subprocess.run(command, capture_output=True, text=True, check=False, **options)
        if done.returncode:
            raise RuntimeError(f"{Path(command[0]).name} failed: {done.stdout}{done.stderr}")

    def _launch(self, command: Sequence[str | Path], **options: Any) -> None:
        """Start the server, and wait until it answers.

        :raises RuntimeError: it does not; with the end of its log.
        """
        with (self.folder / "log").open("ab") as log:
            self._process = subprocess.Popen(
                ["/bin/sh", "-c", SCRIPT, "sh", *command],
                stdin=subprocess.PIPE,
                stdout=subprocess.DEVNULL,
                stderr=log,
                start_new_session=True,
                **options,
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

    def close(self) -> None:
        """End it, and forget its data."""
        if self._process is not None:
            self.kill()
        shutil.rmtree(self.folder, ignore_errors=True)
