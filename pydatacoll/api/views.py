"""Shapes of what the API takes and answers, beside the model objects. The document is generated from them."""

from __future__ import annotations

from typing import Annotated, Any, Final, Literal

from msgspec import UNSET, Meta, Struct, UnsetType

from pydatacoll.api import alarm_views, bulk_views, history_views, live_views, plugin_views, selection_views
from pydatacoll.api.view_types import Json, ProblemField, QualityView, Time
from pydatacoll.model.objects import Id


class LinkView(Struct, kw_only=True):
    """State of the way to a device."""

    state: Annotated[str, Meta(description="connected, connecting, backoff, disabled, virtual, no_manager, ...")]
    since: Time | None
    last_error: Annotated[
        str | None,
        Meta(description="why it was lost or could not be made; kept until something was read over a new one"),
    ]


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
    low_low: float | None
    high_high: float | None
    stale_after: Annotated[float | None, Meta(description="seconds without a reading after which it is stale")]


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
    selection_id: Annotated[
        str, Meta(max_length=64, description="execute what was selected by device_select; the value is the same")
    ] | None = None  # fmt: skip


class CtrlAnswer(SampleView, kw_only=True):
    """A write that the device confirmed."""

    command_id: str
    outcome: Annotated[
        str, Meta(description="what the protocol tells beyond that; iec104: terminated, confirmed")
    ] | UnsetType = UNSET  # fmt: skip


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


class Problem(Struct, kw_only=True):
    """RFC 9457 problem details."""

    type: str
    title: str
    status: int
    detail: str
    errors: list[ProblemField] | UnsetType = UNSET
    reasons: list[str] | UnsetType = UNSET
    outcome: Annotated[
        str, Meta(description="of a control: why the device did not do it, as one word; iec104: negative, ...")
    ] | UnsetType = UNSET  # fmt: skip


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
    outcome: str | UnsetType = UNSET
    errors: list[ProblemField] | UnsetType = UNSET


class CallDone(SampleView, kw_only=True):
    """An element of a batch of calls that succeeded."""

    status: Literal[200]


class CtrlDone(CtrlAnswer, kw_only=True):
    """An element of a batch of controls that succeeded."""

    status: Literal[200]


class AuditChange(Struct, kw_only=True):
    """One object of a change of many."""

    kind: Literal["device", "term", "item", "term_item", "formula"]
    key: Annotated[str, Meta(description="id, or term_id:item_id")]
    renamed_from: str | UnsetType = UNSET
    before: Annotated[dict[str, Any], Meta(description="fields that differ; of what went: all but defaults")] | (
        UnsetType
    ) = UNSET
    after: Annotated[dict[str, Any], Meta(description="fields that differ; of what is new: all but defaults")] | (
        UnsetType
    ) = UNSET


class AuditEntry(Struct, kw_only=True):
    """Who changed or controlled what."""

    id: Annotated[str, Meta(description="place in the trail, for the parameter before")]
    time: Annotated[Time, Meta(description="by the clock of the store")]
    action: Annotated[
        str,
        Meta(description="ctrl, select, device.create, term.batch, import, ..., ctrl.refused, request.refused"),
    ]
    user: Annotated[str, Meta(description="name of the access token; redis: a program on the request channel")]
    source: Annotated[str, Meta(description="address the request came from")]
    object: Annotated[str, Meta(description="id, term_id:item_id, device:term:item, plural of a kind, or path")]
    before: Annotated[Any, Meta(description="the object, or the last known value of a point")]
    after: Annotated[Any, Meta(description="the object, or the value written")]
    result: Annotated[
        str | None,
        Meta(
            description="ok, in brackets what the protocol tells beyond that; or status and reason of a failure; "
            "null: a control about to be sent, or what else is about to be done"
        ),
    ]
    devices: Annotated[list[str], Meta(description="devices it concerns; empty: the model as a whole")]
    counts: (
        Annotated[dict[str, Any], Meta(description="kind -> created, changed, renamed, deleted -> how many")]
        | UnsetType
    ) = UNSET
    changes: list[AuditChange] | UnsetType = UNSET
    part: Annotated[int, Meta(description="place of this entry among the entries of one change")] | UnsetType = (
        UNSET
    )
    parts: int | UnsetType = UNSET
    command_id: str | UnsetType = UNSET
    mode: str | UnsetType = UNSET
    verify: bool | UnsetType = UNSET
    selection_id: Annotated[str, Meta(description="the selection that is executed or given up")] | UnsetType = (
        UNSET
    )
    reason: str | UnsetType = UNSET
    left_out: Annotated[int, Meta(description="refusals of this user not in the trail, up to this one")] | (
        UnsetType
    ) = UNSET


class FrameView(Struct, kw_only=True):
    """A protocol frame, or a note about the link."""

    time: Time
    direction: Literal["sent", "received", "note"]
    hex: Annotated[str, Meta(description="the bytes on the line; empty for a note")]
    text: Annotated[str, Meta(description="in plain words", examples=["read 1 coil from 5, unit 3"])]


class FrameList(Struct, kw_only=True):
    """The last protocol frames of a device, oldest first."""

    device_id: str
    size: Annotated[int, Meta(ge=0, description="frames kept; 0: frame logging is off")]
    frames: list[FrameView]


class InterrogateRequest(Struct, kw_only=True, forbid_unknown_fields=True):
    """What a device shall send now."""

    group: Annotated[
        int,
        Meta(
            ge=0,
            le=255,
            description="as the protocol numbers them; iec104: 20 general, 21-36 groups 1-16, 37 counters, 38-41 "
            "their groups 1-4",
        ),
    ] = 20
    term_id: Annotated[Id, Meta(description="only this term")] | None = None
    freeze: Annotated[
        Literal["read", "freeze", "freeze_reset", "reset"],
        Meta(description="of counters: what the device does with them; unset: read"),
    ] | None = None  # fmt: skip
    wait: Annotated[float, Meta(ge=1, le=300, description="seconds to wait for the end")] = 30.0


class InterrogatedTerm(Struct, kw_only=True):
    """What the interrogation of one term gave."""

    term_id: Annotated[
        str | None, Meta(description="null: all stations at once, as a device without points is asked")
    ]
    address: int
    outcome: Annotated[str, Meta(description="terminated: it sent all; else one word for what was missing")]
    points: Annotated[int, Meta(description="values that came as its answer")]
    seconds: Annotated[float, Meta(description="from the request to the end")]
    detail: Annotated[str, Meta(description="what went wrong, in words; empty when nothing did")]


class InterrogateAnswer(Struct, kw_only=True):
    """What an interrogation gave. The values themselves are with their points."""

    device_id: str
    group: int
    results: list[InterrogatedTerm]


class DiscoveredView(Struct, kw_only=True):
    """An address that sends and is not configured."""

    term_id: Annotated[str | None, Meta(description="the term with this address; null: there is none")]
    address: Annotated[int, Meta(description="of the term; iec104: common address")]
    protocol_code: Annotated[str, Meta(description="as a term item would have it", examples=["4001"])]
    code_type: Annotated[str, Meta(description="as a term item would have it", examples=["M_ME_TF_1"])]
    value: Annotated[Json, Meta(description="the last one, raw")]
    quality: QualityView
    time: Time
    cause: Annotated[str, Meta(description="why it was sent", examples=["spontaneous"])]
    count: Annotated[int, Meta(description="values that came since the device was started")]
    note: Annotated[str, Meta(description="why it counts as not configured, when it seems to be")]


class ProbeSample(Struct, kw_only=True):
    """The point as it is configured, engineering value."""

    time: Time
    value: Json
    quality: QualityView


class ProbeMeaning(Struct, kw_only=True):
    """One way to understand what was read."""

    code_type: str
    byte_order: str | None
    word_order: str | None
    value: Annotated[Json, Meta(description="scaled as the point is; null: the bytes hold none of this type")]
    configured: Annotated[bool, Meta(description="whether this is how the point is configured")]


class ProbeAnswer(Struct, kw_only=True):
    """What a probe found."""

    reachable: Annotated[bool, Meta(description="whether a connection could be made")]
    seconds: Annotated[float, Meta(description="time to connect, or until that was given up")]
    error: Annotated[str | None, Meta(description="why there is no connection, or no value")]
    raw: Annotated[str | None, Meta(description="the bytes read, hexadecimal")]
    sample: ProbeSample | None
    interpretations: list[ProbeMeaning]


class IdentityView(Struct, kw_only=True):
    """An access token."""

    name: Annotated[str, Meta(description="empty: no tokens are configured, everybody here may do everything")]
    scope: Literal["read", "operate", "admin"]
    devices: Annotated[list[str], Meta(description="globs of the devices it is for; empty: all")]
    expires: Time | None
    time: Annotated[Time, Meta(description="now, by the clock of the server")]
    archive: Annotated[bool, Meta(description="whether this server has an archive, which get_history reads")]


class CheckView(Struct, kw_only=True):
    """One thing that was looked at."""

    check: Annotated[str, Meta(description="store, persistence, memory, managers, devices, clock, disk, ...")]
    status: Literal["ok", "warning", "failed"]
    detail: str
    remedy: Annotated[str, Meta(description="what to do; empty when there is nothing to do")]


class Diagnosis(Struct, kw_only=True):
    """What works and what does not."""

    checks: list[CheckView]


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
    FrameList,
    ProbeAnswer,
    InterrogateRequest,
    InterrogateAnswer,
    DiscoveredView,
    Problem,
    CommandProblem,
    CallDone,
    CtrlDone,
    IdentityView,
    Diagnosis,
    *bulk_views.COMPONENTS,
    *history_views.COMPONENTS,
    *alarm_views.COMPONENTS,
    *plugin_views.COMPONENTS,
    *live_views.COMPONENTS,
    *selection_views.COMPONENTS,
    Health,
    LinkView,
    AuditChange,
    AuditEntry,
)
