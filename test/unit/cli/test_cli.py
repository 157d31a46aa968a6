"""The command line: cheap to start, and says what it takes."""

from __future__ import annotations

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
