"""A route as a declaration, from which both the run-time parsing and the OpenAPI document are derived."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass, field
from typing import Any, Final, Literal, TypeVar

from aiohttp import HttpVersion11, web

from pydatacoll.api import body as bodies
from pydatacoll.api import problems
from pydatacoll.api.access import Denied, Identity, Scope, check_changes
from pydatacoll.api.problems import ApiProblem
from pydatacoll.api.query import Query, parse
from pydatacoll.api.services import Services
from pydatacoll.errors import FieldError, Invalid
from pydatacoll.model.audit import Entry, batch_entries
from pydatacoll.model.registry import ModelView
from pydatacoll.model.steps import Steps
from pydatacoll.model.transaction import Transaction
from pydatacoll.settings import ServerSettings

T = TypeVar("T")

Schema = Mapping[str, Any]
"""A JSON schema; components are referred to by ``ref``."""


def ref(name: str) -> Schema:
    """A schema component of the document."""
    return {"$ref": f"#/components/schemas/{name}"}


def array(items: Schema, **more: Any) -> Schema:
    return {"type": "array", "items": items, **more}


def one_or_many(items: Schema) -> Schema:
    return {"oneOf": [items, array(items)]}


@dataclass(frozen=True, slots=True)
class Body:
    """A request body.

    :ivar shape: what is accepted: an object, a list, or (``batch``) a list or one object; a ``document`` is read
        by the handler.
    :ivar large: read up to ``server.max_batch_body`` instead of ``server.max_body``.
    :ivar schemas: of media types that are not JSON.
    """

    schema: Schema
    shape: Literal["object", "list", "batch", "document"] = "object"
    media_types: tuple[str, ...] = (bodies.JSON_TYPE,)
    large: bool = False
    schemas: Mapping[str, Schema] = field(default_factory=dict)

    def limit(self, server: ServerSettings) -> int:
        """Bytes it may have."""
        if self.shape == "document":
            return server.max_import_body
        return server.max_batch_body if self.large else server.max_body


@dataclass(frozen=True, slots=True)
class Answer:
    """A successful response, for the document."""

    description: str
    schema: Schema | None = None
    media_type: str = bodies.JSON_TYPE
    headers: Mapping[str, str] = field(default_factory=dict)
    """Name -> description."""
    also: Mapping[str, Schema] = field(default_factory=dict)
    """Further media types -> schema."""


class Call:
    """One request, parsed: what a handler gets."""

    __slots__ = ("body", "identity", "path", "query", "request", "services")

    def __init__(  # noqa: PLR0917 - made for every request; positional is faster
        self,
        services: Services,
        request: web.Request,
        path: Mapping[str, str],
        query: Mapping[str, Any],
        body: Any,
        identity: Identity,
    ) -> None:
        self.services = services
        self.request = request
        self.path = path
        self.query = query
        self.body = body
        self.identity = identity

    @property
    def model(self) -> ModelView:
        """The model, as far as the token of the request is for it.

        :raises StoreUnavailable: when the store has not been reached since the start.
        """
        services = self.services
        return services.access.view(self.identity, services.repository.registry)

    @property
    def everything(self) -> ModelView:
        """The whole model: only to tell what the token is not for.

        :raises StoreUnavailable: when the store has not been reached since the start.
        """
        return self.services.repository.registry

    async def transact(self, fn: Callable[[Transaction], Steps[T]], *, dry_run: bool = False) -> T:
        """Change the model in steps, as :meth:`pydatacoll.api.services.Repository.transact_steps`.

        No change is without an entry in the audit trail: when ``fn`` leaves none (see :meth:`audited`), there is
        one that names the request.

        :raises ApiProblem: 403 when that would change devices that the token is not for.
        """
        identity = self.identity

        def checked(tx: Transaction) -> Steps[T]:
            if identity.devices:
                tx.tell_of(identity.sees)
            result = yield from fn(tx)
            if identity.devices:
                changes = yield from tx.changes_steps()
                yield from check_changes(identity, changes, tx.overlay, tx.registry)
            if not dry_run and not tx.entries:
                yield from self.audited(tx, self.request.method, self.request.path)
            return result

        return await self.services.repository.transact_steps(checked, dry_run=dry_run)

    def audited(self, tx: Transaction, action: str, name: str) -> Steps[None]:
        """Leave audit entries of all that a transaction has changed so far, in steps; to be called at its end.

        :param action: what was done, as ``device.clone``.
        :param name: what it was done to: an id, or the plural of a kind.
        """
        changes = yield from tx.changes_steps()
        for entry in (yield from batch_entries(changes, tx.overlay, tx.registry)):
            tx.audit(self.entry(action, name, **entry))

    def entry(self, action: str, name: str, result: str = "ok", **more: Any) -> Entry:
        """An audit entry of what this request did."""
        who = {"user": self.identity.name, "source": self.request.remote or ""}
        return {"action": action, **who, "object": name, "result": result, **more}


Endpoint = Callable[[Call], Awaitable[web.StreamResponse]]


def authorization(request: web.Request) -> str | None:
    """The header ``Authorization``."""
    return request.headers.get("Authorization")


@dataclass(frozen=True, slots=True, kw_only=True)
class Operation:
    """One method on one path. ``id`` is the stable ``operationId``; ``errors`` are the statuses it can fail with
    besides those that follow from its body, its parameters and its scope. Without a ``scope``, reading needs
    ``read`` and everything else ``admin``. ``credentials`` finds what a request has for ``Authorization``."""

    id: str
    method: str
    path: str
    handler: Endpoint
    summary: str
    tag: str
    answers: Mapping[int, Answer]
    query: tuple[Query, ...] = ()
    headers: Mapping[str, str] = field(default_factory=dict)
    body: Body | None = None
    errors: tuple[int, ...] = ()
    description: str = ""
    scope: Scope | None = None
    credentials: Callable[[web.Request], str | None] = authorization

    @property
    def needs(self) -> Scope:
        """The scope a token must have."""
        return self.scope or ("read" if self.method == "GET" else "admin")

    @property
    def statuses(self) -> list[int]:
        """Every failure status, derived ones included. Always possible are 421, for the name
        of the server in the request, and 422: parameters are checked strictly."""
        derived = {421, 422, *self.errors}
        if self.body is not None:
            derived |= {400, 408, 413, 415, 429}
        if self.needs != "open":
            derived |= {401, 403}
        return sorted(derived)


Expectation = Callable[[web.Request], Awaitable[web.StreamResponse | None]]
_SHAPES: Final[Mapping[str, tuple[tuple[type, ...], str]]] = {
    "object": ((dict,), "a JSON object"),
    "list": ((list,), "a JSON array"),
    "batch": ((list, dict), "a JSON array or one JSON object"),
}


def expectation(operation: Operation, services: Services) -> Expectation:
    """Answers ``Expect: 100-continue`` (RFC 9110, 10.1.1); a body that will be refused is not asked for."""
    server = services.settings.server
    body = operation.body
    limit = 0 if body is None else body.limit(server)

    async def expect(request: web.Request) -> web.StreamResponse | None:
        given = request.headers["Expect"]
        if given.lower() != "100-continue":
            kind = problems.KINDS["expectation"]
            return problems.respond(problems.document(kind, f"Expect: {given} cannot be met."))
        try:
            services.access.identify(operation.credentials(request), operation.needs)
        except ApiProblem:
            return None  # the handler says so
        if (request.content_length or 0) <= limit and request.version >= HttpVersion11:
            await request.writer.write(b"HTTP/1.1 100 Continue\r\n\r\n")
            request.writer.output_size = 0
        return None

    return expect


_AUDITED: Final = frozenset({401, 403, 429})


def _note(services: Services, request: web.Request, error: ApiProblem, identity: Identity | None) -> None:
    """Put a request that was not allowed into the audit trail."""
    if error.kind.status in _AUDITED:
        user = identity.name if identity is not None else error.user if isinstance(error, Denied) else ""
        services.refusals.note(
            "request.refused",
            f"{request.method} {request.path}",
            f"{error.kind.status} {error}",
            user=user,
            source=request.remote or "",
        )


def bind(operation: Operation, services: Services) -> Callable[[web.Request], Awaitable[web.StreamResponse]]:
    """The aiohttp handler of an operation; everything that can be worked out before a request is."""
    handler = operation.handler
    declared = {query.name: query for query in operation.query}
    defaults = {query.name: query.default for query in operation.query}
    body = operation.body
    identify, scope = services.access.identify, operation.needs
    credentials = operation.credentials

    if body is None or body.shape == "document":

        async def without_body(request: web.Request) -> web.StreamResponse:
            identity: Identity | None = None
            try:
                identity = identify(credentials(request), scope)
                query = parse(request, declared, defaults) if request.rel_url.raw_query_string else defaults
                return await handler(Call(services, request, request.match_info, query, None, identity))
            except ApiProblem as error:
                _note(services, request, error, identity)
                raise

        return without_body

    types, expected = _SHAPES[body.shape]
    media_types = body.media_types
    server = services.settings.server
    limit = body.limit(server)
    many = body.shape != "object"

    async def with_body(request: web.Request) -> web.StreamResponse:
        identity: Identity | None = None
        try:
            identity = identify(credentials(request), scope)
            query = parse(request, declared, defaults) if request.rel_url.raw_query_string else defaults
            content = await bodies.read_json(request, limit, services.arriving, media_types)
            if not isinstance(content, types):
                raise Invalid.of([FieldError(0, "body", f"must be {expected}")])
            if many:
                content = content if isinstance(content, list) else [content]
                bodies.check_count(content, server.max_batch)
            return await handler(Call(services, request, request.match_info, query, content, identity))
        except ApiProblem as error:
            _note(services, request, error, identity)
            raise

    return with_body
