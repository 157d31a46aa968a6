"""A look that many ask for: one is made, and what becomes of it is told to all."""

from __future__ import annotations

import asyncio

import pytest

from pydatacoll.errors import StoreUnavailable
from pydatacoll.live import looking
from pydatacoll.live.looking import Looking


class Plant:
    """Is looked at; a look ends when ``gate`` is open."""

    def __init__(self) -> None:
        self.looks = 0
        self.gate = asyncio.Event()
        self.error: Exception | None = None

    async def look(self) -> int:
        self.looks += 1
        await self.gate.wait()
        if self.error is not None:
            raise self.error
        return self.looks


async def waiting(looks: Looking[int], plant: Plant, count: int) -> list[asyncio.Task[int]]:
    """So many who ask, and wait."""
    tasks = [asyncio.create_task(looks.at(plant.look)) for _ in range(count)]
    while not plant.looks:
        await asyncio.sleep(0)
    return tasks


async def test_all_who_ask_share_one_look_and_who_comes_soon_after_gets_the_same() -> None:
    looks, plant = Looking[int](), Plant()
    tasks = await waiting(looks, plant, 20)
    plant.gate.set()
    assert await asyncio.gather(*tasks) == [1] * 20
    assert await looks.at(plant.look) == 1


async def test_what_is_too_old_is_looked_at_anew(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(looking, "KEPT", 0.0)
    looks, plant = Looking[int](), Plant()
    plant.gate.set()
    assert [await looks.at(plant.look) for _ in range(2)] == [1, 2]
    monkeypatch.setattr(looking, "KEPT", 1000.0)
    assert [await looks.at(plant.look) for _ in range(2)] == [3, 3]
    looks.forget()
    assert await looks.at(plant.look) == 4


async def test_a_look_that_fails_fails_for_all_and_the_next_one_is_made_anew() -> None:
    looks, plant = Looking[int](), Plant()
    plant.error = StoreUnavailable("away")
    tasks = await waiting(looks, plant, 5)
    plant.gate.set()
    for found in await asyncio.gather(*tasks, return_exceptions=True):
        assert isinstance(found, StoreUnavailable)
    assert plant.looks == 1
    plant.error = None
    assert await looks.at(plant.look) == 2


async def test_who_goes_away_does_not_end_the_look_of_the_others() -> None:
    looks, plant = Looking[int](), Plant()
    one, other = await waiting(looks, plant, 2)
    one.cancel()
    await asyncio.wait({one})
    assert one.cancelled()
    plant.gate.set()
    assert await other == 1


async def test_when_it_ends_all_who_wait_are_told_and_nobody_begins_anew() -> None:
    looks, plant = Looking[int](), Plant()
    tasks = await waiting(looks, plant, 3)
    await looks.close()
    for found in await asyncio.gather(*tasks, return_exceptions=True):
        assert isinstance(found, StoreUnavailable)
    with pytest.raises(StoreUnavailable):
        await looks.at(plant.look)
    assert plant.looks == 1
