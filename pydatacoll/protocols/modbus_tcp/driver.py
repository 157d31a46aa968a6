"""The Modbus TCP driver: ties configuration, connection, reading and writing together."""

from __future__ import annotations

import asyncio
from collections.abc import Hashable, Sequence
from typing import Any
from weakref import WeakSet

from pydatacoll.errors import DeviceError, DeviceOffline, DeviceRefused, Invalid
from pydatacoll.protocols.modbus_tcp import config
from pydatacoll.protocols.modbus_tcp.client import Link, Outcome, open_connection
from pydatacoll.protocols.modbus_tcp.config import ModbusDevice, ModbusTerm, ModbusTermItem, Target
from pydatacoll.protocols.modbus_tcp.describe import describe
from pydatacoll.protocols.modbus_tcp.lanes import (
    LanePlan,
    Member,
    ReadBlock,
    by_table,
    plan_members,
    sample_values,
)
from pydatacoll.protocols.modbus_tcp.probe import probe
from pydatacoll.protocols.modbus_tcp.reader import Reader
from pydatacoll.protocols.modbus_tcp.writer import Writer
from pydatacoll.sdk import (
    Device,
    DeviceDriver,
    DriverContext,
    Frame,
    Point,
    Probe,
    Result,
    Sample,
    Term,
    TermItem,
    Value,
    WriteRequest,
)


class ModbusTcpDriver(DeviceDriver):
    """One Modbus TCP server (MODBUS Application Protocol V1.1b3 over TCP), with all units behind it."""

    name = "modbus_tcp"
    description = "Modbus TCP: PLCs, meters, and gateways with several units"
    device_type = ModbusDevice
    term_type = ModbusTerm
    term_item_type = ModbusTermItem

    def __init__(self, device: Device, context: DriverContext) -> None:
        super().__init__(device, context)
        if not isinstance(device, ModbusDevice):
            raise TypeError("a Modbus device is expected")
        self._device = device
        self._link: Link | None = None
        self._reader = Reader(device, context)
        self._writer = Writer(self._reader)
        self._targets: dict[Point, Target] = {}
        self._plans: WeakSet[LanePlan] = WeakSet()

    # Configuration time

    @classmethod
    def check(cls, device: Device, term: Term, item: TermItem) -> list[tuple[str, str]]:
        return config.check(device, term, item)

    @classmethod
    def address(cls, device: Device, term: Term, item: TermItem) -> Hashable | None:
        return config.address_of(device, term, item) if item.protocol_code is not None else None

    @classmethod
    def check_value(cls, device: Device, term: Term, item: TermItem, value: Value) -> Value:
        try:
            layout = config.resolve(device, term, item).layout
        except ValueError as exc:
            raise Invalid(str(exc)) from exc
        return config.to_raw(layout, item.coefficient, item.base_val, value)

    @classmethod
    def describe(cls, frames: Sequence[Frame]) -> list[str]:
        return describe(frames)

    # Link

    async def connect(self) -> None:
        if self._link is not None and not self._link.closed.done():
            return
        device = self._device
        port = device.port or config.DEFAULT_PORT
        if device.backend == "pymodbus":
            # Imported late: it costs time and memory that the native backend need not pay.
            from pydatacoll.protocols.modbus_tcp.pymodbus_backend import open_pymodbus  # noqa: PLC0415

            self._link = await open_pymodbus(device.ip, port, timeout=device.timeout, context=self.context)
        else:
            self._link = await open_connection(
                device.ip,
                port,
                timeout=device.timeout,
                depth=device.max_in_flight,
                context=self.context,
            )
        self._reader.start_over()

    async def close(self) -> None:
        link, self._link = self._link, None
        if link is not None:
            link.close("closed")

    async def subscribe(self) -> None:
        raise await asyncio.shield(self._require_link().closed)

    def _require_link(self) -> Link:
        if self._link is None:
            raise DeviceOffline("not connected")
        return self._link

    # Points

    def configure(self, points: Sequence[Point]) -> None:
        self._targets = {}
        for point in points:
            self._target(point)
        self._reader.reconfigured({target.address.unit for target in self._targets.values()})

    def _target(self, point: Point) -> Target | DeviceError:
        target = self._targets.get(point)
        if target is None:
            try:
                target = config.resolve(self._device, point.term, point.item)
            except ValueError as exc:
                return DeviceRefused(str(exc))
            self._targets[point] = target
        return target

    def _members(self, points: Sequence[Point]) -> list[Member]:
        return [Member(p, target) for p in points if not isinstance(target := self._target(p), DeviceError)]

    def lanes(self, points: Sequence[Point]) -> Sequence[Sequence[Point]]:
        units: dict[int, list[Point]] = {}
        for member in self._members(points):
            units.setdefault(member.target.address.unit, []).append(member.point)
        return list(units.values())

    def plan(self, points: Sequence[Point]) -> LanePlan:
        """``points`` are of one unit, as :meth:`lanes` gives them."""
        members = self._members(points)
        unit = members[0].target.address.unit if members else 0
        plan = LanePlan(unit, members, self._reader.health(unit))
        plan.compile(self._device, self._reader.knowledge)
        self._plans.add(plan)
        return plan

    # Transfer

    async def poll(self, plan: Any) -> None:
        link = self._link
        if link is None:
            raise DeviceOffline("not connected")
        await self._reader.poll(link, plan)

    async def read(self, points: Sequence[Point]) -> list[Result]:
        link = self._require_link()
        results: dict[Point, Result] = {}
        wall = self.context.wall

        def emit(block: ReadBlock, outcome: Outcome) -> None:
            if isinstance(outcome, bytes):
                now = wall()
                for member, (value, quality) in zip(block.members, sample_values(block, outcome), strict=True):
                    results[member.point] = Sample(now, value, quality)
            else:
                for member in block.members:
                    results[member.point] = outcome

        members: list[Member] = []
        for point in dict.fromkeys(points):
            target = self._target(point)
            if isinstance(target, DeviceError):
                results[point] = target
            else:
                members.append(Member(point, target))
        async with asyncio.TaskGroup() as group:
            for (unit, table), chosen in by_table(members).items():
                suspect = self._reader.health(unit).suspect
                holes = self._reader.knowledge.of(unit, table)
                lone = [[member] for member in chosen if member.span in holes.points]
                for part in [m for _, m in plan_members(self._device, table, chosen, holes)] + lone:
                    group.create_task(self._reader.fetch(link, part, emit, probe=suspect))
        return [results.get(point) or link_error(link) for point in points]

    async def write(self, requests: Sequence[WriteRequest]) -> list[Result]:
        link = self._require_link()
        return await self._writer.write(link, requests, [self._target(request.point) for request in requests])

    async def probe(self, point: Point, left: float) -> Probe:
        """Beyond the default it reads up to four registers, to show what else they could mean."""
        link, target = self._require_link(), self._target(point)
        if isinstance(target, DeviceError):
            return Probe(target)
        deadline = asyncio.get_running_loop().time() + left
        return await probe(link, point, target, self._device, deadline, self.context.wall)

    def status(self) -> dict[str, Any]:
        """Round trip (milliseconds), requests in flight, suspect units, holes and blocks per poll and unit."""
        link, reader = self._link, self._reader
        holes: list[str] = []
        for (unit, table), known in reader.knowledge.holes.items():
            holes += [f"{table}:{span.start} of unit {unit}" for span in sorted(known.points)]
        blocks: dict[str, int] = {}
        for plan in self._plans:
            blocks[str(plan.unit)] = blocks.get(str(plan.unit), 0) + len(plan.blocks)
        return {
            "backend": self._device.backend,
            "round_trip_ms": round(link.last_rtt * 1000, 3) if link else None,
            "round_trip_smoothed_ms": round(link.smooth_rtt * 1000, 3) if link else None,
            "in_flight": link.in_flight if link else 0,
            "suspect_units": {str(unit): health.reason for unit, health in reader.units.items() if health.suspect},
            "holes": holes,
            "silent_blocks": [
                f"{key.table}:{key.start}+{key.size} of unit {key.unit}"
                for key, backoff in reader.knowledge.silent.items()
                if backoff.pause
            ],
            "blocks_per_poll": blocks,
        }


def link_error(link: Link) -> DeviceError:
    """The result of a point for which the connection ended before anything was known."""
    return link.closed.result() if link.closed.done() else DeviceOffline("not read")
