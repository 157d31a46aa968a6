"""The application: all routes, bound to the services, behind the one error middleware."""

from __future__ import annotations

from typing import Final

from aiohttp import web

from pydatacoll.api import (
    batches,
    commands,
    devices,
    explorer,
    formulas,
    gate,
    items,
    problems,
    system,
    term_items,
    terms,
    values,
)
from pydatacoll.api.operation import Operation, bind, expectation
from pydatacoll.api.services import Services

OPERATIONS: Final = web.AppKey("operations", tuple[Operation, ...])
"""The declared operations of an application, in the order of the document."""


def all_operations() -> tuple[Operation, ...]:
    """Every route that is served."""
    listed: list[Operation] = [
        *devices.OPERATIONS,
        *terms.OPERATIONS,
        *items.OPERATIONS,
        *term_items.OPERATIONS,
        *formulas.OPERATIONS,
        *values.OPERATIONS,
        *commands.OPERATIONS,
        *batches.OPERATIONS,
        *system.OPERATIONS,
    ]
    listed.insert(0, system.index(listed))
    return (*listed, *explorer.operations(listed))


def create_app(services: Services) -> web.Application:
    """The REST API over these services. Run it with :func:`pydatacoll.api.server.make_runner`."""
    app = web.Application(middlewares=[gate.middleware(services.settings), problems.middleware])
    operations = all_operations()
    app[OPERATIONS] = operations
    for operation in operations:
        handler, expect = bind(operation, services), expectation(operation, services)
        if operation.method == "GET":
            app.router.add_get(operation.path, handler, name=operation.id, expect_handler=expect)
        else:
            app.router.add_route(
                operation.method, operation.path, handler, name=operation.id, expect_handler=expect
            )
    return app
