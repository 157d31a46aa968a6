"""Frames written out by hand, and links in the state a test needs."""

from __future__ import annotations

from typing import Any

import pytest

from pydatacoll.protocols.iec104.errors import LocalProtocolError
from pydatacoll.protocols.iec104.events import Closed, Event, Role, State
from pydatacoll.protocols.iec104.link import Link
from pydatacoll.protocols.iec104.parameters import Parameters

STARTDT_ACT, STARTDT_CON = bytes.fromhex("680407000000"), bytes.fromhex("68040b000000")
STOPDT_ACT, STOPDT_CON = bytes.fromhex("680413000000"), bytes.fromhex("680423000000")
TESTFR_ACT, TESTFR_CON = bytes.fromhex("680443000000"), bytes.fromhex("680483000000")
ASDU = b"\x64\x01\x06\x00\x01\x00\x00\x00\x00\x14"


def i(number: int, acknowledged: int = 0, asdu: bytes = ASDU) -> bytes:
    return (
        bytes([0x68, 4 + len(asdu)])
        + (number * 2).to_bytes(2, "little")
        + (acknowledged * 2).to_bytes(2, "little")
        + asdu
    )


def s(acknowledged: int) -> bytes:
    return b"\x68\x04\x01\x00" + (acknowledged * 2).to_bytes(2, "little")


def made(role: Role = "controlling", now: float = 0.0, *, queue_limit: int = 1024, **parameters: Any) -> Link:
    return Link(role, now, Parameters(**parameters), queue_limit=queue_limit)


def started(role: Role = "controlling", **options: Any) -> Link:
    """A started link at time 0, its handshake taken away."""
    link = made(role, **options)
    if role == "controlling":
        link.start(0.0)
        link.receive(STARTDT_CON, 0.0)
    else:
        link.receive(STARTDT_ACT, 0.0)
    assert link.state is State.STARTED
    link.data_to_send()
    return link


def stopping(role: Role, outstanding: int = 1) -> Link:
    link = started(role)
    for _ in range(outstanding):
        link.send(ASDU, 0.0)
    if role == "controlling":
        link.stop(0.0)
    else:
        link.receive(STOPDT_ACT, 0.0)
    link.data_to_send()
    return link


def closed(events: list[Event], cause: str) -> Closed:
    """The one and last event that says why."""
    last = events[-1]
    assert isinstance(last, Closed), events
    assert last.cause == cause
    assert [type(event) for event in events].count(Closed) == 1
    return last


def over(link: Link) -> None:
    """Nothing is sent, accepted or waited for any more."""
    assert link.state is State.CLOSED
    assert link.data_to_send() == b""
    assert link.next_deadline is None
    assert link.receive(TESTFR_ACT, 1.0) == []
    assert link.tick(1e9) == []
    assert link.close("again") == []
    assert link.data_to_send() == b""
    for call in (link.start, link.stop, link.test):
        with pytest.raises(LocalProtocolError):
            call(1.0)
    with pytest.raises(LocalProtocolError):
        link.send(ASDU, 1.0)
