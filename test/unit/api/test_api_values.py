"""Latest values, recent samples, call and control."""

from __future__ import annotations

from typing import Any

import pytest

from pydatacoll import errors
from pydatacoll.model import PointId, Quality, Sample
from test.api_client import Api
from test.fakes_api import FakeBackend

POINT = PointId("feeder1", "main", "ua")
KEYS = POINT._asdict()
DATAS = "devices/feeder1/terms/main/items/ua/datas"
T0 = 1_700_000_000.0
TIMES = ["2023-11-14T22:13:20.000000Z", "2023-11-14T22:13:21.500000Z", "2023-11-14T22:13:23.000000Z"]


@pytest.fixture
def sampled(plant: Api, backend: FakeBackend) -> Api:
    """The plant with three samples, the last one bad."""
    backend.history.samples[POINT] = [
        Sample(T0, 1),
        Sample(T0 + 1.5, 2.5),
        Sample(T0 + 3, 3, Quality.COMM_LOST | Quality.STALE),
    ]
    return plant


@pytest.mark.parametrize(
    ("query", "found"),
    [
        ("", [0, 1, 2]),
        ("?limit=2", [1, 2]),
        ("?limit=0", []),
        (f"?since={T0 + 1}", [1, 2]),
        ("?since=2023-11-14T22:13:21Z&until=2023-11-14T22:13:22Z", [1]),
        ("?until=2023-11-14T23:13:21%2B01:00", [0]),
        ("?until=2023-11-14T23:13:21+01:00", [0]),
    ],
)
async def test_recent_samples(sampled: Api, query: str, found: list[int]) -> None:
    by_time = await sampled.get(f"/api/v1/{DATAS}{query}")
    assert list(by_time.items()) == [(TIMES[n], [1, 2.5, 3][n]) for n in found]
    listed = await sampled.get(f"/api/v2/{DATAS}{query}")
    qualities = ["good", "good", ["comm_lost", "stale"]]
    assert listed == [{**KEYS, "time": TIMES[n], "value": [1, 2.5, 3][n], "quality": qualities[n]} for n in found]


@pytest.mark.parametrize(("index", "found"), [("0", 0), ("2", 2), ("-1", 2), ("-3", 0)])
async def test_a_sample_by_its_place(sampled: Api, index: str, found: int) -> None:
    assert await sampled.get(f"/api/v1/{DATAS}/{index}") == {TIMES[found]: [1, 2.5, 3][found]}


@pytest.mark.parametrize("index", ["3", "-4", "999999999"])
async def test_a_place_out_of_range(sampled: Api, index: str) -> None:
    problem = await sampled.get(f"/api/v1/{DATAS}/{index}", 404)
    assert problem["detail"].startswith(f"index not found! {index}")


@pytest.mark.parametrize(
    ("path", "words"),
    [
        ("devices/nobody/terms/main/items/ua", "device_id not found! nobody"),
        ("devices/feeder1/terms/nobody/items/ua", "term_id not found! nobody"),
        ("devices/other/terms/main/items/ua", "term_id not found! main"),
        ("devices/feeder1/terms/main/items/nobody", "item_id not found! nobody"),
        ("devices/feeder1/terms/main/items/ub", "term_item not found! main:ub"),
    ],
)
async def test_samples_of_a_point_that_is_not_there(plant: Api, path: str, words: str) -> None:
    await plant.post("/api/v1/devices", {"id": "other", "name": "x", "protocol": "modbus_tcp"})
    await plant.post("/api/v1/items", {"id": "ub", "name": "x"})
    for url in (f"/api/v1/{path}/datas", f"/api/v1/{path}/datas/0", f"/api/v2/{path}/datas"):
        assert (await plant.get(url, 404))["detail"] == words


async def test_values_that_nobody_renews_are_not_good(sampled: Api, backend: FakeBackend) -> None:
    """Nobody is to take an old value for a present one, and nobody was there to store that it is old."""

    async def qualities(query: str = "") -> list[Any]:
        return [value["quality"] for value in await sampled.get(f"/api/v2/values?item_id=ub{query}")]

    await sampled.post("/api/v2/items", [{"id": "ub", "name": "ub"}], 200)
    await sampled.post("/api/v2/term_items", [{"term_id": "main", "item_id": "ub"}], 200)
    backend.history.samples[PointId("feeder1", "main", "ub")] = [Sample(T0, 5)]
    assert await qualities() == ["good"]
    backend.status.abandoned = frozenset({"feeder1"})
    assert await qualities() == [["comm_lost"]]
    assert await qualities("&quality=good") == []
    assert await qualities("&quality=comm_lost") == [["comm_lost"]]
    backend.status.abandoned = frozenset()
    assert await qualities() == ["good"]
    await sampled("PATCH", "/api/v1/devices/feeder1", {"enabled": False}, status=200)
    assert await qualities() == [["comm_lost"]]


async def test_values_of_a_virtual_device_need_no_manager(api: Api, backend: FakeBackend) -> None:
    await api.post("/api/v1/devices", {"id": "sums", "name": "Sums", "protocol": "formula"})
    await api.post("/api/v1/terms", {"id": "t", "name": "t", "device_id": "sums"})
    await api.post("/api/v1/items", {"id": "total", "name": "Total"})
    await api.post("/api/v1/terms/t/items", {"item_id": "total"})
    backend.history.samples[PointId("sums", "t", "total")] = [Sample(T0, 5)]
    backend.status.abandoned = frozenset({"sums"})
    assert (await api.get("/api/v2/values"))[0]["quality"] == "good"
    await api("PATCH", "/api/v1/devices/sums", {"enabled": False}, status=200)  # its formulas rest
    assert (await api.get("/api/v2/values"))[0]["quality"] == ["comm_lost"]


async def test_latest_values_by_filter(sampled: Api, backend: FakeBackend) -> None:
    await sampled.post("/api/v2/items", [{"id": name, "name": name} for name in ("ub", "uc")], 200)
    await sampled.post("/api/v1/terms", {"id": "spare", "name": "Spare", "device_id": "feeder1"})
    points = [{"term_id": "main", "item_id": "ub"}, {"term_id": "spare", "item_id": "ua"}]
    await sampled.post("/api/v2/term_items", [*points, {"term_id": "spare", "item_id": "uc"}], 200)
    backend.history.samples[PointId("feeder1", "main", "ub")] = [Sample(T0, True)]
    backend.history.samples[PointId("feeder1", "spare", "ua")] = [Sample(T0, "text")]

    async def found(query: str) -> list[tuple[str, str]]:
        return [(value["term_id"], value["item_id"]) for value in await sampled.get(f"/api/v2/values{query}")]

    everything = [("main", "ua"), ("main", "ub"), ("spare", "ua")]
    assert await found("") == everything
    assert await found("?device_id=feeder1,nobody") == everything
    assert await found("?device_id=nobody") == []
    assert await found("?term_id=main") == everything[:2]
    assert await found("?item_id=ua") == [("main", "ua"), ("spare", "ua")]
    assert await found("?item_id=ua,ub&term_id=spare") == [("spare", "ua")]
    assert await found("?quality=good") == everything[1:]
    assert await found("?quality=bad") == everything[:1]
    assert await found("?quality=stale") == everything[:1]
    assert await found("?quality=overflow") == []
    answer = await sampled("GET", "/api/v2/values?limit=1&offset=1&device_id=feeder1", status=200)
    assert answer.json == [
        {
            "device_id": "feeder1",
            "term_id": "main",
            "item_id": "ub",
            "time": TIMES[0],
            "value": True,
            "quality": "good",
        }
    ]
    assert answer.headers["X-Total-Count"] == "3"
    assert answer.headers["Link"] == '</api/v2/values?limit=1&offset=2&device_id=feeder1>; rel="next"'


@pytest.mark.parametrize(
    ("glob", "found"),
    [
        ("*", ["main:ua", "main:ub", "spare:ua"]),
        ("feeder1", ["main:ua", "main:ub", "spare:ua"]),
        ("feeder?:main", ["main:ua", "main:ub"]),
        ("*:*:ua", ["main:ua", "spare:ua"]),
        ("feeder1:main:u[b-z]", ["main:ub"]),
        ("feeder1:main:u[!b]", ["main:ua"]),
        ("feeder1:s*:*,*:main:ub,*:main:u?", ["main:ua", "main:ub", "spare:ua"]),
        ("feeder1:spare:ua&item_id=ub", []),
        ("feeder1&term_id=main&item_id=ub", ["main:ub"]),
        ("feeder1:*:*&device_id=nobody", []),
        ("Feeder1", []),
        ("feeder", []),
    ],
)
async def test_latest_values_by_pattern(sampled: Api, backend: FakeBackend, glob: str, found: list[str]) -> None:
    await sampled.post("/api/v1/items", {"id": "ub", "name": "ub"})
    await sampled.post("/api/v1/terms", {"id": "spare", "name": "Spare", "device_id": "feeder1"})
    points = [{"term_id": "main", "item_id": "ub"}, {"term_id": "spare", "item_id": "ua"}]
    await sampled.post("/api/v2/term_items", points, 200)
    for point in points:
        backend.history.samples[PointId("feeder1", point["term_id"], point["item_id"])] = [Sample(T0, 1)]
    values = await sampled.get(f"/api/v2/values?glob={glob}")
    assert [f"{value['term_id']}:{value['item_id']}" for value in values] == found


@pytest.mark.parametrize(
    "glob", ["", "a:b:c:d", "a::c", "a,,b", "a b", "(a)", "x" * 65, ",".join(map(str, range(101)))]
)
async def test_a_pattern_that_is_none(sampled: Api, glob: str) -> None:
    answer = await sampled("GET", f"/api/v2/values?glob={glob}", status=422)
    assert answer.fields == [(0, "glob")]


async def test_points_by_pattern(plant: Api) -> None:
    await plant.post("/api/v1/items", {"id": "ub", "name": "B-phase voltage"})
    await plant.post("/api/v1/terms/main/items", {"item_id": "ub", "up_limit": 250})
    (point,) = await plant.get("/api/v2/points?glob=feeder?:*:ua")
    assert point == {
        **KEYS,
        "protocol": "modbus_tcp",
        "name": "A-phase voltage",
        "unit": "V",
        "protocol_code": "hr:100",
        "code_type": None,
        "coefficient": 1.0,
        "base_val": 0.0,
        "writable": True,
        "down_limit": None,
        "up_limit": None,
        "low_low": None,
        "high_high": None,
        "stale_after": None,
    }
    assert [one["item_id"] for one in await plant.get("/api/v2/points")] == ["ua", "ub"]
    answer = await plant("GET", "/api/v2/points?limit=1&offset=1", status=200)
    assert [(one["item_id"], one["writable"], one["up_limit"]) for one in answer.json] == [("ub", False, 250)]
    assert answer.headers["X-Total-Count"] == "2"
    assert await plant.get("/api/v2/points?glob=other") == []


async def test_a_call_reads_the_point(plant: Api, backend: FakeBackend) -> None:
    assert await plant.post("/api/v1/device_call", KEYS, 200) == {
        **KEYS,
        "time": TIMES[0],
        "value": 42,
        "quality": "good",
    }
    ((kind, request),) = backend.commands.taken
    assert (kind, request.point, request.source) == ("call", POINT, "127.0.0.1")


async def test_a_control_writes_the_point(plant: Api, backend: FakeBackend) -> None:
    body = {**KEYS, "value": 7, "verify": "true", "expires_in": "2.5", "reason": "test", "mode": "direct"}
    answer = await plant("POST", "/api/v1/device_ctrl", body, headers={"Idempotency-Key": "k1"}, status=200)
    assert answer.json == {**KEYS, "time": TIMES[0], "value": 7, "quality": "good", "command_id": "c1"}
    ((kind, request),) = backend.commands.taken
    assert kind == "ctrl"
    assert (request.value, request.verify, request.expires_in) == (7, True, 2.5)
    assert (request.reason, request.mode, request.idempotency_key) == ("test", "direct", "k1")


@pytest.mark.parametrize(
    ("point", "given", "value"),
    [
        ({"coefficient": 0.1}, "3", 3),
        ({"coefficient": 0.1}, "2.5", 2.5),
        ({"code_type": "float64"}, "1" * 25, float("1" * 25)),
        ({"code_type": "uint64"}, str(2**64 - 1), 2**64 - 1),
        ({"bit": 3}, "true", True),
        ({"protocol_code": "co:5"}, 0, False),
        ({"code_type": "string", "length": 4}, "3", "3"),
    ],
)
async def test_a_control_answers_the_value_in_the_type_of_the_point(
    plant: Api, backend: FakeBackend, point: dict[str, Any], given: Any, value: Any
) -> None:
    await plant("PATCH", "/api/v1/terms/main/items/ua", point, status=200)
    await plant.post("/api/v1/device_ctrl", {**KEYS, "value": given}, 200)
    await plant.post("/api/v2/device_ctrl", [{**KEYS, "value": given}], 200)
    taken = [request.value for _, request in backend.commands.taken]
    assert taken == [value, value]
    assert {type(one) for one in taken} == {type(value)}


async def test_a_boolean_for_a_number_is_shown_as_it_was_given(plant: Api) -> None:
    answer = await plant.post("/api/v1/device_ctrl", {**KEYS, "value": True}, 422)
    assert answer["detail"] == "value: true: a number is expected"


async def test_a_mode_that_the_protocol_does_not_have_is_not_carried_out_otherwise(
    plant: Api, backend: FakeBackend
) -> None:
    answer = await plant.post("/api/v1/device_ctrl", {**KEYS, "value": 7, "mode": "select"}, 422)
    assert answer["detail"] == "mode: modbus_tcp does not know it; it takes direct"
    assert backend.commands.taken == []


@pytest.mark.parametrize("index", ["9999999999", "-9999999999", "9" * 23])
async def test_an_index_far_out_of_range_is_not_found(plant: Api, index: str) -> None:
    path = f"/api/v1/devices/feeder1/terms/main/items/ua/datas/{index}"
    assert (await plant("GET", path, status=404)).json["detail"].startswith(f"index not found! {index}")


async def test_ids_of_a_command_may_be_numbers(plant: Api, backend: FakeBackend) -> None:
    await plant("PUT", "/api/v1/devices/feeder1", {"id": 7, "name": "x", "protocol": "modbus_tcp"}, status=200)
    await plant.post("/api/v1/device_call", {**KEYS, "device_id": 7}, 200)


@pytest.mark.parametrize("which", ["device_id", "term_id", "item_id"])
@pytest.mark.parametrize("name", ["call", "ctrl"])
async def test_a_command_to_what_is_not_there(plant: Api, backend: FakeBackend, name: str, which: str) -> None:
    body = {**KEYS, which: "nobody", "value": 1} if name == "ctrl" else {**KEYS, which: "nobody"}
    assert (await plant.post(f"/api/v1/device_{name}", body, 404))["detail"] == f"{which} not found! nobody"
    assert backend.commands.taken == []


@pytest.mark.parametrize(
    ("path", "patch", "words"),
    [
        ("/api/v1/devices/feeder1", {"enabled": False}, "disabled"),
        ("/api/v1/terms/main/items/ua", {"protocol_code": None, "writable": False}, "protocol_code"),
    ],
)
async def test_a_command_to_what_cannot_answer(plant: Api, path: str, patch: dict[str, Any], words: str) -> None:
    await plant("PATCH", path, patch, status=200)
    assert words in (await plant.post("/api/v1/device_call", KEYS, 409))["detail"]
    assert words in (await plant.post("/api/v1/device_ctrl", {**KEYS, "value": 1}, 409))["detail"]


async def test_a_point_that_is_not_writable_can_be_called_only(plant: Api) -> None:
    await plant("PATCH", "/api/v1/terms/main/items/ua", {"writable": False}, status=200)
    await plant.post("/api/v1/device_call", KEYS, 200)
    assert "not writable" in (await plant.post("/api/v1/device_ctrl", {**KEYS, "value": 1}, 409))["detail"]


async def test_a_virtual_device_takes_no_commands(plant: Api) -> None:
    await plant.post("/api/v1/devices", {"id": "sums", "name": "x", "protocol": "formula"})
    await plant.post("/api/v1/terms", {"id": "totals", "name": "x", "device_id": "sums"})
    await plant.post("/api/v1/terms/totals/items", {"item_id": "ua"})
    body = {"device_id": "sums", "term_id": "totals", "item_id": "ua"}
    assert "virtual" in (await plant.post("/api/v1/device_call", body, 409))["detail"]


BAD_VALUES: list[Any] = [
    None, [], {}, [1], "", "x", "NaN", "Infinity", 65536, -1, 1.5,
    10**30, -(10**30), 1e308, 2**64, "1" * 100, "1e999", "a\x00",
]  # fmt: skip


@pytest.mark.parametrize("value", BAD_VALUES, ids=repr)
async def test_a_value_that_the_point_cannot_take(plant: Api, backend: FakeBackend, value: Any) -> None:
    answer = await plant("POST", "/api/v1/device_ctrl", {**KEYS, "value": value}, status=422)
    assert answer.fields == [(0, "value")]
    (element,) = await plant.post("/api/v2/device_ctrl", {**KEYS, "value": value}, 200)
    assert element["status"] == 422
    assert backend.commands.taken == []


@pytest.mark.parametrize(
    ("more", "field"),
    [
        ({"colour": "red"}, "colour"),
        ({"device_id": "a:b"}, "device_id"),
        ({"device_id": None}, "device_id"),
        ({"device_id": ["feeder1"]}, "device_id"),
        ({"verify": "maybe"}, "verify"),
        ({"expires_in": 0}, "expires_in"),
        ({"expires_in": -1}, "expires_in"),
        ({"expires_in": 1e9}, "expires_in"),
        ({"expires_in": "NaN"}, "expires_in"),
        ({"mode": 5}, "mode"),
        ({"reason": "x" * 1025}, "reason"),
        ({"reason": "a\x1bb"}, "reason"),
    ],
)
async def test_a_command_with_a_bad_field(plant: Api, more: dict[str, Any], field: str) -> None:
    answer = await plant("POST", "/api/v1/device_ctrl", {**KEYS, "value": 1, **more}, status=422)
    assert answer.fields == [(0, field)]


@pytest.mark.parametrize(
    ("outcome", "status", "kind"),
    [
        (errors.DeviceRefused("exception 2: illegal data address"), 502, "device-refused"),
        (errors.DeviceOffline("no connection"), 503, "device-offline"),
        (errors.NoManager("no device manager is running"), 503, "no-manager"),
        (errors.StoreUnavailable("away"), 503, "store-unavailable"),
        (errors.DeviceTimeout("no answer in time"), 504, "device-timeout"),
        (errors.Conflict("this key is under way"), 409, "conflict"),
    ],
)
async def test_failures_of_commands_are_told_apart(
    plant: Api, backend: FakeBackend, outcome: errors.PyDataCollError, status: int, kind: str
) -> None:
    backend.commands.outcome = outcome
    for body in ({**KEYS}, {**KEYS, "value": 1}):
        name = "ctrl" if "value" in body else "call"
        problem = await plant.post(f"/api/v1/device_{name}", body, status)
        assert problem["type"] == f"/docs#problem-{kind}"
        assert problem["detail"] == str(outcome)
        (element,) = await plant.post(f"/api/v2/device_{name}", body, 200)
        assert element["status"] == status
        assert element["detail"] == str(outcome)
        assert element["device_id"] == "feeder1"


async def test_in_a_batch_of_commands_each_stands_for_itself(plant: Api, backend: FakeBackend) -> None:
    batch = [
        {**KEYS, "value": 1},
        {**KEYS, "value": 70000},
        "nonsense",
        {**KEYS, "item_id": "nobody", "value": 1},
        {**KEYS, "value": 2},
    ]
    answer = await plant("POST", "/api/v2/device_ctrl", batch, headers={"Idempotency-Key": "k"}, status=200)
    assert [element["status"] for element in answer.json] == [200, 422, 422, 404, 200]
    assert answer.json[1]["errors"][0]["index"] == 1
    assert answer.json[3]["item_id"] == "nobody"
    assert [(request.value, request.idempotency_key) for _, request in backend.commands.taken] == [
        (1, "k.0"),
        (2, "k.4"),
    ]
    assert await plant.post("/api/v2/device_call", [], 200) == []
    many = await plant.post("/api/v2/device_call", [KEYS] * 500, 200)
    assert [element["value"] for element in many] == [42] * 500
