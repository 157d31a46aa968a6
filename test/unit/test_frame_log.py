"""The log of a device's last frames."""

from __future__ import annotations

from itertools import count

from pydatacoll.frame_log import Frame, FrameLog


def log(size: int) -> FrameLog:
    times = count(100)
    return FrameLog(size, lambda: float(next(times)))


def test_it_keeps_the_newest_in_order() -> None:
    frames = log(3)
    frames.note("connected")
    frames.sent(b"\1")
    frames.received(b"\2")
    frames.sent(b"\3")
    assert frames.newest(10) == [
        Frame(101, "sent", b"\1"),
        Frame(102, "received", b"\2"),
        Frame(103, "sent", b"\3"),
    ]
    assert frames.newest(1) == [Frame(103, "sent", b"\3")]


def test_another_size_takes_along_what_fits() -> None:
    frames = log(3)
    for number in range(3):
        frames.sent(bytes([number]))
    smaller = frames.resized(2)
    assert (smaller.size, [frame.data for frame in smaller.newest(9)]) == (2, [b"\1", b"\2"])
    larger = smaller.resized(5)
    larger.received(b"\7")
    assert [frame.data for frame in larger.newest(9)] == [b"\1", b"\2", b"\7"]
