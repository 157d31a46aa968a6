"""The command, in this process, against the real API over fakes, or against a server that answers anything."""

from __future__ import annotations

import asyncio
import json
import threading
from collections.abc import Callable, Iterator
from concurrent.futures import Future
from contextlib import closing
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

import pytest
from aiohttp import web
from click.testing import CliRunner, Result

from pydatacoll.api.app import create_app
from pydatacoll.api.server import make_runner
from pydatacoll.cli import main
from pydatacoll.cli.client import Client
from pydatacoll.model import PointId, Quality, Sample
from pydatacoll.model.validation import Schemas
from pydatacoll.protocols.formula import FormulaDriver
from pydatacoll.protocols.modbus_tcp import ModbusTcpDriver
from test.fakes_api import FakeBackend

T0 = 1_700_000_000.0
MODEL: list[tuple[str, Any]] = [
    (
        "/api/v2/devices",
        [{"id": name, "name": f"Feeder {name[-1]}", "protocol": "modbus_tcp"} for name in ("f1", "f2")],
    ),
    ("/api/v2/terms", [{"id": f"{name}.main", "name": "Main", "device_id": name} for name in ("f1", "f2")]),
    (
        "/api/v2/items",
        [{"id": "ua", "name": "Voltage A", "unit": "V"}, {"id": "set", "name": "Setpoint", "unit": "kW"}],
    ),
    (
        "/api/v2/term_items",
        [
            {"term_id": "f1.main", "item_id": "ua", "protocol_code": "hr:1"},
            {
                "term_id": "f1.main",
                "item_id": "set",
                "protocol_code": "hr:2",
                "code_type": "int16",
                "coefficient": 0.1,
                "writable": True,
                "up_limit": 100,
            },
            {"term_id": "f2.main", "item_id": "ua", "protocol_code": "hr:1"},
        ],
    ),
]


class Served:
    """An application in a thread of its own, until :meth:`stop`."""

    def __init__(self, app: web.Application, port: int = 0) -> None:
        self._ready: Future[int] = Future()
        self._thread = threading.Thread(target=asyncio.run, args=(self._run(app, port),))
        self._thread.start()
        self.port = self._ready.result(20)
        self.url = f"http://127.0.0.1:{self.port}"

    async def _run(self, app: web.Application, port: int) -> None:
        self._loop, self._stop = asyncio.get_running_loop(), asyncio.Event()
        runner = make_runner(app, shutdown_timeout=0.1)
        try:
            await runner.setup()
            await web.TCPSite(runner, "127.0.0.1", port).start()
        except BaseException as error:
            self._ready.set_exception(error)
            raise
        self._ready.set_result(runner.addresses[0][1])
        await self._stop.wait()
        await runner.cleanup()

    def stop(self) -> None:
        if self._thread.is_alive():
            self._loop.call_soon_threadsafe(self._stop.set)
            self._thread.join()


@pytest.fixture(autouse=True)
def _environment(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("URL", "TOKEN", "TOKEN_FILE", "CA"):
        monkeypatch.delenv(f"PYDATACOLL_{name}", raising=False)
    monkeypatch.delenv("NO_COLOR", raising=False)


@pytest.fixture
def backend() -> FakeBackend:
    """The services of the server, in memory."""
    return FakeBackend(Schemas({"modbus_tcp": ModbusTcpDriver, "formula": FormulaDriver}))


@pytest.fixture
def server(backend: FakeBackend) -> Iterator[Served]:
    """A server with an empty model."""
    served = Served(create_app(backend.services))
    yield served
    served.stop()


@pytest.fixture
def plant(server: Served, backend: FakeBackend) -> Served:
    """A server with two devices and three points, of which two have values."""
    with closing(Client(server.url)) as client:
        for path, body in MODEL:
            client.post(path, body)
    backend.history.samples[PointId("f1", "f1.main", "ua")] = [Sample(T0, 230.5)]
    backend.history.samples[PointId("f2", "f2.main", "ua")] = [
        Sample(T0 + 1, 0.0, Quality.COMM_LOST | Quality.STALE)
    ]
    return server


Run = Callable[..., Result]


@pytest.fixture
def run(plant: Served) -> Run:
    """Runs the command against the plant; ``-o json`` and the like stand among its arguments."""

    def runs(*arguments: str, **more: Any) -> Result:
        environment = {"PYDATACOLL_URL": plant.url, **more.pop("env", {})}
        return CliRunner().invoke(main, arguments, env=environment, **more)

    return runs


class Stub:
    """Answers every request with the next of its answers, ``(status, type, body)``; the last one stays.

    :ivar seen: method, path, headers and body of every request.
    """

    def __init__(self) -> None:
        self.answers: list[tuple[int, str, bytes]] = []
        self.headers: dict[str, str] = {}
        self.cut = False
        self.seen: list[tuple[str, str, dict[str, str], bytes]] = []
        stub = self

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def answer(self) -> None:
                body = self.rfile.read(int(self.headers.get("Content-Length") or 0))
                stub.seen.append((self.command, self.path, dict(self.headers), body))
                status, kind, content = stub.answers.pop(0) if len(stub.answers) > 1 else stub.answers[0]
                self.send_response(status)
                self.send_header("Content-Type", kind)
                self.send_header("Content-Length", str(len(content) + (10 if stub.cut else 0)))
                for name, value in stub.headers.items():
                    self.send_header(name, value)
                self.end_headers()
                self.wfile.write(content)
                self.close_connection = stub.cut

            do_GET = do_POST = do_DELETE = answer  # noqa: N815 - named by the library

            def log_message(self, *_: Any) -> None:
                """Nothing."""

        class Server(ThreadingHTTPServer):
            def handle_error(self, *_: Any) -> None:
                """Clients that go away are what some tests are about."""

        self._server = Server(("127.0.0.1", 0), Handler)
        self._server.daemon_threads = True
        self._thread = threading.Thread(target=self._server.serve_forever, args=(0.01,))
        self._thread.start()
        self.url = f"http://127.0.0.1:{self._server.server_address[1]}"

    def json(self, body: Any, status: int = 200) -> None:
        """One more answer."""
        kind = "application/problem+json" if status >= 400 else "application/json"
        self.answers.append((status, kind, json.dumps(body).encode()))

    def run(self, *arguments: str, **more: Any) -> Result:
        return CliRunner().invoke(main, ["--url", self.url, *arguments], **more)

    def stop(self) -> None:
        self._server.shutdown()
        self._thread.join()
        self._server.server_close()


@pytest.fixture
def stub() -> Iterator[Stub]:
    """A server that answers what the test says."""
    made = Stub()
    yield made
    made.stop()
