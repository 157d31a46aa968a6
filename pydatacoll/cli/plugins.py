"""``pydatacoll plugins``: whether they keep up; and the end of those that are not used."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

import click

from pydatacoll.cli.output import Column, Row
from pydatacoll.cli.session import RemoteCommand, Session, confirm, note, remote
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


_RELEASED: Final = (
    Column.of("PLUGIN", "name"),
    Column.of("SAMPLES", "samples"),
    Column.of("BATCHES", "entries"),
)


def _list(session: Session) -> None:
    found = session.client.get("/api/v2/plugins")
    if not found:
        note("No plugin is enabled. Name some in the setting plugins, or with --plugins.")
    session.printer.rows(found, _COLUMNS)
    for row in found:
        if row["state"] == "not enabled" and row["lag"]:
            name, lag = row["name"], row["lag"]
            remedy = f"enable it, run it, or give them up with pydatacoll plugins forget {name}"
            note(f"{name} is not enabled here, and {lag} samples are held for it: {remedy}", title="Warning:")


class _Plugins(RemoteCommand, click.Group):
    """A group that does something without a command, too."""


@click.group("plugins", cls=_Plugins, invoke_without_command=True, short_help="List plugins, forget old ones.")
@click.pass_context
def plugins(context: click.Context) -> None:
    """List all plugins that were ever run, or are enabled.

    Behind is how long the oldest sample to be handled has waited, lag the number of such samples. Dead are samples
    that the plugin could not handle; they are in its dead-letter stream. Dropped left the stream unhandled.
    """
    if context.invoked_subcommand is None:
        _list(context.ensure_object(Session))


@remote("forget", short_help="Let go of what is held for a plugin.")
@click.argument("name")
@click.option("--yes", is_flag=True, help="Do not ask.")
def forget(session: Session, name: str, yes: bool) -> None:
    """Forget a plugin that is not used any more.

    As long as it has a place in the data stream, the samples that it has not handled are kept for it, up to the
    setting stream.max_bytes. They are given up. What it remembers stays, for the case that it is run again.

    \b
    pydatacoll plugins forget db_saver
    """
    from pydatacoll.cli.client import path_of

    found = {row["name"]: row for row in session.client.get("/api/v2/plugins")}
    lag = found.get(name, {}).get("lag", 0)
    if lag:
        confirm(f"{name} has not handled {lag} samples. Give them up?", yes=yes)
    released = session.client.request("DELETE", path_of("api", "v2", "plugins", name)).json["released"]
    session.printer.rows([{"name": name, **released}], _RELEASED)


plugins.add_command(forget)
