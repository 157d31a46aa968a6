"""``pydatacoll simulate``: simulated devices."""

from __future__ import annotations

from typing import Any

import click


def unit_ids(_: click.Context, parameter: click.Parameter, text: str) -> list[int]:
    """``1``, ``1-5`` or ``1,2,7-9`` -> the unit ids, 0 to 255."""
    return _numbers(parameter, text, "unit id", "unit ids", lowest=0, highest=255)


def common_addresses(_: click.Context, parameter: click.Parameter, text: str) -> list[int]:
    """The same with common addresses, 1 to 65534."""
    return _numbers(parameter, text, "common address", "common addresses", lowest=1, highest=65534)


def _numbers(
    parameter: click.Parameter, text: str, one: str, many: str, *, lowest: int, highest: int
) -> list[int]:
    numbers: set[int] = set()
    for part in text.split(","):
        first, dash, last = part.strip().partition("-")
        try:
            low, high = int(first), int(last if dash else first)
        except ValueError:
            raise click.BadParameter(f"{part.strip()!r} is not a {one} or a range", param=parameter) from None
        if not lowest <= low <= high <= highest:
            raise click.BadParameter(
                f"{part.strip()!r}: {many} are {lowest} to {highest}, the smaller first", param=parameter
            )
        numbers.update(range(low, high + 1))
    return sorted(numbers)


def _bracketed(host: str) -> str:
    """As it stands before a colon and a port."""
    return f"[{host}]" if ":" in host else host


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
        ports = f"{bound}" if devices == 1 else f"{bound}-{bound + devices - 1}"
        click.echo(f"Simulated Modbus TCP devices are running on {_bracketed(host)}:{ports}")

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


@simulate.command()
@click.option("--host", default="127.0.0.1", show_default=True, help="Address to listen on.")
@click.option(
    "--port",
    default=2404,
    show_default=True,
    type=click.IntRange(0, 65535),
    help="TCP port; 0 takes any free one.",
)
@click.option(
    "--ca",
    "commons",
    default="1",
    show_default=True,
    callback=common_addresses,
    help="Common addresses: 1, 1-5 or 1,2,7-9.",
)
@click.option(
    "--points",
    default=100,
    show_default=True,
    type=click.IntRange(1, 1_000_000),
    help="Points of each common address.",
)
@click.option(
    "--type",
    "types",
    multiple=True,
    metavar="TYPE",
    help="Their type by name or number, as M_ME_NC_1; repeatable. Default: states, positions, measurements, "
    "counters and commands as in a substation.",
)
@click.option(
    "--events-per-second",
    "rate",
    default=1.0,
    show_default=True,
    type=click.FloatRange(0),
    help="Spontaneous events of each RTU; inf: as many as a connection takes.",
)
@click.option(
    "--tick",
    default=20.0,
    show_default=True,
    type=click.FloatRange(1, 1000),
    help="Milliseconds between two bursts of events.",
)
@click.option(
    "--bad",
    default=0.0,
    type=click.FloatRange(0, 1),
    help="Share of the points, 0 to 1, whose events are not topical now and then.",
)
@click.option(
    "--background",
    default=0.0,
    type=click.FloatRange(0),
    help="Seconds between two background scans; 0, the default: none.",
)
@click.option(
    "--rtus",
    "number",
    default=1,
    show_default=True,
    type=click.IntRange(1, 10_000),
    help="RTUs, each on ports of its own, from --port on.",
)
@click.option(
    "--paths",
    default=1,
    show_default=True,
    type=click.IntRange(1, 8),
    help="Ports of each RTU: a redundancy group has two.",
)
@click.option(
    "--fault",
    "faults",
    multiple=True,
    metavar="KIND[:NAME=VALUE,...]",
    help="What goes wrong, as no_term:type=100 or negative:type=46,probability=0.1; repeatable, first match wins.",
)
@click.option("--seed", default=0, show_default=True, help="Of the faults' probabilities.")
@click.option("--time-zone", default="UTC", show_default=True, help="Of the clock: UTC, +01:00 or a name.")
@click.option("--clock-offset", default=0.0, help="Seconds by which the clock is ahead until it is set.")
@click.option("--k", default=12, show_default=True, type=click.IntRange(1, 32767), help="I frames on their way.")
@click.option("--w", default=8, show_default=True, type=click.IntRange(1, 32767), help="I frames to acknowledge.")
@click.option("--tls-certificate", metavar="FILE", help="Certificate with its chain (PEM): speak TLS.")
@click.option("--tls-key", metavar="FILE", help="Its key, when it is in a file of its own.")
@click.option("--tls-ca", metavar="FILE", help="CA (PEM) that the certificates of clients must come from.")
def iec104(
    faults: tuple[str, ...],
    tick: float,
    tls_certificate: str | None,
    tls_key: str | None,
    tls_ca: str | None,
    **options: Any,
) -> None:
    """Run simulated RTUs of IEC 60870-5-104 until Ctrl+C; prints the address when ready."""
    import asyncio
    import contextlib

    from pydatacoll.testing import iec104_simulation
    from pydatacoll.testing.iec104_faults import Iec104Fault

    def ready(ports: list[int]) -> None:
        in_a_row = len(ports) > 1 and ports == list(range(ports[0], ports[-1] + 1))
        span = f"{ports[0]}-{ports[-1]}" if in_a_row else ",".join(map(str, ports))
        click.echo(f"Simulated RTUs of IEC 60870-5-104 are running on {_bracketed(options['host'])}:{span}")

    try:
        simulation = iec104_simulation.Simulation(
            faults=[Iec104Fault.parse(fault) for fault in faults],
            tick=tick / 1000,
            tls=iec104_simulation.tls_context(tls_certificate, tls_key, tls_ca),
            **options,
        )
        with contextlib.suppress(KeyboardInterrupt):
            asyncio.run(iec104_simulation.simulate(simulation, ready))
    except (OSError, ValueError) as error:  # those of TLS are OSError, too
        raise click.ClickException(str(error)) from error
