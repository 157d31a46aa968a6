"""HTTP itself: unknown paths, methods, HEAD, OPTIONS, malformed requests, failures nobody expected."""

from __future__ import annotations

import asyncio
import logging
from typing import Any

import pytest

from pydatacoll.codec import json
from test.api_client import Api
from test.fakes_api import FakeBackend


@pytest.mark.parametrize(
    "path", ["/nothing", "/api/v1/devices/", "/api/v3/devices", "/api/v1/devices/a/b", "//", "/%00"]
)
async def test_an_unknown_path(api: Api, path: str) -> None:
    answer = await api("GET", path, status=404)
    assert answer.json["type"] == "/docs#problem-no-route"


@pytest.mark.parametrize(
    ("path", "allowed"),
    [
        ("/api/v1/devices", "GET, HEAD, OPTIONS, POST"),
        ("/api/v1/devices/x", "DELETE, GET, HEAD, OPTIONS, PATCH, PUT"),
        ("/api/v1/device_call", "OPTIONS, POST"),
        ("/api/v2/items/del", "OPTIONS, POST"),
        ("/healthz", "GET, HEAD, OPTIONS"),
    ],
)
async def test_a_method_that_is_not_there(api: Api, path: str, allowed: str) -> None:
    for method in ("TRACE", "PROPFIND"):
        answer = await api(method, path, status=405)
        assert answer.headers["Allow"] == allowed
    answer = await api("OPTIONS", path, status=204)
    assert answer.headers["Allow"] == allowed
    assert answer.raw == b""


async def test_head_is_get_without_the_body(plant: Api) -> None:
    for path in ("/api/v1/devices/feeder1", "/api/v1/devices", "/", "/healthz", "/docs"):
        head, get = await plant("HEAD", path, status=200), await plant("GET", path, status=200)
        assert head.raw == b""
        assert head.headers["Content-Length"] == str(len(get.raw))
        assert head.headers["Content-Type"] == get.headers["Content-Type"]
    await plant("HEAD", "/api/v1/devices/nobody", status=404)


async def _raw(api: Api, request: bytes) -> tuple[int, dict[str, str], Any]:
    reader, writer = await asyncio.open_connection("127.0.0.1", api.port)
    writer.write(request)
    head = (await reader.readuntil(b"\r\n\r\n")).decode().split("\r\n")
    headers = dict(line.split(": ", 1) for line in head[1:] if line)
    body = await reader.readexactly(int(headers["Content-Length"]))
    writer.close()
    await writer.wait_closed()
    return int(head[0].split()[1]), headers, json.decode(body)


@pytest.mark.parametrize("header", [b"Bearer secret\0secret", b"Bearer " + b"secret" * 3000])
async def test_a_header_that_cannot_be_read_is_not_repeated(
    api: Api, caplog: pytest.LogCaptureFixture, header: bytes
) -> None:
    """It may be a token."""
    caplog.set_level(logging.DEBUG)
    status, _, body = await _raw(api, b"GET / HTTP/1.1\r\nHost: x\r\nAuthorization: " + header + b"\r\n\r\n")
    assert status == 400
    assert "secret" not in str(body)
    assert "secret" not in "".join(f"{one.getMessage()}{one.exc_text}" for one in caplog.records)


@pytest.mark.parametrize(
    "request_bytes",
    [
        b"GARBAGE\r\n\r\n",
        b"GET /\xff\xfe HTTP/9.9\r\n\r\n",
        b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03\r\n\r\n",
        b"GET / HTTP/1.1\r\nBad Header\r\n\r\n",
        b"GET / HTTP/1.1\r\nHost: localhost\r\nContent-Length: -5\r\n\r\n",
        b"GET / HTTP/1.1\r\nHost: localhost\r\nContent-Length: 5\r\nTransfer-Encoding: chunked\r\n\r\n",
        b"GET /" + b"x" * 20_000 + b" HTTP/1.1\r\nHost: localhost\r\n\r\n",
        b"GET / HTTP/1.1\r\nHost: localhost\r\nX: " + b"y" * 20_000 + b"\r\n\r\n",
    ],
    ids=["no http", "version", "tls", "header", "length", "smuggling", "long path", "long header"],
)
async def test_what_is_not_http_is_a_problem_too(
    api: Api, request_bytes: bytes, caplog: pytest.LogCaptureFixture
) -> None:
    status, headers, problem = await _raw(api, request_bytes)
    assert status == problem["status"] == 400
    assert headers["Content-Type"] == "application/problem+json"
    assert problem["type"] == "/docs#problem-bad-request"
    assert [record for record in caplog.records if record.levelno >= logging.WARNING] == []


async def test_a_broken_chunk_is_a_bad_request(api: Api, caplog: pytest.LogCaptureFixture) -> None:
    status, _, problem = await _raw(
        api,
        b"POST /api/v1/items HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\n"
        b"Transfer-Encoding: chunked\r\n\r\nnot a size\r\n",
    )
    assert status == problem["status"] == 400
    assert [record for record in caplog.records if record.levelno >= logging.WARNING] == []


@pytest.mark.parametrize(
    ("line", "header", "status"),
    [
        (b"GET /nope", b"Expect: miracles", 417),
        (b"GET /nope", b"Expect: \xff", 400),
        (b"POST /api/v1/items", b"Expect: \xff", 417),
        (b"POST /api/v1/items", b"Content-Type: \xff", 415),
        (b"POST /api/v1/items", b"Content-Encoding: \xff", 415),
        (b"GET /nope", b"Upgrade: h2c", 404),
        (b"OPTIONS *", b"X: 1", 404),
        (b"CONNECT a:80", b"X: 1", 404),
        (b"GET /api/v1/devices/%FF", b"X: 1", 404),
        (b"GET /api/v1/devices/%ED%A0%80", b"X: 1", 404),
        (b"GET /api/v1/devices?%FF=1", b"X: 1", 422),
        (b"POST /api/v1/items", b"Content-Type: application/json", 400),
    ],
)
async def test_strange_headers_and_paths(
    api: Api, line: bytes, header: bytes, status: int, caplog: pytest.LogCaptureFixture
) -> None:
    found, _, problem = await _raw(api, line + b" HTTP/1.1\r\nHost: localhost\r\n" + header + b"\r\n\r\n")
    assert found == problem["status"] == status
    assert [record for record in caplog.records if record.levelno >= logging.WARNING] == []


async def _expecting(
    api: Api, length: int, expect: str
) -> tuple[bytes, asyncio.StreamReader, asyncio.StreamWriter]:
    reader, writer = await asyncio.open_connection("127.0.0.1", api.port)
    writer.write(
        b"POST /api/v1/items HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\n"
        + f"Content-Length: {length}\r\nExpect: {expect}\r\n\r\n".encode()
    )
    return await reader.readline(), reader, writer


async def test_a_body_is_asked_for_when_the_client_waits(api: Api) -> None:
    body = b'{"id": "x", "name": "x"}'
    line, reader, writer = await _expecting(api, len(body), "100-continue")
    assert b" 100 " in line
    assert await reader.readline() == b"\r\n"
    writer.write(body)
    assert b" 201 " in await reader.readline()
    writer.close()
    await writer.wait_closed()


@pytest.mark.parametrize(("length", "expect", "status"), [(2_000_000, "100-continue", 413), (2, "miracles", 417)])
async def test_a_body_that_will_be_refused_is_not_asked_for(
    api: Api, length: int, expect: str, status: int
) -> None:
    line, reader, writer = await _expecting(api, length, expect)
    assert f" {status} ".encode() in line
    assert b"application/problem+json" in await reader.readuntil(b"\r\n\r\n")
    writer.close()
    await writer.wait_closed()


async def test_a_client_that_goes_away_while_sending_leaves_no_trace(
    api: Api, caplog: pytest.LogCaptureFixture
) -> None:
    _, writer = await asyncio.open_connection("127.0.0.1", api.port)
    writer.write(
        b"POST /api/v1/items HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\n"
        b"Content-Length: 50\r\n\r\n{"
    )
    await writer.drain()
    writer.close()
    await writer.wait_closed()
    await api("GET", "/healthz", status=200)
    assert [record for record in caplog.records if record.levelno >= logging.WARNING] == []


async def test_a_failure_nobody_expected_is_logged_once_and_not_shown(
    plant: Api, backend: FakeBackend, caplog: pytest.LogCaptureFixture
) -> None:
    backend.repository.failure = ZeroDivisionError("secret password")
    answer = await plant("POST", "/api/v1/items", {"id": "x", "name": "x"}, status=500)
    assert b"secret" not in answer.raw
    records = [record for record in caplog.records if record.levelno >= logging.ERROR]
    assert len(records) == 1
    assert records[0].exc_info is not None
    assert "POST /api/v1/items failed" in records[0].getMessage()
