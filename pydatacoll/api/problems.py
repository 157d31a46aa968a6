"""Every failure as RFC 9457 ``application/problem+json``: the kinds of problem, and the one error middleware."""

from __future__ import annotations

import logging
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from http import HTTPStatus
from typing import Any, Final

from aiohttp import web
from aiohttp.typedefs import Handler
from aiohttp.web_request import BaseRequest

from pydatacoll import errors
from pydatacoll.api import responses
from pydatacoll.codec import json

log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Kind:
    """One kind of problem: its HTTP status, its title, what it means and whether a repeat may help."""

    name: str
    status: int
    title: str
    meaning: str

    @property
    def uri(self) -> str:
        """The ``type`` member: the place in the documentation that explains it."""
        return f"/docs#problem-{self.name}" if self.name != "http" else "about:blank"


KINDS: Final[dict[str, Kind]] = {
    kind.name: kind
    for kind in (
        Kind("bad-request", 400, "Bad request", "The request is not valid HTTP, or its body cannot be read."),
        Kind("malformed-json", 400, "Malformed JSON", "The body is not a JSON document in UTF-8."),
        Kind(
            "malformed-document",
            400,
            "Malformed document",
            "The body is not the YAML or CSV document it is said to be; detail says where.",
        ),
        Kind("unauthorized", 401, "Unauthorized", "A valid access token is needed (Authorization: Bearer)."),
        Kind("forbidden", 403, "Forbidden", "The access token does not allow this; detail says what it lacks."),
        Kind("no-route", 404, "No such path", "Nothing is served at this path; see /openapi.json."),
        Kind("not-found", 404, errors.NotFound.title, "An object does not exist; detail says which."),
        Kind("method", 405, "Method not allowed", "The path exists; the Allow header lists its methods."),
        Kind(
            "not-acceptable",
            406,
            "Not acceptable",
            "The header Accept names no type that is answered here; detail names those that are.",
        ),
        Kind("slow", 408, "Request timeout", "The body did not arrive in time."),
        Kind("conflict", 409, errors.Conflict.title, "The request contradicts the present state."),
        Kind("too-large", 413, "Content too large", "The body, or the batch, is larger than the server takes."),
        Kind(
            "media-type",
            415,
            "Unsupported media type",
            "The body is of a type that is not taken here; detail names those that are.",
        ),
        Kind("expectation", 417, "Expectation failed", "Only Expect: 100-continue is known."),
        Kind("upgrade", 426, "Upgrade required", "This path speaks WebSocket only."),
        Kind(
            "misdirected", 421, "Misdirected request", "The name in the header Host is not one of this server's."
        ),
        Kind("invalid", 422, errors.Invalid.title, "Well-formed but not acceptable; errors names each field."),
        Kind("too-many", 429, errors.TooMany.title, "A rate limit; the header Retry-After says when to go on."),
        Kind("internal", 500, "Internal error", "A bug of the server. It was logged with its traceback."),
        Kind("device-refused", 502, errors.DeviceRefused.title, "The device answered, negatively."),
        Kind("device-offline", 503, errors.DeviceOffline.title, "No working connection. Try again later."),
        Kind("no-manager", 503, errors.NoManager.title, "No device manager runs that owns the device."),
        Kind("store-unavailable", 503, errors.StoreUnavailable.title, "Redis cannot be reached now."),
        Kind("store-refused", 503, errors.StoreRefused.title, "Redis refuses the operation (memory, disk)."),
        Kind("not-ready", 503, "Not ready", "Something the service needs is missing; reasons says what."),
        Kind("try-later", 503, errors.TryLater.title, "The database of the archive is away; detail says why."),
        Kind("plugin-not-enabled", 503, "Plugin not enabled", "The plugin that does this is not enabled."),
        Kind("device-timeout", 504, errors.DeviceTimeout.title, "No answer; whether the device acted is unknown."),
        Kind("http", 0, "", "Any other HTTP failure; status and title say which."),
    )
}

_BY_CLASS: Final[dict[type[errors.PyDataCollError], Kind]] = {
    errors.NotFound: KINDS["not-found"],
    errors.Conflict: KINDS["conflict"],
    errors.Invalid: KINDS["invalid"],
    errors.TooMany: KINDS["too-many"],
    errors.DeviceRefused: KINDS["device-refused"],
    errors.DeviceOffline: KINDS["device-offline"],
    errors.DeviceTimeout: KINDS["device-timeout"],
    errors.NoManager: KINDS["no-manager"],
    errors.StoreUnavailable: KINDS["store-unavailable"],
    errors.StoreRefused: KINDS["store-refused"],
    errors.StoreError: KINDS["store-unavailable"],
    errors.TryLater: KINDS["try-later"],
}
_BY_STATUS: Final[dict[int, Kind]] = {kind.status: kind for kind in reversed(KINDS.values())} | {
    404: KINDS["no-route"]
}


class ApiProblem(errors.RequestError):
    """A failure that only HTTP knows: media type, size, a missing plugin, readiness."""

    def __init__(self, kind: str, detail: str, *, headers: Mapping[str, str] | None = None, **more: Any) -> None:
        super().__init__(detail)
        self.kind = KINDS[kind]
        self.headers = headers or {}
        self.more = more


def kind_of(error: errors.PyDataCollError) -> Kind:
    """The kind of an error of the package's tree; what has none is a bug."""
    if isinstance(error, ApiProblem):
        return error.kind
    for cls in type(error).__mro__:
        if cls in _BY_CLASS:
            return _BY_CLASS[cls]
    return KINDS["internal"]


def kind_of_reply(status: int, title: str) -> Kind:
    """The kind of a command's failure, told by its status and title."""
    for kind in KINDS.values():
        if kind.status == status and kind.title == title:
            return kind
    found = _BY_STATUS.get(status, KINDS["http"])
    return Kind(found.name, status, title or found.title, found.meaning)


def document(
    kind: Kind, detail: str, field_errors: Sequence[errors.FieldError] = (), **more: Any
) -> dict[str, Any]:
    """The members of a problem document; ``more`` are extension members."""
    # Bytes of a header that are not UTF-8 come as lone surrogates, which JSON cannot carry.
    detail = detail.encode(errors="replace").decode()
    body = {"type": kind.uri, "title": kind.title, "status": kind.status, "detail": detail, **more}
    if field_errors:
        body["errors"] = [{"index": e.index, "field": e.field, "message": e.message} for e in field_errors]
    return body


def document_of(error: errors.PyDataCollError) -> dict[str, Any]:
    """The problem document of an error of the package's tree."""
    fields = error.errors if isinstance(error, errors.Invalid) else ()
    more = error.more if isinstance(error, ApiProblem) else {}
    return document(kind_of(error), str(error), fields, **more)


def respond(body: Mapping[str, Any], headers: Mapping[str, str] | None = None) -> web.Response:
    """A problem document as a response."""
    return responses.raw(json.encode(body), body["status"], responses.PROBLEM, headers)


def of_http(request: BaseRequest, error: web.HTTPException) -> web.StreamResponse:
    """A failure that aiohttp found; what is none (a redirect) is raised again."""
    if error.status < 400:
        raise error
    if isinstance(error, web.HTTPMethodNotAllowed):
        allowed = ", ".join(sorted({*error.allowed_methods, "OPTIONS"}))
        if request.method == "OPTIONS":
            return responses.empty(204, {"Allow": allowed})
        kind = KINDS["method"]
        return respond(document(kind, f"{request.path} takes {allowed}."), {"Allow": allowed})
    if isinstance(error, web.HTTPNotFound):
        return respond(document(KINDS["no-route"], f"Nothing is served at {request.path}; see /openapi.json."))
    known = _BY_STATUS.get(error.status)
    kind = known or Kind("http", error.status, HTTPStatus(error.status).phrase, "")
    return respond(document(kind, error.reason))


@web.middleware
async def middleware(request: web.Request, handler: Handler) -> web.StreamResponse:
    """The only place where a failure becomes a response."""
    try:
        return await handler(request)
    except errors.PyDataCollError as error:
        body = document_of(error)
        if body["status"] == 500:
            log.exception("%s %s failed", request.method, request.path)
            body["detail"] = KINDS["internal"].meaning
        return respond(body, error.headers if isinstance(error, ApiProblem) else None)
    except web.HTTPException as error:
        return of_http(request, error)
    except Exception:
        log.exception("%s %s failed", request.method, request.path)
        return respond(document(KINDS["internal"], KINDS["internal"].meaning))
