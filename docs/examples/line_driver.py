"""A driver for a small text protocol over TCP: one line per request, one line per answer.

::

    -> 1 GET power            -> 2 SET limit 40         -> 3 GET nonsense
    <- 1 OK 12.5              <- 2 OK 40                <- 3 ERR unknown name
"""

from __future__ import annotations

import asyncio
import itertools
import re
from collections.abc import Sequence
from math import isfinite
from typing import Annotated, cast

from msgspec import Meta

from pydatacoll.sdk import (
    Device,
    DeviceDriver,
    DeviceError,
    DeviceOffline,
    DeviceRefused,
    DeviceTimeout,
    DriverContext,
    Frame,
    Invalid,
    Point,
    Result,
    Sample,
    Term,
    TermItem,
    Value,
    WriteRequest,
)


class LineDevice(Device, frozen=True, kw_only=True):
    """The options of a device, beside those that all devices have."""

    timeout: Annotated[float, Meta(gt=0, le=60, description="longest wait for an answer, seconds")] = 2.0
    poll_interval: Annotated[float, Meta(ge=0, description="seconds between two reads")] = 1.0


class Connection(asyncio.Protocol):
    """One TCP connection. Answers find their request by its number, so that a late one cannot do harm."""

    def __init__(self, context: DriverContext) -> None:
        self._context = context
        self.lost: asyncio.Future[DeviceOffline] = asyncio.get_running_loop().create_future()
        self.transport: asyncio.Transport | None = None
        self._waiting: dict[str, asyncio.Future[str]] = {}
        self._numbers = itertools.count(1)
        self._buffer = b""

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self.transport = cast(asyncio.Transport, transport)

    def data_received(self, data: bytes) -> None:
        *lines, self._buffer = (self._buffer + data).split(b"\n")
        for line in lines:
            if (frames := self._context.frames) is not None:
                frames.received(line)
            number, _, answer = line.decode("ascii", "replace").partition(" ")
            waiting = self._waiting.get(number)
            if waiting is not None and not waiting.done():
                waiting.set_result(answer)

    def connection_lost(self, exc: Exception | None) -> None:
        self.lost.set_result(DeviceOffline(str(exc) if exc else "the connection was closed"))
        for waiting in self._waiting.values():
            if not waiting.done():
                waiting.set_exception(self.lost.result())

    async def ask(self, request: str, patience: float) -> str:
        """Send a request and wait up to ``patience`` seconds for its answer."""
        if self.transport is None or self.lost.done():
            raise DeviceOffline("not connected")
        number = str(next(self._numbers))
        answer: asyncio.Future[str] = asyncio.get_running_loop().create_future()
        self._waiting[number] = answer
        try:
            line = f"{number} {request}".encode("ascii")
            if (frames := self._context.frames) is not None:
                frames.sent(line)
            self.transport.write(line + b"\n")
            async with asyncio.timeout(patience):
                return await answer
        except TimeoutError:
            raise DeviceTimeout(f"no answer to {request!r} within {patience:g} s") from None
        finally:
            del self._waiting[number]


class LineDriver(DeviceDriver):
    """One device."""

    name = "line"
    description = "Example: names and numbers as lines of text over TCP"
    device_type = LineDevice

    def __init__(self, device: Device, context: DriverContext) -> None:
        super().__init__(device, context)
        self._timeout = cast(LineDevice, device).timeout
        self._connection: Connection | None = None

    @classmethod
    def check(cls, device: Device, term: Term, item: TermItem) -> list[tuple[str, str]]:
        if re.fullmatch(r"[a-z0-9_]{1,32}", item.protocol_code or ""):
            return []
        return [("protocol_code", "must be the name of a value: 1-32 characters of a-z 0-9 _")]

    @classmethod
    def check_value(cls, device: Device, term: Term, item: TermItem, value: Value) -> Value:
        if isinstance(value, bool) or not isinstance(value, (int, float)) or not isfinite(value):
            raise Invalid(f"{value!r}: a finite number is expected")
        return super().check_value(device, term, item, value)

    @classmethod
    def describe(cls, frames: Sequence[Frame]) -> list[str]:
        """The protocol is readable as it is."""
        return [frame.text or frame.data.decode("ascii", "backslashreplace") for frame in frames]

    async def connect(self) -> None:
        if self._connection is not None and not self._connection.lost.done():
            return
        loop = asyncio.get_running_loop()
        port = self.device.port or 7700

        async def open_to(address: str) -> Connection:
            _, connection = await loop.create_connection(lambda: Connection(self.context), address, port)
            return connection

        self._connection = await self.context.connect(self.device.ip, port, open_to, timeout=self._timeout)

    async def close(self) -> None:
        connection, self._connection = self._connection, None
        if connection is not None and connection.transport is not None:
            connection.transport.abort()

    async def subscribe(self) -> None:
        """Nothing comes by itself; but this is how a lost connection is noticed at once."""
        raise await asyncio.shield(self._require().lost)

    def _require(self) -> Connection:
        if self._connection is None:
            raise DeviceOffline("not connected")
        return self._connection

    async def _ask(self, request: str) -> Result:
        """One request; its sample, or why there is none."""
        connection = self._require()
        try:
            answer = await connection.ask(request, self._timeout)
        except DeviceTimeout as error:
            if connection.transport is not None:
                connection.transport.abort()  # a device that is silent is better connected anew
            return error
        self.context.counters["answers"] += 1
        verdict, _, text = answer.partition(" ")
        if verdict != "OK":
            return DeviceRefused(text or answer)
        try:
            return Sample(self.context.wall(), float(text))
        except ValueError:
            return DeviceRefused(f"{text!r} is not a number")

    async def read(self, points: Sequence[Point]) -> list[Result]:
        self._require()
        results: list[Result] = []
        for point in points:
            if results and isinstance(results[-1], DeviceTimeout):
                results.append(results[-1])  # the connection is gone: the rest is not asked
            else:
                results.append(await self._ask(f"GET {point.item.protocol_code}"))
        return results

    async def write(self, requests: Sequence[WriteRequest]) -> list[Result]:
        self._require()
        return [await self._write(request) for request in requests]

    async def _write(self, request: WriteRequest) -> Result:
        if request.deadline is not None and asyncio.get_running_loop().time() > request.deadline:
            return DeviceTimeout("the command expired before it was sent")
        name = request.point.item.protocol_code
        connection = self._connection
        if connection is None or connection.lost.done():
            return DeviceOffline("not connected: it was not sent")
        try:
            result = await self._ask(f"SET {name} {request.value}")
        except DeviceOffline as error:
            return DeviceTimeout(f"{error}; whether the device acted is unknown")
        if isinstance(result, DeviceError) or not request.verify:
            return result
        return await self._verify(request, name)

    async def _verify(self, request: WriteRequest, name: str | None) -> Result:
        try:
            seen = await self._ask(f"GET {name}")
        except DeviceOffline as error:
            return DeviceTimeout(f"{error}; the value was not read back")
        if isinstance(seen, Sample) and seen.value != request.value:
            return DeviceRefused(f"read back {seen.value}, not {request.value}")
        return seen
