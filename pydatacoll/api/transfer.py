"""``/api/v2/export``, ``/api/v2/import``: the whole model as JSON, YAML or CSV, and back."""

from __future__ import annotations

import asyncio
import logging
import re
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from typing import Any, Final, NoReturn, cast

from aiohttp import web

from pydatacoll.api import body as bodies
from pydatacoll.api import responses
from pydatacoll.api.access import not_for
from pydatacoll.api.imports import Import
from pydatacoll.api.operation import Answer, Body, Call, Operation, array, ref
from pydatacoll.api.problems import ApiProblem
from pydatacoll.api.query import DRY_RUN, choice, ids, integer
from pydatacoll.bulk.columns import Columns
from pydatacoll.bulk.document import Document, Malformed, TooLarge
from pydatacoll.bulk.read import read_json, read_yaml
from pydatacoll.bulk.read_csv import read_csv
from pydatacoll.bulk.snapshot import Snapshot
from pydatacoll.bulk.summary import faults_of, summary, wire_faults
from pydatacoll.bulk.write import WRITERS, Dialect, Format, Pieces, write_csv
from pydatacoll.codec import json
from pydatacoll.errors import FieldError, Invalid
from pydatacoll.model.change import find
from pydatacoll.model.load import Fault, key_in
from pydatacoll.model.objects import ID_PATTERN
from pydatacoll.model.steps import Progress, Steps
from pydatacoll.model.transaction import Transaction
from pydatacoll.store.pace import Pace, collector_paused, let_go

log = logging.getLogger(__name__)

MEDIA: Final[dict[str, Format]] = {
    "application/json": "json",
    "application/yaml": "yaml",
    "application/x-yaml": "yaml",
    "text/yaml": "yaml",
    "text/csv": "csv",
}
"""Media type -> format; of each format the first is what is answered."""
_ANSWERED: Final[dict[Format, str]] = {how: media for media, how in reversed(MEDIA.items())}
_PREFERRED: Final[tuple[Format, ...]] = ("json", "csv", "yaml")
"""Of formats that a client takes equally, the first is answered: ``text/*`` means the table."""
_WRITE: Final = 65_536
"""Bytes sent at once."""
_UPLOAD: Final = 600.0
"""Longest time that a document may take to arrive, seconds."""
_DOWNLOAD: Final = 600.0
"""Longest time that a client may take for an export, seconds."""
_ID = re.compile(ID_PATTERN)
_TEXT: Final = {"type": "string"}


# Export


def accepted(accept: str, formats: Sequence[Format] = _PREFERRED) -> Format | None:
    """The format that a client prefers; JSON when it says nothing, ``None`` when it takes none of them.

    :param formats: those there are; of equal ones the first.

    The quality of a type is that of the most specific range that it falls under (RFC 9110, section 12.5.1). Of
    equal ones the most specific goes first, then what the header names first.
    """
    if not accept.strip():
        return "json"
    ranges = _ranges(accept)
    best: tuple[float, int, int] | None = None
    chosen: Format | None = None
    for how in formats:
        for media in (media for media, format_ in MEDIA.items() if format_ == how):
            for specific, name in enumerate((media, f"{media.partition('/')[0]}/*", "*/*")):
                if name in ranges:
                    place, quality = ranges[name]
                    rank = quality, -specific, -place
                    if quality and (best is None or rank > best):
                        best, chosen = rank, how
                    break
    return chosen


def _ranges(accept: str) -> dict[str, tuple[int, float]]:
    """Media range -> its place in the header, and its quality: 0 when that cannot be read."""
    ranges: dict[str, tuple[int, float]] = {}
    for place, part in enumerate(accept.split(",")):
        media, *parameters = (text.strip().lower() for text in part.split(";"))
        quality = 1.0
        for parameter in parameters:
            name, _, text = parameter.partition("=")
            if name.rstrip() == "q":
                try:
                    quality = float(text)
                except ValueError:
                    quality = 0.0
        ranges.setdefault(media, (place, quality if 0.0 <= quality <= 1.0 else 0.0))
    return ranges


def _form(call: Call) -> tuple[Format, Dialect]:
    """What to write.

    :raises ApiProblem: 406 when the client takes none of the formats.
    :raises Invalid: for a dialect of what is no table.
    """
    given: Format | None = call.query["format"]
    how = given or accepted(",".join(call.request.headers.getall("Accept", ())))
    if how is None:
        types = ", ".join(_ANSWERED[one] for one in _PREFERRED)
        raise ApiProblem("not-acceptable", f"The document can be {types}; or say format= in the URL.")
    dialect: Dialect = call.query["dialect"]
    if dialect != "plain" and how != "csv":
        raise Invalid.of([FieldError(0, "dialect", f"{dialect!r} is one of csv: say format=csv, too")])
    return how, dialect


async def export(call: Call) -> web.StreamResponse:
    """The model as it is at this moment, written piece by piece."""
    chosen = call.query["device_id"]
    for device_id in chosen or ():
        find(call.model, "device", device_id)
    how, dialect = _form(call)
    # The whole model, as choosing the token's part in one go would hold up others: the snapshot chooses in steps.
    snapshot = Snapshot(call.services.repository.registry, call.identity.sees, chosen)
    charset = "" if how == "json" else "; charset=utf-8"
    response = web.StreamResponse(
        headers=responses.with_type(
            f"{_ANSWERED[how]}{charset}",
            **{"Content-Disposition": f'attachment; filename="pydatacoll.{how}"', "Vary": "Accept"},
        )
    )
    if call.request.method == "HEAD":
        await response.prepare(call.request)
        return response
    with call.services.exports.run(), suppress(ConnectionResetError):  # a client that is gone need not be told
        pace = Pace()
        with collector_paused():
            await pace.run(snapshot.sort())
        try:
            async with asyncio.timeout(_DOWNLOAD):
                await _send(call, response, _pieces(how, dialect, snapshot, Columns(call.services.schemas)), pace)
        except TimeoutError:
            _break_off(call.request)
    return response


def _break_off(request: web.Request) -> None:
    """Close the connection of an answer that its client takes too slowly: what it has is no whole document."""
    log.info("an export to %s took longer than %g seconds and was broken off", request.remote, _DOWNLOAD)
    if request.transport is not None:
        request.transport.abort()


def _pieces(how: Format, dialect: Dialect, snapshot: Snapshot, columns: Columns) -> Pieces:
    return write_csv(snapshot, columns, dialect) if how == "csv" else WRITERS[how](snapshot, columns)


async def _send(call: Call, response: web.StreamResponse, pieces: Pieces, pace: Pace) -> None:
    await response.prepare(call.request)
    waiting: list[str] = []
    size = 0
    for piece in pieces:
        waiting.append(piece)
        size += len(piece)
        if size >= _WRITE:
            await response.write("".join(waiting).encode())
            waiting.clear()
            size = 0
        await pace.rest()
    await response.write("".join(waiting).encode())
    await response.write_eof()


# Import


def _read(how: Format, raw: bytes, columns: Columns, progress: Progress) -> Steps[Document]:
    if how == "csv":
        return read_csv(raw, columns, progress)
    return (read_json if how == "json" else read_yaml)(raw, progress)


def _import_id(call: Call) -> str | None:
    given = call.request.headers.get("X-Import-Id")
    if given is not None and not _ID.match(given):
        raise Invalid.of([FieldError(0, "X-Import-Id", "must be 1-64 characters of A-Z a-z 0-9 _ . -")])
    return given


def _refuse(document: Document, faults: list[Fault], wire: list[dict[str, Any]], uncounted: int) -> NoReturn:
    first = faults[0]
    column = document.column(first.kind, first.field)
    others = len(faults) - 1 + uncounted
    more = f" (and {others} more)" if others else ""
    detail = f"row {first.row}, {column or first.kind}: {first.message}{more}; nothing was changed"
    raise ApiProblem("invalid", detail, errors=wire)


async def bring_in(call: Call) -> web.StreamResponse:
    """Read the document, then work out and commit what it does, in one transaction."""
    request = call.request
    import_id = _import_id(call)
    replace = call.query["mode"] == "replace"
    if replace and call.identity.devices:
        raise ApiProblem(
            "forbidden",
            f"mode=replace concerns all devices; the access token {call.identity.name!r} is for some only",
        )
    bodies.check_media_type(request, tuple(MEDIA))
    how = MEDIA[request.headers.get("Content-Type", "").partition(";")[0].strip().lower()]
    imports, limit = call.services.imports, call.services.settings.server.max_import_body
    with imports.upload():
        raw = await bodies.read(request, limit, call.services.arriving, _UPLOAD)
    dry_run: bool = call.query["dry_run"]
    with imports.run(import_id, call.identity.name, dry_run=dry_run) as own, collector_paused():
        pace = Pace()
        try:
            document = await pace.run(_read(how, raw, Columns(call.services.schemas), own))
        except TooLarge as error:
            raise ApiProblem("too-large", f"The document is too large: {error}.") from None
        except Malformed as error:
            kind = "malformed-json" if how == "json" else "malformed-document"
            raise ApiProblem(kind, f"The body is not valid {how.upper()}: {error}.") from None
        del raw
        try:
            work = _work(call, document, own, replace=replace, dry_run=dry_run)
            answer = await call.transact(work, dry_run=dry_run)
        finally:
            for given in document.given.values():
                await pace.run(let_go(given))
        return await _respond(answer, pace)


async def _respond(answer: dict[str, Any], pace: Pace) -> web.Response:
    """The answer, its long lists encoded slice by slice."""
    lists = {name: answer.pop(name) for name in ("changes", "errors")}
    parts = [json.encode(answer)[:-1]]
    for name, rows in lists.items():
        parts.append(f',"{name}":['.encode())
        for start in range(0, len(rows), responses.SLICE):
            parts.append(b"," if start else b"")
            parts.append(json.encode(rows[start : start + responses.SLICE])[1:-1])
            await pace.rest()
        parts.append(b"]")
    parts.append(b"}")
    return responses.raw(b"".join(parts))


def _check_named(call: Call, document: Document) -> Steps[None]:
    """
    :raises ApiProblem: 403 for a document that names what the token is not for.
    """
    identity = call.identity
    if not identity.devices:
        return
    model, registry, new_terms = call.model, call.everything, set()
    for one in document.given["term"]:
        yield
        if isinstance(one.payload, Mapping):
            new_terms.add(key_in("term", one.payload))
    for kind, objects in document.given.items():
        for one in objects:
            yield
            what = not_for(identity, kind, one.payload, model, registry, new_terms=new_terms)
            if what:
                raise ApiProblem(
                    "forbidden", f"row {one.row}: the access token {identity.name!r} is not for {what}"
                )


def _work(
    call: Call, document: Document, own: Import, *, replace: bool, dry_run: bool
) -> Callable[[Transaction], Steps[dict[str, Any]]]:
    limit: int = call.query["limit"]

    def work(tx: Transaction) -> Steps[dict[str, Any]]:
        own.state = "checking"
        yield from _check_named(call, document)
        loaded = yield from tx.load_steps(document.given, replace=replace, progress=own)
        faults = yield from faults_of(document, loaded)
        errors = yield from wire_faults(document, faults)
        if faults and not dry_run:
            _refuse(document, faults, errors, loaded.more_faults)
        changes = yield from tx.changes_steps()
        answer = yield from summary(loaded, changes, limit)
        answer |= {"errors": errors, "error_count": len(faults) + loaded.more_faults}
        if not dry_run:
            yield from call.audited(tx, "import", "model")
            own.state = "committing"
        yield from let_go(faults)
        yield from loaded.let_go()
        return answer

    return work


async def list_imports(call: Call) -> web.StreamResponse:
    """Newest first. A token for some devices sees its own."""
    identity = call.identity
    listed = call.services.imports.listed()
    return responses.of([one.wire() for one in listed if not identity.devices or one.user == identity.name])


OPERATIONS = [
    Operation(
        id="export_model",
        method="GET",
        path="/api/v2/export",
        handler=export,
        summary="The whole model as JSON, YAML or CSV",
        description=(
            "As it is at one moment, sorted; fields that have their default are left out. CSV is one table with a "
            "row for each point. A token that is limited to devices gets what belongs to them, and all items. An "
            "Accept that takes none of the three is answered with 406."
        ),
        tag="transfer",
        query=(
            choice("format", "instead of the header Accept", ("json", "yaml", "csv")),
            choice(
                "dialect",
                "of csv; excel: with a byte order mark and semicolons, as Excel opens it in many countries",
                ("plain", "excel"),
                "plain",
            ),
            ids("device_id", "only these devices, separated by commas, and the items that they have"),
        ),
        answers={
            200: Answer(
                "the document",
                ref("ExportView"),
                headers={"Content-Disposition": "a file name"},
                also={"application/yaml": ref("ExportView"), "text/csv": _TEXT},
            )
        },
        errors=(404, 406, 429, 503),
    ),
    Operation(
        id="import_model",
        method="POST",
        path="/api/v2/import",
        handler=bring_in,
        summary="Bring in a document as /api/v2/export writes it, all or nothing",
        description=(
            "mode=merge adds and replaces what the document describes and deletes nothing; what a table has no "
            "column for stays as it is. mode=replace makes the model exactly what the document says. A dry run "
            "answers what would change, and every error; otherwise 422 names the errors and nothing is changed. "
            "One import at a time: another one gets 409."
        ),
        tag="transfer",
        query=(
            DRY_RUN,
            choice(
                "mode",
                "what becomes of objects that the document does not describe",
                ("merge", "replace"),
                "merge",
            ),
            integer("limit", "list at most so many changes", le=10_000, default=1000),
        ),
        headers={"X-Import-Id": "id under which /api/v2/imports shows the progress (1-64 characters of an id)"},
        body=Body(
            {"type": "object"},
            shape="document",
            media_types=tuple(MEDIA),
            schemas=cast("Any", {media: _TEXT for media, how in MEDIA.items() if how != "json"}),
        ),
        answers={200: Answer("what was, or would be, done", ref("ImportAnswer"))},
        errors=(409, 429, 503),
    ),
    Operation(
        id="list_imports",
        method="GET",
        path="/api/v2/imports",
        handler=list_imports,
        summary="Imports of this server that are under way, or ended in the last ten minutes; newest first",
        tag="transfer",
        answers={200: Answer("the imports", array(ref("ImportView")))},
    ),
]
