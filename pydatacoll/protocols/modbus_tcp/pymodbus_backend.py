"""The same requests over pymodbus. The only module that knows pymodbus (>= 3.16.1, < 3.17).

What of it is used: connecting, framing, one outstanding transaction. What is not: its PDU classes (they accept
short, empty and foreign answers), its retries (they would repeat writes) and its reconnecting (the manager's
task). Replies are taken as raw bytes and checked by :mod:`frames`, like those of the native backend.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
from collections.abc import Iterable
from typing import Any

from pymodbus.client import AsyncModbusTcpClient
from pymodbus.exceptions import ModbusException as PymodbusError
from pymodbus.pdu import ModbusPDU

from pydatacoll.errors import DeviceOffline, DeviceTimeout
from pydatacoll.protocols.modbus_tcp.client import Job, JobQueue, Outcome
from pydatacoll.protocols.modbus_tcp.describe import in_words
from pydatacoll.protocols.modbus_tcp.frames import ModbusException, RemoteProtocolError
from pydatacoll.sdk import DriverContext

log = logging.getLogger(__name__)
# It logs an error for every reply it skips and every time-out; the driver counts and reports these itself.
logging.getLogger("pymodbus.logging").setLevel(logging.CRITICAL)


class _RawRequest(ModbusPDU):
    """A request whose bytes are given."""

    def __init__(self, unit: int, pdu: bytes) -> None:
        super().__init__(dev_id=unit)
        self.function_code = pdu[0]
        self._data = pdu[1:]

    def encode(self) -> bytes:
        return self._data


class _RawReply(ModbusPDU):
    """A reply whose bytes are kept."""

    data: bytes = b""

    def decode(self, data: bytes) -> None:
        self.data = data


_REPLIES: list[type[ModbusPDU]] = [
    type(f"_RawReply{code}", (_RawReply,), {"function_code": code}) for code in range(1, 0x80)
]


class PymodbusLink:
    """See :class:`~pydatacoll.protocols.modbus_tcp.client.Link`. Create with :func:`open_pymodbus`."""

    def __init__(self, *, timeout: float, context: DriverContext) -> None:
        self._loop = asyncio.get_running_loop()
        self._timeout = timeout
        self._context = context
        self._counters = context.counters
        self._queue = JobQueue()
        self._flying: Job | None = None
        self._wake = asyncio.Event()
        self._client: AsyncModbusTcpClient | None = None
        self._worker: asyncio.Task[None] | None = None
        self.closed: asyncio.Future[DeviceOffline] = self._loop.create_future()
        self.last_received = self._loop.time()
        self.last_rtt = 0.0
        self.smooth_rtt = 0.0

    @property
    def in_flight(self) -> int:
        return 0 if self._flying is None else 1

    async def open(self, address: str, port: int) -> None:
        """Connect to an IP address.

        :raises OSError: when that fails.
        """
        client = AsyncModbusTcpClient(
            address,
            port=port,
            timeout=self._timeout,
            retries=0,
            reconnect_delay=0,
            trace_packet=self._packet,
            trace_connect=self._connected,
        )
        for reply in _REPLIES:
            client.register(reply)
        client.set_max_no_responses(1_000_000)  # whether a silent peer is gone is decided by the driver
        self._client = client
        create, failure = client.ctx.call_create, TimeoutError()

        async def create_and_remember() -> Any:
            nonlocal failure
            try:
                return await create()
            except OSError as error:  # pymodbus logs it and answers only that it failed
                failure = error  # type: ignore[assignment]
                raise

        client.ctx.call_create = create_and_remember
        if not await client.connect():
            client.close()
            raise failure
        self._worker = self._loop.create_task(self._work(client), name=f"pymodbus {address}:{port}")
        self._worker.add_done_callback(self._worker_done)

    def submit(self, jobs: Iterable[Job]) -> None:
        if self.closed.done():
            error = self.closed.result()
            for job in jobs:
                job.done(job, error)
            return
        for job in jobs:
            self._queue.push(job)
        self._wake.set()

    def close(self, reason: str) -> None:
        self._finish(reason)
        if self._client is not None:
            self._client.close()

    def _packet(self, sending: bool, data: bytes) -> bytes:
        self._counters["bytes_out" if sending else "bytes_in"] += len(data)
        if not sending:
            self.last_received = self._loop.time()
        if (frames := self._context.frames) is not None:
            (frames.sent if sending else frames.received)(data)
        return data

    def _worker_done(self, worker: asyncio.Task[None]) -> None:
        if not worker.cancelled() and (error := worker.exception()) is not None:
            log.error("pymodbus failed", exc_info=error)
            self.close(f"pymodbus failed: {error!r}")

    def _connected(self, connected: bool) -> None:
        if not connected:
            self._finish("the device closed the connection")

    async def _work(self, client: AsyncModbusTcpClient) -> None:
        while True:
            job = self._queue.pop(self._loop.time())
            if job is None:
                self._wake.clear()
                await self._wake.wait()
                continue
            self._flying = job
            job.sent = self._loop.time()
            self._counters["requests"] += 1
            outcome = await self._transact(client, job)
            self._flying = None
            if not job.cancelled:
                job.done(job, outcome)

    async def _transact(self, client: AsyncModbusTcpClient, job: Job) -> Outcome:
        request = job.request
        received = self.last_received
        try:
            reply: Any = await client.execute(False, _RawRequest(request.unit, request.pdu))
        except PymodbusError as exc:
            # pymodbus skips replies of another unit or transaction and then reports only the silence.
            if self.last_received > received and self.last_received >= job.sent:
                self._counters["stale_transaction"] += 1
            self._counters["timeouts"] += 1
            if (frames := self._context.frames) is not None:
                frames.note(f"no answer within {self._timeout:g} s")
            asked = in_words(request.unit, request.pdu)
            return DeviceTimeout(f"no answer within {self._timeout:g} s: {asked} (pymodbus: {exc})")
        self.last_rtt = rtt = self._loop.time() - job.sent
        self.smooth_rtt = rtt if self.smooth_rtt == 0.0 else self.smooth_rtt + (rtt - self.smooth_rtt) / 8
        self._counters["replies"] += 1
        if isinstance(reply, _RawReply):
            pdu = bytes([reply.function_code]) + reply.data
        else:  # the library's own class for exceptions
            pdu = bytes([reply.function_code, reply.exception_code])
        try:
            outcome = request.parse(reply.dev_id, pdu)
        except RemoteProtocolError as error:
            self._counters[error.kind] += 1
            return error
        if isinstance(outcome, ModbusException):
            self._counters[f"exception_{outcome.code}"] += 1
        return outcome

    def _finish(self, reason: str) -> None:
        if self.closed.done():
            return
        error = DeviceOffline(reason)
        self.closed.set_result(error)
        jobs = ([self._flying] if self._flying is not None else []) + self._queue.drain()
        self._flying = None
        if self._worker is not None:
            self._worker.cancel()
        for job in jobs:
            if not job.cancelled:
                job.done(job, error)


async def open_pymodbus(
    host: str,
    port: int,
    *,
    timeout: float,  # noqa: ASYNC109 - also the time-out of every request
    context: DriverContext,
) -> PymodbusLink:
    """Connect within ``timeout`` seconds.

    :raises DeviceOffline: when that fails.
    """

    async def open_to(address: str) -> PymodbusLink:
        link = PymodbusLink(timeout=timeout, context=context)
        try:
            await link.open(address, port)
        except BaseException:
            with contextlib.suppress(OSError):
                link.close("not connected")
            raise
        return link

    return await context.connect(host, port, open_to, timeout=timeout)
