"""Single points that are read, commanded, or selected and executed later, by the procedures and commands of their
addresses."""

from __future__ import annotations

from typing import Final

from pydatacoll.errors import Conflict, DeviceError, DeviceRefused
from pydatacoll.protocols.iec104.commands import Commander
from pydatacoll.protocols.iec104.config import Command, Iec104Device, Mode, Target
from pydatacoll.protocols.iec104.procedures import Procedures
from pydatacoll.protocols.iec104.targets import Targets, is_counter
from pydatacoll.protocols.iec104.verification import read_back
from pydatacoll.sdk import (
    DriverContext,
    Executed,
    Point,
    Result,
    Sample,
    Selected,
    WriteRequest,
    WriteResult,
)

MODES: Final[dict[str, Mode]] = {"direct": "direct", "select": "select"}


class Transfers:
    """Those of one station."""

    def __init__(
        self,
        device: Iec104Device,
        context: DriverContext,
        targets: Targets,
        procedures: Procedures,
        commander: Commander,
    ) -> None:
        self._hold = device.selection_timeout
        self._context = context
        self._targets = targets
        self._procedures = procedures
        self._commander = commander

    async def read(self, point: Point) -> Result:
        """Its value now; an error of the point is returned."""
        target = self._targets.of(point)
        if isinstance(target, DeviceError):
            return target
        if not target.monitored:
            return DeviceRefused(f"{point.id} is only commanded: there is nothing to read")
        try:
            return await self._procedures.read(target.address, counter=is_counter(target))
        except DeviceError as error:
            return error

    async def write(self, request: WriteRequest) -> WriteResult:
        """Command it; an error of the point is returned."""
        mode = None if request.mode is None else MODES[request.mode]
        try:
            target, command = self._commanded(request.point)
            outcome = await self._commander.execute(command, request.value, mode, request.deadline)
            return await self._executed(request, target, outcome)
        except (DeviceError, Conflict) as error:
            return error

    async def select(self, request: WriteRequest) -> Selected:
        """See :meth:`pydatacoll.sdk.DeviceDriver.select`."""
        _, command = self._commanded(request.point)
        selection = await self._commander.select(command, request.value, self._hold, request.deadline)
        return Selected(selection, self._hold)

    async def execute(self, selection: str, request: WriteRequest) -> WriteResult:
        """See :meth:`pydatacoll.sdk.DeviceDriver.execute`."""
        target, command = self._commanded(request.point)
        outcome = await self._commander.execute_selected(selection, command, request.value, request.deadline)
        return await self._executed(request, target, outcome)

    def cancel(self, selection: str, point: Point) -> None:
        """See :meth:`pydatacoll.sdk.DeviceDriver.cancel`."""
        _, command = self._commanded(point)
        self._commander.cancel(selection, command)

    def _commanded(self, point: Point) -> tuple[Target, Command]:
        """
        :raises DeviceError: it has no command.
        """
        target = self._targets.of(point)
        if isinstance(target, DeviceError):
            raise target
        if target.command is None:
            raise DeviceRefused(f"{point.id} has no command")
        return target, target.command

    async def _executed(self, request: WriteRequest, target: Target, outcome: str) -> Executed:
        sample = Sample(self._context.wall(), request.value)
        if request.verify:
            sink = self._context.sink
            sample = await read_back(self._procedures, sink, request.point, target, request.value)
        return Executed(sample, outcome)
