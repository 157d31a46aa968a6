"""Who holds up the event loop is named."""

from __future__ import annotations

import asyncio
import logging
import time

import pytest

from pydatacoll.manager import step_watch
from pydatacoll.manager.step_watch import StepWatch


async def test_a_watched_coroutine_does_what_it_did_before() -> None:
    async def work(number: int) -> int:
        await asyncio.sleep(0)
        return number + 1

    assert await StepWatch("p").over(work(4), "handle") == 5


async def test_errors_come_out_and_go_in() -> None:
    async def fails() -> None:
        await asyncio.sleep(0)
        raise ValueError("x")

    with pytest.raises(ValueError, match="x"):
        await StepWatch("p").over(fails(), "handle")

    async def patient() -> str:
        try:
            async with asyncio.timeout(0.001):
                await asyncio.Event().wait()
        except TimeoutError:
            return "timed out"
        return "never"

    assert await StepWatch("p").over(patient(), "handle") == "timed out"


async def test_a_cancellation_reaches_the_coroutine() -> None:
    seen = []

    async def work() -> None:
        try:
            await asyncio.Event().wait()
        finally:
            seen.append("cleaned up")

    async def watched() -> None:
        await StepWatch("p").over(work(), "handle")

    task = asyncio.create_task(watched())
    await asyncio.sleep(0)
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    assert seen == ["cleaned up"]


async def test_long_steps_are_warned_of_once_and_waiting_is_no_step(
    caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(step_watch, "LONG", 0.01)
    watch = StepWatch("slow")
    caplog.set_level(logging.WARNING)

    async def waits() -> None:
        await asyncio.sleep(0.02)

    async def blocks() -> None:
        await asyncio.sleep(0)
        time.sleep(0.02)

    await watch.over(waits(), "tick")
    assert not caplog.records
    await watch.over(blocks(), "handle")
    await watch.over(blocks(), "handle")
    (record,) = caplog.records
    assert "plugin slow held up everything in its process" in record.getMessage()
    assert "in handle" in record.getMessage()
    assert watch.longest >= 0.02
