"""The IEC 104 driver: ties configuration, wire, values, procedures and commands together."""

from __future__ import annotations

import asyncio
from collections.abc import Hashable, Sequence
from functools import partial
from typing import Any, NamedTuple

from pydatacoll.errors import DeviceError, DeviceOffline, DeviceRefused, Invalid
from pydatacoll.protocols.iec104 import checks, config
from pydatacoll.protocols.iec104.asdu import BROADCAST, Asdu, decode
from pydatacoll.protocols.iec104.columns import COLUMN_TYPES
from pydatacoll.protocols.iec104.commands import Commander
from pydatacoll.protocols.iec104.config import (
    Address,
    Iec104Device,
    Iec104Term,
    Iec104TermItem,
)
from pydatacoll.protocols.iec104.connection import Past
from pydatacoll.protocols.iec104.describe import describe
from pydatacoll.protocols.iec104.doubts import Doubts
from pydatacoll.protocols.iec104.errors import RemoteProtocolError
from pydatacoll.protocols.iec104.hold_back import HoldBack
from pydatacoll.protocols.iec104.interrogations import COUNTERS, GROUPS, STATION, Report, Request
from pydatacoll.protocols.iec104.irregularities import Irregularities
from pydatacoll.protocols.iec104.monitor import Monitor
from pydatacoll.protocols.iec104.opening import open_wire
from pydatacoll.protocols.iec104.outcomes import TERMINATED, UNKNOWN
from pydatacoll.protocols.iec104.probe import Catch, probe
from pydatacoll.protocols.iec104.procedures import Procedures
from pydatacoll.protocols.iec104.schedule import Schedule
from pydatacoll.protocols.iec104.targets import Targets, is_counter
from pydatacoll.protocols.iec104.transfers import MODES, Transfers
from pydatacoll.protocols.iec104.values import to_raw
from pydatacoll.protocols.iec104.wire import Wire
from pydatacoll.sdk import (
    Device,
    DeviceDriver,
    Discovered,
    DriverContext,
    Frame,
    Interrogated,
    Point,
    PointGroup,
    Probe,
    Quality,
    Result,
    Sample,
    Selected,
    Term,
    TermItem,
    Value,
    WriteRequest,
    WriteResult,
)

_END_OF_INITIALIZATION = 70
_COMMANDS = range(45, 65)
_NOT_TOPICAL = int(Quality.NOT_TOPICAL)


class Lane(NamedTuple):
    """What brings all values of some points."""

    requests: tuple[Request, ...]


class Iec104Driver(DeviceDriver):
    """One controlled station (IEC 60870-5-104), with all common addresses behind its link."""

    name = "iec104"
    description = "IEC 60870-5-104: RTUs, substation gateways and protection relays"
    device_type = Iec104Device
    term_type = Iec104Term
    term_item_type = Iec104TermItem
    command_modes = frozenset(MODES)
    groups = GROUPS
    alive_when_connected = True

    def __init__(self, device: Device, context: DriverContext) -> None:
        super().__init__(device, context)
        if not isinstance(device, Iec104Device):
            raise TypeError("an IEC 104 device is expected")
        self._device = device
        self._wire: Wire | None = None
        self._past = Past()
        self._monitor = Monitor(device, context)
        self._monitor.went_back = self._clock_went_back
        self._commander = Commander(device, context)
        self._procedures = Procedures(
            device,
            context.wall,
            taken=self._taken,
            clock_set=partial(self._monitor.clock_changed, known=True),
            began=self._monitor.interrogating,
            ended=self._interrogated,
        )
        self._schedule = Schedule(device, self._procedures, context.counters)
        self._irregularities = Irregularities(context.counters, context.wall)
        self._targets = Targets(device)
        self._transfers = Transfers(device, context, self._targets, self._procedures, self._commander)
        self._catch: Catch | None = None
        self._doubts = Doubts(self._targets, self._procedures, context.sink, context.counters)
        self._monitor.doubted = self._doubts.raised
        self._hold_back = HoldBack(device, context)
        self._schedule.configure([], [], [], everywhere=True)

    # Configuration time

    @classmethod
    def check_device(cls, device: Device) -> list[tuple[str, str]]:
        return checks.check_device(device)

    @classmethod
    def hosts(cls, device: Device) -> list[tuple[str, str]]:
        return checks.hosts(device)

    @classmethod
    def check(cls, device: Device, term: Term, item: TermItem) -> list[tuple[str, str]]:
        return checks.check(device, term, item)

    @classmethod
    def address(cls, device: Device, term: Term, item: TermItem) -> Hashable | None:
        return config.address_of(device, term, item) if item.protocol_code is not None else None

    @classmethod
    def check_value(cls, device: Device, term: Term, item: TermItem, value: Value) -> Value:
        try:
            target = config.resolve(device, term, item)
        except ValueError as exc:
            raise Invalid(str(exc)) from exc
        return to_raw(target, item, value)

    @classmethod
    def check_select(cls, device: Device, term: Term, item: TermItem) -> None:
        checks.check_select(device, term, item)

    @classmethod
    def describe(cls, frames: Sequence[Frame]) -> list[str]:
        return describe(frames)

    @classmethod
    def interval(cls, device: Device, term: Term, item: TermItem) -> float | None:
        """Never polled: a station sends what changes, and is interrogated by :meth:`subscribe`."""
        return None

    # Link

    async def connect(self) -> None:
        if self._wire is not None and not self._wire.closed.done():
            return
        await self.close()
        self._monitor.connected()
        self._irregularities.connected()
        if self._device.backend == "c104":
            # Imported late: it costs time and memory that the native backend need not pay.
            from pydatacoll.protocols.iec104.c104_wire import open_c104  # noqa: PLC0415

            wire = await open_c104(self._device, self.context, self._received)
        else:
            wire = await open_wire(self._device, self.context, self._received, self._past)
        self._wire = wire
        wire.switched = self._switched
        self._commander.connected(wire)
        self._procedures.connected(wire)
        wire.closed.add_done_callback(partial(self._closed, wire))

    async def close(self) -> None:
        wire, self._wire = self._wire, None
        self._hold_back.stop()
        if wire is not None:
            self._lost(DeviceOffline("closed"))
            await wire.close()

    def _closed(self, wire: Wire, closed: asyncio.Future[DeviceOffline]) -> None:
        if self._wire is wire:
            self._lost(closed.result())

    def _lost(self, error: DeviceOffline) -> None:
        self._procedures.lost(error)
        self._commander.lost(error)

    def _switched(self) -> None:
        self.context.counters["switchovers"] += 1
        self._monitor.switched()
        self._procedures.switched()
        self._commander.switched()
        self._schedule.again()

    async def subscribe(self) -> None:
        wire = self._require_wire()
        keepers = [asyncio.ensure_future(work) for work in (self._schedule.run(), self._doubts.run())]
        try:
            ends: list[asyncio.Future[Any]] = [wire.closed, *keepers]
            await asyncio.wait(ends, return_when=asyncio.FIRST_COMPLETED)
        finally:
            for keeper in keepers:
                keeper.cancel()
            await asyncio.wait(keepers)
        if wire.closed.done():
            raise wire.closed.result()
        for keeper in keepers:
            if not keeper.cancelled():
                keeper.result()
        raise DeviceOffline("closed")

    def _require_wire(self) -> Wire:
        if self._wire is None:
            raise DeviceOffline("not connected")
        if self._wire.closed.done():
            raise self._wire.closed.result()
        return self._wire

    # Points

    def configure_terms(self, terms: Sequence[Term]) -> None:
        self._targets.configure_terms(terms)

    def configure(self, points: Sequence[Point]) -> None:
        targets = self._targets
        targets.configure(points)
        self._monitor.configure(targets.all)
        self._procedures.keep(targets.stations)
        self._schedule.configure(
            targets.stations, targets.with_counters, targets.grown, everywhere=not targets.all
        )
        if targets.moved and self._wire is not None and not self._wire.closed.done():
            self.context.sink.failed(PointGroup(targets.moved), _NOT_TOPICAL, self.context.wall())

    # What comes

    def _received(self, asdus: Sequence[bytes]) -> None:
        now = self.context.wall()
        for data in asdus:
            try:
                if data[0] in COLUMN_TYPES:
                    columns = self._monitor.take(data, now)
                    if self._catch is not None:
                        self._catch.look(data)
                    self._procedures.arrived(columns)
                    self._irregularities.look(data)
                else:
                    self._other(decode(data))
            except RemoteProtocolError as error:
                self._irregularities.refused(error)
        self._monitor.flush()
        if self._wire is not None:
            self._hold_back.check(self._wire)

    def _other(self, asdu: Asdu) -> None:
        self._irregularities.found(asdu)
        if asdu.type_id == _END_OF_INITIALIZATION:
            self.context.counters["restarts"] += 1
            common = None if asdu.common_address == BROADCAST else asdu.common_address
            self._monitor.clock_changed(common)
            self._procedures.restarted(common)
            self._schedule.again(common, clock=True)
            return
        owner = self._commander if asdu.type_id in _COMMANDS else self._procedures
        if not owner.received(asdu):
            self._irregularities.unexpected(asdu, self._targets.stations)

    def _clock_went_back(self, common: int) -> None:
        self._schedule.again(common)

    def _taken(self, address: Address) -> Sample | DeviceError:
        point = self._targets.monitored.get(address)
        sample = None if point is None else self._monitor.withdraw(point)
        if sample is None:
            return DeviceRefused(
                f"what the station sent for {address} is of another type than the point, or no process value"
            )
        return sample

    def _interrogated(self, report: Report) -> None:
        """After a complete answer, what was not in it is not known to the station (any more)."""
        request = report.request
        answered = report.outcome == TERMINATED or report.outcome in UNKNOWN.values()
        if answered and request.group in (STATION, COUNTERS) and not request.freeze:
            unseen = self._monitor.unseen(request.common, counters=request.counters)
            if unseen:
                self._monitor.flush()
                self.context.sink.failed(PointGroup(unseen), _NOT_TOPICAL, self.context.wall())

    # Interrogation

    def lanes(self, points: Sequence[Point]) -> Sequence[Sequence[Point]]:
        stations: dict[int, list[Point]] = {}
        for point in points:
            target = self._targets.of(point)
            if not isinstance(target, DeviceError):
                stations.setdefault(target.address.common, []).append(point)
        return list(stations.values())

    def plan(self, points: Sequence[Point]) -> Lane:
        requests: dict[Request, None] = {}
        for point in points:
            target = self._targets.of(point)
            if not isinstance(target, DeviceError) and target.monitored:
                requests[Request(target.address.common, COUNTERS if is_counter(target) else STATION)] = None
        return Lane(tuple(requests))

    async def poll(self, plan: Any) -> None:
        """Interrogate what brings the values of a lane, once.

        :raises DeviceError: an interrogation was not terminated.
        """
        self._require_wire()
        lane: Lane = plan
        for request in lane.requests:
            report = await self._procedures.interrogate(request, urgent=True)
            if report.error is not None:
                raise report.error

    async def interrogate(
        self, group: int, terms: Sequence[str] | None = None, *, freeze: int = 0
    ) -> list[Interrogated]:
        """Interrogate the stations of some terms, or all; one that fails does not keep the others from answering.

        :raises Invalid: a term is unknown here, or the group; ``freeze`` is not 0 to 3, or of no counters.
        :raises DeviceOffline: there is no link, or it was lost.
        """
        if group not in GROUPS:
            raise Invalid(f"group {group}: 20 to 36 (general) or 37 to 41 (counters) are expected")
        if freeze not in range(4) or (freeze and group < COUNTERS):
            raise Invalid("freeze: 0 to 3, and other than 0 only of counters")
        chosen = self._targets.terms if terms is None else {term: self._common_of(term) for term in terms}
        self._require_wire()
        if not chosen and terms is None:
            chosen = {"": BROADCAST}
        reports = {
            common: await self._procedures.interrogate(Request(common, group, freeze), urgent=True)
            for common in dict.fromkeys(chosen.values())
        }
        return [_interrogated(term, reports[common]) for term, common in chosen.items()]

    def _common_of(self, term: str) -> int:
        common = self._targets.terms.get(term)
        if common is None:
            raise Invalid(f"term {term} is none of the device")
        return common

    def discovered(self) -> Sequence[Discovered]:
        return self._monitor.discovered.list()

    # Transfer

    async def read(self, points: Sequence[Point]) -> list[Result]:
        self._require_wire()
        return list(await asyncio.gather(*map(self._transfers.read, points)))

    async def write(self, requests: Sequence[WriteRequest]) -> list[WriteResult]:
        self._require_wire()
        return list(await asyncio.gather(*map(self._transfers.write, requests)))

    async def select(self, request: WriteRequest) -> Selected:
        self._require_wire()
        return await self._transfers.select(request)

    async def execute(self, selection: str, request: WriteRequest) -> WriteResult:
        return await self._transfers.execute(selection, request)

    async def cancel(self, selection: str, point: Point) -> None:
        self._transfers.cancel(selection, point)

    async def probe(self, point: Point, left: float) -> Probe:
        """Read it with a command, or else by an interrogation; the clock is not set."""
        self._require_wire()
        target = self._targets.of(point)
        if isinstance(target, DeviceError):
            return Probe(target)
        if not target.monitored:
            return Probe(DeviceRefused("the point is only commanded: there is nothing to read"))
        self._catch = Catch(target.address)
        try:
            return await probe(self._procedures, self._catch, point, target, left)
        finally:
            self._catch = None

    def status(self) -> dict[str, Any]:
        """The link, the last interrogation of each station, clocks, commands, and what was wrong."""
        monitor = self._monitor.status()
        ahead = monitor.pop("clocks")
        settings = self._procedures.clocks.status()
        return {
            "backend": self._device.backend,
            "warnings": self._device.parameters.warnings(),
            "link": {"state": "closed", **self._past.status()} if self._wire is None else self._wire.status(),
            "interrogations": self._procedures.status(),
            "interrogating": self._procedures.under_way(),
            "clocks": {
                common: {**ahead.get(common, {}), "set": settings.get(common)} for common in ahead | settings
            },
            "values": monitor,
            "errors": self._irregularities.status(),
            **self._commander.status(),
        }


def _interrogated(term: str, report: Report) -> Interrogated:
    detail = "" if report.error is None else str(report.error)
    return Interrogated(
        term, report.request.common, report.outcome, report.points, round(report.seconds, 6), detail
    )
