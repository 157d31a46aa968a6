"""``pydatacoll history``: what was archived."""

from __future__ import annotations

import json
import sys
from typing import Final

import click

from pydatacoll.cli.audit import Moment, moment
from pydatacoll.cli.failures import FAILED, Failure
from pydatacoll.cli.output import Column
from pydatacoll.cli.points import Point, PointName
from pydatacoll.cli.session import Session, remote
from pydatacoll.cli.text import local_time
from pydatacoll.cli.values import quality_style

_PATH: Final = "/api/v2/history"
_SAMPLES: Final = (
    Column("TIME", lambda row: local_time(row["time"])),
    Column.of("VALUE", "value"),
    Column.of("QUALITY", "quality", style=quality_style),
)
_BUCKETS: Final = (
    Column("TIME", lambda row: local_time(row["time"])),
    Column.of("MIN", "min"),
    Column.of("MAX", "max"),
    Column.of("MEAN", "mean"),
    Column.of("COUNT", "count"),
    Column.of("BAD", "bad"),
    Column.of("LAST", "last"),
    Column.of("QUALITY", "quality", style=quality_style),
)


@remote("history", short_help="Show what was archived.")
@click.argument("point", type=Point())
@click.option(
    "--since", metavar="TIME", type=Moment(), help="Of this time or later: ISO 8601, or 30m, 2h, 7d before now."
)
@click.option("--until", metavar="TIME", type=Moment(), help="Of this time or earlier.")
@click.option(
    "--buckets",
    type=click.IntRange(1, 100_000),
    help="Instead of samples: what each of so many spans of time holds (min, max, mean, ...).",
)
@click.option(
    "-n", "--count", type=click.IntRange(1), help="The newest samples; without --since and --buckets 100."
)
def history(
    session: Session,
    point: PointName,
    *,
    since: str | None,
    until: str | None,
    buckets: int | None,
    count: int | None,
) -> None:
    """Show the archived samples of a point, the newest last.

    \b
    pydatacoll history feeder1:main:ua --since 2h
    pydatacoll history feeder1:main:ua --since 7d --buckets 168
    pydatacoll -o csv history feeder1:main:ua --since 2026-01-01T00:00:00Z > ua.csv
    """
    if buckets is not None and count is not None:
        raise click.UsageError("--count is for samples: leave it out, or --buckets")
    client = session.client
    now = client.now()
    query = {
        **point._asdict(),
        "since": moment(since, now),
        "until": moment(until, now),
        "buckets": buckets,
        "limit": 100 if count is None and since is None and buckets is None else count,
    }
    if session.format == "csv":  # as the server writes it, however much it is
        output = sys.stdout.buffer
        client.download(_PATH, output, query=query, accept="text/csv")
        output.flush()
        return
    rows = client.get(_PATH, **query)
    if not isinstance(rows, list):
        raise Failure(f"the answer is no list of samples: {json.dumps(rows)[:100]}", FAILED)
    session.printer.rows(rows, _SAMPLES if buckets is None else _BUCKETS)
