"""A device manager that writes down how late its event loop was, once a second, into the file named first."""

from __future__ import annotations

import asyncio
import sys
from pathlib import Path
from typing import Any

from pydatacoll import device_manager

PERIOD = 0.02


async def watch(file: Path) -> None:
    """Write the longest delay of the last second, in seconds, until cancelled."""
    loop = asyncio.get_running_loop()
    while True:
        end, longest = loop.time() + 1, 0.0
        while (now := loop.time()) < end:
            await asyncio.sleep(PERIOD)
            longest = max(longest, loop.time() - now - PERIOD)
        file.write_text(str(longest))


def main() -> None:
    file = Path(sys.argv.pop(1))
    serve = device_manager.serve

    async def watched(*arguments: Any) -> None:
        watching = asyncio.create_task(watch(file))
        try:
            await serve(*arguments)
        finally:
            watching.cancel()

    device_manager.serve = watched
    device_manager.main()


if __name__ == "__main__":
    main()
