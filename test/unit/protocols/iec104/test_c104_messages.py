"""The way between a manager and a worker of lib60870."""

from __future__ import annotations

import asyncio
import contextlib
import socket
from typing import Any, cast

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from pydatacoll.protocols.iec104.c104_messages import (
    LONGEST,
    READ,
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


def test_others_have_their_turn_after_each_piece_whatever_the_loop() -> None:
    """uvloop would read a socket 32 times before it looks at anything else."""
    uvloop = pytest.importorskip("uvloop", reason="not on this platform")
    turn = 0
    turns: list[int] = []

    async def flood() -> None:
        nonlocal turn
        ours, theirs = socket.socketpair()
        theirs.setblocking(False)
        data = msgspec.msgpack.encode(Logged(1, False, bytes(READ // 4)))
        with theirs, contextlib.suppress(BlockingIOError):  # as much as fits lies there at once
            for _ in range(100):
                theirs.send(len(data).to_bytes(4, "little") + data)
        ended = asyncio.Event()
        channel: Channel[ToManager] = Channel(
            ToManager, lambda _: turns.append(turn), lambda _: ended.set(), lambda _: None
        )
        opening = asyncio.create_task(
            asyncio.get_running_loop().create_unix_connection(lambda: channel, sock=ours)
        )
        while not ended.is_set():
            turn += 1
            await asyncio.sleep(0)
        await opening

    uvloop.run(flood())
    assert len(turns) > 10
    assert max(map(turns.count, turns)) <= 4
