"""``pydatacoll token``: makes access tokens. The server only knows their hashes."""

from __future__ import annotations

import re
import sys
from datetime import UTC, datetime, timedelta
from typing import Any, Final

import click

from pydatacoll.cli.output import Printer
from pydatacoll.cli.points import TextType
from pydatacoll.cli.session import RemoteCommand, Session, note

PREFIX: Final = "pdc_"
"""By which a token is recognised, in a log or in a repository where it must not be."""
_SPAN: Final = re.compile(r"([1-9][0-9]{0,4})([hdwy])\Z")
_HOURS: Final = {"h": 1, "d": 24, "w": 168, "y": 8760}
_GLOB: Final = re.compile(r"[A-Za-z0-9_.\-*?\[\]!]{1,64}\Z")


def hash_of(token: str) -> str:
    """What the server keeps of a token."""
    import hashlib

    return hashlib.sha256(token.encode()).hexdigest()


class _Moment(TextType):
    name = "moment"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> datetime:
        """``90d`` from now, a date (its end, in UTC) or a time."""
        text = str(value)
        if found := _SPAN.match(text):
            hours = int(found[1]) * _HOURS[found[2]]
            return (datetime.now(UTC) + timedelta(hours=hours)).replace(microsecond=0)
        try:
            moment = datetime.fromisoformat(text)
        except ValueError:
            self.fail(f"{text!r} is neither like 12h, 90d, 8w or 1y nor a date like 2027-01-31", param, ctx)
        if len(text) == len("2027-01-31"):
            moment += timedelta(days=1)
        moment = (moment if moment.tzinfo is not None else moment.replace(tzinfo=UTC)).astimezone(UTC)
        if moment <= datetime.now(UTC):
            self.fail(f"{text!r} is in the past", param, ctx)
        return moment


def _globs(_: click.Context, parameter: click.Parameter, given: tuple[str, ...]) -> list[str]:
    found = [part.strip() for text in given for part in text.split(",")]
    for glob in found:
        if not _GLOB.match(glob):
            raise click.BadParameter(f"{glob!r} is no glob of device ids", param=parameter)
    return found


def settings_block(name: str, digest: str, scope: str, devices: list[str], expires: datetime | None) -> str:
    """The lines for the settings file."""
    import json

    lines = ["[[auth.tokens]]", f"name = {json.dumps(name)}", f'hash = "{digest}"', f'scope = "{scope}"']
    if devices:
        lines.append(f"devices = {json.dumps(devices)}")
    if expires is not None:
        lines.append(f"expires = {expires.isoformat().replace('+00:00', 'Z')}")
    return "\n".join(lines)


@click.group()
def token() -> None:
    """Make access tokens."""


@token.command("new", cls=RemoteCommand)
@click.option(
    "--scope",
    required=True,
    type=click.Choice(("read", "operate", "admin")),
    help="read; operate: also call and ctrl; admin: also the model.",
)
@click.option("--name", help="Who uses it, for the audit trail; without it, the scope.")
@click.option(
    "--devices", metavar="GLOB", multiple=True, callback=_globs, help="Only these devices; may be repeated."
)
@click.option("--expires", type=_Moment(), metavar="90d|DATE", help="Refused after that; h, d, w and y are known.")
@click.make_pass_decorator(Session, ensure=True)
def new(session: Session, scope: str, name: str | None, devices: list[str], expires: datetime | None) -> None:
    """Make an access token and print it, with what belongs into the settings file. Asks no server.

    The token itself is shown this once, and stored nowhere.
    """
    import secrets

    made = PREFIX + secrets.token_urlsafe(32)
    name = name or scope
    if not (1 <= len(name) <= 64 and name.isprintable()):
        raise click.UsageError("--name: takes 1 to 64 printable characters")
    digest = hash_of(made)
    block = settings_block(name, digest, scope, devices, expires)
    if session.format != "table":
        when = None if expires is None else expires.isoformat().replace("+00:00", "Z")
        row = {"token": made, "hash": digest, "name": name, "scope": scope, "devices": devices, "expires": when}
        Printer(session.format).one({**row, "settings": block})
        return
    click.echo(f"token  {made}\nhash   {digest}\n")
    note("For the settings file of the server; it is read when the server starts:\n".rstrip("\n"))
    click.echo(block)


@token.command("hash", cls=RemoteCommand)
@click.make_pass_decorator(Session, ensure=True)
def hash_(session: Session) -> None:
    """Read a token from standard input and print its hash."""
    asked = sys.stdin.isatty()
    text = (click.prompt("Token", hide_input=True, err=True) if asked else sys.stdin.readline()).strip()
    if not text or not text.isprintable() or " " in text:
        raise click.UsageError("standard input holds no token")
    digest = hash_of(text)
    if session.output in {"json", "jsonl", "csv"}:
        Printer(session.format).one({"hash": digest})
    else:
        click.echo(digest)
