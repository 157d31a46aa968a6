"""A client for tests of the REST API that holds every answer against the OpenAPI document."""

from __future__ import annotations

import io
import re
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import Any

import aiohttp
import jsonschema
import yaml
from aiohttp import web
from multidict import CIMultiDictProxy

from pydatacoll.api.server import make_runner
from pydatacoll.codec import json

UNSET: Any = object()


@dataclass
class Answer:
    """A response whose body has been read."""

    status: int
    headers: CIMultiDictProxy[str]
    raw: bytes

    @property
    def json(self) -> Any:
        return json.decode(self.raw)

    @property
    def fields(self) -> list[tuple[int, str]]:
        """``(index, field)`` of every field error."""
        return [(error["index"], error["field"]) for error in self.json.get("errors", [])]


class Conformance:
    """Finds the operation of a request in the document and validates the answer against it."""

    def __init__(self, document: Mapping[str, Any]) -> None:
        self.document = document
        self._paths = [
            (
                re.compile(
                    re.sub(r"\{\w+\}", "[^/]+", re.escape(path).replace(r"\{", "{").replace(r"\}", "}")) + r"\Z"
                ),
                p,
            )
            for path, p in document["paths"].items()
        ]

    def schema_errors(self, schema: Mapping[str, Any], value: Any) -> list[str]:
        validator = jsonschema.Draft202012Validator({**schema, "components": self.document["components"]})
        return [f"{error.json_path}: {error.message}" for error in validator.iter_errors(value)]

    def check(self, method: str, path: str, answer: Answer) -> None:
        what = f"{method} {path} -> {answer.status}"
        assert answer.headers["X-Content-Type-Options"] == "nosniff", what
        media = answer.headers.get("Content-Type", "").partition(";")[0]
        if answer.status >= 400:
            assert media == "application/problem+json", what
            if method != "HEAD":
                problem = answer.json
                assert problem["status"] == answer.status
                assert self.schema_errors({"$ref": "#/components/schemas/Problem"}, problem) == []
                assert "Traceback" not in problem["detail"]
        found = [item for pattern, item in self._paths if pattern.match(path)]
        operations = [item[method.lower()] for item in found if method.lower() in item]
        if not operations:
            return
        responses = operations[0]["responses"]
        assert str(answer.status) in responses or answer.status == 500, f"{what} is not documented"
        if answer.status >= 400 or answer.status in (204, 304):
            return
        content = responses[str(answer.status)]["content"]
        assert media in content, what
        if media == "application/json":
            value = answer.json
        else:
            text = answer.raw.decode()
            value = yaml.safe_load(text) if media == "application/yaml" else text
        assert self.schema_errors(content[media]["schema"], value) == [], what


class Api:
    """Requests to one running application."""

    def __init__(self, url: str, session: aiohttp.ClientSession, conformance: Conformance) -> None:
        self.url = url
        self.session = session
        self.conformance = conformance

    @property
    def port(self) -> int:
        return int(self.url.rpartition(":")[2])

    async def __call__(
        self,
        method: str,
        path: str,
        body: Any = UNSET,
        *,
        data: Any = None,
        headers: Mapping[str, str] | None = None,
        status: int | None = None,
    ) -> Answer:
        """Send and check; ``body`` is sent as JSON, ``data`` as it is."""
        sent = dict(headers or {})
        if body is not UNSET:
            data = json.encode(body)
        if isinstance(data, bytes) and len(data) > 500_000:
            data = io.BytesIO(data)
        if data is not None:
            sent.setdefault("Content-Type", "application/json")
        async with self.session.request(
            method, f"{self.url}{path}", data=data, headers=sent, skip_auto_headers=("Content-Type",)
        ) as response:
            answer = Answer(response.status, response.headers, await response.read())
        self.conformance.check(method, path.partition("?")[0], answer)
        if status is not None:
            assert answer.status == status, answer.raw
        return answer

    async def get(self, path: str, status: int = 200) -> Any:
        """The decoded body of a GET."""
        return (await self("GET", path, status=status)).json

    async def post(self, path: str, body: Any, status: int = 201, headers: Mapping[str, str] | None = None) -> Any:
        """The decoded body of the answer to a POST."""
        return (await self("POST", path, body, status=status, headers=headers)).json


@asynccontextmanager
async def serve(app: web.Application) -> AsyncIterator[Api]:
    """Run an application on a free port of the loopback interface."""
    runner = make_runner(app, shutdown_timeout=0.1)
    await runner.setup()
    try:
        site = web.TCPSite(runner, "127.0.0.1", 0)
        await site.start()
        url = f"http://127.0.0.1:{runner.addresses[0][1]}"
        async with aiohttp.ClientSession() as session:
            async with session.get(f"{url}/openapi.json") as response:
                document = json.decode(await response.read())
            yield Api(url, session, Conformance(document))
    finally:
        await runner.cleanup()
