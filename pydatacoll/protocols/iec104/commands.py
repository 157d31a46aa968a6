"""Commands under way: one at a time for each address, in order; those for different addresses do not wait for each
other. What a command does is :mod:`~pydatacoll.protocols.iec104.exchange`; here are its timers and its way out.

A selection is held here and nowhere else: until it is executed, cancelled, given up after its time (the station
gets a deactivation), or lost with the connection. As long as it is held the address takes no other command."""

from __future__ import annotations

import asyncio
import math
import secrets
from collections import deque
from typing import Any

from pydatacoll.errors import (
    Conflict,
    DeviceError,
    DeviceOffline,
    DeviceRefused,
    DeviceTimeout,
    FieldError,
    Invalid,
)
from pydatacoll.protocols.iec104.asdu import Asdu, encode
from pydatacoll.protocols.iec104.config import Address, Command, Iec104Device, Mode
from pydatacoll.protocols.iec104.elements import Element
from pydatacoll.protocols.iec104.exchange import (
    DEACTIVATION,
    EXPIRED,
    TERMINATION,
    Exchange,
    Limits,
    Phase,
    is_selectable,
)
from pydatacoll.protocols.iec104.lanes import Job, Lane
from pydatacoll.protocols.iec104.outcomes import LINK_LOST
from pydatacoll.protocols.iec104.times import Cp56, Zone
from pydatacoll.protocols.iec104.values import to_element
from pydatacoll.protocols.iec104.wire import Wire
from pydatacoll.sdk import DriverContext, Value

BUSY = "busy"

MOST_WAITING = 32
"""Commands for one address that may wait; who asks for more is told that it is busy."""
MOST_AT_ONCE = 128
"""Addresses with a command under way; the others wait, for the station takes k frames at a time."""
OWED = 60.0
"""Seconds for which a termination that came too late is known as such."""
LAST_MOMENT = 0.05
"""Seconds before its deadline at which a command is given up, so that there is time to tell what is known."""


NO_SELECTION = "the selection has expired, was used or is not known; nothing was sent; select again"


def _last_moment(deadline: float | None) -> float:
    """When a command with this deadline is given up."""
    if deadline is None:
        return math.inf
    left = deadline - asyncio.get_running_loop().time()
    return deadline - min(LAST_MOMENT, max(left, 0.0) / 10)


class Commander:
    """Commands the points of one station.

    Counts in the counters of the device: ``commands`` begun, ``command_OUTCOME`` for each outcome, ``selections``
    that were held, ``command_selected`` (refused, as the address was selected), ``command_deactivations``,
    ``command_answers_late`` (terminations of commands given up) and ``command_answers_unexpected``.

    :raises ValueError: the time zone of the device is none.
    """

    def __init__(self, device: Iec104Device, context: DriverContext) -> None:
        self._originator = device.originator
        self._limits = Limits(device.command_timeout, device.termination_timeout)
        self._zone = Zone.parse(device.time_zone, summer_time=device.summer_time)
        self._context = context
        self._wire: Wire | None = None
        self._lanes: dict[Address, Lane] = {}
        self._selections: dict[str, Job] = {}
        self._at_work = 0
        self._queue: deque[tuple[Address, Lane]] = deque()

    def connected(self, wire: Wire) -> None:
        """Commands go over this wire from now on."""
        self._wire = wire

    def lost(self, error: DeviceOffline) -> None:
        """The wire is closed: everything under way ends, and what waits will never be sent."""
        wire, self._wire = self._wire, None
        lanes, self._lanes = self._lanes, {}
        self._queue.clear()
        for lane in lanes.values():
            if wire is not None:
                self._interrupt(wire, lane, error)
            for job in lane.waiting:
                self._interrupted(job, error, reached=False)
            self._stop_timer(lane)

    def switched(self) -> None:
        """Another connection has taken over: no answer comes any more to what was sent, and an execute must not
        follow its select there. What waits goes over the new one."""
        wire = self._wire
        if wire is None:
            return
        error = DeviceOffline("the connection was lost, the other one of the redundancy group has taken over")
        for lane in self._lanes.values():
            self._interrupt(wire, lane, error)
            lane.owed.clear()
        for address, lane in list(self._lanes.items()):
            self._go_on(address, lane)

    def _interrupt(self, wire: Wire, lane: Lane, error: DeviceOffline) -> None:
        job = self._take_off(lane)
        if job is not None:
            reached = not wire.withdraw(lane.token) and wire.went_out(lane.token)
            self._interrupted(job, error, reached=reached)

    def _interrupted(self, job: Job, error: DeviceOffline, *, reached: bool) -> None:
        job.exchange.lost(error, reached=reached)
        self._settle(job)

    async def execute(self, command: Command, value: Value, mode: Mode | None, deadline: float | None) -> str:
        """Give a command; returns ``terminated``, or ``confirmed`` when no termination came.

        :param value: raw.
        :param mode: ``None``: the point's.
        :param deadline: ``loop.time()`` after which it must not be sent any more; ``None``: it does not expire.
        :raises DeviceRefused: the station refuses it; ``outcome`` is ``negative``, ``unknown_type``,
            ``unknown_cause``, ``unknown_ca`` or ``unknown_ioa``. Or it was not sent, as too many wait (``busy``).
        :raises DeviceTimeout: ``select_timeout``, ``expired`` (nothing was executed), ``execute_timeout``, or
            ``link_lost`` after sending (unknown).
        :raises DeviceOffline: ``link_lost``, nothing was executed.
        :raises Conflict: the address is selected; nothing was executed.
        """
        return await self._give(Job(self._exchange(command, value, mode or command.mode, deadline)))

    async def select(self, command: Command, value: Value, hold: float, deadline: float | None) -> str:
        """Select, and hold the selection; returns what names it.

        :param hold: seconds from the confirmation on, after which it is given up.
        :raises PyDataCollError: as :meth:`execute`; nothing is selected then.
        """
        exchange = self._exchange(command, value, "select", deadline, hold)
        return await self._give(Job(exchange, secrets.token_hex(12)))

    async def execute_selected(
        self, selection: str, command: Command, value: Value, deadline: float | None
    ) -> str:
        """Execute what :meth:`select` has selected, once; returns and raises as :meth:`execute`.

        :raises Conflict: there is no such selection (any more), or the point was changed since; nothing was sent.
        :raises Invalid: it was another value; the selection is still held.
        """
        job = self._held(selection, command)
        if not job.exchange.commands(self._element(command, value)):
            raise Invalid.of([FieldError(0, "value", "is not the one that was selected; nothing was executed")])
        last = _last_moment(deadline)
        now = asyncio.get_running_loop().time()
        if last <= now:
            raise DeviceTimeout("expired before it was sent; nothing was executed", outcome=EXPIRED)
        del self._selections[selection]
        job.told = asyncio.get_running_loop().create_future()
        job.working = True
        self._at_work += 1
        self._proceed(command.address, self._lanes[command.address], job, job.exchange.operate(now, last))
        return await self._told(job)

    def cancel(self, selection: str, command: Command) -> None:
        """Give a selection up: the station gets a deactivation.

        :raises Conflict: there is no such selection (any more).
        """
        job = self._held(selection, command)
        del self._selections[selection]
        now = asyncio.get_running_loop().time()
        self._proceed(command.address, self._lanes[command.address], job, job.exchange.cancel(now))

    def _held(self, selection: str, command: Command) -> Job:
        job = self._selections.get(selection)
        if job is None or job.exchange.due <= asyncio.get_running_loop().time():
            raise Conflict(NO_SELECTION)
        if job.exchange.command != command:
            raise Conflict("the selection is for another point, or the point was changed since; select again")
        return job

    async def _give(self, job: Job) -> str:
        address = job.exchange.command.address
        lane = self._lanes.setdefault(address, Lane())
        if lane.current is not None and lane.current.exchange.phase is Phase.SELECTED:
            raise self._selected_already(address)
        if len(lane.waiting) >= MOST_WAITING:
            self._context.counters[f"command_{BUSY}"] += 1
            text = f"not sent: {MOST_WAITING} commands wait for address {address} already"
            raise DeviceRefused(text, outcome=BUSY)
        lane.waiting.append(job)
        self._go_on(address, lane)
        return await self._told(job)

    async def _told(self, job: Job) -> str:
        try:
            outcome = await job.told
        except asyncio.CancelledError:
            self._abandon(job.exchange.command.address, job)
            raise
        if isinstance(outcome, str):
            return outcome
        raise outcome

    def _selected_already(self, address: Address) -> Conflict:
        self._context.counters["command_selected"] += 1
        return Conflict(
            f"not sent: address {address} is selected; that selection is to be executed or to end first"
        )

    def _exchange(
        self, command: Command, value: Value, mode: Mode, deadline: float | None, hold: float = 0.0
    ) -> Exchange:
        if self._wire is None:
            raise DeviceOffline("the command was not sent: there is no connection", outcome=LINK_LOST)
        if mode == "select" and not is_selectable(command):
            raise DeviceRefused(f"not sent: {command.info.name} cannot be selected; give it directly")
        return Exchange(
            command,
            self._element(command, value),
            mode,
            self._limits,
            originator=self._originator,
            deadline=_last_moment(deadline),
            hold=hold,
            tag=self._tag,
        )

    @staticmethod
    def _element(command: Command, value: Value) -> Element:
        try:
            return to_element(command, value, select=False)
        except Invalid as error:
            raise DeviceRefused(f"not sent: {error}") from error

    def _tag(self) -> Cp56:
        return self._zone.tag(self._context.wall())

    def received(self, asdu: Asdu) -> bool:
        """Take a mirrored command; False: nobody waited for it."""
        counters = self._context.counters
        address = Address(asdu.common_address, asdu.objects[0].address) if asdu.objects else None
        lane = self._lanes.get(address) if address is not None else None
        if address is None or lane is None:
            counters["command_answers_unexpected"] += 1
            return False
        job = lane.current
        expected = job is not None and job.exchange.expects(asdu)
        tagged = job is not None and job.exchange.is_tagged_like(asdu)
        if asdu.cause == TERMINATION and not (expected and tagged) and self._is_late(lane, asdu):
            counters["command_answers_late"] += 1
            return True
        if job is None or not expected:
            counters["command_answers_unexpected"] += 1
            return False
        request = job.exchange.answer(asdu, asyncio.get_running_loop().time())
        self._proceed(address, lane, job, request)
        return True

    def _is_late(self, lane: Lane, asdu: Asdu) -> bool:
        """Whether it is the termination of a command that was given up: the oldest comes first."""
        self._forget_owed(lane)
        for index, (_, exchange) in enumerate(lane.owed):
            if exchange.owes(asdu):
                del lane.owed[index]
                return True
        return False

    @staticmethod
    def _forget_owed(lane: Lane) -> None:
        now = asyncio.get_running_loop().time()
        while lane.owed and lane.owed[0][0] <= now:
            lane.owed.popleft()

    def _proceed(self, address: Address, lane: Lane, job: Job, request: Asdu | None) -> None:
        """Send what comes next, tell the outcome, let the next one begin."""
        if request is not None:
            self._send(lane, job.exchange, request)
        self._settle(job)
        if job.exchange.phase is Phase.SELECTED:
            self._hold(address, lane, job)
        self._go_on(address, lane)

    def _hold(self, address: Address, lane: Lane, job: Job) -> None:
        """It may be long until the execute: others go on at other addresses, and need not wait here."""
        self._idle(job)
        self._selections[job.selection] = job
        self._context.counters["selections"] += 1
        job.tell(job.selection)
        while lane.waiting:
            lane.waiting.popleft().tell(self._selected_already(address))

    def _idle(self, job: Job) -> None:
        if job.working:
            job.working = False
            self._at_work -= 1

    def _send(self, lane: Lane, exchange: Exchange, request: Asdu) -> None:
        wire = self._wire
        if wire is None:
            exchange.unsent(DeviceOffline("there is no connection"))
            return
        try:
            lane.token = wire.send(encode(request), first=True)
        except DeviceOffline as error:
            exchange.unsent(error)
            return
        if request.cause == DEACTIVATION:
            self._context.counters["command_deactivations"] += 1

    def _settle(self, job: Job) -> None:
        """Tell the outcome as soon as it is known."""
        outcome = job.exchange.result
        if outcome is None:
            return
        if not job.counted:
            job.counted = True
            word = outcome.outcome if isinstance(outcome, DeviceError) else outcome
            self._context.counters[f"command_{word}"] += 1
        job.tell(outcome)

    def _go_on(self, address: Address, lane: Lane) -> None:
        """Begin what may begin, at this address and then elsewhere."""
        self._work(address, lane)
        while self._queue and self._at_work < MOST_AT_ONCE:
            address, lane = self._queue.popleft()
            lane.queued = False
            self._work(address, lane)

    def _work(self, address: Address, lane: Lane) -> None:
        """Begin the next command when the one before is over, and set the timer for what is."""
        loop = asyncio.get_running_loop()
        while lane.current is None or lane.current.exchange.phase is Phase.OVER:
            before = self._take_off(lane)
            if before is not None and before.exchange.owing:
                lane.owed.append((loop.time() + OWED, before.exchange))
            self._forget_owed(lane)
            self._expire(lane, loop.time())
            if not lane.waiting or not self._may_work(address, lane):
                break
            job = lane.current = lane.waiting.popleft()
            job.working = True
            self._at_work += 1
            self._context.counters["commands"] += 1
            self._send(lane, job.exchange, job.exchange.begin(loop.time()))
            self._settle(job)
        self._set_timer(address, lane)

    def _may_work(self, address: Address, lane: Lane) -> bool:
        """Whether there is room for one more; otherwise it waits for its turn."""
        if self._at_work < MOST_AT_ONCE:
            return True
        if not lane.queued:
            lane.queued = True
            self._queue.append((address, lane))
        return False

    def _take_off(self, lane: Lane) -> Job | None:
        job, lane.current = lane.current, None
        if job is not None:
            self._selections.pop(job.selection, None)
            self._idle(job)
            if (error := job.lapsed) is not None:
                self._context.given_up(job.selection, error)
        return job

    def _expire(self, lane: Lane, now: float) -> None:
        """Withdraw what waited too long."""
        behind = lane.current is not None and lane.current.exchange.phase is not Phase.TERMINATING
        for job in [job for job in lane.waiting if job.exchange.due <= now]:
            lane.waiting.remove(job)
            job.exchange.give_up(now, reached=False, behind=behind)
            self._settle(job)

    def _set_timer(self, address: Address, lane: Lane) -> None:
        self._stop_timer(lane)
        jobs = [*lane.waiting, *([lane.current] if lane.current is not None else [])]
        due = min((job.exchange.due for job in jobs), default=math.inf)
        if due == math.inf:
            due = min((until for until, _ in lane.owed), default=math.inf)
        lane.due = due
        if due < math.inf:
            lane.timer = asyncio.get_running_loop().call_at(due, self._time_over, address, lane)
        elif not jobs and self._lanes.get(address) is lane:
            del self._lanes[address]

    @staticmethod
    def _stop_timer(lane: Lane) -> None:
        if lane.timer is not None:
            lane.timer.cancel()
            lane.timer = None

    def _time_over(self, address: Address, lane: Lane) -> None:
        # the loop calls a timer up to its resolution early
        now = max(asyncio.get_running_loop().time(), lane.due)
        self._expire(lane, now)
        job = lane.current
        if job is not None and job.exchange.due <= now:
            self._give_up(lane, job, now)
        self._go_on(address, lane)

    def _give_up(self, lane: Lane, job: Job, now: float) -> None:
        exchange = job.exchange
        reached = True
        if self._wire is not None and exchange.phase in (Phase.SELECTING, Phase.EXECUTING):
            reached = not self._wire.recall(lane.token)
        if exchange.phase is Phase.OVER:  # recalling it has closed the wire
            return
        self._selections.pop(job.selection, None)
        job.given_up |= exchange.phase is Phase.SELECTED
        request = exchange.give_up(now, reached=reached)
        if request is not None:
            self._send(lane, exchange, request)
        self._settle(job)

    def _abandon(self, address: Address, job: Job) -> None:
        """Nobody waits for the outcome any more: withdraw the command, or make the station forget it."""
        lane = self._lanes.get(address)
        if lane is None:
            return
        if lane.current is job:
            self._give_up(lane, job, asyncio.get_running_loop().time())
        elif job in lane.waiting:
            lane.waiting.remove(job)
        self._go_on(address, lane)

    def status(self) -> dict[str, Any]:
        """Commands under way, with what is awaited and how many wait behind them; JSON types only."""
        return {
            "commands": [
                {
                    "address": str(address),
                    "type": lane.current.exchange.command.info.name,
                    "phase": str(lane.current.exchange.phase),
                    "waiting": len(lane.waiting),
                }
                for address, lane in self._lanes.items()
                if lane.current is not None
            ]
        }
