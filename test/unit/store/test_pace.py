"""Long computations on the event loop: what they give, and what others get of the loop meanwhile."""

from __future__ import annotations

import asyncio
import gc

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


def test_letting_go_empties_in_steps() -> None:
    rows = [[n] for n in range(3)]
    steps = pace.let_go(rows)
    next(steps)
    next(steps)
    assert rows == [[0], [1]]
    finish(steps)
    assert rows == []


def test_the_collector_rests_until_the_last_is_done() -> None:
    assert gc.isenabled()
    first, second = pace.collector_paused(), pace.collector_paused()
    first.__enter__()
    second.__enter__()
    assert not gc.isenabled()
    first.__exit__(None, None, None)
    assert not gc.isenabled()
    second.__exit__(None, None, None)
    assert gc.isenabled()


def test_a_collector_that_was_off_stays_off() -> None:
    gc.disable()
    try:
        with pace.collector_paused():
            pass
        assert not gc.isenabled()
    finally:
        gc.enable()
