"""Requests to a station that it answers with one mirrored data unit: clock synchronization."""

from __future__ import annotations

import asyncio

from pydatacoll.errors import DeviceOffline, DeviceTimeout
from pydatacoll.protocols.iec104.asdu import Asdu, encode
from pydatacoll.protocols.iec104.config import Iec104Device
from pydatacoll.protocols.iec104.outcomes import NO_CONFIRMATION, refusal
from pydatacoll.protocols.iec104.types import type_name
from pydatacoll.protocols.iec104.waiting import Waiting
from pydatacoll.protocols.iec104.wire import Wire


class Requests:
    """Those of one link."""

    def __init__(self, device: Iec104Device) -> None:
        self._device = device
        self._wire: Wire | None = None
        # type and common address
        self._waiting: Waiting[tuple[int, int], Asdu] = Waiting()

    def connected(self, wire: Wire) -> None:
        """From now on over this way."""
        self._wire = wire

    def lost(self, error: DeviceOffline) -> None:
        """The way is closed."""
        self._wire = None
        self._waiting.end(error)

    async def ask(self, asdu: Asdu) -> Asdu:
        """Send a request, before everything that waits, and return the positive confirmation.

        :raises DeviceRefused: the station refused it; ``outcome`` says how.
        :raises DeviceTimeout: it did not answer within ``command_timeout``.
        :raises DeviceOffline: there is no link, or it was lost.
        """
        if self._wire is None:
            raise DeviceOffline("not connected")
        key = asdu.type_id, asdu.common_address
        future = self._waiting.add(key)
        try:
            self._wire.send(encode(asdu), first=True)
            async with asyncio.timeout(self._device.command_timeout):
                return await future
        except TimeoutError as error:
            raise DeviceTimeout(
                f"{type_name(asdu.type_id)} was not answered within {self._device.command_timeout:g} s",
                outcome=NO_CONFIRMATION,
            ) from error
        finally:
            self._waiting.forget(key, future)

    def received(self, asdu: Asdu) -> bool:
        """A mirrored request; False: nobody waits for it."""
        return self._waiting.answer((asdu.type_id, asdu.common_address), refusal(asdu) or asdu)
