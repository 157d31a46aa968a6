"""Reading back what was written.

A station may take a moment to move what was commanded, and shows the old state until then. So a value that differs
is read again for a while before it is called different.
"""

from __future__ import annotations

import asyncio
import math

from pydatacoll.errors import DeviceError, DeviceRefused, DeviceTimeout
from pydatacoll.model import Sample, Value
from pydatacoll.protocols.iec104 import control
from pydatacoll.protocols.iec104.config import Command, Target
from pydatacoll.protocols.iec104.procedures import Procedures
from pydatacoll.sdk import Point, Sink

PATIENCE = 2.0
"""Seconds in which the value written has to show."""
_FIRST_PAUSE, _LONGEST_PAUSE = 0.02, 0.5
_STEP = 1 / 32_768
"""Of a normalized value."""


async def read_back(procedures: Procedures, sink: Sink, point: Point, target: Target, wanted: Value) -> Sample:
    """The value of a point after it was written.

    :param wanted: the raw value that was written.
    :raises DeviceError: it is another one, or cannot be read; the command was confirmed all the same.
    """
    command = target.command
    if command is None or not target.monitored:
        raise DeviceRefused("written, but there is nothing to read back: the point is only commanded")
    until = asyncio.get_running_loop().time() + PATIENCE
    pause = _FIRST_PAUSE
    while True:
        try:
            sample = await procedures.read(target.address, counter=False)
        except DeviceError as error:
            kind = DeviceRefused if isinstance(error, DeviceRefused) else DeviceTimeout
            raise kind(f"written, but the read-back failed: {error}") from error
        if shows(command, wanted, sample.value):
            return sample
        sink.spontaneous([(point, sample)])
        if asyncio.get_running_loop().time() + pause > until:
            raise DeviceRefused(
                f"wrote {wanted!r} (raw) to {command.address}, read back {sample.value!r} from {target.address}"
            )
        await asyncio.sleep(pause)
        pause = min(2 * pause, _LONGEST_PAUSE)


def shows(command: Command, wanted: Value, found: Value) -> bool:
    """Whether a monitored raw value is what a command was to bring about, as exactly as its own type can tell."""
    element = command.info.element
    if element is control.StepCommand:
        return True  # a step up or down has no value of its own
    if isinstance(wanted, bool) or isinstance(found, bool):
        return _state(wanted) == _state(found)  # a single command may move a double point
    if not isinstance(wanted, (int, float)) or not isinstance(found, (int, float)):
        return wanted == found
    if isinstance(found, int):
        return round(wanted) == found
    step = _STEP / 2 if element is control.NormalizedSetPoint else 0.0
    return math.isclose(wanted, found, rel_tol=1e-6, abs_tol=step)


def _state(value: Value) -> Value:
    return (2 if value else 1) if isinstance(value, bool) else value
