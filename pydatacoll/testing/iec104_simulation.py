"""Simulated RTUs as a program: one or hundreds of them in one process."""

from __future__ import annotations

import asyncio
import copy
import random
import ssl
from collections.abc import Callable, Sequence
from contextlib import AsyncExitStack
from dataclasses import dataclass
from functools import partial

from pydatacoll.protocols.iec104.parameters import Parameters
from pydatacoll.protocols.iec104.times import Zone
from pydatacoll.protocols.iec104.types import find
from pydatacoll.testing.iec104_faults import Iec104Fault, Iec104Faults
from pydatacoll.testing.iec104_points import COUNTER_TYPES, Iec104Point
from pydatacoll.testing.iec104_rtu import Iec104Rtu
from pydatacoll.testing.simulation import allow_sockets

_SHARES = (
    # of a hundred points; every so many of them is commanded, 0: none
    ("M_SP_NA_1", 40, 10),
    ("M_DP_NA_1", 10, 1),
    ("M_ST_NA_1", 5, 1),
    ("M_ME_NC_1", 35, 10),
    ("M_ME_NB_1", 5, 0),
    ("M_IT_NA_1", 5, 0),
)
"""A process image such as a substation's."""
_FEW = 10_000
_GROUPS = 16
_SELECTED = "M_DP_NA_1"


def points_like_a_substation(commons: Sequence[int], number: int) -> list[Iec104Point]:
    """``number`` points of each common address: states, positions, measurements, counters and their commands.

    The addresses of each type begin at 1, 10001, 20001 and so on; with more than 10,000 points at 1, 1000001, ...
    Double points are selected before they are operated.
    """
    distance = _FEW if number <= _FEW else _FEW * 100
    made: list[Iec104Point] = []
    for common in commons:
        left = number
        for kind, (name, share, commanded) in enumerate(_SHARES):
            some = left if kind == len(_SHARES) - 1 else min(left, -(-number * share // 100))
            left -= some
            for at in range(some):
                made.append(
                    _point(
                        name,
                        common,
                        kind * distance + at + 1,
                        at,
                        command=bool(commanded) and at % commanded == 0,
                    )
                )
    return made


def points_of_types(commons: Sequence[int], number: int, types: Sequence[str]) -> list[Iec104Point]:
    """``number`` points of each common address, of each type as many, at consecutive addresses from 1.

    :raises ValueError: a type that carries no value of a point.
    """
    return [
        _point(types[at * len(types) // number], common, at + 1, at, command=False)
        for common in commons
        for at in range(number)
    ]


def _point(name: str, common: int, address: int, at: int, *, command: bool) -> Iec104Point:
    counter = find(name).number in COUNTER_TYPES
    return Iec104Point(
        address=address,
        common=common,
        type=name,
        value=1 if name == _SELECTED else 0,
        group=at % 4 + 1 if counter else at % _GROUPS + 1,
        command=command,
        select=command and name == _SELECTED,
        moves=partial(_count, at) if counter else None,
    )


def _count(at: int, elapsed: float) -> int:
    """A counter that grows by one or more a second."""
    return int(1000 * at + elapsed * (1 + at % 10)) % 2**31


@dataclass(frozen=True, slots=True, kw_only=True)
class Simulation:
    """Simulated RTUs that are alike.

    :ivar port: of the first; the others, and their further paths, follow; 0: any free ones, for one RTU only.
    :ivar commons: common addresses.
    :ivar points: of each common address.
    :ivar types: of the points, as many of each; none: a mixture such as a substation's.
    :ivar rate: events per second of each RTU, see :meth:`Iec104Rtu.stream`.
    :ivar tick: seconds between two bursts of them.
    :ivar bad: share of the points that are not topical now and then.
    :ivar number: how many RTUs; each has values, events and fault rules of its own.
    :ivar paths: ports of each, as of a redundancy group.
    :ivar faults: rules of each, first match wins.
    :ivar seed: of the faults' probabilities; an RTU's own is this plus its number from 0.
    :ivar time_zone: of the clock: UTC, +01:00 or a name.

    The others are those of :class:`Iec104Rtu`.
    """

    host: str = "127.0.0.1"
    port: int = 0
    commons: Sequence[int] = (1,)
    points: int = 100
    types: Sequence[str] = ()
    rate: float = 0.0
    tick: float = 0.02
    bad: float = 0.0
    number: int = 1
    paths: int = 1
    faults: Sequence[Iec104Fault] = ()
    seed: int = 0
    k: int = 12
    w: int = 8
    time_zone: str = "UTC"
    clock_offset: float = 0.0
    cyclic: float = 0.0
    background: float = 0.0
    tls: ssl.SSLContext | None = None

    def image(self) -> list[Iec104Point]:
        """The points of one RTU.

        :raises ValueError: a type that carries no value of a point.
        """
        if self.types:
            return points_of_types(self.commons, self.points, self.types)
        return points_like_a_substation(self.commons, self.points)

    def rtu(self, at: int, points: Sequence[Iec104Point]) -> Iec104Rtu:
        """One of the RTUs, not yet started; ``points``: its image.

        :raises ValueError: an unknown time zone.
        """
        return Iec104Rtu(
            points,
            host=self.host,
            port=self.port + at * self.paths if self.port else 0,
            paths=self.paths,
            parameters=Parameters(k=self.k, w=self.w),
            zone=Zone.parse(self.time_zone),
            clock_offset=self.clock_offset,
            announce=True,
            cyclic=self.cyclic,
            background=self.background,
            faults=Iec104Faults([copy.copy(fault) for fault in self.faults], random.Random(self.seed + at)),
            tls=self.tls,
        )


async def simulate(simulation: Simulation, on_ready: Callable[[list[int]], None] | None = None) -> None:
    """Run RTUs until cancelled.

    :param on_ready: called with the ports once all listen: those of the first RTU, then those of the next.
    :raises ValueError: a type that carries no value, an unknown time zone, or ports beyond 65535.
    :raises OSError: a port is taken.
    """
    sockets = simulation.number * simulation.paths
    if simulation.number > 1 and not 0 < simulation.port <= 65536 - sockets:
        raise ValueError(f"{sockets} ports need a first one of 1 to {65536 - sockets}")
    allow_sockets(sockets)
    ports: list[int] = []
    points = simulation.image()
    async with AsyncExitStack() as stack:
        for at in range(simulation.number):
            rtu = await stack.enter_async_context(simulation.rtu(at, points))
            if simulation.rate:
                rtu.stream(simulation.rate, tick=simulation.tick, bad=simulation.bad)
            ports += rtu.ports
        if on_ready is not None:
            on_ready(ports)
        await asyncio.Event().wait()


def tls_context(certificate: str | None, key: str | None, ca: str | None) -> ssl.SSLContext | None:
    """What a station needs for IEC 62351-3; ``None`` without certificate.

    :param ca: of the certificates that clients must have; without it they need none.
    :raises ValueError: a key or CA without certificate.
    :raises OSError: a file cannot be read, or holds something else.
    """
    if certificate is None:
        if key is not None or ca is not None:
            raise ValueError("TLS needs the station's own certificate")
        return None
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    context.load_cert_chain(certificate, key)
    if ca is not None:
        context.load_verify_locations(ca)
        context.verify_mode = ssl.CERT_REQUIRED
    return context
