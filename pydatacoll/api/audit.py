"""``GET /api/v2/audit``: who changed or controlled what."""

from __future__ import annotations

import re
from typing import Any, Final

from aiohttp import web
from yarl import URL

from pydatacoll.api import query, responses
from pydatacoll.api.operation import Answer, Call, Operation, array, ref
from pydatacoll.store.audit import AuditFilter

_ID: Final = re.compile(r"[0-9]{1,18}-[0-9]{1,18}\Z")
_FILTERS: Final = (
    query.moment("since", "only entries of this time or later"),
    query.moment("until", "only entries of this time or earlier"),
    query.word("user", "only of this user: the name of an access token"),
    query.word("action", "only actions that match this glob, as ctrl or device.*"),
    query.word(
        "object",
        "only objects that match this glob, as feeder1:*; also batches, clones and imports with such a one",
    ),
    query.word("device_id", "only what concerns this device"),
    query.choice("result", "ok or failed; refused requests have failed", ("ok", "failed")),
    query.integer("limit", "answer at most so many, the newest", ge=1, le=10_000, default=100),
)


def _before() -> query.Query:
    def convert(text: str) -> str:
        if not _ID.match(text):
            raise ValueError("must be the id of an entry")
        return text

    schema = {"type": "string", "pattern": "^[0-9]{1,18}-[0-9]{1,18}$", "examples": ["1795255708123-0"]}
    return query.Query("before", "only entries before the one with this id", schema, convert)


async def list_audit(call: Call) -> web.StreamResponse:
    """Newest first. A token for some devices sees what concerns these alone."""
    given = call.query
    identity = call.identity
    wanted = AuditFilter(
        since=given["since"],
        until=given["until"],
        user=given["user"],
        action=given["action"],
        object=given["object"],
        device_id=given["device_id"],
        failed=None if given["result"] is None else given["result"] == "failed",
        sees=identity.sees if identity.devices else None,
    )
    page = await call.services.audit.read(wanted, given["limit"], given["before"])
    headers = {}
    if page.more is not None:
        following = (
            URL(call.request.rel_url.raw_path, encoded=True)
            .with_query(call.request.query)
            .update_query({"before": page.more})
        )
        headers["Link"] = f'<{following}>; rel="next"'
    return await responses.rows(page.entries, _same, headers)


def _same(entry: dict[str, Any]) -> dict[str, Any]:
    return entry


OPERATIONS = [
    Operation(
        id="list_audit",
        method="GET",
        path="/api/v2/audit",
        handler=list_audit,
        summary="Who changed or controlled what, newest first",
        description=(
            "Every control has two entries with the same command_id, one before it is sent, one with its result; "
            "every change of the model one, or several parts. A page may be shorter than limit when its entries "
            "are large. A token that is limited to devices sees the entries that concern only these."
        ),
        tag="audit",
        query=(*_FILTERS, _before()),
        answers={
            200: Answer(
                "entries",
                array(ref("AuditEntry")),
                headers={"Link": 'when there may be more: the next page, rel="next" (RFC 8288)'},
            )
        },
        errors=(503,),
    ),
]
