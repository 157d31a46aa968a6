"""Shapes of what the API takes and answers, beside the model objects. The document is generated from them."""

from __future__ import annotations

from typing import Annotated, Any, Final, Literal

from msgspec import UNSET, Meta, Struct, UnsetType

from pydatacoll.model.objects import Id

Time = Annotated[
    str, Meta(description="UTC, ISO 8601 with microseconds and Z", examples=["2026-11-21T09:00:00.000000Z"])
]
Json = bool | int | float | str | None
QualityFlag = Literal[
    "invalid",
    "not_topical",
    "substituted",
    "blocked",
    "overflow",
    "comm_lost",
    "time_invalid",
    "out_of_range",
    "stale",
]
QualityView = Literal["good"] | list[QualityFlag]


class LinkView(Struct, kw_only=True):
    """State of the way to a device."""

    state: Annotated[str, Meta(description="connected, connecting, backoff, disabled, virtual, no_manager, ...")]
    since: Time | None
    last_error: str | None


class SampleView(Struct, kw_only=True):
    """One value of one term item."""

    device_id: str
    term_id: str
    item_id: str
    time: Time
    value: Json
    quality: QualityView


class PointView(Struct, kw_only=True):
    """A term item as an operator sees it. Engineering value = raw value * ``coefficient`` + ``base_val``."""

    device_id: str
    term_id: str
    item_id: str
    protocol: Annotated[str, Meta(description="of the device")]
    name: Annotated[str, Meta(description="of the item")]
    unit: Annotated[str, Meta(description="of the engineering value")]
    protocol_code: str | None
    code_type: Annotated[str | None, Meta(description="null: what the protocol takes by itself")]
    coefficient: float
    base_val: float
    writable: bool
    down_limit: float | None
    up_limit: float | None


class CallRequest(Struct, kw_only=True, forbid_unknown_fields=True):
    """Which point to read."""

    device_id: Id
    term_id: Id
    item_id: Id


class CtrlRequest(Struct, kw_only=True, forbid_unknown_fields=True):
    """Which point to write, what and how."""

    device_id: Id
    term_id: Id
    item_id: Id
    value: Annotated[bool | int | float | str, Meta(description="engineering value", examples=[230.5])]
    mode: Annotated[str, Meta(max_length=64, description="protocol-specific: direct, select")] | None = None
    verify: Annotated[bool, Meta(description="read back and compare")] = False
    expires_in: Annotated[float, Meta(gt=0, le=86_400, description="seconds; never executed later")] | None = None
    reason: Annotated[str, Meta(max_length=1024, description="for the audit log")] | None = None


class CtrlAnswer(SampleView, kw_only=True):
    """A write that the device confirmed."""

    command_id: str


class DeletedCounts(Struct, kw_only=True, omit_defaults=True):
    """How many objects of each kind went."""

    devices: int = 0
    terms: int = 0
    items: int = 0
    term_items: int = 0
    formulas: int = 0


class Deleted(Struct, kw_only=True):
    """What a deletion took with it."""

    deleted: DeletedCounts


class BatchCounts(Struct, kw_only=True):
    """What a batch did."""

    created: int
    updated: int
    unchanged: int


class TermItemKey(Struct, kw_only=True):
    """The key of a term item."""

    term_id: Id
    item_id: Id


class DeviceStatus(Struct, kw_only=True):
    """Status of a device. Further members: owner, accounting, counters and protocol details."""

    device_id: str
    status: Literal["on", "off"]
    link: LinkView


class ProblemField(Struct, kw_only=True):
    """One bad field; ``index`` is the place in a batch."""

    index: int
    field: str
    message: str


class Problem(Struct, kw_only=True):
    """RFC 9457 problem details."""

    type: str
    title: str
    status: int
    detail: str
    errors: list[ProblemField] | UnsetType = UNSET
    reasons: list[str] | UnsetType = UNSET


class CommandProblem(Struct, kw_only=True):
    """An element of a batch of commands that failed."""

    status: Annotated[int, Meta(ge=400)]
    type: str
    title: str
    detail: str
    device_id: Any = None
    term_id: Any = None
    item_id: Any = None
    command_id: str | UnsetType = UNSET
    errors: list[ProblemField] | UnsetType = UNSET


class CallDone(SampleView, kw_only=True):
    """An element of a batch of calls that succeeded."""

    status: Literal[200]


class CtrlDone(CtrlAnswer, kw_only=True):
    """An element of a batch of controls that succeeded."""

    status: Literal[200]


class Health(Struct, kw_only=True):
    """``ok`` or ``ready``."""

    status: str


COMPONENTS: Final[tuple[type[Struct], ...]] = (
    SampleView,
    PointView,
    CallRequest,
    CtrlRequest,
    CtrlAnswer,
    Deleted,
    BatchCounts,
    TermItemKey,
    DeviceStatus,
    Problem,
    CommandProblem,
    CallDone,
    CtrlDone,
    Health,
    LinkView,
)
