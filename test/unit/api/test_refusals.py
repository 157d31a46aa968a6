"""Refused requests in the audit trail: told, and never so many that they drive out the rest."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping, Sequence
from contextlib import suppress
from typing import Any

import pytest

from pydatacoll.api.refusals import BURST, BURST_OF_ALL, MOST_KNOWN, RATE, Refusals, clean
from pydatacoll.errors import StoreUnavailable


class Trail:
    """Takes entries; ``failure`` is raised instead, when set."""

    def __init__(self) -> None:
        self.entries: list[Mapping[str, Any]] = []
        self.failure: Exception | None = None
        self.written = asyncio.Event()

    async def write(self, entries: Sequence[Mapping[str, Any]]) -> None:
        if self.failure is not None:
            raise self.failure
        self.entries += entries
        self.written.set()


class Clock:
    now = 0.0

    def __call__(self) -> float:
        return self.now


def refuse(refusals: Refusals, user: str = "eve", source: str = "10.0.0.9", times: int = 1) -> None:
    for _ in range(times):
        refusals.note("ctrl.refused", "d:t:i", "409 not writable", user=user, source=source, after=1)


async def test_a_refusal_is_written_at_once() -> None:
    refusals, trail = Refusals(), Trail()
    running = asyncio.create_task(refusals.run(trail.write))
    refuse(refusals)
    await trail.written.wait()
    running.cancel()
    with suppress(asyncio.CancelledError):
        await running
    assert trail.entries == [
        {
            "action": "ctrl.refused",
            "user": "eve",
            "source": "10.0.0.9",
            "object": "d:t:i",
            "result": "409 not writable",
            "after": 1,
        }
    ]


async def test_a_flood_is_counted_in_one_entry() -> None:
    clock = Clock()
    refusals, trail = Refusals(clock), Trail()
    refuse(refusals, times=BURST + 1000)
    assert await refusals.flush(trail.write)
    assert len(trail.entries) == BURST
    refuse(refusals, times=5)
    clock.now = 1 / RATE
    assert not await refusals.flush(trail.write)
    assert len(trail.entries) == BURST + 1
    assert trail.entries[-1]["left_out"] == 1005


async def test_one_who_floods_does_not_silence_the_others() -> None:
    refusals, trail = Refusals(Clock()), Trail()
    refuse(refusals, "eve", times=1000)
    refuse(refusals, "bob")
    await refusals.flush(trail.write)
    assert [entry["user"] for entry in trail.entries[-1:]] == ["bob"]


async def test_a_flood_from_everywhere_is_bounded() -> None:
    refusals, trail = Refusals(Clock()), Trail()
    for n in range(3 * MOST_KNOWN):
        refuse(refusals, "", f"2001:db8::{n:x}")
    await refusals.flush(trail.write)
    assert len(trail.entries) == BURST_OF_ALL
    assert len(refusals._sources) <= MOST_KNOWN + 1


async def test_what_cannot_be_written_is_written_later() -> None:
    refusals, trail = Refusals(Clock()), Trail()
    trail.failure = StoreUnavailable("away")
    refuse(refusals)
    with pytest.raises(StoreUnavailable):
        await refusals.flush(trail.write)
    trail.failure = None
    await refusals.flush(trail.write)
    assert len(trail.entries) == 1


async def test_the_rest_is_written_when_the_server_stops() -> None:
    refusals, trail = Refusals(Clock()), Trail()
    running = asyncio.create_task(refusals.run(trail.write))
    refuse(refusals, times=BURST)
    await trail.written.wait()
    refuse(refusals, times=7)
    running.cancel()
    with suppress(asyncio.CancelledError):
        await running
    assert trail.entries[-1]["left_out"] == 7


async def test_who_was_refused_long_ago_is_forgotten() -> None:
    clock = Clock()
    refusals, trail = Refusals(clock), Trail()
    refuse(refusals)
    clock.now = 2 * BURST / RATE
    await refusals.flush(trail.write)
    assert not refusals._sources


def test_what_a_client_sent_is_made_fit() -> None:
    assert clean("a" * 1000) == "a" * 200
    assert clean("x\ud800") == "x?"
