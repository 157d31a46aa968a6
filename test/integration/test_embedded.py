"""The embedded server: data survive, nobody else gets in, nothing is left behind."""

from __future__ import annotations

import asyncio
import os
import shutil
import signal
import stat
import subprocess
import sys
import textwrap
from collections.abc import AsyncIterator, Callable
from pathlib import Path

import pytest
import redis.asyncio
import uvloop
from redis.asyncio.retry import Retry
from redis.backoff import ConstantBackoff

from pydatacoll.errors import ConfigError, StoreError
from pydatacoll.settings import RedisSettings
from pydatacoll.store import address, embedded, engine
from pydatacoll.store.embedded import EmbeddedServer, running_url


@pytest.fixture
async def make(tmp_path: Path) -> AsyncIterator[Callable[..., EmbeddedServer]]:
    """Servers on one data directory; stopped at the end."""
    made: list[EmbeddedServer] = []

    def factory(data_dir: Path | None = None, **settings: object) -> EmbeddedServer:
        server = EmbeddedServer(data_dir or tmp_path / "data", RedisSettings(**settings))  # type: ignore[arg-type]
        made.append(server)
        return server

    yield factory
    for server in made:
        await server.stop()


def client(url: str) -> redis.asyncio.Redis:
    """Tries for ten seconds, so that a restart of the server can be waited for."""
    return redis.asyncio.Redis.from_url(url, retry=Retry(ConstantBackoff(0.02), 500), decode_responses=True)


async def gone(pid: int) -> None:
    """Wait until a process has ended; the test's time-out is the limit."""
    while True:
        try:
            if Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] == "Z":
                return
        except FileNotFoundError:
            return
        await asyncio.sleep(0.01)


async def test_data_survive_a_stop(make: Callable[..., EmbeddedServer], redis_engine: str) -> None:
    server = make(engine=redis_engine)
    url = await server.start()
    pid = server.pid
    assert url.startswith("unix:///")
    async with client(url) as connection:
        await connection.set("a", "1")
        assert await connection.config_get("maxmemory-policy") == {"maxmemory-policy": "noeviction"}
        assert await connection.config_get("appendonly") == {"appendonly": "yes"}
    await server.stop()
    await server.stop()
    assert pid is not None
    await gone(pid)
    again = make(engine=redis_engine)
    async with client(await again.start()) as connection:
        assert await connection.get("a") == "1"
    assert not (server.folder / "dump.rdb").exists()


async def test_a_killed_server_is_started_again_with_its_data(make: Callable[..., EmbeddedServer]) -> None:
    server = make()
    url = await server.start()
    for round_ in range(2):
        async with client(url) as connection:
            await connection.set(f"a{round_}", "1")
            pid = server.pid
            assert pid is not None
            os.kill(pid, signal.SIGKILL)
            while server.pid in {pid, None}:
                await asyncio.sleep(0.01)
            assert await connection.get(f"a{round_}") == "1"
    assert server.url == url
    assert server.pid != pid


async def test_settings_reach_the_server(make: Callable[..., EmbeddedServer]) -> None:
    url = await make(appendfsync="always", maxmemory=50_000_000).start()
    async with client(url) as connection:
        assert await connection.config_get("appendfsync", "maxmemory") == {
            "appendfsync": "always",
            "maxmemory": "50000000",
        }


async def test_a_second_instance_is_refused_with_the_holder(make: Callable[..., EmbeddedServer]) -> None:
    first = make()
    await first.start()
    with pytest.raises(ConfigError, match=rf"in use by process {os.getpid()}; stop it, or .* --data-dir"):
        await make().start()
    assert running_url(first.data_dir) == first.url
    await first.stop()
    with pytest.raises(ConfigError, match="no embedded server is running"):
        running_url(first.data_dir)
    await make().start()


async def test_who_reads_the_address_while_it_is_written_gets_a_whole_one(
    make: Callable[..., EmbeddedServer], tmp_path: Path
) -> None:
    """As after a crash, when the address of before is still there."""
    first = make()
    await first.start()
    await first.stop()
    file = tmp_path / "data" / "store" / "url"
    file.write_text("of before")
    with file.open() as reader:
        again = make()
        await again.start()
        assert reader.read() == "of before"
    assert running_url(again.data_dir) == again.url


async def test_other_users_are_kept_out(make: Callable[..., EmbeddedServer], tmp_path: Path) -> None:
    old = os.umask(0)
    try:
        server = make(tmp_path / "new" / "data")
        url = await server.start()
    finally:
        os.umask(old)
    async with client(url) as connection:
        await connection.set("a", "1")
    await server.stop()
    paths = [server.data_dir, *server.data_dir.rglob("*")]
    assert len(paths) > 6
    assert [path for path in paths if stat.S_IMODE(path.stat().st_mode) & 0o077] == []


@pytest.mark.parametrize("mode", [0o770, 0o702, 0o1777])
async def test_a_directory_others_may_write_to_is_refused(
    make: Callable[..., EmbeddedServer], tmp_path: Path, mode: int
) -> None:
    data = tmp_path / "data"
    data.mkdir()
    data.chmod(mode)
    with pytest.raises(ConfigError, match="chmod go-w"):
        await make().start()
    data.chmod(0o755)
    await make().start()


async def test_a_directory_of_another_user_is_refused(
    make: Callable[..., EmbeddedServer], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Links in it could lead our files anywhere."""
    data = tmp_path / "data"
    data.mkdir(mode=0o700)
    me = os.geteuid()
    if me == 0:
        os.chown(data, 12345, -1)
    else:
        monkeypatch.setattr(os, "geteuid", lambda: me + 1)
    with pytest.raises(ConfigError, match="belongs to another user"):
        await make().start()


async def test_a_file_instead_of_a_directory(make: Callable[..., EmbeddedServer], tmp_path: Path) -> None:
    (tmp_path / "data").write_text("")
    with pytest.raises(ConfigError, match="is not a directory"):
        await make().start()
    with pytest.raises(ConfigError, match="cannot be used"):
        await make(tmp_path / "data" / "below").start()


async def test_a_long_path_gets_a_short_socket(make: Callable[..., EmbeddedServer], tmp_path: Path) -> None:
    server = make(tmp_path / ("x" * 120) / 'with space, "quote" and é')
    url = await server.start()
    async with client(url) as connection:
        assert await connection.ping()
    path = Path(url.removeprefix("unix://"))
    assert len(str(path)) < 100
    assert stat.S_IMODE(path.parent.stat().st_mode) == 0o700
    await server.stop()
    assert not path.parent.exists()


async def test_without_unix_sockets_a_port_with_a_password(
    make: Callable[..., EmbeddedServer], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(embedded, "can_bind", lambda path: False)
    server = make()
    url = await server.start()
    assert url.startswith("redis://:")
    assert "@127.0.0.1:" in url
    async with client(url) as connection:
        await connection.set("a", "1")
    with pytest.raises(redis.exceptions.AuthenticationError):
        async with redis.asyncio.Redis.from_url("redis://" + url.partition("@")[2]) as stranger:
            await stranger.get("a")
    password = url.partition("://:")[2].partition("@")[0]
    assert server.pid is not None
    assert password not in Path(f"/proc/{server.pid}/cmdline").read_text()


async def test_a_port_taken_in_between_is_replaced(
    make: Callable[..., EmbeddedServer], monkeypatch: pytest.MonkeyPatch
) -> None:
    holder = await asyncio.start_server(lambda reader, writer: writer.close(), "127.0.0.1", 0)
    ports = iter([holder.sockets[0].getsockname()[1], address.free_port()])
    monkeypatch.setattr(embedded, "can_bind", lambda path: False)
    monkeypatch.setattr(embedded, "free_port", lambda: next(ports))
    async with holder, client(await make().start()) as connection:
        assert await connection.ping()


PARENT = """
    import asyncio, sys
    from pathlib import Path
    from pydatacoll.settings import RedisSettings
    from pydatacoll.store.embedded import EmbeddedServer

    async def main():
        server = EmbeddedServer(Path(sys.argv[1]), RedisSettings())
        await server.start()
        print(server.pid, flush=True)
        await asyncio.Event().wait()

    asyncio.run(main())
"""


async def test_the_server_ends_with_a_killed_parent(make: Callable[..., EmbeddedServer], tmp_path: Path) -> None:
    parent = await asyncio.create_subprocess_exec(
        sys.executable, "-c", textwrap.dedent(PARENT), str(tmp_path / "data"), stdout=subprocess.PIPE
    )
    assert parent.stdout is not None
    pid = int(await parent.stdout.readline())
    with pytest.raises(ConfigError, match=f"in use by process {parent.pid};"):
        await make().start()
    parent.kill()
    await parent.communicate()
    await gone(pid)
    await make().start()


async def test_an_orphan_is_ended_first(
    make: Callable[..., EmbeddedServer], monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    """Where the kernel does not end the server of a killed process (macOS), the next start does."""
    monkeypatch.setattr(embedded, "_LIBC", None)
    first = make()
    await first.start()
    async with client(first.url) as connection:
        await connection.set("a", "1")
    orphan, process = first.pid, first._process
    assert orphan is not None
    assert process is not None
    assert first._watcher is not None
    assert first._lock is not None
    first._watcher.cancel()
    first._lock.release()  # as the kernel does for a killed process
    second = make()
    async with client(await second.start()) as connection:
        assert await connection.get("a") == "1"
    await process.wait()
    assert f"ending process {orphan}" in caplog.text


def test_it_runs_on_uvloop(tmp_path: Path) -> None:
    async def main() -> int:
        server = EmbeddedServer(tmp_path / "data", RedisSettings())
        url = await server.start()
        async with client(url) as connection:
            pid = server.pid
            assert pid is not None
            os.kill(pid, signal.SIGKILL)
            while server.restarts == 0 or server.pid is None:
                await asyncio.sleep(0.01)
            await connection.set("a", "1")
        await server.stop()
        return server.restarts

    assert uvloop.run(main()) == 1


async def test_a_big_log_is_put_aside(
    make: Callable[..., EmbeddedServer], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(embedded, "LOG_LIMIT", 10)
    for _ in range(3):
        server = make()
        await server.start()
        await server.stop()
    assert sorted(path.name for path in server.folder.glob("server.log*")) == ["server.log", "server.log.1"]


async def test_a_server_that_cannot_start_shows_its_log(make: Callable[..., EmbeddedServer]) -> None:
    server = make()
    await server.start()
    async with client(server.url) as connection:
        await connection.set("a", "1")
    await server.stop()
    (server.folder / "appendonlydir" / "appendonly.aof.manifest").write_text("nonsense")
    with pytest.raises(StoreError, match=r"(?s)ended at its start.*server\.log:\n.*manifest"):
        await make().start()


async def test_a_failed_restart_is_tried_again(make: Callable[..., EmbeddedServer]) -> None:
    server = make()
    await server.start()
    manifest = server.folder / "appendonlydir" / "appendonly.aof.manifest"
    good = manifest.read_text()
    size = server.logfile.stat().st_size
    manifest.write_text("nonsense")
    assert server.pid is not None
    os.kill(server.pid, signal.SIGKILL)
    while "manifest" not in server.logfile.read_text()[size:]:
        await asyncio.sleep(0.01)
    manifest.write_text(good)
    async with client(server.url) as connection:
        assert await connection.ping()


@pytest.mark.parametrize(
    ("script", "message"),
    [
        ("#!/bin/sh\necho 'Redis server v=6.2.14 sha=0'\n", "is Redis 6.2.14; 7.0 or newer is needed"),
        ("#!/bin/sh\necho hello\n", "is not a Redis or Valkey server"),
        ("#!/nowhere\n", "does not run"),
        (None, "is not an executable file"),
    ],
)
async def test_a_bad_engine_is_refused(
    make: Callable[..., EmbeddedServer], tmp_path: Path, script: str | None, message: str
) -> None:
    executable = tmp_path / "server"
    if script is not None:
        executable.write_text(script)
        executable.chmod(0o755)
    with pytest.raises(ConfigError, match=rf"redis\.engine: .*{message}"):
        await make(engine=str(executable)).start()
    await make().start()  # the directory was given back


async def test_the_next_engine_is_taken_when_the_first_does_not_run(
    make: Callable[..., EmbeddedServer], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    old = tmp_path / "valkey-server"
    old.write_text("#!/bin/sh\nexit 1\n")
    old.chmod(0o755)
    installed = shutil.which("redis-server")
    assert installed is not None
    monkeypatch.setattr(engine, "bundled", lambda: None)
    monkeypatch.setenv("PATH", f"{tmp_path}:{Path(installed).parent}:{os.environ['PATH']}")
    async with client(await make().start()) as connection:
        version = ".".join(map(str, engine.identify(installed).version))
        assert version in str(await connection.info("server"))


async def test_an_engine_by_relative_path(
    make: Callable[..., EmbeddedServer], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    installed = shutil.which("redis-server")
    assert installed is not None
    (tmp_path / "my-server").symlink_to(installed)
    monkeypatch.chdir(tmp_path)
    async with client(await make(engine="./my-server").start()) as connection:
        assert await connection.ping()


async def test_a_folder_that_cannot_be_used(make: Callable[..., EmbeddedServer], tmp_path: Path) -> None:
    (tmp_path / "data" / "store" / "server.conf").mkdir(parents=True, mode=0o700)
    (tmp_path / "data").chmod(0o700)
    (tmp_path / "data" / "store").chmod(0o700)
    with pytest.raises(StoreError, match=r"cannot use .*server\.conf"):
        await make().start()


async def test_no_engine_at_all(make: Callable[..., EmbeddedServer], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(engine, "bundled", lambda: None)
    monkeypatch.setattr(engine, "installed", lambda: iter(()))
    with pytest.raises(ConfigError, match=r"install redis-server or valkey-server >= 7.0, .* or give redis\.url"):
        await make().start()
