"""Reading: the fast way when all is well, and what to do when it is not.

A poll sends all its blocks and decodes each reply as it arrives. Only when something failed does the slow way
begin, and it decides block by block:

* no answer: repeated ``retries`` times. Then, if its unit answered something meanwhile, the block is left out for
  a while; else the unit is suspect (see :mod:`health`); and when nothing at all came in over the connection and no
  unit is known to be alive, the connection is half-open and closed.
* exception 2 or 3: halved until the refused points or gaps are found; these are not read again.
* exception 5 or 6: asked again after a short pause.
* exception 10 or 11: the unit is suspect, the connection is fine.
* anything else: the points of the block are invalid until the next poll.
"""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Callable, Collection, Sequence

from pydatacoll.errors import DeviceError, DeviceOffline, DeviceTimeout
from pydatacoll.model import Quality
from pydatacoll.protocols.modbus_tcp.client import Job, Link, Outcome
from pydatacoll.protocols.modbus_tcp.config import ModbusDevice
from pydatacoll.protocols.modbus_tcp.describe import in_words
from pydatacoll.protocols.modbus_tcp.frames import ModbusException, Request
from pydatacoll.protocols.modbus_tcp.health import UnitHealth, silence
from pydatacoll.protocols.modbus_tcp.lanes import Knowledge, LanePlan, Member, ReadBlock, qualities
from pydatacoll.protocols.modbus_tcp.planner import halves
from pydatacoll.sdk import DriverContext, Readings

ADDRESS_CODES = (2, 3)
BUSY_CODES = (5, 6)
GATEWAY_CODES = (10, 11)
BUSY_PAUSE = 0.1
HOLES_PER_POLL = 16

INVALID = int(Quality.INVALID)
COMM_LOST = int(Quality.COMM_LOST)
NOT_TOPICAL = int(Quality.NOT_TOPICAL)

PACED_STEP = 1
"""Blocks sent at once, per request in flight, when the data path limits the pace."""

Emit = Callable[[ReadBlock, Outcome], None]


def code_of(outcome: Outcome | None) -> int:
    """Exception code, 0 for everything else."""
    return outcome.code if isinstance(outcome, ModbusException) else 0


def quality_of(error: DeviceError) -> int:
    """Quality of points for which a read gave an error."""
    if isinstance(error, (DeviceTimeout, DeviceOffline)) or code_of(error) in GATEWAY_CODES:
        return COMM_LOST
    return NOT_TOPICAL if code_of(error) in BUSY_CODES else INVALID


class Run:
    """All requests of one poll. Replies are decoded where they arrive; what failed is kept for later."""

    __slots__ = ("_emit", "_health", "_jobs", "_left", "_link", "failed", "finished")

    def __init__(self, link: Link, emit: Emit, health: UnitHealth) -> None:
        self._link = link
        self._emit = emit
        self._health = health
        self._jobs: list[Job] = []
        self._left = 0
        self.failed: list[tuple[ReadBlock, DeviceError | None]] = []
        """Blocks without data; ``None`` for those that were not sent after one stayed without answer."""
        self.finished: asyncio.Future[None]

    @property
    def stalled(self) -> bool:
        """A block stayed without answer: no more should be sent now."""
        return any(isinstance(error, (DeviceTimeout, DeviceOffline)) for _, error in self.failed)

    async def send(self, blocks: Sequence[ReadBlock]) -> None:
        done = self._done
        self._jobs = jobs = [Job(block.request, done, block) for block in blocks]
        self._left = len(jobs)
        self.finished = asyncio.get_running_loop().create_future()
        self._link.submit(jobs)
        try:
            await self.finished
        except asyncio.CancelledError:
            for job in jobs:
                job.cancelled = True
            raise
        finally:
            self._jobs = []  # ends the cycle job -> run -> job, which would be left to the garbage collector

    def _done(self, job: Job, outcome: Outcome) -> None:
        self._left -= 1
        try:
            if isinstance(outcome, bytes):
                self._health.replied = self._link.last_received
                self._emit(job.tag, outcome)
            else:
                self.failed.append((job.tag, outcome))
                if isinstance(outcome, DeviceTimeout):
                    self._hold_back()
                elif not isinstance(outcome, DeviceOffline):
                    self._health.replied = self._link.last_received
        finally:
            if not self._left and not self.finished.done():
                self.finished.set_result(None)

    def _hold_back(self) -> None:
        for job in self._jobs:
            if not job.sent and not job.cancelled:
                job.cancelled = True
                self._left -= 1
                self.failed.append((job.tag, None))


class Reader:
    """Reads points of one device. Holds what was learnt about it; the link is given for each operation."""

    def __init__(self, device: ModbusDevice, context: DriverContext) -> None:
        self.device = device
        self.context = context
        self.knowledge = Knowledge()
        self.units: dict[int, UnitHealth] = {}

    def health(self, unit: int) -> UnitHealth:
        health = self.units.get(unit)
        if health is None:
            health = self.units[unit] = UnitHealth()
        return health

    def start_over(self) -> None:
        """A new connection: what was silent or refused gets another chance."""
        for health in self.units.values():
            health.alive(0.0)
        self.knowledge.retry_holes_now()

    def reconfigured(self, units: Collection[int]) -> None:
        """The points have changed; ``units`` are those in use."""
        self.units = {unit: self.health(unit) for unit in units}
        self.knowledge.retry_holes_now()
        self.knowledge.generation += 1

    def emit_to_sink(self, block: ReadBlock, outcome: Outcome) -> None:
        """Pass what a read gave to the data path."""
        context = self.context
        if isinstance(outcome, bytes):
            values, bad = block.decode(outcome)
            context.sink.values(
                Readings(block.group, values, context.wall(), 0 if bad is None else qualities(bad))
            )
        else:
            context.sink.failed(block.group, quality_of(outcome), context.wall())

    async def request(
        self,
        link: Link,
        request: Request,
        *,
        urgent: bool = False,
        probe: bool = False,
        deadline: float | None = None,
    ) -> tuple[Outcome, bool]:
        """One request and its outcome, and whether it was sent at all."""
        future: asyncio.Future[Outcome] = asyncio.get_running_loop().create_future()

        def done(_: Job, outcome: Outcome) -> None:
            if not future.done():
                future.set_result(outcome)

        job = Job(request, done, urgent=urgent, probe=probe, deadline=deadline)
        link.submit([job])
        try:
            outcome = await future
        except asyncio.CancelledError:
            job.cancelled = True
            raise
        if not isinstance(outcome, (DeviceTimeout, DeviceOffline)) and code_of(outcome) not in GATEWAY_CODES:
            self.health(request.unit).alive(asyncio.get_running_loop().time())
        return outcome, job.sent > 0

    async def poll(self, link: Link, plan: LanePlan) -> None:
        """Read a lane once.

        :raises DeviceOffline: when the connection is gone or found to be half-open.
        """
        knowledge = self.knowledge
        if plan.generation != knowledge.generation:
            plan.compile(self.device, knowledge)
        if plan.health.suspect:
            await self._probe(link, plan)
            return
        blocks = plan.blocks
        if knowledge.silent:
            now = asyncio.get_running_loop().time()
            blocks = [block for block in blocks if not knowledge.is_silent(block.key, now)]
            if plan.health.replied == 0.0:  # nothing yet on this connection: try all
                blocks = blocks or plan.blocks
        if blocks:
            run = Run(link, self.emit_to_sink, plan.health)
            await self._send(run, blocks)
            if knowledge.silent:
                failed = {block.key for block, _ in run.failed}
                for block in blocks:
                    if block.key not in failed:
                        knowledge.block_answered(block.key)
            if run.failed:
                await self._recover(link, plan, run.failed)
        sent = await self._retry_holes(link, plan) if plan.holes else 0
        if not blocks and not sent:
            # Nothing may be asked now: do not let a poll without pause spin.
            await asyncio.sleep(min(1.0, max(self.device.poll_interval, 0.1)))

    async def _send(self, run: Run, blocks: Sequence[ReadBlock]) -> None:
        """All blocks at once, or in steps when the data path limits the pace."""
        room = self.context.room
        step = len(blocks) if room is None else PACED_STEP * self.device.max_in_flight
        for start in range(0, len(blocks), step):
            if room is not None:
                await room()
            await run.send(blocks[start : start + step])
            if run.stalled:
                run.failed += [(block, None) for block in blocks[start + step :]]
                return

    async def fetch(self, link: Link, members: Sequence[Member], emit: Emit, *, probe: bool) -> None:
        """Read members of one table in one block, urgently; members are emitted in one block or
        several; those not reached before the connection ended are not."""
        block = ReadBlock.around(members)
        outcome, _ = await self.request(link, block.request, urgent=True, probe=probe)
        for _ in range(0 if probe else self.device.retries):
            if not isinstance(outcome, DeviceTimeout):
                break
            outcome, _ = await self.request(link, block.request, urgent=True, probe=len(self.units) > 1)
        outcome = await self._after_busy(link, block, outcome, urgent=True)
        if code_of(outcome) in ADDRESS_CODES and len(members) > 1:
            with contextlib.suppress(DeviceOffline):  # the members without a result show it
                await self._halve(link, block, emit)
        else:
            emit(block, outcome)

    # The slow way

    async def _recover(
        self, link: Link, plan: LanePlan, failed: Sequence[tuple[ReadBlock, DeviceError | None]]
    ) -> None:
        for _, error in failed:
            if isinstance(error, DeviceOffline):
                self._fail([block for block, _ in failed], COMM_LOST)
                raise error
        for position, (block, error) in enumerate(failed):
            if plan.health.suspect:
                self._fail([other for other, _ in failed[position:]], COMM_LOST)
                return
            outcome: Outcome | None = error
            if outcome is None:
                outcome, _ = await self.request(link, block.request)
            try:
                await self._settle(link, plan, block, outcome)
            except DeviceOffline:
                self._fail([other for other, _ in failed[position:]], COMM_LOST)
                raise

    async def _settle(self, link: Link, plan: LanePlan, block: ReadBlock, outcome: Outcome) -> None:
        """Do what one outcome asks for until the block's points have a value or a quality."""
        loop = asyncio.get_running_loop()
        since = loop.time() - self.device.timeout
        if isinstance(outcome, DeviceTimeout):
            outcome = await self._repeat(link, plan, block)
            if isinstance(outcome, DeviceOffline):
                self.knowledge.block_silent(block.key, loop.time(), unit_alive=False)
        outcome = await self._after_busy(link, block, outcome)
        if isinstance(outcome, DeviceOffline):
            raise outcome
        if isinstance(outcome, DeviceTimeout):
            self._fail([block], COMM_LOST)
            self._unanswered(link, plan, block, since)
            return
        self.knowledge.block_answered(block.key)
        code = code_of(outcome)
        if code in ADDRESS_CODES:
            await self._halve(link, block, self.emit_to_sink)
            return
        if code in GATEWAY_CODES:
            plan.health.lost(str(outcome), loop.time())
        self.emit_to_sink(block, outcome)

    async def _repeat(self, link: Link, plan: LanePlan, block: ReadBlock) -> Outcome:
        """Ask again as often as configured, at the end together with another block, which tells a silent unit
        from a block that the unit ignores."""
        aside = len(self.units) > 1
        asked = in_words(block.request.unit, block.request.pdu)
        outcome: Outcome = DeviceTimeout(f"no answer within {self.device.timeout:g} s: {asked}")
        for attempt in range(self.device.retries):
            now = asyncio.get_running_loop().time()
            other = next(
                (b for b in plan.blocks if b is not block and not self.knowledge.is_silent(b.key, now)), None
            )
            if attempt < self.device.retries - 1 or other is None:
                outcome, _ = await self.request(link, block.request, probe=aside)
            else:
                (outcome, _), (witness, _) = await asyncio.gather(
                    self.request(link, block.request, probe=aside), self.request(link, other.request, probe=True)
                )
                if isinstance(witness, bytes):
                    self.emit_to_sink(other, witness)
            if not isinstance(outcome, DeviceTimeout):
                break
        return outcome

    async def _after_busy(
        self, link: Link, block: ReadBlock, outcome: Outcome, *, urgent: bool = False
    ) -> Outcome:
        pause = BUSY_PAUSE
        for _ in range(max(1, self.device.retries)):
            if code_of(outcome) not in BUSY_CODES:
                break
            await asyncio.sleep(pause)
            pause *= 2
            outcome, _ = await self.request(link, block.request, urgent=urgent)
        return outcome

    def _unanswered(self, link: Link, plan: LanePlan, block: ReadBlock, since: float) -> None:
        """A block stayed without answer after all repeats: is it the block, the unit or the connection?"""
        now = asyncio.get_running_loop().time()
        unit_alive = plan.health.replied > since
        self.knowledge.block_silent(block.key, now, unit_alive=unit_alive)
        if unit_alive:
            return
        plan.health.lost(f"no answer within {self.device.timeout:g} s", now)
        self._check_half_open(link, since)

    def _check_half_open(self, link: Link, since: float) -> None:
        if link.last_received < since and all(health.suspect for health in self.units.values()):
            link.close(silence(self.units, self.device.timeout, replied=link.last_rtt > 0))
            raise link.closed.result()

    async def _probe(self, link: Link, plan: LanePlan) -> None:
        """Ask a suspect unit, when it is time, whether it is back."""
        health = plan.health
        self._fail([*plan.blocks, *plan.holes], COMM_LOST)
        await health.until_probe()
        loop = asyncio.get_running_loop()
        if link.closed.done():
            raise link.closed.result()
        block = plan.next_probe()
        if not health.suspect or block is None or health.backoff.due > loop.time():
            return
        since = loop.time()
        health.backoff.due = since + self.device.timeout * 2  # other lanes of the unit wait for this probe
        outcome, _ = await self.request(link, block.request, probe=True)
        if isinstance(outcome, DeviceOffline):
            raise outcome
        if isinstance(outcome, DeviceTimeout):
            health.lost(f"no answer within {self.device.timeout:g} s", loop.time())
            self._check_half_open(link, since)
        elif code_of(outcome) in GATEWAY_CODES:
            health.lost(str(outcome), loop.time())
        else:
            await self._settle(link, plan, block, outcome)

    async def _halve(self, link: Link, block: ReadBlock, emit: Emit) -> None:
        """Find what the device refuses in a block that it refused as a whole."""
        members = block.members
        loop = asyncio.get_running_loop()
        if len(members) == 1:
            self.knowledge.add_hole(members[0], loop.time())
            emit(block, ModbusException(2))
            return
        explained = False
        spans = [member.span for member in members]
        left, right = ([members[i] for i in half] for half in halves(spans, range(len(members))))
        for half in (left, right):
            part = ReadBlock.around(half)
            outcome, _ = await self.request(link, part.request)
            if code_of(outcome) in ADDRESS_CODES:
                explained = True
                await self._halve(link, part, emit)
                continue
            explained = explained or not isinstance(outcome, bytes)
            emit(part, outcome)
            if isinstance(outcome, DeviceOffline):
                raise outcome
        if not explained:
            address = members[0].target.address
            boundary = max(m.span.end for m in left), min(m.span.start for m in right)
            self.knowledge.of(address.unit, address.table).learn_boundary(*boundary)
        self.knowledge.generation += 1

    async def _retry_holes(self, link: Link, plan: LanePlan) -> int:
        """Ask again for points that were refused, when it is time. Returns how many."""
        now = asyncio.get_running_loop().time()
        due = [block for block in plan.holes if self.knowledge.retry_due(block.members[0]) <= now]
        for block in due[:HOLES_PER_POLL]:
            outcome, _ = await self.request(link, block.request)
            if isinstance(outcome, DeviceOffline):
                raise outcome
            if code_of(outcome) in ADDRESS_CODES or isinstance(outcome, DeviceTimeout):
                self.knowledge.add_hole(block.members[0], asyncio.get_running_loop().time())
            else:
                self.knowledge.remove_hole(block.members[0])
            self.emit_to_sink(block, outcome)
        return len(due)

    def _fail(self, blocks: Sequence[ReadBlock], quality: int) -> None:
        for block in blocks:
            self.context.sink.failed(block.group, quality, self.context.wall())
