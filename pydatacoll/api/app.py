"""The application: all routes, bound to the services, behind the one error middleware."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import suppress
from functools import partial
from typing import Final

from aiohttp import web

from pydatacoll import supervise
from pydatacoll.api import (
    alarms,
    audit,
    batches,
    clone,
    commands,
    devices,
    diagnosis,
    discovered,
    event_stream,
    explorer,
    formulas,
    gate,
    history,
    inspection,
    interrogation,
    items,
    live,
    log,
    overview,
    pages,
    plugins,
    problems,
    selection,
    stats,
    system,
    term_items,
    terms,
    transfer,
    values,
)
from pydatacoll.api.operation import Operation, bind, expectation
from pydatacoll.api.services import Services
from pydatacoll.web.site import NOT_BUILT, Site

OPERATIONS: Final = web.AppKey("operations", tuple[Operation, ...])
"""The declared operations of an application, in the order of the document."""


def all_operations(site: Site = NOT_BUILT) -> tuple[Operation, ...]:
    """Every route that is served, those of the built pages at the end."""
    listed: list[Operation] = [
        *devices.OPERATIONS,
        *inspection.OPERATIONS,
        *discovered.OPERATIONS,
        *terms.OPERATIONS,
        *items.OPERATIONS,
        *term_items.OPERATIONS,
        *formulas.OPERATIONS,
        *values.OPERATIONS,
        *live.OPERATIONS,
        *event_stream.OPERATIONS,
        *overview.OPERATIONS,
        *log.OPERATIONS,
        *history.OPERATIONS,
        *commands.OPERATIONS,
        *selection.OPERATIONS,
        *interrogation.OPERATIONS,
        *batches.OPERATIONS,
        *transfer.OPERATIONS,
        *clone.OPERATIONS,
        *alarms.OPERATIONS,
        *audit.OPERATIONS,
        *system.OPERATIONS,
        *diagnosis.OPERATIONS,
        *plugins.OPERATIONS,
    ]
    listed.insert(0, system.index(listed, site))
    return (*listed, *explorer.operations(listed), *pages.operations(site))


async def _write_refusals(services: Services, _: web.Application) -> AsyncIterator[None]:
    writing = supervise.start("refused requests", partial(services.refusals.run, services.audit.write))
    yield
    writing.cancel()
    with suppress(asyncio.CancelledError):
        await writing


async def _bring_back_alarms(services: Services, _: web.Application) -> AsyncIterator[None]:
    looking = supervise.start("shelved alarms", partial(alarms.bring_back, services))
    yield
    looking.cancel()
    with suppress(asyncio.CancelledError):
        await looking


async def _live_push(services: Services, _: web.Application) -> AsyncIterator[None]:
    yield
    if services.live is not None:
        await services.live.close()


def create_app(services: Services, site: Site = NOT_BUILT) -> web.Application:
    """The REST API over these services, and the built web pages. Run it with
    :func:`pydatacoll.api.server.make_runner`."""
    app = web.Application(
        middlewares=[stats.middleware(services.http), gate.middleware(services.settings), problems.middleware]
    )
    operations = all_operations(site)
    services.http.name_routes({operation.id: operation.path for operation in operations})
    app[OPERATIONS] = operations
    app.cleanup_ctx.append(partial(_write_refusals, services))
    app.cleanup_ctx.append(partial(_bring_back_alarms, services))
    app.cleanup_ctx.append(partial(_live_push, services))
    app[live.SOCKETS] = set()
    app[event_stream.STREAMS] = set()
    app.on_shutdown.extend((live.close_all, event_stream.end_all))
    for operation in operations:
        handler, expect = bind(operation, services), expectation(operation, services)
        if operation.method == "GET":
            app.router.add_get(operation.path, handler, name=operation.id, expect_handler=expect)
        else:
            app.router.add_route(
                operation.method, operation.path, handler, name=operation.id, expect_handler=expect
            )
    return app
