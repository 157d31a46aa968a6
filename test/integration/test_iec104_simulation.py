"""Simulated RTUs as a program: several in one process, two paths, TLS."""

from __future__ import annotations

import asyncio
import contextlib
import socket
import ssl
import subprocess
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from pydatacoll.protocols.iec104.control import Interrogation
from pydatacoll.testing.iec104_faults import Iec104Fault
from pydatacoll.testing.iec104_simulation import Simulation, simulate, tls_context

from .iec104_master import master
from .iec104_peer import STARTDT_ACT, STARTDT_CON


@contextlib.asynccontextmanager
async def running(simulation: Simulation) -> AsyncIterator[list[int]]:
    ready: asyncio.Future[list[int]] = asyncio.get_running_loop().create_future()
    task = asyncio.create_task(simulate(simulation, ready.set_result))
    try:
        yield await ready
    finally:
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task


def free_ports(number: int) -> int:
    """The first of so many ports in a row that are free now."""
    with contextlib.ExitStack() as stack:
        for first in range(20_000, 60_000, number):
            try:
                for port in range(first, first + number):
                    taken = stack.enter_context(socket.socket())
                    taken.bind(("127.0.0.1", port))
            except OSError:
                continue
            return first
    raise AssertionError("no free ports")


async def test_rtus_are_alike_and_independent() -> None:
    first = free_ports(4)
    faults = [Iec104Fault("negative", type=100, times=1)]
    simulation = Simulation(port=first, number=2, paths=2, points=20, rate=1000.0, tick=0.001, faults=faults)
    async with running(simulation) as ports:
        assert ports == [first, first + 1, first + 2, first + 3]
        for port in (ports[0], ports[3]):
            async with master(port) as station:
                found = [await station.next() for _ in range(20)]
                assert found[0].type_id == 70  # each begins with end of initialisation
                assert {asdu.cause for asdu in found[1:]} == {3}
                assert {asdu.type_id for asdu in found[1:]} <= {30, 31, 32, 35, 36}
                station.send(100, Interrogation())
                answers = [await station.next()]
                while answers[-1].type_id != 100:
                    answers.append(await station.next())
                assert answers[-1].negative
    assert faults[0].times == 1  # each has rules of its own


async def test_ports_and_files_are_checked() -> None:
    with pytest.raises(ValueError, match="4 ports need a first one of 1 to 65532"):
        await simulate(Simulation(port=65_533, number=2, paths=2))
    with pytest.raises(ValueError, match="needs the station's own certificate"):
        tls_context(None, "key.pem", None)
    assert tls_context(None, None, None) is None


def certificate(folder: Path, name: str, *, signed_by: str | None = None) -> None:
    """A certificate of ``localhost`` and its key; without ``signed_by`` it is a CA."""
    command = ["openssl", "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-days", "2", "-subj", f"/CN={name}"]
    if signed_by is not None:
        command += [
            "-CA",
            f"{signed_by}.pem",
            "-CAkey",
            f"{signed_by}.key",
            "-addext",
            "subjectAltName=DNS:localhost",
        ]
        command += ["-addext", "basicConstraints=critical,CA:FALSE"]
    command += ["-keyout", f"{name}.key", "-out", f"{name}.pem"]
    subprocess.run(command, cwd=folder, check=True, capture_output=True)


async def test_tls_with_certificates_on_both_sides(tmp_path: Path) -> None:
    certificate(tmp_path, "ca")
    for name in ("station", "client"):
        certificate(tmp_path, name, signed_by="ca")
    tls = tls_context(*(str(tmp_path / name) for name in ("station.pem", "station.key", "ca.pem")))
    async with running(Simulation(tls=tls)) as (port,):
        context = ssl.create_default_context(cafile=str(tmp_path / "ca.pem"))
        with pytest.raises((ssl.SSLError, ConnectionResetError, asyncio.IncompleteReadError)):
            await started(port, context)
        context.load_cert_chain(tmp_path / "client.pem", tmp_path / "client.key")
        await started(port, context)


async def started(port: int, context: ssl.SSLContext) -> None:
    """Connect, start and close."""
    reader, writer = await asyncio.open_connection("127.0.0.1", port, ssl=context, server_hostname="localhost")
    try:
        writer.write(STARTDT_ACT)
        assert await reader.readexactly(6) == STARTDT_CON
    finally:
        writer.close()
        with contextlib.suppress(ssl.SSLError, ConnectionResetError):
            await writer.wait_closed()
