"""``pydatacoll probe``: tries a device, or a point of it, before it is saved."""

from __future__ import annotations

from typing import Any, Final

import click

from pydatacoll.cli.failures import DEVICE
from pydatacoll.cli.output import Column
from pydatacoll.cli.points import DeviceName, Glob, Point, PointName
from pydatacoll.cli.session import Session, note, remote
from pydatacoll.cli.text import cell, span, to_json

_COLUMNS: Final = (
    Column("", lambda row: "*" if row["configured"] else ""),
    Column.of("TYPE", "code_type"),
    Column.of("BYTES", "byte_order"),
    Column.of("WORDS", "word_order"),
    Column.of("VALUE", "value"),
)


def _fields(_: click.Context, parameter: click.Parameter, given: tuple[str, ...]) -> dict[str, str]:
    found = {}
    for text in given:
        name, equals, value = text.partition("=")
        if not equals or not name:
            raise click.BadParameter(f"{text!r} is not NAME=VALUE", param=parameter)
        found[name] = value
    return found


def address_of(text: str) -> dict[str, Any]:
    """``10.0.0.5:502``, ``[fe80::1]:502`` or a name without a port -> fields of a device.

    :raises BadParameter: when the port is none.
    """
    host, colon, port = text.rpartition(":")
    if not colon or (":" in host and not host.startswith("[")):
        return {"ip": text.strip("[]")}
    if not (port.isascii() and port.isdigit() and 0 < int(port) < 65_536):
        raise click.BadParameter(f"{text!r}: the port is a number from 1 to 65535")
    return {"ip": host.strip("[]"), "port": int(port)}


@remote("probe", short_help="Try a device or a point before it is saved.")
@click.argument("target", nargs=-1, metavar="[PROTOCOL ADDRESS | POINT]")
@click.option("--device", metavar="ID", type=DeviceName(), help="A device that is saved, instead of an address.")
@click.option(
    "--term", "address", type=int, help="Address of the term: the Modbus unit id, the common address of IEC 104."
)
@click.option("--code", metavar="CODE", help="Address of the value, as hr:100 or 4001.")
@click.option("--type", "code_type", metavar="TYPE", help="Type of the value, as float32 or M_ME_TF_1.")
@click.option(
    "--set",
    "fields",
    multiple=True,
    metavar="NAME=VALUE",
    callback=_fields,
    help="Another field of the device, as timeout=2; repeatable.",
)
def probe(
    session: Session,
    target: tuple[str, ...],
    *,
    device: str | None,
    address: int | None,
    code: str | None,
    code_type: str | None,
    fields: dict[str, str],
) -> None:
    """Connect to a device, read one point of it, and show what its bytes may mean. Nothing is saved.

    The line with * is how the point is configured. A device of protocol iec104 tells the type itself.

    \b
    pydatacoll probe modbus_tcp 10.0.0.5:502
    pydatacoll probe modbus_tcp 10.0.0.5:502 --term 3 --code hr:100 --type float32
    pydatacoll probe iec104 10.0.0.9:2404 --term 1 --code 4001
    pydatacoll probe --device feeder1 --code hr:100
    pydatacoll probe feeder1:main:ua
    """
    body: dict[str, Any]
    if device is not None and not target:
        body = {"device_id": device}
    elif device is None and len(target) == 2:
        body = {"device": {"protocol": target[0], **address_of(target[1]), **fields}}
    elif device is None and len(target) == 1 and target[0].count(":") == 2:
        body = _saved(session, Point().convert(target[0], None, click.get_current_context()))
    else:
        raise click.UsageError("expected PROTOCOL ADDRESS, or --device ID, or a POINT: DEVICE:TERM:ITEM")
    if fields and "device" not in body:
        raise click.UsageError("--set is for a device that is not saved")
    point = {
        name: value for name, value in (("protocol_code", code), ("code_type", code_type)) if value is not None
    }
    if point:
        body["point"] = {**body.get("point", {}), **point}
    if address is not None:
        body["term"] = {"address": address}
    _show(session, session.client.post("/api/v2/devices/probe", body, repeat=True))


def _saved(session: Session, name: PointName) -> dict[str, Any]:
    """The body for a point as it is saved."""
    from pydatacoll.cli.client import path_of
    from pydatacoll.cli.points import existing

    existing(session.client, [Glob().convert(str(name), None, None)])
    point = session.client.get(path_of("api", "v1", "terms", name.term_id, "items", name.item_id))
    return {"device_id": name.device_id, "point": point}


def _show(session: Session, answer: dict[str, Any]) -> None:
    if session.format != "table":
        session.printer.one(answer)
    else:
        took = span(max(answer["seconds"], 0.001))
        note(f"Reachable within {took}." if answer["reachable"] else f"Not reachable; tried for {took}.")
        if answer["raw"]:
            note(f"Bytes read: {answer['raw']}")
        sample = answer["sample"]
        if sample is not None:
            note(f"As configured: {to_json(sample['value'])} ({cell(sample['quality'])})")
        if answer["interpretations"]:
            session.printer.rows(answer["interpretations"], _COLUMNS)
    if answer["error"]:
        note(answer["error"], title="Error:", colour="red")
    if answer["error"] or not answer["reachable"]:
        click.get_current_context().exit(DEVICE)
