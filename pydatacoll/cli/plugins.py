"""``pydatacoll plugins``: whether they keep up."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

from pydatacoll.cli.output import Column, Row
from pydatacoll.cli.session import Session, note, remote
from pydatacoll.cli.text import clean, span


def _style(text: str) -> Mapping[str, Any]:
    return {"fg": "green" if text.strip() == "running" else "red"}


def _error(row: Row) -> str:
    errors = [one["last_error"] for one in row["runners"] if one.get("last_error") and one["state"] != "running"]
    return errors[0] if errors else ""


_COLUMNS: Final = (
    Column.of("PLUGIN", "name"),
    Column.of("STATE", "state", style=_style),
    Column("RUNNERS", lambda row: str(len(row["runners"]))),
    Column("BEHIND", lambda row: span(row["behind"])),
    Column.of("LAG", "lag"),
    Column.of("HANDLED", "handled"),
    Column.of("RETRIES", "retries"),
    Column.of("DEAD", "dead_lettered"),
    Column.of("DROPPED", "dropped"),
    Column("ERROR", lambda row: clean(_error(row))),
)


@remote("plugins", short_help="List plugins and how far they are behind.")
def plugins(session: Session) -> None:
    """List all plugins that were ever run, or are enabled.

    Behind is how long the oldest sample to be handled has waited, lag the number of such samples. Dead are samples
    that the plugin could not handle; they are in its dead-letter stream. Dropped left the stream unhandled.
    """
    found = session.client.get("/api/v2/plugins")
    if not found:
        note("No plugin is enabled. Name some in the setting plugins, or with --plugins.")
    session.printer.rows(found, _COLUMNS)
