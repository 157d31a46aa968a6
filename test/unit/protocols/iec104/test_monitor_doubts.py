"""Which late events make the monitor doubt what is shown."""

from __future__ import annotations

import pytest

from pydatacoll.protocols.iec104 import elements as e
from test.unit.protocols.iec104.monitor_rig import MonitorRig


@pytest.fixture
def rig() -> MonitorRig:
    return MonitorRig({1: "M_ME_TF_1", 2: "M_ME_TF_1"})


def doubts_of(rig):
    found = []
    rig.monitor.doubted = found.append
    return found


def test_late_events_that_say_something_else_than_is_shown_are_doubted(rig):
    found = doubts_of(rig)
    rig.current(1.0)
    rig.current(2.0, address=2)
    rig.event(5.0, -3600)
    assert found == [{(1, 1): rig.points["1"]}]
    rig.event(2.0, -3600, address=2)
    assert len(found) == 1
    assert rig.late == [5.0, 2.0]
    rig.asdu(36, (2, e.ShortFloat(2.0, e.IV), -3599))  # the same value of another quality
    assert found[1:] == [{(1, 2): rig.points["2"]}]


def test_only_the_last_late_event_of_an_asdu_decides_on_a_doubt(rig):
    found = doubts_of(rig)
    rig.current(1.0)
    rig.asdu(36, (1, e.ShortFloat(5.0), -3600), (1, e.ShortFloat(1.0), -3599))
    assert (rig.late, found) == ([5.0, 1.0], [])


@pytest.mark.parametrize("options", [{"cause": 1}, {"cause": 5}, {"cause": 20}])
def test_what_is_late_and_no_event_is_not_doubted(rig, options):
    found = doubts_of(rig)
    rig.event(1.0)
    rig.event(5.0, -3600, **options)
    assert (rig.late, found) == ([5.0], [])


def test_a_protection_event_is_no_state_to_be_asked_for():
    rig = MonitorRig({1: "M_EP_TD_1"})
    found = doubts_of(rig)
    rig.asdu(38, (1, e.ProtectionEvent(1, elapsed=0)))
    rig.asdu(38, (1, e.ProtectionEvent(2, elapsed=0), -3600))
    assert (len(rig.late), found) == (1, [])


def test_a_clock_that_is_right_is_shown_without_a_sign(rig):
    rig.monitor.clock_changed(1, known=True)
    rig.wall_ahead += 0.0001
    assert str(rig.monitor.status()["clocks"]["1"]["ahead"]) == "0.0"
