"""A controlling station for tests: asks, and collects what comes; frames by hand, see :mod:`iec104_peer`."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress

from pydatacoll.protocols.iec104 import control as c
from pydatacoll.protocols.iec104.asdu import Asdu, InformationObject, decode, encode
from pydatacoll.protocols.iec104.elements import Element
from pydatacoll.protocols.iec104.times import Cp56

from .iec104_peer import Peer

CON, TERM = 7, 10


class Master:
    """One started connection."""

    def __init__(self, peer: Peer) -> None:
        self.peer = peer

    async def next(self) -> Asdu:
        """The next ASDU."""
        return decode(await self.peer.receive())

    def send(
        self,
        type_id: int,
        element: Element | None = None,
        *,
        address: int = 0,
        cause: int = 6,
        common: int = 1,
        time: Cp56 | None = None,
    ) -> None:
        objects = (InformationObject(address, element, time),)
        self.peer.send(encode(Asdu(type_id, cause, common, objects, originator=9)))

    async def ask(
        self,
        type_id: int,
        element: Element | None = None,
        *,
        address: int = 0,
        cause: int = 6,
        common: int = 1,
        time: Cp56 | None = None,
    ) -> Asdu:
        """The answer to something that has one."""
        self.send(type_id, element, address=address, cause=cause, common=common, time=time)
        return await self.next()

    async def until_terminated(self) -> list[Asdu]:
        """Everything up to and with the next termination or negative confirmation."""
        found = [await self.next()]
        while found[-1].cause != TERM and not found[-1].negative:
            found.append(await self.next())
        return found

    async def interrogate(self, group: int = 20, *, common: int = 1) -> list[Asdu]:
        """Confirmation, values, termination."""
        self.send(100, c.Interrogation(group), common=common)
        return await self.until_terminated()

    async def values(self, group: int = 20, *, common: int = 1) -> dict[int, Element | None]:
        """What an interrogation brings, by address; each address once."""
        confirmed, *answers, terminated = await self.interrogate(group, common=common)
        assert (confirmed.cause, terminated.cause) == (CON, TERM)
        assert {(answer.cause, answer.common_address) for answer in answers} <= {(group, common)}
        objects = [each for answer in answers for each in answer.objects]
        assert all(each.time is None for each in objects)
        found = {each.address: each.element for each in objects}
        assert len(found) == len(objects)
        return found


@asynccontextmanager
async def master(port: int) -> AsyncIterator[Master]:
    """A started connection that is closed afterwards."""
    peer = await Peer.connect(port)
    try:
        yield Master(peer)
    finally:
        with suppress(ConnectionResetError):  # the other end was faster
            await peer.close()
