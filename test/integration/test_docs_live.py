"""The program in the how-to of live push does what it says there."""

from __future__ import annotations

import asyncio
import sys
from pathlib import Path

from pydatacoll.store.client import Store
from test.integration.live_rig import live_rig

WATCH = Path(__file__).parents[2] / "docs" / "examples" / "watch.py"


async def test_the_example_prints_values_as_they_change(store: Store) -> None:
    async with live_rig(store) as rig:
        await rig.plant(items=["a", "b"])
        await rig.put(a=1, b=2)
        process = await asyncio.create_subprocess_exec(
            sys.executable, str(WATCH), rig.api.url, "d:*:a", stdout=asyncio.subprocess.PIPE
        )
        assert process.stdout is not None
        try:
            assert await process.stdout.readline() == b"2027-01-15T08:00:01.000000Z d:d-t:a 1 good\n"
            await rig.put(b=3)
            await rig.put(a=4)
            assert await process.stdout.readline() == b"2027-01-15T08:00:03.000000Z d:d-t:a 4 good\n"
        finally:
            process.terminate()
            await process.wait()
