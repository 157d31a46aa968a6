"""The worker processes of lib60870 of one manager process.

A worker serves up to :data:`STATIONS` stations. It is started when the first of them is connected, ends with its
last, and is replaced when it dies; the manager connects its stations again. One that dies again and again is not
started again at once.
"""

from __future__ import annotations

import asyncio
import logging
import os
import signal
import socket
import sys
from collections import deque
from collections.abc import Callable
from typing import cast
from weakref import WeakKeyDictionary

from pydatacoll.errors import DeviceOffline
from pydatacoll.protocols.iec104.c104_messages import (
    SERVED,
    Channel,
    Close,
    Closed,
    Missing,
    Ready,
    ToManager,
    ToWorker,
)

log = logging.getLogger(__name__)

STATIONS = 50
START = 30.0
"""Longest wait for a worker to be ready, seconds."""
STOP = 5.0
"""Seconds a worker may take to end before it is killed."""
STEADY = 10.0
"""A worker that ran this many seconds did not die of its start."""
PAUSES = (0.5, 30.0)
"""First and longest pause after a worker that died early, seconds."""
LAST_WORDS = 5
"""Lines of its error output that are remembered."""

REMEDY = 'install it with "pip install c104" (for Linux with glibc), or set the backend of the device to "native"'

Taker = Callable[[ToManager], None]


class Worker:
    """One worker process; see :meth:`start`.

    :ivar stations: who takes the messages about each station.
    :ivar version: of c104.
    """

    def __init__(self, ended: Callable[[Worker, str], None]) -> None:
        self._loop = asyncio.get_running_loop()
        self._ended = ended
        self._channel: Channel[ToManager] = Channel(ToManager, self._received, self._lost, _unused)
        self._ready: asyncio.Future[str] = self._loop.create_future()
        self._process: asyncio.subprocess.Process | None = None
        self._task: asyncio.Task[None] | None = None
        self._said: deque[str] = deque(maxlen=LAST_WORDS)
        self._stopping = False
        self.started = self._loop.time()
        self.stations: dict[int, Taker] = {}
        self.version = ""

    @property
    def pid(self) -> int:
        """Of the process."""
        return self._process.pid if self._process is not None else 0

    async def start(self) -> None:
        """Start the process and wait until it has loaded the library.

        :raises DeviceOffline: it cannot; says what to do about it.
        """
        ours, theirs = socket.socketpair()
        try:
            with theirs:
                self._process = await asyncio.create_subprocess_exec(
                    sys.executable,
                    "-m",
                    SERVED,
                    str(theirs.fileno()),
                    stdin=asyncio.subprocess.DEVNULL,
                    stdout=asyncio.subprocess.DEVNULL,
                    stderr=asyncio.subprocess.PIPE,
                    pass_fds=[theirs.fileno()],
                    env={**os.environ, "TZ": "UTC"},  # c104 takes times for local ones
                )
            await self._loop.create_unix_connection(lambda: self._channel, sock=ours)
        except BaseException as error:
            ours.close()
            if self._process is not None:
                await self._kill(self._process)
            if isinstance(error, OSError):
                raise DeviceOffline(f"a worker process for lib60870 cannot be started: {error}") from error
            raise
        watching = self._watch(self._process, cast("asyncio.StreamReader", self._process.stderr))
        self._task = self._loop.create_task(watching, name=f"lib60870 in process {self.pid}")
        try:
            async with asyncio.timeout(START):
                self.version = await asyncio.shield(self._ready)
        except TimeoutError:
            await self.stop()
            raise DeviceOffline(f"a worker process for lib60870 was not ready within {START:g} s") from None
        except BaseException:
            await self.stop()
            raise
        log.info("lib60870 (c104 %s) runs in process %d", self.version, self.pid)

    def send(self, message: ToWorker) -> None:
        """Tell the worker."""
        self._channel.send(message)

    async def stop(self) -> None:
        """End the process; it closes what is open."""
        self._stopping = True
        self._channel.close()
        task, self._task = self._task, None
        if task is None:
            return
        done, _ = await asyncio.wait([task], timeout=STOP)
        if not done and self._process is not None:
            await self._kill(self._process)
            await task

    async def _watch(self, process: asyncio.subprocess.Process, output: asyncio.StreamReader) -> None:
        """Read what it says until it ends."""
        try:
            async for line in output:
                text = line.decode("utf-8", "replace").strip()
                if text:
                    self._said.append(text)
                    log.debug("process %d: %s", process.pid, text)
            code = await process.wait()
        except asyncio.CancelledError:
            await self._kill(process)
            raise
        reason = f"the worker process of lib60870 ended ({_in_words(code)})"
        if not self._ready.done():
            self._ready.set_exception(DeviceOffline(f"{reason}: {' / '.join(self._said)}"))
        elif not self._stopping:
            log.error("%s after %.0f s: %s", reason, self._loop.time() - self.started, " / ".join(self._said))
        if not self._stopping:
            self._ended(self, reason)

    async def _kill(self, process: asyncio.subprocess.Process) -> None:
        if process.returncode is None:
            process.kill()
        await process.wait()

    def _received(self, message: ToManager) -> None:
        if isinstance(message, Ready):
            self._ready.set_result(message.version)
        elif isinstance(message, Missing):
            text = f"the package c104, which has lib60870, is not installed here ({message.reason}): {REMEDY}"
            self._ready.set_exception(DeviceOffline(text))
        elif (taker := self.stations.get(message.station)) is not None:
            try:
                taker(message)
            except Exception:
                log.exception("what came from a station could not be taken; its connection is closed")
                self.send(Close(message.station))

    def _lost(self, reason: str) -> None:
        """The process ends, or has ended, or what it says cannot be understood."""
        if not self._stopping and self._process is not None and self._process.returncode is None:
            self._said.append(reason)
            if reason != "the other end is gone":
                self._process.kill()


class Pool:
    """All of one loop.

    :ivar restarts: workers that died.
    """

    def __init__(self) -> None:
        self._workers: list[Worker] = []
        self._starting = asyncio.Lock()
        self._number = 0
        self._pause = 0.0
        self._not_before = 0.0
        self._reason = ""
        self.restarts = 0

    async def enter(self, taker: Callable[[int], Taker]) -> tuple[Worker, int]:
        """A worker with room for one more station, and the station's number in it.

        :param taker: given the number, who takes the messages about the station.
        :raises DeviceOffline: there is none, and none can be started.
        """
        async with self._starting:
            worker = next((each for each in self._workers if len(each.stations) < STATIONS), None)
            if worker is None:
                worker = await self._start()
            self._number += 1
            worker.stations[self._number] = taker(self._number)
            return worker, self._number

    async def leave(self, worker: Worker, number: int) -> None:
        """A station is no longer served."""
        worker.stations.pop(number, None)
        if not worker.stations and worker in self._workers:
            self._workers.remove(worker)
            await worker.stop()

    async def _start(self) -> Worker:
        loop = asyncio.get_running_loop()
        left = self._not_before - loop.time()
        if left > 0:
            raise DeviceOffline(f"{self._reason}; tried again in {left:.1f} s")
        worker = Worker(self._died)
        try:
            await worker.start()
        except DeviceOffline as error:
            self._put_off(str(error), early=True)
            raise
        self._workers.append(worker)
        return worker

    def _put_off(self, reason: str, *, early: bool) -> None:
        first, longest = PAUSES
        self._pause = min(max(2 * self._pause, first), longest) if early else 0.0
        self._not_before = asyncio.get_running_loop().time() + self._pause
        self._reason = reason

    def _died(self, worker: Worker, reason: str) -> None:
        if worker not in self._workers:
            return
        self._workers.remove(worker)
        self.restarts += 1
        age = asyncio.get_running_loop().time() - worker.started
        self._put_off(f"{reason} {age:.0f} s after its start", early=age < STEADY)
        stations, worker.stations = worker.stations, {}
        for number, taker in stations.items():
            taker(Closed(number, reason, "workers_lost"))


_pools: WeakKeyDictionary[asyncio.AbstractEventLoop, Pool] = WeakKeyDictionary()


def pool() -> Pool:
    """The one of the running loop: drivers share it without knowing of each other."""
    return _pools.setdefault(asyncio.get_running_loop(), Pool())


def _in_words(code: int) -> str:
    if code >= 0:
        return f"exit code {code}"
    try:
        return signal.Signals(-code).name
    except ValueError:
        return f"signal {-code}"


def _unused(full: bool) -> None:
    """What goes to a worker is bounded by the windows k of its stations."""
