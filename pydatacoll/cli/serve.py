"""``pydatacoll serve`` and ``pydatacoll version``."""

from __future__ import annotations

from typing import Any

import click

from pydatacoll import __version__

PASS_ON: dict[str, Any] = {
    "ignore_unknown_options": True,
    "allow_extra_args": True,
    "help_option_names": [],
}
"""For a command whose options are defined, and explained, by what it runs."""


@click.command(context_settings=PASS_ON, short_help="Run the API server, as python -m pydatacoll.api_server.")
@click.argument("arguments", nargs=-1, type=click.UNPROCESSED)
def serve(arguments: tuple[str, ...]) -> None:
    """Run the API server; takes the options of ``python -m pydatacoll.api_server``."""
    from pydatacoll.api_server import main as run

    run.main(args=list(arguments), prog_name="pydatacoll serve")


@click.command()
def version() -> None:
    """Print the version."""
    click.echo(__version__)
