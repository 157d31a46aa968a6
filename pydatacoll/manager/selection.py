"""Select before operate in two steps, of one device: what the manager checks before its driver is asked."""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import Mapping, Sequence
from typing import Any, Final

from pydatacoll.errors import Conflict, DeviceError, DeviceTimeout, NotFound, PyDataCollError
from pydatacoll.model import PointId, Value
from pydatacoll.sdk import Device, DeviceDriver, Point, WriteRequest, WriteResult

log = logging.getLogger(__name__)

LOST: Final = "the selection was lost with the link to the device; nothing was sent; select again"


class Selections:
    """Those of one device; the driver holds them.

    :param points: ``term_id:item_id`` -> point, as they are now.
    """

    def __init__(self, driver: DeviceDriver, points: Mapping[str, Point]) -> None:
        self._driver = driver
        self._points = points

    def _writable(self, device: Device, field: str) -> Point:
        point = self._points.get(field)
        if point is None:
            raise NotFound(f"term_item not found! {PointId(device.id, *field.split(':', 1))}")
        if not point.item.writable:
            raise Conflict(f"{point.id} is not writable")
        self._driver.check_select(device, point.term, point.item)
        return point

    async def select(self, device: Device, field: str, value: Value, left: float) -> dict[str, Any]:
        """Select a point.

        :param value: engineering value.
        :param left: seconds until it must not be selected any more.
        :return: the id of the selection, for how many seconds it is held, and when that ends (epoch seconds).
        :raises PyDataCollError: nothing is selected.
        """
        point = self._writable(device, field)
        raw = self._driver.check_value(device, point.term, point.item, value)
        deadline = asyncio.get_running_loop().time() + left
        try:
            async with asyncio.timeout(left):
                held = await self._driver.select(WriteRequest(point, raw, mode="select", deadline=deadline))
        except TimeoutError:
            raise DeviceTimeout("the device did not confirm the select in time; nothing was executed") from None
        return {"selection_id": held.id, "seconds": held.seconds, "expires": time.time() + held.seconds}

    async def cancel(self, device: Device, field: str, selection: str) -> None:
        """Give a selection up.

        :raises PyDataCollError: there is none, or the device could not be told.
        """
        await self._driver.cancel(selection, self._writable(device, field))


async def execute(
    driver: DeviceDriver, device: Device, requests: Sequence[WriteRequest], selections: Sequence[str]
) -> list[WriteResult | PyDataCollError]:
    """Execute what was selected, each at most once; one result per request, in order."""
    results: list[WriteResult | PyDataCollError] = []
    for request, selection in zip(requests, selections, strict=True):
        try:
            driver.check_select(device, request.point.term, request.point.item)
            results.append(await driver.execute(selection, request))
        except PyDataCollError as error:
            results.append(error)
        except Exception as failure:
            log.exception("device %s: the driver failed on a command", device.id)
            results.append(DeviceError(f"internal error: {type(failure).__name__}"))
    return results
