"""A worker process: lib60870 for the stations of one manager process.

Started with ``python -m``, the number of the file descriptor of a socket to the manager as argument. It ends when
the manager closes the socket or is gone, and at once when the library aborts, which costs its stations a
reconnection. When its loop does not turn for :data:`STUCK` seconds, because threads of the library wait for each
other, it ends too.
"""

from __future__ import annotations

import asyncio
import faulthandler
import importlib
import importlib.metadata
import os
import signal
import socket
import sys
from concurrent.futures import ThreadPoolExecutor
from typing import Any

from pydatacoll.protocols.iec104.c104_messages import (
    Channel,
    Close,
    Frames,
    Missing,
    Open,
    Pause,
    Ready,
    Recall,
    Send,
    ToManager,
    ToWorker,
)
from pydatacoll.protocols.iec104.c104_session import Session

STUCK = 20.0
"""Seconds without a turn of the loop after which the process ends itself."""
THREADS = 512
"""Calls of the library under way at most; idle threads cost little and are only made when needed."""


class Worker:
    """The stations of this process."""

    def __init__(self, c104: Any) -> None:
        self._c104 = c104
        self._calls = ThreadPoolExecutor(THREADS, thread_name_prefix="call")
        self._sessions: dict[int, Session] = {}
        self._ended = asyncio.Event()
        self._full = False
        self.channel: Channel[ToWorker] = Channel(ToWorker, self._received, self._lost, self._on_full)

    async def run(self) -> None:
        """Until the manager has gone."""
        self.channel.send(Ready(importlib.metadata.version("c104")))
        while not self._ended.is_set():
            faulthandler.dump_traceback_later(STUCK, exit=True)
            try:
                async with asyncio.timeout(STUCK / 4):
                    await self._ended.wait()
            except TimeoutError:
                continue

    def _received(self, message: ToWorker) -> None:
        if isinstance(message, Open):
            session = Session(message, self._c104, self._calls, self._tell, self._gone)
            self._sessions[message.station] = session
            session.stall(on=self._full)
            return
        found = self._sessions.get(message.station)
        if found is None:  # it has ended; the manager is about to hear of it
            return
        try:
            self._pass_on(found, message)
        except Exception as error:  # noqa: BLE001 - whatever the library objects to, only this station is lost
            found.over(f"lib60870 cannot be used: {error!r}")

    @staticmethod
    def _pass_on(found: Session, message: ToWorker) -> None:
        match message:
            case Send():
                found.send(message.token, message.asdu)
            case Recall():
                found.recall(message.token)
            case Pause():
                found.pause(on=message.on)
            case Frames():
                found.watch(on=message.on)
            case Close():
                found.close()

    def _gone(self, station: int) -> None:
        self._sessions.pop(station, None)

    def _tell(self, message: ToManager) -> None:
        self.channel.send(message)

    def _lost(self, reason: str) -> None:
        self._ended.set()

    def _on_full(self, full: bool) -> None:
        self._full = full
        for session in self._sessions.values():
            session.stall(on=full)


async def _main(sock: socket.socket) -> None:
    loop = asyncio.get_running_loop()
    try:
        c104 = importlib.import_module("c104")
    except ImportError as error:
        channel: Channel[ToWorker] = Channel(ToWorker, _ignored, _ignored, _ignored)
        await loop.create_unix_connection(lambda: channel, sock=sock)
        channel.send(Missing(str(error)))
        channel.close()
        return
    worker = Worker(c104)
    await loop.create_unix_connection(lambda: worker.channel, sock=sock)
    await worker.run()


def _ignored(_: object) -> None:
    """The process is about to end."""


def main() -> None:
    """Serve until the manager has gone."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl+C reaches all processes of a terminal; the manager decides
    asyncio.run(_main(socket.socket(fileno=int(sys.argv[1]))))
    sys.stdout.flush()
    # the connections are closed by the system; threads of the library would keep the process alive
    faulthandler.cancel_dump_traceback_later()
    os._exit(0)


if __name__ == "__main__":
    main()
