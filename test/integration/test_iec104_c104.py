"""The codec against lib60870, by way of the c104 package: what it sends we read, what we send it reads.

c104 knows no CP24Time2a; for those types there is tshark (``test_iec104_tshark.py``). It compares the annotations
of callbacks with its own classes, so there is no ``from __future__ import annotations`` here.
"""

import asyncio
import contextlib
import queue
from collections.abc import Iterator
from datetime import UTC, datetime
from typing import Any

from msgspec.structs import replace

from pydatacoll.protocols.iec104 import control as c
from pydatacoll.protocols.iec104 import elements as e
from pydatacoll.protocols.iec104.asdu import Asdu, InformationObject, decode, encode
from pydatacoll.protocols.iec104.times import Zone
from pydatacoll.protocols.iec104.types import BY_NAME, TYPES, Tag
from test.iec104_asdus import WHEN, time_tag
from test.integration.iec104_peer import Peer, listening
from test.lib60870 import lib60870

c104 = lib60870()

CA = 47
TIMEOUT = 30
SELECTED, NOWHERE = 777, 999
TAGGED = datetime.fromtimestamp(WHEN, UTC)
Q, B = c104.Quality, c104.BinaryCounterQuality
Start, Output, Packed = c104.StartEvents, c104.OutputCircuits, c104.PackedSingle

# names, element, the same in words of c104
MONITORED: list[tuple[str, e.Element, Any]] = [
    ("SP_NA SP_TB", e.SinglePoint(True), (c104.SingleInfo, True, Q())),
    ("SP_NA SP_TB", e.SinglePoint(False, e.IV | e.BL), (c104.SingleInfo, False, Q.Invalid | Q.Blocked)),
    ("DP_NA DP_TB", e.DoublePoint(2, e.NT), (c104.DoubleInfo, c104.Double.ON, Q.NonTopical)),
    ("DP_NA DP_TB", e.DoublePoint(1), (c104.DoubleInfo, c104.Double.OFF, Q())),
    ("DP_NA DP_TB", e.DoublePoint(0, e.SB), (c104.DoubleInfo, c104.Double.INTERMEDIATE, Q.Substituted)),
    ("DP_NA DP_TB", e.DoublePoint(3), (c104.DoubleInfo, c104.Double.INDETERMINATE, Q())),
    ("ST_NA ST_TB", e.StepPosition(-64, True, e.SB), (c104.StepInfo, c104.Int7(-64), True, Q.Substituted)),
    ("ST_NA ST_TB", e.StepPosition(63, False, e.OV), (c104.StepInfo, c104.Int7(63), False, Q.Overflow)),
    ("BO_NA BO_TB", e.BitString(0x78563412), (c104.BinaryInfo, c104.Byte32(b"\x12\x34\x56\x78"), Q())),
    (
        "ME_NA ME_TD",
        e.Normalized(-0.5, e.OV | e.IV),
        (c104.NormalizedInfo, c104.NormalizedFloat(-0.5), Q.Overflow | Q.Invalid),
    ),
    ("ME_NA ME_TD", e.Normalized(0.25), (c104.NormalizedInfo, c104.NormalizedFloat(0.25), Q())),
    ("ME_NB ME_TE", e.Scaled(-1234, e.IV), (c104.ScaledInfo, c104.Int16(-1234), Q.Invalid)),
    ("ME_NB ME_TE", e.Scaled(32767), (c104.ScaledInfo, c104.Int16(32767), Q())),
    ("ME_NC ME_TF", e.ShortFloat(230.25, e.OV | e.NT), (c104.ShortInfo, 230.25, Q.Overflow | Q.NonTopical)),
    ("ME_NC ME_TF", e.ShortFloat(-(2.0**-100)), (c104.ShortInfo, -(2.0**-100), Q())),
    (
        "IT_NA IT_TB",
        e.Counter(-5, 17, True, True, True),
        (c104.BinaryCounterInfo, -5, c104.UInt5(17), B.Carry | B.Adjusted | B.Invalid),
    ),
    ("IT_NA IT_TB", e.Counter(2**31 - 1, 31), (c104.BinaryCounterInfo, 2**31 - 1, c104.UInt5(31), B())),
    (
        "EP_TD",
        e.ProtectionEvent(2, e.EI, 1500),
        (c104.ProtectionEventInfo, c104.EventState.ON, c104.UInt16(1500), Q.ElapsedTimeInvalid),
    ),
    (
        "EP_TE",
        e.ProtectionStart(0x05, e.BL, 20),
        (c104.ProtectionStartInfo, Start.General | Start.PhaseL2, c104.UInt16(20), Q.Blocked),
    ),
    (
        "EP_TF",
        e.ProtectionOutput(0x09, e.IV, 300),
        (c104.ProtectionCircuitInfo, Output.General | Output.PhaseL3, c104.UInt16(300), Q.Invalid),
    ),
    (
        "PS_NA",
        e.PackedSingles(0x8001, 0x0080, e.IV),
        (c104.StatusAndChanged, Packed.I0 | Packed.I15, Packed.I7, Q.Invalid),
    ),
    ("ME_ND", e.NormalizedOnly(0.25), (c104.NormalizedInfo, c104.NormalizedFloat(0.25), Q())),
]


def monitored() -> Iterator[tuple[int, e.Element, Any]]:
    """Type, element and information object of c104."""
    for names, element, (make, *arguments) in MONITORED:
        for name in names.split():
            info = BY_NAME[f"M_{name}_1"]
            recorded = {} if info.tag is Tag.NONE else {"recorded_at": TAGGED}
            yield info.number, element, make(*arguments, **recorded)


def described(info: Any) -> dict[str, str]:
    """What it says, in words."""
    names = [
        name for name in dir(info) if not name.startswith("_") and name not in ("processed_at", "is_readonly")
    ]
    return {"class": type(info).__name__} | {name: str(getattr(info, name)) for name in names}


@contextlib.asynccontextmanager
async def served(server: Any):
    """A connection to a server of c104 that has answered a general interrogation."""
    before = listening()
    server.start()
    try:
        (port,) = listening() - before
        peer = await Peer.connect(port)
        peer.send(encode(Asdu(100, 6, CA, (InformationObject(0, c.Interrogation()),), originator=5)))
        answers = [decode(await peer.receive())]
        while answers[-1].cause != 10:
            answers.append(decode(await peer.receive()))
        yield peer, answers
        await peer.close()
    finally:
        server.stop()


async def test_we_read_what_lib60870_sends() -> None:
    server = c104.Server(ip="127.0.0.1", port=0, tick_rate_ms=50)
    station = server.add_station(common_address=CA)
    batches = []
    for at, (type_id, element, info) in enumerate(monitored()):
        # consecutive addresses become SQ = 1, others SQ = 0
        addresses = [0x10000 + 16 * at, 0x10001 + 16 * at, 0x10005 + 16 * at]
        points = [station.add_point(io_address=address, type=c104.Type(type_id)) for address in addresses]
        for point in points:
            point.info = info
        for few in ((0, 1), (0, 2)):
            batch = c104.Batch(c104.Cot.SPONTANEOUS, [points[index] for index in few])
            batches.append((type_id, element, [addresses[index] for index in few], batch))
    async with asyncio.timeout(TIMEOUT), served(server) as (peer, answers):
        assert answers[0] == Asdu(100, 7, CA, (InformationObject(0, c.Interrogation()),), originator=5)
        assert {answer.cause for answer in answers[1:-1]} == {20}
        assert {each.address for answer in answers[1:-1] for each in answer.objects}
        for type_id, element, addresses, batch in batches:
            assert await asyncio.to_thread(server.transmit_batch, batch)
            octets = await peer.receive()
            asdu = decode(octets)
            assert (asdu.type_id, asdu.cause, asdu.common_address) == (type_id, 3, CA)
            assert asdu.sequence == (addresses[1] == addresses[0] + 1)
            assert [(each.address, each.element) for each in asdu.objects] == [(at, element) for at in addresses]
            for each in asdu.objects:
                assert (each.time is not None) == (TYPES[type_id].tag is not Tag.NONE)
                assert each.time is None or Zone().seconds(each.time) == WHEN


async def test_lib60870_reads_what_we_send() -> None:
    seen: queue.SimpleQueue[tuple[Any, ...]] = queue.SimpleQueue()

    def on_receive(
        point: c104.Point, previous_info: c104.Information, message: c104.IncomingMessage
    ) -> c104.ResponseState:
        seen.put((message.type.value, point.io_address, message.cot.value, described(point.info)))
        return c104.ResponseState.SUCCESS

    states: queue.SimpleQueue[Any] = queue.SimpleQueue()

    def on_state_change(connection: c104.Connection, state: c104.ConnectionState) -> None:
        states.put(state)

    peers: asyncio.Queue[Peer] = asyncio.Queue()

    async def accept(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await peers.put(Peer(reader, writer))

    listener = await asyncio.start_server(accept, "127.0.0.1", 0)
    client = c104.Client(tick_rate_ms=50)
    connection = client.add_connection("127.0.0.1", listener.sockets[0].getsockname()[1], c104.Init.MUTED)
    connection.on_state_change(callable=on_state_change)
    station = connection.add_station(common_address=CA)
    expected = list(monitored())
    for at, (type_id, _, _) in enumerate(expected):
        point = station.add_point(io_address=100 + at, type=c104.Type(type_id))
        point.on_receive(callable=on_receive)
    command = station.add_point(io_address=5000, type=c104.Type.C_SE_TC_1)
    command.info = c104.ShortCmd(-2.5, c104.UInt7(3), recorded_at=TAGGED)
    client.start()
    try:
        async with asyncio.timeout(TIMEOUT):
            peer = await peers.get()
            # c104 may send no STARTDT at all when it shall do so as soon as it is connected
            while await asyncio.to_thread(states.get, True, TIMEOUT) != c104.ConnectionState.OPEN_MUTED:
                pass
            assert await asyncio.to_thread(connection.unmute)
            await peer.started()
            for at, (type_id, element, info) in enumerate(expected):
                tag = time_tag(TYPES[type_id].tag, WHEN)
                peer.send(encode(Asdu(type_id, 3, CA, (InformationObject(100 + at, element, tag),))))
                assert await asyncio.to_thread(seen.get, True, TIMEOUT) == (type_id, 100 + at, 3, described(info))
            # and the other direction: what a controlling station sends
            assert await asyncio.to_thread(
                connection.interrogation, CA, qualifier=c104.Qoi.GROUP_3, wait_for_response=False
            )
            assert decode(await peer.receive()).objects == (InformationObject(0, c.Interrogation(23)),)
            assert await asyncio.to_thread(
                connection.counter_interrogation,
                CA,
                qualifier=c104.Rqt.GROUP_2,
                freeze=c104.Frz.FREEZE_WITH_RESET,
                wait_for_response=False,
            )
            assert decode(await peer.receive()).objects == (InformationObject(0, c.CounterInterrogation(2, 2)),)
            assert await asyncio.to_thread(connection.clock_sync, CA, wait_for_response=False)
            clock = decode(await peer.receive())
            assert (clock.type_id, clock.cause, clock.objects[0].element) == (103, 6, None)
            assert clock.objects[0].time is not None
            assert Zone().seconds(clock.objects[0].time) is not None
            assert await asyncio.to_thread(connection.test, CA, with_time=True, wait_for_response=False)
            test = decode(await peer.receive())
            assert (test.type_id, test.cause, type(test.objects[0].element)) == (107, 6, c.TestCounter)
            sending = asyncio.create_task(asyncio.to_thread(command.transmit, c104.Cot.ACTIVATION))
            octets = await peer.receive()
            sent = decode(octets)
            assert (sent.type_id, sent.cause) == (63, 6)
            assert sent.objects[0].element == c.ShortFloatSetPoint(-2.5, 3)
            confirmation = Asdu(63, 7, CA, sent.objects, originator=sent.originator)
            peer.send(encode(confirmation))
            assert await sending
            await peer.close()
    finally:
        client.stop()
        listener.close()
        await listener.wait_closed()


COMMANDS: list[tuple[str, e.Element, Any]] = [
    ("SC_NA SC_TA", c.SingleCommand(True, 1), (c104.SingleCmd, True, c104.Qoc.SHORT_PULSE)),
    ("DC_NA DC_TA", c.DoubleCommand(2, 2), (c104.DoubleCmd, c104.Double.ON, c104.Qoc.LONG_PULSE)),
    ("RC_NA RC_TA", c.StepCommand(1, 3), (c104.StepCmd, c104.Step.LOWER, c104.Qoc.PERSISTENT)),
    ("SE_NA SE_TA", c.NormalizedSetPoint(-0.75), (c104.NormalizedCmd, c104.NormalizedFloat(-0.75), c104.UInt7(0))),
    ("SE_NB SE_TB", c.ScaledSetPoint(-2, 127), (c104.ScaledCmd, c104.Int16(-2), c104.UInt7(127))),
    ("SE_NC SE_TC", c.ShortFloatSetPoint(1.25, 64), (c104.ShortCmd, 1.25, c104.UInt7(64))),
    ("BO_NA BO_TA", c.BitStringCommand(0x78563412), (c104.BinaryCmd, c104.Byte32(b"\x12\x34\x56\x78"))),
]


async def test_lib60870_obeys_what_we_command() -> None:
    seen: queue.SimpleQueue[tuple[Any, ...]] = queue.SimpleQueue()

    def on_receive(
        point: c104.Point, previous_info: c104.Information, message: c104.IncomingMessage
    ) -> c104.ResponseState:
        seen.put((message.type.value, message.is_select_command, message.is_test, described(point.info)))
        return c104.ResponseState.SUCCESS

    server = c104.Server(ip="127.0.0.1", port=0, tick_rate_ms=50)
    station = server.add_station(common_address=CA)
    commands = []
    for names, element, (make, *arguments) in COMMANDS:
        for name in names.split():
            info = BY_NAME[f"C_{name}_1"]
            recorded = {} if info.tag is Tag.NONE else {"recorded_at": TAGGED}
            point = station.add_point(io_address=info.number, type=c104.Type(info.number))
            point.on_receive(callable=on_receive)
            object_ = InformationObject(info.number, element, time_tag(info.tag, WHEN))
            commands.append((Asdu(info.number, 6, CA, (object_,), originator=5), make(*arguments, **recorded)))
    point = station.add_point(
        io_address=SELECTED, type=c104.Type.C_SC_NA_1, command_mode=c104.CommandMode.SELECT_AND_EXECUTE
    )
    point.on_receive(callable=on_receive)
    async with asyncio.timeout(TIMEOUT), served(server) as (peer, _):
        for asdu, info in commands:
            peer.send(encode(asdu))
            assert await asyncio.to_thread(seen.get, True, TIMEOUT) == (
                asdu.type_id,
                False,
                False,
                described(info),
            )
            confirmed = decode(await peer.receive())
            assert (confirmed.type_id, confirmed.cause, confirmed.negative) == (asdu.type_id, 7, False)
            assert (confirmed.objects, confirmed.originator) == (asdu.objects, 5)
        chosen = Asdu(45, 6, CA, (InformationObject(SELECTED, c.SingleCommand(True, select=True)),))
        for select in (True, False):
            asdu = replace(chosen, objects=(InformationObject(SELECTED, c.SingleCommand(True, 1, select)),))
            peer.send(encode(asdu))
            confirmed = await answer_for(peer, SELECTED)
            assert (confirmed.cause, confirmed.negative, confirmed.objects) == (7, False, asdu.objects)
        assert await asyncio.to_thread(seen.get, True, TIMEOUT) == (45, False, False, described(commands[0][1]))
        peer.send(encode(replace(chosen, objects=(InformationObject(NOWHERE, c.SingleCommand(True)),))))
        assert (await answer_for(peer, NOWHERE)).negative


async def answer_for(peer: Peer, address: int) -> Asdu:
    """The next answer that concerns this address and is no termination."""
    while True:
        asdu = decode(await peer.receive())
        if asdu.objects[0].address == address and asdu.cause != 10:
            return asdu
