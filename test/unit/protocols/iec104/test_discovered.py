"""Addresses that send and have no point: enough to make a point list of."""

from __future__ import annotations

import pytest

from pydatacoll.protocols.iec104 import discovered
from pydatacoll.protocols.iec104 import elements as e
from pydatacoll.sdk import Quality
from test.unit.protocols.iec104.monitor_rig import START, MonitorRig


@pytest.fixture
def rig() -> MonitorRig:
    return MonitorRig({1: "M_ME_TF_1"})


def test_an_address_without_point_is_listed_with_its_last_value(rig):
    rig.wait(10)
    rig.asdu(1, (5, e.SinglePoint(False)), common=2)
    rig.asdu(30, (5, e.SinglePoint(True, e.BL), -1), common=2)
    (found,) = rig.monitor.discovered.list()
    assert (found.address, found.protocol_code, found.code_type, found.note) == (2, "5", "M_SP_TB_1", "")
    assert (found.value, found.quality, found.time, found.count) == (True, 8, START + 9, 2)
    assert found.cause == "spontaneous"
    assert rig.shown == []


def test_the_type_with_tag_stands_for_the_address_the_last_value_may_be_without(rig):
    rig.wait(10)
    rig.asdu(36, (5, e.ShortFloat(1.0), -1))
    rig.asdu(13, (5, e.ShortFloat(2.0)))
    (found,) = rig.monitor.discovered.list()
    assert (found.code_type, found.value, found.time) == ("M_ME_TF_1", 2.0, START + 10)
    rig.asdu(11, (5, e.Scaled(3)))
    assert rig.monitor.discovered.list()[0].code_type == "M_ME_NB_1"


def test_the_known_ones_of_the_same_asdu_are_taken(rig):
    rig.asdu(13, (0x010005, e.ShortFloat(1.0)), (1, e.ShortFloat(2.0)), (7, e.ShortFloat(3.0, e.IV)))
    assert rig.shown == [2.0]
    assert [(one.protocol_code, one.value) for one in rig.monitor.discovered.list()] == [
        ("7", 3.0),
        ("65541", 1.0),
    ]


def test_consecutive_addresses(rig):
    rig.asdu(13, *((n, e.ShortFloat(float(n))) for n in range(4)), sequence=True)
    assert [one.protocol_code for one in rig.monitor.discovered.list()] == ["0", "2", "3"]


def test_what_is_configured_later_disappears(rig):
    rig.asdu(13, (5, e.ShortFloat(1.0)), (6, e.ShortFloat(1.0)), (7, e.ShortFloat(1.0)), (8, e.ShortFloat(1.0)))
    rig.configure({1: "M_ME_TF_1", 5: "M_ME_NC_1", 6: "M_SP_NA_1", 7: None})
    assert [(one.protocol_code, one.note) for one in rig.monitor.discovered.list()] == [
        ("6", "configured as M_SP_NA_1"),
        ("8", ""),
    ]
    rig.configure({1: "M_ME_TF_1"})
    assert [one.note for one in rig.monitor.discovered.list()] == ["", ""]


def test_the_list_is_bounded_and_the_rest_counted(rig, monkeypatch):
    monkeypatch.setattr(discovered, "LIMIT", 3)
    for address in range(10, 15):
        rig.asdu(13, (address, e.ShortFloat(1.0)))
    rig.asdu(13, (10, e.ShortFloat(2.0)))
    assert [(one.protocol_code, one.count) for one in rig.monitor.discovered.list()] == [
        ("10", 2),
        ("11", 1),
        ("12", 1),
    ]
    status = rig.monitor.status()
    assert (status["discovered"], status["unlisted_values"]) == (3, 2)
    assert rig.context.counters["unconfigured_values"] == 6


@pytest.mark.parametrize("value", [float("nan"), float("inf"), float("-inf")])
def test_what_is_no_finite_number_is_listed_as_invalid_without_value(rig, value):
    rig.asdu(13, (5, e.ShortFloat(value, e.SB)))
    (found,) = rig.monitor.discovered.list()
    assert (found.value, found.quality) == (None, int(Quality.INVALID | Quality.SUBSTITUTED))
    rig.asdu(13, (5, e.ShortFloat(1.0)))
    assert [(one.value, one.quality) for one in rig.monitor.discovered.list()] == [(1.0, 0)]
