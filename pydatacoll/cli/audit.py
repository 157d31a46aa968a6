"""``pydatacoll audit``: who changed or controlled what."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

import click

from pydatacoll.cli.failures import FAILED, Failure
from pydatacoll.cli.output import Column, Row
from pydatacoll.cli.points import DeviceName
from pydatacoll.cli.session import Session, remote
from pydatacoll.cli.text import cell, local_time, to_json, utc


def _result_style(text: str) -> Mapping[str, Any]:
    return {} if text.strip() in {"ok", ""} else {"fg": "red"}


def _change(row: Row) -> str:
    """What is different, for one object; counts, for many."""
    if row.get("counts"):
        return to_json(row["counts"])
    before, after = row.get("before"), row.get("after")
    if isinstance(before, dict) and isinstance(after, dict):
        names = [name for name in {**before, **after} if before.get(name) != after.get(name)]
        return ", ".join(f"{name}: {cell(before.get(name))} -> {cell(after.get(name))}" for name in names)
    if isinstance(before, dict) or isinstance(after, dict):
        return ""
    return f"{cell(before)} -> {cell(after)}" if after is not None else ""


_COLUMNS: Final = (
    Column("TIME", lambda row: local_time(row["time"])),
    Column.of("USER", "user"),
    Column.of("SOURCE", "source"),
    Column.of("ACTION", "action"),
    Column.of("OBJECT", "object"),
    Column.of("RESULT", "result", style=_result_style),
    Column("CHANGE", _change),
)
_UNITS: Final = {"s": 1, "m": 60, "h": 3600, "d": 86_400, "w": 604_800}


def moment(text: str | None, now: float) -> str | None:
    """``2h`` before now, or a time as the API takes it."""
    if text and text[-1] in _UNITS and text[:-1].isascii() and text[:-1].isdigit() and len(text) < 8:
        return utc(now - int(text[:-1]) * _UNITS[text[-1]])
    return text


@remote("audit", short_help="Show who changed or controlled what.")
@click.option("--since", metavar="TIME", help="Of this time or later: ISO 8601, or 30m, 2h, 7d before now.")
@click.option("--until", metavar="TIME", help="Of this time or earlier.")
@click.option("--user", metavar="NAME", help="By this user: the name of an access token.")
@click.option("--device", "device_id", metavar="ID", type=DeviceName(), help="What concerns this device.")
@click.option("--action", metavar="GLOB", help="Actions like ctrl or 'device.*'.")
@click.option("--object", "object_", metavar="GLOB", help="Objects like 'feeder1:*'.")
@click.option("--failed", is_flag=True, help="Only what failed or was refused.")
@click.option("-n", "--count", default=100, show_default=True, type=click.IntRange(1, 10_000), help="The newest.")
def audit(
    session: Session,
    *,
    since: str | None,
    until: str | None,
    object_: str | None,
    failed: bool,
    count: int,
    **filters: Any,
) -> None:
    """Show controls and changes of the model from the audit trail, the newest last.

    \b
    pydatacoll audit --since 2h
    pydatacoll audit --device feeder1 --action ctrl
    """
    client = session.client
    now = client.now()
    rows = client.get(
        "/api/v2/audit",
        since=moment(since, now),
        until=moment(until, now),
        object=object_,
        result="failed" if failed else None,
        limit=count,
        **filters,
    )
    if not isinstance(rows, list):
        raise Failure("the answer is no list of entries", FAILED)
    session.printer.rows(rows[::-1], _COLUMNS)
