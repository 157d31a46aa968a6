"""Which alarms a point can have, and their names."""

from __future__ import annotations

from typing import Any

import pytest

from pydatacoll.model import PointId, TermItem
from pydatacoll.model.alarm import AlarmId, kinds_of


@pytest.mark.parametrize(
    ("options", "kinds"),
    [
        ({}, set()),
        ({"up_limit": 0.0}, {"high", "quality"}),
        ({"down_limit": 0.0}, {"low", "quality"}),
        ({"high_high": 1.0, "low_low": 0.0}, {"high_high", "low_low", "quality"}),
        ({"do_verify": "value"}, {"rule", "quality"}),
        ({"do_verify": "value", "quality_alarm": False}, {"rule"}),
        ({"quality_alarm": True}, {"quality"}),
        ({"stale_after": 5.0}, {"stale"}),
        ({"stale_after": 5.0, "quality_alarm": True}, {"stale", "quality"}),
        ({"stale_after": 5.0, "quality_alarm": False, "up_limit": 1.0}, {"high"}),
        ({"hysteresis": 1.0, "alarm_delay": 1.0, "warn_msg": "x", "alarm_priority": "high"}, set()),
    ],
)
def test_kinds(options: Any, kinds: set[str]) -> None:
    assert kinds_of(TermItem(term_id="t", item_id="i", **options)) == kinds


def test_an_alarm_is_known_by_its_point_and_its_kind() -> None:
    alarm = AlarmId.parse("d-1:t.2:i_3:high_high")
    assert (alarm.point, alarm.kind) == (PointId("d-1", "t.2", "i_3"), "high_high")
    assert str(alarm) == "d-1:t.2:i_3:high_high"


@pytest.mark.parametrize("bad", ["", "d:t:i", "d:t:i:", "d:t:i:x", "d:t:i:high:high", "a:d:t:i:high"])
def test_what_is_no_alarm(bad: str) -> None:
    with pytest.raises(ValueError, match="device:term:item:kind"):
        AlarmId.parse(bad)
