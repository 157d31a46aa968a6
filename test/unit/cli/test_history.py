"""``pydatacoll history``."""

from __future__ import annotations

from test.unit.cli.conftest import Stub

SAMPLE = {
    "device_id": "d",
    "term_id": "t",
    "item_id": "i",
    "time": "2026-11-21T09:00:00.000000Z",
    "value": 230.5,
    "quality": "good",
}
BUCKET = {
    **{name: SAMPLE[name] for name in ("device_id", "term_id", "item_id", "time")},
    "min": 1.0,
    "max": 3.0,
    "mean": 2.0,
    "count": 3,
    "bad": 1,
    "last": None,
    "last_time": SAMPLE["time"],
    "quality": ["comm_lost"],
}


def test_samples_are_asked_for_as_the_options_say(stub: Stub) -> None:
    stub.json([SAMPLE])
    result = stub.run(
        "history", "d:t:i", "--since", "2h", "--until", "2026-11-21T10:00:00Z", "-n", "7", "-o", "table"
    )
    assert result.exit_code == 0
    assert result.stdout.split()[:3] == ["TIME", "VALUE", "QUALITY"]
    assert "230.5" in result.stdout
    path = stub.seen[-1][1]
    for part in (
        "/api/v2/history?",
        "device_id=d",
        "term_id=t",
        "item_id=i",
        "limit=7",
        "until=2026-11-21T10",
        "since=20",
    ):
        assert part in path, part


def test_without_a_time_the_newest_are_shown(stub: Stub) -> None:
    stub.json([])
    stub.run("history", "d:t:i")
    assert "limit=100" in stub.seen[-1][1]
    stub.run("history", "d:t:i", "--since", "1d")
    assert "limit" not in stub.seen[-1][1]


def test_buckets_have_their_own_columns(stub: Stub) -> None:
    stub.json([BUCKET])
    result = stub.run("history", "d:t:i", "--buckets", "10", "-o", "table")
    assert result.stdout.split()[:8] == ["TIME", "MIN", "MAX", "MEAN", "COUNT", "BAD", "LAST", "QUALITY"]
    assert "buckets=10" in stub.seen[-1][1]
    assert "limit" not in stub.seen[-1][1]


def test_what_contradicts_is_refused(stub: Stub) -> None:
    assert stub.run("history", "d:t:i", "--buckets", "10", "-n", "5").exit_code == 2
    assert stub.run("history", "d:*:i").exit_code == 2
    assert stub.seen == []
