"""From a name to a checked address."""

from __future__ import annotations

import asyncio
import errno
import socket
from typing import Any

import pytest

from pydatacoll.errors import DeviceOffline
from pydatacoll.model.network import ANYWHERE, Networks
from pydatacoll.resolver import connect, in_words, resolve

PLANT = Networks(["10.1.0.0/16", "fe80::/10"])


@pytest.fixture
def names(monkeypatch: pytest.MonkeyPatch) -> dict[str, Any]:
    """Name -> its socket addresses, or the error of the look-up; ``asked`` counts the look-ups."""
    known: dict[str, Any] = {"asked": []}

    async def getaddrinfo(host: str, *_: Any, **__: Any) -> list[Any]:
        known["asked"].append(host)
        found = known[host]
        if isinstance(found, Exception):
            raise found
        return [(0, 0, 0, "", place) for place in found]

    monkeypatch.setattr(asyncio.BaseEventLoop, "getaddrinfo", lambda _, *a, **k: getaddrinfo(*a, **k))
    return known


async def test_a_literal_is_not_looked_up(names: dict[str, Any]) -> None:
    assert await resolve("10.1.0.5", PLANT) == ["10.1.0.5"]
    assert names["asked"] == []


async def test_only_addresses_inside_the_networks_are_used(names: dict[str, Any]) -> None:
    names["plc1"] = [("192.0.2.1", 0), ("10.1.0.5", 0), ("10.1.0.5", 0), ("fe80::1", 0, 0, 3)]
    assert await resolve("plc1", PLANT) == ["10.1.0.5", "fe80::1%3"]


@pytest.mark.parametrize(
    "place", [("127.0.0.1", 0), ("0.0.0.0", 0), ("::ffff:127.0.0.1", 0, 0, 0), ("::", 0, 0, 0)]
)
async def test_a_name_that_means_something_outside_is_refused(names: dict[str, Any], place: Any) -> None:
    names["rebound"] = [place]
    with pytest.raises(DeviceOffline, match=r"rebound \(.*\) is outside the networks .*manager\.networks"):
        await resolve("rebound", PLANT)


@pytest.mark.parametrize("host", ["192.0.2.1", "::ffff:127.0.0.1", "2130706433"])
async def test_a_literal_outside_is_refused(host: str) -> None:
    with pytest.raises(DeviceOffline, match=host):
        await resolve(host, PLANT)


async def test_the_connection_goes_to_the_checked_address_and_not_to_the_name(names: dict[str, Any]) -> None:
    names["plc1"] = [("10.1.0.5", 0)]
    tried: list[str] = []

    async def connector(address: str) -> str:
        tried.append(address)
        names["plc1"] = [("127.0.0.1", 0)]  # the name means something else now
        return "connected"

    assert await connect("plc1", 502, connector, timeout=5, networks=PLANT) == "connected"
    assert tried == ["10.1.0.5"]
    assert names["asked"] == ["plc1"]


async def test_every_address_has_its_turn(names: dict[str, Any]) -> None:
    names["plc1"] = [("10.1.0.5", 0), ("10.1.0.6", 0)]

    async def connector(address: str) -> str:
        if address == "10.1.0.5":
            await asyncio.Event().wait()
        return address

    assert await connect("plc1", 502, connector, timeout=0.1, networks=PLANT) == "10.1.0.6"


@pytest.mark.parametrize(
    ("failure", "words"),
    [
        (ConnectionRefusedError(errno.ECONNREFUSED, "x"), "connection refused"),
        (OSError(errno.EHOSTUNREACH, "x"), "no route to the host"),
        (OSError(errno.ENETUNREACH, "x"), "no route to the network"),
        (TimeoutError(errno.ETIMEDOUT, "x"), "no answer within 5 s"),
        (TimeoutError(), "no answer within 5 s"),
    ],
)
async def test_a_failure_is_said_in_plain_words(failure: OSError, words: str) -> None:
    async def connector(_: str) -> None:
        raise failure

    with pytest.raises(DeviceOffline) as raised:
        await connect("10.1.0.5", 502, connector, timeout=5, networks=PLANT)
    assert str(raised.value) == f"no connection to 10.1.0.5:502: {words}"


async def test_an_unknown_name_is_said_in_plain_words(names: dict[str, Any]) -> None:
    names["nowhere"] = socket.gaierror(socket.EAI_NONAME, "x")
    with pytest.raises(DeviceOffline, match="nowhere: the name is unknown"):
        await resolve("nowhere", ANYWHERE)
    assert in_words(UnicodeError()) == "the name is unknown"
    assert in_words(socket.gaierror(socket.EAI_AGAIN, "x")) == "the name cannot be looked up now"
