"""Carrying out writes: each is sent at most once, and what its outcome means is told exactly."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence

from pydatacoll.codec import registers
from pydatacoll.errors import DeviceError, DeviceOffline, DeviceRefused, DeviceTimeout
from pydatacoll.protocols.modbus_tcp.client import Link, Outcome
from pydatacoll.protocols.modbus_tcp.config import Target
from pydatacoll.protocols.modbus_tcp.frames import RemoteProtocolError
from pydatacoll.protocols.modbus_tcp.reader import Reader, code_of
from pydatacoll.protocols.modbus_tcp.writes import Part, Step, make_part, plan_writes, wire_bit
from pydatacoll.sdk import Result, Sample, Value, WriteRequest

UNKNOWN = "whether the device acted is unknown"
NO_MASK_WRITE = (
    "the device has no mask write (function 22), without which one bit cannot be changed safely; "
    "write the whole register instead"
)


def write_error(step: Step, outcome: DeviceError, sent: bool) -> DeviceError:
    """What a failed write request means for its values."""
    if isinstance(outcome, (DeviceOffline, DeviceTimeout)) and sent:
        return DeviceTimeout(f"{outcome}; {UNKNOWN}")
    if isinstance(outcome, RemoteProtocolError):
        return DeviceRefused(f"{outcome}; {UNKNOWN}")
    if code_of(outcome) == 5:
        return DeviceTimeout(f"{outcome}: the device is still working on it; {UNKNOWN}")
    if code_of(outcome) == 1 and step.masked:
        return DeviceRefused(f"{outcome}: {NO_MASK_WRITE}")
    if code_of(outcome) and len(step.parts) > 1:
        return DeviceRefused(
            f"{outcome} (one request for {len(step.parts)} values from {step.table}:{step.start} on)"
        )
    return outcome


def read_part(step: Step, part: Part, data: bytes) -> tuple[bytes, Value]:
    """What a read-back says about one part: its bytes, comparable with ``part.data``, and its value."""
    offset = part.span.start - step.start
    if step.table == "co":
        bit = registers.unpack_bits(data, step.end - step.start)[offset]
    elif step.masked:
        bit = bool(int.from_bytes(data, "big") >> wire_bit(part.target) & 1)
    else:
        chunk = data[offset * 2 : (offset + part.target.size) * 2]
        return chunk, registers.decode(part.target.layout, chunk)
    return (b"\1" if bit else b"\0"), bit


class Writer:
    """Writes values of one device."""

    def __init__(self, reader: Reader) -> None:
        self._reader = reader
        self._context = reader.context

    async def write(
        self, link: Link, requests: Sequence[WriteRequest], targets: Sequence[Target | DeviceError]
    ) -> list[Result]:
        """One result per request, in order; see :meth:`pydatacoll.sdk.DeviceDriver.write`."""
        results: list[Result | None] = [None] * len(requests)
        parts: list[Part] = []
        for index, (request, target) in enumerate(zip(requests, targets, strict=True)):
            if isinstance(target, DeviceError):
                results[index] = target
                continue
            try:
                parts.append(make_part(index, target, request.value))
            except ValueError as exc:
                results[index] = DeviceRefused(f"not sent: {exc}")
        for wave in plan_writes(parts):
            async with asyncio.TaskGroup() as group:
                for step in wave:
                    group.create_task(self._carry_out(link, step, requests, results))
        return [result if result is not None else DeviceRefused("not sent") for result in results]

    async def _carry_out(
        self, link: Link, step: Step, requests: Sequence[WriteRequest], results: list[Result | None]
    ) -> None:
        indices = [part.index for part in step.parts]
        deadlines = [d for i in indices if (d := requests[i].deadline) is not None]
        deadline = min(deadlines, default=None)
        if deadline is not None and asyncio.get_running_loop().time() > deadline:
            for index in indices:
                results[index] = DeviceTimeout("expired before it was sent")
            return
        probe = self._reader.health(step.unit).suspect
        outcome, sent = await self._reader.request(
            link, step.request(), urgent=True, probe=probe, deadline=deadline
        )
        if isinstance(outcome, DeviceError):
            error = write_error(step, outcome, sent)
            for index in indices:
                results[index] = error
            return
        now = self._context.wall()
        for index in indices:
            results[index] = Sample(now, requests[index].value)
        if any(requests[index].verify for index in indices):
            await self._verify(link, step, requests, results)

    async def _verify(
        self, link: Link, step: Step, requests: Sequence[WriteRequest], results: list[Result | None]
    ) -> None:
        outcome: Outcome
        for _ in range(self._reader.device.retries + 1):
            outcome, _ = await self._reader.request(link, step.read_back(), urgent=True)
            if not isinstance(outcome, DeviceTimeout):
                break
        now = self._context.wall()
        for part in step.parts:
            wanted = requests[part.index]
            if not wanted.verify:
                continue
            if isinstance(outcome, DeviceTimeout):
                results[part.index] = DeviceTimeout(f"written, but the read-back failed: {outcome}")
            elif isinstance(outcome, DeviceError):
                results[part.index] = DeviceRefused(f"written, but the read-back failed: {outcome}")
            else:
                data, value = read_part(step, part, outcome)
                if data == part.data:
                    results[part.index] = Sample(now, value)
                else:
                    results[part.index] = DeviceRefused(
                        f"wrote {wanted.value!r} (raw) to {part.target.address}, read back {value!r}"
                    )
