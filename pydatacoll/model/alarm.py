"""Alarms: which ones a point can have, what the checker says of them, and how they live (ISA-18.2, IEC 62682).

An alarm is known by its point and its kind, as ``feeder1:main:ua:high``. It is normal until its condition comes
true; then it is active until the condition ends, and unacknowledged until a person acknowledges it. While it is
shelved it rings nobody.
"""

from __future__ import annotations

from typing import Literal, NamedTuple, get_args

from msgspec import Struct

from pydatacoll.model.objects import Priority, TermItem
from pydatacoll.model.sample import PointId

__all__ = [
    "CHANGES",
    "EVENTS",
    "KINDS",
    "LIMITS",
    "PRIORITIES",
    "STATES",
    "Alarm",
    "AlarmId",
    "Condition",
    "Priority",
    "State",
    "Transition",
    "kinds_of",
]

Kind = Literal["high_high", "high", "low", "low_low", "rule", "quality", "stale"]
"""What is wrong: beyond a limit, ``do_verify`` is false, the quality is bad, no reading has come for too long."""
KINDS: tuple[Kind, ...] = get_args(Kind)

LIMITS: dict[Kind, str] = {
    "high_high": "high_high",
    "high": "up_limit",
    "low": "down_limit",
    "low_low": "low_low",
}
"""Kind -> field of the term item with the limit, from the highest to the lowest."""

PRIORITIES: tuple[Priority, ...] = get_args(Priority)
"""From the lowest to the highest."""

State = Literal["normal", "active_unacknowledged", "active_acknowledged", "returned_unacknowledged", "shelved"]
"""The states A, B, C, D and G of ISA-18.2."""
STATES: tuple[State, ...] = get_args(State)

Change = Literal["raise", "clear", "remove"]
"""What becomes of a condition: it begins, it ends, or there is no such alarm any more."""
CHANGES: tuple[Change, ...] = get_args(Change)

Event = Literal["raise", "clear", "remove", "ack", "shelve", "unshelve"]
EVENTS: tuple[Event, ...] = get_args(Event)


class AlarmId(NamedTuple):
    """Point and kind."""

    device_id: str
    term_id: str
    item_id: str
    kind: str

    def __str__(self) -> str:
        return ":".join(self)

    @property
    def point(self) -> PointId:
        return PointId(self.device_id, self.term_id, self.item_id)

    @classmethod
    def parse(cls, text: str) -> AlarmId:
        """Inverse of ``str``.

        :raises ValueError: when it is none.
        """
        parts = text.split(":")
        if len(parts) != 4 or parts[3] not in KINDS:
            raise ValueError(f"{text!r:.200} is not device:term:item:kind with a kind of {', '.join(KINDS)}")
        return cls(*parts)


class Condition(Struct, frozen=True, array_like=True):
    """A change of a condition, as the checker finds it. What is said twice counts once.

    :ivar alarm: the alarm's id.
    :ivar time: ISO 8601, as of samples: of the sample that made the change, or of the end of the delay.
    :ivar value: JSON text of the value.
    :ivar quality: JSON text of the quality.
    :ivar limit: JSON text of the limit, ``null`` for kinds without one.
    :ivar message: ``warn_msg`` of the term item.
    """

    alarm: str
    change: Change
    time: str
    value: str = "null"
    quality: str = '"good"'
    limit: str = "null"
    priority: Priority = "medium"
    message: str = ""


class Alarm(Struct, frozen=True, kw_only=True):
    """An alarm that is not normal, as it is stored. Times are ISO 8601 texts; value, quality, limit JSON texts.

    :ivar active: whether the condition holds now, shelved or not.
    :ivar raised: when the condition began, the last time.
    :ivar time: of the last change of the condition, with the value and the quality then.
    :ivar user: who acknowledged or shelved it, with ``noted`` and ``note``.
    :ivar noted: when.
    :ivar until: when shelving ends.
    """

    state: State
    active: bool
    raised: str = ""
    time: str = ""
    value: str = "null"
    quality: str = '"good"'
    limit: str = "null"
    priority: Priority = "medium"
    message: str = ""
    user: str = ""
    noted: str = ""
    note: str = ""
    until: str = ""


class Transition(Struct, frozen=True, kw_only=True):
    """One step in the life of an alarm, as it stands in the alarm stream.

    :ivar alarm: the alarm's id.
    :ivar event: what happened.
    :ivar state: the state after it.
    :ivar time: when: of the sample, or when the person did it (ISO 8601).
    :ivar value: JSON text; of the last change of the condition. So ``quality``, ``limit``, ``priority`` and
        ``message`` (``warn_msg``).
    :ivar user: who did it: the name of an access token; empty for what no person did.
    :ivar until: when shelving ends.
    """

    alarm: str
    event: Event
    state: State
    time: str
    value: str = "null"
    quality: str = '"good"'
    limit: str = "null"
    priority: Priority = "medium"
    message: str = ""
    user: str = ""
    note: str = ""
    until: str = ""


def kinds_of(item: TermItem) -> frozenset[str]:
    """The kinds of alarms that a term item can have.

    Bad quality is an alarm of points that are watched anyway, unless ``quality_alarm`` says something else.
    """
    found = {kind for kind, field in LIMITS.items() if getattr(item, field) is not None}
    if item.do_verify is not None:
        found.add("rule")
    if item.quality_alarm or (item.quality_alarm is None and found):
        found.add("quality")
    if item.stale_after is not None and item.quality_alarm is not False:
        found.add("stale")
    return frozenset(found)
