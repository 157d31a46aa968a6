"""The REST API under load, and call and control through it."""

from __future__ import annotations

import asyncio
import json
import subprocess
import sys
import time
from collections.abc import Callable
from urllib.parse import urlsplit

import uvloop

from bench.report import Row, percentile, shares
from bench.rig import READY, Rig

SECONDS = 6.0


class Client(asyncio.Protocol):
    """One keep-alive connection; asks again as soon as it is answered. Costs little next to the server."""

    def __init__(self, make: Callable[[], bytes], until: float) -> None:
        self._make, self._until = make, until
        self._data = b""
        self._sent = 0.0
        self.milliseconds: list[float] = []
        self.statuses: dict[bytes, int] = {}
        self.done = asyncio.get_running_loop().create_future()

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = transport
        self._ask()

    def _ask(self) -> None:
        self._sent = time.perf_counter()
        self._transport.write(self._make())  # type: ignore[attr-defined]

    def data_received(self, data: bytes) -> None:
        self._data += data
        head, found, body = self._data.partition(b"\r\n\r\n")
        if not found:
            return
        length = int(head.lower().partition(b"content-length: ")[2].split(b"\r\n", 1)[0])
        if len(body) < length:
            return
        self._data = body[length:]
        now = time.perf_counter()
        self.milliseconds.append((now - self._sent) * 1000)
        status = head[9:12]
        self.statuses[status] = self.statuses.get(status, 0) + 1
        if now < self._until:
            self._ask()
        else:
            self._transport.close()

    def connection_lost(self, error: Exception | None) -> None:
        if not self.done.done():
            self.done.set_result(None)


def request(url: str, method: str, path: str, body: object = None, header: str = "") -> bytes:
    data = b"" if body is None else json.dumps(body).encode()
    more = f"{header}\r\n" if header else ""
    return (
        f"{method} {path} HTTP/1.1\r\nHost: {urlsplit(url).netloc}\r\nContent-Type: application/json\r\n"
        f"{more}Content-Length: {len(data)}\r\n\r\n"
    ).encode() + data


async def load(
    url: str, make: Callable[[], bytes], connections: int, seconds: float
) -> tuple[list[float], dict[bytes, int]]:
    """Milliseconds of every answer, sorted, and the statuses."""
    place = urlsplit(url)
    loop = asyncio.get_running_loop()
    until = time.perf_counter() + seconds
    clients = []
    for _ in range(connections):
        _, client = await loop.create_connection(lambda: Client(make, until), place.hostname, place.port)
        clients.append(client)
    await asyncio.gather(*(client.done for client in clients))
    statuses: dict[bytes, int] = {}
    for client in clients:
        for status, count in client.statuses.items():
            statuses[status] = statuses.get(status, 0) + count
    return sorted(one for client in clients for one in client.milliseconds), statuses


def requests() -> list[Row]:
    """GET one device and POST item at 16 connections."""
    rows = []
    with Rig() as rig:
        rig.start_api("--log-level", "warning")
        rig.request(
            "POST", "/api/v1/devices", {"id": "d0", "name": "d", "protocol": "modbus_tcp", "enabled": False}
        )
        get = request(rig.url, "GET", "/api/v1/devices/d0")
        number = iter(range(10_000_000))

        def post() -> bytes:
            n = next(number)
            return request(rig.url, "POST", "/api/v1/items", {"id": f"i{n}", "name": f"item {n}", "unit": "V"})

        for figure, make, must, compare in (
            ("GET one device, 16 connections", lambda: get, 4000, "1,724 req/s"),
            ("POST item, 16 connections", post, 2000, "1,727 req/s"),
        ):
            uvloop.run(load(rig.url, make, 16, 1.0))
            window = rig.window()
            times, statuses = uvloop.run(load(rig.url, make, 16, SECONDS))
            rate = len(times) / SECONDS
            good = sum(count for status, count in statuses.items() if status.startswith(b"2"))
            rows.append(
                Row(
                    figure,
                    f"{rate:,.0f} req/s",
                    f">= {must:,}",
                    rate >= must and good == len(times),
                    compare,
                    {**shares(window.shares()), "p99": f"{percentile(times, 0.99):.1f} ms"},
                )
            )
    return rows


def control() -> list[Row]:
    """Round trip of ``device_ctrl``, and a batch of 100 points while polling at full rate."""
    rows = []
    with Rig() as rig:
        rig.start_simulator()
        rig.start_api()
        rig.load(1, 100, interval=1)
        rig.start_manager()
        rig.wait_collecting(1)
        value = iter(range(10_000_000))

        def ctrl() -> bytes:
            body = {"device_id": "d0", "term_id": "d0t", "item_id": "i5", "value": next(value) % 65536}
            return request(rig.url, "POST", "/api/v1/device_ctrl", body)

        uvloop.run(load(rig.url, ctrl, 1, 1.0))
        window = rig.window()
        times, statuses = uvloop.run(load(rig.url, ctrl, 1, SECONDS))
        middle, late = percentile(times, 0.5), percentile(times, 0.99)
        rows.append(
            Row(
                "device_ctrl round trip, p50 / p99",
                f"{middle:.2f} / {late:.2f} ms",
                "<= 3 / 15 ms",
                middle <= 3 and late <= 15 and set(statuses) == {b"200"},
                "104 / 200 ms where writes wait for the next poll",
                {**shares(window.shares()), "requests": f"{len(times)}"},
            )
        )
    with Rig() as rig:
        rig.start_simulator()
        rig.start_api()
        rig.load(10, 1000, interval=0)
        rig.start_manager()
        rig.wait_collecting(10)

        def batch() -> bytes:
            body = [
                {"device_id": "d0", "term_id": "d0t", "item_id": f"i{n}", "value": next(value) % 65536}
                for n in range(100)
            ]
            return request(rig.url, "POST", "/api/v2/device_ctrl", body)

        uvloop.run(load(rig.url, batch, 1, 1.0))
        window = rig.window()
        times, statuses = uvloop.run(load(rig.url, batch, 1, SECONDS))
        middle, late = percentile(times, 0.5), percentile(times, 0.99)
        rows.append(
            Row(
                "100 points in one device_ctrl at full polling, p50",
                f"{middle:.2f} ms",
                "<= 10 ms",
                middle <= 10 and set(statuses) == {b"200"},
                "Neuron 3-7 ms",
                {**shares(window.shares()), "p99": f"{late:.1f} ms", "requests": f"{len(times)}"},
            )
        )
    return rows


def start() -> list[Row]:
    """From the command to the first value over REST, with an empty data directory."""
    found = []
    for _ in range(3):
        with Rig() as rig:
            begun = time.perf_counter()
            process = subprocess.Popen(
                [
                    sys.executable,
                    "-m",
                    "pydatacoll.api_server",
                    "--demo",
                    "--port",
                    "0",
                    "--data-dir",
                    str(rig.folder / "data"),
                ],
                stdout=subprocess.PIPE,
                stderr=subprocess.DEVNULL,
                text=True,
            )
            rig.processes["api"] = process
            assert process.stdout is not None
            rig.url = process.stdout.readline().strip().removeprefix(READY)
            while not rig.request("GET", "/api/v2/values"):
                time.sleep(0.02)
            found.append(time.perf_counter() - begun)
    worst = max(found)
    return [Row("start to first value, empty data directory", f"{worst:.2f} s", "<= 3 s", worst <= 3)]
