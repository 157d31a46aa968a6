"""Reading single points (C_RD_NA_1), also of a station that does not know this command.

The rules:

1. The answer is a value of the point with cause 5, or the mirrored command when it is refused.
2. At most k of them are on their way at a time.
3. A station that answers "unknown type identification" is not asked again on this link. An interrogation brings
   the point then: a general one, of counters when the point is one.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable

from pydatacoll.errors import DeviceError, DeviceOffline, DeviceRefused, DeviceTimeout
from pydatacoll.protocols.iec104.asdu import Asdu, InformationObject, encode
from pydatacoll.protocols.iec104.columns import Columns
from pydatacoll.protocols.iec104.config import Address, Iec104Device
from pydatacoll.protocols.iec104.interrogations import COUNTERS, STATION, Interrogations, Request
from pydatacoll.protocols.iec104.outcomes import UNKNOWN, refusal
from pydatacoll.protocols.iec104.waiting import Waiting
from pydatacoll.protocols.iec104.wire import Wire
from pydatacoll.sdk import Sample

_READ, _REQUEST = 102, 5
_UNKNOWN_TYPE, _UNKNOWN_OBJECT = UNKNOWN[44], UNKNOWN[47]

Taker = Callable[[Address], Sample | DeviceError]
"""Gives the raw value that has just come for an address; it is passed on as an answer and not otherwise."""


class Reads:
    """Those of one link."""

    def __init__(self, device: Iec104Device, interrogations: Interrogations, taken: Taker) -> None:
        self._device = device
        self._interrogations = interrogations
        self._taken = taken
        self._wire: Wire | None = None
        self._window = asyncio.Semaphore(device.k)
        self._asked: Waiting[Address, Sample] = Waiting()
        self._gathered: Waiting[Address, Sample] = Waiting()
        self._without: set[int] = set()

    def connected(self, wire: Wire) -> None:
        """From now on over this way."""
        self._wire = wire
        self._without.clear()

    def lost(self, error: DeviceOffline) -> None:
        """The way is closed."""
        self._wire = None
        self._asked.end(error)
        self._gathered.end(error)

    async def read(self, address: Address, *, counter: bool) -> Sample:
        """The present raw value of a point.

        :raises DeviceRefused: the station does not give it; ``outcome`` says why.
        :raises DeviceTimeout: it did not answer within ``command_timeout``.
        :raises DeviceOffline: there is no link, or it was lost.
        """
        try:
            return await self.read_only(address)
        except DeviceRefused as error:
            if error.outcome != _UNKNOWN_TYPE:
                raise
        return await self.gather(address, counter=counter)

    async def read_only(self, address: Address) -> Sample:
        """The same by a read command, or not at all."""
        if address.common in self._without:
            raise DeviceRefused("the station knows no read command", outcome=_UNKNOWN_TYPE)
        try:
            return await self._ask(address)
        except DeviceRefused as error:
            if error.outcome == _UNKNOWN_TYPE:
                self._without.add(address.common)
            raise

    async def _ask(self, address: Address) -> Sample:
        objects = (InformationObject(address.object),)
        data = encode(Asdu(_READ, _REQUEST, address.common, objects, originator=self._device.originator))
        async with self._window:
            wire = self._wire
            if wire is None:
                raise DeviceOffline("not connected")
            future = self._asked.add(address)
            token = None
            try:
                token = wire.send(data)
                async with asyncio.timeout(self._device.command_timeout):
                    return await future
            except TimeoutError as error:
                raise DeviceTimeout(
                    f"the read command for {address} was not answered within {self._device.command_timeout:g} s"
                ) from error
            finally:
                self._asked.forget(address, future)
                if token is not None:
                    wire.withdraw(token)

    async def gather(self, address: Address, *, counter: bool) -> Sample:
        """The present raw value of a point, by an interrogation; raises as :meth:`read` does."""
        request = Request(address.common, COUNTERS if counter else STATION)
        future = self._gathered.add(address)
        run = asyncio.ensure_future(self._interrogations.run(request, urgent=True))
        try:
            await asyncio.wait((future, run), return_when=asyncio.FIRST_COMPLETED)
            if future.done():
                return future.result()
            report = run.result()
        finally:
            run.cancel()
            await asyncio.wait((run,))
            self._gathered.forget(address, future)
        if report.error is not None:
            raise report.error
        raise DeviceRefused(
            f"the station knows no read command, and its interrogation did not bring {address}",
            outcome=_UNKNOWN_OBJECT,
        )

    # What comes

    def received(self, asdu: Asdu) -> bool:
        """A mirrored C_RD_NA_1; False: nobody waits for it."""
        error = refusal(asdu)
        address = Address(asdu.common_address, asdu.objects[0].address)
        return error is not None and self._asked.answer(address, error)

    def arrived(self, columns: Columns) -> None:
        """Values came, asked for by a read command or an interrogation."""
        waiting = self._asked if columns.cause == _REQUEST else self._gathered
        if not waiting:
            return
        for number in columns.addresses:
            address = Address(columns.common_address, number)
            if address in waiting:
                waiting.answer(address, self._taken(address))
