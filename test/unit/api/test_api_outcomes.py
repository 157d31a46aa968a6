"""What a protocol tells of a control beyond success and failure."""

from __future__ import annotations

from pydatacoll.errors import DeviceRefused
from test.api_client import Api
from test.fakes_api import FakeBackend

POINT = {"device_id": "feeder1", "term_id": "main", "item_id": "ua", "value": 1}


async def test_how_a_control_was_confirmed_is_in_the_answer(plant: Api, backend: FakeBackend) -> None:
    assert "outcome" not in await plant.post("/api/v1/device_ctrl", POINT, 200)
    backend.commands.word = "confirmed"
    assert (await plant.post("/api/v1/device_ctrl", POINT, 200))["outcome"] == "confirmed"
    (one,) = await plant.post("/api/v2/device_ctrl", [POINT], 200)
    assert (one["status"], one["outcome"]) == (200, "confirmed")


async def test_why_it_was_not_carried_out_is_in_the_problem(plant: Api, backend: FakeBackend) -> None:
    backend.commands.outcome = DeviceRefused("negative confirmation", outcome="negative")
    problem = await plant.post("/api/v1/device_ctrl", POINT, 502)
    assert (problem["detail"], problem["outcome"]) == ("negative confirmation", "negative")
    (one,) = await plant.post("/api/v2/device_ctrl", [POINT], 200)
    assert (one["status"], one["outcome"]) == (502, "negative")
