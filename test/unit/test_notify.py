"""What a service manager is told, seen by one that listens."""

from __future__ import annotations

import asyncio
import os
import socket
from collections.abc import Iterator
from pathlib import Path

import pytest

from pydatacoll.notify import Notifier


@pytest.fixture(params=["path", "abstract"])
def manager(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[tuple[socket.socket, str]]:
    """A listening service manager, and the value of ``NOTIFY_SOCKET``."""
    name = f"{tmp_path}/notify" if request.param == "path" else f"@pydatacoll-test-{os.getpid()}"
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as listening:
        listening.bind(name.replace("@", "\0", 1))
        listening.settimeout(5)
        yield listening, name


def test_ready_and_stopping_are_told(manager: tuple[socket.socket, str]) -> None:
    listening, name = manager
    environment = {"NOTIFY_SOCKET": name, "OTHER": "kept"}
    notifier = Notifier(environment)
    notifier.ready("on http://127.0.0.1:8080")
    assert listening.recv(1000).decode().splitlines() == [
        "READY=1",
        "STATUS=on http://127.0.0.1:8080",
        f"MAINPID={os.getpid()}",
    ]
    notifier.stopping()
    assert listening.recv(1000).startswith(b"STOPPING=1\n")
    assert environment == {"OTHER": "kept"}
    assert notifier.watchdog_period is None


async def test_a_loop_that_runs_gives_signs_of_life(manager: tuple[socket.socket, str]) -> None:
    listening, name = manager
    notifier = Notifier({"NOTIFY_SOCKET": name, "WATCHDOG_USEC": "2000", "WATCHDOG_PID": str(os.getpid())})
    assert notifier.watchdog_period == 0.001
    task = asyncio.create_task(notifier.watchdog())
    try:
        for _ in range(3):
            assert await asyncio.to_thread(listening.recv, 100) == b"WATCHDOG=1"
    finally:
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)


async def test_a_watchdog_of_another_process_or_none_is_no_concern() -> None:
    for environment in (
        {},
        {"WATCHDOG_USEC": "5"},
        {"NOTIFY_SOCKET": "/x", "WATCHDOG_USEC": "5", "WATCHDOG_PID": "1"},
    ):
        notifier = Notifier(dict(environment))
        assert notifier.watchdog_period is None
        await notifier.watchdog()


def test_nobody_listening_is_no_failure(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    Notifier({"NOTIFY_SOCKET": f"{tmp_path}/gone"}).ready("x")
    assert "the service manager was not told READY" in caplog.text
    Notifier({}).ready("x")
