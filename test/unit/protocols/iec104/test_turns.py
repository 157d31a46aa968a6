"""Turns of interrogations."""

from __future__ import annotations

import asyncio

from pydatacoll.protocols.iec104.turns import Turns


async def settle() -> None:
    for _ in range(5):
        await asyncio.sleep(0)


async def test_first_come_first_served():
    turns, begun = Turns(most=2, hold=60), []
    taken = [turns.take(lambda n=n: begun.append(n)) for n in range(5)]
    await settle()
    assert begun == [0, 1]
    taken[1].end()
    taken[1].end()
    await settle()
    assert begun == [0, 1, 2]
    taken[3].end()  # gives up waiting
    taken[0].end()
    await settle()
    assert begun == [0, 1, 2, 4]
    for turn in taken:
        turn.end()
    assert turns.taken == 0


async def test_one_given_back_before_it_began_does_not_begin():
    turns, begun = Turns(most=1, hold=60), []
    first = turns.take(lambda: begun.append(1))
    first.end()
    turns.take(lambda: begun.append(2))
    await settle()
    assert begun == [2]


async def test_a_slow_one_does_not_keep_others_from_theirs():
    turns = Turns(most=1, hold=0.01)
    begun = asyncio.Event()
    slow = turns.take(lambda: None)
    turns.take(begun.set)
    await begun.wait()
    slow.end()
    assert turns.taken == 1
