"""Simulated Modbus devices as a program: one or a thousand of them in one process."""

from __future__ import annotations

import asyncio
import copy
import random
import resource
from collections.abc import Callable, Sequence
from contextlib import AsyncExitStack

from pydatacoll.testing.faults import Fault, Faults
from pydatacoll.testing.modbus_server import ModbusServer
from pydatacoll.testing.signals import Counter, Ramp, RandomWalk, Signal, Sine

SIGNALS: dict[str, Callable[[int], Signal]] = {
    "sine": lambda address: Sine(32768, 20000, 60, address),
    "counter": lambda _: Counter(),
    "ramp": lambda address: Ramp(0, 65535, 100 + address % 100),
    "walk": lambda address: RandomWalk(0, 65535, 500, address),
}
"""Names for the command line; ``rotate`` changes every register at every reading, ``fixed`` none."""


def device(
    host: str, port: int, units: Sequence[int], registers: int, signal: str, *, faults: Faults | None = None
) -> ModbusServer:
    """One simulated device, not yet started; see :func:`simulate`."""
    if signal not in (*SIGNALS, "rotate", "fixed"):
        raise ValueError(f"unknown signal {signal!r}; known: {', '.join((*SIGNALS, 'rotate', 'fixed'))}")
    server = ModbusServer(units=units, host=host, port=port, history=0)
    if faults is not None:
        server.faults = faults
    for unit in server.units.values():
        unit.limit(registers)
        if signal == "rotate":
            continue
        for table in (unit.holding, unit.inputs):
            for address in range(registers):
                if signal in SIGNALS:
                    table.signal(address, SIGNALS[signal](address))
                else:
                    table[address] = address & 0xFFFF
    if signal == "rotate":
        server.rotate()
    return server


def allow_sockets(devices: int) -> None:
    """Raise the limit of open files for so many devices: a thousand of them need more than the usual 1024."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    if soft != resource.RLIM_INFINITY and soft < 8 * devices:
        wanted = 8 * devices if hard == resource.RLIM_INFINITY else min(8 * devices, hard)
        resource.setrlimit(resource.RLIMIT_NOFILE, (wanted, hard))


async def simulate(  # noqa: PLR0917 - an established call
    host: str,
    port: int,
    units: Sequence[int],
    registers: int,
    signal: str,
    on_ready: Callable[[int], None] | None = None,
    *,
    devices: int = 1,
    faults: Sequence[Fault] = (),
    seed: int = 0,
    max_connections: int | None = None,
) -> None:
    """Run simulated devices until cancelled.

    :param port: of the first device, the others follow; 0 takes any free one, for one device only.
    :param units: unit ids.
    :param registers: holding and input registers per unit, coils and discrete inputs as many; higher addresses
        give exception 2.
    :param signal: a name of :data:`SIGNALS`, ``rotate`` or ``fixed``.
    :param on_ready: called with the first port once all listen.
    :param devices: how many; each has a port, tables and fault rules of its own.
    :param faults: rules of each device, first match wins.
    :param seed: of the faults' probabilities; a device's own is this plus its number from 0.
    :param max_connections: of each device; more are closed at once.
    :raises ValueError: for an unknown signal, more than 65536 registers, or ports beyond 65535.
    """
    if devices > 1 and not 0 < port <= 65536 - devices:
        raise ValueError(f"{devices} devices need a first port of 1 to {65536 - devices}")
    allow_sockets(devices)
    async with AsyncExitStack() as stack:
        first = port
        for number in range(devices):
            own = Faults([copy.copy(fault) for fault in faults], random.Random(seed + number))
            server = device(host, port + number, units, registers, signal, faults=own)
            server.max_connections = max_connections
            await stack.enter_async_context(server)
            first = server.port if number == 0 else first
        if on_ready is not None:
            on_ready(first)
        await asyncio.Event().wait()
