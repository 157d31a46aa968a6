"""Selections of one device: what is left in the audit trail when one ends by itself."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest

from pydatacoll.errors import DeviceOffline, Invalid
from pydatacoll.manager.selection import AFTER, Selections
from pydatacoll.model import Device, Sample, Term, TermItem
from pydatacoll.sdk import DriverContext, Point, Selected, WriteRequest, WriteResult
from pydatacoll.testing.fakes import FakeSink
from pydatacoll.testing.model import Plain

DEVICE = Device(id="rtu", name="", protocol="plain")
POINT = Point(
    Term(id="bay", name="", device_id="rtu"),
    TermItem(term_id="bay", item_id="breaker", protocol_code="1", writable=True),
)


class Holding(Plain):
    """Holds every selection, and knows no other value than 1; ``lost``: the link is cut at each confirmation."""

    seconds = 20.0
    lost = False

    def __init__(self, device: Device, context: DriverContext) -> None:
        super().__init__(device, context)
        self.selected = 0

    @classmethod
    def check_select(cls, device: Device, term: Term, item: TermItem) -> None: ...

    async def select(self, request: WriteRequest) -> Selected:
        self.selected += 1
        held = Selected(f"s{self.selected}", self.seconds)
        if self.lost:
            self.context.given_up(held.id, "lost with the link")
        await asyncio.sleep(0)
        return held

    async def execute(self, selection: str, request: WriteRequest) -> WriteResult:
        if request.value != 1:
            raise Invalid("another value")
        return Sample(1.0, request.value)

    async def cancel(self, selection: str, point: Point) -> None: ...


class Rig:
    def __init__(self, driver_type: type[Holding] = Holding) -> None:
        self.entries: list[dict[str, Any]] = []
        self.driver = driver_type(DEVICE, DriverContext(FakeSink()))
        self.selections = Selections(self.driver, {POINT.field: POINT}, self.entries.append)
        self.driver.context.given_up = self.selections.given_up

    async def select(self, **who: str) -> str:
        held = await self.selections.select(DEVICE, POINT.field, 1, 5.0, **who)
        return str(held["selection_id"])


async def test_it_is_told_who_selected_what_and_how_it_ended() -> None:
    rig = Rig()
    first = await rig.select(user="eve", source="10.0.0.1")
    second = await rig.select(user="bob")
    rig.driver.context.given_up(first, "")
    rig.driver.context.given_up(second, "the station refuses the deactivation")
    rig.driver.context.given_up(second, "once more")
    assert [(e["selection_id"], e["user"], e["source"], e["result"]) for e in rig.entries] == [
        (first, "eve", "10.0.0.1", "ok (its time was over)"),
        (second, "bob", "", "the station refuses the deactivation"),
    ]
    assert {(e["action"], e["object"], e["after"], *e["devices"]) for e in rig.entries} == {
        ("select.given_up", "rtu:bay:breaker", 1, "rtu")
    }
    assert all(entry["ended"].endswith("Z") for entry in rig.entries)


async def test_a_selection_that_was_lost_before_it_could_be_told_is_none() -> None:
    class Cut(Holding):
        lost = True

    rig = Rig(Cut)
    with pytest.raises(DeviceOffline, match="lost with the link"):
        await rig.select()
    assert rig.entries == []  # who asked is told, and that is in the trail


async def test_of_what_was_cancelled_nothing_more_is_told() -> None:
    rig = Rig()
    selection = await rig.select()
    await rig.selections.cancel(DEVICE, POINT.field, selection)
    rig.driver.context.given_up(selection, "")
    assert rig.entries == []


async def test_what_a_driver_does_not_tell_of_is_not_kept_for_ever() -> None:
    class Silent(Holding):
        seconds = -2 * AFTER

    rig = Rig(Silent)
    selection = await rig.select()
    await rig.select()
    rig.driver.context.given_up(selection, "")
    assert rig.entries == []


async def test_an_execute_with_another_value_leaves_the_selection_to_end_by_itself() -> None:
    rig = Rig()
    selection = await rig.select(user="eve")
    (wrong,) = await rig.selections.execute(DEVICE, [WriteRequest(POINT, 2)], [selection])
    assert isinstance(wrong, Invalid)
    rig.driver.context.given_up(selection, "")
    assert [entry["user"] for entry in rig.entries] == ["eve"]
