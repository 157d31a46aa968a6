"""What a client can get wrong: each is refused with its own status, named, and changes nothing."""

from __future__ import annotations

import asyncio
import gzip
import logging
from collections.abc import AsyncIterator
from typing import Any

import pytest

from pydatacoll.api import body as bodies
from pydatacoll.api.app import create_app
from pydatacoll.settings import ServerSettings, Settings
from test.api_client import Api, serve
from test.fakes_api import FakeBackend

WRITES = [
    ("POST", "/api/v1/devices"),
    ("PUT", "/api/v1/devices/feeder1"),
    ("PATCH", "/api/v1/devices/feeder1"),
    ("POST", "/api/v1/terms"),
    ("POST", "/api/v1/items"),
    ("POST", "/api/v1/formulas"),
    ("POST", "/api/v1/terms/main/items"),
    ("PUT", "/api/v1/terms/main/items/ua"),
    ("POST", "/api/v1/device_call"),
    ("POST", "/api/v1/device_ctrl"),
    ("POST", "/api/v1/formula_check"),
    ("POST", "/api/v1/sql_check"),
    ("POST", "/api/v2/devices"),
    ("POST", "/api/v2/term_items/del"),
    ("POST", "/api/v2/device_call"),
    ("POST", "/api/v2/device_ctrl"),
]
MALFORMED = {
    "empty": b"",
    "blank": b" \n",
    "cut off": b'{"id": "x"',
    "trailing comma": b'{"id": "x",}',
    "single quotes": b"{'id': 'x'}",
    "two documents": b"{} {}",
    "NaN": b'{"value": NaN}',
    "Infinity": b'{"value": Infinity}',
    "minus Infinity": b'{"value": -Infinity}',
    "1e400": b'{"value": 1e400}',
    "leading zero": b'{"value": 01}',
    "digits without end": b'{"value": ' + b"1" * 5000 + b"}",
    "invalid UTF-8": b'{"id": "\xff\xfe"}',
    "invalid UTF-8 in a name": b'{"\xff": 1}',
    "UTF-16": '{"id": "x"}'.encode("utf-16"),
    "surrogate": b'{"id": "\\ud800"}',
    "control character": b'{"id": "a\x01"}',
    "deep list": b"[" * 50_000 + b"]" * 50_000,
    "deep object": b'{"a":' * 50_000 + b"1" + b"}" * 50_000,
    "deep, not closed": b"[" * 50_000,
    "900 levels": b"[" * 900 + b"]" * 900,
    "33 levels": b'{"a":' * 33 + b"1" + b"}" * 33,
}


@pytest.mark.parametrize("raw", MALFORMED.values(), ids=MALFORMED)
@pytest.mark.parametrize(("method", "path"), WRITES, ids=lambda value: value)
async def test_a_body_that_is_no_json_document(plant: Api, method: str, path: str, raw: bytes) -> None:
    answer = await plant(method, path, data=raw, status=400)
    assert answer.json["title"] == "Malformed JSON"
    assert await plant.get("/api/v1/devices") == ["feeder1"]


@pytest.mark.parametrize(
    "media",
    [None, "text/plain", "application/x-www-form-urlencoded", "application/jsonp", "application/xml", ";", ""],
)
@pytest.mark.parametrize(("method", "path"), WRITES, ids=lambda value: value)
async def test_a_body_of_another_type(plant: Api, method: str, path: str, media: str | None) -> None:
    async with plant.session.request(
        method,
        plant.url + path,
        data=b"{}",
        headers={} if media is None else {"Content-Type": media},
        skip_auto_headers=["Content-Type"],
    ) as response:
        assert response.status == 415
        assert response.content_type == "application/problem+json"
        assert "application/json" in (await response.json(content_type=None))["detail"]


@pytest.mark.parametrize(
    "media",
    [
        "application/json",
        "application/json; charset=utf-8",
        "Application/JSON;charset=gbk",
        "application/json ;x=y",
    ],
)
async def test_parameters_of_the_type_do_not_matter(api: Api, media: str) -> None:
    await api("POST", "/api/v1/items", {"id": "x", "name": "电压"}, headers={"Content-Type": media}, status=201)
    assert (await api.get("/api/v1/items/x"))["name"] == "电压"


@pytest.mark.parametrize("body", [None, 1, "x", True, [], [{}], 1.5])
@pytest.mark.parametrize(
    ("method", "path"), [write for write in WRITES if "v1" in write[1]], ids=lambda value: value
)
async def test_a_document_that_is_no_object(plant: Api, method: str, path: str, body: Any) -> None:
    answer = await plant(method, path, body, status=422)
    assert answer.fields == [(0, "body")]


@pytest.mark.parametrize("body", [None, 1, "x", True])
@pytest.mark.parametrize("path", [write[1] for write in WRITES if "v2" in write[1]])
async def test_a_document_that_is_no_list(plant: Api, path: str, body: Any) -> None:
    await plant("POST", path, body, status=422)


BAD_OBJECTS: list[tuple[str, dict[str, Any], str]] = [
    ("devices", {"name": "x", "protocol": "modbus_tcp"}, "id"),
    ("devices", {"id": "x", "protocol": "modbus_tcp"}, "name"),
    ("devices", {"id": "x", "name": "x"}, "protocol"),
    *(("devices", {"id": bad, "name": "x", "protocol": "modbus_tcp"}, "id")
      for bad in ("a:b", "a b", "a" * 65, "", "ä", "a/b", "a\n", "a\x00", None, True, [], {}, "*", "{p1}")),
    ("devices", {"id": "x", "name": "x", "protocol": "carrier_pigeon"}, "protocol"),
    ("devices", {"id": "x", "name": "x", "protocol": ["modbus_tcp"]}, "protocol"),
    ("devices", {"id": "x", "name": "x", "protocol": "modbus_tcp", "prot": 1}, "prot"),
    ("devices", {"id": "x", "name": "x", "protocol": "modbus_tcp", "port": 0}, "port"),
    ("devices", {"id": "x", "name": "x", "protocol": "modbus_tcp", "port": 65536}, "port"),
    ("devices", {"id": "x", "name": "x", "protocol": "modbus_tcp", "port": 10**30}, "port"),
    ("devices", {"id": "x", "name": "x", "protocol": "modbus_tcp", "port": "http"}, "port"),
    ("devices", {"id": "x", "name": "x", "protocol": "modbus_tcp", "enabled": "maybe"}, "enabled"),
    ("devices", {"id": "x", "name": "x", "protocol": "modbus_tcp", "timeout": "NaN"}, "timeout"),
    ("devices", {"id": "x", "name": "x", "protocol": "modbus_tcp", "timeout": "Infinity"}, "timeout"),
    ("devices", {"id": "x", "name": "x", "protocol": "modbus_tcp", "timeout": -1}, "timeout"),
    ("devices", {"id": "x", "name": "x" * 1025, "protocol": "modbus_tcp"}, "name"),
    ("devices", {"id": "x", "name": ["x"], "protocol": "modbus_tcp"}, "name"),
    ("devices", {"id": "x", "name": "a\x00b", "protocol": "modbus_tcp"}, "name"),
    ("devices", {"id": "x", "name": "x", "protocol": "formula", "poll_interval": 1}, "poll_interval"),
    ("terms", {"id": "x", "name": "x"}, "device_id"),
    ("terms", {"id": "x", "name": "x", "device_id": "feeder1", "address": 256}, "address"),
    ("items", {"id": "x", "name": "x", "unit": 5, "color": "red"}, "color"),
    ("terms/main/items", {"item_id": "ub", "protocol_code": "100"}, "protocol_code"),
    ("terms/main/items", {"item_id": "ub", "protocol_code": 100}, "protocol_code"),
    ("terms/main/items", {"item_id": "ub", "protocol_code": "hr:65536"}, "protocol_code"),
    ("terms/main/items", {"item_id": "ub", "protocol_code": "4x0"}, "protocol_code"),
    ("terms/main/items", {"item_id": "ub", "protocol_code": "hr:65535", "code_type": "float32"}, "protocol_code"),
    ("terms/main/items", {"item_id": "ub", "protocol_code": "hr:1", "code_type": "string"}, "length"),
    ("terms/main/items", {"item_id": "ub", "protocol_code": "hr:1", "code_type": "uint12"}, "code_type"),
    ("terms/main/items", {"item_id": "ub", "protocol_code": "hr:1", "coefficient": 0}, "coefficient"),
    ("terms/main/items", {"item_id": "ub", "protocol_code": "hr:1", "bit": 16}, "bit"),
    ("terms/main/items", {"item_id": "ub", "down_limit": 2, "up_limit": 1}, "down_limit"),
    ("formulas", {"id": "f", "formula": "", "device_id": "d", "term_id": "t", "item_id": "i"}, "formula"),
]  # fmt: skip


@pytest.mark.parametrize(("path", "body", "field"), BAD_OBJECTS)
async def test_an_object_that_is_not_acceptable(plant: Api, path: str, body: dict[str, Any], field: str) -> None:
    await plant.post("/api/v1/items", {"id": "ub", "name": "B"})
    answer = await plant("POST", f"/api/v1/{path}", body, status=422)
    assert field in [name for _, name in answer.fields]
    assert field in answer.json["detail"]


async def test_every_bad_field_is_named_at_once(api: Api) -> None:
    body = {"id": "a b", "name": 1.5, "protocol": "modbus_tcp", "port": -1, "colour": "red"}
    answer = await api("POST", "/api/v1/devices", body, status=422)
    assert {name for _, name in answer.fields} >= {"id", "port", "colour"}


@pytest.fixture
async def small(backend: FakeBackend) -> AsyncIterator[Api]:
    """An application that takes little."""
    backend.settings = Settings(server=ServerSettings(max_body=1000, max_batch_body=3000, max_batch=3))
    async with serve(create_app(backend.services)) as running:
        yield running


@pytest.mark.parametrize(("path", "limit"), [("/api/v1/items", 1000), ("/api/v2/items", 3000)])
@pytest.mark.parametrize("chunked", [False, True])
async def test_a_body_that_is_too_large(small: Api, path: str, limit: int, chunked: bool) -> None:
    async def pieces(size: int) -> AsyncIterator[bytes]:
        text = b'{"id": "x", "name": "x"}'.ljust(size)
        for start in range(0, size, 500):
            yield text[start : start + 500]

    def data(size: int) -> Any:
        return pieces(size) if chunked else b'{"id": "x", "name": "x"}'.ljust(size)

    answer = await small("POST", path, data=data(limit + 1), status=413)
    assert str(limit) in answer.json["detail"]
    answer = await small("POST", path, data=data(limit))
    assert answer.status in (200, 201)


async def test_two_megabytes_are_too_much_for_one_object(api: Api) -> None:
    answer = await api("POST", "/api/v1/items", {"id": "x", "name": "x" * 2_000_000}, status=413)
    assert "1048576" in answer.json["detail"]


@pytest.mark.parametrize("body", [gzip.compress(b" " * 10_000_000), b"not gzip at all"], ids=["bomb", "lie"])
@pytest.mark.parametrize("coding", ["gzip", "deflate", "br"])
async def test_packed_bodies_are_not_taken(
    api: Api, body: bytes, coding: str, caplog: pytest.LogCaptureFixture
) -> None:
    answer = await api("POST", "/api/v1/items", data=body, headers={"Content-Encoding": coding}, status=415)
    assert coding in answer.json["detail"]
    assert [record for record in caplog.records if record.levelno >= logging.WARNING] == []


async def test_one_object_too_many(small: Api) -> None:
    objects = [{"id": f"i{n}", "name": "x"} for n in range(4)]
    answer = await small("POST", "/api/v2/items", objects, status=413)
    assert "server.max_batch allows 3" in answer.json["detail"]
    await small.post("/api/v2/items", objects[:3], 200)
    await small("POST", "/api/v2/items/del", [one["id"] for one in objects], status=413)


async def test_10001_objects_are_refused_and_10000_taken(api: Api) -> None:
    objects = [{"id": f"i{n}", "name": "x"} for n in range(10_001)]
    answer = await api("POST", "/api/v2/items", objects, status=413)
    assert "10001" in answer.json["detail"]
    assert "10000" in answer.json["detail"]
    assert await api.post("/api/v2/items", objects[1:], 200) == {"created": 10_000, "updated": 0, "unchanged": 0}


async def test_a_body_that_does_not_come(api: Api, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(bodies.read, "__defaults__", (0.05,))
    reader, writer = await asyncio.open_connection("127.0.0.1", api.port)
    writer.write(
        b"POST /api/v1/items HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\n"
        b"Content-Length: 50\r\n\r\n{"
    )
    assert b"408" in await reader.readline()
    writer.close()
    await writer.wait_closed()


@pytest.mark.parametrize(
    ("path", "field"),
    [
        ("/api/v1/devices?expend=true", "expend"),
        ("/api/v1/devices?expand=maybe", "expand"),
        ("/api/v1/devices?expand=", "expand"),
        ("/api/v1/devices?limit=-1", "limit"),
        ("/api/v1/devices?limit=ten", "limit"),
        ("/api/v1/devices?limit=1.5", "limit"),
        ("/api/v1/devices?limit=99999999999999999999", "limit"),
        ("/api/v1/devices?limit=%D9%A3", "limit"),
        ("/api/v1/devices?limit=1&limit=2", "limit"),
        ("/api/v1/devices?offset=", "offset"),
        ("/api/v1/devices/feeder1?expand=true", "expand"),
        ("/healthz?x=1", "x"),
        ("/api/v1/devices/feeder1/terms/main/items/ua/datas?since=yesterday", "since"),
        ("/api/v1/devices/feeder1/terms/main/items/ua/datas?until=NaN", "until"),
        ("/api/v1/devices/feeder1/terms/main/items/ua/datas?until=1e300", "until"),
        ("/api/v2/values?quality=splendid", "quality"),
        ("/api/v2/values?device_id=", "device_id"),
        ("/api/v2/values?device_id=a,,b", "device_id"),
        ("/api/v1/devices/feeder1/terms/main/items/ua/datas/first", "index"),
        ("/api/v1/devices/feeder1/terms/main/items/ua/datas/1.0", "index"),
    ],
)
async def test_a_query_that_is_not_acceptable_names_the_parameter(plant: Api, path: str, field: str) -> None:
    answer = await plant("GET", path, status=422)
    assert answer.fields == [(0, field)]


async def test_text_in_a_query_reaches_no_header(plant: Api) -> None:
    for path in ("/api/v1/items?limit=1%0d%0aX-Evil:1", "/api/v1/items?x%0d%0aX-Evil:1=1", "/x%0d%0aX-Evil:1"):
        answer = await plant("GET", path)
        assert answer.status in (404, 422)
        assert "X-Evil" not in answer.headers


@pytest.mark.parametrize("key", ["", "x" * 201], ids=["empty", "too long"])
async def test_an_idempotency_key_that_is_not_acceptable(plant: Api, key: str) -> None:
    body = {"device_id": "feeder1", "term_id": "main", "item_id": "ua", "value": 1}
    for path in ("/api/v1/device_ctrl", "/api/v2/device_ctrl"):
        answer = await plant("POST", path, body, headers={"Idempotency-Key": key}, status=422)
        assert answer.fields == [(0, "Idempotency-Key")]


@pytest.mark.parametrize(
    ("path", "field", "value", "message"),
    [
        ("/api/v1/devices/feeder1", "port", "abc", "must be a whole number"),
        ("/api/v1/devices/feeder1", "port", 70000, "must be a whole number <= 65535"),
        ("/api/v1/devices/feeder1", "timeout", "0,5", "must be a number"),
        ("/api/v1/devices/feeder1", "timeout", -1, "must be a number > 0.0"),
        ("/api/v1/devices/feeder1", "enabled", "maybe", "must be true or false"),
        ("/api/v1/devices/feeder1", "word_order", "middle", "must be one of big, little"),
    ],
)
async def test_a_field_of_a_wrong_type_is_told_what_it_may_be(
    plant: Api, path: str, field: str, value: object, message: str
) -> None:
    answer = (await plant("PATCH", path, {field: value}, status=422)).json
    assert answer["detail"] == f"{field}: {message}"
