"""Simulated RTUs in a process of their own, whose points change by themselves; prints their ports.

``python -m bench.rtu RTUS POINTS RATE``: RATE is events per second of each RTU, ``inf`` for as many as the link
takes, 0 for none. All points are short floats with time tag.
"""

from __future__ import annotations

import asyncio
import sys

import uvloop

from pydatacoll.testing.iec104_rtu import Iec104Point, Iec104Rtu


async def main(rtus: int, points: int, rate: float) -> None:
    made = []
    for _ in range(rtus):
        rtu = Iec104Rtu([Iec104Point(address=address) for address in range(1, points + 1)], buffer=100)
        await rtu.start()
        if rate:
            rtu.stream(rate)
        made.append(rtu)
    print("ports", ",".join(str(rtu.port) for rtu in made), flush=True)
    await asyncio.Event().wait()


if __name__ == "__main__":
    uvloop.run(main(int(sys.argv[1]), int(sys.argv[2]), float(sys.argv[3])))
