"""Select before operate in two steps, of one device: what the manager checks before its driver is asked, and what
it tells the audit trail of a selection that ended by itself."""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import Callable, Mapping, Sequence
from typing import Any, Final

from pydatacoll.errors import (
    Conflict,
    DeviceError,
    DeviceOffline,
    DeviceTimeout,
    NotFound,
    PyDataCollError,
)
from pydatacoll.model import PointId, Value, time_to_wire
from pydatacoll.sdk import Device, DeviceDriver, Point, WriteRequest, WriteResult

log = logging.getLogger(__name__)

Tell = Callable[[dict[str, Any]], None]
"""Takes an audit entry."""

LOST: Final = "the selection was lost with the link to the device; nothing was sent; select again"


AFTER: Final = 60.0
"""Seconds beyond its time after which a selection is forgotten of which the driver did not tell how it ended."""


class Selections:
    """Those of one device; the driver holds them.

    :param points: ``term_id:item_id`` -> point, as they are now.
    :param tell: takes what a selection that ended by itself is to leave in the audit trail.
    """

    def __init__(self, driver: DeviceDriver, points: Mapping[str, Point], tell: Tell) -> None:
        self._driver = driver
        self._points = points
        self._tell = tell
        self._held: dict[str, dict[str, Any]] = {}
        """Audit entries of those that are held, by id."""
        self._selecting = 0
        self._gone: dict[str, str] = {}
        """What ended before its select was answered, and how."""

    def _writable(self, device: Device, field: str) -> Point:
        point = self._points.get(field)
        if point is None:
            raise NotFound(f"term_item not found! {PointId(device.id, *field.split(':', 1))}")
        if not point.item.writable:
            raise Conflict(f"{point.id} is not writable")
        self._driver.check_select(device, point.term, point.item)
        return point

    async def select(
        self, device: Device, field: str, value: Value, left: float, *, user: str = "", source: str = ""
    ) -> dict[str, Any]:
        """Select a point.

        :param value: engineering value.
        :param left: seconds until it must not be selected any more.
        :param user: who selects, and from where: for the audit trail.
        :return: the id of the selection, for how many seconds it is held, and when that ends (epoch seconds).
        :raises PyDataCollError: nothing is selected.
        """
        point = self._writable(device, field)
        raw = self._driver.check_value(device, point.term, point.item, value)
        deadline = asyncio.get_running_loop().time() + left
        self._selecting += 1
        try:
            async with asyncio.timeout(left):
                held = await self._driver.select(WriteRequest(point, raw, mode="select", deadline=deadline))
            if held.id in self._gone:
                raise DeviceOffline(LOST)  # it was confirmed, and lost before it could be told
        except TimeoutError:
            raise DeviceTimeout("the device did not confirm the select in time; nothing was executed") from None
        finally:
            self._selecting -= 1
            if not self._selecting:
                self._gone.clear()
        self._forget_old(time.time())
        self._held[held.id] = {
            "action": "select.given_up",
            "user": user,
            "source": source,
            "object": f"{device.id}:{field}",
            "after": value,
            "devices": [device.id],
            "selection_id": held.id,
            "expires": time.time() + held.seconds,
        }
        return {"selection_id": held.id, "seconds": held.seconds, "expires": time.time() + held.seconds}

    async def cancel(self, device: Device, field: str, selection: str) -> None:
        """Give a selection up.

        :raises PyDataCollError: there is none, or the device could not be told.
        """
        await self._driver.cancel(selection, self._writable(device, field))
        self._held.pop(selection, None)

    async def execute(
        self, device: Device, requests: Sequence[WriteRequest], selections: Sequence[str]
    ) -> list[WriteResult | PyDataCollError]:
        """Execute what was selected, each at most once; one result per request, in order."""
        results: list[WriteResult | PyDataCollError] = []
        for request, selection in zip(requests, selections, strict=True):
            try:
                self._driver.check_select(device, request.point.term, request.point.item)
                results.append(await self._driver.execute(selection, request))
            except PyDataCollError as error:
                results.append(error)
            except Exception as failure:
                log.exception("device %s: the driver failed on a command", device.id)
                results.append(DeviceError(f"internal error: {type(failure).__name__}"))
        return results

    def given_up(self, selection: str, error: str) -> None:
        """The driver ended it by itself; see :class:`pydatacoll.sdk.DriverContext`."""
        entry = self._held.pop(selection, None)
        if entry is None:
            if self._selecting:
                self._gone[selection] = error
            return
        del entry["expires"]
        entry["ended"] = time_to_wire(time.time())
        self._tell({**entry, "result": error or "ok (its time was over)"})

    def _forget_old(self, now: float) -> None:
        """Those that were executed, or of a driver that does not tell."""
        for selection in [one for one, entry in self._held.items() if entry["expires"] + AFTER < now]:
            del self._held[selection]
