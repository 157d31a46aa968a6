"""The points of a device by where they are."""

from __future__ import annotations

from pydatacoll.errors import DeviceRefused
from pydatacoll.protocols.iec104 import Iec104Device, Iec104Term, Iec104TermItem
from pydatacoll.protocols.iec104.targets import Targets
from pydatacoll.sdk import Point

DEVICE = Iec104Device(id="d", name="d", protocol="iec104")


def point(address, code_type="M_ME_NC_1", *, common=1, name=None, **options):
    term = Iec104Term(id=f"t{common}", name="t", device_id="d", address=common)
    item = Iec104TermItem(
        term_id=term.id, item_id=name or f"i{address}", protocol_code=str(address), code_type=code_type, **options
    )
    return Point(term, item)


def test_what_a_list_says():
    targets = Targets(DEVICE)
    points = [point(1), point(2, "M_IT_NA_1", common=3), point(4, "C_SC_NA_1", common=9)]
    targets.configure(points)
    assert targets.terms == {"t1": 1, "t3": 3, "t9": 9}
    assert (targets.stations, targets.with_counters, targets.grown) == ({1, 3, 9}, {3}, {1, 3})
    assert list(targets.monitored.values()) == points[:2]


def test_terms_without_points_are_stations_which_may_have_counters():
    targets = Targets(DEVICE)
    terms = [Iec104Term(id=f"t{n}", name="t", device_id="d", address=n) for n in (1, 2, 3)]
    targets.configure_terms(terms)
    targets.configure([point(1), point(2, "M_IT_NA_1", common=2)])
    assert targets.terms == {"t1": 1, "t2": 2, "t3": 3}
    assert (targets.stations, targets.with_counters) == ({1, 2, 3}, {2, 3})
    targets.configure_terms(terms[:1])
    targets.configure([])
    assert (targets.terms, targets.with_counters) == ({"t1": 1}, {1})


def test_only_stations_of_which_more_is_wanted_have_grown():
    targets = Targets(DEVICE)
    targets.configure([point(1), point(1, common=2), point(1, common=3)])
    targets.configure([point(1), point(1, common=2), point(2, common=2), point(1, common=4)])
    assert targets.grown == {2, 4}
    targets.configure([point(1, "M_SP_NA_1"), point(1, common=2)])
    assert targets.grown == {1}  # what came for the point before was of another type
    targets.configure([point(1, "M_SP_NA_1")])
    assert (targets.grown, targets.stations) == (set(), {1})


def test_what_takes_the_place_of_a_point_or_is_scaled_otherwise_wants_its_value():
    targets = Targets(DEVICE)
    for changed in (point(1), point(1, name="other"), point(1, name="other", coefficient=0.1)):
        targets.configure([changed, point(1, common=2)])
        assert 1 in targets.grown
        assert targets.moved == []
    targets.configure([point(1, name="other", coefficient=0.1, deadband=5.0), point(1, common=2)])
    assert targets.grown == set()


def test_a_point_that_comes_from_elsewhere_has_moved():
    targets = Targets(DEVICE)
    stays = point(9)
    for changed in (point(1, name="p"), point(2, name="p"), point(2, "M_SP_NA_1", name="p")):
        targets.configure([changed, stays])
        assert targets.moved == ([] if changed.item.protocol_code == "1" else [changed])
        assert targets.grown == {1}


def test_a_point_without_a_right_address_is_refused_alone():
    targets = Targets(DEVICE)
    wrong = point("x")
    targets.configure([wrong, point(1)])
    assert len(targets.all) == 1
    assert isinstance(targets.of(wrong), DeviceRefused)
    assert targets.of(point(7)).address.object == 7  # not configured, and not kept
    assert len(targets.all) == 1
