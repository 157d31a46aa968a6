"""Checks of ``pydatacoll doctor`` on this machine, for a server that does not answer. Nothing is changed."""

from __future__ import annotations

import errno
import os
import shutil
import socket
import stat
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Final
from urllib.parse import urlsplit

from pydatacoll.cli.checks import FAILED, OK, WARNING, Check
from pydatacoll.errors import ConfigError
from pydatacoll.settings import Settings

_FULL: Final = 100 * 1024**2
_LOW: Final = 1024**3
"""Free disk space that is too little, and that is soon, bytes."""
_STORE_TIMEOUT: Final = 2.0


def checks(config: Path | None, data_dir: Path | None, url: str, *, reachable: bool) -> Iterator[Check]:
    """All checks; ``reachable`` tells whether a server answers at ``url``."""
    from pydatacoll.config import load_settings

    options = {} if data_dir is None else {"data_dir": str(data_dir)}
    try:
        settings = load_settings(config, os.environ, options)
    except ConfigError as error:
        for line in str(error).splitlines():
            yield Check("settings", FAILED, line, "correct it; the documentation lists all settings")
        return
    yield from _settings(settings, config)
    holder: int | None = None
    if settings.redis.url == "embedded":
        folder = Path(settings.data_dir).expanduser().resolve()
        yield from _directory(folder)
        if folder.is_dir():
            yield _disk(folder)
            holder = _holder(folder)
            yield from _lock(folder, holder, reachable=reachable)
    else:
        yield _store(settings.redis.url)
    if not reachable:
        yield from _port(settings, url, holder)


def _settings(settings: Settings, config: Path | None) -> Iterator[Check]:
    from pydatacoll.config_check import cautions

    source = f"{config} and the environment are valid" if config else "no file given; the environment is valid"
    yield Check("settings", OK, source)
    for name, what, remedy in cautions(settings, datetime.now(UTC)):
        yield Check("settings", WARNING, f"{name}: {what}", remedy)
    if config is not None and config.exists():
        mode = stat.S_IMODE(config.stat().st_mode)
        if mode & 0o022:
            yield Check("settings", FAILED, f"others may write to {config}", f"chmod go-w '{config}'")
        elif mode & 0o044 and "@" in settings.redis.url:
            yield Check("settings", WARNING, f"others may read the password in {config}", f"chmod go-r '{config}'")


def _directory(folder: Path) -> Iterator[Check]:
    """The data directory, by the rules that the server has for it at its start."""
    if not folder.exists():
        parent = next(one for one in folder.parents if one.exists())
        if os.access(parent, os.W_OK | os.X_OK):
            yield Check("data", OK, f"{folder} does not exist yet; the server makes it")
        else:
            yield Check(
                "data",
                FAILED,
                f"{folder} does not exist, and {parent} is not writable for this user",
                "make it, or choose another with --data-dir",
            )
        return
    if not folder.is_dir():
        yield Check("data", FAILED, f"{folder} is not a directory", "choose another with --data-dir")
        return
    mode = stat.S_IMODE(folder.stat().st_mode)
    if not os.access(folder, os.R_OK | os.W_OK | os.X_OK):
        yield Check(
            "data",
            FAILED,
            f"{folder} is not writable for this user",
            "run the doctor and the server as its owner, or choose another with --data-dir",
        )
    elif mode & 0o022:
        yield Check("data", FAILED, f"others may write to {folder} (mode {mode:04o})", f"chmod go-w '{folder}'")
    elif mode & 0o055:
        yield Check(
            "data", WARNING, f"others may look into {folder} (mode {mode:04o})", f"chmod go-rwx '{folder}'"
        )
    else:
        yield Check("data", OK, f"{folder} is writable, for its owner only")


def _disk(folder: Path) -> Check:
    free = shutil.disk_usage(folder).free
    detail = f"{free / 1024**3:.1f} GiB free for {folder}"
    if free < _FULL:
        return Check("disk", FAILED, detail, "make room: the store stops taking values when the disk is full")
    if free < _LOW:
        return Check("disk", WARNING, detail, "make room")
    return Check("disk", OK, detail)


def _holder(folder: Path) -> int | None:
    """The process that holds the data directory; 0 when it is held by one that is not known."""
    from pydatacoll.store import datadir

    path = folder / datadir.LOCK
    try:
        descriptor = os.open(path, os.O_RDWR | os.O_CLOEXEC)
    except OSError:
        return None  # never used, or not ours to look into, which is said of the directory
    try:
        return None if datadir.try_lock(descriptor) else datadir.read_pid(path) or 0
    finally:
        os.close(descriptor)


def _lock(folder: Path, holder: int | None, *, reachable: bool) -> Iterator[Check]:
    if holder is None:
        if not reachable:
            yield Check("process", FAILED, f"no server is running on {folder}", "start it with: pydatacoll serve")
        return
    process = f"process {holder}" if holder else "another process"
    if reachable:
        yield Check("process", OK, f"{process} is running on {folder}")
    else:
        yield Check(
            "process",
            FAILED,
            f"{process} is running on {folder}, but does not answer at the URL that was asked",
            "look at the line it printed when it started, and name that URL with --url",
        )


def _store(url: str) -> Check:
    import redis

    from pydatacoll.config import effective

    shown = effective({"url": url}).partition("=")[2].strip()
    remedy = "start it, or correct redis.url"
    try:
        client = redis.Redis.from_url(url, socket_timeout=_STORE_TIMEOUT, socket_connect_timeout=_STORE_TIMEOUT)
        with client:
            version = str(client.info("server").get("redis_version", "?"))
    except (redis.RedisError, OSError, ValueError) as error:
        return Check("store", FAILED, f"{shown}: {error}", remedy)
    if version.partition(".")[0].isdigit() and int(version.partition(".")[0]) < 7:
        return Check("store", FAILED, f"{shown} has version {version}", "7.0 or newer is needed")
    return Check("store", OK, f"{shown} answers, version {version}")


def _port(settings: Settings, url: str, holder: int | None) -> Iterator[Check]:
    """Whether the server could listen, and where it would."""
    host, port = settings.server.host, settings.server.port
    if port == 0:
        return
    asked = urlsplit(url)
    if asked.port != port and holder is None:
        yield Check(
            "port", WARNING, f"the settings say port {port}, {url} was asked", "name the server's URL with --url"
        )
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    with socket.socket(family, socket.SOCK_STREAM) as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((host, port))
        except OSError as error:
            if error.errno == errno.EADDRINUSE:
                if holder is None:
                    yield Check(
                        "port",
                        FAILED,
                        f"{host}:{port} is taken by another program",
                        f"find it with: ss -ltnp 'sport = :{port}'; or choose another port with --port",
                    )
            else:
                yield Check(
                    "port",
                    FAILED,
                    f"cannot listen on {host}:{port}: {error.strerror}",
                    "choose another with --host and --port",
                )
        else:
            yield Check("port", OK, f"{host}:{port} is free")
