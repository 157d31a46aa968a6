"""``GET /api/v2/history`` and ``sql_check``, on an archive in memory."""

from __future__ import annotations

import csv
import io
from dataclasses import replace
from hashlib import sha256
from typing import Any

import pytest

from pydatacoll.api.access import Access
from pydatacoll.api.app import create_app
from pydatacoll.archive.errors import ArchiveUnavailable, StatementError
from pydatacoll.archive.shapes import Bucket
from pydatacoll.archive.values import to_columns, to_micros
from pydatacoll.codec import json
from pydatacoll.model import PointId
from pydatacoll.settings import AuthSettings, TokenSettings
from test.api_client import Api, serve
from test.fakes_api import FakeBackend

NOW = 1795224600.0
TIME = "2026-11-21T01:30:00.000000Z"


class FakeArchive:
    """Samples in memory.

    :ivar asked: spans that were asked for, with the limit or the width.
    :ivar failure: raised by the page, or series of buckets, of this number.
    """

    kind = "sqlite"

    def __init__(self, samples: dict[PointId, list[tuple[float, Any, int]]]) -> None:
        self.samples = list(samples.items())
        self.asked: list[tuple[Any, ...]] = []
        self.failure: tuple[int, Exception] = (-1, OSError())
        self.checked: list[str] = []

    async def series(self, device_ids):
        return {
            point: number
            for number, (point, _) in enumerate(self.samples)
            if device_ids is None or point.device_id in device_ids
        }

    def _fail(self):
        if len(self.asked) - 1 == self.failure[0]:
            raise self.failure[1]

    async def pages(self, span, limit=None):
        self.asked.append((*span, limit))
        self._fail()
        for time, value, quality in self.samples[span.series][1]:
            yield [(to_micros(time), *to_columns(value, quality)[:3], quality)]

    async def ends(self, series, since, until):
        times = [to_micros(time) for number in series for time, _, _ in self.samples[number][1]]
        return (min(times), max(times)) if times else None

    async def buckets(self, span, width):
        self.asked.append((*span, width))
        self._fail()
        return [Bucket(span.since, 1.0, 2.0, 1.5, 2, 1, "x", span.until, 32)]

    async def check(self, template):
        self.checked.append(template.sql("qmark"))
        if "nowhere" in self.checked[-1]:
            raise StatementError("no such table: nowhere")


A, B = PointId("d", "t", "a"), PointId("e", "t", "b")


@pytest.fixture
def archive() -> FakeArchive:
    return FakeArchive(
        {
            B: [(NOW, True, 0)],
            A: [
                (NOW, 1.5, 0),
                (NOW + 1, None, 32),
                (NOW + 2, 'a "b", \n=c', 1),
                (NOW + 3, 2**63, 0),
                (NOW + 4, 7, 64),
            ],
        }
    )


@pytest.fixture
async def archived(backend: FakeBackend, archive: FakeArchive):
    async with serve(create_app(replace(backend.services, archive=archive))) as made:
        yield made


async def test_a_client_can_know_beforehand_whether_there_is_an_archive(api: Api, archived: Api) -> None:
    assert (await api.get("/api/v2/whoami"))["archive"] is False
    await api("GET", "/api/v2/history", status=503)
    assert (await archived.get("/api/v2/whoami"))["archive"] is True
    await archived("GET", "/api/v2/history", status=200)


async def test_samples_in_the_order_of_points_and_times(archived: Api) -> None:
    found = await archived.get("/api/v2/history")
    assert [(row["device_id"], row["value"], row["quality"]) for row in found] == [
        ("d", 1.5, "good"),
        ("d", None, ["comm_lost"]),
        ("d", 'a "b", \n=c', ["invalid"]),
        ("d", 2**63, "good"),
        ("d", 7, ["time_invalid"]),
        ("e", True, "good"),
    ]
    assert found[0] == {
        "device_id": "d",
        "term_id": "t",
        "item_id": "a",
        "time": TIME,
        "value": 1.5,
        "quality": "good",
    }


async def test_what_is_asked_for_reaches_the_archive(archived: Api, archive: FakeArchive) -> None:
    await archived.get("/api/v2/history?device_id=d&limit=5&since=2026-11-21T01:30:00Z&until=1795224601.5")
    assert archive.asked == [(1, to_micros(NOW), to_micros(NOW + 1.5), 5)]
    assert [row["device_id"] for row in await archived.get("/api/v2/history?item_id=b,c")] == ["e"]


async def test_csv(archived: Api) -> None:
    for accept in ({"Accept": "text/csv"}, {}):
        answer = await archived(
            "GET", "/api/v2/history" + ("" if accept else "?format=csv"), headers=accept, status=200
        )
        assert answer.headers["Content-Type"] == "text/csv; charset=utf-8"
        rows = list(csv.reader(io.StringIO(answer.raw.decode(), newline="")))
        assert rows[:4] == [
            ["device_id", "term_id", "item_id", "time", "value", "quality"],
            ["d", "t", "a", TIME, "1.5", "good"],
            ["d", "t", "a", TIME.replace("00.0", "01.0"), "", "comm_lost"],
            ["d", "t", "a", TIME.replace("00.0", "02.0"), 'a "b", \n=c', "invalid"],
        ]
        assert rows[-1] == ["e", "t", "b", TIME, "true", "good"]


async def test_buckets_are_equal_spans_between_the_ends(archived: Api, archive: FakeArchive) -> None:
    found = await archived.get("/api/v2/history?device_id=d&buckets=2")
    since, until = to_micros(NOW), to_micros(NOW + 4)
    assert archive.asked == [(1, since, until, 2_000_001)]
    assert since + 2 * 2_000_001 > until
    assert found == [
        {
            "device_id": "d", "term_id": "t", "item_id": "a", "time": TIME, "min": 1.0, "max": 2.0, "mean": 1.5,
            "count": 2, "bad": 1, "last": "x", "last_time": TIME.replace("00.0", "04.0"), "quality": ["comm_lost"],
        }
    ]  # fmt: skip
    await archived.get("/api/v2/history?device_id=d&buckets=10&since=1795224600&until=1795224699.999999")
    assert archive.asked[-1] == (1, since, since + 99_999_999, 10_000_000)
    rows = (
        (await archived("GET", "/api/v2/history?device_id=d&buckets=1&format=csv", status=200))
        .raw.decode()
        .split("\r\n")
    )
    assert rows[0] == "device_id,term_id,item_id,time,min,max,mean,count,bad,last,last_time,quality"
    assert rows[1] == f"d,t,a,{TIME},1.0,2.0,1.5,2,1,x,{TIME.replace('00.0', '04.0')},comm_lost"


async def test_buckets_of_nothing(archived: Api, archive: FakeArchive) -> None:
    archive.samples = [(A, [])]
    assert await archived.get("/api/v2/history?buckets=2&since=1795224600") == []
    archive.samples = []
    assert await archived.get("/api/v2/history?buckets=2") == []
    assert await archived.get("/api/v2/history") == []
    answer = await archived("GET", "/api/v2/history?format=csv", status=200)
    assert answer.raw == b"device_id,term_id,item_id,time,value,quality\r\n"


async def test_a_point_that_nobody_knows_is_not_found(archived: Api) -> None:
    problem = await archived.get("/api/v2/history?device_id=x&term_id=t&item_id=a", 404)
    assert problem["detail"].startswith("device_id not found!")
    assert await archived.get("/api/v2/history?device_id=x") == []


@pytest.mark.parametrize(
    "query", ["limit=0", "buckets=0", "buckets=2&limit=3", "since=yesterday", "format=xml", "what=1"]
)
async def test_bad_parameters_are_refused(archived: Api, query: str) -> None:
    await archived.get(f"/api/v2/history?{query}", 422)


async def test_what_is_not_answered_is_told(archived: Api) -> None:
    await archived("GET", "/api/v2/history", headers={"Accept": "image/png"}, status=406)


async def test_without_an_archive(api: Api) -> None:
    problem = await api.get("/api/v2/history", 503)
    assert problem["type"] == "/docs#problem-plugin-not-enabled"
    assert "add its name to plugins" in problem["detail"]


async def test_a_database_that_is_away_is_a_problem(archived: Api, archive: FakeArchive) -> None:
    archive.failure = (0, ArchiveUnavailable("mysql://me:***@host/db: 2003: cannot connect"))
    for query in ("", "?buckets=3"):
        archive.asked.clear()
        problem = await archived.get(f"/api/v2/history{query}", 503)
        assert problem["type"] == "/docs#problem-try-later"
        assert "cannot connect" in problem["detail"]


async def test_a_token_for_some_devices_sees_only_these(backend: FakeBackend, archive: FakeArchive) -> None:
    token = TokenSettings(name="e only", hash=sha256(b"pdc_e").hexdigest(), scope="read", devices=["e*"])
    access = Access(AuthSettings(tokens=[token]))
    services = replace(backend.services, archive=archive, access=access)
    bearer = {"Authorization": "Bearer pdc_e"}
    async with serve(create_app(services)) as limited:

        async def read(query: str, status: int = 200) -> Any:
            return json.decode(
                (await limited("GET", f"/api/v2/history{query}", headers=bearer, status=status)).raw
            )

        assert [row["device_id"] for row in await read("")] == ["e"]
        assert [row["device_id"] for row in await read("?device_id=d,e")] == ["e"]
        assert await read("?device_id=d") == []
        assert (await read("?device_id=d&term_id=t&item_id=a", 404))["detail"].startswith("device_id not found!")
        assert {row["device_id"] for row in await read("?buckets=2")} == {"e"}
        await limited("GET", "/api/v2/history", status=401)


# sql_check


async def test_statements_are_checked_by_compiling_and_preparing(archived: Api, archive: FakeArchive) -> None:
    async def check(**body):
        return (await archived("POST", "/api/v1/sql_check", body, status=200)).raw.decode()

    assert await check(term_id="t", item_id="i", db_save_sql="INSERT INTO t VALUES ('{PARAM.value}')") == "OK"
    assert archive.checked == ["INSERT INTO t VALUES (?)"]
    assert await check(db_warn_sql="INSERT INTO t VALUES (:warn_msg)") == "OK"
    assert await check() == "OK"
    answer = await check(db_save_sql="INSERT INTO nowhere VALUES (1)", db_warn_sql="DROP TABLE t")
    assert answer.split("\n") == [
        "db_save_sql: no such table: nowhere",
        "db_warn_sql: a statement begins with INSERT, REPLACE, UPDATE or CALL, not with DROP",
    ]
    await archived("POST", "/api/v1/sql_check", {"db_save_sql": 7}, status=422)
