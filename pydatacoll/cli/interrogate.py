"""``pydatacoll interrogate`` and ``discovered``: what a device has, and what of it is not configured."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING, Any, Final

import click

from pydatacoll.cli.failures import DEVICE
from pydatacoll.cli.output import Column
from pydatacoll.cli.points import DeviceName, TextType, complete
from pydatacoll.cli.session import Session, confirm, note, remote
from pydatacoll.cli.text import cell, local_time, span
from pydatacoll.cli.values import quality_style

if TYPE_CHECKING:
    from click.shell_completion import CompletionItem

_COMPLETE: Final = frozenset({"terminated", "confirmed"})
_RESETS: Final = frozenset({"freeze_reset", "reset"})
_MORE: Final = 15.0
"""Seconds that the server has beyond --wait."""

_RESULTS: Final = (
    Column.of("TERM", "term_id"),
    Column.of("ADDRESS", "address"),
    Column.of("OUTCOME", "outcome", style=lambda text: {} if text.strip() in _COMPLETE else {"fg": "red"}),
    Column.of("POINTS", "points"),
    Column("TOOK", lambda row: span(row["seconds"])),
    Column.of("DETAIL", "detail"),
)
_DISCOVERED: Final = (
    Column.of("TERM", "term_id"),
    Column.of("ADDRESS", "address"),
    Column.of("CODE", "protocol_code"),
    Column.of("TYPE", "code_type"),
    Column.of("VALUE", "value"),
    Column.of("QUALITY", "quality", style=quality_style),
    Column("TIME", lambda row: local_time(row["time"])),
    Column.of("CAUSE", "cause"),
    Column.of("COUNT", "count"),
    Column.of("NOTE", "note"),
)


class _TermName(TextType):
    """The id of a term of the device that was named before."""

    name = "term"

    def shell_complete(self, ctx: click.Context, param: click.Parameter, incomplete: str) -> list[CompletionItem]:
        """Ids of the terms of the device."""
        from click.shell_completion import CompletionItem

        # an option without its value keeps click from looking what the arguments are
        device = ctx.params.get("device") or next(iter(ctx.args), None)
        if device is None:
            return []
        return [CompletionItem(one.value.partition(":")[2]) for one in complete(ctx, f"{device}:{incomplete}", 2)]


@remote("interrogate", short_help="Make a device send its values now.")
@click.argument("device", type=DeviceName())
@click.option(
    "--group",
    default=20,
    show_default=True,
    type=click.IntRange(0, 255),
    help="iec104: 20 all, 21 to 36 groups 1 to 16; 37 all counters, 38 to 41 their groups 1 to 4.",
)
@click.option("--term", "term_id", metavar="TERM", type=_TermName(), help="Only this term.")
@click.option(
    "--freeze",
    type=click.Choice(("read", "freeze", "freeze_reset", "reset")),
    help="What the device does with its counters; a reset asks first.",
)
@click.option(
    "--wait",
    default=30.0,
    show_default=True,
    type=click.FloatRange(1, 300),
    help="Seconds to wait for the end.",
)
@click.option("-y", "--yes", is_flag=True, help="Do not ask.")
def interrogate(session: Session, device: str, *, term_id: str | None, yes: bool, **body: Any) -> None:
    """Make a device send a group of its values now, and wait until it has.

    The values go where all others go; what is shown is how many came of each term. When not all terms did it, the
    exit code is 4.

    \b
    pydatacoll interrogate rtu1
    pydatacoll interrogate rtu1 --group 21 --term rtu1.bay1
    pydatacoll interrogate rtu1 --group 37 --freeze freeze
    """
    from pydatacoll.cli.client import path_of

    if body["freeze"] in _RESETS:
        confirm(f"The counters of {term_id or f'all terms of {device}'} are set to zero. Do it?", yes=yes)
    asked = {name: value for name, value in {**body, "term_id": term_id}.items() if value is not None}
    client = session.patient(body["wait"] + _MORE)
    answer = client.post(path_of("api", "v2", "devices", device, "interrogate"), asked)
    results = answer["results"]
    session.printer.rows(results, _RESULTS)
    missing = [cell(row["term_id"] or "all stations") for row in results if row["outcome"] not in _COMPLETE]
    if missing:
        note(f"Not complete: {', '.join(missing)}")
        click.get_current_context().exit(DEVICE)


@remote("discovered", short_help="List addresses that send and are not configured.")
@click.argument("device", type=DeviceName())
@click.option("-n", "--count", type=click.IntRange(1), help="At most so many.")
def discovered(session: Session, device: str, count: int | None) -> None:
    """List the addresses of a device that send and are not configured, since it was started.

    As csv it is a table for pydatacoll import: so a point list is made of what a running device sends.

    \b
    pydatacoll discovered rtu1
    pydatacoll discovered rtu1 -o csv > points.csv
    pydatacoll import points.csv
    """
    from pydatacoll.cli.client import path_of

    path = path_of("api", "v2", "devices", device, "discovered")
    if session.format == "csv":
        output = sys.stdout.buffer
        session.client.download(path, output, query={"limit": count}, accept="text/csv")
        output.flush()
        return
    session.printer.rows(session.client.get(path, limit=count), _DISCOVERED)
