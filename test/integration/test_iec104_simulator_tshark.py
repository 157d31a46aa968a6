"""What the simulated RTU says, as tshark reads it: types, causes, addresses, nothing malformed."""

from __future__ import annotations

import json
import subprocess
from pathlib import Path
from typing import Any

from pydatacoll.protocols.iec104 import control as c
from pydatacoll.protocols.iec104.asdu import decode
from pydatacoll.testing.iec104_rtu import Iec104Rtu
from pydatacoll.testing.iec104_simulation import points_like_a_substation

from .iec104_master import Master, master
from .iec104_peer import i_frame
from .test_iec104_tshark import PREFIX, capture, environment


class Recorder(Master):
    """Keeps what it receives."""

    def __init__(self, station: Master) -> None:
        super().__init__(station.peer)
        self.octets: list[bytes] = []

    async def next(self) -> Any:
        self.octets.append(await self.peer.receive())
        return decode(self.octets[-1])


def dissected(path: Path) -> list[dict[str, Any]]:
    command = ["tshark", "-r", str(path), "-T", "json"]
    output = subprocess.run(command, capture_output=True, check=True, timeout=60, env=environment()).stdout
    assert b"_ws.malformed" not in output
    return [packet["_source"]["layers"]["iec60870_asdu"] for packet in json.loads(output)]


async def test_tshark_reads_a_whole_session(tmp_path: Path) -> None:
    async with Iec104Rtu(points_like_a_substation([1], 200), announce=True) as rtu, master(rtu.port) as station:
        recorder = Recorder(station)
        assert (await recorder.next()).type_id == 70
        await recorder.interrogate()
        recorder.send(101, c.CounterInterrogation())
        await recorder.until_terminated()
        recorder.send(103, time=rtu.zone.tag(1_709_210_096.789))
        await recorder.next()
        for select in (True, False):
            recorder.send(46, c.DoubleCommand(2, select=select), address=10_001)
            await recorder.next()
        await recorder.until_terminated()
        await recorder.ask(102, address=30_002, cause=5)
        await recorder.ask(102, address=99, common=9, cause=5)
        rtu.stream(10_000.0)
        for _ in range(50):
            await recorder.next()
    path = tmp_path / "session.pcap"
    capture(path, [i_frame(octets, number, 0) for number, octets in enumerate(recorder.octets)])
    packets = dissected(path)
    assert len(packets) == len(recorder.octets)
    found = [
        tuple(int(packet[PREFIX + name]) for name in ("typeid", "causetx", "nega", "numix", "sq", "addr"))
        for packet in packets
    ]
    own = [decode(octets) for octets in recorder.octets]
    assert found == [
        (asdu.type_id, asdu.cause, asdu.negative, len(asdu.objects), asdu.sequence, asdu.common_address)
        for asdu in own
    ]
    assert {1, 3, 5, 11, 13, 15, 30, 31, 36, 46, 70, 100, 101, 102, 103} <= {type_id for type_id, *_ in found}
