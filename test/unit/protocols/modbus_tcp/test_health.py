"""Growing pauses and suspect units."""

from __future__ import annotations

import asyncio

from pydatacoll.protocols.modbus_tcp.health import Backoff, UnitHealth


def test_pauses_double_up_to_the_longest() -> None:
    backoff = Backoff(1, 30)
    pauses = []
    for _ in range(7):
        backoff.failed(100)
        pauses.append(backoff.due - 100)
    assert pauses == [1, 2, 4, 8, 16, 30, 30]


async def test_a_unit_is_suspect_until_it_replies() -> None:
    health = UnitHealth()
    now = asyncio.get_running_loop().time()
    assert not health.suspect
    health.lost("no answer", now)
    assert health.suspect
    waiting = asyncio.create_task(health.until_probe())
    await asyncio.sleep(0)
    assert not waiting.done()
    health.alive(now)
    await waiting
    assert not health.suspect
    health.lost("no answer", now)
    assert health.backoff.pause == 1


async def test_the_wait_ends_when_the_probe_is_due() -> None:
    health = UnitHealth()
    health.lost("no answer", asyncio.get_running_loop().time() - 0.99)
    await health.until_probe()
    assert health.suspect
    await health.until_probe()
