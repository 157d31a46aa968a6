"""The archive on SQLite, MariaDB and PostgreSQL: what goes in comes out, once, and in the right buckets."""

from __future__ import annotations

import random
from itertools import pairwise

import pytest

from pydatacoll.archive import schema
from pydatacoll.archive.archive import Archive
from pydatacoll.archive.config import ArchiveConfig
from pydatacoll.archive.database import Database
from pydatacoll.archive.errors import ArchiveTooNew, ArchiveUnavailable, StatementError
from pydatacoll.archive.read import PAGE
from pydatacoll.archive.retention import STEP, Retention
from pydatacoll.archive.schema import MIGRATIONS, migrate, version
from pydatacoll.archive.series import ensure_series
from pydatacoll.archive.shapes import Span
from pydatacoll.archive.sql_template import compile_template
from pydatacoll.archive.values import to_columns, to_micros
from pydatacoll.archive.write import Writer
from pydatacoll.model.quality import Quality
from test.integration.archive_rig import EVERYTHING, NOW, archived, point, run_sql

POINT = point("d:t:i")
BAD = int(Quality.INVALID)


@pytest.fixture
async def database(archive_url, tmp_path):
    made = Database(ArchiveConfig(url=archive_url), tmp_path)
    await migrate(made, NOW)
    yield made
    await made.close()


@pytest.fixture
async def archive(archive_url, tmp_path):
    made = Archive(ArchiveConfig(url=archive_url), tmp_path)
    yield made
    await made.close()


def row(series, seconds, value, quality=0):
    return (series, to_micros(NOW + seconds), *to_columns(value, quality))


async def series_of(database, name="d:t:i"):
    made = point(name)
    return (await ensure_series(database, made.device_id, [made]))[made]


VALUES = [
    1.5,
    -0.0,
    1e300,
    5e-324,
    0.1 + 0.2,
    7,
    -(2**53),
    2**63,
    True,
    False,
    None,
    "",
    "a 'b' \\ \"c\" % %s ä ☃ 𝄞",
    "\n",
]


async def test_values_survive(database, archive_url, tmp_path):
    series = await series_of(database)
    await Writer(database).write([row(series, n, value, n) for n, value in enumerate(VALUES)])
    found = (await archived(archive_url, tmp_path))[str(POINT)]
    assert found == [(float(n), value, n) for n, value in enumerate(VALUES)]
    assert [type(value) for _, value, _ in found] == [type(value) for value in VALUES]


async def test_many_random_numbers_survive_in_pages(database, archive_url, tmp_path):
    """Numbers without texts take another way on MariaDB, as text: not a bit may change."""
    rng = random.Random(5)
    values = [rng.uniform(-1, 1) * 10 ** rng.randint(-30, 30) for _ in range(PAGE + 100)]
    series = await series_of(database)
    rows = [row(series, n * 1e-6, value, n % 300) for n, value in enumerate(values)]
    rng.shuffle(rows)
    await Writer(database).write(rows)
    found = (await archived(archive_url, tmp_path))[str(POINT)]
    assert [value for _, value, _ in found] == values
    assert [time for time, _, _ in found] == [round(n * 1e-6, 6) for n in range(len(values))]
    assert [quality for _, _, quality in found] == [n % 300 for n in range(len(values))]


async def test_a_repetition_changes_nothing_and_the_last_of_one_time_counts(database, archive_url, tmp_path):
    series = await series_of(database)
    rows = [
        row(series, 0, 1.0),
        row(series, 1, "x"),
        row(series, 0, 2.0),
        row(series, 1, 3, BAD),
        row(series, 2, None),
    ]
    for _ in range(2):
        assert await Writer(database).write(rows) == 3
        assert await archived(archive_url, tmp_path) == {
            str(POINT): [(0.0, 2.0, 0), (1.0, 3, BAD), (2.0, None, 0)]
        }
    await Writer(database).write([row(series, 0, "text")])
    assert (await archived(archive_url, tmp_path))[str(POINT)][0] == (0.0, "text", 0)


async def test_last_samples_before_a_time(database):
    first, second, empty = [await series_of(database, f"d:t:{name}") for name in "abc"]
    writer = Writer(database)
    await writer.write([row(first, n, n) for n in range(5)] + [row(second, 0, "old", 4)])
    at = to_micros(NOW + 3)
    last = await writer.last_before([(first, at), (second, at), (empty, at)])
    assert last == {first: (NOW + 2, 2, 0), second: (NOW, "old", 4)}
    assert await writer.last_before([(first, to_micros(NOW))]) == {}
    assert await writer.last_before([]) == {}


async def test_ids_are_told_apart_by_every_character(database):
    names = ["d:t:i", "D:t:i", "d:T:i", "d:t:i.", "d:t:i_"]
    assert len({await series_of(database, name) for name in names}) == len(names)
    assert [await series_of(database, name) for name in names] == [
        await series_of(database, name) for name in names
    ]


def buckets_of(samples, since, width):
    """What the database should say, worked out in Python."""
    found = {}
    for time, value, quality in samples:
        found.setdefault((to_micros(time) - since) // width, []).append((to_micros(time), value, quality))
    result = []
    for bucket, some in sorted(found.items()):
        good = [one for one in some if one[2] in {0, int(Quality.TIME_INVALID)}]
        numbers = [float(value) for _, value, _ in good if isinstance(value, (int, float))]
        last = max(some, key=lambda one: one[0])
        result.append(
            (
                since + bucket * width,
                min(numbers, default=None),
                max(numbers, default=None),
                pytest.approx(sum(numbers) / len(numbers)) if numbers else None,
                len(good),
                len(some) - len(good),
                last[1],
                last[0],
                last[2],
            )
        )
    return result


async def test_buckets_are_those_of_python(database, archive):
    rng = random.Random(7)
    values = [
        lambda: rng.uniform(-5, 5),
        lambda: rng.randint(-9, 9),
        lambda: rng.random() < 0.5,
        lambda: None,
        lambda: "x",
    ]
    qualities = [0, 0, 0, int(Quality.TIME_INVALID), BAD, int(Quality.COMM_LOST)]
    samples = sorted(
        (round(NOW + t, 6), rng.choice(values)(), rng.choice(qualities))
        for t in {rng.uniform(0, 1000) for _ in range(2000)}
    )
    series = await series_of(database)
    await Writer(database).write([row(series, time - NOW, value, quality) for time, value, quality in samples])
    for since, until, width in [(0, 1000, 10.5), (100, 900, 1), (-50, 2000, 100), (3, 3.5, 0.01), (5000, 6000, 1)]:
        span = Span(series, to_micros(NOW + since), to_micros(NOW + until))
        within = [one for one in samples if since <= one[0] - NOW <= until]
        micros = round(width * 1e6)
        assert [tuple(one) for one in await archive.buckets(span, micros)] == buckets_of(
            within, span.since, micros
        )


async def test_spans_include_their_ends_and_limits_take_the_newest(database, archive):
    series = await series_of(database)
    await Writer(database).write([row(series, n, float(n)) for n in range(20)])

    async def read(since, until, limit=None):
        span = Span(series, to_micros(NOW + since), to_micros(NOW + until))
        return [value async for page in archive.pages(span, limit) for _, value, *_ in page]

    assert await read(3, 6) == [3.0, 4.0, 5.0, 6.0]
    assert await read(0, 100, 3) == [17.0, 18.0, 19.0]
    assert await read(0, 5, 100) == [0.0, 1.0, 2.0, 3.0, 4.0, 5.0]
    assert await read(30, 40, 3) == []
    assert await archive.ends([series], *EVERYTHING) == (to_micros(NOW), to_micros(NOW + 19))
    assert await archive.ends([series], to_micros(NOW + 50), EVERYTHING[1]) is None


# Tables


async def test_tables_of_an_older_version_are_migrated_with_what_is_in_them(archive_url, tmp_path):
    database = Database(ArchiveConfig(url=archive_url), tmp_path)
    assert await version(database) == 0
    assert await migrate(database, NOW, MIGRATIONS[:1]) == 0
    series = await series_of(database)
    await Writer(database).write([row(series, 0, 1.0)])
    assert await migrate(database, NOW) == 1
    assert await version(database) == len(MIGRATIONS)
    assert await migrate(database, NOW) == len(MIGRATIONS)
    await database.close()
    assert await archived(archive_url, tmp_path) == {str(POINT): [(0.0, 1.0, 0)]}
    assert await run_sql(archive_url, tmp_path, f"SELECT * FROM {schema.ALARM}") == []


async def test_a_migration_that_broke_off_is_taken_up_again(archive_url, tmp_path):
    database = Database(ArchiveConfig(url=archive_url), tmp_path)

    async def broken(connection, kind, now):
        await MIGRATIONS[1](connection, kind, now)
        raise OSError("power failure")

    with pytest.raises(ArchiveUnavailable):
        await migrate(database, NOW, (MIGRATIONS[0], broken))
    assert await migrate(database, NOW) in {0, 1}
    assert await version(database) == len(MIGRATIONS)
    await database.close()


async def test_tables_of_a_newer_release_are_left_alone(database):
    await run_update(database, f"UPDATE {schema.META} SET value = '99' WHERE name = 'schema_version'")
    with pytest.raises(ArchiveTooNew, match="its tables have version 99, this release knows 3"):
        await migrate(database, NOW)


async def run_update(database, statement):
    async with database.transaction() as connection:
        await connection.exec_driver_sql(statement)


async def test_an_archive_without_tables_says_what_is_missing(archive):
    with pytest.raises(ArchiveUnavailable, match="pdc_series"):
        await archive.series(None)


# Retention


async def test_what_is_too_old_goes_in_steps(database, archive_url, tmp_path):
    series, other = await series_of(database), await series_of(database, "d:t:other")
    old = [row(series, -40 * 86_400 - n * 0.001, n) for n in range(STEP + 10)]
    await Writer(database).write([*old, row(series, 0, 1.0), row(other, -90 * 86_400, 1.0), row(other, 0, 2.0)])
    retention = Retention(database, 5.0)
    for _ in range(10):
        await retention.step(NOW)
    found = await archived(archive_url, tmp_path)
    assert found == {str(POINT): [(0.0, 1.0, 0)], "d:t:other": [(0.0, 2.0, 0)]}
    assert retention.deleted == (0 if database.kind == "mysql" else len(old) + 1)
    assert retention.dropped == (1 if database.kind == "mysql" else 0)


async def test_nothing_goes_without_retention(database, archive_url, tmp_path):
    series = await series_of(database)
    await Writer(database).write([row(series, -4000 * 86_400, 1.0)])
    retention = Retention(database, 0.0)
    for _ in range(3):
        await retention.step(NOW)
    assert len((await archived(archive_url, tmp_path))[str(POINT)]) == 1


async def partition_names(maria):
    rows = maria.execute(
        "SELECT partition_name FROM information_schema.partitions WHERE table_schema = 'archive' "
        f"AND table_name = '{schema.SAMPLE}' ORDER BY partition_ordinal_position"
    )
    return rows.split()


@pytest.mark.parametrize("archive_url", ["mariadb"], indirect=True)
async def test_months_come_and_go_as_partitions(database, maria, archive_url, tmp_path):
    series = await series_of(database)
    month = 31 * 86_400
    await Writer(database).write([row(series, n * month, n) for n in range(-3, 12)])
    retention = Retention(database, 60.0)
    await retention.step(NOW)
    assert await partition_names(maria) == ["p202610", "p202611", "p202612", "p202701", "p202702", "future"]
    await retention.step(NOW + 6 * month)
    names = await partition_names(maria)
    assert names == ["p202703", "p202704", "p202705", "p202706", "p202707", "p202708", "future"]
    assert all(earlier < later for earlier, later in pairwise(names[:-1]))
    # what lay in the last partition is where it belongs now, and nothing within retention is gone
    found = (await archived(archive_url, tmp_path))[str(POINT)]
    assert [value for _, value, _ in found] == list(range(4, 12))


# Statements


async def test_statements_are_prepared_and_not_executed(database, archive, archive_url, tmp_path):
    await run_update(database, "CREATE TABLE mine (a DOUBLE PRECISION, b VARCHAR(20))")

    async def check(text):
        await archive.check(compile_template(text, archive.kind))

    await check("INSERT INTO mine VALUES (:value, '{PARAM.device_id}: 100%')")
    await check("UPDATE mine SET a = CAST(a AS DECIMAL(9)) % :value WHERE b LIKE '5%'")
    for text, message in [
        ("INSERT INTO nowhere VALUES (:value)", "nowhere"),
        ("INSERT INTO mine (c) VALUES (:value)", "c"),
        ("INSERT INTO mine VALUES (:value", "incomplete|syntax"),
        ("INSERT INTO mine VALUES (:value, :value, :value)", "values|column"),
        ("UPDATE mine SET", "incomplete|syntax"),
    ]:
        with pytest.raises(StatementError, match=f"(?i){message}"):
            await check(text)
    assert await run_sql(archive_url, tmp_path, "SELECT * FROM mine") == []
