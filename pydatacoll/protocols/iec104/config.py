"""Options of a controlled station, its common addresses and its points, and every check that needs no device."""

from __future__ import annotations

import re
from typing import Annotated, Literal, NamedTuple

from msgspec import Meta

from pydatacoll.model import Device, Term, TermItem
from pydatacoll.protocols.iec104.asdu import MAX_ADDRESS
from pydatacoll.protocols.iec104.parameters import Parameters
from pydatacoll.protocols.iec104.types import TYPES, Direction, Tag, TypeInfo, find

DEFAULT_PORT = 2404
"""Of IEC 60870-5-104; with TLS 19998 (IEC 62351-3)."""
DEFAULT_TLS_PORT = 19998
CLOCK_INTERVAL = 3600.0
"""Seconds between two settings of the clock when ``clock_sync`` is true."""

YEAR = 86_400 * 366
"""Seconds; no interval is longer."""
_PLACE = re.compile(r"(?:\[([^\]]+)\]|([^:\[\]]+))(?::([0-9]{1,5}))?", re.ASCII)

Mode = Literal["direct", "select"]


class Iec104Device(Device, frozen=True, kw_only=True):
    """A controlled station (RTU, gateway, protection relay), with all common addresses behind its link."""

    backend: Annotated[
        Literal["native", "c104"],
        Meta(description="who speaks the protocol: our own code, or lib60870 through c104"),
    ] = "native"
    originator: Annotated[
        int, Meta(ge=0, le=255, description="originator address of what we send; 0: not used")
    ] = 0
    k: Annotated[int, Meta(ge=1, le=32_767, description="I frames sent and not yet acknowledged, at most")] = 12
    w: Annotated[int, Meta(ge=1, le=32_767, description="I frames received before they are acknowledged")] = 8
    t0: Annotated[float, Meta(ge=1, le=255, description="longest wait for the connection, seconds")] = 10.0
    t1: Annotated[float, Meta(ge=1, le=255, description="longest wait for an acknowledgement, seconds")] = 15.0
    t2: Annotated[float, Meta(ge=1, le=255, description="seconds after which is acknowledged; below t1")] = 10.0
    t3: Annotated[float, Meta(ge=1, le=172_800, description="seconds of silence before the link is tested")] = 20.0
    coll_interval: Annotated[
        float,
        Meta(ge=0, le=YEAR, description="seconds between general interrogations; 0: only when needed"),
    ] = 900.0
    counter_interval: (
        Annotated[
            float,
            Meta(ge=0, le=YEAR, description="seconds between counter interrogations, of terms with counters; "
                 "0: never; unset: as coll_interval"),
        ]
        | None
    ) = None  # fmt: skip
    interrogation_timeout: Annotated[
        float, Meta(ge=1, le=3600, description="longest silence during an interrogation, seconds")
    ] = 30.0
    clock_sync: Annotated[
        bool | float,
        Meta(description="sets the clock of the station: true on connecting and every hour; a number: every so "
             "many seconds; false or 0: never"),
    ] = True  # fmt: skip
    time_zone: Annotated[
        str, Meta(max_length=64, description="of the station's clock: UTC, +01:00 or a name", examples=["UTC"])
    ] = "UTC"
    summer_time: Annotated[
        bool, Meta(description="with a fixed offset: whether the summer time bit of a time tag adds an hour")
    ] = True
    command_mode: Annotated[Mode, Meta(description="how commands are given: direct, or select before operate")] = (
        "direct"
    )
    command_time_tag: Annotated[bool, Meta(description="whether commands carry a time tag (types 58 to 64)")] = (
        False
    )
    command_timeout: Annotated[
        float, Meta(gt=0, le=3600, description="longest wait for each confirmation of a command, seconds")
    ] = 10.0
    termination_timeout: Annotated[
        float,
        Meta(
            ge=0, le=3600, description="longest wait for the termination after the confirmation, seconds; 0: none"
        ),
    ] = 10.0
    selection_timeout: Annotated[
        float,
        Meta(
            ge=1,
            le=3600,
            description="longest time for which a selection is held before it is deactivated, seconds; not longer "
            "than the station's own",
        ),
    ] = 20.0
    tls: Annotated[bool, Meta(description="TLS as of IEC 62351-3")] = False
    tls_ca: Annotated[
        str, Meta(max_length=255, description="file with the CA of the station, in the folder of certificates; "
                  "empty: those the system trusts")
    ] = ""  # fmt: skip
    tls_certificate: Annotated[
        str, Meta(max_length=255, description="file with our certificate, with its chain")
    ] = ""
    tls_key: Annotated[str, Meta(max_length=255, description="file with its key; empty: in the same file")] = ""
    tls_name: Annotated[
        str, Meta(max_length=253, description="name in the station's certificate; empty: the ip of the device")
    ] = ""
    redundant: Annotated[
        str, Meta(max_length=260, description="host:port of the second connection of a redundancy group")
    ] = ""

    @property
    def parameters(self) -> Parameters:
        """Of the link.

        :raises ValueError: they do not go together.
        """
        return Parameters(k=self.k, w=self.w, t0=self.t0, t1=self.t1, t2=self.t2, t3=self.t3)

    @property
    def places(self) -> list[tuple[str, int]]:
        """Host and port of the station; of a redundancy group two.

        :raises ValueError: ``redundant`` is no address.
        """
        default = DEFAULT_TLS_PORT if self.tls else DEFAULT_PORT
        places = [(self.ip, self.port or default)]
        return [*places, parse_place(self.redundant, default)] if self.redundant else places

    @property
    def clock_interval(self) -> float:
        """Seconds between two settings of the clock; 0: never."""
        if isinstance(self.clock_sync, bool):
            return CLOCK_INTERVAL if self.clock_sync else 0.0
        return self.clock_sync


class Iec104Term(Term, frozen=True, kw_only=True):
    """A common address of a controlled station: one of the logical stations behind its link."""

    address: Annotated[int, Meta(ge=1, le=65_534, description="common address")] = 1


class Iec104TermItem(TermItem, frozen=True, kw_only=True):
    """An information object."""

    protocol_code: (
        Annotated[
            str,
            Meta(max_length=16, description="information object address, 1 to 16777215", examples=["4001"]),
        ]
        | None
    ) = None
    code_type: (
        Annotated[
            str,
            Meta(max_length=16, description="type identification, by number or name; unset: any of the monitor "
                 "direction", examples=["M_ME_TF_1", "36"]),
        ]
        | None
    ) = None  # fmt: skip
    command_mode: Annotated[Mode, Meta(description="unset: the device's")] | None = None
    command_type: (
        Annotated[
            str,
            Meta(max_length=16, description="type identification of the command; unset: the one that goes with "
                 "code_type", examples=["C_SC_NA_1"]),
        ]
        | None
    ) = None  # fmt: skip
    command_address: (
        Annotated[int, Meta(ge=1, le=MAX_ADDRESS, description="address of the command; unset: the point's")] | None
    ) = None
    qualifier: Annotated[int, Meta(ge=0, le=127, description="qualifier of command or set-point (QU, QL)")] = 0


class Address(NamedTuple):
    """What is unique among the points of a device."""

    common: int
    object: int

    def __str__(self) -> str:
        return f"{self.object} of common address {self.common}"

    def __repr__(self) -> str:
        return str(self)


class Command(NamedTuple):
    """How a point is commanded.

    :ivar info: the type identification that is sent.
    :ivar mode: unless the command itself says otherwise.
    """

    info: TypeInfo
    address: Address
    mode: Mode
    qualifier: int


class Target(NamedTuple):
    """Where a point is and what it is.

    :ivar info: its type in monitor direction; ``None``: any, or the point is only commanded.
    :ivar monitored: whether values are expected to come from it.
    :ivar command: how it is commanded; ``None`` when it cannot be.
    """

    address: Address
    info: TypeInfo | None
    monitored: bool
    command: Command | None


def typed(device: Device, term: Term, item: TermItem) -> tuple[Iec104Device, Iec104Term, Iec104TermItem]:
    """The objects as those of this driver."""
    if isinstance(device, Iec104Device) and isinstance(term, Iec104Term) and isinstance(item, Iec104TermItem):
        return device, term, item
    raise TypeError("the objects are not of the IEC 104 driver's own types")


def parse_place(text: str, default_port: int = DEFAULT_PORT) -> tuple[str, int]:
    """``10.0.0.5:2404``, ``[fd00::1]:2404`` or a name, the port may be missing -> host and port.

    :raises ValueError: it is none of these.
    """
    match = _PLACE.fullmatch(text)
    port = int(match[3]) if match is not None and match[3] else default_port
    if match is None or not 1 <= port <= 65_535:
        raise ValueError(f"{text!r} is no host and port, such as 10.0.0.6:2404 or [fd00::6]:2404")
    return match[1] or match[2], port


def parse_address(code: str) -> int:
    """An information object address.

    :raises ValueError: it is none.
    """
    if not (code.isascii() and code.isdigit()) or not 1 <= int(code) <= MAX_ADDRESS:
        raise ValueError(f"{code!r} is no information object address, 1 to {MAX_ADDRESS}")
    return int(code)


def address_of(device: Device, term: Term, item: TermItem) -> Address:
    """Where a point is. Asked for every point of every change of the model: it must cost little.

    :raises ValueError: when it has no valid address.
    """
    _, term, item = typed(device, term, item)
    if item.protocol_code is None:
        raise ValueError("the point has no protocol_code")
    return Address(term.address, parse_address(item.protocol_code))


def resolve(device: Device, term: Term, item: TermItem) -> Target:
    """Where a point is and what it is.

    :raises ValueError: when address or type are not valid.
    """
    device, term, item = typed(device, term, item)
    address = address_of(device, term, item)
    info = find(item.code_type) if item.code_type is not None else None
    monitored = info is None or info.direction is Direction.MONITOR
    return Target(address, info if monitored else None, monitored, _command(device, item, address, info))


def _command(
    device: Iec104Device, item: Iec104TermItem, address: Address, info: TypeInfo | None
) -> Command | None:
    """
    :raises ValueError: ``command_type`` is no command.
    """
    chosen = find(item.command_type) if item.command_type is not None else None
    if chosen is None and info is not None:
        if info.direction is Direction.CONTROL:
            chosen = info
        else:
            number = info.tagged_command if device.command_time_tag else info.command
            chosen = TYPES[number] if number is not None else None
    if chosen is None:
        return None
    if chosen.direction is not Direction.CONTROL or chosen.system or chosen.element is None:
        raise ValueError(f"{chosen.name} is no command that a point can have")
    if item.command_type is None and device.command_time_tag and chosen.tag is Tag.NONE:
        chosen = TYPES[chosen.tagged_command] if chosen.tagged_command is not None else chosen
    place = address if item.command_address is None else Address(address.common, item.command_address)
    return Command(chosen, place, item.command_mode or device.command_mode, item.qualifier)
