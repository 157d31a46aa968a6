"""``pydatacoll frames``: what went over the line."""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from typing import Any, Final

import click

from pydatacoll.cli.output import Column, Row
from pydatacoll.cli.points import DeviceName
from pydatacoll.cli.session import Session, note, remote
from pydatacoll.cli.text import clock_time

_SIGNS: Final = {"sent": ">", "received": "<"}


def _style(text: str) -> Mapping[str, Any]:
    return {"fg": {">": "cyan", "<": "green"}.get(text.strip(), "yellow")}


_COLUMNS: Final = (
    Column("TIME", lambda row: clock_time(row["time"]), room=12),
    Column("", lambda row: _SIGNS.get(row["direction"], "#"), style=_style, room=1),
    Column.of("MEANING", "text"),
    Column.of("BYTES", "hex"),
)


def _new(before: Sequence[Row], now: Sequence[Row]) -> Sequence[Row]:
    """Frames that came after those that were shown last."""
    if before:
        last = before[-1]
        for place in range(len(now) - 1, -1, -1):
            if now[place] == last:
                return now[place + 1 :]
    return now


@remote("frames", short_help="Show protocol frames of a device.")
@click.argument("device", type=DeviceName())
@click.option("-n", "--count", default=100, show_default=True, type=click.IntRange(1), help="The newest so many.")
@click.option("-f", "--follow", is_flag=True, help="Go on with those that come, until Ctrl+C.")
@click.option(
    "--interval",
    default=1.0,
    show_default=True,
    type=click.FloatRange(min=0.05, max=3600),
    help="Seconds between two questions to the server, with --follow.",
)
def frames(session: Session, device: str, count: int, follow: bool, interval: float) -> None:
    """Show the last protocol frames of a device, in plain words and in hexadecimal; > was sent, < received.

    They are kept when the field frame_log of the device, or the setting manager.frame_log, says how many.
    """
    from pydatacoll.cli.client import path_of

    path = path_of("api", "v2", "devices", device, "frames")
    answer = session.client.get(path, limit=count)
    if answer["size"] == 0:
        note(
            f"No frames of {device} are kept. To keep the last 1000, set its field frame_log: "
            f'PATCH /api/v1/devices/{device} {{"frame_log": 1000}}; or the setting manager.frame_log for all.'
        )
    printer = session.printer
    shown: Sequence[Row] = answer["frames"]
    if not follow:
        printer.rows(shown, _COLUMNS)
        return
    for frame in shown:
        printer.row(frame, _COLUMNS)
    while True:
        printer.flush()
        time.sleep(interval)
        now = session.client.get(path, limit=max(count, 1000))["frames"]
        for frame in _new(shown, now):
            printer.row(frame, _COLUMNS)
        shown = now or shown
