"""``pydatacoll import`` and ``export``: the whole model as a file."""

from __future__ import annotations

import contextlib
import os
import secrets
import stat
import sys
import threading
from collections.abc import Iterator, Mapping
from io import BytesIO
from pathlib import Path
from typing import IO, TYPE_CHECKING, Any, Final, cast

import click

from pydatacoll.cli.failures import UNREACHABLE, Failure, details_of
from pydatacoll.cli.output import Row
from pydatacoll.cli.points import DeviceName
from pydatacoll.cli.progress import Progress, Watched, wanted
from pydatacoll.cli.session import Session, confirm, interactive, note, remote
from pydatacoll.cli.text import cell, to_json

if TYPE_CHECKING:
    from pydatacoll.cli.client import Client

TYPES: Final = {"json": "application/json", "yaml": "application/yaml", "csv": "text/csv"}
_SUFFIXES: Final = {".json": "json", ".yaml": "yaml", ".yml": "yaml", ".csv": "csv"}
PATIENCE: Final = 600.0
"""Seconds without an answer while the server works on a large file."""
_SIGNS: Final = {"add": ("+", "green"), "change": ("~", "yellow"), "delete": ("-", "red")}


def form_of(path: str, given: str | None) -> str | None:
    """The form of a file, as given or by its name."""
    return given or _SUFFIXES.get(Path(path).suffix.lower())


# Export


@contextlib.contextmanager
def replacing(path: Path) -> Iterator[IO[bytes]]:
    """A file that takes its place when it is complete: nobody ever sees, or is left with, half of one."""
    with contextlib.suppress(FileNotFoundError):
        if not stat.S_ISREG(path.stat().st_mode):  # a device or a pipe cannot be replaced
            with path.open("wb") as file:
                yield file
            return
    path = path.resolve()  # what a link leads to, not the link
    temporary = path.with_name(f".{path.name[:100]}.{secrets.token_hex(6)}.tmp")
    with open(os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o666), "wb") as file:
        try:
            yield file
            file.flush()
            with contextlib.suppress(FileNotFoundError):
                os.fchmod(file.fileno(), stat.S_IMODE(path.stat().st_mode))
            os.fsync(file.fileno())
            temporary.replace(path)
        except BaseException:
            temporary.unlink(missing_ok=True)
            raise


@remote("export", short_help="Write the model into a file.")
@click.argument("file", default="-", metavar="[FILE]")
@click.option(
    "--format", "form", type=click.Choice(tuple(TYPES)), help="By default as the file is called, or json."
)
@click.option("--excel", is_flag=True, help="As csv, so that Excel opens it: semicolons, and marked as UTF-8.")
@click.option(
    "--device",
    "devices",
    metavar="ID",
    multiple=True,
    type=DeviceName(),
    help="Only this device; may be repeated.",
)
def export_model(session: Session, file: str, *, form: str | None, excel: bool, devices: tuple[str, ...]) -> None:
    """Write the model to FILE (- or nothing: standard output). The file is complete, or it is not there.

    The csv is flat, one row a point, to be edited in a spreadsheet and imported again.
    """
    kind = form_of(file, form) or ("csv" if excel else "json")
    if excel and kind != "csv":
        raise click.UsageError(f"--excel writes csv, but {file if form is None else '--format'} says {kind}")
    accept = TYPES[kind]
    query: dict[str, Any] = {"device_id": devices or None}
    if excel:
        query |= {"format": "csv", "dialect": "excel"}
    client = session.patient(PATIENCE)
    if file == "-":
        output = sys.stdout.buffer
        client.download("/api/v2/export", output, query=query, accept=accept)
        output.flush()
        return
    try:
        with replacing(Path(file)) as target:
            length = client.download("/api/v2/export", target, query=query, accept=accept)
    except OSError as error:
        raise Failure(f"{file}: {error.strerror or error}") from error
    note(f"{file}: {length} bytes")


# Import


@remote("import", short_help="Bring the model into line with a file.")
@click.argument("file")
@click.option("--format", "form", type=click.Choice(tuple(TYPES)), help="By default as the file is called.")
@click.option(
    "--mode",
    type=click.Choice(("merge", "replace")),
    default="merge",
    show_default=True,
    help="merge: what the file does not name stays; replace: it is deleted.",
)
@click.option("--dry-run", is_flag=True, help="Only show what would change; exit code 1 when there are errors.")
@click.option("-y", "--yes", is_flag=True, help="Do not ask before something is deleted.")
def import_model(session: Session, file: str, *, form: str | None, mode: str, dry_run: bool, yes: bool) -> None:
    """Add and change what FILE says (- is standard input), all of it or, when there is an error, nothing.

    Shows each change: + added, ~ changed, - deleted. Asks before something is deleted; without a terminal to
    ask on it does nothing then, unless --yes is given.

    \b
    pydatacoll import points.csv --dry-run
    pydatacoll import model.yaml --mode replace
    """
    kind = form_of(file, form)
    if kind is None:
        raise click.UsageError(f"{file}: cannot tell its form by its name; give --format")
    try:
        content = sys.stdin.buffer.read() if file == "-" else Path(file).read_bytes()
    except OSError as error:
        raise click.UsageError(f"{file}: {error.strerror or error}") from error
    upload = _Upload(session.patient(PATIENCE), content, TYPES[kind], mode)
    asks = mode == "replace" and not yes
    if dry_run or asks:
        plan = upload.send(dry_run=True)
        errors = plan.get("errors") or []
        if errors:
            count = plan.get("error_count", len(errors))
            raise Failure(
                f"{file}: {count} error{'s' if count > 1 else ''}", details=details_of({"errors": errors})
            )
        if dry_run:
            _show(session, plan, "to add {add}, to change {change}, to delete {delete}, unchanged {unchanged}")
            return
        if plan["delete"]:
            if interactive():
                _changes(session, plan, err=True)
            confirm(f"Add {plan['add']} objects, change {plan['change']} and delete {plan['delete']}?", yes=False)
    answer = upload.send(dry_run=False)
    _show(session, answer, "added {add}, changed {change}, deleted {delete}, unchanged {unchanged}")


class _Upload:
    """Sends a file, as often as wanted, and shows how far the server is."""

    def __init__(self, client: Client, content: bytes, media_type: str, mode: str) -> None:
        self._client = client
        self._content = content
        self._media_type = media_type
        self._mode = mode

    def send(self, *, dry_run: bool) -> dict[str, Any]:
        """The answer of the server.

        :raises Failure: what it refused.
        """
        try:
            if not wanted():
                return self._post(dry_run, "", BytesIO(self._content))
            return self._watched(dry_run)
        except Failure as failure:
            if failure.exit_code == UNREACHABLE and not dry_run:
                failure.details = [
                    *failure.details,
                    "Whether it was applied is not known; all of it was, or nothing.",
                ]
                failure.remedy = "run it again: what is there already counts as unchanged"
            raise

    def _post(self, dry_run: bool, import_id: str, body: IO[bytes]) -> dict[str, Any]:
        headers = {"Content-Type": self._media_type, "Content-Length": str(len(self._content))}
        if import_id:
            headers["X-Import-Id"] = import_id
        query = {"dry_run": dry_run, "mode": self._mode}
        reply = self._client.request("POST", "/api/v2/import", query=query, body=body, headers=headers)
        return cast("dict[str, Any]", reply.json)

    def _watched(self, dry_run: bool) -> dict[str, Any]:
        """The request in a thread, so that this one can ask for its progress."""
        progress, import_id = Progress(), secrets.token_hex(16)
        body = cast("IO[bytes]", Watched(BytesIO(self._content), len(self._content), progress))
        outcome: list[dict[str, Any] | BaseException] = []

        context = click.get_current_context()

        def work() -> None:
            try:
                with context.scope(cleanup=False):  # an error takes its colours from it
                    outcome.append(self._post(dry_run, import_id, body))
            except BaseException as error:  # noqa: BLE001 - raised again by the thread that waits
                outcome.append(error)

        worker = threading.Thread(target=work, daemon=True)
        worker.start()
        asking = self._client.another()
        try:
            while worker.is_alive():
                worker.join(0.3)
                if worker.is_alive():
                    _ask(asking, import_id, progress)
        finally:
            asking.close()
            progress.clear()
        if isinstance(outcome[0], BaseException):
            raise outcome[0]
        return outcome[0]


def _ask(client: Client, import_id: str, progress: Progress) -> None:
    # Progress is a courtesy: what is wrong is said by the import itself.
    with contextlib.suppress(Failure):
        answer = client.request("GET", "/api/v2/imports", headers={"X-Import-Id": import_id}).json
        entries = answer if isinstance(answer, list) else [answer]
        for entry in entries:
            if isinstance(entry, Mapping) and entry.get("id") == import_id and entry.get("total"):
                progress.show(cell(entry.get("state")), int(entry.get("done") or 0), int(entry["total"]))


def _show(session: Session, answer: dict[str, Any], summary: str) -> None:
    if session.format == "json":
        session.printer.one(answer)
    elif session.format == "table":
        _changes(session, answer, err=False)
    else:
        changes = answer.get("changes") or []
        rows = (
            [{**row, "fields": to_json(row["fields"])} for row in changes] if session.format == "csv" else changes
        )
        session.printer.rows(rows, ())
    note(summary.format_map(answer))


def _changes(session: Session, answer: Mapping[str, Any], *, err: bool) -> None:
    for row in answer.get("changes") or ():
        sign, colour = _SIGNS[row["action"]]
        line = f"{sign} {cell(row['kind'])} {cell(row['key'])}{_fields(row)}"
        click.echo(click.style(line, fg=colour), err=err)
    if answer.get("truncated"):
        note("and more; only the first changes are listed")


def _fields(row: Row) -> str:
    parts = []
    for name, (old, new) in row["fields"].items():
        if row["action"] == "change":
            parts.append(f"{cell(name)}: {_value(old)} -> {_value(new)}")
        elif row["action"] == "add":
            parts.append(f"{cell(name)}={_value(new)}")
    return "  " + ", ".join(parts) if parts else ""


def _value(value: Any) -> str:
    return "unset" if value is None else to_json(value)
