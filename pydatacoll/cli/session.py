"""What all commands share: which server, with which token, and how the result is written."""

from __future__ import annotations

import os
import shlex
import stat
import sys
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final, TypeVar

import click

from pydatacoll.cli.failures import Failure
from pydatacoll.cli.text import clean

if TYPE_CHECKING:
    from pydatacoll.cli.client import Client
    from pydatacoll.cli.output import Printer

F = TypeVar("F", bound=Callable[..., Any])

DEFAULT_URL: Final = "http://127.0.0.1:8080"
TIMEOUT: Final = 30.0
"""Longest silence of the server, seconds; a call or a control may take a device 10."""
_READABLE: Final = stat.S_IRGRP | stat.S_IROTH
FORMATS: Final = ("table", "json", "jsonl", "csv")


@dataclass
class Session:
    """One run of the command."""

    url: str = DEFAULT_URL
    token: str | None = None
    token_file: str | None = None
    ca: str | None = None
    timeout: float | None = None
    output: str | None = None
    no_color: bool = False
    _client: Client | None = field(default=None, repr=False)
    _warned: bool = field(default=False, repr=False)

    @property
    def client(self) -> Client:
        """The connection to the server, made when it is first wanted."""
        if self._client is None:
            self._client = self.patient(TIMEOUT)
        return self._client

    def patient(self, seconds: float) -> Client:
        """A connection that waits so long for an answer, unless the person said how long."""
        from pydatacoll.cli.client import Client

        client = Client(self.url, token=self.secret(), ca=self.ca, timeout=self.timeout or seconds)
        self._warn()
        click.get_current_context().find_root().call_on_close(client.close)
        return client

    def secret(self) -> str | None:
        """The access token.

        :raises UsageError: when it cannot be read, or is none.
        """
        token = self.token
        if self.token_file is not None and token is None:
            try:
                token = Path(self.token_file).expanduser().read_text(encoding="utf-8").strip()
            except (OSError, UnicodeDecodeError) as error:
                raise click.UsageError(f"--token-file {self.token_file}: {error}") from error
            if not token:
                raise click.UsageError(f"--token-file {self.token_file}: is empty")
        if token is not None and not (token.isascii() and token.isprintable() and " " not in token):
            raise click.UsageError("the access token has characters in it that no token has")
        return token or None

    def _warn(self) -> None:
        """Say once when others can read the token where it was read."""
        if self._warned or self.token is not None or self.token_file is None or os.name != "posix":
            return
        self._warned = True
        path = Path(self.token_file).expanduser()
        status = path.stat()
        if stat.S_ISREG(status.st_mode) and status.st_mode & _READABLE:  # a pipe is nobody else's
            warning = f"others can read the access token in {path}: chmod go-r {shlex.quote(str(path))}"
            note(warning, title="Warning:", colour="yellow")

    @property
    def format(self) -> str:
        """How data are written: as asked, else a table on a terminal and JSON lines into a pipe or a file."""
        if self.output is not None:
            return self.output
        return "table" if sys.stdout.isatty() else "jsonl"

    @property
    def printer(self) -> Printer:
        """Writes data to standard output."""
        from pydatacoll.cli.output import Printer

        return Printer(self.format)


def note(text: str, *, title: str = "", colour: str | None = None) -> None:
    """Say something to the person, on standard error; ``title`` stands in front, in a colour."""
    click.echo((click.style(title, fg=colour, bold=True) + " " if title else "") + clean(text), err=True)


def interactive() -> bool:
    """Whether there is somebody who can be asked."""
    return sys.stdin.isatty()


def confirm(question: str, *, yes: bool) -> None:
    """Go on when the person agrees, or has agreed with ``--yes``.

    :raises UsageError: when nobody can be asked.
    :raises Failure: when the answer is no.
    """
    if yes:
        return
    if not interactive():
        raise click.UsageError("this asks before it goes on, and there is no terminal to ask: give --yes")
    if not click.confirm(question, err=True):
        raise Failure("nothing was done")


def _keep(context: click.Context, parameter: click.Parameter, value: Any) -> None:
    session = context.ensure_object(Session)
    if value is not None and value is not False:
        setattr(session, str(parameter.name), value)
    if parameter.name == "no_color" and (value or os.environ.get("NO_COLOR")):
        context.color = False


def _option(*names: str, everywhere: bool = False, **more: Any) -> tuple[tuple[str, ...], bool, dict[str, Any]]:
    return names, everywhere, {"expose_value": False, "callback": _keep, **more}


_OPTIONS: Final = (
    _option(
        "--url",
        metavar="URL",
        help=f"Server to talk to ({DEFAULT_URL}).",
        envvar="PYDATACOLL_URL",
        show_envvar=True,
    ),
    _option(
        "--token",
        metavar="TOKEN",
        help="Access token; better in the environment or a file, where others cannot see it.",
        envvar="PYDATACOLL_TOKEN",
        show_envvar=True,
    ),
    _option(
        "--token-file",
        metavar="FILE",
        help="File with the access token.",
        envvar="PYDATACOLL_TOKEN_FILE",
        show_envvar=True,
    ),
    _option(
        "--ca",
        metavar="FILE",
        help="Certificates (PEM) to trust for https:// instead of the system's.",
        envvar="PYDATACOLL_CA",
        show_envvar=True,
    ),
    _option(
        "--timeout",
        metavar="SECONDS",
        type=click.FloatRange(min=0, min_open=True, max=86_400),
        help="Longest silence of the server (30; 600 for import and export).",
    ),
    _option(
        "-o",
        "--output",
        everywhere=True,
        type=click.Choice(FORMATS),
        help="Form of the data: by default a table on a terminal, and jsonl in a pipe or a file.",
    ),
    _option("--no-color", is_flag=True, help="No colours, as with the environment variable NO_COLOR."),
)


def options(*, on_group: bool) -> list[click.Option]:
    """The options of a session. Each command takes them, too; there, only the form of the data is in the help."""
    found = []
    for names, everywhere, given in _OPTIONS:
        more = dict(given)
        if not on_group:
            more.pop("envvar", None)
            more.pop("show_envvar", None)
            more["hidden"] = not everywhere
        found.append(click.Option(names, **more))
    return found


class RemoteCommand(click.Command):
    """A command that talks to a server, and takes the options for that."""

    def __init__(self, *arguments: Any, **more: Any) -> None:
        super().__init__(*arguments, **more)
        self.params += options(on_group=False)


def remote(name: str, **more: Any) -> Callable[[F], RemoteCommand]:
    """Decorator: a :class:`RemoteCommand`; the function gets the session as its first argument."""

    def decorate(function: F) -> RemoteCommand:
        passed = click.make_pass_decorator(Session, ensure=True)(function)
        return click.command(name, cls=RemoteCommand, **more)(passed)

    return decorate
