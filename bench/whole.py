"""The whole system: collection, checker, formulas and an archive in one process, as they start by default."""

from __future__ import annotations

import time
from typing import Any

import redis

from bench.machine import Window
from bench.report import Row, shares
from bench.rig import Rig
from pydatacoll.store import keys
from test.mariadb import MariaDb

DEVICES, REGISTERS, FORMULAS = 10, 1000, 100
A_SECOND = DEVICES * REGISTERS + FORMULAS
"""Samples in one second."""
WARM_UP, SECONDS = 10.0, 30
LOOK = 0.02
"""Seconds between two looks at how many samples came."""
MUST = 0.8
"""Of one core, all processes but the simulated devices together."""
NOT_OURS = {"simulator", "bench", "others"}
PLUGINS = ("checker", "db_saver", "formula")


def _load(rig: Rig) -> None:
    """All points have two limits, which they keep; formulas add two points each."""
    post = rig.request
    rig.load(DEVICES, REGISTERS, interval=1, enabled=False)
    limits = [
        {"term_id": f"d{d}t", "item_id": f"i{i}", "protocol_code": f"hr:{i}", "up_limit": 65_535, "down_limit": 0}
        for d in range(DEVICES)
        for i in range(REGISTERS)
    ]
    post("POST", "/api/v2/term_items", limits)
    post("POST", "/api/v2/devices", [{"id": "v", "name": "v", "protocol": "formula"}])
    post("POST", "/api/v2/terms", [{"id": "vt", "name": "v", "device_id": "v"}])
    post("POST", "/api/v2/term_items", [{"term_id": "vt", "item_id": f"i{n}"} for n in range(FORMULAS)])
    formulas = [
        {"id": f"f{n}", "formula": "p1 + p2", "device_id": "v", "term_id": "vt", "item_id": f"i{n}"}
        | {f"p{p}": f"d{n % DEVICES}:d{n % DEVICES}t:i{2 * (n // DEVICES) + p}" for p in (1, 2)}
        for n in range(FORMULAS)
    ]
    post("POST", "/api/v2/formulas", formulas)
    for d in range(DEVICES):
        post("PATCH", f"/api/v1/devices/d{d}", {"enabled": True})


def _plugins(rig: Rig) -> dict[str, dict[str, Any]]:
    return {row["name"]: row for row in rig.request("GET", "/api/v2/plugins")}


def _archived(plugins: dict[str, dict[str, Any]], *names: str) -> int:
    """Sum of counters of the archive."""
    return sum(one["counters"].get(name, 0) for one in plugins["db_saver"]["runners"] for name in names)


def _samples(store: redis.Redis) -> int:
    """All that ever came into the data stream."""
    return sum(int(count or 0) for count in store.mget([keys.stream_samples(n) for n in range(keys.PARTITIONS)]))


def _results(read: int) -> int:
    """Each poll of a device gives all of its formulas one."""
    return read * FORMULAS // (DEVICES * REGISTERS)


def _drain(rig: Rig, store: redis.Redis) -> tuple[int, int, int, int]:
    """End collection, wait for the archive and for the last reports of the devices: samples read from them, all
    samples, rows, and samples that are no rows because nothing changed."""
    for d in range(DEVICES):
        rig.request("PATCH", f"/api/v1/devices/d{d}", {"enabled": False})
    end = time.monotonic() + 20
    while True:
        plugins, reports = _plugins(rig), rig.reports()
        rows, unchanged = _archived(plugins, "rows_written"), _archived(plugins, "samples_unchanged")
        read, samples = sum(one["accounting"]["read"] for one in reports.values()), _samples(store)
        if rows + unchanged == samples == read + _results(read) or time.monotonic() > end:
            return read, samples, rows, unchanged
        time.sleep(0.2)


def _status(plugins: dict[str, dict[str, Any]], plugin: str, name: str) -> int:
    return sum(one["status"].get(name, 0) for one in plugins[plugin]["runners"])


def _measure(name: str, url: str, server: int | None) -> list[Row]:
    """:param server: process of the database, when it has one of its own."""
    with Rig(plugins=",".join(PLUGINS), plugin__db_saver__url=url) as rig:
        rig.start_simulator()
        rig.start_api("--managers", "0")
        _load(rig)
        end = time.monotonic() + 60
        while not _archived(_plugins(rig), "rows_written"):
            if time.monotonic() > end:
                raise RuntimeError(f"nothing is archived: {(rig.folder / 'api.log').read_text()[-2000:]}")
            time.sleep(0.2)
        time.sleep(WARM_UP)
        processes = rig.pids() | ({} if server is None else {"database": server})
        with rig.store() as store:
            before, window = _plugins(rig), Window(processes)
            first = _samples(store)
            while (start := _samples(store)) == first:  # from the moment when a poll comes: polls are not cut
                time.sleep(LOOK)
            begun = looked = time.monotonic()
            behind = 0.0
            while (now := _samples(store)) - start < SECONDS * A_SECOND:
                if time.monotonic() - begun > 3 * SECONDS:
                    raise RuntimeError(f"only {now - start:,} samples came")
                if time.monotonic() - looked >= 1:
                    looked = time.monotonic()
                    behind = max(behind, *(row["behind"] for row in _plugins(rig).values()))
                time.sleep(LOOK)
            seconds = time.monotonic() - begun
            used = window.shares()
            after = _plugins(rig)
            read, samples, rows, unchanged = _drain(rig, store)
    formulas = (_status(after, "formula", "evaluations") - _status(before, "formula", "evaluations")) / seconds
    dropped = sum(row["dropped"] + row["dead_lettered"] for row in after.values())
    total = sum(share for name, share in used.items() if name not in NOT_OURS)
    what = f"{DEVICES * REGISTERS:,} registers at 1 s, checker, formula and db_saver ({name})"
    return [
        Row(
            f"{what}: CPU of all processes",
            f"{total:.0%}",
            f"<= {MUST:.0%}",
            total <= MUST,
            notes={
                **shares(used),
                "samples/s": f"{(now - start) / seconds:,.0f}",
                "formulas/s": f"{formulas:.0f}",
                "points with limits": f"{_status(after, 'checker', 'points'):,}",
            },
        ),
        Row(
            f"{what}: behind at most, dropped",
            f"{behind:.1f} s, {dropped}",
            "<= 2 s, 0",
            behind <= 2 and not dropped,
        ),
        Row(
            f"{what}: rows archived",
            f"{rows:,}",
            f"= {samples:,} samples - {unchanged:,} unchanged",
            rows == samples - unchanged,
            notes={"reported as read": f"{read:,}", "results of formulas": f"{_results(read):,}"},
        ),
    ]


def whole() -> list[Row]:
    """10 devices x 1,000 registers each second, all plugins on, SQLite and then MariaDB."""
    rows = _measure("SQLite", "", None)
    with MariaDb() as maria:
        rows += _measure("MariaDB", maria.create("whole"), maria.pid)
    return rows
