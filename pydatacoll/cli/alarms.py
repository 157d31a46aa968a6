"""``pydatacoll alarms``: what is wrong now, what was, and what a person does about it."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, Final

import click

from pydatacoll.cli.audit import Moment, moment
from pydatacoll.cli.failures import FAILED, Failure, Refused
from pydatacoll.cli.output import Column, Row
from pydatacoll.cli.points import DeviceName, TextType
from pydatacoll.cli.session import Session, note, remote
from pydatacoll.cli.text import cell, local_time
from pydatacoll.cli.values import quality_style, report

if TYPE_CHECKING:
    from pydatacoll.cli.client import Client

STATES: Final = (
    "active",
    "unacknowledged",
    "active_unacknowledged",
    "active_acknowledged",
    "returned_unacknowledged",
    "shelved",
)
PRIORITIES: Final = ("low", "medium", "high", "critical")
_SPAN: Final = re.compile(r"([0-9]{1,6})([smhd]?)\Z")
_PAGE: Final = 5000
"""Steps asked for at once."""
_UNITS: Final = {"": 1, "s": 1, "m": 60, "h": 3600, "d": 86_400}


def _state_style(text: str) -> Mapping[str, Any]:
    return {"fg": "red"} if text.strip().startswith("active") else {}


def _priority_style(text: str) -> Mapping[str, Any]:
    return {"bold": True} if text.strip() in {"high", "critical"} else {}


def _when(name: str) -> Any:
    return lambda row: local_time(row[name]) if row[name] else ""


_ALARMS: Final = (
    Column.of("PRIORITY", "priority", style=_priority_style),
    Column.of("ALARM", "id"),
    Column.of("STATE", "state", style=_state_style),
    Column("RAISED", _when("raised")),
    Column.of("VALUE", "value"),
    Column.of("LIMIT", "limit"),
    Column.of("QUALITY", "quality", style=quality_style),
    Column.of("MESSAGE", "warn_msg"),
    Column.of("USER", "user"),
    Column("UNTIL", _when("until")),
    Column.of("NOTE", "note"),
)


def _who(row: Row) -> str:
    return cell(row["user"]) if row["event"] in {"ack", "shelve", "unshelve"} else ""


_STEPS: Final = (
    Column("TIME", lambda row: local_time(row["time"])),
    Column.of("ALARM", "alarm"),
    Column.of("EVENT", "event"),
    Column.of("STATE", "state", style=_state_style),
    Column.of("PRIORITY", "priority", style=_priority_style),
    Column.of("VALUE", "value"),
    Column.of("LIMIT", "limit"),
    Column.of("QUALITY", "quality", style=quality_style),
    Column.of("MESSAGE", "warn_msg"),
    Column("USER", _who),
    Column.of("NOTE", "note"),
)


class _Span(TextType):
    """``90``, ``30m``, ``8h``: seconds."""

    name = "span"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> int:
        """Seconds."""
        found = _SPAN.match(str(value))
        if found is None:
            self.fail(f"{value!r} is not like 90s, 30m, 8h or 2d", param, ctx)
        return int(found[1]) * _UNITS[found[2]]


@click.group("alarms", short_help="Show, acknowledge and shelve alarms.")
def alarms() -> None:
    """Show alarms, acknowledge them, silence them for some time.

    An alarm is DEVICE:TERM:ITEM:KIND; kinds are high_high, high, low, low_low, rule, quality and stale.
    """


@remote("ls", short_help="List alarms that are not normal.")
@click.option("--state", type=click.Choice(STATES), help="Only in this state.")
@click.option(
    "--priority", multiple=True, type=click.Choice(PRIORITIES), help="Only of this one; may be repeated."
)
@click.option("--device", "device_id", metavar="ID", type=DeviceName(), help="Only of this device.")
def ls(session: Session, *, priority: tuple[str, ...], **filters: Any) -> None:
    """List alarms that are not normal, the most urgent ones first.

    \b
    pydatacoll alarms ls --state unacknowledged
    """
    rows = session.client.get("/api/v2/alarms", priority=",".join(priority) or None, **filters)
    session.printer.rows(rows, _ALARMS)


@remote("history", short_help="Show what happened to alarms.")
@click.option(
    "--since", metavar="TIME", type=Moment(), help="Of this time or later: ISO 8601, or 30m, 2h, 7d before now."
)
@click.option("--until", metavar="TIME", type=Moment(), help="Of this time or earlier.")
@click.option("--alarm", metavar="ID", help="Only of this alarm.")
@click.option("--device", "--device-id", "device_id", metavar="ID", type=DeviceName(), help="Only of this device.")
@click.option("-n", "--count", type=click.IntRange(1), help="The newest; without --since 100, else all.")
def history(session: Session, *, since: str | None, until: str | None, count: int | None, **filters: Any) -> None:
    """Show when alarms were raised and ended, and who acknowledged and shelved them, the newest last.

    \b
    pydatacoll alarms history --since 2h
    pydatacoll -o csv alarms history --device feeder1 --since 2026-01-01T00:00:00Z > alarms.csv
    """
    now = session.client.now()
    most = 100 if count is None and since is None else count
    wanted = {"since": moment(since, now), "until": moment(until, now), **filters}
    rows, complete = _steps(session.client, wanted, most)
    session.printer.rows(rows[::-1], _STEPS)
    if not complete:
        note(
            "the archive cannot be asked now: steps that the store has forgotten may be missing",
            title="Warning:",
            colour="yellow",
        )


def _steps(client: Client, wanted: Mapping[str, Any], most: int | None) -> tuple[list[Row], bool]:
    """The newest steps, page by page, and whether none can be missing.

    :param most: how many; ``None``: all.
    """
    found: list[Row] = []
    complete = True
    before: dict[str, str] = {}
    while most is None or len(found) < most:
        limit = _PAGE if most is None else min(most - len(found), _PAGE)
        reply = client.request("GET", "/api/v2/alarms/history", query={**wanted, "limit": limit, **before})
        page = reply.json
        if not isinstance(page, list):
            raise Failure("the answer is no list of steps", FAILED)
        complete = complete and "X-Incomplete" not in reply.headers
        found += page
        if len(page) < limit:
            break
        before = {"before": page[-1]["id"]}
    return found, complete


def _act(session: Session, ids: tuple[str, ...], what: str, body: Mapping[str, Any]) -> None:
    """Do the same with each alarm, also when it is refused for others."""
    from pydatacoll.cli.client import path_of

    rows: list[Row] = []
    failures: list[tuple[str, Refused]] = []
    for one in ids:
        try:
            rows.append(session.client.post(path_of("api", "v2", "alarms", one, what), body))
        except Refused as refused:
            failures.append((one, refused))
    session.printer.rows(rows, _ALARMS)
    report(failures)


@remote("ack", short_help="Acknowledge alarms.")
@click.argument("ids", nargs=-1, required=True, metavar="ALARM...")
@click.option("--note", metavar="TEXT", default="", help="What others should know.")
def ack(session: Session, ids: tuple[str, ...], note: str) -> None:
    """Acknowledge alarms: somebody has seen them and takes care.

    \b
    pydatacoll alarms ack feeder1:main:ua:high --note "on my way"
    """
    _act(session, ids, "ack", {"note": note})


@remote("shelve", short_help="Silence alarms for some time.")
@click.argument("ids", nargs=-1, required=True, metavar="ALARM...")
@click.option("--for", "seconds", metavar="SPAN", required=True, type=_Span(), help="How long: 90s, 30m, 8h, 2d.")
@click.option("--note", metavar="TEXT", default="", help="Why.")
def shelve(session: Session, ids: tuple[str, ...], seconds: int, note: str) -> None:
    """Silence alarms for some time; they come back by themselves.

    \b
    pydatacoll alarms shelve feeder1:main:ua:high --for 8h --note "meter is changed"
    """
    _act(session, ids, "shelve", {"seconds": seconds, "note": note})


@remote("unshelve", short_help="Let shelved alarms come back now.")
@click.argument("ids", nargs=-1, required=True, metavar="ALARM...")
@click.option("--note", metavar="TEXT", default="", help="Why.")
def unshelve(session: Session, ids: tuple[str, ...], note: str) -> None:
    """Let shelved alarms come back now."""
    _act(session, ids, "unshelve", {"note": note})


for _command in (ls, history, ack, shelve, unshelve):
    alarms.add_command(_command)
