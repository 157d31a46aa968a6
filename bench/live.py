"""Live push: what many clients cost, and how long a change takes to one of them."""

from __future__ import annotations

import asyncio
import time

import aiohttp
import msgspec
import uvloop

from bench.report import Row, percentile, shares
from bench.rig import Rig
from pydatacoll.testing.modbus_server import ModbusServer

CLIENTS, RATE = 50, 250
DEVICES, REGISTERS = 10, 1000
WARM_UP, SECONDS = 5.0, 20.0
CPU_MUST = 0.06


def fan_out() -> list[Row]:
    """10,000 changes each second to 50 WebSocket clients at 250 ms."""
    with Rig() as rig:
        rig.start_simulator()
        rig.start_api()
        rig.load(DEVICES, REGISTERS, interval=1)
        rig.start_manager()
        rig.wait_collecting(DEVICES)
        time.sleep(WARM_UP)
        window = rig.window()
        time.sleep(SECONDS)
        idle = window.shares()
        output = rig.start_clients(CLIENTS, RATE)
        for _ in range(int(WARM_UP)):
            first = output.readline()
        window = rig.window()
        for _ in range(int(SECONDS)):
            line = output.readline()
        used = window.shares()
        begun, ended = [float(one) for one in first.split()], [float(one) for one in line.split()]
    messages = (ended[0] - begun[0]) / SECONDS / CLIENTS
    megabytes = (ended[1] - begun[1]) / SECONDS
    cost = used["api"] - idle["api"] + max(0.0, used["store"] - idle["store"])
    return [
        Row(
            f"{DEVICES * REGISTERS:,} changes/s to {CLIENTS} clients at {RATE} ms: CPU beyond collection",
            f"{cost:.1%}",
            f"<= {CPU_MUST:.0%}",
            cost <= CPU_MUST,
            "2-3 % in a prototype",
            {
                **shares(used),
                "api before": f"{idle['api']:.1%}",
                "api": f"{used['api']:.1%}",
                "batches/s of a client": f"{messages:.1f}",
                "MB/s": f"{megabytes:.1f}",
                "longest gap": f"{ended[2] * 1000:.0f} ms",
            },
        )
    ]


async def _latencies(rig: Rig, changes: int, pause: float) -> tuple[list[float], dict[str, float], float]:
    """Milliseconds from a changed register to the client that is told of it."""
    async with ModbusServer(history=0) as server:
        table = server.holding(1)
        table[0:1000] = list(range(1000))
        await asyncio.to_thread(rig.load, 1, 1000, interval=0, port=server.port)
        rig.start_manager()
        await asyncio.to_thread(rig.wait_collecting, 1)
        changed: dict[int, float] = {}
        found: list[float] = []
        decode = msgspec.json.Decoder().decode

        async def change() -> None:
            for number in range(changes):
                changed[20_000 + number] = time.perf_counter()
                table[number * 7 % 1000] = 20_000 + number
                await asyncio.sleep(pause)

        rows = 0
        async with (
            aiohttp.ClientSession() as session,
            session.ws_connect(f"{rig.url}/api/v2/live", max_msg_size=0) as ws,
        ):
            await ws.send_str('{"op":"sub","id":"s","rate":0}')
            while '"op":"snapshot"' not in (await ws.receive_str())[:40]:
                pass
            window = rig.window()
            begun = time.perf_counter()
            writer = asyncio.create_task(change())
            while len(found) < changes and not (writer.done() and time.perf_counter() - max(changed.values()) > 3):
                message = await ws.receive_str()
                now = time.perf_counter()
                values = {row[2] for row in decode(message).get("c", ())}
                rows += len(values)
                for value in changed.keys() & values:
                    found.append((now - changed.pop(value)) * 1000)
            await writer
            used = window.shares()
        return sorted(found), used, rows / (time.perf_counter() - begun)


def push_latency() -> list[Row]:
    """Register change to WebSocket client at rate 0, 1,000 registers polled without pause."""
    with Rig() as rig:
        rig.start_api()
        found, used, rows = uvloop.run(_latencies(rig, 1000, 0.011))
    middle, late = percentile(found, 0.5), percentile(found, 0.99)
    return [
        Row(
            "register change -> WebSocket client, rate 0, p50 / p99",
            f"{middle:.2f} / {late:.2f} ms",
            "<= 4 / 20 ms",
            middle <= 4 and late <= 20,
            "pymscada 1.5 / 3.1 ms on its bus in memory",
            {**shares(used), "seen": f"{len(found)} of 1000", "rows/s": f"{rows:,.0f}"},
        )
    ]


def live() -> list[Row]:
    """Live push: 50 clients of 10,000 changes each second; a register change to a client."""
    return fan_out() + push_latency()
