"""The objects of the model. A protocol extends ``Device``, ``Term`` and ``TermItem`` with its own options.

All are immutable: a change is a new object. Field constraints stand in the annotations, once; validation,
storage and the OpenAPI document are derived from them.
"""

from __future__ import annotations

from typing import Annotated, Literal

from msgspec import Meta, Struct

from pydatacoll.model.sample import PointId

ID_PATTERN = r"^(?!\.{1,2}\Z)[A-Za-z0-9_.\-]{1,64}\Z"
"""``.`` and ``..`` are no ids: in a URL they mean a folder."""

HOST_PATTERN = r"^[A-Za-z0-9_:%]([A-Za-z0-9_.:%\-]{0,251}[A-Za-z0-9_:%])?\Z"
"""What can be an address or a name; whether it exists is found out when connecting."""

Priority = Literal["low", "medium", "high", "critical"]
"""Of an alarm: how bad and how urgent it is."""

_YEAR = 86_400 * 366

Id = Annotated[
    str,
    Meta(pattern=ID_PATTERN, description="1-64 characters of A-Z a-z 0-9 _ . -", examples=["feeder1"]),
]
Text = Annotated[str, Meta(max_length=1024)]
ForPeople = Annotated[Text, Meta(description="for people")]
Identification = Annotated[Text, Meta(description="number or code by which the owner knows it")]
FreeText = Annotated[Text, Meta(description="free, for the user's own programs")]
Scaling = Annotated[float, Meta(description="engineering value = raw value * ``coefficient`` + ``base_val``")]
PointRef = Annotated[
    str,
    Meta(
        pattern=r"^[A-Za-z0-9_.\-]{1,64}:[A-Za-z0-9_.\-]{1,64}:[A-Za-z0-9_.\-]{1,64}\Z",
        description="device:term:item",
        examples=["feeder1:main:ua"],
    ),
]


class ModelObject(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True, gc=False):
    """Base of all model objects. Made from JSON and immutable, none can be part of a cycle: hence no gc."""


class Device(ModelObject, frozen=True, kw_only=True):
    """A thing with an address: an RTU, a PLC, a gateway, a meter."""

    id: Id
    name: ForPeople
    protocol: Annotated[str, Meta(description="name of a protocol driver, see /api/v1/device_protocols")]
    ip: Annotated[str, Meta(pattern=HOST_PATTERN, description="IP address or host name")] = "127.0.0.1"
    port: Annotated[int, Meta(ge=1, le=65535, description="TCP port; unset: the protocol's own")] | None = None
    identify: Identification = ""
    enabled: Annotated[
        bool, Meta(description="``false``: not connected, not polled; calls and controls answer 409")
    ] = True
    description: ForPeople = ""
    frame_log: (
        Annotated[int, Meta(ge=0, le=10_000, description="protocol frames kept; unset: manager.frame_log")] | None
    ) = None


class Term(ModelObject, frozen=True, kw_only=True):
    """A terminal unit behind a device: a meter behind a gateway, a bay behind an RTU."""

    id: Id
    name: ForPeople
    device_id: Id
    protocol: Annotated[Text, Meta(description="informative: what the unit speaks behind the device")] = ""
    address: (
        Annotated[
            int, Meta(ge=0, le=65535, description="address of the unit, as the device's protocol defines it")
        ]
        | None
    ) = None
    identify: Identification = ""


class Item(ModelObject, frozen=True, kw_only=True):
    """A kind of quantity (A-phase voltage), shared by many terms."""

    id: Id
    name: ForPeople
    view_code: FreeText = ""
    func_type: FreeText = ""
    unit: Annotated[str, Meta(max_length=64, description="unit of the engineering value")] = ""
    description: ForPeople = ""


class TermItem(ModelObject, frozen=True, kw_only=True):
    """A term's link to an item: one measured or controlled point."""

    term_id: Id
    item_id: Id
    protocol_code: (
        Annotated[
            Text,
            Meta(description="address of the value, as the protocol defines it; unset: not read from a device"),
        ]
        | None
    ) = None
    code_type: Annotated[Text, Meta(description="type of the value, as the protocol defines it")] | None = None
    base_val: Scaling = 0.0
    coefficient: Scaling = 1.0
    writable: Annotated[bool, Meta(description="whether it may be controlled")] = False
    deadband: (
        Annotated[
            float,
            Meta(
                ge=0,
                description="a change of the engineering value up to this since the last one stored is not stored",
            ),
        ]
        | None
    ) = None
    deadband_percent: (
        Annotated[
            float,
            Meta(
                ge=0,
                description="the same in percent of the magnitude of the last value stored; with both given, "
                "a value beyond either one is stored",
            ),
        ]
        | None
    ) = None
    min_period: (
        Annotated[
            float,
            Meta(
                ge=0,
                le=_YEAR,
                description="seconds: at most one sample is stored in each; a change meanwhile is held, and the "
                "newest stored at the end; a change of quality is stored at once",
            ),
        ]
        | None
    ) = None
    max_silence: (
        Annotated[
            float,
            Meta(
                gt=0,
                le=_YEAR,
                description="seconds: a reading is stored although unchanged when nothing was stored for so long, "
                "less 5 % and at most 0.5 s, because polls come a little early or late",
            ),
        ]
        | None
    ) = None
    stale_after: (
        Annotated[
            float,
            Meta(
                gt=0,
                le=_YEAR,
                description="seconds without any reading after which the value gets the quality stale",
            ),
        ]
        | None
    ) = None
    frozen_after: (
        Annotated[
            float,
            Meta(
                gt=0,
                le=_YEAR,
                description="seconds: when readings come but the raw value has not changed for so long, it gets "
                "the quality not_topical",
            ),
        ]
        | None
    ) = None
    history_length: (
        Annotated[int, Meta(ge=0, le=100_000, description="recent samples kept; unset: history.length")] | None
    ) = None
    low_low: Annotated[float, Meta(description="a value below it is an alarm of its own")] | None = None
    down_limit: Annotated[float, Meta(description="a value below it is an alarm")] | None = None
    up_limit: Annotated[float, Meta(description="a value above it is an alarm")] | None = None
    high_high: Annotated[float, Meta(description="a value above it is an alarm of its own")] | None = None
    hysteresis: (
        Annotated[float, Meta(ge=0, description="an alarm of a limit ends this far inside the limit")] | None
    ) = None
    alarm_delay: (
        Annotated[
            float,
            Meta(
                ge=0,
                le=_YEAR,
                description="an alarm begins when its condition has held for so many seconds",
            ),
        ]
        | None
    ) = None
    alarm_priority: Annotated[Priority, Meta(description="of the point's alarms; unset: medium")] | None = None
    quality_alarm: (
        Annotated[
            bool,
            Meta(
                description="whether bad quality, or no reading within ``stale_after``, is an alarm; unset: the "
                "first of points with a limit or ``do_verify``, the second of all"
            ),
        ]
        | None
    ) = None
    do_verify: (
        Annotated[Text, Meta(description="a rule; when it is false that is an alarm: 207 <= value <= 253")] | None
    ) = None
    warn_msg: Annotated[Text, Meta(description="text of an alarm")] | None = None
    db_save: Annotated[bool, Meta(description="whether it is archived")] = True
    db_save_sql: Annotated[str, Meta(max_length=8192, description="own statement for archiving")] | None = None
    db_warn_sql: Annotated[str, Meta(max_length=8192, description="own statement for alarms")] | None = None

    @property
    def ruled(self) -> bool:
        """Whether the data path has anything to decide about a reading; else each one is stored."""
        return any(
            rule is not None
            for rule in (
                self.deadband,
                self.deadband_percent,
                self.min_period,
                self.max_silence,
                self.stale_after,
                self.frozen_after,
            )
        )


class Formula(ModelObject, frozen=True, kw_only=True):
    """A derived value. On the wire ``params`` is flat: ``p0``, ``p1``, ... each ``device:term:item``."""

    id: Id
    formula: Annotated[
        str,
        Meta(
            min_length=1,
            max_length=4096,
            description="an expression of the parameters: p1 + p2, mean(p1, '15m')",
        ),
    ]
    device_id: Id
    term_id: Id
    item_id: Id
    params: dict[str, PointRef] = {}

    @property
    def target(self) -> PointId:
        """The term item that takes the result."""
        return PointId(self.device_id, self.term_id, self.item_id)
