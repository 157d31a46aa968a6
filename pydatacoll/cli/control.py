"""``pydatacoll ctrl``: writes one point, after asking."""

from __future__ import annotations

from typing import Any

import click

from pydatacoll.cli.failures import UNREACHABLE, Failure, Refused
from pydatacoll.cli.output import Column
from pydatacoll.cli.points import Point, PointName, existing, fetch
from pydatacoll.cli.session import Session, confirm, interactive, note, remote
from pydatacoll.cli.text import cell, epoch, span
from pydatacoll.cli.values import value_columns


@remote(
    "ctrl",
    short_help="Write a point; asks first.",
    context_settings={"ignore_unknown_options": True},  # a value may begin with a minus
)
@click.argument("point", type=Point())
@click.argument("value")
@click.option("--mode", metavar="MODE", help="As the protocol knows it: direct, select.")
@click.option("--verify", is_flag=True, help="Read the point back and compare.")
@click.option("--reason", metavar="TEXT", help="Why, for the audit trail.")
@click.option(
    "--expires-in",
    metavar="SECONDS",
    type=click.FloatRange(min=0, min_open=True, max=86_400),
    help="Not to be executed later than that.",
)
@click.option(
    "--key",
    metavar="KEY",
    help="Idempotency key: a repeat with the same one writes nothing and gives the first answer.",
)
@click.option("-y", "--yes", is_flag=True, help="Do not ask.")
def ctrl(
    session: Session, point: PointName, value: str, *, key: str | None, yes: bool, verify: bool, **more: Any
) -> None:
    """Write a value to a point, and wait until the device has confirmed it.

    Shows what would change, and asks; without a terminal to ask on it does nothing unless --yes is given. The
    value is in engineering units: a number, true or false, or text for a point that holds text.

    \b
    pydatacoll ctrl pump1:main:setpoint 42.5 --reason "night mode"
    """
    if not yes and not interactive():
        confirm("", yes=False)  # refuses before anything is asked of the server
    import secrets

    client = session.client
    known = existing(client, [str(point)])[point]
    if not known["writable"]:
        raise Failure(f"{point} is not writable", remedy="set writable on the term item, if that is meant to be")
    if not yes:
        _describe(session, point, known, value)
    confirm("Write it?", yes=yes)
    key = key or secrets.token_hex(16)
    body = {
        **point._asdict(),
        "value": value,
        **{name: given for name, given in more.items() if given is not None},
    }
    if verify:
        body["verify"] = True
    try:
        answer = client.post("/api/v1/device_ctrl", body, headers={"Idempotency-Key": key}, repeat=True)
    except Failure as failure:
        # Without a manager nothing was written, and there is another remedy
        unsent = isinstance(failure, Refused) and failure.kind == "no-manager"
        if failure.exit_code == UNREACHABLE and not unsent:
            failure.details = [*failure.details, "Whether it was written is not known."]
            failure.remedy = f"repeat it with --key {key}: it is not written twice"
        raise
    columns = value_columns(client.now())
    if "outcome" in answer:
        columns.append(Column.of("OUTCOME", "outcome"))
    session.printer.rows([{**answer, "unit": known["unit"]}], columns)


def _describe(session: Session, point: PointName, known: dict[str, Any], value: str) -> None:
    client, unit = session.client, cell(known["unit"])
    now = "no value yet"
    for row in fetch(client, "/api/v2/values", [str(point)]):
        age = span(max(0.0, client.now() - epoch(row["time"])))
        now = f"{cell(row['value'])} {unit}".strip() + f" ({cell(row['quality'])}, {age} ago)"
    note(f"{point}  {known['name']}")
    note(f"  now    {now}")
    note(f"  new    {f'{value} {unit}'.strip()}")
    if known["code_type"]:
        note(f"  type   {known['code_type']}{_range(known)}")
    low, high = known["down_limit"], known["up_limit"]
    if low is not None or high is not None:
        bounds = [f"from {low:g}" if low is not None else "", f"to {high:g}" if high is not None else ""]
        note(f"  limits {' '.join(filter(None, bounds))}{_beyond(value, low, high)}")


def _range(known: dict[str, Any]) -> str:
    """What an integer type can hold, in engineering units."""
    from pydatacoll.codec.registers import INTEGER_RANGES

    bounds = INTEGER_RANGES.get(known["code_type"])
    if bounds is None:
        return ""
    low, high = sorted(raw * known["coefficient"] + known["base_val"] for raw in bounds)
    return f", {low:.12g} to {high:.12g}"


def _beyond(value: str, low: float | None, high: float | None) -> str:
    try:
        number = float(value)
    except ValueError:
        return ""
    outside = (low is not None and number < low) or (high is not None and number > high)
    return "  THE NEW VALUE IS OUTSIDE" if outside else ""
