"""Long computations on the event loop: what they give, and what others get of the loop meanwhile."""

from __future__ import annotations

import asyncio

import pytest

from pydatacoll.model.steps import Steps, finish
from pydatacoll.store import pace
from pydatacoll.store.pace import Pace


@pytest.fixture(autouse=True)
def tiny_slices(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(pace, "SLICE", 0.0)


def count(numbers: int, log: list[str]) -> Steps[int]:
    try:
        for _ in range(numbers):
            yield
            log.append("step")
    finally:
        log.append("end")
    return numbers


def fail() -> Steps[None]:
    yield
    raise ZeroDivisionError


async def test_others_go_between_the_steps() -> None:
    log: list[str] = []
    running = asyncio.create_task(Pace().run(count(3, log)))
    while not running.done():
        log.append("other")
        await asyncio.sleep(0)
    assert running.result() == 3
    assert log == ["other", "other", "step", "other", "step", "other", "step", "end"]


async def test_what_it_raises_is_raised() -> None:
    with pytest.raises(ZeroDivisionError):
        await Pace().run(fail())
    with pytest.raises(ZeroDivisionError):
        finish(fail())


async def test_a_cancelled_computation_cleans_up() -> None:
    log: list[str] = []
    running = asyncio.create_task(Pace().run(count(1000, log)))
    while "step" not in log:
        await asyncio.sleep(0)
    running.cancel()
    with pytest.raises(asyncio.CancelledError):
        await running
    assert log[-1] == "end"
    assert len(log) < 1000


def test_finish_does_all_at_once() -> None:
    log: list[str] = []
    assert finish(count(5, log)) == 5
    assert log.count("step") == 5
