"""Formulas: what is refused when they are saved, and the check without saving."""

from __future__ import annotations

from typing import Any

import pytest

from test.api_client import Api

UA = "feeder1:main:ua"


@pytest.fixture
async def virtual(plant: Api) -> Api:
    """Besides, a virtual device ``sums`` with the points ``a``, ``b`` and ``c``."""
    await plant.post("/api/v1/devices", {"id": "sums", "name": "Sums", "protocol": "formula"})
    await plant.post("/api/v1/terms", {"id": "totals", "name": "Totals", "device_id": "sums"})
    for item in "abc":
        await plant.post("/api/v1/items", {"id": item, "name": item})
        await plant.post("/api/v1/terms/totals/items", {"item_id": item})
    return plant


def formula(key: str, item: str, text: str = "p1", **params: str) -> dict[str, Any]:
    target = {"device_id": "sums", "term_id": "totals", "item_id": item}
    return {"id": key, "formula": text, **target, **(params or {"p1": UA})}


async def check(api: Api, status: int = 200, **body: Any) -> str:
    answer = await api("POST", "/api/v1/formula_check", body, status=status)
    return answer.raw.decode()


@pytest.mark.parametrize(
    ("body", "answer"),
    [
        ({"formula": "p1 * 2 + mean(p1, '15m')", "p1": UA}, "OK"),
        ({"formula": "1 + 1"}, "OK"),
        (
            {"formula": "p1 = 3", "p1": UA},
            "line 1, column 4: '=' is not part of the language: write '==' to compare",
        ),
        ({"formula": "p1 +\n * 2", "p1": UA}, "line 2, column 2"),
        ({"formula": "p1 + p2", "p1": UA}, "line 1, column 6"),
        ({"formula": "__import__('os')"}, "line 1, column 1"),
        ({"formula": ""}, "line 1, column 1"),
        ({"formula": "p1", "p1": "feeder1:main:ub"}, "p1: term_item not found! feeder1:main:ub"),
        ({"formula": "p1", "p1": "sums:main:ua"}, "p1: term_item not found! sums:main:ua"),
        ({"formula": "p1", "p1": "feeder1"}, "p1: must be 'device:term:item'"),
        ({"formula": "p1", "p1": 7}, "p1: "),
    ],
)
async def test_the_check(virtual: Api, body: dict[str, Any], answer: str) -> None:
    said = await check(virtual, **body)
    assert said == "OK" if answer == "OK" else said.startswith(answer), said


@pytest.mark.parametrize("body", [{}, {"formula": 7}, {"p1": UA}])
async def test_a_check_of_nothing(virtual: Api, body: dict[str, Any]) -> None:
    assert "formula: must be a text" in await check(virtual, 422, **body)


async def test_a_text_that_is_no_expression_is_refused(virtual: Api) -> None:
    problem = await virtual.post("/api/v1/formulas", formula("f", "a", "p1 +"), 422)
    assert problem["errors"][0]["field"] == "formula"
    assert problem["errors"][0]["message"].startswith("line 1, column 5")
    await virtual.post("/api/v1/formulas", formula("f", "a"))
    problem = await virtual.post("/api/v1/formulas", formula("g", "b", "p1 + p2"), 422)
    assert "p2" in problem["detail"]
    problem = (await virtual("PATCH", "/api/v1/formulas/f", {"p1": None}, status=422)).json
    assert "p1" in problem["detail"]


async def test_a_result_is_a_point_of_a_virtual_device(virtual: Api) -> None:
    body = {**formula("f", "a"), "device_id": "feeder1", "term_id": "main", "item_id": "ua", "p1": "sums:totals:a"}
    problem = await virtual.post("/api/v1/formulas", body, 422)
    assert problem["errors"] == [
        {
            "index": 0,
            "field": "device_id",
            "message": "the result of formula f would be a point of device feeder1, which is read by modbus_tcp; "
            "a result needs a virtual device, of protocol formula",
        }
    ]


async def test_a_device_with_results_stays_virtual(virtual: Api) -> None:
    await virtual.post("/api/v1/formulas", formula("f", "a"))
    answer = await virtual("PATCH", "/api/v1/devices/sums", {"protocol": "modbus_tcp"}, status=422)
    assert "formula f" in answer.json["detail"]
    device = {"id": "sums", "name": "Sums", "protocol": "modbus_tcp"}
    problem = await virtual.post("/api/v2/devices", [{"id": "n", "name": "n", "protocol": "formula"}, device], 422)
    assert [error["index"] for error in problem["errors"]] == [1]
    answer = await virtual("PATCH", "/api/v1/terms/totals", {"device_id": "feeder1"}, status=422)
    assert "formula f" in answer.json["detail"]


async def test_a_point_is_the_result_of_one_formula(virtual: Api) -> None:
    await virtual.post("/api/v1/formulas", formula("f", "a"))
    problem = await virtual.post("/api/v1/formulas", formula("g", "a"), 409)
    assert problem["detail"] == "sums:totals:a is already the result of formula f"
    problem = await virtual.post("/api/v2/formulas", [formula("g", "b"), formula("h", "b")], 422)
    assert [(error["index"], error["field"]) for error in problem["errors"]] == [(1, "item_id")]
    await virtual.post("/api/v2/formulas", [formula("f", "b"), formula("g", "a")], 200)  # they change places


async def test_a_circle_is_refused_with_its_path(virtual: Api) -> None:
    problem = await virtual.post("/api/v1/formulas", formula("f", "a", p1="sums:totals:a"), 409)
    assert problem["detail"].endswith("sums:totals:a -> sums:totals:a")
    await virtual.post("/api/v1/formulas", formula("f", "b", p1="sums:totals:a"))
    await virtual.post("/api/v1/formulas", formula("g", "c", p1="sums:totals:b"))
    problem = await virtual.post("/api/v1/formulas", formula("h", "a", p1="sums:totals:c"), 409)
    path = "sums:totals:a -> sums:totals:b -> sums:totals:c -> sums:totals:a"
    assert problem["detail"] == f"formula h would depend on its own result: {path}"
    await virtual.post("/api/v1/formulas", formula("h", "a"))
    answer = await virtual("PATCH", "/api/v1/formulas/h", {"p1": "sums:totals:c"}, status=409)
    assert answer.json["detail"].endswith(path)


async def test_a_circle_is_refused_in_batches_and_imports(virtual: Api) -> None:
    circle = [formula("f", "a", p1="sums:totals:b"), formula("g", "b", p1="sums:totals:a")]
    problem = await virtual.post("/api/v2/formulas", circle, 422)
    assert "sums:totals:a -> sums:totals:b -> sums:totals:a" in problem["detail"]
    answer = await virtual("POST", "/api/v2/import", {"formulas": circle})
    assert "sums:totals:a -> sums:totals:b -> sums:totals:a" in answer.raw.decode()
    assert await virtual.get("/api/v1/formulas") == []


A, B = ({"device_id": "sums", "term_id": "totals", "item_id": item} for item in "ab")


async def test_the_check_says_of_the_result_what_saving_would(virtual: Api) -> None:
    await virtual.post("/api/v1/formulas", formula("f", "b", p1="sums:totals:a"))
    circle = "would depend on its own result: sums:totals:a -> sums:totals:b -> sums:totals:a"
    assert await check(virtual, formula="p1", p1="sums:totals:b") == "OK"  # its result is not known
    assert await check(virtual, formula="p1", p1="sums:totals:b", **A) == f"formula: the formula {circle}"
    assert await check(virtual, formula="p1", p1="sums:totals:b", id="h", **A) == f"formula: formula h {circle}"
    assert (await virtual.post("/api/v1/formulas", formula("h", "a", p1="sums:totals:b"), 409))[
        "detail"
    ] == f"formula h {circle}"
    # f itself may be changed, whether it is named or not
    assert await check(virtual, formula="p1 * 2", p1="sums:totals:a", **B) == "OK"
    assert await check(virtual, formula="p1", p1="sums:totals:b", **B) == (
        "formula: formula f would depend on its own result: sums:totals:b -> sums:totals:b"
    )
    taken = "item_id: sums:totals:b is already the result of formula f"
    assert await check(virtual, formula="p1", p1=UA, id="g", **B) == taken
    assert await check(virtual, formula="p1", p1=UA, id="f", **A) == "OK"
    real = {"device_id": "feeder1", "term_id": "main", "item_id": "ua"}
    assert (await check(virtual, formula="1", **real)).startswith("device_id: the result of the formula would be")
    nowhere = await check(virtual, formula="1", **{**A, "item_id": "x"})
    assert nowhere == "item_id: term_item not found! sums:totals:x"
    assert (
        await check(virtual, formula="1 +", **A)
        == "line 1, column 4: " + (await check(virtual, formula="1 +"))[18:]
    )
    assert sorted(await virtual.get("/api/v1/formulas")) == ["f"]


@pytest.mark.parametrize("body", [{"device_id": "sums"}, {**A, "term_id": "a b"}, {**A, "id": {}}])
async def test_a_check_of_half_a_result(virtual: Api, body: dict[str, Any]) -> None:
    assert "errors" in await check(virtual, 422, formula="1", **body)
