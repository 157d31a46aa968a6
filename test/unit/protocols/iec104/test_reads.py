"""Reads of single points, and requests that are confirmed, over a wire that only records."""

from __future__ import annotations

import asyncio

import pytest

from pydatacoll.errors import DeviceOffline, DeviceRefused, DeviceTimeout
from pydatacoll.protocols.iec104.asdu import Asdu, InformationObject, encode
from pydatacoll.protocols.iec104.columns import decode_columns
from pydatacoll.protocols.iec104.config import Address, Iec104Device
from pydatacoll.protocols.iec104.control import TestPattern
from pydatacoll.protocols.iec104.elements import Scaled
from pydatacoll.protocols.iec104.interrogations import Request
from pydatacoll.protocols.iec104.outcomes import refusal
from pydatacoll.protocols.iec104.procedures import Procedures
from pydatacoll.protocols.iec104.times import Zone
from pydatacoll.sdk import Sample
from test.unit.protocols.iec104.command_rig import FakeWire, answer

WALL = 1_700_000_000.25


class Rig:
    def __init__(self, **options) -> None:
        options = {"command_timeout": 10.0, "interrogation_timeout": 10.0, "k": 2} | options
        device = Iec104Device(id="d", name="d", protocol="iec104", **options)
        self.values: dict[Address, int] = {}
        self.clocks: list[int] = []
        self.procedures = Procedures(
            device,
            lambda: WALL,
            taken=self.taken,
            clock_set=self.clocks.append,
            began=lambda common: None,
            ended=lambda report: None,
        )
        self.wire = FakeWire()
        self.procedures.connected(self.wire)

    def taken(self, address):
        return Sample(1.0, self.values[address]) if address in self.values else DeviceRefused("of another type")

    def read(self, address, *, counter=False):
        return asyncio.create_task(self.procedures.read(Address(1, address), counter=counter))

    def arrive(self, cause: int, *addresses: int, type_id: int = 11) -> None:
        self.values |= {Address(1, address): address * 10 for address in addresses}
        objects = tuple(InformationObject(address, Scaled(address * 10)) for address in addresses)
        self.procedures.arrived(decode_columns(encode(Asdu(type_id, cause, 1, objects))))


async def test_the_value_with_cause_request_is_the_answer():
    rig = Rig()
    task = rig.read(5)
    asked = await rig.wire.after(1)
    assert (asked.type_id, asked.cause, asked.objects[0].address) == (102, 5, 5)
    rig.arrive(3, 5)  # by itself, perhaps sent before the question arrived
    rig.arrive(5, 6)
    await asyncio.sleep(0)
    assert not task.done()
    rig.arrive(5, 4, 5)
    assert await task == Sample(1.0, 50)


async def test_at_most_k_are_on_their_way():
    rig = Rig()
    tasks = [rig.read(address) for address in (1, 2, 3)]
    await rig.wire.after(2)
    rig.arrive(5, 1)
    await rig.wire.after(3)
    rig.arrive(5, 2, 3)
    assert [sample.value for sample in await asyncio.gather(*tasks)] == [10, 20, 30]


async def test_equal_reads_are_answered_one_by_one():
    rig = Rig()
    tasks = [rig.read(1), rig.read(1)]
    await rig.wire.after(2)
    rig.arrive(5, 1)
    await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
    assert [task.done() for task in tasks] == [True, False]
    rig.arrive(5, 1)
    assert (await tasks[1]).value == 10


@pytest.mark.parametrize(("cause", "outcome"), [(47, "unknown_ioa"), (46, "unknown_ca"), (45, "unknown_cause")])
async def test_a_refusal_concerns_its_own_address(cause, outcome):
    rig = Rig()
    tasks = [rig.read(1), rig.read(2)]
    await rig.wire.after(2)
    assert rig.procedures.received(answer(rig.wire.sent[0], cause, negative=True))
    rig.arrive(5, 2)
    with pytest.raises(DeviceRefused) as caught:
        await tasks[0]
    assert caught.value.outcome == outcome
    assert (await tasks[1]).value == 20


async def test_no_answer_is_a_timeout_and_a_late_one_is_nobodys():
    rig = Rig(command_timeout=0.02)
    with pytest.raises(DeviceTimeout):
        await rig.read(1)
    rig.arrive(5, 1)
    assert not rig.procedures.received(answer(rig.wire.sent[0], 47))


async def test_what_was_not_sent_in_time_is_withdrawn():
    rig = Rig(command_timeout=0.02)
    rig.wire.full = True
    with pytest.raises(DeviceTimeout):
        await rig.read(1)
    assert not rig.wire.queued


async def test_a_value_of_another_type_is_an_error():
    rig = Rig()
    task = rig.read(1)
    await rig.wire.after(1)
    columns = decode_columns(encode(Asdu(11, 5, 1, (InformationObject(1, Scaled(1)),))))
    rig.procedures.arrived(columns)
    with pytest.raises(DeviceRefused, match="another type"):
        await task


async def test_without_the_command_an_interrogation_brings_the_point():
    rig = Rig()
    task = rig.read(1)
    await rig.wire.after(1)
    rig.procedures.received(answer(rig.wire.sent[0], 44, negative=True))
    await rig.wire.until(lambda: len(rig.wire.sent) == 2)
    assert rig.wire.sent[1].type_id == 100
    rig.arrive(20, 1)
    assert (await task).value == 10  # without waiting for the termination
    rig.procedures.received(answer(rig.wire.sent[1], 7))
    rig.procedures.received(answer(rig.wire.sent[1], 10))
    counter = rig.read(2, counter=True)
    assert (await rig.wire.after(3)).type_id == 101
    rig.procedures.received(answer(rig.wire.sent[2], 7))
    rig.procedures.received(answer(rig.wire.sent[2], 10))
    with pytest.raises(DeviceRefused) as caught:
        await counter
    assert caught.value.outcome == "unknown_ioa"


async def test_a_new_link_is_asked_again():
    rig = Rig()
    task = rig.read(1)
    await rig.wire.after(1)
    rig.procedures.received(answer(rig.wire.sent[0], 44))
    await rig.wire.after(2)
    rig.procedures.lost(DeviceOffline("lost"))
    with pytest.raises(DeviceOffline):
        await task
    with pytest.raises(DeviceOffline):
        await rig.read(1)
    rig.procedures.connected(rig.wire)
    task = rig.read(1)
    assert (await rig.wire.after(3)).type_id == 102
    rig.arrive(5, 1)
    await task


async def test_a_lost_link_ends_reads_and_requests():
    rig = Rig()
    tasks = [rig.read(1), asyncio.create_task(rig.procedures.set_clock(1)), rig.read(2), rig.read(3)]
    await rig.wire.after(3)
    rig.procedures.lost(DeviceOffline("lost"))
    for task in tasks:
        with pytest.raises(DeviceOffline):
            await task


async def test_setting_the_clock_sends_the_time_and_waits_for_the_confirmation():
    rig = Rig(time_zone="+01:00")
    task = asyncio.create_task(rig.procedures.set_clock(9))
    asked = await rig.wire.after(1)
    assert (asked.type_id, asked.cause, asked.common_address) == (103, 6, 9)
    assert asked.objects[0].time == Zone.parse("+01:00").tag(WALL)
    assert rig.wire.urgent == [True]
    assert rig.clocks == []
    assert rig.procedures.received(answer(asked, 7))
    await task
    assert rig.clocks == [9]
    assert rig.procedures.clocks.status()["9"]["outcome"] == "confirmed"


async def test_a_clock_that_is_not_set_is_shown():
    rig = Rig(command_timeout=0.02)
    with pytest.raises(DeviceTimeout):
        await rig.procedures.set_clock(9)
    assert rig.procedures.clocks.status()["9"]["outcome"] == "no_confirmation"
    task = asyncio.create_task(rig.procedures.set_clock(9))
    await rig.wire.after(2)
    rig.procedures.received(answer(rig.wire.sent[1], 7, negative=True))
    with pytest.raises(DeviceRefused):
        await task
    assert rig.procedures.clocks.status()["9"]["outcome"] == "negative"
    assert rig.clocks == []
    rig.procedures.keep([8])
    assert rig.procedures.clocks.status() == {}


async def test_answers_to_another_controlling_station_are_not_ours():
    rig = Rig(originator=3)
    task = asyncio.create_task(rig.procedures.interrogate(Request(1)))
    asked = await rig.wire.after(1)
    assert not rig.procedures.received(answer(asked, 7, originator=4, negative=True))
    assert rig.procedures.received(answer(asked, 7, originator=0))  # a station that knows no originators
    assert not rig.procedures.received(answer(asked, 10, originator=4))
    assert rig.procedures.received(answer(asked, 10))
    assert (await task).outcome == "terminated"


async def test_a_second_confirmation_is_not_waited_for():
    rig = Rig()
    task = asyncio.create_task(rig.procedures.set_clock(1))
    asked = await rig.wire.after(1)
    rig.procedures.received(answer(asked, 7))
    await task
    assert not rig.procedures.received(answer(asked, 7))


def test_a_positive_answer_is_no_refusal():
    objects = (InformationObject(0, TestPattern()),)
    assert refusal(Asdu(104, 7, 1, objects)) is None
    assert refusal(Asdu(104, 44, 1, objects)).outcome == "unknown_type"
