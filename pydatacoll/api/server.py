"""The HTTP server under the application: what is not even HTTP is answered as a problem, too."""

from __future__ import annotations

import asyncio
import logging
import re
from typing import Any

from aiohttp import web
from aiohttp.web_protocol import RequestHandler
from aiohttp.web_request import BaseRequest

from pydatacoll.api import problems

log = logging.getLogger(__name__)


_QUOTED = re.compile(r"(:| when reading:)? *(bytearray\()?b['\"].*")
"""What aiohttp's messages repeat of a header: it may be a token, which no log may hold."""
HEADERS = 15.0
"""Seconds in which the first request of a connection must have its headers complete."""


class _Connection(RequestHandler):
    """One connection. aiohttp answers a malformed request in plain text and with a traceback; this does not. Nor
    is a client that takes its time with its first request kept as long as one between two requests."""

    _answered = False
    _first: asyncio.TimerHandle | None = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        super().connection_made(transport)
        self._first = self._loop.call_later(HEADERS, self._expect_request)

    def _expect_request(self) -> None:
        if not self._answered and self._current_request is None and self.transport is not None:
            self.force_close()

    def handle_error(
        self,
        request: BaseRequest,
        status: int = 500,
        exc: BaseException | None = None,
        message: str | None = None,
    ) -> web.StreamResponse:
        if request.writer.output_size > 0:
            raise ConnectionError("the response has begun; it cannot become an error")
        if isinstance(exc, UnicodeError):  # of a header: what handlers raise does not come here
            status, message = 400, "a header is not UTF-8"
        if status < 500:
            kind = problems.KINDS["bad-request"]
            first = _QUOTED.sub("", (message or kind.meaning).strip().splitlines()[0]).rstrip(":") or kind.meaning
            log.debug("malformed request from %s: %s", request.remote, first)
            response = problems.respond({**problems.document(kind, first), "status": status})
        else:
            log.error("a request from %s failed", request.remote, exc_info=exc)
            kind = problems.KINDS["internal"]
            response = problems.respond(problems.document(kind, kind.meaning))
        response.force_close()
        return response

    async def finish_response(
        self, request: BaseRequest, resp: web.StreamResponse, start_time: float | None
    ) -> tuple[web.StreamResponse, bool]:
        """Of unknown paths aiohttp checks ``Expect`` before the middleware runs."""
        self._answered = True
        if isinstance(resp, web.HTTPException) and resp.status >= 400:
            resp = problems.of_http(request, resp)
        return await super().finish_response(request, resp, start_time)

    def connection_lost(self, exc: BaseException | None) -> None:
        """aiohttp would wait on, for the rest of a body that cannot come any more."""
        task = self._task_handler
        if self._first is not None:
            self._first.cancel()
        super().connection_lost(exc)
        if task is not None and not self._request_in_progress:
            task.cancel()


class _Server(web.Server):
    def __call__(self) -> RequestHandler:
        return _Connection(self, loop=self._loop, **self._kwargs)


class ApiRunner(web.AppRunner):
    """An ``AppRunner`` whose connections answer malformed requests as problems."""

    async def _make_server(self) -> web.Server:
        made: Any = await super()._make_server()
        return _Server(
            made.request_handler,
            request_factory=made.request_factory,
            handler_cancellation=made.handler_cancellation,
            loop=made._loop,
            **made._kwargs,
        )


def make_runner(app: web.Application, **options: Any) -> web.AppRunner:
    """The runner of an application made by :func:`pydatacoll.api.app.create_app`.

    Without an access log; bodies are not unpacked (the application refuses packed ones), and the rest of a body
    that was refused is waited for only shortly.
    """
    return ApiRunner(app, **{"access_log": None, "auto_decompress": False, "lingering_time": 2.0, **options})
