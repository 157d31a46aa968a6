"""Select before operate in two steps over REST: what is asked of the manager, what is refused, what is audited."""

from __future__ import annotations

from collections.abc import AsyncIterator
from typing import Any

import pytest

from pydatacoll.api.app import create_app
from pydatacoll.errors import Conflict, DeviceRefused, DeviceTimeout, StoreUnavailable
from pydatacoll.model.validation import Schemas
from pydatacoll.protocols.iec104 import Iec104Driver
from pydatacoll.protocols.modbus_tcp import ModbusTcpDriver
from test.api_client import Api, serve
from test.fakes_api import FakeBackend

SELECT = "/api/v2/device_select"
CANCEL = "/api/v2/device_select/cancel"
CTRL = "/api/v1/device_ctrl"
POINT = {"device_id": "rtu", "term_id": "bay", "item_id": "breaker"}
HELD = {"selection_id": "s1", "seconds": 20.0, "expires": 1_700_000_020.0}


@pytest.fixture
def backend() -> FakeBackend:
    made = FakeBackend(Schemas({driver.name: driver for driver in (ModbusTcpDriver, Iec104Driver)}))
    made.commands.body = HELD
    return made


@pytest.fixture
async def api(backend: FakeBackend) -> AsyncIterator[Api]:
    async with serve(create_app(backend.services)) as running:
        for name in ("breaker", "bits", "shown"):
            await running.post("/api/v1/items", {"id": name, "name": name})
        for device, protocol, more in (
            ("rtu", "iec104", {}),
            ("other", "iec104", {"backend": "c104"}),
            ("plc", "modbus_tcp", {}),
        ):
            await running.post("/api/v1/devices", {"id": device, "name": device, "protocol": protocol, **more})
        point = {"item_id": "breaker", "protocol_code": "1", "code_type": "M_DP_TB_1", "writable": True}
        for term, device in (("bay", "rtu"), ("obay", "other")):
            await running.post("/api/v1/terms", {"id": term, "name": term, "device_id": device})
            await running.post(f"/api/v1/terms/{term}/items", point)
        bits = {"item_id": "bits", "protocol_code": "2", "code_type": "M_BO_TB_1", "writable": True}
        await running.post("/api/v1/terms/bay/items", bits)
        shown = {"item_id": "shown", "protocol_code": "3", "code_type": "M_DP_TB_1"}
        await running.post("/api/v1/terms/bay/items", shown)
        await running.post("/api/v1/terms", {"id": "pterm", "name": "t", "device_id": "plc"})
        register = {"item_id": "breaker", "protocol_code": "hr:1", "writable": True}
        await running.post("/api/v1/terms/pterm/items", register)
        backend.audit.entries.clear()
        yield running


async def test_the_manager_selects_and_its_answer_is_that_of_the_device(api: Api, backend: FakeBackend) -> None:
    answer = await api.post(SELECT, {**POINT, "value": "on", "reason": "test", "expires_in": 3}, 200)
    assert answer == {
        **POINT, "value": 2, "selection_id": "s1", "seconds": 20.0, "expires": "2023-11-14T22:13:40.000000Z"
    }  # fmt: skip
    assert backend.commands.asked == [
        ("select", "rtu", {"field": "bay:breaker", "value": 2, "left": 3.0, "user": "", "source": "127.0.0.1"})
    ]
    assert backend.commands.taken == []
    entry = {
        "action": "select", "user": "", "source": "127.0.0.1", "object": "rtu:bay:breaker", "after": 2,
        "devices": ["rtu"], "reason": "test",
    }  # fmt: skip
    assert backend.entries == [{**entry, "result": None}, {**entry, "result": "ok"}]


async def test_a_repeat_with_the_same_key_gets_the_first_answer_and_selects_nothing(
    api: Api, backend: FakeBackend
) -> None:
    body, key = {**POINT, "value": "on"}, {"Idempotency-Key": "k1"}
    first = await api.post(SELECT, body, 200, headers=key)
    backend.commands.body = {**HELD, "selection_id": "s2"}
    assert await api.post(SELECT, body, 200, headers=key) == first
    assert len(backend.commands.asked) == 1
    assert [entry["result"] for entry in backend.entries] == [None, "ok"]
    problem = await api.post(SELECT, {**POINT, "value": "off"}, 422, headers=key)
    assert "used for another command" in problem["detail"]
    assert (await api.post(SELECT, body, 200, headers={"Idempotency-Key": "k2"}))["selection_id"] == "s2"
    assert len(backend.commands.asked) == 2


@pytest.mark.parametrize("key", ["", "k" * 201, "k\tk"])
async def test_a_key_is_printable_and_not_too_long(api: Api, backend: FakeBackend, key: str) -> None:
    problem = await api.post(SELECT, {**POINT, "value": 2}, 422, headers={"Idempotency-Key": key})
    assert [error["field"] for error in problem["errors"]] == ["Idempotency-Key"]
    assert backend.commands.asked == []


async def test_nothing_is_asked_when_the_intention_cannot_be_audited(api: Api, backend: FakeBackend) -> None:
    backend.audit.failure = StoreUnavailable("the store is away")
    await api.post(SELECT, {**POINT, "value": 2}, 503, headers={"Idempotency-Key": "k"})
    assert backend.commands.asked == []


@pytest.mark.parametrize(
    ("error", "status", "outcome"),
    [
        (Conflict("address 1 is selected"), 409, None),
        (DeviceRefused("the station refuses the select", outcome="negative"), 502, "negative"),
        (DeviceTimeout("select not confirmed", outcome="select_timeout"), 504, "select_timeout"),
    ],
)
async def test_a_refusal_is_told_with_its_reason(
    api: Api, backend: FakeBackend, error: Any, status: int, outcome: str | None
) -> None:
    backend.commands.outcome = error
    problem = await api.post(SELECT, {**POINT, "value": 2}, status)
    assert (problem["detail"], problem.get("outcome")) == (str(error), outcome)
    assert [entry["result"] for entry in backend.entries] == [None, f"{status} {error}"]


@pytest.mark.parametrize(
    ("body", "status", "text"),
    [
        ({"device_id": "plc", "term_id": "pterm"}, 422, "protocol modbus_tcp cannot be selected"),
        ({"device_id": "other", "term_id": "obay"}, 422, "the backend c104 cannot hold a selection"),
        ({"item_id": "bits"}, 422, "C_BO_NA_1 cannot be selected"),
        ({"item_id": "shown"}, 409, "not writable"),
        ({"item_id": "nothing"}, 404, "not found"),
        ({"value": 7}, 422, "value"),
        ({"value": None}, 422, "value: is required"),
        ({"mode": "select"}, 422, "mode: unknown field"),
        ({"selection_id": "s1"}, 422, "selection_id: unknown field"),
        ({"expires_in": 0}, 422, "expires_in"),
    ],
)
async def test_what_cannot_be_selected_is_refused_before(
    api: Api, backend: FakeBackend, body: Any, status: int, text: str
) -> None:
    problem = await api.post(SELECT, {**POINT, "value": 2, **body}, status)
    assert text in problem["detail"]
    assert backend.commands.asked == []


async def test_cancelling(api: Api, backend: FakeBackend) -> None:
    backend.commands.body = {"done": True}
    assert await api.post(CANCEL, {**POINT, "selection_id": "s1"}, 200) == {**POINT, "selection_id": "s1"}
    assert backend.commands.asked == [("cancel", "rtu", {"field": "bay:breaker", "selection_id": "s1"})]
    assert [(entry["action"], entry["selection_id"], entry["result"]) for entry in backend.entries] == [
        ("select.cancel", "s1", None),
        ("select.cancel", "s1", "ok"),
    ]
    backend.commands.outcome = Conflict("the selection has expired")
    assert "expired" in (await api.post(CANCEL, {**POINT, "selection_id": "s1"}, 409))["detail"]


@pytest.mark.parametrize("body", [{}, {"selection_id": 5}, {"selection_id": "s" * 65}, {"selection_id": "\u0000"}])
async def test_cancelling_needs_the_selection(api: Api, body: Any) -> None:
    problem = await api.post(CANCEL, {**POINT, **body}, 422)
    assert [error["field"] for error in problem["errors"]] == ["selection_id"]


async def test_the_execute_names_its_selection(api: Api, backend: FakeBackend) -> None:
    await api.post(CTRL, {**POINT, "value": 2, "selection_id": "s1", "verify": True}, 200)
    ((kind, request),) = backend.commands.taken
    assert (kind, request.selection, request.mode, request.value) == ("ctrl", "s1", "select", 2)
    problem = await api.post(CTRL, {**POINT, "value": 2, "selection_id": "s1", "mode": "direct"}, 422)
    assert "mode" in problem["detail"]
    plc = {"device_id": "plc", "term_id": "pterm", "item_id": "breaker"}
    problem = await api.post(CTRL, {**plc, "value": 2, "selection_id": "s1"}, 422)
    assert "cannot be selected" in problem["detail"]
    assert len(backend.commands.taken) == 1
