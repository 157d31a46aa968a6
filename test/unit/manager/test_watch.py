"""What becomes due by the mere passing of time, on the running loop."""

from __future__ import annotations

import asyncio

import pytest

from pydatacoll.manager.pipeline import DeviceSink
from pydatacoll.manager.watch import Watch
from pydatacoll.model import Quality
from pydatacoll.sdk import PointGroup, Readings
from test.sink_rig import Recorder, point


class Signalling(Recorder):
    """Lets a test wait for samples."""

    def __init__(self) -> None:
        super().__init__()
        self.more = asyncio.Event()

    def put(self, packet) -> None:
        super().put(packet)
        self.more.set()

    async def until(self, rows) -> None:
        while self.rows() != rows:
            self.more.clear()
            await self.more.wait()


@pytest.fixture
async def rig():
    writer = Signalling()
    sink = DeviceSink("d", 3, writer, 100)
    watch = Watch(sink)
    yield writer, sink, watch
    watch.stop()


async def test_what_is_held_is_stored_when_its_period_ends(rig):
    writer, sink, watch = rig
    a = point("a", min_period=0.3)
    sink.configure([a])
    watch.start()
    group = PointGroup([a])
    for value in (1, 2, 3):
        sink.values(Readings(group, [value], 5.0))
    await writer.until([("t:a", 1, 0), ("t:a", 3, 0)])


async def test_a_silent_point_becomes_stale(rig):
    writer, sink, watch = rig
    watch.start()
    a = point("a", stale_after=0.05)
    sink.configure([a])
    sink.values(Readings(PointGroup([a]), [1], 5.0))
    await writer.until([("t:a", 1, 0), ("t:a", 1, Quality.STALE)])


async def test_nothing_waits_for_a_device_without_such_points(rig):
    _, sink, watch = rig
    watch.start()
    a = point("a", deadband=1.0, max_silence=1.0, frozen_after=1.0)
    sink.configure([a])
    sink.values(Readings(PointGroup([a]), [1], 5.0))
    assert watch.next is None


async def test_after_the_end_nothing_is_looked_after(rig):
    _, sink, watch = rig
    watch.start()
    a = point("a", min_period=0.05, stale_after=0.05)
    sink.configure([a])
    assert watch.next is not None
    watch.stop()
    sink.values(Readings(PointGroup([a]), [1], 5.0))
    sink.values(Readings(PointGroup([a]), [2], 5.0))
    assert watch.next is None
