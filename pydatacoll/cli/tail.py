"""``pydatacoll tail``: live values in the terminal."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Any

import click

from pydatacoll.cli.failures import UNREACHABLE, Failure
from pydatacoll.cli.output import Column, Row
from pydatacoll.cli.points import Glob, PointName, existing, fetch, point_of
from pydatacoll.cli.session import Session, note, remote
from pydatacoll.cli.text import cell, clock_time, width
from pydatacoll.cli.values import quality_style, state_of


def _columns(known: dict[PointName, dict[str, Any]]) -> list[Column]:
    longest = max(width(str(point)) for point in known)
    units = max(width(cell(row["unit"])) for row in known.values())
    return [
        Column("TIME", lambda row: clock_time(row["time"]), room=12),
        Column("POINT", lambda row: cell(str(point_of(row))), room=min(longest, 60)),
        Column("VALUE", lambda row: cell(row["value"]), room=12),
        Column("UNIT", lambda row: cell(row["unit"]), room=units),
        Column("QUALITY", lambda row: cell(row["quality"]), style=quality_style),
    ]


class _Polling:
    """Asks again and again, through restarts of the server."""

    def __init__(self, ask: Callable[[], list[dict[str, Any]]], url: str) -> None:
        self._ask = ask
        self._url = url
        self._lost = False

    def poll(self) -> list[dict[str, Any]]:
        """The values, or nothing while the server is away.

        :raises Failure: when it refuses.
        """
        try:
            rows = self._ask()
        except Failure as failure:
            if failure.exit_code != UNREACHABLE:
                raise
            if not self._lost:
                note(f"{failure.message}; trying again until it is back")
            self._lost = True
            return []
        if self._lost:
            note(f"{self._url} answers again")
            self._lost = False
        return rows


@remote("tail", short_help="Show values as they change.")
@click.argument("points", nargs=-1, required=True, type=Glob(), metavar="GLOB...")
@click.option(
    "--interval",
    default=1.0,
    show_default=True,
    type=click.FloatRange(min=0.05, max=3600),
    help="Seconds between two questions to the server.",
)
@click.option("--all", "everything", is_flag=True, help="Show every point at every interval, changed or not.")
@click.option("-n", "--count", type=click.IntRange(1), help="End after so many values.")
def tail(session: Session, points: tuple[str, ...], interval: float, everything: bool, count: int | None) -> None:
    """Show the latest values of points, and then each one whose time, value or quality changes, until Ctrl+C.

    A change and its reverse within one interval are not seen. A server that goes away is waited for.

    \b
    pydatacoll tail 'feeder*:main:u?'
    pydatacoll -o csv tail feeder1 > values.csv
    """
    client = session.client
    known = existing(client, points)
    columns = _columns(known)
    printer = session.printer
    polling = _Polling(lambda: list(fetch(client, "/api/v2/values", points)), client.url)
    seen: dict[PointName, tuple[str, str, str]] = {}
    left = count
    due = time.monotonic()
    while True:
        for row in polling.poll():
            point, state = point_of(row), state_of(row)
            if not everything and seen.get(point) == state:
                continue
            seen[point] = state
            shown: Row = {**row, "unit": known.get(point, {}).get("unit", "")}
            printer.row(shown, columns)
            if left is not None:
                left -= 1
                if left == 0:
                    return
        printer.flush()
        due = max(due + interval, time.monotonic())
        time.sleep(max(0.0, due - time.monotonic()))
