"""Collection: Modbus TCP -> latest, history, stream."""

from __future__ import annotations

import asyncio
import time

import msgspec
import redis.asyncio
import uvloop

from bench.machine import rss_megabytes
from bench.report import Row, percentile, shares
from bench.rig import Rig, stored_per_second
from pydatacoll.model import DeviceBatch
from pydatacoll.store import keys
from pydatacoll.testing.modbus_server import ModbusServer

SECONDS = 10.0


def _full_speed(length: int) -> tuple[float, float, dict[str, float]]:
    """Values per second, manager CPU in microseconds per value, CPU shares."""
    with Rig(history__length=length) as rig:
        rig.start_simulator()
        rig.start_api()
        rig.load(10, 1000, interval=0)
        rig.start_manager()
        rig.wait_collecting(10)
        time.sleep(4)
        before, window = rig.reports(), rig.window()
        time.sleep(SECONDS)
        used = window.shares()
        rate = stored_per_second(before, rig.reports())
        return rate, used["manager"] / rate * 1e6, used


def full_speed() -> list[Row]:
    """10 devices x 1,000 registers, polled without pause."""
    rows = []
    rate, cost, used = _full_speed(100)
    rows.append(
        Row(
            "values/s to latest + history + stream",
            f"{rate:,.0f}",
            ">= 300,000",
            rate >= 300_000,
            "collectd 15,000; ThingsBoard gateway 41,000; pymscada 100,000 in memory; prototype 370,000",
            shares(used),
        )
    )
    rows.append(
        Row(
            "manager CPU per value, with history",
            f"{cost:.2f} us",
            "<= 2 us",
            cost <= 2,
            "prototype without checks 0.7",
        )
    )
    rate, cost, used = _full_speed(0)
    rows.append(
        Row(
            "values/s to latest + stream (history.length = 0)",
            f"{rate:,.0f}",
            ">= 700,000",
            rate >= 700_000,
            "Neuron to MQTT 98,000, 484,000 with 50,000 tags; prototype 1,100,000",
            shares(used),
        )
    )
    rows.append(Row("manager CPU per value, without history", f"{cost:.2f} us", "<= 2 us", cost <= 2))
    return rows


def once_a_second() -> list[Row]:
    """10,000 registers at 1 s on 10 devices, then 1,000 devices x 10 registers at 1 s."""
    rows = []
    for figure, devices, registers, cpu_must, rss_must, compare in (
        (
            "10,000 registers at 1 s",
            10,
            1000,
            0.08,
            80,
            "Neuron 10 %, 35 MB; ThingsBoard 20 %, 85 MB; collectd 58 %",
        ),
        ("1,000 devices x 10 registers at 1 s", 1000, 10, 0.35, 200, ""),
    ):
        with Rig() as rig:
            rig.start_simulator()
            rig.start_api()
            rig.load(devices, registers, interval=1)
            rig.start_manager()
            rig.wait_collecting(devices)
            time.sleep(5)
            before, window = rig.reports(), rig.window()
            time.sleep(20)
            used = window.shares()
            after = rig.reports()
            memory = rss_megabytes(rig.processes["manager"].pid)
            rate = stored_per_second(before, after)
            missed = sum(
                after[d]["counters"].get("missed_polls", 0) - one["counters"].get("missed_polls", 0)
                for d, one in before.items()
            )
            notes = {**shares(used), "values/s": f"{rate:,.0f}"}
            rows.append(
                Row(
                    f"{figure}: manager CPU",
                    f"{used['manager']:.1%}",
                    f"<= {cpu_must:.0%}",
                    used["manager"] <= cpu_must,
                    compare,
                    notes,
                )
            )
            rows.append(Row(f"{figure}: manager RSS", f"{memory:.0f} MB", f"<= {rss_must} MB", memory <= rss_must))
            rows.append(Row(f"{figure}: missed polls", str(missed), "0", missed == 0))
    return rows


async def _latencies(rig: Rig, changes: int) -> tuple[list[float], dict[str, float]]:
    """Milliseconds from a changed register to its value in the stream."""
    async with ModbusServer(history=0) as server:
        table = server.holding(1)
        table[0:1000] = list(range(1000))
        rig.load(1, 1000, interval=0, port=server.port)
        rig.start_manager()
        await asyncio.to_thread(rig.wait_collecting, 1)
        window = rig.window()
        client = redis.asyncio.Redis.from_url(rig.store_url, socket_timeout=None, protocol=2)
        decode = msgspec.msgpack.Decoder(list[DeviceBatch]).decode
        name = keys.stream(keys.partition_of("d0"))
        changed: dict[int, float] = {}
        found: list[float] = []

        async def change() -> None:
            for number in range(changes):
                changed[20_000 + number] = time.perf_counter()
                table[number * 7 % 1000] = 20_000 + number
                await asyncio.sleep(0.011)

        writer = asyncio.create_task(change())
        last: str | bytes = "$"
        while len(found) < changes and not (writer.done() and time.perf_counter() - max(changed.values()) > 3):
            for _, entries in await client.xread({name: last}, count=100, block=1000) or []:
                now = time.perf_counter()
                for entry_id, fields in entries:
                    last = entry_id
                    for batch in decode(fields[b"b"]):
                        for value in changed.keys() & set(batch.values):
                            found.append((now - changed.pop(value)) * 1000)
        await writer
        await client.aclose()
        return sorted(found), window.shares()


def latency() -> list[Row]:
    """Register change to stream, 1,000 registers polled without pause."""
    with Rig() as rig:
        rig.start_api()
        found, used = uvloop.run(_latencies(rig, 1000))
        middle, late = percentile(found, 0.5), percentile(found, 0.99)
        return [
            Row(
                "register change -> stream, p50 / p99",
                f"{middle:.2f} / {late:.2f} ms",
                "<= 3 / 15 ms",
                middle <= 3 and late <= 15,
                "pymscada 1.3 / 2.8 ms in memory without storing",
                {**shares(used), "seen": f"{len(found)} of 1000"},
            )
        ]
