"""IEC 60870-5-104: RTU -> latest, history, stream; commands; idle stations."""

from __future__ import annotations

import asyncio
import json
import time
from pathlib import Path
from typing import Any

import msgspec
import redis.asyncio
import uvloop

from bench.machine import rss_megabytes
from bench.report import Row, percentile, shares
from bench.rest import request
from bench.rig import Rig, stored_per_second
from pydatacoll.model import DeviceBatch
from pydatacoll.store import keys
from pydatacoll.testing.iec104_rtu import Iec104Point, Iec104Rtu

SECONDS = 10.0
OPTIONS = {"clock_sync": False, "coll_interval": 0}


def load(rig: Rig, ports: list[int], points: int, **options: Any) -> None:
    """A device for each port, with short floats at addresses 1 to ``points``."""
    post = rig.request
    devices = [
        {"id": f"d{d}", "name": f"RTU {d}", "protocol": "iec104", "port": port, **OPTIONS, **options}
        for d, port in enumerate(ports)
    ]
    post("POST", "/api/v2/devices", devices)
    post(
        "POST",
        "/api/v2/terms",
        [{"id": f"d{d}t", "name": "station", "device_id": f"d{d}"} for d in range(len(ports))],
    )
    post("POST", "/api/v2/items", [{"id": f"i{i}", "name": f"value {i}"} for i in range(1, points + 1)])
    rows = [
        {"term_id": f"d{d}t", "item_id": f"i{i}", "protocol_code": str(i), "code_type": "M_ME_TF_1"}
        for d in range(len(ports))
        for i in range(1, points + 1)
    ]
    for start in range(0, len(rows), 10_000):
        post("POST", "/api/v2/term_items", rows[start : start + 10_000])


def _collect(rtus: int, points: int, rate: float) -> tuple[float, dict[str, float], float, float, int]:
    """Values per second stored; CPU shares; worst loop lag in ms; RSS in MB; values dropped."""
    with Rig() as rig:
        ports = rig.start_rtus(rtus, points, rate)
        rig.start_api()
        load(rig, ports, points)
        rig.start_manager(watched=True)
        rig.wait_collecting(rtus)
        time.sleep(5)
        before, window = rig.reports(), rig.window()
        lag = 0.0
        until = time.monotonic() + SECONDS
        while time.monotonic() < until:
            time.sleep(0.5)
            lag = max(lag, rig.loop_lag())
        used, after = window.shares(), rig.reports()
        dropped = sum(one["accounting"]["dropped"] for one in after.values())
        memory = rss_megabytes(rig.processes["manager"].pid)
        return stored_per_second(before, after), used, lag * 1000, memory, dropped


def iec104_full_speed() -> list[Row]:
    """Events from one RTU, then from 50, as fast as they are taken."""
    rows = []
    for rtus, points, compare in (
        (1, 10_000, "c104 callback, nothing stored 66,000"),
        (50, 200, "c104 callback, nothing stored 69,000; loop lag 2.3 s"),
    ):
        rate, used, lag, _, dropped = _collect(rtus, points, float("inf"))
        name = f"IEC 104, {rtus} RTU{'s' * (rtus > 1)} at full rate"
        notes = {**shares(used), "dropped": str(dropped)}
        rows.append(Row(f"{name}: values/s stored", f"{rate:,.0f}", ">= 200,000", rate >= 200_000, compare, notes))
        rows.append(Row(f"{name}: worst loop lag", f"{lag:.0f} ms", "<= 50 ms", lag <= 50))
    return rows


def iec104_load() -> list[Row]:
    """20,000 values/s from 100 RTUs."""
    rate, used, lag, memory, dropped = _collect(100, 200, 200.0)
    name = "IEC 104, 20,000 values/s from 100 RTUs"
    cpu = used["manager"]
    notes = {**shares(used), "values/s": f"{rate:,.0f}", "lag": f"{lag:.0f} ms", "dropped": str(dropped)}
    compare = "c104 callbacks alone 44-54 %, 197 MB"
    return [
        Row(f"{name}: manager CPU", f"{cpu:.1%}", "<= 35%", cpu <= 0.35, compare, notes),
        Row(f"{name}: manager RSS", f"{memory:.0f} MB", "<= 150 MB", memory <= 150),
    ]


def iec104_idle() -> list[Row]:
    """500 RTUs that say nothing."""
    with Rig() as rig:
        ports = rig.start_rtus(500, 10, 0)
        rig.start_api()
        load(rig, ports, 10)
        rig.start_manager()
        rig.wait_collecting(500)
        time.sleep(10)
        window = rig.window()
        time.sleep(30)
        used = window.shares()
        process = rig.processes["manager"].pid
        memory = rss_megabytes(process)
        threads = len(list(Path(f"/proc/{process}/task").iterdir()))
    return [
        Row("IEC 104, 500 idle RTUs: manager CPU", f"{used['manager']:.1%}", "<= 5%", used["manager"] <= 0.05, "",
            shares(used)),
        Row("IEC 104, 500 idle RTUs: manager RSS", f"{memory:.0f} MB", "<= 120 MB", memory <= 120),
        Row("IEC 104, 500 idle RTUs: threads", str(threads), "<= 10", threads <= 10, "c104: 1 per RTU"),
    ]  # fmt: skip


class StreamReader:
    """Reads the stream of one device from now on."""

    def __init__(self, rig: Rig, device: str) -> None:
        self._client = redis.asyncio.Redis.from_url(rig.store_url, socket_timeout=None, protocol=2)
        self._name = keys.stream(keys.partition_of(device))
        self._last: str | bytes = "$"
        self._decode = msgspec.msgpack.Decoder(list[DeviceBatch]).decode

    async def start(self) -> None:
        last = await self._client.xrevrange(self._name, count=1)
        self._last = last[0][0] if last else "0"

    async def values(self) -> tuple[float, list[Any]]:
        """The next values, and when they were there."""
        found = []
        for _, entries in await self._client.xread({self._name: self._last}, count=100, block=1000) or []:
            for entry_id, fields in entries:
                self._last = entry_id
                for batch in self._decode(fields[b"b"]):
                    found += batch.values
        return time.perf_counter(), found

    async def close(self) -> None:
        await self._client.aclose()


async def _interrogation(rig: Rig) -> list[float]:
    """Milliseconds from the request of an interrogation of 10,000 points to the last value stored."""
    points = 10_000
    async with Iec104Rtu([Iec104Point(address=address) for address in range(1, points + 1)]) as rtu:
        await asyncio.to_thread(load, rig, [rtu.port], points)
        rig.start_manager()
        await asyncio.to_thread(rig.wait_collecting, 1, least=points)
        took = []
        for _ in range(10):
            reader = StreamReader(rig, "d0")
            await reader.start()
            begin = time.perf_counter()
            answer = asyncio.create_task(
                asyncio.to_thread(rig.request, "POST", "/api/v2/devices/d0/interrogate", {})
            )
            count = 0
            while count < points:
                end, values = await reader.values()
                count += len(values)
            took.append((end - begin) * 1000)
            await answer
            await reader.close()
        return sorted(took)


def iec104_interrogation() -> list[Row]:
    """General interrogation of 10,000 points through REST, to the last value in the stream."""
    with Rig() as rig:
        rig.start_api()
        took = uvloop.run(_interrogation(rig))
        middle = percentile(took, 0.5)
        return [
            Row(
                "IEC 104, interrogation of 10,000 points, stored",
                f"{middle:.0f} ms",
                "<= 150 ms",
                middle <= 150,
                "196-248 ms without storing",
                {"best": f"{took[0]:.0f}", "worst": f"{took[-1]:.0f}"},
            )
        ]


async def _events(rig: Rig, count: int) -> tuple[list[float], dict[str, float]]:
    """Milliseconds from an event in the RTU to its value in the stream, at 1,000 events a second."""
    points = 100
    async with Iec104Rtu([Iec104Point(address=address) for address in range(1, points + 1)]) as rtu:
        await asyncio.to_thread(load, rig, [rtu.port], points)
        rig.start_manager()
        await asyncio.to_thread(rig.wait_collecting, 1, least=points)
        reader = StreamReader(rig, "d0")
        await reader.start()
        window = rig.window()
        changed: dict[float, float] = {}
        found: list[float] = []

        async def change() -> None:
            begin = time.perf_counter()
            for number in range(count):
                due = begin + number / 1000
                if (wait := due - time.perf_counter()) > 0:
                    await asyncio.sleep(wait)
                value = 1000.0 + number
                changed[value] = time.perf_counter()
                rtu.set(1, number % points + 1, value)

        writer = asyncio.create_task(change())
        while len(found) < count and not (writer.done() and time.perf_counter() - max(changed.values()) > 3):
            now, values = await reader.values()
            found += [(now - changed.pop(value)) * 1000 for value in values if value in changed]
        await writer
        await reader.close()
        return sorted(found), window.shares()


def iec104_latency() -> list[Row]:
    """Event to stream at 1,000 events/s."""
    count = 10_000
    with Rig() as rig:
        rig.start_api()
        found, used = uvloop.run(_events(rig, count))
        middle, late = percentile(found, 0.5), percentile(found, 0.99)
        return [
            Row(
                "IEC 104, event -> stream at 1,000/s, p50 / p99",
                f"{middle:.2f} / {late:.2f} ms",
                "<= 2 / 10 ms",
                middle <= 2 and late <= 10,
                "",
                {**shares(used), "seen": f"{len(found)} of {count}"},
            )
        ]


async def _commands(rig: Rig, mode: str, count: int) -> list[float]:
    """Milliseconds of a command through REST, one after the other."""
    points = [Iec104Point(address=1, type="M_SP_NA_1", command=True, select=mode == "select")]
    async with Iec104Rtu(points) as rtu:
        post = rig.request
        device = {
            "id": mode,
            "name": mode,
            "protocol": "iec104",
            "port": rtu.port,
            "command_mode": mode,
            **OPTIONS,
        }

        def make() -> None:
            post("POST", "/api/v1/devices", {**device, "enabled": False})
            post("POST", "/api/v1/terms", {"id": f"{mode}t", "name": "station", "device_id": mode})
            post("POST", "/api/v1/items", {"id": f"{mode}i", "name": "breaker"})
            row = {"item_id": f"{mode}i", "protocol_code": "1", "code_type": "M_SP_TB_1", "writable": True}
            post("POST", f"/api/v1/terms/{mode}t/items", row)
            post("PUT", f"/api/v1/devices/{mode}", device)

        await asyncio.to_thread(make)
        await rtu.until(lambda: rtu.active is not None and rtu.counts["100"] > 0)
        return await _timed(rig, mode, count)


async def _timed(rig: Rig, mode: str, count: int) -> list[float]:
    host, port = rig.url.removeprefix("http://").split(":")
    streams, sink = await asyncio.open_connection(host, int(port))
    took = []
    for number in range(count):
        body = {"device_id": mode, "term_id": f"{mode}t", "item_id": f"{mode}i", "value": number % 2 == 0}
        octets = request(rig.url, "POST", "/api/v1/device_ctrl", body)
        begin = time.perf_counter()
        sink.write(octets)
        head = await streams.readuntil(b"\r\n\r\n")
        length = int(head.lower().partition(b"content-length: ")[2].split(b"\r\n", 1)[0])
        answer = await streams.readexactly(length)
        took.append((time.perf_counter() - begin) * 1000)
        if b" 200 " not in head.split(b"\r\n", 1)[0]:
            raise RuntimeError(f"refused: {json.loads(answer)}")
    sink.close()
    return sorted(took)


def iec104_commands() -> list[Row]:
    """Commands through REST, direct and with select, one after the other."""
    rows = []
    with Rig() as rig:
        rig.start_api()
        rig.start_manager()
        for mode in ("direct", "select"):
            took = uvloop.run(_commands(rig, mode, 1000))
            middle, late = percentile(took, 0.5), percentile(took, 0.99)
            rows.append(
                Row(
                    f"IEC 104, command ({mode}) through REST, p50 / p99",
                    f"{middle:.2f} / {late:.2f} ms",
                    "<= 3 / 15 ms",
                    middle <= 3 and late <= 15,
                )
            )
    return rows
