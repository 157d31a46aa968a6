"""``pydatacoll doctor``: says what is wrong, and what to do about it."""

from __future__ import annotations

import time
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import click

from pydatacoll.cli.checks import FAILED, OK, WARNING, Check
from pydatacoll.cli.failures import Failure, Refused
from pydatacoll.cli.session import Session, remote
from pydatacoll.cli.text import clean, epoch, local_time, span

if TYPE_CHECKING:
    from pydatacoll.cli.client import Client

_COLOURS: Final = {OK: "green", WARNING: "yellow", FAILED: "red"}
_CLOCK: Final = 2.0
"""Difference of the clocks that matters, seconds: times of values and of commands would look wrong."""
_SOON: Final = 14 * 86_400.0
"""A token that expires within this time is warned of, seconds."""


@remote("doctor", short_help="Say what is wrong and what to do.")
@click.option(
    "--config", type=click.Path(path_type=Path), help="Settings file of the server, to be checked on this machine."
)
@click.option(
    "--data-dir", type=click.Path(path_type=Path), help="Its data directory, when it is not in the file."
)
def doctor(session: Session, config: Path | None, data_dir: Path | None) -> None:
    """Check the server, its store, managers, devices and clock, and the access token.

    When the server cannot be reached, or a settings file or a data directory is named, what can be checked on this
    machine is: the settings, the data directory, the disk, the port and the store. Exit code 1: a check failed.
    """
    found: list[Check] = []
    reachable = True
    for check in _server(session.client):
        found.append(check)
        reachable = reachable and not (check.name == "server" and check.status == FAILED)
        _show(session, check)
    if not reachable or config is not None or data_dir is not None:
        from pydatacoll.cli.local import checks

        for check in checks(config, data_dir, session.client.url, reachable=reachable):
            found.append(check)
            _show(session, check)
    if session.format != "table":
        session.printer.rows([check.row() for check in found], ())
    failed = any(check.status == FAILED for check in found)
    click.get_current_context().exit(1 if failed else 0)


def _show(session: Session, check: Check) -> None:
    """At once: some checks take their time."""
    if session.format != "table":
        return
    status = click.style(check.status.ljust(7), fg=_COLOURS.get(check.status), bold=check.status != OK)
    click.echo(f"{status}  {clean(check.name):<12}  {clean(check.detail)}")
    if check.remedy:
        click.echo(f"{'':23}{clean(check.remedy)}")


def _server(client: Client) -> Iterator[Check]:
    started = time.monotonic()
    try:
        client.get("/healthz")
    except Failure as failure:
        yield Check("server", FAILED, failure.message, failure.remedy)
        return
    yield Check("server", OK, f"{client.url} answers in {span(time.monotonic() - started)}")
    yield from _token(client)
    try:
        reported = client.get("/api/v2/diagnosis")["checks"]
    except Refused as refused:
        if refused.status in {401, 403}:
            return  # said above
        if refused.status != 404:
            yield Check("diagnosis", FAILED, refused.message, refused.remedy)
            return
        yield from _readiness(client)
        return
    except Failure as failure:
        yield Check("diagnosis", FAILED, failure.message, failure.remedy)
        return
    for one in reported:
        yield Check(str(one["check"]), str(one["status"]), str(one["detail"]), str(one.get("remedy") or ""))


def _token(client: Client) -> Iterator[Check]:
    """The token, and with it the clock."""
    try:
        asked = time.time()
        token = client.get("/api/v2/whoami")
        answered = time.time()
    except Refused as refused:
        yield Check("token", FAILED, refused.message, refused.remedy)
        return
    if token["name"]:
        devices = f", for the devices {' '.join(token['devices'])}" if token["devices"] else ""
        detail = f"{token['name']} has the scope {token['scope']}{devices}"
        yield _expiry(detail, token["expires"], client.now())
    else:
        yield Check("token", OK, "none is needed: only this machine is served")
    if client.exposes_token:
        yield Check(
            "transport",
            WARNING,
            "the access token travels readable over the network",
            "use https://: set server.tls_cert and server.tls_key on the server",
        )
    yield _clock(epoch(token["time"]) - (asked + answered) / 2, answered - asked)


def _expiry(detail: str, expires: str | None, now: float) -> Check:
    if expires is None:
        return Check("token", OK, detail)
    detail += f", until {local_time(expires)}"
    if epoch(expires) - now < _SOON:
        return Check("token", WARNING, f"{detail}, which is soon", "make a new one with: pydatacoll token new")
    return Check("token", OK, detail)


def _clock(difference: float, doubt: float) -> Check:
    if abs(difference) <= max(_CLOCK, doubt):
        return Check("our clock", OK, f"as the server's, within {span(max(abs(difference), doubt))}")
    word = "ahead of" if difference > 0 else "behind"
    return Check(
        "our clock",
        WARNING,
        f"the server's is {span(abs(difference))} {word} this machine's",
        "synchronise both clocks (chrony, systemd-timesyncd)",
    )


def _readiness(client: Client) -> Iterator[Check]:
    """What an older server can say."""
    try:
        client.get("/readyz")
    except Failure as failure:
        yield Check("readiness", FAILED, failure.message, failure.remedy)
    else:
        yield Check("readiness", OK, "the store is there, and a device manager for every device")
    devices: list[dict[str, Any]] = client.get("/api/v1/devices", expand=True)
    away = [one for one in devices if one["link"]["state"] not in {"connected", "virtual", "disabled"}]
    if away:
        names = ", ".join(f"{one['id']} ({one['link']['last_error'] or one['link']['state']})" for one in away[:5])
        yield Check(
            "devices", FAILED, f"{len(away)} of {len(devices)} are away: {names}", "pydatacoll ls shows all"
        )
    else:
        yield Check("devices", OK, f"{len(devices)}, all connected")
