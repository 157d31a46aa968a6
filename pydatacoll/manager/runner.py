"""One device at run time: connect, poll, listen, execute commands, lose the link, back off, connect again."""

from __future__ import annotations

import asyncio
import logging
import math
import random
import time
from collections import Counter
from collections.abc import Awaitable, Coroutine, Sequence
from contextlib import suppress
from dataclasses import asdict
from functools import partial
from pathlib import Path
from typing import Any, TypeVar

from pydatacoll.errors import Conflict, DeviceError, DeviceOffline, DeviceTimeout, NotFound, PyDataCollError
from pydatacoll.manager import selection
from pydatacoll.manager.interrogation import Interrogations
from pydatacoll.manager.link_log import LinkLog
from pydatacoll.manager.pipeline import DeviceSink
from pydatacoll.manager.schedule import backoff, first_due, missed_beats, phase_of
from pydatacoll.manager.watch import Watch
from pydatacoll.model import Device, PointId, Quality, Sample, Value
from pydatacoll.model.network import ANYWHERE, Networks
from pydatacoll.sdk import (
    DeviceDriver,
    Discovered,
    DriverContext,
    Executed,
    FrameLog,
    Interrogated,
    Point,
    PointGroup,
    Result,
    Term,
    WriteRequest,
    WriteResult,
)
from pydatacoll.settings import ManagerSettings
from pydatacoll.store.command_messages import CommandReply, Kind, Part
from pydatacoll.store.ingest import Writer
from pydatacoll.store.status import BACKOFF, CONNECTED, CONNECTING, Link, StatusWriter
from pydatacoll.supervise import Tasks

log = logging.getLogger(__name__)

T = TypeVar("T")

STEADY = 5.0
"""A link that held this many seconds, and over which something was read, starts its back-off anew."""
CLOSE = 2.0
"""Seconds a driver has to close its link."""
STORED = 1.0
"""Seconds that an answer waits for its sample to be stored; longer when the store is away makes no sense."""
COMM_LOST = int(Quality.COMM_LOST)


class DeviceRunner:
    """Runs one device; :meth:`run` is its task."""

    def __init__(
        self,
        device: Device,
        terms: Sequence[Term],
        points: Sequence[Point],
        driver_type: type[DeviceDriver],
        *,
        sink: DeviceSink,
        writer: Writer,
        status: StatusWriter,
        settings: ManagerSettings,
        links: LinkLog,
        tell: selection.Tell,
        marking: asyncio.Lock,
        networks: Networks = ANYWHERE,
        certificates: Path | None = None,
    ) -> None:
        self.device = device
        self.sink = sink
        self.counters: Counter[str] = Counter()
        self._writer = writer
        self._status = status
        self._settings = settings
        self._links = links
        self._marking = marking
        logger = logging.LoggerAdapter(log, {"device": device.id})
        self._context = DriverContext(sink, self.counters, logger, networks=networks, certificates=certificates)
        self._context.behind = partial(writer.behind, sink.account)
        self.keep_frames()
        self._driver = driver_type(device, self._context)
        self._interrogations = Interrogations(self._driver)
        self.terms: Sequence[Term] = ()
        self._points: dict[str, Point] = {}
        self._selections = selection.Selections(self._driver, self._points, tell)
        self._context.given_up = self._selections.given_up
        self._session: Tasks | None = None
        self._lanes: list[asyncio.Task[None]] = []
        self.link = Link(CONNECTING, time.time())
        self._open = False
        self._connected_at = math.inf
        self._seen_before: float | None = None
        self._doubtful = False
        self._changed = asyncio.Event()
        self._watch = Watch(sink)
        self._take(terms, points)

    # Configuration

    @property
    def points(self) -> Sequence[Point]:
        return list(self._points.values())

    def _take(self, terms: Sequence[Term], points: Sequence[Point]) -> None:
        self.terms = terms
        self._points.clear()
        self._points.update({point.field: point for point in points})
        self.sink.configure(points)
        self._driver.configure_terms(terms)
        self._driver.configure(points)

    def reconfigure(self, terms: Sequence[Term], points: Sequence[Point]) -> None:
        """Take changed lists of all terms and of points; the connection stays. A device that answered nothing is
        tried again at once: what was changed may be what it did not answer to."""
        self._changed.set()
        for lane in self._lanes:
            lane.cancel()
        self._lanes.clear()
        self._take(terms, points)
        if self._session is not None:
            self._start_lanes(self._session)

    # Frames

    @property
    def frames(self) -> FrameLog | None:
        """The last protocol frames; ``None`` when none are kept."""
        return self._context.frames

    def keep_frames(self) -> None:
        """Keep as many frames as the device, or else the setting, wants from now on."""
        size = self._settings.frame_log if self.device.frame_log is None else self.device.frame_log
        frames = self._context.frames
        if size != (0 if frames is None else frames.size):
            kept = FrameLog(size) if frames is None else frames.resized(size)
            self._context.frames = kept if size else None

    def _note(self, text: str) -> None:
        if self._context.frames is not None:
            self._context.frames.note(text)

    # Link

    def _set_link(self, state: str, error: str | None = None) -> None:
        if (state, error) != (self.link.state, self.link.last_error):
            # connecting and waiting to connect again are one state to who asks since when a device is away
            same = state == self.link.state or CONNECTED not in {state, self.link.state}
            since = self.link.since if same else time.time()
            self.link = Link(state, since, error)
        self._status.link(self.device.id, self.link)

    @property
    def _proven(self) -> bool:
        """Whether something was read since the connection was begun. Many gateways accept a connection and then
        answer nothing. Without an addressed point there is nothing to wait for."""
        if self._driver.alive_when_connected or self.sink.last_seen != self._seen_before:
            return True
        return all(point.item.protocol_code is None for point in self._points.values())

    def confirm(self) -> None:
        """End the doubt about a link that is up again once something was read over it: only then its last error is
        forgotten. Called after each poll, and with each report for what comes by itself."""
        if self._doubtful and self._proven:
            self._doubtful = False
            self._set_link(CONNECTED)
            self._links.connected(self.device.id)

    async def run(self) -> None:
        """Keep the device connected until cancelled."""
        attempt = 0
        loop = asyncio.get_running_loop()
        self._watch.start()
        try:
            while True:
                self._set_link(CONNECTING, self.link.last_error)
                self._connected_at = math.inf
                error = await self._connection()
                self.confirm()
                self._doubtful = False
                silent = self._connected_at < math.inf and not self._proven
                if loop.time() - self._connected_at > STEADY and not silent:
                    attempt = 0
                attempt += 1
                async with self._marking:  # hundreds may be lost at once: one at a time, and others in between
                    self.sink.all_failed(self._points.values(), COMM_LOST)
                    await asyncio.sleep(0)
                self._links.lost(self.device.id, error, was_up=self._connected_at < math.inf)
                self._set_link(BACKOFF, error)
                settings = self._settings
                pause = backoff(attempt, settings.backoff_min, settings.backoff_max, random.random())
                self._changed.clear()
                with suppress(TimeoutError):
                    async with asyncio.timeout(pause):
                        # other points make no difference to a device that cannot be reached
                        await (self._changed if silent else asyncio.Event()).wait()
        finally:
            self._watch.stop()
            try:
                await self._close()
            finally:
                self.sink.flush()

    async def _close(self) -> None:
        """A driver that fails here must keep neither others nor the process from stopping."""
        if not self._open:
            return
        try:
            async with asyncio.timeout(CLOSE):
                await self._driver.close()
        except TimeoutError:
            log.error("device %s: the driver did not close within %g s", self.device.id, CLOSE)  # noqa: TRY400
        except Exception:
            log.exception("device %s: the driver failed to close", self.device.id)
        self._open = False  # not when this was cancelled: it is closed once more at the end then

    async def _connection(self) -> str:
        """One connection from beginning to end; returns why it ended."""
        reason = "the driver ended its connection"
        self._open = True
        try:
            self._context.check_host(self.device.ip)  # also for a driver that does not
            self._seen_before = self.sink.last_seen
            await self._driver.connect()
            self.counters["connects"] += 1
            self._note("connected")
            self._connected_at = asyncio.get_running_loop().time()
            self._set_link(CONNECTED, self.link.last_error)
            self._doubtful = self.link.last_error is not None
            if not self._doubtful:
                self._links.connected(self.device.id)
            self.confirm()
            async with Tasks() as tasks:
                self._session = tasks
                tasks.start(self._driver.subscribe(), f"subscribe {self.device.id}")
                self._start_lanes(tasks)
                await tasks.failure()
        except DeviceError as error:
            if self._session is None:
                self.counters["failed_connects"] += 1
            reason = str(error)
        except Exception as error:
            self.counters["internal_errors"] += 1
            if self.counters["internal_errors"] == 1:
                log.exception("device %s: the driver failed", self.device.id)
            reason = f"internal error: {type(error).__name__}: {error}"
        finally:
            self._session = None
            self._lanes.clear()
            await self._close()
        self._note(reason)
        return reason

    # Polling

    def _start_lanes(self, tasks: Tasks) -> None:
        intervals: dict[float, list[Point]] = {}
        for point in self._points.values():
            interval = self._driver.interval(self.device, point.term, point.item)
            if interval is not None:
                intervals.setdefault(interval, []).append(point)
        self._context.room = self._room if 0 in intervals else None
        number = 0
        for interval, points in intervals.items():
            for lane in self._driver.lanes(points):
                task = tasks.start(self._lane(number, interval, lane), f"poll {self.device.id}")
                self._lanes.append(task)
                number += 1

    async def _lane(self, number: int, interval: float, points: Sequence[Point]) -> None:
        loop = asyncio.get_running_loop()
        plan = self._driver.plan(points)
        if interval == 0:
            await self._poll_without_pause(plan, points)
        due = first_due(loop.time(), interval, phase_of(self.device.id, number, interval))
        await self._poll(plan, points)
        while True:
            now = loop.time()
            missed = missed_beats(due, now, interval)
            if missed:
                self.counters["missed_polls"] += missed
                due += missed * interval
            if due > now:
                await asyncio.sleep(due - now)
            await self._poll(plan, points)
            due += interval

    async def _room(self) -> None:
        await self._writer.room(self.sink.account)

    async def _poll_without_pause(self, plan: Any, points: Sequence[Point]) -> None:
        self._writer.eager += 1
        try:
            while True:
                await self._room()
                before = self.sink.account.read
                await self._poll(plan, points)
                if self.sink.account.read == before:
                    # nothing was read, as when a silent unit waits for its next try: let others run
                    await asyncio.sleep(0.002)
        finally:
            self._writer.eager -= 1

    async def _poll(self, plan: Any, points: Sequence[Point]) -> None:
        self.counters["polls"] += 1
        try:
            await self._driver.poll(plan)
        except DeviceOffline:
            raise
        except DeviceError as error:
            self.counters["failed_polls"] += 1
            log.debug("device %s: %s", self.device.id, error)
            self.sink.failed(PointGroup(points), int(Quality.INVALID), time.time())
        if self._doubtful:
            self.confirm()

    # Commands

    async def execute(self, kind: Kind, parts: Sequence[Part], left: float) -> list[CommandReply]:
        """Read or write points now; ``left`` seconds until the command expires. Never raises."""
        replies: list[CommandReply | None] = [None] * len(parts)
        ready: list[tuple[int, Point]] = []
        for i, part in enumerate(parts):
            point = self._points.get(f"{part.term_id}:{part.item_id}")
            if point is None:
                path = PointId(self.device.id, part.term_id, part.item_id)
                replies[i] = CommandReply.failed(NotFound(f"term_item not found! {path}"))
            elif kind == "ctrl" and not point.item.writable:
                replies[i] = CommandReply.failed(Conflict(f"{point.id} is not writable"))
            else:
                ready.append((i, point))
        if ready:
            if kind == "call":
                results = await self._guard(self._driver.read([point for _, point in ready]), ready, left)
                self._answer(ready, results, replies)
            else:
                await self._write(ready, parts, left, replies)
        if kind == "call" or any(part.verify for part in parts):
            # who reads the latest value after this answer shall find what it said
            with suppress(TimeoutError):
                async with asyncio.timeout(min(left, STORED)):
                    await self._writer.barrier()
        return [reply for reply in replies if reply is not None]

    async def _write(
        self,
        ready: list[tuple[int, Point]],
        parts: Sequence[Part],
        left: float,
        replies: list[CommandReply | None],
    ) -> None:
        deadline = asyncio.get_running_loop().time() + left
        requests: list[WriteRequest] = []
        accepted: list[tuple[int, Point]] = []
        for i, point in ready:
            part = parts[i]
            if part.selection and self._session is None:
                replies[i] = CommandReply.failed(Conflict(selection.LOST))
                continue
            try:
                raw = self._driver.check_value(self.device, point.term, point.item, part.value)
            except PyDataCollError as error:
                replies[i] = CommandReply.failed(error)
                continue
            requests.append(WriteRequest(point, raw, part.verify, part.mode, deadline))
            accepted.append((i, point))
        if not requests:
            return
        selections = [parts[i].selection for i, _ in accepted]
        work: Awaitable[Sequence[WriteResult | PyDataCollError]]
        if any(selections):
            work = self._selections.execute(self.device, requests, selections)
        else:
            work = self._driver.write(requests)
        results = await self._guard(work, accepted, left)
        for (i, point), written in zip(accepted, results, strict=True):
            outcome, result = "", written
            if isinstance(result, Executed):
                outcome, result = result.outcome, result.sample
            if isinstance(result, PyDataCollError):
                replies[i] = CommandReply.failed(result)
            elif parts[i].verify:
                replies[i] = CommandReply(200, self.sink.once([(point, result)])[0], outcome=outcome)
            else:
                sample = Sample(result.time, parts[i].value, result.quality)
                replies[i] = CommandReply(200, sample, outcome=outcome)

    def _offline(self) -> DeviceOffline:
        return DeviceOffline(f"device {self.device.id} is offline: {self.link.last_error or 'connecting'}")

    async def _guard(
        self, work: Awaitable[Sequence[T]], ready: Sequence[Any], left: float
    ) -> Sequence[T | DeviceError]:
        """Await the driver's read or write; whatever happens becomes one result per point."""
        if self._session is None:
            if isinstance(work, Coroutine):
                work.close()  # it is not going to be awaited
            return [self._offline()] * len(ready)
        try:
            async with asyncio.timeout(left):
                return await work
        except TimeoutError:
            error: DeviceError = DeviceTimeout("the device did not answer before the command expired")
        except DeviceError as failure:
            error = failure
        except Exception as failure:
            log.exception("device %s: the driver failed on a command", self.device.id)
            self.counters["internal_errors"] += 1
            error = DeviceError(f"internal error: {type(failure).__name__}")
        return [error] * len(ready)

    def _answer(
        self, ready: Sequence[tuple[int, Point]], results: Sequence[Result], replies: list[CommandReply | None]
    ) -> None:
        read = [
            (i, point, result)
            for (i, point), result in zip(ready, results, strict=True)
            if isinstance(result, Sample)
        ]
        samples = self.sink.once([(point, sample) for _, point, sample in read]) if read else []
        for (i, _, _), sample in zip(read, samples, strict=True):
            replies[i] = CommandReply(200, sample)
        for (i, _), result in zip(ready, results, strict=True):
            if isinstance(result, DeviceError):
                replies[i] = CommandReply.failed(result)

    async def select(self, field: str, value: Value, left: float, **who: str) -> dict[str, Any]:
        """Select a point; see :class:`pydatacoll.manager.selection.Selections`."""
        if self._session is None:
            raise self._offline()
        return await self._selections.select(self.device, field, value, left, **who)

    async def cancel(self, field: str, selection_id: str) -> None:
        """Give a selection up."""
        if self._session is None:
            raise Conflict(selection.LOST)
        await self._selections.cancel(self.device, field, selection_id)

    async def interrogate(
        self, group: int, terms: Sequence[str] | None, *, freeze: int, wait: float
    ) -> Sequence[Interrogated]:
        """Make the device send a group of its values; they are stored when this returns.

        :raises PyDataCollError: see :meth:`pydatacoll.manager.interrogation.Interrogations.run`.
        """
        if self._session is None:
            raise self._offline()
        found = await self._interrogations.run(self._session, group, terms, freeze=freeze, wait=wait)
        with suppress(TimeoutError):
            async with asyncio.timeout(STORED):
                await self._writer.barrier()
        return found

    def discovered(self) -> Sequence[Discovered]:
        """Addresses that send and are not configured."""
        return self._driver.discovered()

    def detail(self) -> dict[str, Any]:
        """For the device's status and ``/metrics``."""
        stale, frozen = self.sink.flagged()
        return {
            "reported": time.time(),
            "accounting": asdict(self.sink.account),
            "last_seen": self.sink.last_seen,
            "points": len(self._points),
            "bad_points": self.sink.bad_points(),
            "stale_points": stale,
            "frozen_points": frozen,
            "counters": dict(self.counters),
            "protocol": self._driver.status(),
        }
