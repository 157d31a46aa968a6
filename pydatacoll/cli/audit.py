"""``pydatacoll audit``: who changed or controlled what."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any, Final

import click

from pydatacoll.cli.failures import FAILED, Failure
from pydatacoll.cli.output import Column, Row
from pydatacoll.cli.points import DeviceName, TextType
from pydatacoll.cli.session import Session, remote
from pydatacoll.cli.text import cell, local_time, to_json, utc


def _result_style(text: str) -> Mapping[str, Any]:
    text = text.strip()
    return {} if text in {"ok", ""} or text.startswith("ok (") else {"fg": "red"}


def _change(row: Row) -> str:
    """What is different, for one object; counts, for many, and which of the entries of one change this is.

    Of an interrogation, what was asked: it may have reset counters.
    """
    if row.get("counts"):
        counts = to_json(row["counts"])
        return f"{counts} (part {cell(row.get('part'))} of {cell(row['parts'])})" if row.get("parts") else counts
    before, after = row.get("before"), row.get("after")
    if isinstance(before, dict) and isinstance(after, dict):
        names = [name for name in {**before, **after} if before.get(name) != after.get(name)]
        return ", ".join(f"{name}: {cell(before.get(name))} -> {cell(after.get(name))}" for name in names)
    if row.get("action") == "interrogate" and isinstance(after, dict):
        return ", ".join(f"{name}: {cell(value)}" for name, value in after.items())
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
    Column.of("REASON", "reason"),
    Column("CHANGE", _change),
)
_UNITS: Final = {"s": 1, "m": 60, "h": 3600, "d": 86_400, "w": 604_800}


_SPAN: Final = re.compile(r"([0-9]{1,6})([smhdw])\Z")


class Moment(TextType):
    """``2h`` before now, or a time as the API takes it."""

    name = "moment"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> str:
        """Only checks: what the time now is, the server says."""
        from pydatacoll.model import time_from_wire

        text = str(value)
        if not _SPAN.match(text):
            try:
                time_from_wire(text)
            except (ValueError, OverflowError, OSError):
                self.fail(
                    f"{text!r} is neither like 30m, 2h or 7d nor a time like 2026-01-31T08:00:00Z", param, ctx
                )
        return text


def moment(text: str | None, now: float) -> str | None:
    """The time that is meant, as the API takes it; nothing was recorded before 1970."""
    if text and (found := _SPAN.match(text)):
        return utc(max(0.0, now - int(found[1]) * _UNITS[found[2]]))
    return text


@remote("audit", short_help="Show who changed or controlled what.")
@click.option(
    "--since", metavar="TIME", type=Moment(), help="Of this time or later: ISO 8601, or 30m, 2h, 7d before now."
)
@click.option("--until", metavar="TIME", type=Moment(), help="Of this time or earlier.")
@click.option("--user", metavar="NAME", help="By this user: the name of an access token.")
@click.option("--device", "device_id", metavar="ID", type=DeviceName(), help="What concerns this device.")
@click.option("--action", metavar="GLOB", help="Actions like ctrl or 'device.*'.")
@click.option("--object", "object_", metavar="GLOB", help="Objects like 'feeder1:*', also in batches.")
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
