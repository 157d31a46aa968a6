"""Setting the clocks of the stations (IEC 60870-5-101, 7.4.6; IEC 60870-5-5, 6.7)."""

from __future__ import annotations

from collections.abc import Callable, Collection
from typing import Any

import msgspec

from pydatacoll.errors import DeviceError
from pydatacoll.model import time_to_wire
from pydatacoll.protocols.iec104.asdu import Asdu, InformationObject
from pydatacoll.protocols.iec104.config import Iec104Device
from pydatacoll.protocols.iec104.outcomes import CONFIRMED
from pydatacoll.protocols.iec104.requests import Requests
from pydatacoll.protocols.iec104.times import Zone

_CLOCK_SYNCHRONIZATION, _ACTIVATION = 103, 6


class _Setting(msgspec.Struct, frozen=True):
    """The last try to set the clock of one station; ``time`` in epoch seconds."""

    time: float
    outcome: str
    detail: str = ""


class Clocks:
    """Those of the stations behind one link, one for each common address.

    The time that is sent is that of sending. The way of a frame takes milliseconds at most in a network of today,
    so no delay is measured and added (C_CD_NA_1 is not used with IEC 60870-5-104).

    :param was_set: is told of every clock that was set, by its common address.
    """

    def __init__(
        self, device: Iec104Device, wall: Callable[[], float], requests: Requests, was_set: Callable[[int], None]
    ) -> None:
        self._device = device
        self._zone = Zone.parse(device.time_zone, summer_time=device.summer_time)
        self._wall = wall
        self._requests = requests
        self._was_set = was_set
        self._settings: dict[int, _Setting] = {}

    async def set(self, common: int) -> None:
        """Set the clock of one station to ours.

        :raises DeviceError: it did not confirm.
        """
        time = self._wall()
        objects = (InformationObject(0, None, self._zone.tag(time)),)
        asdu = Asdu(_CLOCK_SYNCHRONIZATION, _ACTIVATION, common, objects, originator=self._device.originator)
        try:
            await self._requests.ask(asdu)
        except DeviceError as error:
            self._settings[common] = _Setting(time, error.outcome or "not_sent", str(error))
            raise
        self._settings[common] = _Setting(time, CONFIRMED)
        self._was_set(common)

    def keep(self, stations: Collection[int]) -> None:
        """Forget the stations that have no point any more."""
        self._settings = {common: setting for common, setting in self._settings.items() if common in stations}

    def status(self) -> dict[str, Any]:
        """Common address -> when its clock was set last, and what became of it."""
        return {
            str(common): {"time": time_to_wire(setting.time), "outcome": setting.outcome, "detail": setting.detail}
            for common, setting in self._settings.items()
        }
