"""The other end of an IEC 104 connection, written by hand: frames and numbers, no state machine, no time-outs."""

from __future__ import annotations

import asyncio
import contextlib
import os
from pathlib import Path

STARTDT_ACT = bytes.fromhex("680407000000")
STARTDT_CON = bytes.fromhex("68040b000000")
TESTFR_ACT = bytes.fromhex("680443000000")
TESTFR_CON = bytes.fromhex("680483000000")


def i_frame(asdu: bytes, sent: int, received: int) -> bytes:
    numbers = (sent << 1 & 0xFFFF).to_bytes(2, "little") + (received << 1 & 0xFFFF).to_bytes(2, "little")
    return bytes([0x68, len(asdu) + 4]) + numbers + asdu


class Peer:
    """Sends and receives ASDUs; acknowledges each."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._reader = reader
        self._writer = writer
        self._sent = 0
        self._received = 0

    @classmethod
    async def connect(cls, port: int) -> Peer:
        """As controlling station, started."""
        peer = cls(*await asyncio.open_connection("127.0.0.1", port))
        peer._writer.write(STARTDT_ACT)
        assert await peer._frame() == STARTDT_CON
        return peer

    async def started(self) -> None:
        """As controlled station: until the other one has started us."""
        assert await self._frame() == STARTDT_ACT
        self._writer.write(STARTDT_CON)

    def send(self, asdu: bytes) -> None:
        self._writer.write(i_frame(asdu, self._sent, self._received))
        self._sent += 1

    async def receive(self) -> bytes:
        """The next ASDU."""
        while True:
            frame = await self._frame()
            if not frame[2] & 1:
                self._received += 1
                self._writer.write(b"\x68\x04\x01\x00" + (self._received << 1).to_bytes(2, "little"))
                return frame[6:]
            if frame == TESTFR_ACT:
                self._writer.write(TESTFR_CON)

    async def _frame(self) -> bytes:
        head = await self._reader.readexactly(2)
        return head + await self._reader.readexactly(head[1])

    async def close(self) -> None:
        self._writer.close()
        await self._writer.wait_closed()


def listening() -> set[int]:
    """The ports on which this process listens: c104 takes port 0 but does not say which one it became."""
    sockets = set()
    for descriptor in os.listdir("/proc/self/fd"):
        with contextlib.suppress(FileNotFoundError):
            sockets.add(os.readlink(f"/proc/self/fd/{descriptor}"))
    rows = [line.split() for line in Path("/proc/net/tcp").read_text().splitlines()[1:]]
    return {
        int(row[1].rpartition(":")[2], 16) for row in rows if row[3] == "0A" and f"socket:[{row[9]}]" in sockets
    }
