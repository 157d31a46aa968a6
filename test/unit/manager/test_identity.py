"""Which managers are known to be dead."""

from __future__ import annotations

import os
import socket
import subprocess
import sys

import pytest

from pydatacoll.manager import identity
from pydatacoll.manager.identity import is_dead, manager_name, place


def _name(pid: object, *, host: str | None = None, where: str | None = None) -> str:
    return f"{host or socket.gethostname()}-{where or place()}-{pid}-abcdef"


@pytest.fixture
def gone() -> int:
    """The id of a process that has ended."""
    process = subprocess.Popen([sys.executable, "-c", ""])
    process.wait()
    return process.pid


def test_who_runs_is_not_dead() -> None:
    assert not is_dead(manager_name())
    assert not is_dead(_name(os.getpid())), "two managers in one process"
    assert not is_dead(_name(1)), "a process of somebody else"


def test_a_process_that_has_ended_is(gone: int) -> None:
    assert is_dead(_name(gone))


def test_a_zombie_is_dead() -> None:
    process = subprocess.Popen([sys.executable, "-c", ""])
    os.waitid(os.P_PID, process.pid, os.WEXITED | os.WNOWAIT)
    try:
        assert is_dead(_name(process.pid))
    finally:
        process.wait()


def test_of_another_place_nothing_is_known(gone: int) -> None:
    assert not is_dead(_name(gone, host="elsewhere"))
    assert not is_dead(_name(gone, where="00000000"))


@pytest.mark.parametrize(
    "name", ["", "m", "a-b", "host-1234-abcdef", _name("x"), _name(""), _name("9" * 30), _name("-1")]
)
def test_what_is_no_name_of_ours_is_left_alone(name: str) -> None:
    assert not is_dead(name)


def test_without_a_place_nobody_is_dead(gone: int, monkeypatch: pytest.MonkeyPatch) -> None:
    name = f"{socket.gethostname()}--{gone}-abcdef"
    monkeypatch.setattr(identity, "place", lambda: "")
    assert not is_dead(name)
