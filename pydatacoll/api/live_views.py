"""Shapes of events and of the overview."""

from __future__ import annotations

from typing import Annotated, Any, Final, Literal

from msgspec import Meta, Struct

from pydatacoll.api.view_types import Time
from pydatacoll.model.alarm import Priority
from pydatacoll.model.event import Kind, Severity


class EventView(Struct, kw_only=True):
    """Something that happened."""

    id: Annotated[str, Meta(description="its place among all events", examples=["1795255708123-0-100001"])]
    time: Annotated[Time, Meta(description="when it was noted, by the clock of the store")]
    kind: Kind
    device_id: Annotated[str | None, Meta(description="null: none, or several")]
    object: Annotated[str, Meta(description="what it happened to")]
    severity: Severity
    text: Annotated[str, Meta(description="one line for a person")]
    details: Annotated[dict[str, Any], Meta(description="for programs, by kind")]


class LinkSummary(Struct, kw_only=True):
    """State of the way to a device."""

    state: str
    since: Time | None
    last_error: str | None


class Totals(Struct, kw_only=True):
    """Sums over all devices that the token is for."""

    devices: int
    devices_down: Annotated[int, Meta(description="enabled, and not connected")]
    points: Annotated[int, Meta(description="that have a value")]
    bad: Annotated[int, Meta(description="of bad quality, and not stale; time_invalid alone is not bad")]
    stale: Annotated[int, Meta(description="comm_lost, not_topical or stale: nobody renews them")]
    alarms_active: int
    alarms_unacknowledged: int
    alarms_by_priority: Annotated[dict[str, int], Meta(description="alarms that are active or unacknowledged")]
    values_per_second: Annotated[float | None, Meta(description="null: not known yet, ask again in a second")]


class HealthState(Struct, kw_only=True):
    """A part of the system."""

    name: Annotated[str, Meta(description="store, archive, manager, or plugin NAME")]
    state: Literal["ok", "warning", "error"]
    detail: str


class DeviceSummary(Struct, kw_only=True):
    """A device at one look."""

    device_id: str
    name: str
    protocol: str
    enabled: bool
    link: LinkSummary
    points: int
    bad: int
    stale: int
    alarms_active: int
    alarms_unacknowledged: int
    worst_priority: Annotated[Priority | None, Meta(description="of alarms that are active or unacknowledged")]
    values_per_second: Annotated[float | None, Meta(description="null: not known yet")]


class OverviewView(Struct, kw_only=True):
    """The plant at one look; devices worst first."""

    time: Time
    totals: Totals
    health: list[HealthState]
    devices: list[DeviceSummary]


COMPONENTS: Final[tuple[type[Struct], ...]] = (EventView, OverviewView)
