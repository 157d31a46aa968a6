"""One Modbus TCP connection over asyncio: queue, pipelining, time-outs.

It knows requests and replies, not points. Replies are checked here (by :mod:`frames`), so that whoever submits a
job gets either the right data or an error. Results are passed by calling back from ``data_received``: a future and
a task switch per request would cost as much as the rest of the request.
"""

from __future__ import annotations

import asyncio
import socket
from collections import deque
from collections.abc import Callable, Iterable
from time import perf_counter
from typing import Any, Protocol, cast

from pydatacoll.errors import DeviceError, DeviceOffline, DeviceTimeout
from pydatacoll.protocols import sockets
from pydatacoll.protocols.modbus_tcp.describe import in_words
from pydatacoll.protocols.modbus_tcp.frames import (
    ModbusException,
    RemoteProtocolError,
    Request,
    Splitter,
    pack_frame,
)
from pydatacoll.sdk import DriverContext

Outcome = bytes | DeviceError
"""Data of a right reply (empty for a write), or why there are none."""

LATE = 60.0
"""Seconds for which the id of an unanswered transaction is not used again: the reply may still come."""
MAX_LATE = 4096
"""Such ids after which a connection is given up."""


class Job:
    """A request on its way.

    :ivar done: called once, with the job and its outcome, unless the job was cancelled. Must not raise.
    :ivar urgent: goes before everything that is not.
    :ivar probe: is sent at once and does not count as in flight, because its unit is likely to stay silent.
    :ivar deadline: ``loop.time()`` after which it must not be sent any more.
    :ivar sent: ``loop.time()`` of sending; 0 while it waits.
    :ivar started: the same by a finer clock, for the round trip: a loop may count in milliseconds.
    """

    __slots__ = ("cancelled", "deadline", "done", "probe", "request", "sent", "started", "tag", "urgent")

    def __init__(
        self,
        request: Request,
        done: Callable[[Job, Outcome], None],
        tag: Any = None,
        *,
        urgent: bool = False,
        probe: bool = False,
        deadline: float | None = None,
    ) -> None:
        self.request = request
        self.done = done
        self.tag = tag
        self.urgent = urgent
        self.probe = probe
        self.deadline = deadline
        self.sent = 0.0
        self.started = 0.0
        self.cancelled = False


class Link(Protocol):
    """What the driver needs of a connection; there is one per backend."""

    closed: asyncio.Future[DeviceOffline]
    """Done when the connection is gone, with the reason."""
    last_received: float
    """``loop.time()`` of the last bytes from the peer."""
    last_rtt: float
    """Seconds from sending to the reply, of the last reply; 0 before the first."""
    smooth_rtt: float

    def submit(self, jobs: Iterable[Job]) -> None:
        """Queue jobs. Never raises: a closed link answers each with ``DeviceOffline``."""

    def close(self, reason: str) -> None:
        """Close at once; jobs without reply get ``DeviceOffline`` with the reason."""

    @property
    def in_flight(self) -> int:
        """Requests sent and not answered."""


def expired(job: Job) -> DeviceTimeout:
    """The error of a job that was not sent before its deadline."""
    return DeviceTimeout(f"expired before it was sent: {in_words(job.request.unit, job.request.pdu)}")


class JobQueue:
    """Urgent jobs first, each kind in order of arrival."""

    __slots__ = ("_normal", "_urgent")

    def __init__(self) -> None:
        self._urgent: deque[Job] = deque()
        self._normal: deque[Job] = deque()

    def push(self, job: Job) -> None:
        (self._urgent if job.urgent else self._normal).append(job)

    def pop(self, now: float) -> Job | None:
        """The next job worth sending; those that expired are told so."""
        while self._urgent or self._normal:
            job = (self._urgent or self._normal).popleft()
            if job.cancelled:
                continue
            if job.deadline is not None and now > job.deadline:
                job.done(job, expired(job))
                continue
            return job
        return None

    def drain(self) -> list[Job]:
        """Take everything out."""
        jobs = [*self._urgent, *self._normal]
        self._urgent.clear()
        self._normal.clear()
        return jobs


class Connection(asyncio.Protocol):
    """The native backend. Create with :func:`open_connection`."""

    def __init__(self, *, timeout: float, depth: int, context: DriverContext) -> None:
        self._loop = asyncio.get_running_loop()
        self._timeout = timeout
        self._depth = depth
        self._context = context
        self._counters = context.counters
        self._queue = JobQueue()
        self._splitter = Splitter()
        self._flying: dict[int, Job] = {}  # in order of sending, hence of expiry: all have the same time-out
        self._late: dict[int, float] = {}  # transaction -> loop.time() of giving up, oldest first
        self._transaction = 0
        self._slots = depth
        self._timer: asyncio.TimerHandle | None = None
        self._transport: asyncio.Transport | None = None
        self.closed: asyncio.Future[DeviceOffline] = self._loop.create_future()
        self._socket: socket.socket | None = None
        self._position = 0
        self.last_received = self._loop.time()
        self.last_rtt = 0.0
        self.smooth_rtt = 0.0

    @property
    def in_flight(self) -> int:
        return len(self._flying)

    # asyncio.Protocol

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast(asyncio.Transport, transport)
        sock = transport.get_extra_info("socket")
        if sock is not None:
            self._socket = sock
            sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            sockets.forgetful(sock)
            # Finds a dead connection also while there is nothing to ask.
            sock.setsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)
            for option, seconds in (("TCP_KEEPIDLE", 10), ("TCP_KEEPINTVL", 5), ("TCP_KEEPCNT", 3)):
                if hasattr(socket, option):
                    sock.setsockopt(socket.IPPROTO_TCP, getattr(socket, option), seconds)

    def connection_lost(self, exc: Exception | None) -> None:
        self._socket = None
        self._finish(f"connection lost: {exc}" if exc else "the device closed the connection")

    def eof_received(self) -> bool:
        return False  # closes

    def data_received(self, data: bytes) -> None:
        if self.closed.done():
            return
        loop_time = self._loop.time()
        self.last_received = loop_time
        counters = self._counters
        counters["bytes_in"] += len(data)
        splitter = self._splitter
        frames = self._context.frames
        for transaction, unit, pdu in splitter.feed(data):
            if frames is not None:
                frames.received(pack_frame(transaction, unit, pdu))
            job = self._flying.pop(transaction, None)
            if job is None:
                self._late.pop(transaction, None)
                counters["stale_transaction"] += 1
                continue
            if not job.probe:
                self._slots += 1
            self.last_rtt = rtt = perf_counter() - job.started
            self.smooth_rtt = rtt if self.smooth_rtt == 0.0 else self.smooth_rtt + (rtt - self.smooth_rtt) / 8
            counters["replies"] += 1
            outcome: Outcome
            try:
                outcome = job.request.parse(unit, pdu)
            except RemoteProtocolError as exc:
                counters[exc.kind] += 1
                outcome = exc
            if isinstance(outcome, ModbusException):
                counters[f"exception_{outcome.code}"] += 1
            if not job.cancelled:
                job.done(job, outcome)
        if splitter.error is not None:
            counters["garbage"] += 1
            if frames is not None:
                frames.received(data)
            self.close(str(splitter.error))
            return
        self._pump()

    # Link

    def submit(self, jobs: Iterable[Job]) -> None:
        if self.closed.done():
            error = self.closed.result()
            for job in jobs:
                job.done(job, error)
            return
        for job in jobs:
            if job.probe:
                self._send([job])
            else:
                self._queue.push(job)
        self._pump()

    def close(self, reason: str) -> None:
        if self._transport is not None:
            if self._socket is not None and not (
                self._flying or self._transport.is_closing() or self._unconfirmed()
            ):
                sockets.orderly(self._socket)
            self._transport.abort()
            self._socket = None
        self._finish(reason)

    def _unconfirmed(self) -> int:
        """Bytes sent that the device's end has not confirmed, as far as the system can tell."""
        if self._transport is None or self._socket is None:
            return 0
        return sockets.unconfirmed(self._transport, self._socket)

    def _recall(self, job: Job, transaction: int, position: int) -> None:
        """A command has expired: when it did not even arrive, take it back with the whole connection.

        :param position: number of bytes sent on this connection up to its end.
        """
        unanswered = self._flying.get(transaction) is job or transaction in self._late
        if unanswered and not self.closed.done() and self._position - self._unconfirmed() < position:
            self._counters["recalled"] += 1
            self.close("a command did not arrive before it expired")

    def _pump(self) -> None:
        if self._slots <= 0:
            return
        now = self._loop.time()
        batch: list[Job] = []
        while self._slots > 0 and (job := self._queue.pop(now)) is not None:
            self._slots -= 1
            batch.append(job)
        if batch:
            self._send(batch)

    def _send(self, batch: list[Job]) -> None:
        transport = self._transport
        if transport is None or self.closed.done():
            return
        now = self._loop.time()
        started = perf_counter()
        parts = []
        for job in batch:
            job.sent = now
            job.started = started
            transaction = self._next_transaction()
            self._flying[transaction] = job
            parts.append(transaction.to_bytes(2, "big") + job.request.tail)
            self._position += len(parts[-1])
            if job.deadline is not None:
                self._loop.call_at(job.deadline, self._recall, job, transaction, self._position)
        if (frames := self._context.frames) is not None:
            for part in parts:
                frames.sent(part)
        data = parts[0] if len(parts) == 1 else b"".join(parts)
        self._counters["requests"] += len(batch)
        self._counters["bytes_out"] += len(data)
        transport.write(data)
        if self._timer is None:
            self._timer = self._loop.call_at(now + self._timeout, self._expire)

    def _next_transaction(self) -> int:
        while True:
            self._transaction = transaction = self._transaction + 1 & 0xFFFF
            if transaction not in self._flying and transaction not in self._late:
                return transaction

    def _expire(self) -> None:
        """One timer for all requests: re-armed for the oldest one instead of set per request."""
        self._timer = None
        now = self._loop.time()
        overdue: list[Job] = []
        for transaction, job in list(self._flying.items()):
            if job.sent + self._timeout > now:
                break
            del self._flying[transaction]
            self._late[transaction] = now
            if not job.probe:
                self._slots += 1
            overdue.append(job)
        self._counters["timeouts"] += len(overdue)
        if overdue and (frames := self._context.frames) is not None:
            frames.note(f"no answer within {self._timeout:g} s to {len(overdue)} of the requests sent")
        for transaction, given_up in list(self._late.items()):
            if given_up + LATE > now:
                break
            del self._late[transaction]
        # Half a frame that does not go on leaves the stream without a known beginning.
        broken = bool(overdue) and self._splitter.stuck(self._flying)
        for job in overdue:
            if not job.cancelled:
                asked = in_words(job.request.unit, job.request.pdu)
                job.done(job, DeviceTimeout(f"no answer within {self._timeout:g} s: {asked}"))
        if broken:
            self._counters["garbage"] += 1
            self.close("a reply broke off in the middle")
        elif len(self._late) > MAX_LATE:
            self.close("too many requests were never answered")
        elif not self.closed.done():
            if self._flying and self._timer is None:
                oldest = next(iter(self._flying.values()))
                self._timer = self._loop.call_at(oldest.sent + self._timeout, self._expire)
            self._pump()

    def _finish(self, reason: str) -> None:
        if self.closed.done():
            return
        error = DeviceOffline(reason)
        self.closed.set_result(error)
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
        if self._splitter.rest and (frames := self._context.frames) is not None:
            frames.received(self._splitter.rest)
        jobs = [*self._flying.values(), *self._queue.drain()]
        self._flying.clear()
        for job in jobs:
            if not job.cancelled:
                job.done(job, error)


async def open_connection(
    host: str,
    port: int,
    *,
    timeout: float,  # noqa: ASYNC109 - also the time-out of every request
    depth: int,
    context: DriverContext,
) -> Connection:
    """Connect within ``timeout`` seconds.

    :raises DeviceOffline: when that fails.
    """
    loop = asyncio.get_running_loop()

    async def open_to(address: str) -> Connection:
        _, connection = await loop.create_connection(
            lambda: Connection(timeout=timeout, depth=depth, context=context), address, port
        )
        return connection

    return await context.connect(host, port, open_to, timeout=timeout)
