"""The Modbus TCP driver alone: requests per second and CPU per poll, simulator in another process.

``python -m bench.modbus_driver [--seconds 2]`` prints a table. Values go into a sink that only counts them.
"""

from __future__ import annotations

import argparse
import asyncio
import multiprocessing
import resource
import time
from collections.abc import Sequence
from multiprocessing.connection import Connection

import uvloop

from pydatacoll.protocols.modbus_tcp import ModbusDevice, ModbusTcpDriver, ModbusTerm, ModbusTermItem
from pydatacoll.sdk import DriverContext, Point, PointGroup, Readings, Sample
from pydatacoll.testing.simulation import simulate


class CountingSink:
    """Counts values."""

    def __init__(self) -> None:
        self.count = 0

    def values(self, readings: Readings) -> None:
        self.count += len(readings.values)

    def spontaneous(self, samples: Sequence[tuple[Point, Sample]]) -> None:
        self.count += len(samples)

    def known(self, point: Point) -> Sample | None:
        return None

    def failed(self, group: PointGroup, quality: int, time: float) -> None:
        raise RuntimeError(f"a read failed with quality {quality}")


def cpu() -> float:
    """CPU seconds of this process."""
    usage = resource.getrusage(resource.RUSAGE_SELF)
    return usage.ru_utime + usage.ru_stime


def serve(pipe: Connection) -> None:
    """Run the simulator; answer any message with its CPU seconds."""

    async def main() -> None:
        loop = asyncio.get_running_loop()
        loop.add_reader(pipe.fileno(), lambda: pipe.send((pipe.recv(), cpu())[1]))
        await simulate("127.0.0.1", 0, [1], 65536, "rotate", pipe.send)

    uvloop.run(main())


async def measure(
    port: int, pipe: Connection, *, devices: int, depth: int, blocks: int, seconds: float, backend: str
) -> None:
    sinks, tasks, drivers = [], [], []
    for number in range(devices):
        device = ModbusDevice(
            id=f"d{number}", name="", protocol="modbus_tcp", port=port, max_in_flight=depth, backend=backend
        )
        term = ModbusTerm(id="t", name="", device_id=device.id)
        points = [
            Point(term, ModbusTermItem(term_id="t", item_id=f"i{n}", protocol_code=f"hr:{n}"))
            for n in range(125 * blocks)
        ]
        sink = CountingSink()
        driver = ModbusTcpDriver(device, DriverContext(sink))
        driver.configure(points)
        await driver.connect()
        sinks.append(sink)
        drivers.append((driver, driver.plan(points)))

    async def run(driver: ModbusTcpDriver, plan: object, end: float) -> None:
        while time.monotonic() < end:
            await driver.poll(plan)

    pipe.send(1)
    server_before = pipe.recv()
    start, before = time.monotonic(), cpu()
    tasks = [asyncio.create_task(run(driver, plan, start + seconds)) for driver, plan in drivers]
    await asyncio.gather(*tasks)
    elapsed, used = time.monotonic() - start, cpu() - before
    pipe.send(1)
    server_used = pipe.recv() - server_before
    values = sum(sink.count for sink in sinks)
    requests = values / 125
    print(
        f"{backend:9} {devices:7} {depth:5} {blocks:6} {requests / elapsed:10,.0f} {values / elapsed:12,.0f} "
        f"{used / requests * 1e6:12.1f} {used / values * 1e6:12.3f} {used / elapsed:7.0%} "
        f"{server_used / requests * 1e6:12.1f}"
    )
    for driver, _ in drivers:
        await driver.close()


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--seconds", type=float, default=2.0)
    options = parser.parse_args()
    context = multiprocessing.get_context("spawn")
    here, there = context.Pipe()
    process = context.Process(target=serve, args=(there,), daemon=True)
    process.start()
    port = here.recv()
    print("backend   devices depth blocks requests/s     values/s us CPU/block us CPU/value     CPU server us/rq")
    try:
        for backend, devices, depth, blocks in [
            ("native", 1, 1, 1),
            ("native", 1, 1, 8),
            ("native", 1, 8, 8),
            ("native", 10, 1, 1),
            ("native", 10, 1, 8),
            ("native", 10, 8, 8),
            ("pymodbus", 1, 1, 8),
            ("pymodbus", 10, 1, 8),
        ]:
            uvloop.run(
                measure(
                    port,
                    here,
                    devices=devices,
                    depth=depth,
                    blocks=blocks,
                    seconds=options.seconds,
                    backend=backend,
                )
            )
    finally:
        process.terminate()
        process.join()


if __name__ == "__main__":
    main()
