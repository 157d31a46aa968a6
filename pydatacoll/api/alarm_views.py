"""Shapes of alarms, and how they are chosen."""

from __future__ import annotations

from typing import Annotated, Any, Final

from msgspec import Meta, Struct

from pydatacoll.api import query
from pydatacoll.api.view_types import Json, QualityView, Time
from pydatacoll.codec import json
from pydatacoll.model.alarm import KINDS, PRIORITIES, Event, Kind, Priority, State

Note = Annotated[str, Meta(max_length=1024, description="why; for those who look at it later")]
LONGEST: Final = 30 * 86_400
"""Seconds an alarm may be shelved at once."""


class AlarmView(Struct, kw_only=True):
    """An alarm. ``time``, ``value`` and ``quality`` are of the last change of its condition."""

    id: Annotated[str, Meta(description="device:term:item:kind", examples=["feeder1:main:ua:high"])]
    device_id: str
    term_id: str
    item_id: str
    kind: Kind
    state: State
    active: Annotated[bool, Meta(description="whether its condition holds now; also known while it is shelved")]
    priority: Priority
    raised: Annotated[Time | None, Meta(description="when its condition began; null: not yet")]
    time: Time | None
    value: Json
    quality: QualityView
    limit: Annotated[float | None, Meta(description="null: a kind without one")]
    warn_msg: str
    user: Annotated[str, Meta(description="who acknowledged or shelved it: the name of an access token")]
    noted: Annotated[Time | None, Meta(description="when")]
    note: str
    until: Annotated[Time | None, Meta(description="when shelving ends")]


class TransitionView(Struct, kw_only=True):
    """One step in the life of an alarm; ``state`` is the one after it."""

    id: Annotated[str, Meta(description="of the step", examples=["1795255708123-0-7"])]
    alarm: Annotated[str, Meta(description="id of the alarm", examples=["feeder1:main:ua:high"])]
    device_id: str
    term_id: str
    item_id: str
    kind: Kind
    event: Event
    state: State
    time: Annotated[Time, Meta(description="of the sample, or when somebody did it")]
    value: Json
    quality: QualityView
    limit: float | None
    priority: Priority
    warn_msg: str
    user: str
    note: str
    until: Time | None


class AckRequest(Struct, kw_only=True, forbid_unknown_fields=True):
    """What is to be said when an alarm is acknowledged, or shelving is ended."""

    note: Note = ""


class ShelveRequest(Struct, kw_only=True, forbid_unknown_fields=True):
    """How long an alarm is shelved."""

    seconds: Annotated[float, Meta(ge=1, le=LONGEST, description="it comes back by itself then", examples=[3600])]
    note: Note = ""


BY_DEVICE: Final = query.ids("device_id", "only of these devices")
BY_PRIORITY: Final = query.words("priority", "only of these priorities, separated by commas", PRIORITIES)
BY_KIND: Final = query.words("kind", "only of these kinds, separated by commas", KINDS)


def plain(text: str) -> Any:
    """What a JSON text says."""
    return json.decode(text.encode())


COMPONENTS: Final[tuple[type[Struct], ...]] = (AlarmView, TransitionView, AckRequest, ShelveRequest)
