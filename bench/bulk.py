"""Bulk configuration, many values at once, access tokens, and memory over time."""

from __future__ import annotations

import asyncio
import hashlib
import os
import time
import urllib.request
from collections.abc import Iterator

import uvloop

from bench.machine import rss_megabytes
from bench.report import Row, percentile, shares
from bench.rest import load, request
from bench.rig import Rig, stored_per_second

DEVICES, POINTS = 1000, 100
MEMORY_MINUTES = float(os.environ.get("BENCH_MEMORY_MINUTES", "60"))
"""How long ``memory`` looks; the figure asked for is an hour."""


HEADER = (
    "device_id,device_name,protocol,ip,enabled,term_id,term_name,term_address,"
    "item_id,item_name,unit,protocol_code,code_type,coefficient"
)


def spreadsheet(devices: int, points: int) -> bytes:
    """A CSV file of so many devices with so many points each, none of them enabled."""
    lines = [HEADER]
    for d in range(devices):
        device = f"d{d},Device {d},modbus_tcp,10.0.{d // 250}.{d % 250 + 1},false,d{d}t,Meter,1"
        lines += [f"{device},i{p},Quantity {p},V,hr:{2 * p},float32,0.1" for p in range(points)]
    return "\r\n".join([*lines, ""]).encode()


def _ask(url: str, method: str, path: str, body: bytes | None = None, **headers: str) -> bytes:
    named = {name.replace("_", "-"): value for name, value in headers.items()}
    with urllib.request.urlopen(
        urllib.request.Request(url + path, body, named, method=method), timeout=300
    ) as got:
        content: bytes = got.read()
        return content


async def _meanwhile(url: str, ended: asyncio.Event) -> list[float]:
    """Milliseconds of requests for one device, asked one after the other until ``ended``."""
    get = request(url, "GET", "/api/v1/devices/d0")
    found: list[float] = []
    while not ended.is_set():
        times, _ = await load(url, lambda: get, 1, 0.2)
        found += times
        await asyncio.sleep(0.02)
    return sorted(found)


async def _import(url: str, content: bytes) -> tuple[float, list[float]]:
    ended = asyncio.Event()
    others = asyncio.create_task(_meanwhile(url, ended))
    begun = time.perf_counter()
    await asyncio.to_thread(_ask, url, "POST", "/api/v2/import", content, Content_Type="text/csv")
    seconds = time.perf_counter() - begun
    ended.set()
    return seconds, await others


def transfer() -> list[Row]:
    """Import of 1,000 devices x 100 points as CSV, then export of all of them."""
    with Rig() as rig:
        rig.start_api()
        rig.request(
            "POST", "/api/v1/devices", {"id": "d0", "name": "d", "protocol": "modbus_tcp", "enabled": False}
        )
        content = spreadsheet(DEVICES, POINTS)
        window = rig.window()
        seconds, others = uvloop.run(_import(rig.url, content))
        used = shares(window.shares())
        rows = [
            Row(
                "import of 1,000 devices x 100 points (CSV)",
                f"{seconds:.1f} s",
                "<= 30 s",
                seconds <= 30,
                notes=used,
            ),
            Row(
                "other requests meanwhile, longest",
                f"{others[-1]:.0f} ms",
                "< 100 ms",
                others[-1] < 100,
                notes={"p50": f"{percentile(others, 0.5):.1f} ms", "p99": f"{percentile(others, 0.99):.1f} ms"},
            ),
        ]
        pid = rig.processes["api"].pid
        for media, name in (("text/csv", "CSV"), ("application/json", "JSON"), ("application/yaml", "YAML")):
            before, begun = rss_megabytes(pid), time.perf_counter()
            size = len(_ask(rig.url, "GET", "/api/v2/export", Accept=media))
            seconds, growth = time.perf_counter() - begun, rss_megabytes(pid) - before
            rows.append(
                Row(
                    f"export of 100,000 points ({name}): time, RSS growth",
                    f"{seconds:.1f} s, {growth:.0f} MB",
                    "<= 5 s, 100 MB",
                    seconds <= 5 and growth <= 100,
                    notes={"size": f"{size / 1e6:.0f} MB"},
                )
            )
        return rows


def values() -> list[Row]:
    """Latest values of 10,000 items in one request."""
    with Rig() as rig:
        rig.start_simulator()
        rig.start_api()
        rig.load(10, 1000, interval=1)
        rig.start_manager()
        rig.wait_collecting(10, least=1000)
        get = request(rig.url, "GET", "/api/v2/values")
        uvloop.run(load(rig.url, lambda: get, 1, 1.0))
        times, statuses = uvloop.run(load(rig.url, lambda: get, 1, 4.0))
        middle = percentile(times, 0.5)
        return [
            Row(
                "GET /api/v2/values of 10,000 items, p50",
                f"{middle:.0f} ms",
                "<= 60 ms",
                middle <= 60 and set(statuses) == {b"200"},
                "hash per item 82 ms of the store alone",
                {"p99": f"{percentile(times, 0.99):.0f} ms"},
            )
        ]


def access() -> list[Row]:
    """GET one device with an access token against without any."""
    token = "pdc_" + "k" * 43
    rates: dict[str, list[float]] = {"open": [], "token": []}

    def measure(kind: str) -> None:
        with Rig() as rig:
            options = ["--log-level", "warning", "--no-manager"]
            more = ""
            device = {"id": "d0", "name": "d", "protocol": "modbus_tcp", "enabled": False}
            if kind == "token":
                file = rig.folder / "pydatacoll.toml"
                lines = ["[[auth.tokens]]", 'name = "bench"', 'scope = "admin"']
                file.write_text("\n".join([*lines, f'hash = "{hashlib.sha256(token.encode()).hexdigest()}"']))
                file.chmod(0o600)
                options += ["--config", str(file)]
                more = f"Authorization: Bearer {token}"
            rig.start_api(*options)
            make = request(rig.url, "POST", "/api/v1/devices", device, more)
            uvloop.run(load(rig.url, lambda: make, 1, 0.0))
            get = request(rig.url, "GET", "/api/v1/devices/d0", None, more)
            uvloop.run(load(rig.url, lambda: get, 16, 1.0))
            times, statuses = uvloop.run(load(rig.url, lambda: get, 16, 4.0))
            if set(statuses) != {b"200"}:
                raise RuntimeError(f"answers are {statuses}")
            rates[kind].append(len(times) / 4.0)

    for _ in range(3):  # in turn: the machine changes its speed
        measure("open")
        measure("token")
    share = sum(rates["token"]) / sum(rates["open"])
    return [
        Row(
            "authenticated GET against the unauthenticated one",
            f"{share:.0%}",
            ">= 90 %",
            share >= 0.9,
            "elsewhere 3-10 req/s with authentication",
            {kind: ", ".join(f"{rate:,.0f}" for rate in found) + " req/s" for kind, found in rates.items()},
        )
    ]


def _collected(rig: Rig, minutes: float) -> Iterator[dict[str, float]]:
    """RSS of all processes, in MB, every ten seconds."""
    end = time.monotonic() + minutes * 60
    while time.monotonic() < end:
        yield {name: rss_megabytes(pid) for name, pid in rig.pids().items() if name in {"api", "manager", "store"}}
        time.sleep(10)


def memory() -> list[Row]:
    """RSS while 10,000 values a second are collected, for an hour (BENCH_MEMORY_MINUTES)."""
    with Rig() as rig:
        rig.start_simulator()
        rig.start_api()
        rig.load(10, 1000, interval=1)
        rig.start_manager()
        rig.wait_collecting(10)
        time.sleep(min(120.0, MEMORY_MINUTES * 15))  # histories and streams fill up to their lengths
        before = rig.reports()
        seen = list(_collected(rig, MEMORY_MINUTES))
        rate = stored_per_second(before, rig.reports())
        rows = []
        for name in ("manager", "api", "store"):
            tenth = max(1, len(seen) // 10)
            first = sum(one[name] for one in seen[:tenth]) / tenth
            last = sum(one[name] for one in seen[-tenth:]) / tenth
            growth = last / first - 1
            rows.append(
                Row(
                    f"RSS of the {name} after {MEMORY_MINUTES:g} min of 10,000 values/s",
                    f"{growth:+.1%}",
                    "within 5 %",
                    abs(growth) <= 0.05,
                    notes={"first": f"{first:.1f} MB", "last": f"{last:.1f} MB", "values/s": f"{rate:,.0f}"},
                )
            )
        return rows
