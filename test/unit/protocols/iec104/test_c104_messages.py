"""The way between a manager and a worker of lib60870."""

from __future__ import annotations

import asyncio
from typing import Any, cast

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pydatacoll.protocols.iec104.c104_messages import (
    LONGEST,
    Channel,
    Close,
    Closed,
    Frames,
    Logged,
    Missing,
    Open,
    Opened,
    Pause,
    Progress,
    Ready,
    Recall,
    Received,
    Send,
    ToManager,
    ToWorker,
    Unsupported,
)

TO_WORKER = [
    Open(1, "192.0.2.1", 2404, 12, 8, (10, 15, 10, 20), 0, 9900, False),
    Send(1, 7, b"\x64\x01\x06\x00\x01\x00\x00\x00\x00\x14"),
    Recall(1, 7),
    Pause(1, True),
    Frames(1, False),
    Close(1),
]
TO_MANAGER = [
    Ready("2.2.1"),
    Missing("No module named 'c104'"),
    Opened(1, "192.0.2.1:2404"),
    Received(1, 300, [b"\x01", b"\xff" * 249]),
    Progress(1, 1, 2, 3, 4),
    Unsupported(1, 7, b"\x69"),
    Logged(1, True, b"\x68\x04\x07\x00\x00\x00"),
    Closed(1, "the device closed the connection", "link_t1", True),
]


class Wire:
    """Keeps what is written."""

    def __init__(self) -> None:
        self.data = b""
        self.aborted = False

    def write(self, data: bytes) -> None:
        self.data += data

    def is_closing(self) -> bool:
        return self.aborted

    def abort(self) -> None:
        self.aborted = True

    def set_write_buffer_limits(self, high: int) -> None:
        """There is no limit."""


def end(expected: Any) -> tuple[Channel[Any], Wire, list[Any], list[str]]:
    received: list[Any] = []
    lost: list[str] = []
    channel: Channel[Any] = Channel(expected, received.append, lost.append, lambda full: None)
    wire = Wire()
    channel.connection_made(cast("asyncio.Transport", wire))
    return channel, wire, received, lost


def feed(channel: Channel[Any], data: bytes) -> None:
    channel.get_buffer(-1)[: len(data)] = data
    channel.buffer_updated(len(data))


@pytest.mark.parametrize(("expected", "messages"), [(ToWorker, TO_WORKER), (ToManager, TO_MANAGER)])
@given(cuts=st.lists(st.integers(1, 400)))
def test_messages_arrive_however_they_are_cut(expected: Any, messages: list[Any], cuts: list[int]) -> None:
    writer, wire, _, _ = end(expected)
    for message in messages:
        writer.send(message)
    reader, _, received, _ = end(expected)
    rest = wire.data
    for cut in cuts:
        piece, rest = rest[:cut], rest[cut:]
        feed(reader, piece)
    feed(reader, rest)
    assert received == messages


@pytest.mark.parametrize(
    "data",
    [
        (LONGEST + 1).to_bytes(4, "little"),
        b"\x01\x00\x00\x00\xc1",  # no msgpack
        b"\x02\x00\x00\x00\x91\x01",  # no tag
        b"\x07\x00\x00\x00\x92\xa5close",  # too short
    ],
)
def test_what_is_no_message_ends_the_way(data: bytes) -> None:
    channel, wire, received, lost = end(ToWorker)
    feed(channel, data)
    assert wire.aborted
    channel.send(Close(1))
    assert not wire.data
    channel.connection_lost(None)
    assert len(lost) == 1
    assert "message" in lost[0]
    assert not received


def test_the_end_of_the_other_side_is_told() -> None:
    channel, _, _, lost = end(ToWorker)
    assert channel.eof_received() is False
    channel.connection_lost(None)
    assert lost == ["the other end is gone"]
