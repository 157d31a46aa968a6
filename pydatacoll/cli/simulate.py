"""``pydatacoll simulate``: simulated devices."""

from __future__ import annotations

import click


def unit_ids(_: click.Context, parameter: click.Parameter, text: str) -> list[int]:
    """``1``, ``1-5`` or ``1,2,7-9`` -> the unit ids, 0 to 255."""
    units: set[int] = set()
    for part in text.split(","):
        first, dash, last = part.strip().partition("-")
        try:
            low, high = int(first), int(last if dash else first)
        except ValueError:
            raise click.BadParameter(f"{part.strip()!r} is not a unit id or a range", param=parameter) from None
        if not 0 <= low <= high <= 255:
            raise click.BadParameter(
                f"{part.strip()!r}: unit ids are 0 to 255, the smaller first", param=parameter
            )
        units.update(range(low, high + 1))
    return sorted(units)


@click.group()
def simulate() -> None:
    """Run simulated devices."""


@simulate.command()
@click.option("--host", default="127.0.0.1", show_default=True, help="Address to listen on.")
@click.option(
    "--port",
    default=5020,
    show_default=True,
    type=click.IntRange(0, 65535),
    help="TCP port; 0 takes any free one.",
)
@click.option("--units", default="1", show_default=True, callback=unit_ids, help="Unit ids: 1, 1-5 or 1,2,7-9.")
@click.option(
    "--registers",
    default=1000,
    show_default=True,
    type=click.IntRange(1, 65536),
    help="Registers of each table of a unit.",
)
@click.option(
    "--signal",
    default="sine",
    show_default=True,
    help="How values move: sine, ramp, counter, walk, rotate or fixed.",
)
@click.option(
    "--devices",
    default=1,
    show_default=True,
    type=click.IntRange(1, 10_000),
    help="Devices, each on a port of its own, from --port on.",
)
@click.option(
    "--fault",
    "faults",
    multiple=True,
    metavar="KIND[:NAME=VALUE,...]",
    help="What goes wrong, as exception:code=6,unit=2 or silence:probability=0.01; repeatable, first match wins.",
)
@click.option("--seed", default=0, show_default=True, help="Of the faults' probabilities.")
@click.option(
    "--max-connections", type=click.IntRange(0), help="Connections a device takes; more are closed at once."
)
def modbus(  # noqa: PLR0917 - click passes them by name
    host: str,
    port: int,
    units: list[int],
    registers: int,
    signal: str,
    devices: int,
    faults: tuple[str, ...],
    seed: int,
    max_connections: int | None,
) -> None:
    """Run simulated Modbus TCP devices until Ctrl+C; prints the address when ready."""
    import asyncio
    import contextlib

    from pydatacoll.testing import simulation
    from pydatacoll.testing.faults import Fault

    def ready(bound: int) -> None:
        ports = f"{host}:{bound}" if devices == 1 else f"{host}:{bound}-{bound + devices - 1}"
        click.echo(f"Simulated Modbus TCP devices are running on {ports}")

    try:
        rules = [Fault.parse(fault) for fault in faults]
        with contextlib.suppress(KeyboardInterrupt):
            asyncio.run(
                simulation.simulate(
                    host,
                    port,
                    units,
                    registers,
                    signal,
                    ready,
                    devices=devices,
                    faults=rules,
                    seed=seed,
                    max_connections=max_connections,
                )
            )
    except (OSError, ValueError) as error:
        raise click.ClickException(str(error)) from error
