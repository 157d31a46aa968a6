"""Which failure becomes which problem."""

from __future__ import annotations

import logging
from unittest.mock import Mock

import pytest
from aiohttp import web
from aiohttp.test_utils import make_mocked_request

from pydatacoll import errors
from pydatacoll.api import problems, server
from pydatacoll.codec import json


async def _through(error: Exception) -> web.StreamResponse:
    async def handler(request: web.Request) -> web.StreamResponse:
        raise error

    return await problems.middleware(make_mocked_request("GET", "/x"), handler)


@pytest.mark.parametrize(
    "cls",
    [
        errors.NotFound,
        errors.Conflict,
        errors.Invalid,
        errors.DeviceRefused,
        errors.DeviceOffline,
        errors.DeviceTimeout,
        errors.NoManager,
        errors.StoreUnavailable,
        errors.StoreRefused,
    ],
)
async def test_status_and_title_are_those_of_the_error(cls: type[errors.PyDataCollError]) -> None:
    class Special(cls):  # type: ignore[misc,valid-type]
        """Subclasses are of their parent's kind."""

    for error in (cls("words"), Special("words")):
        response = await _through(error)
        assert isinstance(response, web.Response)
        assert isinstance(response.body, bytes)
        problem = json.decode(response.body)
        assert response.status == problem["status"] == cls.status
        assert problem["title"] == cls.title
        assert problem["detail"] == "words"


@pytest.mark.parametrize(
    "error", [errors.PyDataCollError("secret"), errors.ConfigError("secret"), KeyError("secret")]
)
async def test_other_errors_are_bugs(error: Exception, caplog: pytest.LogCaptureFixture) -> None:
    response = await _through(error)
    assert isinstance(response, web.Response)
    assert response.status == 500
    assert isinstance(response.body, bytes)
    assert b"secret" not in response.body
    assert len([record for record in caplog.records if record.levelno == logging.ERROR]) == 1


@pytest.mark.parametrize(
    ("error", "title"),
    [
        (web.HTTPRequestEntityTooLarge(max_size=1, actual_size=2), "Content too large"),
        (web.HTTPGone(), "Gone"),
        (web.HTTPBadRequest(), "Bad request"),
    ],
)
async def test_failures_of_aiohttp_are_problems(error: web.HTTPException, title: str) -> None:
    response = await _through(error)
    assert isinstance(response, web.Response)
    assert isinstance(response.body, bytes)
    problem = json.decode(response.body)
    assert (problem["status"], problem["title"]) == (error.status, title)


async def test_a_redirect_is_no_failure() -> None:
    with pytest.raises(web.HTTPFound):
        await _through(web.HTTPFound("/docs"))


def test_the_kind_of_a_reply() -> None:
    assert problems.kind_of_reply(503, "No device manager").name == "no-manager"
    assert problems.kind_of_reply(503, "Device offline").name == "device-offline"
    strange = problems.kind_of_reply(502, "Something new")
    assert (strange.name, strange.status, strange.title) == ("device-refused", 502, "Something new")
    unknown = problems.kind_of_reply(418, "")
    assert (unknown.name, unknown.status) == ("http", 418)
    assert unknown.uri == "about:blank"


def test_a_connection_that_fails_inside_the_server(caplog: pytest.LogCaptureFixture) -> None:
    """Nothing of the reason reaches the client."""

    class Bare(server._Connection):
        def __init__(self) -> None:
            """Only the handling of errors is wanted."""

    writer = Mock(output_size=0)
    request = make_mocked_request("GET", "/", writer=writer)
    response = Bare().handle_error(request, 500, ValueError("secret"))
    assert isinstance(response, web.Response)
    assert isinstance(response.body, bytes)
    assert response.status == 500
    assert b"secret" not in response.body
    assert "a request from" in caplog.text
    writer.output_size = 1
    with pytest.raises(ConnectionError):
        Bare().handle_error(request, 500, ValueError("secret"))
