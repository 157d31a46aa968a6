"""Points on the command line: names, globs, and what the shell completes."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Sequence
from typing import TYPE_CHECKING, Any, Final, NamedTuple

import click

from pydatacoll.cli.failures import Failure

if TYPE_CHECKING:
    from click.shell_completion import CompletionItem

    from pydatacoll.cli.client import Client

if TYPE_CHECKING:
    TextType = click.ParamType[Any]
else:
    TextType = click.ParamType  # older releases of click do not know the parameter

_PART: Final = re.compile(r"[A-Za-z0-9_.\-*?\[\]!]{1,64}\Z")
_PATTERNS: Final = 40
"""Patterns in one request: what fits into a request line."""
COMPLETION_TIMEOUT: Final = 1.0
"""Seconds a shell waits for the server."""


class PointName(NamedTuple):
    """``device:term:item``."""

    device_id: str
    term_id: str
    item_id: str

    def __str__(self) -> str:
        return ":".join(self)


class Glob(TextType):
    """A pattern of points."""

    name = "glob"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> str:
        """:raises BadParameter: when it is none."""
        parts = str(value).split(":")
        if len(parts) > 3 or not all(map(_PART.match, parts)):
            self.fail(f"{value!r} is no DEVICE:TERM:ITEM; * ? and [] may stand for characters", param, ctx)
        return str(value)

    def shell_complete(self, ctx: click.Context, param: click.Parameter, incomplete: str) -> list[CompletionItem]:
        """Ids of devices, terms and items, one after the other."""
        return complete(ctx, incomplete, depth=3)


class Point(Glob):
    """One point."""

    name = "point"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> Any:
        """:raises BadParameter: when it is none."""
        if isinstance(value, PointName):
            return value
        text = super().convert(value, param, ctx)
        parts = text.split(":")
        if len(parts) != 3 or is_glob(text):
            self.fail(f"{text!r} is not one point: DEVICE:TERM:ITEM", param, ctx)
        return PointName(*parts)


class DeviceName(TextType):
    """The id of a device."""

    name = "device"

    def shell_complete(self, ctx: click.Context, param: click.Parameter, incomplete: str) -> list[CompletionItem]:
        """Ids of devices."""
        return complete(ctx, incomplete, depth=1)


def is_glob(text: str) -> bool:
    """Whether it has characters that stand for others."""
    return any(char in text for char in "*?[")


def point_of(row: Any) -> PointName:
    """The point of a row of the API."""
    return PointName(str(row.get("device_id")), str(row.get("term_id")), str(row.get("item_id")))


def fetch(client: Client, path: str, globs: Sequence[str], **query: Any) -> Iterator[dict[str, Any]]:
    """Rows of ``/api/v2/points`` or ``/api/v2/values`` that match, each once."""
    seen: set[PointName] = set()
    several = len(globs) > _PATTERNS
    for start in range(0, len(globs), _PATTERNS):
        for row in client.get(path, glob=globs[start : start + _PATTERNS], **query):
            if not several:
                yield row
            elif (point := point_of(row)) not in seen:
                seen.add(point)
                yield row


def existing(client: Client, globs: Sequence[str]) -> dict[PointName, dict[str, Any]]:
    """The points that match.

    :raises Failure: naming every pattern, or point, that matches nothing.
    """
    found = {point_of(row): row for row in fetch(client, "/api/v2/points", globs)}
    missing = [glob for glob in globs if not matches_any(glob, found)]
    if missing:
        raise Failure(
            f"no point matches {', '.join(missing[:20])}{' ...' if len(missing) > 20 else ''}",
            remedy="pydatacoll ls points lists what there is",
        )
    return found


def matches_any(glob: str, points: Iterable[PointName]) -> bool:
    """Whether a pattern matches one of the points at least."""
    from fnmatch import fnmatchcase

    parts = (*glob.split(":"), "*", "*")[:3]
    if not is_glob("".join(parts)):
        return PointName(*parts) in points
    return any(all(map(fnmatchcase, point, parts)) for point in points)


def complete(ctx: click.Context, incomplete: str, depth: int) -> list[CompletionItem]:
    """What an id can be. A server that does not answer at once, or refuses, completes nothing."""
    from click.shell_completion import CompletionItem

    from pydatacoll.cli.client import Client, path_of
    from pydatacoll.cli.session import Session

    *before, last = incomplete.split(":")
    if len(before) >= depth or any(map(is_glob, before)):
        return []
    session = ctx.ensure_object(Session)
    if len(before) == 0:
        path = "/api/v1/devices"
    elif len(before) == 1:
        path = path_of("api", "v1", "devices", before[0], "terms")
    else:
        path = path_of("api", "v1", "terms", before[1], "items")
    try:
        timeout = min(session.timeout or COMPLETION_TIMEOUT, COMPLETION_TIMEOUT)
        client = Client(session.url, token=session.secret(), ca=session.ca, timeout=timeout)
        try:
            ids = client.get(path)
        finally:
            client.close()
    except click.ClickException:  # a shell that completes has no place for messages
        return []
    more = ":" if len(before) + 1 < depth else ""
    return [
        CompletionItem(":".join((*before, one)) + more)
        for one in ids
        if isinstance(one, str) and one.startswith(last)
    ]
