"""Stopping while everything is busy: quickly, in order, and without losing what was acknowledged."""

from __future__ import annotations

import asyncio
import os
import signal
import socket
import time
from contextlib import ExitStack

import aiohttp
import pytest

from pydatacoll.testing.modbus_server import Fault
from test.system.rig import eventually

DEVICES = 8
POINTS = 60


async def plant(client, port):
    """Devices that are polled without pause, points that are written on their own device."""
    numbers = range(DEVICES)
    await client.send(
        "POST",
        "/api/v2/devices",
        [
            {
                "id": f"d{n}",
                "name": "d",
                "protocol": "modbus_tcp",
                "ip": "127.0.0.1",
                "port": port,
                "poll_interval": 0,
            }
            for n in numbers
        ],
    )
    await client.send("POST", "/api/v2/items", [{"id": f"i{n}", "name": "i"} for n in range(POINTS)])
    terms = [{"id": f"d{n}t", "name": "t", "device_id": f"d{n}"} for n in numbers]
    await client.send("POST", "/api/v2/terms", terms)
    points = [
        {"term_id": f"d{n}t", "item_id": f"i{m}", "protocol_code": f"hr:{m}", "writable": True}
        for n in numbers
        for m in range(POINTS)
    ]
    await client.send("POST", "/api/v2/term_items", points)


class Load:
    """Clients that write objects, control points and read, until the server is gone; counts what it confirmed."""

    def __init__(self, client):
        self.client = client
        self.created = []
        self.controlled = []
        self.reads = 0
        self._tasks = []

    def start(self):
        work = [self.create, self.control, self.control, self.read, self.read, self.read]
        self._tasks = [asyncio.create_task(self._forever(one, n)) for n, one in enumerate(work)]

    async def _forever(self, work, worker):
        number = 0
        while True:
            number += 1
            try:
                await work(worker, number)
            except aiohttp.ClientError:
                return

    async def create(self, worker, number):
        name = f"x{worker}.{number}"
        answer = await self.client.request("POST", "/api/v1/items", {"id": name, "name": name})
        if answer.status == 201:
            self.created.append(name)

    async def control(self, worker, number):
        value = worker * 10_000 + number
        answer = await self.client.ctrl(value, f"i{worker}", f"d{worker}")
        if answer.status == 200:
            self.controlled.append((worker, value))

    async def read(self, worker, number):
        self.reads += (await self.client.request("GET", "/api/v2/values")).status == 200

    async def ended(self):
        await asyncio.gather(*self._tasks)


def slow_clients(stack, url):
    """Connections that never finish their request, never read their answer, or just stay."""
    host, port = url.removeprefix("http://").split(":")
    for request in (
        b"",
        b"GET /api/v2/values HT",
        b"POST /api/v1/items HTTP/1.1\r\nHost: x\r\nContent-Length: 100\r\n\r\n{",
        b"GET /api/v2/values HTTP/1.1\r\nHost: x\r\n\r\n" * 200,
        b"GET /healthz HTTP/1.1\r\nHost: x\r\n\r\n",
    ):
        for _ in range(4):
            connection = stack.enter_context(socket.create_connection((host, int(port))))
            connection.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 2048)
            connection.sendall(request)


@pytest.mark.parametrize("managers", [0, 2])
async def test_a_stop_under_full_load_loses_nothing_acknowledged(rig, plc, managers):
    api = await rig.api("--managers", str(managers))
    await api.client.ready()
    await plant(api.client, plc.port)
    await api.client.shows(0, "i0", f"d{DEVICES - 1}")
    load = Load(api.client)
    load.start()
    await eventually(
        lambda: len(load.created) > 30 and len(load.controlled) > 30 and load.reads > 30, "load", within=30
    )

    async def all_polled():
        return len(await api.client.get("/api/v2/values")) == DEVICES * POINTS

    await eventually(all_polled, "every point has a value")
    with ExitStack() as stack:
        slow_clients(stack, api.client.url)
        under_way = len(plc.received)
        await eventually(lambda: len(plc.received) > under_way + 50, "polling goes on")
        started = time.monotonic()
        os.kill(api.pid, signal.SIGTERM)
        assert await api.ended(within=20) == 0
        seconds = time.monotonic() - started
        await load.ended()
    print(
        f"stopped in {seconds:.2f} s with {managers} manager processes; confirmed: {len(load.created)} objects, "
        f"{len(load.controlled)} controls, {load.reads} reads"
    )
    assert not rig.children()
    written = [int.from_bytes(request.pdu[3:5]) for request in plc.written if request.function == 6]
    assert {value % 65536 for _, value in load.controlled} <= set(written)
    assert len(written) == len(set(written)), "a control ran twice"
    again = await rig.api("--no-manager")
    assert set(await again.client.get("/api/v1/items")) >= set(load.created)
    stored = await again.client.get("/api/v2/values")
    assert len(stored) == DEVICES * POINTS


async def test_a_second_signal_ends_it_at_once(rig, plc):
    api = await rig.api(server__call_timeout=30)
    await api.client.add(port=plc.port, timeout=30, poll_interval=3600)
    await api.client.shows(0)
    with ExitStack() as stack:
        slow_clients(stack, api.client.url)
        plc.faults.add(Fault("silence"))
        control = asyncio.create_task(api.client.ctrl(1))
        await eventually(
            lambda: any(request.function == 6 for request in plc.received), "it has reached the device"
        )
        api.expected_code = 128 + signal.SIGINT
        os.kill(api.pid, signal.SIGINT)
        await api.logged("stopping")
        os.kill(api.pid, signal.SIGINT)
        await api.ended(within=10)
        await asyncio.gather(control, return_exceptions=True)
    await eventually(lambda: not rig.children(), "the store follows", within=10)


async def test_the_log_of_a_start_and_a_stop_tells_both(rig):
    api = await rig.api("--demo")
    await api.logged("the demo plant is loaded")
    await api.stop()
    assert '"message":"stopping"' in api.log
