"""A plant that numbers what it sends, readers that say what was stored, and load whose every answer is kept.

Who is right in the end is not asked of the system: the simulated devices know which numbers left them and which
values were written to them, and the client knows what it was told.
"""

from __future__ import annotations

import asyncio
import time
from array import array
from collections import Counter
from collections.abc import Callable, Iterable, Mapping
from contextlib import AsyncExitStack, suppress
from dataclasses import dataclass, field
from itertools import pairwise
from typing import Any

import aiohttp
import redis
import redis.asyncio

from pydatacoll.codec.entry import decode_entry
from pydatacoll.codec.registers import Layout
from pydatacoll.store import keys
from pydatacoll.store.stream import decode_payload
from pydatacoll.testing.modbus_server import ModbusServer
from pydatacoll.testing.signals import Sequence
from test.system.rig import Client, eventually

UINT32 = Layout("uint32")
STREAMS = [keys.stream(partition) for partition in range(keys.PARTITIONS)]
GROUP = "oracle"
Point = tuple[str, str]
"""Device and item."""
BACK = 10.0
"""Seconds in which polling must be back; asserted where nothing else uses the machine, elsewhere printed."""


class Plant:
    """Devices ``d0``, ``d1``, ...; each has numbered input registers ``s0``, ... and a register ``c`` to write to.

    :ivar servers: device -> its simulator.
    :ivar sequences: point -> what it sent.
    :ivar timeout: of the devices, seconds; longer than this process, which simulates them, ever stands still: what
        is answered too late is no loss.
    """

    def __init__(
        self,
        devices: int = 6,
        points: int = 4,
        *,
        interval: float = 0.05,
        host: str = "127.0.0.1",
        history: int = 100_000,
        timeout: float = 5.0,
    ) -> None:
        self.host = host
        self.timeout = timeout
        self.interval = interval
        self.points = points
        self.servers = {f"d{n}": ModbusServer(host=host, history=history) for n in range(devices)}
        self.sequences: dict[Point, Sequence] = {}
        self._stack = AsyncExitStack()
        for device, server in self.servers.items():
            server.faults.rng.seed(device)  # else all show their faults at the same requests
            for n in range(points):
                sequence = self.sequences[device, f"s{n}"] = Sequence()
                server.inputs().signal(2 * n, sequence, UINT32)

    async def __aenter__(self) -> Plant:
        for server in self.servers.values():
            await self._stack.enter_async_context(server)
        return self

    async def __aexit__(self, *_: object) -> None:
        await self._stack.aclose()

    async def configure(self, client: Client, ports: dict[str, int] | None = None, **options: Any) -> None:
        """Make the model of it; ``ports`` are those that a manager connects to, when they are not the devices'."""
        items = [*(f"s{n}" for n in range(self.points)), "c"]
        codes = {item: "hr:0" if item == "c" else f"ir:{2 * n}" for n, item in enumerate(items)}
        await client.send("POST", "/api/v2/items", [{"id": item, "name": item} for item in items])
        devices = [
            {
                "id": device,
                "name": device,
                "protocol": "modbus_tcp",
                "ip": self.host,
                "port": (ports or {}).get(device, server.port),
                "poll_interval": self.interval,
                "timeout": self.timeout,
                **options,
            }
            for device, server in self.servers.items()
        ]
        await client.send("POST", "/api/v2/devices", devices)
        terms = [{"id": f"{device}t", "name": "t", "device_id": device} for device in self.servers]
        await client.send("POST", "/api/v2/terms", terms)
        points = [
            {
                "term_id": f"{device}t",
                "item_id": item,
                "protocol_code": code,
                "code_type": "uint32",
                "writable": item == "c",
                "poll_interval": 1.0 if item == "c" else None,
            }
            for device in self.servers
            for item, code in codes.items()
        ]
        for first in range(0, len(points), 5000):
            await client.send("POST", "/api/v2/term_items", points[first : first + 5000])

    async def stop_polling(self, client: Client) -> None:
        """Disable the devices: from then on nothing is sent any more."""
        for device in self.servers:
            await client.send("PATCH", f"/api/v1/devices/{device}", {"enabled": False})
        await eventually(lambda: not any(s.connections for s in self.servers.values()), "nothing is polled")

    def written(self) -> Counter[int]:
        """Value -> how often a device was told it."""
        values = (request.pdu[-4:] for server in self.servers.values() for request in server.written)
        return Counter(int.from_bytes(value, "big") for value in values)

    def sent(self) -> int:
        return sum(sequence.value - len(sequence.spoiled) for sequence in self.sequences.values())


@dataclass
class Verdict:
    """Of all numbers.

    :ivar unacknowledged: sent, but not stored: under way between device and store when something was killed.
    :ivar lost: once stored (an entry of the stream was read), and not there any more.
    :ivar foreign: stored, but never sent in a right reply.
    :ivar gaps: point -> number of separate gaps.
    """

    sent: int = 0
    stored: int = 0
    unacknowledged: int = 0
    lost: int = 0
    duplicated: int = 0
    disordered: int = 0
    foreign: int = 0
    gaps: Counter[Point] = field(default_factory=Counter)

    @property
    def right(self) -> bool:
        return not (self.lost or self.duplicated or self.disordered or self.foreign)


class Reader:
    """A consumer group that notes every number that is stored, from before the first to the last.

    :ivar stored: point -> numbers in the order of the stream.
    :ivar count: of all.
    """

    def __init__(self, url: Callable[[], str], points: Mapping[Point, Sequence]) -> None:
        self._url = url
        self._sequences = points
        self.count = 0
        self.stored = {point: array("I") for point in points}
        self._entries: dict[bytes, str] = {}
        self._task: asyncio.Task[None] | None = None

    async def __aenter__(self) -> Reader:
        async with self._client() as client:
            for name in STREAMS:
                await client.xgroup_create(name, GROUP, id="0", mkstream=True)
        self._task = asyncio.create_task(self._run())
        return self

    async def __aexit__(self, *_: object) -> None:
        if self._task is not None:
            self._task.cancel()
            with suppress(asyncio.CancelledError):
                await self._task

    def _client(self) -> redis.asyncio.Redis:
        return redis.asyncio.Redis.from_url(self._url(), protocol=2, socket_timeout=None)

    async def _run(self) -> None:
        while True:
            # the embedded server's address is not there between two starts
            with suppress(OSError, redis.RedisError):
                async with self._client() as client:
                    while await self._read(client, "0"):  # what a broken connection had been given
                        pass
                    while True:
                        await self._read(client, ">")
            await asyncio.sleep(0.05)

    async def _read(self, client: redis.asyncio.Redis, after: str) -> int:
        """Entries of all streams, noted and acknowledged; how many."""
        reply = await client.xreadgroup(GROUP, GROUP, dict.fromkeys(STREAMS, after), count=100, block=500)
        count = 0
        for name, entries in reply:
            for entry_id, fields in entries:
                self._take(name, entry_id.decode(), fields.get(b"b"))
            if entries:
                await client.xack(name, GROUP, *(entry_id for entry_id, _ in entries))
            count += len(entries)
        return count

    def _take(self, name: bytes, entry_id: str, payload: bytes | None) -> None:
        if payload is None or _number(entry_id) <= _number(self._entries.get(name, "0-0")):
            return  # trimmed, or delivered again
        self._entries[name] = entry_id
        for device in decode_payload(payload):
            qualities = device.qualities
            for i, (field_name, value) in enumerate(zip(device.fields, device.values, strict=True)):
                point = (device.device_id, field_name.partition(":")[2])
                if point in self.stored and not (qualities[i] if isinstance(qualities, list) else qualities):
                    self.stored[point].append(value)
                    self.count += 1

    def newest(self) -> dict[Point, int]:
        """The last numbers that were sent, stored or not: what is newer was sent after this moment."""
        return {point: sequence.value for point, sequence in self._sequences.items()}

    async def recovered(self, since: float, before: dict[Point, int], *, within: float = 60.0) -> float:
        """Wait until newer numbers than ``before`` of every point are stored; seconds since then."""
        await eventually(
            lambda: all(numbers and numbers[-1] > before[point] for point, numbers in self.stored.items()),
            "all points are polled and stored again",
            within=within,
        )
        return time.monotonic() - since

    async def caught_up(self, client: redis.Redis) -> None:
        """Wait until everything in the streams was read."""

        def nothing_left() -> bool:
            groups = [row for name in client.scan_iter("STREAM:DATA:*") for row in client.xinfo_groups(name)]
            return not any(row["pending"] or row["lag"] for row in groups if row["name"] == GROUP)

        await eventually(nothing_left, "the reader has read everything")

    def judge(self, plant: Plant) -> Verdict:
        """Compare with what was sent; polling must have stopped, or the end of each sequence is left out."""
        verdict = Verdict(sent=plant.sent())
        for point, numbers in self.stored.items():
            sequence = plant.sequences[point]
            there = set(numbers)
            verdict.stored += len(there)
            verdict.duplicated += len(numbers) - len(there)
            verdict.disordered += sum(b < a for a, b in pairwise(numbers))
            right = set(range(1, sequence.value + 1)) - sequence.spoiled
            verdict.foreign += len(there - right)
            missing = sorted(right - there - sequence.late - {sequence.value})
            verdict.unacknowledged += len(missing)
            verdict.gaps[point] = sum(n - 1 not in missing for n in missing)
        return verdict

    async def judged(self, plant: Plant, enough: Callable[[Verdict], bool]) -> Verdict:
        """The same, as soon as it is good ``enough``: after the end of polling the last samples may still be on
        their way to the store."""
        verdict = self.judge(plant)

        def good() -> bool:
            nonlocal verdict
            verdict = self.judge(plant)
            return enough(verdict)

        await eventually(good, lambda: f"nothing is missing that should not be: {verdict}")
        return verdict

    def forgotten(self, client: redis.Redis, points: Iterable[Point] | None = None, *, cut: bool = False) -> int:
        """Numbers once read from the stream that the history lists do not have; twice there counts, too.

        :param points: to look at; all when not given.
        :param cut: the lists are shorter than what was stored: only look at what is newer than their beginning.
        """
        wrong = 0
        for device, item in self.stored if points is None else points:
            numbers = self.stored[device, item]
            name = keys.history(keys.partition_of(device), device, f"{device}t:{item}")
            samples = map(decode_entry, client.lrange(name, 0, -1))
            listed = Counter(sample.value for sample in samples if not sample.quality)
            oldest = min(listed, default=0) if cut else 0
            expected = {number for number in numbers[-1000:] if number >= oldest} if cut else set(numbers)
            wrong += sum(listed[number] != 1 for number in expected)
        return wrong


def _number(entry_id: str) -> tuple[int, int]:
    milliseconds, _, sequence = entry_id.partition("-")
    return int(milliseconds), int(sequence)


class Load:
    """Clients that write to devices and change the model, all the time, whatever answers they get.

    :ivar client: of the API server that runs now.
    :ivar confirmed: values whose write was answered 200.
    :ivar tried: values whose write was sent at least once.
    :ivar there: object path -> what was acknowledged of it, ``None`` for its deletion; unknown ones are left out.
    """

    def __init__(self, client: Client, plant: Plant, *, pause: float = 0.02) -> None:
        self.client = client
        self._plant = plant
        self._pause = pause
        self._number = 0
        self.confirmed: set[int] = set()
        self.tried: set[int] = set()
        self.answers: Counter[int | str] = Counter()
        self.there: dict[str, dict[str, Any] | None] = {}
        self.changes = 0
        self._tasks: list[asyncio.Task[None]] = []

    async def __aenter__(self) -> Load:
        self._tasks = [
            asyncio.create_task(self._forever(self._write)),
            asyncio.create_task(self._forever(self._write)),
            asyncio.create_task(self._forever(self._change)),
        ]
        return self

    async def __aexit__(self, *_: object) -> None:
        for task in self._tasks:
            task.cancel()
        for result in await asyncio.gather(*self._tasks, return_exceptions=True):
            if isinstance(result, Exception):
                raise result

    async def _forever(self, work: Callable[[], Any]) -> None:
        while True:
            await work()
            await asyncio.sleep(self._pause)

    async def _request(self, method: str, path: str, body: Any = None, **headers: str) -> int | None:
        """Status; ``None`` when nothing is known because the connection broke."""
        try:
            answer = await self.client.request(method, path, body, **headers)
        except (aiohttp.ClientError, ConnectionError):
            self.answers["broken"] += 1
            return None
        self.answers[answer.status] += 1
        return answer.status

    async def _write(self) -> None:
        """A value that was never written before, with an idempotency key, again until the answer is final."""
        self._number += 1
        value = self._number
        devices = list(self._plant.servers)
        device = devices[value % len(devices)]
        body = {"device_id": device, "term_id": f"{device}t", "item_id": "c", "value": value, "expires_in": 2}
        self.tried.add(value)
        for attempt in range(4):
            status = await self._request("POST", "/api/v1/device_ctrl", body, **{"Idempotency-Key": f"w{value}"})
            if status == 200:
                self.confirmed.add(value)
            if status not in (None, 503):
                break
            await asyncio.sleep(0.1 * attempt)

    async def _change(self) -> None:
        """Make and change fifty devices, each with a term and a point, and items; then delete them, and so on."""
        cycle, step = divmod(self.changes, 3)
        self.changes += 1
        turn, number = divmod(cycle, 50)
        name = f"m{number}"
        item, device = f"/api/v1/items/{name}", f"/api/v1/devices/{name}"
        if turn % 2:
            if step < 2:
                await self._set("DELETE", (device, item)[step], (device, item)[step], None)
        elif step == 0:
            await self._set("POST", "/api/v1/items", item, {"id": name, "name": "new"})
        elif step == 1:
            body = {"id": name, "name": "new", "protocol": "modbus_tcp", "enabled": False}
            await self._set("POST", "/api/v1/devices", device, body)
            await self._request("POST", "/api/v1/terms", {"id": f"{name}t", "name": "t", "device_id": name})
            point = {"item_id": name, "protocol_code": "hr:0"}
            await self._request("POST", f"/api/v1/terms/{name}t/items", point)
        elif number % 3:
            await self._set("PATCH", item, item, {"name": f"changed {self.changes}"})
        else:
            await self._set("DELETE", device, device, None)

    async def _set(self, method: str, path: str, key: str, body: dict[str, Any] | None) -> None:
        known = self.there.pop(key, {})  # unknown until the answer
        status = await self._request(method, path, body)
        if status in (200, 201):
            self.there[key] = None if body is None else {**(known or {}), **body}
        elif status is not None and status < 500 and known != {}:
            self.there[key] = known

    async def verify(self, client: Client) -> list[str]:
        """What was acknowledged and is not so; and commands that ran twice, or did not run and were confirmed."""
        wrong = []
        for path, body in list(self.there.items()):
            answer = await client.request("GET", path)
            if body is None:
                if answer.status != 404:
                    wrong.append(f"{path} was deleted and answers {answer.status}")
            elif answer.status != 200 or any(answer.body.get(name) != value for name, value in body.items()):
                wrong.append(f"{path} should be {body} and is {answer}")
        written = self._plant.written()
        wrong += [f"{value} was written {times} times" for value, times in written.items() if times > 1]
        wrong += [f"{value} was confirmed and not written" for value in self.confirmed - written.keys()]
        wrong += [f"{value} was written and never asked for" for value in written.keys() - self.tried]
        return wrong


def table(title: str, rows: dict[str, Any]) -> None:
    """Print figures."""
    print(f"\n{title}")
    for name, value in rows.items():
        print(f"  {name:<24} {f'{value:.2f}' if isinstance(value, float) else value}")
