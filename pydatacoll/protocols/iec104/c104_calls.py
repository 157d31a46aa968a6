"""From an ASDU to the call of c104 that makes lib60870 send it.

What cannot be sent exactly is not sent: types without a call, the test bit, a clock that is not set to UTC,
C_TS_NA_1 (the library has the pattern 55CCH for 55AAH). Times are passed as the fields that are in the
tag: c104 takes the fields of a ``datetime`` as they stand when the process runs with TZ=UTC.
"""

from __future__ import annotations

import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from functools import partial
from typing import Any, NamedTuple

from pydatacoll.protocols.iec104 import control
from pydatacoll.protocols.iec104.asdu import Asdu
from pydatacoll.protocols.iec104.elements import Element
from pydatacoll.protocols.iec104.times import Cp56, Zone
from pydatacoll.protocols.iec104.types import TYPES, Tag

ACTIVATION, DEACTIVATION = 6, 8
READ, CLOCK, TEST_TAGGED = 102, 103, 107

CLOCK_TOLERANCE = 5.0
"""Seconds by which the time of a clock synchronization may differ from ours: c104 sends its own."""

_UTC = Zone()


class Call(NamedTuple):
    """What the library is to do.

    :ivar run: blocks, at most as long as the library waits for an answer; false when the station did not confirm,
        or when nothing was sent.
    :ivar point: the address that must not have two calls at a time; ``None``: it concerns the station.
    """

    run: Callable[[], bool]
    point: tuple[int, int] | None


def is_select(asdu: Asdu) -> bool:
    """Whether it is the select of a command."""
    return bool(asdu.objects) and bool(getattr(asdu.objects[0].element, "select", False))


class Caller:
    """Makes the calls of one connection.

    :param c104: the package.
    :param connection: the ``c104.Connection``.
    """

    def __init__(self, c104: Any, connection: Any) -> None:
        self._c104 = c104
        self._connection = connection
        self._model = threading.Lock()
        self._users: Counter[int] = Counter()

    def call(self, asdu: Asdu) -> Call | None:
        """The call that sends this; ``None``: there is none."""
        info = TYPES.get(asdu.type_id)
        if info is None or asdu.test or asdu.negative or len(asdu.objects) != 1:
            return None
        if asdu.type_id == READ:
            return self._read(asdu)
        if asdu.cause not in (ACTIVATION, DEACTIVATION):
            return None
        cause = self._c104.Cot.ACTIVATION if asdu.cause == ACTIVATION else self._c104.Cot.DEACTIVATION
        if info.system:
            run = self._of_station(asdu, cause)
            return None if run is None else Call(run, None)
        return self._command(asdu, cause)

    def _of_station(self, asdu: Asdu, cause: Any) -> Callable[[], bool] | None:
        c104, connection = self._c104, self._connection
        common, element = asdu.common_address, asdu.objects[0].element
        if isinstance(element, control.Interrogation) and 20 <= element.qualifier <= 36:
            ask = partial(connection.interrogation, common, cause=cause, qualifier=c104.Qoi(element.qualifier))
        elif isinstance(element, control.CounterInterrogation) and 1 <= element.request <= 5:
            request, freeze = c104.Rqt(element.request), c104.Frz(element.freeze)
            ask = partial(connection.counter_interrogation, common, cause=cause, qualifier=request, freeze=freeze)
        elif asdu.cause != ACTIVATION:
            return None
        elif asdu.type_id == CLOCK and _is_now(asdu.objects[0].time):
            ask = partial(connection.clock_sync, common)
        elif asdu.type_id == TEST_TAGGED:
            ask = partial(connection.test, common, with_time=True)
        else:
            return None
        return partial(ask, wait_for_response=False)

    def _read(self, asdu: Asdu) -> Call:
        common, address = asdu.common_address, asdu.objects[0].address

        def run() -> bool:
            with self._station(common) as station:
                kind, mode = self._c104.Type.M_SP_NA_1, self._c104.CommandMode.DIRECT
                return bool(_new_point(station, address, kind, mode).read())

        return Call(run, (common, address))

    def _command(self, asdu: Asdu, cause: Any) -> Call | None:
        c104 = self._c104
        common, (one,) = asdu.common_address, asdu.objects
        tagged = TYPES[asdu.type_id].tag is not Tag.NONE
        recorded = _fields(one.time) if tagged else None
        if tagged and recorded is None:
            return None
        information = _information(c104, one.element, {"recorded_at": recorded} if tagged else {})
        if information is None:
            return None
        kind = c104.Type(asdu.type_id)
        mode = c104.CommandMode.SELECT_AND_EXECUTE if is_select(asdu) else c104.CommandMode.DIRECT

        def run() -> bool:
            with self._station(common) as station:
                point = _new_point(station, one.address, kind, mode)
                point.info = information
                return bool(point.transmit(cause))

        return Call(run, (common, one.address))

    @contextmanager
    def _station(self, common: int) -> Iterator[Any]:
        """The station of a common address, as long as it is needed: while it is there, the library keeps 1.6 kB of
        every address that sends, and looks at them one after the other for each value."""
        with self._model:
            station = self._connection.get_station(common) or self._connection.add_station(common)
            self._users[common] += 1
        try:
            yield station
        finally:
            with self._model:
                self._users[common] -= 1
                if not self._users[common]:
                    del self._users[common]
                    self._connection.remove_station(common)


def _is_now(tag: object) -> bool:
    seconds = _UTC.seconds(tag) if isinstance(tag, Cp56) else None
    return seconds is not None and abs(seconds - time.time()) <= CLOCK_TOLERANCE


def _information(c104: Any, element: Element | None, options: dict[str, Any]) -> Any:
    """What a command says, in classes of c104; ``None``: it has none for it."""
    match element:
        case control.SingleCommand(spare=False):
            return c104.SingleCmd(element.on, c104.Qoc(element.qualifier), **options)
        case control.DoubleCommand(state=1 | 2):
            state = c104.Double.ON if element.state == 2 else c104.Double.OFF
            return c104.DoubleCmd(state, c104.Qoc(element.qualifier), **options)
        case control.StepCommand(state=1 | 2):
            step = c104.Step.HIGHER if element.state == 2 else c104.Step.LOWER
            return c104.StepCmd(step, c104.Qoc(element.qualifier), **options)
        case control.BitStringCommand():
            # given a number, Byte32 keeps nothing of it
            return c104.BinaryCmd(c104.Byte32(element.bits.to_bytes(4, "little")), **options)
    return _set_point(c104, element, options)


def _set_point(c104: Any, element: Element | None, options: dict[str, Any]) -> Any:
    match element:
        case control.NormalizedSetPoint():
            target = c104.NormalizedFloat(element.value)
            return c104.NormalizedCmd(target, c104.UInt7(element.qualifier), **options)
        case control.ScaledSetPoint():
            return c104.ScaledCmd(c104.Int16(int(element.value)), c104.UInt7(element.qualifier), **options)
        case control.ShortFloatSetPoint():
            return c104.ShortCmd(element.value, c104.UInt7(element.qualifier), **options)
    return None


def _fields(tag: object) -> datetime | None:
    """What the octets of a time tag say, whatever zone that is in; ``None`` when the library cannot say it."""
    if not isinstance(tag, Cp56):
        return None
    octets = tag.octets
    if octets[2] & 0xC0 or octets[3] & 0x80:  # IV, reserved, SU
        return None
    seconds = _UTC.seconds(tag)
    return None if seconds is None else datetime.fromtimestamp(seconds, UTC)


def _new_point(station: Any, address: int, kind: Any, mode: Any) -> Any:
    """A point of this type at an address; it takes the place of one that values have made there, of another type.

    Values can make it again before the new one is there; then this is done again.
    """
    point = None
    while point is None:
        station.remove_point(address)
        point = station.add_point(address, kind, command_mode=mode)
    return point
