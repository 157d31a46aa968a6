"""Live push over a real store: the application, and a writer that stands for a device manager."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from contextlib import asynccontextmanager, suppress
from typing import Any

import aiohttp

from pydatacoll.api.access import Access
from pydatacoll.api.app import create_app
from pydatacoll.api.services import Services
from pydatacoll.live.budget import Budget
from pydatacoll.live.feed import Feed
from pydatacoll.model import Value
from pydatacoll.model.validation import Schemas
from pydatacoll.protocols.formula import FormulaDriver
from pydatacoll.protocols.modbus_tcp import ModbusTcpDriver
from pydatacoll.settings import Settings
from pydatacoll.store import keys
from pydatacoll.store.alarms import Alarms
from pydatacoll.store.audit import Audit
from pydatacoll.store.client import Store
from pydatacoll.store.commands import CommandClient
from pydatacoll.store.history import History
from pydatacoll.store.ingest import Writer
from pydatacoll.store.packets import Account, Packet
from pydatacoll.store.repository import Repository
from pydatacoll.store.status import StatusReader
from test.api_client import Api, serve

SCHEMAS = Schemas({"modbus_tcp": ModbusTcpDriver, "formula": FormulaDriver})
VIRTUAL = {name: driver.virtual for name, driver in SCHEMAS.protocols.items()}


async def _ready() -> list[str]:
    return []


class Socket:
    """A client of ``/api/v2/live``; :meth:`get` gives its messages but for signs of life."""

    def __init__(self, ws: aiohttp.ClientWebSocketResponse) -> None:
        self.ws = ws
        self.hello: dict[str, Any] = {}
        self.alive = 0

    async def any(self) -> dict[str, Any]:
        message = await self.ws.receive()
        assert message.type is aiohttp.WSMsgType.TEXT, message
        found: dict[str, Any] = json.loads(message.data)
        return found

    async def get(self) -> dict[str, Any]:
        while True:
            message = await self.any()
            if message.get("op") != "alive":
                return message
            self.alive += 1

    async def send(self, **message: Any) -> None:
        await self.ws.send_str(json.dumps(message))

    async def sub(self, name: Any = "s", **more: Any) -> dict[str, Any]:
        """Subscribe; the snapshot, its pieces put together."""
        await self.send(op="sub", id=name, **more)
        return await self.snapshot(name)

    async def snapshot(self, name: Any = "s") -> dict[str, Any]:
        whole: dict[str, Any] = {}
        while True:
            piece = await self.get()
            assert (piece.get("op"), piece.get("id")) == ("snapshot", name), piece
            rows = whole.get("c", []) + piece.get("c", [])
            more = piece.pop("more", False)
            whole |= piece
            if "c" in whole:
                whole["c"] = rows
            if not more:
                return whole

    async def row(self, name: Any = "s") -> list[Any]:
        """The only row of the next message."""
        message = await self.get()
        assert message["id"] == name, message
        (row,) = message["c"]
        return list(row)

    async def values(self, name: Any = "s", *, until: Any = None) -> dict[str, Any]:
        """Values by point, of messages until the last one of ``until`` has come."""
        found: dict[str, Any] = {}
        while True:
            message = await self.get()
            assert message["id"] == name, message
            found |= {row[0]: row[2] for row in message.get("c", ())}
            if until is None or until.items() <= found.items():
                return found

    async def closed(self) -> int:
        """The close code, after whatever still comes."""
        while True:
            message = await self.ws.receive()
            if message.type is aiohttp.WSMsgType.CLOSE:
                return int(message.data)
            if message.type in (aiohttp.WSMsgType.CLOSED, aiohttp.WSMsgType.CLOSING):
                return int(self.ws.close_code or 0)


class LiveRig:
    """The server, its store, and a writer."""

    def __init__(self, store: Store, api: Api, feed: Feed, services: Services) -> None:
        self.access = services.access
        self.http = services.http
        self.store = store
        self.api = api
        self.feed = feed
        self.writer = Writer(store, "w")
        self.stop: Callable[[], Awaitable[None]]
        self._time = 1_800_000_000.0

    async def plant(self, device: str = "d", items: Sequence[str] = ("i",), **more: Any) -> None:
        """A device with one term ``DEVICE-t`` and some items."""
        post = self.api.post
        await post("/api/v1/devices", {"id": device, "name": device, "protocol": "modbus_tcp", **more})
        await post("/api/v1/terms", {"id": f"{device}-t", "name": "t", "device_id": device})
        await post("/api/v2/items", [{"id": item, "name": item} for item in items], 200)
        points = [
            {"term_id": f"{device}-t", "item_id": item, "protocol_code": f"hr:{n}", "writable": True}
            for n, item in enumerate(items)
        ]
        await post("/api/v2/term_items", points, 200)

    async def put(self, device: str = "d", **values: Value) -> None:
        """Store values of items."""
        self._time += 1
        partition = keys.partition_of(device, self.store.partitions)
        fields = [f"{device}-t:{item}" for item in values]
        self.writer.put(Packet(partition, device, Account(), fields, list(values.values()), self._time, 0, 100))
        await self.writer.flush()

    async def own(self) -> None:
        """A manager owns all devices."""
        for partition in range(self.store.partitions):
            await self.store.redis.set(keys.lease(partition), "m")

    @asynccontextmanager
    async def socket(self, **options: Any) -> AsyncIterator[Socket]:
        url = f"{self.api.url}/api/v2/live"
        async with self.api.session.ws_connect(url, max_msg_size=0, **options) as ws:
            one = Socket(ws)
            one.hello = await one.get()
            assert one.hello["op"] == "hello"
            yield one


@asynccontextmanager
async def live_rig(store: Store, settings: Settings | None = None, **options: Any) -> AsyncIterator[LiveRig]:
    """Everything, with a manager that owns all devices."""
    settings = settings or Settings()
    repository = Repository(store, SCHEMAS)
    await repository.start()
    commands = CommandClient(store)
    server = settings.server
    budget = Budget(server.live_subscriptions, server.live_points)
    feed = Feed(store, repository, VIRTUAL, most=server.live_clients, budget=budget, **options)
    services = Services(
        settings=settings,
        schemas=SCHEMAS,
        repository=repository,
        history=History(store),
        status=StatusReader(store),
        commands=commands,
        alarms=Alarms(store),
        readiness=_ready,
        metrics=lambda: b"",
        audit=Audit(store),
        access=Access(settings.auth),
        live=feed,
    )
    tasks = [asyncio.create_task(commands.run())]
    try:
        app = create_app(services)
        async with serve(app) as api:
            rig = LiveRig(store, api, feed, services)
            tasks.append(asyncio.create_task(rig.writer.run()))
            rig.stop = app.shutdown
            await rig.own()
            yield rig
    finally:
        for task in tasks:
            task.cancel()
            with suppress(asyncio.CancelledError):
                await task
        await repository.stop()
