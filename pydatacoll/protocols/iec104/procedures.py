"""What a controlling station asks the stations behind one link for: interrogations, reads, clocks."""

from __future__ import annotations

from collections.abc import Callable, Collection
from typing import Any

from pydatacoll.errors import DeviceOffline
from pydatacoll.model import time_to_wire
from pydatacoll.protocols.iec104.asdu import Asdu
from pydatacoll.protocols.iec104.clock import Clocks
from pydatacoll.protocols.iec104.columns import Columns
from pydatacoll.protocols.iec104.config import Address, Iec104Device
from pydatacoll.protocols.iec104.interrogations import COUNTERS, GROUPS, STATION, Interrogations, Report, Request
from pydatacoll.protocols.iec104.reads import Reads, Taker
from pydatacoll.protocols.iec104.requests import Requests
from pydatacoll.protocols.iec104.wire import Wire
from pydatacoll.sdk import Sample

_INTERROGATIONS, _READ, _CLOCK = frozenset({100, 101}), 102, 103
_FIRST_ASKED_FOR, _REQUESTED = 20, 5


class Procedures:
    """Those of one device.

    :param taken: gives the value that has just come for an address.
    :param clock_set: is told of every clock that was set, by its common address.
    :param began: is told of every interrogation that is sent, with the common address.
    :param ended: is told of every interrogation that has ended.
    """

    def __init__(
        self,
        device: Iec104Device,
        wall: Callable[[], float],
        *,
        taken: Taker,
        clock_set: Callable[[int], None],
        began: Callable[[int], None],
        ended: Callable[[Report], None],
    ) -> None:
        self._device = device
        self._ended = ended
        self._reports: dict[int, dict[int, Report]] = {}
        self._requests = Requests(device)
        self._interrogations = Interrogations(device, wall, began=began, ended=self._note)
        self._reads = Reads(device, self._interrogations, taken)
        self.clocks = Clocks(device, wall, self._requests, clock_set)

    # Link

    def connected(self, wire: Wire) -> None:
        """From now on over this way."""
        self._requests.connected(wire)
        self._interrogations.connected(wire)
        self._reads.connected(wire)

    def switched(self) -> None:
        """Another connection has taken over."""
        self._interrogations.switched()

    def restarted(self, common: int | None) -> None:
        """A station has started again; ``None``: all have."""
        self._interrogations.restarted(common)

    def lost(self, error: DeviceOffline) -> None:
        """The way is closed: everything under way has ended."""
        self._requests.lost(error)
        self._reads.lost(error)
        self._interrogations.lost(error)

    # What is asked

    async def interrogate(self, request: Request, *, urgent: bool = False) -> Report:
        """See :meth:`~pydatacoll.protocols.iec104.interrogations.Interrogations.run`."""
        return await self._interrogations.run(request, urgent=urgent)

    async def read(self, address: Address, *, counter: bool) -> Sample:
        """See :meth:`~pydatacoll.protocols.iec104.reads.Reads.read`."""
        return await self._reads.read(address, counter=counter)

    async def read_only(self, address: Address) -> Sample:
        """See :meth:`~pydatacoll.protocols.iec104.reads.Reads.read_only`."""
        return await self._reads.read_only(address)

    async def gather(self, address: Address, *, counter: bool) -> Sample:
        """See :meth:`~pydatacoll.protocols.iec104.reads.Reads.gather`."""
        return await self._reads.gather(address, counter=counter)

    async def set_clock(self, common: int) -> None:
        """See :meth:`~pydatacoll.protocols.iec104.clock.Clocks.set`."""
        await self.clocks.set(common)

    # What comes

    def received(self, asdu: Asdu) -> bool:
        """An ASDU of the system in control direction, mirrored; False: nobody waits for it, as for the answer to
        another controlling station, which has its originator address."""
        if asdu.originator not in (0, self._device.originator):
            return False
        if asdu.type_id in _INTERROGATIONS:
            return self._interrogations.received(asdu)
        if asdu.type_id == _READ:
            return self._reads.received(asdu)
        return asdu.type_id == _CLOCK and self._requests.received(asdu)

    def arrived(self, columns: Columns) -> None:
        """Values came."""
        if columns.cause >= _FIRST_ASKED_FOR:
            self._interrogations.arrived(columns.cause, columns.common_address, len(columns.addresses))
            self._reads.arrived(columns)
        elif columns.cause == _REQUESTED:
            self._reads.arrived(columns)

    # What was

    def _note(self, report: Report) -> None:
        self._reports.setdefault(report.request.common, {})[report.request.group] = report
        self._ended(report)

    def keep(self, stations: Collection[int]) -> None:
        """Forget what is known of the stations that have no point any more."""
        for common in [common for common in self._reports if common not in stations]:
            del self._reports[common]
        self.clocks.keep(stations)

    def under_way(self) -> dict[str, Any] | None:
        """The interrogation that runs, and how many wait for it; ``None``: none does."""
        return self._interrogations.status()

    def status(self) -> dict[str, Any]:
        """Common address -> what was interrogated -> how the last one ended."""
        return {
            str(common): {_key(group): _shown(report) for group, report in sorted(reports.items())}
            for common, reports in sorted(self._reports.items())
        }


def _key(group: int) -> str:
    return {STATION: "general", COUNTERS: "counters"}.get(group, GROUPS[group])


def _shown(report: Report) -> dict[str, Any]:
    return {
        "time": time_to_wire(report.time),
        "outcome": report.outcome,
        "points": report.points,
        "seconds": round(report.seconds, 3),
        "detail": "" if report.error is None else str(report.error),
    }
