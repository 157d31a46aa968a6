"""The command line: cheap to start, and says what it takes."""

from __future__ import annotations

import math
import subprocess
import sys
from collections.abc import Callable, Sequence
from typing import Any

import click
import pytest
from click.testing import CliRunner

from pydatacoll import __version__
from pydatacoll.cli import main
from pydatacoll.testing.faults import Fault
from pydatacoll.testing.iec104_faults import Iec104Fault
from pydatacoll.testing.iec104_simulation import Simulation


def run(*arguments: str) -> Any:
    return CliRunner().invoke(main, arguments)


def test_help_names_the_commands() -> None:
    result = run("--help")
    assert result.exit_code == 0
    for command in ("serve", "simulate", "version"):
        assert command in result.output


def test_version() -> None:
    assert run("version").output == f"{__version__}\n"
    assert run("--version").output == f"PyDataColl {__version__}\n"


def test_help_imports_nothing_heavy() -> None:
    """The start of the command stays fast: what takes long is imported inside the commands."""
    script = (
        "import sys; from pydatacoll.cli import main; "
        "main(['simulate', 'modbus', '--help'], standalone_mode=False); "
        "heavy = {'aiohttp', 'redis', 'pymodbus', 'asyncio', 'msgspec', 'rich', 'ssl'} & set(sys.modules); "
        "print('heavy:', sorted(heavy))"
    )
    output = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True).stdout
    assert output.endswith("heavy: []\n")


@pytest.mark.parametrize("option", ["-h", "--help"])
def test_serve_explains_the_options_of_the_server(option: str) -> None:
    result = run("serve", option)
    assert result.exit_code == 0
    for text in ("Usage: pydatacoll serve", "--data-dir", "--managers"):
        assert text in result.output


def test_serve_passes_its_arguments_on(monkeypatch: pytest.MonkeyPatch) -> None:
    from pydatacoll import api_server

    seen: dict[str, Any] = {}

    @click.command()
    @click.option("--port")
    @click.option("--demo", is_flag=True)
    def fake(**options: Any) -> None:
        seen.update(options)

    monkeypatch.setattr(api_server, "main", fake)
    assert run("serve", "--demo", "--port", "0").exit_code == 0
    assert seen == {"port": "0", "demo": True}
    assert run("serve", "--nonsense").exit_code == 2
    assert "Usage: pydatacoll serve" in run("serve", "--help").output


@pytest.fixture
def simulated(monkeypatch: pytest.MonkeyPatch) -> dict[str, Any]:
    from pydatacoll.testing import simulation

    seen: dict[str, Any] = {}

    async def fake(
        host: str,
        port: int,
        units: Sequence[int],
        registers: int,
        signal: str,
        on_ready: Callable[[int], None],
        **more: Any,
    ) -> None:
        if signal == "noise":
            raise ValueError("unknown signal 'noise'; known: sine")
        if port == 1:
            raise PermissionError(13, "Permission denied")
        seen.update(host=host, port=port, units=units, registers=registers, signal=signal, **more)
        on_ready(4321)
        raise KeyboardInterrupt

    monkeypatch.setattr(simulation, "simulate", fake)
    return seen


def test_simulate_modbus(simulated: dict[str, Any]) -> None:
    result = run("simulate", "modbus", "--port", "0", "--units", "1, 7-9", "--registers", "5", "--signal", "walk")
    assert result.output == "Simulated Modbus TCP devices are running on 127.0.0.1:4321\n"
    assert result.exit_code == 0
    assert simulated == {
        "host": "127.0.0.1",
        "port": 0,
        "units": [1, 7, 8, 9],
        "registers": 5,
        "signal": "walk",
        "devices": 1,
        "faults": [],
        "seed": 0,
        "max_connections": None,
    }


def test_an_ipv6_address_is_shown_as_it_stands_before_a_port(
    simulated: dict[str, Any], rtus: list[Simulation]
) -> None:
    assert "running on [::1]:4321\n" in run("simulate", "modbus", "--port", "0", "--host", "::1").output
    assert "running on [::1]:4321\n" in run("simulate", "iec104", "--port", "0", "--host", "::1").output


def test_simulate_modbus_with_faults(simulated: dict[str, Any]) -> None:
    result = run(
        *("simulate", "modbus", "--port", "6000", "--devices", "3", "--seed", "7", "--max-connections", "1"),
        *("--fault", "exception:code=6,unit=2,address=10", "--fault", "silence:probability=0.25"),
    )
    assert result.output == "Simulated Modbus TCP devices are running on 127.0.0.1:4321-4323\n"
    assert (simulated["devices"], simulated["seed"], simulated["max_connections"]) == (3, 7, 1)
    assert simulated["faults"] == [
        Fault("exception", unit=2, address=10, code=6),
        Fault("silence", probability=0.25),
    ]


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--units", "x"], "'x' is not a unit id or a range"),
        (["--units", "5-1"], "unit ids are 0 to 255, the smaller first"),
        (["--units", "256"], "unit ids are 0 to 255"),
        (["--port", "65536"], "65536 is not in the range"),
        (["--registers", "0"], "0 is not in the range"),
        (["--signal", "noise"], "unknown signal 'noise'"),
        (["--port", "1"], "Permission denied"),
        (["--fault", "sleepy"], "unknown fault 'sleepy'; known: delay, silence"),
        (["--fault", "delay:second=1"], "unknown option 'second'; known: unit, function"),
        (["--fault", "delay:seconds=x"], "seconds must be a number"),
        (["--fault", "silence:probability=2"], "probability is 0 to 1"),
    ],
)
def test_bad_arguments_are_explained(simulated: dict[str, Any], arguments: list[str], message: str) -> None:
    result = run("simulate", "modbus", *arguments)
    assert result.exit_code in {1, 2}
    assert message in result.output
    assert "Traceback" not in result.output


@pytest.fixture
def rtus(monkeypatch: pytest.MonkeyPatch) -> list[Simulation]:
    """What would have been simulated; it never starts."""
    from pydatacoll.testing import iec104_simulation

    seen: list[Simulation] = []

    async def fake(simulation: Simulation, on_ready: Callable[[list[int]], None]) -> None:
        if simulation.port == 1:
            raise PermissionError(13, "Permission denied")
        seen.append(simulation)
        on_ready([4321 + 2 * at for at in range(simulation.paths)] if not simulation.port else [6000, 6001, 6002])
        raise KeyboardInterrupt

    monkeypatch.setattr(iec104_simulation, "simulate", fake)
    return seen


def test_simulate_iec104(rtus: list[Simulation]) -> None:
    result = run(
        "simulate", "iec104", "--port", "0", "--ca", "1, 7-9", "--paths", "2", "--events-per-second", "inf"
    )
    assert result.output == "Simulated RTUs of IEC 60870-5-104 are running on 127.0.0.1:4321,4323\n"
    assert result.exit_code == 0
    assert rtus == [Simulation(commons=[1, 7, 8, 9], paths=2, rate=math.inf, faults=[], types=())]


def test_simulate_iec104_with_everything(rtus: list[Simulation]) -> None:
    result = run(
        *("simulate", "iec104", "--port", "6000", "--rtus", "3", "--seed", "7", "--points", "5", "--tick", "100"),
        *("--type", "M_ME_NC_1", "--type", "1", "--k", "20", "--w", "10", "--time-zone", "+01:00"),
        *("--clock-offset", "-2.5", "--background", "30", "--bad", "0.5"),
        *("--fault", "slow:seconds=2,type=100", "--fault", "close:probability=0.25"),
    )
    assert result.output == "Simulated RTUs of IEC 60870-5-104 are running on 127.0.0.1:6000-6002\n"
    faults = [Iec104Fault("slow", type=100, seconds=2.0), Iec104Fault("close", probability=0.25)]
    assert rtus == [
        Simulation(
            port=6000, commons=[1], number=3, seed=7, points=5, tick=0.1, types=("M_ME_NC_1", "1"), k=20, w=10,
            rate=1.0, time_zone="+01:00", clock_offset=-2.5, background=30.0, bad=0.5, faults=faults,
        )
    ]  # fmt: skip


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--ca", "x"], "'x' is not a common address or a range"),
        (["--ca", "0"], "common addresses are 1 to 65534"),
        (["--ca", "65535"], "common addresses are 1 to 65534"),
        (["--points", "0"], "0 is not in the range"),
        (["--events-per-second", "-1"], "-1.0 is not in the range"),
        (["--port", "1"], "Permission denied"),
        (["--fault", "sleepy"], "unknown fault 'sleepy'; known: refuse, no_startdt_con"),
        (["--fault", "delay:unit=1"], "unknown option 'unit'; known: type, cause, common, address"),
        (["--tls-key", "key.pem"], "TLS needs the station's own certificate"),
        (["--tls-certificate", "/nowhere/cert.pem"], "No such file"),
    ],
)
def test_bad_arguments_of_rtus_are_explained(rtus: list[Simulation], arguments: list[str], message: str) -> None:
    result = run("simulate", "iec104", *arguments)
    assert result.exit_code in {1, 2}
    assert message in result.output
    assert "Traceback" not in result.output
