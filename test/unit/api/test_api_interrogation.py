"""Interrogation over REST: what is asked of the manager, what is refused before, what its answer becomes."""

from __future__ import annotations

import hashlib
from collections.abc import AsyncIterator
from typing import Any

import msgspec
import pytest

from pydatacoll.api.app import create_app
from pydatacoll.errors import DeviceOffline, DeviceTimeout, StoreUnavailable, TooMany
from pydatacoll.model.validation import Schemas
from pydatacoll.protocols.formula import FormulaDriver
from pydatacoll.protocols.modbus_tcp import ModbusTcpDriver
from pydatacoll.settings import AuthSettings, Settings, TokenSettings
from test.api_client import Api, serve
from test.fakes_api import FakeAudit, FakeBackend
from test.rtu_driver import RtuDriver

PATH = "/api/v2/devices/rtu1/interrogate"


def result(term: str = "bay", outcome: str = "terminated", **more: Any) -> dict[str, Any]:
    return {
        "term_id": term,
        "address": 1,
        "outcome": outcome,
        "points": 12,
        "seconds": 0.25,
        "detail": "",
        **more,
    }


@pytest.fixture
def backend() -> FakeBackend:
    drivers = {driver.name: driver for driver in (ModbusTcpDriver, FormulaDriver, RtuDriver)}
    return FakeBackend(Schemas(drivers))


@pytest.fixture
async def api(backend: FakeBackend) -> AsyncIterator[Api]:
    async with serve(create_app(backend.services)) as running:
        for device_id, protocol in (("rtu1", "rtu"), ("rtu2", "rtu"), ("plc", "modbus_tcp"), ("calc", "formula")):
            await running.post("/api/v1/devices", {"id": device_id, "name": "d", "protocol": protocol})
        await running.post("/api/v1/devices", {"id": "off", "name": "d", "protocol": "rtu", "enabled": False})
        for term_id, device_id, address in (("bay", "rtu1", 1), ("bay2", "rtu1", 2), ("other", "rtu2", 1)):
            body = {"id": term_id, "name": "t", "device_id": device_id, "address": address}
            await running.post("/api/v1/terms", body)
        backend.audit.entries.clear()
        yield running


@pytest.mark.parametrize(
    ("body", "asked"),
    [
        ({}, {"group": 20, "freeze": 0, "wait": 30.0}),
        ({"group": "21", "wait": "5"}, {"group": 21, "freeze": 0, "wait": 5.0}),
        ({"group": 20, "term_id": "bay2"}, {"group": 20, "freeze": 0, "wait": 30.0, "terms": ["bay2"]}),
        ({"group": 37, "freeze": "read"}, {"group": 37, "freeze": 0, "wait": 30.0}),
        ({"group": 37, "freeze": "freeze"}, {"group": 37, "freeze": 1, "wait": 30.0}),
        ({"group": 38, "freeze": "freeze_reset"}, {"group": 38, "freeze": 2, "wait": 30.0}),
        ({"group": 37, "freeze": "reset", "term_id": None}, {"group": 37, "freeze": 3, "wait": 30.0}),
    ],
)
async def test_the_manager_is_asked(api: Api, backend: FakeBackend, body: Any, asked: Any) -> None:
    backend.commands.body = {"results": [result("bay2", address=2), result()]}
    answer = await api.post(PATH, body, 200)
    assert backend.commands.asked == [("interrogate", "rtu1", asked)]
    assert answer == {
        "device_id": "rtu1",
        "group": asked["group"],
        "results": [result(), result("bay2", address=2)],
    }


@pytest.mark.parametrize(
    ("body", "field"),
    [
        ({"group": 5}, "group"),
        ({"group": 42}, "group"),
        ({"group": "all"}, "group"),
        ({"group": True}, "group"),
        ({"group": 20, "freeze": "freeze"}, "freeze"),
        ({"group": 37, "freeze": "thaw"}, "freeze"),
        ({"group": 37, "freeze": 2}, "freeze"),
        ({"wait": 0.5}, "wait"),
        ({"wait": 301}, "wait"),
        ({"term_id": []}, "term_id"),
        ({"term": "bay"}, "term"),
    ],
)
async def test_what_is_wrong_is_named(api: Api, backend: FakeBackend, body: Any, field: str) -> None:
    answer = await api("POST", PATH, body, status=422)
    assert answer.fields == [(0, field)]
    assert backend.commands.asked == []
    assert backend.entries == []


async def test_what_cannot_be_interrogated_is_refused(api: Api, backend: FakeBackend) -> None:
    async def refused(device: str, status: int, body: Any = None) -> str:
        answer = await api.post(f"/api/v2/devices/{device}/interrogate", body or {}, status)
        return str(answer["detail"])

    assert "device_id not found! nobody" in await refused("nobody", 404)
    assert "term_id not found! nothing" in await refused("rtu1", 404, {"term_id": "nothing"})
    assert "term_id not found! other" in await refused("rtu1", 404, {"term_id": "other"})
    assert "disabled" in await refused("off", 409)
    assert "modbus_tcp cannot be interrogated" in await refused("plc", 409)
    assert "virtual" in await refused("calc", 409)
    assert backend.commands.asked == []


@pytest.mark.parametrize(
    ("outcomes", "freeze", "status"),
    [
        (["terminated", "negative"], None, 200),
        (["timeout", "confirmed"], None, 200),
        (["negative", "unknown_ca"], None, 502),
        (["unknown_cause", "timeout"], None, 502),
        (["no_confirmation", "no_termination"], None, 504),
        (["link_lost", "link_lost"], None, 503),
        (["link_lost", "timeout"], None, 504),
        (["link_lost"], "freeze_reset", 504),
    ],
)
async def test_only_when_no_term_did_it_the_request_fails(
    api: Api, backend: FakeBackend, outcomes: list[str], freeze: str | None, status: int
) -> None:
    results = [result(f"t{n}", outcome, address=n) for n, outcome in enumerate(outcomes)]
    backend.commands.body = {"results": results}
    body = {"group": 37, "freeze": freeze} if freeze else {}
    answer = await api.post(PATH, body, status)
    assert answer["results"] == results
    assert backend.entries[1]["result"] == ("ok" if status == 200 else f"{status} {answer['detail']}")


async def test_the_failure_says_why_in_words(api: Api, backend: FakeBackend) -> None:
    backend.commands.body = {
        "results": [
            result(outcome="unknown_ca", detail="the station answers: unknown common address (46)"),
            result("bay2", "timeout", address=2),
        ]
    }
    problem = await api.post(PATH, {}, 502)
    assert problem["detail"] == "term bay: the station answers: unknown common address (46) (and 1 more terms)"
    assert problem["title"] == "The device refused"


async def test_all_stations_at_once_are_no_term(api: Api, backend: FakeBackend) -> None:
    backend.commands.body = {"results": [result("", "no_confirmation", address=65535)]}
    problem = await api.post(PATH, {}, 504)
    assert problem["detail"] == "all stations: no confirmation"
    backend.commands.body = {"results": [result("", address=65535)]}
    assert (await api.post(PATH, {}, 200))["results"][0]["term_id"] is None


@pytest.mark.parametrize(
    ("error", "status"),
    [
        (DeviceOffline("device rtu1 is offline: connection refused"), 503),
        (DeviceTimeout("the interrogation is not complete after 5 s; it goes on"), 504),
        (TooMany("8 interrogations of the device are under way"), 429),
    ],
)
async def test_what_the_manager_cannot_do_is_passed_on(
    api: Api, backend: FakeBackend, error: Any, status: int
) -> None:
    backend.commands.outcome = error
    problem = await api.post(PATH, {}, status)
    assert problem["detail"] == str(error)
    assert [entry["result"] for entry in backend.entries] == [None, f"{status} {error}"]


async def test_it_is_in_the_audit_trail_before_and_after(api: Api, backend: FakeBackend) -> None:
    backend.commands.body = {"results": [result()]}
    await api.post(PATH, {"group": 37, "freeze": "freeze_reset", "term_id": "bay"}, 200)
    intention, done = backend.entries
    assert intention == {
        "action": "interrogate",
        "user": "",
        "source": "127.0.0.1",
        "object": "rtu1",
        "after": {"group": 37, "term_id": "bay", "freeze": "freeze_reset"},
        "devices": ["rtu1"],
        "result": None,
    }
    assert done == {**intention, "result": "ok"}


async def test_without_its_audit_entry_nothing_is_asked(
    api: Api, backend: FakeBackend, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def fail(self: FakeAudit, entries: Any) -> None:
        raise StoreUnavailable("the store is away")

    monkeypatch.setattr(FakeAudit, "write", fail)
    await api.post(PATH, {"group": 37, "freeze": "reset"}, 503)
    assert backend.commands.asked == []


async def test_a_token_needs_the_scope_and_the_device(backend: FakeBackend, api: Api) -> None:
    tokens = [
        TokenSettings(name=name, hash=hashlib.sha256(name.encode()).hexdigest(), scope=scope, devices=devices)
        for name, scope, devices in (
            ("reader", "read", []),
            ("operator", "operate", ["rtu1"]),
            ("stranger", "operate", ["rtu2"]),
        )
    ]
    backend.settings = msgspec.structs.replace(Settings(), auth=AuthSettings(tokens=tokens))
    backend.commands.body = {"results": [result()]}
    async with serve(create_app(backend.services)) as guarded:
        for name, status in (("reader", 403), ("stranger", 404), ("operator", 200)):
            headers = {"Authorization": f"Bearer {name}"}
            await guarded("POST", PATH, {}, headers=headers, status=status)
            if name == "stranger":  # it does not learn that there is such a device
                await guarded("GET", "/api/v2/devices/rtu1/discovered", headers=headers, status=404)
    asked = [entry["user"] for entry in backend.entries if entry["action"] == "interrogate"]
    assert asked == ["operator", "operator"]


async def test_what_the_device_did_is_answered_also_when_its_result_cannot_be_audited(
    api: Api, backend: FakeBackend, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    write = FakeAudit.write

    async def once(self: FakeAudit, entries: Any) -> None:
        if self.entries:
            raise StoreUnavailable("the store is away")
        await write(self, entries)

    monkeypatch.setattr(FakeAudit, "write", once)
    backend.commands.body = {"results": [result()]}
    await api.post(PATH, {"group": 37, "freeze": "reset"}, 200)
    assert "the result of an interrogation is not in the audit trail: the store is away" in caplog.text
