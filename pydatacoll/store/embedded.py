"""Starts, watches and stops the embedded Redis-compatible server.

::

    DATA_DIR/lock               held by the process that embeds the server (flock)
    DATA_DIR/store/             everything of the server, for its owner only
        engine.lock             held by the server itself, through an inherited descriptor
        server.conf  server.log  redis.sock  url  appendonlydir/

Both locks are the kernel's: they are free exactly when their holder is gone, whatever way it went. When the
first is free and the second is not, the server of a killed process is still alive; it is ended first, because
two servers on one append-only file destroy it.

On Linux the kernel sends the server SIGTERM when the thread that started it ends (``PR_SET_PDEATHSIG``), so
start it from the main thread. That needs code between fork and exec: it allocates next to nothing, takes no
locks and was imported before.
"""

from __future__ import annotations

import asyncio
import contextlib
import ctypes
import logging
import os
import secrets
import shutil
import signal
import sys
import tempfile
from pathlib import Path

from pydatacoll.errors import ConfigError, StoreError
from pydatacoll.settings import RedisSettings
from pydatacoll.store import datadir
from pydatacoll.store.address import Address, can_bind, free_port
from pydatacoll.store.engine import Engine, configuration, find_engine

log = logging.getLogger(__name__)

LOG_LIMIT = 8 * 1024 * 1024
"""Size from which the server's log is put aside at a start, bytes; one old one is kept."""
START_LIMIT = 30.0
"""Seconds in which a started server must accept connections; loading its data may take longer."""
STOP_LIMIT = 60.0
"""Seconds a server has to flush and end before it is killed."""
BACKOFF = (0.05, 2.0)
"""First and longest pause before a restart, seconds."""
STEADY = 60.0
"""A server that ran this many seconds starts over with the first pause."""

_PR_SET_PDEATHSIG = 1
_LIBC = ctypes.CDLL(None) if sys.platform == "linux" else None


def _in_child(parent: int, lock: int) -> None:
    """Runs in the child before the server replaces it."""
    os.umask(0o077)
    if _LIBC is not None:
        _LIBC.prctl(_PR_SET_PDEATHSIG, signal.SIGTERM)
        if os.getppid() != parent:  # died before the call above
            os._exit(1)
    os.ftruncate(lock, 0)
    os.pwrite(lock, str(os.getpid()).encode(), 0)


def running_url(data_dir: Path) -> str:
    """URL of the server that another process embeds in this data directory.

    :raises ConfigError: when none is running there.
    """
    try:
        return (data_dir.expanduser().resolve() / "store" / "url").read_text()
    except OSError as error:
        raise ConfigError(
            f"no embedded server is running in {data_dir}: start python -m pydatacoll.api_server, "
            "or give --redis URL"
        ) from error


class EmbeddedServer:
    """A Redis-compatible server of our own in the data directory; its URL stays the same over restarts.

    :ivar restarts: how often it died and was started again.
    """

    def __init__(self, data_dir: Path, settings: RedisSettings) -> None:
        self.data_dir = data_dir
        self.settings = settings
        self.restarts = 0
        self._engine: Engine | None = None
        self._address: Address | None = None
        self._lock: datadir.DirectoryLock | None = None
        self._process: asyncio.subprocess.Process | None = None
        self._watcher: asyncio.Task[None] | None = None
        self._socket_dir: Path | None = None

    @property
    def folder(self) -> Path:
        """Where the server keeps its files."""
        return self.data_dir / "store"

    @property
    def logfile(self) -> Path:
        return self.folder / "server.log"

    @property
    def pid(self) -> int | None:
        """Of the server while it runs."""
        process = self._process
        return process.pid if process is not None and process.returncode is None else None

    async def start(self) -> str:
        """Start the server and wait until it has loaded its data.

        :returns: the URL, ``unix:///...`` or, where unix sockets are impossible, ``redis://:...@127.0.0.1:...``.
        :raises ConfigError: the directory is in use or unsafe, or there is no usable executable.
        :raises StoreError: the server does not start; with the last lines of its log.
        """
        if self._lock is not None:
            raise StoreError("the embedded server was started already")
        self.data_dir = datadir.prepare(self.data_dir)
        self._lock = datadir.DirectoryLock(self.data_dir)
        try:
            datadir.prepare(self.folder).chmod(0o700)
            self._engine = await asyncio.to_thread(find_engine, self.settings.engine)
            self._rotate_log()
            await self._first_launch()
            self._write("url", self.url)
            self._write("engine", str(self._engine))
        except OSError as error:
            await self.stop()
            raise StoreError(f"the embedded server cannot use {self.folder}: {error}") from error
        except BaseException:
            await self.stop()
            raise
        self._watcher = asyncio.create_task(self._watch(), name="embedded server")
        log.info("embedded server: %s, pid %s, data in %s", self._engine, self.pid, self.folder)
        return self.url

    @property
    def url(self) -> str:
        """Valid from :meth:`start` on."""
        if self._address is None:
            raise StoreError("the embedded server was not started")
        return self._address.url

    async def stop(self) -> None:
        """Let the server flush and end, then give the directory back; may be called twice."""
        if self._watcher is not None:
            self._watcher.cancel()
            await asyncio.wait([self._watcher])
            self._watcher = None
        await self._end()
        if self._lock is not None:
            (self.folder / "url").unlink(missing_ok=True)
            self._lock.release()
            self._lock = None
        if self._socket_dir is not None:
            shutil.rmtree(self._socket_dir, ignore_errors=True)
            self._socket_dir = None

    def _write(self, name: str, text: str) -> None:
        """The whole file is there at once: a process that looks for the server must not find half an address."""
        path = self.folder / name
        new = path.with_name(f"{name}.new")
        with open(os.open(new, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600), "w", encoding="utf-8") as file:
            file.write(text)
        new.replace(path)

    def _rotate_log(self) -> None:
        with contextlib.suppress(FileNotFoundError):
            if self.logfile.stat().st_size > LOG_LIMIT:
                self.logfile.replace(self.logfile.with_suffix(".log.1"))

    def _log_tail(self, since: int, lines: int = 8) -> str:
        """The last lines of what the server logged after position ``since``."""
        try:
            with self.logfile.open("rb") as file:
                file.seek(since)
                text = file.read(1_000_000).decode(errors="replace").strip()
        except OSError as error:
            return str(error)
        return "\n".join(text.splitlines()[-lines:]) or "(it logged nothing)"

    def _engine_changed(self) -> str:
        """A hint for the most likely reason why a server does not read its data."""
        with contextlib.suppress(OSError):
            before = (self.folder / "engine").read_text()
            if before != str(self._engine):
                return f"; its data were last used by {before}, which {self._engine} may be unable to read"
        return ""

    def _unix_socket(self) -> Path | None:
        """In the directory; when that is impossible in a private one with a short name; else ``None``."""
        path = self.folder / "redis.sock"
        if can_bind(path):
            return path
        self._socket_dir = Path(tempfile.mkdtemp(prefix="pydatacoll-"))
        path = self._socket_dir / "redis.sock"
        return path if can_bind(path) else None

    async def _first_launch(self) -> None:
        path = self._unix_socket()
        if path is not None:
            self._address = Address(path)
            await self._launch()
            return
        for attempt in range(3):
            self._address = Address(None, free_port(), secrets.token_hex(32))
            try:
                await self._launch()
            except StoreError:
                if attempt == 2:  # a port can be taken between its choice and its use
                    raise
            else:
                return

    async def _launch(self) -> None:
        """Start a process and wait until it answers."""
        assert self._engine is not None  # noqa: S101 - start() found it
        assert self._address is not None  # noqa: S101
        address = self._address
        self._write(
            "server.conf",
            configuration(
                self.settings,
                folder=self.folder,
                logfile=self.logfile,
                socket=address.socket,
                port=address.port,
                password=address.password,
            ),
        )
        lock = await self._engine_lock()
        try:
            output = os.open(self.logfile, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600)
            try:
                since = os.fstat(output).st_size
                parent = os.getpid()
                self._process = await asyncio.create_subprocess_exec(
                    self._engine.executable,
                    str(self.folder / "server.conf"),
                    stdin=asyncio.subprocess.DEVNULL,
                    stdout=output,
                    stderr=output,
                    cwd=self.folder,
                    env=os.environ | {"LC_ALL": "C"},  # a server refuses to start under an unknown locale
                    pass_fds=(lock,),
                    start_new_session=True,  # a Ctrl+C in the terminal is for us; the server ends last
                    preexec_fn=lambda: _in_child(parent, lock),
                )
            finally:
                os.close(output)
        except OSError as error:
            raise StoreError(f"the embedded server does not start: {error}") from error
        finally:
            os.close(lock)
        try:
            await self._ready(self._process, address, since)
        except BaseException:
            await self._end()
            raise

    async def _ready(self, process: asyncio.subprocess.Process, address: Address, since: int) -> None:
        loop = asyncio.get_running_loop()
        deadline = loop.time() + START_LIMIT
        pause = 0.002
        while (state := await address.probe()) != "up":
            if process.returncode is not None:
                raise StoreError(
                    f"the embedded server ended at its start (code {process.returncode}){self._engine_changed()}; "
                    f"the end of {self.logfile}:\n{self._log_tail(since)}"
                )
            if state == "loading":
                deadline = loop.time() + START_LIMIT
            elif loop.time() > deadline:
                raise StoreError(
                    f"the embedded server does not answer; the end of {self.logfile}:\n{self._log_tail(since)}"
                )
            await asyncio.sleep(pause)
            pause = min(pause * 1.5, 0.1)

    async def _engine_lock(self) -> int:
        """A descriptor that holds the server's own lock, after ending a server that a killed process left."""
        path = self.folder / "engine.lock"
        descriptor = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        try:
            if not datadir.try_lock(descriptor):
                await self._end_orphan(descriptor, path)
        except BaseException:
            os.close(descriptor)
            raise
        return descriptor

    async def _end_orphan(self, descriptor: int, path: Path) -> None:
        loop = asyncio.get_running_loop()
        deadline = loop.time() + STOP_LIMIT
        told: int | None = None
        while not datadir.try_lock(descriptor):
            pid = datadir.read_pid(path)
            if pid is not None and pid != told:
                log.warning("embedded server: ending process %d, left by an instance that was killed", pid)
                with contextlib.suppress(ProcessLookupError):
                    os.kill(pid, signal.SIGTERM)
                told = pid
            if loop.time() > deadline:
                raise StoreError(f"an earlier embedded server (process {pid}) does not end; stop it")
            await asyncio.sleep(0.02)

    async def _watch(self) -> None:
        """Start the server again whenever it dies."""
        loop = asyncio.get_running_loop()
        pause = BACKOFF[0]
        while self._process is not None:
            since = loop.time()
            code = await self._process.wait()
            self._kill_group()
            log.error("embedded server ended by itself (code %s); starting it again", code)
            if loop.time() - since > STEADY:
                pause = BACKOFF[0]
            while True:
                await asyncio.sleep(pause)
                pause = min(pause * 2, BACKOFF[1])
                try:
                    await self._launch()
                except (StoreError, ConfigError, OSError) as error:
                    log.error("embedded server: %s; next attempt in %.1f s", error, pause)  # noqa: TRY400
                else:
                    self.restarts += 1
                    log.warning("embedded server runs again, pid %s", self.pid)
                    break

    def _kill_group(self) -> None:
        """End what a dead server left: a process rewriting the append-only file holds the server's lock."""
        if self._process is not None:
            with contextlib.suppress(ProcessLookupError, PermissionError):
                os.killpg(self._process.pid, signal.SIGKILL)

    async def _end(self) -> None:
        process = self._process
        if process is None:
            return
        if process.returncode is None:
            with contextlib.suppress(ProcessLookupError):
                process.terminate()
            try:
                async with asyncio.timeout(STOP_LIMIT):
                    await process.wait()
            except TimeoutError:
                log.error("embedded server does not end after SIGTERM; killing it")  # noqa: TRY400
                with contextlib.suppress(ProcessLookupError):
                    process.kill()
                await process.wait()
        self._kill_group()
        self._process = None
