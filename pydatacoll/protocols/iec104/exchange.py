"""One command from its begin to its end, without IO: time and answers in, requests and the outcome out.

The rules (IEC 60870-5-5, 6.8; IEC 60870-5-101, 7.2.3 for the causes):

1. Directly: execute -> confirmation -> termination. Select before operate: select -> confirmation, then the same,
   at once or, of a selection that is held, when it is asked for within its time.
2. At most one execute is sent; after a select only when that select was confirmed positively, and not after the
   deadline.
3. An answer mirrors the request: type, addresses, value and S/E; its originator address is ours, or 0 of a station
   that does not use it. The qualifier is not compared: some stations tell which one they took; nor is S/E of a
   termination: lib60870 by way of c104 mirrors the select there. Nothing else is an answer, nor is what has the
   test bit.
4. What is given up while the station may still act on it is deactivated (cause 8): a select, also a confirmed one,
   and an execute without confirmation. What was confirmed is left to the station.
5. After giving up the station's answers are awaited half as long as a confirmation may take: an answer that comes
   late must not be taken for that of the next command to the same address. The caller knows his outcome by then.
"""

from __future__ import annotations

import math
import struct
from collections.abc import Callable
from enum import StrEnum
from typing import NamedTuple

from msgspec.structs import replace

from pydatacoll.errors import DeviceError, DeviceOffline, DeviceRefused, DeviceTimeout
from pydatacoll.protocols.iec104 import control
from pydatacoll.protocols.iec104.asdu import Asdu, InformationObject
from pydatacoll.protocols.iec104.config import Command, Mode
from pydatacoll.protocols.iec104.elements import Element
from pydatacoll.protocols.iec104.outcomes import CONFIRMED, LINK_LOST, NEGATIVE, TERMINATED, UNKNOWN
from pydatacoll.protocols.iec104.times import Cp56
from pydatacoll.protocols.iec104.types import Tag, type_name

SELECT_TIMEOUT = "select_timeout"
EXECUTE_TIMEOUT = "execute_timeout"
EXPIRED = "expired"
CANCELLED = "cancelled"

ACTIVATION = 6
CONFIRMATION = 7
DEACTIVATION = 8
DEACTIVATION_CONFIRMATION = 9
TERMINATION = 10

UNCLEAR = "whether the device acted is unknown"
NOTHING = "nothing was executed"


class Phase(StrEnum):
    """What is awaited."""

    WAITING = "waiting"
    SELECTING = "selecting"
    SELECTED = "selected"
    EXECUTING = "executing"
    TERMINATING = "terminating"
    DEACTIVATING = "deactivating"
    OVER = "over"


class Limits(NamedTuple):
    """Longest waits, seconds.

    :ivar termination: 0: it is not awaited.
    """

    confirmation: float
    termination: float


class Exchange:
    """One command.

    :param hold: seconds for which a confirmed select waits for :meth:`operate` or :meth:`cancel`; 0: it is
        executed at once.
    :param tag: gives the time tag of a request, for the types that have one.
    :param deadline: when nothing must be sent any more that makes the station act.
    :ivar result: what the caller is told: ``terminated``, ``confirmed`` or why neither, of a selection also
        ``cancelled``; ``None``: not known yet.
    :ivar due: when :meth:`give_up` is to be called.
    :ivar owing: the execute was confirmed, and its termination has not come.
    :ivar deactivated: what the station said to the deactivation; ``None``: nothing.
    """

    def __init__(
        self,
        command: Command,
        element: Element,
        mode: Mode,
        limits: Limits,
        *,
        originator: int = 0,
        deadline: float = math.inf,
        hold: float = 0.0,
        tag: Callable[[], Cp56] | None = None,
    ) -> None:
        self.command = command
        self.limits = limits
        self.deadline = deadline
        self.phase = Phase.WAITING
        self.result: str | DeviceError | None = None
        self.due = deadline
        self._mode = mode
        self._hold = hold
        self._element = element
        self._originator = originator
        self._tag = tag
        self._value = _value(element)
        self._since = 0.0
        self._unanswered = 0
        self._executed: Asdu | None = None
        self.owing = False
        self.deactivated: bool | None = None

    # Requests

    def begin(self, now: float) -> Asdu:
        """The first request."""
        if self._mode == "select":
            return self._request(Phase.SELECTING, now)
        return self._request(Phase.EXECUTING, now)

    def operate(self, now: float, deadline: float) -> Asdu:
        """The execute of what is selected; the phase is ``SELECTED``."""
        self.deadline = deadline
        return self._request(Phase.EXECUTING, now)

    def cancel(self, now: float) -> Asdu:
        """The deactivation of what is selected; the phase is ``SELECTED``."""
        return self._deactivate(CANCELLED, now)

    def commands(self, element: Element) -> bool:
        """Whether it is this value that is commanded."""
        return _value(element) == self._value

    def _request(self, phase: Phase, now: float) -> Asdu:
        self.phase = phase
        self._since = now
        self._unanswered = 1
        self.due = min(self.deadline, now + self.limits.confirmation)
        request = self._asdu(ACTIVATION, select=phase is Phase.SELECTING)
        if phase is Phase.EXECUTING:
            self._executed = request
        return request

    def _asdu(self, cause: int, *, select: bool) -> Asdu:
        info = self.command.info
        time = self._tag() if self._tag is not None and info.tag is Tag.CP56 else None
        one = InformationObject(self.command.address.object, _selected(self._element, select=select), time)
        return Asdu(info.number, cause, self.command.address.common, (one,), originator=self._originator)

    # Answers

    def expects(self, asdu: Asdu) -> bool:
        """Whether an ASDU is an answer to what was requested (rule 3)."""
        if not self._mirrors(asdu):
            return False
        if self.phase is Phase.DEACTIVATING:
            return asdu.cause in (CONFIRMATION, DEACTIVATION_CONFIRMATION, TERMINATION, *UNKNOWN)
        if self.phase is Phase.TERMINATING:
            return asdu.cause == TERMINATION
        if self.phase in (Phase.SELECTING, Phase.EXECUTING):
            selecting = self.phase is Phase.SELECTING
            right = asdu.cause == CONFIRMATION or asdu.cause in UNKNOWN
            return right and _is_select(asdu.objects[0].element) == selecting
        return False

    def _mirrors(self, asdu: Asdu) -> bool:
        address = self.command.address
        return (
            asdu.type_id == self.command.info.number
            and asdu.common_address == address.common
            and len(asdu.objects) == 1
            and asdu.objects[0].address == address.object
            and not asdu.test
            and asdu.originator in (0, self._originator)
            and _value(asdu.objects[0].element) == self._value
        )

    def owes(self, asdu: Asdu) -> bool:
        """Whether an ASDU is the termination of this command, now that it is over."""
        return self.owing and asdu.cause == TERMINATION and self._mirrors(asdu)

    def is_tagged_like(self, asdu: Asdu) -> bool:
        """Whether an ASDU carries the time tag of our execute, which tells apart what is alike otherwise."""
        time = asdu.objects[0].time
        return time is not None and self._executed is not None and time == self._executed.objects[0].time

    def answer(self, asdu: Asdu, now: float) -> Asdu | None:
        """Take an answer (see :meth:`expects`); returns the next request."""
        if self.phase is Phase.DEACTIVATING:
            self._late(asdu)
        elif self.phase is Phase.TERMINATING:
            self._terminate(asdu)
        else:
            self._unanswered = 0
            refusal = self._refusal(asdu)
            if refusal is not None:
                self._end(refusal)
            elif self.phase is Phase.SELECTING:
                return self._after_select(now)
            else:
                self._after_execute(now)
        return None

    def _after_select(self, now: float) -> Asdu | None:
        if now >= self.deadline:
            return self._deactivate(DeviceTimeout(f"expired after the select; {NOTHING}", outcome=EXPIRED), now)
        if not self._hold:
            return self._request(Phase.EXECUTING, now)
        self.phase = Phase.SELECTED
        self._since = now
        self.due = now + self._hold
        return None

    def _after_execute(self, now: float) -> None:
        self.owing = True
        if self.limits.termination == 0:
            self._end(CONFIRMED)
        else:
            self.phase = Phase.TERMINATING
            self.due = min(self.deadline, now + self.limits.termination)

    def _terminate(self, asdu: Asdu) -> None:
        self.owing = False
        if asdu.negative:
            self._end(DeviceRefused("the station confirmed it and then ended it negatively", outcome=NEGATIVE))
        else:
            self._end(TERMINATED)

    def _late(self, asdu: Asdu) -> None:
        """An answer after giving up: in the order of the requests, the last is that to the deactivation."""
        if asdu.cause == TERMINATION:
            self.owing = False
            return
        self._unanswered -= 1
        if not asdu.negative and not _is_select(asdu.objects[0].element):
            # when it was stopped no termination follows
            self.owing = asdu.cause == CONFIRMATION
        if asdu.cause == DEACTIVATION_CONFIRMATION or self._unanswered <= 0:
            self.deactivated = asdu.cause == DEACTIVATION_CONFIRMATION and not asdu.negative
            self._over()

    def _refusal(self, asdu: Asdu) -> DeviceRefused | None:
        info, address = self.command.info, self.command.address
        selecting = self.phase is Phase.SELECTING
        unknown = {
            44: f"type identification {type_name(info.number)}",
            45: f"cause of transmission {ACTIVATION}, activation",
            46: f"common address {address.common}",
            47: f"information object address {address.object}",
        }.get(asdu.cause)
        if unknown is not None:
            text = f"the station does not know the {unknown} (cause {asdu.cause})"
            return DeviceRefused(text, outcome=UNKNOWN[asdu.cause])
        if asdu.negative:
            what = f"the select (negative confirmation); {NOTHING}" if selecting else "it (negative confirmation)"
            return DeviceRefused(f"the station refuses {what}", outcome=NEGATIVE)
        return None

    # Ends

    def give_up(self, now: float, *, reached: bool, behind: bool = False) -> Asdu | None:
        """The time is over (see :attr:`due`), or the caller has gone; returns the deactivation, if there is to be
        one.

        :param reached: whether the last request may have reached the station; otherwise it never will.
        :param behind: it waited for a command before that the station has not answered.
        """
        waited = f"{min(now, self.due) - self._since:.3g} s"
        if self.phase is Phase.TERMINATING:
            self._end(CONFIRMED)
        elif self.phase is Phase.WAITING:
            why = ": the station still owes an answer to the command before" if behind else ""
            self._end(DeviceTimeout(f"expired before it was sent{why}; {NOTHING}", outcome=EXPIRED))
        elif self.phase is Phase.SELECTING:
            if not reached:
                text = f"not sent within {waited}, and withdrawn; {NOTHING}"
                self._end(DeviceTimeout(text, outcome=EXPIRED))
            else:
                text = f"select not confirmed within {waited}; {NOTHING}"
                return self._deactivate(DeviceTimeout(text, outcome=SELECT_TIMEOUT), now)
        elif self.phase is Phase.SELECTED:
            text = f"the selection was given up after {waited}; {NOTHING}"
            return self._deactivate(DeviceTimeout(text, outcome=EXPIRED), now)
        elif self.phase is Phase.EXECUTING:
            if not reached:
                self._executed = None
                self._unanswered = 0
                error = DeviceTimeout(f"not sent within {waited}, and withdrawn; {NOTHING}", outcome=EXPIRED)
                if self._mode == "select":
                    return self._deactivate(error, now)
                self._end(error)
            else:
                text = f"execute not confirmed within {waited}; {UNCLEAR}"
                return self._deactivate(DeviceTimeout(text, outcome=EXECUTE_TIMEOUT), now)
        else:
            self._over()
        return None

    def _deactivate(self, result: str | DeviceError, now: float) -> Asdu:
        select = self._executed is None and self._mode == "select"
        self.result = result
        self.phase = Phase.DEACTIVATING
        self._unanswered += 1
        self.due = now + self.limits.confirmation / 2
        return self._asdu(DEACTIVATION, select=select)

    def unsent(self, error: DeviceOffline) -> None:
        """What was to be sent last could not be."""
        if self.phase is Phase.EXECUTING:
            self._executed = None
        if self.result is None:
            self._end(DeviceOffline(f"{error}; {NOTHING}", outcome=error.outcome or LINK_LOST))
        else:
            self._over()

    def lost(self, error: DeviceOffline, *, reached: bool) -> None:
        """The connection is over, nothing more is sent or received."""
        if self.phase is Phase.TERMINATING:
            self._end(CONFIRMED)
        elif self.phase is Phase.EXECUTING and reached:
            self._end(DeviceTimeout(f"{error}; {UNCLEAR}", outcome=LINK_LOST))
        elif self.result is None:
            self._executed = None
            self._end(DeviceOffline(f"{error}; {NOTHING}", outcome=LINK_LOST))
        else:
            self._over()

    def _end(self, result: str | DeviceError) -> None:
        self.result = result
        self._over()

    def _over(self) -> None:
        self.phase = Phase.OVER
        self.due = math.inf


def is_selectable(command: Command) -> bool:
    """A bitstring has no S/E bit."""
    return command.info.element is not control.BitStringCommand


def _selected(element: Element, *, select: bool) -> Element:
    return replace(element, select=True) if select else element


def _is_select(element: Element | None) -> bool:
    return bool(getattr(element, "select", False))


def _value(element: Element | None) -> bytes:
    """What is compared of an element, as it is on the way: a floating point number loses precision there."""
    if element is None:
        return b""
    plain = {"qualifier": 0, "select": False, "spare": False}
    fields = {name: value for name, value in plain.items() if name in element.__struct_fields__}
    return struct.pack(f"<{element.FORMAT}", *replace(element, **fields).pack())
