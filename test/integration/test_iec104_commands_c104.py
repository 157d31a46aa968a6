"""Our commands to a station of lib60870, by way of the c104 package: direct and selected, obeyed and refused.

c104 compares the annotations of callbacks with its own classes, so there is no ``from __future__ import
annotations`` here.
"""

import asyncio
import queue
from typing import Any

import pytest

from pydatacoll.errors import DeviceRefused
from pydatacoll.protocols.iec104.types import BY_NAME
from pydatacoll.sdk import Executed, WriteRequest
from test.lib60870 import lib60870

from .iec104_peer import listening
from .iec104_rig import Rig, point

c104 = lib60870()

CA = 47
TIMEOUT = 30

COMMANDS: list[tuple[str, Any, Any]] = [
    ("C_SC_NA_1", True, True),
    ("C_DC_NA_1", 2, c104.Double.ON),
    ("C_RC_NA_1", 1, c104.Step.LOWER),
    ("C_SE_NA_1", -0.75, c104.NormalizedFloat(-0.75)),
    ("C_SE_NB_1", -2, c104.Int16(-2)),
    ("C_SE_NC_1", 1.25, 1.25),
    ("C_BO_NA_1", 0x78563412, c104.Byte32(b"\x12\x34\x56\x78")),
]


class Station:
    """A server of c104 with a point for each command; every other one must be selected."""

    def __init__(self, *, tagged: bool) -> None:
        self.seen: queue.SimpleQueue[tuple[int, str]] = queue.SimpleQueue()
        self.obeys = c104.ResponseState.SUCCESS
        self.server = c104.Server(ip="127.0.0.1", port=0, tick_rate_ms=50)
        station = self.server.add_station(common_address=CA)
        self.points = []

        def on_receive(
            point: c104.Point, previous_info: c104.Information, message: c104.IncomingMessage
        ) -> c104.ResponseState:
            self.seen.put((point.io_address, str(point.value)))
            return self.obeys

        for index, (name, _, _) in enumerate(COMMANDS):
            info = BY_NAME[name]
            number = info.tagged_command if tagged else info.number
            select = index % 2 == 0 and name != "C_BO_NA_1"
            mode = c104.CommandMode.SELECT_AND_EXECUTE if select else c104.CommandMode.DIRECT
            one = station.add_point(io_address=index + 1, type=c104.Type(number), command_mode=mode)
            one.on_receive(callable=on_receive)
            options = {"writable": True, "command_mode": "select" if select else "direct"}
            self.points.append(point(index + 1, name, common=CA, **options))
        self.nobody = point(99, "C_SC_NA_1", common=CA, writable=True)

    def __enter__(self) -> int:
        before = listening()
        self.server.start()
        (port,) = listening() - before
        return port

    def __exit__(self, *_: object) -> None:
        self.server.stop()


@pytest.mark.parametrize("tagged", [False, True])
async def test_every_command_is_obeyed(tagged: bool) -> None:
    station = Station(tagged=tagged)
    async with asyncio.timeout(TIMEOUT):
        with station as port:
            options = {"command_time_tag": tagged, "originator": 5, "termination_timeout": 2.0}
            async with Rig(port, station.points, subscribed=False, **options) as rig:
                values = [value for _, value, _ in COMMANDS]
                results = await rig.driver.write(list(map(WriteRequest, station.points, values)))
                unexpected = rig.counters["command_answers_unexpected"]
    outcomes = [result.outcome for result in results if isinstance(result, Executed)]
    assert len(outcomes) == len(COMMANDS)
    # c104 terminates nothing but what was selected, and that from another thread than it confirms: on a busy
    # machine the termination of some comes first, belongs to nothing yet, and they stay confirmed
    selected = [p.item.command_mode == "select" for p in station.points]
    left = outcomes.count("confirmed") - selected.count(False)
    assert {outcome for outcome, one in zip(outcomes, selected, strict=True) if not one} == {"confirmed"}
    assert set(outcomes) <= {"terminated", "confirmed"}
    assert unexpected <= left
    seen = dict(station.seen.get_nowait() for _ in COMMANDS)
    assert seen == {at: str(theirs) for at, (_, _, theirs) in enumerate(COMMANDS, 1)}
    assert station.seen.empty()


async def test_what_it_refuses() -> None:
    station = Station(tagged=False)
    station.obeys = c104.ResponseState.FAILURE
    async with asyncio.timeout(TIMEOUT):
        with station as port:
            points = [*station.points, station.nobody]
            async with Rig(port, points, subscribed=False) as rig:
                results = await rig.driver.write(
                    [
                        WriteRequest(station.points[1], 2),  # it does not want to
                        WriteRequest(station.points[0], True, mode="direct"),  # not selected
                        WriteRequest(station.nobody, True),
                    ]
                )
                told = [result.outcome for result in results if isinstance(result, DeviceRefused)]
                assert told == ["negative", "negative", "negative"]  # its cause 47 is a second answer


@pytest.mark.parametrize("tagged", [False, True])
async def test_a_selection_is_held_there_until_its_execute(tagged: bool) -> None:
    station = Station(tagged=tagged)
    async with asyncio.timeout(TIMEOUT):
        with station as port:
            options = {"command_time_tag": tagged, "termination_timeout": 2.0}
            async with Rig(port, station.points, subscribed=False, **options) as rig:
                request = WriteRequest(station.points[0], True)
                cancelled = await rig.driver.select(request)
                await rig.driver.cancel(cancelled.id, request.point)
                selected = await rig.driver.select(request)
                assert station.seen.empty()
                result = await rig.driver.execute(selected.id, request)
                assert isinstance(result, Executed)
                # on a busy machine c104's termination may come before its confirmation, and is none then
                assert result.outcome in {"terminated", "confirmed"}
                assert result.sample.value is True
                assert rig.counters["command_cancelled"] == 1
    assert station.seen.get_nowait() == (1, "True")
    assert station.seen.empty()
