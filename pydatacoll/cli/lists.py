"""``pydatacoll ls`` and ``show``: what is configured."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from fnmatch import fnmatchcase
from typing import Any, Final

import click

from pydatacoll.cli.output import Column, Row
from pydatacoll.cli.points import Glob, TextType, complete, fetch, point_of
from pydatacoll.cli.session import Session, remote
from pydatacoll.cli.text import cell, local_time


def _link_style(text: str) -> Mapping[str, Any]:
    colours = {"connected": "green", "virtual": "green", "disabled": "bright_black", "connecting": "yellow"}
    return {"fg": colours.get(text.strip(), "red")} if text.strip() else {}


def _host(row: Row) -> str:
    port = row.get("port")
    ip = cell(row.get("ip"))
    return f"{f'[{ip}]' if ':' in ip else ip}:{port}" if port else ip


_DEVICES: Final = (
    Column.of("ID", "id"),
    Column.of("NAME", "name"),
    Column.of("PROTOCOL", "protocol"),
    Column("ADDRESS", _host),
    Column.of("LINK", "link.state", style=_link_style),
    Column("SINCE", lambda row: local_time((row.get("link") or {}).get("since"))),
    Column.of("LAST ERROR", "link.last_error"),
)
_TERMS: Final = tuple(
    Column.of(title, name)
    for title, name in (
        ("ID", "id"),
        ("NAME", "name"),
        ("DEVICE", "device_id"),
        ("PROTOCOL", "protocol"),
        ("ADDRESS", "address"),
    )
)
_ITEMS: Final = tuple(
    Column.of(title, name)
    for title, name in (("ID", "id"), ("NAME", "name"), ("UNIT", "unit"), ("DESCRIPTION", "description"))
)
_FORMULAS: Final = (
    Column.of("ID", "id"),
    Column("TARGET", lambda row: cell(str(point_of(row)))),
    Column.of("FORMULA", "formula"),
)
_POINTS: Final = (
    Column("POINT", lambda row: cell(str(point_of(row)))),
    Column.of("NAME", "name"),
    Column.of("UNIT", "unit"),
    Column.of("CODE", "protocol_code"),
    Column.of("TYPE", "code_type"),
    Column.of("WRITABLE", "writable"),
)
_KINDS: Final[dict[str, Sequence[Column]]] = {
    "devices": _DEVICES,
    "terms": _TERMS,
    "items": _ITEMS,
    "formulas": _FORMULAS,
    "points": _POINTS,
    "term_items": _POINTS,
}


@remote("ls", short_help="List devices, terms, items, points or formulas.")
@click.argument("kind", type=click.Choice(tuple(_KINDS)), default="devices")
@click.argument("pattern", required=False, metavar="[GLOB]")
def ls(session: Session, kind: str, pattern: str | None) -> None:
    """List devices with the state of their links, or terms, items, points (term_items) or formulas.

    GLOB chooses by id, points by DEVICE:TERM:ITEM.

    \b
    pydatacoll ls
    pydatacoll ls devices 'feeder*'
    pydatacoll ls points feeder1:main
    """
    client = session.client
    rows: list[Row]
    if _KINDS[kind] is _POINTS:
        parameter = next(one for one in click.get_current_context().command.params if one.name == "pattern")
        glob = Glob().convert(pattern or "*", parameter, click.get_current_context())
        rows = list(fetch(client, "/api/v2/points", [glob]))
    else:
        rows = client.get(f"/api/v1/{kind}", expand=True)
        if pattern is not None:
            rows = [row for row in rows if fnmatchcase(row["id"], pattern)]
    session.printer.rows(rows, _KINDS[kind])


class _Key(TextType):
    name = "id"

    def shell_complete(self, ctx: click.Context, param: click.Parameter, incomplete: str) -> Any:
        """Ids of devices, and of points."""
        kind = ctx.params.get("kind")
        if kind in {"device", "status"}:
            return complete(ctx, incomplete, depth=1)
        return complete(ctx, incomplete, depth=3) if kind == "point" else []


@remote("show", short_help="Show everything about one object.")
@click.argument("kind", type=click.Choice(("device", "status", "term", "item", "point", "formula")))
@click.argument("key", type=_Key(), metavar="ID")
def show(session: Session, kind: str, key: str) -> None:
    """Show all fields of an object; of a point (DEVICE:TERM:ITEM) its term item. status is what the device manager
    reports of a device.

    \b
    pydatacoll show device feeder1
    pydatacoll show point feeder1:main:ua
    """
    from pydatacoll.cli.client import path_of
    from pydatacoll.cli.points import Point, existing

    client = session.client
    if kind == "point":
        context = click.get_current_context()
        point = Point().convert(key, next(one for one in context.command.params if one.name == "key"), context)
        existing(client, [key])
        path = path_of("api", "v1", "terms", point.term_id, "items", point.item_id)
    elif kind == "status":
        path = path_of("api", "v2", "devices", key, "status")
    else:
        path = path_of("api", "v1", f"{kind}s", key)
    session.printer.one(client.get(path))
