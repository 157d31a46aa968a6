"""The newest state of everything, in the order of changes."""

from __future__ import annotations

import json
from typing import Any

import pytest

from pydatacoll.live import hub as live_hub
from pydatacoll.live.changes import Changes, Event
from pydatacoll.live.hub import Hub
from pydatacoll.live.selection import Selection
from pydatacoll.live.subscription import Group, Subscription
from pydatacoll.model import Sample
from pydatacoll.model.batch import DeviceBatch

FIELDS = frozenset({"t:a", "t:b", "t:c"})


def _hub(*devices: str) -> Hub:
    hub = Hub()
    for device_id in devices:
        hub.watch(device_id, FIELDS)
        hub.load(device_id, {}, (10, 0))
    return hub


def _all(hub: Hub, globs: tuple[str, ...] = ("*",)) -> Selection:
    selection = Selection(globs, None, None)
    for state in list(hub.devices.values()):
        selection.resolve(state.id, state.fields)
    return selection


def _put(hub: Hub, device_id: str, at: int, *, late: bool = False, **values: Any) -> None:
    fields = [f"t:{name}" for name in values]
    hub.apply(DeviceBatch(device_id, fields, 1.5, list(values.values()), 0, late), (at, 0))


def _values(rows: list[str]) -> dict[str, Any]:
    return {row[0]: row[2] for row in map(json.loads, rows)}


def test_only_what_changed_after_a_number_is_told_and_only_the_newest() -> None:
    hub = _hub("d", "e")
    everything = _all(hub)
    _put(hub, "d", 11, a=1, b=1)
    seen = hub.seq
    _put(hub, "e", 12, a=1)
    _put(hub, "d", 13, b=2)
    _put(hub, "d", 14, b=3)
    assert _values(hub.rows_since(everything, seen)) == {"e:t:a": 1, "d:t:b": 3}
    assert _values(hub.rows_since(everything, hub.seq)) == {}
    assert _values(list(hub.rows(everything))) == {"d:t:a": 1, "d:t:b": 3, "e:t:a": 1}


def test_what_the_latest_values_hold_already_is_not_taken_from_the_stream_again() -> None:
    hub = _hub("d")
    hub.load("d", {"t:a": Sample(9.0, 5)}, (20, 3))
    _put(hub, "d", 20, a=1)
    assert _values(list(hub.rows(_all(hub)))) == {"d:t:a": 5}
    _put(hub, "d", 21, a=6)
    assert _values(list(hub.rows(_all(hub)))) == {"d:t:a": 6}


def test_late_samples_and_points_that_are_not_in_the_model_change_nothing() -> None:
    hub = _hub("d")
    _put(hub, "d", 11, a=1)
    seen = hub.seq
    _put(hub, "d", 12, late=True, a=0)
    _put(hub, "d", 13, z=1)
    _put(hub, "unknown", 14, a=1)
    assert hub.rows_since(_all(hub), seen) == []


def test_reading_the_latest_values_again_tells_only_what_differs() -> None:
    hub = _hub("d")
    hub.load("d", {"t:a": Sample(1.0, 1), "t:b": Sample(1.0, True), "t:c": Sample(1.0, 0.0)}, (20, 0))
    seen = hub.seq
    hub.load("d", {"t:a": Sample(1.0, 1), "t:b": Sample(1.0, 1), "t:c": Sample(1.0, 0.0, 2)}, (30, 0))
    assert _values(hub.rows_since(_all(hub), seen)) == {"d:t:b": 1, "d:t:c": 0.0}


def test_what_only_confirms_a_value_is_told_later_and_a_change_at_once() -> None:
    hub = _hub("d")
    everything = _all(hub)
    _put(hub, "d", 11, a=1, b=True)
    seen = hub.seq
    changes = [
        hub.apply(DeviceBatch("d", ["t:a", "t:b"], 3.0, [1, True]), (12, 0)),
        hub.apply(DeviceBatch("d", ["t:a"], 4.0, [1]), (13, 0)),
    ]
    assert changes == [False, False]
    assert hub.rows_since(everything, seen) == []
    assert hub.apply(DeviceBatch("d", ["t:b"], 5.0, [1]), (14, 0)), "1 is not true"
    assert _values(hub.rows_since(everything, seen)) == {"d:t:b": 1}
    seen = hub.seq
    hub.confirm()
    times = {row[0]: row[1] for row in map(json.loads, hub.rows_since(everything, seen))}
    assert times["d:t:a"] == "1970-01-01T00:00:04.000000Z"
    seen = hub.seq
    hub.confirm()
    assert hub.seq == seen
    assert hub.apply(DeviceBatch("d", ["t:a"], 6.0, [1], 32), (15, 0)), "the quality is another"


def test_a_time_that_is_in_no_calendar_hides_its_own_point_only() -> None:
    hub = _hub("d")
    for number, time in enumerate((1e300, float("nan"), float("inf"), -1e14)):
        hub.apply(DeviceBatch("d", ["t:a"], time, [1]), (11 + number, 0))
        _put(hub, "d", 20 + number, b=number)
        assert _values(hub.rows_since(_all(hub), 0)) == {"d:t:b": number}
        assert _values(list(hub.rows(_all(hub)))) == {"d:t:b": number}


def test_values_of_a_device_that_nobody_renews_are_told_with_the_flag() -> None:
    hub = _hub("d")
    _put(hub, "d", 11, a=1)
    seen = hub.seq
    hub.flag("d", 32)
    assert [json.loads(row)[3] for row in hub.rows_since(_all(hub), seen)] == [["comm_lost"]]
    seen = hub.seq
    hub.flag("d", 32)
    assert hub.seq == seen


def test_points_that_are_gone_are_told_to_those_who_had_them() -> None:
    hub = _hub("d")
    mine, other = _all(hub), _all(hub, ("d:t:b",))
    _put(hub, "d", 11, a=1, b=1)
    seen = hub.seq
    assert hub.model("d", FIELDS - {"t:a"})
    for selection in (mine, other):
        selection.resolve("d", FIELDS - {"t:a"})
    assert hub.gone_since(mine, seen) == ["d:t:a"]
    assert hub.gone_since(other, seen) == []
    assert hub.gone_since(mine, hub.seq) == []
    hub.model("d", FIELDS)
    mine.resolve("d", FIELDS)
    assert hub.gone_since(mine, seen) == ["d:t:a"]  # what it was then is no value of the new one
    hub.load("d", {"t:a": Sample(9.0, 5), "t:b": Sample(1.5, 1)}, (12, 0))
    assert hub.gone_since(mine, seen) == []  # it is there again


def test_a_value_that_the_store_lost_is_gone() -> None:
    hub = _hub("d")
    mine = _all(hub)
    _put(hub, "d", 11, a=1, b=1)
    seen = hub.seq
    hub.load("d", {"t:b": Sample(1.5, 1)}, (12, 0))
    assert (_values(hub.rows_since(mine, seen)), hub.gone_since(mine, seen)) == ({}, ["d:t:a"])
    assert _values(list(hub.rows(mine))) == {"d:t:b": 1}


def test_a_device_that_somebody_begins_to_watch_hides_no_change_of_others() -> None:
    hub = _hub("d")
    everything = _all(hub)
    seen = hub.seq
    _put(hub, "d", 11, a=1)
    hub.watch("e", FIELDS)
    assert _values(hub.rows_since(everything, seen)) == {"d:t:a": 1}


def test_who_is_behind_what_is_forgotten_begins_anew(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(live_hub, "GONE_KEPT", 2)
    hub = _hub("d")
    group = Group(hub, _all(hub), ("values",))
    one = Subscription('"s"', group, 0, None)
    assert [piece.resumed for piece in one.snapshot(hub)] == [False]
    hub.model("d", frozenset())
    one.due = hub.seq
    assert one.batch(hub) is None
    assert one.lost
    assert [piece.points for piece in one.snapshot(hub)] == [3]


def test_who_comes_back_gets_what_he_missed_and_who_is_unknown_everything() -> None:
    hub = _hub("d")
    group = Group(hub, _all(hub), ("values", "alarms"))
    _put(hub, "d", 11, a=1, b=1)
    seen = hub.seq
    _put(hub, "d", 12, b=2)
    for resume, rows in (((hub.epoch, seen), 1), ((hub.epoch, hub.seq), 0), (("x", seen), 2), (None, 2)):
        (piece,) = Subscription('"s"', group, 0, resume).snapshot(hub)
        found = json.loads("{" + piece.body.json().decode()[1:] + "}")
        assert (len(found["c"]), found["alarms"]) == (rows, [])
        assert piece.resumed is (rows < 2)


def test_those_who_are_equally_far_share_one_batch() -> None:
    hub = _hub("d")
    group = Group(hub, _all(hub), ("values",))
    subscriptions = [Subscription('"s"', group, 250, None) for _ in range(3)]
    for one in subscriptions:
        list(one.snapshot(hub))
    _put(hub, "d", 11, a=1)
    bodies = []
    for one in subscriptions:
        one.due = hub.seq
        found = one.batch(hub)
        assert found is not None
        bodies.append(found[1])
    assert bodies[0] is bodies[1] is bodies[2]
    assert bodies[0].json() == b',"c":[["d:t:a","1970-01-01T00:00:01.500000Z",1,"good"]]'


def test_a_large_snapshot_comes_in_pieces_that_may_change_under_way() -> None:
    hub = Hub()
    fields = frozenset(f"t:i{n}" for n in range(2500))
    hub.watch("d", fields)
    hub.load("d", {field: Sample(1.0, 0) for field in fields}, (1, 0))
    one = Subscription('"s"', Group(hub, _all(hub), ("values",)), 0, None)
    sizes = []
    for piece in one.snapshot(hub):
        sizes.append(len(json.loads(piece.body.parts["c"])))
        hub.apply(DeviceBatch("d", sorted(fields), 2.0, [1] * 2500), (sizes[-1] + len(sizes), 0))
    assert sum(sizes) == 2500
    assert max(sizes) == 1000
    one.due = hub.seq
    assert one.batch(hub) is not None


def test_states_that_are_over_are_kept_only_for_those_who_missed_them() -> None:
    changes: Changes[str, str] = Changes(kept=2)
    changes.put("a", 1, "active")
    for seq, key in enumerate("bcd", 2):
        changes.put(key, seq, "over", final=True)
    assert dict(changes.current()) == {"a": "active"}
    assert list(changes.since(2)) == [("d", "over"), ("c", "over")]
    assert changes.floor == 2


def test_events_of_the_whole_model_and_of_others_are_not_for_a_limited_token() -> None:
    hub = Hub()
    for number, (devices, whole) in enumerate([((), False), ((), True), (("n1",), False), (("n1", "s1"), False)]):
        hub.seq += 1
        hub.events.append((hub.seq, Event(str(number), devices, whole)))
    limited = Selection(("*",), None, lambda device_id: device_id.startswith("n"))
    assert hub.events_of(limited, None) == ["0", "2"]
    assert hub.events_of(Selection(("*",), None, None), None) == ["0", "1", "2", "3"]
    assert hub.events_of(Selection(("s*",), None, None), None) == ["0", "1", "3"]
    assert hub.events_of(Selection(("*",), None, None), 2, 100) == ["2", "3"]
