"""The diagnosis: what is wrong is named with what to do."""

from __future__ import annotations

import pytest

from pydatacoll.health import checks
from pydatacoll.health.checks import Check
from pydatacoll.health.readiness import remedy_of
from pydatacoll.store.overview import GroupState, ManagerReport, Overview
from pydatacoll.store.plugin_reports import PluginReport
from pydatacoll.store.status import Link

INFO = {
    "valkey_version": "9.1.2",
    "aof_enabled": 1,
    "aof_last_write_status": "ok",
    "maxmemory_policy": "noeviction",
    "used_memory": 1_500_000,
    "maxmemory": 0,
}


def overview(**more: object) -> Overview:
    given: dict[str, object] = {
        "time": 1000.0,
        "info": INFO,
        "keys": 5,
        "layout": "2",
        "owners": ["m1", "m1"],
        "streams": [1, 2],
    }
    return Overview(**(given | more))  # type: ignore[arg-type]


def report(**more: object) -> ManagerReport:
    given: dict[str, object] = {"reported": 999.0, "host": "h", "pid": 1, "devices": 3, "pending": 0}
    return ManagerReport(**(given | more))  # type: ignore[arg-type]


def bad(found: list[Check]) -> list[tuple[str, str]]:
    assert all(check.remedy for check in found if check.status != "ok")
    assert all(check.detail for check in found)
    return [(check.check, check.status) for check in found if check.status != "ok"]


def test_a_sound_store_has_nothing_to_complain_about() -> None:
    found = list(checks.store(INFO, embedded=True))
    assert bad(found) == []
    assert found[0].detail == "Valkey 9.1.2, embedded"
    assert {check.check for check in found} == {"store", "persistence", "memory"}


@pytest.mark.parametrize(
    ("change", "expected"),
    [
        ({"aof_enabled": 0}, ("persistence", "warning")),
        ({"aof_last_write_status": "err"}, ("persistence", "failed")),
        ({"aof_last_bgrewrite_status": "err"}, ("persistence", "warning")),
        ({"maxmemory_policy": "allkeys-lru"}, ("eviction", "failed")),
        ({"maxmemory": 1_600_000}, ("memory", "warning")),
        ({"maxmemory": 1_500_000}, ("memory", "failed")),
    ],
)
def test_what_is_wrong_with_a_store(change: dict[str, object], expected: tuple[str, str]) -> None:
    assert bad(list(checks.store(INFO | change, embedded=False))) == [expected]


def test_managers_and_what_they_cannot_write() -> None:
    sound = list(checks.managers(overview(managers={"m1": report()})))
    assert bad(sound) == []
    assert sound[0].detail == "1 alive, 2 partitions, 3 devices running"
    found = list(checks.managers(overview(owners=["m1", None], managers={"m1": report(error="OOM", pending=7)})))
    assert bad(found) == [("managers", "failed"), ("writing", "failed")]
    assert "1 of 2 partitions" in found[0].detail
    assert "7 samples wait: OOM" in found[1].detail


def test_devices_that_are_away_are_named_longest_first() -> None:
    links = {f"d{n}": Link("backoff", float(100 - n), f"refused {n}") for n in range(7)}
    links |= {"good": Link("connected"), "virtual": Link("virtual"), "off": Link("disabled")}
    check = checks.devices(links)
    assert check.status == "warning"
    assert check.detail.startswith("2 of 10 connected, 1 disabled; d6: refused 6; d5: ")
    assert check.detail.endswith("; and 2 more")
    assert checks.devices({"good": Link("connected")}).status == "ok"
    assert checks.devices({}).status == "ok"


def test_a_device_that_is_connected_again_but_answers_nothing_is_not_well() -> None:
    check = checks.devices({"d": Link("connected", 1.0, "nothing is answered")})
    assert check.status == "warning"
    assert check.detail == "1 of 1 connected; d: nothing is answered"


def test_without_a_manager_nothing_is_said_about_devices() -> None:
    links = {f"d{n}": Link("no_manager", 1.0, "refused") for n in range(3)}
    check = checks.devices(links)
    assert (check.status, check.detail) == ("warning", "nothing is known of 3 devices while no manager runs them")
    assert "network" not in check.remedy
    assert "device_manager" in check.remedy
    some = checks.devices(links | {"up": Link("connected")})
    assert some.status == "warning"
    assert some.detail == "1 of 4 connected, nothing is known of 3 that no manager runs"
    assert "network" not in some.remedy
    away = checks.devices(links | {"away": Link("backoff", 1.0, "refused")})
    assert away.detail == "0 of 4 connected, nothing is known of 3 that no manager runs; away: refused"
    assert checks.points(links, {"d1": {"points": 5, "bad_points": 5}}).status == "ok"


def test_a_device_that_is_connected_and_never_sends_a_value_is_not_well() -> None:
    detail = {"points": 2, "bad_points": 0, "last_seen": None}
    links = {name: Link("connected", 1000.0) for name in ("mute", "seen", "empty", "new", "unknown")}
    links |= {"young": Link("connected", 1050.0), "away": Link("backoff", 1.0)}
    details = dict.fromkeys(("mute", "young", "away"), detail)
    details |= {"seen": {**detail, "last_seen": 5.0}, "empty": {**detail, "points": 0}}
    (check,) = checks.silent(links, details, 1000.0 + checks.SILENT + 1)
    assert (check.check, check.status) == ("values", "warning")
    assert check.detail == "1 devices are connected and have never sent a value: mute"
    assert check.remedy
    assert not list(checks.silent(links, details, 1000.0))
    many = {f"d{n}": Link("connected", 1.0) for n in range(7)}
    (check,) = checks.silent(many, dict.fromkeys(many, detail), 100.0)
    assert check.detail.endswith("d4; and 2 more")


def test_points_of_bad_quality_are_told_by_device_worst_first() -> None:
    links = {f"d{n}": Link("connected", 1.0) for n in range(8)}
    links["d3"] = Link("connected", 1.0, "nothing is answered")
    details = {f"d{n}": {"points": 10, "bad_points": n} for n in range(8)} | {"other": {"points": 1}}
    check = checks.points(links, details)
    assert (check.check, check.status) == ("points", "warning")
    assert check.detail == (
        "28 of 80 have a bad quality; d7: 7 of 10; d6: 6 of 10; d5: 5 of 10; d4: 4 of 10; "
        "d3: 3 of 10 (nothing is answered); and 2 more devices"
    )
    assert check.remedy
    sound = checks.points({"d": Link("connected")}, {"d": {"points": 4}})
    assert (sound.status, sound.detail) == ("ok", "4, none of bad quality")


@pytest.mark.parametrize(("off", "status"), [(0.5, "ok"), (-0.5, "ok"), (5.0, "warning"), (-3600.0, "failed")])
def test_clocks(off: float, status: str) -> None:
    assert checks.clock(1000.0 + off, 1000.0, 0.01).status == status
    said = list(checks.manager_clocks(overview(managers={"m1": report(reported=1000.0 + off)}), 2.0))
    assert bool(said) == (status != "ok")


def test_disk_and_rights() -> None:
    assert checks.disk("/d", 50_000_000_000, 100_000_000_000).status == "ok"
    assert checks.disk("/d", 5_000_000_000, 100_000_000_000).status == "warning"
    assert checks.disk("/d", 500_000_000, 1_000_000_000).status == "warning"
    assert checks.disk("/d", 50_000_000, 1_000_000_000).status == "failed"
    assert checks.rights("/d", 0o700, "x") is None
    found = checks.rights("/d", 0o755, "the data directory")
    assert found is not None
    assert found.remedy == "chmod go-rwx '/d'"


def plugin_report(state: str, error: str | None = None) -> PluginReport:
    return PluginReport(
        reported=0.0, host="h", pid=1, state=state, partitions=[], handled=0, retries=0, dead_lettered=0,
        last_error=error,
    )  # fmt: skip


def test_plugins_that_are_behind_or_stand_still() -> None:
    now = overview().time
    groups = {
        "late": GroupState(lag=50, samples=5000, oldest=now - 99),
        "lossy": GroupState(dropped=12, dead_lettered=3),
        "fine": GroupState(lag=3, oldest=now - 1),
        "outside": GroupState(pending=1, oldest=now - 99),
    }
    reports = {
        "fine": {"r1": plugin_report("running"), "r2": plugin_report("running")},
        "broken": {"r1": plugin_report("failing", "ValueError: x")},
        "late": {"r1": plugin_report("running")},
        "gone": {},
    }
    found = list(checks.plugins(overview(groups=groups), ["fine", "late", "broken", "gone"], reports))
    assert [check.detail for check in found] == [
        "no runner of gone is alive",
        "broken: failing: ValueError: x (runner r1)",
        "late is 99 s and 5000 samples behind",
        "lossy has missed 12 samples since ever: it was too slow",
        "lossy could not handle 3 samples since ever",
        "outside is 99 s and 0 samples behind",
    ]
    assert [check.status for check in found] == ["failed"] * 2 + ["warning"] * 4
    assert "start more runners" in found[2].remedy
    assert "XGROUP DESTROY" in found[5].remedy
    assert list(checks.plugins(overview(), [], {})) == []
    (sound,) = checks.plugins(overview(groups={"a": GroupState()}), ["a"], {"a": {"r": plugin_report("running")}})
    assert (sound.status, sound.detail) == ("ok", "a")


def test_a_plugin_that_nobody_enables_holds_samples() -> None:
    groups = {
        "old": GroupState(oldest=900.0, samples=5000),
        "idle": GroupState(),
        "fresh": GroupState(oldest=990.0),
    }
    reports: dict[str, dict[str, PluginReport]] = {"old": {}, "idle": {}, "fresh": {}}
    (check,) = checks.plugins(overview(time=1000.0, groups=groups), [], reports)
    assert (check.status, check.detail) == (
        "warning",
        "old is not enabled, and 5000 samples are held for it since 100 s",
    )
    assert "pydatacoll plugins forget old" in check.remedy


def test_a_certificate_that_ends() -> None:
    day = 86_400.0
    assert checks.certificate("c", 90 * day).status == "ok"
    assert checks.certificate("c", 3 * day).detail == "c ends in 3 days"
    assert checks.certificate("c", -1).status == "failed"


@pytest.mark.parametrize(
    ("said", "remedy"),
    [
        ("the store refuses: command not allowed when used memory > 'maxmemory'.", "raise its maxmemory"),
        ("the store refuses: OOM command not allowed", "raise its maxmemory"),
        ("MISCONF Errors writing to the AOF file: No space left on device", "make room"),
        ("the store refuses: You can't write against a read only replica.", "primary"),
        ("NOREPLICAS Not enough good replicas to write.", "replicas"),
        ("the store refuses: Authentication required.", "redis.url"),
        ("the store refuses: this user has no permissions to run the 'set' command", "ACL SETUSER"),
        ("something new", "see its log"),
    ],
)
def test_a_refusal_has_a_remedy(said: str, remedy: str) -> None:
    assert remedy in remedy_of(said)
