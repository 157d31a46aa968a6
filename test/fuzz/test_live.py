"""Random messages and random bytes at live push: answers and closed connections, never anything else."""

from __future__ import annotations

import asyncio
import json
import logging
import random
from typing import Any

import aiohttp
import pytest

from pydatacoll.store.client import Store
from test.integration.live_rig import LiveRig, live_rig

KNOWN = {"hello", "snapshot", "error", "pong", "unsubscribed", "alive"}
CODES = {1000, 1002, 1003, 1006, 1007, 1008, 1009}


def _anything(chance: random.Random, depth: int = 0) -> Any:
    kinds = 8 if depth < 3 else 6
    match chance.randrange(kinds):
        case 0:
            return chance.choice(["sub", "unsub", "ping", "*", "d", "d:t:i", "values", "a:b:c:d", "", "x" * 100])
        case 1:
            return chance.choice([0, 1, -1, 100, 250, 5000, 5001, 2**60, 10**400])
        case 2:
            return chance.choice([None, True, False])
        case 3:
            return chance.random() * chance.choice([1, 1e300])
        case 4:
            return "".join(chr(chance.randrange(1, 0xD800)) for _ in range(chance.randrange(6)))
        case 5:
            return chance.choice([["*"], ["d:d-t:i"], ["values", "events"], ["devices", "alarms"]])
        case 6:
            return [_anything(chance, depth + 1) for _ in range(chance.randrange(4))]
        case _:
            return {str(_anything(chance, 9)): _anything(chance, depth + 1) for _ in range(chance.randrange(4))}


def _message(chance: random.Random) -> str:
    members = ("id", "globs", "ids", "rate", "topics", "epoch", "since")
    made: Any = {name: _anything(chance) for name in members if chance.random() < 0.4}
    made["op"] = chance.choice(["sub", "sub", "sub", "unsub", "ping", _anything(chance)])
    text = json.dumps(made if chance.random() < 0.9 else _anything(chance))
    if chance.random() < 0.02:
        text = text[: chance.randrange(len(text) + 1)] + chance.choice(["", "}", "\0", "\ud800"])
    return text


async def _talk(rig: LiveRig, chance: random.Random, messages: int) -> None:
    """Send on one connection until it ends, reading what comes."""
    async with rig.api.session.ws_connect(f"{rig.api.url}/api/v2/live", max_msg_size=0) as ws:

        async def read() -> None:
            async for message in ws:
                assert message.type is aiohttp.WSMsgType.TEXT
                content = json.loads(message.data)
                assert content.get("op", "alive") in KNOWN
                if content.get("op") == "error":
                    assert content["status"] in (422, 429)

        reading = asyncio.create_task(read())
        for _ in range(messages):
            if ws.closed:
                break
            data = _message(chance).encode("utf-8", "surrogatepass")
            try:
                await ws.send_frame(data, aiohttp.WSMsgType.TEXT)
            except ConnectionError:
                break
        await ws.close()
        await reading
        assert ws.close_code in CODES


async def test_random_messages_get_answers(store: Store, caplog: pytest.LogCaptureFixture) -> None:
    async with live_rig(store) as rig:
        await rig.plant()
        await rig.put(i=1)
        for seed in range(40):
            await _talk(rig, random.Random(seed), 100)
        async with rig.socket() as socket:
            assert (await socket.sub())["points"] == 1
    assert [record for record in caplog.records if record.levelno >= logging.WARNING] == []


async def test_random_frames_end_connections_and_nothing_else(
    store: Store, caplog: pytest.LogCaptureFixture
) -> None:
    async with live_rig(store) as rig:
        for seed in range(60):
            chance = random.Random(seed)
            reader, writer = await asyncio.open_connection("127.0.0.1", rig.api.port)
            writer.write(
                b"GET /api/v2/live HTTP/1.1\r\nHost: localhost\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
                b"Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: MDEyMzQ1Njc4OWFiY2RlZg==\r\n\r\n"
            )
            writer.write(chance.randbytes(chance.randrange(1, 2000)))
            writer.write_eof()
            try:
                while await reader.read(65536):
                    pass
            except ConnectionError:
                pass
            writer.close()
        async with rig.socket() as socket:
            await socket.send(op="ping")
            assert (await socket.get())["op"] == "pong"
        while len(rig.feed.clients):
            await asyncio.sleep(0)
    assert [record for record in caplog.records if record.levelno >= logging.WARNING] == []
