"""Live push: bad input, foreign pages, tokens, and clients that do not behave."""

from __future__ import annotations

import asyncio
import hashlib
import json
import socket as sockets
from collections.abc import AsyncIterator
from typing import Any

import aiohttp
import pytest

from pydatacoll.api import live as api_live
from pydatacoll.api import overview as api_overview
from pydatacoll.live import client as live_client
from pydatacoll.model.event import Event
from pydatacoll.settings import AuthSettings, ServerSettings, Settings, TokenSettings
from pydatacoll.store.client import Store
from pydatacoll.store.events import note
from pydatacoll.store.leases import Leases
from test.integration.live_rig import LiveRig, live_rig


def _token(name: str, **more: Any) -> TokenSettings:
    return TokenSettings(name=name, hash=hashlib.sha256(name.encode()).hexdigest(), scope="read", **more)


@pytest.fixture
async def rig(store: Store) -> AsyncIterator[LiveRig]:
    async with live_rig(store) as made:
        yield made


@pytest.fixture
async def guarded(store: Store) -> AsyncIterator[LiveRig]:
    """A server with tokens, one of which is for devices whose names begin with ``north``."""
    admin = TokenSettings(name="admin", hash=hashlib.sha256(b"admin").hexdigest(), scope="admin")
    tokens = [_token("reader"), _token("north", devices=["north*"]), admin]
    async with live_rig(store, Settings(auth=AuthSettings(tokens=tokens))) as made:
        made.api.session.headers["Authorization"] = "Bearer admin"
        yield made


BAD = [
    ("[]", "a message must be a JSON object with op"),
    ("{}", "op must be sub, unsub or ping"),
    ('{"op":"sub"}', "id must be a string of 1 to 64 characters, or a whole number"),
    ('{"op":"sub","id":1.5}', "id must be a string of 1 to 64 characters, or a whole number"),
    ('{"op":"sub","id":"s","rate":50}', "rate must be 0 or 100 to 5000 (milliseconds between batches)"),
    ('{"op":"sub","id":"s","globs":[]}', "globs must have 1 to 100 elements"),
    ('{"op":"sub","id":"s","globs":["a:b:c:d"]}', None),
    ('{"op":"sub","id":"s","ids":["a:b"]}', "ids: 'a:b' is not device:term:item"),
    ('{"op":"sub","id":"s","globs":["*"],"ids":["a:b:c"]}', "either globs or ids, not both"),
    ('{"op":"sub","id":"s","topics":["x"]}', "topics must be some of values, devices, alarms, events"),
    ('{"op":"sub","id":"s","since":-1}', "since must be the seq of the last message"),
    ('{"op":"sub","id":"s","more":1}', "'more' is not a member of sub"),
]


async def test_what_is_wrong_with_a_message_is_said_and_the_connection_goes_on(rig: LiveRig) -> None:
    async with rig.socket() as socket:
        for text, detail in BAD:
            await socket.ws.send_str(text)
            answer = await socket.get()
            assert (answer["op"], answer["status"]) == ("error", 422), text
            assert detail is None or answer["detail"] == detail
            assert answer["id"] == ("s" if '"id":"s"' in text else None)
        await socket.send(op="ping")
        assert (await socket.get())["op"] == "pong"


@pytest.mark.parametrize("text", ["x", '{"op":', "[" * 40 + "]" * 40, '{"op":NaN}', '{"a":1e400}', "\ud800"])
async def test_who_sends_no_json_ten_times_is_thrown_out(rig: LiveRig, text: str) -> None:
    async with rig.socket() as socket:
        raw = text.encode("utf-8", "replace")
        for _ in range(9):
            await socket.ws.send_frame(raw, aiohttp.WSMsgType.TEXT)
            assert (await socket.get())["status"] == 422
        await socket.ws.send_frame(raw, aiohttp.WSMsgType.TEXT)
        assert await socket.closed() == 1008


async def test_a_binary_message_ends_the_connection(rig: LiveRig) -> None:
    async with rig.socket() as socket:
        await socket.ws.send_bytes(b'{"op":"ping"}')
        assert await socket.closed() == 1003


async def test_a_message_that_is_too_large_ends_the_connection(rig: LiveRig) -> None:
    async with rig.socket() as socket:
        await socket.ws.send_str(json.dumps({"op": "sub", "id": "s", "globs": ["x" * 300_000]}))
        assert await socket.closed() == 1009


def _frame(first: int, payload: bytes) -> bytes:
    """A frame of a client, masked with zeros."""
    length = len(payload)
    size = bytes([0x80 | length]) if length < 126 else b"\xfe" + length.to_bytes(2, "big")
    return bytes([first]) + size + b"\0\0\0\0" + payload


async def _raw(rig: LiveRig) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
    """A WebSocket by hand."""
    reader, writer = await asyncio.open_connection("127.0.0.1", rig.api.port)
    writer.write(
        b"GET /api/v2/live HTTP/1.1\r\nHost: localhost\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
        b"Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: MDEyMzQ1Njc4OWFiY2RlZg==\r\n\r\n"
    )
    assert b"101" in await reader.readuntil(b"\r\n\r\n")
    return reader, writer


async def _until_closed(reader: asyncio.StreamReader) -> bytes:
    """All that comes until the connection ends."""
    found = b""
    while True:
        try:
            some = await reader.read(65536)
        except ConnectionError:
            return found
        if not some:
            return found
        found += some


async def test_a_message_in_endless_pieces_ends_the_connection(rig: LiveRig) -> None:
    reader, writer = await _raw(rig)
    ended = asyncio.create_task(_until_closed(reader))
    writer.write(_frame(0x01, b'{"op":"'))
    piece = _frame(0x00, b"x" * 60_000)
    sent = 0
    while not ended.done() and sent < 100:
        try:
            writer.write(piece)
            await writer.drain()
        except ConnectionError:
            break
        sent += 1
        await asyncio.sleep(0)
    assert (1009).to_bytes(2, "big") in await ended
    writer.close()


async def test_more_subscriptions_than_allowed_are_refused_one_by_one(rig: LiveRig) -> None:
    async with rig.socket() as socket:

        async def send() -> None:
            for number in range(10_000):
                await socket.send(op="sub", id=number, globs=[f"d{number}"])

        sending = asyncio.create_task(send())
        kinds = {"snapshot": 0, "error": 0}
        while sum(kinds.values()) < 10_000:
            answer = await socket.get()
            kinds[answer["op"]] += 1
            if answer["op"] == "error":
                assert answer["status"] == 429
        await sending
        assert kinds == {"snapshot": 100, "error": 9_900}


async def test_a_client_that_never_reads_costs_nobody_anything(
    rig: LiveRig, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It gets nothing of what it does not take; it is given up; and others are told in the meantime."""
    monkeypatch.setattr(live_client, "STALLED", 0.5)
    items = [f"i{n}" for n in range(500)]
    await rig.plant(items=items)
    await rig.put(**dict.fromkeys(items, 0))
    reader, writer = await _raw(rig)
    writer.get_extra_info("socket").setsockopt(sockets.SOL_SOCKET, sockets.SO_RCVBUF, 4096)
    writer.write(_frame(0x81, b'{"op":"sub","id":"s","rate":0}'))
    while not any(one._subscriptions for one in rig.feed.clients):
        await asyncio.sleep(0)
    reader._transport.pause_reading()  # type: ignore[attr-defined]
    async with rig.socket() as socket:
        await socket.sub(rate=0, ids=["d:d-t:i0"])
        number = 0
        while len(rig.feed.clients) > 1:
            number += 1
            await rig.put(**dict.fromkeys(items, number))
            assert (await socket.row())[::2] == ["d:d-t:i0", number]
            assert all(len(one._answers) <= 1 for one in rig.feed.clients)
    writer.transport.abort()


@pytest.mark.parametrize(
    "origin", ["http://evil.example", "null", "http://127.0.0.1", "https://127.0.0.1.evil:80"]
)
async def test_pages_of_other_sites_may_not_listen(rig: LiveRig, origin: str) -> None:
    with pytest.raises(aiohttp.WSServerHandshakeError) as caught:
        async with rig.socket(origin=origin):
            pass
    assert caught.value.status == 403


async def test_own_pages_and_those_configured_may_listen(store: Store) -> None:
    settings = Settings(server=ServerSettings(cors_origins=["https://hmi.example.com"]))
    async with live_rig(store, settings) as rig:
        for origin in (None, rig.api.url, "https://hmi.example.com"):
            async with rig.socket(origin=origin) as socket:
                assert socket.hello["op"] == "hello"


async def test_without_a_token_there_is_no_upgrade(guarded: LiveRig) -> None:
    async with aiohttp.ClientSession() as session:
        for options in (
            {},
            {"headers": {"Authorization": "Bearer wrong"}},
            {"protocols": ["pydatacoll", "bearer.x"]},
        ):
            with pytest.raises(aiohttp.WSServerHandshakeError) as caught:
                await session.ws_connect(f"{guarded.api.url}/api/v2/live", **options)
            assert caught.value.status == 401


async def test_a_browser_sends_its_token_as_a_sub_protocol_and_does_not_get_it_back(guarded: LiveRig) -> None:
    async with (
        aiohttp.ClientSession() as session,
        session.ws_connect(f"{guarded.api.url}/api/v2/live", protocols=["pydatacoll", "bearer.reader"]) as ws,
    ):
        assert ws.protocol == "pydatacoll"
        assert "reader" not in str(ws._response.headers)
        assert json.loads(await ws.receive_str())["op"] == "hello"


async def test_a_token_without_our_sub_protocol_is_refused_and_not_logged(
    guarded: LiveRig, caplog: pytest.LogCaptureFixture
) -> None:
    async with aiohttp.ClientSession() as session:
        with pytest.raises(aiohttp.WSServerHandshakeError) as caught:
            await session.ws_connect(f"{guarded.api.url}/api/v2/live", protocols=["bearer.reader"])
    assert caught.value.status == 400
    assert "reader" not in caplog.text


async def test_a_token_in_a_header_line_of_its_own_is_not_logged(
    guarded: LiveRig, caplog: pytest.LogCaptureFixture
) -> None:
    reader, writer = await asyncio.open_connection("127.0.0.1", guarded.api.port)
    writer.write(
        b"GET /api/v2/live HTTP/1.1\r\nHost: localhost\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
        b"Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: MDEyMzQ1Njc4OWFiY2RlZg==\r\n"
        b"Sec-WebSocket-Protocol: bearer.reader\r\nSec-WebSocket-Protocol: pydatacoll\r\n\r\n"
    )
    assert b" 400 " in await reader.readline()
    writer.close()
    assert "bearer" not in caplog.text


async def test_a_token_that_expires_ends_the_connection(store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(api_live, "CHECK", 0.01)
    async with live_rig(store, Settings(auth=AuthSettings(tokens=[_token("reader")]))) as rig:
        rig.api.session.headers["Authorization"] = "Bearer reader"
        (identity,) = rig.access._by_hash.values()
        object.__setattr__(identity, "expires", rig.access._wall() + 3600)
        async with rig.socket() as socket:
            await socket.send(op="ping")
            assert (await socket.get())["op"] == "pong"
            rig.access._wall = lambda: 2**40
            assert await socket.closed() == 4401


async def test_a_token_for_some_devices_sees_only_these(guarded: LiveRig) -> None:
    await guarded.plant("north1")
    await guarded.plant("south1")
    await guarded.put("north1", i=1)
    await guarded.put("south1", i=2)
    everything = ["values", "devices", "alarms", "events"]
    async with guarded.socket(headers={"Authorization": "Bearer north"}) as socket:
        found = await socket.sub(topics=everything)
        assert (found["points"], [row[0] for row in found["c"]]) == (1, ["north1:north1-t:i"])
        assert [one["device_id"] for one in found["devices"]] == ["north1"]
        assert {event["device_id"] for event in found["events"]} == {"north1"}
        assert (await socket.sub("t", ids=["south1:south1-t:i"]))["c"] == []
        await guarded.put("south1", i=3)
        await guarded.put("north1", i=4)
        assert await socket.values("s", until={"north1:north1-t:i": 4}) == {"north1:north1-t:i": 4}
    async with guarded.socket(headers={"Authorization": "Bearer reader"}) as socket:
        assert (await socket.sub())["points"] == 2
    guarded.api.session.headers["Authorization"] = "Bearer north"
    assert [one["device_id"] for one in (await guarded.api.get("/api/v2/overview"))["devices"]] == ["north1"]
    assert {one["device_id"] for one in await guarded.api.get("/api/v2/log")} == {"north1"}


SECRET = {
    "device manager host7.plant.example-1234": "the name of a host",
    "/var/lib/plant/secret.db": "the path of a file",
    "10.9.8.7": "an address",
    "south1": "another device",
}


async def test_a_token_for_some_devices_learns_nothing_of_the_rest_by_what_happens_to_the_system(
    guarded: LiveRig, store: Store
) -> None:
    await guarded.plant("north1")
    await guarded.plant("south1")
    leases = Leases(store, "host7.plant.example-1234", 5)
    await leases.heartbeat()
    trouble = "plugin archive does not work: cannot open /var/lib/plant/secret.db at 10.9.8.7 for south1"
    own = "device north1 is lost: no answer from 10.1.1.1"
    lost = "the store could not be reached for 7 s"
    before = [Event(kind="system", text=lost, object="store", for_all=True)]
    await note(store, [*before, Event(kind="system", text=trouble, details={"state": trouble})])
    reader = {"Authorization": "Bearer reader"}
    north = {"Authorization": "Bearer north"}
    async with guarded.socket(headers=north) as limited, guarded.socket(headers=reader) as whole:
        texts: dict[Any, list[str]] = {limited: [], whole: []}
        for socket in texts:
            texts[socket] += [event["text"] for event in (await socket.sub(topics=["events"]))["events"]]
        await note(store, [Event(kind="system", text=trouble, object="runner", details={"state": trouble})])
        await leases.bury("host7.plant.example-1234")
        guarded.feed.states.tell("values are not renewed: store unavailable", 1_800_000_000.0)
        await note(store, [Event(kind="link", text=own, device_id="north1", object="north1")])
        for socket, seen in texts.items():
            while own not in seen:
                seen += [event["text"] for event in (await socket.get()).get("events", [])]
        assert [text for text in texts[limited] if "created" not in text] == [
            lost,
            "values are not renewed: store unavailable",
            own,
        ]
        assert all(any(secret in text for text in texts[whole]) for secret in SECRET)
    log = {}
    for name in ("north", "reader"):
        answer = await guarded.api("GET", "/api/v2/log", headers={"Authorization": f"Bearer {name}"}, status=200)
        log[name] = answer.raw.decode()
    for secret, what in SECRET.items():
        assert secret in log["reader"]
        assert secret not in log["north"], what
    assert lost in log["north"]


async def test_a_token_for_some_devices_is_not_told_why_the_service_does_not_work(
    guarded: LiveRig, monkeypatch: pytest.MonkeyPatch
) -> None:
    await guarded.plant("north1")
    reason = "the store at 10.9.8.7 refuses writes"

    async def health(_: Any) -> list[dict[str, str]]:
        return [{"name": "store", "state": "error", "detail": reason}]

    monkeypatch.setattr(api_overview, "health_of", health)
    shown = {}
    for name in ("north", "reader"):
        answer = await guarded.api(
            "GET", "/api/v2/overview", headers={"Authorization": f"Bearer {name}"}, status=200
        )
        shown[name] = answer.json["health"]
    assert shown["reader"][0]["detail"] == reason
    assert shown["north"] == [{"name": "store", "state": "error", "detail": "does not work"}]


async def test_there_is_room_for_so_many_clients(store: Store) -> None:
    async with live_rig(store, Settings(server=ServerSettings(live_clients=1))) as rig:
        async with rig.socket():
            with pytest.raises(aiohttp.WSServerHandshakeError) as caught:
                async with rig.socket():
                    pass
            assert caught.value.status == 503
            await rig.api("GET", "/api/v2/events", status=503)
        async with rig.socket() as socket:
            assert socket.hello["op"] == "hello"


async def test_a_plain_request_is_told_where_to_go(rig: LiveRig) -> None:
    answer = await rig.api("GET", "/api/v2/live", status=426)
    assert answer.headers["Upgrade"] == "websocket"
    assert "/api/v2/events" in answer.json["detail"]


async def test_when_the_server_stops_it_says_so_to_all_at_once(store: Store) -> None:
    async with live_rig(store) as rig, rig.socket() as one, rig.socket() as other:
        await one.sub()
        closed = asyncio.create_task(one.closed())
        _, silent = await _raw(rig)  # never answers
        await rig.stop()
        assert await closed == 1001
        assert await other.closed() == 1001
        silent.close()


async def test_clients_are_counted_and_how_long_they_stay_is_no_duration_of_a_request(rig: LiveRig) -> None:
    stats = rig.http
    async with rig.socket() as socket, rig.api.session.get(f"{rig.api.url}/api/v2/events") as response:
        await socket.sub()
        assert response.status == 200
        assert stats.live == {"websocket": 1, "sse": 1}
    while any(stats.live.values()):
        await asyncio.sleep(0.01)
    durations = next(family for family in stats.families() if family.name.endswith("duration_seconds"))
    counted = {sample.labels["route"] for sample in durations.samples if sample.value}
    assert not counted & {"/api/v2/live", "/api/v2/events"}
