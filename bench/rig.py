"""The processes of a benchmark: simulator, API server with its embedded store, device manager."""

from __future__ import annotations

import json
import os
import shutil
import signal
import subprocess
import sys
import tempfile
import time
import urllib.request
from pathlib import Path
from typing import IO, Any

import redis

from bench.machine import Window

READY = "PyDataColl is running on "


class Rig:
    """``with Rig() as rig``: a system under test in a temporary directory, everything stopped at the end."""

    def __init__(self, **settings: Any) -> None:
        """``settings`` are given by environment: ``history__length=0``."""
        self.folder = Path(tempfile.mkdtemp(prefix="pdc-bench-"))
        self._environment = {
            **os.environ,
            **{f"PYDATACOLL_{name.upper()}": str(value) for name, value in settings.items()},
        }
        self.processes: dict[str, subprocess.Popen[str]] = {}
        self.url = ""
        self.simulator_port = 0

    def __enter__(self) -> Rig:
        return self

    def __exit__(self, *_: object) -> None:
        for process in reversed(list(self.processes.values())):
            process.send_signal(signal.SIGTERM)
            try:
                process.wait(15)
            except subprocess.TimeoutExpired:
                process.kill()
                process.wait()
            if process.stdout is not None:
                process.stdout.close()
        shutil.rmtree(self.folder, ignore_errors=True)

    def _start(self, name: str, *arguments: str, wait_for: str = "") -> str:
        process = subprocess.Popen(
            [sys.executable, *arguments],
            env=self._environment,
            stdout=subprocess.PIPE,
            stderr=(self.folder / f"{name}.log").open("w"),
            text=True,
        )
        self.processes[name] = process
        if not wait_for:
            return ""
        assert process.stdout is not None
        for line in process.stdout:
            if wait_for in line:
                return line.strip().rpartition(wait_for)[2].strip()
        raise RuntimeError((self.folder / f"{name}.log").read_text())

    def start_simulator(self) -> None:
        """A Modbus server whose registers all change at every read."""
        self.simulator_port = int(self._start("simulator", "-m", "bench.simulator", wait_for="port "))

    def start_rtus(self, rtus: int, points: int, rate: float) -> list[int]:
        """RTUs whose points send ``rate`` events per second each RTU; their ports."""
        ports = self._start("rtus", "-m", "bench.rtu", str(rtus), str(points), str(rate), wait_for="ports ")
        return [int(port) for port in ports.split(",")]

    def start_api(self, *options: str) -> None:
        """API server and embedded store; by default without a manager in it."""
        self.url = self._start(
            "api",
            "-m",
            "pydatacoll.api_server",
            "--port",
            "0",
            "--log-level",
            "warning",
            "--data-dir",
            str(self.folder / "data"),
            *(options or ("--no-manager",)),
            wait_for=READY,
        )

    def start_clients(self, clients: int, rate: int) -> IO[str]:
        """WebSocket clients that watch everything; what they print, see :mod:`bench.live_clients`."""
        arguments = ("bench.live_clients", self.url, str(clients), str(rate))
        self._start("clients", "-m", *arguments, wait_for="clients ready")
        output = self.processes["clients"].stdout
        assert output is not None
        return output

    def start_manager(self, *, watched: bool = False) -> None:
        """A device manager of its own; ``watched``: one whose :meth:`loop_lag` is known, which takes some CPU."""
        module = ["bench.manager", str(self.folder / "lag")] if watched else ["pydatacoll.device_manager"]
        self._start("manager", "-m", *module, "--redis", self.store_url, "--log-level", "warning")

    def loop_lag(self) -> float:
        """How late the manager's event loop was at most, in its last whole second; seconds."""
        file = self.folder / "lag"
        return float((file.exists() and file.read_text()) or 0)

    @property
    def store_url(self) -> str:
        (socket,) = (self.folder / "data").rglob("*.sock")
        return f"unix://{socket}"

    def store(self) -> redis.Redis:
        return redis.Redis.from_url(self.store_url)

    @property
    def store_pid(self) -> int:
        with self.store() as client:
            return int(client.info("server")["process_id"])

    def pids(self) -> dict[str, int]:
        return {name: process.pid for name, process in self.processes.items()} | {
            "store": self.store_pid,
            "bench": os.getpid(),
        }

    def window(self) -> Window:
        return Window(self.pids())

    # REST

    def request(self, method: str, path: str, body: Any = None) -> Any:
        data = None if body is None else json.dumps(body).encode()
        request = urllib.request.Request(
            self.url + path, data, {"Content-Type": "application/json"}, method=method
        )
        with urllib.request.urlopen(request, timeout=60) as answer:
            return json.load(answer)

    def load(self, devices: int, registers: int, *, interval: float, port: int = 0, **options: Any) -> None:
        """``devices`` devices with ``registers`` uint16 holding registers each."""
        port = port or self.simulator_port
        post = self.request
        post(
            "POST",
            "/api/v2/devices",
            [
                {
                    "id": f"d{d}",
                    "name": f"device {d}",
                    "protocol": "modbus_tcp",
                    "port": port,
                    "poll_interval": interval,
                    **options,
                }
                for d in range(devices)
            ],
        )
        post(
            "POST",
            "/api/v2/terms",
            [{"id": f"d{d}t", "name": "unit 1", "device_id": f"d{d}"} for d in range(devices)],
        )
        post("POST", "/api/v2/items", [{"id": f"i{i}", "name": f"register {i}"} for i in range(registers)])
        rows = [
            {"term_id": f"d{d}t", "item_id": f"i{i}", "protocol_code": f"hr:{i}", "writable": True}
            for d in range(devices)
            for i in range(registers)
        ]
        for start in range(0, len(rows), 10_000):
            post("POST", "/api/v2/term_items", rows[start : start + 10_000])

    def reports(self) -> dict[str, dict[str, Any]]:
        """What the manager last said of each device."""
        found = {}
        with self.store() as client:
            for partition in range(16):
                for device, text in client.hgetall(f"HS:STATUS:{{p{partition}}}").items():
                    found[device.decode()] = json.loads(text)
        return found

    def wait_collecting(self, devices: int, *, least: int = 1) -> None:
        """Until every device has stored something."""
        end = time.monotonic() + 60
        while time.monotonic() < end:
            reports = self.reports()
            if len(reports) == devices and all(one["accounting"]["stored"] >= least for one in reports.values()):
                return
            time.sleep(0.2)
        raise RuntimeError(f"not all devices collect: {(self.folder / 'manager.log').read_text()[-2000:]}")


def stored_per_second(before: dict[str, Any], after: dict[str, Any], what: str = "stored") -> float:
    """Values per second between two reports, summed over the devices."""
    return sum(
        (after[device]["accounting"][what] - one["accounting"][what])
        / (after[device]["reported"] - one["reported"])
        for device, one in before.items()
    )
