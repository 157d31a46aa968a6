"""WebSocket clients in a process of their own: ``python -m bench.live_clients URL COUNT RATE``.

Prints a line each second: messages and megabytes that all of them got since the start, and the longest time
between two messages of any.
"""

from __future__ import annotations

import asyncio
import json
import sys
import time

import aiohttp
import uvloop


class Count:
    """What all clients got."""

    def __init__(self) -> None:
        self.messages = 0
        self.bytes = 0
        self.longest = 0.0


async def client(
    session: aiohttp.ClientSession, url: str, rate: int, count: Count, ready: asyncio.Semaphore
) -> None:
    """One client; it does not look into the batches, so as not to take the CPU of who is measured."""
    async with session.ws_connect(f"{url}/api/v2/live", max_msg_size=0) as ws:
        await ws.send_str(json.dumps({"op": "sub", "id": "s", "rate": rate}))
        last = 0.0
        async for message in ws:
            count.messages += 1
            count.bytes += len(message.data)
            now = time.perf_counter()
            if not last and '"op":"snapshot"' in message.data[:40] and '"more":true' not in message.data[-20:]:
                ready.release()
                last = now
            if last:
                count.longest = max(count.longest, now - last)
                last = now


async def main(url: str, clients: int, rate: int) -> None:
    """Until killed."""
    count, ready = Count(), asyncio.Semaphore(0)
    async with aiohttp.ClientSession(connector=aiohttp.TCPConnector(limit=0)) as session:
        tasks = [asyncio.create_task(client(session, url, rate, count, ready)) for _ in range(clients)]
        for _ in tasks:
            await ready.acquire()
        print("clients ready", flush=True)
        while True:
            await asyncio.sleep(1)
            print(count.messages, count.bytes / 1e6, count.longest, flush=True)


if __name__ == "__main__":
    uvloop.run(main(sys.argv[1], int(sys.argv[2]), int(sys.argv[3])))
