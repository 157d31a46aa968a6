"""Interrogations that somebody asked for: they go on when nobody waits any more, and end with the link."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Sequence
from functools import partial

from pydatacoll.errors import DeviceError, DeviceOffline, DeviceTimeout, PyDataCollError, TooMany
from pydatacoll.sdk import DeviceDriver, Interrogated
from pydatacoll.supervise import Tasks

log = logging.getLogger(__name__)

MOST = 8
"""Interrogations of one device that wait or are under way."""

_Asked = tuple[int, tuple[str, ...] | None, int]
"""Group, terms, freeze."""
_Outcome = asyncio.Future[Sequence[Interrogated] | PyDataCollError]


class Interrogations:
    """Those of one device. Who asks for one that is under way already waits for the same."""

    def __init__(self, driver: DeviceDriver) -> None:
        self._driver = driver
        self._under_way: dict[_Asked, _Outcome] = {}

    async def run(
        self, session: Tasks, group: int, terms: Sequence[str] | None, *, freeze: int, wait: float
    ) -> Sequence[Interrogated]:
        """Interrogate, see :meth:`pydatacoll.sdk.DeviceDriver.interrogate`.

        :param session: the tasks of the present link.
        :param wait: seconds to wait for the end.
        :raises DeviceError: what went wrong as a whole.
        :raises DeviceTimeout: also when it goes on after that time.
        :raises TooMany: so many others are under way.
        """
        asked = group, None if terms is None else tuple(terms), freeze
        outcome = self._under_way.get(asked)
        if outcome is None:
            if len(self._under_way) >= MOST:
                raise TooMany(f"{MOST} interrogations of the device are under way; try again when one has ended")
            outcome = self._under_way[asked] = asyncio.get_running_loop().create_future()
            task = session.start(self._one(asked, outcome), f"interrogate {self._driver.device.id}")
            task.add_done_callback(partial(self._ended, asked, outcome))
        done, _ = await asyncio.wait((outcome,), timeout=wait)
        if not done:
            raise DeviceTimeout(
                f"the interrogation is not complete after {wait:g} s; it goes on, and the status of the device "
                f"(/api/v2/devices/{self._driver.device.id}/status) shows when it has ended"
            )
        result = outcome.result()
        if isinstance(result, PyDataCollError):
            raise result
        return result

    async def _one(self, asked: _Asked, outcome: _Outcome) -> None:
        """Ask the driver; never raises, for the link has not failed when an interrogation has."""
        group, terms, freeze = asked
        result: Sequence[Interrogated] | PyDataCollError
        try:
            result = await self._driver.interrogate(group, terms, freeze=freeze)
        except PyDataCollError as error:
            result = error
        except Exception as error:
            log.exception("device %s: the driver failed to interrogate", self._driver.device.id)
            result = DeviceError(f"internal error: {type(error).__name__}")
        outcome.set_result(result)

    def _ended(self, asked: _Asked, outcome: _Outcome, _: asyncio.Task[None]) -> None:
        del self._under_way[asked]
        if not outcome.done():  # the task was cancelled with its link
            text = "the link was lost during the interrogation"
            if asked[2]:
                outcome.set_result(DeviceTimeout(f"{text}: whether the device acted is unknown"))
            else:
                outcome.set_result(DeviceOffline(text))
