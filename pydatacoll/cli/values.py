"""``pydatacoll get`` and ``call``: values as they were collected, and as the device says now."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from typing import Any, Final

import click

from pydatacoll.cli.failures import Refused
from pydatacoll.cli.output import Column, Row
from pydatacoll.cli.points import Glob, existing, fetch, point_of
from pydatacoll.cli.session import Session, note, remote
from pydatacoll.cli.text import cell, epoch, local_time, span

_CALLS: Final = 1000
"""Points in one request."""


def quality_style(text: str) -> Mapping[str, Any]:
    """Everything but good stands out; the word stays, colour only adds to it."""
    return {} if text.strip() in {"good", ""} else {"fg": "red"}


def value_columns(now: float) -> list[Column]:
    """Columns of a table of values, at this time of the server."""
    return [
        Column("POINT", lambda row: cell(str(point_of(row)))),
        Column.of("VALUE", "value"),
        Column.of("UNIT", "unit"),
        Column("TIME", lambda row: local_time(row["time"])),
        Column("AGE", lambda row: span(now - epoch(row["time"])) if row["time"] else ""),
        Column.of("QUALITY", "quality", style=quality_style),
    ]


@remote("get", short_help="Show latest values.")
@click.argument("points", nargs=-1, required=True, type=Glob(), metavar="POINT...")
@click.option("--quality", metavar="QUALITY", help="Only good or bad values, or those with this flag.")
def get(session: Session, points: tuple[str, ...], quality: str | None) -> None:
    """Show the latest values of points, as they were collected.

    \b
    pydatacoll get feeder1:main:ua
    pydatacoll get 'feeder*:*:u?' --quality bad
    """
    client = session.client
    known = existing(client, points)
    values = {point_of(row): row for row in fetch(client, "/api/v2/values", points, quality=quality)}
    rows: list[Row] = [{**values[point], "unit": known[point]["unit"]} for point in known if point in values]
    session.printer.rows(rows, value_columns(client.now()))
    if quality is None and len(rows) < len(known):
        without = [str(point) for point in known if point not in values]
        more = f" and {len(without) - 5} more" if len(without) > 5 else ""
        note(f"No value yet: {', '.join(without[:5])}{more}")


@remote("call", short_help="Read points now, from their devices.")
@click.argument("points", nargs=-1, required=True, type=Glob(), metavar="POINT...")
def call(session: Session, points: tuple[str, ...]) -> None:
    """Ask the devices for the values of points now, and show what they say.

    Every point is asked for, also when others fail; the exit code is then the greatest of their failures.

    \b
    pydatacoll call feeder1:main:ua 'feeder2:main:u?'
    """
    client = session.client
    known = existing(client, points)
    names = list(known)
    rows: list[Row] = []
    failures: list[tuple[str, Refused]] = []
    for start in range(0, len(names), _CALLS):
        asked = [name._asdict() for name in names[start : start + _CALLS]]
        for point, answer in zip(
            names[start:], client.post("/api/v2/device_call", asked, repeat=True), strict=False
        ):
            status = answer.pop("status")
            if status == 200:
                rows.append({**answer, "unit": known[point]["unit"]})
            else:
                failures.append((str(point), Refused(status, answer)))
    session.printer.rows(rows, value_columns(client.now()))
    report(failures)


def report(failures: Sequence[tuple[str, Refused]]) -> None:
    """Show what failed, and end with the greatest of the exit codes."""
    for name, failure in failures:
        failure.about = name
        failure.show()
    if failures:
        click.get_current_context().exit(max(failure.exit_code for _, failure in failures))


def state_of(row: Row) -> tuple[str, str, str]:
    """What makes a value another one: its time, itself, or its quality."""
    return row["time"], json.dumps(row["value"]), json.dumps(row["quality"])
