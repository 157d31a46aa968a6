"""What every protocol driver must do, as a test class.

A protocol supplies a :class:`Harness` for a simulated device and derives a test class::

    class TestMyProtocol(DriverConformance):
        def harness(self) -> Harness:
            return MyHarness()

All ``test_*`` methods are coroutines: run them with pytest-asyncio in auto mode, or await them.
"""

from __future__ import annotations

import asyncio
import json
from abc import ABC, abstractmethod
from collections.abc import AsyncIterator, Awaitable, Sequence
from contextlib import asynccontextmanager
from typing import Self

from pydatacoll.errors import Conflict, DeviceError, DeviceOffline, DeviceRefused, DeviceTimeout
from pydatacoll.model import Device, Quality, Sample, Value
from pydatacoll.model.network import Networks
from pydatacoll.sdk import (
    DeviceDriver,
    DriverContext,
    Executed,
    Frame,
    FrameLog,
    Point,
    Result,
    WriteRequest,
    WriteResult,
)
from pydatacoll.testing.fakes import FakeSink

PATIENCE = 20.0
"""Seconds after which a step counts as stuck; far beyond what any needs."""


def expect(condition: bool, message: str) -> None:
    """Fail the check that runs."""
    if not condition:
        raise AssertionError(message)


def plain(result: WriteResult) -> Result:
    """What was written, without how it was confirmed."""
    if isinstance(result, Executed):
        return result.sample
    assert not isinstance(result, Conflict), f"nothing contradicts this write: {result}"  # noqa: S101 - a check
    return result


class Harness(ABC):
    """A simulated device, and the objects that describe it. An async context manager.

    The device of :meth:`device` should have a time-out of a few tenths of a second.
    """

    driver_type: type[DeviceDriver]

    async def __aenter__(self) -> Self:
        await self.start()
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.stop()

    @abstractmethod
    async def start(self) -> None:
        """Start the simulated device."""

    @abstractmethod
    async def stop(self) -> None:
        """Stop it; may be called twice."""

    @abstractmethod
    def device(self) -> Device:
        """The device as it is configured; valid also while the simulated one is stopped."""

    @abstractmethod
    def points(self) -> Sequence[Point]:
        """At least four points with writable numbers, all at different addresses; raw values 0 to 1000 fit."""

    @abstractmethod
    def spare(self) -> Point:
        """One more such point."""

    @abstractmethod
    def unknown(self) -> Point:
        """A point at an address the device refuses."""

    @abstractmethod
    def put(self, point: Point, value: Value) -> None:
        """Set a raw value inside the simulated device."""

    @abstractmethod
    def get(self, point: Point) -> Value:
        """The raw value inside the simulated device."""

    def report(self, point: Point, value: Value) -> bool:
        """Set a raw value and have the simulated device send it by itself. False: such devices do not do that."""
        return False

    @abstractmethod
    def mute(self) -> None:
        """From now on the device takes requests and says nothing."""

    @abstractmethod
    def drop(self) -> None:
        """Close all connections from the device's side."""

    @abstractmethod
    def connections(self) -> int:
        """Connections accepted so far."""


class DriverConformance(ABC):
    """The checks."""

    @abstractmethod
    def harness(self) -> Harness:
        """A new harness, not started."""

    @asynccontextmanager
    async def _connected(self) -> AsyncIterator[tuple[Harness, DeviceDriver, FakeSink]]:
        before = asyncio.all_tasks()
        async with asyncio.timeout(PATIENCE), self.harness() as harness:
            sink = FakeSink()
            driver = harness.driver_type(harness.device(), DriverContext(sink))
            driver.configure(harness.points())
            await driver.connect()
            try:
                yield harness, driver, sink
            finally:
                await driver.close()
        await asyncio.sleep(0)
        left = {task for task in asyncio.all_tasks() - before if not task.done()}
        expect(not left, f"tasks left after close: {left}")

    @staticmethod
    async def _poll(driver: DeviceDriver, points: Sequence[Point]) -> None:
        for lane in driver.lanes(points):
            await driver.poll(driver.plan(lane))

    async def test_connect_and_close_may_be_repeated(self) -> None:
        async with self._connected() as (harness, driver, _):
            await driver.connect()
            await driver.close()
            await driver.close()
            await driver.connect()
            results = await driver.read(harness.points())
            expect(all(isinstance(r, Sample) for r in results), f"after a reconnect: {results}")

    async def test_nothing_works_without_connection(self) -> None:
        async with self._connected() as (harness, driver, _):
            await driver.close()
            points = harness.points()
            for operation in (
                driver.read(points),
                driver.write([WriteRequest(points[0], 1)]),
                self._poll(driver, points),
            ):
                await self._expect_offline(operation)

    async def test_connect_to_nothing_is_offline(self) -> None:
        async with asyncio.timeout(PATIENCE), self.harness() as harness:
            driver = harness.driver_type(harness.device(), DriverContext(FakeSink()))
            await harness.stop()
            await self._expect_offline(driver.connect())
            await driver.close()

    async def test_a_device_outside_the_networks_is_not_connected_to(self) -> None:
        async with asyncio.timeout(PATIENCE), self.harness() as harness:
            context = DriverContext(FakeSink(), networks=Networks(["203.0.113.0/24"]))
            driver = harness.driver_type(harness.device(), context)
            await self._expect_offline(driver.connect())
            await driver.close()
            expect(harness.connections() == 0, "connected past DriverContext.connect")

    async def test_frames_are_noted_and_told(self) -> None:
        async with self._connected() as (harness, driver, _):
            driver.context.frames = log = FrameLog(100)
            await driver.read(harness.points())
            frames = log.newest(100)
            kinds = {frame.direction for frame in frames if frame.data}
            expect(kinds == {"sent", "received"}, f"frames noted: {kinds or 'none'}")
            texts = driver.describe([*frames, Frame(0.0, "received", b"\xff\0\x80"), Frame(0.0, "sent", b"")])
            expect(len(texts) == len(frames) + 2, "one text for each frame")
            expect(all(isinstance(text, str) for text in texts), f"texts: {texts}")
            driver.context.frames = None
            await driver.read(harness.points())
            expect(len(log) == len(frames), "frames are noted after that was ended")

    async def test_read_gives_one_result_per_point_in_order(self) -> None:
        async with self._connected() as (harness, driver, _):
            points = list(harness.points())
            for number, point in enumerate(points):
                harness.put(point, 100 + number)
            asked = [*reversed(points), points[0]]
            results = await driver.read(asked)
            values = [r.value if isinstance(r, Sample) else r for r in results]
            expected = [*reversed(range(100, 100 + len(points))), 100]
            expect(values == expected, f"{values} instead of {expected}")
            expect(await driver.read([]) == [], "reading nothing gives nothing")

    async def test_poll_puts_good_values_into_the_sink(self) -> None:
        async with self._connected() as (harness, driver, sink):
            points = harness.points()
            for number, point in enumerate(points):
                harness.put(point, number)
            await self._poll(driver, points)
            for number, point in enumerate(points):
                sample = sink.latest.get(point.id)
                expect(sample is not None and (sample.value, sample.quality) == (number, 0), f"{point}: {sample}")

    async def test_lanes_hold_every_point_once(self) -> None:
        async with self._connected() as (harness, driver, _):
            points = list(harness.points())
            lanes = [point for lane in driver.lanes(points) for point in lane]
            expect(sorted(map(id, lanes)) == sorted(map(id, points)), "lanes lose or repeat points")

    async def test_write_reaches_the_device(self) -> None:
        async with self._connected() as (harness, driver, _):
            points = harness.points()
            requests = [WriteRequest(point, 200 + n, verify=bool(n % 2)) for n, point in enumerate(points)]
            results = [plain(result) for result in await driver.write(requests)]
            for number, (point, result) in enumerate(zip(points, results, strict=True)):
                expect(isinstance(result, Sample) and result.value == 200 + number, f"{point}: {result}")
                expect(harness.get(point) == 200 + number, f"{point} is {harness.get(point)}")

    async def test_later_write_of_a_batch_wins(self) -> None:
        async with self._connected() as (harness, driver, _):
            point = harness.points()[0]
            results = list(map(plain, await driver.write([WriteRequest(point, value) for value in (1, 2, 3)])))
            expect([r.value for r in results if isinstance(r, Sample)] == [1, 2, 3], str(results))
            expect(harness.get(point) == 3, f"{harness.get(point)} instead of the last value")

    async def test_expired_write_is_not_sent(self) -> None:
        async with self._connected() as (harness, driver, _):
            point = harness.points()[0]
            harness.put(point, 5)
            past = asyncio.get_running_loop().time() - 1
            (result,) = await driver.write([WriteRequest(point, 6, deadline=past)])
            expect(isinstance(result, DeviceTimeout), str(result))
            expect(harness.get(point) == 5, "an expired value was sent")

    async def test_unknown_address_is_refused_alone(self) -> None:
        async with self._connected() as (harness, driver, sink):
            points = [*harness.points(), harness.unknown()]
            driver.configure(points)
            results = await driver.read(points)
            expect(isinstance(results[-1], DeviceRefused), f"unknown address: {results[-1]!r}")
            expect(all(isinstance(r, Sample) for r in results[:-1]), f"others suffer: {results}")
            (result,) = await driver.write([WriteRequest(points[-1], 1)])
            expect(isinstance(result, DeviceRefused), f"write to an unknown address: {result!r}")
            for _ in range(2):
                await self._poll(driver, points)
            good = [sink.latest[point.id].quality == 0 for point in points]
            expect(good == [True] * (len(points) - 1) + [False], f"qualities after polls: {good}")

    async def test_silent_device(self) -> None:
        async with self._connected() as (harness, driver, sink):
            points = harness.points()
            await self._poll(driver, points)
            harness.mute()
            for result in await driver.read(points):
                expect(isinstance(result, (DeviceTimeout, DeviceOffline)), f"read: {result!r}")
            try:
                await self._poll(driver, points)
            except DeviceOffline:
                expect(True, "a driver may find the link to be dead")
            else:
                for point in points:
                    quality = sink.latest[point.id].quality
                    expect(bool(quality & Quality.COMM_LOST), f"{point} has quality {quality}")

    async def test_silent_device_leaves_a_write_undecided(self) -> None:
        async with self._connected() as (harness, driver, _):
            harness.mute()
            (result,) = await driver.write([WriteRequest(harness.points()[0], 1)])
            expect(isinstance(result, DeviceTimeout), f"write: {result!r}")

    async def test_close_while_polling(self) -> None:
        async with self._connected() as (harness, driver, _):
            harness.mute()
            poll = asyncio.create_task(self._poll(driver, harness.points()))
            await asyncio.sleep(0)
            await driver.close()
            await self._expect_offline(poll)

    async def test_cancelled_poll_leaves_the_driver_usable(self) -> None:
        async with self._connected() as (harness, driver, _):
            poll = asyncio.create_task(self._poll(driver, harness.points()))
            await asyncio.sleep(0)
            poll.cancel()
            await asyncio.gather(poll, return_exceptions=True)
            results = await driver.read(harness.points())
            expect(all(isinstance(r, Sample) for r in results), str(results))

    async def test_lost_connection_is_noticed(self) -> None:
        async with self._connected() as (harness, driver, _):
            watch = asyncio.create_task(driver.subscribe())
            await self._poll(driver, harness.points())
            harness.drop()
            await self._expect_offline(watch)
            await driver.close()
            await driver.connect()
            await self._poll(driver, harness.points())

    async def test_reconfigure_while_polling(self) -> None:
        async with self._connected() as (harness, driver, sink):
            points = list(harness.points())
            extra = harness.spare()
            harness.put(extra, 77)
            poll = asyncio.create_task(self._poll(driver, points))
            await asyncio.sleep(0)
            points = [*points[1:], extra]
            driver.configure(points)
            await poll
            await self._poll(driver, points)
            expect(sink.latest[extra.id].value == 77, f"new point: {sink.latest.get(extra.id)}")
            expect(harness.connections() == 1, "the connection was dropped")

    async def test_interrogation_brings_all_values_or_is_refused(self) -> None:
        async with self._connected() as (harness, driver, sink):
            points = harness.points()
            if not driver.groups:
                try:
                    await driver.interrogate(1)
                except Conflict:
                    return
                raise AssertionError("a driver without groups interrogates")
            for number, point in enumerate(points):
                harness.put(point, 300 + number)
            told = await driver.interrogate(min(driver.groups))
            expect({one.outcome for one in told} == {"terminated"}, f"outcomes: {told}")
            expect({one.term_id for one in told} == {point.term.id for point in points}, f"terms: {told}")
            found = [sample.value if (sample := sink.latest.get(point.id)) else None for point in points]
            expect(found == list(range(300, 300 + len(points))), f"values: {found}")

    async def test_what_the_device_sends_by_itself_arrives(self) -> None:
        async with self._connected() as (harness, driver, sink):
            point, spare = harness.points()[0], harness.spare()
            if not harness.report(point, 55):
                return
            harness.report(spare, 66)
            await sink.until(lambda: point.id in sink.latest)
            expect(sink.latest[point.id].value == 55, f"{point}: {sink.latest[point.id]}")
            await driver.read([point])  # the answer comes after what was sent before it
            found = [(one.protocol_code, one.value) for one in driver.discovered()]
            expect(found == [(spare.item.protocol_code, 66)], f"discovered: {found}")
            expect(spare.id not in sink.latest, "a point that is not configured got a value")

    async def test_status_is_plain_data(self) -> None:
        async with self._connected() as (harness, driver, _):
            await self._poll(driver, harness.points())
            json.dumps(driver.status(), allow_nan=False)

    @staticmethod
    async def _expect_offline(operation: Awaitable[object]) -> None:
        try:
            result = await operation
        except DeviceOffline:
            return
        except DeviceError as exc:
            raise AssertionError(f"DeviceOffline expected, not {exc!r}") from exc
        raise AssertionError(f"DeviceOffline expected, not {result!r}")
